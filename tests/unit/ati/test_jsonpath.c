#include "ati/exec/exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ati/exec/jsonpath_priv.h"
#include "base/poison.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char store[] =
    "{\"store\":{\"book\":["
    "{\"category\":\"reference\",\"title\":\"Sayings\",\"price\":8.95},"
    "{\"category\":\"fiction\",\"title\":\"Honour\",\"price\":12.99},"
    "{\"category\":\"fiction\",\"title\":\"Whale\",\"isbn\":\"0-553\",\"price\":8.99},"
    "{\"category\":\"fiction\",\"title\":\"Rings\",\"isbn\":\"0-395\",\"price\":22.990}],"
    "\"bicycle\":{\"colour\":\"red\",\"price\":399}},"
    "\"limit\":10,\"a b\":{\"it's\":1},\"n\":[0,1,2,3,4,5,6],\"odd\":{\"x-y\":1,\"é\":2,\"\":3},"
    "\"mixed\":[1,\"1\",null,true,false,[],{},1.0,10e-1,[1],{\"k\":[1,2]},{\"k\":[1, 2]}]}";

struct sample {
    const char *path, *want;
};

static struct buf out;
static struct err err;

static bool extract(const char *value, const char *path)
{
    buf_reset(&out);
    err = (struct err){.code = ERR_NONE};
    return jsonpath_extract(view_str(value), view_str(path), &out, &err);
}

static void check(const char *value, const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!extract(value, samples[i].path))
            fail_msg("%s: %s", samples[i].path, err.text);
        if (!view_eq(buf_view(&out), view_str(samples[i].want)))
            fail_msg("%s: %.*s, not %s", samples[i].path, VIEW_ARG(buf_view(&out)),
                     samples[i].want);
    }
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 64 * 1024 * 1024, "found");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_done(&out);
    return 0;
}

static void none_is_null_one_is_itself_several_are_an_array(void **state)
{
    static const struct sample samples[] = {
        {"$.nothing", "null"},
        {"$.limit", "10"},
        {"$.store.bicycle", "{\"colour\":\"red\",\"price\":399}"},
        {"$.store.book[*].title", "[\"Sayings\",\"Honour\",\"Whale\",\"Rings\"]"},
        {"$.store.book[3].price", "22.990"},
        {"$.store.bicycle.*", "[\"red\",399]"},
        {"$.n", "[0,1,2,3,4,5,6]"},
    };

    (void)state;
    check(store, samples, COUNT(samples));
    check(" [ 1 , 2 ] ", (const struct sample[]){{"$", "[1,2]"}, {"$[5]", "null"}, {"$.a", "null"}},
          3);
    check("\"text\"", (const struct sample[]){{"$", "\"text\""}, {"$.a", "null"}, {"$..*", "null"}},
          3);
}

static void names_are_written_in_three_ways(void **state)
{
    static const struct sample samples[] = {
        {"$['limit']", "10"},
        {"$[\"limit\"]", "10"},
        {"$['a b']['it\\'s']", "1"},
        {"$[\"a b\"][\"it's\"]", "1"},
        {"$[ 'a b' ] [ \"it's\" ]", "1"},
        {"$.odd.x-y", "1"},
        {"$.odd.é", "2"},
        {"$.odd['\\u00e9']", "2"},
        {"$.odd['']", "3"},
        {"$['\\u006cimit']", "10"},
        {"$ .limit", "10"},
        {"$['n','limit'][0]", "0"},
        {"$['limit','n','limit']", "[10,[0,1,2,3,4,5,6],10]"},
    };

    (void)state;
    check(store, samples, COUNT(samples));
    check("{\"\\ud83d\\ude00\":1}",
          (const struct sample[]){{"$.😀", "1"}, {"$['\\uD83D\\uDE00']", "1"}}, 2);
}

static void elements_are_counted_from_both_ends(void **state)
{
    static const struct sample samples[] = {
        {"$.n[0]", "0"},
        {"$.n[-1]", "6"},
        {"$.n[-7]", "0"},
        {"$.n[-8]", "null"},
        {"$.n[7]", "null"},
        {"$.n[0,1]", "[0,1]"},
        {"$.n[1:3]", "[1,2]"},
        {"$.n[:2]", "[0,1]"},
        {"$.n[5:]", "[5,6]"},
        {"$.n[-2:]", "[5,6]"},
        {"$.n[::3]", "[0,3,6]"},
        {"$.n[1:6:2]", "[1,3,5]"},
        {"$.n[::-3]", "[6,3,0]"},
        {"$.n[3:0:-1]", "[3,2,1]"},
        {"$.n[:-5:-1]", "[6,5,4,3]"},
        {"$.n[::0]", "null"},
        {"$.n[3:1]", "null"},
        {"$.n[100:200]", "null"},
        {"$.n[-100:2]", "[0,1]"},
        {"$.n[ 1 : 3 : 1 ]", "[1,2]"},
        {"$.n[6:]", "6"},
        {"$.limit[0]", "null"},
        {"$.store[0]", "null"},
        {"$.n['0']", "null"},
        {"$.n[9007199254740991]", "null"},
        {"$.n[::9007199254740991]", "0"},
    };

    (void)state;
    check(store, samples, COUNT(samples));
}

static void descends_in_the_order_of_the_text(void **state)
{
    static const struct sample samples[] = {
        {"$..price", "[8.95,12.99,8.99,22.990,399]"},
        {"$..book[2].title", "\"Whale\""},
        {"$..[0]", "[{\"category\":\"reference\",\"title\":\"Sayings\",\"price\":8.95},0,1,1,1,1]"},
        {"$.store..colour", "\"red\""},
        {"$.n..*", "[0,1,2,3,4,5,6]"},
        {"$..nothing", "null"},
        {"$..book..isbn", "[\"0-553\",\"0-395\"]"},
    };

    (void)state;
    check(store, samples, COUNT(samples));
}

static void filters_compare_and_combine(void **state)
{
    static const struct sample samples[] = {
        {"$.store.book[?(@.price < 10)].title", "[\"Sayings\",\"Whale\"]"},
        {"$.store.book[?@.price<$.limit].title", "[\"Sayings\",\"Whale\"]"},
        {"$..book[?(@.isbn)].title", "[\"Whale\",\"Rings\"]"},
        {"$..book[?!@.isbn].title", "[\"Sayings\",\"Honour\"]"},
        {"$..book[?(!(@.isbn))].title", "[\"Sayings\",\"Honour\"]"},
        {"$..book[?(@.category == 'fiction' && @.price > 10)].title", "[\"Honour\",\"Rings\"]"},
        {"$..book[?@.category=='reference'||@.price>=22.99].title", "[\"Sayings\",\"Rings\"]"},
        {"$..book[?(@.category != \"fiction\")].title", "\"Sayings\""},
        {"$..book[?(@.title <= 'R')].title", "\"Honour\""},
        {"$..book[?@.isbn && (@.price < 9 || @.price > 100)].title", "\"Whale\""},
        {"$..book[?@.price == 22.99].title", "\"Rings\""},
        {"$..book[?@.nothing == @.nil].title", "[\"Sayings\",\"Honour\",\"Whale\",\"Rings\"]"},
        {"$..book[?length(@.title) == 5].title", "[\"Whale\",\"Rings\"]"},
        {"$.store[?count(@.*) == 2].colour", "\"red\""},
        {"$.store[?value(@..colour) == 'red'].price", "399"},
        {"$.n[?@ > 2 && @ < 5]", "[3,4]"},
        {"$.n[?@ >= 2, 0]", "[2,3,4,5,6,0]"},
        {"$.mixed[?@ == 1]", "[1,1.0,10e-1]"},
        {"$.mixed[?@ == '1']", "\"1\""},
        {"$.mixed[?@ == null]", "null"},
        {"$.mixed[?@ == true]", "true"},
        {"$.mixed[?@ == $.mixed[5]]", "[]"},
        {"$.mixed[?@ == $.mixed[6]]", "{}"},
        {"$.mixed[?@ == $.mixed[9]]", "[1]"},
        {"$.mixed[?@ == $.mixed[10]]", "[{\"k\":[1,2]},{\"k\":[1,2]}]"},
        {"$.mixed[?@ < 2]", "[1,1.0,10e-1]"},
        {"$.mixed[?@ <= true]", "true"},
        {"$.mixed[?@.k[?@ == 2]]", "[{\"k\":[1,2]},{\"k\":[1,2]}]"},
        {"$.n[?@ == 3 || @ == 4 || @ == 5]", "[3,4,5]"},
        {"$.n[?@ == 3 && @ == 4 || @ == 5]", "5"},
        {"$.odd[?@ > 1]", "[2,3]"},
    };

    (void)state;
    check(store, samples, COUNT(samples));
    check("[9007199254740993,9007199254740992]",
          (const struct sample[]){{"$[?@ == 9007199254740993]", "9007199254740993"}}, 1);
    check(
        "[\"a\\u0062\",\"é\"]",
        (const struct sample[]){{"$[?@ == 'ab']", "\"a\\u0062\""}, {"$[?length(@) == 1]", "\"é\""}},
        2);
}

static void what_is_no_path_is_told_with_its_place(void **state)
{
    static const struct sample bad[] = {
        {"", "at character 1 '$' was expected"},
        {"a", "at character 1 '$' was expected"},
        {"$.", "at character 3 a name, '*' or '[' was expected"},
        {"$..", "at character 4 a name, '*' or '[' was expected"},
        {"$a", "at character 2 '.', '[' or the end was expected"},
        {"$.a b", "at character 4 '.', '[' or the end was expected"},
        {"$[", "at character 3 a name in quotes, a number, ':', '*' or '?' was expected"},
        {"$[]", "at character 3 a name in quotes, a number, ':', '*' or '?' was expected"},
        {"$[a]", "at character 3 a name in quotes, a number, ':', '*' or '?' was expected"},
        {"$[1", "at character 4 ',' or ']' was expected"},
        {"$[01]", "at character 3 a whole number was expected"},
        {"$[-0]", "at character 3 a whole number was expected"},
        {"$[9007199254740992]", "at character 3 a whole number was expected"},
        {"$['a", "at character 5 the end of the text in quotes was expected"},
        {"$['\\x']", "at character 5 an escape was expected"},
        {"$['\\ud800']", "at character 10 the second half of a surrogate pair was expected"},
        {"$['\\u0000']", "at character 10 a character was expected"},
        {"$[?]", "at character 4 '@', '$' or a value was expected"},
        {"$[?1]", "at character 5 a comparison was expected"},
        {"$[?@.a ==]", "at character 10 '@', '$' or a value was expected"},
        {"$[?@.a = 1]", "at character 8 ',' or ']' was expected"},
        {"$[?(@.a]", "at character 8 ')' was expected"},
        {"$[?@.* == 1]", "before character 11: only a path with one match at most can be compared"},
        {"$[?@ == 01]", "at character 9 a number was expected"},
        {"$[?length(@.*) == 1]", "length() takes a path with one match at most"},
        {"$[?match(@, 'a')]", "at character 4: match() and search() are not known"},
        {"$ ", "at character 2 '.', '[' or the end was expected"},
        {"\xff", "not UTF-8"},
    };
    char want[512], deep[256] = "$[?";

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        (void)snprintf(want, sizeof want, "JSONPath extraction failed: Invalid JSONPath '%s': %s",
                       bad[i].path, bad[i].want);
        if (extract("{}", bad[i].path) || strcmp(err.text, want) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", bad[i].path, err.text, want);
        assert_int_equal(err.code, ERR_SYNTAX);
    }
    memset(deep + 3, '(', JSONPATH_DEPTH_MAX);
    assert_false(extract("{}", deep));
    assert_non_null(strstr(err.text, "levels"));
}

/* Texts of random characters of a path's alphabet are read or refused, and every cut of a good one. */
static void every_cut_of_a_path_is_read_or_refused(void **state)
{
    static const char path[] =
        "$..a[?(@.b[0]=='x'&&!(@.c>1.5e1)||length(@['d\\u00e9'])<=2)]['k',1,-2:8:3,*].*";

    (void)state;
    assert_true(extract(store, path));
    for (size_t n = 0; n < sizeof path - 1; n++) {
        struct view cut = view_from(path, n);
        char *copy = malloc(n + 1);

        assert_non_null(copy);
        memcpy(copy, cut.at, n);
        copy[n] = '\0';
        if (!extract(store, copy))
            assert_int_equal(err.code, ERR_SYNTAX);
        free(copy);
    }
}

static void what_would_take_too_long_is_given_up(void **state)
{
    enum { N = 4000 };
    char *wide = malloc((size_t)4 * N + 8), *deep = malloc((size_t)2 * JSON_DEEP_MAX + 2);
    size_t n = 0;

    (void)state;
    assert_non_null(wide);
    assert_non_null(deep);
    wide[n++] = '[';
    for (int i = 0; i < N; i++) {
        memcpy(wide + n, i ? ",[]" : "[]", i ? 3 : 2);
        n += i ? 3 : 2;
    }
    memcpy(wide + n, "]", 2);
    /* Each element is compared with all of them, and with all of theirs. */
    assert_false(extract(wide, "$[?count($[?count($[*]) > 1]) > 1]"));
    assert_int_equal(err.code, ERR_LIMIT);
    memset(deep, '[', JSON_DEEP_MAX);
    memset(deep + JSON_DEEP_MAX, ']', JSON_DEEP_MAX);
    deep[2 * JSON_DEEP_MAX] = '\0';
    assert_false(extract(deep, "$..*..*..*..*..*..*..*..*"));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(buf_len(&out), 0);
    free(wide);
    free(deep);
}

static void a_result_that_does_not_fit_leaves_nothing(void **state)
{
    struct buf small;

    (void)state;
    buf_init(&small, 8, "small");
    assert_true(buf_append_str(&small, "xy", NULL));
    assert_false(jsonpath_extract(view_str(store), VIEW("$..price"), &small, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(view_eq(buf_view(&small), VIEW("xy")));
    buf_done(&small);
    assert_false(extract("{\"a\":", "$.a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(none_is_null_one_is_itself_several_are_an_array, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_are_written_in_three_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_are_counted_from_both_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(descends_in_the_order_of_the_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters_compare_and_combine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_path_is_told_with_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_cut_of_a_path_is_read_or_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_would_take_too_long_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_result_that_does_not_fit_leaves_nothing, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
