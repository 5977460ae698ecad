/* caller: who asks, and what they may: the claims of a verified credential as one immutable value, and the grammar of scopes.
 *
 * A caller is made in one place for each kind of credential (token/ for JWTs; dev mode; virtual keys later) and by nobody else.
 * There is no empty caller: without one, nothing is allowed.
 *
 * Scopes   a scope is a word. A pattern "*" matches all, "tool:x*" what begins with "tool:x", any other itself; case counts. A
 *          required "tool:a:b" is also granted by what grants "tool:a_b", its older spelling (only the first colon behind
 *          "tool:"). Nothing is granted once exp has passed: there is no leeway here.
 * Rates    {"tool:github:*": "10/hour"}: how often, by pattern; counted in quota/.
 *
 * Threads  immutable, counted atomically.
 *
 * Read in order   caller.c scope.c rate.c */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/view.h"

struct caller_rate {
    char *pattern;
    uint64_t limit, window_s; /* calls in so many seconds */
};

struct caller {
    atomic_uint references;
    char *subject;                                      /* "dev" without authentication */
    char *issuer, *audience, *id, *job_id, *sandbox_id; /* iss aud jti; NULL: not said */
    char *scope;                                        /* as it stood in the credential */
    int64_t issued_s, expires_s;                        /* 0: never */
    bool unrestricted; /* dev mode: everything is allowed, nothing is counted */
    char **scopes;     /* the words of scope */
    size_t scope_count;
    struct caller_rate *rates;
    size_t rate_count;
};

/* What a credential says; lent, copied. NULL: not said. */
struct caller_claims {
    struct view subject, issuer, audience, id, job_id, sandbox_id, scope;
    int64_t issued_s, expires_s;
    const struct caller_rate *rates;
    size_t rate_count;
};
MUST_USE bool caller_new(const struct caller_claims *claims, struct caller **out, struct err *err);
/* Dev mode: nobody has configured authentication. */
MUST_USE bool caller_dev(struct caller **out, struct err *err);
struct caller *caller_ref(struct caller *c);
void caller_unref(struct caller *c); /* NULL is fine */
CLEANUP_DEFINE(struct caller, caller_unref)

bool caller_expired(const struct caller *c, int64_t now_s);
/* required: "tool:github:search", "help", …; NULL or empty: nothing is required (internal tools). */
bool caller_may(const struct caller *c, const char *required, int64_t now_s);
bool caller_may_help(const struct caller *c, int64_t now_s);
/* Words that begin with prefix ("tool:", "skill:"). */
size_t caller_scopes_of(const struct caller *c, const char *prefix);

bool scope_matches(struct view name, struct view pattern);
/* Seconds of "s", "sec", … "day": also of `audit search --since`. */
MUST_USE bool caller_unit_parse(struct view unit, uint64_t *seconds);
/* "10/hour": units s sec second m min minute h hr hour d day. */
MUST_USE bool caller_rate_parse(struct view spec, uint64_t *limit, uint64_t *window_s,
                                struct err *err);
