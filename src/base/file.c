#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/poison.h"

enum { PIECE_BYTES = 8 * 1024, PATH_BYTES = 4096 };

static bool read_all(int fd, const char *path, struct buf *out, struct err *err)
{
    for (;;) {
        size_t left = out->max - buf_len(out), room = left < PIECE_BYTES ? left + 1 : PIECE_BYTES;
        uint8_t piece[PIECE_BYTES];
        ssize_t n = read(fd, piece, room);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_system(err, ERR_IO, errno, "%s", path);
        if (n == 0)
            return true;
        if (!buf_append(out, view_from(piece, (size_t)n), err))
            return err_in(err, "%s", path);
    }
}

bool file_read(const char *path, struct buf *out, struct err *err)
{
    bool standard = strcmp(path, "-") == 0, good;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_system(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
    good = read_all(fd, standard ? "standard input" : path, out, err);
    if (!standard)
        close(fd);
    return good;
}

static bool write_all(int fd, struct view content)
{
    while (content.len) {
        ssize_t n = write(fd, content.at, content.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        content = view_skip(content, (size_t)n);
    }
    return true;
}

bool file_write(const char *path, struct view content, unsigned mode, struct err *err)
{
    char beside[PATH_BYTES];
    bool good;
    int fd;

    if (snprintf(beside, sizeof beside, "%s.XXXXXX", path) >= (int)sizeof beside)
        return err_set(err, ERR_LIMIT, "%s: the path is too long", path);
    fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "%s", path);
    good = write_all(fd, content) && fchmod(fd, mode) == 0;
    good = close(fd) == 0 && good;
    if (good && rename(beside, path) == 0)
        return true;
    (void)err_system(err, ERR_IO, errno, "%s", path);
    (void)unlink(beside);
    return false;
}

bool folders_make(const char *path, unsigned mode, struct err *err)
{
    char folder[PATH_BYTES];
    size_t len = strlen(path);

    if (len >= sizeof folder)
        return err_set(err, ERR_LIMIT, "%.64s…: the path is too long", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(folder, path, i);
        folder[i] = '\0';
        if (mkdir(folder, mode) != 0 && errno != EEXIST)
            return err_system(err, ERR_IO, errno, "%s", folder);
    }
    return true;
}
