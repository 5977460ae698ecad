#include "base/codec.h"

#include "base/poison.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(struct view v, const char *alphabet, bool padded, char *out)
{
    size_t i = 0;

    for (; v.len - i >= 3; i += 3) {
        uint32_t word = (uint32_t)v.at[i] << 16 | (uint32_t)v.at[i + 1] << 8 | v.at[i + 2];

        *out++ = alphabet[word >> 18];
        *out++ = alphabet[word >> 12 & 63];
        *out++ = alphabet[word >> 6 & 63];
        *out++ = alphabet[word & 63];
    }
    if (v.len - i) {
        uint32_t word = (uint32_t)v.at[i] << 16 | (v.len - i == 2 ? (uint32_t)v.at[i + 1] << 8 : 0);

        *out++ = alphabet[word >> 18];
        *out++ = alphabet[word >> 12 & 63];
        if (v.len - i == 2)
            *out++ = alphabet[word >> 6 & 63];
        else if (padded)
            *out++ = '=';
        if (padded)
            *out++ = '=';
    }
    *out = '\0';
    return out;
}

static int value_of(uint8_t c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == (uint8_t)alphabet[62] ? 62 : c == (uint8_t)alphabet[63] ? 63 : -1;
}

/* text: the significant characters, without padding. */
static bool decode(struct view text, const char *alphabet, uint8_t *out, size_t *len)
{
    size_t need = text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0), n = 0;
    uint32_t word = 0;
    unsigned bits = 0;

    if (text.len % 4 == 1 || need > *len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.at[i], alphabet);

        if (value < 0)
            return false;
        word = word << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(word >> bits);
        }
    }
    if (bits && (word & ((1u << bits) - 1)))
        return false; /* unused bits must be zero (RFC 4648, 3.5) */
    *len = n;
    return true;
}

void base64_encode(struct view v, char *out)
{
    (void)encode(v, standard, true, out);
}

void base64url_encode(struct view v, char *out)
{
    (void)encode(v, url_safe, false, out);
}

bool base64_decode(struct view text, uint8_t *out, size_t *len)
{
    size_t padding = 0;

    if (text.len % 4)
        return false;
    while (padding < 2 && padding < text.len && text.at[text.len - 1 - padding] == '=')
        padding++;
    return decode(view_first(text, text.len - padding), standard, out, len);
}

bool base64url_decode(struct view text, uint8_t *out, size_t *len)
{
    return decode(text, url_safe, out, len);
}

void hex_encode(struct view v, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < v.len; i++) {
        *out++ = digits[v.at[i] >> 4];
        *out++ = digits[v.at[i] & 15];
    }
    *out = '\0';
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(struct view text, uint8_t *out, size_t len)
{
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = nibble(text.at[2 * i]), low = nibble(text.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* state: continuation bytes still to come; code: the least and (in the next byte) the greatest value that
 * the next one may have (Unicode, table 3-7): that is where overlong forms, surrogates and what lies
 * beyond U+10FFFF are told. */
static bool utf8_begin(struct utf8 *u, uint8_t c)
{
    uint32_t least = 0x80, most = 0xBF;

    if (c < 0x80)
        return true;
    if (c < 0xC2 || c > 0xF4)
        return false;
    u->state = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    if (c == 0xE0)
        least = 0xA0;
    else if (c == 0xED)
        most = 0x9F;
    else if (c == 0xF0)
        least = 0x90;
    else if (c == 0xF4)
        most = 0x8F;
    u->code = least | most << 8;
    return true;
}

static bool utf8_continue(struct utf8 *u, uint8_t c)
{
    if (c < (u->code & 0xFF) || c > u->code >> 8)
        return false;
    u->code = 0x80 | 0xBF << 8;
    u->state--;
    return true;
}

static bool eight_ascii(const uint8_t *at)
{
    uint64_t x;

    memcpy(&x, at, sizeof x);
    return !(x & 0x8080808080808080);
}

bool utf8_feed(struct utf8 *u, struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c;

        while (!u->state && bytes.len - i > 8 && eight_ascii(bytes.at + i))
            i += 8;
        c = bytes.at[i];
        if (u->state ? !utf8_continue(u, c) : !utf8_begin(u, c))
            return false;
    }
    return true;
}

bool utf8_valid(struct view v)
{
    struct utf8 u = {0};

    return utf8_feed(&u, v) && utf8_complete(&u);
}

size_t utf8_first(struct view v, uint32_t *code)
{
    struct utf8 u = {0};
    size_t n = 0;
    uint32_t c;

    if (v.len && v.at[0] < 0x80) {
        *code = v.at[0];
        return 1;
    }
    do {
        if (n == v.len || !utf8_feed(&u, view_from(v.at + n, 1)))
            return 0;
        n++;
    } while (!utf8_complete(&u));
    c = v.at[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (v.at[i] & 0x3Fu);
    *code = c;
    return n;
}
