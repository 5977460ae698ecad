#include "attest/receipt.h"

#include <stdio.h>
#include <stdlib.h>

#include "attest/compose.h"
#include "attest/digest.h"
#include "attest/report.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKENS_MAX = 64 * 1024, NAME_ROOM = 64, AREA_SPARE = 16 };

#define COUNT(a) (uint32_t)(sizeof(a) / sizeof *(a))

/* --- writing --- */

static void write_text(struct json_writer *w, const char *key, struct view text)
{
    json_key(w, key);
    json_text(w, text);
}

static void write_number(struct json_writer *w, const char *key, uint64_t n)
{
    json_key(w, key);
    json_u64(w, n);
}

static void write_verdict(struct json_writer *w, const char *key, const struct tcb_verdict *v)
{
    json_key(w, key);
    json_object(w);
    write_text(w, "status", view_str(tcb_status_name(v->status)));
    json_key(w, "advisory_ids");
    report_write_advisories(&v->advisories, w);
    json_object_end(w);
}

static void write_events(struct json_writer *w, const struct event_log *log)
{
    json_key(w, "events");
    json_array(w);
    for (uint32_t i = 0; log && i < log->count; i++) {
        const struct event *e = &log->events[i];

        if (e->type != EVENT_TYPE_RUNTIME)
            continue;
        json_object(w);
        write_text(w, "event", e->name);
        report_write_hex(w, "payload", e->payload);
        json_object_end(w);
    }
    json_array_end(w);
}

/* Part of the format: other members would be another version. */
void receipt_write_summary(const struct attestation *a, struct json_writer *w)
{
    const struct dcap_report *d = &a->dcap;

    json_object(w);
    write_text(w, "tee", view_str(quote_tee_name(d->quote.tee)));
    write_text(w, "status", view_str(tcb_status_name(d->verdict.status)));
    json_key(w, "advisory_ids");
    report_write_advisories(&d->verdict.advisories, w);
    write_verdict(w, "platform_status", &d->platform);
    write_verdict(w, "qe_status", &d->qe);
    if (d->has_module)
        write_text(w, "module_status", view_str(tcb_status_name(d->module)));
    report_write_time(w, "tcb_date", d->tcb_date_s);
    write_number(w, "tcb_evaluation_data_number", d->tcb_evaluation);
    write_number(w, "qe_evaluation_data_number", d->qe_evaluation);
    report_write_hex(w, "fmspc", view_from(d->pck.fmspc, sizeof d->pck.fmspc));
    report_write_time(w, "collateral_expires", d->valid_until_s);
    write_text(w, "trust_root", view_str(d->intel ? "intel" : "custom"));
    report_write_hex(w, "trust_root_sha256", view_from(a->edition.root_sha256, HASH_BYTES));
    json_key(w, "simulated");
    json_bool(w, a->simulated);
    json_key(w, "runtime_verified");
    json_bool(w, a->runtime_verified);
    if (a->has_compose)
        report_write_hex(w, "compose_hash", view_from(a->compose_hash, HASH_BYTES));
    if (a->has_os_image)
        report_write_hex(w, "os_image_hash", view_from(a->os_image_hash, HASH_BYTES));
    write_events(w, a->log);
    json_object_end(w);
}

static void write_session(const struct receipt *r, struct json_writer *w)
{
    json_key(w, "session");
    json_object(w);
    report_write_time(w, "verified_at", r->verified_at_s);
    write_text(w, "server_name", r->server_name);
    report_write_hex(w, "certificate", r->certificate);
    report_write_hex(w, "certificate_sha256", view_from(r->certificate_sha256, HASH_BYTES));
    write_text(w, "binder", VIEW("tls-exporter"));
    report_write_hex(w, "nonce", view_from(r->nonce, sizeof r->nonce));
    report_write_hex(w, "exporter_sha256", view_from(r->exporter_sha256, HASH_BYTES));
    report_write_hex(w, "report_data", view_from(r->report_data, REPORT_DATA_BYTES));
    write_number(w, "quote_age", r->quote_age_s);
    json_object_end(w);
}

static void write_evidence(const struct receipt *r, struct json_writer *w)
{
    json_key(w, "evidence");
    json_object(w);
    write_text(w, "type", VIEW("tdx"));
    report_write_hex(w, "quote", r->quote);
    write_text(w, "event_log", r->event_log);
    json_key(w, "collateral");
    collateral_write(r->collateral, w);
    json_object_end(w);
}

static bool write_all(const struct receipt *r, const struct attestation *a, struct json_writer *w)
{
    uint8_t hash[HASH_BYTES];

    if (!digest_sha256(&r->policy, 1, hash))
        return false;
    json_object(w);
    write_text(w, "receipt", VIEW(RECEIPT_VERSION));
    write_session(r, w);
    write_evidence(r, w);
    json_key(w, "policy");
    json_object(w);
    report_write_hex(w, "sha256", view_from(hash, sizeof hash));
    write_text(w, "text", r->policy);
    json_object_end(w);
    json_key(w, "summary");
    receipt_write_summary(a, w);
    json_object_end(w);
    return true;
}

bool receipt_digest(const struct json_doc *doc, uint8_t out[static HASH_BYTES])
{
    uint32_t key = json_first(0);
    struct view text;
    struct buf all;
    bool good = true, first = true;

    buf_init(&all, 2 * (size_t)RECEIPT_BYTES_MAX, "receipt");
    for (uint32_t i = 0; good && i < doc->tokens[0].count; i++) {
        uint32_t value = doc->tokens[key].next;

        if (!view_eq(json_span(doc, key), VIEW("sha256"))) {
            good = buf_append_byte(&all, first ? '{' : ',', NULL) &&
                   compose_canonical(doc, key, &all, NULL) && buf_append_byte(&all, ':', NULL) &&
                   compose_canonical(doc, value, &all, NULL);
            first = false;
        }
        key = doc->tokens[value].next;
    }
    good = good && buf_append_byte(&all, '}', NULL);
    text = buf_view(&all);
    good = good && digest_sha256(&text, 1, out);
    buf_done(&all);
    return good;
}

/* The document with its digest; what cannot be read back is not given out. */
static bool seal(struct view body, struct buf *out, struct attest_err *err)
{
    CLEANUP(receipt_free_cleanup) struct receipt *again = NULL;
    uint8_t hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    struct json_tree tree;
    struct err why;
    size_t before = buf_len(out);
    bool good;

    if (!json_load(body, TOKENS_MAX, &tree, &why))
        return attest_fail(err, ATTEST_RECEIPT_SYNTAX, "it cannot be written: %s", why.text);
    good = receipt_digest(&tree.doc, hash);
    json_unload(&tree);
    hex_encode(view_from(hash, sizeof hash), hex);
    if (!good || !buf_append(out, view_first(body, body.len - 1), &why) ||
        !buf_appendf(out, &why, ",\"sha256\":\"%s\"}", hex))
        return attest_fail(err, ATTEST_RECEIPT_SYNTAX, "it cannot be written: no memory");
    return receipt_parse(view_skip(buf_view(out), before), &again, err);
}

bool receipt_write(const struct receipt *r, const struct attestation *a, struct buf *out,
                   struct attest_err *err)
{
    struct json_writer w;
    struct buf body;
    struct err why = {.code = ERR_NONE};
    bool good;

    buf_init(&body, RECEIPT_BYTES_MAX, "receipt");
    json_begin(&w, &body);
    good = (write_all(r, a, &w) && json_end(&w, &why)) ||
           attest_fail(err, ATTEST_RECEIPT_SYNTAX, "it cannot be written: %s", why.text);
    good = good && seal(buf_view(&body), out, err);
    buf_done(&body);
    return good;
}

/* --- reading --- */

struct reader {
    struct receipt *r;
    const struct json_doc *doc;
    size_t used; /* of the area */
    struct attest_err *err;
};

/* One object's place: its token and what stands before its members' names in errors. */
struct place {
    uint32_t object;
    const char *where; /* "session." */
};

static bool refuse(struct reader *in, struct place p, const char *key, const char *want)
{
    return attest_fail(in->err, ATTEST_RECEIPT_SYNTAX, "\"%s%s\" must be %s", p.where, key, want);
}

/* The members of an object are these and no other; the first of them must be there. */
static bool members(struct reader *in, struct place p, const char *const *names, uint32_t count,
                    uint32_t needed)
{
    uint32_t key = json_first(p.object);
    char shown[NAME_ROOM * 4 + 8];

    for (uint32_t i = 0; i < in->doc->tokens[p.object].count; i++) {
        struct view name = json_span(in->doc, key);
        uint32_t k = 0;

        while (k < count && !view_eq(name, view_str(names[k])))
            k++;
        if (k == count) {
            (void)text_escape(name, NAME_ROOM, shown, sizeof shown);
            return attest_fail(in->err, ATTEST_RECEIPT_SYNTAX, "\"%s%s\" is no member of it",
                               p.where, shown);
        }
        key = in->doc->tokens[in->doc->tokens[key].next].next;
    }
    for (uint32_t k = 0; k < needed; k++)
        if (!json_member(in->doc, p.object, names[k]))
            return refuse(in, p, names[k], "there");
    return true;
}

static bool object(struct reader *in, struct place p, const char *key, uint32_t *out)
{
    *out = json_member(in->doc, p.object, key);
    return (*out && in->doc->tokens[*out].kind == JSON_OBJECT) || refuse(in, p, key, "an object");
}

/* A string, decoded into the area, which is as large as the document. */
static bool text(struct reader *in, struct place p, const char *key, size_t max, struct view *out)
{
    uint32_t token = json_member(in->doc, p.object, key);
    char *at = (char *)in->r->area + in->used, want[64];

    if (!token || !json_string(in->doc, token, at, in->doc->text.len + AREA_SPARE - in->used) ||
        strlen(at) > max) {
        (void)snprintf(want, sizeof want, "a text of at most %zu bytes", max);
        return refuse(in, p, key, want);
    }
    *out = view_str(at);
    in->used += out->len + 1;
    return true;
}

static bool lowercase_hex(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!((v.at[i] >= '0' && v.at[i] <= '9') || (v.at[i] >= 'a' && v.at[i] <= 'f')))
            return false;
    return v.len % 2 == 0;
}

static bool hash(struct reader *in, struct place p, const char *key, uint8_t *out, size_t size)
{
    uint32_t token = json_member(in->doc, p.object, key);
    char want[48];

    if (token && in->doc->tokens[token].kind == JSON_STRING &&
        lowercase_hex(json_span(in->doc, token)) &&
        hex_decode(json_span(in->doc, token), out, size))
        return true;
    (void)snprintf(want, sizeof want, "%zu digits of lowercase hex", 2 * size);
    return refuse(in, p, key, want);
}

static bool bytes(struct reader *in, struct place p, const char *key, size_t max, struct view *out)
{
    uint8_t *at = in->r->area + in->used;
    struct view digits = VIEW("");

    if (!text(in, p, key, 2 * max, &digits))
        return false;
    /* In place: two digits are read before their byte is written. */
    if (!digits.len || !lowercase_hex(digits) || !hex_decode(digits, at, digits.len / 2))
        return refuse(in, p, key, "bytes in lowercase hex");
    *out = view_from(at, digits.len / 2);
    return true;
}

/* As it is written, and in no other form. */
static bool moment(struct reader *in, struct place p, const char *key, int64_t *out)
{
    struct view given = VIEW("");
    char again[CLOCK_RFC3339_BYTES];

    if (!text(in, p, key, CLOCK_RFC3339_BYTES, &given))
        return false;
    if (!clock_rfc3339_parse(given, out))
        return refuse(in, p, key, "a time like 2026-11-21T10:00:00Z");
    (void)clock_rfc3339(*out * 1000, again);
    memcpy(again + sizeof "2026-11-21T10:00:00" - 1, "Z", 2);
    return view_eq(given, view_str(again)) ||
           refuse(in, p, key, "a time like 2026-11-21T10:00:00Z");
}

/* A word that says what kind of thing follows. */
static bool kind(struct reader *in, struct place p, const char *key, const char *only)
{
    uint32_t token = json_member(in->doc, p.object, key);
    struct view given = token ? json_span(in->doc, token) : VIEW("");
    char shown[NAME_ROOM * 4 + 8];

    if (token && in->doc->tokens[token].kind == JSON_STRING && view_eq(given, view_str(only)))
        return true;
    (void)text_escape(given, NAME_ROOM, shown, sizeof shown);
    return attest_fail(in->err, ATTEST_RECEIPT_SYNTAX,
                       "\"%s%s\" is \"%s\"; this program knows \"%s\" alone", p.where, key, shown,
                       only);
}

static bool read_session(struct reader *in)
{
    static const char *const names[] = {
        "verified_at", "server_name", "certificate",     "certificate_sha256", "binder",
        "nonce",       "quote_age",   "exporter_sha256", "report_data",
    };
    struct place p = {.where = "session."};
    struct receipt *r = in->r;
    uint32_t age;

    if (!object(in, (struct place){0, ""}, "session", &p.object) ||
        !kind(in, p, "binder", "tls-exporter") ||
        !members(in, p, names, COUNT(names), COUNT(names)))
        return false;
    age = json_member(in->doc, p.object, "quote_age");
    if (in->doc->tokens[age].kind != JSON_NUMBER ||
        !text_u64(json_span(in->doc, age), INT32_MAX, false, &r->quote_age_s))
        return refuse(in, p, "quote_age", "a number of seconds");
    return moment(in, p, "verified_at", &r->verified_at_s) &&
           text(in, p, "server_name", RECEIPT_NAME_MAX, &r->server_name) &&
           bytes(in, p, "certificate", RECEIPT_CERTIFICATE_MAX, &r->certificate) &&
           hash(in, p, "certificate_sha256", r->certificate_sha256, HASH_BYTES) &&
           hash(in, p, "nonce", r->nonce, sizeof r->nonce) &&
           hash(in, p, "exporter_sha256", r->exporter_sha256, HASH_BYTES) &&
           hash(in, p, "report_data", r->report_data, REPORT_DATA_BYTES);
}

static bool read_evidence(struct reader *in)
{
    static const char *const names[] = {"type", "quote", "event_log", "collateral"};
    static const char *const parts[] = {
        "pck_crl_issuer_chain",     "root_ca_crl", "pck_crl",
        "tcb_info_issuer_chain",    "tcb_info",    "tcb_info_signature",
        "qe_identity_issuer_chain", "qe_identity", "qe_identity_signature",
        "pck_certificate_chain", /* where a quote has none */
    };
    struct place p = {.where = "evidence."}, c = {.where = "evidence.collateral."};
    struct receipt *r = in->r;

    if (!object(in, (struct place){0, ""}, "evidence", &p.object) || !kind(in, p, "type", "tdx") ||
        !members(in, p, names, COUNT(names), COUNT(names)) ||
        !object(in, p, "collateral", &c.object) ||
        !members(in, c, parts, COUNT(parts), COUNT(parts) - 1))
        return false;
    if (!bytes(in, p, "quote", QUOTE_BYTES_MAX, &r->quote) ||
        !text(in, p, "event_log", EVENT_LOG_BYTES_MAX, &r->event_log) ||
        !collateral_read(in->doc, c.object, &r->owned, in->err))
        return false;
    r->collateral = r->owned;
    return true;
}

static bool read_policy(struct reader *in)
{
    static const char *const names[] = {"sha256", "text"};
    struct place p = {.where = "policy."};

    return object(in, (struct place){0, ""}, "policy", &p.object) &&
           members(in, p, names, COUNT(names), COUNT(names)) &&
           hash(in, p, "sha256", in->r->policy_sha256, HASH_BYTES) &&
           text(in, p, "text", POLICY_BYTES_MAX, &in->r->policy);
}

static bool read_all(struct reader *in)
{
    static const char *const names[] = {"receipt", "session", "evidence",
                                        "policy",  "summary", "sha256"};
    const struct place p = {0, ""};

    if (in->doc->tokens[0].kind != JSON_OBJECT)
        return attest_fail(in->err, ATTEST_RECEIPT_SYNTAX, "it is not a JSON object");
    return kind(in, p, "receipt", RECEIPT_VERSION) &&
           members(in, p, names, COUNT(names), COUNT(names)) && read_session(in) &&
           read_evidence(in) && read_policy(in) && object(in, p, "summary", &in->r->summary) &&
           hash(in, p, "sha256", in->r->sha256, HASH_BYTES);
}

bool receipt_parse(struct view json, struct receipt **out, struct attest_err *err)
{
    CLEANUP(receipt_free_cleanup) struct receipt *r = calloc(1, sizeof *r);
    struct err why;

    if (json.len > RECEIPT_BYTES_MAX)
        return attest_fail(err, ATTEST_RECEIPT_SYNTAX, "%zu bytes, at most %d", json.len,
                           RECEIPT_BYTES_MAX);
    if (!r || !(r->text = malloc(json.len + 1)) || !(r->area = malloc(json.len + AREA_SPARE)))
        return attest_fail(err, ATTEST_MEMORY, "no memory for a receipt");
    if (json.at)
        memcpy(r->text, json.at, json.len);
    if (!json_load(view_from(r->text, json.len), TOKENS_MAX, &r->tree, &why))
        return attest_fail(err, ATTEST_RECEIPT_SYNTAX, "%s", why.text);
    if (!read_all(&(struct reader){.r = r, .doc = &r->tree.doc, .err = err}))
        return false;
    *out = take(r);
    return true;
}

void receipt_free(struct receipt *r)
{
    if (!r)
        return;
    collateral_free(r->owned);
    json_unload(&r->tree);
    free(r->text);
    free(r->area);
    free(r);
}
