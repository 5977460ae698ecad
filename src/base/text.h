/* text: numbers, durations, sizes and escapes. Parsing is strict: the whole view must be used, no
 * sign, no blank, no overflow. Formatting writes into the caller's storage and always terminates. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum { TEXT_DECIMAL_MAX = 20 };

/* Decimal digits only; "007" is refused unless leading_zeros. False leaves *out alone. */
MUST_USE bool text_u64(struct view v, uint64_t max, bool leading_zeros, uint64_t *out);

/* Decimal, at the end of out. */
struct view text_decimal(uint64_t value, char out[static TEXT_DECIMAL_MAX]);

/* "250ms", "5s", "10m", "2h", "1d", or a bare number in unit_ms milliseconds each. "0" is 0. */
MUST_USE bool text_duration_ms(struct view v, uint64_t unit_ms, uint64_t *out);
/* "4096", "64KiB", "64k", "1MiB", "1m", "2GiB", "1TiB" (all powers of 1024; case-insensitive). */
MUST_USE bool text_size(struct view v, uint64_t *out);
/* true yes on 1 / false no off 0, any case. */
MUST_USE bool text_bool(struct view v, bool *out);

/* The shortest form that the parsers above read back. Return out. */
char *text_duration_format(uint64_t ms, char out[static 24]);
char *text_size_format(uint64_t bytes, char out[static 24]);

/* Writes v to out (size bytes, always terminated), with hidden characters (below), quotes, backslashes
 * and bytes that are not UTF-8 as \xNN or \n \t \" \\; cut with "…" when it does not fit or passes
 * max bytes of input. One line stays one line. Returns the length written. */
size_t text_escape(struct view v, size_t max, char *out, size_t size);

/* Bytes at the start of v that JSON writes as they are, each by itself: visible ASCII and blanks, no quote, no backslash. */
size_t text_plain(struct view v);

/* The first character of v (n bytes of UTF-8) does not show, or changes how others show: controls, line
 * separators, marks of direction, zero-width characters. */
bool text_hidden(struct view v, size_t n);

/* v without Unicode white space at both ends: ASCII blanks (space, \t \r \n \v \f), U+0085, U+00A0,
 * U+1680, U+2000–200A, U+2028, U+2029, U+202F, U+205F, U+3000. */
struct view text_trim(struct view v);

/* Edit distance of two short words (64 bytes at most are compared); for "did you mean". */
unsigned text_distance(struct view a, struct view b);
