#include "wasm/connection.h"

#include <math.h>
#include <stdlib.h>

#include "attest/pcs.h"
#include "attest/report.h"

#include "base/poison.h"

enum { REPORT_MAX = 32 * 1024 * 1024, NEED_MAX = 8 * 1024, NAME_ROOM = 512 };

/* Where AES has no instruction it is slow, and fast only by tables that others can watch. */
static const char suites[] =
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

struct wasm_context {
    struct session_context *tls;
    const struct policy *policy;
};

/* --- what connections share --- */

struct dcap_cache *WASM_EXPORT(verifier_new)(void)
{
    struct dcap_cache *v = NULL;
    struct attest_err err;

    if (dcap_cache_new(&v, &err))
        return v;
    (void)wasm_fail(&err);
    return NULL;
}

struct wasm_context *WASM_EXPORT(context_new)(const struct policy *policy, const char *roots,
                                              uint32_t len, uint32_t extra)
{
    const struct session_client_options options = {
        .roots = view_from(roots, len),
        .built_in_too = extra != 0,
        .any_certificate = policy->tls == POLICY_TLS_ATTESTATION,
        .suites = suites,
    };
    struct wasm_context *c = malloc(sizeof *c);
    struct err why;

    if (!c) {
        (void)wasm_fail_text(ATTEST_MEMORY, "no memory");
        return NULL;
    }
    c->policy = policy;
    if (session_client_context(&options, &c->tls, &why))
        return c;
    free(c);
    (void)wasm_fail_text(ATTEST_POLICY, why.text);
    return NULL;
}

void WASM_EXPORT(context_delete)(struct wasm_context *c)
{
    if (!c)
        return;
    session_context_unref(c->tls);
    free(c);
}

/* --- one connection --- */

static bool text(const char *at, uint32_t len, char out[static NAME_ROOM])
{
    if (len >= NAME_ROOM || memchr(at, '\0', len))
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

struct wasm_connection *WASM_EXPORT(connection_new)(struct wasm_context *context,
                                                    struct dcap_cache *verifier, const char *name,
                                                    uint32_t name_len, const char *host,
                                                    uint32_t host_len)
{
    char server_name[NAME_ROOM], quote_host[NAME_ROOM];
    const struct atls_client_options options = {
        .context = context->tls,
        .policy = context->policy,
        .cache = verifier,
        .server_name = server_name,
        .host = quote_host,
    };
    struct wasm_connection *c;
    struct attest_err err;

    if (!text(name, name_len, server_name) || !text(host, host_len, quote_host)) {
        (void)wasm_fail_text(ATTEST_SERVER_NAME, "invalid server name: it is too long");
        return NULL;
    }
    c = calloc(1, sizeof *c);
    if (!c) {
        (void)wasm_fail_text(ATTEST_MEMORY, "no memory");
        return NULL;
    }
    buf_init(&c->in, WASM_RECEIVED_MAX, "answer");
    buf_init(&c->out, WASM_SENT_MAX, "request");
    buf_init(&c->fault, WASM_SENT_MAX, "error");
    if (atls_client_new(&options, &c->is, &err))
        return c;
    free(c);
    (void)wasm_fail(&err);
    return NULL;
}

void WASM_EXPORT(connection_delete)(struct wasm_connection *c)
{
    if (!c)
        return;
    atls_client_free(c->is);
    buf_done(&c->in);
    buf_done(&c->out);
    buf_done(&c->fault);
    free(c);
}

void WASM_EXPORT(connection_feed)(struct wasm_connection *c, const uint8_t *at, uint32_t len)
{
    (void)!atls_client_feed(c->is, view_from(at, len)); /* the client keeps the error */
}

void WASM_EXPORT(connection_feed_end)(struct wasm_connection *c)
{
    atls_client_feed_end(c->is);
}

uint32_t WASM_EXPORT(connection_output)(struct wasm_connection *c)
{
    struct view out = atls_client_output(c->is);

    wasm_answer_bytes(out);
    return (uint32_t)out.len;
}

void WASM_EXPORT(connection_sent)(struct wasm_connection *c, uint32_t n)
{
    atls_client_sent(c->is, n);
}

int32_t WASM_EXPORT(connection_step)(struct wasm_connection *c, double now_s, double now_ms)
{
    enum atls_step step = atls_client_step(c->is, (int64_t)now_s, (uint64_t)now_ms);

    if (step == ATLS_FAILED)
        (void)wasm_fail(atls_client_error(c->is));
    return (int32_t)step;
}

int32_t WASM_EXPORT(connection_phase)(const struct wasm_connection *c)
{
    return (int32_t)atls_client_phase(c->is);
}

/* --- collateral --- */

static void put(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_text(w, view_str(value));
}

int32_t WASM_EXPORT(connection_need)(struct wasm_connection *c)
{
    const struct collateral_need *need = atls_client_need(c->is);
    char path[PCS_PATH_BYTES];
    struct json_writer w;
    struct buf json;

    if (need->has_request)
        return wasm_fail_text(
            ATTEST_COLLATERAL_FETCH,
            "quote verification failed: Failed to get collateral: the quote has no certificate of "
            "its platform; the endpoint must staple the collateral");
    buf_init(&json, NEED_MAX, "need");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "fmspc");
    json_hex(&w, view_from(need->fmspc, sizeof need->fmspc));
    put(&w, "ca", need->processor_ca ? "processor" : "platform");
    put(&w, "tee", need->tdx ? "tdx" : "sgx");
    json_key(&w, "anew");
    json_bool(&w, atls_client_anew(c->is));
    json_key(&w, "requests");
    json_object(&w);
    for (enum pcs_part part = 0; part < PCS_PARTS; part++) {
        pcs_path(need, part, path);
        put(&w, pcs_part_name(part), path);
    }
    json_object_end(&w);
    json_object_end(&w);
    return wasm_answer(&w, &json);
}

int32_t WASM_EXPORT(connection_give_collateral)(struct wasm_connection *c, const char *json,
                                                uint32_t len)
{
    struct collateral *collateral;
    struct attest_err err;

    if (!collateral_parse(view_from(json, len), &collateral, &err))
        return wasm_fail(&err);
    atls_client_give_collateral(c->is, collateral);
    return WASM_DONE;
}

/* --- what was found --- */

static int32_t not_attested(void)
{
    return wasm_fail_text(ATTEST_CLOSED, "the connection is not attested");
}

int32_t WASM_EXPORT(connection_summary)(struct wasm_connection *c)
{
    const struct attestation *a = atls_client_attestation(c->is);
    struct json_writer w;
    struct buf json;

    if (!a)
        return not_attested();
    buf_init(&json, REPORT_MAX, "summary");
    json_begin(&w, &json);
    json_object(&w);
    put(&w, "tee", quote_tee_name(a->dcap.quote.tee));
    put(&w, "status", tcb_status_name(a->dcap.verdict.status));
    json_key(&w, "advisory_ids");
    report_write_advisories(&a->dcap.verdict.advisories, &w);
    report_write_hex(&w, "measurement",
                     a->dcap.quote.tee == TEE_TDX ? a->dcap.quote.td.mrtd
                                                  : a->dcap.quote.sgx.mrenclave);
    json_key(&w, "simulated");
    json_bool(&w, a->simulated);
    json_key(&w, "stapled");
    json_bool(&w, atls_client_stapled(c->is));
    put(&w, "cipher", atls_client_cipher(c->is));
    put(&w, "group", atls_client_group(c->is));
    report_write_hex(&w, "certificate", view_from(atls_client_leaf(c->is), SESSION_HASH_BYTES));
    report_write_time(&w, "verified_at", a->verified_at_s);
    json_object_end(&w);
    return wasm_answer(&w, &json);
}

int32_t WASM_EXPORT(connection_report)(struct wasm_connection *c)
{
    const struct attestation *a = atls_client_attestation(c->is);
    struct json_writer w;
    struct buf json;

    if (!a)
        return not_attested();
    buf_init(&json, REPORT_MAX, "report");
    json_begin(&w, &json);
    report_write(a, &w);
    return wasm_answer(&w, &json);
}

int32_t WASM_EXPORT(connection_receipt)(struct wasm_connection *c)
{
    const struct attestation *a = atls_client_attestation(c->is);
    struct receipt receipt;
    struct attest_err err;
    struct buf out;

    if (!a)
        return not_attested();
    atls_client_receipt(c->is, &receipt);
    buf_init(&out, RECEIPT_BYTES_MAX, "receipt");
    if (receipt_write(&receipt, a, &out, &err))
        return wasm_answer_buf(&out);
    buf_done(&out);
    return wasm_fail(&err);
}

double WASM_EXPORT(connection_due_ms)(struct wasm_connection *c)
{
    uint64_t due_ms = atls_client_due_ms(c->is);

    return due_ms == UINT64_MAX ? (double)INFINITY : (double)due_ms;
}

int32_t WASM_EXPORT(connection_reattest)(struct wasm_connection *c)
{
    return atls_client_reattest(c->is) ? WASM_DONE : not_attested();
}

/* --- the application's bytes --- */

int32_t wasm_receive(struct wasm_connection *c, uint8_t *at, size_t room, size_t *n)
{
    struct err why;

    *n = room;
    switch (atls_client_read(c->is, at, n, &why)) {
    case TLS_OK:
        return WASM_DONE;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return WASM_WAIT;
    case TLS_EOF:
        c->end = true;
        return WASM_END;
    case TLS_FAILED:
        break;
    }
    c->end = true;
    (void)wasm_fail_text(ATTEST_CLOSED, why.text);
    return WASM_BROKEN;
}

int32_t wasm_send(struct wasm_connection *c, struct view bytes)
{
    struct err why;

    if (atls_client_write(c->is, bytes, &why))
        return WASM_DONE;
    return wasm_fail_text(ATTEST_IO, why.text);
}

int32_t WASM_EXPORT(connection_read)(struct wasm_connection *c, uint8_t *at, uint32_t room)
{
    size_t got = 0, n;

    while (got < room) {
        int32_t result = wasm_receive(c, at + got, room - got, &n);

        if (result != WASM_DONE)
            return got ? (int32_t)got : result;
        got += n;
    }
    return (int32_t)got;
}

int32_t WASM_EXPORT(connection_write)(struct wasm_connection *c, const uint8_t *at, uint32_t len)
{
    return wasm_send(c, view_from(at, len));
}

void WASM_EXPORT(connection_close)(struct wasm_connection *c)
{
    atls_client_close(c->is);
}

uint32_t WASM_EXPORT(connection_quiet)(struct wasm_connection *c)
{
    uint8_t byte;
    size_t n;

    return !buf_len(&c->in) && !c->end && wasm_receive(c, &byte, 1, &n) == WASM_WAIT;
}
