/* capture: files that a tool of the command line writes. Their paths among its arguments are replaced by paths of ours, and what lies
 * there afterwards is returned. */
#pragma once

#include "ati/exec/exec_priv.h"

enum {
    CAPTURES_MAX = 64,
    CAPTURE_BYTES_MAX = 524288000, /* of one file, unless ATI_CLI_MAX_OUTPUT_BYTES says otherwise */
    CAPTURE_RESULT_BYTES_MAX = 1073741824, /* of all together, in base64 */
    CAPTURE_PIECE_BYTES = 192 * 1024       /* read in one turn of the loop; divides by three */
};

struct capture {
    char *original, *path;
};
struct captures {
    struct capture list[CAPTURES_MAX];
    size_t count;
    uint64_t bytes_max;
    /* reading */
    size_t at;
    int fd; /* -1: none is open */
    uint64_t size, done;
};
/* words: the caller's arguments, without the provider's own. out: room for count; strings that are the caller's (also when it fails:
 * those that are not NULL). */
MUST_USE bool captures_rewrite(struct captures *c, const struct tool_provider *provider,
                               char **environment, const struct view *words, size_t count,
                               char **out, struct err *err);
/* Appends "outputs" as a member of the object that is being written, a piece each time. *more: call again. */
MUST_USE bool captures_read(struct captures *c, struct buf *out, bool *more, struct err *err);
void captures_done(struct captures *c); /* removes the files */
void captures_init(struct captures *c, char **environment);
