/* file: lines to a file that others may append to, and may move. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ati/audit/audit.h"

#include "base/poison.h"

enum {
    PATH_BYTES = 4096,
    FILE_MODE = 0600,
    LINE_BYTES_MAX = 1024 * 1024,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000
};

struct audit {
    char *path;
    uint64_t rotate_bytes;
    unsigned keep;
    bool threaded, started;
    int fd; /* of the writer alone, once it runs; -1: it could not be opened */
    bool failing,
        torn;        /* of the writer: the last write failed; the file ends amid a line of ours */
    struct log *log; /* of the writer */
    atomic_bool reopen;
    atomic_uint_fast64_t dropped;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    struct buf waiting; /* whole lines */
    uint64_t waiting_lines;
    bool closing, full; /* full: nobody waits for room again before there was some */
};

static void *writer_run(void *context);
static bool lines_write(struct audit *a, struct view *lines);

static bool file_open(struct audit *a, struct err *err)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = open(a->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, FILE_MODE);
    return a->fd >= 0 || err_system(err, ERR_IO, errno, "%s", a->path);
}

static bool locks_make(struct audit *a, struct err *err)
{
    pthread_condattr_t monotonic;
    bool good = pthread_condattr_init(&monotonic) == 0 &&
                pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&a->lock, NULL) == 0 &&
                pthread_cond_init(&a->filled, &monotonic) == 0 &&
                pthread_cond_init(&a->emptied, &monotonic) == 0;

    (void)pthread_condattr_destroy(&monotonic);
    return good || err_set(err, ERR_MEMORY, "no memory for the audit");
}

bool audit_start(struct audit *a, struct err *err)
{
    sigset_t all, before;

    (void)sigfillset(&all); /* signals are the business of the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    a->started = pthread_create(&a->thread, NULL, writer_run, a) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return a->started || err_set(err, ERR_MEMORY, "no thread for the audit");
}

bool audit_open(const struct audit_options *options, struct audit **out, struct err *err)
{
    struct audit *a = calloc(1, sizeof *a);

    if (!a || !(a->path = strdup(options->path))) {
        free(a);
        return err_set(err, ERR_MEMORY, "audit");
    }
    a->fd = -1;
    a->rotate_bytes = options->rotate_bytes;
    a->keep = options->keep;
    a->threaded = options->threaded;
    a->log = options->log;
    buf_init(&a->waiting, AUDIT_WAITING_BYTES_MAX, "audit");
    if (file_open(a, err) && (!a->threaded || locks_make(a, err))) {
        *out = a;
        return true;
    }
    if (a->fd >= 0)
        close(a->fd);
    free(a->path);
    free(a);
    return false;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    if (a->threaded) {
        (void)pthread_mutex_lock(&a->lock);
        a->closing = true;
        (void)pthread_cond_signal(&a->filled);
        (void)pthread_mutex_unlock(&a->lock);
        if (a->started)
            (void)pthread_join(a->thread, NULL);
        else
            (void)writer_run(a);
        (void)pthread_cond_destroy(&a->filled);
        (void)pthread_cond_destroy(&a->emptied);
        (void)pthread_mutex_destroy(&a->lock);
    }
    if (a->fd >= 0)
        close(a->fd);
    buf_done(&a->waiting);
    free(a->path);
    free(a);
}

void audit_reopen(struct audit *a)
{
    atomic_store(&a->reopen, true);
}

uint64_t audit_dropped(const struct audit *a)
{
    return atomic_load_explicit(&a->dropped, memory_order_relaxed);
}

static void drop(struct audit *a, uint64_t lines)
{
    atomic_fetch_add_explicit(&a->dropped, lines, memory_order_relaxed);
}

static void drop_lines(struct audit *a, struct view lines)
{
    uint64_t count = 0;

    for (size_t i = 0; i < lines.len; i++)
        count += lines.at[i] == '\n';
    drop(a, count);
}

static struct timespec in_ms(long ms)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ms * NS_PER_MS;
    t.tv_sec += t.tv_nsec / NS_PER_S;
    t.tv_nsec %= NS_PER_S;
    return t;
}

static bool fits(const struct audit *a, size_t n)
{
    return a->waiting.max - buf_len(&a->waiting) >= n;
}

/* Locked. */
static bool room_wait(struct audit *a, size_t n)
{
    struct timespec until = in_ms(AUDIT_WAIT_MS);
    int result = 0;

    while (!fits(a, n) && !a->full && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&a->emptied, &a->lock, &until);
    if (!fits(a, n))
        a->full = true;
    return fits(a, n);
}

static void enqueue(struct audit *a, struct view line)
{
    (void)pthread_mutex_lock(&a->lock);
    if (room_wait(a, line.len) && buf_append(&a->waiting, line, NULL)) {
        if (a->waiting_lines++ == 0 || buf_len(&a->waiting) > a->waiting.max / 2)
            (void)pthread_cond_signal(&a->filled);
    } else {
        drop(a, 1);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

void audit_write(struct audit *a, const struct audit_record *record)
{
    struct buf line;
    struct view rest;

    buf_init(&line, LINE_BYTES_MAX, "audit line");
    if (!audit_line(record, &line, NULL)) {
        drop(a, 1);
    } else if (a->threaded) {
        enqueue(a, buf_view(&line));
    } else {
        rest = buf_view(&line);
        if (!lines_write(a, &rest))
            drop(a, 1);
    }
    buf_done(&line);
}

/* Waits for lines, and a little for more of them. Takes what is there. */
static bool batch_take(struct audit *a, struct buf *lines)
{
    struct timespec until;
    struct buf empty;
    bool any;
    int result = 0;

    (void)pthread_mutex_lock(&a->lock);
    while (!a->waiting_lines && !a->closing)
        (void)pthread_cond_wait(&a->filled, &a->lock);
    until = in_ms(AUDIT_EVERY_MS);
    while (!a->closing && buf_len(&a->waiting) <= a->waiting.max / 2 && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&a->filled, &a->lock, &until);
    empty = *lines;
    *lines = a->waiting;
    a->waiting = empty;
    any = a->waiting_lines > 0;
    a->waiting_lines = 0;
    a->full = false;
    (void)pthread_cond_broadcast(&a->emptied);
    (void)pthread_mutex_unlock(&a->lock);
    return any;
}

/* Until the next attempt. False: there is no time left. */
static bool retry_wait(struct audit *a)
{
    struct timespec until = in_ms(AUDIT_RETRY_MS);
    int result = 0;
    bool closing;

    (void)pthread_mutex_lock(&a->lock);
    while (!a->closing && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&a->filled, &a->lock, &until);
    closing = a->closing;
    (void)pthread_mutex_unlock(&a->lock);
    return !closing;
}

static void *writer_run(void *context)
{
    struct audit *a = context;
    struct buf lines;

    buf_init(&lines, AUDIT_WAITING_BYTES_MAX, "audit");
    while (batch_take(a, &lines)) {
        struct view rest = buf_view(&lines);
        bool good = lines_write(a, &rest), more = true;

        while (!good && more) {
            more = retry_wait(a);
            good = lines_write(a, &rest);
        }
        if (!good)
            drop_lines(a, rest);
        buf_reset(&lines);
    }
    buf_done(&lines);
    return NULL;
}

/* path is still the file that is open. */
static bool in_place(const struct audit *a, struct stat *open_file)
{
    struct stat named;

    return a->fd >= 0 && fstat(a->fd, open_file) == 0 && stat(a->path, &named) == 0 &&
           named.st_dev == open_file->st_dev && named.st_ino == open_file->st_ino;
}

/* audit.jsonl.1 to .2, and so on; the last one goes. */
static void names_move(const struct audit *a)
{
    char from[PATH_BYTES], to[PATH_BYTES];

    for (unsigned i = a->keep; i > 0; i--) {
        (void)snprintf(to, sizeof to, "%s.%u", a->path, i);
        if (i > 1)
            (void)snprintf(from, sizeof from, "%s.%u", a->path, i - 1);
        else
            (void)snprintf(from, sizeof from, "%s", a->path);
        (void)rename(from, to);
    }
    if (!a->keep)
        (void)unlink(a->path);
}

/* Whoever has the lock of the file that is in place moves it; the others find another one there. */
static bool rotate(struct audit *a, struct err *err)
{
    struct stat s;

    if (flock(a->fd, LOCK_EX) != 0)
        return true; /* later, then */
    if (in_place(a, &s) && (uint64_t)s.st_size >= a->rotate_bytes)
        names_move(a);
    return file_open(a, err); /* gives the lock back */
}

static size_t whole_lines(struct view v)
{
    size_t last = view_find_last(v, '\n');

    return last == v.len ? 0 : last + 1;
}

/* What there was room for of the last line of written is taken back. Where others have written behind it, it stays, and a line break
 * is to end it. */
static void untear(struct audit *a, struct view written)
{
    size_t part = written.len - whole_lines(written);
    struct stat s;
    off_t end;

    if (!part)
        return;
    end = lseek(a->fd, 0, SEEK_CUR);
    a->torn = end < (off_t)part || fstat(a->fd, &s) != 0 || s.st_size != end ||
              ftruncate(a->fd, end - (off_t)part) != 0;
}

/* *lines is what is left: whole lines. */
static bool write_all(struct audit *a, struct view *lines, struct err *err)
{
    struct view all = *lines, written;
    ssize_t n = 0;

    if (a->torn && write(a->fd, "\n", 1) != 1)
        return err_system(err, ERR_IO, errno, "%s", a->path);
    a->torn = false;
    while (lines->len && ((n = write(a->fd, lines->at, lines->len)) >= 0 || errno == EINTR))
        *lines = view_skip(*lines, n < 0 ? 0 : (size_t)n);
    if (!lines->len)
        return true;
    err_system(err, ERR_IO, errno, "%s", a->path);
    written = view_first(all, all.len - lines->len);
    untear(a, written);
    *lines = view_skip(all, whole_lines(written));
    return false;
}

/* Once when it fails, once when it works again. */
static void tell(struct audit *a, bool good, const struct err *err)
{
    if (good == !a->failing)
        return;
    a->failing = !good;
    if (good)
        log_event(a->log, LOG_INFO, "audit.written", "the audit log is written again",
                  F_U64("dropped", audit_dropped(a)));
    else
        log_event(a->log, LOG_WARN, "audit.failed", "the audit log cannot be written",
                  F_STR("error", err->text));
}

static bool lines_write(struct audit *a, struct view *lines)
{
    struct stat s = {.st_size = 0};
    struct err err = {0};
    bool good = !(atomic_exchange(&a->reopen, false) || !in_place(a, &s)) || file_open(a, &err);

    good = good && write_all(a, lines, &err);
    tell(a, good, &err);
    if (a->fd >= 0 && a->rotate_bytes && fstat(a->fd, &s) == 0 &&
        (uint64_t)s.st_size >= a->rotate_bytes)
        (void)!rotate(a, NULL);
    return good;
}
