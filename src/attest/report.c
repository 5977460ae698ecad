#include "attest/report.h"

#include "base/clock.h"

#include "base/poison.h"

void report_write_hex(struct json_writer *w, const char *key, struct view bytes)
{
    json_key(w, key);
    json_hex(w, bytes);
}

void report_write_time(struct json_writer *w, const char *key, int64_t seconds)
{
    char text[CLOCK_RFC3339_BYTES];

    (void)clock_rfc3339(seconds * 1000, text);
    memcpy(text + 19, "Z", 2); /* without milliseconds */
    json_key(w, key);
    json_text(w, view_str(text));
}

static void write_str(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    json_text(w, view_str(text));
}

static void write_number(struct json_writer *w, const char *key, uint64_t n)
{
    json_key(w, key);
    json_u64(w, n);
}

void report_write_advisories(const struct advisories *a, struct json_writer *w)
{
    json_array(w);
    for (unsigned i = 0; i < a->count; i++)
        json_text(w, view_str(a->ids[i]));
    json_array_end(w);
}

static void write_verdict(struct json_writer *w, const char *key, const struct tcb_verdict *v)
{
    json_key(w, key);
    json_object(w);
    write_str(w, "status", tcb_status_name(v->status));
    json_key(w, "advisory_ids");
    report_write_advisories(&v->advisories, w);
    json_object_end(w);
}

static void write_enclave(struct json_writer *w, const struct enclave_report *r)
{
    report_write_hex(w, "cpu_svn", r->cpusvn);
    report_write_hex(w, "misc_select", r->miscselect);
    report_write_hex(w, "attributes", r->attributes);
    report_write_hex(w, "mr_enclave", r->mrenclave);
    report_write_hex(w, "mr_signer", r->mrsigner);
    write_number(w, "isv_prod_id", r->isvprodid);
    write_number(w, "isv_svn", r->isvsvn);
    report_write_hex(w, "report_data", r->report_data);
}

static void write_td(struct json_writer *w, const struct td_report *r)
{
    static const char *const rtmr[] = {"rt_mr0", "rt_mr1", "rt_mr2", "rt_mr3"};

    report_write_hex(w, "tee_tcb_svn", r->tee_tcb_svn);
    report_write_hex(w, "mr_seam", r->mrseam);
    report_write_hex(w, "mr_signer_seam", r->mrsignerseam);
    report_write_hex(w, "seam_attributes", r->seamattributes);
    report_write_hex(w, "td_attributes", r->tdattributes);
    report_write_hex(w, "xfam", r->xfam);
    report_write_hex(w, "mr_td", r->mrtd);
    report_write_hex(w, "mr_config_id", r->mrconfigid);
    report_write_hex(w, "mr_owner", r->mrowner);
    report_write_hex(w, "mr_owner_config", r->mrownerconfig);
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        report_write_hex(w, rtmr[i], r->rtmr[i]);
    report_write_hex(w, "report_data", r->report_data);
}

/* { "TD10": { … } }; a TD report 1.5 holds one of 1.0 as its base. */
static void write_body(struct json_writer *w, const struct quote *q)
{
    json_key(w, "report");
    json_object(w);
    json_key(w, quote_body_name(q->body));
    json_object(w);
    switch (q->body) {
    case BODY_SGX:
        write_enclave(w, &q->sgx);
        break;
    case BODY_TD_10:
        write_td(w, &q->td);
        break;
    case BODY_TD_15:
        json_key(w, "base");
        json_object(w);
        write_td(w, &q->td);
        json_object_end(w);
        report_write_hex(w, "tee_tcb_svn2", q->td.tee_tcb_svn2);
        report_write_hex(w, "mr_service_td", q->td.mrservicetd);
        break;
    }
    json_object_end(w);
    json_object_end(w);
}

static void write_event(struct json_writer *w, const struct event *e)
{
    json_object(w);
    json_key(w, "event");
    json_text(w, e->name);
    report_write_hex(w, "payload", e->payload);
    report_write_hex(w, "digest", view_from(e->digest, sizeof e->digest));
    json_object_end(w);
}

static void write_software(const struct attestation *a, struct json_writer *w)
{
    json_key(w, "runtime_verified");
    json_bool(w, a->runtime_verified);
    if (a->has_compose)
        report_write_hex(w, "compose_hash", view_from(a->compose_hash, HASH_BYTES));
    if (a->has_os_image)
        report_write_hex(w, "os_image_hash", view_from(a->os_image_hash, HASH_BYTES));
    if (!a->log)
        return;
    json_key(w, "events");
    json_array(w);
    for (uint32_t i = 0; i < a->log->count; i++)
        if (a->log->events[i].type == EVENT_TYPE_RUNTIME)
            write_event(w, &a->log->events[i]);
    json_array_end(w);
}

void report_write(const struct attestation *a, struct json_writer *w)
{
    const struct dcap_report *d;

    if (!a) {
        json_null(w);
        return;
    }
    d = &a->dcap;
    json_object(w);
    write_str(w, "tee", quote_tee_name(d->quote.tee));
    write_str(w, "status", tcb_status_name(d->verdict.status));
    json_key(w, "advisory_ids");
    report_write_advisories(&d->verdict.advisories, w);
    write_body(w, &d->quote);
    write_verdict(w, "platform_status", &d->platform);
    write_verdict(w, "qe_status", &d->qe);
    if (d->has_module)
        write_str(w, "module_status", tcb_status_name(d->module));
    report_write_time(w, "tcb_date", d->tcb_date_s);
    write_number(w, "tcb_evaluation_data_number", d->tcb_evaluation);
    write_number(w, "qe_evaluation_data_number", d->qe_evaluation);
    report_write_hex(w, "fmspc", view_from(d->pck.fmspc, sizeof d->pck.fmspc));
    report_write_time(w, "collateral_expires", d->valid_until_s);
    write_str(w, "trust_root", d->intel ? "intel" : "custom");
    json_key(w, "simulated");
    json_bool(w, a->simulated);
    report_write_time(w, "verified_at", a->verified_at_s);
    write_software(a, w);
    json_object_end(w);
}

void report_write_quote(const struct quote *q, struct json_writer *w)
{
    json_object(w);
    write_number(w, "version", q->version);
    write_str(w, "tee", quote_tee_name(q->tee));
    report_write_hex(w, "qe_vendor_id", q->qe_vendor);
    report_write_hex(w, "user_data", q->user_data);
    write_body(w, q);
    report_write_hex(w, "signature", q->signature);
    report_write_hex(w, "attestation_key", q->attestation_key);
    json_key(w, "qe_report");
    json_object(w);
    write_enclave(w, &q->qe);
    json_object_end(w);
    report_write_hex(w, "qe_report_signature", q->qe_signature);
    report_write_hex(w, "qe_authentication_data", q->qe_auth);
    write_number(w, "certification_type", q->certification_type);
    json_key(w, "certification_data");
    if (q->certification_type == CERTIFICATION_PCK_CHAIN) {
        struct view pem = q->certification;

        while (pem.len && !pem.at[pem.len - 1])
            pem.len--;
        json_text(w, pem);
    } else {
        json_u64(w, q->certification.len);
    }
    json_object_end(w);
}

void report_write_error(const struct attest_err *err, struct json_writer *w)
{
    if (!err) {
        json_null(w);
        return;
    }
    json_object(w);
    write_str(w, "class", attest_class_name(attest_class_of(err->code)));
    write_str(w, "code", attest_code_name(err->code));
    write_number(w, "number", (uint64_t)err->code);
    write_str(w, "message", err->text);
    json_key(w, "retryable");
    json_bool(w, attest_retryable(err->code));
    json_object_end(w);
}
