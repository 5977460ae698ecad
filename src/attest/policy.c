#include "attest/policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "attest/compose.h"
#include "attest/digest.h"
#include "attest/pki.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKENS_MAX = 64 * 1024 };

struct reader {
    const struct json_doc *doc;
    struct policy *p;
    struct attest_err *err;
};

static const char *const boot_names[BOOT_COUNT] = {"mrtd", "rtmr0", "rtmr1", "rtmr2"};

/* Names that older policies know come first, as their message lists them. */
static const enum tcb_status nameable[] = {
    TCB_STATUS_UP_TO_DATE,
    TCB_STATUS_OUT_OF_DATE,
    TCB_STATUS_CONFIGURATION,
    TCB_STATUS_RELAUNCH,
    TCB_STATUS_SW_HARDENING,
    TCB_STATUS_REVOKED,
    TCB_STATUS_CONFIGURATION_AND_SW_HARDENING,
    TCB_STATUS_OUT_OF_DATE_CONFIGURATION,
    TCB_STATUS_RELAUNCH_CONFIGURATION,
};

const char *policy_boot_name(unsigned field)
{
    return boot_names[field];
}

static bool refuse(struct reader *r, const char *key, const char *want)
{
    return attest_fail(r->err, ATTEST_POLICY, "%s must be %s", key, want);
}

static bool is_null(const struct reader *r, uint32_t token)
{
    return !token || r->doc->tokens[token].kind == JSON_NULL;
}

/* --- members of one kind each --- */

static bool boolean(struct reader *r, uint32_t token, const char *key, bool *out)
{
    return json_boolean(r->doc, token, out) || refuse(r, key, "true or false");
}

static bool number(struct reader *r, uint32_t token, const char *key, uint64_t most, uint64_t *out)
{
    return (r->doc->tokens[token].kind == JSON_NUMBER &&
            text_u64(json_span(r->doc, token), most, false, out)) ||
           refuse(r, key, "a whole number that is not negative");
}

static bool choice(struct reader *r, uint32_t token, const char *key, const char *first,
                   const char *second, bool *is_second)
{
    char text[32], want[80];

    if (json_string(r->doc, token, text, sizeof text) &&
        (strcmp(text, first) == 0 || strcmp(text, second) == 0)) {
        *is_second = strcmp(text, second) == 0;
        return true;
    }
    (void)snprintf(want, sizeof want, "\"%s\" or \"%s\"", first, second);
    return refuse(r, key, want);
}

/* One value in hex, or an array of them. */
static bool values(struct reader *r, uint32_t token, const char *key, uint8_t *out, size_t size,
                   unsigned *count)
{
    const struct json_token *t = &r->doc->tokens[token];
    bool array = t->kind == JSON_ARRAY;
    uint32_t n = array ? t->count : 1, at = array ? json_first(token) : token;

    if (!n || n > POLICY_VALUES_MAX)
        return refuse(r, key, "one value, or an array of 1 to 16");
    for (uint32_t i = 0; i < n; i++) {
        if (r->doc->tokens[at].kind != JSON_STRING ||
            !hex_decode(json_span(r->doc, at), out + i * size, size))
            return attest_fail(r->err, ATTEST_POLICY,
                               "%s must be a lowercase hex string of %zu digits", key, 2 * size);
        at = r->doc->tokens[at].next;
    }
    *count = n;
    return true;
}

static bool hash_values(struct reader *r, uint32_t token, const char *key, struct hashes *out)
{
    return values(r, token, key, out->values[0], HASH_BYTES, &out->count);
}

/* --- members with a shape of their own --- */

static bool known_boot_name(struct view key)
{
    for (unsigned i = 0; i < BOOT_COUNT; i++)
        if (view_eq(key, view_str(boot_names[i])))
            return true;
    return view_starts(key, VIEW("x_"));
}

static bool unknown(struct reader *r, const char *where, struct view key)
{
    char shown[160];

    (void)text_escape(key, 64, shown, sizeof shown);
    return attest_fail(
        r->err, ATTEST_POLICY,
        "invalid policy: unknown field `%s%s`; a name for your own notes begins with "
        "x_",
        where, shown);
}

static bool bootchain(struct reader *r, uint32_t object, struct bootchain *out)
{
    uint32_t key = json_first(object);

    if (r->doc->tokens[object].kind != JSON_OBJECT)
        return refuse(r, "expected_bootchain", "an object with mrtd, rtmr0, rtmr1 and rtmr2");
    for (uint32_t i = 0; i < r->doc->tokens[object].count; i++) {
        if (!known_boot_name(json_span(r->doc, key)))
            return unknown(r, "expected_bootchain.", json_span(r->doc, key));
        key = r->doc->tokens[r->doc->tokens[key].next].next;
    }
    for (unsigned i = 0; i < BOOT_COUNT; i++) {
        uint32_t token = json_member(r->doc, object, boot_names[i]);
        char name[40];

        (void)snprintf(name, sizeof name, "expected_bootchain.%s", boot_names[i]);
        if (!token)
            return attest_fail(r->err, ATTEST_POLICY, "missing field `%s`", name);
        if (!values(r, token, name, out->fields[i].values[0], MEASUREMENT_BYTES,
                    &out->fields[i].count))
            return false;
    }
    return true;
}

static bool bootchains(struct reader *r, uint32_t token)
{
    const struct json_token *t = &r->doc->tokens[token];
    bool array = t->kind == JSON_ARRAY;
    uint32_t n = array ? t->count : 1, at = array ? json_first(token) : token;

    if (!n || n > POLICY_BOOTCHAINS_MAX)
        return refuse(r, "expected_bootchain", "one object, or an array of 1 to 16");
    r->p->bootchains = calloc(n, sizeof *r->p->bootchains);
    if (!r->p->bootchains)
        return attest_fail(r->err, ATTEST_MEMORY, "no memory for a policy");
    for (r->p->bootchain_count = 0; r->p->bootchain_count < n; r->p->bootchain_count++) {
        if (!bootchain(r, at, &r->p->bootchains[r->p->bootchain_count]))
            return false;
        at = r->doc->tokens[at].next;
    }
    return true;
}

static bool bad_status(struct reader *r, const char *given)
{
    char all[320] = "";
    size_t n = 0;

    for (size_t i = 0; i < sizeof nameable / sizeof *nameable; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s\"%s\"", i ? ", " : "",
                              tcb_status_name(nameable[i]));
    return attest_fail(r->err, ATTEST_POLICY, "invalid TCB status '%s', valid values are: [%s]",
                       given, all);
}

static bool statuses(struct reader *r, uint32_t token)
{
    uint32_t at = json_first(token);

    if (r->doc->tokens[token].kind != JSON_ARRAY)
        return refuse(r, "allowed_tcb_status", "an array of status names");
    memset(r->p->allowed, 0, sizeof r->p->allowed);
    for (uint32_t i = 0; i < r->doc->tokens[token].count; i++) {
        enum tcb_status status;
        char name[64], shown[200];

        if (r->doc->tokens[at].kind != JSON_STRING)
            return refuse(r, "allowed_tcb_status", "an array of status names");
        if (!json_string(r->doc, at, name, sizeof name) ||
            !tcb_status_parse(view_str(name), &status)) {
            (void)text_escape(json_span(r->doc, at), 48, shown, sizeof shown);
            return bad_status(r, shown);
        }
        r->p->allowed[status] = true;
        at = r->doc->tokens[at].next;
    }
    return true;
}

/* "", ":8081" or the rest of a URL: in "http://127.0.0.1:80@elsewhere" the host stands behind the '@'. */
static bool behind_host(struct view rest)
{
    struct view port = view_first(rest, view_find(rest, '/'));

    if (!port.len)
        return true;
    for (size_t i = 1; i < port.len; i++)
        if (port.at[i] < '0' || port.at[i] > '9')
            return false;
    return port.at[0] == ':';
}

/* What comes is signed, but who asks is not to be known on the way. */
bool policy_url_good(const char *url)
{
    static const char *const local[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    struct view v = view_str(url), authority = view_skip(v, view_find(v, ':') + 3);

    authority = view_first(authority, view_find(authority, '/'));
    if (view_find(authority, '@') < authority.len)
        return false; /* a password would get into errors */
    if (view_starts(v, VIEW("https://")))
        return v.len > sizeof "https://" - 1;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (view_starts(v, view_str(local[i])) && behind_host(view_skip(v, strlen(local[i]))))
            return true;
    return false;
}

static bool url(struct reader *r, uint32_t token)
{
    if (is_null(r, token))
        return true;
    if (!json_string(r->doc, token, r->p->pccs_url, sizeof r->p->pccs_url))
        return refuse(r, "pccs_url", "a URL");
    if (!*r->p->pccs_url)
        memcpy(r->p->pccs_url, POLICY_INTEL_PCS, sizeof POLICY_INTEL_PCS);
    for (const char *c = r->p->pccs_url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return refuse(r, "pccs_url", "a URL without blanks");
    return policy_url_good(r->p->pccs_url) ||
           refuse(r, "pccs_url",
                  "an https URL (http to this machine only), without user and password");
}

static bool root(struct reader *r, uint32_t token, struct trust **out)
{
    struct pki_chain chain = {.count = 0};
    struct attest_err why;
    uint8_t *der = NULL;
    char *pem;
    size_t len;
    bool good;
    int n;

    if (!json_string_new(r->doc, token, &pem, &len))
        return refuse(r, "trusted_roots", "an array of certificates in PEM");
    good = pki_chain_parse(view_from(pem, len), "trusted_roots", NULL, &chain, &why) &&
           chain.count == 1;
    free(pem);
    n = good ? i2d_X509(chain.certificates[0], &der) : 0;
    pki_chain_done(&chain);
    if (n <= 0)
        return refuse(r, "trusted_roots", "an array of certificates in PEM, one in each text");
    good = trust_custom(view_from(der, (size_t)n), out, &why);
    OPENSSL_free(der);
    return good || attest_fail(r->err, ATTEST_POLICY, "trusted_roots: %s", why.text);
}

static bool roots(struct reader *r, uint32_t token)
{
    uint32_t at = json_first(token);

    if (r->doc->tokens[token].kind != JSON_ARRAY || !r->doc->tokens[token].count ||
        r->doc->tokens[token].count > POLICY_ROOTS_MAX)
        return refuse(r, "trusted_roots", "an array of 1 to 4 certificates in PEM");
    while (r->p->root_count < r->doc->tokens[token].count) {
        if (!root(r, at, &r->p->roots[r->p->root_count]))
            return false;
        r->p->root_count++;
        at = r->doc->tokens[at].next;
    }
    return true;
}

static bool advisory_list(struct reader *r, uint32_t token)
{
    return advisories_add(&r->p->rejected, r->doc, token) ||
           refuse(r, "reject_advisories", "an array of at most 48 identifiers");
}

/* --- the whole --- */

enum member {
    M_TYPE,
    M_STATUS,
    M_GRACE,
    M_OS_IMAGE,
    M_BOOTCHAIN,
    M_COMPOSE,
    M_COMPOSE_HASH,
    M_PCCS,
    M_CACHE,
    M_DISABLE,
    M_EVALUATION,
    M_ROLLBACK,
    M_ADVISORIES,
    M_REATTEST,
    M_AGE,
    M_MATCHING,
    M_TLS,
    M_SIMULATED,
    M_ROOTS,
    M_COUNT
};

static const char *const member_names[M_COUNT] = {
    "type",
    "allowed_tcb_status",
    "grace_period",
    "os_image_hash",
    "expected_bootchain",
    "app_compose",
    "app_compose_hash",
    "pccs_url",
    "cache_collateral",
    "disable_runtime_verification",
    "min_tcb_evaluation_data_number",
    "allow_collateral_rollback",
    "reject_advisories",
    "reattest_after",
    "max_quote_age",
    "tcb_matching",
    "tls_trust",
    "allow_simulated",
    "trusted_roots",
};

static bool names_known(struct reader *r)
{
    uint32_t key = json_first(0);

    for (uint32_t i = 0; i < r->doc->tokens[0].count; i++) {
        struct view name = json_span(r->doc, key);
        bool known = view_starts(name, VIEW("x_"));

        for (unsigned m = 0; m < M_COUNT && !known; m++)
            known = view_eq(name, view_str(member_names[m]));
        if (!known)
            return unknown(r, "", name);
        key = r->doc->tokens[r->doc->tokens[key].next].next;
    }
    return true;
}

static bool take_member(struct reader *r, enum member m, uint32_t token)
{
    struct policy *p = r->p;
    const char *key = member_names[m];
    bool second = false, good;
    uint64_t n = 0;

    switch (m) {
    case M_STATUS:
        return statuses(r, token);
    case M_GRACE:
        p->has_grace = true;
        return number(r, token, key, INT64_MAX, &p->grace_s);
    case M_OS_IMAGE:
        return hash_values(r, token, key, &p->os_image);
    case M_BOOTCHAIN:
        return bootchains(r, token);
    case M_COMPOSE:
        p->compose.count = 1;
        return compose_hash(r->doc, token, p->compose.values[0], r->err);
    case M_COMPOSE_HASH:
        return p->compose.count ? refuse(r, key, "given without app_compose: they say the same")
                                : hash_values(r, token, key, &p->compose);
    case M_PCCS:
        return url(r, token);
    case M_CACHE:
        return boolean(r, token, key, &p->cache_collateral);
    case M_DISABLE:
        return boolean(r, token, key, &p->runtime_unverified);
    case M_EVALUATION:
        good = number(r, token, key, UINT32_MAX, &n);
        p->evaluation_least = (uint32_t)n;
        return good;
    case M_ROLLBACK:
        return boolean(r, token, key, &p->allow_rollback);
    case M_ADVISORIES:
        return advisory_list(r, token);
    case M_REATTEST:
        return number(r, token, key, INT32_MAX, &p->reattest_after_s);
    case M_AGE:
        return number(r, token, key, INT32_MAX, &p->quote_age_max_s);
    case M_MATCHING:
        good = choice(r, token, key, "strict", "intel", &second);
        p->matching = second ? TCB_MATCHING_INTEL : TCB_MATCHING_STRICT;
        return good;
    case M_TLS:
        good = choice(r, token, key, "webpki", "attestation", &second);
        p->tls = second ? POLICY_TLS_ATTESTATION : POLICY_TLS_WEBPKI;
        return good;
    case M_SIMULATED:
        return boolean(r, token, key, &p->allow_simulated);
    case M_ROOTS:
        return roots(r, token);
    case M_TYPE:
    case M_COUNT:
        break;
    }
    return true;
}

/* Rules that members have for each other. */
static bool whole(struct reader *r)
{
    const struct policy *p = r->p;

    if (p->has_grace && !p->allowed[TCB_STATUS_OUT_OF_DATE])
        return attest_fail(r->err, ATTEST_POLICY,
                           "grace_period requires allowed_tcb_status to include OutOfDate");
    if (p->root_count && !p->allow_simulated)
        return attest_fail(
            r->err, ATTEST_POLICY,
            "trusted_roots other than Intel's are for simulated platforms: they need "
            "allow_simulated: true");
    if (p->runtime_unverified)
        return p->tls == POLICY_TLS_WEBPKI || p->compose.count ||
               attest_fail(
                   r->err, ATTEST_POLICY,
                   "tls_trust \"attestation\" requires runtime verification: without it any "
                   "TEE of anybody's would do");
    if (!p->bootchain_count || !p->os_image.count)
        return attest_fail(r->err, ATTEST_POLICY,
                           "expected_bootchain and os_image_hash must be provided together");
    return p->compose.count || attest_fail(r->err, ATTEST_POLICY, "app_compose must be provided");
}

static bool read_all(struct reader *r)
{
    char type[64];

    if (r->doc->tokens[0].kind != JSON_OBJECT)
        return attest_fail(r->err, ATTEST_POLICY, "invalid policy: it is not an object");
    if (!json_string(r->doc, json_member(r->doc, 0, "type"), type, sizeof type))
        return attest_fail(r->err, ATTEST_POLICY,
                           "invalid policy: missing field `type`; write \"type\": \"dstack_tdx\"");
    if (strcmp(type, "dstack_tdx") != 0)
        return attest_fail(r->err, ATTEST_POLICY,
                           "invalid policy: unknown type `%s`, expected `dstack_tdx`", type);
    if (!names_known(r))
        return false;
    for (unsigned m = M_TYPE + 1; m < M_COUNT; m++) {
        uint32_t token = json_member(r->doc, 0, member_names[m]);

        if (!is_null(r, token) && !take_member(r, (enum member)m, token))
            return false;
    }
    return whole(r);
}

static bool defaults(struct policy **out, struct attest_err *err)
{
    struct policy *p = calloc(1, sizeof *p);

    if (!p)
        return attest_fail(err, ATTEST_MEMORY, "no memory for a policy");
    buf_init(&p->text, POLICY_BYTES_MAX, "policy");
    p->allowed[TCB_STATUS_UP_TO_DATE] = true;
    memcpy(p->pccs_url, POLICY_PCCS_URL, sizeof POLICY_PCCS_URL);
    *out = p;
    return true;
}

bool policy_parse(struct view json, struct policy **out, struct attest_err *err)
{
    CLEANUP(policy_free_cleanup) struct policy *p = NULL;
    struct json_tree tree;
    struct err why;
    bool good;

    if (!defaults(&p, err) || !p)
        return false;
    if (json.len > POLICY_BYTES_MAX)
        return attest_fail(err, ATTEST_POLICY, "invalid policy: %zu bytes, at most %d", json.len,
                           POLICY_BYTES_MAX);
    if (!json_load(json, TOKENS_MAX, &tree, &why))
        return attest_fail(err, ATTEST_POLICY, "invalid policy: %s", why.text);
    good = read_all(&(struct reader){&tree.doc, p, err});
    json_unload(&tree);
    if (!good)
        return false;
    if (!p->root_count) {
        if (!trust_intel(&p->roots[0], err))
            return false;
        p->root_count = 1;
    }
    if (!digest_sha256(&json, 1, p->digest) || !buf_append(&p->text, json, NULL))
        return attest_fail(err, ATTEST_MEMORY, "no memory for a policy");
    *out = take(p);
    return true;
}

bool policy_dev(struct policy **out, struct attest_err *err)
{
    return policy_parse(
        VIEW("{\"type\":\"dstack_tdx\",\"disable_runtime_verification\":true,"
             "\"allowed_tcb_status\":[\"UpToDate\",\"SWHardeningNeeded\",\"OutOfDate\"]}"),
        out, err);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->root_count; i++)
        trust_free(p->roots[i]);
    free(p->bootchains);
    buf_done(&p->text);
    free(p);
}

char *policy_allowed_text(const struct policy *p, char *out, size_t size)
{
    size_t n = 1;

    (void)snprintf(out, size, "[");
    for (size_t i = 0; i < sizeof nameable / sizeof *nameable && n < size; i++)
        if (p->allowed[nameable[i]])
            n += (size_t)snprintf(out + n, size - n, "%s\"%s\"", n > 1 ? ", " : "",
                                  tcb_status_name(nameable[i]));
    if (n < size)
        (void)snprintf(out + n, size - n, "]");
    return out;
}
