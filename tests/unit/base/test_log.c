/* One event is one line, whatever a peer put into it. */
#include "unit.h"

#include <unistd.h>

#include "base/json.h"
#include "base/log_render.h"

static const char *text_of(struct log_line *line)
{
    assert_true(line->len > 0 && line->len < sizeof line->at);
    assert_int_equal(line->at[line->len - 1], '\n');
    assert_ptr_equal(memchr(line->at, '\n', line->len), line->at + line->len - 1);
    line->at[line->len] = '\0';
    return line->at;
}

static void a_line_is_rendered_in_both_forms(void **state)
{
    const struct log_field fields[] = {
        F_STR("target", "tee:443"),
        F_U64("bytes", UINT64_MAX),
        F_I64("delta", -5),
        F_BOOL("tls", true),
        F_SECONDS("duration", 1023),
        F_STR("empty", ""),
        F_STR("words", "two words \"q\""),
    };
    struct log_line line;

    (void)state;
    log_render(&line, false, false, 0, LOG_INFO, "a.b", "it happened", fields, COUNT_OF(fields));
    assert_string_equal(text_of(&line),
                        "1970-01-01T00:00:00.000Z  INFO it happened target=tee:443 "
                        "bytes=18446744073709551615 delta=-5 tls=true duration=1.023 "
                        "words=\"two words \\\"q\\\"\"\n");
    log_render(&line, false, false, 0, LOG_WARN, "a.b", "say \"a b\"\\", NULL, 0);
    assert_string_equal(text_of(&line), "1970-01-01T00:00:00.000Z  WARN say \"a b\"\\\\\n");
    log_render(&line, true, false, 1, LOG_WARN, "a.b", "it happened", fields, COUNT_OF(fields));
    assert_string_equal(
        text_of(&line),
        "{\"time\":\"1970-01-01T00:00:00.001Z\",\"level\":\"warn\",\"event\":\"a.b\","
        "\"message\":\"it happened\",\"target\":\"tee:443\","
        "\"bytes\":18446744073709551615,\"delta\":-5,\"tls\":true,"
        "\"duration\":1.023,\"words\":\"two words \\\"q\\\"\"}\n");
    log_render(&line, false, true, 0, LOG_ERROR, "a.b", "red", NULL, 0);
    assert_non_null(strstr(text_of(&line), "\033[31mERROR\033[0m red"));
}

static void lines_stay_lines_for_a_person_alone(void **state)
{
    const struct log_field fields[] = {
        F_LINES("error", VIEW("no 'x':\n  - \"y\"\t\xC3\xA4\xFF\033[2J\r\n"))};
    static char text[LOG_TEXT_MAX + 1];
    struct log_line line;

    (void)state;
    log_render(&line, false, false, 0, LOG_WARN, "a.b", "m", fields, 1);
    line.at[line.len] = '\0';
    assert_string_equal(line.at, "1970-01-01T00:00:00.000Z  WARN m error=no 'x':\n  - "
                                 "\"y\"\t\xC3\xA4\xEF\xBF\xBD\xEF\xBF\xBD[2J\xEF\xBF\xBD\n\n");
    log_render(&line, true, false, 0, LOG_WARN, "a.b", "m", fields, 1);
    assert_non_null(strstr(text_of(&line), "\"error\":\"no 'x':\\u000a"));
    log_render_flat(&line, 0, LOG_WARN, "", "m", fields, 1);
    assert_non_null(strstr(text_of(&line), "\"error\":\"no 'x':\\u000a"));
    memset(text, 'x', sizeof text);
    log_render(&line, false, false, 0, LOG_WARN, "a.b", "m",
               &F_LINES("error", view_from(text, sizeof text)), 1);
    assert_true(view_ends(view_from(text_of(&line), line.len), VIEW("x…\n")));
}

/* Every byte, alone and in pairs with a line end, in a message and in a field. */
static void hostile_text_stays_one_line_and_valid_json(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[] = {'a', (char)byte, '\n', (char)byte, '\033', '[', '2', 'J', (char)byte, 0};
        const struct log_field fields[] = {F_VIEW("peer", view_from(text, sizeof text - 1))};
        struct log_line line;
        struct json_token tokens[32];
        struct json_doc doc;
        const char *rendered;

        log_render(&line, true, false, 0, LOG_INFO, "a.b", byte ? text : "m", fields, 1);
        rendered = text_of(&line);
        assert_true(json_parse(view_str(rendered), tokens, COUNT_OF(tokens), &doc, NULL));
        for (const char *c = rendered; *c != '\n'; c++)
            assert_true((unsigned char)*c >= ' ' && *c != 0x7F);
        log_render(&line, false, false, 0, LOG_INFO, "a.b", byte ? text : "m", fields, 1);
        rendered = text_of(&line);
        for (const char *c = rendered; *c != '\n'; c++)
            assert_true((unsigned char)*c >= ' ' && *c != 0x7F);
    }
}

static void long_text_is_cut_and_too_many_fields_are_left_out_whole(void **state)
{
    static char text[3 * LOG_TEXT_MAX];
    struct log_field fields[16];
    struct log_line line;
    const char *rendered;

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        fields[i] = F_VIEW("field", view_from(text, sizeof text));
    log_render(&line, true, false, 0, LOG_INFO, "a.b", "m", fields, COUNT_OF(fields));
    rendered = text_of(&line);
    assert_non_null(strstr(rendered, "x…\""));
    assert_true(rendered[line.len - 2] == '}' && rendered[line.len - 3] == '"');
    log_render(&line, false, false, 0, LOG_INFO, "a.b", "m", fields, COUNT_OF(fields));
    (void)text_of(&line);
}

static void the_flat_style_names_its_target(void **state)
{
    const struct log_field fields[] = {F_STR("reason", "valid"), F_U64("tools", 3),
                                       F_BOOL("ok", true), F_STR("empty", "")};
    struct log_line line;

    (void)state;
    log_render_flat(&line, 1001001, LOG_INFO, "ati::proxy::server", "sig_verify", fields,
                    COUNT_OF(fields));
    assert_string_equal(text_of(&line),
                        "{\"timestamp\":\"1970-01-01T00:00:01.001001Z\",\"level\":\"INFO\","
                        "\"message\":\"sig_verify\",\"reason\":\"valid\",\"tools\":3,\"ok\":true,"
                        "\"target\":\"ati::proxy::server\"}\n");
}

/* However much stands in the fields: what comes last is there, and the line is JSON. */
static void a_full_flat_line_keeps_message_and_target(void **state)
{
    char text[LOG_TEXT_MAX + 16], message[2 * LOG_TEXT_MAX];
    struct log_field fields[16];
    struct json_tree tree;
    struct log_line line;
    const char *rendered;

    (void)state;
    memset(message, 1, sizeof message - 1);
    message[sizeof message - 1] = '\0';
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        fields[i] = F_VIEW("field", view_from(text, sizeof text));
    for (size_t n = 0; n < LOG_TEXT_MAX; n++) {
        memset(text, n % 2 ? 'x' : '"', sizeof text);
        for (size_t i = 0; i < COUNT_OF(fields); i++)
            fields[i].text.len = n + i;
        log_render_flat(&line, 0, LOG_ERROR, "t", n % 3 ? "short" : message, fields, 1 + n % 16);
        rendered = text_of(&line);
        assert_non_null(strstr(rendered, "\"target\":\"t\"}"));
        assert_non_null(strstr(rendered, "\"message\":\""));
        assert_true(json_load_loose(view_str(rendered), 64, &tree, NULL)); /* keys stand twice */
        json_unload(&tree);
    }
}

static void filters_go_by_the_longest_target(void **state)
{
    static const struct {
        const char *filter, *target;
        int level;
    } cases[] = {
        {"info", "ati", LOG_INFO},
        {"DEBUG", "ati", LOG_DEBUG},
        {"trace", "ati", LOG_DEBUG},
        {"off", "ati", LOG_OFF},
        {"warn,ati=debug", "ati::core", LOG_DEBUG},
        {"warn,ati=debug", "hyper", LOG_WARN},
        {"ati=debug,warn", "ati", LOG_DEBUG},
        {"ati=debug,ati::core=off", "ati::core::mcp", LOG_OFF},
        {"ati::core=off,ati=debug", "ati::core::mcp", LOG_OFF},
        {"ati=info", "other", LOG_ERROR},
        {"ati", "ati::proxy", LOG_DEBUG},
        {" info , ati = warn ", "ati", LOG_WARN},
        {"ati=loud,info", "ati", LOG_INFO},
        {"", "ati", LOG_ERROR},
        {",,info,,", "ati", LOG_INFO},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(log_filter_level(view_str(cases[i].filter), view_str(cases[i].target)),
                         cases[i].level);
}

static void a_filtered_sink_lets_each_target_speak_as_loud_as_it_may(void **state)
{
    static const struct log_target targets[] = {{"mcp", "ati::core::mcp"}, {NULL, "ati::proxy"}};
    char got[4096];
    struct log_sink *sink;
    struct log *log;
    ssize_t n;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(log_sink_new(ends[1], LOG_FLAT, LOG_INFO, &clock_system, &sink, NULL));
    log_sink_targets(sink, targets, COUNT_OF(targets));
    assert_true(log_new(sink, &log, NULL));
    log_event(log, LOG_INFO, "mcp.one", "heard one");
    log_event(log, LOG_DEBUG, "mcp.two", "not heard");
    log_sink_filter(sink, VIEW("warn,ati::core=debug"));
    assert_true(log_wants(log, LOG_DEBUG));
    log_event(log, LOG_DEBUG, "mcp.three", "heard three");
    log_event(log, LOG_INFO, "mcpx.four", "not heard");
    log_event(log, LOG_WARN, "call.five", "heard five");
    log_sink_filter(sink, VIEW("off"));
    log_event(log, LOG_ERROR, "call.six", "not heard");
    (void)close(ends[1]);
    n = read(ends[0], got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = '\0';
    (void)close(ends[0]);
    assert_null(strstr(got, "not heard"));
    assert_non_null(strstr(got, "\"message\":\"heard one\",\"target\":\"ati::core::mcp\"}"));
    assert_non_null(strstr(got, "\"message\":\"heard three\",\"target\":\"ati::core::mcp\"}"));
    assert_non_null(strstr(got, "\"message\":\"heard five\",\"target\":\"ati::proxy\"}"));
    log_sink_free(sink);
}

static void levels_are_words(void **state)
{
    static const struct {
        const char *word;
        enum log_level level;
    } good[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};
    enum log_level level;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(log_level_parse(view_str(good[i].word), &level));
        assert_int_equal(level, good[i].level);
    }
    assert_false(log_level_parse(VIEW("loud"), &level));
    assert_false(log_level_parse(VIEW(""), &level));
}

/* A sink on a pipe: what arrives there is what was logged, before, while and after its thread runs. */
static void a_sink_writes_in_order_and_holds_back_floods(void **state)
{
    struct log_sink *sink;
    struct log *log;
    struct err err;
    static char got[256 * 1024];
    size_t n = 0, lines = 0;
    ssize_t r;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(log_sink_new(ends[1], LOG_JSON, LOG_INFO, &clock_system, &sink, &err));
    assert_true(log_new(sink, &log, &err));
    assert_true(log_wants(log, LOG_INFO) && !log_wants(log, LOG_DEBUG));
    log_event(log, LOG_INFO, "first", "before the thread");
    log_event(log, LOG_DEBUG, "never", "below the level");
    assert_true(log_sink_start(sink, &err));
    log_event(log, LOG_INFO, "second", "by the thread", F_U64("n", 2));
    for (int i = 0; i < 200; i++)
        log_event_limited(log, LOG_INFO, "flood", "a peer can cause this");
    log_sink_stop(sink);
    log_sink_level(sink, LOG_DEBUG);
    log_event(log, LOG_DEBUG, "last", "after the thread");
    (void)close(ends[1]);
    while ((r = read(ends[0], got + n, sizeof got - 1 - n)) > 0)
        n += (size_t)r;
    got[n] = '\0';
    assert_true(strstr(got, "\"first\"") < strstr(got, "\"second\""));
    assert_non_null(strstr(got, "\"last\""));
    assert_null(strstr(got, "\"never\""));
    for (const char *c = got; (c = strstr(c, "\"event\":\"flood\"")); c++)
        lines++;
    assert_in_range(lines, 10, 40); /* ten a second, and the second may turn while we log */
    assert_int_equal(log_sink_dropped(sink), 0);
    (void)close(ends[0]);
    log_sink_free(sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_rendered_in_both_forms),
        cmocka_unit_test(lines_stay_lines_for_a_person_alone),
        cmocka_unit_test(hostile_text_stays_one_line_and_valid_json),
        cmocka_unit_test(long_text_is_cut_and_too_many_fields_are_left_out_whole),
        cmocka_unit_test(the_flat_style_names_its_target),
        cmocka_unit_test(a_full_flat_line_keeps_message_and_target),
        cmocka_unit_test(filters_go_by_the_longest_target),
        cmocka_unit_test(a_filtered_sink_lets_each_target_speak_as_loud_as_it_may),
        cmocka_unit_test(levels_are_words),
        cmocka_unit_test(a_sink_writes_in_order_and_holds_back_floods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
