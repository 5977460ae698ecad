/* What the C library and OpenSSL ask of a system (WASI, preview 1), from three imports: entropy, a clock, and a log for what a failed
 * CHECK says. There are no files, no arguments and no environment. The names are those under which the C library would import them. */
#include <stdint.h>
#include <wasi/api.h>

#define IMPORT(what) __attribute__((import_module("env"), import_name(#what))) host_##what
#define WASI(what)   __imported_wasi_snapshot_preview1_##what

void IMPORT(entropy)(void *at, uint32_t len);
double IMPORT(now)(void);
void IMPORT(log)(const void *at, uint32_t len);

/* The C library declares them where nobody can see it. */
#pragma clang diagnostic ignored "-Wmissing-prototypes"

enum { STANDARD_ERROR = 2 };

int32_t WASI(random_get)(uint8_t *at, uint32_t len)
{
    host_entropy(at, len);
    return __WASI_ERRNO_SUCCESS;
}

int32_t WASI(clock_time_get)(int32_t id, int64_t precision, uint64_t *out)
{
    (void)id;
    (void)precision;
    *out = (uint64_t)(host_now() * 1e9);
    return __WASI_ERRNO_SUCCESS;
}

int32_t WASI(fd_write)(int32_t fd, const __wasi_ciovec_t *pieces, uint32_t count, uint32_t *out)
{
    *out = 0;
    if (fd != STANDARD_ERROR)
        return __WASI_ERRNO_BADF;
    for (uint32_t i = 0; i < count; i++) {
        host_log(pieces[i].buf, pieces[i].buf_len);
        *out += pieces[i].buf_len;
    }
    return __WASI_ERRNO_SUCCESS;
}

_Noreturn void WASI(proc_exit)(int32_t status)
{
    (void)status;
    __builtin_trap();
}

int32_t WASI(environ_sizes_get)(uint32_t *count, uint32_t *bytes)
{
    *count = 0;
    *bytes = 0;
    return __WASI_ERRNO_SUCCESS;
}

int32_t WASI(environ_get)(uint8_t **names, uint8_t *bytes)
{
    (void)names;
    (void)bytes;
    return __WASI_ERRNO_SUCCESS;
}

/* --- files: none is open, none can be --- */

int32_t WASI(fd_close)(int32_t fd)
{
    (void)fd;
    return __WASI_ERRNO_BADF;
}

int32_t WASI(fd_seek)(int32_t fd, int64_t offset, int32_t whence, uint64_t *out)
{
    (void)fd;
    (void)offset;
    (void)whence;
    (void)out;
    return __WASI_ERRNO_BADF;
}

int32_t WASI(fd_fdstat_get)(int32_t fd, __wasi_fdstat_t *out)
{
    (void)fd;
    (void)out;
    return __WASI_ERRNO_BADF;
}

int32_t WASI(fd_prestat_get)(int32_t fd, __wasi_prestat_t *out)
{
    (void)fd;
    (void)out;
    return __WASI_ERRNO_BADF;
}

int32_t WASI(fd_prestat_dir_name)(int32_t fd, uint8_t *path, uint32_t len)
{
    (void)fd;
    (void)path;
    (void)len;
    return __WASI_ERRNO_BADF;
}

int32_t WASI(fd_readdir)(int32_t fd, uint8_t *at, uint32_t len, int64_t cookie, uint32_t *out)
{
    (void)fd;
    (void)at;
    (void)len;
    (void)cookie;
    (void)out;
    return __WASI_ERRNO_BADF;
}

int32_t WASI(path_filestat_get)(int32_t fd, int32_t flags, const char *path, uint32_t len,
                                __wasi_filestat_t *out)
{
    (void)fd;
    (void)flags;
    (void)path;
    (void)len;
    (void)out;
    return __WASI_ERRNO_NOENT;
}

int32_t WASI(path_open)(int32_t fd, int32_t look, const char *path, uint32_t len, int32_t how,
                        int64_t rights, int64_t inherited, int32_t with, uint32_t *out)
{
    (void)fd;
    (void)look;
    (void)path;
    (void)len;
    (void)how;
    (void)rights;
    (void)inherited;
    (void)with;
    (void)out;
    return __WASI_ERRNO_NOENT;
}
