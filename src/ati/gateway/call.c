/* call: POST /call. {"tool_name":…,"args":…,"raw_args":[…]} ─► {"result":…} or {"result":null,"error":…} */
#include <stdio.h>
#include <stdlib.h>

#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

enum { ERROR_BYTES_MAX = 300 * 1024 * 1024 }; /* an upstream's answer, escaped */

/* What a call holds; goes with its request. */
struct work {
    struct json_tree tree;
    struct invocation invocation;
    char *name;         /* as it was called */
    struct view *words; /* positional arguments, decoded */
    char **word_texts;
    size_t word_count;
};

static void work_free(struct work *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->word_count; i++)
        free(k->word_texts[i]);
    free(k->word_texts);
    free(k->words);
    free(k->name);
    json_unload(&k->tree);
    free(k);
}

static void work_done(struct request *r)
{
    work_free(r->work);
    r->work = NULL;
}

/* {"result":null,"error":prefix text}, or the raw result before an error. */
void call_refuse(struct request *r, int status, const char *prefix, struct view text)
{
    struct json_writer w;
    struct buf body, whole;

    request_buf(r, &whole, ERROR_BYTES_MAX, "error");
    request_buf(r, &body, ERROR_BYTES_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "result");
    json_null(&w);
    json_key(&w, "error");
    if (buf_append_str(&whole, prefix, &w.err) && buf_append(&whole, text, &w.err))
        json_text(&w, buf_view(&whole));
    json_object_end(&w);
    work_done(r);
    if (json_end(&w, NULL))
        request_json(r, status, &body);
    else
        request_no_memory(r);
    buf_done(&whole);
    buf_done(&body);
}

static void invalid(struct request *r, const char *why)
{
    call_refuse(r, 422, "Invalid request: ", view_str(why));
}

/* A string, or any other value as it stands. */
static bool add_word(struct work *k, const struct json_doc *doc, uint32_t token)
{
    size_t len;
    char *text = NULL;

    if (doc->tokens[token].kind == JSON_STRING) {
        if (!json_string_new(doc, token, &text, &len))
            return false;
    } else {
        struct buf compact;

        buf_init(&compact, SIZE_MAX, "argument");
        if (json_render(doc, token, JSON_COMPACT, false, &compact, NULL) &&
            buf_append_byte(&compact, '\0', NULL))
            text = (char *)take(compact.area);
        buf_done(&compact);
    }
    if (!text)
        return false;
    k->word_texts[k->word_count] = text;
    k->words[k->word_count++] = view_str(text);
    return true;
}

static bool words_room(struct work *k, size_t n)
{
    k->words = calloc(n + 1, sizeof *k->words);
    k->word_texts = calloc(n + 1, sizeof *k->word_texts);
    return k->words && k->word_texts;
}

static bool words_of_array(struct work *k, uint32_t array)
{
    const struct json_doc *doc = &k->tree.doc;
    uint32_t at = json_first(array);

    if (!words_room(k, doc->tokens[array].count))
        return false;
    for (uint32_t i = 0; i < doc->tokens[array].count; i++, at = doc->tokens[at].next)
        if (!add_word(k, doc, at))
            return false;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Split at white space, as many words as there are. */
static bool words_of_text(struct work *k, uint32_t token)
{
    char *text;
    size_t len;
    bool good = json_string_new(&k->tree.doc, token, &text, &len);

    if (!good)
        return false;
    good = words_room(k, len / 2 + 1);
    for (char *at = text; good && *at;) {
        size_t n = 0;

        while (is_blank(*at))
            at++;
        while (at[n] && !is_blank(at[n]))
            n++;
        if (n == 0)
            break;
        k->word_texts[k->word_count] = strndup(at, n);
        good = k->word_texts[k->word_count] != NULL;
        if (good) {
            k->words[k->word_count] = view_str(k->word_texts[k->word_count]);
            k->word_count++;
        }
        at += n;
    }
    free(text);
    return good;
}

/* Only programs take words; for others the shape alone counts. An object is turned into words by who carries the call out. */
static bool take_words(struct work *k, uint32_t args, uint32_t raw)
{
    enum json_kind kind = args ? k->tree.doc.tokens[args].kind : JSON_OBJECT;
    struct exec_request *order = &k->invocation.order;
    bool good = true;

    if (k->invocation.tool->provider->handler != HANDLER_CLI || (!raw && kind == JSON_OBJECT))
        return true;
    if (!request_hold(k->invocation.request, k->tree.doc.text.len)) /* they are copies */
        return false;
    if (raw)
        good = words_of_array(k, raw);
    else if (kind == JSON_ARRAY)
        good = words_of_array(k, args);
    else if (kind == JSON_STRING)
        good = words_of_text(k, args);
    order->has_words = true;
    order->words = k->words;
    order->word_count = k->word_count;
    return good;
}

/* NULL: it has the shape of a call. */
static const char *shape(const struct json_doc *doc, uint32_t name, uint32_t raw)
{
    if (doc->tokens[0].kind != JSON_OBJECT)
        return "expected an object with `tool_name` and `args`";
    if (!name)
        return "missing field `tool_name`";
    if (doc->tokens[name].kind != JSON_STRING)
        return "`tool_name`: expected a string";
    if (raw && doc->tokens[raw].kind != JSON_ARRAY)
        return "`raw_args`: expected an array of strings";
    if (raw) {
        uint32_t at = json_first(raw);

        for (uint32_t i = 0; i < doc->tokens[raw].count; i++, at = doc->tokens[at].next)
            if (doc->tokens[at].kind != JSON_STRING)
                return "`raw_args`: expected an array of strings";
    }
    return NULL;
}

static const char *error_prefix(enum exec_outcome outcome)
{
    static const char *const prefixes[OUTCOMES] = {
        [EXEC_HTTP] = "Upstream API error: ",
        [EXEC_MCP] = "MCP error: ",
        [EXEC_CLI] = "CLI error: ",
        [EXEC_EXTRACT] = "Response processing error: ",
    };

    return prefixes[outcome] ? prefixes[outcome] : "";
}

/* The upstream's answer is there, but not what the manifest looks for in it: {"result":RAW,"error":…} */
static void answer_raw(struct request *r, struct exec_result *result)
{
    struct json_writer w;
    struct buf text;

    request_buf(r, &text, ERROR_BYTES_MAX, "error");
    json_begin(&w, &result->value);
    if (buf_append_str(&text, error_prefix(EXEC_EXTRACT), &w.err) &&
        buf_append(&text, buf_view(&result->error), &w.err) &&
        buf_append_str(&result->value, ",\"error\":", &w.err))
        json_text(&w, buf_view(&text));
    work_done(r);
    if (json_end(&w, NULL))
        request_json_around(r, result->status ? result->status : 500, VIEW("{\"result\":"),
                            &result->value, VIEW("}"));
    else
        request_no_memory(r);
    buf_done(&text);
}

static void done(void *context, struct exec_result *result)
{
    struct request *r = context;

    switch (result->outcome) {
    case EXEC_OK: /* several items with isError are an answer: it says so itself */
    case EXEC_NO_RECORDS:
        work_done(r);
        request_json_around(r, 200, VIEW("{\"result\":"), &result->value, VIEW("}"));
        return;
    case EXEC_EXTRACT:
        answer_raw(r, result);
        return;
    case EXEC_HTTP:
    case EXEC_MCP:
    case EXEC_CLI:
    case EXEC_FILES:
    case EXEC_CANCELLED:
        break;
    }
    if (result->busy)
        request_retry_after(r, BUSY_RETRY_S);
    call_refuse(r, result->status >= 400 ? result->status : 502, error_prefix(result->outcome),
                buf_view(&result->error));
}

static void left(struct request *r)
{
    struct work *k = r->work;

    if (k)
        invoke_cancel(&k->invocation);
    work_done(r);
}

static void start(struct request *r)
{
    struct work *k = r->work;
    uint64_t retry_after_s = 1;
    struct err err;

    r->left = left;
    switch (invoke_start(&k->invocation, &retry_after_s, &err)) {
    case INVOKE_STARTED:
        return;
    case INVOKE_DENIED:
        call_refuse(r, 403, "", view_str(err.text));
        return;
    case INVOKE_MISDIRECTED:
        call_refuse(r, 400, "", view_str(err.text));
        return;
    case INVOKE_LIMITED:
        request_retry_after(r, retry_after_s);
        call_refuse(r, 429, "", view_str(err.text));
        return;
    case INVOKE_FAILED:
        break;
    }
    call_refuse(r, 503, "", view_str(err.text));
}

static void unknown(struct request *r, const char *name)
{
    char text[ERR_TEXT_BYTES];

    worker_looks(r->worker);
    metric_add(&r->worker->stats.unknown, 1);
    (void)snprintf(text, sizeof text, "Unknown tool: '%.256s'", name);
    call_refuse(r, 404, "", view_str(text));
}

void call_answer(struct request *r)
{
    struct work *k = calloc(1, sizeof *k);
    const struct json_doc *doc;
    uint32_t name, args, raw;
    struct err err;
    size_t len;

    r->work = k;
    if (!k) {
        request_no_memory(r);
        return;
    }
    if (!json_load_loose(r->exchange->request.body, BODY_VALUES_MAX, &k->tree, &err)) {
        invalid(r, err.text);
        return;
    }
    doc = &k->tree.doc;
    if (!request_hold(r, doc->count * sizeof *doc->tokens)) {
        request_unheld(r, doc->count * sizeof *doc->tokens);
        return;
    }
    name = json_member(doc, 0, "tool_name");
    args = json_member(doc, 0, "args");
    raw = json_member(doc, 0, "raw_args");
    raw = raw && doc->tokens[raw].kind == JSON_NULL ? 0 : raw;
    if (shape(doc, name, raw)) {
        invalid(r, shape(doc, name, raw));
        return;
    }
    if (!json_string_new(doc, name, &k->name, &len)) {
        invalid(r, "`tool_name`: expected text without NUL");
        return;
    }
    r->tool = catalog_resolve(r->snapshot->catalog, view_str(k->name));
    if (!r->tool) {
        unknown(r, k->name);
        return;
    }
    k->invocation = (struct invocation){
        .request = r, .tool = r->tool, .name = view_str(k->name), .done = done, .context = r};
    k->invocation.order.arguments =
        args && doc->tokens[args].kind == JSON_OBJECT ? json_source(doc, args) : VIEW("{}");
    if (take_words(k, args, raw))
        start(r);
    else
        request_busy(r, REQUEST_BUSY);
}
