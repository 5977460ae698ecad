/* mcp: a client of MCP servers, over their standard streams or Streamable HTTP (MCP 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05).
 *
 *   mcp_list / mcp_call ─► the provider's connection: initialize once ─► requests side by side, told apart by id ─► answers
 *
 * A hub lives on one loop and keeps one connection a provider (and keyring entries it was made with): a child for stdio, a session for HTTP.
 * It is made at the first need, told of what changed in the manifest or keyring by being asked with another provider object, closed
 * when nobody has asked for MCP_IDLE_MS, and made anew when it broke: a child that died, a session the server forgot (404). A call that was sent is not
 * sent twice. Any loop may ask; it is answered on that loop.
 *
 * What servers ask of us: ping is answered, roots/list with none, others with "method not found". Progress prolongs a call's time.
 * A cancelled call sends notifications/cancelled.
 *
 * Limits   MCP_CALL_MS, MCP_START_MS, MCP_MESSAGE_BYTES_MAX, MCP_PAGES_MAX, MCP_TOOLS_MAX.
 * Read in order   hub.c connection.c stdio.c http.c list.c result.c */
#pragma once

#include "ati/snapshot/snapshot.h"
#include "base/log.h"
#include "client/client.h"

enum {
    MCP_CALL_MS = 300 * 1000,
    MCP_START_MS = 30 * 1000,
    MCP_IDLE_MS = 300 * 1000,
    MCP_MESSAGE_BYTES_MAX = 50 * 1024 * 1024,
    MCP_PAGES_MAX = 100,
    MCP_TOOLS_MAX = 10000
};

struct mcp_hub;
struct mcp_hub_options {
    char **environment; /* PATH and HOME for children */
    enum client_reach reach;
    const char *version; /* of clientInfo */
    struct log *log;
};
MUST_USE bool mcp_hub_new(struct loop *loop, struct client *client,
                          const struct mcp_hub_options *options, struct mcp_hub **out,
                          struct err *err);
/* On its loop, when nobody asks any more. Ends sessions and children; what is under way fails. */
void mcp_hub_free(struct mcp_hub *hub);
/* Connections of providers that are not in this catalog, or have changed, are closed when their calls have ended. */
void mcp_hub_keep(struct mcp_hub *hub, const struct catalog *catalog);

/* What a generator gave, or nothing. Lent for the call of mcp_*. */
struct mcp_credential {
    struct view token;                 /* ATI_AUTH_TOKEN, or the credential header */
    const struct client_field *fields; /* more headers, or environment for a child */
    size_t field_count;
};

struct mcp_answer {
    bool failed;      /* error says why: "MCP transport error: …" and the other texts */
    bool tool_failed; /* isError */
    struct buf value; /* of a call: the mapped result as JSON text; of a list: unused */
    struct buf error;
    struct tool *tools; /* of a list; the receiver may take them */
    size_t tool_count;
};
typedef void mcp_done(void *context,
                      struct mcp_answer *answer); /* on the asker's loop; lent for the call */

struct mcp_ask;
/* tools/list, all pages, as tools of this provider: names "{provider}:{name}", scopes, schemas. */
MUST_USE bool mcp_list(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
                       const struct tool_provider *provider,
                       const struct mcp_credential *credential, mcp_done *done, void *context,
                       struct mcp_ask **out, struct err *err);
/* tools/call. name: with or without "{provider}:". arguments: JSON text of an object, copied. */
MUST_USE bool mcp_call(struct mcp_hub *hub, struct loop *asker, struct snapshot *snapshot,
                       const struct tool_provider *provider,
                       const struct mcp_credential *credential, struct view name,
                       struct view arguments, mcp_done *done, void *context, struct mcp_ask **out,
                       struct err *err);
/* On the asker's loop; done is not called. */
void mcp_cancel(struct mcp_ask *ask);
