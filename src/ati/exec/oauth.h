/* oauth: an access token by the client-credentials grant (RFC 6749, 4.4), for a provider and a pair of credentials; how: grant.h. Only
 * over https. */
#pragma once

#include "ati/exec/exec_priv.h"

enum {
    OAUTH_TIMEOUT_MS = 15000,
    OAUTH_EXPIRES_S = 1799 /* when the server does not say */
};

struct oauth;
typedef void oauth_done(void *context, const char *error); /* as credential_done */
/* *out may be set also when this fails, and is to be ended. */
MUST_USE bool oauth_start(struct execution *e, oauth_done *done, void *context, struct oauth **out,
                          bool *ready, struct err *err);
struct view oauth_token(const struct oauth *o); /* lent until oauth_end */
void oauth_end(struct oauth *o);                /* NULL is fine; at any time */
