#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { HEX_PIECE_BYTES = 256 };

void json_begin(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

static void put(struct json_writer *w, struct view bytes)
{
    if (w->err.code == ERR_NONE)
        (void)!buf_append(w->out, bytes, &w->err);
}

/* The comma before a value or key, where one belongs. */
static void separate(struct json_writer *w)
{
    uint64_t bit = 1ull << w->depth;

    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->comma & bit)
        put(w, VIEW(","));
    w->comma |= bit;
}

static void open_(struct json_writer *w, struct view bracket)
{
    separate(w);
    put(w, bracket);
    CHECK(w->depth < JSON_DEEP_MAX);
    w->depth++;
    w->comma &= ~(1ull << w->depth);
}

static void close_(struct json_writer *w, struct view bracket)
{
    CHECK(w->depth > 0);
    w->depth--;
    put(w, bracket);
}

void json_object(struct json_writer *w)
{
    open_(w, VIEW("{"));
}
void json_object_end(struct json_writer *w)
{
    close_(w, VIEW("}"));
}
void json_array(struct json_writer *w)
{
    open_(w, VIEW("["));
}
void json_array_end(struct json_writer *w)
{
    close_(w, VIEW("]"));
}

/* A control as it stands in a string (RFC 8259, 7). */
static struct view escape(uint32_t code, char out[static 8])
{
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};

    out[0] = '\\';
    if (code < sizeof letters && letters[code]) {
        out[1] = letters[code];
        return view_from(out, 2);
    }
    (void)snprintf(out, 8, "\\u%04x", code);
    return view_str(out);
}

static void text(struct json_writer *w, struct view v)
{
    put(w, VIEW("\""));
    while (v.len) {
        uint32_t code = 0;
        size_t n = text_plain(v);
        char escaped[8];

        if (n) {
            put(w, view_first(v, n));
            v = view_skip(v, n);
            continue;
        }
        n = utf8_first(v, &code);
        if (!n) {
            put(w, VIEW("\xEF\xBF\xBD"));
            n = 1;
        } else if (code == '"' || code == '\\') {
            put(w, view_from((const char[]){'\\', (char)code}, 2));
        } else if (code < 0x20 || code == 0x7F) {
            put(w, escape(code, escaped));
        } else {
            put(w, view_first(v, n));
        }
        v = view_skip(v, n);
    }
    put(w, VIEW("\""));
}

void json_key(struct json_writer *w, const char *key)
{
    separate(w);
    text(w, view_str(key));
    put(w, VIEW(":"));
    w->after_key = true;
}

void json_text(struct json_writer *w, struct view value)
{
    separate(w);
    text(w, value);
}

void json_hex(struct json_writer *w, struct view bytes)
{
    char digits[2 * HEX_PIECE_BYTES + 1];

    separate(w);
    put(w, VIEW("\""));
    while (bytes.len) {
        struct view piece = view_first(bytes, HEX_PIECE_BYTES);

        hex_encode(piece, digits);
        put(w, view_from(digits, 2 * piece.len));
        bytes = view_skip(bytes, piece.len);
    }
    put(w, VIEW("\""));
}

void json_u64(struct json_writer *w, uint64_t value)
{
    char digits[TEXT_DECIMAL_MAX];

    json_raw(w, text_decimal(value, digits));
}

void json_i64(struct json_writer *w, int64_t value)
{
    char number[24];

    (void)snprintf(number, sizeof number, "%" PRId64, value);
    json_raw(w, view_str(number));
}

void json_bool(struct json_writer *w, bool value)
{
    json_raw(w, value ? VIEW("true") : VIEW("false"));
}

void json_null(struct json_writer *w)
{
    json_raw(w, VIEW("null"));
}

void json_raw(struct json_writer *w, struct view value)
{
    separate(w);
    put(w, value);
}

bool json_end(struct json_writer *w, struct err *err)
{
    CHECK(w->depth == 0);
    if (w->err.code == ERR_NONE)
        return true;
    if (err)
        *err = w->err;
    return false;
}
