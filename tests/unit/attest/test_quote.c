/* Quotes: their shape, whose they are, and what the quoting enclave and the TD say of themselves. */
#include "faults.h"

enum { SGX_QUOTE_AT_SECTION = 48 + ENCLAVE_REPORT_BYTES };

/* --- lengths and types --- */

static void add32(struct world *w, size_t offset, int delta)
{
    quote_set32(w, offset, quote_get32(w, offset) + (uint32_t)delta);
}
static void version_65535(struct world *w)
{
    memset(quote_at(w, AT_VERSION), 0xFF, 2);
}
static void section_longer(struct world *w)
{
    add32(w, AT_SIGNATURE - 4, 1); /* there is padding to take it from */
}
static void section_longer_than_all(struct world *w)
{
    add32(w, AT_SIGNATURE - 4, 71);
}
static void section_shorter(struct world *w)
{
    add32(w, AT_SIGNATURE - 4, -1);
}
static void section_empty(struct world *w)
{
    quote_set32(w, AT_SIGNATURE - 4, 0);
}
static void section_huge(struct world *w)
{
    quote_set32(w, AT_SIGNATURE - 4, UINT32_MAX);
}
static void outer_size_larger(struct world *w)
{
    add32(w, AT_OUTER + 2, 1);
}
static void outer_size_smaller(struct world *w)
{
    add32(w, AT_OUTER + 2, -1);
}
static void outer_size_huge(struct world *w)
{
    quote_set32(w, AT_OUTER + 2, UINT32_MAX);
}
static void inner_size_larger(struct world *w)
{
    add32(w, AT_INNER + 2, 1);
}
static void inner_size_smaller(struct world *w)
{
    add32(w, AT_INNER + 2, -1);
}
static void inner_size_huge(struct world *w)
{
    quote_set32(w, AT_INNER + 2, UINT32_MAX);
}
static void auth_length_65535(struct world *w)
{
    memset(quote_at(w, AT_AUTH), 0xFF, 2);
}
static void megabyte(struct world *w) /* a good quote with so much behind it */
{
    static const uint8_t zeros[1 << 20];
    struct buf next;

    buf_init(&next, 2 << 20, "quote");
    assert_true(buf_append(&next, buf_view(&w->quote), NULL));
    assert_true(buf_append(&next, view_from(zeros, sizeof zeros), NULL));
    buf_done(&w->quote);
    w->quote = next;
}
static void padding_of_more_than_its_limit(struct world *w)
{
    static const uint8_t zeros[QUOTE_TRAILING_MAX];

    assert_true(buf_append(&w->quote, view_from(zeros, sizeof zeros), NULL));
}

/* --- version 5 --- */

static void version_5(struct world *w)
{
    w->version = 5;
    world_quote(w);
}
static void body_type_0(struct world *w)
{
    version_5(w);
    quote_set(w, 48, 0);
}
static void body_type_4(struct world *w)
{
    version_5(w);
    quote_set(w, 48, 4);
}
static void body_of_an_enclave(struct world *w)
{
    version_5(w);
    quote_set(w, 48, BODY_SGX);
}
static void body_type_of_another_size(struct world *w)
{
    version_5(w);
    quote_set(w, 48, BODY_TD_10);
}
static void body_size_wrong(struct world *w)
{
    version_5(w);
    quote_set32(w, 50, TD_REPORT_15_BYTES - 1);
}
static void body_size_huge(struct world *w)
{
    version_5(w);
    quote_set32(w, 50, UINT32_MAX);
}
static void sgx_in_version_5(struct world *w)
{
    version_5(w);
    quote_set(w, AT_TEE, TEE_SGX);
}
static void td_service(struct world *w)
{
    w->guest->td.mrservicetd[7] = 1;
    version_5(w);
}

/* --- signatures --- */

/* The order of the curve, as r or s. */
static const uint8_t order[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF,
                                  0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17,
                                  0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51};

static void signature_flipped(struct world *w)
{
    *quote_at(w, AT_SIGNATURE) ^= 1;
}
static void signature_zeros(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE), 0, 64);
}
static void signature_ones(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE), 0xFF, 64);
}
static void signature_r_0(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE), 0, 32);
}
static void signature_s_0(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE + 32), 0, 32);
}
static void signature_r_1(struct world *w)
{
    signature_r_0(w);
    quote_set(w, AT_SIGNATURE + 31, 1);
}
static void signature_r_n(struct world *w)
{
    memcpy(quote_at(w, AT_SIGNATURE), order, sizeof order);
}
static void signature_s_n(struct world *w)
{
    memcpy(quote_at(w, AT_SIGNATURE + 32), order, sizeof order);
}
static void signature_r_above_n(struct world *w)
{
    signature_r_n(w);
    quote_set(w, AT_SIGNATURE + 31, 0x52);
}
static void signature_s_above_n(struct world *w)
{
    signature_s_n(w);
    quote_set(w, AT_SIGNATURE + 63, 0x52);
}
static void body_flipped(struct world *w)
{
    *quote_at(w, AT_BODY + 136) ^= 1;
}
static void key_zero(struct world *w)
{
    memset(quote_at(w, AT_KEY), 0, 64);
    quote_resign(w); /* the quoting enclave vouches for it */
}
static void key_off_the_curve(struct world *w)
{
    *quote_at(w, AT_KEY + 63) ^= 1;
    quote_resign(w);
}
static void key_of_nobody(struct world *w) /* not the one that the quoting enclave vouches for */
{
    EVP_PKEY *key;

    assert_true(sim_key(&key, NULL));
    assert_true(p256_point(key, quote_at(w, AT_KEY)));
    assert_true(p256_sign(key, view_first(buf_view(&w->quote), AT_SIGNATURE - 4),
                          quote_at(w, AT_SIGNATURE)));
    EVP_PKEY_free(key);
}
static void key_of_another_platform(struct world *w) /* whose own quoting enclave vouches for it */
{
    struct sim_platform *mine = w->platform;
    struct buf own = w->quote;

    assert_true(sim_platform_new(&mine->recipe, &w->platform, NULL));
    buf_init(&w->quote, 1 << 17, "quote");
    world_quote(w);
    /* The other's signatures, key and QE report, with our certificates behind them and their length. */
    memcpy(own.area + own.head + AT_SIGNATURE, quote_at(w, AT_SIGNATURE), AT_OUTER - AT_SIGNATURE);
    memcpy(own.area + own.head + AT_QE, quote_at(w, AT_QE), AT_INNER - AT_QE);
    buf_done(&w->quote);
    w->quote = own;
    sim_platform_free(w->platform);
    w->platform = mine;
}

/* --- the quoting enclave --- */

static void sign_qe(struct world *w)
{
    assert_true(p256_sign(w->platform->pck_key, view_from(quote_at(w, AT_QE), ENCLAVE_REPORT_BYTES),
                          quote_at(w, AT_QE_SIGNATURE)));
}
static void auth_data_altered(struct world *w)
{
    *quote_at(w, AT_AUTH + 2) ^= 1;
}
static void qe_report_flipped(struct world *w)
{
    *quote_at(w, AT_QE) ^= 1;
}
static void qe_signature_flipped(struct world *w)
{
    *quote_at(w, AT_QE_SIGNATURE + 5) ^= 1;
}
static void qe_signature_r_0(struct world *w)
{
    memset(quote_at(w, AT_QE_SIGNATURE), 0, 32);
}
static void qe_signature_s_n(struct world *w)
{
    memcpy(quote_at(w, AT_QE_SIGNATURE + 32), order, sizeof order);
}
static void qe_hash_wrong(struct world *w)
{
    *quote_at(w, AT_QE_DATA + 31) ^= 1;
    sign_qe(w);
}
static void qe_upper_half(struct world *w)
{
    quote_set(w, AT_QE_DATA + 40, 1);
    sign_qe(w);
}

/* --- SGX --- */

/* The quote of an enclave on the same platform, whose report is the QE's own; and what Intel says of such. */
static void sgx_quote(struct world *w)
{
    struct view tdx = buf_view(&w->quote), qe = view_first(view_skip(tdx, AT_QE), 384);
    struct buf next;

    buf_init(&next, 1 << 17, "quote");
    assert_true(buf_append(&next, view_first(tdx, 48), NULL) && buf_append(&next, qe, NULL));
    /* Without type 6 around the QE's part. */
    assert_true(buf_append(&next, view_first(view_skip(tdx, AT_SIGNATURE - 4), 4 + 128), NULL));
    assert_true(buf_append(&next, view_skip(tdx, AT_QE), NULL));
    buf_done(&w->quote);
    w->quote = next;
    quote_set(w, AT_VERSION, 3);
    quote_set(w, AT_TEE, TEE_SGX);
    add32(w, SGX_QUOTE_AT_SECTION, -6);
    assert_true(p256_sign(w->platform->attestation_key,
                          view_first(buf_view(&w->quote), SGX_QUOTE_AT_SECTION),
                          quote_at(w, SGX_QUOTE_AT_SECTION + 4)));
    tcb_replace(w, "\"id\":\"TDX\"", "\"id\":\"SGX\"");
    qe_replace(w, "\"TD_QE\"", "\"QE\"");
}

static void sgx_debug(struct world *w)
{
    *quote_at(w, AT_QE + 48) |= 2;
    sgx_quote(w);
    /* The quoting enclave itself is none. */
    *quote_at(w, SGX_QUOTE_AT_SECTION + 4 + 128 + 48) &= (uint8_t)~2;
}

static void an_sgx_quote_is_genuine_and_no_policy_takes_it(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    sgx_quote(&w);
    if (!world_dcap(&w, TCB_MATCHING_STRICT, &report))
        fail_msg("%s", w.err.text);
    assert_int_equal(report.quote.tee, TEE_SGX);
    assert_false(world_verify(&w));
    assert_int_equal(w.err.code, ATTEST_TEE_MISMATCH);
    world_close(&w);
}

/* --- all bits of TDATTRIBUTES --- */

static enum attest_code attribute_code(unsigned bit)
{
    switch (bit) {
    case 0:
        return ATTEST_TD_DEBUG;
    case 28: /* SEPT_VE_DISABLE: it was set */
        return ATTEST_TD_SEPT_VE;
    case 29:
        return ATTEST_TD_MIGRATABLE;
    case 30: /* PKS */
    case 31: /* KL */
        return ATTEST_OK;
    case 63:
        return ATTEST_TD_PERFMON;
    default:
        return ATTEST_TD_RESERVED;
    }
}

static void each_bit_of_td_attributes_has_its_verdict(void **state)
{
    struct world w;

    (void)state;
    world_open(&w, 4);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t *at = quote_at(&w, AT_BODY + 120 + bit / 8);
        struct dcap_report report;

        *at ^= (uint8_t)(1u << bit % 8);
        quote_resign_body(&w);
        (void)!world_dcap(&w, TCB_MATCHING_STRICT, &report);
        if (w.err.code != attribute_code(bit))
            fail_msg("bit %u: wanted %s, got %s", bit, attest_code_name(attribute_code(bit)),
                     attest_code_name(w.err.code));
        *at ^= (uint8_t)(1u << bit % 8);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BYTE_FAULT(version_0, QUOTE_VERSION, AT_VERSION, 0),
        BYTE_FAULT(version_1, QUOTE_VERSION, AT_VERSION, 1),
        BYTE_FAULT(version_2, QUOTE_VERSION, AT_VERSION, 2),
        BYTE_FAULT(version_6, QUOTE_VERSION, AT_VERSION, 6),
        DCAP_FAULT(version_65535, QUOTE_VERSION),
        BYTE_FAULT(tdx_in_version_3, QUOTE_TEE, AT_VERSION, 3),
        BYTE_FAULT(sgx_in_version_4, QUOTE_TEE, AT_TEE, TEE_SGX),
        DCAP_FAULT(sgx_in_version_5, QUOTE_TEE),
        BYTE_FAULT(tee_unknown, QUOTE_TEE, AT_TEE, 0x82),
        BYTE_FAULT(key_type_3, QUOTE_KEY_TYPE, AT_KEY_TYPE, 3),
        BYTE_FAULT(vendor_other, QUOTE_VENDOR, AT_VENDOR, 0),
        BYTE_FAULT(outer_type_5, QUOTE_CERTIFICATION, AT_OUTER, 5),
        BYTE_FAULT(nested_type_6, QUOTE_CERTIFICATION, AT_INNER, 6),
        BYTE_FAULT(type_1_without_chain, QUOTE_CERTIFICATION, AT_INNER, 1),
        BYTE_FAULT(type_2_without_chain, QUOTE_CERTIFICATION, AT_INNER, 2),
        BYTE_FAULT(type_3_without_chain, QUOTE_CERTIFICATION, AT_INNER, 3),
        BYTE_FAULT(type_4_without_chain, QUOTE_CERTIFICATION, AT_INNER, 4),
        BYTE_FAULT(type_7_without_chain, QUOTE_CERTIFICATION, AT_INNER, 7),
        DCAP_FAULT(section_longer, QUOTE_SYNTAX),
        DCAP_FAULT(section_longer_than_all, QUOTE_SYNTAX),
        DCAP_FAULT(section_shorter, QUOTE_SYNTAX),
        DCAP_FAULT(section_empty, QUOTE_SYNTAX),
        DCAP_FAULT(section_huge, QUOTE_SYNTAX),
        DCAP_FAULT(outer_size_larger, QUOTE_SYNTAX),
        DCAP_FAULT(outer_size_smaller, QUOTE_SYNTAX),
        DCAP_FAULT(outer_size_huge, QUOTE_SYNTAX),
        DCAP_FAULT(inner_size_larger, QUOTE_SYNTAX),
        DCAP_FAULT(inner_size_smaller, QUOTE_SYNTAX),
        DCAP_FAULT(inner_size_huge, QUOTE_SYNTAX),
        DCAP_FAULT(auth_length_65535, QUOTE_SYNTAX),
        DCAP_FAULT(megabyte, QUOTE_SYNTAX),
        DCAP_FAULT(padding_of_more_than_its_limit, QUOTE_SYNTAX),
        DCAP_FAULT(body_type_0, QUOTE_TEE),
        DCAP_FAULT(body_type_4, QUOTE_TEE),
        DCAP_FAULT(body_of_an_enclave, QUOTE_TEE),
        DCAP_FAULT(body_type_of_another_size, QUOTE_SYNTAX),
        DCAP_FAULT(body_size_wrong, QUOTE_SYNTAX),
        DCAP_FAULT(body_size_huge, QUOTE_SYNTAX),
        DCAP_FAULT(signature_flipped, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_zeros, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_ones, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_r_0, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_s_0, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_r_1, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_r_n, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_s_n, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_r_above_n, QUOTE_SIGNATURE),
        DCAP_FAULT(signature_s_above_n, QUOTE_SIGNATURE),
        DCAP_FAULT(body_flipped, QUOTE_SIGNATURE),
        DCAP_FAULT(key_zero, QUOTE_SIGNATURE),
        DCAP_FAULT(key_off_the_curve, QUOTE_SIGNATURE),
        DCAP_FAULT(key_of_nobody, QE_REPORT_DATA),
        DCAP_FAULT(key_of_another_platform, QE_REPORT_SIGNATURE),
        DCAP_FAULT(auth_data_altered, QE_REPORT_DATA),
        DCAP_FAULT(qe_report_flipped, QE_REPORT_SIGNATURE),
        DCAP_FAULT(qe_signature_flipped, QE_REPORT_SIGNATURE),
        DCAP_FAULT(qe_signature_r_0, QE_REPORT_SIGNATURE),
        DCAP_FAULT(qe_signature_s_n, QE_REPORT_SIGNATURE),
        DCAP_FAULT(qe_hash_wrong, QE_REPORT_DATA),
        DCAP_FAULT(qe_upper_half, QE_REPORT_DATA),
        QE_FAULT(qe_mrsigner, QE_MRSIGNER, 128, 0),
        QE_FAULT(qe_prodid, QE_ISVPRODID, 256, 3),
        QE_FAULT(qe_misc, QE_MISCSELECT, 16, 1),
        QE_FAULT(qe_attributes, QE_ATTRIBUTES, 48, 0x01),
        QE_FAULT(qe_debug, QE_DEBUG, 48, 0x13),
        QE_FAULT(qe_svn, QE_ISVSVN, 258, 0),
        TD_FAULT(td_debug, TD_DEBUG, 120, 1),
        TD_FAULT(td_profiling, TD_RESERVED, 120, 2),
        TD_FAULT(td_reserved, TD_RESERVED, 121, 1),
        TD_FAULT(td_lass, TD_RESERVED, 123, 0x18),
        TD_FAULT(td_sept, TD_SEPT_VE, 123, 0),
        TD_FAULT(td_migratable, TD_MIGRATABLE, 123, 0x30),
        TD_FAULT(td_other, TD_RESERVED, 124, 0x80),
        TD_FAULT(td_perfmon, TD_PERFMON, 127, 0x80),
        DCAP_FAULT(td_service, TD_SERVICE),
        DCAP_FAULT(sgx_debug, SGX_DEBUG),
        cmocka_unit_test(an_sgx_quote_is_genuine_and_no_policy_takes_it),
        cmocka_unit_test(each_bit_of_td_attributes_has_its_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
