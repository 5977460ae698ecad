/* What the files of this folder share.
 *
 *   struct client ─┬─ calls: each with the connection that carries it, or none yet
 *                  └─ origins ── idle connections
 *
 * A call owns its connection while it has one: whoever takes it away (the end of the answer, a failure, client_cancel) sets
 * conn->call and call->conn to NULL together. So whoever called a receiver looks at conn->call afterwards before going on. Calls and
 * connections are given back after the batch of events. */
#pragma once

#include "base/secret.h"
#include "client/client.h"
#include "http/exchange.h"
#include "net/owner.h"
#include "tls/session.h"

enum { CLIENT_READABLE = 1, CLIENT_WRITABLE = 2, CLIENT_HUNG_UP = 4 };

enum {
    CLIENT_HEAD_BYTES_MAX = 256 * 1024, /* of a request */
    CLIENT_RAW_BYTES = 32 * 1024,       /* ciphertext taken at once */
    CLIENT_TLS_PIECE_BYTES = 64 * 1024, /* of a request's body, on its way into TLS */
    CLIENT_ROUNDS = 4,                  /* CLIENT_IN_BYTES each, before others have their turn */
    CLIENT_ORIGIN_SLOTS = 256,
    CLIENT_SPARE_CALLS = 64,
    CLIENT_ADDRESSES_MAX = 2 * RESOLVE_ADDRESSES_MAX,
    CLIENT_DISCARD_BYTES_MAX = 64 * 1024, /* of a redirect's body, to save its connection */
    CLIENT_ACKNOWLEDGED_MAX = 4,          /* pieces of an answer; what has more is no small one */
    CLIENT_UNTRIED_MS = 1000 /* idle for longer: looked at before it is trusted with a request */
};

/* environment.c */
struct client_proxy {
    char *host; /* without brackets; NULL: there is none */
    uint16_t port;
    char *authorization; /* the whole line, "Proxy-Authorization: Basic …\r\n"; or NULL */
};
struct client_proxies {
    struct client_proxy http, https;
    char *no_proxy; /* or NULL */
};
MUST_USE bool client_proxies_read(char **environment, struct client_proxies *out, struct err *err);
void client_proxies_done(struct client_proxies *p);
/* Appends what SSL_CERT_FILE names; nothing when it is not set. */
MUST_USE bool client_roots_read(char **environment, struct buf *out, struct err *err);
/* NULL: directly. host: without brackets. */
const struct client_proxy *client_proxy_for(const struct client_proxies *p, bool https,
                                            struct view host, uint16_t port);

/* pool.c */
struct client_origin {
    struct client_origin *next; /* of its slot */
    uint64_t hash;
    unsigned users; /* calls and connections */
    bool https;
    bool literal;     /* address is what the URL says */
    bool not_allowed; /* by the rules, as name or literal */
    uint16_t port;
    enum client_reach reach;
    struct addr address;
    const struct client_proxy *proxy; /* NULL: directly */
    struct client_conn *idle;         /* the latest first */
    unsigned idle_count;
    size_t host_len;
    char *
        authority; /* of the Host field: brackets, and the port where it is not the scheme's own; behind host */
    char host[]; /* lower case, without brackets and final dot */
};

enum client_phase {
    CLIENT_RESOLVING, /* to judge all addresses together */
    CLIENT_DIALLING,
    CLIENT_TUNNELLING, /* CONNECT */
    CLIENT_HANDSHAKE,
    CLIENT_OPEN, /* carries a request, or is idle */
};

struct client_conn {
    struct io io; /* bits: CLIENT_READABLE … */
    struct client *client;
    struct client_origin *origin;
    struct client_call *call;          /* NULL: idle */
    struct client_conn *next, **link;  /* of the origin's idle ones */
    struct client_conn *older, *newer; /* of all idle ones */
    struct retired retired;
    struct timer idle;
    enum client_phase phase;
    bool watched, reused;
    bool left;             /* something of the request */
    bool cut;              /* nothing more can be sent */
    bool ended;            /* nothing more will come */
    unsigned acknowledged; /* pieces of this answer, at once */
    bool more;             /* TLS has decrypted what did not fit */
    uint64_t idle_since_ms, keep_ms;
    struct dial *dial;
    struct resolve_query *query;
    size_t address_count;
    struct addr addresses[CLIENT_ADDRESSES_MAX];
    struct session *tls;
    struct http_exchange exchange;
    struct view body;   /* what has not left yet; lent by the request */
    struct buf out, in; /* what waits: of the head; of the answer */
};

struct client_call {
    struct client *client;
    struct client_call *next, **link; /* of those under way, or the spare ones */
    struct client_request request;
    struct client_receiver receiver;
    void *context;
    struct client_conn *conn;
    struct client_origin *origin;
    struct timer deadline, connect_deadline;
    struct task
        later; /* tells of an end from inside client_start; goes on after a pause, or a round of reading */
    struct retired retired;

    /* Of the hop at hand. */
    struct http_url url;
    struct buf url_text;   /* what url lends from, on a redirect */
    struct view user_info; /* that of the request's own URL */
    struct buf first_text; /* what it lends from, when it had to be cleaned */
    struct view method, body;
    bool has_body;
    bool crossed; /* another origin than the request's: without its credentials */
    unsigned hops;

    bool starting, ended, paused, resent;
    bool discarding; /* a redirect's body */
    uint64_t discarded;
    uint64_t connecting_us;
    struct view head_bytes; /* within receiver.head */
    struct client_end end;

    client_collected *collected; /* collect.c: whom it tells, of what */
    void *receiver_context;
    size_t bytes_max;
    struct client_answer answer;
};

struct client {
    struct loop *loop;
    struct resolver *resolver;
    struct dialer *dialer;
    char *user_agent;
    struct buf roots; /* until tls is there */
    struct session_context *tls;
    struct client_proxies proxies;
    uint64_t idle_ms, connect_ms;
    struct log *log;
    struct budget *memory;
    struct client_call *calls, *spare;
    unsigned spare_count;
    unsigned users; /* the client itself, and what the loop will give back */
    struct client_origin *origins[CLIENT_ORIGIN_SLOTS];
    struct client_conn *oldest, *newest; /* idle */
    unsigned idle_count;
    uint64_t seed;
    bool receiving; /* in is in use */
    struct buf head,
        in; /* for the length of a call of ours: no connection holds a buffer when nothing waits */
    uint8_t raw[CLIENT_RAW_BYTES];
};
CLEANUP_DEFINE(struct client, client_free)

/* client.c */
void client_unuse(struct client *c);
/* Judges call->url and sends the request on its way. */
void client_hop(struct client_call *call);
/* Ends the call: gives up its connection when it still has one, calls done. fmt: see err_set. */
void client_finish(struct client_call *call, enum client_outcome outcome, const struct err *err);
/* The call's connection failed: tries a fresh one, or finishes. */
void client_failed(struct client_call *call, enum client_outcome outcome, const struct err *err);

/* pool.c */
struct client_origin *client_origin_take(struct client *c, const struct http_url *url,
                                         enum client_reach reach, struct err *err);
void client_origin_give(struct client *c, struct client_origin *o);
struct client_conn *client_pool_take(struct client *c, struct client_origin *o);
void client_pool_give(struct client_conn *conn);  /* or drops it */
void client_pool_ready(struct client_conn *conn); /* something happened to an idle one */
void client_pool_remove(struct client_conn *conn);

/* connection.c */
MUST_USE bool client_connect(struct client_call *call, struct err *err);
void client_conn_drop(struct client_conn *conn);
/* Goes on with what the descriptor is ready for. */
void client_conn_pump(struct client_conn *conn);

/* message.c */
MUST_USE bool client_fields_check(const struct client_request *request, struct err *err);
/* Head of the call's request, and where it is worth it its body. Appended to out. */
MUST_USE bool client_message_write(struct client_call *call, struct http_exchange *x,
                                   struct buf *out, struct err *err);
/* "Name: Basic …\r\n", of "user:password" as a URL writes it; appended. */
MUST_USE bool client_basic_write(struct buf *out, const char *name, struct view user_info,
                                 struct err *err);

/* transfer.c */
void client_transfer_begin(struct client_conn *conn); /* conn->call's request */
void client_transfer_pump(struct client_conn *conn);
enum client_filled { CLIENT_SOME, CLIENT_NOTHING, CLIENT_END, CLIENT_CUT };
/* Receives once, decrypted where there is TLS, behind what is in into. CLIENT_CUT: err. */
enum client_filled client_fill(struct client_conn *conn, struct buf *into, struct err *err);
/* Receives once as it comes. */
enum client_filled client_receive(struct client_conn *conn, void *at, size_t *n, struct err *err);
/* Sends what is in from, then the body; without TLS. conn->cut: it cannot. */
void client_send(struct client_conn *conn, struct buf *from);
/* Sends what TLS has for the other end. False: some is left. */
bool client_send_tls(struct client_conn *conn);

/* redirect.c: this answer sends us elsewhere. False: it is an answer like any other. */
bool client_redirect_wanted(const struct client_call *call, const struct http_head *head,
                            struct view *location);
/* call->url and what depends on it become the next hop's. */
MUST_USE bool client_redirect(struct client_call *call, int status, struct view location,
                              enum client_outcome *outcome, struct err *err);

/* collect.c */
void client_collect_reset(struct client_call *call);
