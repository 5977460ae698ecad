#include "ati/quota/quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ati/quota/quota_priv.h"
#include "base/secret.h"

#include "base/poison.h"

enum { TEXT_BYTES = 1024 };

static bool take_locked(struct quota *q, const struct caller *caller, struct view scope,
                        int64_t now_s, uint64_t *retry_after_s, struct err *err);
static bool take_file(struct quota *q, const struct caller *caller, struct view scope,
                      int64_t now_s, uint64_t *retry_after_s, struct err *err);

bool quota_new(const char *file, struct quota **out, struct err *err)
{
    struct quota *q = calloc(1, sizeof *q);

    if (!q || (file && !(q->file = strdup(file))) || pthread_mutex_init(&q->lock, NULL) != 0) {
        if (q)
            free(q->file);
        free(q);
        return err_set(err, ERR_MEMORY, "quota");
    }
    random_bytes(&q->seed, sizeof q->seed);
    *out = q;
    return true;
}

void quota_free(struct quota *q)
{
    if (!q)
        return;
    window_drop_all(q);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->buckets);
    free(q->file);
    free(q);
}

bool quota_take(struct quota *q, const struct caller *caller, const char *tool, int64_t now_s,
                uint64_t *retry_after_s, struct err *err)
{
    char scope[TEXT_BYTES];
    bool good;

    if (!caller->rate_count)
        return true;
    /* A name that is cut here begins as the whole one does, and patterns are shorter. */
    (void)snprintf(scope, sizeof scope, "tool:%s", tool);
    (void)pthread_mutex_lock(&q->lock);
    good = q->file ? take_file(q, caller, view_str(scope), now_s, retry_after_s, err)
                   : take_locked(q, caller, view_str(scope), now_s, retry_after_s, err);
    (void)pthread_mutex_unlock(&q->lock);
    return good;
}

/* A pattern has no blanks, so the first one ends it. */
static bool key_of(const struct caller *caller, const struct caller_rate *rate, char **out,
                   struct err *err)
{
    return asprintf(out, "%s %s", rate->pattern, caller->subject) >= 0 ||
           err_set(err, ERR_MEMORY, "quota");
}

static const char *word(uint64_t window_s, char out[static 32])
{
    static const struct {
        uint64_t seconds;
        const char *word;
    } words[] = {{1, "second"}, {60, "minute"}, {3600, "hour"}, {86400, "day"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].seconds == window_s)
            return words[i].word;
    (void)snprintf(out, 32, "%llus", (unsigned long long)window_s);
    return out;
}

static bool allows(struct quota *q, const struct caller *caller, const struct caller_rate *rate,
                   int64_t now_s, uint64_t *retry_after_s, struct err *err)
{
    struct window *w;
    uint64_t calls;
    char unit[32], *key;

    if (!key_of(caller, rate, &key, err))
        return false;
    w = window_find(q, key);
    free(key);
    calls = w ? window_calls(w, now_s, rate->window_s) : 0;
    if (calls < rate->limit)
        return true;
    *retry_after_s = w ? window_wait(w, now_s, rate->window_s, rate->limit) : rate->window_s;
    if (!*retry_after_s)
        *retry_after_s = 1;
    return err_set(err, ERR_LIMIT, "Rate limit exceeded for '%s': %llu/%s (limit: %llu/%s)",
                   rate->pattern, (unsigned long long)calls, word(rate->window_s, unit),
                   (unsigned long long)rate->limit, word(rate->window_s, unit));
}

static bool record(struct quota *q, const struct caller *caller, const struct caller_rate *rate,
                   int64_t now_s, struct err *err)
{
    struct window *w;
    char *key;

    if (!key_of(caller, rate, &key, err))
        return false;
    w = window_make(q, key);
    free(key);
    return (w && window_record(w, now_s, 1, rate->window_s)) || err_set(err, ERR_MEMORY, "quota");
}

static bool take_locked(struct quota *q, const struct caller *caller, struct view scope,
                        int64_t now_s, uint64_t *retry_after_s, struct err *err)
{
    for (size_t i = 0; i < caller->rate_count; i++)
        if (scope_matches(scope, view_str(caller->rates[i].pattern)) &&
            !allows(q, caller, &caller->rates[i], now_s, retry_after_s, err))
            return false;
    for (size_t i = 0; i < caller->rate_count; i++)
        if (scope_matches(scope, view_str(caller->rates[i].pattern)) &&
            !record(q, caller, &caller->rates[i], now_s, err))
            return false;
    return true;
}

static bool take_file(struct quota *q, const struct caller *caller, struct view scope,
                      int64_t now_s, uint64_t *retry_after_s, struct err *err)
{
    int lock = quota_file_lock(q->file, err);
    bool good;

    if (lock < 0)
        return false;
    good = quota_file_read(q, now_s, err) &&
           take_locked(q, caller, scope, now_s, retry_after_s, err) && quota_file_write(q, err);
    close(lock);
    return good;
}
