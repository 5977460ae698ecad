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

/* path, query: of a GET. ERR_NOT_FOUND: another platform, CA or path; ERR_SYNTAX: a wrong query. */
MUST_USE bool sim_pccs_call(const struct sim_platform *p, struct view path, struct view query,
                            struct sim_pccs_answer *out, struct err *err);
/* "NAME: percent-encoded PEM\r\n", and what else belongs there, into out, terminated. */
MUST_USE bool sim_pccs_field(const struct sim_pccs_answer *a, char *out, size_t size,
                             struct err *err);
