#include "load.h"

#include <stdio.h>
#include <string.h>

enum bench_service verify_service(void)
{
    return load.o.mode == MODE_UP     ? BENCH_CHECK
           : load.o.mode == MODE_DOWN ? BENCH_SOURCE
                                      : BENCH_ECHO;
}

static void wrong(const struct client *c, const char *what)
{
    fprintf(stderr, "wsload: tunnel %u: %s (sent %llu, received %llu)\n", c->index, what,
            (unsigned long long)c->sent, (unsigned long long)c->received);
    load.failed++;
    load.stop = true;
}

static void done(struct client *c)
{
    if (c->done)
        return;
    c->done = true;
    load.finished++;
}

static void verify_opened(struct client *c)
{
    size_t len;
    const uint8_t *choice = frame_choice(verify_service(), &len);

    c->frame = bench_alloc(load.o.size + BENCH_FRAME_HEAD_MAX);
    client_want_writable(c, load.o.mode != MODE_DOWN);
    if (len)
        client_send(c, choice, len);
}

/* Sends the next frame: of any length up to --size, made of the pattern at its position. */
static void verify_writable(struct client *c)
{
    uint64_t left = load.o.bytes - c->sent;
    size_t most = load.o.size < BENCH_PATTERN_ROOM ? load.o.size : BENCH_PATTERN_ROOM;
    size_t len = 1 + bench_random(&c->seed) % most, head = 0;
    uint32_t key = bench_random(&c->seed);
    uint8_t mask[4];

    if (!left) {
        client_want_writable(c, false);
        return;
    }
    if (len > left)
        len = (size_t)left;
    memcpy(mask, &key, 4);
    if (!load.o.raw)
        head = bench_frame_head(len, mask, c->frame);
    memcpy(c->frame + head, bench_pattern(c->sent), len);
    if (!load.o.raw)
        bench_mask(c->frame + head, len, mask, 0);
    c->sent += len;
    client_send(c, c->frame, head + len);
}

/* The check target tells again and again, in eight bytes, how many good bytes it has. */
static void verify_reports(struct client *c, const uint8_t *bytes, size_t len)
{
    uint64_t good;

    for (size_t i = 0; i < len; i++) {
        c->piece[c->piece_len++] = bytes[i];
        if (c->piece_len < 8)
            continue;
        c->piece_len = 0;
        memcpy(&good, c->piece, 8);
        if (good < c->received || good > c->sent) {
            wrong(c, "the target got other bytes than were sent");
            return;
        }
        c->received = good;
    }
    if (c->received == load.o.bytes)
        done(c);
}

static void verify_payload(struct client *c, const uint8_t *bytes, size_t len)
{
    if (load.o.mode == MODE_UP) {
        verify_reports(c, bytes, len);
        return;
    }
    if (!bench_pattern_is(c->received, bytes, len)) {
        wrong(c, "bytes came back that were not sent");
        return;
    }
    c->received += len;
    if (c->received >= load.o.bytes)
        done(c);
    if (load.o.mode == MODE_ECHO && c->received > c->sent)
        wrong(c, "more came back than was sent");
}

const struct role role_verify = {
    .opened = verify_opened, .payload = verify_payload, .writable = verify_writable, .sees = true};
