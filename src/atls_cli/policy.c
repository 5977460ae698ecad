/* atls policy: makes policies, and says what is wrong with them. */
#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/endpoint.h"
#include "atls_cli/input.h"
#include "attest/compose.h"
#include "attest/digest.h"
#include "attest/report.h"
#include "base/codec.h"
#include "base/command.h"

#include "base/poison.h"

enum { COMPOSE_MAX = 4 * 1024 * 1024, TEXT_MAX = 16 * 1024 * 1024 };

struct config {
    struct endpoint_config endpoint;
    const char *app_compose, *mrtd, *rtmr[3], *os_image_hash, *root;
};

#define ROW(field, text, ...)                                                         \
    {                                                                                 \
        .name = text, .kind = SETTING_TEXT, .offset = offsetof(struct config, field), \
        .group = "What is expected (init)", __VA_ARGS__                               \
    }

static const struct setting rows[] = {
    ENDPOINT_ROWS,
    ROW(app_compose, "app-compose", .value_name = "FILE",
        .help = "The app-compose.json that must run there, to the byte"),
    ROW(mrtd, "mrtd", .value_name = "HEX", .help = "Measurement of the firmware"),
    ROW(rtmr[0], "rtmr0", .value_name = "HEX", .help = "… of the virtual hardware"),
    ROW(rtmr[1], "rtmr1", .value_name = "HEX", .help = "… of the kernel"),
    ROW(rtmr[2], "rtmr2", .value_name = "HEX", .help = "… of command line and initramfs"),
    ROW(os_image_hash, "os-image-hash", .value_name = "HEX", .help = "Hash of the OS image"),
    ROW(root, "root", .value_name = "FILE",
        .help = "Trust this root (PEM) instead of Intel's: for simulators"),
};

static const struct settings_program program = {
    .name = "atls policy",
    .prefix = "ATLS_POLICY_",
    .summary = "init prints a policy made of an app-compose.json and measurements. check says "
               "whether FILE is a policy, and what it leaves out. from-endpoint connects to URL, "
               "verifies that it is genuine hardware, and prints the policy that it would satisfy: "
               "what runs there is then trusted on first use.",
    .usage = "atls policy init --app-compose FILE --mrtd HEX --rtmr0 HEX --rtmr1 HEX --rtmr2 HEX "
             "--os-image-hash HEX | check FILE | from-endpoint URL [--cacert FILE] [--root FILE]",
    .epilogue = "Exit status: 0 good; 2 a bad policy, or usage; from-endpoint: as atls get.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "init, check FILE or from-endpoint URL",
    .words_least = 1,
    .words_most = 2,
};

/* What a policy is made of. */
struct recipe {
    struct view boot[BOOT_COUNT];  /* 48 bytes each */
    struct view compose, os_image; /* 32 bytes each */
    const char *note;
    struct view root_pem; /* empty: Intel's */
};

static bool print_policy(const struct recipe *p, struct err *err)
{
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, TEXT_MAX, "policy");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "type");
    json_text(&w, VIEW("dstack_tdx"));
    if (p->note) {
        json_key(&w, "x_note");
        json_text(&w, view_str(p->note));
    }
    json_key(&w, "expected_bootchain");
    json_object(&w);
    for (unsigned i = 0; i < BOOT_COUNT; i++)
        report_write_hex(&w, policy_boot_name(i), p->boot[i]);
    json_object_end(&w);
    report_write_hex(&w, "app_compose_hash", p->compose);
    report_write_hex(&w, "os_image_hash", p->os_image);
    json_key(&w, "allowed_tcb_status");
    json_array(&w);
    json_text(&w, VIEW("UpToDate"));
    json_array_end(&w);
    if (p->root_pem.len) {
        json_key(&w, "allow_simulated");
        json_bool(&w, true);
        json_key(&w, "trusted_roots");
        json_array(&w);
        json_text(&w, p->root_pem);
        json_array_end(&w);
    }
    json_object_end(&w);
    good = json_end(&w, err);
    if (good)
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    return good;
}

static int fail(const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", program.name, err->text);
    return 2;
}

static int init(const struct config *c)
{
    uint8_t boot[BOOT_COUNT][MEASUREMENT_BYTES], compose[32], image[32];
    const char *texts[BOOT_COUNT] = {c->mrtd, c->rtmr[0], c->rtmr[1], c->rtmr[2]};
    struct recipe p = {.compose = view_from(compose, 32), .os_image = view_from(image, 32)};
    struct buf file, pem;
    struct view content;
    struct err err;
    bool good = true;

    buf_init(&pem, (size_t)64 * 1024, "root");
    for (unsigned i = 0; good && i < BOOT_COUNT; i++) {
        good = command_hex(texts[i] ? texts[i] : "", policy_boot_name(i), boot[i],
                           MEASUREMENT_BYTES, &err);
        p.boot[i] = view_from(boot[i], MEASUREMENT_BYTES);
    }
    good =
        good &&
        command_hex(c->os_image_hash ? c->os_image_hash : "", "os-image-hash", image, 32, &err) &&
        (c->app_compose || err_set(&err, ERR_USAGE, "--app-compose is missing"));
    if (good && input_file(c->app_compose, COMPOSE_MAX, "app-compose", &file, &err)) {
        content = buf_view(&file);
        good = digest_sha256(&content, 1, compose) &&
               (!c->root || input_file(c->root, (size_t)64 * 1024, "root", &pem, &err));
        p.root_pem = buf_view(&pem);
        good = good && print_policy(&p, &err);
        buf_done(&file);
    } else {
        good = false;
    }
    buf_done(&pem);
    return good ? 0 : fail(&err);
}

static int check(const char *path)
{
    CLEANUP(policy_free_cleanup) struct policy *p = NULL;
    char allowed[320];
    struct err err;

    if (!input_policy(path, &p, &err))
        return fail(&err);
    (void)printf("%s: good\n", path);
    (void)printf("  TCB status      %s%s\n", policy_allowed_text(p, allowed, sizeof allowed),
                 p->has_grace ? ", OutOfDate for a while" : "");
    if (p->runtime_unverified)
        (void)printf(
            "  software        NOT VERIFIED: any application on genuine hardware passes\n");
    else
        (void)printf("  software        %u boot chain%s, %u application%s, %u image%s\n",
                     p->bootchain_count, p->bootchain_count == 1 ? "" : "s", p->compose.count,
                     p->compose.count == 1 ? "" : "s", p->os_image.count,
                     p->os_image.count == 1 ? "" : "s");
    (void)printf("  certificate     %s\n", p->tls == POLICY_TLS_WEBPKI
                                               ? "by a CA, for the name, and in the event log"
                                               : "any that the event log names");
    if (p->allow_simulated)
        (void)printf("  platform        SIMULATED ones pass\n");
    return 0;
}

/* Genuine hardware, whatever its patches and whatever runs there. */
static bool open_policy(const struct config *c, struct buf *pem, struct policy **out,
                        struct err *err)
{
    struct attest_err why;
    struct json_writer w;
    struct buf text;
    bool good;

    buf_init(pem, (size_t)64 * 1024, "root");
    if (c->root && !input_file(c->root, (size_t)64 * 1024, "root", pem, err))
        return false;
    buf_init(&text, TEXT_MAX, "policy");
    json_begin(&w, &text);
    json_object(&w);
    json_key(&w, "type");
    json_text(&w, VIEW("dstack_tdx"));
    json_key(&w, "disable_runtime_verification");
    json_bool(&w, true);
    json_key(&w, "allowed_tcb_status");
    json_array(&w);
    for (unsigned i = 0; i < TCB_STATUS_COUNT; i++)
        json_text(&w, view_str(tcb_status_name((enum tcb_status)i)));
    json_array_end(&w);
    if (c->root) {
        json_key(&w, "allow_simulated");
        json_bool(&w, true);
        json_key(&w, "trusted_roots");
        json_array(&w);
        json_text(&w, buf_view(pem));
        json_array_end(&w);
    }
    json_object_end(&w);
    good = json_end(&w, err) &&
           (policy_parse(buf_view(&text), out, &why) || err_set(err, ERR_CONFIG, "%s", why.text));
    buf_done(&text);
    return good;
}

static int from_endpoint(const struct config *c, const char *url)
{
    CLEANUP(attested_free_cleanup) struct attested *connection = NULL;
    CLEANUP(policy_free_cleanup) struct policy *policy = NULL;
    const struct attestation *a;
    struct endpoint endpoint;
    struct recipe p = {.note = "trusted on first use: compare with what you expect to run there"};
    struct buf pem;
    struct err err;
    int status = 2;

    if (!endpoint_parse(url, true, &endpoint, &err) || !open_policy(c, &pem, &policy, &err))
        return fail(&err);
    if (!endpoint_open(program.name, &c->endpoint, &endpoint, policy, &connection, &status)) {
        buf_done(&pem);
        return status;
    }
    a = atls_client_attestation(attested_client(connection));
    p.boot[BOOT_MRTD] = a->dcap.quote.td.mrtd;
    for (unsigned i = 0; i < 3; i++)
        p.boot[BOOT_RTMR0 + i] = a->dcap.quote.td.rtmr[i];
    p.compose = view_from(a->compose_hash, 32);
    p.os_image = view_from(a->os_image_hash, 32);
    p.root_pem = buf_view(&pem);
    if (!a->has_compose || !a->has_os_image) {
        (void)err_set(&err, ERR_SYNTAX,
                      "the endpoint's event log names no %s: no policy could hold it to one",
                      a->has_compose ? "OS image" : "application");
        status = fail(&err);
    } else {
        status = print_policy(&p, &err) ? 0 : fail(&err);
    }
    buf_done(&pem);
    return status;
}

int cli_policy(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    const char *const *words;
    struct config config;
    unsigned count;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    words = settings_words(settings, &count);
    if (strcmp(words[0], "init") == 0 && count == 1)
        return init(&config);
    if (strcmp(words[0], "check") == 0 && count == 2)
        return check(words[1]);
    if (strcmp(words[0], "from-endpoint") == 0 && count == 2)
        return from_endpoint(&config, words[1]);
    (void)fprintf(stderr, "%s: expected %s; see --help\n", program.name, program.word);
    return 2;
}
