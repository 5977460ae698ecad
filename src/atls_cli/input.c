#include "atls_cli/input.h"

#include <openssl/x509.h>
#include <stdlib.h>

#include "attest/event_log.h"
#include "attest/pki.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKENS_MAX = 64 * 1024 };

bool input_file(const char *path, size_t max, const char *what, struct buf *out, struct err *err)
{
    buf_init(out, max, what);
    if (file_read(path, out, err))
        return true;
    buf_done(out);
    return false;
}

static bool looks_hex(struct view v)
{
    if (v.len < 2 || v.len % 2)
        return false;
    for (size_t i = 0; i < v.len; i++)
        if (!strchr("0123456789abcdefABCDEF", v.at[i]) || !v.at[i])
            return false;
    return true;
}

bool input_quote(const char *path, struct buf *out, struct err *err)
{
    struct view text;
    uint8_t *bytes;
    bool good;

    if (!input_file(path, 4 * (size_t)QUOTE_BYTES_MAX, "quote", out, err))
        return false;
    text = text_trim(buf_view(out));
    if (view_starts(text, VIEW("0x")))
        text = view_skip(text, 2);
    if (!looks_hex(text))
        return true;
    bytes = malloc(text.len / 2);
    if (!bytes)
        return err_set(err, ERR_MEMORY, "no memory for a quote");
    good = hex_decode(text, bytes, text.len / 2);
    buf_reset(out);
    good = good && buf_append(out, view_from(bytes, text.len / 2), err);
    free(bytes);
    return good;
}

bool input_policy(const char *path, struct policy **out, struct err *err)
{
    struct attest_err why;
    struct buf text;
    bool good;

    if (!input_file(path, POLICY_BYTES_MAX, "policy", &text, err))
        return false;
    good = policy_parse(buf_view(&text), out, &why);
    buf_done(&text);
    return good || err_set(err, ERR_CONFIG, "%s: %s", path, why.text);
}

bool input_trust(const char *path, struct trust **out, struct err *err)
{
    struct pki_chain chain;
    struct attest_err why;
    uint8_t *der = NULL;
    struct buf pem;
    bool good;
    int n;

    if (!input_file(path, (size_t)64 * 1024, "trusted root", &pem, err))
        return false;
    good = pki_chain_parse(buf_view(&pem), "the trusted root", NULL, &chain, &why);
    buf_done(&pem);
    if (!good)
        return err_set(err, ERR_CONFIG, "%s: %s", path, why.text);
    n = i2d_X509(chain.certificates[0], &der);
    pki_chain_done(&chain);
    good = n > 0 && trust_custom(view_from(der, (size_t)n), out, &why);
    OPENSSL_free(der);
    return good || err_set(err, ERR_CONFIG, "%s: %s", path, why.text);
}

/* The member "event_log" of an answer: a text that holds JSON, or the array itself. */
static bool inner_log(const struct json_doc *doc, struct buf *out, struct err *err)
{
    uint32_t quote = json_member(doc, 0, "quote"), token;
    char *text;
    size_t len;
    bool good;

    token =
        json_member(doc, quote && doc->tokens[quote].kind == JSON_OBJECT ? quote : 0, "event_log");
    if (!token)
        return err_set(err, ERR_SYNTAX, "no member \"event_log\"");
    if (doc->tokens[token].kind != JSON_STRING)
        return buf_append(out, json_span(doc, token), err);
    if (!json_string_new(doc, token, &text, &len))
        return err_set(err, ERR_SYNTAX, "\"event_log\" is no text");
    good = buf_append(out, view_from(text, len), err);
    free(text);
    return good;
}

bool input_event_log(const char *path, struct buf *out, struct err *err)
{
    struct json_tree tree;
    struct buf file;
    bool good;

    if (!input_file(path, 2 * (size_t)EVENT_LOG_BYTES_MAX, "event log", &file, err))
        return false;
    buf_init(out, 2 * (size_t)EVENT_LOG_BYTES_MAX, "event log");
    good = json_load(buf_view(&file), TOKENS_MAX, &tree, err);
    if (good) {
        good = tree.doc.tokens[0].kind == JSON_OBJECT ? inner_log(&tree.doc, out, err)
                                                      : buf_append(out, buf_view(&file), err);
        json_unload(&tree);
    }
    buf_done(&file);
    if (good)
        return true;
    buf_done(out);
    return err_in(err, "%s", path);
}
