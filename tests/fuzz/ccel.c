/* Whatever is told lies within the table and belongs to a register; what was read whole reads the same with padding behind it. */
#include <stdlib.h>

#include "base/check.h"
#include "quote/ccel.h"

enum { PADDING = 7 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct view all, struct view part)
{
    CHECK(!part.len || (part.at >= all.at && part.at + part.len <= all.at + all.len));
}

/* Its events, or -1. */
static int play(struct view table)
{
    struct err err = {.code = ERR_NONE};
    enum ccel_step step;
    struct ccel_event e;
    struct ccel c;
    int n = 0;

    if (!ccel_begin(&c, table, &err)) {
        CHECK(err.code != ERR_NONE && err.text[0]);
        return -1;
    }
    while ((step = ccel_next(&c, &e, &err)) == CCEL_EVENT) {
        CHECK(e.imr < 4 && e.digest.len == CCEL_DIGEST_BYTES && ++n < CCEL_EVENTS_MAX);
        check_within(table, e.digest);
        check_within(table, e.data);
    }
    CHECK((step == CCEL_END) == (err.code == ERR_NONE));
    return step == CCEL_END ? n : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int n = play(view_from(data, size));
    uint8_t *longer;

    if (n < 0 || size > CCEL_BYTES_MAX - PADDING)
        return 0;
    longer = malloc(size + PADDING);
    CHECK(longer);
    memcpy(longer, data, size);
    memset(longer + size, data[size - 1] == 0xFF ? 0xFF : 0x00, PADDING);
    CHECK(play(view_from(longer, size + PADDING)) == n);
    free(longer);
    return 0;
}
