/* Documents and the tools they become: tests/fixtures/openapi, where a case is
 *
 *   === what it shows
 *   the document
 *   --->
 *   what is said of it: a line for each fact
 *
 * and rules that need a filter, a size or a broken document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ati/openapi/openapi.h"

enum { FILE_BYTES_MAX = 1024 * 1024, TEXT_BYTES_MAX = 8 * 1024 * 1024 };

static struct buf text_of_test(void)
{
    struct buf b;

    buf_init(&b, TEXT_BYTES_MAX, "text of a test");
    return b;
}

static void PRINTF(2, 3) say(struct buf *out, const char *fmt, ...)
{
    static char line[64 * 1024];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof line);
    assert_true(buf_append(out, view_from(line, (size_t)n), NULL));
}

static void say_warning(void *context, const char *text)
{
    say(context, "warning %s\n", text);
}

static void say_texts(struct buf *out, const char *what, const struct texts *list)
{
    if (!list->count)
        return;
    say(out, "  %s", what);
    for (size_t i = 0; i < list->count; i++)
        say(out, " %s", list->at[i]);
    say(out, "\n");
}

static void say_tool(struct buf *out, const struct tool *t)
{
    struct json_tree tree;
    struct err err = {0};

    say(out, "tool %s %s %s\n", t->name, tool_method_name(t->method), t->endpoint);
    if (t->description[0])
        say(out, "  description %s\n", t->description);
    say_texts(out, "tags", &t->tags);
    say_texts(out, "examples", &t->examples);
    if (t->hint)
        say(out, "  hint %s\n", t->hint);
    if (strncmp(t->scope, "tool:", 5) != 0 || strcmp(t->scope + 5, t->name) != 0)
        say(out, "  scope %s\n", t->scope);
    if (t->extract)
        say(out, "  extract %s\n", t->extract);
    if (t->format)
        say(out, "  format %d\n", (int)t->format);
    say(out, "  schema %s\n", t->schema);
    /* Every reader of ours reads it. */
    if (!json_load(view_str(t->schema), 1000000, &tree, &err))
        fail_msg("%s: %s", t->schema, err.text);
    json_unload(&tree);
    assert_null(t->provider);
}

static void say_tools(struct buf *out, const struct openapi *o, const struct openapi_filter *filter)
{
    struct tool *tools = NULL;
    size_t count = 0;
    struct err err = {0};

    if (!openapi_tools(o, "p", filter, say_warning, out, &tools, &count, &err)) {
        say(out, "error %s\n", err.text);
        return;
    }
    for (size_t i = 0; i < count; i++)
        say_tool(out, &tools[i]);
    tools_free(tools, count);
}

static void say_about(struct buf *out, const struct openapi *o)
{
    struct openapi_about about = openapi_about(o);
    struct openapi_auth auth;

    assert_true(openapi_auth(o, &auth, NULL));
    if (strcmp(about.title, "t") != 0)
        say(out, "title %s\n", about.title);
    if (strcmp(about.version, "1") != 0)
        say(out, "version %s\n", about.version);
    if (strcmp(about.base_url, "https://from.example") != 0)
        say(out, "base %s\n", about.base_url);
    if (auth.type != AUTH_NONE)
        say(out, "auth %s%s%s%s%s%s%s\n", manifest_auth_name(auth.type),
            auth.header_name ? " header " : "", auth.header_name ? auth.header_name : "",
            auth.query_name ? " query " : "", auth.query_name ? auth.query_name : "",
            auth.token_url ? " token " : "", auth.token_url ? auth.token_url : "");
    openapi_auth_done(&auth);
}

/* Everything about the document. origin: where it came from. */
static void say_document(struct buf *out, struct view text, const char *origin)
{
    CLEANUP(openapi_free_cleanup) struct openapi *o = NULL;
    struct err err = {0};

    if (!openapi_parse(text, origin, &o, &err)) {
        say(out, "error %s\n", err.text);
        return;
    }
    say_about(out, o);
    say_tools(out, o, NULL);
}

static void check_case(const char *file, struct view title, struct view document,
                       struct view expected)
{
    struct buf got = text_of_test();

    /* In memory of just its size. */
    char *copy = malloc(document.len ? document.len : 1);

    assert_non_null(copy);
    memcpy(copy, document.at, document.len);
    say_document(&got, view_from(copy, document.len),
                 "https://from.example/docs/v1/api.yaml?x=/#/");
    free(copy);
    if (!view_eq(buf_view(&got), expected)) {
        /* Longer than cmocka's messages. */
        (void)fprintf(stderr, "%s: %.*s\nexpected:\n%.*sgot:\n%.*send\n", file, VIEW_ARG(title),
                      VIEW_ARG(expected), VIEW_ARG(buf_view(&got)));
        fail();
    }
    buf_done(&got);
}

static struct view read_fixture(const char *file, char *bytes)
{
    static const char here[] = __FILE__;
    char path[512];
    size_t len;
    FILE *in;

    (void)snprintf(path, sizeof path, "%.*sfixtures/openapi/%s",
                   (int)(sizeof here - sizeof "unit/ati/test_openapi.c"), here, file);
    in = fopen(path, "re");
    if (!in)
        fail_msg("cannot open %s", path);
    len = fread(bytes, 1, FILE_BYTES_MAX, in);
    (void)fclose(in);
    assert_in_range(len, 1, FILE_BYTES_MAX - 1);
    return view_from(bytes, len);
}

/* The text before needle, which is taken out of *rest, too. */
static struct view until(struct view *rest, struct view needle)
{
    const uint8_t *at = memmem(rest->at, rest->len, needle.at, needle.len);
    struct view front = at ? view_first(*rest, (size_t)(at - rest->at)) : *rest;

    *rest = view_skip(*rest, front.len + (at ? needle.len : 0));
    return front;
}

static void run_file(const char *file)
{
    static char bytes[FILE_BYTES_MAX];
    struct view rest = read_fixture(file, bytes);
    unsigned count = 0;

    (void)until(&rest, VIEW("=== "));
    while (rest.len) {
        struct view one = until(&rest, VIEW("\n=== ")), title = until(&one, VIEW("\n"));
        struct view document = until(&one, VIEW("--->\n"));

        /* What follows the last line is the end of the file. */
        if (rest.len)
            one.len++;
        check_case(file, title, document, one);
        count++;
    }
    assert_true(count > 0);
}

static void names_operations(void **state)
{
    (void)state;
    run_file("names.txt");
}

static void reads_parameters(void **state)
{
    (void)state;
    run_file("parameters.txt");
}

static void reads_bodies(void **state)
{
    (void)state;
    run_file("bodies.txt");
}

static void reads_schemas(void **state)
{
    (void)state;
    run_file("schemas.txt");
}

static void follows_references(void **state)
{
    (void)state;
    run_file("references.txt");
}

static void finds_servers_and_credentials(void **state)
{
    (void)state;
    run_file("servers.txt");
}

static void reads_json_and_yaml(void **state)
{
    (void)state;
    run_file("text.txt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_operations),    cmocka_unit_test(reads_parameters),
        cmocka_unit_test(reads_bodies),        cmocka_unit_test(reads_schemas),
        cmocka_unit_test(follows_references),  cmocka_unit_test(finds_servers_and_credentials),
        cmocka_unit_test(reads_json_and_yaml),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
