/* Request targets, and values in queries. */
#include "support/fixture.h"

#include "http/http.h"

static void play_target(struct fixture *f, size_t step, bool all)
{
    static const char *const forms[] = {"origin", "absolute", "authority", "asterisk"};
    uint8_t *block = fixture_block(view_from(f->input, f->len));
    struct http_target t;
    struct err err;

    (void)step;
    (void)all;
    if (!http_target_split(view_from(block, f->len), &t, &err))
        fixture_event(f, "error: %s", err.text);
    else
        fixture_event(f, "%s authority \"%s\" path \"%s\" %s%s%s", forms[t.form],
                      fixture_show(t.authority), fixture_show(t.path),
                      t.query.at ? "query \"" : "no query", fixture_show(t.query),
                      t.query.at ? "\"" : "");
    free(block);
}

/* step serves as the room: the length is told in full, and what fits is the beginning. */
static void play_query(struct fixture *f, size_t step, bool all)
{
    uint8_t *block = fixture_block(view_from(f->input, f->len)), out[1024], cut[1024];
    struct view query = view_from(block, f->len), name = view_str(f->word[0] ? f->word : "target");
    size_t len = 0, cut_len = 0, room = step < sizeof cut ? step : sizeof cut;
    bool found = http_query_first(query, name, out, sizeof out, &len);

    (void)all;
    memset(cut, '#', sizeof cut);
    assert_int_equal(http_query_first(query, name, cut, room, &cut_len), found);
    assert_int_equal(cut_len, len);
    assert_memory_equal(cut, out, len < room ? len : room);
    for (size_t i = room; i < sizeof cut; i++)
        assert_int_equal(cut[i], '#');
    if (found)
        fixture_event(f, "\"%s\" %zu", fixture_show(view_from(out, len)), len);
    else
        fixture_event(f, "none");
    free(block);
}

static void splits_targets_as_the_fixtures_say(void **state)
{
    (void)state;
    fixtures_run("http/target.txt", play_target);
}

static void finds_values_as_the_fixtures_say(void **state)
{
    (void)state;
    fixtures_run("http/query.txt", play_query);
}

static void a_query_that_is_not_there_has_no_values(void **state)
{
    uint8_t out[1];
    size_t len;

    (void)state;
    assert_false(http_query_first((struct view){0}, VIEW("target"), out, sizeof out, &len));
    assert_false(http_query_first((struct view){0}, VIEW(""), out, sizeof out, &len));
}

static void an_authority_is_a_host_and_maybe_a_port(void **state)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        uint16_t port;
    } rows[] = {
        {"example.com", "example.com", 7},
        {"example.com:443", "example.com", 443},
        {"[::1]", "::1", 7},
        {"[::1]:65535", "::1", 65535},
        {"a:1", "a", 1},
        {"", NULL, 0},
        {":443", NULL, 0},
        {"[]:443", NULL, 0},
        {"[::1", NULL, 0},
        {"[::1]443", NULL, 0},
        {"::1", NULL, 0},
        {"a:", NULL, 0},
        {"a:0", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:01", NULL, 0},
        {"a:1 ", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct view host = VIEW("before");
        uint16_t port = 7;
        bool good = http_authority_split(view_str(rows[i].text), &host, &port);

        assert_int_equal(good, rows[i].host != NULL);
        assert_true(view_eq(host, good ? view_str(rows[i].host) : VIEW("before")));
        assert_int_equal(port, good ? rows[i].port : 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_targets_as_the_fixtures_say),
        cmocka_unit_test(finds_values_as_the_fixtures_say),
        cmocka_unit_test(a_query_that_is_not_there_has_no_values),
        cmocka_unit_test(an_authority_is_a_host_and_maybe_a_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
