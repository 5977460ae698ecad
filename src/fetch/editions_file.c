#include "fetch/editions_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "fetch/fetch_priv.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, PAUSE_NS = 10 * 1000 * 1000 };

static bool path_of(const char *folder, const char *name, char out[static PATH_BYTES],
                    struct attest_err *err)
{
    return snprintf(out, PATH_BYTES, "%s/%s", folder, name) < PATH_BYTES ||
           attest_fail(err, ATTEST_EDITIONS, "%s: the path is too long", folder);
}

static bool load(const char *path, struct editions **out, struct attest_err *err)
{
    struct attest_err why;
    struct buf text;
    struct err failure;
    bool good;

    buf_init(&text, EDITIONS_BYTES_MAX, "list of editions");
    if (!file_read(path, &text, &failure)) {
        buf_done(&text);
        if (failure.code != ERR_NOT_FOUND)
            return attest_fail(err, ATTEST_EDITIONS, "%s", failure.text);
        *out = calloc(1, sizeof **out);
        return *out || attest_fail(err, ATTEST_MEMORY, "no memory for editions");
    }
    good = editions_parse(buf_view(&text), out, &why);
    buf_done(&text);
    return good || attest_fail_plain(err, why.code,
                                     "%s [%s]: delete it to start anew; what it remembers of old "
                                     "collateral is then forgotten",
                                     why.text, path);
}

bool editions_load(const char *folder, struct editions **out, struct attest_err *err)
{
    char path[PATH_BYTES];

    return path_of(folder, "editions.json", path, err) && load(path, out, err);
}

/* The descriptor that holds the lock; negative: errno. */
static int lock(const char *path)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    uint64_t until = clock_monotonic_ms(&clock_system) + EDITIONS_LOCK_MS;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int failure = errno;

        if (failure != EINTR &&
            (failure != EWOULDBLOCK || clock_monotonic_ms(&clock_system) > until)) {
            close(fd);
            errno = failure == EWOULDBLOCK ? ETIMEDOUT : failure;
            return -1;
        }
        (void)nanosleep(&pause, NULL);
    }
    return fd;
}

static bool store(const char *path, const struct editions *e, struct attest_err *err)
{
    struct buf text;
    struct err why;
    bool good;

    buf_init(&text, EDITIONS_BYTES_MAX, "list of editions");
    good = (editions_write(e, &text, &why) && buf_append_byte(&text, '\n', &why) &&
            file_write(path, buf_view(&text), 0600, &why)) ||
           attest_fail(err, ATTEST_EDITIONS, "%s", why.text);
    buf_done(&text);
    return good;
}

bool editions_keep(const char *folder, const struct edition *accepted, struct attest_err *err)
{
    char path[PATH_BYTES], lock_path[PATH_BYTES];
    struct editions *e = NULL;
    bool good;
    int fd;

    if (!path_of(folder, "editions.json", path, err) ||
        !path_of(folder, "editions.lock", lock_path, err))
        return false;
    fd = cache_make(folder) ? lock(lock_path) : -1;
    if (fd < 0)
        return attest_fail(err, ATTEST_EDITIONS, "%s: %s", lock_path, strerror(errno));
    good = load(path, &e, err) && (!editions_raise(e, accepted) || store(path, e, err));
    free(e);
    close(fd);
    return good;
}
