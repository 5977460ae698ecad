/* attested: an attested connection over a transport, with collateral fetched where none is stapled. Blocking; one thread. */
#pragma once

#include "atls/client.h"
#include "attested/transport.h"
#include "base/log.h"

/* How long the parts of an attested connection took. */
struct attested_times {
    uint64_t tcp_ns; /* names, TCP and, where there is one, the bridge */
    uint64_t tls_ns, quote_ns, collateral_ns, verify_ns;
};

struct attested_options {
    const char *host; /* a DNS name or IP literal, without brackets */
    uint16_t port;
    const char *server_name;      /* of the certificate; NULL: the host */
    const struct policy *policy;  /* lent */
    const char *proxy, *ca_file;  /* NULL: none; the built-in CAs */
    const char *pccs_url;         /* NULL: the policy's */
    const char *cache;            /* folder; NULL: none */
    const char *editions;         /* folder in which accepted ones are remembered; NULL: none are */
    uint64_t timeout_ms;          /* of connecting; of all until it is attested; of fetching */
    struct attested_times *times; /* written; NULL: not asked for */
    /* For who connects often; lent. NULL: a context of its own; everything is verified from the start. */
    struct session_context *context;
    struct dcap_cache *known;
};

struct attested;

/* That a connection with these options would make for itself. */
MUST_USE bool attested_context(const struct attested_options *o, struct session_context **out,
                               struct attest_err *err);
MUST_USE bool attested_open(const struct attested_options *o, struct attested **out,
                            struct attest_err *err);
void attested_free(struct attested *c); /* says close_notify; NULL is fine */
CLEANUP_DEFINE(struct attested, attested_free)

/* Until the policy's reattest_after is over, counted from the verdict; 0: it is; UINT64_MAX: it asks for none. */
uint64_t attested_due_in_ms(const struct attested *c);
/* False, with ATTEST_REATTEST: it is over, and nothing may be sent. */
MUST_USE bool attested_fresh(const struct attested *c, struct attest_err *err);
/* Another proof on the same session, verified as the first one was. Between messages alone: no application bytes may be under way, in
 * either direction. Whatever fails is final for this connection. */
MUST_USE bool attested_renew(struct attested *c, const struct attested_options *o,
                             struct attest_err *err);
/* Code ATTEST_OK: nothing. Else what went wrong without harm to this connection. */
const struct attest_err *attested_warning(const struct attested *c);
const struct atls_client *attested_client(const struct attested *c);
MUST_USE bool attested_write(struct attested *c, struct view bytes, struct attest_err *err);
/* Waits for application bytes and appends them. *end: the other end said that there are no more. timeout_ms 0: for ever. */
MUST_USE bool attested_read(struct attested *c, struct buf *out, bool *end, uint64_t timeout_ms,
                            struct attest_err *err);
int attested_fd(const struct attested *c);
/* For lines of debugging, as debug.h has them; NULL: nobody asked. */
struct log *attested_log(const struct attested *c);
