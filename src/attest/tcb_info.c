#include "attest/tcb_info.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/poison.h"

enum { LEVELS_MAX = 256, IDENTITIES_MAX = 32, COMPONENTS_MAX = 64 };

static bool components(struct signed_doc *d, uint32_t tcb, const char *key,
                       uint8_t out[static SVN_COUNT], uint32_t *count)
{
    uint32_t array = signed_doc_member(d, tcb, key, JSON_ARRAY), at;

    if (!array)
        return false;
    *count = d->tree.doc.tokens[array].count;
    if (*count > COMPONENTS_MAX)
        return signed_doc_fail(d, key, "an array of 16 components");
    at = json_first(array);
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t svn;

        if (!signed_doc_number(d, at, "svn", 255, &svn))
            return false;
        if (i < SVN_COUNT)
            out[i] = (uint8_t)svn;
        at = d->tree.doc.tokens[at].next;
    }
    return true;
}

/* Version 2 names each of its 16 components. */
static bool named_components(struct signed_doc *d, uint32_t tcb, struct tcb_level *level)
{
    for (unsigned i = 0; i < SVN_COUNT; i++) {
        char key[24];
        uint32_t svn;

        (void)snprintf(key, sizeof key, "sgxtcbcomp%02usvn", i + 1);
        if (!signed_doc_number(d, tcb, key, 255, &svn))
            return false;
        level->sgx[i] = (uint8_t)svn;
    }
    level->sgx_count = SVN_COUNT;
    return true;
}

static bool level(struct signed_doc *d, uint32_t object, const struct tcb_info *t,
                  struct tcb_level *out)
{
    uint32_t tcb, pcesvn;

    if (!signed_doc_level(d, object, &tcb, &out->is) ||
        !signed_doc_number(d, tcb, "pcesvn", 65535, &pcesvn))
        return false;
    out->pcesvn = (uint16_t)pcesvn;
    if (t->version == 2)
        return named_components(d, tcb, out);
    return components(d, tcb, "sgxtcbcomponents", out->sgx, &out->sgx_count) &&
           (!t->tdx || components(d, tcb, "tdxtcbcomponents", out->tdx, &out->tdx_count));
}

/* Descending: the SVNs of SGX, then of the PCE, then of TDX. */
static int better(const void *a, const void *b)
{
    const struct tcb_level *one = a, *other = b;
    int order = memcmp(other->sgx, one->sgx, SVN_COUNT);

    if (!order)
        order = (int)other->pcesvn - (int)one->pcesvn;
    return order ? order : memcmp(other->tdx, one->tdx, SVN_COUNT);
}

static int newer(const void *a, const void *b)
{
    const struct module_level *one = a, *other = b;

    return (one->isvsvn < other->isvsvn) - (one->isvsvn > other->isvsvn);
}

/* Room for the elements of an array member, zeroed; its first token in *at. */
static void *elements(struct signed_doc *d, uint32_t object, const char *key, uint32_t most,
                      size_t size, uint32_t *count, uint32_t *at)
{
    uint32_t array = signed_doc_member(d, object, key, JSON_ARRAY);
    void *all;

    if (!array)
        return NULL;
    *count = d->tree.doc.tokens[array].count;
    *at = json_first(array);
    if (*count > most) {
        (void)signed_doc_fail(d, key, "an array of fewer elements");
        return NULL;
    }
    all = calloc(*count ? *count : 1, size);
    if (!all)
        (void)attest_fail(d->err, ATTEST_MEMORY, "no memory for %s", d->what);
    return all;
}

static bool levels(struct signed_doc *d, struct tcb_info *t)
{
    uint32_t at, count;

    t->levels = elements(d, 0, "tcbLevels", LEVELS_MAX, sizeof *t->levels, &count, &at);
    if (!t->levels)
        return false;
    for (t->level_count = 0; t->level_count < count; t->level_count++) {
        if (!level(d, at, t, &t->levels[t->level_count]))
            return false;
        at = d->tree.doc.tokens[at].next;
    }
    /* qsort is stable where there are no equals; equal levels are one level said twice. */
    qsort(t->levels, count, sizeof *t->levels, better);
    return true;
}

static bool module(struct signed_doc *d, uint32_t object, struct module_identity *m)
{
    return signed_doc_hex(d, object, "mrsigner", m->mrsigner, sizeof m->mrsigner) &&
           signed_doc_hex(d, object, "attributes", m->attributes, sizeof m->attributes) &&
           signed_doc_hex(d, object, "attributesMask", m->mask, sizeof m->mask);
}

static bool identity(struct signed_doc *d, uint32_t object, struct module_identity *m)
{
    uint32_t at, count;

    if (!signed_doc_text(d, object, "id", m->id, sizeof m->id) || !module(d, object, m))
        return false;
    m->levels = elements(d, object, "tcbLevels", LEVELS_MAX, sizeof *m->levels, &count, &at);
    if (!m->levels)
        return false;
    for (m->level_count = 0; m->level_count < count; m->level_count++) {
        struct module_level *one = &m->levels[m->level_count];
        uint32_t tcb;

        if (!signed_doc_level(d, at, &tcb, &one->is) ||
            !signed_doc_number(d, tcb, "isvsvn", 65535, &one->isvsvn))
            return false;
        at = d->tree.doc.tokens[at].next;
    }
    qsort(m->levels, count, sizeof *m->levels, newer);
    return true;
}

static bool modules(struct signed_doc *d, struct tcb_info *t)
{
    const struct json_doc *doc = &d->tree.doc;
    uint32_t at, count;

    if (json_member(doc, 0, "tdxModule")) {
        uint32_t object = signed_doc_member(d, 0, "tdxModule", JSON_OBJECT);

        if (!object || !module(d, object, &t->module))
            return false;
        t->has_module = true;
    }
    if (!json_member(doc, 0, "tdxModuleIdentities"))
        return true;
    t->identities =
        elements(d, 0, "tdxModuleIdentities", IDENTITIES_MAX, sizeof *t->identities, &count, &at);
    if (!t->identities)
        return false;
    while (t->identity_count < count) {
        if (!identity(d, at, &t->identities[t->identity_count++]))
            return false;
        at = doc->tokens[at].next;
    }
    return true;
}

static bool head(struct signed_doc *d, struct tcb_info *t)
{
    char id[8] = "SGX"; /* version 2 has none */
    uint32_t type;

    if (!signed_doc_number(d, 0, "version", 1000, &t->version))
        return false;
    if (t->version != 2 && !signed_doc_text(d, 0, "id", id, sizeof id))
        return false;
    if (strcmp(id, "SGX") != 0 && strcmp(id, "TDX") != 0)
        return signed_doc_fail(d, "id", "\"SGX\" or \"TDX\"");
    t->tdx = *id == 'T';
    if (!signed_doc_number(d, 0, "tcbType", 1000, &type))
        return false;
    if (type != 0)
        return signed_doc_fail(d, "tcbType", "0");
    return signed_doc_date(d, 0, "issueDate", &t->issued_s) &&
           signed_doc_date(d, 0, "nextUpdate", &t->next_s) &&
           signed_doc_hex(d, 0, "fmspc", t->fmspc, sizeof t->fmspc) &&
           signed_doc_hex(d, 0, "pceId", t->pceid, sizeof t->pceid) &&
           signed_doc_number(d, 0, "tcbEvaluationDataNumber", UINT32_MAX, &t->evaluation);
}

bool tcb_info_parse(struct view text, struct tcb_info **out, struct attest_err *err)
{
    CLEANUP(tcb_info_free_cleanup) struct tcb_info *t = calloc(1, sizeof *t);
    struct signed_doc d = {.what = "TcbInfo", .code = ATTEST_TCB_SYNTAX, .err = err};
    bool good;

    if (!t)
        return attest_fail(err, ATTEST_MEMORY, "no memory for TcbInfo");
    if (!signed_doc_open(&d, text))
        return false;
    good = head(&d, t) && modules(&d, t) && levels(&d, t);
    signed_doc_close(&d);
    if (good)
        *out = take(t);
    return good;
}

void tcb_info_free(struct tcb_info *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->identity_count; i++)
        free(t->identities[i].levels);
    free(t->identities);
    free(t->levels);
    free(t);
}
