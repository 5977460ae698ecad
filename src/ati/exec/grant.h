/* grant: an access token for what proves who we are (RFC 6749, 5): the request that oauth.c and gcs_token.c write, and the answer. One
 * request at a time for each key, also across loops; the token is kept until GRANT_MARGIN_S before it expires. Redirects are not followed.
 *
 *   grant_start ─► a token that is kept, or write ─► POST ─► access_token, expires_in ─► done */
#pragma once

#include "ati/exec/exec_priv.h"
#include "ati/exec/flight.h"

enum { GRANT_MARGIN_S = 60, GRANT_FIELDS_MAX = 3, GRANT_ANSWER_BYTES_MAX = 1024 * 1024 };

struct grant;
/* What those who ask differ in. */
struct grant_kind {
    const char *doing; /* before what went wrong: "getting a token" */
    int64_t expires_s; /* when the server does not say */
    int64_t expires_most_s;
    uint64_t timeout_ms;
    /* Writes g->body, a secret, and maybe fields beside those that are there (grant_field). */
    bool (*write)(struct grant *g, struct err *err);
};
/* As credential_done: error is a sentence; NULL: the token is there. Never from inside grant_start. */
typedef void grant_done(void *context, const char *error);

/* Within who asks; empty at first, ended always. */
struct grant {
    struct execution *e;
    const struct grant_kind *kind;
    struct view url; /* lent until the end, as what write makes fields of */
    enum client_reach reach;
    grant_done *done;
    void *context;
    struct buf body;
    struct client_field fields[GRANT_FIELDS_MAX];
    size_t field_count;
    struct flight *flight;
    struct client_call *call;
};
/* e, kind, url, reach, done and context are set. key: a digest of all that the token depends on. *ready: it is there at once, and done
 * is not called. */
MUST_USE bool grant_start(struct grant *g, const uint8_t key[static FLIGHT_KEY_BYTES], bool *ready,
                          struct err *err);
void grant_field(struct grant *g, struct view name, struct view value, bool secret);
struct view grant_token(const struct grant *g); /* lent until grant_end */
void grant_end(struct grant *g);                /* at any time */
