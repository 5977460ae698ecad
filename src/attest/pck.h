/* pck: what a PCK certificate says of its platform, in the extension that Intel gave it
 * (1.2.840.113741.1.13.1; "SGX PCK Certificate and CRL Profile", 1.3.5). */
#pragma once

#include "attest/attest_err.h"
#include "attest/quote.h"

struct pck {
    uint8_t ppid[16]; /* names the platform: not for logs */
    uint8_t components[SVN_COUNT], cpusvn[SVN_COUNT];
    uint16_t pcesvn;
    uint8_t pceid[2], fmspc[6];
    uint8_t sgx_type; /* 0 standard, 1 scalable, 2 scalable with integrity */
};

/* extension: its value in DER; nothing of it is kept. Every element that must be there is there, once, with its
 * type and length, and the components are those of CPUSVN. */
MUST_USE bool pck_parse(struct view extension, struct pck *out, struct attest_err *err);
