#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ati/mcp_server/mcp_server.h"

static const char manifests[] =
    "[provider]\nname = \"p\"\ndescription = \"d\"\nbase_url = \"http://127.0.0.1\"\n"
    "[[tools]]\nname = \"p:one\"\ndescription = \"the \\\"first\\\"\"\n"
    "[tools.input_schema]\ntype = \"object\"\n"
    "[[tools]]\nname = \"p:two\"\ndescription = \"second\"\n"
    "[[tools]]\nname = \"q:three\"\ndescription = \"third\"\n";

static struct catalog *catalog;
static struct caller *anybody;

static int set_up(void **state)
{
    struct manifest_set set = {0};
    struct err err = {0};

    (void)state;
    set.providers = calloc(1, sizeof *set.providers);
    set.count = 1;
    if (!manifest_parse(view_str(manifests), "p.toml", NULL, NULL, &set.providers[0], &err) ||
        !catalog_new(&set, &catalog, &err) || !caller_dev(&anybody, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_unref(catalog);
    caller_unref(anybody);
    return 0;
}

static struct caller *with_scope(const char *scope)
{
    struct caller_claims claims = {.subject = VIEW("somebody"), .scope = view_str(scope)};
    struct caller *c = NULL;
    struct err err;

    assert_true(caller_new(&claims, &c, &err));
    return c;
}

struct said {
    enum mcp_server_step step;
    struct mcp_server_message message;
    struct json_tree tree; /* the message's document: id and arguments are lent by it */
    char *answer;
};

static void said_done(struct said *s)
{
    mcp_server_message_done(&s->message);
    json_unload(&s->tree);
    free(s->answer);
}

static struct said say(struct caller *caller, const char *text)
{
    struct mcp_server_state state = {
        .catalog = catalog, .caller = caller, .now_s = 1000, .version = "1.2.3"};
    struct said s = {0};
    struct err err = {0};
    struct buf out;

    buf_init(&out, 1 << 20, "answer");
    assert_true(json_load_loose(view_str(text), 1000, &s.tree, &err));
    assert_true(mcp_server_read(&state, &s.tree.doc, 0, &s.message, &s.step, &out, &err));
    assert_true(buf_append_byte(&out, 0, NULL));
    s.answer = strdup((const char *)buf_view(&out).at);
    buf_done(&out);
    return s;
}

static void answers(struct caller *caller, const char *text, const char *want)
{
    struct said s = say(caller, text);

    assert_int_equal(s.step, MCP_ANSWERED);
    assert_string_equal(s.answer, want);
    said_done(&s);
}

#define INITIALIZED(id, version)                                                              \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{\"protocolVersion\":\"" version           \
    "\",\"capabilities\":{\"tools\":{\"listChanged\":false}},\"serverInfo\":{\"name\":\"ati-" \
    "proxy\",\"version\":\"1.2.3\"}}}"

static void agrees_on_a_version(void **state)
{
    struct said s;

    (void)state;
    answers(anybody,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
            "\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}}",
            INITIALIZED("1", "2025-06-18"));
    answers(anybody,
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"initialize\",\"params\":{"
            "\"protocolVersion\":\"1999-01-01\"}}",
            INITIALIZED("\"a\"", "2025-03-26"));
    answers(anybody, "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"initialize\"}",
            INITIALIZED("null", "2025-03-26"));
    s = say(anybody, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}");
    assert_true(s.message.initialized);
    said_done(&s);
}

static void answers_what_is_no_tool(void **state)
{
    (void)state;
    answers(anybody, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}",
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}");
    answers(anybody, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"resources/list\"}",
            "{\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":-32601,\"message\":\"Method not "
            "found: 'resources/list'\"}}");
}

#define ONE                                                                                      \
    "{\"description\":\"the \\\"first\\\"\",\"inputSchema\":{\"type\":\"object\"},\"name\":\"p:" \
    "one\"}"
#define TWO                                                                                        \
    "{\"description\":\"second\",\"inputSchema\":{\"properties\":{},\"type\":\"object\"},\"name\"" \
    ":\"p:two\"}"
#define THREE                                                                                     \
    "{\"description\":\"third\",\"inputSchema\":{\"properties\":{},\"type\":\"object\"},\"name\"" \
    ":\"q:three\"}"
#define LISTED(tools) "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[" tools "]}}"

static void lists_what_the_caller_may_call(void **state)
{
    static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
    static const struct {
        const char *scope, *want;
    } cases[] = {
        {"*", LISTED(ONE "," TWO "," THREE)}, {"tool:p:*", LISTED(ONE "," TWO)},
        {"tool:p:two", LISTED(TWO)},          {"tool:p_two", LISTED(TWO)},
        {"help skill:p", LISTED("")},         {"", LISTED("")},
    };

    (void)state;
    answers(anybody, list, LISTED(ONE "," TWO "," THREE));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct caller *c = with_scope(cases[i].scope);

        answers(c, list, cases[i].want);
        caller_unref(c);
    }
}

static void hands_over_a_call(void **state)
{
    struct said s =
        say(anybody, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"tools/call\",\"params\":{"
                     "\"name\":\"p:\\u006fne\",\"arguments\":{\"n\": 1.50},\"_meta\":{"
                     "\"progressToken\":5}}}");

    (void)state;
    assert_int_equal(s.step, MCP_CALL);
    assert_string_equal(s.message.name, "p:one");
    assert_true(view_eq(s.message.arguments, VIEW("{\"n\": 1.50}")));
    assert_true(view_eq(s.message.id, VIEW("\"x\"")));
    assert_true(view_eq(s.message.progress, VIEW("5")));
    assert_string_equal(s.answer, "");
    said_done(&s);
    s = say(anybody, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
                     "\"name\":\"gone\",\"arguments\":null}}");
    assert_int_equal(s.step, MCP_CALL);
    assert_true(view_eq(s.message.arguments, VIEW("{}")));
    assert_int_equal(s.message.progress.len, 0);
    said_done(&s);
}

static void refuses_a_call_without_a_name(void **state)
{
    static const char *const calls[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":7}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        answers(anybody, calls[i],
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"Missing "
                "tool name in params.name\"}}");
    answers(
        anybody,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"p:one\","
        "\"arguments\":[1]}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"params.arguments "
        "is no object\"}}");
}

static void takes_what_needs_no_answer(void **state)
{
    static const char *const quiet[] = {
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}",
        ("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
         "\"params\":{\"requestId\":{}}}"),
        "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":1,\"message\":\"no\"}}",
    };
    struct said s;

    (void)state;
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++) {
        s = say(anybody, quiet[i]);
        assert_int_equal(s.step, MCP_ACCEPTED);
        assert_string_equal(s.answer, "");
        said_done(&s);
    }
    s = say(anybody, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
                     "\"requestId\":\"x\",\"reason\":\"bored\"}}");
    assert_int_equal(s.step, MCP_CANCEL);
    assert_true(view_eq(s.message.cancelled, VIEW("\"x\"")));
    said_done(&s);
}

static void says_what_is_no_message(void **state)
{
    static const char *const bad[] = {"7", "[]", "{}",
                                      "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
                                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct said s = say(anybody, bad[i]);

        assert_int_equal(s.step, MCP_ANSWERED);
        assert_non_null(strstr(s.answer, "\"code\":-32600"));
        said_done(&s);
    }
}

static void shapes_results(void **state)
{
    static const struct {
        bool failed;
        const char *value, *error, *want;
    } cases[] = {
        {false, "\"a \\\"b\\\"\"", "",
         "{\"content\":[{\"type\":\"text\",\"text\":\"a \\\"b\\\"\"}],\"isError\":false}"},
        {false, "{\"b\":[1],\"a\":1.0}", "",
         "{\"content\":[{\"type\":\"text\",\"text\":\"{\\n  \\\"a\\\": 1.0,\\n  \\\"b\\\": "
         "[\\n    1\\n  ]\\n}\"}],\"isError\":false}"},
        {false, "null", "",
         "{\"content\":[{\"type\":\"text\",\"text\":\"null\"}],\"isError\":false}"},
        {true, "", "it broke",
         "{\"content\":[{\"type\":\"text\",\"text\":\"Error: it broke\"}],\"isError\":true}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char want[512];
        struct buf out;

        buf_init(&out, 4096, "answer");
        assert_true(mcp_server_result(VIEW("\"id\""), cases[i].failed, view_str(cases[i].value),
                                      view_str(cases[i].error), &out, NULL));
        assert_true(buf_append_byte(&out, 0, NULL));
        (void)snprintf(want, sizeof want, "{\"jsonrpc\":\"2.0\",\"id\":\"id\",\"result\":%s}",
                       cases[i].want);
        assert_string_equal((const char *)buf_view(&out).at, want);
        buf_done(&out);
    }
}

static void passes_progress_on_under_the_callers_token(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096, "answer");
    assert_true(mcp_server_progress(VIEW("\"mine\""),
                                    VIEW("{\"progressToken\":99,\"progress\":1.50,\"total\":3,"
                                         "\"message\":\"m\",\"other\":1}"),
                                    &out, NULL));
    assert_true(buf_append_byte(&out, 0, NULL));
    assert_string_equal(
        (const char *)buf_view(&out).at,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
        "\"progressToken\":\"mine\",\"progress\":1.50,\"total\":3,\"message\":\"m\"}}");
    buf_done(&out);
}

struct heard {
    struct mcp_server_call *call;
    int times;
};

static void hear(void *context)
{
    struct heard *h = context;

    h->times++;
    mcp_server_call_end(h->call);
    h->call = NULL;
}

static void turn(struct loop *loop)
{
    for (int i = 0; i < 3; i++)
        assert_true(loop_turn(loop, 0, NULL));
}

static void cancels_the_call_that_is_meant(void **state)
{
    struct mcp_server_sessions *s = NULL;
    struct heard h[4] = {0};
    struct loop *loop = NULL;
    static const struct {
        const char *subject, *session, *id;
    } who[4] = {{"a", "", "1"}, {"a", "s", "1"}, {"b", "", "1"}, {"a", "", "\"1\""}};

    (void)state;
    assert_true(loop_new(&clock_system, &loop, NULL));
    assert_true(mcp_server_sessions_new(&s, NULL));
    for (size_t i = 0; i < 4; i++)
        assert_true(mcp_server_call_begin(s, loop, who[i].subject, view_str(who[i].session),
                                          view_str(who[i].id), hear, &h[i], &h[i].call, NULL));
    mcp_server_cancel(s, "c", VIEW(""), VIEW("1"));
    mcp_server_cancel(s, "a", VIEW(""), VIEW("2"));
    turn(loop);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h[i].times, 0);
    mcp_server_cancel(s, "a", VIEW(""), VIEW("1"));
    mcp_server_cancel(s, "a", VIEW(""), VIEW("1")); /* it is found once */
    turn(loop);
    assert_int_equal(h[0].times, 1);
    assert_int_equal(h[1].times + h[2].times + h[3].times, 0);
    mcp_server_cancel(s, "b", VIEW(""), VIEW("1"));
    mcp_server_call_end(h[2].call); /* ended before its loop has heard */
    turn(loop);
    assert_int_equal(h[2].times, 0);
    mcp_server_call_end(h[1].call);
    mcp_server_call_end(h[3].call);
    mcp_server_sessions_free(s);
    loop_free(loop);
}

static void ends_a_session_with_its_calls(void **state)
{
    char id[MCP_SERVER_SESSION_BYTES + 1], other[MCP_SERVER_SESSION_BYTES + 1];
    struct mcp_server_sessions *s = NULL;
    struct heard mine = {0}, theirs = {0};
    struct loop *loop = NULL;

    (void)state;
    assert_true(loop_new(&clock_system, &loop, NULL));
    assert_true(mcp_server_sessions_new(&s, NULL));
    mcp_server_session_id(id);
    mcp_server_session_id(other);
    assert_string_not_equal(id, other);
    assert_true(mcp_server_session_good(s, "a", view_str(id)));
    assert_false(mcp_server_session_good(s, "a", VIEW("no session of ours")));
    assert_false(mcp_server_session_good(s, "a", VIEW("")));
    assert_true(mcp_server_call_begin(s, loop, "a", view_str(id), VIEW("1"), hear, &mine,
                                      &mine.call, NULL));
    assert_true(mcp_server_call_begin(s, loop, "b", view_str(id), VIEW("1"), hear, &theirs,
                                      &theirs.call, NULL));
    mcp_server_session_end(s, "a", view_str(id));
    turn(loop);
    assert_int_equal(mine.times, 1);
    assert_int_equal(theirs.times, 0);
    assert_false(mcp_server_session_good(s, "a", view_str(id)));
    assert_true(mcp_server_session_good(s, "a", view_str(other)));
    assert_true(mcp_server_session_good(s, "b", view_str(id))); /* it was not his to end */
    mcp_server_call_end(theirs.call);
    mcp_server_sessions_free(s);
    loop_free(loop);
}

enum { RACES = 200 };

static void *cancel_all(void *context)
{
    for (int i = 0; i < RACES; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "%d", i);
        mcp_server_cancel(context, "a", VIEW(""), view_str(id));
    }
    return NULL;
}

static void cancels_from_another_thread_while_calls_end(void **state)
{
    struct mcp_server_sessions *s = NULL;
    static struct heard h[RACES];
    struct loop *loop = NULL;
    pthread_t thread;

    (void)state;
    memset(h, 0, sizeof h);
    assert_true(loop_new(&clock_system, &loop, NULL));
    assert_true(mcp_server_sessions_new(&s, NULL));
    for (int i = 0; i < RACES; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "%d", i);
        assert_true(mcp_server_call_begin(s, loop, "a", VIEW(""), view_str(id), hear, &h[i],
                                          &h[i].call, NULL));
    }
    assert_int_equal(pthread_create(&thread, NULL, cancel_all, s), 0);
    for (int i = 0; i < RACES; i++) {
        assert_true(loop_turn(loop, 0, NULL));
        if (i % 2) {
            mcp_server_call_end(h[i].call);
            h[i].call = NULL;
        }
    }
    pthread_join(thread, NULL);
    turn(loop);
    for (int i = 0; i < RACES; i += 2)
        assert_int_equal(h[i].times, 1);
    mcp_server_sessions_free(s);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_on_a_version),
        cmocka_unit_test(answers_what_is_no_tool),
        cmocka_unit_test(lists_what_the_caller_may_call),
        cmocka_unit_test(hands_over_a_call),
        cmocka_unit_test(refuses_a_call_without_a_name),
        cmocka_unit_test(takes_what_needs_no_answer),
        cmocka_unit_test(says_what_is_no_message),
        cmocka_unit_test(shapes_results),
        cmocka_unit_test(passes_progress_on_under_the_callers_token),
        cmocka_unit_test(cancels_the_call_that_is_meant),
        cmocka_unit_test(ends_a_session_with_its_calls),
        cmocka_unit_test(cancels_from_another_thread_while_calls_end),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
