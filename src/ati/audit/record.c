/* record: one line. */
#include <stdlib.h>

#include "ati/audit/audit.h"
#include "base/clock.h"
#include "base/json.h"

#include "base/poison.h"

enum { VALUES_MAX = 1024 * 1024 };
#define CUT       "...[truncated]"
#define TOO_LARGE "{\"...\":\"[truncated]\"}"

static bool is_private(struct view name);
static void text_cut(struct json_writer *w, struct view span, size_t bytes_max);

/* Where the walk through nested values is. */
struct walk {
    const struct json_doc *doc;
    struct json_writer *w;
    unsigned depth;
    struct {
        uint32_t left; /* elements, or members */
        bool object;
    } levels[JSON_DEEP_MAX + 1];
};

static void walk_end(struct walk *k)
{
    while (k->depth && !k->levels[k->depth].left) {
        if (k->levels[k->depth].object)
            json_object_end(k->w);
        else
            json_array_end(k->w);
        k->depth--;
    }
}

static void walk_open(struct walk *k, const struct json_token *t)
{
    k->depth++;
    k->levels[k->depth].left = t->count;
    k->levels[k->depth].object = t->kind == JSON_OBJECT;
    if (t->kind == JSON_OBJECT)
        json_object(k->w);
    else
        json_array(k->w);
}

/* False: the value is nobody's business. */
static bool walk_key(struct walk *k, uint32_t at)
{
    char *name;
    size_t len;
    bool shown;

    if (!json_string_new(k->doc, at, &name, &len)) {
        json_key(k->w, "?");
        return false;
    }
    json_key(k->w, name);
    shown = !is_private(view_from(name, len));
    free(name);
    return shown;
}

static void walk_value(struct walk *k, uint32_t at)
{
    const struct json_token *t = &k->doc->tokens[at];

    if (t->kind == JSON_STRING)
        text_cut(k->w, json_span(k->doc, at), AUDIT_TEXT_BYTES_MAX);
    else if (t->kind == JSON_OBJECT || t->kind == JSON_ARRAY)
        walk_open(k, t);
    else
        json_raw(k->w, json_source(k->doc, at));
}

/* Token by token; what is hidden is stepped over. */
static void walk(struct json_writer *w, const struct json_doc *doc)
{
    struct walk k = {.doc = doc, .w = w};
    uint32_t at = 0;

    do {
        if (k.depth) {
            k.levels[k.depth].left--;
            if (k.levels[k.depth].object && !walk_key(&k, at++)) {
                json_text(w, VIEW("[REDACTED]"));
                at = doc->tokens[at].next;
                walk_end(&k);
                continue;
            }
        }
        walk_value(&k, at++);
        walk_end(&k);
    } while (k.depth);
}

static bool is_private(struct view name)
{
    static const char *const words[] = {"password", "secret", "token", "key", "credential", "auth"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct view word = view_str(words[i]);

        for (size_t at = 0; at + word.len <= name.len; at++)
            if (view_eq_nocase(view_first(view_skip(name, at), word.len), word))
                return true;
    }
    return false;
}

/* Bytes of the span that stand for its next character, and how many that is decoded. */
static size_t step(struct view span, size_t *decoded)
{
    struct view high, low;
    size_t n = 1;

    if (span.at[0] != '\\') {
        *decoded = 1;
        while (n < span.len && (span.at[n] & 0xC0) == 0x80)
            n++;
        *decoded = n;
        return n;
    }
    *decoded = 1;
    if (span.at[1] != 'u')
        return 2;
    high = view_first(view_skip(span, 2), 4);
    low = view_skip(span, 6);
    /* A pair, of which the first begins with D8 … DB, is four bytes in UTF-8. */
    if (ascii_lower(high.at[0]) == 'd' && strchr("89abAB", high.at[1]) &&
        view_starts(low, VIEW("\\u"))) {
        *decoded = 4;
        return 12;
    }
    *decoded = view_starts(high, VIEW("00")) && high.at[2] < '8' ? 1
               : high.at[0] == '0' && high.at[1] < '8'           ? 2
                                                                 : 3;
    return 6;
}

static void text_cut(struct json_writer *w, struct view span, size_t bytes_max)
{
    char out[(size_t)6 * AUDIT_TEXT_BYTES_MAX + sizeof CUT + 2];
    size_t at = 0, decoded = 0, one, n;

    while (at < span.len) {
        n = step(view_skip(span, at), &one);
        if (decoded + one > bytes_max)
            break;
        decoded += one;
        at += n;
    }
    if (at == span.len) {
        json_raw(w, view_from(span.at - 1, span.len + 2)); /* with its quotes */
        return;
    }
    out[0] = '"';
    memcpy(out + 1, span.at, at);
    memcpy(out + 1 + at, CUT "\"", sizeof CUT);
    json_raw(w, view_from(out, 1 + at + sizeof CUT));
}

bool audit_arguments(struct view arguments, struct buf *out, struct err *err)
{
    struct json_tree tree;
    struct json_writer w;

    size_t before = buf_len(out);
    struct err why = {0};

    if (!arguments.len)
        return buf_append_str(out, "{}", err);
    if (json_load_loose(arguments, VALUES_MAX, &tree, &why)) {
        json_begin(&w, out);
        walk(&w, &tree.doc);
        json_unload(&tree);
        if (json_end(&w, &why))
            return true;
        out->tail = out->head + before;
    }
    return buf_append_str(out, why.code == ERR_LIMIT ? TOO_LARGE : "{}", err);
}

/* chrono's way of writing UTC, which readers of these files know. */
static void when_write(struct json_writer *w, int64_t when_ms)
{
    char text[CLOCK_RFC3339_BYTES + 8];

    (void)clock_rfc3339(when_ms, text);
    memcpy(text + strcspn(text, "Z"), "+00:00", sizeof "+00:00");
    json_key(w, "ts");
    json_text(w, view_str(text));
}

static void optional(struct json_writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    json_key(w, name);
    json_text(w, view_str(text));
}

static struct view cut(struct view text, size_t n)
{
    if (text.len <= n)
        return text;
    while (n && (text.at[n] & 0xC0) == 0x80)
        n--;
    return view_first(text, n);
}

static void members(struct json_writer *w, const struct audit_record *r,
                    const struct buf *arguments)
{
    json_object(w);
    when_write(w, r->when_ms);
    json_key(w, "tool");
    json_text(w, cut(r->tool, AUDIT_TOOL_BYTES_MAX));
    json_key(w, "args");
    json_raw(w, buf_view(arguments));
    json_key(w, "status");
    json_text(w, r->ok ? VIEW("ok") : VIEW("error"));
    json_key(w, "duration_ms");
    json_u64(w, r->duration_ms);
    json_key(w, "agent_sub");
    json_text(w, view_str(r->caller ? r->caller->subject : ""));
    optional(w, "job_id", r->caller ? r->caller->job_id : NULL);
    optional(w, "sandbox_id", r->caller ? r->caller->sandbox_id : NULL);
    if (r->error.len) {
        json_key(w, "error");
        json_text(w, cut(r->error, AUDIT_ERROR_BYTES_MAX));
    }
    if (r->exit_code >= 0) {
        json_key(w, "exit_code");
        json_i64(w, r->exit_code);
    }
    json_object_end(w);
}

bool audit_line(const struct audit_record *record, struct buf *out, struct err *err)
{
    struct json_writer w;
    struct buf arguments;
    bool good;

    buf_init(&arguments, AUDIT_ARGUMENTS_BYTES_MAX, "arguments");
    good = audit_arguments(record->arguments, &arguments, err);
    json_begin(&w, out);
    if (good)
        members(&w, record, &arguments);
    buf_done(&arguments);
    return good && json_end(&w, err) && buf_append_byte(out, '\n', err);
}
