/* cors: which pages may read answers (the Fetch standard's CORS protocol), for debugging in a browser: pages themselves reach an
 * endpoint through a bridge. Pure. */
#pragma once

#include "http/http.h"

enum { CORS_FIELDS_BYTES = 512 };

/* list: "https://app.example.com:8443" means just that; "*.example.com" all below it, http and https, any port. */
MUST_USE bool cors_check(const char *list, struct err *err);
bool cors_allows(const char *list, struct view origin);
/* Complete lines for an answer to this request; none when list is NULL. */
void cors_fields(const char *list, const struct http_head *head,
                 char out[static CORS_FIELDS_BYTES]);
/* A browser's question before the request itself, from a page that is allowed. fields: what cors_fields wrote. */
bool cors_preflight(const struct http_head *head, const char *fields);
/* The lines that answer it, beside those. */
extern const char cors_preflight_fields[];
/* A field that an application behind us must not send as well. */
bool cors_field(struct view name);
