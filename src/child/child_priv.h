/* What the files of child share. */
#pragma once

#include "child/child.h"

/* --- spawn.c ---------------------------------------------------------------------------------------- */

/* A command, copied: it may have to be started later. Wiped when released. */
struct spawn_image {
    const char *program;
    char **arguments, **environment; /* argv[0] included; NULL-terminated */
    const char *folder;              /* NULL: ours */
    char *path;                      /* folders to look in; NULL: program has a slash */
    char *found;                     /* room for one of them and the program's name */
    size_t argument_count;           /* without argv[0] */
    size_t variable_count;
    struct view
        texts; /* program, arguments, environment, folder: one behind the other, each with its NUL */
    size_t bytes; /* of this and all texts behind it */
};
MUST_USE bool spawn_image_new(const struct child_command *command, struct spawn_image **out,
                              struct err *err);
void spawn_image_free(struct spawn_image *image);

/* Where a start stumbled. */
enum spawn_stage { SPAWN_EXEC, SPAWN_FOLDER, SPAWN_STREAMS, SPAWN_PRIVILEGES, SPAWN_PROCESS };
struct spawned {
    pid_t pid;
    int pidfd; /* CLOEXEC; -1: it could not be started */
    enum spawn_stage stage;
    int errnum; /* 0: it runs */
};
/* Starts it with the three descriptors, all above 2, as its 0, 1 and 2. Returns when the new program runs, or could not. */
void spawn(struct spawn_image *image, const int streams[static 3], struct spawned *out);
/* Why, as a sentence. Always false. */
bool spawn_failed(const struct spawn_image *image, const struct spawned *s, struct err *err);
/* SIGKILL to a process, or to what is left of the group that it leads. The descriptor will do: it need be no child of ours, and may have been
 * reaped. Kernels before 6.9 know no groups here: the process alone. */
void spawn_kill(int pidfd, bool group);
/* Waits for a process that has ended, or was killed. Returns its status. */
int spawn_reap(pid_t pid);

/* --- wire.c: what is said between a process and its helper ------------------------------------------ */

enum {
    HELPER_FDS_MAX = 4,
    HELPER_TEXT_BYTES_MAX = 8 * 1024 * 1024, /* the kernel takes 6 MiB at most */
    HELPER_LOOPS_MAX = 1024,
    HELPER_WINDOW =
        32 /* asks of a loop that wait for their answer at the helper: they fit into a socket */
};

enum helper_verb {
    HELPER_START, /* descriptors: the texts of an image, its three streams */
    HELPER_STOP,  /* SIGTERM to the group */
    HELPER_KILL,  /* SIGKILL to the group */
    HELPER_REAP   /* the same, and its status */
};
struct helper_ask {
    enum helper_verb verb;
    pid_t pid;           /* of all but START */
    uint32_t text_bytes; /* of START: */
    uint32_t arguments, variables;
    bool folder;
};
struct helper_answer {
    pid_t pid; /* of START; with its pidfd */
    enum spawn_stage stage;
    int errnum;
    int status; /* of REAP */
};
/* One message and its descriptors, without waiting. False: errno. */
MUST_USE bool wire_send(int fd, void *message, size_t size, const int *fds, size_t count);
/* One message of just this size, without waiting. Descriptors (CLOEXEC) are the caller's. False: errno; 0: the other end is gone;
 * EPROTO: it was something else. */
MUST_USE bool wire_receive(int fd, void *message, size_t size, int fds[static HELPER_FDS_MAX],
                           size_t *count);
void wire_close(const int *fds, size_t count);
/* An image on its way: a file without a name. Taken, nothing is left in it. */
MUST_USE bool wire_image_put(const struct spawn_image *image, int *out);
MUST_USE bool wire_image_take(int fd, const struct helper_ask *ask, struct spawn_image **out);

/* --- channel.c: a loop's line to the helper ---------------------------------------------------------- */

/* Lives with its child. Answers come in the order of the asks, from the loop, never from inside a call. */
struct ask {
    struct ask *next;
    enum helper_verb verb;
    pid_t pid;                       /* of all but START */
    const struct spawn_image *image; /* of START; with streams lent until the answer */
    const int *streams;
    int errnum; /* it could not be sent */
    bool sent;
    /* answer NULL: there is no helper any more. pidfd: the receiver's; -1: none. NULL: nobody wants to know. */
    void (*answered)(struct ask *ask, const struct helper_answer *answer, int pidfd);
};
struct channel;
/* NULL: no helper was started. */
MUST_USE bool channel_of(struct loop *loop, struct channel **out, struct err *err);
void channel_ask(struct channel *ch, struct ask *ask);
/* True: it had not been sent, and will not be answered. */
bool channel_withdraw(struct channel *ch, struct ask *ask);
/* Everything of this loop is killed and reaped when it returns, or soon after: a helper that hangs is not waited for. */
void channel_close(struct loop *loop);
/* There is a helper from now on. Takes the descriptors. */
void channel_begin(pid_t pid, int pidfd, int control);
#define HELPER_GONE "the process that starts programs has ended"

/* --- child.c ----------------------------------------------------------------------------------------- */

/* talk: with a pipe for its standard input, which is empty otherwise. */
MUST_USE bool child_start(struct loop *loop, const struct child_command *command, bool talk,
                          const struct child_receiver *receiver, void *context, struct child **out,
                          struct err *err);
/* Nobody does it for us any more: kills what runs, with its groups. */
void child_kill_all(struct loop *loop);
/* Above 2, whatever of ours is closed: giving a child one of those takes none of the others away, and nobody takes one for a standard
 * stream. False: errno, and *fd is -1. */
MUST_USE bool child_lift(int *fd);
