#include "attest/tcb_match.h"

#include <stdio.h>

#include "base/codec.h"

#include "base/poison.h"

static bool mismatch(const char *what, const uint8_t *want, const uint8_t *got, size_t n,
                     enum attest_code code, struct attest_err *err)
{
    char in_info[16], in_pck[16];

    hex_encode(view_from(want, n), in_info);
    hex_encode(view_from(got, n), in_pck);
    return attest_fail_plain(
        err, code,
        "quote verification failed: DCAP verification failed: %s mismatch: the "
        "TCB info is for %s, the platform is %s",
        what, in_info, in_pck);
}

bool tcb_info_for(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                  struct attest_err *err)
{
    bool tdx = q->tee == TEE_TDX;

    if (memcmp(t->fmspc, pck->fmspc, sizeof t->fmspc) != 0)
        return mismatch("Fmspc", t->fmspc, pck->fmspc, sizeof t->fmspc, ATTEST_TCB_FMSPC, err);
    if (t->tdx != tdx || t->version < (tdx ? 3u : 2u))
        return attest_fail_plain(err, ATTEST_TCB_ID,
                                 "quote verification failed: DCAP verification failed: %s quote "
                                 "with TCB info %s version "
                                 "%u",
                                 quote_tee_name(q->tee), t->tdx ? "TDX" : "SGX", t->version);
    if (memcmp(t->pceid, pck->pceid, sizeof t->pceid) != 0)
        return mismatch("PCEID", t->pceid, pck->pceid, sizeof t->pceid, ATTEST_TCB_PCEID, err);
    return true;
}

static bool reached(const uint8_t *have, const uint8_t *want, size_t from)
{
    for (size_t i = from; i < SVN_COUNT; i++)
        if (have[i] < want[i])
            return false;
    return true;
}

static const struct tcb_level *sgx_level(const struct tcb_info *t, const struct pck *pck)
{
    for (uint32_t i = 0; i < t->level_count; i++) {
        const struct tcb_level *l = &t->levels[i];

        if (pck->pcesvn >= l->pcesvn && l->sgx_count == SVN_COUNT &&
            reached(pck->components, l->sgx, 0))
            return l;
    }
    return NULL;
}

static const struct tcb_level *find_level(const struct tcb_info *t, const struct quote *q,
                                          const struct pck *pck, enum tcb_matching how,
                                          struct attest_err *err)
{
    bool tdx = q->tee == TEE_TDX;
    const uint8_t *svn = tdx ? q->td.tee_tcb_svn.at : NULL;
    size_t from = tdx && how == TCB_MATCHING_INTEL && svn[1] > 0 ? 2 : 0;

    for (uint32_t i = 0; i < t->level_count; i++) {
        const struct tcb_level *l = &t->levels[i];

        if (pck->pcesvn < l->pcesvn)
            continue;
        if (l->sgx_count != SVN_COUNT || (tdx && l->tdx_count != SVN_COUNT)) {
            (void)attest_fail_plain(err, ATTEST_TCB_COMPONENTS,
                                    "quote verification failed: DCAP verification failed: a TCB "
                                    "level has %u SGX and %u TDX components, expected 16",
                                    l->sgx_count, l->tdx_count);
            return NULL;
        }
        if (reached(pck->components, l->sgx, 0) && (!tdx || reached(svn, l->tdx, from)))
            return l;
    }
    (void)attest_fail_plain(err, ATTEST_TCB_NO_LEVEL,
                            "quote verification failed: DCAP verification failed: No matching TCB "
                            "level found: the platform is below all %u",
                            t->level_count);
    return NULL;
}

static const struct module_identity *module_of(const struct tcb_info *t, uint8_t major)
{
    char id[16];

    (void)snprintf(id, sizeof id, "TDX_%02X", major);
    for (uint32_t i = 0; i < t->identity_count; i++)
        if (view_eq_nocase(view_str(t->identities[i].id), view_str(id)))
            return &t->identities[i];
    return NULL;
}

/* Measured like its document says. No module of Intel's has attributes set. */
static bool module_good(const struct module_identity *m, const struct td_report *td,
                        struct attest_err *err)
{
    if (!view_eq(td->mrsignerseam, view_from(m->mrsigner, sizeof m->mrsigner)))
        return attest_fail(err, ATTEST_MODULE_SIGNER,
                           "DCAP verification failed: TDX module MRSIGNER mismatch");
    for (size_t i = 0; i < 8; i++) {
        uint8_t found = td->seamattributes.at[i];

        if (found || (m->attributes[i] & m->mask[i]) != (found & m->mask[i]))
            return attest_fail(err, ATTEST_MODULE_ATTRIBUTES,
                               "DCAP verification failed: TDX module SEAMATTRIBUTES mismatch");
    }
    return true;
}

static const struct module_level *module_level(const struct module_identity *m, uint32_t isvsvn)
{
    for (uint32_t i = 0; i < m->level_count; i++)
        if (m->levels[i].isvsvn <= isvsvn)
            return &m->levels[i];
    return NULL;
}

static bool match_module(const struct tcb_info *t, const struct td_report *td,
                         struct tcb_match *out, struct attest_err *err)
{
    uint8_t isvsvn = td->tee_tcb_svn.at[0], major = td->tee_tcb_svn.at[1];
    const struct module_identity *m = &t->module;
    const struct module_level *l;
    struct tcb_verdict verdict;

    if (!t->has_module)
        return attest_fail(err, ATTEST_MODULE_IDENTITY,
                           "DCAP verification failed: the TCB info has no tdxModule");
    if (!major)
        return module_good(m, td, err);
    m = module_of(t, major);
    if (!m)
        return attest_fail(err, ATTEST_MODULE_IDENTITY,
                           "DCAP verification failed: No TDX module identity TDX_%02X", major);
    if (!module_good(m, td, err))
        return false;
    l = module_level(m, isvsvn);
    if (!l)
        return attest_fail(err, ATTEST_MODULE_SVN,
                           "DCAP verification failed: TDX module SVN %u is below the minimum of %s",
                           isvsvn, m->id);
    out->has_module = true;
    out->module = l->is.status;
    verdict = (struct tcb_verdict){l->is.status, l->is.advisories};
    return tcb_merge(&out->platform, &verdict) ||
           attest_fail(err, ATTEST_TCB_SYNTAX, "more than %d advisories", ADVISORIES_MAX);
}

bool tcb_match(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
               enum tcb_matching how, struct tcb_match *out, struct attest_err *err)
{
    struct tcb_match m = {.level = find_level(t, q, pck, how, err)};

    if (!m.level)
        return false;
    m.platform = (struct tcb_verdict){m.level->is.status, m.level->is.advisories};
    if (q->tee == TEE_TDX && !match_module(t, &q->td, &m, err))
        return false;
    *out = m;
    return true;
}

static bool needs_configuration(enum tcb_status s)
{
    return s == TCB_STATUS_CONFIGURATION || s == TCB_STATUS_CONFIGURATION_AND_SW_HARDENING ||
           s == TCB_STATUS_OUT_OF_DATE_CONFIGURATION;
}

/* The module that is loaded now (TEE_TCB_SVN2) is the newest there is. */
static bool module_newest(const struct tcb_info *t, const uint8_t *svn2)
{
    const struct tcb_level *top = &t->levels[0];
    const struct module_identity *m = svn2[1] ? module_of(t, svn2[1]) : NULL;

    if (svn2[2] < top->tdx[2])
        return false;
    if (!svn2[1])
        return svn2[0] >= top->tdx[0];
    return m && m->level_count && svn2[0] >= m->levels[0].isvsvn;
}

/* The machine is patched: only this TD was launched before. */
static bool relaunch_advised(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                             const struct tcb_match *m, const struct tcb_verdict *qe)
{
    const struct tcb_level *sgx = sgx_level(t, pck);

    return q->body == BODY_TD_15 && sgx && sgx->is.status < TCB_STATUS_RELAUNCH &&
           qe->status < TCB_STATUS_RELAUNCH &&
           (m->level->is.status == TCB_STATUS_OUT_OF_DATE ||
            m->level->is.status == TCB_STATUS_OUT_OF_DATE_CONFIGURATION) &&
           m->has_module && m->module == TCB_STATUS_OUT_OF_DATE &&
           module_newest(t, q->td.tee_tcb_svn2.at);
}

static void as_intel(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                     const struct tcb_match *m, const struct tcb_verdict *qe,
                     struct tcb_verdict *all)
{
    bool configuration = needs_configuration(m->level->is.status);

    if (relaunch_advised(t, q, pck, m, qe))
        all->status = configuration ? TCB_STATUS_RELAUNCH_CONFIGURATION : TCB_STATUS_RELAUNCH;
    else if (all->status == TCB_STATUS_OUT_OF_DATE && configuration)
        all->status = TCB_STATUS_OUT_OF_DATE_CONFIGURATION;
}

bool tcb_conclude(const struct tcb_info *t, const struct quote *q, const struct pck *pck,
                  const struct tcb_match *m, const struct tcb_verdict *qe, enum tcb_matching how,
                  struct tcb_verdict *out, struct attest_err *err)
{
    struct tcb_verdict all = m->platform;

    if (!tcb_merge(&all, qe))
        return attest_fail(err, ATTEST_TCB_SYNTAX, "more than %d advisories", ADVISORIES_MAX);
    if (how == TCB_MATCHING_INTEL)
        as_intel(t, q, pck, m, qe, &all);
    if (all.status == TCB_STATUS_REVOKED)
        return attest_fail_plain(err, ATTEST_TCB_REVOKED,
                                 "quote verification failed: DCAP verification failed: TCB status "
                                 "is invalid: Revoked");
    *out = all;
    return true;
}
