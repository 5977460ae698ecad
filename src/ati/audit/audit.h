/* audit: what was called, by whom, and how it went: JSON Lines, appended.
 *
 * {"ts","tool","args","status","duration_ms","agent_sub"[,"job_id"][,"sandbox_id"][,"error"][,"exit_code"]} in that order. Arguments are
 * made harmless on the way: values under names that hold password, secret, token, key, credential or auth become "[REDACTED]" at
 * every depth; strings of more than 200 bytes are cut. The file is 0600, opened O_APPEND, one write a batch of whole lines, so that
 * several processes may share it. It is rotated at rotate_bytes: audit.jsonl.1 … .N.
 * audit_write never waits for the disk: lines go to a buffer that a thread of its own writes; when that is full the
 * oldest way out is to wait a bounded time, then to drop and count. Any thread.
 *
 * Read in order   record.c (pure) file.c search.c */
#pragma once

#include "ati/caller/caller.h"
#include "base/buf.h"

enum { AUDIT_TEXT_BYTES_MAX = 200 };

struct audit;
struct audit_options {
    const char *path;
    uint64_t rotate_bytes; /* 0: never */
    unsigned keep;         /* rotated files */
    bool threaded;         /* the proxy; else each line is written at once */
};
MUST_USE bool audit_open(const struct audit_options *options, struct audit **out, struct err *err);
void audit_close(struct audit *a);  /* writes out what waits; NULL is fine */
void audit_reopen(struct audit *a); /* after somebody else moved the file */

struct audit_record {
    int64_t when_ms;
    struct view tool;      /* as it was called */
    struct view arguments; /* JSON text; empty: {} */
    bool ok;
    uint64_t duration_ms;
    const struct caller *caller;
    struct view error; /* empty: none */
    int exit_code;     /* -1: none */
};
void audit_write(struct audit *a, const struct audit_record *record);
uint64_t audit_dropped(const struct audit *a);

/* record.c: one line with its LF, appended. */
MUST_USE bool audit_line(const struct audit_record *record, struct buf *out, struct err *err);
/* Arguments as the line shows them: for logs, too. */
MUST_USE bool audit_arguments(struct view arguments, struct buf *out, struct err *err);

/* search.c: lines of the file that match, oldest first, at most last of them (0: all). tool: exact, or with '*' at its end; empty:
 * any. since_s: 0: any. */
typedef void audit_found(void *context, struct view line);
MUST_USE bool audit_search(const char *path, struct view tool, int64_t since_s, size_t last,
                           audit_found *found, void *context, struct err *err);
