#include "attested/debug.h"

#include <stdlib.h>
#include <unistd.h>

#include "attest/digest.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { HEX_ROOM = 2 * HASH_BYTES + 1, HOST_ROOM = 256 };

struct debug {
    struct log_sink *sink;
    struct log *log;
    enum atls_phase phase;
    uint64_t since_ms; /* when the step under way began */
    uint64_t received, sent;
};

/* The first of both that is there. */
static const char *wish(void)
{
    const char *one = secure_getenv("ATLS_DEBUG");

    return one && *one ? one : secure_getenv("DEBUG_ATLS");
}

static bool refused(const char *wish_text)
{
    bool on = true;

    return !wish_text || !*wish_text || (text_bool(view_str(wish_text), &on) && !on);
}

struct debug *debug_open(void)
{
    const char *how = wish();
    enum log_format format = how && strcmp(how, "json") == 0 ? LOG_JSON : LOG_TEXT;
    struct debug *d = refused(how) ? NULL : calloc(1, sizeof *d);

    if (!d)
        return NULL;
    if (!log_sink_new(STDERR_FILENO, format, LOG_DEBUG, &clock_system, &d->sink, NULL) ||
        !log_new(d->sink, &d->log, NULL)) {
        debug_close(d);
        return NULL;
    }
    d->since_ms = clock_monotonic_ms(&clock_system);
    return d;
}

void debug_close(struct debug *d)
{
    if (!d)
        return;
    if (d->sent)
        log_event(d->log, LOG_DEBUG, "connection.closed", "connection closed",
                  F_U64("bytes_received", d->received), F_U64("bytes_sent", d->sent));
    log_sink_free(d->sink);
    free(d);
}

struct log *debug_log(const struct debug *d)
{
    return d ? d->log : NULL;
}

/* How long the step took that ends here. */
static uint64_t lap_ms(struct debug *d)
{
    uint64_t now = clock_monotonic_ms(&clock_system), took = now - d->since_ms;

    d->since_ms = now;
    return took;
}

/* Of a URL, and nothing else of it. */
static const char *host_of(const char *url, char out[static HOST_ROOM])
{
    const char *at = strstr(url, "://");
    struct view v = view_str(at ? at + 3 : url);
    size_t end = 0;

    while (end < v.len && !strchr("/?#", v.at[end]))
        end++;
    v = view_first(v, end);
    end = view_find_last(v, '@');
    if (end < v.len)
        v = view_skip(v, end + 1);
    v = view_first(v, HOST_ROOM - 1);
    if (v.len)
        memcpy(out, v.at, v.len);
    out[v.len] = '\0';
    return out;
}

static const char *hex(struct view bytes, char out[static HEX_ROOM])
{
    hex_encode(view_first(bytes, HASH_BYTES), out);
    return out;
}

void debug_dialling(struct debug *d, const char *host, uint16_t port, const char *proxy)
{
    char bridge[HOST_ROOM] = "";

    if (!d)
        return;
    log_event(d->log, LOG_DEBUG, "connection.dialling", "dialling", F_STR("host", host),
              F_U64("port", port), F_STR("bridge", proxy ? host_of(proxy, bridge) : NULL));
}

void debug_connected(struct debug *d)
{
    if (d)
        log_event(d->log, LOG_DEBUG, "connection.open", "connected",
                  F_SECONDS("seconds", lap_ms(d)));
}

static void quote_asked(struct debug *d, const struct atls_client *c)
{
    char leaf[HEX_ROOM], nonce[HEX_ROOM];

    log_event(
        d->log, LOG_DEBUG, "quote.asked", "TLS is up, quote asked for",
        F_SECONDS("seconds", lap_ms(d)), F_STR("cipher", atls_client_cipher(c)),
        F_STR("certificate_sha256", hex(view_from(atls_client_leaf(c), SESSION_HASH_BYTES), leaf)),
        F_STR("nonce", hex(view_from(atls_client_nonce(c), EXCHANGE_NONCE_BYTES), nonce)));
}

static void quote_came(struct debug *d, const struct atls_client *c, bool wanted)
{
    struct view quote = atls_client_quote(c);
    char digest[HEX_ROOM] = "";
    uint8_t hash[HASH_BYTES];

    if (digest_sha256(&quote, 1, hash))
        (void)hex(view_from(hash, sizeof hash), digest);
    log_event(d->log, LOG_DEBUG, "quote.came", "quote came", F_SECONDS("seconds", lap_ms(d)),
              F_U64("quote_bytes", quote.len), F_STR("quote_sha256", digest),
              F_U64("event_log_bytes", atls_client_event_log(c).len),
              F_STR("collateral", wanted                   ? "wanted"
                                  : atls_client_stapled(c) ? "stapled"
                                                           : "known"));
}

static void attested(struct debug *d, const struct atls_client *c)
{
    const struct attestation *a = atls_client_attestation(c);
    char fmspc[HEX_ROOM];

    log_event(d->log, LOG_DEBUG, "attested", "attested", F_SECONDS("seconds", lap_ms(d)),
              F_STR("status", tcb_status_name(a->dcap.verdict.status)),
              F_STR("fmspc", hex(view_from(a->dcap.pck.fmspc, sizeof a->dcap.pck.fmspc), fmspc)),
              F_U64("tcb_info_edition", a->edition.tcb_info),
              F_U64("qe_identity_edition", a->edition.qe_identity),
              F_BOOL("runtime_verified", a->runtime_verified), F_BOOL("simulated", a->simulated));
}

void debug_phase(struct debug *d, const struct atls_client *c, enum atls_phase phase)
{
    enum atls_phase before;

    if (!d)
        return;
    before = d->phase;
    d->phase = phase;
    switch (phase) {
    case ATLS_PHASE_HANDSHAKE:
        break;
    case ATLS_PHASE_QUOTE:
        quote_asked(d, c);
        break;
    case ATLS_PHASE_COLLATERAL:
        if (before == ATLS_PHASE_QUOTE)
            quote_came(d, c, true);
        else
            log_event(d->log, LOG_DEBUG, "collateral.stale", "collateral is too old",
                      F_SECONDS("seconds", lap_ms(d)));
        break;
    case ATLS_PHASE_VERIFY:
        if (before == ATLS_PHASE_QUOTE)
            quote_came(d, c, false);
        break;
    case ATLS_PHASE_DONE:
        attested(d, c);
        break;
    }
}

void debug_fetching(struct debug *d, const char *service, const struct collateral_need *need,
                    bool anew)
{
    char host[HOST_ROOM], fmspc[HEX_ROOM] = "";

    if (!d)
        return;
    if (!need->has_request)
        (void)hex(view_from(need->fmspc, sizeof need->fmspc), fmspc);
    log_event(d->log, LOG_DEBUG, "collateral.fetching", "fetching collateral",
              F_STR("service", host_of(service, host)), F_STR("tee", need->tdx ? "TDX" : "SGX"),
              F_STR("fmspc", fmspc),
              F_STR("ca", need->has_request    ? ""
                          : need->processor_ca ? "processor"
                                               : "platform"),
              F_BOOL("pck", need->has_request), F_BOOL("anew", anew));
}

void debug_fetched(struct debug *d, const struct collateral *c)
{
    if (d)
        log_event(d->log, LOG_DEBUG, "collateral.fetched", "collateral is there",
                  F_SECONDS("seconds", lap_ms(d)), F_U64("tcb_info_bytes", c->tcb_info.len),
                  F_U64("crl_bytes", c->root_ca_crl.len + c->pck_crl.len));
}

void debug_failed(struct debug *d, const struct attest_err *err)
{
    if (d)
        log_event(d->log, LOG_DEBUG, "connection.failed", "failed", F_SECONDS("seconds", lap_ms(d)),
                  F_STR("error", attest_code_name(err->code)));
}

void debug_received(struct debug *d, size_t bytes)
{
    if (d)
        d->received += bytes;
}

void debug_sent(struct debug *d, size_t bytes)
{
    if (d)
        d->sent += bytes;
}
