/* window: a table of windows, and when calls were in each. */
#include <stdlib.h>

#include "ati/quota/quota_priv.h"
#include "base/hash.h"

#include "base/poison.h"

enum { BUCKETS = 16384, FIRST_MARKS = 4 }; /* a power of two */

static void unlink_use(struct quota *q, struct window *w)
{
    *(w->older ? &w->older->newer : &q->oldest) = w->newer;
    *(w->newer ? &w->newer->older : &q->newest) = w->older;
    w->older = w->newer = NULL;
}

static void link_newest(struct quota *q, struct window *w)
{
    w->older = q->newest;
    *(q->newest ? &q->newest->newer : &q->oldest) = w;
    q->newest = w;
}

static struct window **bucket_of(const struct quota *q, uint64_t hash)
{
    return &q->buckets[hash & (BUCKETS - 1)];
}

static void drop(struct quota *q, struct window *w)
{
    struct window **at = bucket_of(q, w->hash);

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    unlink_use(q, w);
    q->count--;
    free(w->marks);
    free(w->key);
    free(w);
}

void window_drop_all(struct quota *q)
{
    while (q->oldest)
        drop(q, q->oldest);
}

struct window *window_find(struct quota *q, const char *key)
{
    uint64_t hash = hash_bytes(view_str(key), q->seed);
    struct window *w = q->buckets ? *bucket_of(q, hash) : NULL;

    while (w && (w->hash != hash || strcmp(w->key, key) != 0))
        w = w->next;
    if (w) {
        unlink_use(q, w);
        link_newest(q, w);
    }
    return w;
}

struct window *window_make(struct quota *q, const char *key)
{
    struct window *w = window_find(q, key), **bucket;

    if (w)
        return w;
    if (!q->buckets)
        q->buckets =
            calloc(BUCKETS, sizeof *q->buckets); /* NOLINT(bugprone-sizeof-expression): pointers */
    w = q->buckets ? calloc(1, sizeof *w) : NULL;
    if (w)
        w->key = strdup(key);
    if (!w || !w->key) {
        free(w);
        return NULL;
    }
    if (q->count == QUOTA_WINDOWS_MAX)
        drop(q, q->oldest);
    w->hash = hash_bytes(view_str(key), q->seed);
    bucket = bucket_of(q, w->hash);
    w->next = *bucket;
    *bucket = w;
    link_newest(q, w);
    q->count++;
    return w;
}

static bool counts(const struct mark *m, int64_t now_s, uint64_t window_s)
{
    return m->second > now_s || (uint64_t)(now_s - m->second) < window_s;
}

void window_expire(struct window *w, int64_t now_s)
{
    while (w->count && !counts(&w->marks[w->first], now_s, w->span_s)) {
        w->first++;
        w->count--;
    }
}

uint64_t window_calls(const struct window *w, int64_t now_s, uint64_t window_s)
{
    uint64_t calls = 0;

    for (uint32_t i = w->count; i > 0 && counts(&w->marks[w->first + i - 1], now_s, window_s); i--)
        calls += w->marks[w->first + i - 1].calls;
    return calls;
}

uint64_t window_wait(const struct window *w, int64_t now_s, uint64_t window_s, uint64_t limit)
{
    uint64_t calls = window_calls(w, now_s, window_s);

    for (uint32_t i = 0; i < w->count && limit; i++) {
        const struct mark *m = &w->marks[w->first + i];

        if (!counts(m, now_s, window_s))
            continue;
        calls -= m->calls;
        if (calls < limit)
            return (uint64_t)(m->second - now_s) + window_s;
    }
    return window_s;
}

/* Two become one, all along: half of the seconds are left. */
static void halve(struct window *w)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < w->count; i += 2) {
        struct mark m = w->marks[i];

        if (i + 1 < w->count)
            m = (struct mark){w->marks[i + 1].second, m.calls + w->marks[i + 1].calls};
        w->marks[kept++] = m;
    }
    w->count = kept;
}

static bool room(struct window *w)
{
    uint32_t size = w->room ? w->room * 2 : FIRST_MARKS;
    struct mark *marks;

    if (w->first + w->count < w->room)
        return true;
    if (w->first && w->marks) {
        memmove(w->marks, w->marks + w->first, w->count * sizeof *w->marks);
        w->first = 0;
        return true;
    }
    if (w->count == QUOTA_MARKS_MAX) {
        halve(w);
        return true;
    }
    marks = reallocarray(w->marks, size, sizeof *marks);
    if (!marks)
        return false;
    w->marks = marks;
    w->room = size;
    return true;
}

bool window_record(struct window *w, int64_t now_s, uint64_t calls, uint64_t window_s)
{
    struct mark *last;

    if (w->span_s < window_s)
        w->span_s = window_s;
    window_expire(w, now_s);
    last = w->count ? &w->marks[w->first + w->count - 1] : NULL;
    if (last && last->second >= now_s) { /* a clock that was set back, too */
        last->calls += calls;
        return true;
    }
    if (!room(w) || !w->marks)
        return false;
    w->marks[w->first + w->count++] = (struct mark){now_s, calls};
    return true;
}
