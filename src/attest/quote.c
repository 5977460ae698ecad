#include "attest/quote.h"

#include "base/poison.h"

enum {
    QUOTE_BYTES_LEAST = 1020,
    KEY_P256 = 2,
    CERTIFICATION_QE_REPORT = 6,
    DESCRIPTOR_BYTES = 6,
};

static const uint8_t intel_qe[16] = {0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9,
                                     0x94, 0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07};

/* What is left to read. The first piece that is not there makes all later ones empty. */
struct cursor {
    struct view rest;
    const char *missing;
};

static struct view piece(struct cursor *c, size_t n, const char *what)
{
    struct view v = view_first(c->rest, n);

    if (c->missing || v.len < n) {
        if (!c->missing)
            c->missing = what;
        return view_from(NULL, 0);
    }
    c->rest = view_skip(c->rest, n);
    return v;
}

static uint32_t number(struct view v)
{
    uint32_t n = 0;

    for (size_t i = v.len; i > 0; i--)
        n = n << 8 | v.at[i - 1];
    return n;
}

static uint16_t number16(struct cursor *c, const char *what)
{
    return (uint16_t)number(piece(c, 2, what));
}

static bool cut(const struct cursor *c, struct attest_err *err)
{
    if (!c->missing)
        return false;
    (void)attest_fail(err, ATTEST_QUOTE_SYNTAX, "Failed to parse quote: it ends within the %s",
                      c->missing);
    return true;
}

static void enclave_report(struct cursor *from, const char *what, struct enclave_report *r)
{
    struct cursor c = {.rest = piece(from, ENCLAVE_REPORT_BYTES, what)};

    if (from->missing)
        return;
    r->bytes = c.rest;
    r->cpusvn = piece(&c, 16, what);
    r->miscselect = piece(&c, 4, what);
    (void)piece(&c, 28, what);
    r->attributes = piece(&c, 16, what);
    r->mrenclave = piece(&c, 32, what);
    (void)piece(&c, 32, what);
    r->mrsigner = piece(&c, 32, what);
    (void)piece(&c, 96, what);
    r->isvprodid = number16(&c, what);
    r->isvsvn = number16(&c, what);
    (void)piece(&c, 60, what);
    r->report_data = piece(&c, 64, what);
}

static void td_report(struct cursor *c, enum quote_body body, struct td_report *r)
{
    static const char what[] = "TD report";

    r->tee_tcb_svn = piece(c, 16, what);
    r->mrseam = piece(c, MEASUREMENT_BYTES, what);
    r->mrsignerseam = piece(c, MEASUREMENT_BYTES, what);
    r->seamattributes = piece(c, 8, what);
    r->tdattributes = piece(c, 8, what);
    r->xfam = piece(c, 8, what);
    r->mrtd = piece(c, MEASUREMENT_BYTES, what);
    r->mrconfigid = piece(c, MEASUREMENT_BYTES, what);
    r->mrowner = piece(c, MEASUREMENT_BYTES, what);
    r->mrownerconfig = piece(c, MEASUREMENT_BYTES, what);
    for (size_t i = 0; i < 4; i++)
        r->rtmr[i] = piece(c, MEASUREMENT_BYTES, what);
    r->report_data = piece(c, REPORT_DATA_BYTES, what);
    if (body == BODY_TD_15) {
        r->tee_tcb_svn2 = piece(c, 16, what);
        r->mrservicetd = piece(c, MEASUREMENT_BYTES, what);
    }
}

static bool header(struct cursor *c, struct quote *q, struct attest_err *err)
{
    uint16_t key_type;
    uint32_t tee;

    q->version = number16(c, "header");
    if (!c->missing && (q->version < 3 || q->version > 5))
        return attest_fail(err, ATTEST_QUOTE_VERSION,
                           "Unsupported DCAP quote version: expected 3, 4 or 5, got %u",
                           q->version);
    key_type = number16(c, "header");
    tee = number(piece(c, 4, "header"));
    (void)piece(c, 4, "header"); /* SVNs of QE and PCE, as the quoting enclave itself says */
    q->qe_vendor = piece(c, 16, "header");
    q->user_data = piece(c, 20, "header");
    if (cut(c, err))
        return false;
    if (!view_eq(q->qe_vendor, view_from(intel_qe, sizeof intel_qe)))
        return attest_fail(err, ATTEST_QUOTE_VENDOR,
                           "Unknown QE vendor ID: the quoting enclave is not Intel's");
    if (tee != TEE_SGX && tee != TEE_TDX)
        return attest_fail(err, ATTEST_QUOTE_TEE,
                           "Unsupported TEE type: expected 0x00 (SGX) or 0x81 (TDX), got 0x%02x",
                           tee);
    q->tee = (enum quote_tee)tee;
    if (q->tee == TEE_SGX && q->version != 3)
        return attest_fail(err, ATTEST_QUOTE_TEE, "SGX TEE quote must have version 3, got %u",
                           q->version);
    if (q->tee == TEE_TDX && q->version == 3)
        return attest_fail(err, ATTEST_QUOTE_TEE, "TDX TEE quote must have version 4 or 5, got 3");
    if (key_type != KEY_P256)
        return attest_fail(
            err, ATTEST_QUOTE_KEY_TYPE,
            "Unsupported DCAP attestation key type: expected 2 (ECDSA P-256), got %u", key_type);
    return true;
}

static bool body(struct cursor *c, struct quote *q, struct attest_err *err)
{
    q->body = q->tee == TEE_SGX ? BODY_SGX : BODY_TD_10;
    if (q->version == 5) {
        uint32_t type = number16(c, "body descriptor");
        uint32_t size = number(piece(c, 4, "body descriptor"));

        if (cut(c, err))
            return false;
        if (type != BODY_TD_10 && type != BODY_TD_15)
            return attest_fail(err, ATTEST_QUOTE_TEE,
                               "the body of a TDX quote has type 2 or 3, this one has %u", type);
        q->body = (enum quote_body)type;
        if (size != (type == BODY_TD_10 ? TD_REPORT_10_BYTES : TD_REPORT_15_BYTES))
            return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                               "Failed to parse quote: a body of type %u has not %u bytes", type,
                               size);
    }
    if (q->body == BODY_SGX)
        enclave_report(c, "enclave report", &q->sgx);
    else
        td_report(c, q->body, &q->td);
    return !cut(c, err);
}

/* The quoting enclave's report, and the certification data of the key that signed it. */
static bool qe_part(struct cursor *c, struct quote *q, struct attest_err *err)
{
    uint32_t n, type;

    enclave_report(c, "QE report", &q->qe);
    q->qe_signature = piece(c, 64, "QE report signature");
    n = number16(c, "QE authentication data");
    if (n > QUOTE_AUTH_MAX)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                           "Failed to parse quote: %u bytes of QE authentication data, at most %d",
                           n, QUOTE_AUTH_MAX);
    q->qe_auth = piece(c, n, "QE authentication data");
    type = number16(c, "certification data");
    n = number(piece(c, 4, "certification data"));
    if (cut(c, err))
        return false;
    if (type == CERTIFICATION_QE_REPORT)
        return attest_fail(err, ATTEST_QUOTE_CERTIFICATION,
                           "certification data of type 6 within certification data of type 6");
    if (n > QUOTE_CERTIFICATION_MAX)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                           "Failed to parse quote: %u bytes of certification data, at most %d", n,
                           QUOTE_CERTIFICATION_MAX);
    q->certification_type = (uint16_t)type;
    q->certification = piece(c, n, "certification data");
    if (cut(c, err))
        return false;
    if (c->rest.len)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                           "Failed to parse quote: %zu bytes behind the certification data are "
                           "within the signature section",
                           c->rest.len);
    return true;
}

static bool signature_section(struct cursor *all, struct quote *q, struct attest_err *err)
{
    uint32_t n = number(piece(all, 4, "length of the signature section"));
    struct cursor c;

    if (cut(all, err))
        return false;
    if (n > all->rest.len)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                           "Failed to parse quote: a signature section of %u bytes, %zu are there",
                           n, all->rest.len);
    c = (struct cursor){.rest = piece(all, n, "signature section")};
    q->signature = piece(&c, 64, "quote signature");
    q->attestation_key = piece(&c, 64, "attestation key");
    if (q->version > 3) {
        uint32_t type = number16(&c, "certification data");
        uint32_t size = number(piece(&c, 4, "certification data"));

        if (cut(&c, err))
            return false;
        if (type != CERTIFICATION_QE_REPORT)
            return attest_fail(
                err, ATTEST_QUOTE_CERTIFICATION,
                "the certification data of a version %u quote has type 6, this one has %u",
                q->version, type);
        if (size != c.rest.len)
            return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                               "Failed to parse quote: certification data of %u bytes, %zu are "
                               "there",
                               size, c.rest.len);
    }
    return qe_part(&c, q, err);
}

bool quote_parse(struct view bytes, struct quote *out, struct attest_err *err)
{
    struct cursor c = {.rest = bytes};
    struct quote q = {.bytes = bytes};

    if (bytes.len > QUOTE_BYTES_MAX)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX, "Failed to parse quote: %zu bytes, at most %d",
                           bytes.len, QUOTE_BYTES_MAX);
    if (!header(&c, &q, err))
        return false;
    if (bytes.len < QUOTE_BYTES_LEAST)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                           "Failed to parse quote: %zu bytes, at least %d", bytes.len,
                           QUOTE_BYTES_LEAST);
    if (!body(&c, &q, err))
        return false;
    q.signed_part = view_first(bytes, bytes.len - c.rest.len);
    if (!signature_section(&c, &q, err))
        return false;
    if (c.rest.len > QUOTE_TRAILING_MAX)
        return attest_fail(err, ATTEST_QUOTE_SYNTAX,
                           "Failed to parse quote: %zu bytes behind its end, at most %d",
                           c.rest.len, QUOTE_TRAILING_MAX);
    *out = q;
    return true;
}

const char *quote_tee_name(enum quote_tee tee)
{
    return tee == TEE_SGX ? "SGX" : "TDX";
}

const char *quote_body_name(enum quote_body body_type)
{
    return body_type == BODY_SGX ? "SgxEnclave" : body_type == BODY_TD_10 ? "TD10" : "TD15";
}
