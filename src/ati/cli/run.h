/* Private to `ati run`: what its words mean, and what becomes of files. Pure, but for outputs and files.
 *
 * Read in order   run_arguments.c run_keys.c outputs.c files.c run.c local.c */
#pragma once

#include "ati/cli/cli.h"
#include "base/json.h"

enum { RUN_BYTES_MAX = 1500 * 1024 * 1024 }; /* a file of a GiB as base64 in a call */

/* run_arguments.c: words behind the tool's name as an object, appended to map.
 *   --key VALUE   VALUE as JSON where it is some, else as a string; --key at the end or before another flag: true
 *   -J --json --verbose, --output V, --format V: not the tool's; *json: one of the first two was there
 * Words that belong to no flag are not in the map. Of keys that stand twice the last one counts. ERR_USAGE: "Empty argument key". */
MUST_USE bool run_arguments(const char *const *words, size_t count, struct buf *map, bool *json,
                            struct err *err);

/* run_keys.c: map with its keys as schema spells them: a property of that very name, else one that is the same without case, '-'
 * and '_', else as they are. schema: JSON text, may be empty. Appended to out, sorted. */
MUST_USE bool run_keys(struct view map, struct view schema, struct buf *out, struct err *err);

/* outputs.c: files in a result ({"outputs":{PATH:{"content_base64":…}}}) are written, and their content in the result becomes
 * "path". Only paths that occur in words or as a value in map are: another is named in refused (appended, ", " between them) and
 * left as it is. *changed: out holds a result; else there were no files in it. */
MUST_USE bool run_outputs(struct view result, const char *const *words, size_t count,
                          struct view map, struct buf *out, bool *changed, struct buf *refused,
                          struct err *err);
/* content: base64. Makes the folders that the path needs. */
MUST_USE bool run_write_file(const char *path, struct view content, size_t *bytes, struct err *err);

/* files.c: the client's half of file_manager:download and file_manager:upload. */
enum run_files { RUN_FILES_NONE, RUN_FILES_DOWNLOAD, RUN_FILES_UPLOAD };
enum run_files run_files_kind(struct view tool);
/* The arguments as they are sent: without out and inline; with the file's content. *out_path: where a download goes (the caller's,
 * NULL: nowhere). */
MUST_USE bool run_files_arguments(enum run_files kind, struct view map, struct buf *out,
                                  char **out_path, struct err *err);
/* The answer to a download as it is shown; out_path NULL: with its content. */
MUST_USE bool run_files_answer(struct view answer, const char *out_path, struct buf *out,
                               struct err *err);
