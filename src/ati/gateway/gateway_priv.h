/* What the files of the gateway share. */
#pragma once

#include <pthread.h>

#include "ati/audit/audit.h"
#include "ati/exec/exec.h"
#include "ati/gateway/gateway.h"
#include "ati/mcp/mcp.h"
#include "ati/mcp_server/mcp_server.h"
#include "ati/quota/quota.h"
#include "ati/snapshot/snapshot.h"
#include "ati/telemetry/telemetry.h"
#include "base/metrics.h"
#include "child/child.h"
#include "net/process.h"
#include "serve/serve.h"

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum {
    GATEWAY_TOKENS_MAX = 4096, /* verdicts that a worker remembers */
    GATEWAY_BACKLOG = 4096,
    GATEWAY_SHARES = 4096, /* callers that are told apart while they send bodies */
    SHARE_BYTES_LEAST = ROUTE_BODY_BYTES_MAX,
    DISCOVERY_AT_ONCE = 10,
    DISCOVERY_MS = 30 * 1000,
    DISCOVERY_AGAIN_MS =
        2000, /* at the least between two questions to a server that says its tools have changed */
    DISCOVERY_AGAIN_MOST_MS = 300 * 1000,
    HELP_TIMEOUT_MS = 60 * 1000,
    HELP_ANSWER_BYTES_MAX = 4 * 1024 * 1024,
    ANSWER_BYTES_MAX = 64 * 1024 * 1024, /* of a listing; the value of a call has its own ceiling */
    BODY_VALUES_MAX = 4 * 1024 * 1024,   /* JSON values in a body */
    REQUEST_ID_BYTES = 64,
    REQUEST_EXTRA_BYTES = 512
};

/* --- routes ----------------------------------------------------------------------------------- */

struct request;

enum route_id {
    ROUTE_HEALTH,
    ROUTE_JWKS,
    ROUTE_CALL,
    ROUTE_MCP,
    ROUTE_HELP,
    ROUTE_TOOLS,
    ROUTE_TOOL,
    ROUTE_OTHER, /* no route: 404, 405 */
    ROUTE_COUNT
};
struct route {
    enum route_id id;
    const char *method, *path;
    void (*answer)(struct request *r);
    size_t body_bytes_max;
};
extern const struct route gateway_routes[];
extern const size_t gateway_route_count;
const char *route_template(enum route_id id); /* for labels */
enum { GATEWAY_ROUTES_MAX = 16 };
/* A service of serve: which worker, which route. */
struct entry {
    struct worker *worker;
    const struct route *route;
};

/* --- what is counted: a worker's own, read by the metrics page --------------------------------- */

enum { METHODS = 5, STATUS_CLASSES = 6, OUTCOMES = EXEC_CANCELLED + 1 };
struct stats {
    metric requests[ROUTE_COUNT][METHODS][STATUS_CLASSES]; /* class 0: the client left */
    struct histogram total[ROUTE_COUNT], upstream, own;
    metric underway, calls_underway;
    metric outcomes[OUTCOMES];
    metric unknown, denied, limited, unauthorised;
};
unsigned stats_method(struct view method);
const char *stats_method_name(unsigned index);

/* --- the process ------------------------------------------------------------------------------- */

struct worker {
    struct gateway *gateway;
    unsigned index;
    pthread_t thread;
    bool started, stopping;
    struct loop *loop;
    struct log *log;
    struct listener listener;
    struct entry entries[GATEWAY_ROUTES_MAX], other;
    struct serve_service services[GATEWAY_ROUTES_MAX];
    struct server *server;
    struct resolver *resolver;
    struct client *client;
    struct executor *executor;
    struct token_cache *tokens;
    struct snapshot *snapshot;
    uint64_t generation; /* of it */
    uint64_t requests;   /* for their ids */
    struct stats stats;
    struct post drain_order, stop_order;
    struct timer drain_timer;
};

struct discovery;

struct gateway {
    const struct gateway_config *config;
    struct log_sink *sink;
    struct log *log;
    struct loop *loop;
    struct resolver *resolver;
    struct client *client;
    struct mcp_hub *hub;
    struct exec_shared *shared;
    struct executor *executor; /* of the main thread: it asks servers for their tools */
    struct mcp_server_sessions *sessions;
    struct quota *quota;
    struct audit *audit;
    struct telemetry *telemetry; /* NULL: off */
    struct caller *dev;          /* everybody, when nobody has configured authentication */
    pthread_mutex_t lock;        /* of: */
    struct snapshot *snapshot;   /* the newest */
    _Atomic uint64_t generation; /* of it */
    struct keyring_report keyring;
    struct discovery *discovery;
    struct confinement *confinement; /* in the making; NULL: none is wanted, or it is in force */
    struct worker *workers;
    unsigned worker_count;
    struct server *metrics;
    struct serve_route metrics_routes[2];
    struct budget memory, children; /* of all workers and the main thread */
    struct budget
        shares[GATEWAY_SHARES]; /* of memory: of bodies that are not read yet, by who sends them */
    uint64_t share_seed;
    char id_prefix[17]; /* of request ids */
    uint64_t start_ms, snapshot_ms;
    uint64_t reloads, reload_failures;
    bool serving, stopping;
    bool helpless; /* who starts programs has ended by himself */
    pthread_t ender;
    struct post ended, looking;
    atomic_bool looks; /* looking is under way */
    unsigned stop_signals;
};

/* gateway.c */
void gateway_serve(struct gateway *g); /* what was to be discovered first, has been */
/* Makes s what calls are carried out with from now on, on all workers. Takes the reference. */
void gateway_publish(struct gateway *g, struct snapshot *s);

/* What a loop speaks with others by: the main thread's and each worker's. */
MUST_USE bool gateway_client_new(struct gateway *g, struct loop *loop, struct log *log,
                                 struct resolver **resolver, struct client **client,
                                 struct err *err);

/* worker.c */
MUST_USE bool worker_open(struct worker *w, struct gateway *g, unsigned index,
                          const struct listener *listener, struct err *err);
MUST_USE bool worker_start(struct worker *w, struct err *err);
/* The newest; lent until it is asked for again. On its thread. */
struct snapshot *worker_snapshot(struct worker *w);
void worker_refresh(struct worker *w); /* lets an idle one go of what is old, too. Any thread */
void worker_drain(struct worker *w);
void worker_stop(struct worker *w);
void worker_join(struct worker *w);
void worker_close(struct worker *w); /* what is left; its thread has ended */

/* Somebody looks for tools: servers that did not tell theirs may be asked again. On a worker's thread. */
void worker_looks(struct worker *w);

/* reload.c */
/* All of it anew, as configured. first: of the start (an unreadable keyring is a warning then). */
MUST_USE bool snapshot_load(struct gateway *g, bool first, struct snapshot **out, struct err *err);
void gateway_reload(struct gateway *g);

/* confine.c */
MUST_USE bool confine_begin(struct gateway *g, struct err *err);
void confine_reads(void *context,
                   const char *path); /* context: the gateway; a file that will be read again */

/* discovery.c */
MUST_USE bool discovery_new(struct gateway *g, struct discovery **out, struct err *err);
void discovery_free(struct discovery *d);
/* The tools that were discovered before, in c, as far as it has their providers. Takes c; gives one. */
MUST_USE bool discovery_known(struct discovery *d, struct catalog *c, struct catalog **out,
                              struct err *err);
/* Asks every MCP server of the newest snapshot for its tools; each answer is published. done: once, when all have answered or
 * failed; may be NULL. One that runs already begins anew. */
void discovery_start(struct discovery *d, void (*done)(struct gateway *g));
/* This provider's tools are not what they were: it is asked again, soon, and once for all that it says until then. */
void discovery_changed(struct discovery *d, const char *provider);
/* Asks those again that did not answer, and have had their while. */
void discovery_look(struct discovery *d);
/* Is there one of those? Any thread. */
bool discovery_due(const struct discovery *d, uint64_t now_ms);

/* metrics.c */
MUST_USE bool metrics_open(struct gateway *g, struct err *err);

#define REQUEST_BUSY \
    "the gateway holds as much as it may for calls that run; try again when some have ended"

/* --- a request --------------------------------------------------------------------------------- */

/* One call of one tool: who may, how often, the call, and the line in the audit. */
struct invocation {
    struct request *request;
    const struct tool *tool;
    struct execution *execution;
    struct exec_request order; /* lent to exec */
    struct view name;          /* as it was called; lent */
    int64_t when_ms;
    uint64_t start_us;
    struct span span;
    char parent_text[56]; /* of the span: what upstreams are told */
    void (*done)(void *context, struct exec_result *result);
    exec_progressed *progressed; /* may cancel; NULL: nobody wants to know */
    void *context;
};
enum invoke_verdict {
    INVOKE_STARTED,
    INVOKE_DENIED,
    INVOKE_LIMITED,
    INVOKE_MISDIRECTED, /* the server that it names cannot be meant */
    INVOKE_FAILED       /* no memory, or the like */
};
/* i->request, tool, name, order.arguments (and words) and done are set. err: why not, as it is to be told; *retry_after_s of LIMITED. */
enum invoke_verdict invoke_start(struct invocation *i, uint64_t *retry_after_s, struct err *err);
void invoke_cancel(
    struct invocation *i); /* done is not called; nothing under way: nothing happens */

struct trace {
    struct span server, inner; /* inner: of what the request is for, if it has one for all of it */
    struct trace_context parent;
    bool has_inner;
};

/* Lives with its exchange: in the extra bytes of it. */
struct request {
    struct worker *worker;
    struct serve_exchange *exchange;
    struct snapshot *snapshot; /* a reference of its own, as caller */
    struct caller *caller;     /* NULL: nobody has asked who it is */
    enum route_id route;
    bool head_only;
    uint64_t start_us, upstream_us;
    uint64_t held;                   /* of the budget of bytes */
    const struct tool *tool;         /* of the snapshot; for labels */
    struct trace *trace;             /* NULL: telemetry is off */
    void (*left)(struct request *r); /* the client has; stops what goes on for it */
    void *work;                      /* of the route */
    char id[REQUEST_ID_BYTES + 1];
    char extra[REQUEST_EXTRA_BYTES];
};

/* pipeline.c: called by serve. */
bool pipeline_admit(void *context, struct serve_exchange *x);
bool pipeline_unreadable(void *context, struct serve_exchange *x, int status, const char *why);
void pipeline_route(void *context, struct serve_exchange *x);
void pipeline_unrouted(void *context, struct serve_exchange *x);

/* page.c */
/* A browser's page at origin may speak to this host: a loopback one to a loopback one, one of the list (comma-separated origins, "*" for
 * all; NULL: none), or one of the same host. That one only when the caller was verified, which no page is by itself, or when the host is fixed:
 * a name may be made to lead here by whoever serves the page (DNS rebinding). Who sends no Origin is no page. */
bool page_origin_good(struct view origin, struct view host, const char *allowed, bool verified);
/* host, as in a Host field, is an IP literal, localhost or below it: no DNS says where that leads. */
bool page_host_fixed(struct view host);
/* Both, as this request names them. verified: as above. */
bool page_may_speak(const struct http_head *head, const char *allowed, bool verified);

/* auth.c: the one function that says who asks. */
enum auth_verdict {
    AUTH_OPEN,     /* this path is for everybody */
    AUTH_CALLER,   /* *out is who */
    AUTH_REFUSED,  /* 401; *err tells why, for the log alone */
    AUTH_NO_STORE, /* 503: a virtual key, and nobody who knows them */
};
enum auth_verdict auth_decide(struct worker *w, const struct snapshot *snapshot,
                              const struct http_head *head, struct view path, int64_t now_s,
                              struct caller **out, struct err *err);

/* The token by which r->caller was known, of its head; empty: it was not by one. A secret. */
struct view auth_token(const struct request *r);

/* upstream.c: X-Ati-Upstream-Url, the MCP server that a caller chooses for its call. INVOKE_STARTED: *out is it, or empty: none is
 * named. INVOKE_MISDIRECTED, INVOKE_DENIED: err says why. */
enum invoke_verdict upstream_choose(const struct request *r, const struct tool_provider *p,
                                    struct view *out, struct err *err);

/* request.c: answers. Each ends the request, but request_stream and request_stream_write. */
void request_begin(struct request *r, struct worker *w, struct serve_exchange *x);
/* From now on to its end, a span of what it is for. name: a literal. */
void request_span(struct request *r, const char *name);
void request_extra(struct request *r, const char *name,
                   const char *value); /* one more field of the answer */
void request_empty(struct request *r, int status);
void request_text(struct request *r, int status, struct view text);
void request_json(struct request *r, int status, struct buf *body);
/* before, body, behind: JSON. */
void request_json_around(struct request *r, int status, struct view before, struct buf *body,
                         struct view behind);
/* {"error":text} */
void request_json_error(struct request *r, int status, const char *text);
void request_no_memory(struct request *r);
/* Nothing is left of a budget: 503 with Retry-After, in the shape of the route. why: a sentence. */
void request_busy(struct request *r, const char *why);
void request_retry_after(struct request *r, uint64_t seconds); /* a field of the answer */
/* These bytes are held until its end. False: nothing is left of the budget. */
MUST_USE bool request_hold(struct request *r, size_t bytes);
/* What is answered then: request_busy, or 413 when there never could be enough. */
void request_unheld(struct request *r, size_t bytes);
/* A buffer for its answer, counted. */
void request_buf(const struct request *r, struct buf *b, size_t max, const char *what);
/* An answer that comes in pieces: its status and fields now; then pieces, and its end. */
void request_stream(struct request *r, const char *content_type);
MUST_USE bool request_stream_write(struct request *r,
                                   struct view bytes); /* false: only cut is left to do */
size_t
request_stream_waiting(const struct request *r); /* bytes that the client has not taken yet */
void request_stream_end(struct request *r);
void request_stream_cut(struct request *r); /* the client sees that it is not whole */
int64_t request_now_s(void);
/* The body of a route that wants JSON. False: it was answered (415, 400). */
MUST_USE bool request_body_json(struct request *r, struct json_tree *out);
bool request_content_is_json(const struct http_head *head);

/* The routes. */
void health_answer(struct request *r);
void jwks_answer(struct request *r);
void call_answer(struct request *r);
/* call.c: {"result":null,"error":"{prefix}{text}"} */
void call_refuse(struct request *r, int status, const char *prefix, struct view text);
void mcp_answer_post(struct request *r);
/* mcp_route.c: an error of JSON-RPC that belongs to no request of it */
void mcp_refuse(struct request *r, int status, const char *why);
void mcp_answer_delete(struct request *r);
void help_answer(struct request *r);
void tools_answer(struct request *r);
void tool_answer(struct request *r);
