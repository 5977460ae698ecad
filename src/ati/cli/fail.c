#include <stdio.h>

#include "ati/cli/cli.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

enum { LINE_BYTES_MAX = 64 * 1024 * 1024, CAUSES_MAX = 8 };

/* Where a request failed, what stands behind each ": " is the cause of what stands before it; other failures have none. */
static void chain(struct json_writer *w, struct view text)
{
    struct view head = view_first(text, view_find(text, ':'));
    bool any = false;

    if (!view_ends(head, VIEW("request failed")) && !view_starts(text, VIEW("Failed to download ")))
        return;
    for (size_t causes = 0; causes < CAUSES_MAX; causes++) {
        const uint8_t *at = memmem(text.at, text.len, ": ", 2);

        if (!text.len || !at)
            break;
        text = view_skip(text, (size_t)(at - text.at) + 2);
        if (!any) {
            json_key(w, "chain");
            json_array(w);
            any = true;
        }
        json_text(w, text);
    }
    if (any)
        json_array_end(w);
}

static bool error_line(const struct cli *cli, struct cli_class class, struct view text,
                       struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "error");
    json_object(&w);
    if (cli->verbose)
        chain(&w, text);
    json_key(&w, "code");
    json_text(&w, view_str(class.code));
    json_key(&w, "exit_code");
    json_i64(&w, class.exit_status);
    json_key(&w, "message");
    json_text(&w, text);
    json_object_end(&w);
    json_object_end(&w);
    return json_end(&w, err) && buf_append_byte(out, '\n', err);
}

/* As it reads, but that nothing in it moves the cursor. */
static void put_whole(struct view text)
{
    while (text.len) {
        uint32_t code;
        size_t n = utf8_first(text, &code);

        if (text.at[0] != '\n' && text.at[0] != '\t' && (!n || text_hidden(text, n)))
            (void)fputs("\xEF\xBF\xBD", stderr);
        else
            (void)fwrite(text.at, 1, n, stderr);
        text = view_skip(text, n ? n : 1);
    }
    (void)fputc('\n', stderr);
}

int cli_fail(const struct cli *cli, struct view text)
{
    return cli_fail_as(cli, cli_classify(text), text);
}

int cli_fail_as(const struct cli *cli, struct cli_class class, struct view text)
{
    struct buf line;

    log_event(cli->log, LOG_ERROR, "cli.failed", "ati command failed", F_LINES("error", text));
    if (cli->format != CLI_JSON) {
        if (text.len > LOG_TEXT_MAX) /* the log has cut it */
            put_whole(text);
        return class.exit_status;
    }
    buf_init(&line, LINE_BYTES_MAX, "error line");
    if (error_line(cli, class, text, &line, NULL))
        (void)fwrite(line.area + line.head, 1, buf_len(&line), stderr);
    buf_done(&line);
    return class.exit_status;
}

int cli_fail_err(const struct cli *cli, const struct err *err)
{
    return cli_fail(cli, view_str(err->text));
}
