/* audit: what was called, by whom, and how it went: JSON Lines, appended.
 *
 * {"ts","tool","args","status","duration_ms","agent_sub"[,"job_id"][,"sandbox_id"][,"error"][,"exit_code"]} in that order. Arguments are
 * made harmless on the way: values under names that hold password, secret, token, key, credential or auth become "[REDACTED]" at
 * every depth; texts of more than 200 bytes are cut behind a whole character, and end in "...[truncated]". Arguments that are larger
 * than AUDIT_ARGUMENTS_BYTES_MAX even so are {"...":"[truncated]"}: every call has a line.
 *
 * The file is 0600, opened O_APPEND, one write a batch of whole lines, so that several processes may share it. It is rotated at
 * rotate_bytes: audit.jsonl.1 … .N; a file that somebody else has moved is followed.
 * audit_write does not wait for the disk: lines go to a buffer that a thread of its own writes within AUDIT_EVERY_MS. When
 * AUDIT_WAITING_BYTES_MAX wait it stops for AUDIT_WAIT_MS at most; then lines are dropped, and counted, until there is room again.
 * What cannot be written (a full disk) is tried again every AUDIT_RETRY_MS, and said once; no line is left half written.
 * Any thread. That one starts with audit_start: behind what confines the threads that are made later.
 *
 * Read in order   record.c (pure) file.c search.c */
#pragma once

#include "ati/caller/caller.h"
#include "base/buf.h"
#include "base/log.h"

enum {
    AUDIT_TEXT_BYTES_MAX = 200,
    AUDIT_ARGUMENTS_BYTES_MAX = 64 * 1024,
    AUDIT_TOOL_BYTES_MAX = 512,
    AUDIT_ERROR_BYTES_MAX = 4096,
    AUDIT_EVERY_MS = 50,
    AUDIT_WAITING_BYTES_MAX = 8 * 1024 * 1024,
    AUDIT_WAIT_MS = 20,
    AUDIT_RETRY_MS = 500
};

struct audit;
struct audit_options {
    const char *path;
    uint64_t rotate_bytes; /* 0: never */
    unsigned keep;         /* rotated files */
    bool
        threaded; /* the proxy: lines wait for audit_start; else each is written at once, by one thread alone */
    struct log
        *log; /* of whoever writes: one that no other thread uses when threaded; NULL is fine */
};
MUST_USE bool audit_open(const struct audit_options *options, struct audit **out, struct err *err);
MUST_USE bool audit_start(struct audit *a, struct err *err); /* threaded */
void audit_close(struct audit *a);  /* writes out what waits; NULL is fine */
void audit_reopen(struct audit *a); /* after somebody else moved the file */

struct audit_record {
    int64_t when_ms;
    struct view tool;      /* as it was called */
    struct view arguments; /* JSON text; empty, or none that can be read: {} */
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
/* Arguments as the line shows them, on one line: for logs, too. */
MUST_USE bool audit_arguments(struct view arguments, struct buf *out, struct err *err);

/* search.c: lines of the file and of what it was rotated to that match, oldest first, at most last of them (0: all). What is no line of
 * an audit is left out. A file that is not there has none. */
struct audit_query {
    struct view tool; /* exact, or with '*' at its end; empty: any */
    int64_t since_s;  /* since 1970; 0: any */
    size_t last;
};
typedef void audit_found(void *context, struct view line);
MUST_USE bool audit_search(const char *path, const struct audit_query *query, audit_found *found,
                           void *context, struct err *err);
