/* Private to the providers. */
#pragma once

#include "quote/provider.h"

struct provider_calls {
    bool (*get_quote)(struct provider *p, const uint8_t *report_data, struct provider_quote *out,
                      struct err *err);
    bool (*emit)(struct provider *p, const char *name, struct view payload, struct err *err);
    bool (*tcb_info)(struct provider *p, struct buf *out, struct err *err);
    void (*free)(struct provider *p);
    bool (*key)(struct provider *p, const char *path, uint8_t *out,
                struct err *err); /* NULL: it has none */
};

struct provider {
    const struct provider_calls *calls;
    char name[512];
    uint64_t timeout_ms;
    struct provider_files files;
};

/* where: a path, "unix:PATH" or "http://host[:port]". */
MUST_USE bool provider_dstack(const char *where, uint64_t timeout_ms, struct provider **out,
                              struct err *err);

/* Where Linux shows what tsm needs. */
struct tsm_paths {
    const char *reports;        /* configfs' folder */
    const char *rtmr3, *device; /* two ways to extend the register */
    const char *ccel, *events;  /* as in provider_options */
};
MUST_USE bool provider_tsm(const struct tsm_paths *paths, uint64_t timeout_ms,
                           struct provider **out, struct err *err);

/* Patience with a kernel that is busy: a deadline, and a short rest before the next try. */
struct patience {
    uint64_t until_ms;
};
struct patience patience_of(uint64_t ms);
int patience_left(const struct patience *p); /* ms, for poll(2) */
/* False: it is not worth it, or the time is over. errno stays as it is. */
bool patience_wait(struct patience *p, bool worth);
