/* write: answers and requests (RFC 9112, 2). */
#include "http/http_priv.h"

#include "base/text.h"

static bool append_all(struct buf *out, const struct view *parts, size_t count, struct err *err);

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

bool http_write_status(struct buf *out, int status, struct err *err)
{
    char digits[TEXT_DECIMAL_MAX];

    if (status < 100 || status > 599)
        return err_set(err, ERR_INTERNAL, "no such HTTP status: %d", status);
    return append_all(out,
                      (const struct view[]){VIEW("HTTP/1.1 "),
                                            text_decimal((unsigned)status, digits), VIEW(" "),
                                            view_str(http_reason(status)), VIEW("\r\n")},
                      5, err);
}

bool http_write_request(struct buf *out, struct view method, struct view target, struct err *err)
{
    if (!http_is_token(method))
        return err_set(err, ERR_INTERNAL, "HTTP method is no token");
    if (target.len == 0 || view_span(target, 0, BYTE_TARGET) != target.len)
        return err_set(err, ERR_INTERNAL, "HTTP request target is not visible ASCII");
    return append_all(out, (const struct view[]){method, VIEW(" "), target, VIEW(" HTTP/1.1\r\n")},
                      4, err);
}

bool http_write_field(struct buf *out, const char *name, struct view value, struct err *err)
{
    if (!http_is_token(view_str(name)))
        return err_set(err, ERR_INTERNAL, "HTTP field name is no token");
    if (!http_is_value(value))
        return err_set(err, ERR_INTERNAL, "HTTP field %s: control character in the value", name);
    return append_all(out, (const struct view[]){view_str(name), VIEW(": "), value, VIEW("\r\n")},
                      4, err);
}

bool http_write_field_u64(struct buf *out, const char *name, uint64_t value, struct err *err)
{
    char digits[TEXT_DECIMAL_MAX];

    return http_write_field(out, name, text_decimal(value, digits), err);
}

bool http_write_end(struct buf *out, struct err *err)
{
    return buf_append_str(out, "\r\n", err);
}

bool http_write_answer(struct buf *out, int status, const char *content_type, const char *extra,
                       struct view body, bool close, bool head_only, struct err *err)
{
    return http_write_status(out, status, err) &&
           http_write_field(out, "Content-Type", view_str(content_type), err) &&
           http_write_field_u64(out, "Content-Length", body.len, err) &&
           buf_append_str(out, close ? "Connection: close\r\n" : "Connection: keep-alive\r\n",
                          err) &&
           buf_append_str(out,
                          "Cache-Control: no-store\r\n"
                          "X-Content-Type-Options: nosniff\r\n",
                          err) &&
           buf_append_str(out, extra ? extra : "", err) && http_write_end(out, err) &&
           (head_only || buf_append(out, body, err));
}

/* In one piece: nothing is copied elsewhere meanwhile, for it may be a credential. */
static bool append_all(struct buf *out, const struct view *parts, size_t count, struct err *err)
{
    size_t bytes = 0;
    uint8_t *room;

    for (size_t i = 0; i < count; i++)
        bytes += parts[i].len;
    if (!buf_room(out, bytes, &room, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            memcpy(room, parts[i].at, parts[i].len);
        room += parts[i].len;
    }
    buf_wrote(out, bytes);
    return true;
}
