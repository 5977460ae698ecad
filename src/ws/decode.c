/* decode: frames out of a stream of bytes (RFC 6455, 5.2). */
#include "ws/ws.h"

#include <string.h>

enum state { AT_HEAD, IN_PAYLOAD, AT_END, FAILED };

enum {
    FIN_BIT = 0x80,
    RSV_BITS = 0x70,
    OPCODE_BITS = 0x0f,
    CONTROL_BIT = 0x08,
    MASK_BIT = 0x80,
    LENGTH_BITS = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    MASK_BYTES = 4,
};

static enum ws_event decode_head(struct ws_decoder *d, struct view *in);
static enum ws_event collect_head(struct ws_decoder *d, struct view *in);
static bool first_byte_ok(struct ws_decoder *d, uint8_t first);
static bool second_byte_ok(struct ws_decoder *d, uint8_t first, uint8_t second);
static bool length_ok(struct ws_decoder *d, const uint8_t *head);
static void frame_begin(struct ws_decoder *d, const uint8_t *head, size_t need);
static bool fail(struct ws_decoder *d, unsigned code, const char *reason);

void ws_decoder_init(struct ws_decoder *d, enum ws_role role, uint64_t frame_max)
{
    *d = (struct ws_decoder){.role = (uint8_t)role, .frame_max = frame_max ? frame_max : INT64_MAX};
}

enum ws_event ws_decode(struct ws_decoder *d, struct view *in, struct view *payload,
                        unsigned *phase)
{
    size_t n;

    switch ((enum state)d->state) {
    case AT_HEAD:
        return decode_head(d, in);
    case IN_PAYLOAD:
        if (in->len == 0)
            return WS_NEED_MORE;
        n = in->len < d->left ? in->len : (size_t)d->left;
        *payload = (struct view){in->at, n};
        *phase = d->phase;
        d->phase = (uint8_t)((d->phase + n) & 3);
        d->left -= n;
        if (d->left == 0)
            d->state = AT_END;
        *in = (struct view){in->at + n, in->len - n};
        return WS_PAYLOAD;
    case AT_END:
        d->state = AT_HEAD;
        return WS_FRAME_END;
    case FAILED:
        break;
    }
    return WS_FAILED;
}

/* Bytes of a head whose second byte is this. */
static inline size_t head_bytes(uint8_t second)
{
    unsigned length = second & LENGTH_BITS;

    return 2 +
           (length == LENGTH_16   ? 2u
            : length == LENGTH_64 ? 8u
                                  : 0u) +
           (second & MASK_BIT ? (size_t)MASK_BYTES : 0u);
}

/* The usual case is a head that lies whole in *in: it is read where it is. */
static enum ws_event decode_head(struct ws_decoder *d, struct view *in)
{
    const uint8_t *head = in->at;
    size_t need;

    if (d->head_len || in->len < 2 || in->len < (need = head_bytes(head[1])))
        return collect_head(d, in);
    if (!first_byte_ok(d, head[0]) || !second_byte_ok(d, head[0], head[1]) || !length_ok(d, head))
        return WS_FAILED;
    frame_begin(d, head, need);
    *in = (struct view){head + need, in->len - need};
    return WS_HEAD;
}

/* A head that straddles reads goes through d->head, byte by byte. Every byte is judged as soon as
 * it is there, in the order in which the short way judges a whole head. */
static enum ws_event collect_head(struct ws_decoder *d, struct view *in)
{
    while (in->len) {
        size_t need;

        d->head[d->head_len++] = in->at[0];
        *in = (struct view){in->at + 1, in->len - 1};
        if (d->head_len == 1) {
            if (!first_byte_ok(d, d->head[0]))
                return WS_FAILED;
            continue;
        }
        if (d->head_len == 2 && !second_byte_ok(d, d->head[0], d->head[1]))
            return WS_FAILED;
        need = head_bytes(d->head[1]);
        if (d->head_len == need - (d->head[1] & MASK_BIT ? MASK_BYTES : 0) &&
            !length_ok(d, d->head))
            return WS_FAILED;
        if (d->head_len == need) {
            d->head_len = 0;
            frame_begin(d, d->head, need);
            return WS_HEAD;
        }
    }
    return WS_NEED_MORE;
}

static bool first_byte_ok(struct ws_decoder *d, uint8_t first)
{
    unsigned opcode = first & OPCODE_BITS;

    if (first & RSV_BITS)
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "reserved bit set, but no extension was agreed on");
    if (opcode & CONTROL_BIT) {
        if (opcode > WS_PONG)
            return fail(d, WS_CLOSE_PROTOCOL_ERROR, "unknown opcode of a control frame");
        if (!(first & FIN_BIT))
            return fail(d, WS_CLOSE_PROTOCOL_ERROR, "fragmented control frame");
        return true;
    }
    if (opcode > WS_BINARY)
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "unknown opcode of a data frame");
    if (opcode == WS_CONTINUATION && !d->fragmented)
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "continuation without a message to continue");
    if (opcode != WS_CONTINUATION && d->fragmented)
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "new message inside a fragmented message");
    return true;
}

static bool second_byte_ok(struct ws_decoder *d, uint8_t first, uint8_t second)
{
    if (d->role == WS_SERVER && !(second & MASK_BIT))
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "unmasked frame from a client");
    if (d->role == WS_CLIENT && (second & MASK_BIT))
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "masked frame from a server");
    if ((first & CONTROL_BIT) && (second & LENGTH_BITS) > WS_CONTROL_MAX)
        return fail(d, WS_CLOSE_PROTOCOL_ERROR, "control frame longer than 125 bytes");
    return true;
}

static inline uint64_t be16(const uint8_t *at)
{
    return (uint64_t)at[0] << 8 | at[1];
}

static inline uint64_t be64(const uint8_t *at)
{
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
           (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | (uint64_t)at[7];
}

/* Reads the length into d->left. */
static bool length_ok(struct ws_decoder *d, const uint8_t *head)
{
    uint64_t length = head[1] & LENGTH_BITS;

    if (length == LENGTH_16) {
        length = be16(head + 2);
        if (length < LENGTH_16)
            return fail(d, WS_CLOSE_PROTOCOL_ERROR, "length not in its shortest form");
    } else if (length == LENGTH_64) {
        length = be64(head + 2);
        if (length > INT64_MAX)
            return fail(d, WS_CLOSE_PROTOCOL_ERROR, "length with its top bit set");
        if (length <= UINT16_MAX)
            return fail(d, WS_CLOSE_PROTOCOL_ERROR, "length not in its shortest form");
    }
    if (length > d->frame_max && !(head[0] & CONTROL_BIT))
        return fail(d, WS_CLOSE_TOO_BIG, "frame longer than the limit");
    d->left = length;
    return true;
}

/* The head has been judged good: takes over what it says. */
static void frame_begin(struct ws_decoder *d, const uint8_t *head, size_t need)
{
    d->opcode = head[0] & OPCODE_BITS;
    d->fin = (head[0] & FIN_BIT) != 0;
    if (!(d->opcode & CONTROL_BIT)) {
        if (d->opcode != WS_CONTINUATION)
            d->message = d->opcode;
        d->fragmented = !d->fin;
    }
    if (head[1] & MASK_BIT)
        memcpy(d->mask, head + need - MASK_BYTES, MASK_BYTES);
    d->phase = 0;
    d->state = d->left ? IN_PAYLOAD : AT_END;
}

/* Always false. */
static bool fail(struct ws_decoder *d, unsigned code, const char *reason)
{
    d->state = FAILED;
    d->close_code = (uint16_t)code;
    d->reason = reason;
    return false;
}
