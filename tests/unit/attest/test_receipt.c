/* Does a receipt hold what was verified, and does an edited one fail? */
#include "world.h"

#include "attest/digest.h"
#include "attest/receipt.h"
#include "base/codec.h"

enum { DAY_S = 86400, DER_MAX = 1 << 16, JSON_MAX = 1 << 20, TOKENS = 8192 };

/* A session with a server that has a certificate, and its receipt. */
struct bench {
    struct world w;
    X509 *certificate;
    EVP_PKEY *key;
    struct buf der, json;
    struct receipt *receipt;
    struct attestation *attestation;
    struct attest_err err;
};

static void put_certificate(struct bench *b, const char *alt_names, int64_t from_s)
{
    struct sim_certificate_spec spec = {
        .name = "tee.test",
        .key = b->key,
        .alt_names = alt_names,
        .not_before_s = from_s,
        .not_after_s = from_s + 2 * DAY_S,
    };
    struct view der;

    X509_free(b->certificate);
    buf_reset(&b->der);
    assert_true(sim_certificate(&spec, &b->certificate, NULL));
    assert_true(sim_der(b->certificate, &b->der, NULL));
    der = buf_view(&b->der);
    assert_true(digest_sha256(&der, 1, b->w.leaf));
    assert_true(sim_guest_certificate(b->w.guest, b->w.leaf, NULL));
    world_quote(&b->w);
    world_log(&b->w);
}

static void open_bench_as(struct bench *b, const char *test)
{
    memset(b, 0, sizeof *b);
    world_open_as(&b->w, 4, test);
    buf_init(&b->der, DER_MAX, "certificate");
    buf_init(&b->json, JSON_MAX, "receipt");
    assert_true(sim_key(&b->key, NULL));
    put_certificate(b, "DNS:tee.test,IP:127.0.0.1", WORLD_NOW_S - DAY_S);
}

#define open_bench(b) open_bench_as(b, __func__)

static void close_bench(struct bench *b)
{
    attestation_free(b->attestation);
    receipt_free(b->receipt);
    buf_done(&b->der);
    buf_done(&b->json);
    X509_free(b->certificate);
    EVP_PKEY_free(b->key);
    world_close(&b->w);
}

/* Verifies, and writes what comes of it. */
static void issue(struct bench *b, const char *name)
{
    struct receipt r = {
        .verified_at_s = b->w.now_s,
        .quote_age_s = 3,
        .server_name = view_str(name),
        .certificate = buf_view(&b->der),
        .quote = buf_view(&b->w.quote),
        .event_log = buf_view(&b->w.log),
        .collateral = &b->w.collateral,
        .policy = buf_view(&b->w.policy),
    };
    struct view exporter = view_from(b->w.exporter, sizeof b->w.exporter);
    const struct attest_input in = {
        .quote = r.quote,
        .event_log = r.event_log,
        .collateral = r.collateral,
        .now_s = r.verified_at_s,
        .leaf_sha256 = b->w.leaf,
        .report_data = b->w.report_data,
        .has_age = true,
        .age_s = r.quote_age_s,
    };
    struct attestation *a = NULL;
    struct policy *policy = NULL;

    memcpy(r.certificate_sha256, b->w.leaf, sizeof r.certificate_sha256);
    memcpy(r.nonce, b->w.nonce, sizeof r.nonce);
    memcpy(r.report_data, b->w.report_data, sizeof r.report_data);
    assert_true(digest_sha256(&exporter, 1, r.exporter_sha256));
    if (!policy_parse(r.policy, &policy, &b->err) ||
        !attest_verify(&in, policy, NULL, &a, &b->err) || (buf_reset(&b->json), false) ||
        !receipt_write(&r, a, &b->json, &b->err))
        fail_msg("%s", b->err.text);
    attestation_free(a);
    policy_free(policy);
}

/* The same of who has policies alone: a root that a judge names is that of the world's own. */
static void ask(const struct bench *b, struct view json, const struct receipt_judge *how)
{
    struct view policy = how->policy  ? buf_view(&how->policy->text)
                         : how->trust ? buf_view(&b->w.policy)
                                      : view_from(NULL, 0);
    struct atls_error error;

    (void)!verdicts_receipt(json, policy, how->has_time ? how->at_s : -1, &error);
}

static bool judge(struct bench *b, struct view json, const struct receipt_judge *how)
{
    attestation_free(b->attestation);
    receipt_free(b->receipt);
    b->attestation = NULL;
    b->receipt = NULL;
    b->err = (struct attest_err){.code = ATTEST_OK};
    if (verdicts_on())
        ask(b, json, how);
    return receipt_parse(json, &b->receipt, &b->err) &&
           receipt_verify(b->receipt, how, &b->attestation, &b->err);
}

static bool verify(struct bench *b, struct view json)
{
    return judge(b, json, &(struct receipt_judge){.trust = b->w.trust});
}

/* --- editing --- */

/* The text with what lies at span replaced. */
static void put_at(struct buf *json, struct view span, struct view by)
{
    struct buf next;
    struct view all = buf_view(json);
    size_t at = (size_t)(span.at - all.at);

    buf_init(&next, JSON_MAX, "receipt");
    assert_true(buf_append(&next, view_first(all, at), NULL));
    assert_true(buf_append(&next, by, NULL));
    assert_true(buf_append(&next, view_skip(all, at + span.len), NULL));
    buf_done(json);
    *json = next;
}

/* Makes "sha256" what it must be, as a forger would. */
static void seal(struct buf *json)
{
    struct json_tree tree;
    uint8_t hash[32];
    char hex[65];
    struct view at;

    assert_true(json_load(buf_view(json), TOKENS, &tree, NULL));
    assert_true(receipt_digest(&tree.doc, hash));
    at = json_span(&tree.doc, json_member(&tree.doc, 0, "sha256"));
    json_unload(&tree);
    hex_encode(view_from(hash, 32), hex);
    put_at(json, at, view_str(hex));
}

static void copy(const struct buf *from, struct buf *to)
{
    buf_init(to, JSON_MAX, "copy");
    assert_true(buf_append(to, buf_view(from), NULL));
}

/* "session.nonce" and so on; the value's bytes. */
static struct view find(const struct json_doc *doc, const char *path)
{
    uint32_t at = 0;
    char part[64];

    while (*path) {
        size_t n = strcspn(path, ".");

        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        at = json_member(doc, at, part);
        if (!at)
            fail_msg("no \"%s\"", part);
        path += n + (path[n] == '.');
    }
    return json_span(doc, at);
}

/* Another value of the same kind. */
static void other_value(const struct json_doc *doc, uint32_t token, struct buf *out)
{
    struct view now = json_span(doc, token);
    uint8_t *first;

    buf_init(out, JSON_MAX, "value");
    if (doc->tokens[token].kind == JSON_BOOL) {
        assert_true(buf_append_str(out, now.at[0] == 't' ? "false" : "true", NULL));
        return;
    }
    assert_true(buf_append(out, now, NULL));
    if (!now.len) {
        assert_true(buf_append_str(out, "00", NULL));
        return;
    }
    first = out->area + out->head;
    *first = *first == '1' ? '2' : '1';
}

/* Every value in turn; each: what is done with the edited text. */
static void each_edit(struct bench *b, bool sealed,
                      void (*each)(struct bench *b, const char *path, struct view json))
{
    struct json_tree tree;
    char path[256] = "";
    uint32_t ends[8] = {0};
    size_t lengths[8] = {0};
    unsigned depth = 0;

    assert_true(json_load(buf_view(&b->json), TOKENS, &tree, NULL));
    ends[0] = tree.doc.count;
    for (uint32_t i = 1; i < tree.doc.count;) {
        const struct json_token *t = &tree.doc.tokens[i];
        struct buf edited, value;

        while (depth && i >= ends[depth])
            depth--;
        path[lengths[depth]] = '\0';
        if (t->kind == JSON_STRING && t->next == i + 1 && i + 1 < tree.doc.count &&
            buf_view(&b->json).at[t->end + 1] == ':') { /* a key */
            (void)snprintf(path + lengths[depth], sizeof path - lengths[depth], "%s%.*s",
                           lengths[depth] ? "." : "", VIEW_ARG(json_span(&tree.doc, i)));
            i++;
            t = &tree.doc.tokens[i];
        }
        if (t->kind == JSON_OBJECT || t->kind == JSON_ARRAY) {
            assert_true(depth + 1 < COUNT(ends));
            ends[++depth] = t->next;
            lengths[depth] = strlen(path);
            i++;
            continue;
        }
        copy(&b->json, &edited);
        other_value(&tree.doc, i, &value);
        put_at(&edited, view_from(edited.area + edited.head + (t->start - 0), t->end - t->start),
               buf_view(&value));
        if (sealed && strcmp(path, "sha256") != 0)
            seal(&edited);
        each(b, path, buf_view(&edited));
        buf_done(&value);
        buf_done(&edited);
        i++;
    }
    json_unload(&tree);
}

/* --- tests --- */

static void a_receipt_verifies_again(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    if (!verify(&b, buf_view(&b.json)))
        fail_msg("%s", b.err.text);
    assert_true(b.attestation->simulated && b.attestation->runtime_verified);
    assert_int_equal(b.attestation->verified_at_s, WORLD_NOW_S);
    assert_true(view_eq(b.receipt->quote, buf_view(&b.w.quote)));
    assert_true(view_eq(b.receipt->event_log, buf_view(&b.w.log)));
    assert_true(view_eq(b.receipt->policy, buf_view(&b.w.policy)));
    assert_true(view_eq(b.receipt->certificate, buf_view(&b.der)));
    assert_true(view_eq(b.receipt->server_name, VIEW("tee.test")));
    assert_memory_equal(b.receipt->nonce, b.w.nonce, 32);
    assert_int_equal(b.receipt->quote_age_s, 3);
    close_bench(&b);
}

static void the_exporter_value_is_not_in_it(void **state)
{
    struct bench b;
    char hex[65];

    (void)state;
    open_bench(&b);
    memcpy(b.w.exporter, "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x01", 16);
    assert_true(attest_report_data(b.w.nonce, b.w.exporter, b.w.report_data));
    world_quote(&b.w);
    issue(&b, "tee.test");
    hex_encode(view_from(b.w.exporter, 32), hex);
    assert_null(memmem(b.json.area, buf_len(&b.json), hex, 16));
    assert_null(memmem(b.json.area, buf_len(&b.json), b.w.exporter, 16));
    close_bench(&b);
}

static unsigned edits;

static void expect_refused(struct bench *b, const char *path, struct view json)
{
    edits++;
    if (verify(b, json))
        fail_msg("%s was edited, and it verifies", path);
    assert_int_not_equal(b->err.code, ATTEST_OK);
}

static void every_edited_value_is_refused(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    edits = 0;
    each_edit(&b, false, expect_refused);
    assert_true(edits > 50);
    close_bench(&b);
}

/* What the client says and the hardware does not sign. (Nor does it sign the text of firmware events in the log; but that is part
 * of one value here, whose first character is a bracket.) */
static bool only_the_clients_word(const char *path)
{
    static const char *const words[] = {"session.nonce", "session.exporter_sha256",
                                        "session.quote_age"};

    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(path, words[i]) == 0)
            return true;
    return false;
}

static void expect_named(struct bench *b, const char *path, struct view json)
{
    bool good = verify(b, json);

    edits++;
    if (only_the_clients_word(path)) {
        if (!good)
            fail_msg("%s: %s", path, b->err.text);
        return;
    }
    if (good)
        fail_msg("%s was edited and sealed anew, and it verifies", path);
    if (strncmp(path, "summary.", 8) == 0) {
        char name[128];

        (void)snprintf(name, sizeof name, "\"%.*s\"", (int)(8 + strcspn(path + 8, ".")), path);
        if (b->err.code != ATTEST_RECEIPT_FIELD || !strstr(b->err.text, name))
            fail_msg("%s: expected its name, got %s", path, b->err.text);
    }
}

static void a_forger_who_seals_it_anew_is_found_by_the_evidence(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    edits = 0;
    each_edit(&b, true, expect_named);
    assert_true(edits > 50);
    close_bench(&b);
}

/* Any byte. One that is accepted changed no meaning: "\u000a" and "\u000A" are one character. */
static void flipped_bits_are_found(void **state)
{
    enum { STRIDE = 89 };
    uint8_t before[32], after[32];
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    assert_true(verify(&b, buf_view(&b.json)));
    assert_true(receipt_digest(&b.receipt->tree.doc, before));
    for (size_t i = 0; i < buf_len(&b.json); i += STRIDE) {
        b.json.area[b.json.head + i] ^= (uint8_t)(1u << i % 7);
        if (verify(&b, buf_view(&b.json))) {
            assert_true(receipt_digest(&b.receipt->tree.doc, after));
            assert_memory_equal(before, after, 32);
        }
        b.json.area[b.json.head + i] ^= (uint8_t)(1u << i % 7);
    }
    for (size_t i = 0; i < buf_len(&b.json); i += STRIDE)
        assert_false(verify(&b, view_first(buf_view(&b.json), i)));
    assert_true(verify(&b, buf_view(&b.json)));
    close_bench(&b);
}

static const struct {
    const char *from, *to;
    enum attest_code code;
    const char *words;
} shapes[] = {
    {"attestation/1", "attestation/2", ATTEST_RECEIPT_SYNTAX, "\"receipt\" is \"postern-att"},
    {"\"type\":\"tdx\"", "\"type\":\"sev-snp\"", ATTEST_RECEIPT_SYNTAX, "\"evidence.type\""},
    {"\"tls-exporter\"", "\"header\"", ATTEST_RECEIPT_SYNTAX, "\"session.binder\""},
    {"\"quote_age\":3", "\"quote_age\":-3", ATTEST_RECEIPT_SYNTAX, "\"session.quote_age\""},
    {"\"quote_age\":3", "\"quote_age\":3.0", ATTEST_RECEIPT_SYNTAX, "\"session.quote_age\""},
    {"\"quote_age\":3", "\"quote_age\":3,\"more\":1", ATTEST_RECEIPT_SYNTAX, "\"session.more\""},
    {"\"quote_age\":3", "\"quote_age\":3,\"quote_age\":3", ATTEST_RECEIPT_SYNTAX, "quote_age"},
    {"\"nonce\":\"0a", "\"nonce\":\"0A", ATTEST_RECEIPT_SYNTAX, "\"session.nonce\""},
    {"\"nonce\":\"0a", "\"nonce\":\"", ATTEST_RECEIPT_SYNTAX, "\"session.nonce\""},
    {"\"nonce\":", "\"nonc\":", ATTEST_RECEIPT_SYNTAX, "\"session.nonc\""},
    {"\"server_name\":\"tee.test\",", "", ATTEST_RECEIPT_SYNTAX, "\"session.server_name\""},
    {"tee.test", "other.test", ATTEST_RECEIPT_FIELD, "\"session.server_name\""},
    {"tee.test", ".test", ATTEST_RECEIPT_FIELD, "\"session.server_name\""},
    {"tee.test", "", ATTEST_RECEIPT_FIELD, "\"session.server_name\""},
    {"T14:13:20Z", "T14:13:20.0Z", ATTEST_RECEIPT_SYNTAX, "\"session.verified_at\""},
    {"T14:13:20Z", "T14:13:20+00:00", ATTEST_RECEIPT_SYNTAX, "\"session.verified_at\""},
    {"2026-09-21T14", "2026-10-21T14", ATTEST_RECEIPT_FIELD, "\"session.verified_at\""},
    {"\"quote\":\"04", "\"quote\":\"", ATTEST_QUOTE_VERSION, "version"},
    {"\"event_log\":\"", "\"event_log\":[\"", ATTEST_RECEIPT_SYNTAX, ""},
    {"\"root_ca_crl\":\"30", "\"root_ca_crl\":\"31", ATTEST_CRL_SYNTAX, ""},
    {"\"collateral\":{", "\"collateral\":{\"x\":1,", ATTEST_RECEIPT_SYNTAX,
     "\"evidence.collateral.x\""},
    {"\"summary\":{", "\"summary\":{\"x\":1,", ATTEST_RECEIPT_FIELD, "\"summary.x\""},
    {"\"tee\":\"TDX\",", "", ATTEST_RECEIPT_FIELD, "\"summary.tee\" is missing"},
    {"\"tee\":\"TDX\"", "\"tee\":[\"TDX\"]", ATTEST_RECEIPT_FIELD, "\"summary.tee\""},
    {"\"simulated\":true", "\"simulated\":false", ATTEST_RECEIPT_FIELD, "\"summary.simulated\""},
    {"\"trust_root\":\"custom\"", "\"trust_root\":\"intel\"", ATTEST_RECEIPT_FIELD,
     "\"summary.trust_root\" is \\\"intel\\\", and the evidence gives \\\"custom\\\""},
    {"{\"receipt\"", "{\"x\":1,\"receipt\"", ATTEST_RECEIPT_SYNTAX, "\"x\""},
};

static void what_is_no_receipt_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct bench b;

        open_bench(&b);
        issue(&b, "tee.test");
        buf_replace(&b.json, shapes[i].from, shapes[i].to);
        if (verify(&b, buf_view(&b.json)) || b.err.code != shapes[i].code ||
            !strstr(b.err.text, shapes[i].words))
            fail_msg("%s → %s: %s: %s", shapes[i].from, shapes[i].to, attest_code_name(b.err.code),
                     b.err.text);
        close_bench(&b);
    }
}

static void blanks_are_no_edit(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    buf_replace(&b.json, "\"quote_age\":3", "\n  \"quote_age\" : 3 ");
    if (!verify(&b, buf_view(&b.json)))
        fail_msg("%s", b.err.text);
    close_bench(&b);
}

/* A forger's receipt brings a root of its own: it counts for nobody who did not name that root. */
static void a_root_of_ones_own_must_be_named_by_the_judge(void **state)
{
    struct trust *intel;
    struct policy *policy;
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    assert_false(judge(&b, buf_view(&b.json), &(struct receipt_judge){.policy = NULL}));
    assert_int_equal(b.err.code, ATTEST_TRUST);
    assert_true(trust_intel(&intel, NULL));
    assert_false(judge(&b, buf_view(&b.json), &(struct receipt_judge){.trust = intel}));
    assert_int_equal(b.err.code, ATTEST_CRL_SIGNATURE);
    trust_free(intel);
    assert_true(policy_parse(buf_view(&b.w.policy), &policy, NULL));
    assert_true(judge(&b, buf_view(&b.json), &(struct receipt_judge){.policy = policy}));
    policy_free(policy);
    close_bench(&b);
}

static void a_judge_may_ask_for_more_than_the_receipt_did(void **state)
{
    struct policy *policy;
    struct bench b;
    struct receipt_judge how = {.policy = NULL};

    (void)state;
    open_bench(&b);
    world_policy(&b.w, false); /* anything on genuine hardware */
    issue(&b, "tee.test");
    if (!verify(&b, buf_view(&b.json)))
        fail_msg("%s", b.err.text);
    assert_false(b.attestation->runtime_verified);
    world_policy(&b.w, true);
    assert_true(policy_parse(buf_view(&b.w.policy), &policy, NULL));
    how.policy = policy;
    assert_true(judge(&b, buf_view(&b.json), &how));
    assert_true(b.attestation->runtime_verified);
    how.has_time = true;
    how.at_s = WORLD_NOW_S + 1000 * (int64_t)DAY_S;
    assert_false(judge(&b, buf_view(&b.json), &how));
    assert_int_equal(b.err.code, ATTEST_CRL_TIME);
    policy_free(policy);
    buf_replace(&b.w.policy, "\"allow_simulated\"", "\"max_quote_age\":2,\"allow_simulated\"");
    assert_true(policy_parse(buf_view(&b.w.policy), &policy, NULL));
    how = (struct receipt_judge){.policy = policy};
    assert_false(judge(&b, buf_view(&b.json), &how)); /* it took 3 s */
    assert_int_equal(b.err.code, ATTEST_QUOTE_AGE);
    policy_free(policy);
    close_bench(&b);
}

/* An edited policy with its hash made good is another policy: judged by it, the evidence must still pass. */
static void a_lenient_policy_cannot_be_slipped_in_unseen(void **state)
{
    struct json_tree tree;
    struct view text;
    uint8_t hash[32];
    char hex[65];
    struct bench b;

    (void)state;
    open_bench(&b);
    issue(&b, "tee.test");
    buf_replace(&b.json, "[\\\"UpToDate\\\"]", "[\\\"Revoked\\\"]");
    seal(&b.json);
    assert_false(verify(&b, buf_view(&b.json)));
    assert_int_equal(b.err.code, ATTEST_RECEIPT_FIELD);
    assert_non_null(strstr(b.err.text, "\"policy.sha256\""));
    text = b.receipt->policy;
    assert_true(digest_sha256(&text, 1, hash));
    hex_encode(view_from(hash, 32), hex);
    assert_true(json_load(buf_view(&b.json), TOKENS, &tree, NULL));
    text = find(&tree.doc, "policy.sha256");
    json_unload(&tree);
    put_at(&b.json, text, view_str(hex));
    seal(&b.json);
    assert_false(verify(&b, buf_view(&b.json)));
    assert_int_equal(b.err.code, ATTEST_TCB_NOT_ALLOWED);
    close_bench(&b);
}

static void the_certificate_is_looked_at_as_the_session_did(void **state)
{
    static const struct {
        const char *alt_names, *name;
        int64_t from_s;
        const char *words; /* NULL: good */
    } cases[] = {
        {"DNS:tee.test", "tee.test", WORLD_NOW_S - DAY_S, NULL},
        {"DNS:tee.test", "TEE.test", WORLD_NOW_S - DAY_S, NULL},
        {"IP:127.0.0.1", "127.0.0.1", WORLD_NOW_S - DAY_S, NULL},
        {"IP:::1", "::1", WORLD_NOW_S - DAY_S, NULL},
        {"DNS:*.tee.test", "a.tee.test", WORLD_NOW_S - DAY_S, NULL},
        {"DNS:*.tee.test", "b.a.tee.test", WORLD_NOW_S - DAY_S, "session.server_name"},
        {"DNS:other.test", "tee.test", WORLD_NOW_S - DAY_S, "session.server_name"},
        {"DNS:tee.test", "tee.test", WORLD_NOW_S - 3 * (int64_t)DAY_S, "session.verified_at"},
        {"DNS:tee.test", "tee.test", WORLD_NOW_S + DAY_S, "session.verified_at"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bench b;
        bool good;

        open_bench(&b);
        put_certificate(&b, cases[i].alt_names, cases[i].from_s);
        issue(&b, cases[i].name);
        good = verify(&b, buf_view(&b.json));
        if (good != !cases[i].words || (!good && !strstr(b.err.text, cases[i].words)))
            fail_msg("%zu: %s", i, b.err.text);
        close_bench(&b);
    }
}

/* With tls_trust "attestation" the handshake looked at neither. */
static void a_pinned_certificate_needs_no_name(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b);
    buf_replace(&b.w.policy, "\"allow_simulated\"",
                "\"tls_trust\":\"attestation\",\"allow_simulated\"");
    put_certificate(&b, "DNS:other.test", WORLD_NOW_S - 3 * (int64_t)DAY_S);
    issue(&b, "tee.test");
    if (!verify(&b, buf_view(&b.json)))
        fail_msg("%s", b.err.text);
    close_bench(&b);
}

static void advisories_and_dates_are_held_against_the_evidence(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b);
    b.w.platform->recipe.status = "OutOfDate";
    b.w.platform->recipe.advisories = "[\"INTEL-SA-00001\",\"INTEL-SA-00002\"]";
    world_collateral(&b.w);
    buf_replace(&b.w.policy, "[\"UpToDate\"]", "[\"OutOfDate\"]");
    issue(&b, "tee.test");
    if (!verify(&b, buf_view(&b.json)))
        fail_msg("%s", b.err.text);
    buf_replace(&b.json, "\"status\":\"OutOfDate\",\"advisory_ids\":[\"INTEL-SA-00001\",",
                "\"status\":\"OutOfDate\",\"advisory_ids\":[");
    seal(&b.json);
    assert_false(verify(&b, buf_view(&b.json)));
    assert_int_equal(b.err.code, ATTEST_RECEIPT_FIELD);
    assert_non_null(strstr(b.err.text, "\"summary.advisory_ids\""));
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receipt_verifies_again),
        cmocka_unit_test(the_exporter_value_is_not_in_it),
        cmocka_unit_test(every_edited_value_is_refused),
        cmocka_unit_test(a_forger_who_seals_it_anew_is_found_by_the_evidence),
        cmocka_unit_test(flipped_bits_are_found),
        cmocka_unit_test(what_is_no_receipt_is_refused_by_name),
        cmocka_unit_test(blanks_are_no_edit),
        cmocka_unit_test(a_root_of_ones_own_must_be_named_by_the_judge),
        cmocka_unit_test(a_judge_may_ask_for_more_than_the_receipt_did),
        cmocka_unit_test(a_lenient_policy_cannot_be_slipped_in_unseen),
        cmocka_unit_test(the_certificate_is_looked_at_as_the_session_did),
        cmocka_unit_test(a_pinned_certificate_needs_no_name),
        cmocka_unit_test(advisories_and_dates_are_held_against_the_evidence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
