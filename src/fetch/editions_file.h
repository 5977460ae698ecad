/* editions_file: the editions of Intel's documents that were accepted, on disk: FOLDER/editions.json, mode 0600, beside collateral.
 *
 * The file is replaced whole, so reading needs no lock. It is raised under one (editions.lock), from what it says by then: processes
 * side by side lose nothing. A file that is there and cannot be understood is an error: to go on without it would give up what it
 * is kept for. */
#pragma once

#include "attest/editions.h"

enum { EDITIONS_LOCK_MS = 5000 /* longest wait for another process */ };

/* No file: nothing was accepted yet. With malloc: free. */
MUST_USE bool editions_load(const char *folder, struct editions **out, struct attest_err *err);
/* Makes the folder when it is not there. */
MUST_USE bool editions_keep(const char *folder, const struct edition *accepted,
                            struct attest_err *err);
