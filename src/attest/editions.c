#include "attest/editions.h"

#include <stdlib.h>

#include "attest/trust.h"
#include "base/codec.h"

#include "base/poison.h"

#define VERSION "postern-editions/1"

enum { TOKENS_MAX = 16 * EDITIONS_MAX, MEMBERS = 5 };

const struct edition *editions_find(const struct editions *e, const struct edition *like)
{
    for (uint32_t i = 0; i < e->count; i++)
        if (e->all[i].tee == like->tee &&
            memcmp(e->all[i].fmspc, like->fmspc, sizeof like->fmspc) == 0 &&
            memcmp(e->all[i].root_sha256, like->root_sha256, sizeof like->root_sha256) == 0)
            return &e->all[i];
    return NULL;
}

/* Of a simulator, if there is one: they come and go. */
static void drop_one(struct editions *e)
{
    uint32_t i = 0;

    while (i < e->count && trust_is_intel(e->all[i].root_sha256))
        i++;
    if (i == e->count)
        i = 0;
    e->count--;
    memmove(&e->all[i], &e->all[i + 1], (e->count - i) * sizeof *e->all);
}

static bool raise_number(uint32_t *number, uint32_t to)
{
    if (to <= *number)
        return false;
    *number = to;
    return true;
}

bool editions_raise(struct editions *e, const struct edition *accepted)
{
    const struct edition *known = editions_find(e, accepted);
    struct edition *at;
    bool tcb, qe;

    if (!known) {
        if (e->count == EDITIONS_MAX)
            drop_one(e);
        e->all[e->count++] = *accepted;
        return true;
    }
    at = &e->all[known - e->all];
    tcb = raise_number(&at->tcb_info, accepted->tcb_info);
    qe = raise_number(&at->qe_identity, accepted->qe_identity);
    return tcb || qe;
}

/* --- the document --- */

struct reader {
    const struct json_doc *doc;
    struct editions *e;
    struct attest_err *err;
};

static bool bad(const struct reader *r, const char *what)
{
    return attest_fail(r->err, ATTEST_EDITIONS, "it is no list of editions: %s", what);
}

static bool hex_member(const struct reader *r, uint32_t object, const char *key, uint8_t *out,
                       size_t size)
{
    uint32_t token = json_member(r->doc, object, key);

    return token && r->doc->tokens[token].kind == JSON_STRING &&
           hex_decode(json_span(r->doc, token), out, size);
}

static bool number_member(const struct reader *r, uint32_t object, const char *key, uint32_t *out)
{
    uint32_t token = json_member(r->doc, object, key);
    int64_t n;

    if (!token || !json_integer(r->doc, token, &n) || n < 0 || n > UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool tee_member(const struct reader *r, uint32_t object, enum quote_tee *out)
{
    uint32_t token = json_member(r->doc, object, "tee");
    struct view name = token ? json_span(r->doc, token) : VIEW("");

    *out = view_eq(name, VIEW("TDX")) ? TEE_TDX : TEE_SGX;
    return view_eq(name, view_str(quote_tee_name(*out)));
}

static bool read_one(const struct reader *r, uint32_t object)
{
    struct edition one;

    if (r->doc->tokens[object].kind != JSON_OBJECT || r->doc->tokens[object].count != MEMBERS ||
        !hex_member(r, object, "root", one.root_sha256, sizeof one.root_sha256) ||
        !tee_member(r, object, &one.tee) ||
        !hex_member(r, object, "fmspc", one.fmspc, sizeof one.fmspc) ||
        !number_member(r, object, "tcb_info", &one.tcb_info) ||
        !number_member(r, object, "qe_identity", &one.qe_identity))
        return bad(r, "an entry is not as it must be");
    if (editions_find(r->e, &one))
        return bad(r, "two entries for one family of platforms");
    r->e->all[r->e->count++] = one;
    return true;
}

static bool read_all(const struct reader *r)
{
    uint32_t version = json_member(r->doc, 0, "editions"),
             list = json_member(r->doc, 0, "accepted");
    uint32_t at = json_first(list);

    if (r->doc->tokens[0].kind != JSON_OBJECT || !version ||
        !view_eq(json_span(r->doc, version), VIEW(VERSION)))
        return bad(r, "\"editions\" must be \"" VERSION "\"");
    if (!list || r->doc->tokens[list].kind != JSON_ARRAY ||
        r->doc->tokens[list].count > EDITIONS_MAX)
        return bad(r, "\"accepted\" must be an array of at most 1024 entries");
    for (uint32_t i = 0; i < r->doc->tokens[list].count; i++) {
        if (!read_one(r, at))
            return false;
        at = r->doc->tokens[at].next;
    }
    return true;
}

bool editions_parse(struct view json, struct editions **out, struct attest_err *err)
{
    struct editions *e = calloc(1, sizeof *e);
    struct json_tree tree;
    struct err why;
    bool good;

    if (!e)
        return attest_fail(err, ATTEST_MEMORY, "no memory for editions");
    if (!json_load(json, TOKENS_MAX, &tree, &why)) {
        free(e);
        return attest_fail(err, ATTEST_EDITIONS, "it is no list of editions: %s", why.text);
    }
    good = read_all(&(struct reader){&tree.doc, e, err});
    json_unload(&tree);
    if (good)
        *out = e;
    else
        free(e);
    return good;
}

static void write_one(const struct edition *one, struct json_writer *w)
{
    json_object(w);
    json_key(w, "root");
    json_hex(w, view_from(one->root_sha256, sizeof one->root_sha256));
    json_key(w, "tee");
    json_text(w, view_str(quote_tee_name(one->tee)));
    json_key(w, "fmspc");
    json_hex(w, view_from(one->fmspc, sizeof one->fmspc));
    json_key(w, "tcb_info");
    json_u64(w, one->tcb_info);
    json_key(w, "qe_identity");
    json_u64(w, one->qe_identity);
    json_object_end(w);
}

bool editions_write(const struct editions *e, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "editions");
    json_text(&w, VIEW(VERSION));
    json_key(&w, "accepted");
    json_array(&w);
    for (uint32_t i = 0; i < e->count; i++)
        write_one(&e->all[i], &w);
    json_array_end(&w);
    json_object_end(&w);
    return json_end(&w, err);
}
