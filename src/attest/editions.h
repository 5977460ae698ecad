/* editions: which editions of Intel's documents were accepted before, so that older ones are refused, good as they may be.
 *
 * Intel counts editions of TCB info and QE identity (tcbEvaluationDataNumber) and lets an older one stay valid for weeks: who
 * serves collateral may choose it, and with it the verdict of the days before a hole was known. Who comes back remembers, for each
 * trusted root, TEE and family of platforms (FMSPC), the highest that were accepted. Pure: a table and its document; whoever keeps
 * it reads and writes it.
 *
 *   { "editions": "postern-editions/1",
 *     "accepted": [ { "root": SHA-256, "tee": "TDX", "fmspc", "tcb_info": 17, "qe_identity": 17 }, … ] }    oldest entry first
 *
 * Limit: EDITIONS_MAX; beyond, the oldest entry goes that is of a simulator's root, or the oldest of all. */
#pragma once

#include "attest/attest_err.h"
#include "attest/quote.h"
#include "base/json.h"
#include "base/secret.h"

enum { EDITIONS_MAX = 1024, EDITIONS_BYTES_MAX = 512 * 1024 };

struct edition {
    uint8_t root_sha256[SHA256_BYTES]; /* of the trusted root's DER */
    enum quote_tee tee;
    uint8_t fmspc[6];
    uint32_t tcb_info, qe_identity; /* tcbEvaluationDataNumber */
};

struct editions {
    struct edition all[EDITIONS_MAX];
    uint32_t count;
};

/* Of the same root, TEE and family; NULL: none was accepted. */
const struct edition *editions_find(const struct editions *e, const struct edition *like);
/* Takes what was accepted. True: something is new. */
bool editions_raise(struct editions *e, const struct edition *accepted);

/* With malloc: free. */
MUST_USE bool editions_parse(struct view json, struct editions **out, struct attest_err *err);
/* Appends. */
MUST_USE bool editions_write(const struct editions *e, struct buf *out, struct err *err);
