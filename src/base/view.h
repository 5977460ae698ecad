/* view: bytes that belong to somebody else. A pointer and a length, passed by value.
 *
 * A view is lent: it is good as long as the bytes it points at are. Nothing here allocates, nothing
 * here needs a terminating NUL, and an empty view may have any pointer, NULL included. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct view {
    const uint8_t *at;
    size_t len;
};

/* A string literal as a view: VIEW("GET"). */
#define VIEW(literal) ((struct view){(const uint8_t *)("" literal), sizeof(literal) - 1})
/* A view as the two arguments of "%.*s". */
#define VIEW_ARG(v) (int)(v).len, (const char *)(v).at

static inline struct view view_from(const void *at, size_t len)
{
    return (struct view){at, len};
}

/* text: a C string, or NULL for the empty view. */
static inline struct view view_str(const char *text)
{
    return (struct view){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool view_eq(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Equal but for the case of ASCII letters. */
static inline bool view_eq_nocase(struct view a, struct view b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    return true;
}

static inline bool view_starts(struct view v, struct view prefix)
{
    return v.len >= prefix.len && view_eq((struct view){v.at, prefix.len}, prefix);
}

static inline bool view_ends(struct view v, struct view suffix)
{
    return v.len >= suffix.len &&
           view_eq((struct view){v.at + (v.len - suffix.len), suffix.len}, suffix);
}

/* v without its first n bytes (n is clipped to v.len). */
static inline struct view view_skip(struct view v, size_t n)
{
    if (n > v.len)
        n = v.len;
    return (struct view){v.len ? v.at + n : v.at, v.len - n};
}

/* The first n bytes of v (n is clipped to v.len). */
static inline struct view view_first(struct view v, size_t n)
{
    return (struct view){v.at, n < v.len ? n : v.len};
}

/* Index of the first byte c, or v.len when there is none. */
static inline size_t view_find(struct view v, uint8_t c)
{
    const uint8_t *hit = v.len ? memchr(v.at, c, v.len) : NULL;

    return hit ? (size_t)(hit - v.at) : v.len;
}

/* Index of the last byte c, or v.len when there is none. */
static inline size_t view_find_last(struct view v, uint8_t c)
{
    for (size_t i = v.len; i > 0; i--)
        if (v.at[i - 1] == c)
            return i - 1;
    return v.len;
}

/* v holds needle somewhere. */
static inline bool view_find_text(struct view v, struct view needle)
{
    return v.len >= needle.len && needle.len && memmem(v.at, v.len, needle.at, needle.len) != NULL;
}

/* Takes the piece before the next sep (or all that is left) out of *rest. False when *rest was
 * used up: "a,,b" gives "a", "", "b"; "" gives one empty piece. Start with rest->at not NULL. */
static inline bool view_next(struct view *rest, uint8_t sep, struct view *piece)
{
    size_t n;

    if (!rest->at)
        return false;
    n = view_find(*rest, sep);
    *piece = (struct view){rest->at, n};
    if (n == rest->len)
        *rest = (struct view){NULL, 0};
    else
        *rest = view_skip(*rest, n + 1);
    return true;
}

/* v without the blanks (space, tab) at both ends: HTTP's OWS (RFC 9110, 5.6.3). */
static inline struct view view_trim_ows(struct view v)
{
    while (v.len && (v.at[0] == ' ' || v.at[0] == '\t'))
        v = view_skip(v, 1);
    while (v.len && (v.at[v.len - 1] == ' ' || v.at[v.len - 1] == '\t'))
        v.len--;
    return v;
}
