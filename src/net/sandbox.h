/* sandbox: what the process may still do once it serves: no_new_privs, Landlock, seccomp.
 *
 * Each part that the kernel lacks is left out and named in the report; sandbox_enter fails only where
 * required says so. Call with every file and socket that start-up needs already open, before threads
 * are made (or with TSYNC: the filter covers all threads). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum sandbox_mode { SANDBOX_OFF, SANDBOX_ON, SANDBOX_LOG, SANDBOX_REQUIRED };

struct sandbox {
    enum sandbox_mode seccomp;       /* LOG: let pass and log what would have been killed */
    enum sandbox_mode landlock;
    const char *const *read_paths;   /* files and folders that stay readable; NULL-terminated */
    const char *const *write_paths;  /* folders where files may be made and removed (Unix sockets) */
    const uint16_t *connect_ports;   /* TCP ports that may be connected to; NULL: any */
    size_t connect_port_count;
};

struct sandbox_report {
    bool no_new_privs, seccomp, landlock_files, landlock_net;
    int landlock_abi;                /* 0: the kernel has none */
    char text[160];                  /* one line for the log */
};

MUST_USE bool sandbox_enter(const struct sandbox *s, struct sandbox_report *report, struct err *err);
