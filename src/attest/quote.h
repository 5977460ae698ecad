/* quote: the fields of an Intel DCAP quote, found in its bytes and checked for shape, not for truth.
 *
 * Versions   3 with an SGX enclave report; 4 and 5 with a TD report 1.0, 5 with a TD report 1.5
 *            (Intel, "TDX DCAP Quoting Library API", A.3; "SGX ECDSA QuoteGenReference", A.4).
 * Numbers    little-endian in the quote; keys and signatures are big-endian byte strings.
 * Memory     every view is lent from the bytes given, which must not change while the quote is used.
 * Limits     QUOTE_BYTES_MAX in all; QUOTE_AUTH_MAX, QUOTE_CERTIFICATION_MAX, QUOTE_TRAILING_MAX within.
 * What follows the signature section is neither signed nor looked at. */
#pragma once

#include "attest/attest_err.h"
#include "base/view.h"

enum {
    QUOTE_BYTES_MAX = 64 * 1024, /* the largest seen has 8,000 */
    QUOTE_HEADER_BYTES = 48,
    QUOTE_AUTH_MAX = 1024,
    QUOTE_CERTIFICATION_MAX = 32 * 1024,
    QUOTE_TRAILING_MAX = 16 * 1024,
    ENCLAVE_REPORT_BYTES = 384,
    TD_REPORT_10_BYTES = 584,
    TD_REPORT_15_BYTES = 648,
    MEASUREMENT_BYTES = 48, /* SHA-384 */
    REPORT_DATA_BYTES = 64,
    SVN_COUNT = 16,
    CERTIFICATION_PCK_CHAIN = 5,
};

enum quote_tee { TEE_SGX = 0x00, TEE_TDX = 0x81 };
enum quote_body { BODY_SGX = 1, BODY_TD_10 = 2, BODY_TD_15 = 3 };

/* Views of the sizes given, in bytes. */
struct enclave_report {
    struct view bytes; /* 384 */
    struct view cpusvn /* 16 */, miscselect /* 4 */, attributes /* 16 */;
    struct view mrenclave /* 32 */, mrsigner /* 32 */, report_data /* 64 */;
    uint16_t isvprodid, isvsvn;
};

struct td_report {
    struct view tee_tcb_svn /* 16 */, mrseam /* 48 */, mrsignerseam /* 48 */;
    struct view seamattributes /* 8 */, tdattributes /* 8 */, xfam /* 8 */;
    struct view mrtd, mrconfigid, mrowner, mrownerconfig;    /* 48 each */
    struct view rtmr[4];                                     /* 48 each */
    struct view report_data;                                 /* 64 */
    struct view tee_tcb_svn2 /* 16 */, mrservicetd /* 48 */; /* 1.5; empty in 1.0 */
};

struct quote {
    struct view bytes;
    uint16_t version;
    enum quote_tee tee;
    enum quote_body body;
    struct view qe_vendor /* 16 */, user_data /* 20 */;
    union {
        struct enclave_report sgx;
        struct td_report td;
    };
    struct view signed_part; /* header and body, as the attestation key signs them */
    struct view signature /* 64 */, attestation_key /* 64 */;
    struct enclave_report qe;
    struct view qe_signature /* 64 */, qe_auth;
    uint16_t certification_type;
    struct view certification; /* type 5: the PCK chain in PEM, leaf first */
};

MUST_USE bool quote_parse(struct view bytes, struct quote *out, struct attest_err *err);
const char *quote_tee_name(enum quote_tee tee);    /* "SGX", "TDX" */
const char *quote_body_name(enum quote_body body); /* "SgxEnclave", "TD10", "TD15" */
