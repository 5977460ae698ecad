/* Looking up fields and stepping through lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/http.h"

/* text: a request head that is good. */
static struct http_head head_of(const char *text)
{
    struct http_parser p;
    struct http_head head = {0};

    http_parser_init(&p);
    assert_int_equal(http_request_parse(&p, view_str(text), &head), HTTP_DONE);
    return head;
}

static void names_compare_without_case_and_as_a_whole(void **state)
{
    struct http_head h = head_of("GET / HTTP/1.1\r\nHOST: a\r\nX-One: 1\r\nX-One-More: 2\r\n\r\n");
    struct view value = {0};

    (void)state;
    assert_true(http_field(&h, VIEW("host"), &value));
    assert_true(view_eq(value, VIEW("a")));
    assert_true(http_field(&h, VIEW("x-oNE"), &value));
    assert_true(view_eq(value, VIEW("1")));
    assert_int_equal(http_field_count(&h, VIEW("X-One")), 1);
    assert_int_equal(http_field_count(&h, VIEW("X")), 0);
}

static void a_field_that_comes_twice_is_not_the_only_one(void **state)
{
    struct http_head h = head_of("GET / HTTP/1.0\r\nX: 1\r\nY: 2\r\nx: 1\r\n\r\n");
    struct view value = VIEW("untouched");

    (void)state;
    assert_false(http_field(&h, VIEW("X"), &value));
    assert_false(http_field(&h, VIEW("Z"), &value));
    assert_true(view_eq(value, VIEW("untouched")));
    assert_int_equal(http_field_count(&h, VIEW("X")), 2);
}

static void tokens_are_found_in_lists_of_all_fields(void **state)
{
    static const struct {
        const char *lines;
        bool found;
    } cases[] = {
        {"Connection: upgrade\r\n", true},
        {"Connection: keep-alive, UPGRADE\r\n", true},
        {"Connection: keep-alive\r\nconnection:\tupgrade \r\n", true},
        {"Connection: , ,upgrade,\r\n", true},
        {"Connection: upgrade2\r\n", false},
        {"Connection: up grade\r\n", false},
        {"Connection: \"upgrade\"\r\n", false},
        {"Connection:\r\n", false},
        {"Upgrade: upgrade\r\n", false},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        struct http_head h;

        (void)snprintf(text, sizeof text, "GET / HTTP/1.0\r\n%s\r\n", cases[i].lines);
        h = head_of(text);
        if (http_field_has_token(&h, VIEW("Connection"), VIEW("upgrade")) != cases[i].found)
            fail_msg("%s", cases[i].lines);
    }
}

static void lists_go_on_from_field_to_field(void **state)
{
    struct http_head h =
        head_of("GET / HTTP/1.0\r\nA: 1 , 2\r\nB: no\r\nA:\r\nA: ,,\r\na: 3 4,5\r\n\r\n");
    static const char *const wanted[] = {"1", "2", "3 4", "5"};
    struct http_list cursor = {0};
    struct view element = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        assert_true(http_list_next(&h, VIEW("A"), &cursor, &element));
        assert_true(view_eq(element, view_str(wanted[i])));
    }
    assert_false(http_list_next(&h, VIEW("A"), &cursor, &element));
    assert_false(http_list_next(&h, VIEW("A"), &cursor, &element));
    cursor = (struct http_list){0};
    assert_false(http_list_next(&h, VIEW("C"), &cursor, &element));
}

static void tokens_are_made_of_token_characters(void **state)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    (void)state;
    assert_false(http_is_token(VIEW("")));
    assert_true(http_is_token(VIEW("Sec-WebSocket-Key")));
    assert_false(http_is_token(VIEW("a b")));
    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        assert_int_equal(http_is_token(view_from(&byte, 1)),
                         letter || (c && strchr(marks, (int)c) != NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_compare_without_case_and_as_a_whole),
        cmocka_unit_test(a_field_that_comes_twice_is_not_the_only_one),
        cmocka_unit_test(tokens_are_found_in_lists_of_all_fields),
        cmocka_unit_test(lists_go_on_from_field_to_field),
        cmocka_unit_test(tokens_are_made_of_token_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
