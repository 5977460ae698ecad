#include "attest/verify.h"

#include <stdlib.h>

#include "attest/digest.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/secret.h"

#include "base/poison.h"

struct run {
    const struct attest_input *in;
    const struct policy *policy; /* NULL: none */
    struct attestation *a;
    struct attest_err *err;
};

enum { HEX_ROOM = 2 * REPORT_DATA_BYTES + 1 };

static const char *hex(struct view v, char out[static HEX_ROOM])
{
    hex_encode(v, out);
    return out;
}

bool attest_report_data(const uint8_t nonce[static 32], const uint8_t exporter[static 32],
                        uint8_t out[static REPORT_DATA_BYTES])
{
    const struct view pieces[] = {view_from(nonce, 32), view_from(exporter, 32)};

    return digest_sha512(pieces, 2, out);
}

/* --- event log and certificate --- */

/* The hash that the last certificate event names: 64 hex digits, as text. */
static bool event_certificate(struct run *r, uint8_t out[static HASH_BYTES])
{
    const struct event *e = event_log_last(r->a->log, EVENT_CERTIFICATE);

    if (!e)
        return attest_fail_plain(r->err, ATTEST_CERTIFICATE_EVENT,
                                 "certificate not in event log: no \"" EVENT_CERTIFICATE
                                 "\" event");
    if (!utf8_valid(e->payload))
        return attest_fail(r->err, ATTEST_EVENT_CERTIFICATE,
                           "certificate event payload is not valid UTF-8: expected 64 hex digits");
    if (e->payload.len != (size_t)2 * HASH_BYTES)
        return attest_fail_plain(
            r->err, ATTEST_CERTIFICATE_EVENT,
            "certificate not in event log: the event's payload has %zu bytes, expected the text of "
            "64 hex digits",
            e->payload.len);
    for (size_t i = 0; i < e->payload.len; i++)
        if (e->payload.at[i] >= 'A' && e->payload.at[i] <= 'F')
            return attest_fail_plain(r->err, ATTEST_CERTIFICATE_EVENT,
                                     "certificate not in event log: the event's hash is not in "
                                     "lowercase hex");
    return hex_decode(e->payload, out, HASH_BYTES) ||
           attest_fail(r->err, ATTEST_EVENT_CERTIFICATE,
                       "failed to hex-decode certificate event payload: it is no hex text");
}

static bool log_and_certificate(struct run *r)
{
    uint8_t named[HASH_BYTES];

    if (r->in->event_log.len && !event_log_parse(r->in->event_log, &r->a->log, r->err))
        return false;
    if (!r->a->log && r->policy && (!r->policy->runtime_unverified || r->in->leaf_sha256))
        return attest_fail(r->err, ATTEST_EVENT_SYNTAX, "there is none");
    if (!r->in->leaf_sha256)
        return true;
    if (!r->a->log)
        return attest_fail_plain(r->err, ATTEST_CERTIFICATE_EVENT,
                                 "certificate not in event log: there is no event log");
    return event_certificate(r, named) &&
           (memcmp(named, r->in->leaf_sha256, HASH_BYTES) == 0 ||
            attest_fail_plain(r->err, ATTEST_CERTIFICATE_EVENT,
                              "certificate not in event log: the last event names another "
                              "certificate than the server has shown"));
}

/* --- hardware --- */

static bool dcap(struct run *r, const struct trust *trust)
{
    const struct dcap_options options = {
        .matching = r->policy ? r->policy->matching : TCB_MATCHING_STRICT,
        .cache = r->in->cache,
    };
    struct quote quote;

    if (!quote_parse(r->in->quote, &quote, r->err))
        return false;
    if (r->policy && quote.tee != TEE_TDX)
        return attest_fail_plain(
            r->err, ATTEST_TEE_MISMATCH,
            "TEE type mismatch: expected TDX report but got SGX enclave report");
    memcpy(r->a->edition.root_sha256, trust->sha256, sizeof r->a->edition.root_sha256);
    return dcap_verify(&quote, r->in->collateral, r->in->now_s, trust, &options, &r->a->dcap,
                       r->err);
}

/* The policy's roots in turn; the error is the last one's. */
static bool dcap_any(struct run *r, const struct trust *given)
{
    bool good = false;

    if (given || !r->policy) {
        CLEANUP(trust_free_cleanup) struct trust *intel = NULL;

        return (given || trust_intel(&intel, r->err)) && dcap(r, given ? given : intel);
    }
    for (unsigned i = 0; i < r->policy->root_count && !good; i++)
        good = dcap(r, r->policy->roots[i]);
    return good;
}

/* Not older than what was accepted before. */
static bool edition(struct run *r)
{
    const struct dcap_report *d = &r->a->dcap;
    struct edition *now = &r->a->edition;
    const struct edition *before;

    now->tee = d->quote.tee;
    memcpy(now->fmspc, d->pck.fmspc, sizeof now->fmspc);
    now->tcb_info = d->tcb_evaluation;
    now->qe_identity = d->qe_evaluation;
    if (!r->in->editions || (r->policy && r->policy->allow_rollback))
        return true;
    before = editions_find(r->in->editions, now);
    return !before ||
           (now->tcb_info >= before->tcb_info && now->qe_identity >= before->qe_identity) ||
           attest_fail_plain(r->err, ATTEST_TCB_ROLLBACK,
                             "TCB info error: the collateral is older than what was accepted "
                             "before: tcbEvaluationDataNumber is %u (TCB info) and %u (QE "
                             "identity), and %u and %u were seen for this family of platforms",
                             now->tcb_info, now->qe_identity, before->tcb_info,
                             before->qe_identity);
}

/* Out of date for no longer than the policy bears. */
static bool grace(struct run *r)
{
    const struct policy *p = r->policy;
    const struct dcap_report *d = &r->a->dcap;
    char date[CLOCK_RFC3339_BYTES];

    if (!p->has_grace || d->verdict.status != TCB_STATUS_OUT_OF_DATE)
        return true;
    if (d->level != TCB_STATUS_OUT_OF_DATE)
        return attest_fail_plain(r->err, ATTEST_TCB_INFO,
                                 "TCB info error: matched TCB level has status '%s', expected "
                                 "'OutOfDate'",
                                 tcb_status_name(d->level));
    if (p->grace_s > (uint64_t)(INT64_MAX - d->tcb_date_s))
        return attest_fail(r->err, ATTEST_POLICY, "grace_period causes timestamp overflow");
    if (d->tcb_date_s + (int64_t)p->grace_s >= r->in->now_s)
        return true;
    (void)clock_rfc3339(d->tcb_date_s * 1000, date);
    return attest_fail_plain(r->err, ATTEST_TCB_GRACE,
                             "grace period expired for status %s (tcb_date: %.19sZ, "
                             "grace_period_secs: %llu)",
                             tcb_status_name(d->verdict.status), date,
                             (unsigned long long)p->grace_s);
}

static bool tcb_policy(struct run *r)
{
    const struct policy *p = r->policy;
    const struct dcap_report *d = &r->a->dcap;
    char allowed[320];

    if (!grace(r))
        return false;
    if (!p->allowed[d->verdict.status])
        return attest_fail_plain(
            r->err, ATTEST_TCB_NOT_ALLOWED, "TCB status %s not allowed (allowed: %s)",
            tcb_status_name(d->verdict.status), policy_allowed_text(p, allowed, sizeof allowed));
    for (unsigned i = 0; i < p->rejected.count; i++)
        if (advisories_have(&d->verdict.advisories, p->rejected.ids[i]))
            return attest_fail_plain(r->err, ATTEST_TCB_ADVISORY,
                                     "TCB status %s not allowed: advisory %s is rejected",
                                     tcb_status_name(d->verdict.status), p->rejected.ids[i]);
    if (d->tcb_evaluation >= p->evaluation_least && d->qe_evaluation >= p->evaluation_least)
        return true;
    return attest_fail_plain(r->err, ATTEST_TCB_EVALUATION,
                             "TCB info error: tcbEvaluationDataNumber is %u (TCB info) and %u (QE "
                             "identity), at least %u is expected: the collateral is old",
                             d->tcb_evaluation, d->qe_evaluation, p->evaluation_least);
}

/* --- session and registers --- */

static struct view report_data_of(const struct quote *q)
{
    return q->tee == TEE_TDX ? q->td.report_data : q->sgx.report_data;
}

static bool report_data(struct run *r)
{
    struct view got = report_data_of(&r->a->dcap.quote);
    char want_hex[HEX_ROOM], got_hex[HEX_ROOM];

    if (!r->in->report_data || secret_equal(got.at, r->in->report_data, REPORT_DATA_BYTES))
        return true;
    return attest_fail_plain(r->err, ATTEST_REPORT_DATA,
                             "report data mismatch: expected %s, got %s. Possible replay/relay "
                             "attack.",
                             hex(view_from(r->in->report_data, REPORT_DATA_BYTES), want_hex),
                             hex(got, got_hex));
}

static bool age(struct run *r)
{
    const struct policy *p = r->policy;

    if (!p->quote_age_max_s || (r->in->has_age && r->in->age_s <= p->quote_age_max_s))
        return true;
    if (!r->in->has_age)
        return attest_fail_plain(r->err, ATTEST_QUOTE_AGE,
                                 "quote too old: its age is not known, and max_quote_age is %llu s",
                                 (unsigned long long)p->quote_age_max_s);
    return attest_fail_plain(
        r->err, ATTEST_QUOTE_AGE, "quote too old: %llu s, and max_quote_age is %llu s",
        (unsigned long long)r->in->age_s, (unsigned long long)p->quote_age_max_s);
}

static bool replay(struct run *r)
{
    uint8_t registers[RTMR_COUNT][MEASUREMENT_BYTES];
    char want[HEX_ROOM], got[HEX_ROOM];

    if (r->a->dcap.quote.tee != TEE_TDX)
        return attest_fail_plain(
            r->err, ATTEST_TEE_MISMATCH,
            "TEE type mismatch: expected TDX report but got SGX enclave report");
    if (!event_log_replay(r->a->log, registers))
        return attest_fail(r->err, ATTEST_MEMORY, "no memory for a digest");
    for (unsigned i = 0; i < RTMR_COUNT; i++) {
        struct view value = r->a->dcap.quote.td.rtmr[i];
        struct view played = view_from(registers[i], MEASUREMENT_BYTES);

        if (!view_eq(value, played))
            return attest_fail_plain(r->err, ATTEST_RTMR, "RTMR%u mismatch: expected %s, got %s", i,
                                     hex(value, want), hex(played, got));
    }
    return true;
}

/* --- what runs there --- */

static bool one_of(const struct measurements *m, struct view value)
{
    for (unsigned i = 0; i < m->count; i++)
        if (view_eq(value, view_from(m->values[i], MEASUREMENT_BYTES)))
            return true;
    return false;
}

/* Index of the first field that is not as this chain has it; BOOT_COUNT: all are. */
static unsigned first_wrong(const struct bootchain *b, const struct view *values)
{
    unsigned i = 0;

    while (i < BOOT_COUNT && one_of(&b->fields[i], values[i]))
        i++;
    return i;
}

static bool bootchain(struct run *r)
{
    const struct td_report *td = &r->a->dcap.quote.td;
    const struct view values[BOOT_COUNT] = {td->mrtd, td->rtmr[0], td->rtmr[1], td->rtmr[2]};
    unsigned wrong = 0, nearest = 0;
    const struct measurements *want;
    char want_hex[HEX_ROOM], got_hex[HEX_ROOM];

    for (unsigned i = 0; i < r->policy->bootchain_count; i++) {
        unsigned at = first_wrong(&r->policy->bootchains[i], values);

        if (at == BOOT_COUNT)
            return true;
        if (at > wrong) {
            wrong = at;
            nearest = i;
        }
    }
    want = &r->policy->bootchains[nearest].fields[wrong];
    return attest_fail_plain(
        r->err, ATTEST_BOOTCHAIN, "bootchain mismatch: %s expected %s%s, got %s",
        policy_boot_name(wrong), hex(view_from(want->values[0], MEASUREMENT_BYTES), want_hex),
        want->count > 1 ? " or another" : "", hex(values[wrong], got_hex));
}

/* The payload of the system event of that name, when it is a hash. */
static bool measured(const struct event_log *log, const char *name, uint8_t out[static HASH_BYTES])
{
    const struct event *e = log ? event_log_first(log, name) : NULL;

    if (!e || e->payload.len != HASH_BYTES)
        return false;
    memcpy(out, e->payload.at, HASH_BYTES);
    return true;
}

static bool hash_allowed(const struct hashes *all, const uint8_t *value)
{
    for (unsigned i = 0; i < all->count; i++)
        if (memcmp(all->values[i], value, HASH_BYTES) == 0)
            return true;
    return false;
}

static bool software(struct run *r)
{
    const struct policy *p = r->policy;
    char want[HEX_ROOM], got[HEX_ROOM] = "<not found in event log>";

    if (!r->a->has_compose || !hash_allowed(&p->compose, r->a->compose_hash)) {
        if (r->a->has_compose)
            (void)hex(view_from(r->a->compose_hash, HASH_BYTES), got);
        return attest_fail_plain(r->err, ATTEST_COMPOSE_HASH,
                                 "app compose hash mismatch: expected %s, got %s",
                                 hex(view_from(p->compose.values[0], HASH_BYTES), want), got);
    }
    if (r->a->has_os_image && hash_allowed(&p->os_image, r->a->os_image_hash))
        return true;
    if (r->a->has_os_image)
        (void)hex(view_from(r->a->os_image_hash, HASH_BYTES), got);
    return attest_fail_plain(r->err, ATTEST_OS_IMAGE_HASH,
                             "OS image hash mismatch: expected %s, got Some(\"%s\")",
                             hex(view_from(p->os_image.values[0], HASH_BYTES), want), got);
}

static bool verify(struct run *r, const struct trust *trust)
{
    struct attestation *a = r->a;

    if (!log_and_certificate(r) || !dcap_any(r, trust))
        return false;
    a->simulated = !a->dcap.intel;
    a->verified_at_s = r->in->now_s;
    if (a->simulated && r->policy && !r->policy->allow_simulated)
        return attest_fail(
            r->err, ATTEST_TRUST,
            "the platform is simulated, and the policy does not say allow_simulated");
    if (!edition(r) || (r->policy && (!tcb_policy(r) || !age(r))))
        return false;
    if (!report_data(r) || (a->log && !replay(r)))
        return false;
    /* The log is true from here on. */
    a->has_compose = measured(a->log, EVENT_COMPOSE_HASH, a->compose_hash);
    a->has_os_image = measured(a->log, EVENT_OS_IMAGE_HASH, a->os_image_hash);
    if (!r->policy || r->policy->runtime_unverified)
        return true;
    a->runtime_verified = bootchain(r) && software(r);
    return a->runtime_verified;
}

bool attest_verify(const struct attest_input *in, const struct policy *policy,
                   const struct trust *trust, struct attestation **out, struct attest_err *err)
{
    CLEANUP(attestation_free_cleanup) struct attestation *a = calloc(1, sizeof *a);
    struct run r = {.in = in, .policy = policy, .a = a, .err = err};

    if (!a)
        return attest_fail(err, ATTEST_MEMORY, "no memory for a verification");
    if (!verify(&r, trust))
        return false;
    *out = take(a);
    return true;
}

void attestation_free(struct attestation *a)
{
    if (!a)
        return;
    event_log_free(a->log);
    free(a);
}
