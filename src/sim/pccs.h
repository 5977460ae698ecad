/* pccs: Intel's certification service for one simulated platform ("PCS API" version 4, as a PCCS serves it). Text in, text out;
 * who listens is elsewhere. */
#pragma once

#include "sim/platform.h"

struct sim_pccs_answer {
    struct buf *body;         /* lent by the caller */
    const char *content_type; /* a literal */
    const char *chain_field;  /* name of the field that carries the issuer chain; NULL: none */
    bool ca_chain;            /* … of the PCK CA; else of the TCB signer */
    bool tcbm;                /* another field tells which TCB the certificate is for */
    const struct sim_platform *platform;
};

/* Fields of every answer: pages may read it, and the fields in which issuer chains and a TCB come. */
#define SIM_PCCS_CORS                                                                  \
    "Access-Control-Allow-Origin: *\r\n"                                               \
    "Access-Control-Expose-Headers: SGX-PCK-CRL-Issuer-Chain, TCB-Info-Issuer-Chain, " \
    "SGX-Enclave-Identity-Issuer-Chain, SGX-PCK-Certificate-Issuer-Chain, SGX-TCBm\r\n"

/* path, query: of a GET. ERR_NOT_FOUND: another platform, CA or path; ERR_SYNTAX: a wrong query. */
MUST_USE bool sim_pccs_call(const struct sim_platform *p, struct view path, struct view query,
                            struct sim_pccs_answer *out, struct err *err);
/* "NAME: percent-encoded PEM\r\n", and what else belongs there, into out, terminated. */
MUST_USE bool sim_pccs_field(const struct sim_pccs_answer *a, char *out, size_t size,
                             struct err *err);
