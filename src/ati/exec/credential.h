/* credential: what a request needs to be let in: by the provider's auth_type, or its generator. Fields and a pair of the query; lent
 * until credential_free, wiped then. */
#pragma once

#include "ati/exec/exec_priv.h"

enum { CREDENTIAL_FIELDS_MAX = 16 };

struct credential;
/* error: a sentence; NULL: it is there. Never called from inside credential_start. */
typedef void credential_done(void *context, const char *error);

/* *ready: it is there at once, and done is not called. *out is set also when this fails, and is to be freed. */
MUST_USE bool credential_start(struct execution *e, credential_done *done, void *context,
                               struct credential **out, bool *ready, struct err *err);
bool credential_starved(const struct credential *c); /* done: there was no place for a generator */
void credential_free(struct credential *c);          /* NULL is fine; at any time */

size_t credential_fields(const struct credential *c, const struct client_field **fields);
/* False: none. */
bool credential_query(const struct credential *c, struct view *name, struct view *value);

/* A copy in memory of just its size. */
struct secret_text {
    char *at;
    size_t len;
};
MUST_USE bool secret_text_join(struct secret_text *out, const struct view *parts, size_t count,
                               struct err *err);
void secret_text_done(struct secret_text *s);
static inline struct view secret_text_view(const struct secret_text *s)
{
    return view_from(s->at, s->len);
}
