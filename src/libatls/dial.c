#include <stdlib.h>

#include "attested/attested.h"
#include "libatls/libatls_priv.h"

#include "base/poison.h"

enum { UNREAD_MAX = 4 * 1024 * 1024 };

struct atls_stream {
    struct attested *is;
    struct atls_report report;
    struct buf unread;
    bool ended;
};

atls_result atls_dial(const struct atls_dial_options *options, struct atls_stream **out,
                      struct atls_error *error)
{
    struct atls_dial_options o = ATLS_DIAL_OPTIONS_INIT;
    struct attested_options inner;
    struct atls_stream *s;
    struct attest_err why;

    if (!libatls_options(&o, sizeof o, options, options->size))
        return libatls_usage(error, "struct atls_dial_options: start with ATLS_DIAL_OPTIONS_INIT");
    if (!o.host || !o.port || !o.policy)
        return libatls_usage(error, "dialling needs a host, a port and a policy");
    s = calloc(1, sizeof *s);
    if (!s)
        return libatls_memory(error);
    buf_init(&s->unread, UNREAD_MAX, "application bytes");
    inner = (struct attested_options){
        .host = o.host,
        .port = o.port,
        .server_name = o.server_name,
        .policy = o.policy->is,
        .proxy = o.proxy,
        .ca_file = o.ca_file,
        .pccs_url = o.pccs_url,
        .cache = o.cache,
        .timeout_ms = o.timeout_ms,
        .known = o.verifier ? o.verifier->cache : NULL,
    };
    if (!attested_open(&inner, &s->is, &why)) {
        free(s);
        return libatls_failed(&why, error);
    }
    *out = s;
    return ATLS_OK;
}

void atls_stream_free(struct atls_stream *s)
{
    if (!s)
        return;
    attested_free(s->is);
    buf_done(&s->unread);
    free(s);
}

const struct atls_report *atls_stream_report(struct atls_stream *s)
{
    s->report.is = atls_client_attestation(attested_client(s->is));
    return &s->report;
}

atls_result atls_stream_write(struct atls_stream *s, const void *bytes, size_t len,
                              struct atls_error *error)
{
    struct attest_err why;

    return attested_fresh(s->is, &why) && attested_write(s->is, view_from(bytes, len), &why)
               ? ATLS_OK
               : libatls_failed(&why, error);
}

atls_result atls_stream_read(struct atls_stream *s, void *to, size_t *len, uint64_t timeout_ms,
                             struct atls_error *error)
{
    struct attest_err why;
    struct view got;

    if (!buf_len(&s->unread) && !s->ended &&
        !attested_read(s->is, &s->unread, &s->ended, timeout_ms, &why))
        return libatls_failed(&why, error);
    got = view_first(buf_view(&s->unread), *len);
    if (got.at && got.len)
        memcpy(to, got.at, got.len);
    buf_eat(&s->unread, got.len);
    *len = got.len;
    return ATLS_OK;
}

int atls_stream_fd(const struct atls_stream *s)
{
    return attested_fd(s->is);
}
