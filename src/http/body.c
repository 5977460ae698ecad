/* body: where a message ends (RFC 9112, 6 and 7). */
#include "http/http_priv.h"

#include "base/text.h"

/* What the next byte of a chunked body is. */
enum state {
    SIZE,          /* a digit of the chunk size, or what ends it */
    EXTENSION,     /* of the size line; read over */
    SIZE_LF,       /* LF of the size line */
    DATA,          /* of the chunk */
    DATA_CR,       /* the line end behind the data */
    DATA_LF,       /* */
    TRAILER_START, /* first byte of a trailer line or of the last, empty line */
    TRAILER_NAME,  /* up to the colon */
    TRAILER_VALUE, /* up to CR */
    TRAILER_LF,    /* */
    END_LF,        /* LF of the last, empty line */
};

enum {
    SIZE_DIGITS_MAX = 16,
    SIZE_LINE_BYTES_MAX = 256,               /* nobody's extensions are longer */
    TRAILER_BYTES_MAX = HTTP_LINE_BYTES_MAX, /* all of them together */
};

static bool length_plan(const struct http_head *h, bool *given, uint64_t *length, struct err *err);
static bool chunked_plan(const struct http_head *h, bool *chunked, struct err *err);
static bool bodyless(const struct http_head *h, bool response, struct view request_method);
static bool chunk_byte(struct http_body *b, uint8_t c, struct err *err);
static bool size_byte(struct http_body *b, uint8_t c, struct err *err);
static bool trailer_byte(struct http_body *b, uint8_t c, struct err *err);
static bool unexpected(const char *expected, uint8_t c, struct err *err);

bool http_body_plan(const struct http_head *h, bool response, struct view request_method,
                    struct http_body *out, struct err *err)
{
    bool given = false, chunked = false;
    uint64_t length = 0;

    if (!length_plan(h, &given, &length, err) || !chunked_plan(h, &chunked, err))
        return false;
    if (given && chunked)
        return err_set(err, ERR_SYNTAX, "Content-Length beside Transfer-Encoding");
    *out = (struct http_body){.kind = HTTP_BODY_NONE};
    /* One rule of RFC 9112, 6.3 a branch. NOLINTNEXTLINE(bugprone-branch-clone) */
    if (bodyless(h, response, request_method)) {
        out->done = true;
    } else if (chunked) {
        out->kind = HTTP_BODY_CHUNKED;
        out->state = SIZE;
    } else if (given) {
        out->kind = HTTP_BODY_LENGTH;
        out->left = length;
        out->done = length == 0;
    } else if (response) {
        out->kind = HTTP_BODY_UNTIL_CLOSE;
    } else {
        out->done = true;
    }
    return true;
}

/* One Content-Length, or several that are equal to the letter. */
static bool length_plan(const struct http_head *h, bool *given, uint64_t *length, struct err *err)
{
    const struct http_field *first = NULL;

    for (size_t i = 0; i < h->count; i++) {
        const struct http_field *field = &h->fields[i];

        if (!view_eq_nocase(field->name, VIEW("Content-Length")))
            continue;
        if (!text_u64(field->value, INT64_MAX, false, length))
            return err_set(err, ERR_SYNTAX, "line %zu: field \"Content-Length\": expected digits",
                           i + 2);
        if (first && !view_eq(first->value, field->value))
            return err_set(err, ERR_SYNTAX,
                           "line %zu: field \"Content-Length\": expected the same as before",
                           i + 2);
        first = field;
    }
    *given = first != NULL;
    return true;
}

static bool chunked_plan(const struct http_head *h, bool *chunked, struct err *err)
{
    struct view coding;

    *chunked = http_field_count(h, VIEW("Transfer-Encoding")) > 0;
    if (!*chunked)
        return true;
    if (h->minor == 0)
        return err_set(err, ERR_SYNTAX, "field \"Transfer-Encoding\": expected none in HTTP/1.0");
    if (!http_field(h, VIEW("Transfer-Encoding"), &coding) ||
        !view_eq_nocase(coding, VIEW("chunked")))
        return err_set(err, ERR_SYNTAX, "field \"Transfer-Encoding\": expected chunked, once");
    return true;
}

/* Responses that end with their head, whatever their fields say (RFC 9112, 6.3, 1 and 2). */
static bool bodyless(const struct http_head *h, bool response, struct view request_method)
{
    if (!response)
        return false;
    return h->status < 200 || h->status == 204 || h->status == 304 ||
           view_eq(request_method, VIEW("HEAD")) ||
           (view_eq(request_method, VIEW("CONNECT")) && h->status < 300);
}

bool http_body_feed(struct http_body *b, struct view *in, struct view *piece, struct err *err)
{
    size_t n;

    *piece = view_first(*in, 0);
    while (b->kind == HTTP_BODY_CHUNKED && b->state != DATA && !b->done && in->len) {
        if (!chunk_byte(b, in->at[0], err))
            return false;
        *in = view_skip(*in, 1);
    }
    if (b->done || in->len == 0)
        return true;
    n = in->len;
    if (b->kind != HTTP_BODY_UNTIL_CLOSE) {
        n = n < b->left ? n : (size_t)b->left;
        b->left -= n;
    }
    *piece = view_first(*in, n);
    *in = view_skip(*in, n);
    if (b->kind == HTTP_BODY_LENGTH)
        b->done = b->left == 0;
    if (b->kind == HTTP_BODY_CHUNKED && b->left == 0)
        b->state = DATA_CR;
    return true;
}

/* A byte of the syntax around the data. */
static bool chunk_byte(struct http_body *b, uint8_t c, struct err *err)
{
    switch ((enum state)b->state) {
    case SIZE:
    case EXTENSION:
        return size_byte(b, c, err);
    case SIZE_LF:
        if (c != '\n')
            return unexpected("LF after the chunk size", c, err);
        b->line = 0;
        b->state = b->left ? DATA : TRAILER_START;
        return true;
    case DATA_CR:
        b->state = DATA_LF;
        return c == '\r' || unexpected("CR LF after the chunk", c, err);
    case DATA_LF:
        b->state = SIZE;
        return c == '\n' || unexpected("CR LF after the chunk", c, err);
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
        return trailer_byte(b, c, err);
    case END_LF:
        b->done = c == '\n';
        return b->done || unexpected("LF at the end of the body", c, err);
    case DATA:
        break;
    }
    return true;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool size_byte(struct http_body *b, uint8_t c, struct err *err)
{
    int digit = b->state == SIZE ? hex_digit(c) : -1;

    if (digit >= 0 && b->line < SIZE_DIGITS_MAX && b->left <= (uint64_t)INT64_MAX >> 4) {
        b->left = b->left << 4 | (unsigned)digit;
        b->line++;
        return true;
    }
    if (digit >= 0)
        return err_set(err, ERR_SYNTAX, "chunk size does not fit in 63 bits");
    if (b->line == 0)
        return unexpected("a chunk size in hexadecimal", c, err);
    if (c == '\r') {
        b->state = SIZE_LF;
        return true;
    }
    if (b->state == SIZE && c != ';')
        return unexpected("';' or CR LF after the chunk size", c, err);
    if (!byte_is(c, BYTE_VALUE))
        return unexpected("text in the chunk extension", c, err);
    b->state = EXTENSION;
    if (++b->line > SIZE_LINE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "chunk size line longer than %d bytes", SIZE_LINE_BYTES_MAX);
    return true;
}

/* Trailers are checked like fields, and read over. */
static bool trailer_byte(struct http_body *b, uint8_t c, struct err *err)
{
    if (b->state == TRAILER_LF) {
        b->state = TRAILER_START;
        return c == '\n' || unexpected("LF after CR in a trailer", c, err);
    }
    if (b->state == TRAILER_START) {
        if (c == '\r') {
            b->state = END_LF;
            return true;
        }
        if (++b->trailers > HTTP_FIELDS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d trailers", HTTP_FIELDS_MAX);
        if (!byte_is(c, BYTE_TOKEN))
            return unexpected("a trailer's name or the end of the body", c, err);
        b->state = TRAILER_NAME;
    }
    if (++b->line > TRAILER_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "trailers longer than %d bytes", TRAILER_BYTES_MAX);
    if (b->state == TRAILER_VALUE && c == '\r')
        b->state = TRAILER_LF;
    else if (b->state == TRAILER_NAME && c == ':')
        b->state = TRAILER_VALUE;
    else if (!byte_is(c, b->state == TRAILER_NAME ? BYTE_TOKEN : BYTE_VALUE))
        return unexpected(b->state == TRAILER_NAME ? "':' right after the trailer's name"
                                                   : "text and CR LF in a trailer",
                          c, err);
    return true;
}

/* Always false. */
static bool unexpected(const char *expected, uint8_t c, struct err *err)
{
    return err_set(err, ERR_SYNTAX, "expected %s, got byte 0x%02x", expected, c);
}
