/* policy: everything that decides who may use the bridge and for what, as one immutable snapshot.
 *
 * Made whole from settings and files, or not at all; reference-counted; reload swaps one pointer, and a
 * tunnel keeps the snapshot it was admitted under.
 *
 *   policy_load ──► struct policy ──► policy_admit (admit.h) for each request, policy_judge for each address */
#pragma once

#include <stdatomic.h>

#include "bridge/allowlist.h"
#include "bridge/credential.h"
#include "bridge/origin.h"
#include "net/addr.h"

enum policy_reject { REJECT_AUTO, REJECT_HTTP, REJECT_CLOSE };
enum policy_deny { DENY_SPECIAL_FOR_NAMES, DENY_PRIVATE, DENY_OFF };
enum policy_proxy_header { PROXY_HEADER_OFF, PROXY_HEADER_OPTIONAL, PROXY_HEADER_REQUIRE };
enum policy_send_proxy { SEND_PROXY_OFF, SEND_PROXY_V1, SEND_PROXY_V2 };

/* Where a policy comes from: the settings' own words. All strings are lent for the call; NULL: not set. */
struct policy_source {
    const char *allowlist;      /* comma-separated */
    const char *allowlist_file; /* path; commas, newlines, '#' comments */
    bool allow_empty;           /* --allow-empty: an empty list is not an error */
    bool lax_allowlist;         /* odd entries warn instead of failing */
    bool allow_patterns;        /* *.example.com:443, CIDR, port ranges */
    bool cidr_names;            /* CIDR entries also admit names that resolve into them */
    const char *target;         /* the default target */
    bool target_explicit;       /* it was set, not built in */
    bool strict_default;
    const char *origins;      /* comma-separated; "same-host"; "null" */
    const char *hosts;        /* comma-separated names for the Host check */
    const char *subprotocols; /* comma-separated; NULL: the first offered */
    const char *auth_token_file;
    bool auth_query;           /* ?token= is read */
    const char *auth_jwt_jwks; /* path of a JWKS file */
    const char *auth_jwt_audience;
    const char *auth_jwt_issuer;
    const char *trusted_proxies; /* CIDRs */
    const char *allow_from;      /* CIDRs; NULL: everybody */
    const char *limit_exempt;    /* CIDRs exempt from per-address limits */
    enum policy_reject reject;
    enum policy_deny deny_addr;
    enum policy_proxy_header proxy_protocol;
    enum policy_send_proxy send_proxy; /* for entries that do not say otherwise */
};

struct policy {
    _Atomic unsigned references;
    uint64_t generation; /* grows by one with each load in the process */
    struct allowlist *allow;
    bool has_default;
    struct target default_target;
    const struct allow_entry *default_entry;
    bool default_by_pattern;
    struct origin_set *origins; /* NULL: any */
    struct host_set *hosts;     /* NULL: any */
    char **subprotocols;        /* NULL-terminated; NULL: the first offered that is no credential */
    struct credentials *credentials; /* NULL: nobody is asked */
    struct cidr *trusted_proxies, *allow_from, *limit_exempt;
    size_t trusted_proxy_count, allow_from_count, limit_exempt_count;
    enum policy_reject reject;
    enum policy_deny deny_addr;
    enum policy_proxy_header proxy_protocol;
    enum policy_send_proxy send_proxy;
    bool auth_query;
};

/* A warning to log: one sentence. */
typedef void policy_warning(void *context, const char *sentence);

/* Reads files, resolves nothing. Errors name variable, file, line and entry, and what to write instead. */
MUST_USE bool policy_load(const struct policy_source *source, policy_warning *warn, void *context,
                          struct policy **out, struct err *err);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p); /* NULL is fine */
CLEANUP_DEFINE(struct policy, policy_unref)

/* The address policy (SSRF): may a tunnel for entry connect to a? literal: the requested target was an IP
 * literal or "localhost", the operator's explicit word. Pure. */
bool policy_judge(const struct policy *p, const struct allow_entry *entry, bool literal,
                  const struct addr *a);
