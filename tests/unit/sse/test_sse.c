#include "sse/sse.h"

#include "../base/unit.h"

enum { SMALL = 64 };

/* Reads all in pieces of step bytes; events as "type|id|data" with ";" behind each. An unfinished one ends with "…". */
static void read_all(struct view all, size_t first, size_t step, char *out, size_t size)
{
    struct sse s;
    struct sse_event e;
    struct view in, lent;
    int n = 0;

    sse_init(&s, SMALL);
    for (size_t take = first; all.len; take = step) {
        in = lent = block(view_first(all, take));
        all = view_skip(all, in.len);
        while (in.len) {
            assert_true(sse_feed(&s, &in, &e, NULL));
            if (e.data.at)
                n += snprintf(out + n, size - (size_t)n, "%.*s|%.*s|%.*s;", VIEW_ARG(e.type),
                              VIEW_ARG(e.id), VIEW_ARG(e.data));
        }
        block_free(lent);
    }
    if (sse_end(&s, &e))
        n += snprintf(out + n, size - (size_t)n, "%.*s|%.*s|%.*s…", VIEW_ARG(e.type),
                      VIEW_ARG(e.id), VIEW_ARG(e.data));
    if (s.retry_ms)
        snprintf(out + n, size - (size_t)n, " retry %llu", (unsigned long long)s.retry_ms);
    sse_done(&s);
}

static const struct {
    const char *text, *events;
} streams[] = {
    {"", ""},
    {"data: one\n\n", "message||one;"},
    {"data:one\n\ndata:  two\n\n", "message||one;message|| two;"},
    {"data: a\r\ndata: b\r\n\r\n", "message||a\nb;"},
    {"data: a\rdata: b\r\r", "message||a\nb;"},
    {"data: a\n\r\ndata: b\r\r\n", "message||a;message||b;"},
    {"\xEF\xBB\xBF"
     "data: mark\n\n",
     "message||mark;"},
    {"\xEF\xBB\xBF\n"
     "data: mark\n\n",
     "message||mark;"},
    {"\xEF\xBB\xBF: comment\n"
     "data: x\n\n",
     "message||x;"},
    {"data: x\n\n\xEF\xBB\xBF"
     "data: later it is a name\n\n",
     "message||x;"},
    {"\xEF\xBB"
     "data: half a mark\n\n",
     ""},
    {": comment\n:\n\ndata\n\n", "message||;"},
    {"data\ndata\n\n", "message||\n;"},
    {"data:\n\n", "message||;"},
    {"event: add\nid: 7\ndata: x\n\n", "add|7|x;"},
    {"event: a\nevent: b\ndata: x\n\ndata: y\n\n", "b||x;message||y;"},
    {"event: lost\n\ndata: x\n\n", "message||x;"},
    {"event\ndata: x\n\n", "message||x;"},
    {"id: 7\ndata: x\n\ndata: y\n\nid\ndata: z\n\n", "message|7|x;message|7|y;message||z;"},
    {"retry: 250\ndata: x\n\nretry: 2x\nretry: -1\nretry:\n\n", "message||x; retry 250"},
    {"Data: x\ndatum: y\ndata : z\nunknown\nvery-long-name-of-a-field: v\n\n", ""},
    {"data: unfinished", "message||unfinished…"},
    {"data: unfinished\n", "message||unfinished…"},
    {"data: x\n\nevent: nothing\n", "message||x;"},
    {"event: u\nid: 3\ndata: {\"a\":1}\nda", "u|3|{\"a\":1}…"},
    {"data: x: y\n\n", "message||x: y;"},
    {"data: \xFF\xC3\n\n", "message||\xFF\xC3;"},
};

static void gives_the_same_events_at_every_cut(void **state)
{
    char out[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        struct view all = view_str(streams[i].text);

        for (size_t cut = 1; cut <= all.len + 1; cut++) {
            out[0] = '\0';
            read_all(all, cut, all.len + 1, out, sizeof out); /* two pieces */
            assert_string_equal(out, streams[i].events);
            out[0] = '\0';
            read_all(all, cut, cut, out, sizeof out);
            assert_string_equal(out, streams[i].events);
        }
    }
}

static void an_id_with_nul_is_passed_over(void **state)
{
    struct view in = VIEW("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n");
    struct sse s;
    struct sse_event e;

    (void)state;
    sse_init(&s, SMALL);
    assert_true(sse_feed(&s, &in, &e, NULL) && e.data.at);
    assert_true(sse_feed(&s, &in, &e, NULL) && e.data.at);
    assert_true(view_eq(e.id, VIEW("1")) && view_eq(e.data, VIEW("b")));
    sse_done(&s);
}

static void data_has_a_limit(void **state)
{
    char text[8 + SMALL + 8];
    struct view in, all;
    struct sse s;
    struct sse_event e;
    struct err err = {0};

    (void)state;
    snprintf(text, sizeof text, "data: %0*d\n\n", SMALL, 7);
    all = in = view_str(text);
    sse_init(&s, SMALL);
    assert_true(sse_feed(&s, &in, &e, &err));
    assert_int_equal(e.data.len, SMALL);
    sse_done(&s);

    sse_init(&s, SMALL - 1);
    in = all;
    assert_false(sse_feed(&s, &in, &e, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    in = VIEW("\n\ndata: x\n\n");
    assert_false(sse_feed(&s, &in, &e, NULL)); /* and it stays so */
    assert_false(sse_end(&s, &e));
    sse_done(&s);
}

static void other_fields_have_a_limit(void **state)
{
    static const char *const fields[] = {"event: ", "id: ", "retry: "};
    static char long_text[SSE_FIELD_BYTES_MAX + 1];

    (void)state;
    memset(long_text, '1', sizeof long_text);
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        for (size_t over = 0; over < 2; over++) {
            struct view in = view_str(fields[i]);
            struct sse s;
            struct sse_event e;
            struct err err = {0};

            sse_init(&s, SMALL);
            assert_true(sse_feed(&s, &in, &e, &err));
            in = view_from(long_text, SSE_FIELD_BYTES_MAX + over);
            assert_int_equal(sse_feed(&s, &in, &e, &err), !over);
            if (over)
                assert_int_equal(err.code, ERR_LIMIT);
            sse_done(&s);
        }
}

static void writes_what_it_reads(void **state)
{
    const struct {
        const char *type, *id, *data, *text, *again;
    } cases[] = {
        {"", "", "x", "data: x\n\n", "message||x;"},
        {"", "", "", "data: \n\n", "message||;"},
        {"a", "7", "x\ny", "event: a\nid: 7\ndata: x\ndata: y\n\n", "a|7|x\ny;"},
        {"", "", "x\r\ny\rz\n", "data: x\ndata: y\ndata: z\ndata: \n\n", "message||x\ny\nz\n;"},
        {"", "", " blank", "data:  blank\n\n", "message|| blank;"},
    };
    char out[128];
    struct buf text;

    (void)state;
    buf_init(&text, 256, "events");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_reset(&text);
        assert_true(sse_write(&text, view_str(cases[i].type), view_str(cases[i].id),
                              view_str(cases[i].data), NULL));
        assert_true(view_eq(buf_view(&text), view_str(cases[i].text)));
        out[0] = '\0';
        read_all(buf_view(&text), 1000, 1000, out, sizeof out);
        assert_string_equal(out, cases[i].again);
    }
    buf_reset(&text);
    assert_false(sse_write(&text, VIEW("a\nb"), VIEW(""), VIEW("x"), NULL));
    assert_false(sse_write(&text, VIEW(""), VIEW("1\r"), VIEW("x"), NULL));
    assert_false(sse_write(&text, VIEW(""), VIEW("1\0"), VIEW("x"), NULL));
    assert_int_equal(buf_len(&text), 0);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_same_events_at_every_cut),
        cmocka_unit_test(an_id_with_nul_is_passed_over),
        cmocka_unit_test(data_has_a_limit),
        cmocka_unit_test(other_fields_have_a_limit),
        cmocka_unit_test(writes_what_it_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
