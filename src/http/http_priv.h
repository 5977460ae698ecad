/* What the files of this folder share. */
#pragma once

#include "http/http.h"

/* Classes of bytes (RFC 9110, 5.6.2 and 5.5; RFC 9112, 3). */
enum {
    BYTE_TOKEN = 1,  /* may stand in a token */
    BYTE_VALUE = 2,  /* may stand in a field value: visible, blank, tab, above ASCII */
    BYTE_TARGET = 4, /* may stand in a request target: visible ASCII */
    BYTE_HOST = 8,   /* may stand in a Host field: uri-host and port (RFC 3986, 3.2.2) */
};
extern const uint8_t http_byte_class[256];

static inline bool byte_is(uint8_t c, unsigned classes)
{
    return (http_byte_class[c] & classes) != 0;
}

/* Index of the first byte at or after from that is of none of the classes; v.len when there is
 * none. */
static inline size_t view_span(struct view v, size_t from, unsigned classes)
{
    while (from < v.len && byte_is(v.at[from], classes))
        from++;
    return from;
}

/* Room for at most 40 escaped bytes of a peer's text in an error. */
enum { SHOWN_BYTES = 41 };
