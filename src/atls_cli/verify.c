/* atls verify: is this quote genuine, and what a policy asks for? Offline; all that is needed is in files. */
#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/input.h"
#include "attest/report.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/command.h"

#include "base/poison.h"

struct config {
    const char *collateral, *policy, *event_log, *root, *at, *report_data, *certificate_hash;
    bool json;
};

#define ROW(field, k, text, ...)                                                       \
    {                                                                                  \
        .name = text, .kind = k, .offset = offsetof(struct config, field), __VA_ARGS__ \
    }

static const struct setting rows[] = {
    ROW(collateral, SETTING_TEXT, "collateral", .group = "Evidence", .value_name = "FILE",
        .help = "Intel's signed statements about the platform: a QuoteCollateralV3 JSON object"),
    ROW(event_log, SETTING_TEXT, "event-log", .group = "Evidence", .value_name = "FILE",
        .help = "The guest's event log, or an answer that holds it as dstack's GetQuote does"),
    ROW(policy, SETTING_TEXT, "policy", .group = "Expectations", .value_name = "FILE",
        .help = "What the quote must be; without it, it must be genuine and no more"),
    ROW(report_data, SETTING_TEXT, "report-data", .group = "Expectations", .value_name = "HEX",
        .help = "The 64 bytes that the quote must carry"),
    ROW(certificate_hash, SETTING_TEXT, "certificate-sha256", .group = "Expectations",
        .value_name = "HEX", .help = "Hash of the certificate that the event log must name last"),
    ROW(at, SETTING_TEXT, "at", .group = "Expectations", .value_name = "TIME",
        .help = "Verify as of this time (RFC 3339) instead of now"),
    ROW(root, SETTING_TEXT, "root", .group = "Expectations", .value_name = "FILE",
        .help = "Trust this root certificate (PEM) instead of Intel's: for simulators"),
    ROW(json, SETTING_BOOL, "json", .group = "Output", .help = "Print one JSON object"),
};

static const struct settings_program program = {
    .name = "atls verify",
    .prefix = "ATLS_VERIFY_",
    .summary =
        "Verifies an Intel TDX or SGX quote, without any network. QUOTE is a file, binary or "
        "hex; - is standard input.",
    .usage = "atls verify QUOTE --collateral FILE [--policy FILE] [--at TIME] [--json]",
    .epilogue = "Exit status: 0 genuine and, with a policy, acceptable; 1 refused; 2 usage.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "QUOTE",
    .words_least = 1,
    .words_most = 1,
};

struct files {
    struct buf quote, event_log;
    struct collateral *collateral;
    struct policy *policy;
    struct trust *trust;
    int64_t now_s;
    uint8_t report_data[REPORT_DATA_BYTES], leaf[HASH_BYTES];
};

static bool read_collateral(const char *path, struct files *f, struct err *err)
{
    struct attest_err why;
    struct buf text;
    bool good;

    if (!path)
        return err_set(err, ERR_USAGE,
                       "--collateral is missing: a quote says nothing without Intel's statements "
                       "about its platform; \"atls collateral fetch QUOTE\" gets them");
    if (!input_file(path, COLLATERAL_BYTES_MAX, "collateral", &text, err))
        return false;
    good = collateral_parse(buf_view(&text), &f->collateral, &why);
    buf_done(&text);
    return good || err_set(err, ERR_SYNTAX, "%s: %s", path, why.text);
}

static bool read_files(const struct config *c, const char *quote, struct files *f, struct err *err)
{
    f->now_s = clock_wall_ms(&clock_system) / 1000;
    if (c->at && !clock_rfc3339_parse(view_str(c->at), &f->now_s))
        return err_set(err, ERR_USAGE, "--at: expected a time like 2026-11-21T10:00:00Z");
    return command_hex(c->report_data, "report-data", f->report_data, sizeof f->report_data, err) &&
           command_hex(c->certificate_hash, "certificate-sha256", f->leaf, sizeof f->leaf, err) &&
           input_quote(quote, &f->quote, err) && read_collateral(c->collateral, f, err) &&
           (!c->event_log || input_event_log(c->event_log, &f->event_log, err)) &&
           (!c->policy || input_policy(c->policy, &f->policy, err)) &&
           (!c->root || input_trust(c->root, &f->trust, err));
}

static void files_done(struct files *f)
{
    buf_done(&f->quote);
    buf_done(&f->event_log);
    collateral_free(f->collateral);
    policy_free(f->policy);
    trust_free(f->trust);
}

/* { "verified", "status", "advisory_ids", "tcb_date", "error", "report" } */
static void print_json(const struct attestation *a, const struct attest_err *why)
{
    struct json_writer w;
    struct buf out;
    struct err err;

    buf_init(&out, COLLATERAL_BYTES_MAX, "report");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "verified");
    json_bool(&w, a != NULL);
    json_key(&w, "status");
    if (a)
        json_text(&w, view_str(tcb_status_name(a->dcap.verdict.status)));
    else
        json_null(&w);
    json_key(&w, "advisory_ids");
    report_write_advisories(a ? &a->dcap.verdict.advisories : &(struct advisories){.count = 0}, &w);
    if (a) {
        report_write_time(&w, "tcb_date", a->dcap.tcb_date_s);
    } else {
        json_key(&w, "tcb_date");
        json_null(&w);
    }
    json_key(&w, "error");
    if (a)
        json_null(&w);
    else
        report_write_error(why, &w);
    json_key(&w, "report");
    if (a)
        report_write(a, &w);
    else
        json_null(&w);
    json_object_end(&w);
    if (json_end(&w, &err))
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&out)));
    else
        (void)fprintf(stderr, "atls verify: %s\n", err.text);
    buf_done(&out);
}

static void print_text(const struct attestation *a)
{
    const struct dcap_report *d = &a->dcap;
    char date[CLOCK_RFC3339_BYTES], until[CLOCK_RFC3339_BYTES];

    (void)clock_rfc3339(d->tcb_date_s * 1000, date);
    (void)clock_rfc3339(d->valid_until_s * 1000, until);
    (void)printf("genuine %s quote, version %u%s\n", quote_tee_name(d->quote.tee), d->quote.version,
                 a->simulated ? ", of a SIMULATED platform" : "");
    (void)printf("  TCB status          %s\n", tcb_status_name(d->verdict.status));
    for (unsigned i = 0; i < d->verdict.advisories.count; i++)
        (void)printf("%s%s", i ? ", " : "  advisories          ", d->verdict.advisories.ids[i]);
    if (d->verdict.advisories.count)
        (void)printf("\n");
    (void)printf("  TCB date            %.10s\n", date);
    (void)printf("  collateral expires  %.19sZ\n", until);
    if (a->runtime_verified)
        (void)printf("  runs                the boot chain, application and image of the policy\n");
}

int cli_verify(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    struct attest_err why = {.code = ATTEST_OK};
    struct files f = {.now_s = 0};
    struct attest_input in;
    struct config config;
    struct err err;
    unsigned words;
    int status;
    bool good;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    if (!read_files(&config, settings_words(settings, &words)[0], &f, &err)) {
        (void)fprintf(stderr, "atls verify: %s\n", err.text);
        files_done(&f);
        return 2;
    }
    in = (struct attest_input){
        .quote = buf_view(&f.quote),
        .event_log = buf_view(&f.event_log),
        .collateral = f.collateral,
        .now_s = f.now_s,
        .leaf_sha256 = config.certificate_hash ? f.leaf : NULL,
        .report_data = config.report_data ? f.report_data : NULL,
    };
    good = attest_verify(&in, f.policy, f.trust, &a, &why);
    if (config.json)
        print_json(a, &why);
    else if (good)
        print_text(a);
    else
        (void)fprintf(stderr, "atls verify: refused: %s [%s]\n", why.text,
                      attest_code_name(why.code));
    files_done(&f);
    return good ? 0 : 1;
}
