#include "attest/signed_doc.h"

#include "base/clock.h"
#include "base/codec.h"

#include "base/poison.h"

bool signed_doc_open(struct signed_doc *d, struct view text)
{
    struct err why;

    if (text.len > SIGNED_DOC_BYTES_MAX)
        return attest_fail(d->err, d->code, "Failed to decode %s: %zu bytes, at most %d", d->what,
                           text.len, SIGNED_DOC_BYTES_MAX);
    if (!json_load(text, SIGNED_DOC_TOKENS_MAX, &d->tree, &why))
        return attest_fail(d->err, d->code, "Failed to decode %s: %s", d->what, why.text);
    if (d->tree.doc.tokens[0].kind == JSON_OBJECT)
        return true;
    signed_doc_close(d);
    return attest_fail(d->err, d->code, "Failed to decode %s: it is not an object", d->what);
}

void signed_doc_close(struct signed_doc *d)
{
    json_unload(&d->tree);
}

bool signed_doc_fail(struct signed_doc *d, const char *key, const char *want)
{
    return attest_fail(d->err, d->code, "Failed to decode %s: \"%s\" must be %s", d->what, key,
                       want);
}

uint32_t signed_doc_member(struct signed_doc *d, uint32_t object, const char *key,
                           enum json_kind kind)
{
    static const char *const kinds[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    uint32_t token = json_member(&d->tree.doc, object, key);

    if (token && d->tree.doc.tokens[token].kind == kind)
        return token;
    (void)signed_doc_fail(d, key, kinds[kind]);
    return 0;
}

bool signed_doc_number(struct signed_doc *d, uint32_t object, const char *key, uint32_t most,
                       uint32_t *out)
{
    uint32_t token = signed_doc_member(d, object, key, JSON_NUMBER);
    int64_t n;

    if (!token)
        return false;
    if (!json_integer(&d->tree.doc, token, &n) || n < 0 || n > (int64_t)most)
        return signed_doc_fail(d, key, "a whole number in range");
    *out = (uint32_t)n;
    return true;
}

bool signed_doc_hex(struct signed_doc *d, uint32_t object, const char *key, uint8_t *out, size_t n)
{
    uint32_t token = signed_doc_member(d, object, key, JSON_STRING);

    if (!token)
        return false;
    return hex_decode(json_span(&d->tree.doc, token), out, n) ||
           signed_doc_fail(d, key, "so many bytes in hex");
}

bool signed_doc_text(struct signed_doc *d, uint32_t object, const char *key, char *out, size_t size)
{
    uint32_t token = signed_doc_member(d, object, key, JSON_STRING);

    if (!token)
        return false;
    return json_string(&d->tree.doc, token, out, size) || signed_doc_fail(d, key, "a short text");
}

bool signed_doc_date(struct signed_doc *d, uint32_t object, const char *key, int64_t *out)
{
    char text[40];

    return signed_doc_text(d, object, key, text, sizeof text) &&
           (clock_rfc3339_parse(view_str(text), out) ||
            signed_doc_fail(d, key, "a date as RFC 3339 writes it"));
}

bool signed_doc_level(struct signed_doc *d, uint32_t object, uint32_t *tcb,
                      struct signed_level *out)
{
    char status[64];

    if (d->tree.doc.tokens[object].kind != JSON_OBJECT)
        return signed_doc_fail(d, "tcbLevels", "an array of objects");
    *tcb = signed_doc_member(d, object, "tcb", JSON_OBJECT);
    if (!*tcb || !signed_doc_date(d, object, "tcbDate", &out->date_s) ||
        !signed_doc_text(d, object, "tcbStatus", status, sizeof status))
        return false;
    if (!tcb_status_parse(view_str(status), &out->status) || out->status == TCB_STATUS_RELAUNCH ||
        out->status == TCB_STATUS_RELAUNCH_CONFIGURATION)
        return signed_doc_fail(d, "tcbStatus", "a status that is known");
    return advisories_add(&out->advisories, &d->tree.doc,
                          json_member(&d->tree.doc, object, "advisoryIDs")) ||
           signed_doc_fail(d, "advisoryIDs", "an array of at most 48 identifiers");
}
