/* Where credentials are while they are needed, and that they are nowhere afterwards. */
#include "scan.h"

#include "ati/keyring/keyring.h"
#include "ati/token/token.h"
#include "base/codec.h"
#include "base/file.h"

static char folder[] = "/tmp/test_keyring_memory.XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_credentials(const uint8_t *masked)
{
    char text[256], value[SCAN_BYTES + 1];

    scan_unmask(masked, value);
    (void)snprintf(text, sizeof text, "{\"first\": \"x\", \"planted\": \"%s\", \"last\": \"y\"}",
                   value);
    if (!file_write(path_of("credentials"), view_str(text), 0600, NULL))
        _exit(1);
}

/* With an escape in it, so that it must be decoded. */
static void write_escaped(const uint8_t *masked)
{
    char text[256], value[SCAN_BYTES + 1];

    scan_unmask(masked, value);
    (void)snprintf(text, sizeof text, "{\"planted\": \"\\u%04x%s\"}", (unsigned)value[0],
                   value + 1);
    if (!file_write(path_of("credentials"), view_str(text), 0600, NULL))
        _exit(1);
}

static void write_behind_a_file(const uint8_t *masked)
{
    char text[256], value[SCAN_BYTES + 1];

    scan_unmask(masked, value);
    (void)snprintf(text, sizeof text, "{\"planted\": \"@file:%s\"}", path_of("behind"));
    if (!file_write(path_of("credentials"), view_str(text), 0600, NULL) ||
        !file_write(path_of("behind"), view_str(value), 0600, NULL))
        _exit(1);
}

static void write_encrypted(const uint8_t *masked)
{
    uint8_t key[KEYRING_KEY_BYTES];
    char text[256], value[SCAN_BYTES + 1];
    size_t bytes;

    scan_unmask(masked, value);
    (void)snprintf(text, sizeof text, "{\"planted\": \"%s\"}", value);
    if (!keyring_key(folder, true, key, NULL) ||
        !keyring_write(folder, view_str(text), key, &bytes, NULL))
        _exit(1);
}

static void write_large(const uint8_t *masked)
{
    static char text[256 * 1024];
    char value[SCAN_BYTES + 1];
    size_t n = (size_t)snprintf(text, sizeof text, "{");

    scan_unmask(masked, value);
    for (unsigned i = 0; i < 2000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "\"name_%u\": \"a value of some length, number %u\",%s", i, i,
                              i % 7 ? "" : "\n");
    (void)snprintf(text + n, sizeof text - n, "\"planted\": \"%s\"}", value);
    if (!file_write(path_of("credentials"), view_str(text), 0600, NULL))
        _exit(1);
}

static bool is_planted(struct view value, const uint8_t *masked)
{
    return value.len == SCAN_BYTES && scan_at(value.at, masked);
}

static void loads_and_leaves_nothing(void **state)
{
    static const struct {
        void (*write)(const uint8_t *masked);
        const char *source;
    } rows[] = {
        {write_credentials, "credentials (plaintext)"},
        {write_escaped, "credentials (plaintext)"},
        {write_behind_a_file, "credentials (plaintext)"},
        {write_large, "credentials (plaintext)"},
        {write_encrypted, "keyring.enc (persistent key)"},
    };
    const struct keyring_source source = {.folder = folder};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct keyring_report report;
        struct keyring *k = NULL;
        struct view value;
        struct scan found;
        uint8_t masked[SCAN_BYTES];

        scan_make(masked);
        assert_int_equal(scan_for(masked).hits, 0);
        scan_elsewhere(rows[i].write, masked);
        assert_true(keyring_load(&source, &k, &report, NULL));
        assert_string_equal(report.source, rows[i].source);
        assert_true(keyring_find(k, VIEW("planted"), &value));
        assert_true(is_planted(value, masked));
        found = scan_for(masked);
        assert_int_equal(found.hits, 1);
        assert_true(found.all_locked);
        assert_true(found.all_read_only);
        keyring_unref(k);
        assert_int_equal(scan_for(masked).hits, 0);
    }
    assert_int_equal(unlink(path_of("keyring.enc")), 0);
}

static void an_expanded_text_is_gone_when_it_is_wiped(void **state)
{
    const struct keyring_source source = {.folder = folder};
    struct keyring_report report;
    struct keyring *k = NULL;
    struct scan found;
    struct buf out;
    uint8_t masked[SCAN_BYTES];
    char missing[128];

    (void)state;
    scan_make(masked);
    scan_elsewhere(write_credentials, masked);
    assert_true(keyring_load(&source, &k, &report, NULL));
    buf_init(&out, 64 * 1024, "text");
    for (unsigned i = 0; i < 200; i++) /* it moves several times */
        assert_true(keyring_expand(k, VIEW("Bearer ${planted} and more; "), KEYRING_MISSING_FAILS,
                                   &out, missing, NULL));
    found = scan_for(masked);
    assert_int_equal(found.hits, 201); /* where it stands, and nowhere else */
    buf_wipe(&out);
    assert_int_equal(scan_for(masked).hits, 1);
    keyring_unref(k);
    assert_int_equal(scan_for(masked).hits, 0);
}

static void collect(void *context, struct view name, struct view value)
{
    (void)value;
    *(size_t *)context += view_eq(name, VIEW("planted")) || view_eq(name, VIEW("new"));
}

static void changing_the_file_leaves_nothing(void **state)
{
    uint8_t masked[SCAN_BYTES];
    size_t seen = 0;
    bool found;

    (void)state;
    scan_make(masked);
    scan_elsewhere(write_credentials, masked);
    assert_true(keyring_credentials_set(folder, VIEW("new"), VIEW("\"quoted\"\n"), NULL));
    assert_true(keyring_credentials_list(folder, collect, &seen, NULL));
    assert_int_equal(seen, 2);
    assert_int_equal(scan_for(masked).hits, 0);
    assert_true(keyring_credentials_remove(folder, VIEW("planted"), &found, NULL));
    assert_true(found);
    assert_int_equal(scan_for(masked).hits, 0);
}

static void what_cannot_be_read_leaves_nothing(void **state)
{
    const struct keyring_source source = {.folder = folder, .keep_on_error = true};
    struct keyring_report report;
    struct keyring *k = NULL;
    struct err err = {0};
    uint8_t masked[SCAN_BYTES];
    FILE *f;

    (void)state;
    scan_make(masked);
    scan_elsewhere(write_credentials, masked);
    f = fopen(path_of("credentials"), "ae");
    assert_non_null(f);
    assert_true(fputs("x", f) >= 0 && fclose(f) == 0);
    assert_false(keyring_load(&source, &k, &report, &err));
    assert_int_equal(scan_for(masked).hits, 0);
}

/* The secret of HS256: the digits are the environment's, the bytes are ours. */
static void a_signing_secret_is_in_locked_pages_alone(void **state)
{
    const struct token_request request = {.subject = VIEW("a"),
                                          .scope = VIEW("*"),
                                          .audience = VIEW(TOKEN_AUDIENCE),
                                          .now_s = 1800000000,
                                          .ttl_s = 60};
    uint8_t masked[SCAN_BYTES];
    struct token_config config = {0};
    struct token_authority *a = NULL;
    struct caller *c = NULL;
    struct scan found;
    struct buf token;
    char hex[2 * SCAN_BYTES + 1];

    (void)state;
    random_bytes(masked, sizeof masked);
    for (size_t i = 0; i < SCAN_BYTES; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", masked[i] ^ SCAN_MASK);
    config.secret_hex = hex;
    assert_true(token_authority_load(&config, &a, NULL));
    buf_init(&token, TOKEN_BYTES_MAX, "token");
    assert_true(token_issue(&request, VIEW(""), VIEW("another secret"), &token, NULL));
    assert_false(token_validate(a, buf_view(&token), request.now_s, &c, NULL));
    found = scan_for(masked);
    assert_int_equal(found.hits, 1);
    assert_true(found.all_locked && found.all_read_only);
    token_authority_unref(a);
    assert_int_equal(scan_for(masked).hits, 0);
    buf_done(&token);
}

static void a_child_finds_nothing(void **state)
{
    const struct keyring_source source = {.folder = folder};
    struct keyring_report report;
    struct keyring *k = NULL;
    uint8_t masked[SCAN_BYTES];
    int status = -1;
    pid_t pid;

    (void)state;
    scan_make(masked);
    scan_elsewhere(write_credentials, masked);
    assert_true(keyring_load(&source, &k, &report, NULL));
    pid = fork();
    if (pid == 0)
        _exit(scan_for(masked).hits == 0 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    keyring_unref(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_leaves_nothing),
        cmocka_unit_test(an_expanded_text_is_gone_when_it_is_wiped),
        cmocka_unit_test(changing_the_file_leaves_nothing),
        cmocka_unit_test(what_cannot_be_read_leaves_nothing),
        cmocka_unit_test(a_signing_secret_is_in_locked_pages_alone),
        cmocka_unit_test(a_child_finds_nothing),
    };
    char command[64];
    int failed;

    if (!mkdtemp(folder))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? failed : 1; /* NOLINT(cert-env33-c): our own folder */
}
