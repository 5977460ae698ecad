#include "ati/keyring/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/poison.h"
#include "base/secret.h"

static void check(const char *text, bool json, size_t least, const char *secret, const char *want)
{
    const struct view secrets[] = {view_str("not there, but long enough"), view_str(secret)};
    struct err err = {0};
    struct buf b;

    buf_init(&b, 1 << 20, "text");
    assert_true(buf_append_str(&b, text, NULL));
    if (!mask_secrets(&b, json, least, secrets, 2, &err))
        fail_msg("%s", err.text);
    if (!view_eq(buf_view(&b), view_str(want)))
        fail_msg("%.*s, not %s", VIEW_ARG(buf_view(&b)), want);
    buf_done(&b);
}

static void secrets_are_masked_wherever_they_stand(void **state)
{
    (void)state;
    check("0123456789abcdef", false, 16, "0123456789abcdef", "[redacted]");
    check("x0123456789abcdef0123456789abcdefy", false, 16, "0123456789abcdef",
          "x[redacted][redacted]y");
    check("0123456789abcde", false, 16, "0123456789abcdef", "0123456789abcde");
    check("0123456789abcde!", false, 16, "0123456789abcde", "0123456789abcde!");
    check("secret", false, 6, "secret", "[redacted]");
    check("", false, 6, "secret", "");
    check("\"a\\\\b\\\"c\\nd and more\"", true, 16, "a\\b\"c\nd and more", "\"[redacted]\"");
    check("[\"%2Fa%20b%2Bc%26d%3D0123\"]", true, 16, "/a b+c&d=0123456",
          "[\"%2Fa%20b%2Bc%26d%3D0123\"]");
    check("?k=%2Fa%20b%2Bc%26d%3D0123456", false, 16, "/a b+c&d=0123456", "?k=[redacted]");
}

/* Whatever stands in front of it, and behind. */
static void base64_is_seen_at_every_offset(void **state)
{
    static const char secret[] = "sk-0123456789abcdef";

    (void)state;
    for (size_t before = 0; before < 7; before++) {
        for (size_t behind = 0; behind < 4; behind++) {
            char plain[64], encoded[128];
            const struct view secrets[] = {view_str(secret)};
            struct buf b;
            int n = snprintf(plain, sizeof plain, "%.*s%s%.*s", (int)before, "user:pq", secret,
                             (int)behind, ":xyz");

            base64_encode(view_from(plain, (size_t)n), encoded);
            buf_init(&b, 1024, "text");
            assert_true(buf_append_str(&b, encoded, NULL));
            assert_true(mask_secrets(&b, false, 16, secrets, 1, NULL));
            if (!view_find_text(buf_view(&b), VIEW("[redacted]")))
                fail_msg("%zu, %zu: %s", before, behind, encoded);
            buf_done(&b);
        }
    }
}

/* Random documents that hold a random secret in a string stay documents, without it. */
static void what_was_json_is_json(void **state)
{
    static const char alphabet[] = "ab\"\\/\n\t %+é";

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        char secret[40];
        uint8_t noise[40];
        struct json_writer w;
        struct json_tree tree;
        struct view v;
        struct buf b;

        random_bytes(noise, sizeof noise);
        for (size_t i = 0; i < sizeof secret - 1; i++)
            secret[i] = alphabet[noise[i] % (sizeof alphabet - 1)];
        secret[16 + noise[39] % 20] = '\0';
        v = view_str(secret);
        buf_init(&b, 4096, "text");
        json_begin(&w, &b);
        json_array(&w);
        json_text(&w, v);
        json_u64(&w, 7);
        json_text(&w, v);
        json_array_end(&w);
        assert_true(json_end(&w, NULL));
        if (!utf8_valid(v)) { /* is no text of JSON */
            buf_done(&b);
            continue;
        }
        assert_true(mask_secrets(&b, true, 16, &v, 1, NULL));
        assert_true(json_load(buf_view(&b), 64, &tree, NULL));
        assert_true(view_eq(json_span(&tree.doc, 1), VIEW("[redacted]")));
        assert_true(view_eq(json_span(&tree.doc, 3), VIEW("[redacted]")));
        json_unload(&tree);
        buf_done(&b);
    }
}

/* Whoever wrote it may have escaped any of it. */
static void escapes_are_looked_through(void **state)
{
    static const char key[] = "sk/0123+abc\xc3\xa9<def>&=";

    (void)state;
    check("[\"a\\n\\u0073k\\/0123\\u002Babc\\u00e9\\u003Cdef\\u003e\\u0026=\\tz\"]", true, 8, key,
          "[\"a\\n[redacted]\\tz\"]");
    check("{\"\\u0073k/0123+abc\xc3\xa9<def>&=\":1}", true, 8, key, "{\"[redacted]\":1}");
    check("HTTP 400: {\"k\":\"sk\\/0123\\u002babc\\u00E9<def>&=\"}", false, 6, key,
          "HTTP 400: {\"k\":\"[redacted]\"}");
    check("\\ \\u12 sk/0123+abc\xc3\xa9<def>&= \\", false, 6, key, "\\ \\u12 [redacted] \\");
    /* a document within a string */
    check("[\"{\\\"k\\\":\\\"a\\\\\\\"bcdefgh\\\"}\"]", true, 8, "a\"bcdefgh",
          "[\"{\\\"k\\\":\\\"[redacted]\\\"}\"]");
    /* what only looks like it: the n is of an escape */
    check("[\"\\nabcdefgh\"]", true, 8, "nabcdefgh", "[\"\\nabcdefgh\"]");
}

static void json_stays_json(void **state)
{
    (void)state;
    check("{\"a\":[1234567890,-1234567890.5,12345678,true],\"1234567890\":\"x1234567890\"}", true,
          8, "1234567890",
          "{\"a\":[\"[redacted]\",\"[redacted]\",12345678,true],\"[redacted]\":\"x[redacted]\"}");
    check("[1234567890", true, 8, "1234567890", "[\"[redacted]\"");
    check("[true,false,null]", true, 8, "true,false", "[true,false,null]");
    check("\"unfinished secret-1", true, 8, "secret-1", "\"unfinished [redacted]");
}

/* Of what overlaps nothing is left. */
static void hits_that_overlap_go_together(void **state)
{
    const struct view secrets[] = {VIEW("abcdefgh"), VIEW("efghijkl"), VIEW("kl012345"),
                                   VIEW("abcd")};
    struct buf b;

    (void)state;
    buf_init(&b, 1024, "text");
    assert_true(buf_append_str(&b, "<abcdefghijkl012345>abcd", NULL));
    assert_true(mask_secrets(&b, false, 6, secrets, 4, NULL));
    assert_true(view_eq(buf_view(&b), VIEW("<[redacted]>abcd")));
    buf_done(&b);
}

/* One that is short is only looked for in errors; another one that is written as its base64 is a secret of its own length. */
static void a_secret_may_be_the_form_of_a_shorter_one(void **state)
{
    const struct view either[][2] = {{view_str("abcdef"), view_str("YWJjZGVm")},
                                     {view_str("YWJjZGVm"), view_str("abcdef")}};
    struct buf b;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        buf_init(&b, 1024, "text");
        assert_true(buf_append_str(&b, "\"YWJjZGVm abcdef\"", NULL));
        assert_true(mask_secrets(&b, true, 8, either[i], 2, NULL));
        assert_true(view_eq(buf_view(&b), VIEW("\"[redacted] abcdef\"")));
        buf_done(&b);
    }
}

static void url_and_base64_are_seen_as_others_write_them(void **state)
{
    (void)state;
    check("a b+c/d=efgh a%20b%2bc%2fd%3defgh a+b%2Bc%2Fd%3Defgh a%20b%2Bc/d%3Defgh", false, 6,
          "a b+c/d=efgh", "[redacted] [redacted] [redacted] [redacted]");
    check("\"____Pj4-Pj8_Pz8_\"", true, 8, "\xff\xff\xff>>>>???\x3f\x3f", "\"[redacted]\"");
}

/* Of any size, wherever it stands: at the edges of windows, and of steps. */
static void large_texts_are_looked_through_in_steps(void **state)
{
    enum { BYTES = 20 * 1024 * 1024, EVERY = 65521 };
    static const char key[] = "SECRET-0123456789-END";
    const struct view secret = view_str(key);
    struct view rest;
    size_t count = 0, steps = 0;
    struct mask *m;
    struct buf b;
    bool more = true;

    (void)state;
    assert_true(mask_new(&secret, 1, &m, NULL));
    for (int json = 0; json < 2; json++) {
        buf_init(&b, (size_t)2 * BYTES, "text");
        assert_true(buf_append_byte(&b, '"', NULL));
        while (buf_len(&b) < BYTES) {
            for (size_t i = 0; i < EVERY; i += 64)
                assert_true(buf_append_str(
                    &b, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab\\\\\\n",
                    NULL));
            assert_true(buf_append_str(&b, key, NULL));
            count++;
        }
        assert_true(buf_append_byte(&b, '"', NULL));
        mask_begin(m, &b, json, 8);
        for (more = true; more; steps++)
            assert_true(mask_step(m, &more, NULL));
        rest = buf_view(&b);
        assert_false(view_find_text(rest, VIEW("SECRET")));
        assert_false(view_find_text(rest, VIEW("-END")));
        assert_non_null(rest.at);
        for (const uint8_t *at; (at = memmem(rest.at, rest.len, "[redacted]", 10)) != NULL; count--)
            rest = view_skip(rest, (size_t)(at - rest.at) + 10);
        assert_int_equal(count, 0);
        buf_done(&b);
    }
    assert_true(steps > 10);
    mask_free(m);
}

/* What stands at a cut is dropped by the longest form that it may be a part of. */
static void the_edge_is_as_long_as_the_longest_form(void **state)
{
    const struct view plain = VIEW("0123456789"), odd = VIEW("++++++++");
    struct mask *m;

    (void)state;
    assert_true(mask_new(&plain, 1, &m, NULL));
    assert_true(mask_edge(m) >= 9 && mask_edge(m) < 20);
    mask_free(m);
    assert_true(mask_new(&odd, 1, &m, NULL));
    assert_int_equal(mask_edge(m), 6 * odd.len - 1);
    mask_free(m);
    assert_true(mask_new(NULL, 0, &m, NULL));
    assert_int_equal(mask_edge(m), 0);
    mask_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_masked_wherever_they_stand),
        cmocka_unit_test(base64_is_seen_at_every_offset),
        cmocka_unit_test(what_was_json_is_json),
        cmocka_unit_test(escapes_are_looked_through),
        cmocka_unit_test(json_stays_json),
        cmocka_unit_test(hits_that_overlap_go_together),
        cmocka_unit_test(a_secret_may_be_the_form_of_a_shorter_one),
        cmocka_unit_test(url_and_base64_are_seen_as_others_write_them),
        cmocka_unit_test(large_texts_are_looked_through_in_steps),
        cmocka_unit_test(the_edge_is_as_long_as_the_longest_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
