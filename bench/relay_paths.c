#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct bare bare;

uint8_t *buffer_borrow(void)
{
    return bare.buffers_used ? bare.buffers[--bare.buffers_used]
                             : bench_alloc(BARE_ROOM + BENCH_READ_BYTES);
}

void buffer_return(uint8_t *buffer)
{
    if (bare.buffers_used == bare.buffers_room) {
        bare.buffers_room = bare.buffers_room * 2 + 16;
        bare.buffers = realloc(bare.buffers, bare.buffers_room * sizeof *bare.buffers);
        if (!bare.buffers)
            bench_die("out of memory");
    }
    bare.buffers[bare.buffers_used++] = buffer;
}

static int *pipe_borrow(void)
{
    int *ends;

    if (bare.pipes_used)
        return bare.pipes[--bare.pipes_used];
    ends = bench_alloc(2 * sizeof *ends);
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC))
        bench_die("pipe: %m");
    fcntl(ends[0], F_SETPIPE_SZ, BARE_PIPE_BYTES);
    return ends;
}

void pipe_return(int *ends)
{
    if (bare.pipes_used == bare.pipes_room) {
        bare.pipes_room = bare.pipes_room * 2 + 16;
        bare.pipes = realloc(bare.pipes, bare.pipes_room * sizeof *bare.pipes);
        if (!bare.pipes)
            bench_die("out of memory");
    }
    bare.pipes[bare.pipes_used++] = ends;
}

/* --- copying -------------------------------------------------------------------------------- */

/* Plain -O2 code goes eight bytes at a time; the clones let the compiler use what the CPU has. */
__attribute__((target_clones("avx512f", "avx2", "default"))) static void
unmask(uint8_t *at, size_t len, const uint8_t key[static 4], unsigned phase)
{
    uint8_t turned[64];
    size_t i = 0;

    for (unsigned k = 0; k < 64; k++)
        turned[k] = key[(phase + k) & 3];
    for (; i + 64 <= len; i += 64)
        for (unsigned k = 0; k < 64; k++)
            at[i + k] ^= turned[k];
    for (unsigned k = 0; i < len; i++, k++)
        at[i] ^= turned[k];
}

/* Takes one byte of a masked frame's head; true when the head is complete. */
static bool head_byte(struct pair *p, uint8_t byte)
{
    size_t wide;

    p->in[p->in_len++] = byte;
    if (p->in_len < 2)
        return false;
    wide = (p->in[1] & 127) == 126 ? 2 : (p->in[1] & 127) == 127 ? 8 : 0;
    if (p->in_len < 2 + wide + 4)
        return false;
    p->in_left = wide ? 0 : p->in[1] & 127;
    for (size_t i = 0; i < wide; i++)
        p->in_left = p->in_left << 8 | p->in[2 + i];
    memcpy(p->mask, p->in + 2 + wide, 4);
    p->in_control = p->in[0] & 8;
    p->phase = 0;
    p->in_len = 0;
    return true;
}

static void add_span(struct half *h, uint8_t *at, size_t len)
{
    struct iovec *last = h->spans_used ? &h->spans[h->spans_used - 1] : NULL;

    if (last && (len < BARE_SPAN_BYTES || h->spans_used == BARE_SPANS)) {
        uint8_t *end = (uint8_t *)last->iov_base + last->iov_len;

        memmove(end, at, len);
        last->iov_len += len;
        return;
    }
    h->spans[h->spans_used++] = (struct iovec){at, len};
}

/* Turns frames into spans of their unmasked payload. False after a Close. */
static bool unframe(struct pair *p, struct half *h, uint8_t *at, size_t len)
{
    uint8_t *end = at + len;

    while (at < end) {
        size_t n;

        if (!p->in_left) {
            if (head_byte(p, *at++) && (p->in[0] & 15) == 8)
                return false;
            continue;
        }
        n = p->in_left < (uint64_t)(end - at) ? (size_t)p->in_left : (size_t)(end - at);
        if (!p->in_control) {
            unmask(at, n, p->mask, p->phase);
            add_span(h, at, n);
        }
        p->phase = (p->phase + (unsigned)(n & 3)) & 3;
        p->in_left -= n;
        at += n;
    }
    return true;
}

static enum step write_spans(struct half *h)
{
    while (h->span < h->spans_used) {
        struct msghdr m = {.msg_iov = h->spans + h->span, .msg_iovlen = h->spans_used - h->span};
        ssize_t n = m.msg_iovlen == 1
                        ? send(h->to, m.msg_iov->iov_base, m.msg_iov->iov_len, MSG_NOSIGNAL)
                        : sendmsg(h->to, &m, MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN ? STEP_ON : STEP_OVER;
        while (n > 0) {
            struct iovec *v = &h->spans[h->span];
            size_t took = (size_t)n < v->iov_len ? (size_t)n : v->iov_len;

            v->iov_base = (uint8_t *)v->iov_base + took;
            v->iov_len -= took;
            n -= (ssize_t)took;
            if (!v->iov_len)
                h->span++;
        }
    }
    h->span = h->spans_used = 0;
    buffer_return(h->buffer);
    h->buffer = NULL;
    return STEP_ON;
}

enum step half_copy(struct pair *p, struct half *h)
{
    uint8_t *at;
    ssize_t n;

    if (h->buffer)
        return write_spans(h);
    h->buffer = buffer_borrow();
    at = h->buffer + BARE_ROOM;
    n = recv(h->from, at, bare.read_bytes, 0);
    if (n <= 0) {
        buffer_return(h->buffer);
        h->buffer = NULL;
        h->ended = n == 0;
        return n == 0 || errno == EAGAIN ? STEP_ON : STEP_OVER;
    }
    if (!bare.framed) {
        h->spans[h->spans_used++] = (struct iovec){at, (size_t)n};
    } else if (h == &p->up) {
        h->ended = !unframe(p, h, at, (size_t)n);
    } else {
        uint8_t head[BENCH_FRAME_HEAD_MAX];
        size_t head_len = bench_frame_head((uint64_t)n, NULL, head);

        memcpy(at - head_len, head, head_len);
        h->spans[h->spans_used++] = (struct iovec){at - head_len, (size_t)n + head_len};
    }
    return write_spans(h);
}

/* --- splicing ------------------------------------------------------------------------------- */

static enum step fill_pipe(struct half *h, bool framed)
{
    ssize_t n;

    h->pipe = pipe_borrow();
    n = splice(h->from, NULL, h->pipe[1], NULL, BARE_PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n <= 0) {
        pipe_return(h->pipe);
        h->pipe = NULL;
        h->ended = n == 0;
        return n == 0 || errno == EAGAIN ? STEP_ON : STEP_OVER;
    }
    h->piped = (size_t)n;
    h->head_at = 0;
    h->head_len = framed ? bench_frame_head(h->piped, NULL, h->head) : 0;
    return STEP_ON;
}

enum step half_splice(struct half *h, bool framed)
{
    ssize_t n;

    if (!h->pipe && fill_pipe(h, framed) == STEP_OVER)
        return STEP_OVER;
    while (h->pipe && h->head_at < h->head_len) {
        n = send(h->to, h->head + h->head_at, h->head_len - h->head_at, MSG_NOSIGNAL | MSG_MORE);
        if (n < 0)
            return errno == EAGAIN ? STEP_ON : STEP_OVER;
        h->head_at += (size_t)n;
    }
    while (h->pipe && h->piped) {
        n = splice(h->pipe[0], NULL, h->to, NULL, h->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0)
            return errno == EAGAIN ? STEP_ON : STEP_OVER;
        h->piped -= (size_t)n;
    }
    if (h->pipe)
        pipe_return(h->pipe);
    h->pipe = NULL;
    return STEP_ON;
}

/* --- memory --------------------------------------------------------------------------------- */

static double copy_rate(size_t bytes, double seconds)
{
    uint8_t *a = bench_alloc(bytes), *b = bench_alloc(bytes);
    uint64_t began, now, copied = 0;

    memset(a, 1, bytes);
    memset(b, 2, bytes);
    began = now = bench_now_ns();
    while ((double)(now - began) < seconds * 1e9) {
        memcpy(b, a, bytes);
        __asm__ volatile("" : : "r"(b) : "memory"); /* the copy must happen */
        copied += bytes;
        now = bench_now_ns();
    }
    free(a);
    free(b);
    return (double)copied / (double)(now - began);
}

void bare_memcpy(void)
{
    printf("{\"memcpy_256k_gb_per_second\": %.2f, \"memcpy_64m_gb_per_second\": %.2f}\n",
           copy_rate(256 * 1024, 0.5), copy_rate(64 * 1024 * 1024, 0.5));
}
