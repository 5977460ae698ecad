/* file: whole files into memory, and back; folders. */
#pragma once

#include "base/buf.h"

/* Appends the content of path ("-": standard input). more than out may hold is an ERR_LIMIT; every error names the
 * path. */
MUST_USE bool file_read(const char *path, struct buf *out, struct err *err);
/* Writes path anew, whole or not at all: to a file beside it, which then takes its place. mode: of the file. */
MUST_USE bool file_write(const char *path, struct view content, unsigned mode, struct err *err);
/* Makes path and the folders that it lies in, those that are not there yet. */
MUST_USE bool folders_make(const char *path, unsigned mode, struct err *err);
