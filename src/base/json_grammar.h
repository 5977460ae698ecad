/* Private to json_read.c: is this text exactly one JSON value (RFC 8259), at most JSON_DEPTH_MAX deep? */
#pragma once

#include "base/json.h"

/* *values: how many there are, keys included. */
MUST_USE bool json_grammar_check(struct view text, uint32_t *values, struct err *err);
