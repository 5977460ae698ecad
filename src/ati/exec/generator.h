/* generator: credentials that a program of the operator prints: a command, or a script and its interpreter. No shell.
 *
 *   ${JWT_SUB} ${JWT_SCOPE} ${JWT_TOKEN} ${TOOL_NAME} ${TIMESTAMP} ${keyring entry} ─► arguments, environment ─► standard output ─► value, headers, variables
 *
 * The child sees PATH, HOME and TMPDIR of ours and the generator's own environment. A script lies in a file of mode 0600 that is
 * gone when the child is. With cache_ttl_s the output is kept for provider and subject, and for all else that the generator is told
 * (scope, token, tool, entries; not the time), as long as it has not changed; who asks meanwhile waits for the one that runs.
 *
 * Nobody's token is empty; of that a generator may make nothing, and then nothing is sent. Else one that prints nothing has failed.
 *
 * Secrets  outputs are wiped; errors show the child's standard error without the entries and the token that were given to it. */
#pragma once

#include "ati/exec/exec.h"

struct generation;
/* error: a sentence; NULL: there is an output. Never called from inside generator_start; may call generator_end. */
typedef void generator_done(void *context, const char *error);

struct generator_asker {
    const struct caller *caller; /* NULL: nobody asks for it ("dev", "*") */
    struct view token;           /* of the caller; empty: none */
    struct view tool;            /* its name, may be empty */
};
/* *ready: generator_output may be called at once, and done
 * is not. All lent until generator_end. *out may be set also when this fails, and is to be ended. */
MUST_USE bool generator_start(struct loop *loop, struct exec_shared *shared,
                              const struct keyring *keyring, const struct generator_asker *asker,
                              const struct tool_provider *provider, generator_done *done,
                              void *context, struct generation **out, bool *ready, struct err *err);
bool generator_starved(const struct generation *g); /* done: there was no place for the program */
void generator_end(struct generation *g);           /* NULL is fine; done is not called any more */

/* What it gave, one after the other: *cursor is 0 at first. One GENERATOR_PRIMARY at most, without a name. Lent until generator_end. */
struct generated {
    enum generator_place place; /* GENERATOR_PRIMARY, GENERATOR_HEADER or GENERATOR_ENV */
    struct view name, value;
};
bool generator_output(const struct generation *g, size_t *cursor, struct generated *out);
