/* answer: what an upstream's answer means. Pure. */
#pragma once

#include "base/json.h"

/* A body as a value, in its own memory where that is possible: JSON without its blanks, else its text as a string (bytes that are not UTF-8 become
 * U+FFFD). Empty: "". */
MUST_USE bool answer_value(struct buf *body, struct err *err);
/* A 404 that says "no records", and means an empty list. */
bool answer_no_records(struct view body);
