#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ws/ws.h"

/* Frames as text: "opcode[+]:length payload. " for each, "!code" for a failure; + is a missing FIN. */
struct story {
    char text[2048];
    size_t len;
};

static void tell(struct story *s, const char *what)
{
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%s", what);
}

static bool feed(struct ws_decoder *d, struct view in, struct story *s)
{
    struct view piece;
    unsigned phase;
    char word[64];

    for (;;) {
        switch (ws_decode(d, &in, &piece, &phase)) {
        case WS_NEED_MORE:
            return true;
        case WS_HEAD:
            (void)snprintf(word, sizeof word, "%u%s:%u ", d->opcode, d->fin ? "" : "+",
                           (unsigned)d->left);
            tell(s, word);
            break;
        case WS_PAYLOAD:
            for (size_t i = 0; i < piece.len; i++) {
                uint8_t mask = d->role == WS_SERVER ? d->mask[(phase + i) % 4] : 0;

                (void)snprintf(word, sizeof word, "%c", piece.at[i] ^ mask);
                tell(s, word);
            }
            break;
        case WS_FRAME_END:
            tell(s, ". ");
            break;
        case WS_FAILED:
            (void)snprintf(word, sizeof word, "!%u", d->close_code);
            tell(s, word);
            return false;
        }
    }
}

#define M     "\x01\x02\x03\x04"     /* the mask of all cases */
#define HELLO "\x69\x67\x6f\x68\x6e" /* hello, masked with it */

static const struct {
    const char *name, *bytes;
    size_t len;
    const char *story;
} cases[] = {
#define CASE(name, bytes, story)              \
    {                                         \
        name, bytes, sizeof(bytes) - 1, story \
    }
    CASE("a binary frame", "\x82\x85" M HELLO, "2:5 hello. "),
    CASE("a text frame", "\x81\x85" M HELLO, "1:5 hello. "),
    CASE("an empty frame", "\x82\x80" M, "2:0 . "),
    CASE("a Ping between fragments",
         "\x01\x82" M "\x69\x67"
         "\x89\x80" M "\x80\x83" M "\x6d\x6e\x6c",
         "1+:2 he. 9:0 . 0:3 llo. "),
    CASE("a 16-bit length that needs it", "\x82\xfe\x00\x7e" M, "2:126 "),
    CASE("a 16-bit length that does not", "\x82\xfe\x00\x7d" M, "!1002"),
    CASE("a 64-bit length that does not need it", "\x82\xff\0\0\0\0\0\0\xff\xff" M, "!1002"),
    CASE("a 64-bit length with its top bit", "\x82\xff\x80\0\0\0\0\0\0\0" M, "!1002"),
    CASE("no mask from a client", "\x82\x05hello", "!1002"),
    CASE("RSV1", "\xc2\x80" M, "!1002"),
    CASE("RSV2", "\xa2\x80" M, "!1002"),
    CASE("RSV3", "\x92\x80" M, "!1002"),
    CASE("opcode 3", "\x83\x80" M, "!1002"),
    CASE("opcode 7", "\x87\x80" M, "!1002"),
    CASE("opcode 11", "\x8b\x80" M, "!1002"),
    CASE("opcode 15", "\x8f\x80" M, "!1002"),
    CASE("a Ping of 126 bytes", "\x89\xfe\x00\x7e" M, "!1002"),
    CASE("a fragmented Ping", "\x09\x80" M, "!1002"),
    CASE("a continuation of nothing", "\x80\x80" M, "!1002"),
    CASE("a new message inside a fragmented one", "\x02\x80" M "\x82\x80" M, "2+:0 . !1002"),
    CASE("a Close", "\x88\x82" M "\x02\xea", "8:2 \x03\xe8. "),
    CASE("nothing after a failure is looked at", "\x83\x80" M "\x82\x80" M, "!1002"),
#undef CASE
};

static void every_cut_of_every_case_tells_the_same_story(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step <= cases[i].len; step++) {
            struct ws_decoder d;
            struct story s = {.len = 0};
            bool on = true;

            ws_decoder_init(&d, WS_SERVER, 0);
            for (size_t at = 0; at < cases[i].len && on; at += step) {
                size_t n = cases[i].len - at < step ? cases[i].len - at : step;

                on = feed(&d, view_from(cases[i].bytes + at, n), &s);
            }
            if (strcmp(s.text, cases[i].story) != 0)
                fail_msg("%s, %zu bytes at a time: %s", cases[i].name, step, s.text);
        }
}

static void a_frame_above_the_limit_is_too_big(void **state)
{
    static const char bytes[] = "\x82\x85" M HELLO;
    struct ws_decoder d;
    struct story s = {.len = 0};

    (void)state;
    ws_decoder_init(&d, WS_SERVER, 4);
    assert_false(feed(&d, view_from(bytes, sizeof bytes - 1), &s));
    assert_string_equal(s.text, "!1009");
    assert_non_null(d.reason);
}

static void a_client_wants_frames_without_mask(void **state)
{
    static const char plain[] = "\x82\x05hello", masked[] = "\x82\x85" M HELLO;
    struct ws_decoder d;
    struct story s = {.len = 0};

    (void)state;
    ws_decoder_init(&d, WS_CLIENT, 0);
    assert_true(feed(&d, view_from(plain, sizeof plain - 1), &s));
    assert_string_equal(s.text, "2:5 hello. ");
    assert_false(feed(&d, view_from(masked, sizeof masked - 1), &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_of_every_case_tells_the_same_story),
        cmocka_unit_test(a_frame_above_the_limit_is_too_big),
        cmocka_unit_test(a_client_wants_frames_without_mask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
