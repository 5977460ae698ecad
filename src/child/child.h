/* child: other programs, started and watched by a loop: CLI tools, MCP servers on their standard streams, generators of
 * credentials.
 *
 * A child is started without a shell, in a session and process group of its own, with no descriptor but 0, 1 and 2, with no signal
 * blocked or ignored, no new privileges, and exactly the environment that is given. It is found on the PATH of that environment.
 * It ends when it likes, or when it is told to: SIGTERM to the whole group, SIGKILL after CHILD_GRACE_MS. What is left of its group
 * when it has ended is killed, and it is killed itself when the thread of its loop ends. SIGCHLD is not used: a process is watched
 * by its descriptor, and reaped by whoever started it. From the first child on SIGPIPE is ignored.
 *
 * Who starts it: we do, unless child_helper_start was called. Then a process of its own does, for one that confines itself afterwards
 * (net/sandbox.h) and whose children must not be confined with it: they have the rights, the folder and the limits of the time when the
 * helper was started. It is asked over one line a loop (SOCK_SEQPACKET), and answers in order; commands travel in files without a name
 * that are wiped when they have been read. It knows nothing but what it is asked, ignores signals, and ends, and kills its children
 * with their groups, when we are gone. It may be killed, or hang, like any process: then we kill its children ourselves (a group as a whole since
 * Linux 6.9, before that the child alone), and nobody who has stopped one waits for it longer than 2 * CHILD_GRACE_MS.
 *
 * Two ways to have one:
 *   child_run    arguments in, output out: collected, bounded, with a time limit; its standard input is empty
 *   child_open   a line of talk: writes to its input, pieces of its output as they come
 *
 * Threads  a child belongs to its loop and is used on that loop's thread; children of several loops know nothing of each other.
 * Memory   one struct a child; output is bounded by what the caller says. Standard error is drained always: at most
 *          CHILD_ERROR_BYTES of its end are kept, so that nobody blocks on it.
 *
 * Read in order   spawn.c (processes) child.c (streams) run.c (collected) environment.c; helper.c wire.c channel.c (the helper, what is
 *                 said to it, and who says it) */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "net/loop.h"

enum {
    CHILD_GRACE_MS = 2000,
    CHILD_BUSY_TRIES = 10,
    CHILD_BUSY_MS = 10,
    CHILD_ERROR_BYTES = 64 * 1024,
    CHILD_ARGUMENTS_MAX = 4096
};

/* environment.c: NAME=value lines of a child's environment, wiped when released: values may be secrets. */
struct child_environment {
    char **list; /* NULL-terminated */
    size_t count;
};
/* What of ours a child sees: those of names (NULL-terminated) that are set. */
MUST_USE bool child_environment_init(struct child_environment *e, char **ours,
                                     const char *const *names, struct err *err);
/* Sets or replaces. Refuses names that are empty or hold '=' or NUL, values with NUL. */
MUST_USE bool child_environment_set(struct child_environment *e, struct view name,
                                    struct view value, struct err *err);
void child_environment_done(struct child_environment *e);

struct child_command {
    const char *program;
    const char *const *arguments; /* without argv[0]; NULL-terminated */
    char *const *environment;     /* NULL-terminated */
    const char *folder;           /* NULL: ours */
    /* Of many children together; NULL: without bound. ERR_BUSY when it is used up. */
    struct budget *places; /* one for each, until it is reaped; lent until then */
    struct budget *memory; /* of what waits for its input, and of what child_run collects */
};

struct child;
/* None is called from inside another function of this header. Both may call child_abandon, output child_stop and child_write, too. */
struct child_receiver {
    void (*output)(void *context, struct view piece);
    /* The process is reaped and its output has ended (or was cut off, CHILD_GRACE_MS after the process). The child is gone.
     * status: as of waitpid. error: the end of its standard error, lent. One that was stopped and is not over CHILD_GRACE_MS after it was killed
     * (a helper that hangs, a process that the kernel cannot end) is told as killed; its place stays taken until it is over. */
    void (*ended)(void *context, int status, struct view error);
    /* In place of ended: it never ran, because its file was open for writing all the time (ETXTBSY) that child_open, too, would
     * have waited; or a helper could not start it. NULL: ended is called with the status of "exit 127" and why as error. */
    void (*failed)(void *context, const struct err *err);
};
/* ERR_NOT_FOUND, ERR_DENIED, ERR_LIMIT, ERR_BUSY or ERR_IO, with "{program}: {why}", when it cannot be started. With a helper all but
 * ERR_BUSY comes later, by failed, word by word the same. ETXTBSY is tried again CHILD_BUSY_TRIES times, CHILD_BUSY_MS apart. The
 * command is lent for the call. */
MUST_USE bool child_open(struct loop *loop, const struct child_command *command,
                         const struct child_receiver *receiver, void *context, struct child **out,
                         struct err *err);
/* Queues bytes for its standard input, at most input_max waiting in all (ERR_LIMIT). A child that reads no more: ERR_IO. */
MUST_USE bool child_write(struct child *c, struct view bytes, struct err *err);
enum { CHILD_INPUT_MAX = 64 * 1024 * 1024 };
void child_close_input(struct child *c); /* once what is queued has left */
/* Of what was given to child_write, the bytes that nobody has read, when nobody can read them any more; else 0. Also from inside ended:
 * what was not read was not obeyed. */
uint64_t child_unread(const struct child *c);
/* Ends the group; ended is called when it has. */
void child_stop(struct child *c);
/* The end of its standard error up to now. Lent until the loop runs on. */
struct view child_error(const struct child *c);
pid_t child_pid(
    const struct child *c); /* 0: it waits to be started (ETXTBSY, or a helper that is asked) */
/* The same as child_stop, and nobody wants to be told: what is left happens on the loop. */
void child_abandon(struct child *c);
/* Kills and reaps everything of this loop at once, for its end; nobody is told. Not from inside a receiver. */
void child_end_all(struct loop *loop);

struct child_output {
    int exit_code; /* -1: a signal ended it */
    int signo;     /* 0: none did */
    bool timed_out;
    bool too_large;  /* more than output_max: killed */
    struct buf text; /* standard output; the receiver may take it */
    struct view error;
    const struct err *failed; /* it never ran; NULL: it did */
    bool starved;             /* too_large, because there was no memory for more */
};
struct child_job;
typedef void child_done(void *context, struct child_output *output); /* lent for the call */
MUST_USE bool child_run(struct loop *loop, const struct child_command *command, size_t output_max,
                        uint64_t timeout_ms, child_done *done, void *context,
                        struct child_job **out, struct err *err);
void child_cancel(struct child_job *job); /* kills the group; done is not called */

/* helper.c: from now on children are started by a process of its own. Once, before threads are made and secrets are read: it is a fork
 * of this one. name: how it is listed, at most 15 bytes. environment: our own; the helper wipes its copy of every variable. */
MUST_USE bool child_helper_start(const char *name, char **environment, struct err *err);
pid_t child_helper_pid(void); /* 0: none was started */
/* ended: once, from this loop, when it ends though nobody told it to: nothing is started any more. status: as of waitpid. Until child_end_all
 * of this loop. No-op without one. */
MUST_USE bool child_helper_watch(struct loop *loop, void (*ended)(void *context, int status),
                                 void *context, struct err *err);
/* Ends it, and waits for that; kills it after CHILD_GRACE_MS. After child_end_all of every loop. No-op without one. */
void child_helper_stop(void);
