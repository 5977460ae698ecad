#include "ati/caller/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/secret.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { NOW = 1800000000 };

static struct caller *caller_of(const char *scope, int64_t expires_s)
{
    const struct caller_claims claims = {
        .subject = VIEW("agent"), .scope = view_str(scope), .expires_s = expires_s};
    struct caller *c = NULL;

    assert_true(caller_new(&claims, &c, NULL));
    return c;
}

static void grants_what_the_grammar_says(void **state)
{
    static const struct {
        const char *scope, *required;
        bool may;
    } rows[] = {
        {"tool:web_search", "tool:web_search", true},
        {"tool:web_search", "tool:web_fetch", false},
        {"tool:web_search", "tool:web_search2", false},
        {"tool:web_search2", "tool:web_search", false},
        {"*", "tool:anything", true},
        {"*", "help", true},
        {"tool:github:*", "tool:github:search", true},
        {"tool:github:*", "tool:github:", true},
        {"tool:github:*", "tool:github", false},
        {"tool:github:*", "tool:gitlab:search", false},
        {"tool:git*", "tool:github:search", true},
        {"tool:*", "tool:x", true},
        {"tool:*", "skill:x", false},
        {"tool:*", "help", false},
        {"tool:*:search", "tool:github:search", false}, /* '*' counts at the end alone */
        {"tool:**", "tool:x", false},
        {"tool:**", "tool:*x", true},
        {"TOOL:x", "tool:x", false},
        {"tool:X", "tool:x", false},
        {"", "tool:x", false},
        {" \t\n", "tool:x", false},
        {"a  tool:x\tb", "tool:x", true},
        {"\ntool:x\r", "tool:x", true},
        {"tool:x,tool:y", "tool:x", false},
        {"tool:github_search", "tool:github:search", true}, /* the older spelling */
        {"tool:github_*", "tool:github:search", true},
        {"tool:a_b:c", "tool:a:b:c", true},
        {"tool:a_b_c", "tool:a:b:c", false},
        {"tool:a:b_c", "tool:a:b:c", false},
        {"tool:github:search", "tool:github_search", false}, /* not the other way round */
        {"skill_x", "skill:x", false},
        {"tool:x", NULL, true},
        {"tool:x", "", true},
        {"", "", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct caller *c = caller_of(rows[i].scope, 0);

        if (caller_may(c, rows[i].required, NOW) != rows[i].may)
            fail_msg("\"%s\" for %s", rows[i].scope, rows[i].required);
        caller_unref(c);
    }
}

/* The grammar once more, as plainly as it can be said. */
static bool plainly_matches(const char *name, const char *pattern)
{
    size_t n = strlen(pattern);

    if (strcmp(pattern, "*") == 0 || strcmp(name, pattern) == 0)
        return true;
    return n > 0 && pattern[n - 1] == '*' && strncmp(name, pattern, n - 1) == 0;
}

static bool plainly_may(char *const *words, size_t count, const char *required)
{
    char older[64];
    bool tool = strncmp(required, "tool:", 5) == 0 && strchr(required + 5, ':');

    (void)snprintf(older, sizeof older, "%s", required);
    if (tool)
        *strchr(older + 5, ':') = '_';
    for (size_t i = 0; i < count; i++)
        if (plainly_matches(required, words[i]) || (tool && plainly_matches(older, words[i])))
            return true;
    return !*required;
}

static unsigned turn(unsigned below)
{
    static uint64_t state = 0x9E3779B97F4A7C15; /* the same words in every run */

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % below);
}

static void word_make(char out[static 32], bool pattern)
{
    static const char *const kinds[] = {"tool:", "tool:", "tool:", "skill:", "", "tool"};
    static const char letters[] = "ab:_";
    size_t n = (size_t)snprintf(out, 32, "%s", kinds[turn(COUNT(kinds))]);

    for (unsigned left = turn(5); left; left--)
        out[n++] = letters[turn(sizeof letters - 1)];
    if (pattern && turn(2))
        out[n++] = '*';
    if (!n)
        out[n++] = 'a';
    out[n] = '\0';
}

static void agrees_with_a_plain_reading_of_the_grammar(void **state)
{
    unsigned yes = 0, no = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        char words[3][32], scope[128], required[32];
        char *const list[] = {words[0], words[1], words[2]};
        size_t count = turn(4);
        struct caller *c;
        bool may;

        scope[0] = '\0';
        for (size_t i = 0; i < count; i++) {
            word_make(words[i], true);
            (void)snprintf(scope + strlen(scope), sizeof scope - strlen(scope), "%s%s",
                           i ? " " : "", words[i]);
        }
        word_make(required, false);
        c = caller_of(scope, 0);
        assert_int_equal(c->scope_count, count);
        may = caller_may(c, required, NOW);
        if (may != plainly_may(list, count, required))
            fail_msg("\"%s\" for %s: %d", scope, required, may);
        may ? yes++ : no++;
        caller_unref(c);
    }
    assert_true(yes > 1000 && no > 1000);
}

static void grants_nothing_once_it_has_expired(void **state)
{
    struct caller *c = caller_of("* help tool:x", NOW);

    (void)state;
    assert_true(caller_may(c, "tool:x", NOW));
    assert_true(caller_may(c, "", NOW));
    assert_false(caller_expired(c, NOW));
    assert_true(caller_expired(c, NOW + 1));
    assert_false(caller_may(c, "tool:x", NOW + 1));
    assert_false(caller_may(c, "", NOW + 1));
    assert_false(caller_may(c, NULL, NOW + 1));
    caller_unref(c);
    c = caller_of("tool:x", 0);
    assert_true(caller_may(c, "tool:x", INT64_MAX));
    caller_unref(c);
}

static void nobody_may_nothing_and_the_developer_everything(void **state)
{
    struct caller *c = NULL;

    (void)state;
    assert_false(caller_may(NULL, "tool:x", NOW));
    assert_false(caller_may(NULL, "", NOW));
    assert_false(caller_may_help(NULL, 0));
    caller_unref(NULL);
    assert_true(caller_dev(&c, NULL));
    assert_string_equal(c->subject, "dev");
    assert_true(c->unrestricted && caller_may(c, "tool:x", INT64_MAX) &&
                caller_may_help(c, INT64_MAX));
    assert_int_equal(c->rate_count, 0);
    caller_unref(c);
}

static void counts_scopes_and_knows_who_may_ask_for_help(void **state)
{
    static const struct {
        const char *scope;
        size_t tools, skills;
        bool help;
    } rows[] = {
        {"tool:a tool:b* skill:c help", 2, 1, true},
        {"*", 0, 0, true},
        {"help:x he*", 0, 0, false},
        {"", 0, 0, false},
        {"tool:", 1, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct caller *c = caller_of(rows[i].scope, 0);

        assert_int_equal(caller_scopes_of(c, "tool:"), rows[i].tools);
        assert_int_equal(caller_scopes_of(c, "skill:"), rows[i].skills);
        assert_int_equal(caller_may_help(c, 1000), rows[i].help);
        caller_unref(c);
        c = caller_of(rows[i].scope, 1000);
        assert_int_equal(caller_may_help(c, 1000), rows[i].help);
        assert_false(caller_may_help(c, 1001));
        caller_unref(c);
    }
}

static void keeps_what_the_credential_said(void **state)
{
    char pattern[] = "tool:x", job[] = "job-7";
    const struct caller_rate rate = {pattern, 10, 3600};
    const struct caller_claims claims = {.subject = VIEW("agent"),
                                         .issuer = VIEW("me"),
                                         .job_id = view_str(job),
                                         .scope = VIEW("b a b"),
                                         .issued_s = 5,
                                         .expires_s = 6,
                                         .rates = &rate,
                                         .rate_count = 1};
    struct caller *c = NULL, *again;

    (void)state;
    assert_true(caller_new(&claims, &c, NULL));
    pattern[0] = job[0] = '#';
    again = caller_ref(c);
    caller_unref(c);
    assert_string_equal(again->subject, "agent");
    assert_string_equal(again->issuer, "me");
    assert_string_equal(again->job_id, "job-7");
    assert_null(again->sandbox_id);
    assert_null(again->audience);
    assert_string_equal(again->scope, "b a b");
    assert_int_equal(again->scope_count, 3);
    assert_int_equal(again->issued_s, 5);
    assert_int_equal(again->expires_s, 6);
    assert_string_equal(again->rates[0].pattern, "tool:x");
    assert_int_equal(again->rates[0].limit, 10);
    caller_unref(again);
}

static void reads_rates(void **state)
{
    static const struct {
        const char *spec;
        uint64_t limit, window_s;
    } good[] = {
        {"1/s", 1, 1},         {"2/sec", 2, 1},
        {"3/second", 3, 1},    {"4/m", 4, 60},
        {"5/min", 5, 60},      {"6/minute", 6, 60},
        {"7/h", 7, 3600},      {"8/hr", 8, 3600},
        {"10/hour", 10, 3600}, {"11/d", 11, 86400},
        {"12/day", 12, 86400}, {"0/hour", 0, 3600},
        {"007/hour", 7, 3600}, {"18446744073709551615/day", UINT64_MAX, 86400},
    };
    static const char *const bad[] = {
        "",         "10",        "/hour",    "10/",       "10/hours",
        "10/Hour",  "-1/hour",   "1.5/hour", " 10/hour",  "10/hour ",
        "10 /hour", "10/1hour",  "ten/day",  "10/week",   "10/hour/",
        "1e3/hour", "10\\/hour", "10/HOUR",  "0x10/hour", "18446744073709551616/day",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t limit = 99, window_s = 99;

        assert_true(caller_rate_parse(view_str(good[i].spec), &limit, &window_s, NULL));
        assert_true(limit == good[i].limit && window_s == good[i].window_s);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t limit = 99, window_s = 99;
        struct err err = {0};

        if (caller_rate_parse(view_str(bad[i]), &limit, &window_s, &err))
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_int_equal(err.code, ERR_SYNTAX);
        assert_true(limit == 99 && window_s == 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_what_the_grammar_says),
        cmocka_unit_test(agrees_with_a_plain_reading_of_the_grammar),
        cmocka_unit_test(grants_nothing_once_it_has_expired),
        cmocka_unit_test(nobody_may_nothing_and_the_developer_everything),
        cmocka_unit_test(counts_scopes_and_knows_who_may_ask_for_help),
        cmocka_unit_test(keeps_what_the_credential_said),
        cmocka_unit_test(reads_rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
