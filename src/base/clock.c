#include "base/clock.h"

#include <stdio.h>
#include <string.h>
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

int64_t clock_wall_us(const struct clock *c)
{
    struct timespec ts;

    if (c != &clock_system)
        return clock_wall_ms(c) * 1000;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_monotonic_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* n digits of value, and what follows them; where they end. */
static char *put(char *at, size_t n, int64_t value, char mark)
{
    for (size_t i = n; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    at[n] = mark;
    return at + n + 1;
}

char *clock_rfc3339(int64_t ms, char out[static CLOCK_RFC3339_BYTES])
{
    int64_t seconds = ms / 1000, part = ms % 1000;
    time_t when;
    struct tm tm;
    char *at = out;

    if (part < 0) {
        part += 1000;
        seconds--;
    }
    when = (time_t)seconds;
    if (!gmtime_r(&when, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
        (void)snprintf(out, CLOCK_RFC3339_BYTES, "0000-00-00T00:00:00.000Z");
        return out;
    }
    at = put(at, 4, tm.tm_year + 1900, '-');
    at = put(at, 2, tm.tm_mon + 1, '-');
    at = put(at, 2, tm.tm_mday, 'T');
    at = put(at, 2, tm.tm_hour, ':');
    at = put(at, 2, tm.tm_min, ':');
    at = put(at, 2, tm.tm_sec, '.');
    at = put(at, 3, part, 'Z');
    *at = '\0';
    return out;
}

char *clock_rfc3339_us(int64_t us, char out[static CLOCK_RFC3339_US_BYTES])
{
    char ms[CLOCK_RFC3339_BYTES];
    int64_t whole = us / 1000, part = us % 1000;

    if (part < 0) {
        part += 1000;
        whole--;
    }
    clock_rfc3339(whole, ms);
    memcpy(out, ms, CLOCK_RFC3339_BYTES - 2);
    *put(out + CLOCK_RFC3339_BYTES - 2, 3, part, 'Z') = '\0';
    return out;
}

/* Exactly n digits. */
static bool digits(struct view *rest, size_t n, int64_t *out)
{
    int64_t value = 0;

    if (rest->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (rest->at[i] < '0' || rest->at[i] > '9')
            return false;
        value = value * 10 + (rest->at[i] - '0');
    }
    *rest = view_skip(*rest, n);
    *out = value;
    return true;
}

static bool mark(struct view *rest, char c)
{
    if (!rest->len || rest->at[0] != (uint8_t)c)
        return false;
    *rest = view_skip(*rest, 1);
    return true;
}

/* Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that a leap day is the last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t days_in(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool fraction(struct view *rest)
{
    int64_t digit;
    bool any = false;

    if (!mark(rest, '.'))
        return true;
    while (digits(rest, 1, &digit))
        any = true;
    return any;
}

static bool offset(struct view *rest, int64_t *seconds)
{
    int64_t sign = 1, hours, minutes;

    *seconds = 0;
    if (mark(rest, 'Z'))
        return true;
    if (mark(rest, '-'))
        sign = -1;
    else if (!mark(rest, '+'))
        return false;
    if (!digits(rest, 2, &hours) || !mark(rest, ':') || !digits(rest, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool clock_rfc3339_parse(struct view text, int64_t *out)
{
    int64_t year, month, day, hour, minute, second, east;

    if (!digits(&text, 4, &year) || !mark(&text, '-') || !digits(&text, 2, &month) ||
        !mark(&text, '-') || !digits(&text, 2, &day) || !mark(&text, 'T') ||
        !digits(&text, 2, &hour) || !mark(&text, ':') || !digits(&text, 2, &minute) ||
        !mark(&text, ':') || !digits(&text, 2, &second) || !fraction(&text) ||
        !offset(&text, &east) || text.len)
        return false;
    if (year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 ||
        day > days_in(year, month) || hour > 23 || minute > 59 || second > 59)
        return false;
    *out = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - east;
    return true;
}
