/* mcp-ask: a test-only caller of MCP servers, with the client of src/ati/mcp.
 *
 *   mcp-ask [--one-loop] FOLDER      FOLDER: with a folder manifests; keys are ATI_KEY_*
 *
 * Commands are lines on standard input, their answers lines of JSON on standard output, as they come:
 *
 *   list ID PROVIDER                 the tools of a provider
 *   call ID PROVIDER NAME ARGUMENTS  a tool; ARGUMENTS to the end of the line
 *   call+ ID PROVIDER TOKEN NAME ARGUMENTS  the same, with a credential as a generator gives it
 *   cancel ID
 *   keep                             FOLDER is read anew
 *   end                              (or the end of input) the hub is closed
 *
 * MCP_ASK_PUBLIC: servers are reached by the address rules; MCP_ASK_CALL_MS, MCP_ASK_START_MS, MCP_ASK_IDLE_MS: limits.
 * The hub has a loop and a thread of its own, unless there is to be one loop only. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ati/mcp/mcp.h"
#include "base/check.h"
#include "base/json.h"
#include "child/child.h"
#include "net/owner.h"
#include "net/process.h"

extern char **environ;

struct side {
    struct loop *loop;
    struct resolver *resolver;
    struct client *client;
};

struct question {
    struct question *next;
    char id[64];
    struct mcp_ask *ask;
};

static struct {
    const char *folder;
    struct side asking, answering;
    bool one_loop, ending;
    struct mcp_hub *hub;
    struct snapshot *snapshot;
    struct question *questions;
    struct io in;
    struct buf line;
    struct post close, closed;
    pthread_t thread;
} all;

static _Noreturn void fail(const struct err *err)
{
    fprintf(stderr, "mcp-ask: %s\n", err->text);
    exit(2);
}

static void say(struct buf *out)
{
    struct view v = buf_view(out);

    while (v.len) {
        ssize_t n = write(1, v.at, v.len);

        if (n <= 0)
            exit(3);
        v = view_skip(v, (size_t)n);
    }
    buf_done(out);
}

static void begin(struct json_writer *w, struct buf *out, const char *id)
{
    buf_init(out, SIZE_MAX / 2, "an answer");
    json_begin(w, out);
    json_object(w);
    json_key(w, "id");
    json_text(w, view_str(id));
}

static void finish(struct json_writer *w, struct buf *out)
{
    json_object_end(w);
    CHECK(json_end(w, NULL));
    CHECK(buf_append_byte(out, '\n', NULL));
    say(out);
}

static void write_tools(struct json_writer *w, const struct mcp_answer *a)
{
    json_key(w, "tools");
    json_array(w);
    for (size_t i = 0; i < a->tool_count; i++) {
        json_object(w);
        json_key(w, "name");
        json_text(w, view_str(a->tools[i].name));
        json_key(w, "description");
        json_text(w, view_str(a->tools[i].description));
        json_key(w, "scope");
        json_text(w, view_str(a->tools[i].scope));
        if (a->tools[i].schema) {
            json_key(w, "schema");
            json_raw(w, view_str(a->tools[i].schema));
        }
        json_object_end(w);
    }
    json_array_end(w);
}

static void done(void *context, struct mcp_answer *a)
{
    struct question *q = context, **at = &all.questions;
    struct json_writer w;
    struct buf out;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    begin(&w, &out, q->id);
    json_key(&w, "failed");
    json_bool(&w, a->failed);
    json_key(&w, "tool_failed");
    json_bool(&w, a->tool_failed);
    if (buf_len(&a->value)) {
        json_key(&w, "value");
        json_raw(&w, buf_view(&a->value));
    }
    json_key(&w, "error");
    json_text(&w, buf_view(&a->error));
    write_tools(&w, a);
    finish(&w, &out);
    free(q);
}

/* --- what is asked ---------------------------------------------------------------------------------- */

static void warn(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "mcp-ask: %s\n", text);
}

static void load(void)
{
    struct keyring_source source = {.folder = all.folder, .env_keys = true, .environment = environ};
    struct keyring_report report;
    struct manifest_set set;
    struct catalog *catalog;
    struct keyring *keyring;
    struct snapshot *snapshot;
    struct err err;

    if (!manifest_load(all.folder, 0, warn, NULL, &set, &err) ||
        !catalog_new(&set, &catalog, &err) || !keyring_load(&source, &keyring, &report, &err) ||
        !snapshot_new(catalog, keyring, NULL, &snapshot, &err))
        fail(&err);
    catalog_unref(catalog);
    keyring_unref(keyring);
    snapshot_unref(all.snapshot);
    all.snapshot = snapshot;
}

static void refused(const char *id, const char *why)
{
    struct json_writer w;
    struct buf out;

    begin(&w, &out, id);
    json_key(&w, "refused");
    json_text(&w, view_str(why));
    finish(&w, &out);
}

static void ask(bool list, bool credential, struct view rest)
{
    struct question *q = calloc(1, sizeof *q);
    const struct tool_provider *p;
    struct mcp_credential c = {0};
    struct view id, provider, name = VIEW("");
    struct err err;
    bool good;

    CHECK(q && view_next(&rest, ' ', &id) && view_next(&rest, ' ', &provider));
    snprintf(q->id, sizeof q->id, "%.*s", VIEW_ARG(id));
    if (credential)
        CHECK(view_next(&rest, ' ', &c.token));
    if (!list)
        CHECK(view_next(&rest, ' ', &name) && rest.at);
    p = catalog_provider(all.snapshot->catalog, provider);
    if (!p) {
        refused(q->id, "no such provider");
        free(q);
        return;
    }
    good = list ? mcp_list(all.hub, all.asking.loop, all.snapshot, p, NULL, done, q, &q->ask, &err)
                : mcp_call(all.hub, all.asking.loop, all.snapshot, p, credential ? &c : NULL,
                           &(struct mcp_order){.name = name, .arguments = rest}, done, q, &q->ask,
                           &err);
    if (!good) {
        refused(q->id, err.text);
        free(q);
        return;
    }
    q->next = all.questions;
    all.questions = q;
}

static void cancel(struct view id)
{
    for (struct question **at = &all.questions; *at; at = &(*at)->next)
        if (view_eq(view_str((*at)->id), id)) {
            struct question *q = *at;

            mcp_cancel(q->ask);
            *at = q->next;
            refused(q->id, "cancelled");
            free(q);
            return;
        }
}

static void end(void)
{
    if (all.ending)
        return;
    all.ending = true;
    while (all.questions)
        cancel(view_str(all.questions->id));
    loop_post(all.answering.loop, &all.close);
}

static void obey(struct view line)
{
    struct view rest = line, word;

    if (!view_next(&rest, ' ', &word) || !word.len)
        return;
    if (view_eq(word, VIEW("list")))
        ask(true, false, rest);
    else if (view_eq(word, VIEW("call")))
        ask(false, false, rest);
    else if (view_eq(word, VIEW("call+")))
        ask(false, true, rest);
    else if (view_eq(word, VIEW("cancel")))
        cancel(rest);
    else if (view_eq(word, VIEW("keep"))) {
        load();
        mcp_hub_keep(all.hub, all.snapshot->catalog);
    } else if (view_eq(word, VIEW("end")))
        end();
}

static void in_ready(struct loop *loop, struct io *io, uint32_t events)
{
    static uint8_t piece[64 * 1024];
    ssize_t n = read(io->fd, piece, sizeof piece);
    size_t at;

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        loop_forget(loop, io);
        end();
        return;
    }
    CHECK(buf_append(&all.line, view_from(piece, (size_t)n), NULL));
    while ((at = view_find(buf_view(&all.line), '\n')) < buf_len(&all.line)) {
        obey(view_first(buf_view(&all.line), at));
        buf_eat(&all.line, at + 1);
    }
}

/* --- loops ------------------------------------------------------------------------------------------ */

static void open_side(struct side *s)
{
    const struct resolve_options resolve = {
        .ttl_max_ms = 60000, .negative_ms = 2000, .stale_ms = 300000, .timeout_ms = 5000};
    const struct client_options options = {.user_agent = "mcp-ask"};
    struct err err;

    if (!loop_new(&clock_system, &s->loop, &err) ||
        !resolver_new(s->loop, &resolve, &s->resolver, &err) ||
        !client_new(s->loop, s->resolver, &options, &s->client, &err))
        fail(&err);
}

static void close_side(struct side *s)
{
    client_free(s->client);
    resolver_free(s->resolver);
    child_end_all(s->loop);
    loop_free(s->loop);
}

static void run(struct side *s)
{
    struct err err;

    if (!loop_run(s->loop, &err))
        fail(&err);
}

static void *run_answering(void *context)
{
    (void)context;
    run(&all.answering);
    return NULL;
}

/* On the asking side. */
static void closed_told(struct loop *loop, struct post *post)
{
    (void)post;
    loop_stop(loop);
}

static void closed(void *context)
{
    (void)context;
    loop_post(all.asking.loop, &all.closed);
}

/* On the answering side. */
static void close_hub(struct loop *loop, struct post *post)
{
    (void)loop;
    (void)post;
    mcp_hub_close(all.hub, closed, NULL);
}

static uint64_t number(const char *name)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    struct mcp_hub_options options = {.environment = environ, .version = "1.2.3"};
    struct log_sink *sink;
    struct err err;

    all.one_loop = argc > 1 && strcmp(argv[1], "--one-loop") == 0;
    if (argc != 2 + all.one_loop) {
        fputs("usage: mcp-ask [--one-loop] FOLDER\n", stderr);
        return 2;
    }
    all.folder = argv[1 + all.one_loop];
    if (!log_sink_new(2, LOG_JSON, LOG_DEBUG, &clock_system, &sink, &err) ||
        !log_new(sink, &options.log, &err))
        fail(&err);
    open_side(&all.asking);
    if (all.one_loop)
        all.answering = all.asking;
    else
        open_side(&all.answering);
    if (getenv("MCP_ASK_PUBLIC"))
        options.reach = CLIENT_PUBLIC;
    options.call_ms = number("MCP_ASK_CALL_MS");
    options.start_ms = number("MCP_ASK_START_MS");
    options.idle_ms = number("MCP_ASK_IDLE_MS");
    if (!mcp_hub_new(all.answering.loop, all.answering.client, &options, &all.hub, &err))
        fail(&err);
    load();
    buf_init(&all.line, 256 * 1024 * 1024, "a command");
    all.close.run = close_hub;
    all.closed.run = closed_told;
    all.in = (struct io){.ready = in_ready, .fd = 0};
    if (!loop_watch_level(all.asking.loop, &all.in, EPOLLIN, &err))
        fail(&err);
    if (!all.one_loop)
        CHECK(pthread_create(&all.thread, NULL, run_answering, NULL) == 0);
    run(&all.asking);
    if (!all.one_loop) {
        loop_stop(all.answering.loop);
        CHECK(pthread_join(all.thread, NULL) == 0);
    }
    mcp_hub_free(all.hub);
    snapshot_unref(all.snapshot);
    if (!all.one_loop)
        close_side(&all.answering);
    close_side(&all.asking);
    buf_done(&all.line);
    log_sink_free(sink);
    return 0;
}
