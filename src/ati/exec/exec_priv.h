/* Private to exec: a call under way, and what its handler may do with it. */
#pragma once

#include "ati/exec/exec.h"
#include "ati/keyring/mask.h"
#include "base/secret.h"

struct flights;

struct exec_shared {
    struct mcp_hub *mcp;
    char *folder; /* NULL: there is none */
    char **environment;
    enum client_reach reach;
    struct budget *memory, *children;
    struct flights *tokens;  /* of OAuth2 */
    struct flights *outputs; /* of generators */
};

struct executor {
    struct loop *loop;
    struct client *client;
    struct exec_shared *shared;
    struct log *log;
    struct execution *executions;
};

/* What is done with a result before it is told. */
enum exec_stage { STAGE_ERROR, STAGE_VALUE, STAGE_EXTRACTED, STAGE_DONE };

enum { EXEC_PREFIX_BYTES = 96 };

struct execution {
    struct executor *executor;
    struct execution *next, **link; /* of executor->executions */
    struct exec_request
        request; /* snapshot and caller are referenced; what views lend stays lent */
    const struct exec_handler *handler;
    void *state; /* the handler's, freed by its cancel; NULL: it has made nothing */
    exec_done *done;
    void *context;
    struct task finish;
    bool finished;
    bool carried_out; /* the upstream was asked, or the program ran: again would be twice */
    struct exec_result result;
    char prefix[EXEC_PREFIX_BYTES]; /* of the error; no secret is in it */
    bool cut_head, cut_tail;        /* of the error: there was more of it */
    /* What was given away with the call, and must not come back in its answer: lent by the snapshot's keyring or by the handler. */
    struct view *secrets;
    size_t secret_count;
    bool secret_lost; /* there was no memory to remember one: nothing is told */
    enum exec_stage stage;
    struct mask *mask; /* while a result is looked through */
    bool masking;      /* a pass is under way */
};

/* An end, once; done is called from the loop's next round. The handler's cancel is called before done.
 *
 * exec_finish   value: JSON text, taken (json is empty afterwards)
 * exec_fail     the sentence without the prefix of its outcome. status: of /call */
void exec_finish(struct execution *e, enum exec_outcome outcome, struct buf *json);
void exec_fail(struct execution *e, enum exec_outcome outcome, int status, const char *fmt, ...)
    PRINTF(4, 5);
/* The same with err's text. status: 502, or 503 when a budget was used up. */
void exec_fail_err(struct execution *e, enum exec_outcome outcome, const char *prefix,
                   const struct err *err);
/* Nothing was done yet, for want of a place or of memory: 503, and later it may go well. */
void exec_fail_busy(struct execution *e, enum exec_outcome outcome, const char *text);
/* The same with a text of any length, copied; longer ones are cut at EXEC_ERROR_BYTES_MAX. prefix: ours, for the call. */
enum { EXEC_ERROR_BYTES_MAX = 1024 * 1024 };
void exec_fail_text(struct execution *e, enum exec_outcome outcome, int status, const char *prefix,
                    struct view text);
/* The same with what a child said on standard error, which may be but the end of it. */
void exec_fail_child(struct execution *e, enum exec_outcome outcome, int status, const char *prefix,
                     struct view said);

/* This secret leaves with the call: what comes back is looked through for it. Lent until the handler's cancel. */
void exec_secret(struct execution *e, struct view secret);
/* The beginning of what an upstream says, for an error: masked, then cut, then escaped. Returns out. */
const char *exec_shown(const struct execution *e, struct view said, size_t most, char *out,
                       size_t size);

/* temporary.c: a path in TMPDIR that nobody can guess: ".ati-{kind}-{pid}-{16 digits}", and ".{extension}" unless that is empty. *out is the
 * caller's. */
MUST_USE bool temporary_path(char **environment, const char *kind, struct view extension,
                             char **out, struct err *err);
/* Removes what processes that are gone have left of them. */
void temporary_sweep(char **environment);
const char *exec_variable(char **environment, const char *name); /* NULL: not set */
