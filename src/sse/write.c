#include "sse/sse.h"

static size_t line_end(struct view v)
{
    return view_find(view_first(v, view_find(v, '\n')), '\r');
}

static bool field(struct buf *out, const char *name, struct view value, struct err *err)
{
    return buf_append_str(out, name, err) && buf_append(out, value, err) &&
           buf_append_byte(out, '\n', err);
}

static bool one_line(struct view v, const char *what, struct err *err)
{
    return line_end(v) == v.len ||
           err_set(err, ERR_SYNTAX, "the %s of an event has one line", what);
}

bool sse_write(struct buf *out, struct view type, struct view id, struct view data, struct err *err)
{
    size_t n;

    if (!one_line(type, "type", err) || !one_line(id, "id", err))
        return false;
    if (view_find(id, '\0') < id.len)
        return err_set(err, ERR_SYNTAX, "the id of an event holds no NUL");
    if (type.len && !field(out, "event: ", type, err))
        return false;
    if (id.len && !field(out, "id: ", id, err))
        return false;
    for (;;) {
        n = line_end(data);
        if (!field(out, "data: ", view_first(data, n), err))
            return false;
        if (n == data.len)
            break;
        n += data.at[n] == '\r' && n + 1 < data.len && data.at[n + 1] == '\n' ? 2 : 1;
        data = view_skip(data, n);
    }
    return buf_append_byte(out, '\n', err);
}
