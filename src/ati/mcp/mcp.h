/* mcp: a client of MCP servers, over their standard streams or Streamable HTTP (MCP 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05).
 *
 *   mcp_list / mcp_call ─► the provider's connection: initialize once ─► requests side by side, told apart by id ─► answers
 *
 * A hub lives on one loop and keeps one connection for each way to reach a server: command, arguments and environment of a child, or URL
 * and header fields, with the credentials in them. So what was reloaded without a change keeps its server, and a caller whose generator
 * gave him a token of his own has a server or session of his own. It is made at the first need, closed when nobody has asked for
 * MCP_IDLE_MS (for credentials of generators: MCP_IDLE_OWN_MS), and made anew when it broke: a child that died, a session that the server
 * forgot (404). A call that may have been carried out is not sent twice; one that a dead
 * child has never read is. Any loop may ask; it is answered on that loop.
 *
 * Versions   we offer the newest; an older one of the list that the server answers with is spoken; one that we do not know is taken
 *            for the newest, and a server that refuses a version is offered the next one.
 * Asked of us   ping is answered, roots/list with none, others with "method not found". Progress prolongs a call's time, up to
 *            MCP_CALL_MS_MAX in all, and is told to who wants to know; of what he has not looked at yet, the newest MCP_PROGRESS_MAX. A call that is cancelled, or whose time is over, sends notifications/cancelled.
 * Children   see PATH and HOME, mcp_env and the generator's variables, nothing else. Lines of their output that are not JSON are
 *            passed over; what they say on standard error is told when they end before they could be used.
 * HTTP       redirects that keep the method are followed. An event stream that breaks off is resumed where it has ids (Last-Event-ID).
 *            What is left of one behind our answer is read for MCP_LINGER_MS, so that the TCP connection can be used again. A notification's
 *            status has MCP_NOTICE_MS to come; the call that it is about does not wait for it.
 * Secrets    that a connection was made with are masked in all that its server says, before any of it is looked at: results, errors,
 *            progress, lists; and once more in what results are made into (a document within a text).
 * Long ones  messages from MCP_HEAVY_BYTES on are read by a thread of the hub, so that other connections go on; those of one connection stay
 *            in their order.
 * Limits     MCP_CALL_MS, MCP_START_MS, MCP_MESSAGE_BYTES_MAX, MCP_VALUES_MAX, MCP_PAGES_MAX, MCP_TOOLS_MAX, MCP_LIST_BYTES_MAX,
 *            MCP_OWN_MAX.
 * Read in order   hub.c (who asks) way.c (how a server is reached) connection.c (what is said) stdio.c http.c reader.c message.c progress.c list.c
 *                 result.c */
#pragma once

#include "ati/snapshot/snapshot.h"
#include "base/log.h"
#include "client/client.h"

enum {
    MCP_CALL_MS = 300 * 1000,      /* of a call, with all that comes before it */
    MCP_CALL_MS_MAX = 3600 * 1000, /* the same, when there is progress */
    MCP_START_MS = 30 * 1000,      /* of a list, with all that comes before it */
    MCP_IDLE_MS = 300 * 1000,
    MCP_IDLE_OWN_MS = 30 * 1000,
    MCP_LINGER_MS = 1000,
    MCP_NOTICE_MS = 10 * 1000, /* HTTP: for a notification's status */
    MCP_ROOM_MS = 5000,        /* for one that is closed for another's sake, to be gone */
    MCP_END_MS = 2000,         /* for servers to end by themselves, and for DELETE */
    MCP_MESSAGE_BYTES_MAX = 50 * 1024 * 1024,
    MCP_VALUES_MAX = 4 * 1024 * 1024, /* of a message's JSON */
    MCP_PAGES_MAX = 100,
    MCP_TOOLS_MAX = 10000,
    MCP_LIST_BYTES_MAX = 32 * 1024 * 1024, /* of all tools of a list; a server with more has none */
    MCP_PROGRESS_MAX = 64,
    MCP_PROGRESS_BYTES_MAX = 64 * 1024, /* of one; larger ones are not told */
    MCP_OWN_MAX = 64 /* connections with credentials of generators; beyond, idle ones are closed */
};

struct mcp_hub;
struct mcp_hub_options {
    char **environment; /* PATH and HOME for children */
    enum client_reach reach;
    const char *version; /* of clientInfo */
    struct log *log;
    /* A server said that its tools are others now (notifications/tools/list_changed): on the hub's loop, from inside. NULL: nobody wants to
     * know. */
    void (*changed)(void *context, const char *provider);
    void *changed_context;
    struct budget *memory;               /* of messages; NULL: without bound, as: */
    struct budget *children;             /* of servers that run here */
    uint64_t call_ms, start_ms, idle_ms; /* 0: MCP_CALL_MS, MCP_START_MS, MCP_IDLE_MS */
};
MUST_USE bool mcp_hub_new(struct loop *loop, struct client *client,
                          const struct mcp_hub_options *options, struct mcp_hub **out,
                          struct err *err);
/* On its loop: closes connections as servers like it (DELETE, standard input closed), and calls closed when that is done, after
 * MCP_END_MS at the latest. What is under way fails, and what is asked from then on, too. */
void mcp_hub_close(struct mcp_hub *hub, void (*closed)(void *context), void *context);
/* On its loop, when nobody asks any more; before or without mcp_hub_close. What is left of children dies with the loop
 * (child_end_all). Loops of askers live on until then. NULL is fine. */
void mcp_hub_free(struct mcp_hub *hub);
/* Connections of providers that are not in this catalog, or are reached in another way now, are closed when their calls have ended.
 * Any thread. */
void mcp_hub_keep(struct mcp_hub *hub, struct catalog *catalog);

/* What a generator gave, or nothing. Lent for the call of mcp_*. */
struct mcp_credential {
    struct view token;                 /* ATI_AUTH_TOKEN, or the credential header */
    const struct client_field *fields; /* more headers, or environment for a child */
    size_t field_count;
};

struct mcp_answer {
    bool failed;      /* error says why: "MCP transport error: …" and the other texts */
    bool busy;        /* failed, because a budget was used up */
    bool carried_out; /* and what was left of it was too little for the result of a call */
    bool tool_failed; /* isError. Of a single item: failed as well, error is its text */
    struct buf value; /* of a call: the mapped result as JSON text; the receiver may take it */
    struct buf error;
    struct tool *tools; /* of a list; the receiver may take them */
    size_t tool_count;
};
typedef void mcp_done(void *context,
                      struct mcp_answer *answer); /* on the asker's loop; lent for the call */
/* Before done, on the asker's loop. params: what the server said, JSON text of an object; lent. May cancel. */
typedef void mcp_progressed(void *context, struct view params);

struct mcp_ask;
/* provider is of the snapshot's catalog; the snapshot is referenced, the rest copied. False: no memory, or arguments that are no
 * object; all else is told by done, never from inside.
 * tools/list, all pages, as tools of this provider: names "{provider}:{name}", scopes, schemas. */
MUST_USE bool mcp_list(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
                       const struct tool_provider *provider,
                       const struct mcp_credential *credential, mcp_done *done, void *context,
                       struct mcp_ask **out, struct err *err);
/* What is to be called. Lent for the call of mcp_call. */
struct mcp_order {
    struct view name;                    /* with or without "{provider}:" */
    struct view url;                     /* in place of mcp_url, as it stands; may be empty */
    struct view arguments;               /* JSON text of an object */
    struct view traceparent, tracestate; /* sent to servers over HTTP; may be empty */
    mcp_progressed *progressed;          /* NULL: nobody wants to know */
};
/* tools/call. */
MUST_USE bool mcp_call(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
                       const struct tool_provider *provider,
                       const struct mcp_credential *credential, const struct mcp_order *order,
                       mcp_done *done, void *context, struct mcp_ask **out, struct err *err);
/* A place for a program of the asker's, when it was refused one (options.children): of the servers that run here and have nothing
 * under way, the one that has been idle for longest is closed. done, with an answer that says nothing, when a place is free or nothing can be
 * done about it: then the asker tries once more. */
MUST_USE bool mcp_make_room(struct mcp_hub *hub, struct loop *asker, mcp_done *done, void *context,
                            struct mcp_ask **out, struct err *err);
/* On the asker's loop; done is not called. */
void mcp_cancel(struct mcp_ask *ask);
