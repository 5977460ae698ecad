/* load: which of the sources counts. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/keyring/keyring_priv.h"
#include "base/secret.h"

#include "base/poison.h"

enum { KEY_FILE_BYTES_MAX = 4096 };
#define PREFIX      "ATI_KEY_"
#define KEY_FILE    "ATI_KEY_FILE"
#define SEALED      "keyring.enc (sealed key)"
#define PERSISTENT  "keyring.enc (persistent key)"
#define PLAINTEXT   "credentials (plaintext)"
#define ENVIRONMENT "env-vars (ATI_KEY_*)"

static bool from_environment(char **environment, struct keyring **out, struct err *err);
static bool from_encrypted(const struct keyring_source *source, const char *path,
                           struct keyring **out, struct keyring_report *report, struct err *err);
static bool from_credentials(const struct keyring_source *source, const char *path,
                             struct keyring **out, struct err *err);
static bool empty(struct keyring **out, struct keyring_report *report, const char *source,
                  struct err *err);

static void PRINTF(2, 3) warn(struct keyring_report *report, const char *fmt, ...)
{
    va_list args;

    if (report->warning_count == KEYRING_WARNINGS_MAX)
        return;
    va_start(args, fmt);
    (void)vsnprintf(report->warnings[report->warning_count++], sizeof report->warnings[0], fmt,
                    args);
    va_end(args);
}

/* There, or hidden from us: that is not the same as absent. */
static bool exists(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* What cannot be used: an error for a reload; else an empty keyring and a warning. */
static bool unusable(const struct keyring_source *source, const char *name, struct keyring **out,
                     struct keyring_report *report, const struct err *why, struct err *err)
{
    if (source->keep_on_error) {
        if (err)
            *err = *why;
        return false;
    }
    warn(report, "%s", why->text);
    return empty(out, report, name, err);
}

static bool from_files(const struct keyring_source *source, struct keyring **out,
                       struct keyring_report *report, struct err *err)
{
    char encrypted[KEYRING_PATH_BYTES], plain[KEYRING_PATH_BYTES];
    struct err why = {0};
    struct stat s;

    if (!keyring_path(source->folder, "keyring.enc", encrypted, err) ||
        !keyring_path(source->folder, "credentials", plain, err))
        return false;
    if (exists(encrypted)) {
        if (from_encrypted(source, encrypted, out, report, &why))
            return true;
        if (!source->fall_through || source->keep_on_error)
            return unusable(source, "empty (decryption failed)", out, report, &why, err);
        warn(report, "%s", why.text);
    }
    if (exists(plain)) {
        report->source = PLAINTEXT;
        if (stat(plain, &s) == 0 && (s.st_mode & (S_IRWXG | S_IRWXO)))
            warn(report, "%s may be read by others: chmod 600 it", plain);
        return from_credentials(source, plain, out, &why) ||
               unusable(source, "empty (credentials error)", out, report, &why, err);
    }
    warn(report, "no keyring.enc and no credentials in %s: tools that need a key will fail",
         source->folder);
    warn(report, "keys are added with `ati key set NAME VALUE`, or given as ATI_KEY_NAME with "
                 "--env-keys");
    return empty(out, report, "empty (no auth)", err);
}

bool keyring_load(const struct keyring_source *source, struct keyring **out,
                  struct keyring_report *report, struct err *err)
{
    struct keyring_report told = {.source = ENVIRONMENT};
    struct keyring *k = NULL;

    bool good = source->env_keys ? from_environment(source->environment, &k, err)
                                 : from_files(source, &k, &told, err);

    locked_registers_clear();
    if (!good || !k)
        return false;
    if (k->pages.locked_errno)
        warn(&told, "mlock failed (errno %d): secrets may be swappable", k->pages.locked_errno);
    told.entries = k->count;
    if (report)
        *report = told;
    *out = k;
    return true;
}

static bool empty(struct keyring **out, struct keyring_report *report, const char *source,
                  struct err *err)
{
    report->source = source;
    return keyring_empty(out, err);
}

static bool from_environment(char **environment, struct keyring **out, struct err *err)
{
    CLEANUP(ring_done) struct ring ring = {.count = 0};

    for (char **at = environment; at && *at; at++) {
        struct view line = view_str(*at), name, value;
        size_t equals = view_find(line, '=');

        name = view_skip(view_first(line, equals), sizeof PREFIX - 1);
        value = view_skip(line, equals + 1);
        if (!view_starts(line, VIEW(PREFIX)) || !name.len || !value.len ||
            view_eq(view_first(line, equals), VIEW(KEY_FILE)))
            continue;
        if (!ring_put(&ring, name, true, value, err))
            return false;
    }
    return ring_finish(&ring, false, out, err);
}

static bool from_text(struct view text, bool ephemeral, struct keyring **out, struct err *err)
{
    CLEANUP(ring_done) struct ring ring = {.count = 0};

    return ring_read(&ring, text, false, err) && ring_finish(&ring, ephemeral, out, err);
}

static bool from_credentials(const struct keyring_source *source, const char *path,
                             struct keyring **out, struct err *err)
{
    CLEANUP(locked_done) struct locked text = {.at = NULL};
    CLEANUP(ring_done) struct ring ring = {.source = source};

    return keyring_read(path, KEYRING_BYTES_MAX, &text, err) &&
           ((ring_read(&ring, keyring_bytes(&text), true, err) &&
             ring_finish(&ring, false, out, err)) ||
            err_in(err, "%s", path));
}

static bool with_key(struct view sealed, const uint8_t key[static KEYRING_KEY_BYTES],
                     bool ephemeral, struct keyring **out, struct err *err)
{
    CLEANUP(locked_done) struct locked plain = {.at = NULL};
    size_t len = 0;

    return locked_new(sealed.len, &plain, err) &&
           keyring_open_into(sealed, key, plain.at, &len, err) &&
           from_text(view_from(plain.at, len), ephemeral, out, err);
}

const char *keyring_sealed_file(char **environment)
{
    const char *path = KEYRING_SEALED_KEY;

    for (char **at = environment; at && *at; at++)
        if (strncmp(*at, KEY_FILE "=", sizeof KEY_FILE) == 0 && (*at)[sizeof KEY_FILE])
            path = *at + sizeof KEY_FILE;
    return path;
}

/* Open, unlink, read: of two who come at once both may read, but nobody who comes later. */
static bool sealed_key(const struct keyring_source *source, uint8_t key[static KEYRING_KEY_BYTES],
                       struct keyring_report *report, struct err *err)
{
    CLEANUP(locked_done) struct locked text = {.at = NULL};
    const char *path = keyring_sealed_file(source->environment);
    bool good;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_system(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
    if (unlink(path) != 0)
        warn(report, "%s: the key of one use cannot be removed (errno %d), and can be used again",
             path, errno);
    good = keyring_read_fd(fd, path, KEY_FILE_BYTES_MAX, &text, err) &&
           (keyring_key_decode(keyring_bytes(&text), key, err) || err_in(err, "%s", path));
    close(fd);
    return good;
}

/* No key opens it, but it was opened before. */
static bool same_again(const struct keyring_source *source,
                       const uint8_t digest[static SHA256_BYTES], struct keyring **out,
                       struct keyring_report *report)
{
    struct keyring *k = source->current;

    if (!k || !k->encrypted || memcmp(k->file_digest, digest, SHA256_BYTES) != 0)
        return false;
    report->source = k->ephemeral ? SEALED : PERSISTENT;
    report->kept = true;
    *out = keyring_ref(k);
    return true;
}

static bool from_encrypted(const struct keyring_source *source, const char *path,
                           struct keyring **out, struct keyring_report *report, struct err *err)
{
    CLEANUP(locked_done) struct locked sealed = {.at = NULL};
    uint8_t key[KEYRING_KEY_BYTES] = {0}, digest[SHA256_BYTES] = {0};
    struct err once = {0}, kept = {0};
    bool good;

    if (!keyring_read(path, KEYRING_BYTES_MAX, &sealed, &kept) ||
        !secret_sha256(sealed.at, sealed.size, digest)) {
        /* It counts as used all the same. */
        (void)!sealed_key(source, key, report, &once);
        good = false;
    } else {
        report->source = SEALED;
        good = sealed_key(source, key, report, &once) &&
               with_key(keyring_bytes(&sealed), key, true, out, &once);
        if (!good) {
            if (once.code != ERR_NOT_FOUND)
                warn(report, "sealed key: %s", once.text);
            report->source = PERSISTENT;
            good = keyring_key(source->folder, false, key, &kept) &&
                   with_key(keyring_bytes(&sealed), key, false, out, &kept);
        }
        if (good && *out) {
            (*out)->encrypted = true;
            memcpy((*out)->file_digest, digest, sizeof digest);
        } else if (!good) {
            good = same_again(source, digest, out, report);
        }
    }
    secret_wipe(key, sizeof key);
    if (!good && kept.code == ERR_NOT_FOUND && once.code == ERR_NOT_FOUND)
        return err_set(err, ERR_DENIED,
                       "%s: no .keyring-key beside it: put that back, or remove keyring.enc and "
                       "set its keys again with `ati key set`",
                       path);
    return good || err_set(err, ERR_DENIED, "%s: %s", path,
                           kept.code == ERR_NOT_FOUND && once.code != ERR_NOT_FOUND ? once.text
                                                                                    : kept.text);
}
