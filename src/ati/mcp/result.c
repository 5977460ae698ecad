#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"

static bool is(const struct json_doc *doc, uint32_t token, const char *text)
{
    char value[16];

    return token && json_string(doc, token, value, sizeof value) &&
           view_eq(view_str(value), view_str(text));
}

static bool put_null(struct buf *out, struct err *err)
{
    return buf_append(out, VIEW("null"), err);
}

static bool put_token(const struct json_doc *doc, uint32_t token, struct buf *out, struct err *err)
{
    return token ? json_render(doc, token, JSON_COMPACT, true, out, err) : put_null(out, err);
}

/* What a text says, as JSON if it is JSON, else the text. */
static bool put_text(const struct json_doc *doc, uint32_t token, struct buf *out, struct err *err)
{
    struct json_tree tree;
    char *text;
    size_t len;
    bool good;

    if (!token || doc->tokens[token].kind != JSON_STRING)
        return put_token(doc, token, out, err);
    if (!json_string_new(doc, token, &text, &len))
        return put_token(doc, token, out, err); /* it holds NUL or half a surrogate pair */
    if (!json_load_loose(view_from(text, len), MCP_VALUES_MAX, &tree, NULL)) {
        free(text);
        return put_token(doc, token, out, err);
    }
    good = json_render(&tree.doc, 0, JSON_COMPACT, true, out, err);
    json_unload(&tree);
    free(text);
    return good;
}

/* Images and sounds: three members, null when they are missing. */
static bool put_media(const struct json_doc *doc, uint32_t item, struct buf *out, struct err *err)
{
    static const char *const names[] = {"data", "mimeType", "type"};
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t token = json_member(doc, item, names[i]);

        json_key(&w, names[i]);
        json_raw(&w, token ? json_source(doc, token) : VIEW("null"));
    }
    json_object_end(&w);
    return json_end(&w, err);
}

/* An item as a whole: four members are always there, null when the server leaves them out; what it has beside (a resource, say) stays.
 * Put behind the nulls, its own members count. */
static bool put_item(const struct json_doc *doc, uint32_t item, struct buf *out, struct err *err)
{
    struct view own = json_source(doc, item);
    struct json_tree tree;
    struct buf both;
    bool good;

    if (doc->tokens[item].kind != JSON_OBJECT)
        return put_token(doc, item, out, err);
    buf_init(&both, own.len + 128, out->what);
    good = buf_append_str(&both, "{\"data\":null,\"mimeType\":null,\"text\":null,\"type\":null",
                          err) &&
           (!doc->tokens[item].count || buf_append_byte(&both, ',', err)) &&
           buf_append(&both, view_skip(own, 1), err) &&
           json_load_loose(buf_view(&both), MCP_VALUES_MAX, &tree, err);
    if (good) {
        good = json_render(&tree.doc, 0, JSON_COMPACT, true, out, err);
        json_unload(&tree);
    }
    buf_done(&both);
    return good;
}

/* Several items, or none: all of them, and what the server says of the whole. */
static bool put_items(const struct json_doc *doc, uint32_t content, uint32_t structured,
                      bool failed, struct buf *out, struct err *err)
{
    uint32_t count = content ? doc->tokens[content].count : 0, at = json_first(content);

    if (!buf_append_str(out, "{\"content\":[", err))
        return false;
    for (uint32_t i = 0; i < count; i++, at = doc->tokens[at].next)
        if ((i && !buf_append_byte(out, ',', err)) || !put_item(doc, at, out, err))
            return false;
    if (!buf_append_str(out, failed ? "],\"isError\":true" : "],\"isError\":false", err))
        return false;
    if (structured && (!buf_append_str(out, ",\"structuredContent\":", err) ||
                       !put_token(doc, structured, out, err)))
        return false;
    return buf_append_byte(out, '}', err);
}

/* What an item tells a person. */
static bool say(const struct json_doc *doc, uint32_t item, struct buf *text, struct err *err)
{
    uint32_t token = json_member(doc, item, "text");
    size_t len;
    char *own;
    bool good;

    if (!token || !json_string_new(doc, token, &own, &len))
        return put_item(doc, item, text, err);
    good = buf_append(text, view_from(own, len), err);
    free(own);
    return good;
}

bool mcp_result_map(const struct json_doc *doc, uint32_t result, struct buf *value,
                    bool *tool_failed, bool *single, struct buf *text, struct err *err)
{
    uint32_t content = json_member(doc, result, "content");
    uint32_t failed = json_member(doc, result, "isError"), item, type;
    uint32_t structured = json_member(doc, result, "structuredContent");

    if (content && doc->tokens[content].kind == JSON_NULL)
        content = 0;
    if (doc->tokens[result].kind != JSON_OBJECT ||
        (content && doc->tokens[content].kind != JSON_ARRAY))
        return err_set(err, ERR_SYNTAX,
                       "MCP protocol error (code -1): the result is no object with a list "
                       "\"content\"");
    if (!failed || !json_boolean(doc, failed, tool_failed))
        *tool_failed = false;
    *single = content && doc->tokens[content].count == 1;
    if (!*single)
        return put_items(doc, content, structured, *tool_failed, value, err);
    item = json_first(content);
    type = json_member(doc, item, "type");
    if (!say(doc, item, text, err))
        return false;
    if (is(doc, type, "text"))
        return put_text(doc, json_member(doc, item, "text"), value, err);
    if (is(doc, type, "image") || is(doc, type, "audio"))
        return put_media(doc, item, value, err);
    return put_item(doc, item, value, err);
}
