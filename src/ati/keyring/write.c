/* write: files that hold secrets: beside the old one first, synced, then in its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/keyring/keyring_priv.h"
#include "base/codec.h"
#include "base/secret.h"

#include "base/poison.h"

#define KEY_NAME ".keyring-key"

static bool write_all(int fd, struct view content)
{
    while (content.len) {
        ssize_t n = write(fd, content.at, content.len);

        if (n < 0 && errno != EINTR)
            return false;
        content = view_skip(content, n < 0 ? 0 : (size_t)n);
    }
    return true;
}

/* So that the new name outlives a crash. Best effort: not every file system can. */
static void folder_sync(const char *path)
{
    char folder[KEYRING_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int fd;

    (void)snprintf(folder, sizeof folder, "%.*s", slash && slash > path ? (int)(slash - path) : 1,
                   slash ? path : ".");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

bool keyring_put_file(const char *path, struct view content, struct err *err)
{
    char beside[KEYRING_PATH_BYTES + 8];
    bool good;
    int fd;

    (void)snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    fd = mkostemp(beside, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "%s", path);
    good = fchmod(fd, S_IRUSR | S_IWUSR) == 0 && write_all(fd, content) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (good && rename(beside, path) == 0) {
        folder_sync(path);
        return true;
    }
    (void)err_system(err, ERR_IO, errno, "%s", path);
    (void)unlink(beside);
    return false;
}

bool keyring_write(const char *folder, struct view plain,
                   const uint8_t key[static KEYRING_KEY_BYTES], size_t *bytes, struct err *err)
{
    char path[KEYRING_PATH_BYTES];
    struct buf sealed;
    bool good;

    if (!keyring_path(folder, "keyring.enc", path, err))
        return false;
    buf_init(&sealed, KEYRING_BYTES_MAX + 64, "keyring.enc");
    good = keyring_seal(plain, key, &sealed, err) && keyring_put_file(path, buf_view(&sealed), err);
    if (good)
        *bytes = buf_len(&sealed);
    buf_done(&sealed);
    return good;
}

static bool key_make(const char *path, uint8_t key[static KEYRING_KEY_BYTES], struct err *err)
{
    char text[BASE64_LEN(KEYRING_KEY_BYTES) + 1];
    bool good;

    random_bytes(key, KEYRING_KEY_BYTES);
    base64_encode(view_from(key, KEYRING_KEY_BYTES), text);
    good = keyring_put_file(path, view_str(text), err);
    secret_wipe(text, sizeof text);
    return good;
}

bool keyring_key(const char *folder, bool create, uint8_t key[static KEYRING_KEY_BYTES],
                 struct err *err)
{
    CLEANUP(locked_done) struct locked text = {.at = NULL};
    char path[KEYRING_PATH_BYTES];
    struct err why = {0};

    if (!keyring_path(folder, KEY_NAME, path, err))
        return false;
    if (keyring_read(path, KEYRING_PATH_BYTES, &text, &why))
        return keyring_key_decode(keyring_bytes(&text), key, err) || err_in(err, "%s", path);
    if (create && why.code == ERR_NOT_FOUND)
        return key_make(path, key, err);
    if (err)
        *err = why;
    return false;
}
