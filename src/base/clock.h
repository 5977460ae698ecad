/* clock: time behind an interface. Engines are told the time; only loops and programs read it. */
#pragma once

#include <stdint.h>

#include "base/view.h"

/* What a component that needs the time is handed. Tests hand in a clock they move by hand. */
struct clock {
    uint64_t (*monotonic_ms)(void *context); /* never goes back; origin unspecified */
    int64_t (*wall_ms)(void *context);       /* since 1970-01-01T00:00:00Z */
    void *context;
};

extern const struct clock clock_system;

static inline uint64_t clock_monotonic_ms(const struct clock *c)
{
    return c->monotonic_ms(c->context);
}
static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->context);
}

/* Wall clock in µs: of clock_system exactly, of others what their ms say. */
int64_t clock_wall_us(const struct clock *c);
uint64_t clock_monotonic_us(void); /* precise, for histograms of latency */
uint64_t clock_monotonic_ns(void); /* the same, for benchmarks */

enum { CLOCK_RFC3339_BYTES = 25, CLOCK_RFC3339_US_BYTES = 28 };
/* "2026-11-20T22:05:31Z", with a fraction or an offset ("+02:00") where there is one, years 1970–2200 (RFC 3339, 5.6).
 * Seconds since 1970; a fraction is left out. False leaves *out alone. */
bool clock_rfc3339_parse(struct view text, int64_t *out);
/* "2026-11-20T22:05:31.123Z" (UTC, milliseconds). Returns out. */
char *clock_rfc3339(int64_t wall_ms, char out[static CLOCK_RFC3339_BYTES]);
/* "2026-11-20T22:05:31.123456Z". Returns out. */
char *clock_rfc3339_us(int64_t wall_us, char out[static CLOCK_RFC3339_US_BYTES]);
