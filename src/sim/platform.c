#include "sim/platform.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/p256.h"
#include "sim/platform_priv.h"

#include "base/poison.h"

enum { DAY_S = 86400, HOUR_S = 3600, YEARS = 7 * 365, PEM_MAX = 64 * 1024, PATH_BYTES = 4096 };

const uint8_t sim_qe_signer[32] = "Postern Simulator QE signer ....";

void sim_recipe_default(struct sim_recipe *r, int64_t now_s)
{
    *r = (struct sim_recipe){
        .now_s = now_s,
        .document_days = 30,
        .fmspc = {0x90, 'S', 'I', 'M', 0, 0},
        .cpusvn = {5, 5, 2, 2, 4, 1, 0, 5},
        .tee_tcb_svn = {6, 1, 3},
        .pcesvn = 13,
        .status = "UpToDate",
        .module_status = "UpToDate",
        .qe_status = "UpToDate",
        .qe_isvsvn = 4,
        .evaluation = 17,
        .certification = CERTIFICATION_PCK_CHAIN,
    };
}

static bool make_keys(struct sim_platform *p, struct err *err)
{
    return sim_key(&p->root_key, err) && sim_key(&p->ca_key, err) && sim_key(&p->pck_key, err) &&
           sim_key(&p->signer_key, err);
}

static bool make_pck(struct sim_platform *p, struct sim_certificate_spec *spec, struct err *err)
{
    struct buf extension;
    bool good;

    buf_init(&extension, 4096, "extension");
    good = sim_sgx_extension(&p->recipe, &extension, err);
    spec->sgx_extension = buf_view(&extension);
    good = good && sim_certificate(spec, &p->pck, err);
    buf_done(&extension);
    return good;
}

static bool make_certificates(struct sim_platform *p, struct err *err)
{
    struct sim_certificate_spec spec = {
        .name = SIM_MAKER " Root CA",
        .key = p->root_key,
        .ca = true,
        .path_length = 1,
        .not_before_s = p->recipe.now_s - DAY_S,
        .not_after_s = p->recipe.now_s + (int64_t)YEARS * DAY_S,
    };

    if (!sim_certificate(&spec, &p->root, err))
        return false;
    spec.issuer = p->root;
    spec.issuer_key = p->root_key;
    spec.name = SIM_MAKER " PCK Platform CA";
    spec.key = p->ca_key;
    spec.path_length = 0;
    if (!sim_certificate(&spec, &p->ca, err))
        return false;
    spec.name = SIM_MAKER " TCB Signing";
    spec.key = p->signer_key;
    spec.ca = false;
    if (!sim_certificate(&spec, &p->signer, err))
        return false;
    spec.name = SIM_MAKER " PCK Certificate";
    spec.key = p->pck_key;
    spec.issuer = p->ca;
    spec.issuer_key = p->ca_key;
    spec.serial = p->recipe.pck_serial;
    return make_pck(p, &spec, err);
}

static struct sim_platform *empty(const struct sim_recipe *recipe, struct err *err)
{
    struct sim_platform *p = calloc(1, sizeof *p);

    if (!p)
        (void)err_set(err, ERR_MEMORY, "no memory for a simulated platform");
    else
        p->recipe = *recipe;
    return p;
}

bool sim_platform_new(const struct sim_recipe *recipe, struct sim_platform **out, struct err *err)
{
    CLEANUP(sim_platform_free_cleanup) struct sim_platform *p = empty(recipe, err);

    if (!p || !make_keys(p, err) || !sim_key(&p->attestation_key, err) ||
        !make_certificates(p, err))
        return false;
    *out = take(p);
    return true;
}

void sim_platform_free(struct sim_platform *p)
{
    if (!p)
        return;
    EVP_PKEY_free(p->root_key);
    EVP_PKEY_free(p->ca_key);
    EVP_PKEY_free(p->pck_key);
    EVP_PKEY_free(p->signer_key);
    EVP_PKEY_free(p->attestation_key);
    X509_free(p->root);
    X509_free(p->ca);
    X509_free(p->pck);
    X509_free(p->signer);
    free(p);
}

/* --- chains and CRLs --- */

static bool chain(X509 *one, X509 *two, X509 *three, struct buf *out, struct err *err)
{
    return sim_pem(one, out, err) && sim_pem(two, out, err) && (!three || sim_pem(three, out, err));
}

bool sim_pck_chain(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return chain(p->pck, p->ca, p->root, out, err);
}

bool sim_signer_chain(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return chain(p->signer, p->root, NULL, out, err);
}

bool sim_ca_chain(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return chain(p->ca, p->root, NULL, out, err);
}

static bool crl(const struct sim_platform *p, X509 *issuer, EVP_PKEY *key, struct buf *out,
                struct err *err)
{
    const struct sim_crl_spec spec = {
        .issuer = issuer,
        .key = key,
        .this_s = p->recipe.now_s - HOUR_S,
        .next_s = p->recipe.now_s + p->recipe.document_days * DAY_S,
    };
    X509_CRL *made = NULL;
    bool good = sim_crl(&spec, &made, err) && sim_crl_der(made, out, err);

    X509_CRL_free(made);
    return good;
}

bool sim_root_crl(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return crl(p, p->root, p->root_key, out, err);
}

bool sim_pck_crl(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return crl(p, p->ca, p->ca_key, out, err);
}

/* --- collateral --- */

typedef bool (*sim_maker)(const struct sim_platform *p, struct buf *out, struct err *err);

static bool tcb_text(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return sim_tcb_info(&p->recipe, out, err);
}

static bool qe_text(const struct sim_platform *p, struct buf *out, struct err *err)
{
    return sim_qe_identity(&p->recipe, out, err);
}

bool sim_collateral(const struct sim_platform *p, struct buf *out, struct err *err)
{
    enum { CA_CHAIN, ROOT_CRL, PCK_CRL, SIGNER_CHAIN, TCB, QE, COUNT };
    static const sim_maker makers[COUNT] = {sim_ca_chain,     sim_root_crl, sim_pck_crl,
                                            sim_signer_chain, tcb_text,     qe_text};
    uint8_t tcb_signature[P256_SIGNATURE_BYTES], qe_signature[P256_SIGNATURE_BYTES];
    struct buf parts[COUNT];
    struct json_writer w;
    bool good = true;

    for (size_t i = 0; i < COUNT; i++) {
        buf_init(&parts[i], (size_t)1024 * 1024, "collateral");
        good = good && makers[i](p, &parts[i], err);
    }
    if (good && (!p256_sign(p->signer_key, buf_view(&parts[TCB]), tcb_signature) ||
                 !p256_sign(p->signer_key, buf_view(&parts[QE]), qe_signature)))
        good = err_set(err, ERR_INTERNAL, "signing failed");
    if (good) {
        const struct collateral c = {
            .pck_crl_issuer_chain = buf_view(&parts[CA_CHAIN]),
            .root_ca_crl = buf_view(&parts[ROOT_CRL]),
            .pck_crl = buf_view(&parts[PCK_CRL]),
            .tcb_info_issuer_chain = buf_view(&parts[SIGNER_CHAIN]),
            .tcb_info = buf_view(&parts[TCB]),
            .tcb_info_signature = view_from(tcb_signature, sizeof tcb_signature),
            .qe_identity_issuer_chain = buf_view(&parts[SIGNER_CHAIN]),
            .qe_identity = buf_view(&parts[QE]),
            .qe_identity_signature = view_from(qe_signature, sizeof qe_signature),
        };

        json_begin(&w, out);
        collateral_write(&c, &w);
        good = json_end(&w, err);
    }
    for (size_t i = 0; i < COUNT; i++)
        buf_done(&parts[i]);
    return good;
}

/* --- on disk --- */

/* What is kept in files, by the beginning of their names. */
struct saved {
    const char *name;
    EVP_PKEY **key;
    X509 **certificate;
};

enum { SAVED_COUNT = 4 };

static void saved_of(struct sim_platform *p, struct saved out[static SAVED_COUNT])
{
    out[0] = (struct saved){"root", &p->root_key, &p->root};
    out[1] = (struct saved){"platform-ca", &p->ca_key, &p->ca};
    out[2] = (struct saved){"pck", &p->pck_key, &p->pck};
    out[3] = (struct saved){"tcb-signing", &p->signer_key, &p->signer};
}

static bool path_of(char path[static PATH_BYTES], const char *folder, const char *name,
                    const char *kind, struct err *err)
{
    return snprintf(path, PATH_BYTES, "%s/%s%s", folder, name, kind) < PATH_BYTES ||
           err_set(err, ERR_LIMIT, "%s: the path is too long", folder);
}

bool sim_platform_save(struct sim_platform *p, const char *folder, struct err *err)
{
    struct saved saved[SAVED_COUNT];
    bool good = true;

    saved_of(p, saved);
    for (size_t i = 0; good && i < SAVED_COUNT; i++) {
        char path[PATH_BYTES];
        struct buf text;

        buf_init(&text, PEM_MAX, "PEM");
        good = sim_pem(*saved[i].certificate, &text, err) &&
               path_of(path, folder, saved[i].name, "-cert.pem", err) &&
               file_write(path, buf_view(&text), 0644, err);
        buf_reset(&text);
        good = good && sim_key_pem(*saved[i].key, &text, err) &&
               path_of(path, folder, saved[i].name, "-key.pem", err) &&
               file_write(path, buf_view(&text), 0600, err);
        buf_done(&text);
    }
    return good;
}

static bool load_file(const char *folder, const char *name, const char *kind, struct buf *text,
                      struct err *err)
{
    char path[PATH_BYTES];

    buf_init(text, PEM_MAX, "PEM");
    if (path_of(path, folder, name, kind, err) && file_read(path, text, err))
        return true;
    buf_done(text);
    return false;
}

static bool load_one(const struct saved *s, const char *folder, struct err *err)
{
    struct buf text;
    bool good;

    if (!load_file(folder, s->name, "-cert.pem", &text, err))
        return false;
    good = sim_pem_read(buf_view(&text), s->certificate, err);
    buf_done(&text);
    if (!good || !load_file(folder, s->name, "-key.pem", &text, err))
        return false;
    good = sim_key_pem_read(buf_view(&text), s->key, err);
    buf_done(&text);
    if (good && X509_check_private_key(*s->certificate, *s->key) != 1) {
        ERR_clear_error();
        good = err_set(err, ERR_CONFIG, "%s/%s-key.pem is not the key of %s-cert.pem", folder,
                       s->name, s->name);
    }
    return good;
}

bool sim_platform_load(const char *folder, const struct sim_recipe *recipe,
                       struct sim_platform **out, struct err *err)
{
    CLEANUP(sim_platform_free_cleanup) struct sim_platform *p = empty(recipe, err);
    struct saved saved[SAVED_COUNT];

    if (!p || !sim_key(&p->attestation_key, err))
        return false;
    saved_of(p, saved);
    for (size_t i = 0; i < SAVED_COUNT; i++)
        if (!load_one(&saved[i], folder, err))
            return false;
    *out = take(p);
    return true;
}
