#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quote/provider_priv.h"

#include "base/poison.h"

static const char *const sockets[] = {"/var/run/dstack.sock", "/run/dstack.sock",
                                      "/var/run/dstack/dstack.sock", "/run/dstack/dstack.sock"};

/* The first socket that is there; else the first, for the error. */
static const char *usual_socket(void)
{
    const char *given = getenv("DSTACK_SIMULATOR_ENDPOINT");

    if (given && *given)
        return view_starts(view_str(given), VIEW("unix:")) ? given + 5 : given;
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (access(sockets[i], F_OK) == 0)
            return sockets[i];
    return sockets[0];
}

/* A folder that stands for configfs, and a file in it for the register. */
static bool tsm_of(const char *folder, struct provider **out, struct err *err)
{
    char rtmr3[1024];

    if (snprintf(rtmr3, sizeof rtmr3, "%s/rtmr3", folder) >= (int)sizeof rtmr3)
        return err_set(err, ERR_USAGE, "%s: the path is too long", folder);
    return provider_tsm(folder, rtmr3, out, err);
}

bool provider_open(const char *spec, uint64_t timeout_ms, struct provider **out, struct err *err)
{
    struct view v = view_str(spec);
    bool good;

    if (view_eq(v, VIEW("dstack")))
        good = provider_dstack(usual_socket(), out, err);
    else if (view_starts(v, VIEW("dstack:")))
        good = provider_dstack(spec + 7, out, err);
    else if (view_eq(v, VIEW("tsm")))
        good =
            provider_tsm("/sys/kernel/config/tsm/report",
                         "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384", out, err);
    else if (view_starts(v, VIEW("tsm:")))
        good = tsm_of(spec + 4, out, err);
    else
        return err_set(err, ERR_USAGE,
                       "\"%s\" is no quote provider; there are dstack, dstack:PATH, tsm and "
                       "tsm:FOLDER",
                       spec);
    if (good)
        (*out)->timeout_ms = timeout_ms;
    return good;
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

const char *provider_name(const struct provider *p)
{
    return p->name;
}
