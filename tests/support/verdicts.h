/* verdicts: what tests ask of the verifier and what it says, written down, so that others can be asked the same and must say the
 * same: tests/wasm/verdicts.mjs asks the WebAssembly module.
 *
 *   test ── the question, as bytes ──► libatls ──► its answer, the very text
 *                    └────────── both ──────────────► $POSTERN_VERDICTS/<program>
 *
 * Without POSTERN_VERDICTS nothing is asked or written: guard what is costly by verdicts_on. A question that cannot be written
 * ends the program.
 *
 * Format  for each question a line of JSON and the bytes of its pieces:
 *
 *   {"test": "signature_r_n", "ask": "evidence", "now": 1790000000, "good": false,
 *    "pieces": {"quote": [700, 1, 1], "verdict": [0, -1, 214], …}}                    and 215 bytes, then a line end
 *
 *   A piece [keep, skip, put] is the first keep bytes of its base, put bytes that follow, and the base's rest behind skip bytes.
 *   skip -1: the put bytes are all of it, and the next base of this name. So ten thousand flips of one quote are short.
 *   "verdict" is the answer, good or not; other pieces by question:
 *
 *   evidence   quote, collateral, policy (none: is it genuine?), log, leaf, report_data; "about": what the quote says, unverified
 *   receipt    receipt, and maybe a policy to judge by; now -1: as of the receipt's own time. Asked of the engine
 *   policy     policy; the verdict is {"digest", "pccs_url", "reattest_after"} or the error
 *   compose    manifest; the verdict is the digest in hex, or the error
 *   merge      defaults, manifest; the verdict is the merged text, or the error
 */
#pragma once

#include <atls/atls.h>

#include "base/view.h"

bool verdicts_on(void);
/* Whose questions follow. The text stays as it is. */
void verdicts_of(const char *test);

struct verdicts_evidence {
    struct view quote, log, collateral, policy; /* empty: none; of the collateral: an empty text */
    const uint8_t *leaf, *report_data;          /* 32 and 64 bytes; NULL: none */
    int64_t now_s;
};
/* Each returns the error's number, with its text in *error, as libatls does. */
atls_result verdicts_evidence(const struct verdicts_evidence *e, struct atls_error *error);
atls_result verdicts_receipt(struct view json, struct view policy, int64_t now_s,
                             struct atls_error *error);
atls_result verdicts_policy(struct view json, struct atls_error *error);
atls_result verdicts_compose(struct view manifest, struct atls_error *error);
atls_result verdicts_merge(const char *defaults, const char *manifest, struct atls_error *error);
