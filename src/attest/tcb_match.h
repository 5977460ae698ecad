/* tcb_match: which level of a TCB info a platform reaches, and how its TDX module stands. */
#pragma once

#include "attest/pck.h"
#include "attest/tcb_info.h"

/* Strict: all 16 TDX SVNs of a level must be reached. Intel: with a TDX module of major version 1 and more, the first
 * two are judged by the module's identity alone, and a patched machine whose TD is older is told to relaunch it. */
enum tcb_matching { TCB_MATCHING_STRICT, TCB_MATCHING_INTEL };

struct tcb_match {
    const struct tcb_level *level; /* lent by the TCB info */
    struct tcb_verdict platform;   /* of level and module */
    bool has_module;
    enum tcb_status module; /* has_module */
};

/* The document speaks of this kind of quote and of this platform. */
MUST_USE bool tcb_info_for(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                           struct attest_err *err);
MUST_USE bool tcb_match(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                        enum tcb_matching how, struct tcb_match *out, struct attest_err *err);
/* Everything together: platform, then quoting enclave. Revoked is an error. */
MUST_USE bool tcb_conclude(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                           const struct tcb_match *m, const struct tcb_verdict *qe,
                           enum tcb_matching how, struct tcb_verdict *out, struct attest_err *err);
