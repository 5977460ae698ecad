/* Input: the plaintext of a keyring. Sealed with a key, it opens to the same; it is read, or refused, as credentials are; what is read is found
 * again, expands to itself, and is written and read to the same once more. Sealed as it stands, it never opens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/keyring/keyring.h"
#include "base/check.h"
#include "base/file.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 4096, NAME_BYTES_MAX = 256 };

static char folder[] = "/dev/shm/fuzz_keyring.XXXXXX", file[64];
static const uint8_t key[KEYRING_KEY_BYTES] = {7};

static void leave(void)
{
    (void)unlink(file);
    (void)rmdir(folder);
}

static void make(void)
{
    CHECK(mkdtemp(folder));
    (void)snprintf(file, sizeof file, "%s/credentials", folder);
    (void)atexit(leave);
}

static void check_sealed(struct view text)
{
    struct buf sealed, plain;

    buf_init(&sealed, INPUT_BYTES_MAX + 64, "sealed");
    buf_init(&plain, INPUT_BYTES_MAX, "plain");
    CHECK(keyring_seal(text, key, &sealed, NULL));
    CHECK(keyring_open(buf_view(&sealed), key, &plain, NULL));
    CHECK(view_eq(buf_view(&plain), text));
    CHECK(!keyring_open(text, key, &plain, NULL));
    buf_done(&sealed);
    buf_wipe(&plain);
}

static void check_entry(const struct keyring *k, struct view name, struct view value)
{
    struct view found;
    char missing[128];
    struct buf text, out;

    CHECK(value.len && keyring_find(k, name, &found) && view_eq(found, value));
    if (view_find(name, '}') < name.len || name.len > NAME_BYTES_MAX)
        return;
    buf_init(&text, NAME_BYTES_MAX + 16, "text");
    buf_init(&out, 2 * INPUT_BYTES_MAX, "out");
    CHECK(buf_append_str(&text, "${", NULL) && buf_append(&text, name, NULL) &&
          buf_append_str(&text, "}", NULL));
    CHECK(keyring_expand(k, buf_view(&text), KEYRING_MISSING_FAILS, &out, missing, NULL));
    CHECK(view_eq(buf_view(&out), value));
    buf_done(&text);
    buf_wipe(&out);
}

static struct keyring *load(struct keyring_report *report)
{
    const struct keyring_source source = {.folder = folder, .keep_on_error = true};
    struct keyring *k = NULL;
    struct err err = {0};

    if (keyring_load(&source, &k, report, &err))
        return k;
    CHECK(err.text[0]);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = view_from(data, size), name, value, again;
    struct keyring *k, *second;
    struct keyring_report report;

    if (!file[0])
        make();
    if (size > INPUT_BYTES_MAX)
        return 0;
    check_sealed(text);
    if (memchr(data, '@', size) || memmem(data, size, "0040", 4)) /* no other files here */
        return 0;
    CHECK(file_write(file, text, 0600, NULL));
    k = load(&report);
    if (!k)
        return 0;
    CHECK(report.entries == keyring_count(k));
    for (size_t i = 0; i < keyring_count(k); i++) {
        keyring_at(k, i, &name, &value);
        check_entry(k, name, value);
    }
    CHECK(keyring_credentials_set(folder, VIEW("another"), VIEW("x"), NULL));
    second = load(&report);
    CHECK(second);
    for (size_t i = 0; i < keyring_count(k); i++) {
        keyring_at(k, i, &name, &value);
        CHECK(keyring_find(second, name, &again));
        CHECK(view_eq(again, value) || view_eq(name, VIEW("another")));
    }
    keyring_unref(k);
    keyring_unref(second);
    return 0;
}
