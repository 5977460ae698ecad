#include "quote/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/event_log.h"
#include "base/file.h"
#include "base/json.h"
#include "quote/ccel.h"
#include "quote/provider_priv.h"

#include "base/poison.h"

enum { FIRMWARE_JSON_MAX = 1024 * 1024, LINE_MAX_BYTES = 8 * 1024 };

/* <linux/tdx-guest.h> of kernels that have it. */
struct tdx_extend_rtmr {
    uint8_t digest[MEASUREMENT_BYTES];
    uint8_t index;
};
#define TDX_EXTEND_RTMR _IOR('T', 3, struct tdx_extend_rtmr)
_Static_assert(TDX_EXTEND_RTMR == MEASURE_IOCTL, "what a sandbox is told");

/* --- the firmware's part --- */

static void write_event(struct json_writer *w, unsigned imr, uint32_t type, struct view digest,
                        struct view name, struct view payload)
{
    json_object(w);
    json_key(w, "imr");
    json_u64(w, imr);
    json_key(w, "event_type");
    json_u64(w, type);
    json_key(w, "digest");
    json_hex(w, digest);
    json_key(w, "event");
    json_text(w, name);
    json_key(w, "event_payload");
    json_hex(w, payload);
    json_object_end(w);
}

/* Without their data: no digest can be computed from it in general, so it would prove nothing. */
static bool write_firmware(struct view table, struct buf *out, struct err *err)
{
    struct json_writer w;
    struct ccel_event e;
    enum ccel_step step;
    struct ccel c;

    if (!ccel_begin(&c, table, err))
        return false;
    while ((step = ccel_next(&c, &e, err)) == CCEL_EVENT) {
        if (e.imr == RTMR_COUNT - 1)
            return err_set(err, ERR_CONFIG,
                           "the firmware measured into RTMR3, which is for the guest: no client "
                           "accepts that");
        if (buf_len(out) && !buf_append_byte(out, ',', err))
            return false;
        json_begin(&w, out);
        write_event(&w, e.imr, e.type, e.digest, VIEW(""), VIEW(""));
        if (!json_end(&w, err))
            return false;
    }
    return step == CCEL_END;
}

/* The folder that the file stands in, and no more than that. */
static void make_folder(const char *path)
{
    char folder[MEASURE_PATH_BYTES];
    size_t slash = view_find_last(view_str(path), '/');

    (void)snprintf(folder, sizeof folder, "%.*s", (int)slash, path);
    if (slash && path[slash])
        (void)mkdir(folder, 0700);
}

bool measure_open(struct measure *m, struct err *err)
{
    struct buf table;
    bool good;

    make_folder(m->events);
    buf_init(&m->firmware, FIRMWARE_JSON_MAX, "firmware's event log");
    buf_init(&table, CCEL_BYTES_MAX, "firmware's event log");
    good = file_read(m->ccel, &table, err);
    if (good)
        good = write_firmware(buf_view(&table), &m->firmware, err) || err_in(err, "%s", m->ccel);
    else if (err->code == ERR_NOT_FOUND)
        (void)err_in(err, "without the firmware's event log no client can replay RTMR0 to RTMR2");
    buf_done(&table);
    if (!good)
        buf_done(&m->firmware);
    return good;
}

void measure_done(struct measure *m)
{
    buf_done(&m->firmware);
}

/* --- the runtime part --- */

int measure_lock(const struct measure *m, bool alone, struct err *err)
{
    struct patience patience = patience_of(m->timeout_ms);
    int fd;

    make_folder(m->events);
    fd = open(m->events, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)err_system(err, ERR_IO, errno, "%s", m->events);
        return -1;
    }
    while (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        if (patience_wait(&patience, errno == EWOULDBLOCK || errno == EINTR))
            continue;
        (void)err_system(err, ERR_IO, errno, "%s: locking", m->events);
        close(fd);
        return -1;
    }
    return fd;
}

void measure_unlock(int lock)
{
    close(lock);
}

static bool extend_by_device(const struct measure *m, const uint8_t *digest, struct err *err)
{
    struct patience patience = patience_of(m->timeout_ms);
    struct tdx_extend_rtmr request = {.index = RTMR_COUNT - 1};
    int fd = open(m->device, O_RDWR | O_CLOEXEC), code = 0;

    memcpy(request.digest, digest, sizeof request.digest);
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "RTMR3 cannot be extended: there is no %s, and %s",
                          m->rtmr3, m->device);
    while (ioctl(fd, TDX_EXTEND_RTMR, &request) != 0) {
        if (patience_wait(&patience, errno == EBUSY || errno == EINTR))
            continue;
        code = errno;
        break;
    }
    close(fd);
    if (code == ENOTTY || code == EINVAL)
        return err_set(err, ERR_CONFIG,
                       "RTMR3 cannot be extended by this kernel: there is no %s, and %s does not "
                       "do it either",
                       m->rtmr3, m->device);
    return !code || err_system(err, ERR_IO, code, "%s", m->device);
}

static bool extend(const struct measure *m, const uint8_t *digest, struct err *err)
{
    struct patience patience = patience_of(m->timeout_ms);
    int fd = open(m->rtmr3, O_WRONLY | O_CLOEXEC), code = 0;
    ssize_t n;

    if (fd < 0 && errno == ENOENT)
        return extend_by_device(m, digest, err);
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "%s", m->rtmr3);
    while ((n = write(fd, digest, MEASUREMENT_BYTES)) < 0) {
        if (patience_wait(&patience, errno == EBUSY || errno == EINTR))
            continue;
        code = errno;
        break;
    }
    close(fd);
    if (code)
        return err_system(err, ERR_IO, code, "%s", m->rtmr3);
    return n == MEASUREMENT_BYTES || err_set(err, ERR_IO, "%s took %zd of 48 bytes", m->rtmr3, n);
}

/* The whole line, or nothing of it. */
static bool append(int fd, struct view line)
{
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t n = write(fd, line.at, line.len);

    if (n == (ssize_t)line.len)
        return true;
    if (n > 0 && end >= 0)
        (void)!ftruncate(fd, end);
    return false;
}

bool measure_emit(const struct measure *m, const char *name, struct view payload, struct err *err)
{
    uint8_t digest[MEASUREMENT_BYTES];
    struct json_writer w;
    struct buf line;
    int lock;
    bool good;

    if (!event_digest(1, view_str(name), payload, digest))
        return err_set(err, ERR_MEMORY, "no memory for a digest");
    buf_init(&line, LINE_MAX_BYTES, "event");
    json_begin(&w, &line);
    write_event(&w, RTMR_COUNT - 1, EVENT_TYPE_RUNTIME, view_from(digest, sizeof digest),
                view_str(name), payload);
    good = json_end(&w, err) && buf_append_byte(&line, '\n', err);
    lock = good ? measure_lock(m, true, err) : -1;
    good = lock >= 0 && extend(m, digest, err) &&
           (append(lock, buf_view(&line)) ||
            err_system(err, ERR_IO, errno,
                       "%s: RTMR3 has been extended, but not the log: no client will accept "
                       "this guest until it starts anew",
                       m->events));
    if (lock >= 0)
        measure_unlock(lock);
    buf_done(&line);
    return good;
}

bool measure_log(const struct measure *m, struct buf *out, struct err *err)
{
    struct view rest, line;
    struct buf lines;
    bool some = buf_len(&m->firmware) != 0, good;

    buf_init(&lines, MEASURE_LOG_MAX, "log of runtime events");
    good = file_read(m->events, &lines, err) && buf_append_byte(out, '[', err) &&
           buf_append(out, buf_view(&m->firmware), err);
    rest = buf_view(&lines);
    while (good && view_next(&rest, '\n', &line)) {
        if (!line.len)
            continue;
        good = (!some || buf_append_byte(out, ',', err)) && buf_append(out, line, err);
        some = true;
    }
    buf_done(&lines);
    return good && buf_append_byte(out, ']', err);
}
