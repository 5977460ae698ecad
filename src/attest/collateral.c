#include "attest/collateral.h"

#include <stdlib.h>

#include "base/codec.h"

#include "base/poison.h"

enum { TOKENS_MAX = 4096 };

struct reader {
    const struct json_doc *doc;
    uint32_t object;
    struct collateral *c;
    size_t used, room;
    struct attest_err *err;
};

static bool missing(struct reader *r, const char *key, const char *want)
{
    return attest_fail(r->err, ATTEST_COLLATERAL_SYNTAX,
                       "Failed to get collateral: \"%s\" must be %s", key, want);
}

/* A string, decoded into the area. The area is as large as the object's text, so that all fit. */
static bool text(struct reader *r, const char *key, bool needed, struct view *out)
{
    uint32_t token = json_member(r->doc, r->object, key);
    char *at = (char *)r->c->area + r->used;

    if (!token || r->doc->tokens[token].kind == JSON_NULL)
        return !needed || missing(r, key, "there, as a string");
    if (!json_string(r->doc, token, at, r->room - r->used))
        return missing(r, key, "a string of text");
    *out = view_str(at);
    r->used += out->len + 1;
    return true;
}

static bool bytes(struct reader *r, const char *key, size_t want, struct view *out)
{
    uint8_t *at = r->c->area + r->used;
    struct view hex = VIEW("");

    if (!text(r, key, true, &hex))
        return false;
    if (!hex.len || hex.len % 2 || (want && hex.len != 2 * want) ||
        !hex_decode(hex, at,
                    hex.len / 2)) /* in place: two digits are read before a byte is written */
        return missing(r, key, want ? "a signature of 128 hex digits" : "bytes in hex");
    *out = view_from(at, hex.len / 2);
    return true;
}

bool collateral_read(const struct json_doc *doc, uint32_t object, struct collateral **out,
                     struct attest_err *err)
{
    CLEANUP(collateral_free_cleanup) struct collateral *c = calloc(1, sizeof *c);
    struct reader r = {.doc = doc, .object = object, .c = c, .err = err};

    if (object >= doc->count || doc->tokens[object].kind != JSON_OBJECT)
        return attest_fail(err, ATTEST_COLLATERAL_SYNTAX,
                           "Failed to get collateral: it is not a JSON object");
    r.room = json_span(doc, object).len + 16;
    if (!c || !(c->area = malloc(r.room)))
        return attest_fail(err, ATTEST_MEMORY, "no memory for collateral");
    if (!text(&r, "pck_crl_issuer_chain", false, &c->pck_crl_issuer_chain) ||
        !bytes(&r, "root_ca_crl", 0, &c->root_ca_crl) || !bytes(&r, "pck_crl", 0, &c->pck_crl) ||
        !text(&r, "tcb_info_issuer_chain", true, &c->tcb_info_issuer_chain) ||
        !text(&r, "tcb_info", true, &c->tcb_info) ||
        !bytes(&r, "tcb_info_signature", COLLATERAL_SIGNATURE_BYTES, &c->tcb_info_signature) ||
        !text(&r, "qe_identity_issuer_chain", true, &c->qe_identity_issuer_chain) ||
        !text(&r, "qe_identity", true, &c->qe_identity) ||
        !bytes(&r, "qe_identity_signature", COLLATERAL_SIGNATURE_BYTES,
               &c->qe_identity_signature) ||
        !text(&r, "pck_certificate_chain", false, &c->pck_certificate_chain))
        return false;
    *out = take(c);
    return true;
}

bool collateral_parse(struct view json, struct collateral **out, struct attest_err *err)
{
    struct json_tree tree;
    struct err why;
    bool good;

    if (json.len > COLLATERAL_BYTES_MAX)
        return attest_fail(err, ATTEST_COLLATERAL_SYNTAX,
                           "Failed to get collateral: %zu bytes, at most %d", json.len,
                           COLLATERAL_BYTES_MAX);
    if (!json_load(json, TOKENS_MAX, &tree, &why))
        return attest_fail(err, ATTEST_COLLATERAL_SYNTAX, "Failed to get collateral: %s", why.text);
    good = collateral_read(&tree.doc, 0, out, err);
    json_unload(&tree);
    return good;
}

void collateral_free(struct collateral *c)
{
    if (!c)
        return;
    free(c->area);
    free(c);
}

static void write_hex(struct json_writer *w, const char *key, struct view v)
{
    json_key(w, key);
    json_hex(w, v);
}

static void write_text(struct json_writer *w, const char *key, struct view v)
{
    json_key(w, key);
    json_text(w, v);
}

void collateral_write(const struct collateral *c, struct json_writer *w)
{
    json_object(w);
    write_text(w, "pck_crl_issuer_chain", c->pck_crl_issuer_chain);
    write_hex(w, "root_ca_crl", c->root_ca_crl);
    write_hex(w, "pck_crl", c->pck_crl);
    write_text(w, "tcb_info_issuer_chain", c->tcb_info_issuer_chain);
    write_text(w, "tcb_info", c->tcb_info);
    write_hex(w, "tcb_info_signature", c->tcb_info_signature);
    write_text(w, "qe_identity_issuer_chain", c->qe_identity_issuer_chain);
    write_text(w, "qe_identity", c->qe_identity);
    write_hex(w, "qe_identity_signature", c->qe_identity_signature);
    if (c->pck_certificate_chain.len)
        write_text(w, "pck_certificate_chain", c->pck_certificate_chain);
    json_object_end(w);
}
