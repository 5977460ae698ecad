/* mask: finds secrets in what others say, before it is told to callers, and puts "[redacted]" in their places.
 *
 *   secrets ─► forms: as they are; as JSON, base64 and URLs write them ─► passes over texts, a piece at a time
 *
 * Looked for is what a text means: strings of JSON are read with their escapes undone, names of members and numbers, too; a text that is no JSON is read
 * twice, as it is and as if it were the inside of a string. JSON stays JSON. Hits that overlap go together.
 * A text is masked whole and cut afterwards. Where a cut was made before, what stands at its edge may be a part of a secret:
 * mask_edge bytes, to be dropped when the rest is masked.
 *
 * Memory   forms are copies, wiped when released; so is a text that held one. A window of 64 KiB and the longest form.
 *
 * Read in order   mask.c mask_forms.c */
#pragma once

#include "base/buf.h"

/* A short secret may be a word of its own, and is only looked for in errors. */
enum {
    MASK_ERROR_BYTES_MIN = 6,
    MASK_VALUE_BYTES_MIN = 8,
    MASK_SECRET_BYTES_MAX = 64 * 1024 /* longer ones are files: nobody echoes those */
};

struct mask;
/* Of secrets that are shorter or longer: nothing. */
MUST_USE bool mask_new(const struct view *secrets, size_t count, struct mask **out,
                       struct err *err);
void mask_free(struct mask *m); /* NULL is fine */
/* The longest form that a part of may stand at a cut. */
size_t mask_edge(const struct mask *m);

/* A pass over text, lent until it is over. json: text is JSON. least: of shorter secrets nothing. Another pass may follow, or mask_free. */
void mask_begin(struct mask *m, struct buf *text, bool json, size_t least);
/* A piece of it, some ms of work. *more: it is not over. False: text is not to be used. */
MUST_USE bool mask_step(struct mask *m, bool *more, struct err *err);

/* Whole passes, for what is short. */
MUST_USE bool mask_text(struct mask *m, struct buf *text, bool json, size_t least, struct err *err);
MUST_USE bool mask_secrets(struct buf *text, bool json, size_t least, const struct view *secrets,
                           size_t count, struct err *err);
