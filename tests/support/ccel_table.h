/* ccel_table: firmware's event logs for tests, byte by byte as TCG's PC Client Platform Firmware Profile has them. Ends the test when
 * there is no memory. */
#pragma once

#include "base/buf.h"

struct sim_guest;

enum {
    TCG_NO_ACTION = 3,
    TCG_SHA1 = 0x0004,
    TCG_SHA256 = 0x000B,
    TCG_SHA384 = 0x000C,
    TCG_SHA512 = 0x000D,
};

struct ccel_algorithm {
    uint16_t id, bytes;
};
/* One digest of an event. */
struct ccel_digest {
    uint16_t id;
    struct view bytes;
};

void ccel_put_u16(struct buf *out, uint16_t value);
void ccel_put_u32(struct buf *out, uint32_t value);
/* TCG_PCR_EVENT with the Spec ID event. */
void ccel_put_first(struct buf *out, const struct ccel_algorithm *all, uint32_t count,
                    struct view vendor);
/* TCG_PCR_EVENT2. */
void ccel_put_event(struct buf *out, uint32_t index, uint32_t type,
                    const struct ccel_digest *digests, uint32_t count, struct view data);
void ccel_put_padding(struct buf *out, uint8_t byte, size_t n);
/* The log of what a simulated guest's firmware measured, as TDVF leaves it: SHA-384 alone, FF to the end of the area. */
void ccel_put_guest(struct buf *out, const struct sim_guest *g);
