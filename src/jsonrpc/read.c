#include <stdio.h>

#include "jsonrpc/jsonrpc.h"

/* A member that is there, and not null where that means the same. */
static uint32_t present(const struct json_doc *doc, uint32_t object, const char *key, bool lenient)
{
    uint32_t token = json_member(doc, object, key);

    return token && lenient && doc->tokens[token].kind == JSON_NULL ? 0 : token;
}

static bool read_id(const struct json_doc *doc, uint32_t object, struct jsonrpc *out,
                    struct err *err)
{
    uint32_t token = json_member(doc, object, "id");
    enum json_kind kind;

    if (!token)
        return true;
    kind = doc->tokens[token].kind;
    if (kind != JSON_STRING && kind != JSON_NUMBER && kind != JSON_NULL)
        return err_set(err, ERR_SYNTAX, "id: neither a string nor a number");
    out->id = json_source(doc, token);
    return true;
}

static bool read_version(const struct json_doc *doc, uint32_t object, bool lenient, struct err *err)
{
    uint32_t token = present(doc, object, "jsonrpc", lenient);
    char version[8];

    if (!token && lenient)
        return true;
    if (token && json_string(doc, token, version, sizeof version) && strcmp(version, "2.0") == 0)
        return true;
    return err_set(err, ERR_SYNTAX, "jsonrpc: not \"2.0\"");
}

static bool read_call(const struct json_doc *doc, uint32_t object, uint32_t method, bool lenient,
                      struct jsonrpc *out, struct err *err)
{
    if (!json_string(doc, method, out->method, sizeof out->method)) {
        out->method[0] = '\0';
        return err_set(err, ERR_SYNTAX, "method: not a string of at most %zu bytes",
                       sizeof out->method - 1);
    }
    out->kind = out->id.len ? JSONRPC_REQUEST : JSONRPC_NOTIFICATION;
    if (view_eq(out->id, VIEW("null")) && !lenient)
        return err_set(err, ERR_SYNTAX, "id: null in a request");
    out->params = present(doc, object, "params", lenient);
    if (out->params && doc->tokens[out->params].kind != JSON_OBJECT &&
        doc->tokens[out->params].kind != JSON_ARRAY)
        return err_set(err, ERR_SYNTAX, "params: neither an object nor an array");
    return true;
}

static bool read_error(const struct json_doc *doc, uint32_t error, bool lenient,
                       struct jsonrpc *out, struct err *err)
{
    uint32_t code = json_member(doc, error, "code");

    out->kind = JSONRPC_ERROR;
    out->code = -1;
    if (doc->tokens[error].kind == JSON_OBJECT) {
        out->error = error;
        out->message = json_member(doc, error, "message");
    }
    if (out->message && doc->tokens[out->message].kind != JSON_STRING)
        out->message = 0;
    if (code && !json_integer(doc, code, &out->code)) {
        out->code = -1;
        code = 0;
    }
    if (!lenient && (!out->message || !code))
        return err_set(err, ERR_SYNTAX, "error: not an object with code and message");
    return true;
}

static bool read_answer(const struct json_doc *doc, uint32_t object, bool lenient,
                        struct jsonrpc *out, struct err *err)
{
    uint32_t error = present(doc, object, "error", lenient);

    out->result = json_member(doc, object, "result");
    if (!out->id.len && !(lenient && error))
        return err_set(err, ERR_SYNTAX, "neither method nor id");
    if (error && out->result && !lenient)
        return err_set(err, ERR_SYNTAX, "both result and error");
    if (error) {
        out->result = 0;
        return read_error(doc, error, lenient, out, err);
    }
    out->kind = JSONRPC_RESULT;
    if (!out->result)
        return err_set(err, ERR_SYNTAX, "neither result nor error");
    if (view_eq(out->id, VIEW("null")))
        return err_set(err, ERR_SYNTAX, "id: null in a result");
    return true;
}

bool jsonrpc_read(const struct json_doc *doc, uint32_t token, bool lenient, struct jsonrpc *out,
                  struct err *err)
{
    uint32_t method;

    *out = (struct jsonrpc){.code = -1};
    if (doc->tokens[token].kind != JSON_OBJECT)
        return err_set(err, ERR_SYNTAX, "a message is an object");
    if (!read_id(doc, token, out, err) || !read_version(doc, token, lenient, err))
        return false;
    method = present(doc, token, "method", lenient);
    if (method)
        return read_call(doc, token, method, lenient, out, err);
    return read_answer(doc, token, lenient, out, err);
}

bool jsonrpc_id_is(struct view id, uint64_t number)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)number);

    return view_eq(id, view_from(text, (size_t)n));
}
