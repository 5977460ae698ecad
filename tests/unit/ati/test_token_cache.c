#include "ati/token/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define FIRST  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SECOND "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

enum { NOW = 1800000000 };

static struct token_authority *authority_of(const char *hex)
{
    const struct token_config config = {.secret_hex = hex};
    struct token_authority *a = NULL;

    assert_true(token_authority_load(&config, &a, NULL));
    return a;
}

static struct buf token_of(unsigned char first, const char *subject, int64_t ttl_s)
{
    const struct token_request request = {.subject = view_str(subject),
                                          .scope = VIEW("*"),
                                          .audience = VIEW(TOKEN_AUDIENCE),
                                          .now_s = NOW,
                                          .ttl_s = ttl_s};
    uint8_t secret[32] = {first};
    struct buf token;

    for (uint8_t i = 1; i < sizeof secret; i++)
        secret[i] = i;
    buf_init(&token, TOKEN_BYTES_MAX, "token");
    assert_true(token_issue(&request, VIEW(""), view_from(secret, sizeof secret), &token, NULL));
    return token;
}

static struct caller *ask(struct token_cache *cache, struct token_authority *a, struct view token,
                          int64_t now_s)
{
    struct caller *c = NULL;

    return token_cache_validate(cache, a, token, now_s, &c, NULL) ? c : NULL;
}

static void remembers_a_verdict_until_it_is_over(void **state)
{
    struct token_cache *cache = NULL;
    struct token_authority *a = authority_of(FIRST);
    struct buf token = token_of(0, "agent", 100);
    struct caller *first, *again;

    (void)state;
    assert_true(token_cache_new(64, &cache, NULL));
    first = ask(cache, a, buf_view(&token), NOW);
    assert_non_null(first);
    again = ask(cache, a, buf_view(&token), NOW + 160); /* exp and the leeway */
    assert_ptr_equal(first, again);
    caller_unref(again);
    assert_null(ask(cache, a, buf_view(&token), NOW + 161));
    again = ask(cache, a, buf_view(&token), NOW); /* judged anew */
    assert_non_null(again);
    assert_ptr_not_equal(first, again);
    caller_unref(first);
    caller_unref(again);
    token_cache_free(cache);
    token_authority_unref(a);
    buf_done(&token);
}

static void remembers_nothing_that_was_refused(void **state)
{
    struct token_cache *cache = NULL;
    struct token_authority *a = authority_of(FIRST), *other = authority_of(SECOND);
    struct buf token = token_of(0xff, "agent", 100);
    struct caller *c;

    (void)state;
    assert_true(token_cache_new(64, &cache, NULL));
    assert_null(ask(cache, a, buf_view(&token), NOW));
    assert_null(ask(cache, a, buf_view(&token), NOW));
    c = ask(cache, other, buf_view(&token), NOW);
    assert_non_null(c);
    caller_unref(c);
    assert_null(ask(cache, a, view_first(buf_view(&token), buf_len(&token) - 1), NOW));
    assert_null(ask(cache, a, VIEW(""), NOW));
    token_cache_free(cache);
    token_authority_unref(a);
    token_authority_unref(other);
    buf_done(&token);
}

static void forgets_everything_when_the_authority_changes(void **state)
{
    struct token_cache *cache = NULL;
    struct token_authority *a = authority_of(FIRST), *same = authority_of(FIRST),
                           *other = authority_of(SECOND);
    struct buf token = token_of(0, "agent", 100);
    struct caller *first, *again;

    (void)state;
    assert_true(token_cache_new(64, &cache, NULL));
    first = ask(cache, a, buf_view(&token), NOW);
    token_authority_unref(a); /* the cache holds its own */
    assert_null(ask(cache, other, buf_view(&token), NOW));
    again = ask(cache, same, buf_view(&token), NOW);
    assert_non_null(again);
    assert_ptr_not_equal(first, again);
    caller_unref(first);
    caller_unref(again);
    token_cache_free(cache);
    token_authority_unref(same);
    token_authority_unref(other);
    buf_done(&token);
}

static void holds_so_many_and_the_latest(void **state)
{
    enum { ROOM = 16, TOKENS = 400 };
    struct token_cache *cache = NULL;
    struct token_authority *a = authority_of(FIRST);
    struct buf tokens[TOKENS];
    struct caller *callers[TOKENS];
    size_t known = 0;

    (void)state;
    assert_true(token_cache_new(ROOM, &cache, NULL));
    for (size_t i = 0; i < TOKENS; i++) {
        struct caller *again;

        tokens[i] = token_of(0, "agent", 100);
        callers[i] = ask(cache, a, buf_view(&tokens[i]), NOW);
        again = ask(cache, a, buf_view(&tokens[i]), NOW);
        assert_ptr_equal(callers[i], again);
        caller_unref(again);
    }
    for (size_t i = 0; i < TOKENS; i++) /* ours, and the cache's when it has it */
        known += callers[i]->references == 2;
    assert_true(known > ROOM / 2 && known <= ROOM);
    assert_int_equal(callers[TOKENS - 1]->references, 2);
    for (size_t i = 0; i < TOKENS; i++) {
        caller_unref(callers[i]);
        buf_done(&tokens[i]);
    }
    token_cache_free(cache);
    token_cache_free(NULL);
    token_authority_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_a_verdict_until_it_is_over),
        cmocka_unit_test(remembers_nothing_that_was_refused),
        cmocka_unit_test(forgets_everything_when_the_authority_changes),
        cmocka_unit_test(holds_so_many_and_the_latest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
