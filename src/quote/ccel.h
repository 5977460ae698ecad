/* ccel: the event log of a trust domain's firmware (ACPI table CCEL): what was measured before the kernel ran. Its form is the
 * crypto-agile log of TCG's PC Client Platform Firmware Profile, 10:
 *
 *   TCG_PCR_EVENT     one, "Spec ID Event03": which algorithms there are, and how long their digests
 *   TCG_PCR_EVENT2 …  register, type, a digest for each algorithm, data
 *   padding           to the end of the table: all 00, or all FF
 *
 * Registers are numbered as in UEFI 2.10, 38.4.1: 0 is MRTD, 1 … 4 are RTMR0 … RTMR3. Numbers are little-endian.
 * Nothing here is trusted: who verifies a quote replays the digests. Pure, no memory of its own; limits below. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    CCEL_BYTES_MAX = 4 * 1024 * 1024, /* firmware sets 64 KiB aside */
    CCEL_EVENTS_MAX = 2048,
    CCEL_ALGORITHMS_MAX = 8,
    CCEL_DIGEST_BYTES = 48, /* SHA-384, as the registers */
};

struct ccel {
    struct view table, rest;
    struct {
        uint16_t id, bytes;
    } algorithms[CCEL_ALGORITHMS_MAX];
    uint32_t algorithm_count;
    unsigned events; /* read so far, the first one included */
};

/* Lent from the table. */
struct ccel_event {
    unsigned imr; /* 0 … 3: of the RTMRs */
    uint32_t type;
    struct view digest; /* CCEL_DIGEST_BYTES */
    struct view data;
};

enum ccel_step { CCEL_EVENT, CCEL_END, CCEL_FAILED };

/* Reads the first record. The table is lent until the last call. */
MUST_USE bool ccel_begin(struct ccel *c, struct view table, struct err *err);
/* The next event that extended an RTMR: those that extend nothing (EV_NO_ACTION) and MRTD's are passed over. CCEL_FAILED is
 * final, and err says where and why. */
MUST_USE enum ccel_step ccel_next(struct ccel *c, struct ccel_event *out, struct err *err);
