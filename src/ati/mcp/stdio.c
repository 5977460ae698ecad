#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "ati/keyring/keyring.h"
#include "ati/mcp/mcp_priv.h"

enum { ERROR_LINES_BYTES = 2000 };

static struct view trim(struct view line)
{
    struct view shorter = line;

    while (shorter.len && line.at &&
           (line.at[shorter.len - 1] == '\r' || line.at[shorter.len - 1] == ' '))
        shorter.len--;
    return shorter;
}

/* What is not JSON is for people: a banner, a warning. */
static void heard_line(struct mcp_connection *c, struct view line, struct buf *owned)
{
    line = trim(line);
    if (!line.len)
        return;
    if (owned)
        owned->tail = owned->head + line.len;
    (void)!mcp_hear(c, NULL, false, line, owned);
    if (c->reading_bytes > MCP_MESSAGE_BYTES_MAX)
        mcp_readings_finish(c);
}

static void too_much(struct mcp_connection *c, const struct err *err)
{
    c->starved = err->code == ERR_BUSY;
    if (c->starved)
        mcp_connection_failed(c, "MCP transport error: [%s] " MCP_STARVED, c->provider->name);
    else
        mcp_connection_failed(c, "MCP transport error: [%s] a message of more than %d bytes",
                              c->provider->name, (int)MCP_MESSAGE_BYTES_MAX);
}

static void heard(void *context, struct view piece)
{
    struct mcp_connection *c = context;
    struct err err = {0};
    size_t n;

    while (piece.len && c->state != MCP_LEAVING) {
        n = view_find(piece, '\n');
        if (n < piece.len && !buf_len(&c->line)) {
            heard_line(c, view_first(piece, n), NULL);
        } else if (!buf_append(&c->line, view_first(piece, n), &err)) {
            too_much(c, &err);
            return;
        } else if (n < piece.len) {
            heard_line(c, buf_view(&c->line), &c->line);
            buf_done(&c->line);
        }
        piece = view_skip(piece, n + 1);
    }
}

/* The last lines of what it said to people, as one: masked, then cut. */
static void last_lines(const struct mcp_connection *c, struct view error,
                       char out[static ERROR_LINES_BYTES + 1])
{
    size_t edge = error.len >= CHILD_ERROR_BYTES ? mask_edge(c->way->mask) : 0, n;
    struct buf text;
    struct view v;

    buf_init(&text, SIZE_MAX / 2, "standard error");
    if (!buf_append(&text, error, NULL) || !mcp_way_mask(c->way, &text, false, NULL))
        buf_reset(&text);
    v = view_skip(buf_view(&text), edge);
    v = view_skip(v, v.len > ERROR_LINES_BYTES ? v.len - ERROR_LINES_BYTES : 0);
    while (v.len && v.at && strchr(" \t\r\n", v.at[v.len - 1]))
        v.len--;
    for (n = 0; v.at && n < v.len; n++)
        out[n] = (char)(v.at[n] < ' ' ? ' ' : v.at[n]);
    out[n] = '\0';
    buf_wipe(&text);
}

/* What the process has not read it has not done either: that is asked of another one. */
static void move_unread(struct mcp_connection *c)
{
    uint64_t read = c->written - child_unread(c->child);
    struct mcp_ask *next;

    mcp_connection_retire(c);
    for (struct mcp_ask *ask = c->asks; ask; ask = next) {
        next = ask->next;
        if (ask->request.id && ask->request.until > read)
            (void)!mcp_ask_move(ask);
    }
}

static void ended(void *context, int status, struct view error)
{
    struct mcp_connection *c = context;
    char lines[ERROR_LINES_BYTES + 1];

    mcp_readings_finish(c); /* that it has said all the same */
    last_lines(c, error, lines);
    if (c->state == MCP_READY)
        move_unread(c);
    c->child = NULL;
    if (c->state == MCP_READY)
        mcp_connection_failed(c, "MCP server process exited unexpectedly");
    else if (c->state == MCP_STARTING)
        mcp_connection_failed(c, "MCP server process exited unexpectedly (%s %d)%s%s",
                              WIFSIGNALED(status) ? "signal" : "status",
                              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                              *lines ? ": " : "", lines);
    mcp_connection_gone(c);
}

static void never_ran(void *context, const struct err *err)
{
    struct mcp_connection *c = context;
    struct view why = view_str(err->text), command = view_str(c->way->command);

    if (view_starts(why, command))
        why = view_skip(why, command.len + 2);
    c->child = NULL;
    mcp_connection_failed(c, "MCP transport error: Failed to spawn MCP server '%s': %.*s",
                          c->way->command, VIEW_ARG(why));
    mcp_connection_gone(c);
}

static bool open_(struct mcp_connection *c, struct err *err)
{
    static const struct child_receiver receiver = {heard, ended, never_ran};
    const struct child_command command = {
        .program = c->way->command,
        .arguments = (const char *const *)c->way->arguments,
        .environment = c->way->environment.list,
        .places = c->hub->options.children,
        .memory = c->hub->options.memory,
    };
    struct err why = {0};
    size_t prefix;

    if (child_open(c->hub->loop, &command, &receiver, c, &c->child, &why))
        return true;
    prefix = strlen(c->way->command) + 2;
    return err_set(err, why.code, "MCP transport error: Failed to spawn MCP server '%.100s': %s",
                   c->way->command,
                   strncmp(why.text, c->way->command, prefix - 2) == 0 ? why.text + prefix
                                                                       : why.text);
}

static bool send_(struct mcp_connection *c, struct mcp_request *r, struct view message,
                  struct err *err)
{
    struct err why = {0};
    struct buf line;
    bool good;

    if (!c->child)
        return err_set(err, ERR_NOT_FOUND, "the process has ended");
    buf_init(&line, message.len + 1, "a message");
    c->written += message.len + 1;
    if (r)
        r->until = c->written;
    good = buf_append(&line, message, &why) && buf_append_byte(&line, '\n', &why) &&
           child_write(c->child, buf_view(&line), &why);
    buf_done(&line);
    return good || err_set(err, why.code == ERR_IO ? ERR_NOT_FOUND : why.code, "%s", why.text);
}

static void greet(struct mcp_connection *c, struct view message)
{
    struct err err;

    /* A server that has gone is told of by its end. */
    if (send_(c, NULL, message, &err))
        mcp_connection_ready(c);
}

static void drop(struct mcp_request *r)
{
    (void)r;
}

/* Most servers end with their input; the others after MCP_END_MS, or by what child does then. */
static void leave(struct mcp_connection *c)
{
    if (c->child)
        child_close_input(c->child);
    else
        mcp_connection_gone(c);
}

static void cut(struct mcp_connection *c)
{
    if (c->child)
        child_abandon(c->child);
    c->child = NULL;
}

const struct mcp_transport mcp_stdio = {open_, send_, greet, drop, leave, cut};
