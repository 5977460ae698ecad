#include "ati/mcp_server/mcp_server.h"

#include <stdlib.h>

#include "jsonrpc/jsonrpc.h"

#include "base/poison.h"

enum { TEXT_BYTES_MAX = 1024 * 1024 * 1024 };

/* What a person reads of a value: a string itself, anything else as pretty JSON. */
static bool put_value_text(struct view value, struct buf *text, struct err *err)
{
    struct json_tree tree;
    size_t len;
    char *string;
    bool good;

    if (!json_load_loose(value, UINT32_MAX / 4, &tree, err))
        return false;
    if (tree.doc.tokens[0].kind == JSON_STRING && json_string_new(&tree.doc, 0, &string, &len)) {
        good = buf_append(text, view_from(string, len), err);
        free(string);
    } else {
        good = json_render(&tree.doc, 0, JSON_PRETTY, true, text, err);
    }
    json_unload(&tree);
    return good;
}

static bool put_result(bool failed, struct view text, struct buf *result, struct err *err)
{
    struct json_writer w;

    json_begin(&w, result);
    json_object(&w);
    json_key(&w, "content");
    json_array(&w);
    json_object(&w);
    json_key(&w, "type");
    json_text(&w, VIEW("text"));
    json_key(&w, "text");
    json_text(&w, text);
    json_object_end(&w);
    json_array_end(&w);
    json_key(&w, "isError");
    json_bool(&w, failed);
    json_object_end(&w);
    return json_end(&w, err);
}

bool mcp_server_result(struct view id, bool failed, struct view value, struct view error,
                       struct buf *out, struct err *err)
{
    struct buf text, result;
    bool good;

    buf_init(&text, TEXT_BYTES_MAX, "text of a result");
    buf_init(&result, TEXT_BYTES_MAX, "result");
    if (failed)
        good = buf_append_str(&text, "Error: ", err) && buf_append(&text, error, err);
    else
        good = put_value_text(value, &text, err);
    good = good && put_result(failed, buf_view(&text), &result, err) &&
           jsonrpc_write_result(out, id, buf_view(&result), err);
    buf_done(&text);
    buf_done(&result);
    return good;
}

bool mcp_server_refusal(struct view id, int64_t code, struct view text, struct buf *out,
                        struct err *err)
{
    return jsonrpc_write_error(out, id, code, text, VIEW(""), err);
}

bool mcp_server_progress(struct view token, struct view params, struct buf *out, struct err *err)
{
    static const char *const kept[] = {"progress", "total", "message"};
    struct json_tree tree;
    struct json_writer w;
    struct buf own;
    bool good;

    if (!json_load_loose(params, 4096, &tree, err))
        return false;
    buf_init(&own, TEXT_BYTES_MAX, "progress");
    json_begin(&w, &own);
    json_object(&w);
    json_key(&w, "progressToken");
    json_raw(&w, token);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        uint32_t at = json_member(&tree.doc, 0, kept[i]);

        if (at) {
            json_key(&w, kept[i]);
            json_raw(&w, json_source(&tree.doc, at));
        }
    }
    json_object_end(&w);
    good = json_end(&w, err) &&
           jsonrpc_write_notification(out, "notifications/progress", buf_view(&own), err);
    buf_done(&own);
    json_unload(&tree);
    return good;
}
