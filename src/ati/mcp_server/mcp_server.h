/* mcp_server: what /mcp says: the server's side of MCP (2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05), messages in, answers out.
 *
 *   body ─► mcp_server_read: one message ─► an answer at once, nothing to answer, a tool to call, or a call to cancel
 *                                           result of the call ─► mcp_server_result ─► an answer
 *
 * Everything but the tools themselves is here: versions, listings filtered by what the caller may call, the shapes of results and
 * errors. Who carries calls out decides about scope and rate and says so in the result.
 * There are no sessions to lose: an id is given at initialize, so that calls can be cancelled and ended by it, and any well-formed
 * one is taken, whichever gateway of several gave it; what DELETE has ended here stays ended (sessions.c).
 *
 * Memory   nothing is kept between messages but calls under way and ended sessions, both bounded.
 * Read in order   message.c listing.c result.c sessions.c */
#pragma once

#include "ati/caller/caller.h"
#include "ati/catalog/catalog.h"
#include "base/json.h"
#include "net/loop.h"

#define MCP_SERVER_VERSION_DEFAULT \
    "2025-03-26" /* of who names none, or one that we do not know: what older clients expect */
enum {
    MCP_SERVER_BATCH_MAX = 64,
    MCP_SERVER_SESSION_BYTES = 32, /* hexadecimal digits */
    MCP_SERVER_DENIED = -32001
};

enum mcp_server_step {
    MCP_ANSWERED, /* the answer was appended */
    MCP_ACCEPTED, /* a notification, or an answer to nothing that we asked: 202, no body */
    MCP_CALL,     /* message->name is to be called with message->arguments */
    MCP_CANCEL,   /* whoever carries out message->cancelled stops */
};

struct mcp_server_message {
    char method[128]; /* for logs; "" for what is no request */
    struct view id;   /* JSON text, lent by the document */
    char *name;       /* of a CALL: the tool; mcp_server_message_done frees it */
    struct view
        arguments; /* JSON text of an object, lent by the document; "{}" when there are none */
    struct view progress;  /* its progressToken as JSON text; empty: none */
    struct view cancelled; /* the id of a CANCEL, as JSON text */
    bool initialized;      /* this was initialize, and went well: a session begins */
};

/* All lent. */
struct mcp_server_state {
    const struct catalog *catalog;
    const struct caller *caller;
    int64_t now_s;
    const char *version; /* of serverInfo */
};

/* token: a message in doc. Answers go to out. False: no memory, or out is full. */
MUST_USE bool mcp_server_read(const struct mcp_server_state *state, const struct json_doc *doc,
                              uint32_t token, struct mcp_server_message *message,
                              enum mcp_server_step *step, struct buf *out, struct err *err);
void mcp_server_message_done(struct mcp_server_message *m);

/* The answer to a CALL, appended. value: JSON text; a failure is told as a result with isError (failed), whose text is "Error: " and
 * error. */
MUST_USE bool mcp_server_result(struct view id, bool failed, struct view value, struct view error,
                                struct buf *out, struct err *err);
/* The answer to a CALL that was not carried out: MCP_SERVER_DENIED, JSONRPC_INVALID_PARAMS. */
MUST_USE bool mcp_server_refusal(struct view id, int64_t code, struct view text, struct buf *out,
                                 struct err *err);
/* notifications/progress, appended. params: what the server behind said, with its own token; token is put in its place. */
MUST_USE bool mcp_server_progress(struct view token, struct view params, struct buf *out,
                                  struct err *err);

/* What a client may say in MCP-Protocol-Version. */
bool mcp_server_version_known(struct view version);

/* sessions.c: calls under way, and sessions that have ended. One a process; any thread. */
struct mcp_server_sessions;
MUST_USE bool mcp_server_sessions_new(struct mcp_server_sessions **out, struct err *err);
void mcp_server_sessions_free(struct mcp_server_sessions *s); /* NULL is fine; no call is left */
/* A new id, and its NUL. */
void mcp_server_session_id(char out[static MCP_SERVER_SESSION_BYTES + 1]);
/* Well-formed, and this subject has not ended it. */
bool mcp_server_session_good(struct mcp_server_sessions *s, const char *subject,
                             struct view session);
/* DELETE: for this subject its id is good no more, and the calls that he has under way in it are cancelled. */
void mcp_server_session_end(struct mcp_server_sessions *s, const char *subject,
                            struct view session);

struct mcp_server_call;
/* From now on the call can be cancelled: cancelled is then called once, on loop, never from inside. session may be empty; id: JSON
 * text. */
MUST_USE bool mcp_server_call_begin(struct mcp_server_sessions *s, struct loop *loop,
                                    const char *subject, struct view session, struct view id,
                                    void (*cancelled)(void *context), void *context,
                                    struct mcp_server_call **out, struct err *err);
void mcp_server_call_end(
    struct mcp_server_call *c); /* on its loop; cancelled is not called any more */
/* The call of that id in this session of the same subject, if there is one. */
void mcp_server_cancel(struct mcp_server_sessions *s, const char *subject, struct view session,
                       struct view id);
