#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/poison.h"

static uint64_t monotonic_ms(void *context)
{
    struct timespec ts;

    (void)context;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int64_t wall_ms(void *context)
{
    struct timespec ts;

    (void)context;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const struct clock clock_system = {.monotonic_ms = monotonic_ms, .wall_ms = wall_ms};

uint64_t clock_monotonic_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

char *clock_rfc3339(int64_t ms, char out[static CLOCK_RFC3339_BYTES])
{
    int64_t seconds = ms / 1000, part = ms % 1000;
    time_t when;
    struct tm tm;

    if (part < 0) {
        part += 1000;
        seconds--;
    }
    when = (time_t)seconds;
    if (!gmtime_r(&when, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
        (void)snprintf(out, CLOCK_RFC3339_BYTES, "0000-00-00T00:00:00.000Z");
        return out;
    }
    (void)snprintf(out, CLOCK_RFC3339_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                   (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
                   (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
                   (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u, (unsigned)part % 1000u);
    return out;
}
