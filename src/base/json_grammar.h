/* Private to json_read.c: is this text exactly one JSON value (RFC 8259), at most so many levels deep? */
#pragma once

#include "base/json.h"

/* depth_max: at most JSON_DEEP_MAX. *values: how many there are, keys included. */
MUST_USE bool json_grammar_check(struct view text, unsigned depth_max, uint32_t *values,
                                 struct err *err);
