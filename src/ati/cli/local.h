/* Private to the command line: what it takes to find and call tools in this process, without a proxy.
 *
 *   cli_local_open: who asks ─► manifests, keyring ─► snapshot
 *   cli_local_discover: tools of MCP servers ─► a new snapshot
 *   cli_local_call: one tool, on a loop of its own */
#pragma once

#include "ati/cli/work.h"
#include "ati/exec/exec.h"
#include "ati/mcp/mcp.h"

struct cli_local {
    const struct cli *cli;
    struct caller *caller;
    struct buf token; /* of the session, when it was needed; wiped */
    struct catalog *catalog;
    struct keyring *keyring;
    struct token_authority *authority;
    struct snapshot *snapshot;
    /* When something has to be talked to. */
    bool working;
    struct cli_work work;
    struct mcp_hub *hub;
    struct exec_shared *shared;
    struct executor *executor;
};

/* told: what is odd about manifests is a warning; else it is only seen with --verbose. */
MUST_USE bool cli_local_open(struct cli_local *l, const struct cli *cli, bool told,
                             struct err *err);
void cli_local_close(struct cli_local *l); /* also after a failed cli_local_open */
int64_t cli_now_s(void);

/* The loop, what runs on it, and Ctrl-C: before something on it is started; more than once is fine. label: for the line that says that it
 * takes long. */
MUST_USE bool cli_local_work(struct cli_local *l, const char *label, struct err *err);

/* Asks the MCP servers of this provider, or of all public ones (NULL), for their tools, all at once. Of many, one that does not answer is
 * a warning. False: err, or a signal came (l->work.signo). */
MUST_USE bool cli_local_discover(struct cli_local *l, const char *provider, struct err *err);
/* The tool, after a discovery where its name begins with that of an MCP provider. NULL: there is none, or (err->code) a failure. */
const struct tool *cli_local_find(struct cli_local *l, const char *name, struct err *err);
/* Appends "Unknown tool: …", with what may have been meant. */
void cli_local_unknown(const struct cli_local *l, const char *name, struct buf *out);

/* words: as they were given. done is called before this returns, unless it fails (err, or a signal). */
MUST_USE bool cli_local_call(struct cli_local *l, const struct tool *tool, struct view arguments,
                             const char *const *words, size_t count, exec_done *done, void *context,
                             struct err *err);
