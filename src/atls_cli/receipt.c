/* atls receipt: what an attestation was, from a file, offline: verified anew, or shown as it stands there. */
#include "attest/receipt.h"

#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/input.h"
#include "atls_cli/output.h"
#include "attest/report.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/text.h"

#include "base/poison.h"

enum {
    SHOWN_BYTES = 512,
    SHOWN_ROOM = 4 * SHOWN_BYTES + 8,
    REPORT_MAX = 32 * 1024 * 1024,
    VERDICT_WIDTH = 18, /* of names, as output_attestation has it */
    SHOW_WIDTH = 28,
};

struct config {
    const char *policy, *root, *at;
    bool json;
};

#define ROW(field, k, text, ...)                                                       \
    {                                                                                  \
        .name = text, .kind = k, .offset = offsetof(struct config, field), __VA_ARGS__ \
    }

static const struct setting rows[] = {
    ROW(policy, SETTING_TEXT, "policy", .group = "Expectations (verify)", .value_name = "FILE",
        .help = "Judge by this policy, too; without it, by the receipt's own alone"),
    ROW(at, SETTING_TEXT, "at", .group = "Expectations (verify)", .value_name = "TIME",
        .help = "Judge as of this time (RFC 3339), too, instead of the receipt's"),
    ROW(root, SETTING_TEXT, "root", .group = "Expectations (verify)", .value_name = "FILE",
        .help = "Trust this root certificate (PEM) instead of Intel's: for simulators"),
    ROW(json, SETTING_BOOL, "json", .group = "Output", .help = "Print one JSON object"),
};

static const struct settings_program program = {
    .name = "atls receipt",
    .prefix = "ATLS_RECEIPT_",
    .summary = "verify checks the attestation in FILE again, offline, from its evidence alone, as "
               "of the time when it was made, and holds everything that the receipt says against "
               "what comes out. show prints what stands there; nothing is verified. FILE is by "
               "\"atls get --receipt\"; - is standard input.",
    .usage = "atls receipt verify FILE [--policy FILE] [--at TIME] [--json] | show FILE",
    .epilogue = "Exit status: 0 it holds, or was shown; 1 refused, or no receipt; 2 usage.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "verify FILE or show FILE",
    .words_least = 2,
    .words_most = 2,
};

static int usage(const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", program.name, err->text);
    return 2;
}

/* --- verify --- */

/* { "verified", "judged_by", "error", "session", "report" } */
static void print_json(const struct receipt *r, const struct attestation *a,
                       const struct receipt_judge *judge, const struct attest_err *why)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, REPORT_MAX, "report");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "verified");
    json_bool(&w, a != NULL);
    json_key(&w, "judged_by");
    json_text(&w, judge->policy ? VIEW("policy") : VIEW("receipt"));
    json_key(&w, "error");
    report_write_error(a ? NULL : why, &w);
    json_key(&w, "session");
    if (r)
        json_raw(&w, json_span(&r->tree.doc, json_member(&r->tree.doc, 0, "session")));
    else
        json_null(&w);
    json_key(&w, "report");
    report_write(a, &w);
    json_object_end(&w);
    output_json(program.name, &w, &out);
}

static void print_line(int width, const char *name, struct view text)
{
    char shown[SHOWN_ROOM];

    (void)text_escape(text, SHOWN_BYTES, shown, sizeof shown);
    (void)printf("  %-*s  %s\n", width, name, shown);
}

static void print_hex(const char *name, const uint8_t *bytes, size_t n)
{
    (void)printf("  %-*s  ", VERDICT_WIDTH, name);
    while (n--)
        (void)printf("%02x", *bytes++);
    (void)printf("\n");
}

static void print_text(const struct receipt *r, const struct attestation *a,
                       const struct receipt_judge *judge)
{
    char time[CLOCK_RFC3339_BYTES];

    output_attestation(a);
    (void)clock_rfc3339(r->verified_at_s * 1000, time);
    if (judge->policy)
        (void)printf("  judged by           the policy given, and the receipt's own\n");
    else
        print_hex("judged by policy", r->policy_sha256, HASH_BYTES);
    print_hex("certificate", r->certificate_sha256, HASH_BYTES);
    (void)printf("by the word of the client alone\n");
    print_line(VERDICT_WIDTH, "server", r->server_name);
    (void)printf("  verified at         %.19sZ\n", time);
}

static bool read_judge(const struct config *c, struct policy **policy, struct trust **trust,
                       struct receipt_judge *out, struct err *err)
{
    out->has_time = c->at != NULL;
    if (c->at && !clock_rfc3339_parse(view_str(c->at), &out->at_s))
        return err_set(err, ERR_USAGE, "--at: expected a time like 2026-11-21T10:00:00Z");
    if ((c->policy && !input_policy(c->policy, policy, err)) ||
        (c->root && !input_trust(c->root, trust, err)))
        return false;
    out->policy = *policy;
    out->trust = *trust;
    return true;
}

static int verify(const struct config *c, struct view text)
{
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    CLEANUP(receipt_free_cleanup) struct receipt *r = NULL;
    CLEANUP(policy_free_cleanup) struct policy *policy = NULL;
    CLEANUP(trust_free_cleanup) struct trust *trust = NULL;
    struct receipt_judge judge = {.policy = NULL};
    struct attest_err why = {.code = ATTEST_OK};
    struct err err;
    bool good;

    if (!read_judge(c, &policy, &trust, &judge, &err))
        return usage(&err);
    good = receipt_parse(text, &r, &why) && receipt_verify(r, &judge, &a, &why);
    if (c->json)
        print_json(r, a, &judge, &why);
    else if (good)
        print_text(r, a, &judge);
    else
        (void)fprintf(stderr, "%s: refused: %s [%s]\n", program.name, why.text,
                      attest_code_name(why.code));
    return good ? 0 : 1;
}

/* --- show --- */

/* What is long is told by its length. */
static void print_member(const struct json_doc *doc, const char *before, uint32_t key)
{
    uint32_t value = doc->tokens[key].next;
    struct view text = json_span(doc, value);
    char name[SHOWN_ROOM], whole[2 * SHOWN_ROOM];

    (void)text_escape(json_span(doc, key), SHOWN_BYTES, name, sizeof name);
    (void)snprintf(whole, sizeof whole, "%s%s", before, name);
    if (text.len <= SHOWN_BYTES)
        print_line(SHOW_WIDTH, whole, text);
    else
        (void)printf("  %-*s  (%zu bytes of text)\n", SHOW_WIDTH, whole, text.len);
}

/* Those of objects within it, too, when they are short. */
static void print_members(const struct json_doc *doc, uint32_t object)
{
    uint32_t key = json_first(object);
    char before[64];

    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t value = doc->tokens[key].next, inner = json_first(value);
        bool within = doc->tokens[value].kind == JSON_OBJECT &&
                      json_span(doc, value).len <= SHOWN_BYTES &&
                      json_string(doc, key, before, sizeof before - 1);

        if (!within)
            print_member(doc, "", key);
        for (uint32_t k = 0; within && k < doc->tokens[value].count; k++) {
            if (!k)
                memcpy(before + strlen(before), ".", 2);
            print_member(doc, before, inner);
            inner = doc->tokens[doc->tokens[inner].next].next;
        }
        key = doc->tokens[value].next;
    }
}

static struct view member_text(const struct json_doc *doc, uint32_t object, const char *key)
{
    uint32_t token = json_member(doc, object, key);

    return token ? json_span(doc, token) : VIEW("");
}

static void print_events(const struct json_doc *doc, uint32_t events)
{
    uint32_t at = json_first(events);
    char name[256], payload[SHOWN_ROOM];

    for (uint32_t i = 0; i < doc->tokens[events].count; i++) {
        (void)text_escape(member_text(doc, at, "event"), sizeof name / 4, name, sizeof name);
        (void)text_escape(member_text(doc, at, "payload"), SHOWN_BYTES, payload, sizeof payload);
        (void)printf("  %-*s  %s\n", SHOW_WIDTH, name, payload);
        at = doc->tokens[at].next;
    }
}

static void show_all(const struct receipt *r)
{
    static const char *const parts[] = {"session", "evidence", "policy", "summary"};
    const struct json_doc *doc = &r->tree.doc;
    uint32_t events = json_member(doc, r->summary, "events");

    (void)printf("as it stands there; nothing is verified\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        (void)printf("%s\n", parts[i]);
        print_members(doc, json_member(doc, 0, parts[i]));
    }
    if (events && doc->tokens[events].kind == JSON_ARRAY) {
        (void)printf("events of RTMR3\n");
        print_events(doc, events);
    }
}

static int show(const struct config *c, struct view text)
{
    CLEANUP(receipt_free_cleanup) struct receipt *r = NULL;
    struct attest_err why;

    if (!receipt_parse(text, &r, &why)) {
        (void)fprintf(stderr, "%s: %s [%s]\n", program.name, why.text, attest_code_name(why.code));
        return 1;
    }
    if (c->json)
        (void)printf("%.*s\n", VIEW_ARG(r->tree.doc.text));
    else
        show_all(r);
    return 0;
}

int cli_receipt(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    const char *const *words;
    struct config config;
    struct buf text;
    struct err err;
    unsigned count;
    int status;
    bool verifying;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    words = settings_words(settings, &count);
    verifying = strcmp(words[0], "verify") == 0;
    if (!verifying && strcmp(words[0], "show") != 0) {
        (void)fprintf(stderr, "%s: \"%s\" is not known; there are \"verify\" and \"show\"\n",
                      program.name, words[0]);
        return 2;
    }
    if (!input_file(words[1], RECEIPT_BYTES_MAX, "receipt", &text, &err))
        return usage(&err);
    status = verifying ? verify(&config, buf_view(&text)) : show(&config, buf_view(&text));
    buf_done(&text);
    return status;
}
