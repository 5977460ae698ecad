#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "attest/compose.h"
#include "attest/digest.h"
#include "attest/receipt.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { SUMMARY_TOKENS_MAX = 32 * 1024, SHOWN_BYTES = 96, SHOWN_ROOM = 4 * SHOWN_BYTES + 8 };

/* --- what the evidence does not sign, and what can be told of it all the same --- */

static bool own_policy(const struct receipt *r, struct policy **out, struct attest_err *err)
{
    uint8_t hash[HASH_BYTES];

    if (!digest_sha256(&r->policy, 1, hash))
        return attest_fail(err, ATTEST_MEMORY, "no memory for a digest");
    if (memcmp(hash, r->policy_sha256, HASH_BYTES) != 0)
        return attest_fail(err, ATTEST_RECEIPT_FIELD,
                           "\"policy.sha256\" is not the hash of \"policy.text\"");
    return policy_parse(r->policy, out, err);
}

/* As the handshake did (session.c). */
static bool name_fits(X509 *leaf, const char *name)
{
    if (!*name || *name == '.') /* OpenSSL takes a dot in front for "and all below" */
        return false;
    return X509_check_ip_asc(leaf, name, 0) == 1 ||
           X509_check_host(leaf, name, 0,
                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                           NULL) == 1;
}

static bool within(const X509 *leaf, int64_t at_s)
{
    time_t at = (time_t)at_s;

    return X509_cmp_time(X509_get0_notBefore(leaf), &at) < 0 &&
           X509_cmp_time(X509_get0_notAfter(leaf), &at) > 0;
}

/* Who issued it is not looked at: a receipt holds the leaf alone. */
static bool certificate(const struct receipt *r, const struct policy *p, struct attest_err *err)
{
    const uint8_t *at = r->certificate.at;
    X509 *leaf = d2i_X509(NULL, &at, (long)r->certificate.len);
    bool whole = leaf && at == r->certificate.at + r->certificate.len;
    bool pinned = p->tls == POLICY_TLS_ATTESTATION; /* neither name nor time counted */
    bool named = whole && (pinned || name_fits(leaf, (const char *)r->server_name.at));
    bool timely = whole && (pinned || within(leaf, r->verified_at_s));
    uint8_t hash[HASH_BYTES];

    X509_free(leaf);
    ERR_clear_error();
    if (!whole)
        return attest_fail(err, ATTEST_RECEIPT_FIELD,
                           "\"session.certificate\" is no certificate in DER");
    if (!digest_sha256(&r->certificate, 1, hash))
        return attest_fail(err, ATTEST_MEMORY, "no memory for a digest");
    if (memcmp(hash, r->certificate_sha256, HASH_BYTES) != 0)
        return attest_fail(
            err, ATTEST_RECEIPT_FIELD,
            "\"session.certificate_sha256\" is not the hash of \"session.certificate\"");
    if (!named)
        return attest_fail(err, ATTEST_RECEIPT_FIELD,
                           "\"session.server_name\": the certificate is not for that name");
    return timely || attest_fail(err, ATTEST_RECEIPT_FIELD,
                                 "\"session.verified_at\": the certificate was not valid then");
}

/* --- the summary --- */

struct summaries {
    const struct json_doc *said, *found;
    uint32_t said_object; /* the other one is the whole document */
};

static bool differs(const char *name, struct view said, struct view found, struct attest_err *err)
{
    char a[SHOWN_ROOM], b[SHOWN_ROOM];

    (void)text_escape(said, SHOWN_BYTES, a, sizeof a);
    (void)text_escape(found, SHOWN_BYTES, b, sizeof b);
    return attest_fail(err, ATTEST_RECEIPT_FIELD, "\"summary.%s\" is %s, and the evidence gives %s",
                       name, a, b);
}

static bool member_same(const struct summaries *s, uint32_t key, struct attest_err *err)
{
    uint32_t value = s->found->tokens[key].next, other;
    struct buf said, found;
    char name[64];
    bool good;

    if (!json_string(s->found, key, name, sizeof name))
        return attest_fail(err, ATTEST_INTERNAL, "a name in the summary");
    other = json_member(s->said, s->said_object, name);
    if (!other)
        return attest_fail(err, ATTEST_RECEIPT_FIELD, "\"summary.%s\" is missing", name);
    buf_init(&said, RECEIPT_BYTES_MAX, "summary");
    buf_init(&found, RECEIPT_BYTES_MAX, "summary");
    good = compose_canonical(s->said, other, &said, NULL) &&
           compose_canonical(s->found, value, &found, NULL) && said.area && found.area;
    if (!good)
        (void)attest_fail(err, ATTEST_RECEIPT_FIELD, "\"summary.%s\" cannot be compared", name);
    else if (!view_eq(buf_view(&said), buf_view(&found)))
        good = differs(name, buf_view(&said), buf_view(&found), err);
    buf_done(&said);
    buf_done(&found);
    return good;
}

static bool members_same(const struct summaries *s, struct attest_err *err)
{
    const struct json_token *found = &s->found->tokens[0], *said = &s->said->tokens[s->said_object];
    uint32_t key = json_first(0);
    char name[SHOWN_ROOM];

    for (uint32_t i = 0; i < found->count; i++) {
        if (!member_same(s, key, err))
            return false;
        key = s->found->tokens[s->found->tokens[key].next].next;
    }
    key = json_first(s->said_object);
    for (uint32_t i = 0; i < said->count; i++) {
        (void)text_escape(json_span(s->said, key), SHOWN_BYTES, name, sizeof name);
        if (!json_member(s->found, 0, name))
            return attest_fail(err, ATTEST_RECEIPT_FIELD,
                               "\"summary.%s\" is nothing that the evidence gives", name);
        key = s->said->tokens[s->said->tokens[key].next].next;
    }
    return true;
}

static bool summary(const struct receipt *r, const struct attestation *a, struct attest_err *err)
{
    struct summaries s = {.said = &r->tree.doc, .said_object = r->summary};
    struct json_tree found;
    struct json_writer w;
    struct buf text;
    struct err why;
    bool good;

    buf_init(&text, RECEIPT_BYTES_MAX, "summary");
    json_begin(&w, &text);
    receipt_write_summary(a, &w);
    good = json_end(&w, &why) && json_load(buf_view(&text), SUMMARY_TOKENS_MAX, &found, &why);
    if (good) {
        s.found = &found.doc;
        good = members_same(&s, err);
        json_unload(&found);
    } else {
        (void)attest_fail(err, ATTEST_MEMORY, "%s", why.text);
    }
    buf_done(&text);
    return good;
}

/* --- */

static bool judge_once(const struct receipt *r, const struct policy *policy,
                       const struct trust *trust, int64_t at_s, struct attestation **out,
                       struct attest_err *err)
{
    const struct attest_input in = {
        .quote = r->quote,
        .event_log = r->event_log,
        .collateral = r->collateral,
        .now_s = at_s,
        .leaf_sha256 = r->certificate_sha256,
        .report_data = r->report_data,
        .has_age = true,
        .age_s = r->quote_age_s,
    };

    return attest_verify(&in, policy, trust, out, err);
}

static bool unedited(const struct receipt *r, struct attest_err *err)
{
    uint8_t hash[HASH_BYTES];

    return (receipt_digest(&r->tree.doc, hash) && memcmp(hash, r->sha256, HASH_BYTES) == 0) ||
           attest_fail(err, ATTEST_RECEIPT_DIGEST,
                       "\"sha256\" is not that of its text: something that the hardware did not "
                       "sign was changed");
}

bool receipt_verify(const struct receipt *r, const struct receipt_judge *judge,
                    struct attestation **out, struct attest_err *err)
{
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    CLEANUP(policy_free_cleanup) struct policy *own = NULL;

    if (!own_policy(r, &own, err) || !own || !certificate(r, own, err) ||
        !judge_once(r, own, judge->trust, r->verified_at_s, &a, err))
        return false;
    if (a->simulated && !judge->policy && !judge->trust)
        return attest_fail(err, ATTEST_TRUST,
                           "the receipt's own policy trusts another root than Intel's; a receipt "
                           "of a simulated platform counts for who names that root himself, or "
                           "brings a policy that does");
    if (!summary(r, a, err) || !unedited(r, err))
        return false;
    if (judge->policy || judge->has_time) {
        attestation_free(a);
        a = NULL;
        if (!judge_once(r, judge->policy ? judge->policy : own, judge->trust,
                        judge->has_time ? judge->at_s : r->verified_at_s, &a, err))
            return false;
    }
    *out = take(a);
    return true;
}
