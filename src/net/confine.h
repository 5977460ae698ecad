/* confine: how a server leaves behind what it needed to start: the user, capabilities, core dumps, files, ports.
 *
 * With every socket open and before threads are made (see sandbox.h). What is readable is said file by file; a file that is
 * replaced later, as renewed certificates are, is a new file, so that its folder is what has to stay readable, and where it is
 * a link, the folder of what it leads to. */
#pragma once

#include "net/sandbox.h"

enum { CONFINE_PATHS_MAX = 256, CONFINE_PATH_BYTES = 1024 };

struct confine_paths {
    const char *list[CONFINE_PATHS_MAX + 1]; /* NULL-terminated, as struct sandbox wants it */
    char text[CONFINE_PATHS_MAX][CONFINE_PATH_BYTES];
    size_t count;
    bool full; /* one was left out: confine refuses */
};

/* Starts as zeroes. Large: on the heap. */
struct confinement {
    const char *user;      /* "USER[:GROUP]" to become; NULL: nobody else */
    uint64_t capabilities; /* without a user: those that stay (bit n: capability n) */
    enum sandbox_mode seccomp, landlock;
    struct confine_paths read, remove,
        write; /* as in struct sandbox; what the C library reads by itself is added by confine */
    const unsigned long *ioctls; /* as in struct sandbox */
    const char *const *calls;
    const uint16_t *connect_ports;
    size_t connect_port_count;
};

/* path NULL: nothing. */
void confine_path(struct confine_paths *p, const char *path);
void confine_folder_of(struct confine_paths *p, const char *path);

MUST_USE bool confine(struct confinement *c, struct sandbox_report *report, struct err *err);
