/* measure: the registers of a trust domain without a guest agent, and the log that tells of them, in the form that attest/event_log.h
 * reads.
 *
 *   RTMR0 … 2   by the firmware, before the kernel ran; its own log (ccel.h) is read once
 *   RTMR3       by whoever runs in the guest: sysfs' measurements file, or the ioctl of kernels that have none
 *
 * Runtime events stand in a file, an object of JSON a line. It must be lost when the register is, by a new start of the machine, so
 * it lives in /run; several programs may share it, for each takes flock() on it. The register comes first and the line after
 * it, for a register cannot be taken back: where one is missing the log does not replay, and nobody is deceived. */
#pragma once

#include "base/buf.h"

/* What is asked of the device: TDX_EXTEND_RTMR. */
#define MEASURE_IOCTL 0x80315403ul

enum { MEASURE_PATH_BYTES = 1024, MEASURE_LOG_MAX = 1024 * 1024 };

struct measure {
    char rtmr3[MEASURE_PATH_BYTES];  /* extends RTMR3 by 48 bytes that are written to it */
    char device[MEASURE_PATH_BYTES]; /* … or does so when asked */
    char ccel[MEASURE_PATH_BYTES];
    char events[MEASURE_PATH_BYTES]; /* the file */
    struct buf firmware;             /* its events as JSON, with commas between */
    uint64_t timeout_ms;
};

/* Reads the firmware's log, and makes the folder of ours. The paths are there, the rest is made here. */
MUST_USE bool measure_open(struct measure *m, struct err *err);
void measure_done(struct measure *m);

/* Nobody adds an event, to the register or to the file, until measure_unlock. alone: neither does anybody read.
 * Returns a descriptor; -1: failed. */
int measure_lock(const struct measure *m, bool alone, struct err *err);
void measure_unlock(int lock);
/* An event into RTMR3 and the file. */
MUST_USE bool measure_emit(const struct measure *m, const char *name, struct view payload,
                           struct err *err);
/* All events as a JSON array, appended. Call with the lock held, before which the quote was asked for. */
MUST_USE bool measure_log(const struct measure *m, struct buf *out, struct err *err);
