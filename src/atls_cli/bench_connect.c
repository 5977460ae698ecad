/* atls bench connect: attested connections, one behind the other, and what each spends its time with. */
#include <stdio.h>

#include "atls_cli/bench.h"
#include "atls_cli/endpoint.h"
#include "base/command.h"

#include "base/poison.h"

enum { TEXT_MAX = 64 * 1024, COUNT_MOST = 100000 };

struct config {
    struct endpoint_config endpoint;
    uint32_t count;
    bool known;
};

static const struct setting rows[] = {
    ENDPOINT_WAY_ROWS,
    {.name = "count",
     .group = "How often",
     .kind = SETTING_U32,
     .offset = offsetof(struct config, count),
     .fallback = "20",
     .least = 1,
     .most = COUNT_MOST,
     .help = "So many connections"},
    {.name = "known",
     .group = "How often",
     .kind = SETTING_BOOL,
     .offset = offsetof(struct config, known),
     .help = "Know what was verified for the connection before, as a client that stays does"},
    ENDPOINT_ROW(json, SETTING_BOOL, "json", .group = "Output", .help = "Print one JSON object"),
};

static const struct settings_program program = {
    .name = "atls bench connect",
    .prefix = "ATLS_BENCH_CONNECT_",
    .summary = "Makes attested connections to URL, one behind the other, and tells how long they "
               "took: TCP (names and the bridge included), TLS, the quote (until the answer is "
               "there), collateral (when none is stapled), verification. Reading the policy and "
               "the CAs is not counted.",
    .usage = "atls bench connect https://HOST[:PORT] --policy FILE [--proxy URL] [--count N]",
    .epilogue = "Exit status: as atls get.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "URL",
    .words_least = 1,
    .words_most = 1,
};

enum part { PART_TOTAL, PART_TCP, PART_TLS, PART_QUOTE, PART_COLLATERAL, PART_VERIFY, PARTS };

static const char *const names[PARTS] = {"total", "tcp",        "tls",
                                         "quote", "collateral", "verification"};

struct run {
    struct bench_series parts[PARTS];
    struct dcap_cache *known;
    struct session_context *context;
    unsigned stapled;
};

static bool add(struct run *r, const struct attested_times *t, struct err *err)
{
    const uint64_t ns[PARTS] = {
        t->tcp_ns + t->tls_ns + t->quote_ns + t->collateral_ns + t->verify_ns,
        t->tcp_ns,
        t->tls_ns,
        t->quote_ns,
        t->collateral_ns,
        t->verify_ns,
    };

    for (unsigned i = 0; i < PARTS; i++)
        if (!bench_add(&r->parts[i], ns[i], err))
            return false;
    return true;
}

static bool print_json(const struct run *r, struct err *err)
{
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, TEXT_MAX, "figures");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "connections_per_second");
    json_u64(&w, bench_rate(&r->parts[PART_TOTAL]));
    json_key(&w, "collateral_stapled");
    json_u64(&w, r->stapled);
    for (unsigned i = 0; i < PARTS; i++)
        bench_write(&w, names[i], &r->parts[i]);
    json_object_end(&w);
    good = bench_print_json(&w, &out, err);
    buf_done(&out);
    return good;
}

static void print_text(const struct run *r, const struct endpoint *e)
{
    (void)printf("%s:%u: %zu attested connections, %u with stapled collateral\n", e->host, e->port,
                 r->parts[PART_TOTAL].count, r->stapled);
    for (unsigned i = 0; i < PARTS; i++)
        bench_print(names[i], &r->parts[i]);
}

static int run(struct run *r, const struct config *c, const struct endpoint *e,
               const struct policy *policy)
{
    struct attested_options o = endpoint_options(&c->endpoint, e, policy);
    struct attested_times times;
    struct err err = {.code = ERR_NONE};
    struct attest_err why = {.code = ATTEST_OK};
    bool good = true;

    if (!attested_context(&o, &r->context, &why) || (c->known && !dcap_cache_new(&r->known, &why)))
        return endpoint_failed(program.name, c->endpoint.json, &why);
    o.context = r->context;
    o.known = r->known;
    o.times = &times;
    for (unsigned i = 0; good && i < c->count; i++) {
        CLEANUP(attested_free_cleanup) struct attested *one = NULL;

        if (!attested_open(&o, &one, &why))
            return endpoint_failed(program.name, c->endpoint.json, &why);
        r->stapled += atls_client_stapled(attested_client(one));
        good = add(r, &times, &err);
    }
    for (unsigned i = 0; i < PARTS; i++)
        bench_sort(&r->parts[i]);
    if (good && c->endpoint.json)
        good = print_json(r, &err);
    else if (good)
        print_text(r, e);
    if (!good)
        (void)fprintf(stderr, "%s: %s\n", program.name, err.text);
    return err_exit_status(err.code);
}

int cli_bench_connect(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    CLEANUP(policy_free_cleanup) struct policy *policy = NULL;
    struct run r = {.stapled = 0};
    struct endpoint endpoint;
    struct config config;
    struct err err;
    unsigned words;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    if (!endpoint_policy(program.name, &config.endpoint, &policy, &status))
        return status;
    if (!endpoint_parse(settings_words(settings, &words)[0], true, &endpoint, &err)) {
        (void)fprintf(stderr, "%s: %s\n", program.name, err.text);
        return 2;
    }
    status = run(&r, &config, &endpoint, policy);
    dcap_cache_free(r.known);
    session_context_unref(r.context);
    for (unsigned i = 0; i < PARTS; i++)
        bench_done(&r.parts[i]);
    return status;
}
