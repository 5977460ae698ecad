/* compose: the hash of an app-compose manifest, and the one text that a JSON value has for it.
 *
 * Canonical here means: members in the order of the document, no blanks, strings as UTF-8 with the shortest escapes,
 * whole numbers in decimal, others as the shortest text that reads back the same, with ".0" when they are whole.
 * Guests hash the bytes of their own file, which dstack's tools write in this form. */
#pragma once

#include "attest/attest_err.h"
#include "base/json.h"

enum { COMPOSE_BYTES_MAX = 4 * 1024 * 1024 };

/* Appends the canonical text of a value. False: no memory, or a string with a lone surrogate or a NUL. */
MUST_USE bool compose_canonical(const struct json_doc *doc, uint32_t token, struct buf *out,
                                struct attest_err *err);
/* SHA-256 of it; of a JSON string: of its own bytes, for it is the file's text. */
MUST_USE bool compose_hash(const struct json_doc *doc, uint32_t token, uint8_t out[static 32],
                           struct attest_err *err);
/* The same of a whole JSON text. */
MUST_USE bool compose_hash_text(struct view json, uint8_t out[static 32], struct attest_err *err);
/* Defaults with the members of user: a known name takes its new value where it stands, others follow in their order. A
 * user value that is no object replaces all. Both: JSON text; out: canonical. */
MUST_USE bool compose_merge(struct view defaults, struct view user, struct buf *out,
                            struct attest_err *err);
