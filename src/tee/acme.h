/* acme: the plain port beside the endpoint: it answers challenges of ACME (RFC 8555, 8.3) from the folder where an ACME client
 * puts them, and sends everything else to https. The certificate itself is that client's business.
 *
 * A challenge is FOLDER/.well-known/acme-challenge/TOKEN, TOKEN being 1 to 128 characters of base64url: no other path opens
 * anything, and no link is followed on the way. */
#pragma once

#include "base/log.h"
#include "serve/serve.h"

enum { ACME_CHALLENGE_MAX = 4096, ACME_LOCATION_BYTES = HTTP_LINE_BYTES_MAX + HOST_BYTES_MAX + 64 };

struct acme {
    struct log *log; /* lent */
    bool opened;
    int webroot;                        /* -1: none */
    char location[ACME_LOCATION_BYTES]; /* of the answer under way */
};

/* webroot: a folder, which must be there; NULL: none. */
MUST_USE bool acme_open(struct acme *a, const char *webroot, struct log *log, struct err *err);
void acme_close(struct acme *a); /* also when it was not opened, but zeroed */
/* A serve_handler; context: struct acme. */
bool acme_answer(void *context, const struct serve_request *request, struct serve_answer *answer,
                 struct err *err);
