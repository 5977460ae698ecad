/* pipes: a worker's few large pipes for splice(), lent to a tunnel only while bytes are in them.
 *
 * A pipe that comes back with bytes in it is thrown away: the next tunnel must never receive another
 * user's bytes. Pipes are big (1 MiB) because small ones lose to copying; the kernel grants an
 * unprivileged user 64 of them, so each worker has few, and having none means "copy". */
#pragma once

#include <stdint.h>

#include "bridge/stats.h"

enum { PIPE_BYTES = 1024 * 1024, PIPES_MAX = 16, PIPE_BYTES_USEFUL = 256 * 1024 };

struct pipe {
    struct pipe *next;
    int read_fd, write_fd;
    uint32_t size;       /* as granted */
    uint32_t bytes;      /* in the pipe now */
    uint32_t frame_left; /* of the frame whose head has gone out */
    uint8_t head[10], head_len, head_sent;
};

struct pipe_pool {
    struct pipe *idle;
    unsigned made;
    bool exhausted; /* the kernel grants no more large pipes */
    struct worker_stats *stats;
};

void pipe_pool_init(struct pipe_pool *pool, struct worker_stats *stats);
void pipe_pool_done(struct pipe_pool *pool);
struct pipe *pipe_take(struct pipe_pool *pool); /* NULL: use the copy path */
void pipe_give(struct pipe_pool *pool, struct pipe *p);
