/* keyring: the credentials, in the one place where they are in the clear.
 *
 *   keyring.enc + key, or credentials, or ATI_KEY_*  ─►  struct keyring (immutable snapshot)  ─►  keyring_find lends a value
 *
 * Memory    names and values stand in pages of their own (base/locked), read-only once they are there: mlock, MADV_DONTDUMP,
 *           MADV_DONTFORK, guard pages at both ends; wiped before they are given back. So does what is read on the way (file,
 *           plaintext, key). mlock that fails is a warning. docs/decisions/032.
 * Order     keyring.enc with the sealed one-time key (opened, unlinked, read), then with .keyring-key; credentials; nothing.
 *           With env_keys: ATI_KEY_* alone, no file is read.
 * Look-up   by the name as written, else in lower case. A credential that is empty counts as none, so that nobody sends an
 *           empty one.
 * Threads   immutable, counted atomically; a reload makes a new one, and calls under way keep theirs.
 *
 * Formats   keyring.enc = nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16) of a flat JSON object; key files: base64 of 32 bytes;
 *           credentials: a JSON object of strings, where "@file:PATH" stands for the trimmed content of PATH. Of names that stand
 *           twice the last one counts.
 *
 * Read in order   load.c format.c read.c (files, key files) ring.c (JSON to pages) find.c expand.c environment.c
 *                 credentials.c write.c; mask.h: what others repeat of them */
#pragma once

#include "base/buf.h"

enum { KEYRING_BYTES_MAX = 4 * 1024 * 1024, KEYRING_ENTRIES_MAX = 16384, KEYRING_KEY_BYTES = 32 };
#define KEYRING_SEALED_KEY "/run/ati/.key" /* unless ATI_KEY_FILE says otherwise */

struct keyring;

struct keyring_source {
    const char *folder; /* the ATI directory */
    bool env_keys;
    char **environment; /* ATI_KEY_*, ATI_KEY_FILE */
    bool
        fall_through; /* a keyring.enc that does not open: go on with credentials (command line), instead of empty (proxy) */
    bool
        keep_on_error; /* reload: what cannot be decrypted or parsed is an error, not an empty keyring */
    struct keyring *
        current; /* reload: what is loaded now. A keyring.enc that no key opens any more, as when the sealed one was for one use, gives this
                    one again when it is the very file that this one is from. NULL: nothing */
    /* What "@file:PATH" names, before it is read. NULL: nobody wants to know. */
    void (*reads)(void *context, const char *path);
    void *context; /* of reads */
};
/* Where the key of one use is, which is removed when it has been read. */
const char *keyring_sealed_file(char **environment);
enum { KEYRING_WARNINGS_MAX = 6 };
struct keyring_report {
    const char
        *source; /* "keyring.enc (persistent key)", "empty (no auth)", … of the start-up line */
    size_t entries;
    bool kept; /* it is source.current */
    char warnings[KEYRING_WARNINGS_MAX][256];
    size_t warning_count;
};
MUST_USE bool keyring_load(const struct keyring_source *source, struct keyring **out,
                           struct keyring_report *report, struct err *err);
MUST_USE bool keyring_empty(struct keyring **out, struct err *err);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k); /* NULL is fine */
CLEANUP_DEFINE(struct keyring, keyring_unref)

/* *value is lent as long as the keyring. Never print it. */
MUST_USE bool keyring_find(const struct keyring *k, struct view name, struct view *value);
bool keyring_ephemeral(
    const struct keyring *k); /* from the sealed key: nothing of it may stay on disk */
size_t keyring_count(const struct keyring *k);
/* For scans that look for secrets where they must not be, and for redaction. */
void keyring_at(const struct keyring *k, size_t index, struct view *name, struct view *value);

/* Of a "${name}" that is not there. */
enum keyring_missing {
    KEYRING_MISSING_FAILS, /* ERR_NOT_FOUND, with the name in missing */
    KEYRING_MISSING_STAYS, /* as it is written; the others are replaced */
    KEYRING_MISSING_ENDS,  /* all behind it stays as well */
};
/* Replaces every "${name}" of text once (values are not looked through again), appended to out, which holds secrets then: wipe it. */
MUST_USE bool keyring_expand(const struct keyring *k, struct view text, enum keyring_missing how,
                             struct buf *out, char missing[static 128], struct err *err);
/* As buf_append; when the area has to move, what it leaves behind is wiped. */
MUST_USE bool keyring_append(struct buf *b, struct view bytes, struct err *err);

/* The file "credentials", for `ati key`: 0600, sorted, pretty. */
MUST_USE bool keyring_credentials_set(const char *folder, struct view name, struct view value,
                                      struct err *err);
/* *found: it was there. */
MUST_USE bool keyring_credentials_remove(const char *folder, struct view name, bool *found,
                                         struct err *err);
/* As they stand in the file ("@file:…" unresolved), sorted by name. */
typedef void keyring_credential(void *context, struct view name, struct view value);
MUST_USE bool keyring_credentials_list(const char *folder, keyring_credential *each, void *context,
                                       struct err *err);

/* environment.c: the values of ATI_KEY_*, ATI_JWT_SECRET, ATI_SESSION_TOKEN, ATI_ADMIN_TOKEN and ATI_DB_URL move to locked pages, for as
 * long as the process lives: environment names them there, and where they stood they are wiped (also in /proc/PID/environ). Before
 * there are threads. */
MUST_USE bool keyring_hide_environment(char **environment, struct err *err);

/* write.c: keyring.enc of the folder anew, whole or not at all, synced, 0600. plain: a JSON object of strings. *bytes: of the file. */
MUST_USE bool keyring_write(const char *folder, struct view plain,
                            const uint8_t key[static KEYRING_KEY_BYTES], size_t *bytes,
                            struct err *err);
/* The persistent key. ERR_NOT_FOUND: there is none, unless create makes one. */
MUST_USE bool keyring_key(const char *folder, bool create, uint8_t key[static KEYRING_KEY_BYTES],
                          struct err *err);

/* format.c: pure. key: 32 bytes. sealed/plain are appended. */
MUST_USE bool keyring_seal(struct view plain, const uint8_t key[static KEYRING_KEY_BYTES],
                           struct buf *sealed, struct err *err);
MUST_USE bool keyring_open(struct view sealed, const uint8_t key[static KEYRING_KEY_BYTES],
                           struct buf *plain, struct err *err);
