#include "ati/keyring/keyring.h"
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/file.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define SEALED   "keyring.enc (sealed key)"
#define KEPT     "keyring.enc (persistent key)"
#define PLAIN    "credentials (plaintext)"

static char folder[] = "/tmp/test_keyring.XXXXXX";
static const uint8_t key_a[KEYRING_KEY_BYTES] = {1, 2, 3}, key_b[KEYRING_KEY_BYTES] = {4, 5, 6};

static const char *path_of(const char *name)
{
    static char paths[4][96];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    assert_true(file_write(path_of(name), view_str(text), 0600, NULL));
}

static void put_key(const char *name, const uint8_t *key, const char *around)
{
    char text[128], base64[64];

    base64_encode(view_from(key, KEYRING_KEY_BYTES), base64);
    (void)snprintf(text, sizeof text, "%s%s%s", around, base64, around);
    put(name, text);
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static int begin(void **state)
{
    (void)state;
    if (mkdir(folder, 0700) != 0)
        return -1;
    return 0;
}

static int end(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c): our own folder */
}

/* ATI_KEY_FILE of the tests. */
static char **environment(void)
{
    static char variable[128];
    static char *list[] = {variable, NULL};

    (void)snprintf(variable, sizeof variable, "ATI_KEY_FILE=%s", path_of("sealed"));
    return list;
}

static struct keyring *load(bool fall_through, struct keyring_report *report)
{
    const struct keyring_source source = {
        .folder = folder, .environment = environment(), .fall_through = fall_through};
    struct keyring *k = NULL;
    struct err err = {0};

    if (!keyring_load(&source, &k, report, &err))
        fail_msg("%s", err.text);
    return k;
}

static const char *value_of(const struct keyring *k, const char *name)
{
    static char text[256];
    struct view value;

    if (!keyring_find(k, view_str(name), &value))
        return NULL;
    (void)snprintf(text, sizeof text, "%.*s", VIEW_ARG(value));
    return text;
}

static void what_is_there_decides_in_order(void **state)
{
    /* enc: by whose key keyring.enc is sealed ('a', 'b'), '?' that it is nonsense, '-' that there is none; keys likewise */
    static const struct {
        char enc, once, kept, credentials;
        const char *proxy, *command_line;
    } rows[] = {
        {'a', 'a', '-', '-', SEALED, SEALED},
        {'a', 'a', 'b', 'p', SEALED, SEALED},
        {'a', 'a', 'a', 'p', SEALED, SEALED},
        {'a', '-', 'a', '-', KEPT, KEPT},
        {'a', 'b', 'a', 'p', KEPT, KEPT},
        {'a', '?', 'a', 'p', KEPT, KEPT},
        {'a', '-', '-', '-', "empty (decryption failed)", "empty (no auth)"},
        {'a', '-', '-', 'p', "empty (decryption failed)", PLAIN},
        {'a', 'b', 'b', 'p', "empty (decryption failed)", PLAIN},
        {'a', '?', '?', 'p', "empty (decryption failed)", PLAIN},
        {'?', 'a', 'a', 'p', "empty (decryption failed)", PLAIN},
        {'?', 'a', 'a', '?', "empty (decryption failed)", "empty (credentials error)"},
        {'-', 'a', 'a', 'p', PLAIN, PLAIN},
        {'-', '-', '-', 'p', PLAIN, PLAIN},
        {'-', '-', '-', '?', "empty (credentials error)", "empty (credentials error)"},
        {'-', 'a', 'a', '-', "empty (no auth)", "empty (no auth)"},
    };

    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        bool command_line = i % 2;
        const char *expected = command_line ? rows[i / 2].command_line : rows[i / 2].proxy;
        struct keyring_report report;
        struct keyring *k;
        size_t bytes;

        assert_int_equal(end(state), 0);
        assert_int_equal(begin(state), 0);
        if (rows[i / 2].enc == 'a')
            assert_true(
                keyring_write(folder, VIEW("{\"name\":\"encrypted\"}"), key_a, &bytes, NULL));
        else if (rows[i / 2].enc == '?')
            put("keyring.enc", "nonsense, and more of it than a nonce and a tag");
        for (int which = 0; which < 2; which++) {
            char key = which ? rows[i / 2].kept : rows[i / 2].once;
            const char *name = which ? ".keyring-key" : "sealed";

            if (key == 'a' || key == 'b')
                put_key(name, key == 'a' ? key_a : key_b, which ? "\n" : " \t");
            else if (key == '?')
                put(name, "no key");
        }
        if (rows[i / 2].credentials != '-')
            put("credentials", rows[i / 2].credentials == 'p' ? "{\"name\":\"plain\"}" : "{");
        k = load(command_line, &report);
        if (strcmp(report.source, expected) != 0)
            fail_msg("row %zu: %s instead of %s", i / 2, report.source, expected);
        if (strncmp(expected, "empty", 5) == 0) {
            assert_int_equal(keyring_count(k), 0);
            assert_true(report.warning_count > 0);
        } else {
            assert_string_equal(value_of(k, "name"),
                                strcmp(expected, PLAIN) == 0 ? "plain" : "encrypted");
        }
        assert_int_equal(report.entries, keyring_count(k));
        assert_int_equal(keyring_ephemeral(k), strcmp(expected, SEALED) == 0);
        /* the key of one use is used up where there was something to open, whatever came of it */
        if (rows[i / 2].once != '-')
            assert_int_equal(is_there("sealed"), rows[i / 2].enc == '-');
        assert_int_equal(is_there(".keyring-key"), rows[i / 2].kept != '-');
        keyring_unref(k);
    }
}

static void the_sealed_key_is_for_one_process(void **state)
{
    struct keyring_report report;
    struct keyring *k;
    size_t bytes;

    (void)state;
    assert_true(keyring_write(folder, VIEW("{\"n\":\"v\"}"), key_a, &bytes, NULL));
    put_key("sealed", key_a, "");
    k = load(false, &report);
    assert_string_equal(report.source, SEALED);
    assert_string_equal(value_of(k, "n"), "v");
    keyring_unref(k);
    k = load(false, &report);
    assert_string_equal(report.source, "empty (decryption failed)");
    keyring_unref(k);
}

static void a_reload_keeps_what_it_has_when_the_new_cannot_be_read(void **state)
{
    static const char *const broken[] = {"{", "[]", "{\"a\":7}", "{\"a\":\"@file:/nonexistent/x\"}",
                                         ""};
    const struct keyring_source source = {
        .folder = folder, .environment = environment(), .keep_on_error = true};
    struct keyring *k = NULL;
    struct keyring_report report;
    struct err err = {0};
    size_t bytes;

    (void)state;
    assert_true(keyring_load(&source, &k, &report, NULL)); /* nothing there is no error */
    assert_string_equal(report.source, "empty (no auth)");
    keyring_unref(k);
    for (size_t i = 0; i < COUNT(broken); i++) {
        put("credentials", broken[i]);
        assert_false(keyring_load(&source, &k, &report, &err));
        assert_non_null(strstr(err.text, "credentials"));
    }
    put("credentials", "{}");
    assert_true(keyring_write(folder, VIEW("{\"n\":\"v\"}"), key_a, &bytes, NULL));
    assert_false(keyring_load(&source, &k, &report, &err));
    put_key(".keyring-key", key_b, "");
    assert_false(keyring_load(&source, &k, &report, &err));
    assert_non_null(strstr(err.text, "Decryption failed — wrong key or corrupted keyring"));
    put_key(".keyring-key", key_a, "");
    assert_true(keyring_load(&source, &k, &report, &err));
    assert_string_equal(report.source, KEPT);
    keyring_unref(k);
}

static void a_reload_keeps_what_the_key_of_one_use_has_opened(void **state)
{
    struct keyring_source source = {.folder = folder, .environment = environment()};
    struct keyring *k = NULL, *again = NULL;
    struct keyring_report report;
    struct err err = {0};
    size_t bytes;

    (void)state;
    assert_true(keyring_write(folder, VIEW("{\"n\":\"v\"}"), key_a, &bytes, NULL));
    put_key("sealed", key_a, "");
    assert_true(keyring_load(&source, &k, &report, &err));
    assert_false(report.kept);
    source.keep_on_error = true;
    source.current = k;
    for (int i = 0; i < 2; i++) {
        assert_true(keyring_load(&source, &again, &report, &err));
        assert_ptr_equal(again, k);
        assert_true(report.kept);
        assert_string_equal(report.source, SEALED);
        assert_int_equal(report.entries, 1);
        assert_string_equal(value_of(again, "n"), "v");
        keyring_unref(again);
    }
    /* The same content, but not the same file: nobody knows what is in it. */
    assert_true(keyring_write(folder, VIEW("{\"n\":\"v\"}"), key_a, &bytes, NULL));
    assert_false(keyring_load(&source, &again, &report, &err));
    put_key("sealed", key_a, "");
    assert_true(keyring_load(&source, &again, &report, &err));
    assert_false(report.kept);
    assert_ptr_not_equal(again, k);
    keyring_unref(again);
    keyring_unref(k);
    /* What is from elsewhere is no keyring.enc. */
    assert_true(keyring_empty(&source.current, NULL));
    assert_false(keyring_load(&source, &again, &report, &err));
    keyring_unref(source.current);
}

static void takes_keys_from_the_environment_and_reads_no_file(void **state)
{
    char finnhub[] = "ATI_KEY_FINNHUB_API_KEY=one", mixed[] = "ATI_KEY_Mixed=two=2",
         empty[] = "ATI_KEY_EMPTY=", nameless[] = "ATI_KEY_=x", other[] = "ATI_KEYS=x",
         file[] = "ATI_KEY_FILE=/nonexistent", twice[] = "ATI_KEY_MIXED=three",
         bare[] = "ATI_KEY_BARE";
    char *list[] = {other, finnhub, mixed, empty, nameless, file, twice, bare, NULL},
         *none[] = {NULL};
    struct keyring_source source = {.folder = folder, .env_keys = true, .environment = list};
    struct keyring_report report;
    struct keyring *k = NULL;

    (void)state;
    put("credentials", "{\"from_file\":\"x\"}");
    put_key("sealed", key_a, "");
    assert_true(keyring_load(&source, &k, &report, NULL));
    assert_string_equal(report.source, "env-vars (ATI_KEY_*)");
    assert_int_equal(keyring_count(k), 2);
    assert_string_equal(value_of(k, "finnhub_api_key"), "one");
    assert_string_equal(value_of(k, "FINNHUB_API_KEY"), "one");
    assert_string_equal(value_of(k, "mixed"), "three");
    assert_null(value_of(k, "from_file"));
    assert_null(value_of(k, "file"));
    assert_null(value_of(k, ""));
    assert_true(is_there("sealed"));
    keyring_unref(k);
    source.environment = none;
    assert_true(keyring_load(&source, &k, &report, NULL));
    assert_int_equal(keyring_count(k), 0);
    keyring_unref(k);
}

static void reads_credentials_as_they_are_written(void **state)
{
    static const struct {
        const char *text, *name, *value; /* name NULL: cannot be read; value NULL: is not there */
    } rows[] = {
        {"{\"a\":\"b\"}", "a", "b"},
        {" {\n\"a\" : \"b\" , \"c\":\"d\"}\n", "c", "d"},
        {"{\"a\":\"b\"}", "A", "b"}, /* lower case is tried, too */
        {"{\"A\":\"b\"}", "A", "b"},
        {"{\"A\":\"b\"}", "a", NULL},
        {"{\"A\":\"upper\",\"a\":\"lower\"}", "A", "upper"},
        {"{\"a\":\"\\u0041\\n\\\"\\ud83d\\ude00\"}", "a", "A\n\"\xF0\x9F\x98\x80"},
        {"{\"\\u0061b\":\"x\"}", "ab", "x"},
        {"{\"a\":\"first\",\"a\":\"last\"}", "a", "last"},
        {"{\"a\":\"first\",\"b\":\"x\",\"\\u0061\":\"last\"}", "a", "last"},
        {"{\"a\":\"\"}", "a", NULL}, /* an empty one is none */
        {"{\"a\":\"x\",\"a\":\"\"}", "a", NULL},
        {"{\"ab\":\"x\"}", "a", NULL},
        {"{\"a\":\"x\"}", "ab", NULL},
        {"{}", "a", NULL},
        {"[]", NULL, NULL},
        {"\"a\"", NULL, NULL},
        {"null", NULL, NULL},
        {"{\"a\":7}", NULL, NULL},
        {"{\"a\":null}", NULL, NULL},
        {"{\"a\":{\"b\":\"c\"}}", NULL, NULL},
        {"{\"a\":[\"b\"]}", NULL, NULL},
        {"{\"a\":\"b\",}", NULL, NULL},
        {"{\"a\":\"b\"}x", NULL, NULL},
        {"{\"a\":\"b\\u0000c\"}", NULL, NULL},
        {"{\"a\":\"\\ud800\"}", NULL, NULL},
        {"{\"a\":\"\xff\"}", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct keyring_report report;
        struct keyring *k;
        const char *value;

        put("credentials", rows[i].text);
        k = load(false, &report);
        assert_string_equal(report.source, rows[i].name ? PLAIN : "empty (credentials error)");
        value = rows[i].name ? value_of(k, rows[i].name) : NULL;
        if (!value != !rows[i].value || (value && strcmp(value, rows[i].value) != 0))
            fail_msg("%s: %s is %s", rows[i].text, rows[i].name, value);
        if (!rows[i].name) /* what is told names the file, and holds nothing of it */
            assert_non_null(strstr(report.warnings[0], "credentials"));
        keyring_unref(k);
    }
}

static void a_value_may_stand_in_a_file_of_its_own(void **state)
{
    struct keyring_report report;
    struct keyring *k;
    char text[256];

    (void)state;
    (void)snprintf(text, sizeof text, "{\"a\":\"@file:%s\",\"b\":\"@file\",\"c\":\"x@file:y\"}",
                   path_of("value"));
    put("credentials", text);
    put("value", "\n  from a file\r\n");
    k = load(false, &report);
    assert_string_equal(value_of(k, "a"), "from a file");
    assert_string_equal(value_of(k, "b"), "@file");
    assert_string_equal(value_of(k, "c"), "x@file:y");
    keyring_unref(k);
    put("value", "\xff\xfe");
    k = load(false, &report);
    assert_string_equal(report.source, "empty (credentials error)");
    assert_non_null(strstr(report.warnings[0], "not text"));
    keyring_unref(k);
    assert_int_equal(unlink(path_of("value")), 0);
    k = load(false, &report);
    assert_string_equal(report.source, "empty (credentials error)");
    assert_non_null(strstr(report.warnings[0], "/value"));
    keyring_unref(k);
}

/* Every file by others is read, or refused with a reason; a bit more or less makes no other keyring. */
static void a_sealed_text_opens_whole_or_not_at_all(void **state)
{
    static const char text[] = "{\"name\":\"value\"}";
    struct buf sealed, plain;
    struct err err = {0};
    struct view v;

    (void)state;
    buf_init(&sealed, 4096, "sealed");
    buf_init(&plain, 4096, "plain");
    assert_true(keyring_seal(view_str(text), key_a, &sealed, NULL));
    v = buf_view(&sealed);
    assert_int_equal(v.len, sizeof text - 1 + 28);
    assert_true(keyring_open(v, key_a, &plain, NULL));
    assert_true(view_eq(buf_view(&plain), view_str(text)));
    buf_reset(&plain);
    assert_false(keyring_open(v, key_b, &plain, &err));
    assert_string_equal(err.text, "Decryption failed — wrong key or corrupted keyring");
    for (size_t cut = 0; cut < v.len; cut++) {
        assert_false(keyring_open(view_first(v, cut), key_a, &plain, &err));
        assert_string_equal(err.text, cut < 28
                                          ? "Keyring file too small (need at least nonce + tag)"
                                          : "Decryption failed — wrong key or corrupted keyring");
        assert_false(keyring_open(view_skip(v, cut + 1), key_a, &plain, &err));
    }
    for (size_t bit = 0; bit < 8 * v.len; bit++) {
        sealed.area[sealed.head + bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(keyring_open(v, key_a, &plain, &err));
        sealed.area[sealed.head + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(buf_len(&plain), 0);
    buf_done(&sealed);
    buf_init(&sealed, 4096, "sealed");
    assert_true(keyring_seal(VIEW(""), key_a, &sealed, NULL)); /* nothing is something to seal */
    assert_true(keyring_open(buf_view(&sealed), key_a, &plain, NULL));
    assert_int_equal(buf_len(&plain), 0);
    buf_done(&sealed);
    buf_done(&plain);
}

static void nonces_are_new_each_time(void **state)
{
    uint8_t seen[64][12];
    struct buf sealed;

    (void)state;
    for (size_t i = 0; i < COUNT(seen); i++) {
        buf_init(&sealed, 256, "sealed");
        assert_true(keyring_seal(VIEW("x"), key_a, &sealed, NULL));
        memcpy(seen[i], buf_view(&sealed).at, sizeof seen[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], sizeof seen[i]);
        buf_done(&sealed);
    }
}

static void the_persistent_key_is_made_once(void **state)
{
    uint8_t first[KEYRING_KEY_BYTES], again[KEYRING_KEY_BYTES];
    struct err err = {0};
    struct stat s;

    (void)state;
    assert_false(keyring_key(folder, false, first, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(keyring_key(folder, true, first, NULL));
    assert_true(keyring_key(folder, true, again, NULL));
    assert_memory_equal(first, again, sizeof first);
    assert_int_equal(stat(path_of(".keyring-key"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    put(".keyring-key", "AAAA");
    assert_false(keyring_key(folder, true, first, &err)); /* a broken one is not replaced */
    assert_non_null(strstr(err.text, "not base64 of 32 bytes"));
}

static void expands_each_name_once(void **state)
{
    static const struct {
        const char *text, *wanted[3]; /* by enum keyring_missing; "!name": missing */
    } rows[] = {
        {"", {"", "", ""}},
        {"plain", {"plain", "plain", "plain"}},
        {"${a}", {"1", "1", "1"}},
        /* a value is not looked through again */
        {"x${a}y${b}z", {"x1y${a}z", "x1y${a}z", "x1y${a}z"}},
        {"${a}${a}", {"11", "11", "11"}},
        {"${A}", {"1", "1", "1"}},
        {"$a {a} $ {a}", {"$a {a} $ {a}", "$a {a} $ {a}", "$a {a} $ {a}"}},
        {"${a", {"${a", "${a", "${a"}},
        {"${", {"${", "${", "${"}},
        {"$", {"$", "$", "$"}},
        {"$${a}", {"$1", "$1", "$1"}},
        {"${missing}", {"!missing", "${missing}", "${missing}"}},
        {"${a}${missing}${a}", {"!missing", "1${missing}1", "1${missing}${a}"}},
        {"${}", {"!", "${}", "${}"}},
        {"${${a}}", {"!${a", "${${a}}", "${${a}}"}},
    };
    struct keyring_report report;
    struct keyring *k;

    (void)state;
    put("credentials", "{\"a\":\"1\",\"b\":\"${a}\"}");
    k = load(false, &report);
    for (size_t i = 0; i < 3 * COUNT(rows); i++) {
        const char *text = rows[i / 3].text, *expected = rows[i / 3].wanted[i % 3];
        struct err err = {0};
        struct buf out;
        char missing[128] = "";
        bool good;

        buf_init(&out, 4096, "text");
        good =
            keyring_expand(k, view_str(text), (enum keyring_missing)(i % 3), &out, missing, &err);
        assert_int_equal(good, expected[0] != '!');
        if (!good) {
            assert_int_equal(err.code, ERR_NOT_FOUND);
            assert_string_equal(missing, expected + 1);
        } else if (!view_eq(buf_view(&out), view_str(expected))) {
            fail_msg("%s: %.*s", text, VIEW_ARG(buf_view(&out)));
        }
        buf_wipe(&out);
    }
    keyring_unref(k);
}

static void holds_many_and_no_more(void **state)
{
    size_t room = (size_t)KEYRING_ENTRIES_MAX * 32 + 64, n;
    struct keyring_report report;
    struct keyring *k;
    char *text = malloc(room), name[32];

    (void)state;
    assert_non_null(text);
    for (unsigned more = 0; more < 2; more++) {
        n = (size_t)snprintf(text, room, "{");
        for (unsigned i = 0; i < KEYRING_ENTRIES_MAX + more; i++)
            n += (size_t)snprintf(text + n, room - n, "%s\"n%u\":\"v%u\"", i ? "," : "", i, i);
        (void)snprintf(text + n, room - n, "}");
        put("credentials", text);
        k = load(false, &report);
        assert_int_equal(keyring_count(k), more ? 0 : KEYRING_ENTRIES_MAX);
        for (unsigned i = 0; !more && i < KEYRING_ENTRIES_MAX; i++) {
            (void)snprintf(name, sizeof name, "n%u", i);
            name[0] = i % 2 ? 'n' : 'N';
            assert_non_null(value_of(k, name));
            assert_int_equal(atoi(value_of(k, name) + 1), i);
        }
        keyring_unref(k);
    }
    free(text);
}

static void note(void *context, struct view name, struct view value)
{
    assert_true(buf_appendf(context, NULL, "%.*s=%.*s;", VIEW_ARG(name), VIEW_ARG(value)));
}

static void stored_is(const char *text, const char *listed)
{
    struct buf out;
    struct stat s;

    buf_init(&out, 64 * 1024, "text");
    assert_true(file_read(path_of("credentials"), &out, NULL));
    if (!view_eq(buf_view(&out), view_str(text)))
        fail_msg("%.*s", VIEW_ARG(buf_view(&out)));
    buf_reset(&out);
    assert_true(keyring_credentials_list(folder, note, &out, NULL));
    assert_true(view_eq(buf_view(&out), view_str(listed)));
    assert_int_equal(stat(path_of("credentials"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    buf_done(&out);
}

static void keeps_credentials_sorted_and_private(void **state)
{
    bool found = true;
    struct err err = {0};

    (void)state;
    assert_true(keyring_credentials_remove(folder, VIEW("a"), &found, NULL));
    assert_false(found);
    assert_false(is_there("credentials"));
    assert_true(keyring_credentials_set(folder, VIEW("b"), VIEW("2"), NULL));
    assert_int_equal(chmod(path_of("credentials"), 0644), 0);
    assert_true(keyring_credentials_set(folder, VIEW("a"), VIEW("\"\n\\"), NULL));
    assert_true(keyring_credentials_set(folder, VIEW("c"), VIEW("@file:/x"), NULL));
    stored_is("{\n  \"a\": \"\\\"\\n\\\\\",\n  \"b\": \"2\",\n  \"c\": \"@file:/x\"\n}",
              "a=\"\n\\;b=2;c=@file:/x;");
    assert_true(keyring_credentials_set(folder, VIEW("b"), VIEW(""), NULL));
    assert_true(keyring_credentials_remove(folder, VIEW("a"), &found, NULL));
    assert_true(found);
    assert_true(keyring_credentials_remove(folder, VIEW("c"), &found, NULL));
    stored_is("{\n  \"b\": \"\"\n}", "b=;");
    assert_true(keyring_credentials_remove(folder, VIEW("b"), &found, NULL));
    stored_is("{}", "");
    assert_false(keyring_credentials_set(folder, VIEW(""), VIEW("x"), &err));
    assert_false(keyring_credentials_set(folder, VIEW("n"), VIEW("\xff"), &err));
    assert_null(strstr(err.text, "\xff"));
    put("credentials", "{\"a\":");
    assert_false(keyring_credentials_set(folder, VIEW("n"), VIEW("x"), &err));
    assert_false(keyring_credentials_remove(folder, VIEW("a"), &found, &err));
    assert_false(keyring_credentials_list(folder, note, NULL, &err));
    assert_non_null(strstr(err.text, "credentials"));
}

static void processes_lose_nothing_of_each_other(void **state)
{
    enum { PROCESSES = 8, EACH = 10 };
    struct keyring_report report;
    struct keyring *k;

    (void)state;
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            for (int n = 0; n < EACH; n++) {
                char name[32];

                (void)snprintf(name, sizeof name, "%d_%d", i, n);
                if (!keyring_credentials_set(folder, view_str(name), VIEW("x"), NULL))
                    _exit(1);
            }
            _exit(0);
        }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    k = load(false, &report);
    assert_int_equal(keyring_count(k), PROCESSES * EACH);
    keyring_unref(k);
}

static void an_empty_one_has_nothing(void **state)
{
    struct keyring *k = NULL;
    struct view value;

    (void)state;
    assert_true(keyring_empty(&k, NULL));
    assert_false(keyring_find(k, VIEW("x"), &value));
    assert_false(keyring_find(k, VIEW(""), &value));
    assert_false(keyring_ephemeral(k));
    assert_ptr_equal(keyring_ref(k), k);
    keyring_unref(k);
    keyring_unref(k);
    keyring_unref(NULL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_there_decides_in_order),
        IN_FOLDER(the_sealed_key_is_for_one_process),
        IN_FOLDER(a_reload_keeps_what_the_key_of_one_use_has_opened),
        IN_FOLDER(a_reload_keeps_what_it_has_when_the_new_cannot_be_read),
        IN_FOLDER(takes_keys_from_the_environment_and_reads_no_file),
        IN_FOLDER(reads_credentials_as_they_are_written),
        IN_FOLDER(a_value_may_stand_in_a_file_of_its_own),
        IN_FOLDER(a_sealed_text_opens_whole_or_not_at_all),
        IN_FOLDER(nonces_are_new_each_time),
        IN_FOLDER(the_persistent_key_is_made_once),
        IN_FOLDER(expands_each_name_once),
        IN_FOLDER(holds_many_and_no_more),
        IN_FOLDER(keeps_credentials_sorted_and_private),
        IN_FOLDER(processes_lose_nothing_of_each_other),
        IN_FOLDER(an_empty_one_has_nothing),
    };

    if (!mkdtemp(folder) || rmdir(folder) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
