/* world: a simulated platform, a guest on it and everything that is said of both, good until a test spoils a part. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/verify.h"
#include "base/codec.h"
#include "base/p256.h"
#include "base/secret.h"
#include "sim/guest.h"
#include "support/verdicts.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum {
    WORLD_NOW_S = 1790000000, /* 2026-09-21 */
    /* of a version 4 quote */
    AT_VERSION = 0,
    AT_KEY_TYPE = 2,
    AT_TEE = 4,
    AT_VENDOR = 12,
    AT_BODY = 48,
    AT_SIGNATURE = 636,
    AT_KEY = 700,
    AT_OUTER = 764,
    AT_QE = 770,
    AT_QE_SIGNATURE = 1154,
    AT_AUTH = 1218,
    AT_INNER = 1252,
    AT_CHAIN = 1258,
    AT_QE_DATA = AT_QE + 320,
};

struct world {
    const char *test;
    struct sim_platform *platform;
    struct sim_guest *guest;
    unsigned version;
    struct buf quote, log, policy;
    struct buf parts[10]; /* of the collateral, in the order of its struct */
    struct collateral collateral;
    uint8_t leaf[32], report_data[64], nonce[32], exporter[32];
    int64_t now_s;
    bool connected; /* leaf and report data are checked */
    struct trust *trust;
    struct attest_err err;
    struct attestation *attestation;
};

enum {
    P_CA_CHAIN,
    P_ROOT_CRL,
    P_PCK_CRL,
    P_TCB_CHAIN,
    P_TCB,
    P_TCB_SIG,
    P_QE_CHAIN,
    P_QE,
    P_QE_SIG,
    P_PCK_CHAIN
};

static inline void world_views(struct world *w)
{
    struct view *views[] = {&w->collateral.pck_crl_issuer_chain,
                            &w->collateral.root_ca_crl,
                            &w->collateral.pck_crl,
                            &w->collateral.tcb_info_issuer_chain,
                            &w->collateral.tcb_info,
                            &w->collateral.tcb_info_signature,
                            &w->collateral.qe_identity_issuer_chain,
                            &w->collateral.qe_identity,
                            &w->collateral.qe_identity_signature,
                            &w->collateral.pck_certificate_chain};

    for (size_t i = 0; i < COUNT(views); i++)
        *views[i] = buf_view(&w->parts[i]);
}

static inline void world_put(struct world *w, unsigned part, struct view bytes)
{
    buf_reset(&w->parts[part]);
    assert_true(buf_append(&w->parts[part], bytes, NULL));
    world_views(w);
}

static inline void world_sign(struct world *w, unsigned text, EVP_PKEY *key)
{
    uint8_t signature[64];

    assert_true(p256_sign(key, buf_view(&w->parts[text]), signature));
    world_put(w, text + 1, view_from(signature, 64));
}

/* Everything that the platform says, anew. */
static inline void world_collateral(struct world *w)
{
    const struct sim_platform *p = w->platform;

    for (size_t i = 0; i < COUNT(w->parts); i++)
        buf_reset(&w->parts[i]);
    assert_true(sim_ca_chain(p, &w->parts[P_CA_CHAIN], NULL));
    assert_true(sim_root_crl(p, &w->parts[P_ROOT_CRL], NULL));
    assert_true(sim_pck_crl(p, &w->parts[P_PCK_CRL], NULL));
    assert_true(sim_signer_chain(p, &w->parts[P_TCB_CHAIN], NULL));
    assert_true(sim_signer_chain(p, &w->parts[P_QE_CHAIN], NULL));
    assert_true(sim_tcb_info(&p->recipe, &w->parts[P_TCB], NULL));
    assert_true(sim_qe_identity(&p->recipe, &w->parts[P_QE], NULL));
    world_sign(w, P_TCB, p->signer_key);
    world_sign(w, P_QE, p->signer_key);
}

static inline void world_quote(struct world *w)
{
    buf_reset(&w->quote);
    assert_true(
        sim_quote(w->platform, &w->guest->td, w->version, w->report_data, 70, &w->quote, NULL));
}

static inline void world_log(struct world *w)
{
    buf_reset(&w->log);
    assert_true(sim_guest_log(w->guest, true, &w->log, NULL));
}

static inline void world_policy(struct world *w, bool strict)
{
    buf_reset(&w->policy);
    assert_true(sim_policy(w->guest, w->platform, strict, NULL, &w->policy, NULL));
}

#define WORLD_COMPOSE "{\"docker_compose_file\":\"services: {}\",\"runner\":\"docker-compose\"}"

/* test: whose world it is, for the book of verdicts. */
static inline void world_open_as(struct world *w, unsigned version, const char *test)
{
    struct sim_recipe recipe;
    struct buf der;

    verdicts_of(test);
    *w = (struct world){.test = test, .version = version, .now_s = WORLD_NOW_S, .connected = true};
    sim_recipe_default(&recipe, WORLD_NOW_S);
    assert_true(sim_platform_new(&recipe, &w->platform, NULL));
    assert_true(sim_guest_boot(VIEW(WORLD_COMPOSE), &w->guest, NULL));
    memset(w->leaf, 0x1E, sizeof w->leaf);
    memset(w->nonce, 0x0A, sizeof w->nonce);
    memset(w->exporter, 0x0E, sizeof w->exporter);
    assert_true(attest_report_data(w->nonce, w->exporter, w->report_data));
    assert_true(sim_guest_certificate(w->guest, w->leaf, NULL));
    for (size_t i = 0; i < COUNT(w->parts); i++)
        buf_init(&w->parts[i], 1 << 20, "part");
    buf_init(&w->quote, 1 << 17, "quote");
    buf_init(&w->log, 1 << 20, "log");
    buf_init(&w->policy, 1 << 20, "policy");
    buf_init(&der, 1 << 16, "der");
    assert_true(sim_der(w->platform->root, &der, NULL));
    assert_true(trust_custom(buf_view(&der), &w->trust, NULL));
    buf_done(&der);
    world_collateral(w);
    world_quote(w);
    world_log(w);
    world_policy(w, true);
}

#define world_open(w, version) world_open_as(w, version, __func__)

static inline void world_close(struct world *w)
{
    attestation_free(w->attestation);
    trust_free(w->trust);
    for (size_t i = 0; i < COUNT(w->parts); i++)
        buf_done(&w->parts[i]);
    buf_done(&w->quote);
    buf_done(&w->log);
    buf_done(&w->policy);
    sim_guest_free(w->guest);
    sim_platform_free(w->platform);
}

/* --- the book of verdicts (support/verdicts.h) --- */

/* Documents that are no text cannot be handed on: collateral is JSON. */
static inline bool world_is_text(const struct world *w)
{
    const struct collateral *c = &w->collateral;
    const struct view texts[] = {
        c->pck_crl_issuer_chain, c->tcb_info_issuer_chain,    c->tcb_info,
        c->qe_identity,          c->qe_identity_issuer_chain, c->pck_certificate_chain};

    for (size_t i = 0; i < COUNT(texts); i++)
        if (!utf8_valid(texts[i]) || (texts[i].len && memchr(texts[i].at, 0, texts[i].len)))
            return false;
    return true;
}

/* The same question to the library as others use it: it must say what was said here, or that JSON cannot hold an empty CRL. */
static inline void world_ask(const struct world *w, struct verdicts_evidence e)
{
    struct atls_error error = {.code = ATLS_OK};
    struct json_writer writer;
    struct buf json;

    if (!verdicts_on() || !world_is_text(w))
        return;
    buf_init(&json, 1 << 22, "collateral");
    json_begin(&writer, &json);
    collateral_write(&w->collateral, &writer);
    assert_true(json_end(&writer, NULL));
    e.collateral = buf_view(&json);
    e.now_s = w->now_s;
    if (verdicts_evidence(&e, &error) == ATTEST_COLLATERAL_SYNTAX) {
        assert_true(!w->collateral.root_ca_crl.len || !w->collateral.pck_crl.len);
    } else {
        assert_int_equal(error.code, w->err.code);
        if (error.code != ATLS_OK)
            assert_string_equal(error.message, w->err.text);
    }
    buf_done(&json);
}

/* A policy that asks for genuine hardware below the world's root, and nothing more. */
static inline void world_hardware_policy(const struct world *w, enum tcb_matching matching,
                                         struct buf *out)
{
    struct json_writer writer;
    struct buf pem;

    buf_init(out, 1 << 16, "policy");
    buf_init(&pem, 1 << 16, "root");
    json_begin(&writer, out);
    json_object(&writer);
    json_key(&writer, "type");
    json_text(&writer, VIEW("dstack_tdx"));
    json_key(&writer, "disable_runtime_verification");
    json_bool(&writer, true);
    json_key(&writer, "tcb_matching");
    json_text(&writer, matching == TCB_MATCHING_INTEL ? VIEW("intel") : VIEW("strict"));
    json_key(&writer, "allowed_tcb_status");
    json_array(&writer);
    for (int i = 0; i < TCB_STATUS_COUNT; i++)
        json_text(&writer, view_str(tcb_status_name((enum tcb_status)i)));
    json_array_end(&writer);
    if (!w->trust->intel) {
        json_key(&writer, "allow_simulated");
        json_bool(&writer, true);
        json_key(&writer, "trusted_roots");
        json_array(&writer);
        assert_true(sim_pem(w->trust->root, &pem, NULL));
        json_text(&writer, buf_view(&pem));
        json_array_end(&writer);
    }
    json_object_end(&writer);
    assert_true(json_end(&writer, NULL));
    buf_done(&pem);
}

/* What dcap_verify was asked, as a policy can. None takes an enclave, whatever else is to be said of it. */
static inline void world_ask_dcap(const struct world *w, struct view quote_bytes,
                                  enum tcb_matching matching)
{
    struct world asked = *w;
    struct quote quote;
    struct buf policy;

    if (!verdicts_on())
        return;
    if (quote_parse(quote_bytes, &quote, NULL) && quote.tee != TEE_TDX)
        attest_fail_plain(&asked.err, ATTEST_TEE_MISMATCH,
                          "TEE type mismatch: expected TDX report but got SGX enclave report");
    world_hardware_policy(w, matching, &policy);
    world_ask(&asked,
              (struct verdicts_evidence){.quote = quote_bytes, .policy = buf_view(&policy)});
    buf_done(&policy);
}

/* With the policy. */
static inline bool world_verify(struct world *w)
{
    const struct attest_input in = {
        .quote = buf_view(&w->quote),
        .event_log = buf_view(&w->log),
        .collateral = &w->collateral,
        .now_s = w->now_s,
        .leaf_sha256 = w->connected ? w->leaf : NULL,
        .report_data = w->connected ? w->report_data : NULL,
    };
    struct policy *policy = NULL;
    bool good;

    attestation_free(w->attestation);
    w->attestation = NULL;
    w->err = (struct attest_err){.code = ATTEST_OK};
    good = policy_parse(buf_view(&w->policy), &policy, &w->err) &&
           attest_verify(&in, policy, NULL, &w->attestation, &w->err);
    policy_free(policy);
    assert_int_equal(good, w->attestation != NULL);
    assert_int_equal(good, w->err.code == ATTEST_OK);
    world_ask(w, (struct verdicts_evidence){.quote = in.quote,
                                            .log = in.event_log,
                                            .policy = buf_view(&w->policy),
                                            .leaf = in.leaf_sha256,
                                            .report_data = in.report_data});
    return good;
}

/* Whatever was verified before in this program: verdicts and errors are the same with it, however often. */
static inline struct dcap_cache *world_cache(void)
{
    static struct dcap_cache *cache;

    if (!cache)
        assert_true(dcap_cache_new(&cache, NULL));
    return cache;
}

static inline void world_same_with_cache(struct world *w, const struct quote *quote,
                                         enum tcb_matching matching, bool good)
{
    const struct dcap_options options = {.matching = matching, .cache = world_cache()};

    for (int i = 0; i < 2; i++) {
        struct attest_err err = {.code = ATTEST_OK};
        struct dcap_report report;

        assert_int_equal(
            dcap_verify(quote, &w->collateral, w->now_s, w->trust, &options, &report, &err), good);
        assert_int_equal(err.code, w->err.code);
        if (!good)
            assert_string_equal(err.text, w->err.text);
    }
}

/* The hardware part alone. */
static inline bool world_dcap(struct world *w, enum tcb_matching matching, struct dcap_report *out)
{
    const struct dcap_options options = {.matching = matching};
    struct quote quote;
    bool good;

    w->err = (struct attest_err){.code = ATTEST_OK};
    good = quote_parse(buf_view(&w->quote), &quote, &w->err);
    if (good) {
        good = dcap_verify(&quote, &w->collateral, w->now_s, w->trust, &options, out, &w->err);
        if (!verdicts_on()) /* which asks with a cache, too */
            world_same_with_cache(w, &quote, matching, good);
    }
    world_ask_dcap(w, buf_view(&w->quote), matching);
    return good;
}

/* --- spoiling --- */

static inline void buf_replace(struct buf *b, const char *from, const char *to)
{
    struct view text = buf_view(b);
    const uint8_t *at = memmem(text.at, text.len, from, strlen(from));
    struct buf next;

    if (!at)
        fail_msg("\"%s\" is not there", from);
    buf_init(&next, b->max, b->what);
    assert_true(buf_append(&next, view_first(text, (size_t)(at - text.at)), NULL));
    assert_true(buf_append_str(&next, to, NULL));
    assert_true(buf_append(&next, view_skip(text, (size_t)(at - text.at) + strlen(from)), NULL));
    buf_done(b);
    *b = next;
}

static inline void tcb_replace(struct world *w, const char *from, const char *to)
{
    buf_replace(&w->parts[P_TCB], from, to);
    world_sign(w, P_TCB, w->platform->signer_key);
}

static inline void qe_replace(struct world *w, const char *from, const char *to)
{
    buf_replace(&w->parts[P_QE], from, to);
    world_sign(w, P_QE, w->platform->signer_key);
}

static inline uint8_t *quote_at(struct world *w, size_t offset)
{
    assert_true(offset < buf_len(&w->quote));
    return w->quote.area + w->quote.head + offset;
}

static inline void quote_set(struct world *w, size_t offset, uint8_t value)
{
    *quote_at(w, offset) = value;
}

static inline uint32_t quote_get32(struct world *w, size_t offset)
{
    const uint8_t *at = quote_at(w, offset);

    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void quote_set32(struct world *w, size_t offset, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        quote_set(w, offset + i, (uint8_t)(value >> 8 * i));
}

/* The three signatures made good for what the quote says now. */
static inline void quote_resign(struct world *w)
{
    assert_true(sim_quote_sign(w->platform, quote_at(w, 0), buf_len(&w->quote), NULL));
}

/* The quote's own signature alone. */
static inline void quote_resign_body(struct world *w)
{
    assert_true(p256_sign(w->platform->attestation_key,
                          view_first(buf_view(&w->quote), AT_SIGNATURE - 4),
                          quote_at(w, AT_SIGNATURE)));
}
