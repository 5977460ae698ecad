/* The answer's bytes: heads, bodies and JSON, by the reader alone. What a whole server may say stands in test_lies. */
#include "stage.h"

#include "atls/quote_exchange.h"
#include "support/corpus.h"

#define QUOTE "\"quote\":{\"quote\":\"00\",\"event_log\":\"[]\"}"

/* Feeds it in pieces, and reads what it says. */
static bool read_answer(const char *head, struct view body, size_t piece,
                        struct exchange_answer *out, struct attest_err *err)
{
    struct exchange_reader r;
    struct buf all;
    struct view rest;
    bool good = true;

    err->code = ATTEST_OK;
    buf_init(&all, 256 << 20, "all");
    assert_true(
        head ? buf_append_str(&all, head, NULL)
             : buf_appendf(&all, NULL, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body.len));
    assert_true(buf_append(&all, body, NULL));
    exchange_reader_init(&r);
    for (rest = buf_view(&all); good && rest.len; rest = view_skip(rest, piece))
        good = exchange_feed(&r, view_first(rest, piece), err);
    if (good && !r.done)
        good = attest_fail(err, ATTEST_INTERNAL, "it waits for more");
    good = good && exchange_parse(&r, out, err);
    exchange_reader_done(&r);
    buf_done(&all);
    return good;
}

static void a_good_answer_is_read_in_pieces_of_any_size(void **state)
{
    static const char *const heads[] = {
        NULL,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n3;x=y\r\n1, "
        "\r\n28\r\n",
    };
    static const char *const bodies[] = {"{" QUOTE ",\"a\":\"b\"}", QUOTE "}\r\n0\r\nX: y\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++)
        for (size_t piece = 1; piece < 200; piece++) {
            struct exchange_answer a;
            struct attest_err err;

            if (!read_answer(heads[i], view_str(bodies[i]), piece, &a, &err))
                fail_msg("%zu in pieces of %zu: %s", i, piece, err.text);
            assert_int_equal(buf_len(&a.quote), 1);
            assert_true(view_eq(buf_view(&a.event_log), VIEW("[]")));
            exchange_answer_done(&a);
        }
}

/* --- each body that is none is a test of its own --- */

struct body_fault {
    const char *name;
    struct view body;
    enum attest_code code;
};

/* By a server that says so, to clients. */
static void said_by_a_server(const char *test, const struct lie *lie, const struct attest_err *want)
{
    struct stage s;

    stage_open_as(&s, lie, "tee.test", test);
    if (stage_run(&s) != ATLS_FAILED)
        fail_msg("%s: attested", test);
    if (want)
        assert_string_equal(atls_client_error(s.client)->text, want->text);
    stage_close(&s);
}

static void body_fault_test(void **state)
{
    const struct body_fault *f = *state;
    struct exchange_answer a;
    struct attest_err err;

    if (read_answer(NULL, f->body, SIZE_MAX, &a, &err) || err.code != f->code)
        fail_msg("wanted %s, got %s: %s", attest_code_name(f->code), attest_code_name(err.code),
                 err.text);
    said_by_a_server(f->name, &(struct lie){.raw = f->body}, &err);
}

#define BODY_FAULT(f, error, text)                                                      \
    {                                                                                   \
        .name = #f, .test_func = body_fault_test, .initial_state = &(struct body_fault) \
        {                                                                               \
            .name = #f, .body = VIEW(text), .code = ATTEST_##error                      \
        }                                                                               \
    }

/* --- more than there may be --- */

/* "{QUOTE,"x":" unit × count "}" */
static enum attest_code with_much(const char *before, const char *unit, size_t count,
                                  const char *behind)
{
    struct exchange_answer a;
    struct attest_err err;
    struct buf body;

    buf_init(&body, 256 << 20, "body");
    assert_true(buf_append_str(&body, before, NULL));
    for (size_t i = 0; i < count; i++)
        assert_true(buf_append_str(&body, unit, NULL));
    assert_true(buf_append_str(&body, behind, NULL));
    if (read_answer(NULL, buf_view(&body), 1 << 16, &a, &err))
        exchange_answer_done(&a);
    buf_done(&body);
    return err.code;
}

static void too_much_is_refused(void **state)
{
    enum { MIB = 1 << 20 };
    char kib[1025];

    (void)state;
    memset(kib, 'a', 1024);
    kib[1024] = '\0';
    /* Depth: 31 levels more are the limit. */
    assert_int_equal(with_much("{" QUOTE ",\"x\":", "[", 1000, ""), ATTEST_QUOTE_ANSWER);
    assert_int_equal(with_much("{" QUOTE ",\"x\":", "{\"x\":", 1000, ""), ATTEST_QUOTE_ANSWER);
    assert_int_equal(with_much("", "[", 100000, ""), ATTEST_QUOTE_ANSWER);
    /* Bytes: a body has 8 MiB at most, whatever is in it. */
    assert_int_equal(with_much("{" QUOTE ",\"x\":\"", kib, 1024, "\"}"), ATTEST_OK);
    assert_int_equal(with_much("{" QUOTE ",\"x\":\"", kib, (size_t)10 * 1024, "\"}"), ATTEST_HTTP);
    assert_int_equal(with_much("{" QUOTE ",\"x\":\"", kib, (size_t)100 * 1024, "\"}"), ATTEST_HTTP);
    /* Elements. */
    assert_int_equal(
        with_much("{\"quote\":{\"quote\":\"00\",\"event_log\":[{}", ",{}", 1000000, "]}}"),
        ATTEST_QUOTE_ANSWER);
    assert_int_equal(with_much("{" QUOTE ",\"x\":[0", ",0", 1000000, "]}"), ATTEST_QUOTE_ANSWER);
    /* The quote itself. */
    assert_int_equal(with_much("{\"quote\":{\"event_log\":[],\"quote\":\"", kib, 129, "\"}}"),
                     ATTEST_QUOTE_ANSWER);
}

/* The same without a length to be judged by: chunk after chunk. */
static void a_body_without_end_is_refused(void **state)
{
    struct exchange_reader r;
    struct attest_err err = {.code = ATTEST_OK};
    size_t taken = 0;
    char kib[1026];

    (void)state;
    memset(kib, ' ', 1024);
    memcpy(kib + 1024, "\r\n", 2);
    exchange_reader_init(&r);
    assert_true(
        exchange_feed(&r, VIEW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), &err));
    while (exchange_feed(&r, VIEW("400\r\n"), &err) &&
           exchange_feed(&r, view_from(kib, sizeof kib), &err)) {
        taken += 1024;
        assert_true(taken <= EXCHANGE_BODY_MAX);
    }
    assert_int_equal(err.code, ATTEST_HTTP);
    assert_int_equal(taken, EXCHANGE_BODY_MAX);
    exchange_reader_done(&r);
}

static void a_head_without_end_is_refused(void **state)
{
    struct exchange_reader r;
    struct attest_err err = {.code = ATTEST_OK};
    size_t taken = 0;

    (void)state;
    exchange_reader_init(&r);
    assert_true(exchange_feed(&r, VIEW("HTTP/1.1 200 OK\r\n"), &err));
    while (exchange_feed(&r, VIEW("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"), &err)) {
        taken += 36;
        assert_true(taken <= HTTP_HEAD_BYTES_MAX);
    }
    assert_int_equal(err.code, ATTEST_HTTP);
    exchange_reader_done(&r);
}

/* What fuzzing starts from, said by a server: none of it is for this session. The first byte of each says how it was cut there. */
static void answers_of_the_corpus_are_refused(void **state)
{
    struct corpus answers;

    (void)state;
    corpus_open(&answers, "quote_answer");
    for (unsigned i = 0; i < answers.count; i++)
        said_by_a_server(__func__,
                         &(struct lie){.raw = view_skip(answers.files[i], 1), .whole = true}, NULL);
    corpus_close(&answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_read_in_pieces_of_any_size),
        BODY_FAULT(body_empty, QUOTE_ANSWER, ""),
        BODY_FAULT(body_of_a_word, QUOTE_ANSWER, "word"),
        BODY_FAULT(body_an_array, QUOTE_ANSWER, "[]"),
        BODY_FAULT(body_with_a_word_behind, QUOTE_ANSWER, "{" QUOTE "} x"),
        BODY_FAULT(body_of_two_objects, QUOTE_ANSWER, "{" QUOTE "}{" QUOTE "}"),
        BODY_FAULT(body_with_a_mark, QUOTE_ANSWER, "\xef\xbb\xbf{" QUOTE "}"),
        BODY_FAULT(body_with_a_comment, QUOTE_ANSWER, "{" QUOTE "/**/}"),
        BODY_FAULT(body_not_in_utf8, QUOTE_ANSWER, "{" QUOTE ",\"x\":\"\xff\"}"),
        BODY_FAULT(body_of_a_surrogate_in_utf8, QUOTE_ANSWER, "{" QUOTE ",\"x\":\"\xed\xa0\x80\"}"),
        BODY_FAULT(body_with_a_nul, QUOTE_ANSWER, "{" QUOTE ",\"x\":\"\0\"}"),
        BODY_FAULT(body_with_a_nul_behind, QUOTE_ANSWER, "{" QUOTE "}\0"),
        BODY_FAULT(no_quote, QUOTE_ANSWER, "{\"success\":true}"),
        BODY_FAULT(quote_a_text, QUOTE_ANSWER, "{\"quote\":\"00\"}"),
        BODY_FAULT(quote_without_quote, QUOTE_ANSWER, "{\"quote\":{\"event_log\":\"[]\"}}"),
        BODY_FAULT(quote_without_log, QUOTE_ANSWER, "{\"quote\":{\"quote\":\"00\"}}"),
        BODY_FAULT(quote_of_a_digit, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"0\",\"event_log\":\"[]\"}}"),
        BODY_FAULT(quote_not_in_hex, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"0g\",\"event_log\":\"[]\"}}"),
        BODY_FAULT(quote_null, QUOTE_ANSWER, "{\"quote\":null}"),
        BODY_FAULT(quote_twice, QUOTE_ANSWER, "{" QUOTE "," QUOTE "}"),
        BODY_FAULT(quote_twice_by_an_escape, QUOTE_ANSWER, "{" QUOTE ",\"quot\\u0065\":{}}"),
        BODY_FAULT(inner_quote_twice, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"00\",\"quote\":\"01\",\"event_log\":\"[]\"}}"),
        BODY_FAULT(inner_quote_twice_by_an_escape, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"00\",\"\\u0071uote\":\"01\",\"event_log\":\"[]\"}}"),
        BODY_FAULT(event_log_twice, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"00\",\"event_log\":\"[]\",\"event_log\":\"[{}]\"}}"),
        BODY_FAULT(
            event_log_twice_by_an_escape, QUOTE_ANSWER,
            "{\"quote\":{\"quote\":\"00\",\"event_log\":\"[]\",\"event\\u005flog\":\"[{}]\"}}"),
        BODY_FAULT(any_member_twice, QUOTE_ANSWER, "{" QUOTE ",\"x\":1,\"x\":1}"),
        BODY_FAULT(event_log_a_number, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"00\",\"event_log\":1}}"),
        BODY_FAULT(event_log_with_a_lone_surrogate, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"00\",\"event_log\":\"[\\ud800]\"}}"),
        BODY_FAULT(event_log_with_a_nul, QUOTE_ANSWER,
                   "{\"quote\":{\"quote\":\"00\",\"event_log\":\"[]\\u0000\"}}"),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(a_body_without_end_is_refused),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(answers_of_the_corpus_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
