#include "ati/telemetry/telemetry_priv.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/secret.h"

#include "base/poison.h"

/* As OpenTelemetry's SDKs have them. */
const double telemetry_series_bounds_ms[TELEMETRY_BOUNDS] = {
    0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000};

struct telemetry_series *telemetry_series_find(struct telemetry_series_table *t,
                                               const char *instrument, struct view labels,
                                               bool histogram)
{
    struct telemetry_series *s, **bucket;

    if (!t->seed)
        random_bytes(&t->seed, sizeof t->seed);
    bucket = &t->buckets[hash_bytes(labels, t->seed) % TELEMETRY_BUCKETS];
    for (s = *bucket; s; s = s->chain)
        if (strcmp(s->instrument, instrument) == 0 && view_eq(view_str(s->labels), labels))
            return s;
    if (t->count == TELEMETRY_SERIES_MAX) {
        t->refused++;
        return NULL;
    }
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->labels = strndup((const char *)labels.at, labels.len);
    if (!s->labels) {
        free(s);
        return NULL;
    }
    s->instrument = instrument;
    s->histogram = histogram;
    s->next = t->all;
    t->all = s;
    s->chain = *bucket;
    *bucket = s;
    t->count++;
    return s;
}

void telemetry_series_observe(struct telemetry_series *s, double ms)
{
    size_t i = 0;

    while (i < TELEMETRY_BOUNDS && ms > telemetry_series_bounds_ms[i])
        i++;
    s->buckets[i]++;
    s->count++;
    s->sum += ms;
}

void telemetry_series_done(struct telemetry_series_table *t)
{
    while (t->all) {
        struct telemetry_series *next = t->all->next;

        free(t->all->labels);
        free(t->all);
        t->all = next;
    }
    memset(t, 0, sizeof *t);
}
