/* Private to src/ati/keyring. */
#pragma once

#include <stdatomic.h>

#include "ati/keyring/keyring.h"
#include "base/locked.h"
#include "base/secret.h"

enum { KEYRING_NONCE_BYTES = 12, KEYRING_TAG_BYTES = 16 };

/* Places of a credential in the pages. */
struct keyring_entry {
    uint32_t name, name_len, value, value_len;
};
struct keyring {
    atomic_uint references;
    bool ephemeral;
    bool encrypted; /* from a keyring.enc: */
    uint8_t file_digest[SHA256_BYTES];
    struct locked pages;
    struct keyring_entry *entries; /* by name */
    size_t count;
};

/* ring.c: a keyring in the making. */
struct ring {
    struct locked pages;
    size_t used;
    struct keyring_entry *entries;
    size_t count, room;
    const struct keyring_source *source; /* who wants to know of files; NULL: nobody */
};
/* text: {"name": "value", …}. files: "@file:PATH" values are read. */
MUST_USE bool ring_read(struct ring *r, struct view text, bool files, struct err *err);
/* lower: the name in lower case. */
MUST_USE bool ring_put(struct ring *r, struct view name, bool lower, struct view value,
                       struct err *err);
void ring_sort(struct ring *r); /* by name; of equal ones the last stays */
/* Takes what the ring holds. Empty credentials are left out. */
MUST_USE bool ring_finish(struct ring *r, bool ephemeral, struct keyring **out, struct err *err);
void ring_done(struct ring *r);
static inline struct view ring_name(const struct ring *r, size_t index)
{
    return view_from(r->pages.at + r->entries[index].name, r->entries[index].name_len);
}
static inline struct view ring_value(const struct ring *r, size_t index)
{
    return view_from(r->pages.at + r->entries[index].value, r->entries[index].value_len);
}

/* read.c: whole files, in pages; pages->size is the length. Errors name the path; ERR_NOT_FOUND. */
MUST_USE bool keyring_read(const char *path, size_t bytes_max, struct locked *pages,
                           struct err *err);
MUST_USE bool keyring_read_fd(int fd, const char *path, size_t bytes_max, struct locked *pages,
                              struct err *err);
static inline struct view keyring_bytes(const struct locked *pages)
{
    return view_from(pages->at, pages->size);
}
/* base64 of 32 bytes, blanks around it. */
MUST_USE bool keyring_key_decode(struct view text, uint8_t key[static KEYRING_KEY_BYTES],
                                 struct err *err);

/* format.c: into out, which has room for what sealed holds. */
MUST_USE bool keyring_open_into(struct view sealed, const uint8_t key[static KEYRING_KEY_BYTES],
                                uint8_t *out, size_t *len, struct err *err);

enum { KEYRING_PATH_BYTES = 2048 };
/* "{folder}/{name}". False: too long. */
MUST_USE bool keyring_path(const char *folder, const char *name,
                           char out[static KEYRING_PATH_BYTES], struct err *err);
/* write.c: whole or not at all, synced, 0600. */
MUST_USE bool keyring_put_file(const char *path, struct view content, struct err *err);
