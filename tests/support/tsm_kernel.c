#include "tsm_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/digest.h"
#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "ccel_table.h"

enum { PATH_BYTES = TSM_FOLDER_BYTES + 64, QUOTE_VERSION = 4 };

static char *path_of(const struct tsm_kernel *k, const char *name, char out[static PATH_BYTES])
{
    CHECK(snprintf(out, PATH_BYTES, "%s/%s", k->folder, name) < PATH_BYTES);
    return out;
}

static void put(const struct tsm_kernel *k, const char *name, struct view content)
{
    char path[PATH_BYTES];

    CHECK(file_write(path_of(k, name, path), content, 0600, NULL));
}

static void put_generation(const struct tsm_kernel *k)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%u\n", k->generation);
    put(k, "postern/generation", view_str(text));
}

/* What was written since the last time. */
static void extend(const struct tsm_kernel *k)
{
    uint8_t digest[MEASUREMENT_BYTES], *rtmr3 = k->guest->td.rtmr[3];
    ssize_t n;

    while ((n = read(k->fifo, digest, sizeof digest)) > 0) {
        const struct view pieces[] = {view_from(rtmr3, MEASUREMENT_BYTES),
                                      view_from(digest, sizeof digest)};

        CHECK(n == sizeof digest && digest_sha384(pieces, 2, rtmr3));
    }
    CHECK(errno == EAGAIN);
}

/* Whoever closed inblob may have written it or not. */
static void closed(struct tsm_kernel *k)
{
    uint8_t data[REPORT_DATA_BYTES + 1];
    char path[PATH_BYTES];
    struct buf quote;
    int fd = open(path_of(k, "postern/inblob", path), O_RDONLY | O_CLOEXEC);
    ssize_t n;

    CHECK(fd >= 0);
    n = read(fd, data, sizeof data);
    close(fd);
    if (n == 0)
        return;
    CHECK(n == REPORT_DATA_BYTES && truncate(path, 0) == 0);
    extend(k);
    buf_init(&quote, QUOTE_BYTES_MAX, "quote");
    CHECK(sim_quote(k->platform, &k->guest->td, QUOTE_VERSION, data, 70, &quote, NULL));
    put(k, "postern/outblob", buf_view(&quote));
    buf_done(&quote);
    k->generation += 1 + k->others;
    put_generation(k);
}

static void *serve(void *context)
{
    struct tsm_kernel *k = context;
    struct pollfd fds[] = {{.fd = k->watch, .events = POLLIN}, {.fd = k->stop, .events = POLLIN}};

    for (;;) {
        _Alignas(struct inotify_event) char events[1024];

        CHECK(poll(fds, 2, -1) > 0 || errno == EINTR);
        if (fds[1].revents)
            return NULL;
        if (fds[0].revents && read(k->watch, events, sizeof events) > 0)
            closed(k);
    }
}

/* The log of what was measured into RTMR3 already: a line for each event. */
static void put_events(const struct tsm_kernel *k)
{
    struct json_writer w;
    struct buf lines;

    buf_init(&lines, EVENT_LOG_BYTES_MAX, "events");
    for (unsigned i = 0; i < k->guest->count; i++) {
        const struct sim_event *e = &k->guest->events[i];

        if (e->imr != 3)
            continue;
        json_begin(&w, &lines);
        json_object(&w);
        json_key(&w, "imr");
        json_u64(&w, e->imr);
        json_key(&w, "event_type");
        json_u64(&w, e->type);
        json_key(&w, "event");
        json_text(&w, view_str(e->name));
        json_key(&w, "event_payload");
        json_hex(&w, view_from(e->payload, e->payload_len));
        json_object_end(&w);
        CHECK(json_end(&w, NULL) && buf_append_byte(&lines, '\n', NULL));
    }
    put(k, "events", buf_view(&lines));
    buf_done(&lines);
}

void tsm_kernel_open(struct tsm_kernel *k, const char *folder, const char *provider,
                     const struct sim_platform *platform, struct sim_guest *guest)
{
    char path[PATH_BYTES];
    struct buf table;

    *k = (struct tsm_kernel){.platform = platform, .guest = guest, .generation = 7};
    CHECK(snprintf(k->folder, sizeof k->folder, "%s", folder) < (int)sizeof k->folder);
    CHECK(mkdir(path_of(k, "postern", path), 0700) == 0);
    put(k, "postern/provider", view_str(provider));
    put(k, "postern/inblob", VIEW(""));
    put_generation(k);
    put_events(k);
    buf_init(&table, (size_t)64 * 1024, "table");
    ccel_put_guest(&table, guest);
    put(k, "ccel", buf_view(&table));
    buf_done(&table);
    CHECK(mkfifo(path_of(k, "rtmr3", path), 0600) == 0);
    k->fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    k->stop = eventfd(0, EFD_CLOEXEC);
    k->watch = inotify_init1(IN_CLOEXEC);
    CHECK(k->fifo >= 0 && k->stop >= 0 && k->watch >= 0);
    CHECK(inotify_add_watch(k->watch, path_of(k, "postern/inblob", path), IN_CLOSE_WRITE) >= 0);
    CHECK(pthread_create(&k->thread, NULL, serve, k) == 0);
}

void tsm_kernel_close(struct tsm_kernel *k)
{
    CHECK(eventfd_write(k->stop, 1) == 0);
    pthread_join(k->thread, NULL);
    extend(k);
    close(k->watch);
    close(k->stop);
    close(k->fifo);
}
