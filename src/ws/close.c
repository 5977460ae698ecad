/* close: what may stand in a Close frame (RFC 6455, 5.5.1 and 7.4). */
#include "ws/ws.h"

#include "base/check.h"
#include "base/codec.h"

#include <string.h>

enum { CODE_BYTES = 2, FRAME_HEAD_BYTES = 2 };

static size_t cut_reason(const char *reason);

bool ws_close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

bool ws_close_parse(struct view payload, unsigned *code, struct view *reason)
{
    unsigned said;

    if (payload.len == 0) {
        *code = WS_CLOSE_NO_STATUS;
        *reason = payload;
        return true;
    }
    *code = WS_CLOSE_PROTOCOL_ERROR;
    if (payload.len < CODE_BYTES || payload.len > WS_CONTROL_MAX)
        return false;
    said = (unsigned)payload.at[0] << 8 | payload.at[1];
    if (!ws_close_code_valid(said))
        return false;
    *code = WS_CLOSE_INVALID_DATA;
    if (!utf8_valid(view_skip(payload, CODE_BYTES)))
        return false;
    *code = said;
    *reason = view_skip(payload, CODE_BYTES);
    return true;
}

size_t ws_close_frame(unsigned code, const char *reason, uint8_t out[static 2 + WS_CONTROL_MAX])
{
    size_t n;

    if (code == WS_CLOSE_NO_STATUS)
        return ws_frame_head(WS_CLOSE, 0, out);
    CHECK(ws_close_code_valid(code));
    n = cut_reason(reason);
    (void)ws_frame_head(WS_CLOSE, CODE_BYTES + n, out);
    out[FRAME_HEAD_BYTES] = (uint8_t)(code >> 8);
    out[FRAME_HEAD_BYTES + 1] = (uint8_t)code;
    if (n)
        memcpy(out + FRAME_HEAD_BYTES + CODE_BYTES, reason, n);
    return FRAME_HEAD_BYTES + CODE_BYTES + n;
}

/* Bytes of the reason that fit; a character of UTF-8 stays whole. */
static size_t cut_reason(const char *reason)
{
    size_t n = reason ? strlen(reason) : 0;

    if (n <= WS_REASON_MAX)
        return n;
    n = WS_REASON_MAX;
    while (n && ((unsigned char)reason[n] & 0xc0) == 0x80)
        n--;
    return n;
}
