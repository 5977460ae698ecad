#include "attest/qe_identity.h"

#include <stdlib.h>

#include "base/poison.h"

enum { ATTRIBUTE_DEBUG = 2 };

static int newer(const void *a, const void *b)
{
    const struct qe_level *one = a, *other = b;

    return (one->isvsvn < other->isvsvn) - (one->isvsvn > other->isvsvn);
}

static bool levels(struct signed_doc *d, struct qe_identity *q)
{
    uint32_t array = signed_doc_member(d, 0, "tcbLevels", JSON_ARRAY), at, count;

    if (!array)
        return false;
    count = d->tree.doc.tokens[array].count;
    if (count > QE_LEVELS_MAX)
        return signed_doc_fail(d, "tcbLevels", "an array of fewer elements");
    at = json_first(array);
    for (; q->level_count < count; q->level_count++) {
        struct qe_level *one = &q->levels[q->level_count];
        uint32_t tcb;

        if (!signed_doc_level(d, at, &tcb, &one->is) ||
            !signed_doc_number(d, tcb, "isvsvn", 65535, &one->isvsvn))
            return false;
        at = d->tree.doc.tokens[at].next;
    }
    qsort(q->levels, count, sizeof *q->levels, newer);
    for (uint32_t i = 1; i < count; i++)
        if (q->levels[i].isvsvn == q->levels[i - 1].isvsvn)
            return signed_doc_fail(d, "isvsvn", "of one level only");
    return true;
}

static bool head(struct signed_doc *d, struct qe_identity *q)
{
    return signed_doc_text(d, 0, "id", q->id, sizeof q->id) &&
           signed_doc_number(d, 0, "version", 1000, &q->version) &&
           signed_doc_date(d, 0, "issueDate", &q->issued_s) &&
           signed_doc_date(d, 0, "nextUpdate", &q->next_s) &&
           signed_doc_number(d, 0, "tcbEvaluationDataNumber", UINT32_MAX, &q->evaluation) &&
           signed_doc_hex(d, 0, "miscselect", q->miscselect, sizeof q->miscselect) &&
           signed_doc_hex(d, 0, "miscselectMask", q->miscselect_mask, sizeof q->miscselect_mask) &&
           signed_doc_hex(d, 0, "attributes", q->attributes, sizeof q->attributes) &&
           signed_doc_hex(d, 0, "attributesMask", q->attributes_mask, sizeof q->attributes_mask) &&
           signed_doc_hex(d, 0, "mrsigner", q->mrsigner, sizeof q->mrsigner) &&
           signed_doc_number(d, 0, "isvprodid", 65535, &q->isvprodid);
}

bool qe_identity_parse(struct view text, struct qe_identity **out, struct attest_err *err)
{
    CLEANUP(qe_identity_free_cleanup) struct qe_identity *q = calloc(1, sizeof *q);
    struct signed_doc d = {.what = "QeIdentity", .code = ATTEST_QE_SYNTAX, .err = err};
    bool good;

    if (!q)
        return attest_fail(err, ATTEST_MEMORY, "no memory for QeIdentity");
    if (!signed_doc_open(&d, text))
        return false;
    good = head(&d, q) && levels(&d, q);
    signed_doc_close(&d);
    if (good)
        *out = take(q);
    return good;
}

void qe_identity_free(struct qe_identity *q)
{
    free(q);
}

/* As Intel compares: what the identity says outside its mask counts, too. */
static bool masked(struct view found, const uint8_t *mask, const uint8_t *want)
{
    for (size_t i = 0; i < found.len; i++)
        if ((found.at[i] & mask[i]) != want[i])
            return false;
    return true;
}

bool qe_identity_match(const struct qe_identity *q, const struct enclave_report *report,
                       struct tcb_verdict *out, struct attest_err *err)
{
    if (!view_eq(report->mrsigner, view_from(q->mrsigner, sizeof q->mrsigner)))
        return attest_fail(err, ATTEST_QE_MRSIGNER,
                           "DCAP verification failed: QE MRSIGNER mismatch: the quoting enclave is "
                           "not signed by whom the QE identity names");
    if (report->attributes.at[0] & ATTRIBUTE_DEBUG)
        return attest_fail(err, ATTEST_QE_DEBUG,
                           "DCAP verification failed: the quoting enclave runs in debug mode");
    if (report->isvprodid != q->isvprodid)
        return attest_fail(err, ATTEST_QE_ISVPRODID,
                           "DCAP verification failed: QE ISVPRODID mismatch: expected %u, got %u",
                           q->isvprodid, report->isvprodid);
    if (!masked(report->miscselect, q->miscselect_mask, q->miscselect))
        return attest_fail(err, ATTEST_QE_MISCSELECT,
                           "DCAP verification failed: QE MISCSELECT mismatch");
    if (!masked(report->attributes, q->attributes_mask, q->attributes))
        return attest_fail(err, ATTEST_QE_ATTRIBUTES,
                           "DCAP verification failed: QE ATTRIBUTES mismatch");
    for (uint32_t i = 0; i < q->level_count; i++) {
        const struct qe_level *one = &q->levels[i];

        if (one->isvsvn <= report->isvsvn) {
            *out = (struct tcb_verdict){one->is.status, one->is.advisories};
            return true;
        }
    }
    return attest_fail(err, ATTEST_QE_ISVSVN,
                       "DCAP verification failed: QE ISVSVN %u is below the minimum of all levels",
                       report->isvsvn);
}
