/* encode: the head of a frame that we send (RFC 6455, 5.2), its length in the shortest form. */
#include "ws/ws.h"

#include <string.h>

enum { FIN_BIT = 0x80, MASK_BIT = 0x80, LENGTH_16 = 126, LENGTH_64 = 127, MASK_BYTES = 4 };

static size_t head_write(unsigned first, unsigned mask_bit, uint64_t len, uint8_t *out);

size_t ws_frame_head(enum ws_opcode opcode, uint64_t len, uint8_t out[static 10])
{
    return head_write(FIN_BIT | (unsigned)opcode, 0, len, out);
}

size_t ws_frame_head_masked(enum ws_opcode opcode, bool fin, uint64_t len,
                            const uint8_t mask[static 4], uint8_t out[static WS_HEAD_MAX])
{
    size_t n = head_write((fin ? FIN_BIT : 0u) | (unsigned)opcode, MASK_BIT, len, out);

    memcpy(out + n, mask, MASK_BYTES);
    return n + MASK_BYTES;
}

static size_t head_write(unsigned first, unsigned mask_bit, uint64_t len, uint8_t *out)
{
    out[0] = (uint8_t)first;
    if (len < LENGTH_16) {
        out[1] = (uint8_t)(mask_bit | len);
        return 2;
    }
    if (len <= UINT16_MAX) {
        out[1] = (uint8_t)(mask_bit | LENGTH_16);
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        return 4;
    }
    out[1] = (uint8_t)(mask_bit | LENGTH_64);
    for (unsigned i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)(len >> (56 - 8 * i));
    return 10;
}
