/* upstream: a connection to the application: HTTP/1.1 in the clear, kept for the next request when it may be. */
#pragma once

#include "http/http.h"
#include "tee/site.h"

enum { UPSTREAM_OUT_MAX = 256 * 1024, UPSTREAM_IN_MAX = 256 * 1024 };

struct upstream {
    struct io io; /* bits: UPSTREAM_READABLE … */
    struct worker *worker;
    struct conn *conn;     /* whose request it carries; NULL: idle */
    struct upstream *next; /* idle ones */
    struct retired retired;
    bool connected, ended, broken;
    bool reused; /* it was idle before: it may have died meanwhile */
    bool keeps;  /* the application said that it keeps the connection */
    struct buf out, in;
};

/* upstream_addr.c: "host:port" or "unix:PATH". Syntax only; then what it stands for, which blocks. */
MUST_USE bool upstream_check(const char *spec, struct err *err);
MUST_USE bool upstream_resolve(struct site *s, struct err *err);

enum { UPSTREAM_READABLE = 1, UPSTREAM_WRITABLE = 2, UPSTREAM_HUNG_UP = 4 };

/* An idle one, or a new one that is connecting. NULL: err. */
struct upstream *upstream_take(struct worker *w, bool fresh, struct err *err);
/* Sends what it can, receives what there is (until in is full). broken: it failed; ended: FIN. */
void upstream_pump(struct upstream *u, bool receive);
/* reusable: the answer was complete and the connection stays open. */
void upstream_give(struct upstream *u, bool reusable);
void upstream_close_idle(struct worker *w);

/* conn.c: something happened to the upstream of this connection. */
void conn_upstream_ready(struct conn *c);
