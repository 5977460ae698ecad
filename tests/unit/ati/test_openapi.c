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

enum { FILE_BYTES_MAX = 1024 * 1024, TEXT_BYTES_MAX = 64 * 1024 * 1024 };

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
    if (strcmp(about.base_url, "https://from.example/") != 0)
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

/* --- filters ------------------------------------------------------------------------------------ */

static const char zoo[] = "openapi: 3.0.3\n"
                          "info: {title: t, version: '1'}\n"
                          "paths:\n"
                          "  /cats:\n"
                          "    get: {operationId: cats, tags: [cat, read]}\n"
                          "    post: {operationId: catify, tags: [cat, write], requestBody: "
                          "{content: {multipart/form-data: "
                          "{}}}}\n"
                          "  /dogs:\n"
                          "    get: {operationId: dogs, tags: [dog, read], summary: Dogs}\n"
                          "    put: {operationId: dogify, tags: [dog, write]}\n"
                          "  /none:\n"
                          "    get: {}\n";

static char *text_list[8];

/* The words of text as a list, until the next call of the same slot. */
static struct texts words(char *text, size_t first)
{
    struct texts list = {.at = &text_list[first]};

    for (char *word = strtok_r(text, " ", &text); word; word = strtok_r(NULL, " ", &text))
        list.at[list.count++] = word;
    return list;
}

static void expect_names(const struct openapi_filter *filter, const char *expected)
{
    struct openapi *o;
    struct buf got = text_of_test();
    struct tool *tools;
    size_t count;

    assert_true(openapi_parse(view_str(zoo), "", &o, NULL));
    assert_true(openapi_tools(o, "z", filter, NULL, NULL, &tools, &count, NULL));
    for (size_t i = 0; i < count; i++)
        say(&got, "%s%s", i ? " " : "", tools[i].name);
    say(&got, "%c", '\0');
    assert_string_equal(buf_view(&got).at, expected);
    tools_free(tools, count);
    openapi_free(o);
    buf_done(&got);
}

static void filters_operations(void **state)
{
    char dogs[] = "dogs", read[] = "read nobody", cat[] = "cat", get_none[] = "get_none catify";
    struct texts only_dogs = words(dogs, 0), only_read = words(read, 1);
    struct texts only_cat = words(cat, 4), none_or_cat = words(get_none, 5);
    struct texts empty = {0};

    (void)state;
    expect_names(NULL, "z:cats z:dogs z:dogify z:get_none");
    expect_names(&(struct openapi_filter){.include_tags = &empty, .include_operations = &empty},
                 "z:cats z:dogs z:dogify z:get_none");
    expect_names(&(struct openapi_filter){.include_tags = &only_read}, "z:cats z:dogs");
    expect_names(&(struct openapi_filter){.exclude_tags = &only_read}, "z:dogify z:get_none");
    expect_names(&(struct openapi_filter){.include_operations = &only_dogs}, "z:dogs");
    expect_names(&(struct openapi_filter){.exclude_operations = &only_dogs},
                 "z:cats z:dogify z:get_none");
    /* Of the names that are made, too. */
    expect_names(&(struct openapi_filter){.include_operations = &none_or_cat}, "z:get_none");
    expect_names(&(struct openapi_filter){.include_tags = &only_read, .exclude_tags = &only_cat},
                 "z:dogs");
    expect_names(&(struct openapi_filter){.include_operations = &only_dogs,
                                          .exclude_operations = &only_dogs},
                 "");
    /* The first ones of those that pass. */
    expect_names(&(struct openapi_filter){.max_operations = 2}, "z:cats z:dogs");
    expect_names(&(struct openapi_filter){.max_operations = 1, .exclude_tags = &only_cat},
                 "z:dogs");
    expect_names(&(struct openapi_filter){.max_operations = 9},
                 "z:cats z:dogs z:dogify z:get_none");
}

static void overrides_what_the_document_says(void **state)
{
    char dogs[] = "dogs", tags[] = "best read", examples[] = "one two";
    char hint[] = "use it", description[] = "other", scope[] = "pets", extract[] = "$.a";
    char format[] = "markdown_table", none[] = "nobody";
    const struct openapi_override overrides[] = {{.operation = none, .hint = hint},
                                                 {.operation = dogs,
                                                  .hint = hint,
                                                  .description = description,
                                                  .scope = scope,
                                                  .extract = extract,
                                                  .format = format,
                                                  .tags = words(tags, 0),
                                                  .examples = words(examples, 3)}};
    struct texts only = {.at = (char *[]){dogs}, .count = 1};
    const struct openapi_filter filter = {
        .include_operations = &only, .overrides = overrides, .override_count = 2};
    struct buf got = text_of_test();
    struct openapi *o;

    (void)state;
    assert_true(openapi_parse(view_str(zoo), "", &o, NULL));
    say_tools(&got, o, &filter);
    say(&got, "%c", '\0');
    assert_string_equal(buf_view(&got).at, "tool p:dogs GET /dogs\n"
                                           "  description other\n"
                                           "  tags best dog read\n"
                                           "  examples one two\n"
                                           "  hint use it\n"
                                           "  scope pets\n"
                                           "  extract $.a\n"
                                           "  format 2\n"
                                           "  schema {\"properties\":{},\"type\":\"object\"}\n");
    openapi_free(o);
    buf_done(&got);
}

/* --- limits -------------------------------------------------------------------------------------- */

static void expect_error(const struct buf *text, const char *expected)
{
    struct openapi *o;
    struct err err = {0};

    if (openapi_parse(buf_view(text), "", &o, &err)) {
        openapi_free(o);
        fail_msg("no error, but: %s", expected);
    }
    if (!strstr(err.text, expected))
        fail_msg("%s\nis not: %s", err.text, expected);
}

static void laughs_at_a_billion_laughs(void **state)
{
    struct buf text = text_of_test();

    (void)state;
    say(&text, "openapi: 3.0.3\ninfo: {title: t}\nx:\n  - &l0 [lol, lol, lol, lol, lol, lol]\n");
    for (unsigned i = 1; i < 20; i++)
        say(&text, "  - &l%u [*l%u, *l%u, *l%u, *l%u, *l%u, *l%u, *l%u, *l%u]\n", i, i - 1, i - 1,
            i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    expect_error(&text, "aliases make too much of this document");
    buf_done(&text);
}

static void bounds_levels(void **state)
{
    struct buf text = text_of_test();

    (void)state;
    say(&text, "openapi: 3.0.3\nx: ");
    for (unsigned i = 0; i < 80; i++)
        say(&text, "[");
    for (unsigned i = 0; i < 80; i++)
        say(&text, "]");
    expect_error(&text, "line 2, column 63: too many levels");
    buf_reset(&text);
    /* An alias brings the levels of what it stands for. */
    say(&text, "openapi: 3.0.3\na: &a ");
    for (unsigned i = 0; i < 35; i++)
        say(&text, "[");
    for (unsigned i = 0; i < 35; i++)
        say(&text, "]");
    say(&text, "\nb: ");
    for (unsigned i = 0; i < 30; i++)
        say(&text, "[");
    say(&text, "*a");
    for (unsigned i = 0; i < 30; i++)
        say(&text, "]");
    expect_error(&text, "line 3, column 34: an alias makes too many levels");
    buf_done(&text);
}

static void nothing_is_no_document(void **state)
{
    struct buf text = text_of_test();

    (void)state;
    expect_error(&text, "line 1, column 1: there is nothing in it");
    buf_done(&text);
}

static void bounds_anchors(void **state)
{
    struct buf text = text_of_test();

    (void)state;
    say(&text, "openapi: 3.0.3\nx:\n");
    for (unsigned i = 0; i <= YAML_ANCHORS_MAX; i++)
        say(&text, "  - &a%u x\n", i);
    expect_error(&text, "too many anchors");
    buf_done(&text);
}

/* What a document of few bytes can make of itself by references. */
static void bounds_what_references_make(void **state)
{
    struct buf text = text_of_test(), got = text_of_test();
    struct openapi *o;
    struct tool *tools;
    size_t count;
    struct err err = {0};

    (void)state;
    say(&text, "{\"openapi\":\"3.1.0\",\"components\":{\"schemas\":{\"S\":{\"type\":\"object\","
               "\"properties\":{");
    for (unsigned i = 0; i < 900; i++)
        say(&text, "%s\"property_%u\":{\"type\":\"string\",\"description\":\"%0400u\"}",
            i ? "," : "", i, i);
    say(&text, "}}}},\"paths\":{");
    for (unsigned i = 0; i < 500; i++)
        say(&text,
            "%s\"/%u\":{\"post\":{\"requestBody\":{\"content\":{\"application/json\":{\"schema\":"
            "{\"$ref\":\"#/components/schemas/S\"}}}}}}",
            i ? "," : "", i);
    say(&text, "}}");
    assert_true(openapi_parse(buf_view(&text), "", &o, NULL));
    assert_false(openapi_tools(o, "p", NULL, say_warning, &got, &tools, &count, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_non_null(strstr(err.text, "the tools of this document take more than"));
    openapi_free(o);
    buf_done(&text);
    buf_done(&got);
}

/* One operation that is too large is left out; the others stay. */
static void leaves_out_what_is_too_large(void **state)
{
    struct buf text = text_of_test(), got = text_of_test();
    struct openapi *o;
    struct tool *tools;
    size_t count;

    (void)state;
    say(&text, "{\"openapi\":\"3.1.0\",\"paths\":{\"/a\":{\"get\":{\"parameters\":[");
    for (unsigned i = 0; i < 1100; i++)
        say(&text, "%s{\"in\":\"query\",\"name\":\"p%u\"}", i ? "," : "", i);
    say(&text, "]}},\"/b\":{\"get\":{\"operationId\":\"%0300d\"}},\"/c\":{\"get\":{}}", 7);
    for (char path = 'd'; path <= 'e'; path++) {
        say(&text,
            ",\"/%c\":{\"post\":{\"requestBody\":{\"content\":{\"application/json\":{\"schema\":%s{"
            "\"properties\":{",
            path, path == 'd' ? "" : "{\"properties\":{\"inner\":");
        for (unsigned i = 0; i < 1100; i++)
            say(&text, "%s\"p%u\":{}", i ? "," : "", i);
        say(&text, "}}%s}}}}}", path == 'd' ? "" : "}}");
    }
    say(&text, "}}");
    assert_true(openapi_parse(buf_view(&text), "", &o, NULL));
    assert_true(openapi_tools(o, "p", NULL, say_warning, &got, &tools, &count, NULL));
    assert_int_equal(count, 2);
    assert_string_equal(tools[0].name, "p:get_c");
    assert_string_equal(tools[1].schema,
                        "{\"properties\":{\"inner\":{\"type\":\"object\",\"x-ati-param-location\":"
                        "\"body\"}},\"type\":\"object\"}");
    assert_true(view_find_text(buf_view(&got),
                               VIEW("post_d: left out: an object of it has more than 1024")));
    assert_true(view_find_text(buf_view(&got), VIEW("get_a: left out: it has more than 1024")));
    assert_true(view_find_text(buf_view(&got), VIEW("left out: its name is too long")));
    tools_free(tools, count);
    openapi_free(o);
    buf_done(&text);
    buf_done(&got);
}

/* --- what is made of a document ------------------------------------------------------------------ */

static void names_providers(void **state)
{
    static const struct {
        const char *origin, *name;
    } rows[] = {
        {"https://api.stripe.com/v1/spec.json", "stripe"},
        {"https://user:pass@www.example.co:8443/x", "example"},
        {"http://petstore3.swagger.io/api/v3/openapi.json", "petstore3_swagger"},
        {"https://api.dev", "dev"},
        {"https://REST.My-Company.Example.org?x=/y", "my_company_example"},
        {"https://localhost:8080/openapi.yaml", "localhost"},
        {"/tmp/My API (v2).yaml", "my_api__v2"},
        {"openapi.json", "openapi"},
        {"specs/.hidden", "hidden"},
        {"https://---/", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf got = text_of_test();

        assert_true(openapi_name(view_str(rows[i].origin), &got, NULL));
        say(&got, "%c", '\0');
        assert_string_equal(buf_view(&got).at, rows[i].name);
        buf_done(&got);
    }
}

static void expect_manifest(const char *schemes, const char *key, const struct texts *tags,
                            const char *expected)
{
    struct buf text = text_of_test(), got = text_of_test();
    struct tool_provider *p;
    struct openapi *o;
    struct err err = {0};

    say(&text,
        "openapi: 3.0.3\ninfo: {title: 'A \"title\"', version: '1'}\nservers: [{url: /v1}]\n"
        "components: {securitySchemes: {%s}}\n",
        schemes);
    assert_true(openapi_parse(buf_view(&text), "https://pets.example/spec", &o, NULL));
    assert_true(openapi_manifest(o, "pets", key, tags, &got, NULL));
    /* What is written can be read. */
    if (!manifest_parse(buf_view(&got), "pets.toml", NULL, NULL, &p, &err))
        fail_msg("%s", err.text);
    assert_string_equal(p->description, "A \"title\"");
    tool_provider_unref(p);
    say(&got, "%c", '\0');
    assert_string_equal(buf_view(&got).at, expected);
    openapi_free(o);
    buf_done(&text);
    buf_done(&got);
}

#define HEAD                                                                                  \
    "[provider]\nname = \"pets\"\ndescription = \"A \\\"title\\\"\"\nhandler = \"openapi\"\n" \
    "base_url = \"https://pets.example/v1\"\nopenapi_spec = \"pets.json\"\n"

static void writes_manifests(void **state)
{
    char a[] = "a", b[] = "b \"c\"";
    const struct texts tags = {.at = (char *[]){a, b}, .count = 2};

    (void)state;
    expect_manifest("", "unused", NULL, HEAD "auth_type = \"none\"\n");
    expect_manifest("k: {type: http, scheme: bearer}", NULL, NULL,
                    HEAD "auth_type = \"bearer\"\nauth_key_name = \"pets_api_key\"\n");
    expect_manifest("k: {type: apiKey, in: header, name: X-K}", "mine", NULL,
                    HEAD "auth_type = \"header\"\nauth_key_name = \"mine\"\n"
                         "auth_header_name = \"X-K\"\n");
    expect_manifest("k: {type: apiKey, in: query, name: k}", NULL, &tags,
                    HEAD "auth_type = \"query\"\nauth_key_name = \"pets_api_key\"\n"
                         "auth_query_name = \"k\"\n"
                         "openapi_include_tags = [\"a\", \"b \\\"c\\\"\"]\n");
    expect_manifest("k: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://t/'}}}", NULL,
                    NULL,
                    HEAD "auth_type = \"oauth2\"\nauth_key_name = \"pets_api_key\"\n"
                         "auth_secret_name = \"pets_client_secret\"\n"
                         "oauth2_token_url = \"https://t/\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_operations),
        cmocka_unit_test(reads_parameters),
        cmocka_unit_test(reads_bodies),
        cmocka_unit_test(reads_schemas),
        cmocka_unit_test(follows_references),
        cmocka_unit_test(finds_servers_and_credentials),
        cmocka_unit_test(reads_json_and_yaml),
        cmocka_unit_test(filters_operations),
        cmocka_unit_test(overrides_what_the_document_says),
        cmocka_unit_test(laughs_at_a_billion_laughs),
        cmocka_unit_test(bounds_levels),
        cmocka_unit_test(nothing_is_no_document),
        cmocka_unit_test(bounds_anchors),
        cmocka_unit_test(bounds_what_references_make),
        cmocka_unit_test(leaves_out_what_is_too_large),
        cmocka_unit_test(names_providers),
        cmocka_unit_test(writes_manifests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
