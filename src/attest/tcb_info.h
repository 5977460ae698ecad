/* tcb_info: Intel's judgement of a family of platforms (one FMSPC), as a document: its levels, best first. The text
 * is what was signed; whether it was is dcap's to check. ("PCS API", TCB info version 2 and 3) */
#pragma once

#include "attest/quote.h"
#include "attest/signed_doc.h"

struct tcb_level {
    uint8_t sgx[SVN_COUNT], tdx[SVN_COUNT];
    uint32_t sgx_count, tdx_count; /* components named; SVN_COUNT in a good level */
    uint16_t pcesvn;
    struct signed_level is;
};

struct module_level {
    uint32_t isvsvn;
    struct signed_level is;
};

struct module_identity {
    char id[16]; /* "TDX_03"; empty: the document's own tdxModule */
    uint8_t mrsigner[MEASUREMENT_BYTES], attributes[8], mask[8];
    struct module_level *levels; /* by isvsvn, highest first */
    uint32_t level_count;
};

struct tcb_info {
    bool tdx; /* id "TDX"; else SGX */
    uint32_t version, evaluation;
    int64_t issued_s, next_s;
    uint8_t fmspc[6], pceid[2];
    bool has_module;
    struct module_identity module;
    struct module_identity *identities;
    uint32_t identity_count;
    struct tcb_level *levels; /* best first */
    uint32_t level_count;
};

MUST_USE bool tcb_info_parse(struct view text, struct tcb_info **out, struct attest_err *err);
void tcb_info_free(struct tcb_info *t); /* NULL is fine */
CLEANUP_DEFINE(struct tcb_info, tcb_info_free)
