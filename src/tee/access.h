/* access: one line of the log for each request, when its answer has ended or its client is gone. Never a query, a field or a
 * body: those may hold tokens. */
#pragma once

#include "base/log.h"
#include "http/http.h"
#include "net/addr.h"

enum {
    ACCESS_METHOD_BYTES = 32,
    ACCESS_PATH_BYTES = LOG_TEXT_MAX + 1 /* the log cuts, and shows it */
};

struct access {
    bool open;     /* a request that has no line yet */
    bool attested; /* the session had been given a quote before it */
    uint64_t start_ms;
    int status;                    /* 0: no answer began */
    uint64_t bytes_up, bytes_down; /* of the bodies */
    size_t method_len, path_len;
    uint8_t method[ACCESS_METHOD_BYTES], path[ACCESS_PATH_BYTES];
};

/* method and path are copied; empty for a head that could not be read. start_ms is the caller's. */
void access_begin(struct access *a, struct view method, struct view path, bool attested);
/* complete: the answer ended as it should. log NULL: no line. Nothing when no request is open. */
void access_end(struct access *a, struct log *log, const struct addr *client, uint64_t now_ms,
                bool complete);
