/* client_get: a test-only program that asks for URLs, one after the other, with the client of src/client.
 *
 *   client_get [OPTION…] URL…
 *     --method=M --data=TEXT --field=NAME:VALUE --secret=NAME:VALUE --redirects=N --reach=public|warn|anywhere
 *     --timeout=MS --connect=MS --roots=FILE --dns=ADDRESS:PORT --max=BYTES (collected) --out=FILE (bodies, appended)
 *
 * Each answer is a line on standard output, of fields between tabs: outcome, status, bytes, "fresh" or "reused", error. The last line:
 * "peak", and how many KiB of memory this process has needed. Proxies are those of the environment. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "client/client.h"

enum { FIELDS_MAX = 32, ROOTS_MAX = 1 << 20 };

struct program {
    struct loop *loop;
    struct client *client;
    struct client_request request;
    struct client_field fields[FIELDS_MAX];
    const char *dns, *roots;
    uint64_t max;
    bool collects;
    int out;
    char **urls;
    int status;
    uint64_t bytes;
};

static void next(struct program *p);

static bool option(const char *word, const char *name, const char **value)
{
    size_t n = strlen(name);

    if (strncmp(word, name, n) != 0 || word[n] != '=')
        return false;
    *value = word + n + 1;
    return true;
}

static uint64_t number(const char *text)
{
    uint64_t n = 0;

    CHECK(text_u64(view_str(text), UINT64_MAX, false, &n));
    return n;
}

static void add_field(struct program *p, const char *text, bool secret)
{
    struct view all = view_str(text);
    size_t colon = view_find(all, ':');

    CHECK(p->request.field_count < FIELDS_MAX);
    p->fields[p->request.field_count++] =
        (struct client_field){view_first(all, colon), view_skip(all, colon + 1), secret};
}

static bool read_option(struct program *p, const char *word)
{
    const char *v;

    if (option(word, "--method", &v))
        p->request.method = view_str(v);
    else if (option(word, "--data", &v))
        p->request.body = view_str(v), p->request.has_body = true;
    else if (option(word, "--field", &v))
        add_field(p, v, false);
    else if (option(word, "--secret", &v))
        add_field(p, v, true);
    else if (option(word, "--redirects", &v))
        p->request.redirects = (unsigned)number(v);
    else if (option(word, "--reach", &v))
        p->request.reach = strcmp(v, "public") == 0 ? CLIENT_PUBLIC
                           : strcmp(v, "warn") == 0 ? CLIENT_WARN
                                                    : CLIENT_ANYWHERE;
    else if (option(word, "--timeout", &v))
        p->request.timeout_ms = number(v);
    else if (option(word, "--connect", &v))
        p->request.connect_ms = number(v);
    else if (option(word, "--roots", &p->roots) || option(word, "--dns", &p->dns))
        return true;
    else if (option(word, "--max", &v))
        p->max = number(v), p->collects = true;
    else if (option(word, "--out", &v))
        p->out = open(v, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    else
        return false;
    return true;
}

static void told(struct program *p, const struct client_end *end)
{
    (void)printf("%s\t%d\t%llu\t%s\t%s\n", client_outcome_name(end->outcome), p->status,
                 (unsigned long long)p->bytes, end->connect_us ? "fresh" : "reused", end->err.text);
    (void)fflush(stdout);
    next(p);
}

static void head(void *context, const struct http_head *h)
{
    ((struct program *)context)->status = h->status;
}

static void write_out(const struct program *p, struct view v)
{
    while (p->out >= 0 && v.len) {
        ssize_t n = write(p->out, v.at, v.len);

        CHECK(n > 0);
        v = view_skip(v, (size_t)n);
    }
}

static void piece(void *context, struct view v)
{
    struct program *p = context;

    p->bytes += v.len;
    write_out(p, v);
}

static void done(void *context, const struct client_end *end)
{
    told(context, end);
}

static void collected(void *context, struct client_answer *a)
{
    struct program *p = context;

    p->status = a->status;
    p->bytes = buf_len(&a->body);
    write_out(p, buf_view(&a->body));
    told(p, &a->end);
}

static void next(struct program *p)
{
    static const struct client_receiver receiver = {head, piece, done};
    struct err err = {0};
    bool good;

    if (!*p->urls) {
        loop_stop(p->loop);
        return;
    }
    p->request.url = view_str(*p->urls++);
    p->status = 0;
    p->bytes = 0;
    good = p->collects ? !!client_collect(p->client, &p->request, p->max, collected, p, &err)
                       : !!client_start(p->client, &p->request, &receiver, p, &err);
    if (good)
        return;
    (void)fprintf(stderr, "client_get: %s\n", err.text);
    exit(2);
}

static int failed(const struct err *err)
{
    (void)fprintf(stderr, "client_get: %s\n", err->text);
    return 2;
}

int main(int argc, char **argv)
{
    struct resolve_options names = {
        .ttl_max_ms = 60 * 1000, .negative_ms = 2000, .timeout_ms = 10 * 1000};
    struct client_options options = {.user_agent = "client_get", .environment = environ};
    struct program p = {.request.method = VIEW("GET"), .out = -1};
    struct resolver *resolver;
    struct log_sink *sink;
    struct rusage usage;
    struct err err = {0};
    struct buf roots;
    int i = 1;

    while (i < argc && strncmp(argv[i], "--", 2) == 0)
        if (!read_option(&p, argv[i++])) {
            (void)fprintf(stderr, "client_get: %s: no such option\n", argv[i - 1]);
            return 2;
        }
    p.urls = argv + i;
    p.request.fields = p.fields;
    names.servers = p.dns;
    buf_init(&roots, ROOTS_MAX, "CA certificates");
    if ((p.roots && !file_read(p.roots, &roots, &err)) ||
        !log_sink_new(STDERR_FILENO, LOG_JSON, LOG_WARN, &clock_system, &sink, &err) ||
        !log_new(sink, &options.log, &err) || !loop_new(&clock_system, &p.loop, &err) ||
        !resolver_new(p.loop, &names, &resolver, &err))
        return failed(&err);
    options.extra_roots = buf_view(&roots);
    if (!client_new(p.loop, resolver, &options, &p.client, &err))
        return failed(&err);
    next(&p);
    if (!loop_run(p.loop, &err))
        return failed(&err);
    client_free(p.client);
    resolver_free(resolver);
    loop_free(p.loop);
    log_sink_free(sink);
    buf_done(&roots);
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("peak\t%ld\n", usage.ru_maxrss);
    return 0;
}
