/* Quotes of the simulated platform: bytes in their places, then the three signatures. */
#include "attest/digest.h"
#include "base/p256.h"
#include "sim/platform.h"
#include "sim/platform_priv.h"

#include "base/poison.h"

enum { AUTH_BYTES = 32, HEADER_VERSION = 0, QE_REPORT_DATA = 320 };

void sim_td_default(struct sim_td *td)
{
    static const uint8_t attributes[8] = {0, 0, 0, 0x10}; /* SEPT_VE_DISABLE */

    memset(td, 0, sizeof *td);
    memcpy(td->tdattributes, attributes, sizeof attributes);
}

static bool zeros(struct buf *out, size_t n)
{
    uint8_t *room;

    if (!n)
        return true;
    if (!buf_room(out, n, &room, NULL))
        return false;
    memset(room, 0, n);
    buf_wrote(out, n);
    return true;
}

static bool put(struct buf *out, const void *at, size_t n)
{
    return buf_append(out, view_from(at, n), NULL);
}

static bool number(struct buf *out, uint32_t n, size_t bytes)
{
    bool good = true;

    for (size_t i = 0; i < bytes; i++)
        good = good && buf_append_byte(out, (uint8_t)(n >> 8 * i), NULL);
    return good;
}

static bool header(unsigned version, struct buf *out)
{
    static const uint8_t vendor[] = {0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9,
                                     0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07};

    return number(out, version, 2) && number(out, 2, 2) && number(out, TEE_TDX, 4) &&
           number(out, 0, 4) && put(out, vendor, sizeof vendor) && zeros(out, 20);
}

static bool td_report(const struct sim_platform *p, const struct sim_td *td, unsigned version,
                      const uint8_t *report_data, struct buf *out)
{
    static const uint8_t xfam[8] = {0xE7, 0x02, 0x06};
    bool good = version == 4 || (number(out, BODY_TD_15, 2) && number(out, TD_REPORT_15_BYTES, 4));
    uint8_t mrseam[MEASUREMENT_BYTES];

    memset(mrseam, 0x5E, sizeof mrseam);
    good = good && put(out, p->recipe.tee_tcb_svn, SVN_COUNT) && put(out, mrseam, sizeof mrseam) &&
           put(out, td->mrsignerseam, MEASUREMENT_BYTES) && put(out, td->seamattributes, 8) &&
           put(out, td->tdattributes, 8) && put(out, xfam, sizeof xfam) &&
           put(out, td->mrtd, MEASUREMENT_BYTES) && put(out, td->mrconfigid, MEASUREMENT_BYTES) &&
           zeros(out, (size_t)2 * MEASUREMENT_BYTES);
    for (size_t i = 0; i < 4; i++)
        good = good && put(out, td->rtmr[i], MEASUREMENT_BYTES);
    good = good && put(out, report_data, REPORT_DATA_BYTES);
    return good && (version == 4 || (put(out, td->tee_tcb_svn2, SVN_COUNT) &&
                                     put(out, td->mrservicetd, MEASUREMENT_BYTES)));
}

static bool qe_report(const struct sim_platform *p, struct buf *out)
{
    static const uint8_t attributes[16] = {0x11, 0, 0, 0, 0, 0, 0, 0, 0xE7};

    return put(out, p->recipe.cpusvn, 16) && zeros(out, 4 + 28) &&
           put(out, attributes, sizeof attributes) && zeros(out, 32 + 32) &&
           put(out, sim_qe_signer, sizeof sim_qe_signer) && zeros(out, 96) && number(out, 2, 2) &&
           number(out, p->recipe.qe_isvsvn, 2) && zeros(out, 60 + REPORT_DATA_BYTES);
}

/* Nobody can decrypt what this machine tells of its PPID: there is nothing in it. */
bool sim_certification(const struct sim_recipe *r, struct buf *out, struct err *err)
{
    size_t ppid = r->certification == CERTIFICATION_PPID_RSA2048 ? 256 : CERTIFICATION_PPID_MAX;
    bool good = true;

    for (size_t i = 0; good && i < ppid; i++)
        good = buf_append_byte(out, (uint8_t)(r->fmspc[i % sizeof r->fmspc] ^ i), err);
    return good && buf_append(out, view_from(r->cpusvn, sizeof r->cpusvn), err) &&
           number(out, r->pcesvn, 2) && buf_append(out, view_from(r->pceid, sizeof r->pceid), err);
}

static bool certification(const struct sim_platform *p, struct buf *out, struct err *err)
{
    if (p->recipe.certification != CERTIFICATION_PCK_CHAIN)
        return sim_certification(&p->recipe, out, err);
    return sim_pck_chain(p, out, err) && buf_append_byte(out, 0, err);
}

/* Signatures are left zero: sim_quote_sign fills them in. */
static bool signature_section(const struct sim_platform *p, struct view data, struct buf *out)
{
    uint8_t auth[AUTH_BYTES], point[P256_POINT_BYTES];
    uint32_t inner = (uint32_t)(ENCLAVE_REPORT_BYTES + 64 + 2 + AUTH_BYTES + 6 + data.len);

    for (size_t i = 0; i < sizeof auth; i++)
        auth[i] = (uint8_t)i;
    return p256_point(p->attestation_key, point) && number(out, 64 + 64 + 6 + inner, 4) &&
           zeros(out, 64) && put(out, point, sizeof point) && number(out, 6, 2) &&
           number(out, inner, 4) && qe_report(p, out) && zeros(out, 64) &&
           number(out, AUTH_BYTES, 2) && put(out, auth, sizeof auth) &&
           number(out, p->recipe.certification, 2) && number(out, (uint32_t)data.len, 4) &&
           buf_append(out, data, NULL);
}

bool sim_quote(const struct sim_platform *p, const struct sim_td *td, unsigned version,
               const uint8_t report_data[static REPORT_DATA_BYTES], size_t padding, struct buf *out,
               struct err *err)
{
    size_t before = buf_len(out), n;
    struct buf data;
    bool good;

    buf_init(&data, (size_t)64 * 1024, "certification data");
    good = certification(p, &data, err) && header(version, out) &&
           td_report(p, td, version, report_data, out) &&
           signature_section(p, buf_view(&data), out);
    buf_done(&data);
    if (!good)
        return err_set(err, ERR_MEMORY, "no memory for a quote");
    n = buf_len(out) - before;
    return sim_quote_sign(p, out->area + out->head + before, n, err) &&
           (zeros(out, padding) || err_set(err, ERR_MEMORY, "no memory for a quote"));
}

bool sim_quote_sign(const struct sim_platform *p, uint8_t *quote, size_t len, struct err *err)
{
    size_t body =
        quote[HEADER_VERSION] == 5 ? 6 + (size_t)TD_REPORT_15_BYTES : (size_t)TD_REPORT_10_BYTES;
    size_t signed_bytes = QUOTE_HEADER_BYTES + body;
    uint8_t *signature = quote + signed_bytes + 4, *key = signature + 64;
    uint8_t *report = key + 64 + 6, *qe_signature = report + ENCLAVE_REPORT_BYTES;
    uint8_t *auth = qe_signature + 64;
    struct view pieces[2];

    if (len < signed_bytes + 4 + 64 + 64 + 6 + ENCLAVE_REPORT_BYTES + 64 + 2)
        return err_set(err, ERR_SYNTAX, "too short to be a quote");
    pieces[0] = view_from(key, P256_POINT_BYTES);
    pieces[1] = view_from(auth + 2, (size_t)auth[0] | (size_t)auth[1] << 8);
    return (digest_sha256(pieces, 2, report + QE_REPORT_DATA) &&
            p256_sign(p->pck_key, view_from(report, ENCLAVE_REPORT_BYTES), qe_signature) &&
            p256_sign(p->attestation_key, view_from(quote, signed_bytes), signature)) ||
           err_set(err, ERR_INTERNAL, "signing failed");
}
