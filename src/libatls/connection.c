#include <stdlib.h>

#include "libatls/libatls_priv.h"

#include "base/poison.h"

struct atls_context {
    struct session_context *is;
    const struct policy *policy;
};

struct atls_connection {
    struct atls_client *is;
    struct atls_report report;
    struct atls_error error;
};

atls_result atls_context_new(const struct atls_policy *policy, const char *roots, size_t roots_len,
                             struct atls_context **out, struct atls_error *error)
{
    const struct session_client_options options = {
        .roots = view_from(roots, roots ? roots_len : 0),
        .any_certificate = policy->is->tls == POLICY_TLS_ATTESTATION,
    };
    struct atls_context *c = malloc(sizeof *c);
    struct err why;

    if (!c)
        return libatls_memory(error);
    c->policy = policy->is;
    if (!session_client_context(&options, &c->is, &why)) {
        free(c);
        return libatls_usage(error, why.text);
    }
    *out = c;
    return ATLS_OK;
}

void atls_context_free(struct atls_context *context)
{
    if (!context)
        return;
    session_context_unref(context->is);
    free(context);
}

atls_result atls_connection_new(const struct atls_connection_options *options,
                                struct atls_connection **out, struct atls_error *error)
{
    struct atls_connection_options o = ATLS_CONNECTION_OPTIONS_INIT;
    struct atls_client_options inner;
    struct atls_connection *c;
    struct attest_err why;

    if (!libatls_options(&o, sizeof o, options, options->size))
        return libatls_usage(
            error, "struct atls_connection_options: start with ATLS_CONNECTION_OPTIONS_INIT");
    if (!o.context || !o.server_name)
        return libatls_usage(error, "a connection needs a context and a server name");
    c = calloc(1, sizeof *c);
    if (!c)
        return libatls_memory(error);
    inner = (struct atls_client_options){
        .context = o.context->is,
        .policy = o.context->policy,
        .cache = o.verifier ? o.verifier->cache : NULL,
        .server_name = o.server_name,
        .host = o.host,
    };
    if (!atls_client_new(&inner, &c->is, &why)) {
        free(c);
        return libatls_failed(&why, error);
    }
    *out = c;
    return ATLS_OK;
}

void atls_connection_free(struct atls_connection *c)
{
    if (!c)
        return;
    atls_client_free(c->is);
    free(c);
}

void atls_connection_feed(struct atls_connection *c, const void *bytes, size_t len)
{
    (void)!atls_client_feed(c->is, view_from(bytes, len)); /* the client keeps the error */
}

void atls_connection_feed_end(struct atls_connection *c)
{
    atls_client_feed_end(c->is);
}

const void *atls_connection_output(struct atls_connection *c, size_t *len)
{
    struct view out = atls_client_output(c->is);

    *len = out.len;
    return out.at;
}

void atls_connection_sent(struct atls_connection *c, size_t len)
{
    atls_client_sent(c->is, len);
}

enum atls_step atls_connection_step(struct atls_connection *c, int64_t now_s, uint64_t now_ms)
{
    return atls_client_step(c->is, now_s, now_ms);
}

const struct atls_error *atls_connection_error(struct atls_connection *c)
{
    const struct attest_err *why = atls_client_error(c->is);

    if (c->error.code == ATLS_OK && why->code != ATTEST_OK)
        libatls_failed(why, &c->error);
    return &c->error;
}

void atls_connection_need(const struct atls_connection *c, struct atls_need *out)
{
    const struct collateral_need *need = atls_client_need(c->is);

    memcpy(out->fmspc, need->fmspc, sizeof out->fmspc);
    out->processor_ca = need->processor_ca;
    out->tdx = need->tdx;
}

void atls_connection_give_collateral(struct atls_connection *c, struct atls_collateral *collateral)
{
    atls_client_give_collateral(c->is, take(collateral->is));
    atls_collateral_free(collateral);
}

bool atls_connection_stapled(const struct atls_connection *c)
{
    return atls_client_stapled(c->is);
}

const struct atls_report *atls_connection_report(struct atls_connection *c)
{
    c->report.is = atls_client_attestation(c->is);
    return c->report.is ? &c->report : NULL;
}

enum atls_read atls_connection_read(struct atls_connection *c, void *to, size_t *len)
{
    struct attest_err why;
    struct err tls;

    switch (atls_client_read(c->is, to, len, &tls)) {
    case TLS_OK:
        return ATLS_READ_SOME;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return ATLS_READ_WAIT;
    case TLS_EOF:
        return ATLS_READ_END;
    case TLS_FAILED:
        break;
    }
    attest_fail(&why, ATTEST_CLOSED, "%s", tls.text);
    libatls_failed(&why, &c->error);
    return ATLS_READ_ERROR;
}

atls_result atls_connection_write(struct atls_connection *c, const void *bytes, size_t len,
                                  struct atls_error *error)
{
    struct attest_err why;
    struct err tls;

    if (atls_client_write(c->is, view_from(bytes, len), &tls))
        return ATLS_OK;
    attest_fail(&why, ATTEST_IO, "%s", tls.text);
    return libatls_failed(&why, error);
}

void atls_connection_close(struct atls_connection *c)
{
    atls_client_close(c->is);
}

atls_result atls_connection_reattest(struct atls_connection *c, struct atls_error *error)
{
    return atls_client_reattest(c->is)
               ? ATLS_OK
               : libatls_usage(error, "only a connection that is attested can be attested again");
}
