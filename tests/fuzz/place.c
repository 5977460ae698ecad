/* Input: a method, an endpoint, NUL, a schema, NUL, arguments. Wherever arguments go, the request stays at its host and below its path, is one
 * request, and holds no field that is not the caller's. */
#include <stdlib.h>

#include "ati/exec/place.h"
#include "base/check.h"
#include "http/http.h"

#include "base/poison.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE "https://api.example/base"

static char *copy(struct view v)
{
    char *text = malloc(v.len + 1);

    CHECK(text);
    if (v.len)
        memcpy(text, v.at, v.len);
    text[v.len] = '\0';
    return text;
}

static unsigned ups(struct view path)
{
    struct view rest = view_first(path, view_find(path, '?')), segment;
    unsigned n = 0;

    while (view_next(&rest, '/', &segment))
        n += view_eq(segment, VIEW("..")) || view_eq(segment, VIEW("."));
    return n;
}

static void check_url(struct view url, const char *endpoint)
{
    CHECK(view_starts(url, VIEW(BASE)));
    for (size_t i = 0; i < url.len; i++)
        CHECK(url.at[i] > ' ' && url.at[i] < 0x7F && url.at[i] != '\\');
    CHECK(ups(url) <= ups(view_str(endpoint)));
}

static void check_fields(const struct tool_provider *provider, const struct placement *p)
{
    for (size_t i = 0; i < p->field_count; i++) {
        struct view name = view_str(p->fields[i].name);

        CHECK(http_is_token(name));
        CHECK(view_eq(name, VIEW("Cookie")) || !place_field_refused(provider, name));
        CHECK(!strpbrk(p->fields[i].value, "\r\n"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char base[] = BASE, name[] = "p:t", own[] = "X-Own";
    struct tool_provider provider = {.base_url = base, .auth_header_name = own};
    struct view all = view_from(data, size), endpoint, schema;
    struct tool tool = {.provider = &provider, .name = name};
    struct err err = {.code = ERR_NONE};
    struct placement p;

    if (!size)
        return 0;
    tool.method = (enum tool_method)(data[0] % 7);
    all = view_skip(all, 1);
    endpoint = view_first(all, view_find(all, '\0'));
    all = view_skip(all, endpoint.len + 1);
    schema = view_first(all, view_find(all, '\0'));
    all = view_skip(all, schema.len + 1);
    tool.endpoint = copy(endpoint);
    tool.schema = copy(schema);
    if (place_arguments(&tool, all, NULL, &p, &err)) {
        check_url(view_from(p.url.area + p.url.head, p.url.tail - p.url.head), tool.endpoint);
        check_fields(&provider, &p);
        CHECK(p.has_body || p.body.head == p.body.tail);
    } else {
        CHECK(err.code != ERR_NONE && err.text[0]);
    }
    placement_done(&p);
    free(tool.endpoint);
    free(tool.schema);
    return 0;
}
