/* The plain port: challenges from a folder, and nothing else from anywhere. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tee/acme.h"

#include "heads.h"

#define WELL "/.well-known/acme-challenge/"

static char folder[] = "/tmp/test_acme.XXXXXX", webroot[64];

static const char *at(const char *name)
{
    static char paths[2][256];
    static unsigned next;
    char *path = paths[next++ % 2];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int set_up(void **state)
{
    uint8_t big[ACME_CHALLENGE_MAX + 1] = {0};

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(webroot, sizeof webroot, "%s/www", folder);
    return mkdir(webroot, 0700) || mkdir(at("www/.well-known"), 0700) ||
                   mkdir(at("www" WELL), 0700) || mkdir(at("www" WELL "folder"), 0700) ||
                   mkfifo(at("www" WELL "fifo"), 0600) ||
                   !file_write(at("secret"), VIEW("secret"), 0600, NULL) ||
                   !file_write(at("www" WELL "Token-1_x"), VIEW("token.thumbprint"), 0600, NULL) ||
                   !file_write(at("www" WELL "a.b"), VIEW("dot"), 0600, NULL) ||
                   !file_write(at("www" WELL "full"), view_from(big, ACME_CHALLENGE_MAX), 0600,
                               NULL) ||
                   !file_write(at("www" WELL "big"), view_from(big, sizeof big), 0600, NULL) ||
                   symlink("../../../secret", at("www" WELL "link"))
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command); /* NOLINT(cert-env33-c): our own folder */
}

struct answered {
    bool good;
    struct serve_answer answer;
    struct buf body;
    struct err err;
};

static void ask(struct acme *a, const char *line, const char *fields, struct answered *out)
{
    struct serve_request request;
    struct http_target target;
    struct message m;

    *out = (struct answered){.answer = {.status = 200, .body = &out->body}};
    buf_init(&out->body, ACME_CHALLENGE_MAX, "answer");
    request.head = request_of(&m, line, fields);
    assert_true(http_target_split(m.head.target, &target, NULL));
    request.path = target.path;
    request.query = target.query;
    out->good = acme_answer(a, &request, &out->answer, &out->err);
}

static void a_challenge_is_what_its_file_holds(void **state)
{
    struct answered got;
    struct acme a;

    (void)state;
    assert_true(acme_open(&a, webroot, NULL, NULL));
    ask(&a, "GET " WELL "Token-1_x", "", &got);
    assert_true(got.good && got.answer.status == 200);
    assert_string_equal(got.answer.content_type, "application/octet-stream");
    assert_true(view_eq(buf_view(&got.body), VIEW("token.thumbprint")));
    buf_done(&got.body);
    ask(&a, "GET " WELL "full?x", "", &got);
    assert_true(got.good && buf_len(&got.body) == ACME_CHALLENGE_MAX);
    buf_done(&got.body);
    acme_close(&a);
}

static void nothing_else_is_opened(void **state)
{
    static const char *const targets[] = {
        WELL,
        WELL "absent",
        WELL "a.b", /* is there, and is no token */
        WELL ".",
        WELL "..",
        WELL "../../../secret",
        WELL "..%2f..%2f..%2fsecret",
        WELL "%54oken-1_x",
        WELL "link",
        WELL "fifo",
        WELL "folder",
        WELL "big",
        WELL "Token-1_x/",
        WELL "/Token-1_x",
        WELL
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct answered got;
    struct acme a;

    (void)state;
    assert_true(acme_open(&a, webroot, NULL, NULL));
    for (size_t i = 0; i < COUNT(targets); i++) {
        char line[512];

        (void)snprintf(line, sizeof line, "GET %s", targets[i]);
        ask(&a, line, "", &got);
        if (got.good || got.err.code != ERR_NOT_FOUND || buf_len(&got.body))
            fail_msg("%s", targets[i]);
        buf_done(&got.body);
    }
    acme_close(&a);
    assert_true(acme_open(&a, NULL, NULL, NULL)); /* only sent away */
    ask(&a, "GET " WELL "Token-1_x", "", &got);
    assert_true(!got.good && got.err.code == ERR_NOT_FOUND);
    buf_done(&got.body);
    assert_false(acme_open(&a, at("absent"), NULL, &got.err));
    assert_non_null(strstr(got.err.text, "--acme-webroot"));
    acme_close(&a);
}

static void no_folder_on_the_way_may_be_a_link(void **state)
{
    struct answered got;
    struct acme a;
    char other[64];

    (void)state;
    (void)snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(symlink("../www/.well-known", at("other/.well-known")), 0);
    assert_true(acme_open(&a, other, NULL, NULL));
    ask(&a, "GET " WELL "Token-1_x", "", &got);
    assert_false(got.good);
    buf_done(&got.body);
    acme_close(&a);
}

static void all_else_is_sent_to_https(void **state)
{
    static const struct {
        const char *line, *fields, *location;
    } cases[] = {
        {"GET /a/b?c=d&e", "", "https://tee.test/a/b?c=d&e"},
        {"POST /", "", "https://tee.test/"},
        {"GET /?", "", "https://tee.test/?"},
        {"GET / HTTP/1.1\r\nHost: tee.test:80", "", "https://tee.test/"},
        {"GET /x HTTP/1.1\r\nHost: [2001:db8::1]:80", "", "https://[2001:db8::1]/x"},
        {"GET http://other.test/x", "", "https://tee.test/x"},
        {"POST " WELL "Token-1_x", "", "https://tee.test" WELL "Token-1_x"},
    };
    struct answered got;
    struct acme a;

    (void)state;
    assert_true(acme_open(&a, webroot, NULL, NULL));
    for (size_t i = 0; i < COUNT(cases); i++) {
        char expected[256];

        ask(&a, cases[i].line, cases[i].fields, &got);
        (void)snprintf(expected, sizeof expected, "Location: %s\r\n", cases[i].location);
        assert_true(got.good);
        assert_int_equal(got.answer.status, 301);
        assert_string_equal(got.answer.extra, expected);
        buf_done(&got.body);
    }
    ask(&a, "GET / HTTP/1.0", "", &got); /* to where? */
    assert_true(!got.good && got.err.code == ERR_SYNTAX);
    buf_done(&got.body);
    ask(&a, "OPTIONS *", "", &got);
    assert_true(!got.good && got.err.code == ERR_SYNTAX);
    buf_done(&got.body);
    acme_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_challenge_is_what_its_file_holds),
        cmocka_unit_test(nothing_else_is_opened),
        cmocka_unit_test(no_folder_on_the_way_may_be_a_link),
        cmocka_unit_test(all_else_is_sent_to_https),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
