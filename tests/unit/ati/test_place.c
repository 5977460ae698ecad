#include "ati/exec/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/poison.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

#define IN(where)            "{\"x-ati-param-location\":\"" where "\"}"
#define STYLED(where, style) "{\"x-ati-param-location\":\"" where "\"," style "}"
#define PROPERTIES(list)     "{\"type\":\"object\",\"properties\":{" list "}}"
#define FORM(list)           "{\"x-ati-body-encoding\":\"form\",\"properties\":{" list "}}"

struct sample {
    enum tool_method method;
    const char *endpoint, *schema, *arguments;
    const char *url;    /* behind the base; NULL: an error with the text of body */
    const char *body;   /* NULL: none */
    const char *fields; /* "name: value\n" each; NULL: none */
};

static char base[] = "https://api.example/base/";

static struct placement placement;
static struct err err;

static bool place(const struct sample *s, struct tool_provider *provider)
{
    const struct tool tool = {.provider = provider,
                              .name = (char *)(uintptr_t) "p:t",
                              .endpoint = (char *)(uintptr_t)s->endpoint,
                              .method = s->method,
                              .schema = (char *)(uintptr_t)s->schema};

    return place_arguments(&tool, view_str(s->arguments), NULL, &placement, &err);
}

static void check_fields(const char *want)
{
    char got[1024] = "";
    size_t n = 0;

    for (size_t i = 0; i < placement.field_count; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s: %s\n", placement.fields[i].name,
                              placement.fields[i].value);
    assert_string_equal(got, want ? want : "");
}

static void check(const struct sample *s, struct tool_provider *provider)
{
    struct view url;

    if (!place(s, provider)) {
        if (s->url)
            fail_msg("%s %s: %s", s->endpoint, s->arguments, err.text);
        if (strcmp(err.text, s->body) != 0)
            fail_msg("%s %s: \"%s\", not \"%s\"", s->endpoint, s->arguments, err.text, s->body);
        placement_done(&placement);
        return;
    }
    url = buf_view(&placement.url);
    assert_true(view_starts(url, VIEW("https://api.example/base")));
    url = view_skip(url, sizeof base - 2);
    if (!s->url || !view_eq(url, view_str(s->url)))
        fail_msg("%s %s: \"%.*s\", not \"%s\"", s->endpoint, s->arguments, VIEW_ARG(url),
                 s->url ? s->url : s->body);
    if (placement.has_body != (s->body != NULL) ||
        !view_eq(buf_view(&placement.body), view_str(s->body)))
        fail_msg("%s %s: body \"%.*s\", not \"%s\"", s->endpoint, s->arguments,
                 VIEW_ARG(buf_view(&placement.body)), s->body ? s->body : "-");
    assert_int_equal(placement.has_query, view_find(url, '?') < url.len);
    check_fields(s->fields);
    placement_done(&placement);
}

static void check_all(const struct sample *samples, size_t count)
{
    struct tool_provider provider = {.base_url = base};

    for (size_t i = 0; i < count; i++)
        check(&samples[i], &provider);
}

static void without_locations_all_go_one_way(void **state)
{
    static const struct sample samples[] = {
        {METHOD_GET, "/x", NULL, "{}", "/x", NULL, NULL},
        {METHOD_GET, "/x", NULL, "", "/x", NULL, NULL},
        {METHOD_GET, "/x", NULL, "[1]", "/x", NULL, NULL},
        {METHOD_GET, "/x", NULL, "{\"a\":1,\"b\":\"x y&=+é~*\"}", "/x?a=1&b=x+y%26%3D%2B%C3%A9%7E*",
         NULL, NULL},
        {METHOD_GET, "/x?k=v", NULL, "{\"a\":null,\"b\":true,\"c\":1.50}",
         "/x?k=v&a=&b=true&c=1.50", NULL, NULL},
        {METHOD_GET, "/x", NULL, "{\"a\":[1, \"x y\"],\"b\":{\"c\" : 1}}",
         "/x?a=%5B1%2C%22x+y%22%5D&b=%7B%22c%22%3A1%7D", NULL, NULL},
        {METHOD_GET, "/x", NULL, "{\"a\":1,\"a\":2}", "/x?a=2", NULL, NULL},
        {METHOD_GET, "/x", NULL, "{\"\\u0061\\n\":\"\\u00e9\\ud83d\\ude00\"}",
         "/x?a%0A=%C3%A9%F0%9F%98%80", NULL, NULL},
        {METHOD_GET, "/{id}", NULL, "{\"id\":1}", "/%7Bid%7D?id=1", NULL, NULL},
        {METHOD_HEAD, "/x", NULL, "{\"a\":1}", "/x?a=1", NULL, NULL},
        {METHOD_POST, "/x", NULL, "{\"a\":1e2,\"b\":12345678901234567890123}", "/x",
         "{\"a\":1e2,\"b\":12345678901234567890123}", NULL},
        {METHOD_POST, "/{id}", NULL, "{\"id\": [1] }", "/%7Bid%7D", "{\"id\":[1]}", NULL},
        {METHOD_PUT, "/x", NULL, "{}", "/x", "{}", NULL},
        {METHOD_PATCH, "/x", NULL, "{\"a\\\"\":\"\\u0000\"}", "/x", "{\"a\\\"\":\"\\u0000\"}",
         NULL},
        {METHOD_DELETE, "/x", NULL, "7", "/x", "{}", NULL},
        {METHOD_DELETE, "/x", NULL, "{\"a\":1}", "/x", "{\"a\":1}", NULL},
        {METHOD_GET, "/a b\"<é>", NULL, "{}", "/a%20b%22%3C%C3%A9%3E", NULL, NULL},
        {METHOD_GET, "/x", NULL, "{\"a\":\"\\ud800\"}", NULL,
         "Invalid arguments: text with U+0000 or half of a surrogate", NULL},
    };

    (void)state;
    check_all(samples, COUNT(samples));
}

static void with_locations_each_goes_its_way(void **state)
{
    static const char all[] = PROPERTIES("\"id\":" IN("path") ",\"q\":" IN("query") ",\"X-H\":" IN(
        "header") ",\"b\":" IN("body") ",\"n\":{\"type\":\"string\"}");
    static const struct sample samples[] = {
        {METHOD_POST, "/a/{id}/{id}", all,
         "{\"id\":\"x y\",\"q\":[1,\"2\"],\"X-H\":true,\"b\":{\"c\":1},\"n\":\"m\",\"u\":null}",
         "/a/x%20y/x%20y?q=1&q=2", "{\"b\":{\"c\":1},\"n\":\"m\",\"u\":null}", "X-H: true\n"},
        {METHOD_POST, "/a/{id}", all, "{\"id\":7}", "/a/7", NULL, NULL},
        {METHOD_PATCH, "/a/{id}", all, "{\"id\":7,\"b\":1}", "/a/7", "{\"b\":1}", NULL},
        {METHOD_GET, "/a/{id}", all, "{\"id\":7,\"b\":1,\"q\":[]}", "/a/7", NULL, NULL},
        {METHOD_DELETE, "/a/{id}", all, "{\"id\":7,\"u\":1}", "/a/7", NULL, NULL},
        {METHOD_GET, "/a", all, "{\"id\":7}", "/a", NULL, NULL},
        {METHOD_GET, "/a/{id", all, "{\"id\":7}", "/a/%7Bid", NULL, NULL},
        {METHOD_GET, "/a/{id}", all, "{}", NULL, "Missing path parameter 'id'", NULL},
        {METHOD_GET, "/a/{other}", all, "{\"other\":1}", NULL, "Missing path parameter 'other'",
         NULL},
        {METHOD_GET, "/a", all, "{\"q\":{\"b\":1},\"X-H\":[1, 2]}", "/a?q=%7B%22b%22%3A1%7D", NULL,
         "X-H: [1,2]\n"},
    };

    (void)state;
    check_all(samples, COUNT(samples));
}

static void a_path_holds_nothing_that_leads_elsewhere(void **state)
{
    static const char one[] = PROPERTIES("\"id\":" IN("path"));
    static const char two[] = PROPERTIES("\"a\":" IN("path") ",\"b\":" IN("path"));
    static const char bad[] =
        "Invalid path parameter 'id': value '%s' contains forbidden characters";
    static const char *const refused[] = {"..", "a..b", "\\\\", "a?b", "#"};
    static const struct sample samples[] = {
        {METHOD_GET, "/x/{id}", one, "{\"id\":\"a/b\"}", "/x/a%2Fb", NULL, NULL},
        {METHOD_GET, "/x/{id}", one, "{\"id\":\"%2e%2E/\"}", "/x/%252e%252E%2F", NULL, NULL},
        {METHOD_GET, "/x/{id}", one, "{\"id\":\"AZaz09-_.~!\"}", "/x/AZaz09-_.~%21", NULL, NULL},
        {METHOD_GET, "/x/{id}", one, "{\"id\":\"{id}\"}", "/x/%7Bid%7D", NULL, NULL},
        {METHOD_GET, "/x/{id}", one, "{\"id\":[1,2]}", "/x/%5B1%2C2%5D", NULL, NULL},
        {METHOD_GET, "/x/{id}", one, "{\"id\":\"\"}", NULL,
         "Invalid path parameter 'id': it is empty", NULL},
        {METHOD_GET, "/x/{id}", one, "{\"id\":null}", NULL,
         "Invalid path parameter 'id': it is empty", NULL},
        {METHOD_GET, "/x/{id}/y", one, "{\"id\":\".\"}", NULL,
         "Invalid path parameters: they make a segment of dots", NULL},
        {METHOD_GET, "/x/{a}{b}", two, "{\"a\":\".\",\"b\":\".\"}", NULL,
         "Invalid path parameters: they make a segment of dots", NULL},
        {METHOD_GET, "/x/./{id}", one, "{\"id\":\"a.\"}", "/x/./a.", NULL, NULL},
    };
    struct tool_provider bare = {.base_url = (char *)(uintptr_t) "https://api.example"};
    char arguments[64], text[128];

    (void)state;
    check_all(samples, COUNT(samples));
    for (size_t i = 0; i < COUNT(refused); i++) {
        const struct sample s = {METHOD_GET, "/x/{id}", one, arguments, NULL, text, NULL};

        (void)snprintf(arguments, sizeof arguments, "{\"id\":\"%s\"}", refused[i]);
        (void)snprintf(text, sizeof text, bad, refused[i][0] == '\\' ? "\\" : refused[i]);
        check_all(&s, 1);
    }
    /* An endpoint that begins with a parameter does not reach the host's name. */
    assert_true(place(
        &(struct sample){METHOD_GET, "{id}/y", one, "{\"id\":\".evil.example\"}", NULL, NULL, NULL},
        &bare));
    assert_true(view_eq(buf_view(&placement.url), VIEW("https://api.example/.evil.example/y")));
    placement_done(&placement);
}

static void arrays_in_the_query_follow_their_format(void **state)
{
#define FORMAT(f) PROPERTIES("\"q\":" STYLED("query", "\"x-ati-collection-format\":\"" f "\""))
    static const char list[] = "{\"q\":[\"a,b\",\"c d\",3]}";
    static const struct sample samples[] = {
        {METHOD_GET, "/", FORMAT("multi"), list, "/?q=a%2Cb&q=c+d&q=3", NULL, NULL},
        {METHOD_GET, "/", FORMAT("csv"), list, "/?q=a%2Cb%2Cc+d%2C3", NULL, NULL},
        {METHOD_GET, "/", FORMAT("ssv"), list, "/?q=a%2Cb+c+d+3", NULL, NULL},
        {METHOD_GET, "/", FORMAT("pipes"), list, "/?q=a%2Cb%7Cc+d%7C3", NULL, NULL},
        {METHOD_GET, "/", FORMAT("unheard"), list, "/?q=a%2Cb&q=c+d&q=3", NULL, NULL},
        {METHOD_GET, "/", FORMAT("csv"), "{\"q\":\"a b\"}", "/?q=a+b", NULL, NULL},
        {METHOD_GET, "/", FORMAT("csv"), "{\"q\":[]}", "/?q=", NULL, NULL},
        {METHOD_GET, "/", FORMAT("multi"), "{\"q\":[]}", "/", NULL, NULL},
        {METHOD_GET, "/", FORMAT("multi"), "{\"q\":[null,[1],{\"a\":2}]}",
         "/?q=&q=%5B1%5D&q=%7B%22a%22%3A2%7D", NULL, NULL},
    };

    (void)state;
    check_all(samples, COUNT(samples));
}

static void forms_are_written_as_browsers_do(void **state)
{
    static const char form[] = FORM("\"q\":" IN("query") ",\"b\":" IN("body"));
    static const char styled[] = FORM("\"m\":" STYLED(
        "body", "\"x-ati-param-style\":\"form\",\"x-ati-param-"
                "explode\":true") ",\"d\":" STYLED("body", "\"x-ati-param-style\":\"deepObject\","
                                                           "\"x-ati-param-explode\":true"));
    static const struct sample samples[] = {
        {METHOD_POST, "/", form, "{\"q\":1,\"b\":\"x y\",\"c\":[1,2],\"d\":null}", "/?q=1",
         "b=x+y&c=%5B1%2C2%5D&d=", NULL},
        {METHOD_POST, "/", form, "{\"q\":1}", "/?q=1", NULL, NULL},
        {METHOD_POST, "/", styled, "{\"m\":[1,\"2\"],\"d\":{\"a\":{\"b\":[true,0]},\"c d\":\"e\"}}",
         "/", "m=1&m=2&d%5Ba%5D%5Bb%5D%5B0%5D=true&d%5Ba%5D%5Bb%5D%5B1%5D=0&d%5Bc+d%5D=e", NULL},
        {METHOD_POST, "/", "{\"x-ati-body-encoding\":\"form\"}", "{\"a\":1}", "/", "{\"a\":1}",
         NULL},
    };

    (void)state;
    check_all(samples, COUNT(samples));
}

static void defaults_stand_for_what_was_left_out(void **state)
{
    static const char schema[] =
        PROPERTIES("\"a\":{\"default\":5},\"b\":{\"default\":\"x\"},\"c\":{\"default\":null},"
                   "\"d\":{\"default\":[]},\"e\":{\"default\":{}},\"f\":{\"default\":[1]},\"g\":{"
                   "\"default\":false}");
    static const struct sample samples[] = {
        {METHOD_POST, "/", schema, "{\"b\":\"y\"}", "/",
         "{\"b\":\"y\",\"a\":5,\"f\":[1],\"g\":false}", NULL},
        {METHOD_GET, "/", schema, "{\"a\":null,\"f\":0,\"g\":1}", "/?a=&f=0&g=1&b=x", NULL, NULL},
        {METHOD_GET, "/", schema, "", "/?a=5&b=x&f=%5B1%5D&g=false", NULL, NULL},
        {METHOD_GET, "/{p}", PROPERTIES("\"p\":" STYLED("path", "\"default\":\"v1\"")), "{}", "/v1",
         NULL, NULL},
    };

    (void)state;
    check_all(samples, COUNT(samples));
}

static void headers_that_are_not_the_callers_are_refused(void **state)
{
    static const char *const refused[] = {"authorization",
                                          "Host",
                                          "COOKIE",
                                          "set-cookie",
                                          "content-type",
                                          "content-length",
                                          "transfer-encoding",
                                          "connection",
                                          "proxy-authorization",
                                          "x-forwarded-for",
                                          "x-forwarded-host",
                                          "x-forwarded-proto",
                                          "x-real-ip",
                                          "X-Own"};
    struct tool_provider own = {.base_url = base, .auth_header_name = (char *)(uintptr_t) "x-own"};
    struct tool_provider key = {.base_url = base, .auth = AUTH_HEADER};
    static const char api_key[] = PROPERTIES("\"X-API-KEY\":" IN("header"));
    static const struct sample taken = {METHOD_GET, "/",  api_key,         "{\"X-API-KEY\":1}",
                                        "/",        NULL, "X-API-KEY: 1\n"};
    static const struct sample kept = {
        METHOD_GET, "/",
        api_key,    "{\"X-API-KEY\":1}",
        NULL,       "Header 'X-API-KEY' is not allowed as a user-supplied parameter",
        NULL};
    static const struct sample split[] = {
        {METHOD_GET, "/", PROPERTIES("\"h\":" IN("header")), "{\"h\":\"a\\r\\nb: c\"}", NULL,
         "Invalid header parameter 'h': it holds a control character", NULL},
        {METHOD_GET, "/", PROPERTIES("\"h:x\":" IN("header")), "{\"h:x\":1}", NULL,
         "Header 'h:x' is not allowed as a user-supplied parameter", NULL},
        {METHOD_GET, "/", PROPERTIES("\"h\":" IN("header")), "{\"h\":\" a \"}", "/", NULL,
         "h: a\n"},
    };
    char schema[256], arguments[64], text[128];

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        const struct sample s = {METHOD_GET, "/", schema, arguments, NULL, text, NULL};

        (void)snprintf(schema, sizeof schema, PROPERTIES("\"%s\":" IN("header")), refused[i]);
        (void)snprintf(arguments, sizeof arguments, "{\"%s\":1}", refused[i]);
        (void)snprintf(text, sizeof text, "Header '%s' is not allowed as a user-supplied parameter",
                       refused[i]);
        check(&s, &own);
    }
    check(&taken, &own);
    check(&kept, &key);
    check_all(split, COUNT(split));
}

static void a_callers_argument_does_not_stand_beside_the_credential(void **state)
{
    struct tool_provider named = {
        .base_url = base, .auth = AUTH_QUERY, .auth_query_name = (char *)(uintptr_t) "tok"};
    struct tool_provider usual = {.base_url = base, .auth = AUTH_QUERY};

    (void)state;
    check(&(struct sample){METHOD_GET, "/", NULL, "{\"tok\":1,\"api_key\":2}", "/?api_key=2", NULL,
                           NULL},
          &named);
    check(
        &(struct sample){METHOD_GET, "/", NULL, "{\"tok\":1,\"api_key\":2}", "/?tok=1", NULL, NULL},
        &usual);
}

/* OpenAPI 3.0.3, "Style Examples": of its table, what the document's styles may be used for. */
static void styles_are_those_of_openapi(void **state)
{
#define STYLE(where, style, explode)                                       \
    PROPERTIES("\"color\":" STYLED(where, "\"x-ati-param-style\":\"" style \
                                          "\",\"x-ati-param-explode\":" explode))
#define TEXT   "{\"color\":\"blue\"}"
#define ARRAY  "{\"color\":[\"blue\",\"black\",\"brown\"]}"
#define OBJECT "{\"color\":{\"R\":100,\"G\":200,\"B\":150}}"
    static const struct sample samples[] = {
        {METHOD_GET, "/{color}", STYLE("path", "matrix", "false"), TEXT, "/;color=blue", NULL,
         NULL},
        {METHOD_GET, "/{color}", STYLE("path", "matrix", "false"), ARRAY,
         "/;color=blue,black,brown", NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "matrix", "false"), OBJECT,
         "/;color=R,100,G,200,B,150", NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "matrix", "true"), ARRAY,
         "/;color=blue;color=black;color=brown", NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "matrix", "true"), OBJECT, "/;R=100;G=200;B=150",
         NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "label", "false"), TEXT, "/.blue", NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "label", "true"), ARRAY, "/.blue.black.brown", NULL,
         NULL},
        {METHOD_GET, "/{color}", STYLE("path", "label", "true"), OBJECT, "/.R=100.G=200.B=150",
         NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "simple", "false"), ARRAY, "/blue,black,brown", NULL,
         NULL},
        {METHOD_GET, "/{color}", STYLE("path", "simple", "false"), OBJECT, "/R,100,G,200,B,150",
         NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "simple", "true"), OBJECT, "/R=100,G=200,B=150",
         NULL, NULL},
        {METHOD_GET, "/{color}", STYLE("path", "simple", "false"), "{\"color\":[\"a,b\",\"/\"]}",
         "/a%2Cb,%2F", NULL, NULL},
        {METHOD_GET, "/", STYLE("query", "form", "false"), OBJECT,
         "/?color=R%2C100%2CG%2C200%2CB%2C150", NULL, NULL},
        {METHOD_GET, "/", STYLE("query", "form", "true"), OBJECT, "/?R=100&G=200&B=150", NULL,
         NULL},
        {METHOD_GET, "/", STYLE("query", "form", "true"), ARRAY,
         "/?color=blue&color=black&color=brown", NULL, NULL},
        {METHOD_GET, "/", STYLE("query", "spaceDelimited", "false"), ARRAY,
         "/?color=blue+black+brown", NULL, NULL},
        {METHOD_GET, "/", STYLE("query", "pipeDelimited", "false"), ARRAY,
         "/?color=blue%7Cblack%7Cbrown", NULL, NULL},
        {METHOD_GET, "/", STYLE("query", "deepObject", "true"), OBJECT,
         "/?color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150", NULL, NULL},
        {METHOD_GET, "/", STYLE("query", "deepObject", "true"), TEXT, "/?color=blue", NULL, NULL},
        {METHOD_GET, "/", STYLE("header", "simple", "false"), ARRAY, "/", NULL,
         "color: blue,black,brown\n"},
        {METHOD_GET, "/", STYLE("header", "simple", "true"), OBJECT, "/", NULL,
         "color: R=100,G=200,B=150\n"},
        {METHOD_GET, "/",
         PROPERTIES("\"c\":" STYLED("query", "\"x-ati-param-in\":\"cookie\"") ",\"d\":" STYLED(
             "query", "\"x-ati-param-in\":\"cookie\"")),
         "{\"c\":\"a b;\",\"d\":2}", "/", NULL, "Cookie: c=a%20b%3B; d=2\n"},
        {METHOD_GET, "/",
         PROPERTIES("\"q\":" STYLED("query", "\"x-ati-param-content\":\"application/json\"")),
         "{\"q\":\"a\"}", "/?q=%22a%22", NULL, NULL},
        {METHOD_GET, "/", PROPERTIES("\"q\":" STYLED("query", "\"x-ati-param-reserved\":true")),
         "{\"q\":\"a/b?c=d&e+f#%41% g\"}", "/?q=a/b?c%3Dd%26e%2Bf%23%41%25%20g", NULL, NULL},
        {METHOD_GET, "/{id}",
         PROPERTIES("\"path_id\":" STYLED("path", "\"x-ati-param-name\":\"id\"")),
         "{\"path_id\":1}", "/1", NULL, NULL},
        {METHOD_POST, "/", PROPERTIES("\"body_id\":" STYLED("body", "\"x-ati-param-name\":\"id\"")),
         "{\"body_id\":1}", "/", "{\"id\":1}", NULL},
    };

    (void)state;
    check_all(samples, COUNT(samples));
}

static void whole_bodies_keep_their_type(void **state)
{
    static const char list[] =
        "{\"x-ati-body-argument\":\"body\",\"properties\":{\"body\":" IN("body") "}}";
    static const char text[] = "{\"x-ati-body-argument\":\"body\",\"x-ati-body-type\":\"text/csv\","
                               "\"properties\":{\"body\":" IN("body") "}}";
    static const char sent[] = "{\"x-ati-body-sent\":true,\"properties\":{\"a\":" IN("body") "}}";
    static const char patch[] =
        "{\"x-ati-body-type\":\"application/merge-patch+json\",\"properties\":{"
        "\"a\":" IN("body") "}}";
    static const struct {
        struct sample s;
        const char *type;
    } cases[] = {
        {{METHOD_POST, "/", list, "{\"body\":[1, 2],\"other\":3}", "/", "[1, 2]", NULL},
         "application/json"},
        {{METHOD_POST, "/", list, "{\"body\":\"x\"}", "/", "\"x\"", NULL}, "application/json"},
        {{METHOD_POST, "/", text, "{\"body\":\"a,b\\n\"}", "/", "a,b\n", NULL}, "text/csv"},
        {{METHOD_DELETE, "/", sent, "{\"a\":1}", "/", "{\"a\":1}", NULL}, "application/json"},
        {{METHOD_PATCH, "/", patch, "{\"a\":1}", "/", "{\"a\":1}", NULL},
         "application/merge-patch+json"},
        {{METHOD_POST, "/", FORM("\"a\":" IN("body")), "{\"a\":1}", "/", "a=1", NULL},
         "application/x-www-form-urlencoded"},
    };
    struct tool_provider provider = {.base_url = base};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(place(&cases[i].s, &provider));
        assert_string_equal(placement.content_type, cases[i].type);
        placement_done(&placement);
        check(&cases[i].s, &provider);
    }
}

static void what_is_too_much_is_said(void **state)
{
    static char many[PLACE_ARGUMENTS_MAX * 16 + 64], deep[1024], wide[2 * PLACE_URL_BYTES_MAX];
    static const char deep_schema[] =
        PROPERTIES("\"d\":" STYLED("query", "\"x-ati-param-style\":\"deepObject\""));
    size_t n = 0;

    (void)state;
    n += (size_t)snprintf(many, sizeof many, "{\"a\":0");
    for (int i = 0; i < PLACE_ARGUMENTS_MAX; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, ",\"k%d\":1", i);
    (void)snprintf(many + n, sizeof many - n, "}");
    check_all(&(struct sample){METHOD_GET, "/", NULL, many, NULL, "more than 1024 arguments", NULL},
              1);
    n = (size_t)snprintf(deep, sizeof deep, "{\"d\":");
    for (int i = 0; i <= PLACE_DEPTH_MAX; i++)
        deep[n++] = '[';
    deep[n++] = '1';
    for (int i = 0; i <= PLACE_DEPTH_MAX; i++)
        deep[n++] = ']';
    (void)snprintf(deep + n, sizeof deep - n, "}");
    check_all(&(struct sample){METHOD_GET, "/", deep_schema, deep, NULL,
                               "Invalid arguments: more than 16 levels", NULL},
              1);
    memset(wide, 'x', sizeof wide);
    memcpy(wide, "{\"a\":\"", 6);
    memcpy(wide + sizeof wide - 3, "\"}", 3);
    check_all(
        &(struct sample){METHOD_GET, "/", NULL, wide, NULL, "query: more than 16384 bytes", NULL},
        1);
    assert_false(place(&(struct sample){METHOD_GET, "/", NULL, "{", NULL, NULL, NULL},
                       &(struct tool_provider){.base_url = base}));
    assert_int_equal(err.code, ERR_SYNTAX);
    placement_done(&placement);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_locations_all_go_one_way),
        cmocka_unit_test(with_locations_each_goes_its_way),
        cmocka_unit_test(a_path_holds_nothing_that_leads_elsewhere),
        cmocka_unit_test(arrays_in_the_query_follow_their_format),
        cmocka_unit_test(forms_are_written_as_browsers_do),
        cmocka_unit_test(defaults_stand_for_what_was_left_out),
        cmocka_unit_test(headers_that_are_not_the_callers_are_refused),
        cmocka_unit_test(a_callers_argument_does_not_stand_beside_the_credential),
        cmocka_unit_test(styles_are_those_of_openapi),
        cmocka_unit_test(whole_bodies_keep_their_type),
        cmocka_unit_test(what_is_too_much_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
