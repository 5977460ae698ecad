/* atls verify: is this quote genuine, and what a policy asks for? Offline; all that is needed is in files. */
#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/evidence.h"
#include "atls_cli/output.h"
#include "attest/report.h"
#include "base/clock.h"
#include "base/command.h"

#include "base/poison.h"

struct config {
    struct evidence_config evidence;
    bool json;
};

static const struct setting rows[] = {
    EVIDENCE_ROWS,
    {.name = "json",
     .group = "Output",
     .kind = SETTING_BOOL,
     .offset = offsetof(struct config, json),
     .help = "Print one JSON object"},
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

/* { "verified", "status", "advisory_ids", "tcb_date", "error", "report" } */
static void print_json(const struct attestation *a, const struct attest_err *why)
{
    struct json_writer w;
    struct buf out;

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
    report_write_error(a ? NULL : why, &w);
    json_key(&w, "report");
    report_write(a, &w);
    json_object_end(&w);
    output_json(program.name, &w, &out);
}

int cli_verify(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    struct attest_err why = {.code = ATTEST_OK};
    struct evidence evidence;
    struct config config;
    struct err err;
    unsigned words;
    int status;
    bool good;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    if (!evidence_read(&config.evidence, settings_words(settings, &words)[0], &evidence, &err)) {
        (void)fprintf(stderr, "atls verify: %s\n", err.text);
        evidence_done(&evidence);
        return 2;
    }
    good = attest_verify(&evidence.input, evidence.policy, evidence.trust, &a, &why);
    if (config.json)
        print_json(a, &why);
    else if (good)
        output_attestation(a);
    else
        (void)fprintf(stderr, "atls verify: refused: %s [%s]\n", why.text,
                      attest_code_name(why.code));
    evidence_done(&evidence);
    return good ? 0 : 1;
}
