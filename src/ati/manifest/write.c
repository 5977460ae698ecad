#include "ati/manifest/manifest.h"

#include "base/poison.h"

/* A basic string of TOML. */
static bool quote(struct buf *out, struct view value, struct err *err)
{
    bool good = buf_append_byte(out, '"', err);

    for (size_t i = 0; good && i < value.len; i++) {
        uint8_t c = value.at[i];

        if (c == '"' || c == '\\')
            good = buf_appendf(out, err, "\\%c", c);
        else if (c == '\n')
            good = buf_append(out, VIEW("\\n"), err);
        else if (c == '\t')
            good = buf_append(out, VIEW("\\t"), err);
        else if (c < ' ' || c == 0x7F)
            good = buf_appendf(out, err, "\\u%04X", c);
        else
            good = buf_append_byte(out, c, err);
    }
    return good && buf_append_byte(out, '"', err);
}

bool manifest_write_text(struct buf *out, const char *name, struct view value, struct err *err)
{
    return buf_appendf(out, err, "%s = ", name) && quote(out, value, err) &&
           buf_append_byte(out, '\n', err);
}

bool manifest_write_texts(struct buf *out, const char *name, const struct view *values,
                          size_t count, struct err *err)
{
    bool good = buf_appendf(out, err, "%s = [", name);

    for (size_t i = 0; good && i < count; i++)
        good = (i == 0 || buf_append(out, VIEW(", "), err)) && quote(out, values[i], err);
    return good && buf_append(out, VIEW("]\n"), err);
}
