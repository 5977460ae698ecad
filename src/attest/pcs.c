#include "attest/pcs.h"

#include <openssl/x509v3.h>
#include <stdio.h>

#include "attest/pki.h"
#include "base/codec.h"

#include "base/poison.h"

enum { TOKENS_MAX = 256 * 1024, ROOT_CRL_MAX = 4 * 1024 * 1024 };

const char *pcs_part_name(enum pcs_part part)
{
    static const char *const names[] = {"pck_crl", "tcb_info", "qe_identity", "root_ca_crl"};

    return names[part];
}

struct view pcs_base(struct view url)
{
    static const char *const tails[] = {"/sgx/certification/v4", "/tdx/certification/v4"};

    while (view_ends(url, VIEW("/")))
        url.len--;
    for (size_t i = 0; i < 2; i++)
        if (view_ends(url, view_str(tails[i])))
            url.len -= strlen(tails[i]);
    return url;
}

void pcs_path(const struct collateral_need *need, enum pcs_part part,
              char out[static PCS_PATH_BYTES])
{
    const char *tee = need->tdx ? "tdx" : "sgx";
    const uint8_t *f = need->fmspc;

    switch (part) {
    case PCS_PCK_CRL:
        (void)snprintf(out, PCS_PATH_BYTES, "/sgx/certification/v4/pckcrl?ca=%s&encoding=der",
                       need->processor_ca ? "processor" : "platform");
        break;
    case PCS_TCB_INFO:
        (void)snprintf(out, PCS_PATH_BYTES,
                       "/%s/certification/v4/tcb?fmspc=%02X%02X%02X%02X%02X%02X", tee, f[0], f[1],
                       f[2], f[3], f[4], f[5]);
        break;
    case PCS_QE_IDENTITY:
        (void)snprintf(out, PCS_PATH_BYTES, "/%s/certification/v4/qe/identity?update=standard",
                       tee);
        break;
    case PCS_ROOT_CRL:
    case PCS_PARTS:
        (void)snprintf(out, PCS_PATH_BYTES, "/sgx/certification/v4/rootcacrl");
        break;
    }
}

bool pcs_decode(struct view v, struct buf *out)
{
    while (v.len) {
        uint8_t byte = v.at[0];
        size_t used = 1;

        if (byte == '%') {
            if (v.len < 3 || !hex_decode(view_first(view_skip(v, 1), 2), &byte, 1))
                return false;
            used = 3;
        }
        if (!buf_append_byte(out, byte, NULL))
            return false;
        v = view_skip(v, used);
    }
    return true;
}

/* --- the root's CRL --- */

static bool first_uri(const DIST_POINT *point, char out[static PCS_URL_BYTES])
{
    const GENERAL_NAMES *names =
        point->distpoint && point->distpoint->type == 0 ? point->distpoint->name.fullname : NULL;

    for (int k = 0; names && k < sk_GENERAL_NAME_num(names); k++) {
        int type;
        const ASN1_STRING *uri = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, k), &type);

        if (type != GEN_URI || ASN1_STRING_length(uri) >= PCS_URL_BYTES)
            continue;
        (void)snprintf(out, PCS_URL_BYTES, "%.*s", ASN1_STRING_length(uri),
                       (const char *)ASN1_STRING_get0_data(uri));
        return true;
    }
    return false;
}

static bool last_points_to(struct view pem, char out[static PCS_URL_BYTES])
{
    struct pki_chain chain;
    STACK_OF(DIST_POINT) * points;
    bool found = false;

    if (!pki_chain_parse(pem, "chain", NULL, &chain, NULL))
        return false;
    points = X509_get_ext_d2i(chain.certificates[chain.count - 1], NID_crl_distribution_points,
                              NULL, NULL);
    for (int i = 0; points && !found && i < sk_DIST_POINT_num(points); i++)
        found = first_uri(sk_DIST_POINT_value(points, i), out);
    sk_DIST_POINT_pop_free(points, DIST_POINT_free);
    pki_chain_done(&chain);
    return found;
}

bool pcs_root_crl_url(struct view chain, char out[static PCS_URL_BYTES])
{
    struct buf pem;
    bool found;

    buf_init(&pem, PCS_CHAIN_MAX, "issuer chain");
    found = pcs_decode(chain, &pem) && last_points_to(buf_view(&pem), out);
    buf_done(&pem);
    return found;
}

/* A PCCS writes it in hex; DER begins with the tag of a SEQUENCE, which is no digit of hex. */
static bool root_crl(struct view body, struct buf *out)
{
    uint8_t *room;

    if (body.len && body.at[0] == 0x30)
        return buf_append(out, body, NULL);
    body = view_trim_ows(body);
    while (view_ends(body, VIEW("\n")) || view_ends(body, VIEW("\r")))
        body.len--;
    if (!body.len || body.len % 2 || !buf_room(out, body.len / 2, &room, NULL) ||
        !hex_decode(body, room, body.len / 2))
        return false;
    buf_wrote(out, body.len / 2);
    return true;
}

/* --- all of it --- */

static bool failed(struct attest_err *err, enum pcs_part part, const char *why)
{
    return attest_fail_plain(err, ATTEST_COLLATERAL_FETCH,
                             "quote verification failed: Failed to get collateral: %s: %s",
                             pcs_part_name(part), why);
}

/* {"NAME":{…},"signature":"…"}: the bytes of the value, exactly as they came, and the signature. */
static bool split(struct view body, enum pcs_part part, const char *name, struct view *text,
                  uint8_t signature[static COLLATERAL_SIGNATURE_BYTES], struct attest_err *err)
{
    struct json_tree tree;
    struct err why;
    uint32_t value, sign;
    bool good;

    if (!json_load(body, TOKENS_MAX, &tree, &why))
        return failed(err, part, why.text);
    value = json_member(&tree.doc, 0, name);
    sign = json_member(&tree.doc, 0, "signature");
    good = value && sign && tree.doc.tokens[value].kind == JSON_OBJECT &&
           tree.doc.tokens[sign].kind == JSON_STRING &&
           hex_decode(json_span(&tree.doc, sign), signature, COLLATERAL_SIGNATURE_BYTES);
    if (good)
        *text = json_span(&tree.doc, value);
    json_unload(&tree);
    return good || failed(err, part, "not a signed document");
}

static bool write(const struct collateral *c, struct buf *json, struct attest_err *err)
{
    struct json_writer w;
    struct err why;

    json_begin(&w, json);
    collateral_write(c, &w);
    return json_end(&w, &why) || attest_fail(err, ATTEST_MEMORY, "%s", why.text);
}

bool pcs_assemble(const struct pcs_answer parts[static PCS_PARTS], struct buf *json,
                  struct attest_err *err)
{
    uint8_t tcb_signature[COLLATERAL_SIGNATURE_BYTES], qe_signature[COLLATERAL_SIGNATURE_BYTES];
    struct buf chains[PCS_ROOT_CRL], root;
    struct collateral c = {
        .pck_crl = parts[PCS_PCK_CRL].body,
        .tcb_info_signature = view_from(tcb_signature, sizeof tcb_signature),
        .qe_identity_signature = view_from(qe_signature, sizeof qe_signature),
    };
    bool good = true;

    buf_init(&root, ROOT_CRL_MAX, "root CRL");
    for (unsigned i = 0; i < PCS_ROOT_CRL; i++) {
        buf_init(&chains[i], PCS_CHAIN_MAX, "issuer chain");
        good = good && (pcs_decode(parts[i].chain, &chains[i]) ||
                        failed(err, (enum pcs_part)i, "its issuer chain is not percent-encoded"));
    }
    good =
        good &&
        (root_crl(parts[PCS_ROOT_CRL].body, &root) ||
         failed(err, PCS_ROOT_CRL, "neither DER nor hex")) &&
        split(parts[PCS_TCB_INFO].body, PCS_TCB_INFO, "tcbInfo", &c.tcb_info, tcb_signature, err) &&
        split(parts[PCS_QE_IDENTITY].body, PCS_QE_IDENTITY, "enclaveIdentity", &c.qe_identity,
              qe_signature, err);
    c.pck_crl_issuer_chain = buf_view(&chains[PCS_PCK_CRL]);
    c.tcb_info_issuer_chain = buf_view(&chains[PCS_TCB_INFO]);
    c.qe_identity_issuer_chain = buf_view(&chains[PCS_QE_IDENTITY]);
    c.root_ca_crl = buf_view(&root);
    good = good && write(&c, json, err);
    for (unsigned i = 0; i < PCS_ROOT_CRL; i++)
        buf_done(&chains[i]);
    buf_done(&root);
    return good;
}
