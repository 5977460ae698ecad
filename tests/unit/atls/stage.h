/* stage: a client and a server of the protocol face to face. The server is OpenSSL's TLS and the parts of a simulated guest, and
 * does otherwise than it should wherever its lie says so. Where there is a client elsewhere (support/wire.h), the same is played
 * to it on a connection of its own. */
#pragma once

#include "../attest/world.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "atls/client.h"
#include "attest/digest.h"
#include "attest/report.h"
#include "base/codec.h"
#include "support/wire.h"

enum { STAGE_NOW_MS = 1000 };

struct stage;

/* What the server does otherwise. Nothing: it is honest. */
struct lie {
    /* TLS */
    int version;           /* instead of 1.3 */
    struct view babble;    /* said instead of TLS, as soon as anything comes */
    const char *protocol;  /* ALPN, whatever was offered */
    bool tickets;          /* offers resumption and early data */
    const char *alt_names; /* of its certificate; "": none */
    int64_t from_s, to_s;  /* its validity, around now */
    bool self_signed, unknown_ca, without_issuer;
    void (*dress)(X509 *certificate); /* before it is signed */
    /* binding */
    const char *label, *context; /* of its exporter value */
    size_t exporter_bytes;
    bool (*bind)(struct view nonce, struct view exporter, uint8_t *out); /* report data */
    bool other_session, other_nonce;
    bool tells_report_data;         /* the right one, in JSON; whatever the quote holds */
    bool replays;                   /* answers with its first answer again */
    bool other_event, issuer_event; /* the certificate that was measured */
    /* collateral */
    bool no_staple, old_staple, other_staple;
    /* HTTP */
    const char *early; /* said before it was asked */
    const char *head;  /* instead of the answer's own; "@": its length */
    const char *body;  /* instead of the answer's own */
    struct view raw;   /* instead of the body; with whole: of head and body */
    bool whole;
    const char *behind; /* the answer */
    bool ends;          /* the connection, with the answer half sent */
    bool breaks_off;    /* the same without a word of TLS */
    bool failed;        /* {"success": false} */
    bool array;         /* the event log as an array */
    /* the way there */
    unsigned cut; /* at most so many bytes at a time */
    void (*meddle)(struct stage *s, struct buf *to_client);
};

/* The server's TLS, without I/O. */
struct peer {
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    bool up, failed, spoke;
};

/* A connection, as the server sees it. */
struct side {
    struct peer peer;
    struct buf request, first_answer;
    bool answered, hung_up;
    unsigned records; /* that a meddler has seen */
    struct buf held;  /* by a meddler */
};

/* The client elsewhere. */
struct far {
    bool open, ends; /* it was told of the stage; nothing will follow */
    struct side side;
    struct buf in, out; /* ciphertext to it, and from it */
};

struct stage {
    struct world w;
    SSL_CTX *server_context;
    X509 *root, *issuer, *cert;
    EVP_PKEY *root_key, *issuer_key, *key;
    struct buf root_pem;
    struct side near, *here; /* here: near, or that of the client elsewhere while it plays */
    struct session_context *client_context;
    struct atls_client *client;
    struct policy *policy;
    const struct lie *lie;
    const char *name;       /* that the client asks for */
    char phases[16];        /* that the client told of */
    struct editions *known; /* none, until a test puts some there */
    struct far far;
};

/* --- the web's certificates: in the real time, and in the world's, where receipts are looked at --- */

static inline void stage_certificates(struct stage *s)
{
    const struct lie *lie = s->lie;
    int64_t now = (int64_t)time(NULL), other = s->w.now_s;
    struct sim_certificate_spec spec = {
        .name = "Web Root",
        .ca = true,
        .path_length = 1,
        .not_before_s = (now < other ? now : other) - 100,
        .not_after_s = (now > other ? now : other) + 1000,
    };
    EVP_PKEY *nobodys = NULL;

    assert_true(sim_key(&s->root_key, NULL) && sim_key(&s->issuer_key, NULL) &&
                sim_key(&s->key, NULL));
    spec.key = s->root_key;
    assert_true(sim_certificate(&spec, &s->root, NULL));
    spec.name = "Web Issuer";
    spec.key = s->issuer_key;
    spec.path_length = 0;
    spec.issuer = s->root;
    spec.issuer_key = s->root_key;
    if (lie->unknown_ca) {
        assert_true(sim_key(&nobodys, NULL));
        spec.issuer_key = nobodys;
    }
    assert_true(sim_certificate(&spec, &s->issuer, NULL));
    EVP_PKEY_free(nobodys);
    spec.name = "tee.test";
    spec.alt_names =
        lie->alt_names ? *lie->alt_names ? lie->alt_names : NULL : "DNS:tee.test,IP:127.0.0.1";
    spec.key = s->key;
    spec.ca = false;
    spec.issuer = lie->self_signed ? NULL : s->issuer;
    spec.issuer_key = lie->self_signed ? NULL : s->issuer_key;
    if (lie->from_s || lie->to_s) {
        spec.not_before_s = now + lie->from_s;
        spec.not_after_s = now + lie->to_s;
    }
    assert_true(sim_certificate(&spec, &s->cert, NULL));
    if (lie->dress) {
        X509 *read;

        lie->dress(s->cert);
        assert_true(X509_sign(s->cert, s->issuer_key, EVP_sha256()) > 0);
        read = X509_dup(s->cert);
        X509_free(s->cert);
        s->cert = read;
    }
    assert_true(sim_pem(s->root, &s->root_pem, NULL));
}

/* --- the peer --- */

static inline int peer_protocol(SSL *ssl, const unsigned char **out, unsigned char *n,
                                const unsigned char *in, unsigned in_len, void *context)
{
    const struct lie *lie = context;

    (void)ssl;
    (void)in;
    (void)in_len;
    *out = (const unsigned char *)lie->protocol;
    *n = (unsigned char)strlen(lie->protocol);
    return SSL_TLSEXT_ERR_OK;
}

static inline void peer_open(struct stage *s)
{
    const struct lie *lie = s->lie;
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());

    assert_non_null(c);
    assert_int_equal(SSL_CTX_use_certificate(c, s->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(c, s->key), 1);
    if (!lie->without_issuer)
        assert_int_equal(SSL_CTX_add1_chain_cert(c, s->issuer), 1);
    if (lie->version)
        assert_int_equal(SSL_CTX_set_max_proto_version(c, lie->version), 1);
    if (lie->protocol)
        SSL_CTX_set_alpn_select_cb(c, peer_protocol, (void *)(uintptr_t)lie);
    if (lie->tickets)
        assert_true(SSL_CTX_set_max_early_data(c, 16384) == 1 &&
                    SSL_CTX_set_session_id_context(c, (const unsigned char *)"stage", 5) == 1);
    else
        assert_int_equal(SSL_CTX_set_num_tickets(c, 0), 1);
    s->server_context = c;
}

static inline void peer_accept(struct stage *s)
{
    struct peer *p = &s->here->peer;

    SSL_free(p->ssl);
    p->ssl = SSL_new(s->server_context);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    assert_true(p->ssl && p->in && p->out);
    (void)BIO_set_mem_eof_return(p->in, -1);
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_accept_state(p->ssl);
    p->up = p->failed = p->spoke = false;
    s->here->answered = s->here->hung_up = false;
    buf_reset(&s->here->request);
}

static inline void peer_write(struct stage *s, struct view bytes)
{
    size_t wrote;

    while (bytes.len) {
        assert_int_equal(SSL_write_ex(s->here->peer.ssl, bytes.at, bytes.len, &wrote), 1);
        bytes = view_skip(bytes, wrote);
    }
}

/* --- the stage --- */

static inline void stage_entered(void *context, enum atls_phase phase)
{
    struct stage *s = context;
    size_t n = strlen(s->phases);

    assert_true(n + 1 < sizeof s->phases);
    s->phases[n] = "HQCVD"[phase];
}

static inline void stage_client(struct stage *s, const char *name)
{
    const struct atls_client_options options = {
        .context = s->client_context,
        .policy = s->policy,
        .editions = s->known,
        .server_name = name,
        .entered = stage_entered,
        .context_of_entered = s,
    };

    memset(s->phases, 0, sizeof s->phases);
    atls_client_free(s->client);
    s->client = NULL;
    assert_true(atls_client_new(&options, &s->client, &s->w.err));
}

/* A connection anew, of the same client and the same server. */
static inline void stage_connect(struct stage *s, const char *name)
{
    peer_accept(s);
    stage_client(s, name);
    s->name = name;
    s->far.open = s->far.ends = false;
    buf_reset(&s->far.in);
    buf_reset(&s->far.out);
}

static inline void side_open(struct side *side)
{
    buf_init(&side->request, 1 << 16, "request");
    buf_init(&side->first_answer, 1 << 22, "answer");
    buf_init(&side->held, 1 << 22, "held");
}

static inline void side_close(struct side *side)
{
    SSL_free(side->peer.ssl);
    buf_done(&side->request);
    buf_done(&side->first_answer);
    buf_done(&side->held);
}

static inline void stage_open_as(struct stage *s, const struct lie *lie, const char *name,
                                 const char *test)
{
    struct session_client_options options = {.any_certificate = false};
    unsigned n;

    memset(s, 0, sizeof *s);
    s->lie = lie;
    s->here = &s->near;
    world_open_as(&s->w, 4, test);
    buf_init(&s->root_pem, 1 << 16, "pem");
    buf_init(&s->far.in, 1 << 22, "to the client elsewhere");
    buf_init(&s->far.out, 1 << 22, "from the client elsewhere");
    side_open(&s->near);
    side_open(&s->far.side);
    stage_certificates(s);
    peer_open(s);
    options.roots = buf_view(&s->root_pem);
    assert_true(session_client_context(&options, &s->client_context, NULL));
    assert_int_equal(
        X509_digest(lie->issuer_event ? s->issuer : s->cert, EVP_sha256(), s->w.leaf, &n), 1);
    s->w.leaf[0] ^= lie->other_event;
    assert_true(sim_guest_certificate(s->w.guest, s->w.leaf, NULL));
    assert_true(policy_parse(buf_view(&s->w.policy), &s->policy, &s->w.err));
    s->known = calloc(1, sizeof *s->known);
    assert_non_null(s->known);
    stage_connect(s, name);
}
#define stage_open(s, lie, name) stage_open_as(s, lie, name, __func__)

static inline void stage_close(struct stage *s)
{
    atls_client_free(s->client);
    free(s->known);
    side_close(&s->near);
    side_close(&s->far.side);
    SSL_CTX_free(s->server_context);
    session_context_unref(s->client_context);
    policy_free(s->policy);
    buf_done(&s->root_pem);
    buf_done(&s->far.in);
    buf_done(&s->far.out);
    X509_free(s->root);
    X509_free(s->issuer);
    X509_free(s->cert);
    EVP_PKEY_free(s->root_key);
    EVP_PKEY_free(s->issuer_key);
    EVP_PKEY_free(s->key);
    world_close(&s->w);
}

/* --- the answer --- */

static inline void put_text(struct json_writer *w, const char *key, struct view text)
{
    json_key(w, key);
    json_text(w, text);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: @\r\n\r\n"

static inline void put_head(const char *form, size_t len, struct buf *out)
{
    const char *at = strchr(form, '@');

    assert_true(at ? buf_appendf(out, NULL, "%.*s%zu%s", (int)(at - form), form, len, at + 1)
                   : buf_append_str(out, form, NULL));
}

static inline bool bind_rightly(struct view nonce, struct view exporter, uint8_t *out)
{
    const struct view pieces[] = {nonce, exporter};

    return digest_sha512(pieces, 2, out);
}

/* right: what it should be; bound: what it is. */
static inline void report_data_of(struct stage *s, struct view nonce_body, uint8_t *right,
                                  uint8_t *bound)
{
    const struct lie *lie = s->lie;
    const char *label = lie->label ? lie->label : "EXPORTER-Channel-Binding";
    size_t n = lie->exporter_bytes ? lie->exporter_bytes : 32;
    uint8_t nonce[32], exporter[64];
    struct view nonce_view = view_from(nonce, sizeof nonce);

    assert_true(exchange_nonce(nonce_body, nonce, NULL));
    assert_int_equal(SSL_export_keying_material(s->here->peer.ssl, exporter, 32,
                                                "EXPORTER-Channel-Binding", 24, NULL, 0, 0),
                     1);
    assert_true(bind_rightly(nonce_view, view_from(exporter, 32), right));
    assert_int_equal(SSL_export_keying_material(s->here->peer.ssl, exporter, n, label,
                                                strlen(label), (const unsigned char *)lie->context,
                                                lie->context ? strlen(lie->context) : 0,
                                                lie->context != NULL),
                     1);
    nonce[0] ^= lie->other_nonce;
    exporter[0] ^= lie->other_session;
    assert_true((lie->bind ? lie->bind : bind_rightly)(nonce_view, view_from(exporter, n), bound));
}

static inline void staple(struct stage *s, struct json_writer *w)
{
    struct sim_platform *mine = s->w.platform;
    struct buf json;

    buf_init(&json, 1 << 20, "staple");
    if (s->lie->old_staple)
        mine->recipe.now_s -= 86400 * 90;
    if (s->lie->other_staple)
        assert_true(sim_platform_new(&mine->recipe, &s->w.platform, NULL));
    assert_true(sim_collateral(s->w.platform, &json, NULL));
    if (s->lie->other_staple)
        sim_platform_free(s->w.platform);
    s->w.platform = mine;
    if (s->lie->old_staple)
        mine->recipe.now_s += 86400 * 90;
    json_key(w, "collateral");
    json_raw(w, buf_view(&json));
    buf_done(&json);
}

static inline void answer_body(struct stage *s, struct view nonce_body, struct buf *body)
{
    uint8_t right[64], bound[64];
    struct buf quote, log;
    struct json_writer w;
    char hex[129];

    report_data_of(s, nonce_body, right, bound);
    buf_init(&quote, 1 << 17, "quote");
    buf_init(&log, 1 << 20, "log");
    assert_true(sim_quote(s->w.platform, &s->w.guest->td, 4, bound, 70, &quote, NULL));
    assert_true(sim_guest_log(s->w.guest, false, &log, NULL));
    json_begin(&w, body);
    json_object(&w);
    json_key(&w, "success");
    json_bool(&w, !s->lie->failed);
    json_key(&w, "quote");
    json_object(&w);
    json_key(&w, "quote");
    json_hex(&w, buf_view(&quote));
    json_key(&w, "event_log");
    if (s->lie->array)
        json_raw(&w, buf_view(&log));
    else
        json_text(&w, buf_view(&log));
    if (s->lie->tells_report_data) {
        hex_encode(view_from(right, 64), hex);
        put_text(&w, "report_data", view_str(hex));
    }
    json_object_end(&w);
    json_key(&w, "tcb_info");
    json_null(&w);
    if (!s->lie->no_staple)
        staple(s, &w);
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    buf_done(&quote);
    buf_done(&log);
}

static inline void peer_answer(struct stage *s, struct view nonce_body)
{
    const struct lie *lie = s->lie;
    struct view whole;
    struct buf body, answer;
    bool half = lie->ends || lie->breaks_off;

    buf_init(&body, 1 << 22, "body");
    buf_init(&answer, 1 << 22, "answer");
    if (lie->raw.at)
        assert_true(buf_append(&body, lie->raw, NULL));
    else if (lie->body)
        assert_true(buf_append_str(&body, lie->body, NULL));
    else
        answer_body(s, nonce_body, &body);
    if (!lie->whole)
        put_head(lie->head ? lie->head : HEAD, buf_len(&body), &answer);
    assert_true(
        buf_append(&answer, view_first(buf_view(&body), buf_len(&body) / (half ? 2 : 1)), NULL));
    if (lie->behind)
        assert_true(buf_append_str(&answer, lie->behind, NULL));
    if (lie->replays && !buf_len(&s->here->first_answer))
        assert_true(buf_append(&s->here->first_answer, buf_view(&answer), NULL));
    whole = lie->replays ? buf_view(&s->here->first_answer) : buf_view(&answer);
    peer_write(s, whole);
    if (lie->ends)
        (void)SSL_shutdown(s->here->peer.ssl);
    s->here->hung_up = lie->breaks_off;
    buf_done(&body);
    buf_done(&answer);
}

/* --- the play --- */

/* Right behind the server's own Finished, before the client's has come. */
static inline void peer_speak_early(struct stage *s)
{
    const char *early = s->lie->early;
    uint8_t none[16];
    size_t n;

    if (s->here->peer.spoke ||
        SSL_read_early_data(s->here->peer.ssl, none, sizeof none, &n) != SSL_READ_EARLY_DATA_FINISH)
        return;
    assert_int_equal(SSL_write_early_data(s->here->peer.ssl, early, strlen(early), &n), 1);
    s->here->peer.spoke = true;
}

/* The server's turn: handshake, then the request, once it is whole. */
static inline void peer_serve(struct stage *s)
{
    struct peer *p = &s->here->peer;

    if (s->lie->babble.at && !p->failed) {
        p->failed = true;
        assert_true(BIO_write(p->out, s->lie->babble.at, (int)s->lie->babble.len) > 0);
    }
    if (!p->up && !p->failed) {
        int result;

        if (s->lie->early)
            peer_speak_early(s);
        if (s->lie->early && !p->spoke)
            return;
        result = SSL_do_handshake(p->ssl);
        p->up = result == 1;
        p->failed = result != 1 && SSL_get_error(p->ssl, result) == SSL_ERROR_SSL;
    }
    while (p->up) {
        uint8_t bytes[4096];
        size_t n;

        if (SSL_read_ex(p->ssl, bytes, sizeof bytes, &n) != 1)
            break;
        assert_true(buf_append(&s->here->request, view_from(bytes, n), NULL));
    }
    if (!s->here->answered && buf_len(&s->here->request)) {
        struct view all = buf_view(&s->here->request);
        const uint8_t *blank = memmem(all.at, all.len, "\r\n\r\n", 4);

        assert_non_null(blank);
        s->here->answered = true;
        peer_answer(s, view_skip(all, (size_t)(blank - all.at) + 4));
    }
}

/* --- the client whose turn it is --- */

static inline bool stage_is_far(const struct stage *s)
{
    return s->here == &s->far.side;
}

static inline enum atls_step stage_step(struct stage *s)
{
    enum atls_step step;

    if (!stage_is_far(s))
        return atls_client_step(s->client, s->w.now_s, STAGE_NOW_MS);
    step = wire_step(buf_view(&s->far.in), s->far.ends, &s->far.out);
    buf_reset(&s->far.in);
    return step;
}

static inline struct view stage_output(struct stage *s)
{
    return stage_is_far(s) ? buf_view(&s->far.out) : atls_client_output(s->client);
}

static inline void stage_sent(struct stage *s, size_t n)
{
    if (stage_is_far(s))
        buf_eat(&s->far.out, n);
    else
        atls_client_sent(s->client, n);
}

static inline void stage_feed(struct stage *s, struct view bytes)
{
    assert_true(stage_is_far(s) ? buf_append(&s->far.in, bytes, NULL)
                                : atls_client_feed(s->client, bytes));
}

static inline void stage_feed_end(struct stage *s)
{
    if (stage_is_far(s))
        s->far.ends = true;
    else
        atls_client_feed_end(s->client);
}

/* One turn of both. False: the client has an opinion, *step. */
static inline bool stage_turn(struct stage *s, struct buf *to_client, enum atls_step *step)
{
    struct view to_server;
    uint8_t *room;
    size_t n, sent;

    *step = stage_step(s);
    if (*step != ATLS_WANT_READ)
        return false;
    to_server = stage_output(s);
    sent = to_server.len;
    if (sent)
        assert_int_equal(BIO_write(s->here->peer.in, to_server.at, (int)sent), (int)sent);
    stage_sent(s, sent);
    peer_serve(s);
    n = BIO_ctrl_pending(s->here->peer.out);
    if (n) {
        struct buf fresh;

        buf_init(&fresh, 1 << 22, "fresh");
        assert_true(buf_room(&fresh, n, &room, NULL));
        assert_int_equal(BIO_read(s->here->peer.out, room, (int)n), (int)n);
        buf_wrote(&fresh, n);
        if (s->lie->meddle)
            s->lie->meddle(s, &fresh);
        assert_true(buf_append(to_client, buf_view(&fresh), NULL));
        buf_done(&fresh);
    }
    n = buf_len(to_client);
    if (s->lie->cut && n > s->lie->cut)
        n = s->lie->cut;
    stage_feed(s, view_first(buf_view(to_client), n));
    buf_eat(to_client, n);
    if (!sent && !n)
        stage_feed_end(s);
    return true;
}

static inline enum atls_step stage_turns_here(struct stage *s, unsigned turns)
{
    enum atls_step step = ATLS_WANT_READ;
    struct buf to_client;

    buf_init(&to_client, 1 << 22, "to the client");
    while (turns-- && stage_turn(s, &to_client, &step))
        ;
    buf_done(&to_client);
    return step;
}

/* --- the client elsewhere --- */

/* It knows of no editions. */
static inline bool stage_has_far(const struct stage *s)
{
    return wire_on() && !s->known->count;
}

/* roots: empty: nobody. */
static inline void far_hears(const char *test, const char *name, struct view policy,
                             struct view roots, int64_t now_s, struct buf *out)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, 1 << 20, "stage");
    json_begin(&w, &json);
    json_object(&w);
    put_text(&w, "test", view_str(test));
    put_text(&w, "server_name", view_str(name));
    put_text(&w, "policy", policy);
    put_text(&w, "roots", roots);
    json_key(&w, "now_s");
    json_i64(&w, now_s);
    json_key(&w, "now_ms");
    json_i64(&w, STAGE_NOW_MS);
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    assert_int_equal(wire_open(buf_view(&json), out), ATLS_WANT_READ);
    buf_done(&json);
}

static inline void far_open(struct stage *s)
{
    s->far.open = true;
    peer_accept(s);
    far_hears(s->w.test, s->name, buf_view(&s->w.policy), buf_view(&s->root_pem), s->w.now_s,
              &s->far.out);
}

/* What another's client says that it has proved is judged by this library, too. */
static inline void far_receipt(struct stage *s, struct view text)
{
    struct receipt_judge judge = {.trust = s->w.trust};
    struct attestation *a = NULL;
    struct receipt *r = NULL;
    struct attest_err err;

    if (!receipt_parse(text, &r, &err) || !receipt_verify(r, &judge, &a, &err))
        fail_msg("the receipt from elsewhere: %s", err.text);
    attestation_free(a);
    receipt_free(r);
}

static inline void far_told(enum atls_step step, const struct attest_err *error,
                            const struct attestation *a, struct buf *receipt)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, 1 << 22, "told");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "step");
    json_i64(&w, (int)step);
    json_key(&w, "error");
    report_write_error(error, &w);
    json_key(&w, "report");
    report_write(a, &w);
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    wire_told(buf_view(&json), receipt);
    buf_done(&json);
}

/* What the client at hand came to, which the one elsewhere must have come to as well. */
static inline void far_compare(struct stage *s, enum atls_step step)
{
    struct buf receipt;

    buf_init(&receipt, RECEIPT_BYTES_MAX, "receipt");
    far_told(step, step == ATLS_FAILED ? atls_client_error(s->client) : NULL,
             step == ATLS_ATTESTED ? atls_client_attestation(s->client) : NULL, &receipt);
    if (buf_len(&receipt))
        far_receipt(s, buf_view(&receipt));
    buf_done(&receipt);
}

/* Plays the same to the client elsewhere as was played to the one at hand. */
static inline void far_turns(struct stage *s, unsigned turns, enum atls_step step)
{
    s->here = &s->far.side;
    if (!s->far.open)
        far_open(s);
    (void)stage_turns_here(s, turns);
    s->here = &s->near;
    far_compare(s, step);
}

/* A name that the client at hand does not take, and what it said. */
static inline void far_name(const char *test, const char *name, const struct policy *policy,
                            const struct attest_err *error)
{
    struct buf out;

    if (!wire_on())
        return;
    buf_init(&out, 1 << 20, "nothing");
    far_hears(test, name, buf_view(&policy->text), VIEW(""), WORLD_NOW_S, &out);
    (void)wire_step(VIEW(""), false, &out);
    far_told(ATLS_FAILED, error, NULL, &out);
    assert_int_equal(buf_len(&out), 0);
    buf_done(&out);
}

/* To both. */
static inline void stage_give(struct stage *s, struct view json)
{
    struct collateral *read;

    assert_true(collateral_parse(json, &read, &s->w.err));
    atls_client_give_collateral(s->client, read);
    if (stage_has_far(s))
        assert_int_equal(wire_give(json, &s->far.out), ATLS_WANT_READ);
}

/* On the same connection, with all that the server knows. */
static inline void stage_again(struct stage *s)
{
    struct side *const sides[] = {&s->near, &s->far.side};

    assert_true(atls_client_reattest(s->client));
    if (stage_has_far(s))
        assert_int_equal(wire_again(&s->far.out), ATLS_WANT_READ);
    for (size_t i = 0; i < COUNT(sides); i++) {
        sides[i]->answered = false;
        buf_reset(&sides[i]->request);
    }
}

/* At most so many turns; bytes go to and fro until the client has an opinion. */
static inline enum atls_step stage_turns(struct stage *s, unsigned turns)
{
    enum atls_step step = stage_turns_here(s, turns);

    if (stage_has_far(s))
        far_turns(s, turns, step);
    return step;
}

static inline enum atls_step stage_run(struct stage *s)
{
    return stage_turns(s, 200000);
}

/* The server is gone, without a word of TLS, wherever its clients are. */
static inline enum atls_step stage_ends(struct stage *s)
{
    enum atls_step step;

    atls_client_feed_end(s->client);
    step = atls_client_step(s->client, s->w.now_s, STAGE_NOW_MS);
    if (stage_has_far(s)) {
        (void)wire_step(buf_view(&s->far.in), true, &s->far.out);
        far_compare(s, step);
    }
    return step;
}

/* --- a lie is a test of its own, by its name: a row of the table in main --- */

struct told {
    const char *test;
    struct lie lie;
    const char *name; /* of the server; NULL: tee.test */
    enum attest_code code;
};

static inline void lie_test(void **state)
{
    const struct told *t = *state;
    enum atls_step step;
    struct stage s;

    stage_open_as(&s, &t->lie, t->name ? t->name : "tee.test", t->test);
    step = stage_run(&s);
    if (step != ATLS_FAILED || atls_client_error(s.client)->code != t->code)
        fail_msg("step %d, wanted %s, got %s: %s", (int)step, attest_code_name(t->code),
                 attest_code_name(atls_client_error(s.client)->code),
                 atls_client_error(s.client)->text);
    assert_null(atls_client_attestation(s.client));
    assert_false(atls_client_write(s.client, VIEW("GET"), NULL));
    stage_close(&s);
}

#define LIE_FAULT_BY(f, error, server, ...)                                          \
    {                                                                                \
        .name = #f, .test_func = lie_test, .initial_state = &(struct told)           \
        {                                                                            \
            .test = #f, .lie = {__VA_ARGS__}, .name = server, .code = ATTEST_##error \
        }                                                                            \
    }
#define LIE_FAULT(f, error, ...) LIE_FAULT_BY(f, error, NULL, __VA_ARGS__)
