/* An executor with a provider, a keyring and a client, and a server that the test plays itself, over real sockets. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ati/exec/exec_priv.h"
#include "base/file.h"
#include "child/child.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Long enough to be looked for in answers, and short. */
#define LONG_KEY  "sk-live/0123456789+abcdef\\\"x"
#define SHORT_KEY "k3y"

enum { PATIENCE_MS = 20000, SEEN_BYTES = 256 * 1024 };

struct exec_world {
    char folder[64];
    struct loop *loop;
    struct resolver *resolver;
    struct client *client;
    struct exec_shared *shared;
    struct executor *executor;
    struct keyring *keyring;
    struct snapshot *snapshot;
    struct caller *caller;
    char **environment;
    int listener;
    uint16_t port;
    unsigned fds;
};

/* A call, and what it came to. */
struct told {
    struct execution *execution;
    unsigned dones;
    enum exec_outcome outcome;
    int status, upstream_status, exit_code;
    char *value, *error;
    uint64_t upstream_us;
};

static inline unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    assert_int_equal(closedir(dir), 0);
    return n;
}

static inline void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(file_write(path, view_str(text), 0600, NULL));
}

static inline void load_keyring(struct exec_world *w, const char *credentials)
{
    const struct keyring_source source = {.folder = w->folder, .environment = w->environment};
    struct keyring_report report;
    struct err err = {0};

    keyring_unref(w->keyring);
    write_file(w->folder, "credentials", credentials);
    if (!keyring_load(&source, &w->keyring, &report, &err))
        fail_msg("%s", err.text);
}

static inline int listen_here(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 256), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static inline void use_client(struct exec_world *w, struct view roots)
{
    const struct client_options options = {.user_agent = "ati/test", .extra_roots = roots};
    struct err err = {0};

    client_free(w->client);
    if (!client_new(w->loop, w->resolver, &options, &w->client, &err))
        fail_msg("%s", err.text);
}

static inline void use_shared(struct exec_world *w, enum client_reach reach)
{
    const struct exec_shared_options options = {
        .folder = w->folder, .environment = w->environment, .reach = reach};

    executor_free(w->executor);
    exec_shared_free(w->shared);
    assert_true(exec_shared_new(&options, &w->shared, NULL));
    assert_true(executor_new(w->loop, w->client, w->shared, NULL, &w->executor, NULL));
}

static inline int exec_open(void **state)
{
    static char path[4096], home[] = "HOME=/nowhere", lang[] = "LANG=C",
                            secret[] = "SECRET_OF_OURS=yes";
    static char tmp[128], limit[64] = "ATI_CLI_MAX_OUTPUT_BYTES=1000000";
    static char *environment[] = {path, home, lang, secret, tmp, limit, NULL};
    const struct resolve_options resolve = {.timeout_ms = 5000};
    struct exec_world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->fds = count_fds();
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/ati-exec-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(path, sizeof path, "PATH=%s", getenv("PATH"));
    (void)snprintf(tmp, sizeof tmp, "TMPDIR=%s", w->folder);
    w->environment = environment;
    assert_true(loop_new(&clock_system, &w->loop, NULL));
    assert_true(resolver_new(w->loop, &resolve, &w->resolver, NULL));
    assert_true(caller_dev(&w->caller, NULL));
    w->listener = listen_here(&w->port);
    use_client(w, VIEW(""));
    use_shared(w, CLIENT_ANYWHERE);
    load_keyring(w, "{\"long\":\"sk-live/0123456789+abcdef\\\\\\\"x\",\"short\":\"" SHORT_KEY
                    "\",\"id\":\"client one\",\"lower\":\"found\"}");
    *state = w;
    return 0;
}

static inline void turn(struct exec_world *w)
{
    assert_true(loop_turn(w->loop, 5, NULL));
}

static inline int exec_close(void **state)
{
    struct exec_world *w = *state;
    char command[128];

    executor_free(w->executor);
    snapshot_unref(w->snapshot);
    keyring_unref(w->keyring);
    caller_unref(w->caller);
    client_free(w->client);
    resolver_free(w->resolver);
    child_end_all(w->loop);
    loop_free(w->loop);
    exec_shared_free(w->shared);
    close(w->listener);
    assert_int_equal(count_fds(), w->fds);
    (void)snprintf(command, sizeof command, "rm -r %s", w->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a folder of ours */
    free(w);
    return 0;
}

/* The one provider. "{port}" of its text stands for the server's. */
static inline void use_provider(struct exec_world *w, const char *toml)
{
    struct tool_provider *provider = NULL;
    struct manifest_set set = {.providers = malloc(sizeof *set.providers), .count = 1};
    struct catalog *catalog = NULL;
    struct err err = {0};
    char text[16384];
    size_t n = 0;

    for (const char *c = toml; *c; c++) {
        if (strncmp(c, "{port}", 6) == 0) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%u", w->port);
            c += 5;
        } else {
            text[n++] = *c;
        }
        assert_true(n < sizeof text);
    }
    if (!manifest_parse(view_from(text, n), "test.toml", NULL, NULL, &provider, &err))
        fail_msg("%s", err.text);
    set.providers[0] = provider;
    assert_true(catalog_new(&set, &catalog, NULL));
    snapshot_unref(w->snapshot);
    assert_true(snapshot_new(catalog, w->keyring, NULL, &w->snapshot, NULL));
    catalog_unref(catalog);
}

static inline void tell(void *context, struct exec_result *r)
{
    struct told *t = context;
    struct view value = buf_view(&r->value), error = buf_view(&r->error);

    t->dones++;
    t->execution = NULL;
    t->outcome = r->outcome;
    t->status = r->status;
    t->upstream_status = r->upstream_status;
    t->exit_code = r->exit_code;
    t->upstream_us = r->upstream_us;
    t->value = strndup(value.len ? (const char *)value.at : "", value.len);
    t->error = strndup(error.len ? (const char *)error.at : "", error.len);
}

static inline void begin_request(struct exec_world *w, const char *tool,
                                 struct exec_request *request, struct told *t)
{
    struct err err = {0};

    *t = (struct told){.dones = 0};
    request->snapshot = w->snapshot;
    request->caller = w->caller;
    request->tool = catalog_find(w->snapshot->catalog, view_str(tool));
    assert_non_null(request->tool);
    if (!exec_start(w->executor, request, tell, t, &t->execution, &err))
        fail_msg("%s", err.text);
    assert_int_equal(t->dones, 0); /* never from inside */
}

static inline void begin(struct exec_world *w, const char *tool, const char *arguments,
                         struct told *t)
{
    begin_request(w, tool, &(struct exec_request){.arguments = view_str(arguments)}, t);
}

static inline uint64_t patience(void)
{
    return clock_monotonic_ms(&clock_system) + PATIENCE_MS;
}

static inline void wait_done(struct exec_world *w, struct told *t)
{
    uint64_t until = patience();

    while (!t->dones && clock_monotonic_ms(&clock_system) < until)
        turn(w);
    assert_int_equal(t->dones, 1);
}

static inline void told_done(struct told *t)
{
    free(t->value);
    free(t->error);
    t->value = t->error = NULL;
}

static inline void check_value(struct exec_world *w, struct told *t, const char *value)
{
    wait_done(w, t);
    if (t->outcome != EXEC_OK)
        fail_msg("outcome %d: %s", t->outcome, t->error);
    assert_int_equal(t->status, 200);
    assert_string_equal(t->value, value);
    told_done(t);
}

static inline void check_failure(struct exec_world *w, struct told *t, enum exec_outcome outcome,
                                 const char *error)
{
    wait_done(w, t);
    if (t->outcome != outcome)
        fail_msg("outcome %d: %s%s", t->outcome, t->error, t->value);
    assert_string_equal(t->error, error);
    told_done(t);
}

/* --- the server --- */

static inline int serve_at(struct exec_world *w, int listener)
{
    uint64_t until = patience();

    while (clock_monotonic_ms(&clock_system) < until) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            return fd;
        turn(w);
    }
    fail_msg("nobody came");
    return -1;
}

static inline int serve(struct exec_world *w)
{
    return serve_at(w, w->listener);
}

static inline void nobody_comes(struct exec_world *w)
{
    for (int i = 0; i < 5; i++)
        turn(w);
    assert_int_equal(accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1);
}

/* Reads until what came ends with this. Returns all of it, until the next call. */
static inline const char *heard(struct exec_world *w, int fd, const char *end)
{
    static char seen[SEEN_BYTES];
    uint64_t until = patience();
    size_t n = 0;

    while (clock_monotonic_ms(&clock_system) < until) {
        ssize_t got = recv(fd, seen + n, sizeof seen - 1 - n, 0);

        if (got == 0)
            fail_msg("the client hung up after: %s", seen);
        if (got > 0) {
            n += (size_t)got;
            seen[n] = '\0';
            if (n >= strlen(end) && strcmp(seen + n - strlen(end), end) == 0)
                return seen;
        } else {
            turn(w);
        }
    }
    fail_msg("the client said only: %s", seen);
    return NULL;
}

static inline void say(struct exec_world *w, int fd, const char *text)
{
    size_t len = strlen(text);
    uint64_t until = patience();

    while (len && clock_monotonic_ms(&clock_system) < until) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
        turn(w);
    }
    assert_int_equal(len, 0);
}

static inline void answer(struct exec_world *w, int fd, int status, const char *body)
{
    char text[8192];

    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
                   strlen(body), body);
    say(w, fd, text);
    close(fd);
}
