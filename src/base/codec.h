/* codec: base64, base64url, hexadecimal and UTF-8. Strict: what does not decode exactly is refused. */
#pragma once

#include "base/cleanup.h"
#include "base/view.h"

#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* RFC 4648, 4: with padding. Writes BASE64_LEN(v.len) characters and a NUL. */
void base64_encode(struct view v, char *out);
/* Exact padded form, no white space, unused bits zero. *len: in, room at out; out, bytes written. */
MUST_USE bool base64_decode(struct view text, uint8_t *out, size_t *len);
/* RFC 4648, 5: the URL alphabet without padding. Same contracts. */
void base64url_encode(struct view v, char *out);
MUST_USE bool base64url_decode(struct view text, uint8_t *out, size_t *len);

void hex_encode(struct view v, char *out); /* 2 × v.len lower-case digits and a NUL */
/* Either case; exactly 2 × len digits. */
MUST_USE bool hex_decode(struct view text, uint8_t *out, size_t len);

/* UTF-8 over a stream in pieces (RFC 3629: no surrogates, no overlong forms, ≤ U+10FFFF). */
struct utf8 {
    uint32_t state; /* 0 between characters */
    uint32_t code;
};
/* Feeds bytes; false at the first byte that cannot be part of UTF-8. */
MUST_USE bool utf8_feed(struct utf8 *u, struct view bytes);
static inline bool utf8_complete(const struct utf8 *u)
{
    return u->state == 0;
}
/* The whole view is well-formed UTF-8. */
MUST_USE bool utf8_valid(struct view v);
/* Bytes of the character at the start of v, its number in *code; 0: none is there. */
size_t utf8_first(struct view v, uint32_t *code);
