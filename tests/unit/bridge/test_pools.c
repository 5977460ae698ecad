/* What a worker lends to its tunnels: buffers under one ceiling, and pipes that never carry a stranger's bytes. */
#include "request.h"

#include <unistd.h>

#include "bridge/chunk.h"
#include "bridge/pipes.h"

static unsigned freed_calls;

static void on_freed(struct chunk_pool *pool)
{
    (void)pool;
    freed_calls++;
}

static void chunks_are_reused_last_in_first_out(void **state)
{
    static struct worker_stats stats;
    struct chunk *chunks[CHUNKS_KEPT + 2], *again;
    struct chunk_pool pool;

    (void)state;
    memset(&stats, 0, sizeof stats);
    chunk_pool_init(&pool, (CHUNKS_KEPT + 2) * (uint64_t)CHUNK_BYTES, &stats);
    for (size_t i = 0; i < CHUNKS_KEPT + 2; i++) {
        assert_true(chunk_room(&pool, CHUNK_BYTES));
        chunks[i] = chunk_take(&pool);
        assert_non_null(chunks[i]);
        assert_int_equal(chunk_len(chunks[i]), 0);
        assert_int_equal(chunks[i]->head, CHUNK_HEAD_ROOM);
    }
    assert_false(chunk_room(&pool, 1));
    assert_null(chunk_take(&pool));
    assert_int_equal(metric_get(&stats.buffers_in_use), CHUNKS_KEPT + 2);
    for (size_t i = 0; i < CHUNKS_KEPT + 2; i++)
        chunk_give(&pool, chunks[i]);
    assert_int_equal(pool.idle_count, CHUNKS_KEPT);
    assert_int_equal(metric_get(&stats.buffer_bytes), 0);
    again = chunk_take(&pool);
    assert_ptr_equal(again, chunks[CHUNKS_KEPT - 1]);
    chunk_give(&pool, again);
    chunk_pool_done(&pool);
}

static void a_residue_takes_its_own_size_even_at_the_ceiling(void **state)
{
    static struct worker_stats stats;
    struct chunk_pool pool;
    struct chunk *big, *rest;

    (void)state;
    memset(&stats, 0, sizeof stats);
    chunk_pool_init(&pool, CHUNK_BYTES, &stats);
    pool.freed = on_freed;
    big = chunk_take(&pool);
    assert_non_null(big);
    rest = chunk_copy(&pool, "left over", 9, 16);
    assert_non_null(rest);
    assert_int_equal(chunk_len(rest), 9);
    assert_memory_equal(rest->bytes + rest->head, "left over", 9);
    assert_int_equal(pool.bytes_in_use, CHUNK_BYTES + 16);
    freed_calls = 0;
    chunk_give(&pool, rest);
    assert_int_equal(freed_calls, 0); /* nobody waits */
    pool.wanted = true;
    chunk_give(&pool, big);
    assert_int_equal(freed_calls, 1);
    assert_int_equal(pool.bytes_in_use, 0);
    chunk_pool_done(&pool);
}

static void a_pipe_with_bytes_in_it_is_never_lent_again(void **state)
{
    static struct worker_stats stats;
    struct pipe_pool pool;
    struct pipe *p;
    char byte;

    (void)state;
    memset(&stats, 0, sizeof stats);
    pipe_pool_init(&pool, &stats);
    p = pipe_take(&pool);
    if (!p)
        skip(); /* the kernel grants this user no large pipe */
    assert_true(p->size >= PIPE_BYTES_USEFUL);
    assert_int_equal(write(p->write_fd, "secret", 6), 6);
    p->bytes = 6;
    p->frame_left = 3;
    pipe_give(&pool, p);
    assert_int_equal(pool.made, 0);
    assert_null(pool.idle);
    p = pipe_take(&pool);
    assert_non_null(p);
    assert_int_equal(p->bytes, 0);
    assert_int_equal(p->frame_left, 0);
    assert_int_equal(read(p->read_fd, &byte, 1), -1); /* and it is empty */
    p->frame_left = 9;
    p->head_len = p->head_sent = 2;
    pipe_give(&pool, p);
    assert_ptr_equal(pool.idle, p);
    assert_int_equal(p->frame_left + p->head_len + p->head_sent, 0);
    pipe_pool_done(&pool);
    assert_int_equal(pool.made, 0);
}

static void pipes_are_few_and_a_miss_is_counted(void **state)
{
    static struct worker_stats stats;
    struct pipe *pipes[PIPES_MAX + 1];
    struct pipe_pool pool;
    size_t n = 0;

    (void)state;
    memset(&stats, 0, sizeof stats);
    pipe_pool_init(&pool, &stats);
    while (n <= PIPES_MAX && (pipes[n] = pipe_take(&pool)))
        n++;
    assert_in_range(n, 0, PIPES_MAX);
    assert_int_equal(metric_get(&stats.pipe_misses), 1);
    assert_int_equal(metric_get(&stats.pipes_in_use), n);
    while (n)
        pipe_give(&pool, pipes[--n]);
    pipe_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_reused_last_in_first_out),
        cmocka_unit_test(a_residue_takes_its_own_size_even_at_the_ceiling),
        cmocka_unit_test(a_pipe_with_bytes_in_it_is_never_lent_again),
        cmocka_unit_test(pipes_are_few_and_a_miss_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
