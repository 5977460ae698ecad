#include "support/wire.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

enum { HEAD_BYTES = 5 };

static int descriptor(void)
{
    static int fd = -2;
    const char *text;

    if (fd == -2) {
        text = getenv("POSTERN_WIRE");
        fd = text ? (int)strtol(text, NULL, 10) : -1;
    }
    return fd;
}

bool wire_on(void)
{
    return descriptor() >= 0;
}

static void send_all(struct view bytes)
{
    while (bytes.len) {
        ssize_t n = write(descriptor(), bytes.at, bytes.len);

        CHECK(n > 0);
        bytes = view_skip(bytes, (size_t)n);
    }
}

static void receive_all(uint8_t *at, size_t n)
{
    while (n) {
        ssize_t got = read(descriptor(), at, n);

        CHECK(got > 0);
        at += got;
        n -= (size_t)got;
    }
}

/* A frame there and one back, whose bytes are appended to out. */
static void turn(char letter, struct view bytes, char wanted, struct buf *out)
{
    uint8_t head[HEAD_BYTES] = {(uint8_t)letter}, *room;
    size_t n = 0;

    for (unsigned i = 0; i < 4; i++)
        head[1 + i] = (uint8_t)(bytes.len >> 8 * i);
    send_all(view_from(head, sizeof head));
    send_all(bytes);
    receive_all(head, sizeof head);
    CHECK(head[0] == wanted);
    for (unsigned i = 0; i < 4; i++)
        n |= (size_t)head[1 + i] << 8 * i;
    CHECK(buf_room(out, n, &room, NULL));
    receive_all(room, n);
    buf_wrote(out, n);
}

static enum atls_step step_of(char letter, struct view bytes, struct buf *out)
{
    struct buf answer;
    enum atls_step step;

    buf_init(&answer, 1 << 24, "answer");
    turn(letter, bytes, 'A', &answer);
    CHECK(buf_len(&answer) > 0);
    step = (enum atls_step)buf_view(&answer).at[0];
    CHECK(buf_append(out, view_skip(buf_view(&answer), 1), NULL));
    buf_done(&answer);
    return step;
}

enum atls_step wire_open(struct view json, struct buf *out)
{
    return step_of('O', json, out);
}

enum atls_step wire_step(struct view ciphertext, bool ends, struct buf *out)
{
    return step_of(ends ? 'E' : 'S', ciphertext, out);
}

enum atls_step wire_give(struct view collateral, struct buf *out)
{
    return step_of('C', collateral, out);
}

enum atls_step wire_again(struct buf *out)
{
    return step_of('G', VIEW(""), out);
}

void wire_told(struct view json, struct buf *receipt)
{
    turn('V', json, 'R', receipt);
}
