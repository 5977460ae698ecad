#include "bridge/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void pipe_pool_init(struct pipe_pool *pool, struct worker_stats *stats)
{
    *pool = (struct pipe_pool){.stats = stats};
}

static void pipe_free(struct pipe_pool *pool, struct pipe *p)
{
    close(p->read_fd);
    close(p->write_fd);
    free(p);
    pool->made--;
}

void pipe_pool_done(struct pipe_pool *pool)
{
    while (pool->idle) {
        struct pipe *p = pool->idle;

        pool->idle = p->next;
        pipe_free(pool, p);
    }
}

static struct pipe *pipe_make(struct pipe_pool *pool)
{
    struct pipe *p;
    int fds[2], size;

    if (pool->exhausted || pool->made >= PIPES_MAX)
        return NULL;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return NULL;
    size = fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    if (size < 0)
        size = fcntl(fds[1], F_GETPIPE_SZ);
    p = size >= PIPE_BYTES_USEFUL ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        pool->exhausted = size < PIPE_BYTES_USEFUL;
        close(fds[0]);
        close(fds[1]);
        return NULL;
    }
    p->read_fd = fds[0];
    p->write_fd = fds[1];
    p->size = (uint32_t)size;
    pool->made++;
    return p;
}

struct pipe *pipe_take(struct pipe_pool *pool)
{
    struct pipe *p = pool->idle;

    if (p)
        pool->idle = p->next;
    else
        p = pipe_make(pool);
    if (!p) {
        metric_add(&pool->stats->pipe_misses, 1);
        return NULL;
    }
    p->next = NULL;
    metric_add(&pool->stats->pipes_in_use, 1);
    return p;
}

void pipe_give(struct pipe_pool *pool, struct pipe *p)
{
    metric_sub(&pool->stats->pipes_in_use, 1);
    if (p->bytes) {
        pipe_free(pool, p);
        return;
    }
    p->frame_left = 0;
    p->head_len = p->head_sent = 0;
    p->next = pool->idle;
    pool->idle = p;
}
