/* client: HTTP/1.1 requests to other people's servers, over TCP and TLS, on a loop: what every executor of the gateway and the
 * command line speak through.
 *
 *   client_start ─► address rules ─► an idle connection of the same origin, or dial ─► (proxy) ─► (TLS) ─► request ─► head ─► pieces ─► done
 *
 * Engines   http/exchange for the message, tls/session for TLS (1.3 and 1.2), net/dial for names and addresses. The address that
 *           the rules allowed is the one connected to: no name is looked at twice.
 * Rules     enum client_reach: which addresses a request may go to. A name is refused when one of its addresses is. Each hop of a
 *           redirect is judged anew, a literal as a name is. request.judge may refuse hosts besides.
 * Pool      idle connections are kept for each origin (scheme, host, port, proxy, reach): CLIENT_IDLE_PER_ORIGIN, for idle_ms. What
 *           arrives on an idle one closes it. A request on a reused connection that dies before a byte of the answer came is sent
 *           once more on a fresh one, when its method may be repeated (RFC 9110, 9.2.2), the caller says so, or nothing of it had
 *           left; no other retries.
 * Redirects followed up to request.redirects times, as RFC 9110, 15.4 says (303 becomes GET; 307 and 308 keep method and body);
 *           credentials (fields marked secret, Authorization, Cookie) are left out when the origin changes, and https never
 *           becomes http.
 * Proxies   HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY in both cases (HTTP_PROXY in lower case alone when REQUEST_METHOD is set);
 *           CONNECT for https, the absolute form for http. Behind a proxy the rules judge names and literals, not the addresses.
 * Bodies    of requests: lent, whole, until done. Of answers: pieces as they come; a receiver that cannot take more pauses the
 *           call, and the socket is not read. No decompression; none is asked for.
 * Memory    one struct a call and a connection, buffers while bytes wait: CLIENT_IN_BYTES.
 * Secrets   never in an error: of URLs the host and port are told, fields by their names.
 *
 * Read in order   client.c (calls) pool.c (origins) connection.c (connecting) message.c (what is sent) transfer.c (bytes) redirect.c
 *                 collect.c address.c (rules) environment.c (proxies) */
#pragma once

#include "base/log.h"
#include "http/http.h"
#include "net/dial.h"

enum {
    CLIENT_IDLE_PER_ORIGIN = 32,
    CLIENT_IDLE_ALL = 256,
    CLIENT_IN_BYTES = 64 * 1024,
    CLIENT_URL_BYTES_MAX = 16 * 1024
};

enum client_reach {
    CLIENT_ANYWHERE,
    CLIENT_WARN,   /* as ANYWHERE, with a line in the log for what PUBLIC refuses */
    CLIENT_PUBLIC, /* no loopback, private, link-local, shared, multicast or unspecified address, mapped and translated forms
                      included; no localhost, *.internal, *.local */
};

struct client; /* one a loop */

struct client_options {
    const char *user_agent;  /* sent unless a request brings its own; NULL: none */
    struct view extra_roots; /* PEM, trusted beside Mozilla's; empty: what SSL_CERT_FILE names */
    char **environment;      /* where proxies and SSL_CERT_FILE are named; NULL: nowhere */
    uint64_t idle_ms;        /* 0: 60 s */
    uint64_t connect_ms;     /* names, TCP and TLS together; 0: 10 s */
    struct log *log;         /* for CLIENT_WARN; may be NULL */
    struct budget
        *memory; /* of answers that are collected; used up: CLIENT_MEMORY. NULL: without bound */
};
MUST_USE bool client_new(struct loop *loop, struct resolver *resolver,
                         const struct client_options *options, struct client **out,
                         struct err *err);
/* Calls under way are cancelled; NULL is fine. Not from inside a receiver. Before loop_free. */
void client_free(struct client *c);
void client_close_idle(struct client *c);

struct client_field {
    struct view name, value;
    bool secret; /* a credential: not for another origin; wiped from our buffers when it has left */
};

/* All lent until done. */
struct client_request {
    struct view method;
    struct view url;  /* http or https, absolute; a fragment is left out */
    struct view host; /* the Host field instead of the URL's authority; empty: the URL's */
    const struct client_field *fields; /* Host and framing fields are the client's own */
    size_t field_count;
    struct view body; /* empty and !has_body: none */
    bool has_body;    /* Content-Length: 0 also for an empty one */
    bool repeatable;  /* may be sent twice although its method may not */
    enum client_reach reach;
    /* May this host (as in the URL, without brackets) be asked? At the request itself and at each redirect. False: CLIENT_DENIED,
     * with its err. NULL: yes. */
    bool (*judge)(void *context, struct view host, struct err *err);
    void *judge_context;
    unsigned redirects;  /* 0: a 3xx is the answer */
    uint64_t timeout_ms; /* of the whole call; 0: none */
    uint64_t connect_ms; /* 0: the client's */
};

enum client_outcome {
    CLIENT_OK,      /* the answer was whole */
    CLIENT_URL,     /* the URL (or that of a redirect) cannot be used */
    CLIENT_DENIED,  /* the address rules */
    CLIENT_CONNECT, /* name, TCP, proxy or TLS */
    CLIENT_TIMEOUT, /* timeout_ms, or connect_ms */
    CLIENT_BROKEN,  /* sent, then broken off, or an answer that is no HTTP */
    CLIENT_TOO_MANY_REDIRECTS,
    CLIENT_TOO_LARGE, /* client_collect alone */
    CLIENT_MEMORY,    /* err: ERR_MEMORY, or ERR_BUSY of the budget */
};
const char *
client_outcome_name(enum client_outcome o); /* "ok", "denied", "timeout", … for metrics */

struct client_end {
    enum client_outcome outcome;
    struct err err;      /* for everything but CLIENT_OK: "connection refused (127.0.0.1:9)" */
    bool answered;       /* head was called */
    uint64_t connect_us; /* 0: a connection was reused */
};

struct client_call;
/* None of them is called from inside client_start or client_resume. All may call client_pause, client_cancel (of done: other calls)
 * and client_start. NULL for head or piece: nobody wants to know. */
struct client_receiver {
    /* The final answer's head; informational ones and followed redirects are not told. Lent for the call. */
    void (*head)(void *context, const struct http_head *head);
    void (*piece)(void *context, struct view piece);
    /* Once, last. The call is gone. */
    void (*done)(void *context, const struct client_end *end);
};
/* NULL: err: no memory, or a field that is not the caller's to write. All else, a bad URL too, is told by done. */
struct client_call *client_start(struct client *c, const struct client_request *request,
                                 const struct client_receiver *receiver, void *context,
                                 struct err *err);
void client_cancel(struct client_call *call); /* done is not called */
void client_pause(struct client_call *call);
void client_resume(struct client_call *call);

/* The whole answer in memory. */
struct client_answer {
    struct client_end end;
    int status;
    struct buf head; /* its bytes, for http_response_parse */
    struct buf body; /* the receiver may take it: buf_init afterwards */
};
typedef void client_collected(void *context, struct client_answer *answer); /* lent for the call */
/* bytes_max: of the body. Cancelled by client_cancel. */
struct client_call *client_collect(struct client *c, const struct client_request *request,
                                   size_t bytes_max, client_collected *done, void *context,
                                   struct err *err);
/* The only field of that name in a collected answer. */
MUST_USE bool client_answer_field(const struct client_answer *a, struct view name,
                                  struct view *value);

/* address.c: pure. name: a host as in a URL, without brackets. */
bool client_name_private(
    struct view name); /* localhost, *.localhost, *.internal, *.local; "a." is "a" */
bool client_address_private(const struct addr *a);
