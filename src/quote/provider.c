#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "quote/provider_priv.h"

#include "base/poison.h"

enum { STEP_MS = 10 };

static const char *const sockets[] = {"/var/run/dstack.sock", "/run/dstack.sock",
                                      "/var/run/dstack/dstack.sock", "/run/dstack/dstack.sock"};

/* What a developer names; else the first socket that is there; else the first, for the error. */
static const char *usual_socket(void)
{
    const char *given = getenv("DSTACK_SIMULATOR_ENDPOINT");

    if (given && *given)
        return given;
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (access(sockets[i], F_OK) == 0)
            return sockets[i];
    return sockets[0];
}

static bool tsm_of(const struct tsm_paths *usual, const struct provider_options *o,
                   struct provider **out, struct err *err)
{
    struct tsm_paths paths = *usual;

    if (o->ccel)
        paths.ccel = o->ccel;
    if (o->event_log)
        paths.events = o->event_log;
    return provider_tsm(&paths, o->timeout_ms, out, err);
}

/* A folder that stands for configfs, with files in it for all else. */
static bool tsm_in(const char *folder, const struct provider_options *o, struct provider **out,
                   struct err *err)
{
    static const char *const names[] = {"rtmr3", "tdx_guest", "ccel", "events"};
    char all[4][1024];

    for (size_t i = 0; i < 4; i++)
        if (snprintf(all[i], sizeof all[i], "%s/%s", folder, names[i]) >= (int)sizeof all[i])
            return err_set(err, ERR_USAGE, "%s: the path is too long", folder);
    return tsm_of(&(struct tsm_paths){folder, all[0], all[1], all[2], all[3]}, o, out, err);
}

bool provider_open(const struct provider_options *o, struct provider **out, struct err *err)
{
    static const struct tsm_paths usual = {
        .reports = "/sys/kernel/config/tsm/report",
        .rtmr3 = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384",
        .device = "/dev/tdx_guest",
        .ccel = "/sys/firmware/acpi/tables/data/CCEL",
        .events = "/run/atlas-tee/events",
    };
    struct view v = view_str(o->spec);

    if (view_eq(v, VIEW("dstack")))
        return provider_dstack(usual_socket(), o->timeout_ms, out, err);
    if (view_starts(v, VIEW("dstack:")))
        return provider_dstack(o->spec + 7, o->timeout_ms, out, err);
    if (view_eq(v, VIEW("tsm")))
        return tsm_of(&usual, o, out, err);
    if (view_starts(v, VIEW("tsm:")))
        return tsm_in(o->spec + 4, o, out, err);
    return err_set(err, ERR_USAGE,
                   "\"%s\" is no quote provider; there are dstack, dstack:PATH, "
                   "dstack:http://HOST:PORT, tsm and tsm:FOLDER",
                   o->spec);
}

void provider_free(struct provider *p)
{
    if (p)
        p->calls->free(p);
}

void provider_quote_done(struct provider_quote *q)
{
    buf_done(&q->quote);
    buf_done(&q->event_log);
    buf_done(&q->vm_config);
}

bool provider_get_quote(struct provider *p, const uint8_t report_data[static REPORT_DATA_BYTES],
                        struct provider_quote *out, struct err *err)
{
    struct provider_quote q;

    buf_init(&q.quote, QUOTE_BYTES_MAX, "quote");
    buf_init(&q.event_log, PROVIDER_ANSWER_MAX, "event log");
    buf_init(&q.vm_config, (size_t)64 * 1024, "VM configuration");
    if (p->calls->get_quote(p, report_data, &q, err)) {
        *out = q;
        return true;
    }
    provider_quote_done(&q);
    return err_in(err, "%s", p->name);
}

bool provider_emit(struct provider *p, const char *name, struct view payload, struct err *err)
{
    return p->calls->emit(p, name, payload, err) || err_in(err, "%s", p->name);
}

bool provider_tcb_info(struct provider *p, struct buf *out, struct err *err)
{
    return p->calls->tcb_info(p, out, err) || err_in(err, "%s", p->name);
}

bool provider_key(struct provider *p, const char *path, uint8_t out[static PROVIDER_KEY_BYTES],
                  struct err *err)
{
    if (!p->calls->key)
        return err_set(err, ERR_CONFIG, "%s: this provider has no keys; dstack's guest agent has",
                       p->name);
    return p->calls->key(p, path, out, err) || err_in(err, "%s", p->name);
}

const struct provider_files *provider_files(const struct provider *p)
{
    return &p->files;
}

const char *provider_name(const struct provider *p)
{
    return p->name;
}

struct patience patience_of(uint64_t ms)
{
    return (struct patience){.until_ms = clock_monotonic_ms(&clock_system) + ms};
}

int patience_left(const struct patience *p)
{
    uint64_t now = clock_monotonic_ms(&clock_system),
             left = now < p->until_ms ? p->until_ms - now : 0;

    return (int)(left < INT32_MAX ? left : INT32_MAX);
}

bool patience_wait(struct patience *p, bool worth)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    int code = errno;

    if (!worth || clock_monotonic_ms(&clock_system) >= p->until_ms)
        return false;
    (void)nanosleep(&step, NULL);
    errno = code;
    return true;
}
