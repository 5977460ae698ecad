#include "atls_cli/endpoint.h"

#include <stdio.h>

#include "atls_cli/input.h"
#include "attest/report.h"
#include "base/file.h"
#include "fetch/fetch.h"
#include "http/http.h"

#include "base/poison.h"

enum { REPORT_MAX = 16 * 1024 * 1024, HTTPS_PORT = 443 };

bool endpoint_parse(const char *text, bool url, struct endpoint *out, struct err *err)
{
    struct view v = view_str(text), host;
    uint16_t port = url ? HTTPS_PORT : 0;
    size_t end;

    out->path = "/";
    if (url) {
        if (!view_starts(v, VIEW("https://")))
            return err_set(err, ERR_USAGE, "\"%s\" is no https:// URL", text);
        v = view_skip(v, sizeof "https://" - 1);
        end = view_find(v, '/') < view_find(v, '?') ? view_find(v, '/') : view_find(v, '?');
        if (end < v.len)
            out->path = (const char *)v.at + end;
        v = view_first(v, end);
        for (const char *c = out->path; *c; c++)
            if (*c <= ' ' || *c > '~' || *c == '#')
                return err_set(err, ERR_USAGE,
                               "the URL's path holds a blank, a '#' or a byte that must be "
                               "percent-encoded");
    }
    if (!http_authority_split(v, &host, &port) || host.len >= sizeof out->host || !port)
        return err_set(err, ERR_USAGE, "\"%s\": expected %s", text,
                       url ? "https://host[:port]/path" : "host:port");
    memcpy(out->host, host.at, host.len);
    out->host[host.len] = '\0';
    out->port = port;
    return true;
}

static void print_json(void (*write)(const void *what, struct json_writer *w), const void *what)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, REPORT_MAX, "report");
    json_begin(&w, &out);
    write(what, &w);
    if (json_end(&w, NULL))
        (void)fprintf(stderr, "%.*s\n", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
}

static void write_error(const void *what, struct json_writer *w)
{
    json_object(w);
    json_key(w, "verified");
    json_bool(w, false);
    json_key(w, "error");
    report_write_error(what, w);
    json_object_end(w);
}

static void write_report(const void *what, struct json_writer *w)
{
    const struct attested *a = what;
    const struct atls_client *c = attested_client(a);

    json_object(w);
    json_key(w, "verified");
    json_bool(w, true);
    if (attested_warning(a)->code != ATTEST_OK) {
        json_key(w, "warning");
        report_write_error(attested_warning(a), w);
    }
    report_write_hex(w, "certificate_sha256", view_from(atls_client_leaf(c), SESSION_HASH_BYTES));
    report_write_hex(w, "nonce", view_from(atls_client_nonce(c), EXCHANGE_NONCE_BYTES));
    json_key(w, "collateral_stapled");
    json_bool(w, atls_client_stapled(c));
    json_key(w, "report");
    report_write(atls_client_attestation(c), w);
    json_object_end(w);
}

int endpoint_failed(const char *command, bool json, const struct attest_err *err)
{
    if (json)
        print_json(write_error, err);
    else
        (void)fprintf(stderr, "%s: %s [%s]\n", command, err->text, attest_code_name(err->code));
    return attest_exit_status(err->code);
}

bool endpoint_policy(const char *command, const struct endpoint_config *c, struct policy **out,
                     int *status)
{
    struct err err;

    *status = 2;
    if (!c->policy) {
        (void)fprintf(stderr,
                      "%s: --policy is missing: without one nobody knows whom to trust; \"atls "
                      "policy\" helps to make one\n",
                      command);
        return false;
    }
    if (input_policy(c->policy, out, &err))
        return true;
    (void)fprintf(stderr, "%s: %s\n", command, err.text);
    return false;
}

static void say(const char *command, const struct endpoint *e, const struct atls_client *c)
{
    const struct attestation *a = atls_client_attestation(c);

    (void)fprintf(stderr, "%s: attested %s:%u: %s, TCB %s%s%s%s\n", command, e->host, e->port,
                  quote_tee_name(a->dcap.quote.tee), tcb_status_name(a->dcap.verdict.status),
                  a->runtime_verified ? ", boot chain, application and image as the policy has them"
                                      : ", software not verified",
                  atls_client_stapled(c) ? ", collateral stapled" : "",
                  a->simulated ? ", SIMULATED" : "");
}

/* For the owner alone: it names the platform. */
static bool write_receipt(const char *path, const struct atls_client *c, struct attest_err *err)
{
    struct receipt r;
    struct buf text;
    struct err why;
    bool good;

    atls_client_receipt(c, &r);
    buf_init(&text, RECEIPT_BYTES_MAX, "receipt");
    good = receipt_write(&r, atls_client_attestation(c), &text, err) &&
           ((buf_append_byte(&text, '\n', &why) && file_write(path, buf_view(&text), 0600, &why)) ||
            attest_fail(err, ATTEST_IO, "--receipt: %s", why.text));
    buf_done(&text);
    return good;
}

struct attested_options endpoint_options(const struct endpoint_config *c, const struct endpoint *e,
                                         const struct policy *policy)
{
    const char *folder = c->cache ? c->cache : fetch_cache_default();

    return (struct attested_options){
        .host = e->host,
        .port = e->port,
        .policy = policy,
        .proxy = c->proxy,
        .ca_file = c->cacert,
        .pccs_url = c->pccs_url,
        .cache = c->no_cache ? NULL : folder,
        .editions = c->remember ? folder : NULL,
        .timeout_ms = c->timeout_ms,
    };
}

/* What is to be said and written of an attestation that passed. */
static bool report(const char *command, const struct endpoint_config *c, const struct endpoint *e,
                   const struct attested *attested, struct attest_err *err)
{
    const struct atls_client *client = attested_client(attested);
    const struct attest_err *warning = attested_warning(attested);

    if (c->receipt && !write_receipt(c->receipt, client, err))
        return false;
    if (c->json)
        print_json(write_report, attested);
    else if (warning->code != ATTEST_OK)
        (void)fprintf(stderr, "%s: warning: %s [%s]\n", command, warning->text,
                      attest_code_name(warning->code));
    if (c->verbose && !c->json)
        say(command, e, client);
    return true;
}

bool endpoint_renew(const char *command, const struct endpoint_config *c, const struct endpoint *e,
                    const struct policy *policy, struct attested *attested, struct attest_err *err)
{
    const struct attested_options o = endpoint_options(c, e, policy);

    return attested_renew(attested, &o, err) && report(command, c, e, attested, err);
}

bool endpoint_open(const char *command, const struct endpoint_config *c, const struct endpoint *e,
                   const struct policy *policy, struct attested **out, int *status)
{
    CLEANUP(attested_free_cleanup) struct attested *attested = NULL;
    const struct attested_options o = endpoint_options(c, e, policy);
    struct attest_err why = {.code = ATTEST_OK};

    if (!attested_open(&o, &attested, &why) || !report(command, c, e, attested, &why)) {
        *status = endpoint_failed(command, c->json, &why);
        return false;
    }
    *out = take(attested);
    return true;
}
