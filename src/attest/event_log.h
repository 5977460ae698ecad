/* event_log: what a dstack guest measured into its registers, as it tells it.
 *
 * Nothing in a log is true by itself. The digest of every runtime event is computed anew from its name and payload
 * (a log that claims another one is refused), runtime events are in RTMR3 and nothing else is, and only when the
 * replayed registers equal those of a verified quote may anything that is found here be acted on.
 * Memory: one area for all names and payloads, owned by the log. Limits: EVENT_LOG_BYTES_MAX, EVENTS_MAX. */
#pragma once

#include "attest/attest_err.h"
#include "attest/quote.h"
#include "base/json.h"

enum {
    EVENT_LOG_BYTES_MAX = 4 * 1024 * 1024,
    EVENTS_MAX = 4096,
    EVENT_NAME_MAX = 128,
    EVENT_TYPE_RUNTIME = 0x08000001,
    RTMR_COUNT = 4,
};

struct event {
    uint32_t type;
    uint8_t imr;     /* register, 0 … 3 */
    uint8_t version; /* of the digest's form: 1 or 2 */
    uint8_t digest[MEASUREMENT_BYTES];
    struct view name, payload; /* of events in RTMR 0 … 2: decoration, covered by no digest */
};

struct event_log {
    struct event *events;
    uint32_t count;
    uint8_t *area;
};

/* text: a JSON array of objects. */
MUST_USE bool event_log_parse(struct view text, struct event_log **out, struct attest_err *err);
void event_log_free(struct event_log *log); /* NULL is fine */
CLEANUP_DEFINE(struct event_log, event_log_free)

/* The value that each register has after these events (TDX: RTMR = SHA-384(RTMR ‖ digest)). */
MUST_USE bool event_log_replay(const struct event_log *log,
                               uint8_t out[static RTMR_COUNT][MEASUREMENT_BYTES]);
/* A runtime event of that name: the first, or the last. NULL: there is none. */
const struct event *event_log_first(const struct event_log *log, const char *name);
const struct event *event_log_last(const struct event_log *log, const char *name);

/* The digest of a runtime event. Version 1: SHA-384 of type, ":", name, ":", payload; version 2: of the
 * canonical JSON (RFC 8785) of name, payload and type. */
MUST_USE bool event_digest(unsigned version, struct view name, struct view payload,
                           uint8_t out[static MEASUREMENT_BYTES]);
/* The canonical JSON itself, appended. */
MUST_USE bool event_canonical(struct view name, struct view payload, struct buf *out);

/* Events that the verifier knows. */
#define EVENT_COMPOSE_HASH  "compose-hash"
#define EVENT_OS_IMAGE_HASH "os-image-hash"
#define EVENT_BOOT_DONE     "boot-mr-done"
#define EVENT_SYSTEM_READY  "system-ready"
#define EVENT_CERTIFICATE   "New TLS Certificate"
