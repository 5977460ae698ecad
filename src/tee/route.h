/* route: what a request's head asks for, and whether it may have it. Pure: a head and rules in, a verdict out.
 *
 *   framing ─► target ─► CORS ─► routes of our own ─► bearer token ─► size ─► the application */
#pragma once

#include "http/http.h"
#include "tee/cors.h"
#include "tee/token.h"

struct route_rules {
    const char *cors_origins; /* NULL: no CORS */
    const char *auth_paths;   /* NULL: all */
    const struct tee_token *auth,
        *metrics;      /* not set: the application is open, /metrics is the application's */
    bool websockets;   /* upgrades to WebSocket go to the application */
    uint64_t body_max; /* 0: no limit */
};

enum route_to {
    ROUTE_REFUSED,
    ROUTE_PREFLIGHT,
    ROUTE_QUOTE,
    ROUTE_QUOTE_OPTIONS,
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_APPLICATION,
};

struct route {
    enum route_to to;
    int status; /* ROUTE_REFUSED: 400, 401, 405, 413; and why, as a sentence */
    struct err why;
    const char *fields;    /* ROUTE_REFUSED: complete lines that belong to it, or NULL */
    struct view path;      /* as sent, without the query; lent by the head; empty when it is none */
    struct http_body plan; /* of the request's body */
    int minor;
    bool quote;                    /* it is for the path of quotes, whatever becomes of it */
    bool upgrade;                  /* it asks for WebSocket, and may */
    bool head_only, keep;          /* keep: the client wants the connection to stay */
    char extra[CORS_FIELDS_BYTES]; /* complete lines for whatever answer it gets */
};

void route_request(const struct route_rules *rules, const struct http_head *head, struct route *r);
