/* creds: keyring entries as files, for programs that want a path: ATI_DIR/.creds/NAME, mode 0600. Those of an ephemeral keyring get a name of
 * their own for each call, and are overwritten and removed when it ends. */
#pragma once

#include "ati/exec/exec_priv.h"

struct creds {
    char **paths; /* to be removed */
    size_t count;
};
/* *path: the caller's. ERR_NOT_FOUND: "Missing keyring key: {key}"; ERR_DENIED: a name that is no file's. */
MUST_USE bool creds_file(struct creds *c, const char *folder, const struct keyring *keyring,
                         struct view key, char **path, struct err *err);
void creds_done(struct creds *c);
