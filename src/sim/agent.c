#include "sim/agent.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/version.h"

#include "base/poison.h"

enum {
    TOKENS_MAX = 64,
    PATH_BYTES = 256,
    QUOTE_VERSION = 4,
    PADDING = 70 /* as real quotes have */
};

static void put(struct json_writer *w, const char *key, struct view text)
{
    json_key(w, key);
    json_text(w, text);
}

static void put_hex(struct json_writer *w, const char *key, const void *at, size_t n)
{
    json_key(w, key);
    json_hex(w, view_from(at, n));
}

bool sim_agent_quote(const struct sim_platform *p, const struct sim_guest *g, unsigned version,
                     const uint8_t report_data[static REPORT_DATA_BYTES], struct buf *out,
                     struct err *err)
{
    struct buf quote, log, vm;
    struct json_writer w;
    bool good;

    buf_init(&quote, QUOTE_BYTES_MAX, "quote");
    buf_init(&log, EVENT_LOG_BYTES_MAX, "event log");
    buf_init(&vm, 4096, "VM configuration");
    good = sim_quote(p, &g->td, version, report_data, PADDING, &quote, err) &&
           sim_guest_log(g, false, &log, err) && sim_vm_config(g, &vm, err);
    if (good) {
        json_begin(&w, out);
        json_object(&w);
        put_hex(&w, "quote", quote.area + quote.head, buf_len(&quote));
        put(&w, "event_log", buf_view(&log));
        put_hex(&w, "report_data", report_data, REPORT_DATA_BYTES);
        put(&w, "vm_config", buf_view(&vm));
        put(&w, "attestation", VIEW(""));
        json_object_end(&w);
        good = json_end(&w, err);
    }
    buf_done(&quote);
    buf_done(&log);
    buf_done(&vm);
    return good;
}

static bool get_quote(const struct sim_platform *p, const struct sim_guest *g,
                      const struct json_doc *doc, struct buf *out, struct err *err)
{
    uint32_t token = json_member(doc, 0, "report_data");
    struct view hex = token ? json_span(doc, token) : VIEW("");
    uint8_t data[REPORT_DATA_BYTES] = {0};

    if (!token || doc->tokens[token].kind != JSON_STRING || hex.len % 2 ||
        hex.len > 2 * sizeof data || !hex_decode(hex, data, hex.len / 2))
        return err_set(err, ERR_SYNTAX, "report_data must be at most 64 bytes in hex");
    return sim_agent_quote(p, g, QUOTE_VERSION, data, out, err);
}

static bool emit_event(struct sim_guest *g, const struct json_doc *doc, struct buf *out,
                       struct err *err)
{
    uint32_t token = json_member(doc, 0, "payload");
    struct view hex = token ? json_span(doc, token) : VIEW("");
    uint8_t payload[SIM_PAYLOAD_MAX];
    char name[EVENT_NAME_MAX + 1];

    if (!json_string(doc, json_member(doc, 0, "event"), name, sizeof name) || !*name)
        return err_set(err, ERR_SYNTAX, "event must be a name of 1 to 128 bytes");
    if (!token || doc->tokens[token].kind != JSON_STRING || hex.len % 2 ||
        hex.len > 2 * sizeof payload || !hex_decode(hex, payload, hex.len / 2))
        return err_set(err, ERR_SYNTAX, "payload must be at most 1024 bytes in hex");
    return sim_guest_emit(g, name, view_from(payload, hex.len / 2), err) &&
           buf_append_str(out, "{}", err);
}

/* The text of dstack's TcbInfo. */
static bool tcb_info(const struct sim_guest *g, struct buf *out, struct err *err)
{
    static const char *const rtmr[] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    struct json_writer w;
    struct buf log;
    bool good;

    buf_init(&log, EVENT_LOG_BYTES_MAX, "event log");
    good = sim_guest_log(g, true, &log, err);
    json_begin(&w, out);
    json_object(&w);
    put_hex(&w, "mrtd", g->td.mrtd, MEASUREMENT_BYTES);
    for (size_t i = 0; i < 4; i++)
        put_hex(&w, rtmr[i], g->td.rtmr[i], MEASUREMENT_BYTES);
    put_hex(&w, "os_image_hash", g->os_image_hash, sizeof g->os_image_hash);
    put_hex(&w, "compose_hash", g->compose_hash, sizeof g->compose_hash);
    put(&w, "device_id", VIEW(""));
    put(&w, "app_compose", buf_view(&g->compose));
    json_key(&w, "event_log");
    json_raw(&w, buf_view(&log));
    json_object_end(&w);
    good = good && json_end(&w, err);
    buf_done(&log);
    return good;
}

static bool info(const struct sim_guest *g, struct buf *out, struct err *err)
{
    struct buf tcb, vm;
    struct json_writer w;
    bool good;

    buf_init(&tcb, 2 * (size_t)EVENT_LOG_BYTES_MAX, "tcb_info");
    buf_init(&vm, 4096, "VM configuration");
    good = tcb_info(g, &tcb, err) && sim_vm_config(g, &vm, err);
    if (good) {
        json_begin(&w, out);
        json_object(&w);
        put_hex(&w, "app_id", g->app_id, sizeof g->app_id);
        put_hex(&w, "instance_id", g->instance_id, sizeof g->instance_id);
        put(&w, "app_name", VIEW("simulated"));
        put(&w, "tcb_info", buf_view(&tcb));
        put_hex(&w, "os_image_hash", g->os_image_hash, sizeof g->os_image_hash);
        put_hex(&w, "compose_hash", g->compose_hash, sizeof g->compose_hash);
        put(&w, "key_provider_info", VIEW("{\"name\":\"none\",\"id\":\"simulator\"}"));
        put(&w, "vm_config", buf_view(&vm));
        json_object_end(&w);
        good = json_end(&w, err);
    }
    buf_done(&tcb);
    buf_done(&vm);
    return good;
}

/* 32 bytes that follow from the platform's key and the path. */
static bool get_key(const struct sim_platform *p, const struct json_doc *doc, struct buf *out,
                    struct err *err)
{
    uint8_t secret[32], key[32];
    char path[PATH_BYTES];
    BIGNUM *scalar = NULL;
    struct json_writer w;
    unsigned n = 0;

    if (!json_string(doc, json_member(doc, 0, "path"), path, sizeof path))
        return err_set(err, ERR_SYNTAX, "path must be a text");
    if (EVP_PKEY_get_bn_param(p->root_key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) != 1 ||
        BN_bn2binpad(scalar, secret, sizeof secret) != sizeof secret ||
        !HMAC(EVP_sha256(), secret, sizeof secret, (const uint8_t *)path, strlen(path), key, &n)) {
        BN_clear_free(scalar);
        return err_set(err, ERR_INTERNAL, "deriving a key failed");
    }
    BN_clear_free(scalar);
    json_begin(&w, out);
    json_object(&w);
    put_hex(&w, "key", key, sizeof key);
    json_key(&w, "signature_chain");
    json_array(&w);
    json_array_end(&w);
    json_object_end(&w);
    secret_wipe(secret, sizeof secret);
    secret_wipe(key, sizeof key);
    return json_end(&w, err);
}

static bool call(const struct sim_platform *p, struct sim_guest *g, struct view method,
                 const struct json_doc *doc, struct buf *out, struct err *err)
{
    if (view_eq(method, VIEW("GetQuote")))
        return get_quote(p, g, doc, out, err);
    if (view_eq(method, VIEW("EmitEvent")))
        return emit_event(g, doc, out, err);
    if (view_eq(method, VIEW("Info")))
        return info(g, out, err);
    if (view_eq(method, VIEW("GetKey")))
        return get_key(p, doc, out, err);
    if (view_eq(method, VIEW("Version")))
        return buf_appendf(out, err, "{\"version\":\"%s\",\"rev\":\"simulator\"}", POSTERN_VERSION);
    return err_set(err, ERR_NOT_FOUND, "no such method");
}

bool sim_agent_call(const struct sim_platform *p, struct sim_guest *g, struct view method,
                    struct view body, struct buf *out, struct err *err)
{
    struct json_tree tree;
    struct err why;
    bool good;

    if (!json_load(body.len ? body : VIEW("{}"), TOKENS_MAX, &tree, &why))
        return err_set(err, ERR_SYNTAX, "%s", why.text);
    good = call(p, g, method, &tree.doc, out, err);
    json_unload(&tree);
    return good;
}
