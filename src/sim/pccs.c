#include "sim/pccs.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/p256.h"

#include "base/poison.h"

/* The value of a parameter; empty: there is none. */
static struct view parameter(struct view query, const char *name)
{
    struct view piece;

    while (query.at && view_next(&query, '&', &piece)) {
        size_t n = view_find(piece, '=');

        if (view_eq(view_first(piece, n), view_str(name)))
            return view_skip(piece, n + 1);
    }
    return VIEW("");
}

static bool pck_crl(const struct sim_platform *p, struct view query, struct sim_pccs_answer *out,
                    struct err *err)
{
    if (!view_eq(parameter(query, "ca"), VIEW("platform")))
        return err_set(err, ERR_NOT_FOUND, "this platform's certificates are by the platform CA");
    out->content_type = "application/pkix-crl";
    out->chain_field = "SGX-PCK-CRL-Issuer-Chain";
    out->ca_chain = true;
    return sim_pck_crl(p, out->body, err);
}

/* In hex, as a PCCS has it. */
static bool root_crl(const struct sim_platform *p, struct sim_pccs_answer *out, struct err *err)
{
    struct buf der;
    uint8_t *room;
    bool good;

    buf_init(&der, (size_t)64 * 1024, "CRL");
    good = sim_root_crl(p, &der, err) && buf_room(out->body, 2 * buf_len(&der) + 1, &room, err);
    if (good) {
        hex_encode(buf_view(&der), (char *)room);
        buf_wrote(out->body, 2 * buf_len(&der));
    }
    buf_done(&der);
    out->content_type = "application/x-pem-file";
    return good;
}

/* {"NAME":TEXT,"signature":"…"} */
static bool signed_document(const struct sim_platform *p, const char *name,
                            bool (*make)(const struct sim_recipe *, struct buf *, struct err *),
                            struct sim_pccs_answer *out, struct err *err)
{
    uint8_t signature[P256_SIGNATURE_BYTES];
    char hex[2 * P256_SIGNATURE_BYTES + 1];
    struct buf text;
    bool good;

    buf_init(&text, (size_t)1024 * 1024, "document");
    good = make(&p->recipe, &text, err) && (p256_sign(p->signer_key, buf_view(&text), signature) ||
                                            err_set(err, ERR_INTERNAL, "signing failed"));
    if (good) {
        hex_encode(view_from(signature, sizeof signature), hex);
        good = buf_appendf(out->body, err, "{\"%s\":", name) &&
               buf_append(out->body, buf_view(&text), err) &&
               buf_appendf(out->body, err, ",\"signature\":\"%s\"}", hex);
    }
    buf_done(&text);
    out->content_type = "application/json";
    return good;
}

static bool tcb(const struct sim_platform *p, struct view query, struct sim_pccs_answer *out,
                struct err *err)
{
    uint8_t fmspc[6];

    if (!hex_decode(parameter(query, "fmspc"), fmspc, sizeof fmspc))
        return err_set(err, ERR_SYNTAX, "fmspc must be 12 hex digits");
    if (memcmp(fmspc, p->recipe.fmspc, sizeof fmspc) != 0)
        return err_set(err, ERR_NOT_FOUND, "no such platform");
    out->chain_field = "TCB-Info-Issuer-Chain";
    return signed_document(p, "tcbInfo", sim_tcb_info, out, err);
}

static bool pck_is(struct view query, const char *name, struct view bytes)
{
    struct view given = parameter(query, name);
    uint8_t value[CERTIFICATION_PPID_MAX];

    return given.len == 2 * bytes.len && bytes.len <= sizeof value &&
           hex_decode(given, value, bytes.len) && view_eq(view_from(value, bytes.len), bytes);
}

/* The one that this machine has, for whoever knows its names. */
static bool pck(const struct sim_platform *p, struct view query, struct sim_pccs_answer *out,
                struct err *err)
{
    struct sim_recipe r = p->recipe;
    bool found = false, good = true;

    for (r.certification = CERTIFICATION_PPID_RSA2048;
         good && !found && r.certification <= CERTIFICATION_PPID_RSA3072; r.certification++) {
        struct view data;
        struct buf names;
        size_t ppid;

        buf_init(&names, 1024, "names of a PCK certificate");
        good = sim_certification(&r, &names, err);
        data = buf_view(&names);
        ppid = data.len - CERTIFICATION_TCBM_BYTES - sizeof r.pceid;
        found = good && data.at && pck_is(query, "encrypted_ppid", view_first(data, ppid)) &&
                pck_is(query, "cpusvn", view_first(view_skip(data, ppid), SVN_COUNT)) &&
                pck_is(query, "pcesvn", view_first(view_skip(data, ppid + SVN_COUNT), 2)) &&
                pck_is(query, "pceid", view_skip(data, ppid + CERTIFICATION_TCBM_BYTES));
        buf_done(&names);
    }
    if (!good)
        return false;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such platform, or not at that TCB");
    out->content_type = "application/x-pem-file";
    out->chain_field = "SGX-PCK-Certificate-Issuer-Chain";
    out->ca_chain = true;
    out->tcbm = true;
    return sim_pem(p->pck, out->body, err);
}

bool sim_pccs_call(const struct sim_platform *p, struct view path, struct view query,
                   struct sim_pccs_answer *out, struct err *err)
{
    out->platform = p;
    if (view_eq(path, VIEW("/sgx/certification/v4/pckcert")))
        return pck(p, query, out, err);
    if (view_eq(path, VIEW("/sgx/certification/v4/pckcrl")))
        return pck_crl(p, query, out, err);
    if (view_eq(path, VIEW("/sgx/certification/v4/rootcacrl")))
        return root_crl(p, out, err);
    if (view_eq(path, VIEW("/tdx/certification/v4/tcb")))
        return tcb(p, query, out, err);
    if (view_eq(path, VIEW("/tdx/certification/v4/qe/identity"))) {
        out->chain_field = "SGX-Enclave-Identity-Issuer-Chain";
        return signed_document(p, "enclaveIdentity", sim_qe_identity, out, err);
    }
    if (view_eq(path, VIEW("/collateral.json"))) {
        out->content_type = "application/json";
        return sim_collateral(p, out->body, err);
    }
    return err_set(err, ERR_NOT_FOUND, "no such document");
}

static bool put_tcbm(const struct sim_recipe *r, char *out, size_t size, struct err *err)
{
    uint8_t tcbm[CERTIFICATION_TCBM_BYTES];
    char hex[2 * CERTIFICATION_TCBM_BYTES + 1];

    memcpy(tcbm, r->cpusvn, SVN_COUNT);
    tcbm[SVN_COUNT] = (uint8_t)r->pcesvn;
    tcbm[SVN_COUNT + 1] = (uint8_t)(r->pcesvn >> 8);
    hex_encode(view_from(tcbm, sizeof tcbm), hex);
    return (size_t)snprintf(out, size, "SGX-TCBm: %s\r\n", hex) < size ||
           err_set(err, ERR_LIMIT, "the chain is too long");
}

bool sim_pccs_field(const struct sim_pccs_answer *a, char *out, size_t size, struct err *err)
{
    struct buf pem;
    size_t n;
    bool good;

    buf_init(&pem, (size_t)64 * 1024, "chain");
    good = a->ca_chain ? sim_ca_chain(a->platform, &pem, err)
                       : sim_signer_chain(a->platform, &pem, err);
    n = (size_t)snprintf(out, size, "%s: ", a->chain_field);
    for (struct view v = buf_view(&pem); good && v.at && v.len; v = view_skip(v, 1)) {
        uint8_t c = v.at[0];
        bool plain =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';

        if (size - n < 6)
            good = err_set(err, ERR_LIMIT, "the chain is too long");
        else
            n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "%%%02X", c);
    }
    if (good)
        n += (size_t)snprintf(out + n, size - n, "\r\n");
    if (good && a->tcbm)
        good = put_tcbm(&a->platform->recipe, out + n, size - n, err);
    buf_done(&pem);
    return good;
}
