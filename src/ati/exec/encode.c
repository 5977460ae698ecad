#include "ati/exec/place.h"

#include "base/poison.h"

static bool alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool hex_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

/* The first byte of text stays as it is. */
static bool stays(struct view text, enum place_octets octets)
{
    static const char *const marks[] = {
        [OCTETS_FORM] = "*-._",
        [OCTETS_PATH] = "-_.~",
        [OCTETS_RESERVED] = "-._~:/?[]@!$'()*,;",
        [OCTETS_COOKIE] = "!#$&'()*+-./:<=>?@[]^_`{|}~",
        [OCTETS_URL] = "-._~:/?#[]@!$&'()*+,;=%",
        [OCTETS_ALL] = "",
    };
    uint8_t c = text.at[0];

    if (octets == OCTETS_ALL || alphanumeric(c))
        return true;
    if (octets == OCTETS_RESERVED && c == '%')
        return text.len > 2 && hex_digit(text.at[1]) && hex_digit(text.at[2]);
    return c && strchr(marks[octets], c);
}

bool place_encode(struct buf *out, struct view text, enum place_octets octets, struct err *err)
{
    static const char digits[] = "0123456789ABCDEF";

    while (text.len) {
        uint8_t escape[3] = {'%', (uint8_t)digits[text.at[0] >> 4],
                             (uint8_t)digits[text.at[0] & 15]};
        size_t n = 0;
        bool good;

        while (n < text.len && stays(view_skip(text, n), octets))
            n++;
        if (n)
            good = buf_append(out, view_first(text, n), err);
        else if (text.at[0] == ' ' && octets == OCTETS_FORM)
            good = buf_append_byte(out, '+', err);
        else
            good = buf_append(out, view_from(escape, sizeof escape), err);
        if (!good)
            return false;
        text = view_skip(text, n ? n : 1);
    }
    return true;
}
