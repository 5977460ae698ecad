#include "atls/client.h"

#include <stdlib.h>

#include "base/secret.h"

#include "base/poison.h"

enum { READ_BYTES = 8 * 1024, NAME_BYTES = 256, LEAF_MAX = RECEIPT_CERTIFICATE_MAX };

/* Whence the collateral is that is used. */
enum source { NONE, STAPLED, GIVEN, GIVEN_ANEW };

enum state { HANDSHAKE, EXCHANGE, COLLATERAL, VERIFY, ATTESTED, FAILED };

struct atls_client {
    const struct policy *policy;
    struct dcap_cache *cache;
    struct session *session;
    enum state state;
    struct attest_err err;
    char host[NAME_BYTES], server_name[NAME_BYTES];
    uint8_t nonce[EXCHANGE_NONCE_BYTES], leaf[SESSION_HASH_BYTES];
    struct buf leaf_der;
    uint8_t report_data[REPORT_DATA_BYTES], exporter_sha256[HASH_BYTES];
    uint64_t asked_ms, age_s; /* age: of the quote, when it was verified */
    uint64_t due_ms;          /* when the next one is */
    struct exchange_reader reader;
    struct exchange_answer answer;
    struct collateral_need need;
    struct collateral *collateral; /* used; ours */
    enum source source;
    bool anew; /* what was given before is refused: what comes next must be new */
    const struct editions *editions;
    struct attestation *attestation;
    void (*entered)(void *context, enum atls_phase phase);
    void *context_of_entered;
};

static void enter(struct atls_client *c, enum state state, enum atls_phase phase)
{
    c->state = state;
    if (c->entered)
        c->entered(c->context_of_entered, phase);
}

static bool fail_tls(struct atls_client *c, const struct err *why)
{
    c->state = FAILED;
    if (why->code == ERR_MEMORY)
        return attest_fail(&c->err, ATTEST_MEMORY, "%s", why->text);
    if (why->code == ERR_NAME)
        return attest_fail_plain(&c->err, ATTEST_SERVER_NAME, "invalid server name: %s", why->text);
    return attest_fail(&c->err, ATTEST_TLS_HANDSHAKE, "%s", why->text);
}

bool atls_client_new(const struct atls_client_options *options, struct atls_client **out,
                     struct attest_err *err)
{
    CLEANUP(atls_client_free_cleanup) struct atls_client *c = calloc(1, sizeof *c);
    const char *host = options->host ? options->host : options->server_name;
    struct err why;

    if (!c)
        return attest_fail(err, ATTEST_MEMORY, "no memory for a connection");
    exchange_reader_init(&c->reader);
    buf_init(&c->leaf_der, LEAF_MAX, "server certificate");
    c->policy = options->policy;
    c->cache = options->cache;
    c->editions = options->editions;
    c->entered = options->entered;
    c->context_of_entered = options->context_of_entered;
    if (strlen(host) >= sizeof c->host || strpbrk(host, "\r\n \t") ||
        strlen(options->server_name) >= sizeof c->server_name)
        return attest_fail_plain(err, ATTEST_SERVER_NAME,
                                 "invalid server name: the Host is too long");
    memcpy(c->host, host, strlen(host) + 1);
    memcpy(c->server_name, options->server_name, strlen(options->server_name) + 1);
    if (!session_connect(options->context, options->server_name, &c->session, &why)) {
        (void)fail_tls(c, &why);
        if (err)
            *err = c->err;
        return false;
    }
    *out = take(c);
    return true;
}

void atls_client_free(struct atls_client *c)
{
    if (!c)
        return;
    session_free(c->session);
    exchange_reader_done(&c->reader);
    exchange_answer_done(&c->answer);
    collateral_free(c->collateral);
    attestation_free(c->attestation);
    buf_done(&c->leaf_der);
    secret_wipe(c->report_data, sizeof c->report_data);
    free(c);
}

bool atls_client_feed(struct atls_client *c, struct view ciphertext)
{
    struct err why;

    return session_feed(c->session, ciphertext, &why) || fail_tls(c, &why);
}

void atls_client_feed_end(struct atls_client *c)
{
    session_feed_end(c->session);
}

struct view atls_client_output(struct atls_client *c)
{
    return session_output(c->session);
}

void atls_client_sent(struct atls_client *c, size_t n)
{
    session_sent(c->session, n);
}

/* Asks for a quote that holds a new nonce and this session. */
static bool ask(struct atls_client *c, uint64_t now_ms)
{
    uint8_t exporter[SESSION_EXPORTER_BYTES];
    struct buf request;
    struct err why;
    bool good;

    random_bytes(c->nonce, sizeof c->nonce);
    buf_init(&request, HTTP_HEAD_BYTES_MAX, "quote request");
    good = session_exporter(c->session, exporter, &why) &&
           ((attest_report_data(c->nonce, exporter, c->report_data) &&
             secret_sha256(exporter, sizeof exporter, c->exporter_sha256)) ||
            err_set(&why, ERR_MEMORY, "no memory for a digest")) &&
           exchange_request(c->host, c->nonce, &request, &why) &&
           session_write(c->session, buf_view(&request), &why);
    secret_wipe(exporter, sizeof exporter);
    buf_done(&request);
    if (!good)
        return fail_tls(c, &why);
    c->asked_ms = now_ms;
    enter(c, EXCHANGE, ATLS_PHASE_QUOTE);
    return true;
}

static bool handshake(struct atls_client *c, uint64_t now_ms)
{
    struct err why = {.code = ERR_NONE};

    switch (session_handshake(c->session, &why)) {
    case TLS_OK:
        buf_reset(&c->leaf_der);
        if (!session_leaf(c->session, c->leaf, &why) ||
            !session_leaf_der(c->session, &c->leaf_der, &why)) {
            c->state = FAILED;
            (void)attest_fail_plain(&c->err, ATTEST_NO_CERTIFICATE, "%s", why.text);
            return false;
        }
        return ask(c, now_ms);
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return false;
    case TLS_EOF:
        (void)err_set(&why, ERR_TLS, "the server ended the connection");
        break;
    case TLS_FAILED:
        break;
    }
    return fail_tls(c, &why);
}

static bool failed(struct atls_client *c)
{
    c->state = FAILED;
    return false;
}

/* Reads the answer. True: it is there. */
static bool exchange(struct atls_client *c)
{
    uint8_t bytes[READ_BYTES];
    struct err why = {.code = ERR_NONE};

    for (;;) {
        size_t n = sizeof bytes;

        switch (session_read(c->session, bytes, &n, &why)) {
        case TLS_OK:
            if (!exchange_feed(&c->reader, view_from(bytes, n), &c->err))
                return failed(c);
            continue;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            if (!c->reader.done)
                return false;
            exchange_answer_done(&c->answer);
            return exchange_parse(&c->reader, &c->answer, &c->err) || failed(c);
        case TLS_EOF:
            (void)attest_fail(&c->err, ATTEST_CLOSED,
                              "the server ended the connection before its answer was complete");
            return failed(c);
        case TLS_FAILED:
            (void)attest_fail(&c->err, ATTEST_CLOSED, "%s", why.text);
            return failed(c);
        }
    }
}

/* Collateral from before is as good for the next quote of the same platform. */
static void choose_collateral(struct atls_client *c)
{
    struct quote quote;

    if (c->answer.collateral) {
        collateral_free(c->collateral);
        c->collateral = take(c->answer.collateral);
        c->source = STAPLED;
    }
    if (c->collateral)
        enter(c, VERIFY, ATLS_PHASE_VERIFY);
    else if (quote_parse(buf_view(&c->answer.quote), &quote, &c->err) &&
             dcap_need(&quote, &c->need, &c->err))
        enter(c, COLLATERAL, ATLS_PHASE_COLLATERAL);
    else
        c->state = FAILED;
}

static bool stale(enum attest_code code)
{
    return code == ATTEST_TCB_TIME || code == ATTEST_QE_TIME || code == ATTEST_CRL_TIME ||
           code == ATTEST_TCB_EVALUATION || code == ATTEST_TCB_ROLLBACK;
}

/* What is stapled, or was kept, may have expired: then it is fetched, and once anew. */
static bool fetch_again(struct atls_client *c)
{
    if (!stale(c->err.code) || c->source == NONE || c->source == GIVEN_ANEW)
        return false;
    c->anew = c->source == GIVEN;
    collateral_free(c->collateral);
    c->collateral = NULL;
    c->source = NONE;
    c->err.code = ATTEST_OK;
    choose_collateral(c);
    return true;
}

static void verify(struct atls_client *c, int64_t now_s, uint64_t now_ms)
{
    const struct attest_input in = {
        .quote = buf_view(&c->answer.quote),
        .event_log = buf_view(&c->answer.event_log),
        .collateral = c->collateral,
        .cache = c->cache,
        .editions = c->editions,
        .now_s = now_s,
        .leaf_sha256 = c->leaf,
        .report_data = c->report_data,
        .has_age = true,
        .age_s = (now_ms - c->asked_ms) / 1000,
    };
    struct attestation *a = NULL;

    if (attest_verify(&in, c->policy, NULL, &a, &c->err)) {
        attestation_free(c->attestation);
        c->attestation = a;
        c->age_s = in.age_s;
        c->due_ms =
            c->policy->reattest_after_s ? now_ms + 1000 * c->policy->reattest_after_s : UINT64_MAX;
        enter(c, ATTESTED, ATLS_PHASE_DONE);
    } else if (!fetch_again(c)) {
        c->state = FAILED;
    }
}

enum atls_step atls_client_step(struct atls_client *c, int64_t now_s, uint64_t now_ms)
{
    for (;;) {
        switch (c->state) {
        case HANDSHAKE:
            if (!handshake(c, now_ms) && c->state == HANDSHAKE)
                return ATLS_WANT_READ;
            break;
        case EXCHANGE:
            if (exchange(c))
                choose_collateral(c);
            else if (c->state == EXCHANGE)
                return ATLS_WANT_READ;
            break;
        case COLLATERAL:
            if (!c->collateral)
                return ATLS_WANT_COLLATERAL;
            enter(c, VERIFY, ATLS_PHASE_VERIFY);
            break;
        case VERIFY:
            verify(c, now_s, now_ms);
            break;
        case ATTESTED:
            return ATLS_ATTESTED;
        case FAILED:
            return ATLS_FAILED;
        }
    }
}

const struct attest_err *atls_client_error(const struct atls_client *c)
{
    return &c->err;
}

const struct collateral_need *atls_client_need(const struct atls_client *c)
{
    return &c->need;
}

void atls_client_give_collateral(struct atls_client *c, struct collateral *collateral)
{
    collateral_free(c->collateral);
    c->collateral = collateral;
    c->source = c->anew ? GIVEN_ANEW : GIVEN;
}

bool atls_client_anew(const struct atls_client *c)
{
    return c->anew;
}

bool atls_client_stapled(const struct atls_client *c)
{
    return c->source == STAPLED;
}

const struct attestation *atls_client_attestation(const struct atls_client *c)
{
    return c->state == ATTESTED ? c->attestation : NULL;
}

enum tls_status atls_client_read(struct atls_client *c, void *at, size_t *n, struct err *err)
{
    if (c->state != ATTESTED) {
        (void)err_set(err, ERR_DENIED, "the connection is not attested");
        return TLS_FAILED;
    }
    return session_read(c->session, at, n, err);
}

bool atls_client_write(struct atls_client *c, struct view plaintext, struct err *err)
{
    if (c->state != ATTESTED)
        return err_set(err, ERR_DENIED, "the connection is not attested");
    return session_write(c->session, plaintext, err);
}

void atls_client_close(struct atls_client *c)
{
    session_close(c->session);
}

uint64_t atls_client_due_ms(const struct atls_client *c)
{
    return c->due_ms;
}

bool atls_client_reattest(struct atls_client *c)
{
    if (c->state != ATTESTED)
        return false;
    exchange_reader_done(&c->reader);
    exchange_reader_init(&c->reader);
    c->anew = false;
    c->source = c->collateral ? GIVEN : NONE; /* it may have grown old since */
    c->state = HANDSHAKE;                     /* it is done: the next step asks */
    return true;
}

struct view atls_client_quote(const struct atls_client *c)
{
    return buf_view(&c->answer.quote);
}

struct view atls_client_event_log(const struct atls_client *c)
{
    return buf_view(&c->answer.event_log);
}

const char *atls_client_cipher(const struct atls_client *c)
{
    return session_cipher(c->session);
}

const char *atls_client_group(const struct atls_client *c)
{
    return session_group(c->session);
}

const uint8_t *atls_client_leaf(const struct atls_client *c)
{
    return c->leaf;
}

const uint8_t *atls_client_nonce(const struct atls_client *c)
{
    return c->nonce;
}

void atls_client_receipt(const struct atls_client *c, struct receipt *out)
{
    *out = (struct receipt){
        .verified_at_s = c->attestation->verified_at_s,
        .quote_age_s = c->age_s,
        .server_name = view_str(c->server_name),
        .certificate = buf_view(&c->leaf_der),
        .quote = buf_view(&c->answer.quote),
        .event_log = buf_view(&c->answer.event_log),
        .collateral = c->collateral,
        .policy = buf_view(&c->policy->text),
    };
    memcpy(out->certificate_sha256, c->leaf, sizeof out->certificate_sha256);
    memcpy(out->nonce, c->nonce, sizeof out->nonce);
    memcpy(out->exporter_sha256, c->exporter_sha256, sizeof out->exporter_sha256);
    memcpy(out->report_data, c->report_data, sizeof out->report_data);
}
