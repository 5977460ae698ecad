/* relay: the inside of the bare relay, the physical yardstick. It does what a relay cannot do
 * without, one thread, level-triggered, and nothing else: no limits, no time-outs, no checks. */
#pragma once

#include "common.h"

#include <sys/uio.h>

enum {
    BARE_ROOM = 16, /* before the bytes, for a frame's head */
    BARE_PIPE_BYTES = 1 << 20,
    BARE_SPANS = 64,
    /* Smaller payloads are moved together: cheaper than a span each. */
    BARE_SPAN_BYTES = 256,
};

/* One direction. It owns a buffer or a pipe only while bytes are in it. */
struct half {
    int from, to;
    bool ended;
    uint8_t *buffer;
    struct iovec spans[BARE_SPANS];
    unsigned span, spans_used;
    int *pipe;
    size_t piped, frame_left;
    uint8_t head[BENCH_FRAME_HEAD_MAX];
    size_t head_len, head_at;
};

struct pair {
    struct half up, down;
    uint32_t up_interest, down_interest; /* of the client's and of the target's descriptor */
    bool upgraded;
    /* the frame that comes in */
    uint8_t in[BENCH_FRAME_HEAD_MAX];
    size_t in_len;
    uint64_t in_left;
    uint8_t mask[4];
    unsigned phase;
    bool in_control;
};

enum step { STEP_ON, STEP_OVER };

struct bare {
    bool framed, splices;
    size_t read_bytes;
    uint8_t **buffers;
    size_t buffers_used, buffers_room;
    int **pipes;
    size_t pipes_used, pipes_room;
};
extern struct bare bare;

uint8_t *buffer_borrow(void);
void buffer_return(uint8_t *buffer);
void pipe_return(int *ends);

/* One read and one write, or what is left of an earlier write. */
enum step half_copy(struct pair *p, struct half *h);
enum step half_splice(struct half *h, bool framed);
static inline bool half_holds(const struct half *h)
{
    return h->buffer || h->pipe;
}
void bare_memcpy(void);
