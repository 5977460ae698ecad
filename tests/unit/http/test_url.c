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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_targets_as_the_fixtures_say),
        cmocka_unit_test(finds_values_as_the_fixtures_say),
        cmocka_unit_test(a_query_that_is_not_there_has_no_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
