#include "ccel_table.h"

#include "base/check.h"
#include "sim/guest.h"

enum { SHA1_BYTES = 20, AREA_BYTES = 8 * 1024 };

static void put(struct buf *out, struct view bytes)
{
    CHECK(buf_append(out, bytes, NULL));
}

void ccel_put_u16(struct buf *out, uint16_t value)
{
    const uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8)};

    put(out, view_from(bytes, sizeof bytes));
}

void ccel_put_u32(struct buf *out, uint32_t value)
{
    ccel_put_u16(out, (uint16_t)value);
    ccel_put_u16(out, (uint16_t)(value >> 16));
}

void ccel_put_padding(struct buf *out, uint8_t byte, size_t n)
{
    while (n--)
        CHECK(buf_append_byte(out, byte, NULL));
}

void ccel_put_first(struct buf *out, const struct ccel_algorithm *all, uint32_t count,
                    struct view vendor)
{
    static const char signature[16] = "Spec ID Event03";

    ccel_put_u32(out, 0);
    ccel_put_u32(out, TCG_NO_ACTION);
    ccel_put_padding(out, 0, SHA1_BYTES);
    ccel_put_u32(out, (uint32_t)(sizeof signature + 12 + (size_t)count * 4 + 1 + vendor.len));
    put(out, view_from(signature, sizeof signature));
    ccel_put_u32(out, 0); /* platform class: client */
    put(out, VIEW("\x00\x02\x69\x02"));
    ccel_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        ccel_put_u16(out, all[i].id);
        ccel_put_u16(out, all[i].bytes);
    }
    CHECK(buf_append_byte(out, (uint8_t)vendor.len, NULL));
    put(out, vendor);
}

void ccel_put_event(struct buf *out, uint32_t index, uint32_t type,
                    const struct ccel_digest *digests, uint32_t count, struct view data)
{
    ccel_put_u32(out, index);
    ccel_put_u32(out, type);
    ccel_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        ccel_put_u16(out, digests[i].id);
        put(out, digests[i].bytes);
    }
    ccel_put_u32(out, (uint32_t)data.len);
    put(out, data);
}

void ccel_put_guest(struct buf *out, const struct sim_guest *g)
{
    static const struct ccel_algorithm sha384 = {TCG_SHA384, MEASUREMENT_BYTES};
    static const uint8_t none[MEASUREMENT_BYTES];
    struct ccel_digest digest = {TCG_SHA384, view_from(none, sizeof none)};

    ccel_put_first(out, &sha384, 1, VIEW(""));
    ccel_put_event(out, 1, TCG_NO_ACTION, &digest, 1, VIEW("StartupLocality\0\3"));
    for (unsigned i = 0; i < g->count; i++) {
        const struct sim_event *e = &g->events[i];

        if (e->imr == 3)
            continue;
        digest.bytes = view_from(e->digest, sizeof e->digest);
        ccel_put_event(out, e->imr + 1, e->type, &digest, 1, view_str(e->name));
    }
    CHECK(buf_len(out) < AREA_BYTES);
    ccel_put_padding(out, 0xFF, AREA_BYTES - buf_len(out));
}
