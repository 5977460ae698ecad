/* Linux' configfs-tsm (Documentation/ABI/testing/configfs-tsm-report): an entry with inblob, outblob, generation and provider.
 * What is written to inblob counts when its descriptor is closed, which advances generation; reading outblob makes the
 * quote, and may have to be tried again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "quote/measure.h"
#include "quote/provider_priv.h"

#include "base/poison.h"

enum { PATH_BYTES = 1024, GENERATION_MAX = 32, TRIES = 5, PIECE_BYTES = 4096 };

struct tsm {
    struct provider base;
    char folder[PATH_BYTES], entry[PATH_BYTES], log_folder[PATH_BYTES];
    bool made; /* the entry is ours to remove */
    struct measure measure;
};

static void path_of(const struct tsm *t, const char *name, char out[static PATH_BYTES + 32])
{
    (void)snprintf(out, PATH_BYTES + 32, "%s/%s", t->entry, name);
}

static bool attribute(const struct tsm *t, const char *name, struct buf *out, struct err *err)
{
    char path[PATH_BYTES + 32];

    path_of(t, name, path);
    return file_read(path, out, err);
}

static bool generation(const struct tsm *t, uint64_t *out, struct err *err)
{
    struct buf text;
    bool good;

    buf_init(&text, GENERATION_MAX, "generation");
    good = attribute(t, "generation", &text, err) &&
           (text_u64(text_trim(buf_view(&text)), UINT64_MAX, true, out) ||
            err_set(err, ERR_IO, "generation is no number"));
    buf_done(&text);
    return good;
}

/* Whole, in one write, and done with when it is closed: then it counts. */
static bool write_inblob(const struct tsm *t, const uint8_t *report_data, struct patience *patience,
                         struct err *err)
{
    char path[PATH_BYTES + 32];
    int fd, code = 0;
    ssize_t n;

    path_of(t, "inblob", path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "%s", path);
    while ((n = pwrite(fd, report_data, REPORT_DATA_BYTES, 0)) < 0) {
        if (patience_wait(patience, errno == EBUSY || errno == EINTR))
            continue;
        code = errno;
        break;
    }
    close(fd);
    if (code)
        return err_system(err, ERR_IO, code, "inblob");
    return n == REPORT_DATA_BYTES || err_set(err, ERR_IO, "inblob took %zd of 64 bytes", n);
}

/* *code: why it failed, where the system said it. */
static bool read_whole(const char *path, struct buf *out, int *code, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t piece[PIECE_BYTES];
    bool good = fd >= 0;
    ssize_t n = -1;

    *code = good ? 0 : errno;
    while (good && (n = pread(fd, piece, sizeof piece, (off_t)buf_len(out))) > 0)
        good = buf_append(out, view_from(piece, (size_t)n), err);
    if (good && n < 0)
        *code = errno;
    if (fd >= 0)
        close(fd);
    return good && !*code;
}

static bool read_outblob(const struct tsm *t, struct buf *out, struct patience *patience,
                         struct err *err)
{
    char path[PATH_BYTES + 32];
    int code;

    path_of(t, "outblob", path);
    for (;;) {
        buf_reset(out);
        if (read_whole(path, out, &code, err))
            return buf_len(out) || err_set(err, ERR_IO, "outblob is empty");
        if (!code)
            return false;
        if (!patience_wait(patience, code == EBUSY || code == EINTR))
            return err_system(err, code == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO, code, "outblob");
    }
}

/* True in *clean: nobody else wrote between our writing and our reading. */
static bool once(struct tsm *t, const uint8_t *report_data, struct patience *patience,
                 struct buf *quote, bool *clean, struct err *err)
{
    uint64_t before, now, after;

    if (!generation(t, &before, err) || !write_inblob(t, report_data, patience, err))
        return false;
    do {
        if (!generation(t, &now, err))
            return false;
    } while (now == before && patience_wait(patience, true));
    if (now == before)
        return err_set(err, ERR_TIMEOUT, "generation does not advance");
    if (!read_outblob(t, quote, patience, err) || !generation(t, &after, err))
        return false;
    *clean = after == now && now == before + 1;
    return true;
}

/* For programs that share the entry, if there are others; -1: failed. It is closed unwritten. */
static int lock_entry(const struct tsm *t, struct patience *patience, struct err *err)
{
    char path[PATH_BYTES + 32];
    int fd;

    path_of(t, "inblob", path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)err_system(err, ERR_IO, errno, "%s", path);
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (patience_wait(patience, errno == EWOULDBLOCK || errno == EINTR))
            continue;
        (void)err_system(err, ERR_IO, errno, "%s: locking", path);
        close(fd);
        return -1;
    }
    return fd;
}

static bool quote_of(struct tsm *t, const uint8_t *report_data, struct buf *quote, struct err *err)
{
    struct patience patience = patience_of(t->base.timeout_ms);
    bool clean = false, good = true;
    int lock = lock_entry(t, &patience, err);

    if (lock < 0)
        return false;
    for (int i = 0; good && !clean && i < TRIES; i++)
        good = once(t, report_data, &patience, quote, &clean, err);
    close(lock);
    return good && (clean || err_set(err, ERR_IO, "another program uses the same report entry"));
}

/* No event may come between a quote and the log that goes with it. */
static bool get_quote(struct provider *p, const uint8_t *report_data, struct provider_quote *out,
                      struct err *err)
{
    struct tsm *t = (struct tsm *)(void *)p;
    int lock = measure_lock(&t->measure, false, err);
    bool good;

    if (lock < 0)
        return false;
    good = quote_of(t, report_data, &out->quote, err) &&
           measure_log(&t->measure, &out->event_log, err);
    measure_unlock(lock);
    return good;
}

static bool emit(struct provider *p, const char *name, struct view payload, struct err *err)
{
    struct tsm *t = (struct tsm *)(void *)p;

    if (payload.len > PROVIDER_PAYLOAD_MAX)
        return err_set(err, ERR_LIMIT, "the payload of an event has at most %d bytes",
                       PROVIDER_PAYLOAD_MAX);
    return measure_emit(&t->measure, name, payload, err);
}

static bool tcb_info(struct provider *p, struct buf *out, struct err *err)
{
    (void)p;
    (void)out;
    (void)err;
    return true;
}

static void tsm_free(struct provider *p)
{
    struct tsm *t = (struct tsm *)(void *)p;

    if (t->made)
        (void)rmdir(t->entry);
    measure_done(&t->measure);
    free(t);
}

static bool check_provider(struct tsm *t, struct err *err)
{
    static const char want[] = "tdx_guest";
    char name[64] = "", shown[256];
    struct buf text;
    bool good;

    buf_init(&text, sizeof name - 1, "provider");
    good = attribute(t, "provider", &text, err);
    if (good)
        (void)snprintf(name, sizeof name, "%.*s", VIEW_ARG(buf_view(&text)));
    if (good && strncmp(name, want, sizeof want - 1) != 0) {
        (void)text_escape(text_trim(view_str(name)), 40, shown, sizeof shown);
        good = err_set(err, ERR_CONFIG, "the provider of reports is \"%s\", not %s", shown, want);
    }
    buf_done(&text);
    return good;
}

static bool copy_path(char out[static MEASURE_PATH_BYTES], const char *path, struct err *err)
{
    return snprintf(out, MEASURE_PATH_BYTES, "%s", path) < MEASURE_PATH_BYTES ||
           err_set(err, ERR_USAGE, "%s: the path is too long", path);
}

/* What it writes to once it is open: the entry in configfs' folder, which is removed at the end; the register; the log. */
static void tell_files(struct tsm *t, const struct tsm_paths *paths)
{
    struct view events = view_str(paths->events);
    size_t slash = view_find_last(events, '/');

    (void)snprintf(t->folder, sizeof t->folder, "%s", paths->reports);
    (void)snprintf(t->log_folder, sizeof t->log_folder, "%.*s",
                   VIEW_ARG(slash < events.len ? view_first(events, slash) : VIEW(".")));
    t->base.files = (struct provider_files){
        .write = {t->folder, t->measure.rtmr3, t->measure.device, t->log_folder},
        .ioctls = {MEASURE_IOCTL},
    };
}

bool provider_tsm(const struct tsm_paths *paths, uint64_t timeout_ms, struct provider **out,
                  struct err *err)
{
    static const struct provider_calls calls = {get_quote, emit, tcb_info, tsm_free, NULL};
    CLEANUP(provider_free_cleanup) struct provider *p = NULL;
    struct tsm *t = calloc(1, sizeof *t);
    struct measure *m;

    if (!t)
        return err_set(err, ERR_MEMORY, "no memory for a quote provider");
    p = &t->base;
    m = &t->measure;
    t->base.calls = &calls;
    t->base.timeout_ms = m->timeout_ms = timeout_ms;
    (void)snprintf(t->base.name, sizeof t->base.name, "tsm:%.480s", paths->reports);
    if (!copy_path(m->rtmr3, paths->rtmr3, err) || !copy_path(m->device, paths->device, err) ||
        !copy_path(m->ccel, paths->ccel, err) || !copy_path(m->events, paths->events, err))
        return false;
    if (snprintf(t->entry, sizeof t->entry, "%s/postern", paths->reports) >= (int)sizeof t->entry)
        return err_set(err, ERR_USAGE, "%s: the path is too long", paths->reports);
    tell_files(t, paths);
    t->made = mkdir(t->entry, 0700) == 0;
    if (!t->made && errno != EEXIST)
        return err_system(err, ERR_IO, errno, "%s", t->entry);
    if (!check_provider(t, err) || !measure_open(m, err))
        return false;
    *out = take(p);
    return true;
}
