#include "atls/quote_exchange.h"

#include <stdlib.h>

#include "attest/event_log.h"
#include "attest/quote.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKENS_MAX = 64 * 1024, SHOWN_BYTES = 256, NONCE_TOKENS_MAX = 64 };

bool exchange_request(const char *host, const uint8_t nonce[static EXCHANGE_NONCE_BYTES],
                      struct buf *out, struct err *err)
{
    char hex[2 * EXCHANGE_NONCE_BYTES + 1];
    bool v6 = *host != '[' && strchr(host, ':') != strrchr(host, ':'); /* a bare literal */

    hex_encode(view_from(nonce, EXCHANGE_NONCE_BYTES), hex);
    return buf_appendf(out, err,
                       "POST " EXCHANGE_PATH " HTTP/1.1\r\n"
                       "Host: %s%s%s\r\n"
                       "Content-Type: application/json\r\n"
                       "Content-Length: %zu\r\n"
                       "Connection: keep-alive\r\n"
                       "\r\n"
                       "{\"nonce_hex\":\"%s\"}",
                       v6 ? "[" : "", host, v6 ? "]" : "",
                       sizeof "{\"nonce_hex\":\"\"}" - 1 + sizeof hex - 1, hex);
}

/* --- reading the answer --- */

void exchange_reader_init(struct exchange_reader *r)
{
    *r = (struct exchange_reader){.done = false};
    buf_init(&r->bytes, EXCHANGE_BODY_MAX + HTTP_HEAD_BYTES_MAX, "answer");
    http_exchange_await(&r->http);
}

void exchange_reader_done(struct exchange_reader *r)
{
    buf_done(&r->bytes);
}

static bool wrong(struct attest_err *err, const char *why)
{
    return attest_fail(err, ATTEST_HTTP, "Invalid HTTP response: %s", why);
}

static bool take_head(struct exchange_reader *r, const struct http_head *head,
                      struct attest_err *err)
{
    if (r->http.plan.kind == HTTP_BODY_UNTIL_CLOSE)
        return wrong(err, "neither Content-Length nor chunked: its end cannot be told");
    if (head->status == 200 &&
        (head->minor == 0 || http_field_has_token(head, VIEW("Connection"), VIEW("close"))))
        return attest_fail(err, ATTEST_CLOSED,
                           "the server closes the connection behind its quote; the proof would be "
                           "for nothing");
    if (http_field_count(head, VIEW("Content-Encoding")))
        return wrong(err, "it is encoded, which was not asked for");
    r->status = head->status;
    r->in_body = true;
    buf_eat(&r->bytes, head->bytes);
    return true;
}

static bool head(struct exchange_reader *r, struct attest_err *err)
{
    struct http_head head;
    struct err why;

    switch (http_exchange_head(&r->http, &r->bytes, false, &head, &why)) {
    case HTTP_MORE:
        break;
    case HTTP_FAILED:
        return wrong(err, why.text);
    case HTTP_DONE:
        return take_head(r, &head, err);
    }
    return true;
}

/* Body bytes are appended to the reader's buffer, which holds nothing else by then. */
static bool body(struct exchange_reader *r, struct view in, struct attest_err *err)
{
    struct view piece;
    struct err why;

    if (r->http.plan.kind == HTTP_BODY_LENGTH && r->http.plan.left > EXCHANGE_BODY_MAX)
        return wrong(err, "it is larger than 8 MiB");
    for (;;) {
        enum http_result result = http_exchange_body(&r->http, &in, false, &piece, &why);

        if (result == HTTP_FAILED)
            return wrong(err, why.text);
        if (buf_len(&r->bytes) + piece.len > EXCHANGE_BODY_MAX)
            return wrong(err, "it is larger than 8 MiB");
        if (!buf_append(&r->bytes, piece, &why))
            return attest_fail(err, ATTEST_MEMORY, "%s", why.text);
        r->done = result == HTTP_DONE;
        if (!piece.len)
            break;
    }
    return !r->done || !in.len || wrong(err, "bytes follow that were not asked for");
}

bool exchange_feed(struct exchange_reader *r, struct view bytes, struct attest_err *err)
{
    struct buf rest;
    struct err why;
    bool good;

    if (r->done)
        return !bytes.len || wrong(err, "bytes follow that were not asked for");
    if (r->in_body)
        return body(r, bytes, err);
    if (!buf_append(&r->bytes, bytes, &why))
        return wrong(err, why.text);
    if (!head(r, err))
        return false;
    if (!r->in_body)
        return true;
    /* What came behind the head is the body's beginning. */
    rest = r->bytes;
    buf_init(&r->bytes, EXCHANGE_BODY_MAX + HTTP_HEAD_BYTES_MAX, "answer");
    good = body(r, buf_view(&rest), err);
    buf_done(&rest);
    return good;
}

/* --- what it says --- */

static bool not_ok(const struct exchange_reader *r, struct attest_err *err)
{
    char shown[4 * SHOWN_BYTES + 8];

    (void)text_escape(buf_view(&r->bytes), SHOWN_BYTES, shown, sizeof shown);
    return attest_fail_plain(err, ATTEST_HTTP_STATUS,
                             "quote verification failed: " EXCHANGE_PATH
                             " answered with status %d: "
                             "%s",
                             r->status, shown);
}

static bool unreadable(struct attest_err *err, const char *why)
{
    return attest_fail(err, ATTEST_QUOTE_ANSWER, "Failed to parse " EXCHANGE_PATH " response: %s",
                       why);
}

static bool take_quote(const struct json_doc *doc, uint32_t token, struct exchange_answer *out,
                       struct attest_err *err)
{
    struct view hex;
    uint8_t *room;

    if (!token || doc->tokens[token].kind != JSON_STRING)
        return unreadable(err, "missing field `quote`");
    hex = json_span(doc, token);
    if (!hex.len || hex.len % 2 || hex.len > 2 * (size_t)QUOTE_BYTES_MAX)
        return unreadable(err, "the quote is not in hex, or larger than 64 KiB");
    if (!buf_room(&out->quote, hex.len / 2, &room, NULL))
        return attest_fail(err, ATTEST_MEMORY, "no memory for a quote");
    if (!hex_decode(hex, room, hex.len / 2))
        return unreadable(err, "the quote is not in hex");
    buf_wrote(&out->quote, hex.len / 2);
    return true;
}

/* A text that holds JSON, or the array itself. */
static bool take_log(const struct json_doc *doc, uint32_t token, struct exchange_answer *out,
                     struct attest_err *err)
{
    char *text;
    size_t len;
    bool good;

    if (!token)
        return unreadable(err, "missing field `event_log`");
    if (doc->tokens[token].kind == JSON_ARRAY)
        return buf_append(&out->event_log, json_span(doc, token), NULL) ||
               unreadable(err, "the event log is too large");
    if (!json_string_new(doc, token, &text, &len))
        return unreadable(err, "`event_log` is neither a text nor an array");
    good = buf_append(&out->event_log, view_from(text, len), NULL);
    free(text);
    return good || unreadable(err, "the event log is too large");
}

static bool take_answer(const struct json_doc *doc, struct exchange_answer *out,
                        struct attest_err *err)
{
    uint32_t quote = json_member(doc, 0, "quote"), stapled;
    struct attest_err ignored;
    bool success;

    if (doc->tokens[0].kind != JSON_OBJECT)
        return unreadable(err, "it is not an object");
    if (json_boolean(doc, json_member(doc, 0, "success"), &success) && !success)
        return unreadable(err, "the server says that it could not get a quote");
    if (!quote || doc->tokens[quote].kind != JSON_OBJECT)
        return unreadable(err, "missing field `quote`");
    if (!take_quote(doc, json_member(doc, quote, "quote"), out, err) ||
        !take_log(doc, json_member(doc, quote, "event_log"), out, err))
        return false;
    /* What is stapled is a service: a client that cannot use it fetches. */
    stapled = json_member(doc, 0, "collateral");
    if (stapled && doc->tokens[stapled].kind == JSON_OBJECT &&
        !collateral_read(doc, stapled, &out->collateral, &ignored))
        out->collateral = NULL;
    return true;
}

bool exchange_parse(struct exchange_reader *r, struct exchange_answer *out, struct attest_err *err)
{
    struct exchange_answer a = {.collateral = NULL};
    struct json_tree tree;
    struct err why;
    bool good;

    if (r->status != 200)
        return not_ok(r, err);
    if (!json_load(buf_view(&r->bytes), TOKENS_MAX, &tree, &why))
        return unreadable(err, why.text);
    buf_init(&a.quote, QUOTE_BYTES_MAX, "quote");
    buf_init(&a.event_log, EVENT_LOG_BYTES_MAX, "event log");
    good = take_answer(&tree.doc, &a, err);
    json_unload(&tree);
    if (good)
        *out = a;
    else
        exchange_answer_done(&a);
    return good;
}

void exchange_answer_done(struct exchange_answer *a)
{
    buf_done(&a->quote);
    buf_done(&a->event_log);
    collateral_free(a->collateral);
    a->collateral = NULL;
}

bool exchange_nonce(struct view text, uint8_t out[static EXCHANGE_NONCE_BYTES], struct err *err)
{
    struct json_token tokens[NONCE_TOKENS_MAX];
    struct json_doc doc;
    uint32_t token;

    if (!json_parse(text, tokens, NONCE_TOKENS_MAX, &doc, err))
        return false;
    token = json_member(&doc, 0, "nonce_hex");
    return (token && tokens[token].kind == JSON_STRING &&
            hex_decode(json_span(&doc, token), out, EXCHANGE_NONCE_BYTES)) ||
           err_set(err, ERR_SYNTAX, "nonce_hex must be a string of 64 hex digits");
}
