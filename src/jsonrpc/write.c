#include "jsonrpc/jsonrpc.h"

static void begin(struct json_writer *w, struct buf *out)
{
    json_begin(w, out);
    json_object(w);
    json_key(w, "jsonrpc");
    json_text(w, VIEW("2.0"));
}

static bool end(struct json_writer *w, struct err *err)
{
    json_object_end(w);
    return json_end(w, err);
}

static void write_call(struct json_writer *w, const char *method, struct view params)
{
    json_key(w, "method");
    json_text(w, view_str(method));
    if (params.len) {
        json_key(w, "params");
        json_raw(w, params);
    }
}

bool jsonrpc_write_request(struct buf *out, uint64_t id, const char *method, struct view params,
                           struct err *err)
{
    struct json_writer w;

    begin(&w, out);
    json_key(&w, "id");
    json_u64(&w, id);
    write_call(&w, method, params);
    return end(&w, err);
}

bool jsonrpc_write_notification(struct buf *out, const char *method, struct view params,
                                struct err *err)
{
    struct json_writer w;

    begin(&w, out);
    write_call(&w, method, params);
    return end(&w, err);
}

static void write_id(struct json_writer *w, struct view id)
{
    json_key(w, "id");
    if (id.len)
        json_raw(w, id);
    else
        json_null(w);
}

bool jsonrpc_write_result(struct buf *out, struct view id, struct view result, struct err *err)
{
    struct json_writer w;

    begin(&w, out);
    write_id(&w, id);
    json_key(&w, "result");
    json_raw(&w, result);
    return end(&w, err);
}

bool jsonrpc_write_error(struct buf *out, struct view id, int64_t code, struct view message,
                         struct view data, struct err *err)
{
    struct json_writer w;

    begin(&w, out);
    write_id(&w, id);
    json_key(&w, "error");
    json_object(&w);
    json_key(&w, "code");
    json_i64(&w, code);
    json_key(&w, "message");
    json_text(&w, message);
    if (data.len) {
        json_key(&w, "data");
        json_raw(&w, data);
    }
    json_object_end(&w);
    return end(&w, err);
}
