/* atlas-sim serve: answers for Intel (a PCCS, over HTTP) and for the guest agent (over a Unix socket). One thread, one loop. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command.h"
#include "base/log.h"
#include "net/process.h"
#include "serve/serve.h"
#include "sim/agent.h"
#include "sim/pccs.h"
#include "sim_cli/commands.h"
#include "sim_cli/state.h"

#include "base/poison.h"

enum { FIELD_BYTES = 64 * 1024 };

struct config {
    const char *listen, *socket;
    uint32_t evaluation;
    int certification, log_format, log_level;
};

#define ROW(field, k, text, ...)                                                       \
    {                                                                                  \
        .name = text, .kind = k, .offset = offsetof(struct config, field), __VA_ARGS__ \
    }

static const struct setting rows[] = {
    ROW(listen, SETTING_TEXT, "listen", .group = "Where", .fallback = "127.0.0.1:8081",
        .value_name = "ADDR", .help = "Address of the PCCS: Intel's statements about the platform"),
    ROW(socket, SETTING_TEXT, "socket", .group = "Where", .value_name = "PATH",
        .help = "Unix socket of the guest agent; without it, dstack.sock in the folder"),
    ROW(evaluation, SETTING_U32, "evaluation", .group = "What Intel says", .fallback = "17",
        .help = "Edition of TCB info and QE identity (tcbEvaluationDataNumber)"),
    ROW(certification, SETTING_CHOICE, "certification", .group = "The machine",
        .choices = STATE_CERTIFICATIONS, .fallback = "5",
        .help = "Type of the certification data in quotes: 5, with the PCK's chain; 2 or 3, with "
                "what names it to a PCCS"),
    ROW(log_format, SETTING_CHOICE, "log-format", .group = "Log", .choices = "auto|text|json",
        .fallback = "auto", .help = "auto: text on a terminal, JSON lines elsewhere"),
    ROW(log_level, SETTING_CHOICE, "log-level", .group = "Log", .choices = "error|warn|info|debug",
        .fallback = "info", .help = "Least important events that are logged"),
};

static const struct settings_program program = {
    .name = "atlas-sim serve",
    .prefix = "ATLAS_SIM_",
    .summary =
        "Serves the simulated platform in FOLDER: a PCCS over HTTP, and dstack's guest agent "
        "over a Unix socket, until it is told to stop.",
    .usage = "atlas-sim serve FOLDER [--listen ADDR] [--socket PATH]",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "FOLDER",
    .words_least = 1,
    .words_most = 1,
};

struct simulator {
    struct sim_state state;
    struct loop *loop;
    struct log *log;
    char fields[FIELD_BYTES]; /* of the answer under way */
};

static bool answer_pccs(void *context, const struct serve_request *request,
                        struct serve_answer *answer, struct err *err)
{
    struct simulator *s = context;
    struct sim_pccs_answer a = {.body = answer->body};

    s->state.platform->recipe.now_s = clock_wall_ms(&clock_system) / 1000; /* never out of date */
    if (!sim_pccs_call(s->state.platform, request->path, request->query, &a, err))
        return false;
    answer->content_type = a.content_type;
    answer->extra = s->fields;
    memcpy(s->fields, SIM_PCCS_CORS, sizeof SIM_PCCS_CORS);
    return !a.chain_field || sim_pccs_field(&a, s->fields + sizeof SIM_PCCS_CORS - 1,
                                            sizeof s->fields - (sizeof SIM_PCCS_CORS - 1), err);
}

static bool answer_agent(void *context, const struct serve_request *request,
                         struct serve_answer *answer, struct err *err)
{
    struct simulator *s = context;
    struct err why;

    answer->content_type = "application/json";
    if (sim_agent_call(s->state.platform, s->state.guest, view_skip(request->path, 1),
                       request->body, answer->body, &why)) {
        log_event(s->log, LOG_DEBUG, "agent.call", "guest agent called",
                  F_VIEW("method", view_skip(request->path, 1)));
        return true;
    }
    answer->status = err_http_status(why.code);
    buf_reset(answer->body);
    return buf_appendf(answer->body, err, "{\"error\":\"%s\"}", why.text);
}

#define AGENT(name)                         \
    {"POST", "/" name, answer_agent, NULL}, \
    {                                       \
        "GET", "/" name, answer_agent, NULL \
    }
#define PCCS(path)                     \
    {                                  \
        "GET", path, answer_pccs, NULL \
    }

static struct serve_route agent_routes[] = {AGENT("GetQuote"), AGENT("EmitEvent"), AGENT("Info"),
                                            AGENT("GetKey"), AGENT("Version")};
static struct serve_route pccs_routes[] = {
    PCCS("/sgx/certification/v4/pckcert"),     PCCS("/sgx/certification/v4/pckcrl"),
    PCCS("/sgx/certification/v4/rootcacrl"),   PCCS("/tdx/certification/v4/tcb"),
    PCCS("/tdx/certification/v4/qe/identity"), PCCS("/collateral.json"),
};

static void stopped(void *context, int signo)
{
    struct simulator *s = context;

    (void)signo;
    loop_stop(s->loop);
}

static bool open_server(struct simulator *s, struct view spec, struct serve_route *routes,
                        size_t count, struct server **out, struct err *err)
{
    static const struct listen_options options = {.backlog = 128};
    struct listener listeners[LISTENERS_MAX];
    struct serve_options serve = {.routes = routes, .route_count = count, .connections_max = 1024};
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        routes[i].context = s;
    if (!listen_open(spec, &options, listeners, &n, err))
        return false;
    if (!server_new(s->loop, &serve, out, err)) {
        while (n)
            listen_close(&listeners[--n]);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        log_event(s->log, LOG_INFO, "listening", "atlas-sim listening",
                  F_STR("address", listeners[i].name));
        if (!server_listen(*out, &listeners[i], err))
            return false;
    }
    return true;
}

static bool run(struct simulator *s, const struct config *c, const char *folder, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct server *pccs = NULL, *agent = NULL;
    char socket[STATE_PATH_BYTES];
    bool good;

    s->state.platform->recipe.evaluation = c->evaluation;
    s->state.platform->recipe.certification = sim_state_certification(c->certification);
    (void)snprintf(socket, sizeof socket, "unix:%s%s", c->socket ? c->socket : folder,
                   c->socket ? "" : "/dstack.sock");
    good = loop_new(&clock_system, &s->loop, err) &&
           signals_watch(s->loop, signals, 2, stopped, s, err) &&
           open_server(s, view_str(c->listen), pccs_routes,
                       sizeof pccs_routes / sizeof *pccs_routes, &pccs, err) &&
           open_server(s, view_str(socket), agent_routes,
                       sizeof agent_routes / sizeof *agent_routes, &agent, err);
    if (good) {
        notify_open();
        notify_ready("serving a simulated platform");
        good = loop_run(s->loop, err);
    }
    server_free(agent);
    server_free(pccs);
    if (s->loop)
        signals_unwatch(s->loop);
    loop_free(s->loop);
    return good;
}

int sim_serve(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    struct simulator *s = calloc(1, sizeof *s);
    struct log_sink *sink = NULL;
    const char *folder;
    struct config config;
    struct err err = {.code = ERR_MEMORY};
    unsigned words;
    int status;
    bool good;

    if (!s)
        return 70;
    if (!command_start(&program, argc, argv, environment, &config, &settings, &status)) {
        free(s);
        return status;
    }
    folder = settings_words(settings, &words)[0];
    good = log_sink_new(STDERR_FILENO, (enum log_format)config.log_format,
                        (enum log_level)config.log_level, &clock_system, &sink, &err) &&
           log_new(sink, &s->log, &err) &&
           sim_state_load(folder, clock_wall_ms(&clock_system) / 1000, &s->state, &err) &&
           run(s, &config, folder, &err);
    if (!good)
        (void)fprintf(stderr, "atlas-sim serve: %s\n", err.text);
    sim_state_done(&s->state);
    log_sink_free(sink);
    free(s);
    return good ? 0 : err_exit_status(err.code);
}
