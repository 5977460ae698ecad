#include "ati/audit/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define X50      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X200     X50 X50 X50 X50
#define X198     X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define CUT      "...[truncated]"

static struct caller *caller_of(const char *job, const char *sandbox)
{
    const struct caller_claims claims = {.subject = VIEW("agent \"7\""),
                                         .scope = VIEW("*"),
                                         .job_id = view_str(job),
                                         .sandbox_id = view_str(sandbox)};
    struct caller *c = NULL;

    assert_true(caller_new(&claims, &c, NULL));
    return c;
}

static void line_is(const struct audit_record *record, const char *line)
{
    struct buf out;

    buf_init(&out, 1024 * 1024, "line");
    assert_true(audit_line(record, &out, NULL));
    assert_true(buf_append_byte(&out, '\0', NULL));
    assert_string_equal((const char *)buf_view(&out).at, line);
    buf_done(&out);
}

static void a_line_has_its_members_in_order(void **state)
{
    struct caller *plain = caller_of(NULL, NULL), *full = caller_of("job-1", "box-1");
    struct audit_record r = {.when_ms = 1800000000007,
                             .tool = VIEW("github:search"),
                             .arguments = VIEW(" { \"q\" : \"x\" , \"n\":1.50 } "),
                             .ok = true,
                             .duration_ms = 42,
                             .caller = plain,
                             .exit_code = -1};

    (void)state;
    line_is(&r,
            "{\"ts\":\"2027-01-15T08:00:00.007+00:00\",\"tool\":\"github:search\",\"args\":{\"q\":"
            "\"x\",\"n\":1.50},\"status\":\"ok\",\"duration_ms\":42,\"agent_sub\":\"agent "
            "\\\"7\\\"\"}\n");
    r.caller = full;
    r.ok = false;
    r.error = VIEW("no\nluck");
    r.exit_code = 0;
    r.arguments = VIEW("");
    line_is(&r,
            "{\"ts\":\"2027-01-15T08:00:00.007+00:00\",\"tool\":\"github:search\",\"args\":{},"
            "\"status\":\"error\",\"duration_ms\":42,\"agent_sub\":\"agent \\\"7\\\"\",\"job_id\":"
            "\"job-1\",\"sandbox_id\":\"box-1\",\"error\":\"no\\nluck\",\"exit_code\":0}\n");
    caller_unref(plain);
    caller_unref(full);
}

static void arguments_are_made_harmless(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", "{}"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"7", "7"},
        {"{", "{}"},
        {"nonsense", "{}"},
        {"{\"a\":null,\"b\":[true,{},[],{\"c\":-1e9}]}",
         "{\"a\":null,\"b\":[true,{},[],{\"c\":-1e9}]}"},
        {"{\"password\":\"x\"}", "{\"password\":\"[REDACTED]\"}"},
        {"{\"PassWord\":\"x\",\"a\":1}", "{\"PassWord\":\"[REDACTED]\",\"a\":1}"},
        {"{\"my_secrets\":7,\"a\":1}", "{\"my_secrets\":\"[REDACTED]\",\"a\":1}"},
        {"{\"token\":{\"a\":[1,2,{\"b\":3}]},\"c\":4}", "{\"token\":\"[REDACTED]\",\"c\":4}"},
        {"{\"a\":1,\"apiKey\":[1,2]}", "{\"a\":1,\"apiKey\":\"[REDACTED]\"}"},
        {"{\"credentials\":null,\"author\":\"me\"}",
         "{\"credentials\":\"[REDACTED]\",\"author\":\"[REDACTED]\"}"},
        {"{\"a\":{\"b\":[{\"auth\":\"x\",\"c\":\"d\"},\"e\"]},\"f\":\"g\"}",
         "{\"a\":{\"b\":[{\"auth\":\"[REDACTED]\",\"c\":\"d\"},\"e\"]},\"f\":\"g\"}"},
        {"[[{\"key\":1}],{\"key\":{}},3]",
         "[[{\"key\":\"[REDACTED]\"}],{\"key\":\"[REDACTED]\"},3]"},
        {"{\"to\\u006ben\":\"x\"}", "{\"token\":\"[REDACTED]\"}"}, /* escapes hide nothing */
        {"{\"\\u0000\":\"x\"}", "{\"?\":\"[REDACTED]\"}"},
        {"{\"tok en\":\"x\"}", "{\"tok en\":\"x\"}"},
        {"{\"a\":\"" X200 "\"}", "{\"a\":\"" X200 "\"}"},
        {"{\"a\":\"" X200 "y\"}", "{\"a\":\"" X200 CUT "\"}"},
        {"{\"a\":[\"" X200 "y\",\"z\"]}", "{\"a\":[\"" X200 CUT "\",\"z\"]}"},
        {"\"" X200 "y\"", "\"" X200 CUT "\""},
        /* behind a whole character: two, three and four bytes, as they are and escaped */
        {"[\"" X198 "\u00e9\"]", "[\"" X198 "\u00e9\"]"},
        {"[\"" X198 "x\u00e9\"]", "[\"" X198 "x" CUT "\"]"},
        {"[\"" X198 "\u20ac\"]", "[\"" X198 CUT "\"]"},
        {"[\"" X198 "\U0001f600\"]", "[\"" X198 CUT "\"]"},
        {"[\"" X198 "\\u00e9\"]", "[\"" X198 "\\u00e9\"]"},
        {"[\"" X198 "\\u00e9x\"]", "[\"" X198 "\\u00e9" CUT "\"]"},
        {"[\"" X198 "\\u20AC\"]", "[\"" X198 CUT "\"]"},
        {"[\"" X198 "\\ud83d\\ude00\"]", "[\"" X198 CUT "\"]"},
        {"[\"" X198 "\\n\\\"\"]", "[\"" X198 "\\n\\\"\"]"},
        {"[\"" X198 "\\n\\\"\\\\\"]", "[\"" X198 "\\n\\\"" CUT "\"]"},
        {"[\"" X198 "\\u0041\\u007f\"]", "[\"" X198 "\\u0041\\u007f\"]"},
        {"[\"" X198 "\\ud83dx\"]", "[\"" X198 CUT "\"]"}, /* a lone surrogate */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;

        buf_init(&out, 64 * 1024, "arguments");
        assert_true(audit_arguments(view_str(rows[i].in), &out, NULL));
        if (!view_eq(buf_view(&out), view_str(rows[i].out)))
            fail_msg("%s: %.*s", rows[i].in, VIEW_ARG(buf_view(&out)));
        buf_done(&out);
    }
}

/* A string of any length is cut to at most 200 bytes of what it says, and no secret is left. */
static void what_is_made_can_be_read(void **state)
{
    static const char *const pieces[] = {"a",       "\u00e9",         "\u20ac", "\U0001f600", "\\n",
                                         "\\u00e9", "\\ud83d\\ude00", "\\\\",   "\\u20ac"};
    static char in[16 * 1024], decoded[4096];

    (void)state;
    for (size_t piece = 0; piece < COUNT(pieces); piece++)
        for (size_t count = 0; count < 230; count++) {
            size_t n = (size_t)snprintf(in, sizeof in, "{\"x\":\"");
            struct json_tree tree;
            struct buf out;

            for (size_t i = 0; i < count; i++)
                n += (size_t)snprintf(in + n, sizeof in - n, "%s", pieces[piece]);
            (void)snprintf(in + n, sizeof in - n, "\"}");
            buf_init(&out, 64 * 1024, "arguments");
            assert_true(audit_arguments(view_str(in), &out, NULL));
            assert_true(utf8_valid(buf_view(&out)));
            assert_true(json_load(buf_view(&out), 16, &tree, NULL));
            assert_true(
                json_string(&tree.doc, json_member(&tree.doc, 0, "x"), decoded, sizeof decoded));
            if (strstr(decoded, CUT)) {
                assert_true(strlen(decoded) <= 200 + strlen(CUT));
                assert_true(strlen(decoded) > 196 + strlen(CUT));
            } else {
                assert_true(strlen(decoded) <= 200);
            }
            json_unload(&tree);
            buf_done(&out);
        }
}

static void every_call_has_a_line_that_is_not_too_long(void **state)
{
    enum { MANY = 40000 };
    char *huge = malloc((size_t)MANY * 16 + 16), *deep = calloc(1, 4096);
    struct caller *c = caller_of(NULL, NULL);
    struct audit_record r = {.tool = VIEW("t"), .caller = c, .exit_code = -1};
    struct buf out;
    size_t n = 0;

    (void)state;
    assert_true(huge && deep);
    huge[n++] = '[';
    for (unsigned i = 0; i < MANY; i++)
        n += (size_t)snprintf(huge + n, 16, "%s%u", i ? "," : "", 100000 + i);
    huge[n++] = ']';
    r.arguments = view_from(huge, n);
    buf_init(&out, 1024 * 1024, "line");
    assert_true(audit_line(&r, &out, NULL));
    assert_true(view_find_text(buf_view(&out), VIEW("\"args\":{\"...\":\"[truncated]\"},")));
    assert_true(buf_len(&out) < 512);
    buf_reset(&out);
    memset(huge, 'e', (size_t)MANY * 16); /* as an error and as a name */
    r.arguments = VIEW("{}");
    r.error = r.tool = view_from(huge, (size_t)MANY * 16);
    assert_true(audit_line(&r, &out, NULL));
    assert_true(buf_len(&out) < AUDIT_ERROR_BYTES_MAX + AUDIT_TOOL_BYTES_MAX + 512);
    buf_reset(&out);
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    r.arguments = view_str(deep);
    assert_true(audit_line(&r, &out, NULL));
    buf_done(&out);
    caller_unref(c);
    free(huge);
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_members_in_order),
        cmocka_unit_test(arguments_are_made_harmless),
        cmocka_unit_test(what_is_made_can_be_read),
        cmocka_unit_test(every_call_has_a_line_that_is_not_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
