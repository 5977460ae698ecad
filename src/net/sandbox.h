/* sandbox: what the process may still do once it serves: no_new_privs, Landlock, seccomp.
 *
 * Each part that the kernel lacks is left out and named in the report; sandbox_enter fails only where
 * required says so.
 *
 * When      With every file and socket that start-up needs already open, libraries that load others
 *           late already warm, and before threads are made: Landlock holds for the calling thread and
 *           for those it makes afterwards. (seccomp is put on every thread that is there.)
 * Files     Landlock ties a rule to the file that is there now. One that is replaced later (certificates,
 *           resolv.conf) is lost unless its folder is named. Unix sockets may be connected to anywhere.
 * Network   listen is not possible any more; bind only to port 0, for chosen source addresses. Sockets
 *           are IPv4, IPv6 and Unix; asking for netlink fails with EAFNOSUPPORT.
 * Processes none can be made, traced or signalled; memory cannot become executable, so nothing may be
 *           loaded late (pthread_exit and pthread_cancel would). With sanitizers the filter lets their
 *           own calls pass, ptrace and clone among them; the report says so.
 *
 * Read in order   sandbox.c landlock.c seccomp.c */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum sandbox_mode { SANDBOX_OFF, SANDBOX_ON, SANDBOX_LOG, SANDBOX_REQUIRED };

struct sandbox {
    enum sandbox_mode seccomp; /* LOG: let pass and log what would have been killed */
    enum sandbox_mode landlock;
    const char *const *read_paths; /* files and folders that stay readable; NULL-terminated. Missing
                                        ones, and such as cannot be reached, are skipped */
    const char *const *write_paths;  /* folders where files may be made, replaced and removed (Unix
                                        sockets, caches), and files that may be written; without
                                        any, files open for reading only */
    const char *const *remove_paths; /* folders that are read, and out of which files are removed */
    const unsigned long *ioctls; /* requests beyond a server's own, of devices among those files;
                                        0 ends them; NULL: none */
    const char *const *calls; /* system calls beyond a server's own; NULL ends them; NULL: none */
    const uint16_t *connect_ports; /* TCP ports that may be connected to; NULL: any. DNS: 53 */
    size_t connect_port_count;
};

struct sandbox_report {
    bool no_new_privs, seccomp, landlock_files, landlock_net;
    int landlock_abi; /* 0: the kernel has none */
    char text[160];   /* one line for the log */
};

MUST_USE bool sandbox_enter(const struct sandbox *s, struct sandbox_report *report,
                            struct err *err);
