/* A log that is taken holds no lie: every runtime event is in RTMR3, with the digest of its name and payload. */
#include "attest/event_log.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t registers[RTMR_COUNT][MEASUREMENT_BYTES], digest[MEASUREMENT_BYTES];
    struct event_log *log = NULL;
    struct attest_err err = {.code = ATTEST_OK};

    if (!event_log_parse(view_from(data, size), &log, &err)) {
        CHECK(err.code != ATTEST_OK && err.text[0]);
        return 0;
    }
    for (uint32_t i = 0; i < log->count; i++) {
        const struct event *e = &log->events[i];

        CHECK((e->type == EVENT_TYPE_RUNTIME) == (e->imr == 3));
        if (e->imr != 3)
            continue;
        CHECK(event_digest(e->version, e->name, e->payload, digest));
        CHECK(memcmp(digest, e->digest, sizeof digest) == 0);
    }
    CHECK(event_log_replay(log, registers));
    CHECK(!event_log_first(log, EVENT_COMPOSE_HASH) ||
          event_log_first(log, EVENT_COMPOSE_HASH) == event_log_last(log, EVENT_COMPOSE_HASH));
    event_log_free(log);
    return 0;
}
