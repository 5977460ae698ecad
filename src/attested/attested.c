#include "attested/attested.h"

#include <stdlib.h>

#include "attested/debug.h"
#include "base/clock.h"
#include "base/file.h"
#include "fetch/editions_file.h"
#include "fetch/fetch.h"

#include "base/poison.h"

enum { PIECE_BYTES = 12 * 1024, RECEIVED_MAX = 4 * 1024 * 1024, CA_FILE_MAX = 4 * 1024 * 1024 };

/* Who waits for what, since when. */
struct stopwatch {
    enum atls_phase phase;
    uint64_t since_ns;
    struct attested_times times;
};

struct attested {
    struct transport *transport;
    struct session_context *context;
    struct atls_client *client;
    struct buf received;       /* ciphertext on its way */
    struct editions *editions; /* NULL: none are remembered */
    struct attest_err warning;
    struct stopwatch watch;
    struct debug *debug; /* NULL: nobody asked */
};

/* The phase before this one ends here. */
static void lap(struct stopwatch *w, enum atls_phase phase)
{
    uint64_t now_ns = clock_monotonic_ns(), took = now_ns - w->since_ns;

    switch (w->phase) {
    case ATLS_PHASE_HANDSHAKE:
        w->times.tls_ns += took;
        break;
    case ATLS_PHASE_QUOTE:
        w->times.quote_ns += took;
        break;
    case ATLS_PHASE_COLLATERAL:
        w->times.collateral_ns += took;
        break;
    case ATLS_PHASE_VERIFY:
        w->times.verify_ns += took;
        break;
    case ATLS_PHASE_DONE:
        break;
    }
    w->phase = phase;
    w->since_ns = now_ns;
}

static void entered(void *context, enum atls_phase phase)
{
    struct attested *c = context;

    lap(&c->watch, phase);
    debug_phase(c->debug, c->client, phase);
}

bool attested_context(const struct attested_options *o, struct session_context **out,
                      struct attest_err *err)
{
    struct session_client_options options = {.any_certificate =
                                                 o->policy->tls == POLICY_TLS_ATTESTATION};
    struct err why = {.code = ERR_NONE};
    struct buf pem;
    bool good;

    buf_init(&pem, CA_FILE_MAX, "CA file");
    good = !o->ca_file || file_read(o->ca_file, &pem, &why);
    options.roots = buf_view(&pem);
    good = good && session_client_context(&options, out, &why);
    buf_done(&pem);
    return good || attest_fail(err, ATTEST_POLICY, "%s", why.text);
}

static bool flush(struct attested *c, struct attest_err *err)
{
    struct view out = atls_client_output(c->client);

    if (!transport_send(c->transport, out, err))
        return false;
    debug_sent(c->debug, out.len);
    atls_client_sent(c->client, out.len);
    return true;
}

/* However many bytes come that are no answer: not for longer than that. until_ms 0: for ever. */
static uint64_t deadline(uint64_t timeout_ms)
{
    return timeout_ms ? clock_monotonic_ms(&clock_system) + timeout_ms : 0;
}

static bool receive(struct attested *c, uint64_t until_ms, struct attest_err *err)
{
    uint64_t now_ms = clock_monotonic_ms(&clock_system), timeout_ms = until_ms - now_ms;
    bool end = false;

    if (!until_ms)
        timeout_ms = 0;
    else if (now_ms >= until_ms)
        return attest_fail(err, ATTEST_TIMEOUT, "receiving: bytes came, and no answer in time");
    if (!transport_receive(c->transport, &c->received, &end, timeout_ms, err))
        return false;
    debug_received(c->debug, buf_len(&c->received));
    if (!atls_client_feed(c->client, buf_view(&c->received))) {
        if (err)
            *err = *atls_client_error(c->client);
        return false;
    }
    buf_reset(&c->received);
    if (end)
        atls_client_feed_end(c->client);
    return true;
}

static bool fetch(struct attested *c, const struct attested_options *o, struct attest_err *err)
{
    const struct fetch_options options = {
        .url = o->pccs_url ? o->pccs_url : o->policy->pccs_url,
        .timeout_ms = o->timeout_ms,
        .cache = o->cache,
        .anew = atls_client_anew(c->client),
        .now_s = clock_wall_ms(&clock_system) / 1000,
    };
    struct collateral *collateral;

    debug_fetching(c->debug, options.url, atls_client_need(c->client), options.anew);
    if (!fetch_collateral(&options, atls_client_need(c->client), &collateral, err))
        return false;
    debug_fetched(c->debug, collateral);
    atls_client_give_collateral(c->client, collateral);
    return true;
}

/* What cannot be kept is no reason to fail now; the next connection is the poorer for it. */
static void remember(struct attested *c, const struct attested_options *o)
{
    const struct edition *accepted = &atls_client_attestation(c->client)->edition;

    if (c->editions && editions_raise(c->editions, accepted))
        (void)!editions_keep(o->editions, accepted, &c->warning);
}

static bool go_on(struct attested *c, const struct attested_options *o, struct attest_err *err)
{
    uint64_t until_ms = deadline(o->timeout_ms);

    for (;;) {
        enum atls_step step = atls_client_step(c->client, clock_wall_ms(&clock_system) / 1000,
                                               clock_monotonic_ms(&clock_system));

        if (!flush(c, err))
            return false;
        switch (step) {
        case ATLS_WANT_READ:
            if (!receive(c, until_ms, err))
                return false;
            break;
        case ATLS_WANT_COLLATERAL: /* which has a time of its own */
            if (!fetch(c, o, err))
                return false;
            until_ms = deadline(o->timeout_ms);
            break;
        case ATLS_ATTESTED:
            remember(c, o);
            return true;
        case ATLS_FAILED:
            if (err)
                *err = *atls_client_error(c->client);
            return false;
        }
    }
}

static bool attest(struct attested *c, const struct attested_options *o, struct attest_err *err)
{
    struct attest_err why = {.code = ATTEST_OK};

    if (go_on(c, o, &why))
        return true;
    debug_failed(c->debug, &why);
    if (err)
        *err = why;
    return false;
}

static bool dial(struct attested *c, const struct attested_options *o, struct attest_err *err)
{
    const struct transport_options options = {
        .host = o->host,
        .port = o->port,
        .proxy = o->proxy,
        .ca_file = o->ca_file,
        .timeout_ms = o->timeout_ms,
    };
    uint64_t began_ns = clock_monotonic_ns();
    struct attest_err why;

    debug_dialling(c->debug, o->host, o->port, o->proxy);
    if (transport_open(&options, &c->transport, &why)) {
        c->watch.since_ns = clock_monotonic_ns();
        c->watch.times.tcp_ns = c->watch.since_ns - began_ns;
        debug_connected(c->debug);
        return true;
    }
    debug_failed(c->debug, &why);
    if (err)
        *err = why;
    return false;
}

bool attested_open(const struct attested_options *o, struct attested **out, struct attest_err *err)
{
    CLEANUP(attested_free_cleanup) struct attested *c = calloc(1, sizeof *c);
    struct atls_client_options client = {.policy = o->policy,
                                         .cache = o->known,
                                         .server_name = o->server_name ? o->server_name : o->host,
                                         .entered = entered,
                                         .context_of_entered = c};

    if (!c)
        return attest_fail(err, ATTEST_MEMORY, "no memory for a connection");
    c->debug = debug_open();
    buf_init(&c->received, RECEIVED_MAX, "received bytes");
    if (o->editions && !editions_load(o->editions, &c->editions, err))
        return false;
    if (o->context)
        c->context = session_context_ref(o->context);
    else if (!attested_context(o, &c->context, err))
        return false;
    client.context = c->context;
    client.editions = c->editions;
    if (!atls_client_new(&client, &c->client, err) || !dial(c, o, err) || !attest(c, o, err))
        return false;
    if (o->times)
        *o->times = c->watch.times;
    *out = take(c);
    return true;
}

void attested_free(struct attested *c)
{
    if (!c)
        return;
    if (c->client && c->transport && atls_client_attestation(c->client)) {
        atls_client_close(c->client);
        (void)!flush(c, NULL);
    }
    atls_client_free(c->client);
    session_context_unref(c->context);
    transport_free(c->transport);
    buf_done(&c->received);
    free(c->editions);
    debug_close(c->debug);
    free(c);
}

uint64_t attested_due_in_ms(const struct attested *c)
{
    uint64_t due = atls_client_due_ms(c->client), now = clock_monotonic_ms(&clock_system);

    if (due == UINT64_MAX)
        return due;
    return due > now ? due - now : 0;
}

bool attested_fresh(const struct attested *c, struct attest_err *err)
{
    return attested_due_in_ms(c) > 0 ||
           attest_fail_plain(err, ATTEST_REATTEST,
                             "the proof is older than the policy's reattest_after: nothing more is "
                             "sent on this connection; connect again");
}

bool attested_renew(struct attested *c, const struct attested_options *o, struct attest_err *err)
{
    return (atls_client_reattest(c->client) ||
            attest_fail(err, ATTEST_CLOSED, "the connection is not attested")) &&
           attest(c, o, err);
}

const struct attest_err *attested_warning(const struct attested *c)
{
    return &c->warning;
}

const struct atls_client *attested_client(const struct attested *c)
{
    return c->client;
}

bool attested_write(struct attested *c, struct view bytes, struct attest_err *err)
{
    struct err why;

    while (bytes.len) {
        struct view piece = view_first(bytes, PIECE_BYTES);

        if (!atls_client_write(c->client, piece, &why))
            return attest_fail(err, ATTEST_IO, "%s", why.text);
        if (!flush(c, err))
            return false;
        bytes = view_skip(bytes, piece.len);
    }
    return true;
}

/* What is there already. True in *any: something was, or the end. */
static bool decrypted(struct attested *c, struct buf *out, bool *any, bool *end,
                      struct attest_err *err)
{
    uint8_t bytes[PIECE_BYTES];
    struct err why = {.code = ERR_NONE};

    for (;;) {
        size_t n = sizeof bytes;

        switch (atls_client_read(c->client, bytes, &n, &why)) {
        case TLS_OK:
            if (!buf_append(out, view_from(bytes, n), &why))
                return attest_fail(err, ATTEST_IO, "%s", why.text);
            *any = true;
            continue;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            return true;
        case TLS_EOF:
            *any = *end = true;
            return true;
        case TLS_FAILED:
            return attest_fail(err, ATTEST_CLOSED, "%s", why.text);
        }
    }
}

bool attested_read(struct attested *c, struct buf *out, bool *end, uint64_t timeout_ms,
                   struct attest_err *err)
{
    uint64_t until_ms = deadline(timeout_ms);
    bool any = false;

    *end = false;
    if (!decrypted(c, out, &any, end, err))
        return false;
    while (!any)
        if (!receive(c, until_ms, err) || !decrypted(c, out, &any, end, err))
            return false;
    return true;
}

int attested_fd(const struct attested *c)
{
    return transport_fd(c->transport);
}

struct log *attested_log(const struct attested *c)
{
    return debug_log(c->debug);
}
