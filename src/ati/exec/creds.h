/* creds: keyring entries as files, for programs that want a path: ATI_DIR/.creds/NAME, mode 0600. Those of an ephemeral keyring get a name of
 * their own for each call (NAME_ and 16 digits), and are overwritten and removed when it ends. As long as it goes on its process holds
 * a lock on them (flock): what nobody holds is a dead process's, and creds_sweep removes it. */
#pragma once

#include "ati/exec/exec_priv.h"

struct creds {
    struct cred {
        char *path;
        int fd; /* that holds the lock */
    } * list;   /* to be removed */
    size_t count;
};
/* *path: the caller's. ERR_NOT_FOUND: "Missing keyring key: {key}"; ERR_DENIED: a name that is no file's. */
MUST_USE bool creds_file(struct creds *c, const char *folder, const struct keyring *keyring,
                         struct view key, char **path, struct err *err);
void creds_done(struct creds *c);
/* Overwrites and removes what processes that are gone have left. */
void creds_sweep(const char *folder);
