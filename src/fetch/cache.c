#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/digest.h"
#include "attest/expiry.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "fetch/fetch_priv.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, MARGIN_S = 60, SHORT_HASH = 8, STEP_MS = 20 };

const char *fetch_cache_default(void)
{
    static char path[PATH_BYTES];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;

    if (cache && *cache == '/')
        n = snprintf(path, sizeof path, "%s/postern", cache);
    else if (home && *home == '/')
        n = snprintf(path, sizeof path, "%s/.cache/postern", home);
    else
        return NULL;
    return n < (int)sizeof path ? path : NULL;
}

bool cache_path(const struct fetch_options *o, const struct collateral_need *need, char *out,
                size_t size)
{
    struct view url = view_str(o->url);
    uint8_t hash[32];
    char service[2 * SHORT_HASH + 1], fmspc[13];

    if (!o->cache || !digest_sha256(&url, 1, hash))
        return false;
    hex_encode(view_from(hash, SHORT_HASH), service);
    hex_encode(view_from(need->fmspc, sizeof need->fmspc), fmspc);
    return snprintf(out, size, "%s/%s-%s-%s-%s.json", o->cache, service, need->tdx ? "tdx" : "sgx",
                    fmspc, need->processor_ca ? "processor" : "platform") < (int)size;
}

struct collateral *cache_load(const char *path, int64_t now_s, bool old)
{
    struct collateral *c = NULL;
    struct stat status;
    struct buf text;
    int64_t until_s;

    if (stat(path, &status) < 0 || (!old && status.st_mtime + FETCH_CACHE_TTL_S < now_s) ||
        status.st_mtime > now_s + MARGIN_S)
        return NULL;
    buf_init(&text, COLLATERAL_BYTES_MAX, "cached collateral");
    if (file_read(path, &text, NULL) && collateral_parse(buf_view(&text), &c, NULL) &&
        (!collateral_expiry(c, now_s, &until_s) || until_s - (old ? 0 : MARGIN_S) < now_s)) {
        collateral_free(c);
        c = NULL;
    }
    buf_done(&text);
    return c;
}

/* A cache that cannot be written is no reason to fail. */
void cache_store(const char *path, struct view json)
{
    (void)!file_write(path, json, 0600, NULL);
}

/* --- turns --- */

bool cache_make(const char *folder)
{
    char parent[PATH_BYTES];
    char *slash;

    if (snprintf(parent, sizeof parent, "%s", folder) >= (int)sizeof parent) {
        errno = ENAMETOOLONG;
        return false;
    }
    slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = '\0';
        (void)!mkdir(parent, 0700);
    }
    return mkdir(folder, 0700) == 0 || errno == EEXIST;
}

int cache_turn(const struct fetch_options *o, const char *path)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    uint64_t until_ms =
        clock_monotonic_ms(&clock_system) + o->timeout_ms * (uint64_t)FETCH_REQUESTS;
    char lock[PATH_BYTES];
    int fd;

    (void)!cache_make(o->cache);
    if (snprintf(lock, sizeof lock, "%s.turn", path) >= (int)sizeof lock)
        return -1;
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) ||
            clock_monotonic_ms(&clock_system) >= until_ms) {
            close(fd);
            return -1;
        }
        (void)nanosleep(&step, NULL);
    }
    return fd;
}

void cache_turn_end(int turn)
{
    if (turn >= 0)
        close(turn);
}

void cache_turn_tell(int turn, const char *failure)
{
    if (turn >= 0 && ftruncate(turn, 0) == 0 && failure)
        (void)!pwrite(turn, failure, strlen(failure), 0);
}

bool cache_failed(int turn, int64_t now_s, char *why, size_t size, int64_t *ago_s)
{
    struct stat status;
    ssize_t n;

    if (turn < 0 || fstat(turn, &status) < 0 || !status.st_size)
        return false;
    *ago_s = now_s - status.st_mtime;
    n = pread(turn, why, size - 1, 0);
    why[n > 0 ? n : 0] = '\0';
    return n > 0 && *ago_s > -MARGIN_S && *ago_s < FETCH_FAILURE_S;
}
