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

bool sim_pccs_call(const struct sim_platform *p, struct view path, struct view query,
                   struct sim_pccs_answer *out, struct err *err)
{
    out->platform = p;
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
        (void)snprintf(out + n, size - n, "\r\n");
    buf_done(&pem);
    return good;
}
