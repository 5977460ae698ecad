#include "support/verdicts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/receipt.h"
#include "attest/report.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/json.h"

enum { PIECE_MAX = 64 << 20, LINE_MAX_BYTES = 16 << 10, BASES = 16 };

/* What is being written: a line, and the bytes behind it. */
struct question {
    struct buf line, bytes;
    struct json_writer w;
};

static struct {
    FILE *file;
    const char *test;
    struct atls_verifier *verifier;
    struct {
        const char *name;
        struct buf bytes;
    } bases[BASES];
} book;

bool verdicts_on(void)
{
    static int on = -1;

    if (on < 0)
        on = getenv("POSTERN_VERDICTS") != NULL;
    return on;
}

void verdicts_of(const char *test)
{
    book.test = test;
}

/* --- writing --- */

static void close_book(void)
{
    for (size_t i = 0; i < BASES; i++)
        buf_done(&book.bases[i].bytes);
    atls_verifier_free(book.verifier);
    CHECK(fclose(book.file) == 0);
}

static void open_book(void)
{
    char path[4096];

    if (book.file)
        return;
    (void)snprintf(path, sizeof path, "%s/%s", getenv("POSTERN_VERDICTS"),
                   program_invocation_short_name);
    book.file = fopen(path, "we");
    if (!book.file) {
        perror(path);
        abort();
    }
    CHECK(atls_verifier_new(&book.verifier, NULL) == ATLS_OK);
    CHECK(atexit(close_book) == 0);
}

static struct buf *base_of(const char *name)
{
    size_t i = 0;

    while (book.bases[i].name && strcmp(book.bases[i].name, name) != 0)
        CHECK(++i < BASES);
    if (!book.bases[i].name) {
        book.bases[i].name = name;
        buf_init(&book.bases[i].bytes, PIECE_MAX, name);
    }
    return &book.bases[i].bytes;
}

static void begin(struct question *q, const char *ask)
{
    open_book();
    buf_init(&q->line, LINE_MAX_BYTES, "line");
    buf_init(&q->bytes, 4 * (size_t)PIECE_MAX, "bytes");
    json_begin(&q->w, &q->line);
    json_object(&q->w);
    json_key(&q->w, "test");
    json_text(&q->w, view_str(book.test ? book.test : "?"));
    json_key(&q->w, "ask");
    json_text(&q->w, view_str(ask));
    json_key(&q->w, "pieces");
    json_object(&q->w);
}

static size_t common_head(struct view a, struct view b)
{
    size_t n = 0;

    while (n < a.len && n < b.len && a.at[n] == b.at[n])
        n++;
    return n;
}

static size_t common_tail(struct view a, struct view b)
{
    size_t n = 0;

    while (n < a.len && n < b.len && a.at[a.len - 1 - n] == b.at[b.len - 1 - n])
        n++;
    return n;
}

static void piece(struct question *q, const char *name, struct view bytes)
{
    struct buf *base = base_of(name);
    struct view old = buf_view(base), put = bytes;
    size_t keep = common_head(old, bytes);
    size_t tail = common_tail(view_skip(old, keep), view_skip(bytes, keep));
    int64_t skip = (int64_t)(old.len - keep - tail);

    put = view_first(view_skip(bytes, keep), bytes.len - keep - tail);
    if (put.len > old.len / 4) {
        keep = 0;
        skip = -1;
        put = bytes;
        buf_reset(base);
        CHECK(buf_append(base, bytes, NULL));
    }
    json_key(&q->w, name);
    json_array(&q->w);
    json_u64(&q->w, keep);
    json_i64(&q->w, skip);
    json_u64(&q->w, put.len);
    json_array_end(&q->w);
    CHECK(buf_append(&q->bytes, put, NULL));
}

static void maybe_piece(struct question *q, const char *name, const void *at, size_t len)
{
    if (at)
        piece(q, name, view_from(at, len));
}

/* The answer: text, or the error where there is none. */
static void answer(struct question *q, const char *name, const char *text,
                   const struct atls_error *error)
{
    char *json = text ? NULL : atls_error_json(error);

    CHECK(text || json);
    piece(q, name, view_str(text ? text : json));
    atls_free(json);
}

static void end(struct question *q, int64_t now_s, bool good)
{
    json_object_end(&q->w);
    json_key(&q->w, "now");
    json_i64(&q->w, now_s);
    json_key(&q->w, "good");
    json_bool(&q->w, good);
    json_object_end(&q->w);
    CHECK(json_end(&q->w, NULL));
    CHECK(buf_append_byte(&q->line, '\n', NULL) && buf_append_byte(&q->bytes, '\n', NULL));
    CHECK(fwrite(q->line.area + q->line.head, 1, buf_len(&q->line), book.file) ==
          buf_len(&q->line));
    CHECK(fwrite(q->bytes.area + q->bytes.head, 1, buf_len(&q->bytes), book.file) ==
          buf_len(&q->bytes));
    buf_done(&q->line);
    buf_done(&q->bytes);
}

/* --- asking --- */

/* "": the quote, policy or collateral is not even read. */
static atls_result judge(const struct verdicts_evidence *e, struct atls_report **report,
                         struct atls_error *error)
{
    struct atls_evidence evidence = ATLS_EVIDENCE_INIT;
    struct atls_collateral *collateral = NULL;
    struct atls_policy *policy = NULL;
    atls_result result = ATLS_OK;

    if (e->policy.at)
        result = atls_policy_parse((const char *)e->policy.at, e->policy.len, &policy, error);
    if (result == ATLS_OK)
        result = atls_collateral_parse((const char *)e->collateral.at, e->collateral.len,
                                       &collateral, error);
    evidence.quote = e->quote.at;
    evidence.quote_len = e->quote.len;
    evidence.event_log = (const char *)e->log.at;
    evidence.event_log_len = e->log.len;
    evidence.collateral = collateral;
    evidence.at = e->now_s;
    evidence.leaf_sha256 = e->leaf;
    evidence.report_data = e->report_data;
    if (result == ATLS_OK)
        result = atls_verify(book.verifier, &evidence, policy, report, error);
    atls_collateral_free(collateral);
    atls_policy_free(policy);
    return result;
}

atls_result verdicts_evidence(const struct verdicts_evidence *e, struct atls_error *error)
{
    struct atls_report *report = NULL;
    struct atls_error why;
    char *text = NULL, *about = NULL;
    struct question q;
    atls_result result;

    begin(&q, "evidence");
    piece(&q, "quote", e->quote);
    maybe_piece(&q, "log", e->log.at, e->log.len);
    piece(&q, "collateral", e->collateral);
    maybe_piece(&q, "policy", e->policy.at, e->policy.len);
    maybe_piece(&q, "leaf", e->leaf, 32);
    maybe_piece(&q, "report_data", e->report_data, 64);
    if (atls_quote_json(e->quote.at, e->quote.len, &about, &why) != ATLS_OK)
        about = NULL;
    answer(&q, "about", about, &why);
    result = judge(e, &report, error);
    if (result == ATLS_OK)
        text = atls_report_json(report);
    answer(&q, "verdict", text, error);
    end(&q, e->now_s, result == ATLS_OK);
    atls_free(about);
    atls_free(text);
    atls_report_free(report);
    return result;
}

static char *report_text(const struct attestation *a)
{
    struct json_writer w;
    struct buf json;
    char *text;

    buf_init(&json, PIECE_MAX, "report");
    json_begin(&w, &json);
    report_write(a, &w);
    CHECK(json_end(&w, NULL));
    text = strndup((const char *)buf_view(&json).at, buf_len(&json));
    CHECK(text);
    buf_done(&json);
    return text;
}

atls_result verdicts_receipt(struct view json, struct view policy, int64_t now_s,
                             struct atls_error *error)
{
    struct receipt_judge judge = {.has_time = now_s >= 0, .at_s = now_s};
    struct attest_err why = {.code = ATTEST_OK};
    struct attestation *a = NULL;
    struct receipt *r = NULL;
    struct policy *p = NULL;
    char *text = NULL;
    struct question q;
    bool good;

    begin(&q, "receipt");
    piece(&q, "receipt", json);
    maybe_piece(&q, "policy", policy.at, policy.len);
    good = !policy.at || policy_parse(policy, &p, &why);
    judge.policy = p;
    good = good && receipt_parse(json, &r, &why) && receipt_verify(r, &judge, &a, &why);
    error->code = (atls_result)why.code;
    memcpy(error->message, why.text, sizeof error->message);
    if (good)
        text = report_text(a);
    answer(&q, "verdict", text, error);
    end(&q, now_s, good);
    free(text);
    attestation_free(a);
    receipt_free(r);
    policy_free(p);
    return error->code;
}

static char *policy_text(const struct atls_policy *policy)
{
    char hex[2 * ATLS_SHA256_BYTES + 1], *text;
    struct json_writer w;
    struct buf json;

    hex_encode(view_from(atls_policy_digest(policy), ATLS_SHA256_BYTES), hex);
    buf_init(&json, LINE_MAX_BYTES, "policy");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "digest");
    json_text(&w, view_str(hex));
    json_key(&w, "pccs_url");
    json_text(&w, view_str(atls_policy_pccs_url(policy)));
    json_key(&w, "reattest_after");
    json_u64(&w, atls_policy_reattest_after(policy));
    json_object_end(&w);
    CHECK(json_end(&w, NULL));
    text = strndup((const char *)buf_view(&json).at, buf_len(&json));
    CHECK(text);
    buf_done(&json);
    return text;
}

atls_result verdicts_policy(struct view json, struct atls_error *error)
{
    struct atls_policy *policy = NULL;
    char *text = NULL;
    struct question q;
    atls_result result;

    begin(&q, "policy");
    piece(&q, "policy", json);
    result = atls_policy_parse((const char *)json.at, json.len, &policy, error);
    if (result == ATLS_OK)
        text = policy_text(policy);
    answer(&q, "verdict", text, error);
    end(&q, 0, result == ATLS_OK);
    free(text);
    atls_policy_free(policy);
    return result;
}

atls_result verdicts_compose(struct view manifest, struct atls_error *error)
{
    char hex[2 * ATLS_SHA256_BYTES + 1];
    uint8_t hash[ATLS_SHA256_BYTES];
    struct question q;
    atls_result result;

    begin(&q, "compose");
    piece(&q, "manifest", manifest);
    result = atls_compose_hash((const char *)manifest.at, manifest.len, hash, error);
    if (result == ATLS_OK)
        hex_encode(view_from(hash, sizeof hash), hex);
    answer(&q, "verdict", result == ATLS_OK ? hex : NULL, error);
    end(&q, 0, result == ATLS_OK);
    return result;
}

atls_result verdicts_merge(const char *defaults, const char *manifest, struct atls_error *error)
{
    struct question q;
    char *text = NULL;
    atls_result result;

    begin(&q, "merge");
    piece(&q, "defaults", view_str(defaults));
    piece(&q, "manifest", view_str(manifest));
    result = atls_compose_merge(defaults, manifest, &text, error);
    answer(&q, "verdict", result == ATLS_OK ? text : NULL, error);
    end(&q, 0, result == ATLS_OK);
    atls_free(text);
    return result;
}
