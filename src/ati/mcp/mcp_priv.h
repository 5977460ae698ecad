/* What the files of mcp share.
 *
 *   hub ──► connections ──► asks, each a request at a time          all on the hub's loop
 *    └─ inbox ◄── askers, under the hub's lock
 *
 * Whoever may be called from inside another's callback does not free: connections, asks' requests and exchanges are retired, and say
 * that they are over. */
#pragma once

#include <pthread.h>

#include "ati/keyring/mask.h"
#include "ati/mcp/mcp.h"
#include "base/json.h"
#include "base/secret.h"
#include "child/child.h"
#include "jsonrpc/jsonrpc.h"
#include "net/owner.h"
#include "sse/sse.h"

#define MCP_STARVED "no memory left for its answer; try again when others have ended"

enum { MCP_ERROR_BYTES_MAX = 64 * 1024, MCP_VERSION_BYTES = 32 };

/* --- way.c: how a server is reached, with secrets in their places. Wiped when released. */
struct mcp_way {
    bool http, own; /* own: with a generator's credential, or a caller's choice of server */
    bool keyless;   /* the key that the manifest names is not in the keyring */
    char *command, *url;
    char **arguments; /* without argv[0] */
    struct child_environment environment;
    struct text_pairs fields; /* of HTTP requests, beside those of the protocol */
    struct texts secrets;     /* not to be repeated */
    struct mask *mask;        /* that finds them; of the hub's loop */
    enum client_reach reach;
    uint8_t fingerprint[SHA256_BYTES]; /* of all of it: the same way */
};
/* url: in place of the manifest's, or NULL. err: as an asker is told it. */
MUST_USE bool mcp_way_new(const struct tool_provider *provider, const struct keyring *keyring,
                          const struct mcp_credential *credential, const char *url,
                          const struct mcp_hub_options *options, struct mcp_way **out,
                          struct err *err);
void mcp_way_free(struct mcp_way *way);
char *mcp_copy(struct view text); /* as a C string; NULL: no memory */
/* The manifest says the same of both. */
bool mcp_way_same(const struct tool_provider *a, const struct tool_provider *b);
/* One more of its mask, for another thread. */
MUST_USE bool mcp_way_mask_new(const struct mcp_way *way, struct mask **out, struct err *err);
/* Masks the secrets in what the server says. json: text is JSON, else an error's. */
MUST_USE bool mcp_way_mask(const struct mcp_way *way, struct buf *text, bool json, struct err *err);

/* --- connection.c */
struct mcp_connection;
struct mcp_reading;
struct mcp_mapped;
struct mcp_reader;

/* Of us to the server. */
struct mcp_request {
    struct mcp_connection *connection;
    uint64_t id;                   /* 0: nothing is asked */
    uint64_t until;                /* stdio: of all that was written, where it ends */
    struct mcp_exchange *exchange; /* http.c */
};

enum mcp_state {
    MCP_STARTING,
    MCP_READY,
    MCP_LEAVING, /* closed for everybody; waits for its child or its DELETE */
};

struct mcp_transport {
    bool (*open)(struct mcp_connection *c, struct err *err);
    /* r: who waits for the answer; NULL: nobody. ERR_NOT_FOUND: the server has gone, and nothing has left. */
    bool (*send)(struct mcp_connection *c, struct mcp_request *r, struct view message,
                 struct err *err);
    /* notifications/initialized; mcp_connection_ready or mcp_connection_failed follows, maybe from inside. */
    void (*greet)(struct mcp_connection *c, struct view message);
    void (*drop)(
        struct mcp_request *r); /* it is answered (id 0), or nobody waits for it any more */
    /* Ends politely; mcp_connection_gone follows, maybe from inside. */
    void (*leave)(struct mcp_connection *c);
    void (*cut)(struct mcp_connection *c); /* ends at once what is left */
};
extern const struct mcp_transport mcp_stdio, mcp_http;

struct mcp_connection {
    struct mcp_connection *next, **link;
    struct mcp_hub *hub;
    const struct mcp_transport *transport;
    struct mcp_way *way;
    struct catalog *catalog; /* holds the provider */
    const struct tool_provider *provider;
    enum mcp_state state;
    bool old;  /* nobody new may use it; closed with its last ask */
    bool gone; /* retired */
    uint64_t idle_since_ms;
    bool starved;                    /* failed, because the budget was used up */
    char version[MCP_VERSION_BYTES]; /* what we speak */
    size_t offered;                  /* of our versions */
    uint64_t last_id;
    struct mcp_request hello;          /* initialize */
    struct mcp_ask *asks, **asks_tail; /* the oldest first */
    struct timer timer;                /* idle, or leaving */
    struct retired retired;

    struct mcp_reading
        *readings;        /* messages that wait to be read, or are being read; the oldest first */
    size_t reading_bytes; /* of them */
    struct mcp_reading *telling; /* the one whose turn it is */
    struct mcp_mapped *mapped;   /* its result, when the thread has made it; NULL: to be made */
    struct child *child;         /* stdio */
    struct buf line;
    uint64_t written;
    char *session; /* http: what Mcp-Session-Id says; NULL: nothing */
    struct mcp_exchange *exchanges;
};
/* Made and opened. */
MUST_USE bool mcp_connection_new(struct mcp_hub *hub, struct mcp_way *way, struct catalog *catalog,
                                 const struct tool_provider *provider, struct mcp_connection **out,
                                 struct err *err);
void mcp_connection_add(struct mcp_connection *c, struct mcp_ask *ask);
void mcp_connection_remove(struct mcp_ask *ask); /* it has ended, or goes elsewhere */
/* The next of its requests. */
void mcp_connection_send(struct mcp_connection *c, struct mcp_ask *ask);
/* notifications/cancelled, for what was sent. */
void mcp_connection_cancel(struct mcp_ask *ask, const char *reason);
void mcp_connection_close(struct mcp_connection *c);
/* Nobody new may use it; closed when its asks have ended. */
void mcp_connection_retire(struct mcp_connection *c);
void mcp_connection_free(struct mcp_connection *c); /* at once, for the hub's end */

/* What transports tell. text: as an asker is told it, masked and then cut here. */
void mcp_connection_ready(struct mcp_connection *c);
void mcp_connection_failed(struct mcp_connection *c, const char *fmt, ...) PRINTF(2, 3);
void mcp_connection_gone(struct mcp_connection *c);
void mcp_request_failed(struct mcp_request *r, const char *fmt, ...) PRINTF(2, 3);
void mcp_request_starved(struct mcp_request *r); /* the same: nothing is left of the budget */
void mcp_request_over(struct mcp_request *r);    /* it is answered */
/* The server knows this session no more, and has not carried the request out. True: it goes to a new one. */
MUST_USE bool mcp_request_forgotten(struct mcp_request *r);
/* initialize was refused, so that another version may be what it wants: true, it is being tried. */
MUST_USE bool mcp_connection_offer_older(struct mcp_connection *c, struct view why);

/* --- message.c: what a server says. only: where the request stands that it says it to (http; NULL there when it has been answered),
 * or NULL. whole: it is all that is said to it, whatever its id. False: it is not JSON. */
MUST_USE bool mcp_message(struct mcp_connection *c, struct mcp_request *const *only, bool whole,
                          struct view text);
/* result: a token. The request's own is in doc. */
void mcp_connection_hello(struct mcp_connection *c, const struct json_doc *doc, uint32_t result);

/* The same of a text that was read already. */
void mcp_tree(struct mcp_connection *c, struct mcp_request *const *only, bool whole,
              const struct json_doc *doc);

/* --- reader.c: mcp_message, at once or, for what is long, when a thread has read it. x: as only; NULL: standard streams. owned: the buffer that
 * text is all of, taken then; NULL: text is copied if need be. */
enum { MCP_HEAVY_BYTES = 256 * 1024 };
enum mcp_heard {
    MCP_HEARD,
    MCP_HEARD_NOTHING, /* it is no JSON, or there was no memory: who waits has been told of that */
    MCP_HEARD_LATER,   /* mcp_exchange_heard follows, unless x ends before */
};
struct mcp_reading;
struct mcp_mapped {
    bool there, good; /* there: the message has a result */
    struct err err;   /* not good */
    struct buf value, error;
    bool tool_failed, single;
};
MUST_USE enum mcp_heard mcp_hear(struct mcp_connection *c, struct mcp_exchange *x, bool whole,
                                 struct view text, struct buf *owned);
void mcp_readings_tell(struct mcp_hub *hub);        /* what has been read */
void mcp_readings_finish(struct mcp_connection *c); /* all of it; waits for the thread */
void mcp_readings_drop(struct mcp_connection *c);   /* nobody wants any of it */
void mcp_readings_forget(struct mcp_connection *c, const struct mcp_exchange *x);
void mcp_reader_free(struct mcp_reader *reader); /* NULL is fine */
/* http.c, for it: */
struct mcp_request *const *mcp_exchange_request(const struct mcp_exchange *x);
void mcp_exchange_heard(struct mcp_exchange *x, bool whole, bool good);
void mcp_exchange_starved(struct mcp_exchange *x);

/* --- progress.c: what the server says of how far it is, until the asker's loop has told it. An ask that has ended may be named by
 * two posts, that of its notes and that of its answer: the later one frees it. */
struct mcp_note;
struct mcp_notes {
    struct post post;
    pthread_mutex_t lock;   /* of the rest */
    struct mcp_note *first; /* the oldest */
    size_t count;
    bool posted;          /* post is under way */
    bool over, answering; /* the hub has let go of it; its answer is under way */
};

/* --- hub.c */
/* For the fields of these names; "": none. */
struct mcp_trace {
    char parent[64], state[512 + 1];
};
struct mcp_ask {
    struct mcp_hub *hub;
    struct loop *asker;
    struct snapshot *snapshot;
    const struct tool_provider *provider;
    bool list;
    char *name;           /* of a call, the server's own */
    char *url;            /* of a call; NULL: the manifest's */
    struct buf arguments; /* in one line */
    bool has_credential;
    char *token;
    struct text_pairs extras;
    mcp_progressed *progressed; /* NULL: nobody wants to know */
    struct mcp_trace trace;
    mcp_done *done;
    void *context;
    struct mcp_notes notes;

    /* Under the hub's lock. */
    struct mcp_ask *inbox_next;
    bool in_inbox, begun, cancelled, finished;
    struct post post; /* to the asker, once it is finished */

    /* Of the hub's loop. */
    struct mcp_ask *next, **link; /* of its connection */
    struct mcp_request request;
    struct timer timer;
    uint64_t begun_ms;
    bool room;                  /* it wants a place for a program, and nothing else */
    bool waits, waited;         /* for a place; once */
    struct mcp_ask *waits_next; /* of the hub's */
    uint64_t waits_until_ms;
    bool moved; /* to another connection once already */
    unsigned pages;
    size_t list_bytes;
    char *cursor; /* JSON text */
    struct mcp_answer answer;
};

struct mcp_hub {
    struct loop *loop;
    struct client *client;
    struct mcp_hub_options options;
    struct mcp_connection *connections;
    pthread_mutex_t lock;
    struct io wake; /* an eventfd */
    struct mcp_ask *inbox, **inbox_tail;
    struct catalog *keep; /* to be looked at; NULL: nothing */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
    struct timer end;
    struct task told_closed;
    struct mcp_ask *waiting; /* for places, the oldest first */
    struct timer looking;    /* whether there are some */
    struct task look;
    struct mcp_reader *reader; /* NULL: no long message has come yet */
};
void mcp_hub_wake(struct mcp_hub *hub); /* any thread */
/* Ends it: the answer goes to the asker. */
void mcp_ask_result(struct mcp_ask *ask, const struct json_doc *doc, uint32_t result);
void mcp_ask_failed(struct mcp_ask *ask, struct view text);
/* params: JSON text. */
void mcp_ask_progress(struct mcp_ask *ask, struct view params);
void mcp_ask_free(struct mcp_ask *ask);
/* The connection could not take it, and nothing was carried out: once more, on another one. False: that was done before. */
MUST_USE bool mcp_ask_move(struct mcp_ask *ask);
/* A connection has gone. */
void mcp_hub_lost(struct mcp_hub *hub);
/* c has nothing to do. True: it is closed, for somebody waits for its place. */
MUST_USE bool mcp_hub_takes_place(struct mcp_connection *c);

/* Of progress.c. On the hub's loop: */
void mcp_notes_init(struct mcp_notes *n);
void mcp_notes_done(struct mcp_notes *n);
void mcp_notes_add(struct mcp_ask *ask, struct view params);
/* answering: its answer is posted next. True: nobody names the ask any more. */
MUST_USE bool mcp_notes_end(struct mcp_notes *n, bool answering);
/* On the asker's, before and after its answer is told. True: nobody names the ask any more. */
void mcp_notes_tell(struct mcp_ask *ask);
MUST_USE bool mcp_notes_answered(struct mcp_notes *n);

/* --- list.c: pure. A page of tools/list, added to *tools, and what it takes to *bytes; *cursor: JSON text of the next one's, or NULL. */
MUST_USE bool mcp_list_page(const struct json_doc *doc, uint32_t result, const char *provider,
                            struct tool **tools, size_t *count, size_t *bytes, char **cursor,
                            struct err *err);

/* --- result.c: pure. What a tool's result is to callers. *single: there was exactly one item; text: what it says. */
MUST_USE bool mcp_result_map(const struct json_doc *doc, uint32_t result, struct buf *value,
                             bool *tool_failed, bool *single, struct buf *text, struct err *err);
