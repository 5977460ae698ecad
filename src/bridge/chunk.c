#include "bridge/chunk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

enum { POOLED_MAP_BYTES = sizeof(struct chunk) + CHUNK_HEAD_ROOM + CHUNK_BYTES };

void chunk_pool_init(struct chunk_pool *pool, uint64_t bytes_max, struct worker_stats *stats)
{
    *pool = (struct chunk_pool){.bytes_max = bytes_max, .stats = stats};
}

void chunk_pool_done(struct chunk_pool *pool)
{
    while (pool->idle) {
        struct chunk *c = pool->idle;

        pool->idle = c->next;
        munmap(c, POOLED_MAP_BYTES);
    }
    pool->idle_count = 0;
}

static void account(struct chunk_pool *pool, struct chunk *c, bool taken)
{
    if (taken) {
        pool->bytes_in_use += c->size;
        metric_add(&pool->stats->buffers_in_use, 1);
        metric_add(&pool->stats->buffer_bytes, c->size);
    } else {
        CHECK(pool->bytes_in_use >= c->size);
        pool->bytes_in_use -= c->size;
        metric_sub(&pool->stats->buffers_in_use, 1);
        metric_sub(&pool->stats->buffer_bytes, c->size);
    }
}

struct chunk *chunk_take(struct chunk_pool *pool)
{
    struct chunk *c = pool->idle;

    if (pool->bytes_in_use + CHUNK_BYTES > pool->bytes_max)
        return NULL;
    if (c) {
        pool->idle = c->next;
        pool->idle_count--;
    } else {
        void *map = mmap(NULL, POOLED_MAP_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (map == MAP_FAILED)
            return NULL;
        c = map;
        c->size = CHUNK_BYTES;
        c->pooled = true;
    }
    c->next = NULL;
    c->head = c->tail = CHUNK_HEAD_ROOM;
    account(pool, c, true);
    return c;
}

struct chunk *chunk_copy(struct chunk_pool *pool, const void *at, uint32_t n, uint32_t room)
{
    struct chunk *c;

    CHECK(n <= room);
    c = malloc(sizeof *c + CHUNK_HEAD_ROOM + room);
    if (!c)
        return NULL;
    *c = (struct chunk){.head = CHUNK_HEAD_ROOM, .tail = CHUNK_HEAD_ROOM + n, .size = room};
    memcpy(c->bytes + c->head, at, n);
    account(pool, c, true);
    return c;
}

void chunk_give(struct chunk_pool *pool, struct chunk *c)
{
    account(pool, c, false);
    if (!c->pooled) {
        free(c);
    } else if (pool->idle_count < CHUNKS_KEPT) {
        c->next = pool->idle;
        pool->idle = c;
        pool->idle_count++;
    } else {
        munmap(c, POOLED_MAP_BYTES);
    }
    if (pool->wanted)
        pool->freed(pool);
}
