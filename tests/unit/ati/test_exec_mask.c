#include "ati/exec/exec_priv.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_masked_wherever_they_stand),
        cmocka_unit_test(base64_is_seen_at_every_offset),
        cmocka_unit_test(what_was_json_is_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
