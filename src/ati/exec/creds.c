#include "ati/exec/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"

#include "base/poison.h"

enum { KEY_BYTES_MAX = 128, RANDOM_BYTES = 8, PIECE_BYTES = 4096 };

/* One name in one folder, and nothing that hides. */
static bool file_name(struct view key)
{
    if (!key.len || key.len > KEY_BYTES_MAX || key.at[0] == '.')
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (key.at[i] <= ' ' || key.at[i] == 0x7F || key.at[i] == '/' || key.at[i] == '\\')
            return false;
    return true;
}

/* A file of ours that nobody else reads, with just this content. */
static bool there_already(const char *path, struct view value)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    uint8_t piece[PIECE_BYTES];
    struct stat st;
    bool same;

    if (fd < 0)
        return false;
    same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & 07777) == 0600 && (uint64_t)st.st_size == value.len;
    while (same && value.len) {
        ssize_t n = read(fd, piece, sizeof piece);

        same = n > 0 && (size_t)n <= value.len && secret_equal(piece, value.at, (size_t)n);
        value = view_skip(value, same ? (size_t)n : 0);
    }
    secret_wipe(piece, sizeof piece);
    close(fd);
    return same;
}

static bool remember(struct creds *c, const char *path, struct err *err)
{
    char **list = realloc(c->paths, (c->count + 1) * sizeof *list);

    if (!list)
        return err_set(err, ERR_MEMORY, "no memory for a credential file");
    c->paths = list;
    list[c->count] = strdup(path);
    if (!list[c->count])
        return err_set(err, ERR_MEMORY, "no memory for a credential file");
    c->count++;
    return true;
}

static bool path_of(const char *folder, struct view key, bool own, char **path, struct err *err)
{
    uint8_t bytes[RANDOM_BYTES];
    char digits[2 * RANDOM_BYTES + 1] = "";

    if (own) {
        random_bytes(bytes, sizeof bytes);
        hex_encode(view_from(bytes, sizeof bytes), digits);
    }
    if (asprintf(path, "%s/.creds/%.*s%s%s", folder, VIEW_ARG(key), own ? "_" : "", digits) >= 0)
        return true;
    *path = NULL;
    (void)err_set(err, ERR_MEMORY, "no memory for a credential file");
    return false;
}

static bool make_folder(const char *folder, struct err *err)
{
    char *path;
    bool good;

    if (asprintf(&path, "%s/.creds", folder) < 0)
        return err_set(err, ERR_MEMORY, "no memory for a credential file");
    good = mkdir(path, 0700) == 0 || errno == EEXIST || err_system(err, ERR_IO, errno, "%s", path);
    free(path);
    return good;
}

bool creds_file(struct creds *c, const char *folder, const struct keyring *keyring, struct view key,
                char **path, struct err *err)
{
    bool ephemeral = keyring_ephemeral(keyring);
    struct view value;
    char *made;

    if (!file_name(key))
        return err_set(err, ERR_DENIED, "keyring key '%.*s' cannot be the name of a file",
                       VIEW_ARG(view_first(key, KEY_BYTES_MAX)));
    if (!keyring_find(keyring, key, &value))
        return err_set(err, ERR_NOT_FOUND, "Missing keyring key: %.*s", VIEW_ARG(key));
    if (!folder)
        return err_set(err, ERR_CONFIG, "there is no folder for credential files");
    if (!make_folder(folder, err) || !path_of(folder, key, ephemeral, &made, err))
        return false;
    if ((ephemeral && !remember(c, made, err)) ||
        (!there_already(made, value) && !file_write(made, value, 0600, err))) {
        free(made);
        return false;
    }
    *path = made;
    return true;
}

/* Nothing of it stays on the disk, as far as a file system can promise that. */
static void overwrite(const char *path)
{
    static const uint8_t zeros[PIECE_BYTES];
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    off_t left = 0;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        left = st.st_size;
    while (left > 0) {
        ssize_t n = write(fd, zeros, left < PIECE_BYTES ? (size_t)left : sizeof zeros);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        left -= n;
    }
    if (fd >= 0) {
        (void)fdatasync(fd);
        close(fd);
    }
    (void)unlink(path);
}

void creds_done(struct creds *c)
{
    for (size_t i = 0; i < c->count; i++) {
        overwrite(c->paths[i]);
        free(c->paths[i]);
    }
    free(c->paths);
    *c = (struct creds){.paths = NULL};
}
