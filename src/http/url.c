/* url: what a request target names (RFC 9112, 3.2) and what its query says (WHATWG URL, 5.1). */
#include "http/http_priv.h"

#include "base/codec.h"
#include "base/text.h"

static bool authority_ok(struct view authority);
static bool scheme_ok(struct view scheme);
static bool absolute_split(struct view target, struct http_target *out);
static void path_split(struct view rest, struct http_target *out);
static bool name_is(struct view raw, struct view name);
static size_t next_character(struct view *raw, uint8_t out[static 4]);

bool http_authority_split(struct view authority, struct view *host, uint16_t *port)
{
    struct view name, rest;
    uint64_t n = *port;
    size_t end;

    if (authority.len && authority.at[0] == '[') {
        end = view_find(authority, ']');
        name = view_first(view_skip(authority, 1), end - 1);
        rest = view_skip(authority, end + 1);
        if (end == authority.len)
            return false;
    } else {
        end = view_find(authority, ':');
        name = view_first(authority, end);
        rest = view_skip(authority, end);
    }
    if (!name.len || (rest.len && (rest.at[0] != ':' ||
                                   !text_u64(view_skip(rest, 1), UINT16_MAX, false, &n) || !n)))
        return false;
    *host = name;
    *port = (uint16_t)n;
    return true;
}

bool http_target_split(struct view target, struct http_target *out, struct err *err)
{
    struct http_target split = {.form = HTTP_ORIGIN_FORM};

    if (target.len == 0 || view_span(target, 0, BYTE_TARGET) != target.len)
        return err_set(err, ERR_SYNTAX, "request target: expected visible ASCII");
    if (view_find(target, '#') != target.len)
        return err_set(err, ERR_SYNTAX, "request target: expected no fragment, got '#'");
    if (target.at[0] == '/') {
        path_split(target, &split);
    } else if (view_eq(target, VIEW("*"))) {
        split.form = HTTP_ASTERISK_FORM;
    } else if (!absolute_split(target, &split)) {
        if (view_find(target, ':') == target.len || !authority_ok(target))
            return err_set(err, ERR_SYNTAX,
                           "request target: expected \"/path\", \"http://host/path\""
                           ", \"host:port\" or \"*\"");
        split.form = HTTP_AUTHORITY_FORM;
        split.authority = target;
    }
    *out = split;
    return true;
}

/* A host with an optional port. User names and passwords before '@' have no place here. */
static bool authority_ok(struct view authority)
{
    return authority.len > 0 && view_span(authority, 0, BYTE_HOST) == authority.len;
}

/* scheme "://" authority, then the path and the query. */
static bool absolute_split(struct view target, struct http_target *out)
{
    size_t colon = view_find(target, ':'), end = 0;
    struct view rest = view_skip(target, colon);

    if (!view_starts(rest, VIEW("://")) || !scheme_ok(view_first(target, colon)))
        return false;
    rest = view_skip(rest, 3);
    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?')
        end++;
    if (!authority_ok(view_first(rest, end)))
        return false;
    out->form = HTTP_ABSOLUTE_FORM;
    out->authority = view_first(rest, end);
    path_split(view_skip(rest, end), out);
    if (out->path.len == 0)
        out->path = VIEW("/");
    return true;
}

/* http, https, ws, wss: letters only. */
static bool scheme_ok(struct view scheme)
{
    for (size_t i = 0; i < scheme.len; i++)
        if (ascii_lower(scheme.at[i]) < 'a' || ascii_lower(scheme.at[i]) > 'z')
            return false;
    return scheme.len > 0;
}

static void path_split(struct view rest, struct http_target *out)
{
    size_t mark = view_find(rest, '?');

    out->path = view_first(rest, mark);
    if (mark < rest.len)
        out->query = view_skip(rest, mark + 1);
}

bool http_query_first(struct view query, struct view name, uint8_t *out, size_t room, size_t *len)
{
    struct view pair;

    while (view_next(&query, '&', &pair)) {
        size_t equals = view_find(pair, '='), total = 0, n;
        struct view value = view_skip(pair, equals + 1);
        uint8_t character[4];

        if (pair.len == 0 || !name_is(view_first(pair, equals), name))
            continue;
        while ((n = next_character(&value, character))) {
            if (total < room)
                memcpy(out + total, character, n < room - total ? n : room - total);
            total += n;
        }
        *len = total;
        return true;
    }
    return false;
}

static bool name_is(struct view raw, struct view name)
{
    uint8_t character[4];
    size_t n;

    while ((n = next_character(&raw, character))) {
        if (!view_starts(name, (struct view){character, n}))
            return false;
        name = view_skip(name, n);
    }
    return name.len == 0;
}

/* Takes one byte of decoded text out of *raw: '+' is a blank, a malformed '%' stands for itself. */
static bool next_byte(struct view *raw, uint8_t *out)
{
    if (raw->len == 0)
        return false;
    if (raw->at[0] == '%' && raw->len >= 3 && hex_decode((struct view){raw->at + 1, 2}, out, 1)) {
        *raw = view_skip(*raw, 3);
        return true;
    }
    *out = raw->at[0] == '+' ? ' ' : raw->at[0];
    *raw = view_skip(*raw, 1);
    return true;
}

/* Bytes of the character that begins so, 0 when none does; the range of its second byte. */
static size_t character_bytes(uint8_t first, uint8_t *least, uint8_t *most)
{
    *least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Takes one character of decoded text out of *raw: its bytes, 0 at the end. As much of a broken
 * character as could have begun one becomes one U+FFFD (Unicode, 3.9, "maximal subparts"). */
static size_t next_character(struct view *raw, uint8_t out[static 4])
{
    static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};
    uint8_t least, most;
    size_t bytes;

    if (!next_byte(raw, &out[0]))
        return 0;
    bytes = character_bytes(out[0], &least, &most);
    for (size_t i = 1; i < bytes; i++) {
        struct view ahead = *raw;

        if (!next_byte(&ahead, &out[i]) || out[i] < least || out[i] > most) {
            bytes = 0;
            break;
        }
        *raw = ahead;
        least = 0x80;
        most = 0xbf;
    }
    if (bytes)
        return bytes;
    memcpy(out, replacement, sizeof replacement);
    return sizeof replacement;
}
