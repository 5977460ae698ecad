#include "load.h"

#include <string.h>

enum { UP_BYTES = 1024 * 1024, DUE_MAX = 4096 };

static void fresh_mask(uint8_t mask[static 4])
{
    static uint32_t seed = 2463534242u;
    uint32_t key = bench_random(&seed);

    memcpy(mask, &key, 4);
}

/* Writes one message as it goes over the wire; returns its length. */
static size_t message(uint8_t *out, const uint8_t *payload, size_t len)
{
    uint8_t mask[4];
    size_t n;

    if (load.o.raw) {
        memcpy(out, payload, len);
        return len;
    }
    fresh_mask(mask);
    n = bench_frame_head(len, mask, out);
    memcpy(out + n, payload, len);
    bench_mask(out + n, len, mask, 0);
    return n + len;
}

const uint8_t *frame_choice(enum bench_service service, size_t *len)
{
    static uint8_t frames[128][16];
    static size_t lens[128];
    uint8_t letter = (uint8_t)service;

    if (!lens[letter] && load.o.any)
        lens[letter] = message(frames[letter], &letter, 1);
    *len = lens[letter];
    return frames[letter];
}

void frames_prepare(void)
{
    size_t one = load.o.size + BENCH_FRAME_HEAD_MAX;
    size_t many = one < UP_BYTES ? UP_BYTES / one : 1;
    uint8_t *payload = bench_alloc(load.o.size);
    const uint8_t *choice;

    for (size_t at = 0; at < load.o.size; at += BENCH_PATTERN_ROOM)
        memcpy(payload + at, bench_pattern(at),
               load.o.size - at < BENCH_PATTERN_ROOM ? load.o.size - at : BENCH_PATTERN_ROOM);
    load.up = bench_alloc(many * one);
    for (size_t i = 0; i < many; i++)
        load.up_len += message(load.up + load.up_len, payload, load.o.size);
    load.up_payload = many * load.o.size;
    choice = frame_choice(BENCH_ECHO, &load.choice_len);
    load.echo = bench_alloc(one + load.choice_len);
    memcpy(load.echo, choice, load.choice_len);
    load.echo_len = load.choice_len + message(load.echo + load.choice_len, payload, load.o.size);
}

static void choose(struct client *c, enum bench_service service)
{
    size_t len;
    const uint8_t *frame = frame_choice(service, &len);

    if (len)
        client_send(c, frame, len);
}

/* --- bulk ----------------------------------------------------------------------------------- */

static void up_opened(struct client *c)
{
    client_want_writable(c, true);
    choose(c, BENCH_SINK);
}

static void up_writable(struct client *c)
{
    client_send(c, load.up, load.up_len);
}

static void ignore(struct client *c, const uint8_t *bytes, size_t len)
{
    (void)c;
    (void)bytes;
    (void)len;
}

static void down_opened(struct client *c)
{
    choose(c, BENCH_SOURCE);
}

static void down_payload(struct client *c, const uint8_t *bytes, size_t len)
{
    (void)c;
    (void)bytes;
    if (load.measuring)
        load.bytes_down += len;
}

/* --- echo ----------------------------------------------------------------------------------- */

static void finished(uint64_t began_ns, uint64_t now)
{
    if (!load.measuring)
        return;
    load.operations++;
    histogram_add(&load.latency, now - began_ns);
}

static void echo_opened(struct client *c)
{
    if (load.o.rate) {
        c->due = bench_alloc(DUE_MAX * sizeof *c->due);
        client_want_writable(c, true);
        choose(c, BENCH_ECHO);
        return;
    }
    c->began_ns = bench_now_ns();
    client_send(c, load.echo, load.echo_len);
}

static void echo_payload(struct client *c, const uint8_t *bytes, size_t len)
{
    uint64_t now;

    (void)bytes;
    c->received += len;
    if (c->received < load.o.size)
        return;
    now = bench_now_ns();
    if (!load.o.rate) {
        c->received -= load.o.size;
        finished(c->began_ns, now);
        c->began_ns = now;
        client_send(c, load.echo + load.choice_len, load.echo_len - load.choice_len);
        return;
    }
    while (c->received >= load.o.size && c->due_count) {
        c->received -= load.o.size;
        finished(c->due[c->due_at], now);
        c->due_at = (c->due_at + 1) % DUE_MAX;
        c->due_count--;
    }
}

static void echo_writable(struct client *c)
{
    if (!c->owed) {
        client_want_writable(c, false);
        return;
    }
    c->owed--;
    client_send(c, load.echo + load.choice_len, load.echo_len - load.choice_len);
}

/* The message is late from the moment it was due, whether or not we could send it: a system that
 * stalls cannot keep us from counting what it delayed. */
static void echo_due(struct client *c, uint64_t due_ns)
{
    if (c->state != CLIENT_OPEN)
        return;
    if (c->due_count == DUE_MAX) {
        load.overrun++;
        return;
    }
    c->due[(c->due_at + c->due_count++) % DUE_MAX] = due_ns;
    c->owed++;
    if (c->out_len || c->pong_len || c->writes)
        client_want_writable(c, true);
    else
        echo_writable(c);
}

uint64_t echo_open_loop(uint64_t now)
{
    uint32_t first = load.total - load.o.tunnels; /* behind the bulk tunnels of a mix */

    if (!load.o.rate || load.open < load.total)
        return UINT64_MAX;
    if (!load.next_due_ns)
        load.next_due_ns = now;
    for (; load.next_due_ns <= now; load.next_due_ns += 1000000000u / load.o.rate) {
        echo_due(&load.clients[first + load.next_sender], load.next_due_ns);
        load.next_sender = (load.next_sender + 1) % load.o.tunnels;
    }
    return load.next_due_ns - now;
}

/* --- token streams -------------------------------------------------------------------------- */

static void tokens_opened(struct client *c)
{
    choose(c, BENCH_TOKENS);
}

static void tokens_payload(struct client *c, const uint8_t *bytes, size_t len)
{
    uint64_t now = bench_now_ns(), due;
    uint16_t total;

    if (load.measuring)
        load.bytes_down += len;
    while (len) {
        size_t n = c->piece_len < 10 ? 10 - c->piece_len : c->piece_left;

        n = n < len ? n : len;
        if (c->piece_len < 10) {
            memcpy(c->piece + c->piece_len, bytes, n);
            c->piece_len += (uint32_t)n;
            memcpy(&total, c->piece, 2);
            if (c->piece_len == 10)
                c->piece_left = total - 10u;
        } else {
            c->piece_left -= (uint32_t)n;
        }
        bytes += n;
        len -= n;
        if (c->piece_len < 10 || c->piece_left)
            continue;
        memcpy(&due, c->piece + 2, 8);
        finished(due, now);
        c->piece_len = 0;
    }
}

/* --- connections ---------------------------------------------------------------------------- */

static void conn_opened(struct client *c)
{
    client_send(c, load.echo, load.echo_len);
}

static void conn_payload(struct client *c, const uint8_t *bytes, size_t len)
{
    static const enum ending turns[] = {END_CLOSE, END_FIN, END_RST};

    (void)bytes;
    c->received += len;
    if (c->received < load.o.size)
        return;
    finished(c->began_ns, bench_now_ns());
    client_end(c, load.o.mode == MODE_CHURN ? turns[load.finished % 3] : END_CLOSE);
    load.finished++;
}

static void idle_payload(struct client *c, const uint8_t *bytes, size_t len)
{
    (void)bytes;
    c->received += len;
    if (c->received >= load.o.size && !c->done) {
        c->done = true;
        load.finished++;
    }
}

const struct role role_up = {.opened = up_opened, .payload = ignore, .writable = up_writable};
const struct role role_down = {.opened = down_opened, .payload = down_payload};
const struct role role_echo = {
    .opened = echo_opened, .payload = echo_payload, .writable = echo_writable};
const struct role role_tokens = {.opened = tokens_opened, .payload = tokens_payload, .sees = true};
const struct role role_conn = {.opened = conn_opened, .payload = conn_payload};
const struct role role_idle = {.opened = conn_opened, .payload = idle_payload};
