/* Linux' configfs-tsm (Documentation/ABI/testing/configfs-tsm-report): an entry with inblob, outblob, generation and provider.
 * Runtime events are measured by extending RTMR3 in sysfs and kept in memory here: nobody else tells of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/event_log.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "quote/provider_priv.h"

#include "base/poison.h"

enum { PATH_BYTES = 1024, GENERATION_MAX = 32, TRIES = 5, STEP_MS = 10, LOG_MAX = 1024 * 1024 };

struct tsm {
    struct provider base;
    char entry[PATH_BYTES], rtmr3[PATH_BYTES];
    bool made;         /* the entry is ours to remove */
    struct buf events; /* objects of JSON, with commas between */
};

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

static bool attribute(const struct tsm *t, const char *name, struct buf *out, struct err *err)
{
    char path[PATH_BYTES + 32];

    (void)snprintf(path, sizeof path, "%s/%s", t->entry, name);
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

/* Whole, in one write: that is what makes the quote. */
static bool write_inblob(int fd, const uint8_t *report_data, uint64_t until_ms, struct err *err)
{
    for (;;) {
        ssize_t n = pwrite(fd, report_data, REPORT_DATA_BYTES, 0);

        if (n == REPORT_DATA_BYTES)
            return true;
        if (n >= 0)
            return err_set(err, ERR_IO, "inblob took %zd of 64 bytes", n);
        if ((errno != EBUSY && errno != EINTR) || clock_monotonic_ms(&clock_system) >= until_ms)
            return err_system(err, ERR_IO, errno, "inblob");
        pause_ms(STEP_MS);
    }
}

/* True in *clean: nobody else wrote between our writing and our reading. */
static bool once(struct tsm *t, int fd, const uint8_t *report_data, struct buf *quote, bool *clean,
                 struct err *err)
{
    uint64_t until = clock_monotonic_ms(&clock_system) + t->base.timeout_ms, before, now, after;

    if (!generation(t, &before, err) || !write_inblob(fd, report_data, until, err))
        return false;
    for (;;) {
        if (!generation(t, &now, err))
            return false;
        if (now != before)
            break;
        if (clock_monotonic_ms(&clock_system) >= until)
            return err_set(err, ERR_TIMEOUT, "generation does not advance");
        pause_ms(STEP_MS);
    }
    buf_reset(quote);
    if (!attribute(t, "outblob", quote, err) || !generation(t, &after, err))
        return false;
    *clean = after == now && now == before + 1;
    return true;
}

static bool quote_of(struct tsm *t, const uint8_t *report_data, struct buf *quote, struct err *err)
{
    char path[PATH_BYTES + 32];
    bool clean = false, good = true;
    int fd;

    (void)snprintf(path, sizeof path, "%s/inblob", t->entry);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "%s", path);
    (void)flock(fd, LOCK_EX);
    for (int i = 0; good && !clean && i < TRIES; i++)
        good = once(t, fd, report_data, quote, &clean, err);
    close(fd);
    return good && (clean || err_set(err, ERR_IO, "another program uses the same report entry"));
}

static bool get_quote(struct provider *p, const uint8_t *report_data, struct provider_quote *out,
                      struct err *err)
{
    struct tsm *t = (struct tsm *)(void *)p;

    return quote_of(t, report_data, &out->quote, err) &&
           buf_append_byte(&out->event_log, '[', err) &&
           buf_append(&out->event_log, buf_view(&t->events), err) &&
           buf_append_byte(&out->event_log, ']', err);
}

/* First the register, then the log: a log that lags behind is refused, one that runs ahead is, too; but the register cannot be
 * taken back. */
static bool emit(struct provider *p, const char *name, struct view payload, struct err *err)
{
    struct tsm *t = (struct tsm *)(void *)p;
    uint8_t digest[MEASUREMENT_BYTES];
    struct json_writer w;
    ssize_t n;
    int fd;

    if (payload.len > PROVIDER_PAYLOAD_MAX)
        return err_set(err, ERR_LIMIT, "the payload of an event has at most %d bytes",
                       PROVIDER_PAYLOAD_MAX);
    if (!event_digest(1, view_str(name), payload, digest))
        return err_set(err, ERR_MEMORY, "no memory for a digest");
    fd = open(t->rtmr3, O_WRONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : write(fd, digest, sizeof digest);
    if (n != (ssize_t)sizeof digest)
        (void)err_system(err, ERR_IO, errno, "%s", t->rtmr3);
    if (fd >= 0)
        close(fd);
    if (n != (ssize_t)sizeof digest)
        return false;
    if (buf_len(&t->events) && !buf_append_byte(&t->events, ',', err))
        return false;
    json_begin(&w, &t->events);
    json_object(&w);
    json_key(&w, "imr");
    json_u64(&w, 3);
    json_key(&w, "event_type");
    json_u64(&w, EVENT_TYPE_RUNTIME);
    json_key(&w, "digest");
    json_hex(&w, view_from(digest, sizeof digest));
    json_key(&w, "event");
    json_text(&w, view_str(name));
    json_key(&w, "event_payload");
    json_hex(&w, payload);
    json_object_end(&w);
    return json_end(&w, err);
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
    buf_done(&t->events);
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

bool provider_tsm(const char *folder, const char *rtmr3, struct provider **out, struct err *err)
{
    static const struct provider_calls calls = {get_quote, emit, tcb_info, tsm_free};
    CLEANUP(provider_free_cleanup) struct provider *p = NULL;
    struct tsm *t = calloc(1, sizeof *t);

    if (!t)
        return err_set(err, ERR_MEMORY, "no memory for a quote provider");
    p = &t->base;
    t->base.calls = &calls;
    buf_init(&t->events, LOG_MAX, "event log");
    (void)snprintf(t->rtmr3, sizeof t->rtmr3, "%s", rtmr3);
    (void)snprintf(t->base.name, sizeof t->base.name, "tsm:%.480s", folder);
    if (snprintf(t->entry, sizeof t->entry, "%s/postern", folder) >= (int)sizeof t->entry)
        return err_set(err, ERR_USAGE, "%s: the path is too long", folder);
    t->made = mkdir(t->entry, 0700) == 0;
    if (!t->made && errno != EEXIST)
        return err_system(err, ERR_IO, errno, "%s", t->entry);
    if (!check_provider(t, err))
        return false;
    *out = take(p);
    return true;
}
