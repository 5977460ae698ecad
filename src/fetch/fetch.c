#include "fetch/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/pcs.h"
#include "attest/policy.h"
#include "base/clock.h"
#include "base/codec.h"
#include "fetch/fetch_priv.h"

#include "base/poison.h"

enum {
    URL_BYTES = 1024,
    PCK_PATH_BYTES = 1200,
    TCBM_ROOM = 2 * CERTIFICATION_TCBM_BYTES + 1,
};

/* One answer. */
struct answer {
    struct buf body, chain; /* chain: the issuer chain of its header, percent-encoded */
    char tcbm[TCBM_ROOM];   /* which TCB a PCK certificate is for, of its header; empty: not told */
};

/* All that one piece of collateral is made of. */
struct fetching {
    CURL *curl;
    const struct fetch_options *options;
    const struct collateral_need *need;
    char base[URL_BYTES];
    struct attest_err *err;
    struct answer pck, parts[PCS_PARTS];
};

static size_t take_body(char *at, size_t size, size_t count, void *context)
{
    struct answer *a = context;

    return buf_append(&a->body, view_from(at, size * count), NULL) ? size * count : 0;
}

/* Of interest are the field whose name ends in "Issuer-Chain", which is PEM, percent-encoded, and SGX-TCBm. */
static size_t take_field(char *at, size_t size, size_t count, void *context)
{
    static const char tail[] = "issuer-chain";
    struct answer *a = context;
    struct view line = view_from(at, size * count), name, value;
    size_t colon = view_find(line, ':');

    name = view_first(line, colon);
    value = view_skip(line, colon + 1);
    while (value.len && (value.at[value.len - 1] == '\n' || value.at[value.len - 1] == '\r'))
        value.len--;
    value = view_trim_ows(value);
    if (view_eq_nocase(name, VIEW("SGX-TCBm")))
        (void)snprintf(a->tcbm, sizeof a->tcbm, "%.*s", VIEW_ARG(value));
    if (colon == line.len || name.len < sizeof tail - 1 ||
        !view_eq_nocase(view_skip(name, name.len - (sizeof tail - 1)), view_str(tail)))
        return size * count;
    buf_reset(&a->chain);
    return buf_append(&a->chain, value, NULL) ? size * count : 0;
}

static void answer_done(struct answer *a)
{
    buf_done(&a->body);
    buf_done(&a->chain);
}

/* What names a machine in a URL is left out. */
static bool failed(struct fetching *f, const char *url, const char *why)
{
    const char *names = strstr(url, "?qeid=");
    int n = (int)(names ? (size_t)(names - url) : strlen(url));

    return attest_fail_plain(f->err, ATTEST_COLLATERAL_FETCH,
                             "quote verification failed: Failed to get collateral: %.*s: %s", n,
                             url, why);
}

static bool get(struct fetching *f, const char *url, struct answer *a)
{
    char why[128];
    CURLcode code;
    long status = 0;

    buf_init(&a->body, FETCH_BODY_MAX, "answer");
    buf_init(&a->chain, PCS_CHAIN_MAX, "issuer chain");
    if (!policy_url_good(url))
        return failed(f, "its URL", "https only (http to this machine), without user and password");
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(f->curl, CURLOPT_HEADERDATA, a);
    code = curl_easy_perform(f->curl);
    if (code != CURLE_OK)
        return failed(f, url, curl_easy_strerror(code));
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200)
        return true;
    (void)snprintf(why, sizeof why, "status %ld", status);
    return failed(f, url, why);
}

static bool get_path(struct fetching *f, struct answer *a, const char *path)
{
    char url[URL_BYTES + PCK_PATH_BYTES];

    (void)snprintf(url, sizeof url, "%s%s", f->base, path);
    return get(f, url, a);
}

/* out: two digits for each byte, and a NUL. */
static void upper_hex(struct view bytes, char *out)
{
    hex_encode(bytes, out);
    for (char *c = out; *c; c++)
        if (*c >= 'a')
            *c = (char)(*c - 'a' + 'A');
}

static bool ends_line(const struct buf *b)
{
    struct view v = buf_view(b);

    return v.at && v.len && v.at[v.len - 1] == '\n';
}

/* The PCK's chain, leaf first, for a quote that does not have it; and with it the platform's family. */
static bool get_pck(struct fetching *f, const struct pck_request *r, struct collateral_need *need)
{
    char path[PCK_PATH_BYTES], qeid[2 * CERTIFICATION_QEID_BYTES + 1];
    char ppid[2 * CERTIFICATION_PPID_MAX + 1], tcbm[TCBM_ROOM], pceid[5];

    upper_hex(view_from(r->qeid, sizeof r->qeid), qeid);
    upper_hex(view_from(r->encrypted_ppid, r->ppid_len), ppid);
    upper_hex(view_from(r->tcbm, sizeof r->tcbm), tcbm);
    upper_hex(view_from(r->pceid, sizeof r->pceid), pceid);
    (void)snprintf(path, sizeof path,
                   "/sgx/certification/v4/pckcert?qeid=%s&encrypted_ppid=%s&cpusvn=%.32s&pcesvn=%s"
                   "&pceid=%s",
                   qeid, ppid, tcbm, tcbm + 2 * (size_t)SVN_COUNT, pceid);
    if (!get_path(f, &f->pck, path))
        return false;
    if (!view_eq_nocase(view_str(f->pck.tcbm), view_str(tcbm)))
        return failed(f, "pckcert",
                      "the certificate is for another TCB than the quote names (SGX-TCBm)");
    /* Lines of PEM, one certificate behind the other. */
    if (!f->pck.body.area ||
        !buf_append_str(&f->pck.body, ends_line(&f->pck.body) ? "" : "\n", NULL) ||
        !pcs_decode(buf_view(&f->pck.chain), &f->pck.body))
        return failed(f, "pckcert", "no certificate, or one that is too long");
    return dcap_need_of(buf_view(&f->pck.body), need, f->err);
}

static bool get_part(struct fetching *f, enum pcs_part part)
{
    char path[PCS_PATH_BYTES];

    pcs_path(f->need, part, path);
    return get_path(f, &f->parts[part], path);
}

/* In hex from a PCCS, in DER from where the root itself points; Intel's own service has no path for it. */
static bool get_root_crl(struct fetching *f)
{
    bool intel = view_starts(view_str(f->base), VIEW(POLICY_INTEL_PCS));
    struct answer *a = &f->parts[PCS_ROOT_CRL];
    char url[PCS_URL_BYTES];

    if (!intel && get_part(f, PCS_ROOT_CRL) && a->body.area)
        return true;
    answer_done(a);
    if (!pcs_root_crl_url(buf_view(&f->parts[PCS_QE_IDENTITY].chain), url))
        return failed(f, f->base, "no CRL of the root, and its certificate names none");
    return get(f, url, a);
}

static bool get_all(struct fetching *f)
{
    for (enum pcs_part part = 0; part < PCS_ROOT_CRL; part++)
        if (!get_part(f, part))
            return false;
    return get_root_crl(f);
}

/* Through text and back, so that what is kept is what was read. */
static bool assemble(struct fetching *f, const char *cache_file, struct collateral **out)
{
    struct pcs_answer parts[PCS_PARTS];
    struct buf json;
    bool good;

    for (unsigned i = 0; i < PCS_PARTS; i++)
        parts[i] = (struct pcs_answer){buf_view(&f->parts[i].body), buf_view(&f->parts[i].chain)};
    buf_init(&json, COLLATERAL_BYTES_MAX, "collateral");
    good = pcs_assemble(parts, &json, f->err) && collateral_parse(buf_view(&json), out, f->err);
    if (good && cache_file)
        cache_store(cache_file, buf_view(&json));
    buf_done(&json);
    return good;
}

static void prepare(struct fetching *f)
{
    CURL *c = f->curl;

    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)f->options->timeout_ms);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_field);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "postern");
    if (f->options->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, f->options->ca_file);
}

/* Whatever it says, closed. */
static bool opened(struct fetching *f)
{
    struct view base = pcs_base(view_str(f->options->url));

    if (base.len >= sizeof f->base)
        return failed(f, "the service's URL", "too long");
    memcpy(f->base, base.at, base.len);
    f->curl = curl_easy_init();
    if (!f->curl)
        return attest_fail(f->err, ATTEST_MEMORY, "no memory for a request");
    prepare(f);
    return true;
}

static void closed(struct fetching *f)
{
    curl_easy_cleanup(f->curl);
    answer_done(&f->pck);
    for (unsigned i = 0; i < PCS_PARTS; i++)
        answer_done(&f->parts[i]);
}

/* From the service. */
static bool ask(const struct fetch_options *options, const struct collateral_need *need,
                const char *cache_file, struct collateral **out, struct attest_err *err)
{
    struct fetching f = {.options = options, .need = need, .err = err};
    bool good = opened(&f) && get_all(&f) && assemble(&f, cache_file, out);

    closed(&f);
    return good;
}

/* Unless somebody has just been told that it cannot be had. */
static bool ask_in_turn(const struct fetch_options *options, const struct collateral_need *need,
                        const char *path, int turn, struct collateral **out, struct attest_err *err)
{
    char why[ATTEST_TEXT_BYTES];
    int64_t ago_s;
    bool good;

    if (cache_failed(turn, options->now_s, why, sizeof why, &ago_s))
        return attest_fail_plain(err, ATTEST_COLLATERAL_FETCH,
                                 "%s (%lld s ago; it is asked again %d s after a failure)", why,
                                 (long long)(ago_s > 0 ? ago_s : 0), FETCH_FAILURE_S);
    good = ask(options, need, path, out, err);
    cache_turn_tell(turn, good ? NULL : err->text);
    return good;
}

/* What is said of a family of platforms: kept, or fetched. */
static bool family(const struct fetch_options *options, const struct collateral_need *need,
                   struct collateral **out, struct attest_err *err)
{
    uint64_t start_ms = clock_monotonic_ms(&clock_system);
    struct fetch_options now = *options;
    char path[URL_BYTES];
    int turn;

    if (!cache_path(options, need, path, sizeof path))
        return ask(options, need, NULL, out, err);
    *out = options->anew ? NULL : cache_load(path, options->now_s, false);
    if (*out)
        return true;
    turn = cache_turn(options, path);
    now.now_s += (int64_t)(clock_monotonic_ms(&clock_system) - start_ms) / 1000;
    /* Whoever was before us may have fetched it; and an old one is better than none. */
    if (!options->anew)
        *out = cache_load(path, now.now_s, false);
    if (!*out && !ask_in_turn(&now, need, path, turn, out, err) && !options->anew)
        *out = cache_load(path, now.now_s, true);
    cache_turn_end(turn);
    return *out != NULL;
}

/* --- one platform --- */

/* The same collateral with the PCK's chain: that belongs to one platform, and is not kept. */
static bool add_chain(struct view pem, struct collateral **collateral, struct attest_err *err)
{
    struct collateral with = **collateral, *both = NULL;
    struct json_writer w;
    struct buf json;
    struct err why;
    bool good;

    with.pck_certificate_chain = pem;
    buf_init(&json, COLLATERAL_BYTES_MAX, "collateral");
    json_begin(&w, &json);
    collateral_write(&with, &w);
    good = json_end(&w, &why) ? collateral_parse(buf_view(&json), &both, err)
                              : attest_fail(err, ATTEST_MEMORY, "%s", why.text);
    buf_done(&json);
    if (!good)
        return false;
    collateral_free(*collateral);
    *collateral = both;
    return true;
}

bool fetch_collateral(const struct fetch_options *options, const struct collateral_need *need,
                      struct collateral **out, struct attest_err *err)
{
    CLEANUP(collateral_free_cleanup) struct collateral *c = NULL;
    struct collateral_need known = *need;
    struct fetching f = {.options = options, .need = &known, .err = err};
    bool good;

    if (!need->has_request)
        return family(options, need, out, err);
    good = opened(&f) && get_pck(&f, &need->request, &known) && family(options, &known, &c, err) &&
           c && add_chain(buf_view(&f.pck.body), &c, err);
    closed(&f);
    if (good)
        *out = take(c);
    return good;
}
