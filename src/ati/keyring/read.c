/* read: files that hold secrets, straight into pages. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/keyring/keyring_priv.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { FIRST_BYTES = 4096 };

static bool grow(struct locked *pages, size_t used, size_t size, struct err *err)
{
    struct locked larger;

    if (!locked_new(size, &larger, err))
        return false;
    if (used)
        memcpy(larger.at, pages->at, used);
    locked_done(pages);
    *pages = larger;
    return true;
}

static bool read_all(int fd, size_t bytes_max, struct locked *pages, size_t *used, struct err *err)
{
    for (;;) {
        ssize_t n;

        if (*used > bytes_max)
            return err_set(err, ERR_LIMIT, "more than %zu bytes", bytes_max);
        if (*used == pages->size && !grow(pages, *used, pages->size * 2, err))
            return false;
        n = read(fd, pages->at + *used, pages->size - *used);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return err_system(err, ERR_IO, errno, "cannot be read");
        *used += n < 0 ? 0 : (size_t)n;
    }
}

bool keyring_read_fd(int fd, const char *path, size_t bytes_max, struct locked *pages,
                     struct err *err)
{
    CLEANUP(locked_done) struct locked bytes = {.at = NULL};
    size_t used = 0, size = FIRST_BYTES;
    struct stat s;

    if (fstat(fd, &s) == 0 && s.st_size >= FIRST_BYTES && (size_t)s.st_size <= bytes_max)
        size = (size_t)s.st_size + 1;
    if (!locked_new(size, &bytes, err) || !read_all(fd, bytes_max, &bytes, &used, err))
        return err_in(err, "%s", path);
    if (!locked_new(used, pages, err)) /* of the file's size: it says how long the text is */
        return false;
    if (used)
        memcpy(pages->at, bytes.at, used);
    return true;
}

bool keyring_read(const char *path, size_t bytes_max, struct locked *pages, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good;

    if (fd < 0)
        return err_system(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
    good = keyring_read_fd(fd, path, bytes_max, pages, err);
    close(fd);
    return good;
}

bool keyring_key_decode(struct view text, uint8_t key[static KEYRING_KEY_BYTES], struct err *err)
{
    size_t len = KEYRING_KEY_BYTES;

    return (base64_decode(text_trim(text), key, &len) && len == KEYRING_KEY_BYTES) ||
           err_set(err, ERR_SYNTAX, "not base64 of %d bytes", KEYRING_KEY_BYTES);
}

bool keyring_path(const char *folder, const char *name, char out[static KEYRING_PATH_BYTES],
                  struct err *err)
{
    return snprintf(out, KEYRING_PATH_BYTES, "%s/%s", folder, name) < KEYRING_PATH_BYTES ||
           err_set(err, ERR_LIMIT, "%s: the path is too long", name);
}
