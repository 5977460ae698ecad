/* fixture: vectors as text, for the engines of http and ws.
 *
 *   # what the case shows
 *   @ a word for the test: which role, which limit          (optional)
 *   > input, in the escapes below; further '>' lines are joined
 *   < what the engine says, a line an event
 *
 * Escapes: \r \n \t \\ \xNN, and \{count text} for repetition. Each case is played whole, at every
 * cut in two, and byte by byte; every time the events must be those of the file. The input is handed
 * over in blocks of exactly its size, so that a sanitizer sees each byte read beyond it. */
#pragma once

#include "base/text.h"
#include "base/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

enum { FIXTURE_LINE_BYTES = 4096, FIXTURE_INPUT_BYTES = 64 * 1024, FIXTURE_TEXT_BYTES = 64 * 1024 };

struct fixture_text {
    size_t len;
    char at[FIXTURE_TEXT_BYTES];
};

struct fixture {
    const char *file;
    unsigned line;
    char word[64];
    uint8_t input[FIXTURE_INPUT_BYTES];
    size_t len;
    struct fixture_text expected, got;
};

/* Plays the input and writes the events. step: bytes of the first piece and, when all is set, of
 * each piece; else the second piece is the rest. */
typedef void fixture_play(struct fixture *f, size_t step, bool all);

static inline void PRINTF(2, 3) fixture_event(struct fixture *f, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(f->got.at + f->got.len, sizeof f->got.at - f->got.len, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof f->got.at - f->got.len - 1);
    f->got.len += (size_t)n;
    f->got.at[f->got.len++] = '\n';
    f->got.at[f->got.len] = '\0';
}

/* v as the files show it; long runs of one byte are told by their length. */
static inline const char *fixture_show(struct view v)
{
    static char text[4][2048];
    static unsigned turn;
    char *out = text[turn++ % 4];
    size_t at = 0;

    if (v.len > 256)
        (void)snprintf(out, sizeof text[0], "(%zu bytes, the last 0x%02x)", v.len, v.at[v.len - 1]);
    else
        for (size_t i = 0; i < v.len; i++)
            at += (size_t)snprintf(out + at, sizeof text[0] - at,
                                   v.at[i] >= ' ' && v.at[i] < 0x7f ? "%c" : "\\x%02x", v.at[i]);
    if (v.len == 0)
        out[0] = '\0';
    return out;
}

/* Sizes of the pieces: piece number index starts at from. False at the end of the input. */
static inline bool fixture_piece(const struct fixture *f, size_t step, bool all, size_t *from,
                                 size_t *to)
{
    if (*to == f->len)
        return false;
    *from = *to;
    *to = !all && *from ? f->len : *from + step;
    if (*to > f->len || step == 0)
        *to = f->len;
    return true;
}

/* A copy of bytes in a block of exactly their size. */
static inline uint8_t *fixture_block(struct view bytes)
{
    uint8_t *block = malloc(bytes.len ? bytes.len : 1);

    assert_non_null(block);
    if (bytes.len)
        memcpy(block, bytes.at, bytes.len);
    return block;
}

static inline size_t fixture_unescape(const char *text, size_t len, uint8_t *out, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        assert_true(n < room);
        if (text[i] != '\\') {
            out[n++] = (uint8_t)text[i];
            continue;
        }
        assert_true(++i < len);
        if (text[i] == 'x') {
            char digits[3] = {text[i + 1], text[i + 2], '\0'};

            out[n++] = (uint8_t)strtoul(digits, NULL, 16);
            i += 2;
        } else if (text[i] == '{') {
            char *rest;
            unsigned long count = strtoul(text + i + 1, &rest, 10);
            size_t start = (size_t)(rest + 1 - text), end = start;

            while (end < len && text[end] != '}')
                end++;
            for (unsigned long k = 0; k < count; k++)
                n += fixture_unescape(text + start, end - start, out + n, room - n);
            i = end;
        } else {
            out[n++] = text[i] == 'r'   ? '\r'
                       : text[i] == 'n' ? '\n'
                       : text[i] == 't' ? '\t'
                                        : (uint8_t)text[i];
        }
    }
    return n;
}

static inline void fixture_once(struct fixture *f, fixture_play *play, size_t step, bool all)
{
    f->got.len = 0;
    f->got.at[0] = '\0';
    play(f, step, all);
    if (f->got.len == f->expected.len && memcmp(f->got.at, f->expected.at, f->got.len) == 0)
        return;
    fail_msg("%s:%u: in pieces of %zu%s of %zu bytes\nexpected:\n%sgot:\n%s", f->file, f->line,
             step, all ? "" : " and the rest", f->len, f->expected.at, f->got.at);
}

/* Long inputs are cut at a sample that takes in every remainder of small divisors. */
static inline void fixture_run(struct fixture *f, fixture_play *play)
{
    size_t stride = f->len > 2048 ? f->len / 401 | 1 : 1;

    fixture_once(f, play, f->len, false);
    for (size_t cut = 1; cut < f->len; cut += stride)
        fixture_once(f, play, cut, false);
    if (f->len <= 2048)
        fixture_once(f, play, 1, true);
    fixture_once(f, play, 7 * stride, true);
}

/* file: of tests/fixtures. Returns how many cases were run; none is a failure. */
static inline unsigned fixtures_run(const char *file, fixture_play *play)
{
    static struct fixture f;
    char path[512], line[FIXTURE_LINE_BYTES];
    unsigned count = 0, number = 0;
    FILE *in;

    (void)snprintf(path, sizeof path, "%.*sfixtures/%s",
                   (int)(strlen(__FILE__) - strlen("support/fixture.h")), __FILE__, file);
    in = fopen(path, "re");
    if (!in)
        fail_msg("cannot open %s", path);
    f = (struct fixture){.file = file};
    for (bool more = true; more;) {
        size_t len;

        more = fgets(line, sizeof line, in) != NULL;
        number++;
        len = more ? strcspn(line, "\n") : 0;
        if (more && (line[0] == '<' || line[0] == '#')) {
            if (line[0] == '<')
                f.expected.len += (size_t)snprintf(f.expected.at + f.expected.len,
                                                   sizeof f.expected.at - f.expected.len, "%.*s\n",
                                                   len < 2 ? 0 : (int)len - 2, line + 2);
            continue;
        }
        if (f.expected.len) {
            fixture_run(&f, play);
            count++;
            f = (struct fixture){.file = file};
        }
        if (more && line[0] == '@')
            (void)snprintf(f.word, sizeof f.word, "%.*s", (int)len - 2, line + 2);
        if (more && line[0] == '>') {
            f.line = f.line ? f.line : number;
            if (len > 2)
                f.len +=
                    fixture_unescape(line + 2, len - 2, f.input + f.len, sizeof f.input - f.len);
        }
    }
    (void)fclose(in);
    assert_true(count > 0);
    return count;
}
