/* session: the token that a sandbox was given. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "ati/token/token_priv.h"
#include "base/secret.h"
#include "base/text.h"

#include "base/poison.h"

/* One byte more than fits: then it is too long. */
static bool file_take(int fd, const char *path, struct buf *out, struct err *err)
{
    uint8_t bytes[TOKEN_BYTES_MAX + 1];
    size_t len = 0;
    ssize_t n = 1;
    bool good;

    while (n > 0 && len < sizeof bytes) {
        n = read(fd, bytes + len, sizeof bytes - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    if (n < 0)
        good = err_system(err, ERR_IO, errno, "Cannot read %s", path);
    else if (len > TOKEN_BYTES_MAX)
        good =
            err_set(err, ERR_LIMIT, "Cannot read %s: longer than %d bytes", path, TOKEN_BYTES_MAX);
    else
        good = buf_append(out, text_trim(view_from(bytes, len)), err);
    secret_wipe(bytes, sizeof bytes);
    return good;
}

bool token_session(char **environment, struct buf *out, struct err *err)
{
    struct view given = text_trim(view_str(token_environment(environment, "ATI_SESSION_TOKEN")));
    const char *path = token_environment(environment, "ATI_SESSION_TOKEN_FILE");
    bool good;
    int fd;

    if (given.len)
        return buf_append(out, given, err);
    if (!path)
        path = TOKEN_FILE;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || err_system(err, ERR_IO, errno, "Cannot read %s", path);
    good = file_take(fd, path, out, err);
    close(fd);
    return good;
}
