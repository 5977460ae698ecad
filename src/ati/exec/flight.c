#include "ati/exec/flight.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/secret.h"

#include "base/poison.h"

enum { BUCKETS = 1024 };

/* Immutable once made; counted under the lock. */
struct value {
    size_t references, len;
    uint8_t bytes[];
};

struct entry {
    struct entry *next; /* of its bucket */
    struct entry *older, *newer;
    uint8_t key[FLIGHT_KEY_BYTES];
    struct value *value; /* NULL: none, or none any more */
    uint64_t until_ms;
    struct flight *fetcher;
    struct flight *waiters, **last; /* in the order in which they came */
};

struct flights {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
    struct entry *oldest, *newest; /* by when they were asked for last */
    size_t count;
    struct flight *all;
};

struct flight {
    struct post post;
    struct flights *all;
    struct flight *next_all, **link_all;
    struct entry *entry; /* as fetcher or waiter; NULL: neither */
    struct flight *next_waiting;
    struct loop *loop;
    flight_told *told;
    void *context;
    struct value *value;
    char *text; /* of FLIGHT_FAILED */
    enum flight_news news;
    bool posted, ended;
};

bool flight_key(const struct view *parts, size_t count, uint8_t out[static FLIGHT_KEY_BYTES],
                struct err *err)
{
    size_t len = count, at = 0;
    uint8_t *all;
    bool good;

    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    all = calloc(1, len + 1);
    if (!all)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    for (size_t i = 0; i < count; at += parts[i++].len + 1)
        if (parts[i].len)
            memcpy(all + at, parts[i].at, parts[i].len);
    good = secret_sha256(all, len, out) || err_set(err, ERR_MEMORY, "no memory for a digest");
    secret_wipe(all, len);
    free(all);
    return good;
}

bool flights_new(struct flights **out, struct err *err)
{
    struct flights *all = calloc(1, sizeof *all);

    if (!all)
        return err_set(err, ERR_MEMORY, "no memory for a cache of credentials");
    (void)pthread_mutex_init(&all->lock, NULL);
    *out = all;
    return true;
}

static void value_unref(struct value *v)
{
    if (!v || --v->references)
        return;
    secret_wipe(v->bytes, v->len);
    free(v);
}

static struct entry **bucket_of(struct flights *all, const uint8_t *key)
{
    return &all->buckets[(key[0] | (size_t)key[1] << 8) % BUCKETS];
}

static void entry_unlink_age(struct flights *all, struct entry *e)
{
    *(e->older ? &e->older->newer : &all->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &all->newest) = e->older;
}

static void entry_touch(struct flights *all, struct entry *e)
{
    e->older = all->newest;
    e->newer = NULL;
    *(e->older ? &e->older->newer : &all->oldest) = e;
    all->newest = e;
}

static void entry_free(struct flights *all, struct entry *e)
{
    struct entry **at = bucket_of(all, e->key);

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    entry_unlink_age(all, e);
    all->count--;
    value_unref(e->value);
    free(e);
}

static void flight_free(struct flight *f)
{
    *f->link_all = f->next_all;
    if (f->next_all)
        f->next_all->link_all = f->link_all;
    value_unref(f->value);
    free(f->text);
    free(f);
}

void flights_free(struct flights *all)
{
    if (!all)
        return;
    while (all->all)
        flight_free(all->all);
    while (all->oldest)
        entry_free(all, all->oldest);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
}

/* Makes room for one more: what is asked for by nobody goes, the oldest first. */
static void evict(struct flights *all)
{
    struct entry *e = all->oldest;

    while (e && all->count >= FLIGHTS_MAX) {
        struct entry *newer = e->newer;

        if (!e->fetcher && !e->waiters)
            entry_free(all, e);
        e = newer;
    }
}

static struct entry *find(struct flights *all, const uint8_t *key)
{
    struct entry *e = *bucket_of(all, key);

    while (e && memcmp(e->key, key, FLIGHT_KEY_BYTES) != 0)
        e = e->next;
    return e;
}

static struct entry *entry_new(struct flights *all, const uint8_t *key)
{
    struct entry **bucket = bucket_of(all, key), *e;

    evict(all);
    e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    memcpy(e->key, key, FLIGHT_KEY_BYTES);
    e->last = &e->waiters;
    e->next = *bucket;
    *bucket = e;
    entry_touch(all, e);
    all->count++;
    return e;
}

/* An asker's news, by the state of its entry. */
static enum flight_news board(struct entry *e, struct flight *f, uint64_t now_ms)
{
    if (e->value && now_ms < e->until_ms) {
        f->value = e->value;
        f->value->references++;
        return FLIGHT_VALUE;
    }
    f->entry = e;
    if (!e->fetcher) {
        e->fetcher = f;
        return FLIGHT_FETCH;
    }
    *e->last = f;
    e->last = &f->next_waiting;
    return FLIGHT_WAIT;
}

static void told_later(struct loop *loop, struct post *post)
{
    struct flight *f = (struct flight *)(void *)post;
    struct flights *all = f->all;
    bool ended;

    (void)loop;
    (void)pthread_mutex_lock(&all->lock);
    f->posted = false;
    ended = f->ended;
    if (ended)
        flight_free(f);
    (void)pthread_mutex_unlock(&all->lock);
    if (!ended)
        f->told(f->context, f->news, view_str(f->text));
}

bool flight_ask(struct flights *all, struct loop *loop, const uint8_t key[static FLIGHT_KEY_BYTES],
                flight_told *told, void *context, struct flight **out, enum flight_news *news,
                struct err *err)
{
    struct flight *f = calloc(1, sizeof *f);
    struct entry *e;

    if (!f)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    f->all = all;
    f->loop = loop;
    f->told = told;
    f->context = context;
    f->post.run = told_later;
    (void)pthread_mutex_lock(&all->lock);
    e = find(all, key);
    if (e) {
        entry_unlink_age(all, e);
        entry_touch(all, e);
    } else {
        e = entry_new(all, key);
    }
    if (e) {
        f->next_all = all->all;
        f->link_all = &all->all;
        if (f->next_all)
            f->next_all->link_all = &f->next_all;
        all->all = f;
        *news = board(e, f, loop_now_ms(loop));
    }
    (void)pthread_mutex_unlock(&all->lock);
    if (!e) {
        free(f);
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    }
    *out = f;
    return true;
}

struct view flight_value(const struct flight *f)
{
    CHECK(f->value);
    return view_from(f->value->bytes, f->value->len);
}

static void tell(struct flight *f, enum flight_news news)
{
    f->news = news;
    f->posted = true;
    loop_post(f->loop, &f->post);
}

/* Takes the first waiter out of line. */
static struct flight *next_waiter(struct entry *e)
{
    struct flight *f = e->waiters;

    if (!f)
        return NULL;
    e->waiters = f->next_waiting;
    if (!e->waiters)
        e->last = &e->waiters;
    f->next_waiting = NULL;
    f->entry = NULL;
    return f;
}

/* Under the lock. Nobody fetches for e any more. */
static void fetched(struct flights *all, struct flight *f, struct view text)
{
    struct entry *e = f->entry;
    struct flight *w;

    e->fetcher = NULL;
    f->entry = NULL;
    while ((w = next_waiter(e))) {
        w->value = f->value;
        if (f->value)
            f->value->references++;
        else
            w->text = strndup((const char *)text.at, text.len);
        tell(w, f->value ? FLIGHT_VALUE : FLIGHT_FAILED);
    }
    if (!e->value)
        entry_free(all, e);
}

bool flight_land(struct flight *f, struct view value, uint64_t keep_ms, struct err *err)
{
    struct flights *all = f->all;
    struct value *v = malloc(sizeof *v + value.len);

    CHECK(f->entry && f->entry->fetcher == f);
    if (!v) {
        flight_fail(f, VIEW("no memory for a credential"));
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    }
    *v = (struct value){.references = 1, .len = value.len};
    if (value.len)
        memcpy(v->bytes, value.at, value.len);
    (void)pthread_mutex_lock(&all->lock);
    f->value = v;
    value_unref(f->entry->value);
    f->entry->value = NULL;
    if (keep_ms) {
        f->entry->value = v;
        v->references++;
        f->entry->until_ms = loop_now_ms(f->loop) + keep_ms;
    }
    fetched(all, f, VIEW(""));
    (void)pthread_mutex_unlock(&all->lock);
    return true;
}

void flight_fail(struct flight *f, struct view text)
{
    struct flights *all = f->all;

    (void)pthread_mutex_lock(&all->lock);
    if (f->entry && f->entry->fetcher == f) {
        value_unref(f->entry->value);
        f->entry->value = NULL;
        fetched(all, f, text);
    }
    (void)pthread_mutex_unlock(&all->lock);
}

static void leave(struct flights *all, struct flight *f)
{
    struct entry *e = f->entry;

    if (e->fetcher == f) {
        e->fetcher = next_waiter(e);
        if (e->fetcher) {
            e->fetcher->entry = e;
            tell(e->fetcher, FLIGHT_FETCH);
        } else if (!e->value) {
            entry_free(all, e);
        }
        return;
    }
    for (struct flight **at = &e->waiters; *at; at = &(*at)->next_waiting) {
        if (*at == f) {
            *at = f->next_waiting;
            if (!*at)
                e->last = at;
            return;
        }
    }
}

void flight_end(struct flight *f)
{
    struct flights *all;

    if (!f)
        return;
    all = f->all;
    (void)pthread_mutex_lock(&all->lock);
    if (f->entry)
        leave(all, f);
    f->entry = NULL;
    f->ended = true;
    if (!f->posted)
        flight_free(f);
    (void)pthread_mutex_unlock(&all->lock);
}
