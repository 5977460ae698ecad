/* atls bench verify: one quote, verified again and again, in turn with as many bare signature checks as it holds: so both meet
 * the same machine. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "atls_cli/bench.h"
#include "atls_cli/evidence.h"
#include "base/clock.h"
#include "base/command.h"

#include "base/poison.h"

/* Of the root CA's CRL, the PCK CA's CRL, the PCK certificate and its CA, the signer of the two documents, both documents, the
 * quoting enclave's report, the quote. The last two are all that a second quote of the same platform has of its own. */
enum { SIGNATURES = 9, SIGNATURES_KNOWN = 2, WARM_UP = 5, TEXT_MAX = 64 * 1024 };

struct config {
    struct evidence_config evidence;
    uint32_t count;
    uint64_t for_ms;
    bool json;
};

#define ROW(field, k, text, ...)                                                       \
    {                                                                                  \
        .name = text, .kind = k, .offset = offsetof(struct config, field), __VA_ARGS__ \
    }

static const struct setting rows[] = {
    EVIDENCE_ROWS,
    ROW(count, SETTING_U32, "count", .group = "How often", .fallback = "0",
        .most = BENCH_SAMPLES_MAX,
        .help = "So many verifications of each kind; 0: as --seconds says"),
    ROW(for_ms, SETTING_DURATION, "seconds", .group = "How often", .fallback = "3s", .least = 1,
        .help = "As many as come to an end in this time, the signature checks included"),
    ROW(json, SETTING_BOOL, "json", .group = "Output", .help = "Print one JSON object"),
};

static const struct settings_program program = {
    .name = "atls bench verify",
    .prefix = "ATLS_BENCH_VERIFY_",
    .summary = "Verifies QUOTE as \"atls verify\" does, again and again on one CPU, with the files "
               "read and the collateral parsed: from the start, and knowing the collateral from "
               "before, as a client that stays does. In turn with that it checks, by OpenSSL alone "
               "and with the key at hand, as many P-256 signatures as one verification rests on: "
               "none by OpenSSL can be faster.",
    .usage = "atls bench verify QUOTE --collateral FILE [--policy FILE] [--count N | --seconds S]",
    .epilogue = "Exit status: 0 measured; 1 refused; 2 usage.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "QUOTE",
    .words_least = 1,
    .words_most = 1,
};

/* One signature by a key of this run. */
struct bare {
    EVP_PKEY *key;
    EVP_PKEY_CTX *check;
    uint8_t digest[32], signature[80];
    size_t len;
};

static bool bare_new(struct bare *b, struct err *err)
{
    EVP_PKEY_CTX *sign;

    *b = (struct bare){.digest = {1}, .len = sizeof b->signature};
    b->key = EVP_EC_gen("P-256");
    b->check = b->key ? EVP_PKEY_CTX_new(b->key, NULL) : NULL;
    sign = b->key ? EVP_PKEY_CTX_new(b->key, NULL) : NULL;
    if (b->check && sign && EVP_PKEY_sign_init(sign) == 1 &&
        EVP_PKEY_sign(sign, b->signature, &b->len, b->digest, sizeof b->digest) == 1 &&
        EVP_PKEY_verify_init(b->check) == 1) {
        EVP_PKEY_CTX_free(sign);
        return true;
    }
    EVP_PKEY_CTX_free(sign);
    return err_set(err, ERR_INTERNAL, "OpenSSL makes no P-256 signature");
}

static void bare_done(struct bare *b)
{
    EVP_PKEY_CTX_free(b->check);
    EVP_PKEY_free(b->key);
}

static bool bare_check(const struct bare *b, unsigned count, struct err *err)
{
    for (unsigned i = 0; i < count; i++)
        if (EVP_PKEY_verify(b->check, b->signature, b->len, b->digest, sizeof b->digest) != 1)
            return err_set(err, ERR_INTERNAL, "OpenSSL refuses its own signature");
    return true;
}

struct run {
    const struct evidence *evidence;
    struct bare bare;
    unsigned signatures;
    struct bench_limit limit;
    struct dcap_cache *cache; /* of the verifications that know */
    struct bench_series verify, known, checks;
    struct attest_err why; /* refused */
};

static bool refused(const struct run *r, struct err *err)
{
    return err_set(err, ERR_DENIED, "refused: %s [%s]", r->why.text, attest_code_name(r->why.code));
}

/* cache: NULL: from the start. */
static bool once(struct run *r, struct dcap_cache *cache, struct attestation **a, struct err *err)
{
    const struct evidence *e = r->evidence;
    struct attest_input input = e->input;

    input.cache = cache;
    return attest_verify(&input, e->policy, e->trust, a, &r->why) || refused(r, err);
}

static bool timed(struct run *r, struct dcap_cache *cache, struct bench_series *s, struct err *err)
{
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    uint64_t began = clock_monotonic_ns();

    return once(r, cache, &a, err) && bench_add(s, clock_monotonic_ns() - began, err);
}

static bool measure(struct run *r, struct err *err)
{
    bench_begin(&r->limit);
    while (bench_more(&r->limit, r->verify.count)) {
        uint64_t began;

        if (!timed(r, NULL, &r->verify, err) || !timed(r, r->cache, &r->known, err))
            return false;
        began = clock_monotonic_ns();
        if (!bare_check(&r->bare, r->signatures, err) ||
            !bench_add(&r->checks, clock_monotonic_ns() - began, err))
            return false;
    }
    bench_sort(&r->verify);
    bench_sort(&r->known);
    bench_sort(&r->checks);
    return true;
}

/* How much longer than so many bare signatures it takes. */
static double ratio(const struct run *r, const struct bench_series *s, unsigned signatures)
{
    return (double)bench_at(s, 50) * r->signatures / (double)bench_at(&r->checks, 50) / signatures;
}

static void write_kind(const struct run *r, struct json_writer *w, const char *name,
                       const struct bench_series *s, unsigned signatures)
{
    char number[32];

    (void)snprintf(number, sizeof number, "%.3f", ratio(r, s, signatures));
    json_key(w, name);
    json_object(w);
    json_key(w, "per_second");
    json_u64(w, bench_rate(s));
    json_key(w, "signatures");
    json_u64(w, signatures);
    json_key(w, "ratio");
    json_raw(w, view_str(number));
    bench_write(w, "time", s);
    json_object_end(w);
}

static bool print_json(const struct run *r, const struct attestation *a, struct err *err)
{
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, TEXT_MAX, "figures");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "status");
    json_text(&w, view_str(tcb_status_name(a->dcap.verdict.status)));
    json_key(&w, "simulated");
    json_bool(&w, a->simulated);
    write_kind(r, &w, "verification", &r->verify, r->signatures);
    write_kind(r, &w, "verification_known", &r->known, SIGNATURES_KNOWN);
    write_kind(r, &w, "bare_signatures", &r->checks, r->signatures);
    json_object_end(&w);
    good = bench_print_json(&w, &out, err);
    buf_done(&out);
    return good;
}

static void print_text(const struct run *r, const struct attestation *a)
{
    char name[32];

    (void)printf("%s quote, version %u%s, TCB %s: %zu verifications\n",
                 quote_tee_name(a->dcap.quote.tee), a->dcap.quote.version,
                 a->simulated ? ", of a SIMULATED platform" : "",
                 tcb_status_name(a->dcap.verdict.status), r->verify.count);
    (void)snprintf(name, sizeof name, "%u signatures", r->signatures);
    bench_print("from the start", &r->verify);
    bench_print("known before", &r->known);
    bench_print(name, &r->checks);
    (void)printf(
        "From the start it takes %.2f times its signatures, %llu can be made a second; with "
        "the collateral known, %.2f times the %d that are left, %llu a second.\n",
        ratio(r, &r->verify, r->signatures), (unsigned long long)bench_rate(&r->verify),
        ratio(r, &r->known, SIGNATURES_KNOWN), SIGNATURES_KNOWN,
        (unsigned long long)bench_rate(&r->known));
}

/* Warms up, and sees whether it verifies at all. */
static bool run(struct run *r, const struct config *c, struct err *err)
{
    CLEANUP(attestation_free_cleanup) struct attestation *a = NULL;
    struct attest_err why;

    if (!bare_new(&r->bare, err))
        return false;
    if (!dcap_cache_new(&r->cache, &why))
        return err_set(err, ERR_MEMORY, "%s", why.text);
    for (unsigned i = 0; i < 2 * WARM_UP; i++) {
        attestation_free(take(a));
        if (!once(r, i % 2 ? r->cache : NULL, &a, err))
            return false;
    }
    if (!measure(r, err))
        return false;
    if (c->json)
        return print_json(r, a, err);
    print_text(r, a);
    return true;
}

int cli_bench_verify(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    struct evidence evidence;
    struct run r = {.evidence = &evidence, .signatures = SIGNATURES};
    struct config config;
    struct err err;
    unsigned words;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    r.limit = (struct bench_limit){.count = config.count, .for_ms = config.for_ms};
    if (!evidence_read(&config.evidence, settings_words(settings, &words)[0], &evidence, &err)) {
        status = 2;
    } else {
        if (!view_eq(evidence.collateral->qe_identity_issuer_chain,
                     evidence.collateral->tcb_info_issuer_chain))
            r.signatures++; /* another signer's certificate */
        if (!run(&r, &config, &err))
            status = r.why.code ? 1 : err_exit_status(err.code);
    }
    if (status)
        (void)fprintf(stderr, "%s: %s\n", program.name, err.text);
    bare_done(&r.bare);
    dcap_cache_free(r.cache);
    bench_done(&r.verify);
    bench_done(&r.known);
    bench_done(&r.checks);
    evidence_done(&evidence);
    return status;
}
