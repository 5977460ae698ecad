/* What the files of child share. */
#pragma once

#include "child/child.h"

/* spawn.c: a command, copied: it may have to be started later. Wiped when released. */
struct spawn_image {
    const char *program;
    char **arguments, **environment; /* argv[0] included; NULL-terminated */
    const char *folder;              /* NULL: ours */
    char *path;                      /* folders to look in; NULL: program has a slash */
    char *found;                     /* room for one of them and the program's name */
    size_t bytes;                    /* of this and all texts behind it */
};
MUST_USE bool spawn_image_new(const struct child_command *command, struct spawn_image **out,
                              struct err *err);
void spawn_image_free(struct spawn_image *image);

struct spawned {
    pid_t pid;
    int pidfd;  /* CLOEXEC */
    int errnum; /* when it could not be started */
};
/* Starts it with the three descriptors, all above 2, as its 0, 1 and 2. Returns when the new program runs, or could not. */
MUST_USE bool spawn(struct spawn_image *image, const int streams[static 3], struct spawned *out,
                    struct err *err);

/* child.c. talk: with a pipe for its standard input, which is empty otherwise. */
MUST_USE bool child_start(struct loop *loop, const struct child_command *command, bool talk,
                          const struct child_receiver *receiver, void *context, struct child **out,
                          struct err *err);
