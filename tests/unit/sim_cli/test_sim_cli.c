/* The commands of atlas-sim: what they leave on disk, what they print, and what they say when asked for nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "attest/policy.h"
#include "base/codec.h"
#include "base/file.h"
#include "sim_cli/commands.h"
#include "sim_cli/state.h"
#include "support/capture.h"

enum { NOW_S = 1790000000, WORDS_MAX = 12 };

static char root[] = "/tmp/sim-cli-XXXXXX", folder[64];
static struct capture said;

typedef int command(int argc, char **argv, char **environment);

/* words: NULL-terminated, behind the command's name. */
static int start(command *run, const char *const *words)
{
    char text[WORDS_MAX][512], *argv[WORDS_MAX + 1] = {text[0]}, *environment[] = {NULL};
    int argc = 1, status;

    (void)strcpy(text[0], "atlas-sim command");
    for (; words[argc - 1]; argc++) {
        assert_true(argc < WORDS_MAX);
        (void)snprintf(text[argc], sizeof text[argc], "%s", words[argc - 1]);
        argv[argc] = text[argc];
    }
    capture_begin(&said);
    status = run(argc, argv, environment);
    capture_end(&said);
    return status;
}

#define START(run, ...) start(run, (const char *const[]){__VA_ARGS__, NULL})

static char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static unsigned mode_of(const char *name)
{
    struct stat about;

    assert_int_equal(stat(path_of(name), &about), 0);
    return about.st_mode & 0777;
}

static void read_into(const char *name, struct buf *out)
{
    buf_init(out, POLICY_BYTES_MAX, "file");
    assert_true(file_read(path_of(name), out, NULL));
}

static X509 *certificate_of(const char *name)
{
    FILE *in = fopen(path_of(name), "r");
    X509 *x;

    assert_non_null(in);
    x = PEM_read_X509(in, NULL, NULL, NULL);
    (void)fclose(in);
    assert_non_null(x);
    return x;
}

/* A platform in a folder of its own. */
static void make_one(void)
{
    int n = START(sim_init, folder);

    if (n)
        fail_msg("%s", said.err);
}

/* --- init --- */

static void init_leaves_all_that_its_header_says(void **state)
{
    static const char *const open_ones[] = {
        "root-cert.pem",    "platform-ca-cert.pem", "pck-cert.pem", "tcb-signing-cert.pem",
        "app-compose.json", "collateral.json",      "policy.json",  "policy-dev.json",
        "tls-ca.pem",       "tls-cert.pem"};
    static const char *const keys[] = {"root-key.pem", "platform-ca-key.pem", "pck-key.pem",
                                       "tcb-signing-key.pem", "tls-key.pem"};
    struct policy *policy;
    struct attest_err why;
    struct buf text;

    (void)state;
    assert_int_equal(
        START(sim_init, folder, "--name", "tee.example", "--pccs-url", "http://127.0.0.1:9"), 0);
    assert_non_null(strstr(said.out, folder));
    assert_string_equal(said.err, "");
    for (size_t i = 0; i < sizeof open_ones / sizeof *open_ones; i++)
        assert_int_equal(mode_of(open_ones[i]), 0644);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(mode_of(keys[i]), 0600);
    read_into("policy.json", &text);
    if (!policy_parse(buf_view(&text), &policy, &why))
        fail_msg("%s", why.text);
    assert_string_equal(policy->pccs_url, "http://127.0.0.1:9");
    assert_true(policy->allow_simulated && !policy->runtime_unverified);
    assert_int_equal(policy->bootchain_count, 1);
    policy_free(policy);
    buf_done(&text);
    read_into("policy-dev.json", &text);
    assert_true(policy_parse(buf_view(&text), &policy, &why));
    assert_true(policy->runtime_unverified);
    policy_free(policy);
    buf_done(&text);
}

static void the_tls_certificate_is_for_the_name(void **state)
{
    static const struct {
        const char *name;
        bool ip;
    } rows[] = {
        {"tee.example", false},
        {"10.1.2.3", true},
        {"fd00::1", true},
        /* more than a common name may have */
        {"a-label-of-thirty-two-characters.a-label-of-thirty-two-characters.example", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        X509 *leaf, *ca;

        if (START(sim_init, folder, "--name", rows[i].name))
            fail_msg("%s", said.err);
        leaf = certificate_of("tls-cert.pem");
        ca = certificate_of("tls-ca.pem");
        assert_int_equal(rows[i].ip ? X509_check_ip_asc(leaf, rows[i].name, 0)
                                    : X509_check_host(leaf, rows[i].name, 0, 0, NULL),
                         1);
        assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
        assert_int_equal(X509_check_ip_asc(leaf, "::1", 0), 1);
        assert_int_equal(X509_check_host(leaf, "other.example", 0, 0, NULL), 0);
        assert_int_equal(X509_verify(leaf, X509_get0_pubkey(ca)), 1);
        X509_free(leaf);
        X509_free(ca);
    }
}

static void a_manifest_is_taken_as_it_is(void **state)
{
    static const char manifest[] = "{ \"name\" : \"b\\u00fccher\",\n  \"runner\":\"x\" }\n";
    struct sim_state s;
    struct buf kept;
    char path[128];
    struct err err;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/manifest", root);
    assert_true(file_write(path, view_str(manifest), 0600, NULL));
    if (START(sim_init, folder, "--app-compose", path))
        fail_msg("%s", said.err);
    read_into("app-compose.json", &kept);
    assert_true(view_eq(buf_view(&kept), view_str(manifest))); /* to the last blank: it is hashed */
    buf_done(&kept);
    assert_true(sim_state_load(folder, NOW_S, &s, &err));
    assert_true(view_eq(buf_view(&s.guest->compose), view_str(manifest)));
    sim_state_done(&s);
}

static void nonsense_is_refused_before_anything_is_written(void **state)
{
    static const struct {
        const char *option, *value, *why;
        int status;
    } rows[] = {
        {"--name", "", "--name: \"\" is neither a DNS name nor an IP address", 2},
        {"--name", "a,IP:6.6.6.6", "neither a DNS name", 2},
        {"--name", "a b", "neither a DNS name", 2},
        {"--name",
         "b\xc3\xbc"
         "cher.example",
         "neither a DNS name", 2},
        {"--name", "a..b", "neither a DNS name", 2},
        {"--pccs-url", "bad url", "--pccs-url: \"bad url\" is no https:// URL", 2},
        {"--pccs-url", "http://elsewhere.example", "nor http:// to this machine", 2},
        {"--pccs-url", "", "is no https:// URL", 2},
        {"--app-compose", "/nonexistent", "/nonexistent: No such file", 66},
        {"--app-compose", "/dev/null", "/dev/null: ", 65},
        {"--nmae", "x", "--name", 2},
    };
    char long_name[300];
    struct stat about;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = START(sim_init, path_of("not-made"), rows[i].option, rows[i].value);

        if (status != rows[i].status || !strstr(said.err, rows[i].why))
            fail_msg("%s %s: %d %s", rows[i].option, rows[i].value, status, said.err);
        assert_string_equal(said.out, "");
        assert_int_not_equal(stat(path_of("not-made"), &about), 0);
    }
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(START(sim_init, path_of("not-made"), "--name", long_name), 2);
}

static void folders_are_named_and_there(void **state)
{
    (void)state;
    assert_int_equal(START(sim_init, "--name", "x"), 2);
    assert_non_null(strstr(said.err, "FOLDER is missing"));
    assert_int_equal(START(sim_init, "a", "b"), 2);
    assert_non_null(strstr(said.err, "\"b\""));
    assert_int_equal(START(sim_init, path_of("no/such/parent")), 74);
    assert_non_null(strstr(said.err, "no/such/parent: No such file"));
    assert_int_equal(START(sim_init, "--help"), 0);
    assert_non_null(strstr(said.out, "Usage: atlas-sim init FOLDER"));
}

/* A second init makes another platform, whole. */
static void init_starts_anew(void **state)
{
    struct buf before, after;
    struct sim_state s;
    struct err err;

    (void)state;
    make_one();
    read_into("root-cert.pem", &before);
    make_one();
    read_into("root-cert.pem", &after);
    assert_false(view_eq(buf_view(&before), buf_view(&after)));
    if (!sim_state_load(folder, NOW_S, &s, &err))
        fail_msg("%s", err.text);
    sim_state_done(&s);
    buf_done(&before);
    buf_done(&after);
}

/* --- state --- */

static void a_platform_that_is_not_whole_is_named(void **state)
{
    static const char *const files[] = {"root-cert.pem", "pck-key.pem", "tcb-signing-cert.pem",
                                        "platform-ca-key.pem", "app-compose.json"};
    struct sim_state s;
    struct err err;

    (void)state;
    assert_false(sim_state_load("/nonexistent", NOW_S, &s, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "\"atlas-sim init /nonexistent\" makes one"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        make_one();
        assert_int_equal(unlink(path_of(files[i])), 0);
        assert_false(sim_state_load(folder, NOW_S, &s, &err));
        assert_non_null(strstr(err.text, files[i]));
        if (i == 4)
            break;
        assert_true(file_write(path_of(files[i]), VIEW("broken"), 0600, NULL));
        assert_false(sim_state_load(folder, NOW_S, &s, &err));
        if (!strstr(err.text, "reading a"))
            fail_msg("%s", err.text);
    }
}

static void keys_belong_to_their_certificates(void **state)
{
    struct sim_state s;
    struct buf other;
    struct err err;

    (void)state;
    make_one();
    read_into("root-key.pem", &other);
    assert_true(file_write(path_of("pck-key.pem"), buf_view(&other), 0600, NULL));
    buf_done(&other);
    assert_false(sim_state_load(folder, NOW_S, &s, &err));
    assert_non_null(strstr(err.text, "pck-key.pem is not the key of pck-cert.pem"));
}

static void long_paths_are_refused(void **state)
{
    char *longest = malloc(STATE_PATH_BYTES + 1);
    struct sim_state s;
    struct err err;

    (void)state;
    memset(longest, 'a', STATE_PATH_BYTES);
    longest[STATE_PATH_BYTES] = '\0';
    assert_false(sim_state_load(longest, NOW_S, &s, &err));
    assert_false(sim_state_write(longest, "name", VIEW("x"), 0600, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    free(longest);
}

/* --- quote --- */

static void quotes_come_in_three_forms(void **state)
{
    static const char leaf[] = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
    static uint8_t bytes[CAPTURE_BYTES / 2];
    char data[2 * REPORT_DATA_BYTES + 1];
    struct attest_err why;
    struct json_tree tree;
    struct quote quote;
    struct view hex;

    (void)state;
    make_one();
    memset(data, 'a', sizeof data - 1);
    data[sizeof data - 1] = '\0';
    for (unsigned version = 4; version <= 5; version++) {
        const char *number = version == 4 ? "4" : "5";

        assert_int_equal(START(sim_quote_command, folder, "--quote-version", number), 0);
        if (!quote_parse(view_from(said.out, said.out_len), &quote, &why))
            fail_msg("%s", why.text);
        assert_int_equal(quote.version, version);
        assert_int_equal(START(sim_quote_command, "--hex", folder, "--report-data", data,
                               "--quote-version", number),
                         0);
        assert_true(said.out_len % 2 == 0);
        assert_true(hex_decode(view_from(said.out, said.out_len), bytes, said.out_len / 2));
        assert_true(quote_parse(view_from(bytes, said.out_len / 2), &quote, &why));
        assert_int_equal(quote.version, version);
        assert_int_equal(quote.td.report_data.at[63], 0xaa);
        assert_int_equal(START(sim_quote_command, folder, "--json", "--certificate-sha256", leaf,
                               "--quote-version", number),
                         0);
        assert_true(json_load(view_from(said.out, said.out_len), 1000, &tree, NULL));
        hex = json_span(&tree.doc, json_member(&tree.doc, 0, "quote"));
        assert_true(hex_decode(hex, bytes, hex.len / 2));
        assert_true(quote_parse(view_from(bytes, hex.len / 2), &quote, &why));
        assert_int_equal(quote.version, version);
        assert_true(view_find_text(json_span(&tree.doc, json_member(&tree.doc, 0, "event_log")),
                                   VIEW("New TLS Certificate")));
        json_unload(&tree);
    }
}

static void wrong_words_for_a_quote_are_named(void **state)
{
    static const struct {
        const char *option, *value, *why;
    } rows[] = {
        {"--report-data", "00", "--report-data: expected 128 hex digits"},
        {"--report-data", "x", "--report-data: expected 128 hex digits"},
        {"--certificate-sha256", "00", "--certificate-sha256: expected 64 hex digits"},
        {"--quote-version", "3", "--quote-version"},
        {"--quote-version", "6", "--quote-version"},
        {"--quote-version", "four", "--quote-version"},
        {"extra", "words", "\"extra\""},
    };

    (void)state;
    make_one();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(START(sim_quote_command, folder, rows[i].option, rows[i].value), 2);
        if (!strstr(said.err, rows[i].why))
            fail_msg("%s", said.err);
        assert_int_equal(said.out_len, 0);
    }
    assert_int_equal(START(sim_quote_command, "--json"), 2);
    assert_non_null(strstr(said.err, "FOLDER is missing"));
    assert_int_equal(START(sim_quote_command, "/nonexistent"), 66);
    assert_non_null(strstr(said.err, "makes one"));
}

static void a_full_disk_is_noticed(void **state)
{
    int was = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY | O_CLOEXEC), status;
    char name[] = "atlas-sim quote", *argv[] = {name, folder, NULL}, *environment[] = {NULL};

    (void)state;
    make_one();
    (void)fflush(stdout);
    assert_true(dup2(full, STDOUT_FILENO) >= 0);
    status = sim_quote_command(2, argv, environment);
    clearerr(stdout);
    assert_true(dup2(was, STDOUT_FILENO) >= 0);
    close(was);
    close(full);
    assert_int_equal(status, 74);
}

/* --- serve --- */

static void what_cannot_be_served_ends_the_start(void **state)
{
    (void)state;
    make_one();
    assert_int_equal(START(sim_serve, "/nonexistent"), 66);
    assert_non_null(strstr(said.err, "atlas-sim serve: no simulated platform"));
    assert_int_equal(START(sim_serve, "--listen", "127.0.0.1:0"), 2);
    assert_non_null(strstr(said.err, "FOLDER is missing"));
    assert_int_not_equal(START(sim_serve, folder, "--listen", "nowhere"), 0);
    assert_non_null(strstr(said.err, "nowhere"));
    assert_int_not_equal(
        START(sim_serve, folder, "--listen", "127.0.0.1:0", "--socket", "/nonexistent/dstack.sock"),
        0);
    assert_non_null(strstr(said.err, "/nonexistent/dstack.sock"));
}

static int make_root(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/platform", root);
    return 0;
}

static int remove_root(void **state)
{
    char word[64];

    (void)state;
    (void)snprintf(word, sizeof word, "rm -r %s", root);
    return system(word); /* NOLINT(cert-env33-c): our own folder */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_leaves_all_that_its_header_says),
        cmocka_unit_test(the_tls_certificate_is_for_the_name),
        cmocka_unit_test(a_manifest_is_taken_as_it_is),
        cmocka_unit_test(nonsense_is_refused_before_anything_is_written),
        cmocka_unit_test(folders_are_named_and_there),
        cmocka_unit_test(init_starts_anew),
        cmocka_unit_test(a_platform_that_is_not_whole_is_named),
        cmocka_unit_test(keys_belong_to_their_certificates),
        cmocka_unit_test(long_paths_are_refused),
        cmocka_unit_test(quotes_come_in_three_forms),
        cmocka_unit_test(wrong_words_for_a_quote_are_named),
        cmocka_unit_test(a_full_disk_is_noticed),
        cmocka_unit_test(what_cannot_be_served_ends_the_start),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
