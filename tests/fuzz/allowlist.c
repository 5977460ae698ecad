/* Input: a byte of options, the list, NUL, a request, NUL, another request. Two requests that mean
 * the same are answered the same; what is admitted stands in the list; every exact entry admits
 * itself. */
#include <string.h>

#include "base/check.h"
#include "bridge/allowlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct answer {
    const struct allow_entry *entry;
    struct target target;
    bool by_pattern;
};

static struct answer ask(const struct allowlist *list, struct view requested)
{
    struct answer a = {0};

    a.entry = allowlist_match(list, requested, &a.target, &a.by_pattern);
    return a;
}

static void check_equal(const struct answer *a, const struct answer *b)
{
    CHECK(a->entry == b->entry && a->by_pattern == b->by_pattern);
    CHECK(strcmp(a->target.text, b->target.text) == 0);
}

static void check_request(const struct allowlist *list, struct view requested, bool patterns)
{
    struct answer a = ask(list, requested), again;
    struct target t;

    if (!target_parse(requested, &t, NULL)) {
        CHECK(!a.entry);
        return;
    }
    again = ask(list, view_str(t.text));
    check_equal(&a, &again);
    CHECK(patterns || !a.by_pattern);
    if (!a.entry)
        return;
    CHECK(strcmp(a.target.text, t.text) == 0);
    CHECK(allowlist_at(list, a.entry->index) == a.entry);
    if (a.entry->kind == ALLOW_EXACT)
        CHECK(strcmp(a.entry->target.host, t.host) == 0);
    CHECK(t.kind == TARGET_UNIX || (t.port >= a.entry->port_first && t.port <= a.entry->port_last));
}

static void check_entries(const struct allowlist *list)
{
    for (size_t i = 0; i < allowlist_count(list); i++) {
        const struct allow_entry *e = allowlist_at(list, i);
        struct answer a = ask(list, view_str(e->text));

        CHECK(e->index == i && e->pin_count <= ALLOW_PINS_MAX);
        if (e->kind == ALLOW_EXACT && e->port_first == e->port_last)
            CHECK(a.entry == e && !a.by_pattern);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(allowlist_free_cleanup) struct allowlist *list = NULL;
    struct view rest = view_from(data, size), text, one = {0}, two = {0};
    struct allowlist_options options = {.source = "fuzz"};
    struct target a, b;
    struct err err = {0};

    if (size == 0)
        return 0;
    options.lax = data[0] & 1;
    options.patterns = data[0] & 2;
    options.cidr_names = data[0] & 4;
    options.file = data[0] & 8;
    rest = view_skip(rest, 1);
    (void)view_next(&rest, 0, &text);
    (void)view_next(&rest, 0, &one);
    (void)view_next(&rest, 0, &two);
    CHECK(allowlist_new(&list, NULL));
    if (!allowlist_add(list, text, &options, &err)) {
        CHECK(!options.lax && err.code == ERR_CONFIG && err.text[0]);
        return 0;
    }
    check_entries(list);
    check_request(list, one, options.patterns);
    check_request(list, two, options.patterns);
    if (target_parse(one, &a, NULL) && target_parse(two, &b, NULL) && !strcmp(a.text, b.text)) {
        struct answer first = ask(list, one), second = ask(list, two);

        check_equal(&first, &second);
    }
    return 0;
}
