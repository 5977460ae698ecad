/* watch: files that are replaced while we run. Their folders are watched, for editors, Kubernetes and certbot replace files
 * instead of writing them; one call tells of all changes that come together. */
#pragma once

#include "net/loop.h"

struct watch {
    struct io io; /* fd 0 and ready NULL: not open */
    struct loop *loop;
    struct timer settled;
    uint64_t settle_ms;
    void (*changed)(void *context);
    void *context;
};

/* settle_ms: changed is called when nothing has changed for this long; 0: at once. */
MUST_USE bool watch_open(struct watch *w, struct loop *loop, uint64_t settle_ms,
                         void (*changed)(void *context), void *context, struct err *err);
MUST_USE bool watch_file(struct watch *w, const char *path, struct err *err); /* NULL is fine */
void watch_close(struct watch *w); /* also when it is not open */
