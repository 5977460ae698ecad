/* exec: carries out one call of one tool. The one path for the command line, /call and /mcp: who may call, and how often, was decided before.
 *
 *   arguments ─► http (also openapi) | mcp | cli | files ─► extract ─► value
 *
 * An executor belongs to a loop; calls are started and end on it, hundreds at once. What executors of several loops share stands in
 * struct exec_shared: tokens of OAuth2, outputs of generators, MCP connections.
 * A call that is cancelled (the client left) ends its request or kills its children.
 *
 * Memory   a call lends its request until done; the result is the receiver's to take. Results are bounded: EXEC_RESULT_BYTES_MAX; with files that a
 *          program wrote, by ATI_CLI_MAX_OUTPUT_BYTES for each and 1 GiB for all. What all calls hold together, and how many programs they run, by
 *          the budgets of exec_shared: a call that gets nothing of them fails, and says that it is busy.
 * Secrets  taken from the snapshot's keyring when they are needed, never in errors; buffers that held one are wiped. What an answer
 *          echoes of those that its call used is masked (ati/keyring/mask.h), a piece at a time, before anything is extracted or cut.
 *
 * Read in order   exec.c; http.c place.c style.c encode.c (parameters) credential.c oauth.c grant.c flight.c answer.c; cli.c words.c capture.c
 *                 creds.c temporary.c; mcp.c; files.c
 *                 download.c upload.c gcs.c gcs_token.c fal.c; generator.c; jsonpath.c jsonpath_parse.c */
#pragma once

#include "ati/snapshot/snapshot.h"
#include "base/log.h"
#include "client/client.h"

/* Of a call whose result alone found no room: 502, and nobody is told to ask again. */
#define EXEC_CARRIED_OUT "no memory was left for the result; the call was carried out all the same"

enum { EXEC_RESULT_BYTES_MAX = 256 * 1024 * 1024, EXEC_HTTP_TIMEOUT_MS = 60000 };

struct mcp_hub;
struct exec_shared;
struct executor;

struct exec_shared_options {
    struct mcp_hub *mcp;     /* lent; NULL: mcp tools cannot be called */
    const char *folder;      /* the ATI directory: .creds */
    char **environment;      /* of this process: what children may see of it; ATI_* limits */
    enum client_reach reach; /* ATI_SSRF_PROTECTION */
    struct budget *memory;   /* of what calls hold; NULL: without bound, as: */
    struct budget *children; /* of programs that run */
};
/* Removes what gateways that were killed have left in TMPDIR and in .creds. */
MUST_USE bool exec_shared_new(const struct exec_shared_options *options, struct exec_shared **out,
                              struct err *err);
void exec_shared_free(
    struct exec_shared *s); /* when no loop of its executors runs any more; NULL is fine */
/* ATI_SSRF_PROTECTION: "1", "true": CLIENT_PUBLIC; "warn": CLIENT_WARN; else CLIENT_ANYWHERE. */
enum client_reach exec_reach_from(char **environment);

MUST_USE bool executor_new(struct loop *loop, struct client *client, struct exec_shared *shared,
                           struct log *log, struct executor **out, struct err *err);
void executor_free(struct executor *x); /* calls under way are cancelled */

/* Before done, with its context. params: as of notifications/progress, JSON text of an object; lent. May cancel the call. */
typedef void exec_progressed(void *context, struct view params);

/* All lent until done, the snapshot and the caller referenced by the call itself. */
struct exec_request {
    struct snapshot *snapshot;
    const struct tool *tool; /* of snapshot->catalog */
    struct caller *caller;
    struct view token;   /* the caller's own, verified; a secret. Empty: none */
    struct view mcp_url; /* the server that the caller has chosen, and may; empty: the manifest's */
    struct view arguments;    /* JSON text of an object */
    const struct view *words; /* positional arguments, for cli; NULL: from arguments */
    size_t word_count;
    bool has_words;
    struct view traceparent, tracestate; /* sent to upstreams over HTTP; may be empty */
    exec_progressed
        *progressed; /* an MCP server's word on how far it is; NULL: nobody wants to know */
};

enum exec_outcome {
    EXEC_OK,
    EXEC_NO_RECORDS, /* an upstream's 404 that means an empty list: value is {"records":[]} */
    EXEC_HTTP,       /* "Upstream API error: …" of /call */
    EXEC_MCP,        /* "MCP error: …" */
    EXEC_CLI,        /* "CLI error: …" */
    EXEC_EXTRACT,    /* "Response processing error: …"; value is the raw response */
    EXEC_FILES,      /* file_manager: status says which */
    EXEC_CANCELLED,  /* the executor ended */
};
struct exec_result {
    enum exec_outcome outcome;
    int status;          /* of /call: 200, 502, 500, or of EXEC_FILES */
    int upstream_status; /* 0: there was none */
    int exit_code;       /* of a cli tool that ran; -1: none */
    bool tool_failed;    /* an MCP server said isError */
    bool busy;           /* a budget was used up: later it may go well */
    struct buf value;    /* JSON text; the receiver may take it */
    struct buf
        error; /* a sentence, without the prefix of its outcome; may be long (an upstream's body) */
    const char *
        unreached; /* an upstream gave no answer: "timeout", "connect" or "send"; NULL: no such thing */
    uint64_t upstream_us;
};
typedef void exec_done(void *context, struct exec_result *result); /* lent for the call */

struct execution;
/* Never calls done from inside. */
MUST_USE bool exec_start(struct executor *x, const struct exec_request *request, exec_done *done,
                         void *context, struct execution **out, struct err *err);
void exec_cancel(struct execution *e); /* done is not called */

/* mcp.c: the tools that a provider's MCP server has, with a generator's credential if it has one. answer: as of mcp_list. */
struct mcp_answer;
struct exec_listing;
typedef void exec_listed(void *context, struct mcp_answer *answer); /* lent for the call */
MUST_USE bool exec_list(struct executor *x, struct snapshot *snapshot,
                        const struct tool_provider *provider, exec_listed *done, void *context,
                        struct exec_listing **out, struct err *err);
void exec_list_cancel(struct exec_listing *l); /* done is not called */

/* temporary.c: where captured outputs and scripts of generators are for a while: TMPDIR, or /tmp. */
const char *exec_temporary_folder(char **environment);

/* What each kind of provider gives to exec.c. */
struct exec_handler {
    /* e is under way; ends with exec_finish, never from inside. False: err is told as a failure of this kind. */
    bool (*start)(struct execution *e, struct err *err);
    void (*cancel)(struct execution *e); /* frees what start made; also after it has finished */
    enum exec_outcome failure;
};
extern const struct exec_handler exec_http, exec_mcp, exec_cli, exec_files;

/* generator.c: is this one told the caller's token? */
bool exec_wants_token(const struct generator *g);

/* media.c: by the extension of a path; "application/octet-stream" when it is not known. */
const char *exec_media_type(struct view path);

/* jsonpath.c: pure. The matches of path in value (JSON text), as `response.extract` wants them: none: null; one: it; several: an array.
 * Appended. ERR_SYNTAX: "JSONPath extraction failed: Invalid JSONPath '{p}': …". */
MUST_USE bool jsonpath_extract(struct view value, struct view path, struct buf *out,
                               struct err *err);
