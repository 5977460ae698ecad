/* The line of a request in the log: what it holds, and what it must not. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "tee/access.h"

#include "heads.h"

enum { LINE_BYTES = 4096 };

static int ends[2];
static struct log_sink *sink;
static struct log *log_;
static struct addr client;

static int set_up(void **state)
{
    (void)state;
    return pipe2(ends, O_NONBLOCK) == 0 &&
                   log_sink_new(ends[1], LOG_JSON, LOG_DEBUG, &clock_system, &sink, NULL) &&
                   log_new(sink, &log_, NULL) && addr_parse(VIEW("192.0.2.7:1"), &client)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    log_sink_free(sink);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* The next line; "" when there is none. Before the sink starts, lines are written at once. */
static const char *line(void)
{
    static char text[LINE_BYTES];
    ssize_t n = read(ends[0], text, sizeof text - 1);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void assert_member(const char *text, const char *name, const char *expected)
{
    struct json_tree tree;
    struct view v = view_str(text), value;
    uint32_t token;

    assert_true(v.len && json_load(view_first(v, v.len - 1), 256, &tree, NULL));
    token = json_member(&tree.doc, 0, name);
    value = token ? json_span(&tree.doc, token) : VIEW("(none)");
    if (!view_eq(value, view_str(expected)))
        fail_msg("%s: %.*s, not %s", name, VIEW_ARG(value), expected);
    json_unload(&tree);
}

static void a_request_has_one_line(void **state)
{
    struct access a = {.start_ms = 1000};
    const char *text;

    (void)state;
    access_begin(&a, VIEW("POST"), VIEW("/v1/chat"), true);
    a.status = 200;
    a.bytes_up = 12;
    a.bytes_down = 3456;
    access_end(&a, log_, &client, 2500, true);
    text = line();
    assert_member(text, "level", "info");
    assert_member(text, "event", "request.answered");
    assert_member(text, "client", "192.0.2.7");
    assert_member(text, "method", "POST");
    assert_member(text, "path", "/v1/chat");
    assert_member(text, "status", "200");
    assert_member(text, "bytes_up", "12");
    assert_member(text, "bytes_down", "3456");
    assert_member(text, "duration", "1.500");
    assert_member(text, "attested", "true");
    assert_member(text, "complete", "true");
    access_end(&a, log_, &client, 2500, false); /* it has had its line */
    assert_string_equal(line(), "");
}

static void counts_begin_anew(void **state)
{
    struct access a = {.start_ms = 0};
    const char *text;

    (void)state;
    access_begin(&a, VIEW("GET"), VIEW("/one"), true);
    a.status = 200;
    a.bytes_up = a.bytes_down = 9;
    access_end(&a, NULL, &client, 0, true); /* no log: no line */
    assert_string_equal(line(), "");
    access_begin(&a, VIEW(""), VIEW(""), false);
    a.status = 400;
    access_end(&a, log_, &client, 0, false);
    text = line();
    assert_member(text, "message", "request cut short");
    assert_member(text, "status", "400");
    assert_member(text, "bytes_up", "0");
    assert_member(text, "method", "(none)");
    assert_member(text, "path", "(none)");
    assert_member(text, "attested", "false");
}

static void long_and_hostile_paths_stay_one_line(void **state)
{
    char path[4 * LOG_TEXT_MAX];
    struct access a = {.start_ms = 0};
    const char *text;

    (void)state;
    memset(path, 'x', sizeof path);
    memcpy(path, "/\n\x1b[31m\"", 8);
    access_begin(&a, VIEW("AVERYLONGMETHODTHATISTOOLONGFORANYLINE"), view_from(path, sizeof path),
                 false);
    a.status = 200;
    access_end(&a, log_, &client, 0, true);
    text = line();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_true(strlen(text) < 2 * LOG_TEXT_MAX);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "…")); /* it was cut, and that is shown */
}

static void probes_are_for_debugging(void **state)
{
    struct access a = {.start_ms = 0};

    (void)state;
    access_begin(&a, VIEW("GET"), VIEW("/health"), false);
    a.status = 200;
    access_end(&a, log_, &client, 0, true);
    assert_member(line(), "level", "debug");
    log_sink_level(sink, LOG_INFO);
    access_begin(&a, VIEW("GET"), VIEW("/health"), false);
    a.status = 200;
    access_end(&a, log_, &client, 0, true);
    assert_string_equal(line(), "");
    access_begin(&a, VIEW("GET"), VIEW("/health"), false);
    a.status = 503;
    access_end(&a, log_, &client, 0, true);
    assert_member(line(), "status", "503");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_one_line),
        cmocka_unit_test(counts_begin_anew),
        cmocka_unit_test(long_and_hostile_paths_stay_one_line),
        cmocka_unit_test(probes_are_for_debugging),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
