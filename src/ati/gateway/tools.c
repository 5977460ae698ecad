/* tools: what a caller may call. What it may not, does not exist. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

enum { FILTER_BYTES = 512 };

static void put_texts(struct json_writer *w, const char *key, const struct texts *texts)
{
    json_key(w, key);
    json_array(w);
    for (size_t i = 0; i < texts->count; i++)
        json_text(w, view_str(texts->at[i]));
    json_array_end(w);
}

static void put_text_or_null(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text)
        json_text(w, view_str(text));
    else
        json_null(w);
}

static void put_schema(struct json_writer *w, const struct tool *tool)
{
    json_key(w, "input_schema");
    if (tool->schema)
        json_raw(w, view_str(tool->schema));
    else
        json_null(w);
}

static void put_short(struct json_writer *w, const struct tool *tool)
{
    json_object(w);
    put_text_or_null(w, "description", tool->description);
    put_schema(w, tool);
    put_text_or_null(w, "method", tool_method_capitalised(tool->method));
    put_text_or_null(w, "name", tool->name);
    put_text_or_null(w, "provider", tool->provider->name);
    put_texts(w, "skills", &tool->provider->skills);
    put_texts(w, "tags", &tool->tags);
    json_object_end(w);
}

static void put_long(struct json_writer *w, const struct tool *tool)
{
    json_object(w);
    put_text_or_null(w, "description", tool->description);
    put_text_or_null(w, "endpoint", tool->endpoint);
    put_text_or_null(w, "hint", tool->hint);
    put_schema(w, tool);
    put_text_or_null(w, "method", tool_method_capitalised(tool->method));
    put_text_or_null(w, "name", tool->name);
    put_text_or_null(w, "provider", tool->provider->name);
    put_text_or_null(w, "scope", tool->scope);
    put_texts(w, "skills", &tool->provider->skills);
    put_texts(w, "tags", &tool->tags);
    json_object_end(w);
}

/* needle: in small letters. */
static bool holds(const char *text, struct view needle)
{
    struct view v = view_str(text);

    for (size_t i = 0; i + needle.len <= v.len; i++)
        if (view_eq_nocase(view_first(view_skip(v, i), needle.len), needle))
            return true;
    return false;
}

static bool found(const struct tool *tool, struct view needle)
{
    if (holds(tool->name, needle) || holds(tool->description, needle))
        return true;
    for (size_t i = 0; i < tool->tags.count; i++)
        if (holds(tool->tags.at[i], needle))
            return true;
    return false;
}

struct filter {
    bool by_provider, by_search;
    size_t provider_len, search_len;
    uint8_t provider[FILTER_BYTES], search[FILTER_BYTES];
};

/* Words that are longer than anything is called match nothing. */
static bool passes(const struct filter *f, const struct tool *tool)
{
    if (f->by_provider &&
        (f->provider_len > FILTER_BYTES ||
         !view_eq(view_str(tool->provider->name), view_from(f->provider, f->provider_len))))
        return false;
    return !f->by_search ||
           (f->search_len <= FILTER_BYTES && found(tool, view_from(f->search, f->search_len)));
}

static bool is_twice(struct view query, struct view name)
{
    struct view pair;
    uint8_t nothing;
    size_t len, count = 0;

    while (view_next(&query, '&', &pair))
        count += http_query_first(pair, name, &nothing, 0, &len);
    return count > 1;
}

/* Which of two would be meant? False: it was answered. */
static bool filter_read(struct request *r, struct filter *f)
{
    static const char *const names[] = {"provider", "search"};
    struct view query = r->exchange->request.query;
    char text[96];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_twice(query, view_str(names[i]))) {
            (void)snprintf(text, sizeof text,
                           "Failed to deserialize query string: duplicate field `%s`", names[i]);
            request_text(r, 400, view_str(text));
            return false;
        }
    f->by_provider = http_query_first(query, VIEW("provider"), f->provider, sizeof f->provider,
                                      &f->provider_len);
    f->by_search =
        http_query_first(query, VIEW("search"), f->search, sizeof f->search, &f->search_len);
    return true;
}

void tools_answer(struct request *r)
{
    const struct catalog *c = r->snapshot->catalog;
    int64_t now_s = request_now_s();
    struct json_writer w;
    struct filter f;
    struct buf body;

    if (!filter_read(r, &f))
        return;
    worker_looks(r->worker);
    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    json_begin(&w, &body);
    json_array(&w);
    for (size_t i = 0; i < catalog_tool_count(c); i++) {
        const struct tool *tool = catalog_tool_at(c, i);

        if (caller_may(r->caller, tool->scope, now_s) && passes(&f, tool))
            put_short(&w, tool);
    }
    json_array_end(&w);
    if (json_end(&w, NULL))
        request_json(r, 200, &body);
    else
        request_no_memory(r);
    buf_done(&body);
}

void tool_answer(struct request *r)
{
    struct view name = r->exchange->request.parameter;
    const struct tool *tool = catalog_find(r->snapshot->catalog, name);
    char text[ERR_TEXT_BYTES];
    struct json_writer w;
    struct buf body;

    if (!tool || tool->provider->internal || !caller_may(r->caller, tool->scope, request_now_s())) {
        worker_looks(r->worker);
        (void)snprintf(text, sizeof text, "Tool '%.*s' not found", VIEW_ARG(view_first(name, 256)));
        request_json_error(r, 404, text);
        return;
    }
    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    json_begin(&w, &body);
    put_long(&w, tool);
    if (json_end(&w, NULL))
        request_json(r, 200, &body);
    else
        request_no_memory(r);
    buf_done(&body);
}
