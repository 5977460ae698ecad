#include "ati/exec/creds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
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

/* Takes the path and the descriptor. */
static bool remember(struct creds *c, char *path, int fd, struct err *err)
{
    struct cred *list = realloc(c->list, (c->count + 1) * sizeof *list);

    if (!list)
        return err_set(err, ERR_MEMORY, "no memory for a credential file");
    c->list = list;
    list[c->count].path = path;
    list[c->count++].fd = fd;
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

/* Nothing of it stays on the disk, as far as a file system can promise that. Takes the descriptor. */
static void wipe_away(int folder, const char *name, int fd)
{
    static const uint8_t zeros[PIECE_BYTES];
    struct stat st;
    off_t left = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;

    if (lseek(fd, 0, SEEK_SET) != 0)
        left = 0;
    while (left > 0) {
        ssize_t n = write(fd, zeros, left < PIECE_BYTES ? (size_t)left : sizeof zeros);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        left -= n;
    }
    (void)fdatasync(fd);
    (void)unlinkat(folder, name, 0);
    close(fd); /* last: with it goes the lock */
}

/* A new file, locked before there is anything in it; readable, as NFS asks of who wants such a lock. One that a sweep has taken before it was locked has no name any more: once more. */
static int open_locked(const char *path)
{
    struct stat st;
    int fd;

    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || flock(fd, LOCK_SH) != 0 || fstat(fd, &st) != 0 || st.st_nlink > 0)
            return fd; /* without a lock, where there are none: then nobody sweeps there either */
        close(fd);
    }
}

static bool write_own(const char *path, struct view value, int *fd, struct err *err)
{
    size_t at = 0;

    *fd = open_locked(path);
    while (*fd >= 0 && at < value.len) {
        ssize_t n = write(*fd, value.at + at, value.len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        at += (size_t)n;
    }
    if (*fd >= 0 && at == value.len && fchmod(*fd, 0600) == 0)
        return true;
    (void)err_system(err, ERR_IO, errno, "%s", path);
    if (*fd >= 0)
        wipe_away(AT_FDCWD, path, *fd);
    return false;
}

static bool own_file(struct creds *c, const char *path, struct view value, struct err *err)
{
    char *copy = strdup(path);
    int fd;

    if (!copy)
        return err_set(err, ERR_MEMORY, "no memory for a credential file");
    if (!write_own(path, value, &fd, err)) {
        free(copy);
        return false;
    }
    if (remember(c, copy, fd, err))
        return true;
    wipe_away(AT_FDCWD, path, fd);
    free(copy);
    return false;
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
    if (!(ephemeral ? own_file(c, made, value, err)
                    : there_already(made, value) || file_write(made, value, 0600, err))) {
        free(made);
        return false;
    }
    *path = made;
    return true;
}

void creds_done(struct creds *c)
{
    for (size_t i = 0; i < c->count; i++) {
        wipe_away(AT_FDCWD, c->list[i].path, c->list[i].fd);
        free(c->list[i].path);
    }
    free(c->list);
    *c = (struct creds){.list = NULL};
}

/* --- what others have left ------------------------------------------------------------------------ */

/* As path_of names them. A key of a keyring that stays may have such a name: its file is written anew when it is needed. */
static bool own_name(const char *name)
{
    struct view v = view_str(name);
    size_t key = view_find_last(v, '_'), digits = v.len - key;

    if (key == v.len || digits != 1 + 2 * (size_t)RANDOM_BYTES || !file_name(view_first(v, key)))
        return false;
    for (size_t i = key + 1; i < v.len; i++)
        if (!strchr("0123456789abcdef", v.at[i]))
            return false;
    return true;
}

static void sweep_one(int folder, const char *name)
{
    int fd = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        wipe_away(folder, name, fd);
    else
        close(fd);
}

void creds_sweep(const char *folder)
{
    int home = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, fd = -1;
    struct dirent *entry;
    DIR *dir = NULL;

    if (home >= 0) {
        fd = openat(home, ".creds", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(home);
    }
    if (fd >= 0) {
        dir = fdopendir(fd);
        if (!dir)
            close(fd);
    }
    while (dir && (entry = readdir(dir)))
        if (own_name(entry->d_name))
            sweep_one(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
}
