/* Where bodies end: plans, lengths and chunks. */
#include "support/fixture.h"

#include "http/http.h"

static struct view request_method(const struct fixture *f)
{
    struct view word = view_str(f->word);

    return view_starts(word, VIEW("response ")) ? view_skip(word, strlen("response ")) : VIEW("");
}

static bool plan(struct fixture *f, struct http_head *head, struct http_body *body)
{
    static const char *const kinds[] = {"no body", "length", "chunked", "until close"};
    bool response = view_starts(view_str(f->word), VIEW("response"));
    struct http_parser p;
    struct err err;

    http_parser_init(&p);
    assert_int_equal(response ? http_response_parse(&p, view_from(f->input, f->len), head)
                              : http_request_parse(&p, view_from(f->input, f->len), head),
                     HTTP_DONE);
    if (!http_body_plan(head, response, request_method(f), body, &err)) {
        fixture_event(f, "refused: %s", err.text);
        return false;
    }
    fixture_event(f, "%s", kinds[body->kind]);
    return true;
}

/* Feeds the part of the input that lies behind the head, in the pieces that were asked for. */
static void play(struct fixture *f, size_t step, bool all)
{
    static uint8_t data[FIXTURE_INPUT_BYTES];
    struct http_head head;
    struct http_body body;
    size_t from = 0, to = 0, len = 0, used;
    bool good = true;
    struct err err;

    if (!plan(f, &head, &body))
        return;
    used = head.bytes;
    while (good && !body.done && fixture_piece(f, step, all, &from, &to)) {
        size_t start = from > head.bytes ? from : head.bytes;
        uint8_t *block;
        struct view in, piece;

        if (to <= start)
            continue;
        block = fixture_block(view_from(f->input + start, to - start));
        in = view_from(block, to - start);
        while (in.len && !body.done && (good = http_body_feed(&body, &in, &piece, &err))) {
            assert_true(piece.at >= block && piece.at + piece.len <= in.at);
            if (piece.len)
                memcpy(data + len, piece.at, piece.len);
            len += piece.len;
            used = start + (size_t)(in.at - block);
        }
        if (!good)
            used = start + (size_t)(in.at - block);
        free(block);
    }
    if (len)
        fixture_event(f, "data %s", fixture_show(view_from(data, len)));
    if (!good)
        fixture_event(f, "error at %zu: %s", used, err.text);
    else
        fixture_event(f, "%s at %zu", body.done ? "end" : "more", used);
}

static void finds_the_ends_of_bodies_as_the_fixtures_say(void **state)
{
    (void)state;
    fixtures_run("http/body.txt", play);
}

static void a_body_that_is_over_takes_nothing_more(void **state)
{
    struct http_head head = {
        .minor = 1, .count = 1, .fields = {{VIEW("Content-Length"), VIEW("3")}}};
    struct http_body body;
    struct view in = VIEW("abcdef"), piece;

    (void)state;
    assert_true(http_body_plan(&head, false, VIEW(""), &body, NULL));
    assert_true(http_body_feed(&body, &in, &piece, NULL));
    assert_true(body.done && view_eq(piece, VIEW("abc")));
    assert_true(http_body_feed(&body, &in, &piece, NULL));
    assert_true(piece.len == 0 && view_eq(in, VIEW("def")));
}

static void nothing_comes_of_nothing(void **state)
{
    struct http_head head = {
        .minor = 1, .count = 1, .fields = {{VIEW("Transfer-Encoding"), VIEW("chunked")}}};
    struct http_body body;
    struct view in = {0}, piece;

    (void)state;
    assert_true(http_body_plan(&head, false, VIEW(""), &body, NULL));
    assert_true(http_body_feed(&body, &in, &piece, NULL));
    assert_true(piece.len == 0 && !body.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_ends_of_bodies_as_the_fixtures_say),
        cmocka_unit_test(a_body_that_is_over_takes_nothing_more),
        cmocka_unit_test(nothing_comes_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
