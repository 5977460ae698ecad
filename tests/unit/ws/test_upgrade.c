/* The opening handshake from both ends. */
#include "support/fixture.h"

#include "ws/ws.h"

static const char sample_key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char sample_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static bool parse(struct view bytes, bool response, struct http_head *head)
{
    struct http_parser p;

    http_parser_init(&p);
    return (response ? http_response_parse(&p, bytes, head)
                     : http_request_parse(&p, bytes, head)) == HTTP_DONE;
}

/* The input is the request line and the fields that a case is about; "@ good" puts the fields of a
 * good handshake behind them, but for those that are there already. */
static void play(struct fixture *f, size_t step, bool all)
{
    static const char *const good[][2] = {
        {"Host", "a"},
        {"Connection", "Upgrade"},
        {"Upgrade", "websocket"},
        {"Sec-WebSocket-Version", "13"},
        {"Sec-WebSocket-Key", sample_key},
    };
    static const char *const results[] = {"ok", "none", "bad", "version"};
    struct err err = {0};
    struct http_head head;
    struct view key = VIEW("untouched");
    enum ws_upgrade result;

    (void)step;
    (void)all;
    if (!parse(view_from(f->input, f->len), false, &head))
        fail_msg("%s:%u is no request", f->file, f->line);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (view_eq(view_str(f->word), VIEW("good")) &&
            http_field_count(&head, view_str(good[i][0])) == 0)
            head.fields[head.count++] =
                (struct http_field){view_str(good[i][0]), view_str(good[i][1])};
    result = ws_upgrade_check(&head, &key, &err);
    assert_int_equal(view_eq(key, VIEW("untouched")), result != WS_UPGRADE_OK);
    fixture_event(f, "%s%s%s", results[result], err.text[0] ? ": " : "", err.text);
}

static void judges_requests_as_the_fixtures_say(void **state)
{
    (void)state;
    fixtures_run("ws/upgrade.txt", play);
}

static void the_sample_key_of_the_standard_gives_its_sample_accept(void **state)
{
    uint8_t accept[WS_ACCEPT_BYTES];

    (void)state;
    assert_true(ws_accept_key(view_str(sample_key), accept));
    assert_memory_equal(accept, sample_accept, WS_ACCEPT_BYTES);
    assert_false(ws_accept_key(VIEW("short"), accept));
    assert_false(ws_accept_key(VIEW("dGhlIHNhbXBsZSBub25jZQ==="), accept));
}

static void answers_with_101_and_no_extension(void **state)
{
    uint8_t out[512];
    struct http_head head;
    size_t n = ws_upgrade_answer(view_str(sample_key), VIEW(""), out, sizeof out);

    (void)state;
    assert_true(parse(view_from(out, n), true, &head));
    assert_int_equal(head.status, 101);
    assert_int_equal(head.bytes, n);
    assert_int_equal(head.count, 3);
    assert_true(ws_client_check(&head, (const uint8_t *)sample_key, NULL));
}

static void answers_with_the_subprotocol_that_was_chosen(void **state)
{
    uint8_t out[512];
    struct http_head head;
    struct view said;
    size_t n = ws_upgrade_answer(view_str(sample_key), VIEW("binary"), out, sizeof out);

    (void)state;
    assert_true(parse(view_from(out, n), true, &head));
    assert_true(http_field(&head, VIEW("Sec-WebSocket-Protocol"), &said));
    assert_true(view_eq(said, VIEW("binary")));
}

static void an_answer_is_written_whole_or_not(void **state)
{
    uint8_t out[512];
    char longest[400];
    size_t n = ws_upgrade_answer(view_str(sample_key), VIEW("binary"), out, sizeof out);

    (void)state;
    assert_int_equal(ws_upgrade_answer(view_str(sample_key), VIEW("binary"), out, n), n);
    assert_int_equal(ws_upgrade_answer(view_str(sample_key), VIEW("binary"), out, n - 1), 0);
    assert_int_equal(ws_upgrade_answer(VIEW("short"), VIEW(""), out, sizeof out), 0);
    assert_int_equal(ws_upgrade_answer(view_str(sample_key), VIEW("a\r\nb"), out, sizeof out), 0);
    memset(longest, 'a', sizeof longest);
    assert_int_equal(ws_upgrade_answer(view_str(sample_key), view_from(longest, sizeof longest),
                                       out, sizeof out),
                     0);
}

static void our_client_and_our_server_agree(void **state)
{
    uint8_t key[WS_KEY_BYTES], other[WS_KEY_BYTES], out[512];
    struct http_head request, answer;
    struct view said;
    struct err err;
    struct buf b;
    size_t n;

    (void)state;
    buf_init(&b, 4096, "request");
    assert_true(
        ws_client_request(&b, VIEW("a:80"), VIEW("/?target=b"), VIEW("X: y\r\n"), key, NULL));
    assert_true(parse(buf_view(&b), false, &request));
    assert_int_equal(ws_upgrade_check(&request, &said, &err), WS_UPGRADE_OK);
    assert_true(view_eq(said, view_from(key, sizeof key)));
    assert_int_equal(http_field_count(&request, VIEW("x")), 1);
    n = ws_upgrade_answer(said, VIEW(""), out, sizeof out);
    assert_true(parse(view_from(out, n), true, &answer));
    assert_true(ws_client_check(&answer, key, &err));

    buf_reset(&b);
    assert_true(ws_client_request(&b, VIEW("a:80"), VIEW("/"), VIEW(""), other, NULL));
    assert_memory_not_equal(key, other, sizeof key);
    assert_false(ws_client_check(&answer, other, &err));
    buf_done(&b);
}

static void a_client_refuses_answers_that_are_no_upgrade(void **state)
{
    static const struct {
        const char *answer, *error;
    } cases[] = {
#define ANSWER(status, upgrade, connection, accept, more) \
    "HTTP/1.1 " status "\r\n" upgrade connection accept more "\r\n"
#define UPGRADE    "Upgrade: websocket\r\n"
#define CONNECTION "Connection: upgrade\r\n"
#define ACCEPT     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        {ANSWER("101 S", UPGRADE, CONNECTION, ACCEPT, ""), ""},
        {ANSWER("200 OK", UPGRADE, CONNECTION, ACCEPT, ""), "line 1: expected status 101, got 200"},
        {ANSWER("101 S", "", CONNECTION, ACCEPT, ""),
         "expected a field \"Upgrade\" with websocket"},
        {ANSWER("101 S", UPGRADE, "", ACCEPT, ""), "expected a field \"Connection\" with upgrade"},
        {ANSWER("101 S", UPGRADE, CONNECTION, "", ""),
         "field \"Sec-WebSocket-Accept\": expected one, got 0"},
        {ANSWER("101 S", UPGRADE, CONNECTION, ACCEPT, ACCEPT),
         "field \"Sec-WebSocket-Accept\": expected one, got 2"},
        {ANSWER("101 S", UPGRADE, CONNECTION, "Sec-WebSocket-Accept: no\r\n", ""),
         "line 4: field \"Sec-WebSocket-Accept\": expected the digest of our key, got \"no\""},
        {ANSWER("101 S", UPGRADE, CONNECTION, ACCEPT, "Sec-WebSocket-Extensions: x\r\n"),
         "line 5: field \"Sec-WebSocket-Extensions\": expected none, as none was offered, "
         "got \"x\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_head head;
        struct err err = {0};

        assert_true(parse(view_str(cases[i].answer), true, &head));
        assert_int_equal(ws_client_check(&head, (const uint8_t *)sample_key, &err),
                         cases[i].error[0] == '\0');
        assert_string_equal(err.text, cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_requests_as_the_fixtures_say),
        cmocka_unit_test(the_sample_key_of_the_standard_gives_its_sample_accept),
        cmocka_unit_test(answers_with_101_and_no_extension),
        cmocka_unit_test(answers_with_the_subprotocol_that_was_chosen),
        cmocka_unit_test(an_answer_is_written_whole_or_not),
        cmocka_unit_test(our_client_and_our_server_agree),
        cmocka_unit_test(a_client_refuses_answers_that_are_no_upgrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
