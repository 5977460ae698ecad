/* chunk: the worker's byte buffers. Taken when bytes are in hand, given back when they have left.
 *
 * Pooled chunks hold CHUNK_BYTES and are kept for reuse, last in first out: while everybody drains, one
 * chunk serves all tunnels of a worker and stays in its cache. What a stalled reader leaves over is
 * moved to a chunk of just its size. All of it counts against one ceiling. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "bridge/stats.h"

enum {
    CHUNK_HEAD_ROOM = 16,     /* before the bytes: a frame's head goes there */
    CHUNK_BYTES = 512 * 1024, /* larger reads make a byte cheaper, until they leave L2 */
    CHUNKS_KEPT = 4,          /* idle pooled chunks that keep their pages */
};

struct chunk {
    struct chunk *next;
    uint32_t head, tail, size; /* content is bytes[head, tail) */
    bool pooled;
    uint8_t bytes[]; /* CHUNK_HEAD_ROOM + size */
};

struct chunk_pool {
    struct chunk *idle;
    unsigned idle_count;
    uint64_t bytes_in_use, bytes_max;
    struct worker_stats *stats;
    bool wanted; /* somebody waits: call freed when bytes come back */
    void (*freed)(struct chunk_pool *pool);
};

void chunk_pool_init(struct chunk_pool *pool, uint64_t bytes_max, struct worker_stats *stats);
void chunk_pool_done(struct chunk_pool *pool);
/* Would so many bytes stay below the ceiling? */
static inline bool chunk_room(const struct chunk_pool *pool, uint64_t bytes)
{
    return pool->bytes_in_use + bytes <= pool->bytes_max;
}
/* A pooled chunk, empty, head = tail = CHUNK_HEAD_ROOM. NULL at the ceiling or without memory. */
struct chunk *chunk_take(struct chunk_pool *pool);
/* A chunk of its own size with these bytes in it; not refused at the ceiling, which only takes off the
 * next reads. NULL without memory. */
struct chunk *chunk_copy(struct chunk_pool *pool, const void *at, uint32_t n, uint32_t room);
void chunk_give(struct chunk_pool *pool, struct chunk *c);
static inline uint32_t chunk_len(const struct chunk *c)
{
    return c->tail - c->head;
}
