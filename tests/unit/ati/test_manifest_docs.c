/* docs/manifests.md says what the code does: each field has its row with type, default and handlers, and the examples load. */
#include "unit/base/unit.h"

#include "ati/manifest/manifest_priv.h"
#include "base/file.h"

static char *page;

static int load(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1024 * 1024, "page");
    if (!file_read("docs/manifests.md", &text, NULL))
        return -1;
    page = strndup((const char *)buf_view(&text).at, buf_len(&text));
    buf_done(&text);
    return page ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    free(page);
    return 0;
}

/* --- rows --- */

struct row {
    char cells[5][400]; /* field, type, default, and either for and meaning, or meaning */
    unsigned count;
};

static void cell(struct view v, char out[static 400])
{
    while (v.len && (v.at[0] == ' ' || v.at[0] == '`'))
        v = view_skip(v, 1);
    while (v.len && (v.at[v.len - 1] == ' ' || v.at[v.len - 1] == '`'))
        v.len--;
    (void)snprintf(out, 400, "%.*s", VIEW_ARG(v));
}

/* "| `name` | text | … |" */
static bool row_of(struct view line, struct row *out)
{
    struct view piece;

    out->count = 0;
    if (!view_starts(line, VIEW("| `")))
        return false;
    line = view_skip(line, 1);
    while (out->count < 5 && line.len && view_next(&line, '|', &piece))
        cell(piece, out->cells[out->count++]);
    return true;
}

static const char *kind_in_words(const struct manifest_field *f)
{
    static const char *const words[] = {
        [FIELD_TEXT] = "text",   [FIELD_BOOL] = "true or false",   [FIELD_COUNT] = "number",
        [FIELD_TEXTS] = "texts", [FIELD_PAIRS] = "table of texts",
    };

    return f->kind == FIELD_OWN ? NULL : words[f->kind];
}

static void default_in_words(const struct manifest_field *f, char out[static 64])
{
    if (f->kind == FIELD_BOOL)
        (void)snprintf(out, 64, "%s", f->initial ? "true" : "false");
    else if (f->kind == FIELD_COUNT)
        (void)snprintf(out, 64, "%llu", (unsigned long long)f->initial);
    else if (f->text)
        (void)snprintf(out, 64, "\"%s\"", f->text);
    else
        (void)snprintf(out, 64, "–");
}

static bool every_handler(unsigned set)
{
    return set == 0 || set == FOR_ALL;
}

/* "http, mcp" in any order. */
static bool names_handlers(const char *cell, unsigned set)
{
    struct view rest = view_str(cell), piece;
    unsigned got = 0;

    if (every_handler(set))
        return strcmp(cell, "all") == 0;
    while (view_next(&rest, ',', &piece)) {
        bool known = false;

        for (unsigned h = HANDLER_HTTP; h <= HANDLER_PASSTHROUGH; h++)
            if (view_eq(view_trim_ows(piece),
                        view_str(manifest_handler_name((enum manifest_handler)h)))) {
                got |= 1u << h;
                known = true;
            }
        if (!known)
            return false;
    }
    return got == set;
}

static void check_row(const struct row *row, const struct manifest_field *f, bool has_for)
{
    const char *kind = kind_in_words(f);
    char initial[64];

    if (row->count != (has_for ? 5u : 4u))
        fail_msg("%s: %u cells", f->name, row->count);
    if (kind && strcmp(row->cells[1], kind) != 0)
        fail_msg("%s: is %s, not %s", f->name, kind, row->cells[1]);
    default_in_words(f, initial);
    if (strcmp(row->cells[2], "required") != 0 && strcmp(row->cells[2], initial) != 0)
        fail_msg("%s: default is %s, not %s", f->name, initial, row->cells[2]);
    if (has_for && !names_handlers(row->cells[3], f->handlers))
        fail_msg("%s: for %s", f->name, row->cells[3]);
    if (strlen(row->cells[row->count - 1]) < 4)
        fail_msg("%s: means nothing", f->name);
}

/* --- sections --- */

static struct view section(const char *heading)
{
    char *at = strstr(page, heading), *end;

    if (!at)
        fail_msg("no %s", heading);
    at += strlen(heading);
    end = strstr(at, "\n#");
    return view_from(at, end ? (size_t)(end - at) : strlen(at));
}

static void check_section(const char *heading, const struct manifest_field *fields, bool has_for)
{
    struct view rest = section(heading), line;
    const struct manifest_field *f = fields;
    struct row row;

    while (view_next(&rest, '\n', &line)) {
        if (!row_of(line, &row))
            continue;
        if (!f->name)
            fail_msg("%s: %s is no field", heading, row.cells[0]);
        if (strcmp(row.cells[0], f->name) != 0)
            fail_msg("%s: %s should stand where %s does", heading, f->name, row.cells[0]);
        check_row(&row, f, has_for);
        f++;
    }
    if (f->name)
        fail_msg("%s: %s has no row", heading, f->name);
}

static void each_field_has_its_row(void **state)
{
    (void)state;
    check_section("\n## `[provider]`\n", manifest_provider_fields, true);
    check_section("\n## `[[tools]]`\n", manifest_tool_fields, false);
    check_section("\n### `[tools.response]`\n", manifest_response_fields, false);
    check_section("\n## `[provider.auth_generator]`\n", manifest_generator_fields, false);
    check_section("\n### `inject.\"PATH\"`\n", manifest_inject_fields, false);
    check_section("\n## `[provider.upload_destinations.NAME]`\n", manifest_destination_fields,
                  false);
    check_section("\n## `[provider.openapi_overrides.OPERATION]`\n", manifest_override_fields,
                  false);
}

static void complain(void *context, const char *text)
{
    fail_msg("%s\n%s", text, (const char *)context);
}

static void the_examples_load(void **state)
{
    static const char begins[] = "```toml\n", ends[] = "\n```\n";
    unsigned handlers = 0, count = 0;

    (void)state;
    for (char *at = page; (at = strstr(at, begins)); count++) {
        struct tool_provider *p;
        char *end, *text;
        struct err err;

        at += sizeof begins - 1;
        end = strstr(at, ends);
        assert_non_null(end);
        text = strndup(at, (size_t)(end - at));
        if (!manifest_parse(view_str(text), "example", complain, text, &p, &err))
            fail_msg("%s\n%s", err.text, text);
        handlers |= 1u << p->handler;
        tool_provider_unref(p);
        free(text);
    }
    assert_true(count >= 9);
    assert_int_equal(handlers, FOR_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_has_its_row),
        cmocka_unit_test(the_examples_load),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
