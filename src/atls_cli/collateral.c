/* atls collateral: Intel's statements about the platform of a quote, from a PCCS, for verifying offline. */
#include <stdio.h>
#include <stdlib.h>

#include "atls_cli/commands.h"
#include "atls_cli/input.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/file.h"
#include "fetch/fetch.h"

#include "base/poison.h"

struct config {
    const char *url, *output, *cacert;
    uint64_t timeout_ms;
};

#define ROW(field, k, text, ...)                                                               \
    {                                                                                          \
        .name = text, .kind = k, .offset = offsetof(struct config, field), .group = "Options", \
        __VA_ARGS__                                                                            \
    }

static const struct setting rows[] = {
    ROW(url, SETTING_TEXT, "pccs-url", .value_name = "URL",
        .help = "The service; without it, the variable PCCS_URL, or Intel's own"),
    ROW(output, SETTING_TEXT, "output", .fallback = "-", .value_name = "FILE",
        .help = "Where to write; - is standard output"),
    ROW(cacert, SETTING_TEXT, "cacert", .value_name = "FILE",
        .help = "CAs in PEM for the service's certificate, instead of the system's"),
    ROW(timeout_ms, SETTING_DURATION, "timeout", .fallback = "30s", .least = 1,
        .help = "Longest time of each request"),
};

static const struct settings_program program = {
    .name = "atls collateral",
    .prefix = "ATLS_COLLATERAL_",
    .summary = "Fetches what Intel has signed about the platform of QUOTE: TCB info, QE identity, "
               "CRLs and their chains, as one JSON object for \"atls verify --collateral\".",
    .usage = "atls collateral fetch QUOTE [--pccs-url URL] [--output FILE]",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "\"fetch\" and QUOTE",
    .words_least = 2,
    .words_most = 2,
};

static bool print(const struct collateral *c, const char *output, struct err *err)
{
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, COLLATERAL_BYTES_MAX, "collateral");
    json_begin(&w, &out);
    collateral_write(c, &w);
    good = json_end(&w, err) && buf_append_byte(&out, '\n', err);
    if (good && strcmp(output, "-") == 0)
        (void)printf("%.*s", VIEW_ARG(buf_view(&out)));
    else if (good)
        good = file_write(output, buf_view(&out), 0644, err);
    buf_done(&out);
    return good;
}

static int fetch(const struct config *c, const char *path)
{
    const char *url = c->url ? c->url : getenv("PCCS_URL");
    struct fetch_options options = {
        .url = url && *url ? url : POLICY_INTEL_PCS,
        .timeout_ms = c->timeout_ms,
        .ca_file = c->cacert,
        .now_s = clock_wall_ms(&clock_system) / 1000,
    };
    struct collateral *collateral = NULL;
    struct collateral_need need;
    struct attest_err why;
    struct quote quote;
    struct buf bytes;
    struct err err = {.code = ERR_NONE};
    int status = 0;

    if (!input_quote(path, &bytes, &err)) {
        (void)fprintf(stderr, "%s: %s\n", program.name, err.text);
        return 2;
    }
    if (!quote_parse(buf_view(&bytes), &quote, &why) || !dcap_need(&quote, &need, &why) ||
        !fetch_collateral(&options, &need, &collateral, &why)) {
        (void)fprintf(stderr, "%s: %s [%s]\n", program.name, why.text, attest_code_name(why.code));
        status = attest_exit_status(why.code);
    } else if (!print(collateral, c->output, &err)) {
        (void)fprintf(stderr, "%s: %s\n", program.name, err.text);
        status = err_exit_status(err.code);
    }
    collateral_free(collateral);
    buf_done(&bytes);
    return status;
}

int cli_collateral(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    const char *const *words;
    struct config config;
    unsigned count;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    words = settings_words(settings, &count);
    if (strcmp(words[0], "fetch") != 0) {
        (void)fprintf(stderr, "%s: \"%s\" is not known; there is \"fetch\"\n", program.name,
                      words[0]);
        return 2;
    }
    return fetch(&config, words[1]);
}
