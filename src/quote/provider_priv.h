/* Private to the providers. */
#pragma once

#include "quote/provider.h"

struct provider_calls {
    bool (*get_quote)(struct provider *p, const uint8_t *report_data, struct provider_quote *out,
                      struct err *err);
    bool (*emit)(struct provider *p, const char *name, struct view payload, struct err *err);
    bool (*tcb_info)(struct provider *p, struct buf *out, struct err *err);
    void (*free)(struct provider *p);
};

struct provider {
    const struct provider_calls *calls;
    char name[512];
    uint64_t timeout_ms;
};

MUST_USE bool provider_dstack(const char *path, struct provider **out, struct err *err);
/* rtmr3: the file that extends the register. */
MUST_USE bool provider_tsm(const char *folder, const char *rtmr3, struct provider **out,
                           struct err *err);
