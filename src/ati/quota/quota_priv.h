/* Private to src/ati/quota. */
#pragma once

#include <pthread.h>

#include "ati/quota/quota.h"

struct mark {
    int64_t second;
    uint64_t calls;
};
/* Of one (subject, pattern). */
struct window {
    struct window *next;          /* in its bucket */
    struct window *older, *newer; /* by use */
    char *key;                    /* "{pattern} {subject}" */
    uint64_t hash, span_s;        /* span_s: the longest that was asked for */
    struct mark *marks;           /* by time: from first, count of them */
    uint32_t first, count, room;
};

struct quota {
    pthread_mutex_t lock;
    char *file; /* NULL: memory alone */
    uint64_t seed;
    struct window **buckets;
    struct window *oldest, *newest;
    size_t count;
};

/* window.c. NULL: there is none. */
struct window *window_find(struct quota *q, const char *key);
/* There from now on; what was used the longest ago goes when there are too many. NULL: no memory. */
struct window *window_make(struct quota *q, const char *key);
void window_drop_all(struct quota *q);
void window_expire(struct window *w, int64_t now_s);
/* Calls newer than now_s - window_s. */
uint64_t window_calls(const struct window *w, int64_t now_s, uint64_t window_s);
/* Seconds until fewer than limit are. */
uint64_t window_wait(const struct window *w, int64_t now_s, uint64_t window_s, uint64_t limit);
MUST_USE bool window_record(struct window *w, int64_t now_s, uint64_t calls, uint64_t window_s);

/* file.c. The folder's lock, which closing it gives back; -1: err. */
int quota_file_lock(const char *file, struct err *err);
/* Replaces what is in memory. */
MUST_USE bool quota_file_read(struct quota *q, int64_t now_s, struct err *err);
MUST_USE bool quota_file_write(const struct quota *q, struct err *err);
