#include "base/log_render.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { TAIL_ROOM = 8 }; /* kept free for what closes a line that was cut */

static const char *const level_words[] = {"error", "warn", "info", "debug"};
static const char *const level_capitals[] = {"ERROR", "WARN", "INFO", "DEBUG"};
static const char *const level_tags[] = {"ERROR", " WARN", " INFO", "DEBUG"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[2m"};

/* All or nothing: a field that does not fit is left out whole, so that JSON stays JSON. */
static bool put(struct log_line *line, const char *text, size_t n)
{
    if (n + line->kept > sizeof line->at - TAIL_ROOM - line->len)
        return false;
    memcpy(line->at + line->len, text, n);
    line->len += n;
    return true;
}

static bool puts_(struct log_line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* A character as JSON escapes it: one UTF-16 unit or two. */
static bool put_escaped(struct log_line *line, uint32_t code)
{
    char text[16];

    if (code < 0x10000)
        (void)snprintf(text, sizeof text, "\\u%04x", code);
    else
        (void)snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                       0xDC00 + (code & 0x3FF));
    return puts_(line, text);
}

static bool put_json_character(struct log_line *line, struct view v, size_t n, uint32_t code)
{
    if (!n)
        return puts_(line, "\xEF\xBF\xBD");
    if (code == '"' || code == '\\')
        return put(line, (const char[]){'\\', (char)code}, 2);
    if (text_hidden(v, n))
        return put_escaped(line, code);
    return put(line, (const char *)v.at, n);
}

static bool put_json_text(struct log_line *line, struct view v)
{
    bool good = puts_(line, "\"");
    size_t left = LOG_TEXT_MAX;

    while (good && v.len) {
        uint32_t code = 0;
        size_t n = text_plain(view_first(v, left)), used = n;

        if (n) {
            good = put(line, (const char *)v.at, n);
        } else {
            n = utf8_first(v, &code);
            used = n ? n : 1;
            if (used > left)
                break;
            good = put_json_character(line, v, n, code);
        }
        left -= used;
        v = view_skip(v, used);
    }
    if (v.len)
        good = good && puts_(line, "…");
    return good && puts_(line, "\"");
}

static bool plain_word(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.at[i] <= ' ' || v.at[i] >= 0x7F || strchr("\"\\=", v.at[i]))
            return false;
    return v.len > 0;
}

static bool put_human_text(struct log_line *line, struct view v)
{
    char escaped[4 * LOG_TEXT_MAX + 8];

    if (v.len <= LOG_TEXT_MAX && plain_word(v))
        return put(line, (const char *)v.at, v.len);
    (void)text_escape(v, LOG_TEXT_MAX, escaped, sizeof escaped);
    return puts_(line, "\"") && puts_(line, escaped) && puts_(line, "\"");
}

/* Stands without quotes around it, so that those in it may stay as they are. */
static bool put_message(struct log_line *line, struct view v)
{
    char escaped[1024];

    for (;;) {
        size_t n = view_find(v, '"');
        bool quote = n < v.len;

        (void)text_escape(view_first(v, quote ? n : v.len), sizeof escaped, escaped,
                          sizeof escaped);
        if (!puts_(line, escaped) || !quote)
            return !quote;
        if (!puts_(line, "\""))
            return false;
        v = view_skip(v, n + 1);
    }
}

/* As it reads, but that nothing in it moves the cursor. */
static bool put_lines(struct log_line *line, struct view v)
{
    size_t left = LOG_TEXT_MAX;
    bool good = true;

    while (good && v.len) {
        uint32_t code = 0;
        size_t n = utf8_first(v, &code), used = n ? n : 1;

        if (used > left)
            return puts_(line, "…");
        if (!n || (code != '\n' && code != '\t' && text_hidden(v, n)))
            good = puts_(line, "\xEF\xBF\xBD");
        else
            good = put(line, (const char *)v.at, n);
        left -= used;
        v = view_skip(v, used);
    }
    return good;
}

static bool put_value(struct log_line *line, bool json, const struct log_field *f)
{
    char number[32];
    struct view digits;

    switch (f->kind) {
    case LOG_F_TEXT:
        return json ? put_json_text(line, f->text) : put_human_text(line, f->text);
    case LOG_F_LINES:
        return json ? put_json_text(line, f->text) : put_lines(line, f->text);
    case LOG_F_U64:
        digits = text_decimal(f->u64, number);
        return put(line, (const char *)digits.at, digits.len);
    case LOG_F_I64:
        (void)snprintf(number, sizeof number, "%" PRId64, f->i64);
        return puts_(line, number);
    case LOG_F_BOOL:
        return puts_(line, f->boolean ? "true" : "false");
    case LOG_F_SECONDS:
        (void)snprintf(number, sizeof number, "%" PRIu64 ".%03" PRIu64, f->ms / 1000, f->ms % 1000);
        return puts_(line, number);
    }
    return false;
}

static void put_fields(struct log_line *line, bool json, const struct log_field *fields,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct log_field *f = &fields[i];
        size_t before = line->len;

        if ((f->kind == LOG_F_TEXT || f->kind == LOG_F_LINES) && f->text.len == 0)
            continue;
        if (!(puts_(line, json ? ",\"" : " ") && puts_(line, f->name) &&
              puts_(line, json ? "\":" : "=") && put_value(line, json, f)))
            line->len = before;
    }
}

void log_render(struct log_line *line, bool json, bool colour, int64_t wall_ms,
                enum log_level level, const char *event, const char *message,
                const struct log_field *fields, size_t count)
{
    char time[CLOCK_RFC3339_BYTES];
    size_t before;

    line->len = line->kept = 0;
    clock_rfc3339(wall_ms, time);
    if (json) {
        (void)(puts_(line, "{\"time\":\"") && puts_(line, time) && puts_(line, "\",\"level\":\"") &&
               puts_(line, level_words[level]) && puts_(line, "\",\"event\":\"") &&
               puts_(line, event) && puts_(line, "\""));
        before = line->len;
        if (!puts_(line, ",\"message\":") || !put_json_text(line, view_str(message)))
            line->len = before;
        put_fields(line, true, fields, count);
        line->at[line->len++] = '}';
    } else {
        (void)(puts_(line, time) && puts_(line, " ") &&
               (!colour || puts_(line, level_colours[level])) && puts_(line, level_tags[level]) &&
               (!colour || puts_(line, "\033[0m")) && puts_(line, " ") &&
               put_message(line, view_str(message)));
        put_fields(line, false, fields, count);
    }
    line->at[line->len++] = '\n';
}

void log_render_flat(struct log_line *line, int64_t wall_us, enum log_level level,
                     const char *target, const char *message, const struct log_field *fields,
                     size_t count)
{
    char time[CLOCK_RFC3339_US_BYTES];
    struct log_line last; /* rendered first, so that there is room for it */

    last.len = last.kept = 0;
    if (target[0])
        (void)(puts_(&last, ",\"target\":") && put_json_text(&last, view_str(target)));
    line->len = 0;
    line->kept = last.len;
    clock_rfc3339_us(wall_us, time);
    (void)(puts_(line, "{\"timestamp\":\"") && puts_(line, time) &&
           puts_(line, "\",\"level\":\"") && puts_(line, level_capitals[level]) &&
           puts_(line, "\",\"message\":") && put_json_text(line, view_str(message)));
    put_fields(line, true, fields, count);
    line->kept = 0;
    (void)put(line, last.at, last.len);
    line->at[line->len++] = '}';
    line->at[line->len++] = '\n';
}
