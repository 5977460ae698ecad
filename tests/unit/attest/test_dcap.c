/* Is it genuine? One good world, and every way in which it may be spoiled with the error of its own. */
#include "world.h"

enum { DAY_S = 86400 };

static void good(void **state)
{
    for (unsigned version = 4; version <= 5; version++) {
        struct dcap_report report;
        struct world w;

        (void)state;
        world_open(&w, version);
        if (!world_dcap(&w, TCB_MATCHING_STRICT, &report))
            fail_msg("%s", w.err.text);
        assert_int_equal(report.verdict.status, TCB_STATUS_UP_TO_DATE);
        assert_int_equal(report.verdict.advisories.count, 0);
        assert_int_equal(report.tcb_evaluation, 17);
        assert_int_equal(report.tcb_date_s, 1710288000);
        assert_int_equal(report.valid_until_s, WORLD_NOW_S + 30 * DAY_S);
        assert_true(report.has_module);
        assert_false(report.intel);
        assert_false(report.processor_ca);
        world_close(&w);
    }
}

/* --- one spoiler a case --- */

static void v_version(struct world *w)
{
    quote_set(w, AT_VERSION, 6);
}
static void v_version_0(struct world *w)
{
    quote_set(w, AT_VERSION, 0);
}
static void v_tdx_in_3(struct world *w)
{
    quote_set(w, AT_VERSION, 3);
}
static void v_sgx_in_4(struct world *w)
{
    quote_set(w, AT_TEE, 0);
}
static void v_tee(struct world *w)
{
    quote_set(w, AT_TEE, 0x82);
}
static void v_key_type(struct world *w)
{
    quote_set(w, AT_KEY_TYPE, 3);
}
static void v_vendor(struct world *w)
{
    quote_set(w, AT_VENDOR, 0);
}
static void v_outer_type(struct world *w)
{
    quote_set(w, AT_OUTER, 5);
}
static void v_outer_size(struct world *w)
{
    quote_set(w, AT_OUTER + 2, (uint8_t)(*quote_at(w, AT_OUTER + 2) ^ 1));
}
static void v_inner_6(struct world *w)
{
    quote_set(w, AT_INNER, 6);
}
static void v_inner_4(struct world *w)
{
    quote_set(w, AT_INNER, 4);
}
static void v_inner_1(struct world *w)
{
    quote_set(w, AT_INNER, 1);
}
static void v_inner_size(struct world *w)
{
    quote_set(w, AT_INNER + 2, (uint8_t)(*quote_at(w, AT_INNER + 2) ^ 1));
}
static void v_auth_size(struct world *w)
{
    quote_set(w, AT_AUTH + 1, 0xFF);
}
static void v_section_huge(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE - 4), 0xFF, 4);
}
static void v_megabyte(struct world *w)
{
    buf_done(&w->quote);
    buf_init(&w->quote, 2 << 20, "quote");
    for (int i = 0; i < 1 << 10; i++) {
        static const uint8_t zeros[1024];

        assert_true(buf_append(&w->quote, view_from(zeros, sizeof zeros), NULL));
    }
}

static void v_signature(struct world *w)
{
    *quote_at(w, AT_SIGNATURE) ^= 1;
}
static void v_signature_zero(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE), 0, 64);
}
static void v_signature_ones(struct world *w)
{
    memset(quote_at(w, AT_SIGNATURE), 0xFF, 64);
}
static void v_body(struct world *w)
{
    *quote_at(w, AT_BODY + 136) ^= 1;
}
static void v_key_zero(struct world *w)
{
    memset(quote_at(w, AT_KEY), 0, 64);
    quote_resign(w);
}
static void v_key_other(struct world *w) /* not the one that the quoting enclave vouches for */
{
    EVP_PKEY *key;

    assert_true(sim_key(&key, NULL));
    assert_true(p256_point(key, quote_at(w, AT_KEY)));
    assert_true(p256_sign(key, view_first(buf_view(&w->quote), AT_SIGNATURE - 4),
                          quote_at(w, AT_SIGNATURE)));
    EVP_PKEY_free(key);
}
static void v_auth(struct world *w)
{
    *quote_at(w, AT_AUTH + 2) ^= 1;
}
static void v_qe_report(struct world *w)
{
    *quote_at(w, AT_QE) ^= 1;
}
static void v_qe_signature(struct world *w)
{
    *quote_at(w, AT_QE_SIGNATURE + 5) ^= 1;
}
static void v_qe_upper_half(struct world *w)
{
    quote_set(w, AT_QE_DATA + 40, 1);
    assert_true(p256_sign(w->platform->pck_key, view_from(quote_at(w, AT_QE), 384),
                          quote_at(w, AT_QE_SIGNATURE)));
}
static void qe_field(struct world *w, size_t offset, uint8_t value)
{
    quote_set(w, AT_QE + offset, value);
    quote_resign(w);
}
static void v_qe_mrsigner(struct world *w)
{
    qe_field(w, 128, 0);
}
static void v_qe_prodid(struct world *w)
{
    qe_field(w, 256, 3);
}
static void v_qe_misc(struct world *w)
{
    qe_field(w, 16, 1);
}
static void v_qe_attributes(struct world *w)
{
    qe_field(w, 48, 0x01);
}
static void v_qe_debug(struct world *w)
{
    qe_field(w, 48, 0x13);
}
static void v_qe_svn(struct world *w)
{
    qe_field(w, 258, 0);
}

static void td_field(struct world *w, size_t offset, uint8_t value)
{
    quote_set(w, AT_BODY + offset, value);
    quote_resign_body(w);
}
static void v_td_debug(struct world *w)
{
    td_field(w, 120, 1);
}
static void v_td_profiling(struct world *w)
{
    td_field(w, 120, 2);
}
static void v_td_reserved(struct world *w)
{
    td_field(w, 121, 1);
}
static void v_td_lass(struct world *w)
{
    td_field(w, 123, 0x18);
}
static void v_td_sept(struct world *w)
{
    td_field(w, 123, 0);
}
static void v_td_migratable(struct world *w)
{
    td_field(w, 123, 0x30);
}
static void v_td_other(struct world *w)
{
    td_field(w, 124, 0x80);
}
static void v_td_perfmon(struct world *w)
{
    td_field(w, 127, 0x80);
}
static void v_seam_attributes(struct world *w)
{
    td_field(w, 112, 1);
}
static void v_seam_signer(struct world *w)
{
    td_field(w, 64, 1);
}
static void v_module_missing(struct world *w)
{
    td_field(w, 1, 2);
}
static void v_module_old(struct world *w)
{
    tcb_replace(w, "\"tdxtcbcomponents\":[{\"svn\":6}", "\"tdxtcbcomponents\":[{\"svn\":0}");
    td_field(w, 0, 1);
}
static void v_no_modules(struct world *w)
{
    tcb_replace(w, "tdxModuleIdentities", "x_other");
}
static void v_no_module(struct world *w)
{
    tcb_replace(w, "\"tdxModule\":", "\"x_module\":");
    td_field(w, 1, 0);
}

static void v_tcb_signature(struct world *w)
{
    w->parts[P_TCB_SIG].area[3] ^= 1;
}
static void v_qe_id_signature(struct world *w)
{
    w->parts[P_QE_SIG].area[3] ^= 1;
}
static void v_signatures_swapped(struct world *w)
{
    struct view other = w->collateral.qe_identity_signature;

    w->collateral.qe_identity_signature = w->collateral.tcb_info_signature;
    w->collateral.tcb_info_signature = other;
}
static void v_tcb_reformatted(struct world *w)
{
    buf_replace(&w->parts[P_TCB], "{\"id\":", "{ \"id\":");
    world_views(w);
}
static void v_tcb_by_pck(struct world *w)
{
    world_sign(w, P_TCB, w->platform->pck_key);
    buf_reset(&w->parts[P_TCB_CHAIN]);
    assert_true(sim_pck_chain(w->platform, &w->parts[P_TCB_CHAIN], NULL));
    world_views(w);
}
static void v_tcb_expired(struct world *w)
{
    tcb_replace(w, "\"nextUpdate\":\"2026-10", "\"nextUpdate\":\"2026-08");
}
static void v_tcb_future(struct world *w)
{
    tcb_replace(w, "\"issueDate\":\"2026-09", "\"issueDate\":\"2026-12");
}
static void v_qe_expired(struct world *w)
{
    qe_replace(w, "\"nextUpdate\":\"2026-10", "\"nextUpdate\":\"2026-08");
}
static void v_qe_future(struct world *w)
{
    qe_replace(w, "\"issueDate\":\"2026-09", "\"issueDate\":\"2026-12");
}
static void v_fmspc(struct world *w)
{
    tcb_replace(w, "\"fmspc\":\"90", "\"fmspc\":\"91");
}
static void v_pceid(struct world *w)
{
    tcb_replace(w, "\"pceId\":\"0000", "\"pceId\":\"0001");
}
static void v_tcb_id(struct world *w)
{
    tcb_replace(w, "\"id\":\"TDX\"", "\"id\":\"SGX\"");
}
static void v_tcb_id_other(struct world *w)
{
    tcb_replace(w, "\"id\":\"TDX\"", "\"id\":\"TDY\"");
}
static void v_tcb_version(struct world *w)
{
    tcb_replace(w, "\"version\":3", "\"version\":1");
}
static void v_tcb_type(struct world *w)
{
    tcb_replace(w, "\"tcbType\":0", "\"tcbType\":1");
}
static void v_qe_id(struct world *w)
{
    qe_replace(w, "\"TD_QE\"", "\"QE\"");
}
static void v_qe_version(struct world *w)
{
    qe_replace(w, "\"version\":2", "\"version\":1");
}
static void v_status_case(struct world *w)
{
    tcb_replace(w, "\"OutOfDate\"", "\"outofdate\"");
}
static void v_status_relaunch(struct world *w)
{
    tcb_replace(w, "\"OutOfDate\"", "\"TDRelaunchAdvised\"");
}
static void v_svn_256(struct world *w)
{
    tcb_replace(w, "{\"svn\":5}", "{\"svn\":256}");
}
static void v_svn_negative(struct world *w)
{
    tcb_replace(w, "{\"svn\":5}", "{\"svn\":-1}");
}
static void v_svn_fraction(struct world *w)
{
    tcb_replace(w, "{\"svn\":5}", "{\"svn\":5.0}");
}
static void v_svn_text(struct world *w)
{
    tcb_replace(w, "{\"svn\":5}", "{\"svn\":\"5\"}");
}
static void v_components_15(struct world *w)
{
    tcb_replace(w, "\"sgxtcbcomponents\":[{\"svn\":5},", "\"sgxtcbcomponents\":[");
}
static void v_components_17(struct world *w)
{
    tcb_replace(w, "\"sgxtcbcomponents\":[", "\"sgxtcbcomponents\":[{\"svn\":5},");
}
static void v_tdx_15(struct world *w)
{
    tcb_replace(w, "\"tdxtcbcomponents\":[{\"svn\":6},", "\"tdxtcbcomponents\":[");
}
static void v_duplicate_key(struct world *w)
{
    tcb_replace(w, "\"tcbType\":0", "\"tcbType\":0,\"tcb\\u0054ype\":0");
}
static void v_qe_duplicate_level(struct world *w)
{
    qe_replace(w, "{\"isvsvn\":1}", "{\"isvsvn\":4}");
}
static void
v_below(struct world *w) /* no level is reached: 1, 1, … and the lowest wants a later PCE */
{
    tcb_replace(w, "\"pcesvn\":13", "\"pcesvn\":14");
    tcb_replace(w, "\"pcesvn\":13", "\"pcesvn\":14");
    tcb_replace(w, "\"pcesvn\":5", "\"pcesvn\":14");
}

static const char *status_to_say;
static void v_say_level(struct world *w)
{
    w->platform->recipe.status = status_to_say;
    world_collateral(w);
}
static void v_revoked_level(struct world *w)
{
    status_to_say = "Revoked";
    v_say_level(w);
}
static void v_revoked_module(struct world *w)
{
    w->platform->recipe.module_status = "Revoked";
    world_collateral(w);
}
static void v_revoked_qe(struct world *w)
{
    w->platform->recipe.qe_status = "Revoked";
    world_collateral(w);
}

/* --- certificates and CRLs --- */

static void crl_of(struct world *w, unsigned part, X509 *issuer, EVP_PKEY *key, int64_t this_s,
                   int64_t next_s, X509 *revoked)
{
    const struct sim_crl_spec spec = {issuer, key, this_s, next_s, {revoked}};
    X509_CRL *crl;

    assert_true(sim_crl(&spec, &crl, NULL));
    buf_reset(&w->parts[part]);
    assert_true(sim_crl_der(crl, &w->parts[part], NULL));
    X509_CRL_free(crl);
    world_views(w);
}
static void root_crl(struct world *w, int64_t from, int64_t to, X509 *revoked)
{
    crl_of(w, P_ROOT_CRL, w->platform->root, w->platform->root_key, w->now_s + from, w->now_s + to,
           revoked);
}
static void pck_crl(struct world *w, int64_t from, int64_t to, X509 *revoked)
{
    crl_of(w, P_PCK_CRL, w->platform->ca, w->platform->ca_key, w->now_s + from, w->now_s + to,
           revoked);
}
static void v_root_crl_old(struct world *w)
{
    root_crl(w, -9, -1, NULL);
}
static void v_root_crl_future(struct world *w)
{
    root_crl(w, 1, 9, NULL);
}
static void v_pck_crl_old(struct world *w)
{
    pck_crl(w, -9, -1, NULL);
}
static void v_revoked_ca(struct world *w)
{
    root_crl(w, -9, 9, w->platform->ca);
}
static void v_revoked_signer(struct world *w)
{
    root_crl(w, -9, 9, w->platform->signer);
}
static void v_revoked_root(struct world *w)
{
    root_crl(w, -9, 9, w->platform->root);
}
static void v_revoked_pck(struct world *w)
{
    pck_crl(w, -9, 9, w->platform->pck);
}
static void v_crl_by_other_key(struct world *w)
{
    crl_of(w, P_PCK_CRL, w->platform->ca, w->platform->root_key, w->now_s - 9, w->now_s + 9, NULL);
}
static void v_root_crl_by_other_key(struct world *w)
{
    crl_of(w, P_ROOT_CRL, w->platform->root, w->platform->ca_key, w->now_s - 9, w->now_s + 9, NULL);
}
static void v_crl_of_other_ca(struct world *w)
{
    crl_of(w, P_PCK_CRL, w->platform->root, w->platform->root_key, w->now_s - 9, w->now_s + 9,
           NULL);
}
static void v_crl_garbage(struct world *w)
{
    world_put(w, P_PCK_CRL, VIEW("0\x03\x02\x01\x05"));
}
static void v_crl_flipped(struct world *w)
{
    w->parts[P_ROOT_CRL].area[buf_len(&w->parts[P_ROOT_CRL]) - 5] ^= 1;
}

/* Makes one certificate of the platform anew, with what the case changes. */
struct remake {
    const char *name;
    int64_t from, to; /* around now */
    bool ca;
    int path_length;
    bool by_other, self, no_extension;
};
static void remake(struct world *w, X509 **which, const struct remake *how)
{
    struct sim_platform *p = w->platform;
    bool pck = which == &p->pck, root = which == &p->root;
    EVP_PKEY *other = NULL;
    struct buf extension;
    struct sim_certificate_spec spec = {
        .name = how->name,
        .key = pck               ? p->pck_key
               : which == &p->ca ? p->ca_key
               : root            ? p->root_key
                                 : p->signer_key,
        .issuer = root || how->self ? NULL
                  : pck             ? p->ca
                                    : p->root,
        .issuer_key = root || how->self ? NULL
                      : pck             ? p->ca_key
                                        : p->root_key,
        .ca = how->ca,
        .path_length = how->path_length,
        .not_before_s = w->now_s + how->from,
        .not_after_s = w->now_s + how->to,
    };
    X509 *made;

    buf_init(&extension, 4096, "extension");
    assert_true(sim_sgx_extension(&p->recipe, &extension, NULL));
    if (pck && !how->no_extension)
        spec.sgx_extension = buf_view(&extension);
    if (how->by_other) {
        assert_true(sim_key(&other, NULL));
        spec.issuer_key = other;
    }
    assert_true(sim_certificate(&spec, &made, NULL));
    X509_free(*which);
    *which = made;
    EVP_PKEY_free(other);
    buf_done(&extension);
    world_collateral(w);
    world_quote(w);
}
#define REMAKE(which, ...) remake(w, &w->platform->which, &(struct remake){__VA_ARGS__})
#define PCK_NAME           SIM_MAKER " PCK Certificate"
#define CA_NAME            SIM_MAKER " PCK Platform CA"
#define SIGNER_NAME        SIM_MAKER " TCB Signing"

static void v_pck_old(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = -1);
}
static void v_pck_future(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = 1, .to = 99);
}
static void v_ca_old(struct world *w)
{
    REMAKE(ca, .name = CA_NAME, .from = -99, .to = -1, .ca = true);
}
static void v_signer_old(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .from = -99, .to = -1);
}
static void v_pck_by_other(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = 99, .by_other = true);
}
static void v_ca_by_other(struct world *w)
{
    REMAKE(ca, .name = CA_NAME, .from = -99, .to = 99, .ca = true, .by_other = true);
}
static void v_signer_by_other(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .from = -99, .to = 99, .by_other = true);
}
static void v_pck_is_ca(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = 99, .ca = true, .path_length = -1);
}
static void v_ca_is_leaf(struct world *w)
{
    REMAKE(ca, .name = CA_NAME, .from = -99, .to = 99, .ca = false);
}
static void v_signer_is_ca(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .from = -99, .to = 99, .ca = true, .path_length = -1);
}
static void v_pck_name(struct world *w)
{
    REMAKE(pck, .name = SIGNER_NAME, .from = -99, .to = 99);
}
static void v_ca_name(struct world *w)
{
    REMAKE(ca, .name = "Intel SGX PCK Platform CA", .from = -99, .to = 99, .ca = true);
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = 99);
}
static void v_signer_name(struct world *w)
{
    REMAKE(signer, .name = PCK_NAME, .from = -99, .to = 99);
}
static void v_pck_plain(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = 99, .no_extension = true);
}
static void v_signer_self(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .from = -99, .to = 99, .self = true);
}
/* A whole PKI with the right names that ends at another root. */
static void v_other_root(struct world *w)
{
    struct sim_platform *mine = w->platform;

    assert_true(sim_platform_new(&mine->recipe, &w->platform, NULL));
    world_collateral(w);
    world_quote(w);
    sim_platform_free(w->platform);
    w->platform = mine;
}
static void v_chain_short(struct world *w)
{
    buf_reset(&w->parts[P_PCK_CHAIN]);
    assert_true(sim_pem(w->platform->pck, &w->parts[P_PCK_CHAIN], NULL));
    world_views(w);
}
static void v_chain_extra(struct world *w)
{
    buf_reset(&w->parts[P_PCK_CHAIN]);
    assert_true(sim_pck_chain(w->platform, &w->parts[P_PCK_CHAIN], NULL));
    assert_true(sim_pem(w->platform->signer, &w->parts[P_PCK_CHAIN], NULL));
    world_views(w);
}
static void v_chain_text(struct world *w)
{
    assert_true(buf_append_str(&w->parts[P_TCB_CHAIN], "a word\n", NULL));
    world_views(w);
}
static void v_chain_empty(struct world *w)
{
    world_put(w, P_TCB_CHAIN, VIEW(""));
}
static void
v_recipe_components(struct world *w) /* lexicographically above, in one component below */
{
    w->platform->recipe.cpusvn[0] = 6;
    w->platform->recipe.cpusvn[1] = 0;
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = 99);
    w->platform->recipe.cpusvn[0] = 5;
    w->platform->recipe.cpusvn[1] = 5;
    world_collateral(w);
    tcb_replace(w, "\"pcesvn\":5", "\"pcesvn\":14");
}
static void v_clock(struct world *w)
{
    w->now_s = 1600000000;
}

static const struct {
    const char *name;
    void (*spoil)(struct world *w);
    enum attest_code code;
} cases[] = {
#define CASE(f, code)        \
    {                        \
#f, f, ATTEST_##code \
    }
    CASE(v_version, QUOTE_VERSION),
    CASE(v_version_0, QUOTE_VERSION),
    CASE(v_tdx_in_3, QUOTE_TEE),
    CASE(v_sgx_in_4, QUOTE_TEE),
    CASE(v_tee, QUOTE_TEE),
    CASE(v_key_type, QUOTE_KEY_TYPE),
    CASE(v_vendor, QUOTE_VENDOR),
    CASE(v_outer_type, QUOTE_CERTIFICATION),
    CASE(v_outer_size, QUOTE_SYNTAX),
    CASE(v_inner_6, QUOTE_CERTIFICATION),
    CASE(v_inner_4, QUOTE_CERTIFICATION),
    CASE(v_inner_1, QUOTE_CERTIFICATION),
    CASE(v_inner_size, QUOTE_SYNTAX),
    CASE(v_auth_size, QUOTE_SYNTAX),
    CASE(v_section_huge, QUOTE_SYNTAX),
    CASE(v_megabyte, QUOTE_SYNTAX),
    CASE(v_signature, QUOTE_SIGNATURE),
    CASE(v_signature_zero, QUOTE_SIGNATURE),
    CASE(v_signature_ones, QUOTE_SIGNATURE),
    CASE(v_body, QUOTE_SIGNATURE),
    CASE(v_key_zero, QUOTE_SIGNATURE),
    CASE(v_key_other, QE_REPORT_DATA),
    CASE(v_auth, QE_REPORT_DATA),
    CASE(v_qe_report, QE_REPORT_SIGNATURE),
    CASE(v_qe_signature, QE_REPORT_SIGNATURE),
    CASE(v_qe_upper_half, QE_REPORT_DATA),
    CASE(v_qe_mrsigner, QE_MRSIGNER),
    CASE(v_qe_prodid, QE_ISVPRODID),
    CASE(v_qe_misc, QE_MISCSELECT),
    CASE(v_qe_attributes, QE_ATTRIBUTES),
    CASE(v_qe_debug, QE_DEBUG),
    CASE(v_qe_svn, QE_ISVSVN),
    CASE(v_td_debug, TD_DEBUG),
    CASE(v_td_profiling, TD_RESERVED),
    CASE(v_td_reserved, TD_RESERVED),
    CASE(v_td_lass, TD_RESERVED),
    CASE(v_td_sept, TD_SEPT_VE),
    CASE(v_td_migratable, TD_MIGRATABLE),
    CASE(v_td_other, TD_RESERVED),
    CASE(v_td_perfmon, TD_PERFMON),
    CASE(v_seam_attributes, MODULE_ATTRIBUTES),
    CASE(v_seam_signer, MODULE_SIGNER),
    CASE(v_module_missing, MODULE_IDENTITY),
    CASE(v_module_old, MODULE_SVN),
    CASE(v_no_modules, MODULE_IDENTITY),
    CASE(v_no_module, MODULE_IDENTITY),
    CASE(v_tcb_signature, TCB_SIGNATURE),
    CASE(v_qe_id_signature, QE_SIGNATURE),
    CASE(v_signatures_swapped, TCB_SIGNATURE),
    CASE(v_tcb_reformatted, TCB_SIGNATURE),
    CASE(v_tcb_by_pck, CERTIFICATE_CHAIN),
    CASE(v_tcb_expired, TCB_TIME),
    CASE(v_tcb_future, TCB_TIME),
    CASE(v_qe_expired, QE_TIME),
    CASE(v_qe_future, QE_TIME),
    CASE(v_fmspc, TCB_FMSPC),
    CASE(v_pceid, TCB_PCEID),
    CASE(v_tcb_id, TCB_ID),
    CASE(v_tcb_id_other, TCB_SYNTAX),
    CASE(v_tcb_version, TCB_ID),
    CASE(v_tcb_type, TCB_SYNTAX),
    CASE(v_qe_id, QE_ID),
    CASE(v_qe_version, QE_ID),
    CASE(v_status_case, TCB_SYNTAX),
    CASE(v_status_relaunch, TCB_SYNTAX),
    CASE(v_svn_256, TCB_SYNTAX),
    CASE(v_svn_negative, TCB_SYNTAX),
    CASE(v_svn_fraction, TCB_SYNTAX),
    CASE(v_svn_text, TCB_SYNTAX),
    CASE(v_components_15, TCB_COMPONENTS),
    CASE(v_components_17, TCB_COMPONENTS),
    CASE(v_tdx_15, TCB_COMPONENTS),
    CASE(v_duplicate_key, TCB_SYNTAX),
    CASE(v_qe_duplicate_level, QE_SYNTAX),
    CASE(v_below, TCB_NO_LEVEL),
    CASE(v_revoked_level, TCB_REVOKED),
    CASE(v_revoked_module, TCB_REVOKED),
    CASE(v_revoked_qe, TCB_REVOKED),
    CASE(v_root_crl_old, CRL_TIME),
    CASE(v_root_crl_future, CRL_TIME),
    CASE(v_pck_crl_old, CRL_TIME),
    CASE(v_revoked_ca, CERTIFICATE_REVOKED),
    CASE(v_revoked_signer, CERTIFICATE_REVOKED),
    CASE(v_revoked_root, CERTIFICATE_REVOKED),
    CASE(v_revoked_pck, CERTIFICATE_REVOKED),
    CASE(v_crl_by_other_key, CRL_SIGNATURE),
    CASE(v_root_crl_by_other_key, CRL_SIGNATURE),
    CASE(v_crl_of_other_ca, CRL_MISSING),
    CASE(v_crl_garbage, CRL_SYNTAX),
    CASE(v_crl_flipped, CRL_SIGNATURE),
    CASE(v_pck_old, CERTIFICATE_TIME),
    CASE(v_pck_future, CERTIFICATE_TIME),
    CASE(v_ca_old, CERTIFICATE_TIME),
    CASE(v_signer_old, CERTIFICATE_TIME),
    CASE(v_pck_by_other, CERTIFICATE_CHAIN),
    CASE(v_ca_by_other, CERTIFICATE_CHAIN),
    CASE(v_signer_by_other, CERTIFICATE_CHAIN),
    CASE(v_pck_is_ca, CERTIFICATE_CHAIN),
    CASE(v_ca_is_leaf, CERTIFICATE_CHAIN),
    CASE(v_signer_is_ca, CERTIFICATE_CHAIN),
    CASE(v_pck_name, CERTIFICATE_PURPOSE),
    CASE(v_ca_name, CERTIFICATE_PURPOSE),
    CASE(v_signer_name, CERTIFICATE_PURPOSE),
    CASE(v_pck_plain, PCK_EXTENSION),
    CASE(v_signer_self, CERTIFICATE_CHAIN),
    CASE(v_other_root, CRL_SIGNATURE),
    CASE(v_chain_short, CERTIFICATE_CHAIN),
    CASE(v_chain_extra, CERTIFICATE_CHAIN),
    CASE(v_chain_text, CERTIFICATE_SYNTAX),
    CASE(v_chain_empty, CERTIFICATE_SYNTAX),
    CASE(v_recipe_components, TCB_NO_LEVEL),
    CASE(v_clock, CLOCK),
};

static void every_fault_has_its_error(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct dcap_report report;
        struct world w;

        world_open(&w, 4);
        cases[i].spoil(&w);
        if (world_dcap(&w, TCB_MATCHING_STRICT, &report) || w.err.code != cases[i].code) {
            print_error("%s: wanted %s, got %s: %s\n", cases[i].name,
                        attest_code_name(cases[i].code), attest_code_name(w.err.code), w.err.text);
            wrong++;
        }
        world_close(&w);
    }
    assert_int_equal(wrong, 0);
}

/* --- what a TD report 1.5 adds --- */

static void a_service_td_is_refused(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 5);
    w.guest->td.mrservicetd[7] = 1;
    world_quote(&w);
    assert_false(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(w.err.code, ATTEST_TD_SERVICE);
    w.guest->td.mrservicetd[7] = 0;
    world_quote(&w);
    quote_set(&w, 48, 2); /* a body of 1.0, with the size of 1.5 */
    assert_false(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(w.err.code, ATTEST_QUOTE_SYNTAX);
    quote_set(&w, 48, 1);
    assert_false(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(w.err.code, ATTEST_QUOTE_TEE);
    world_close(&w);
}

/* --- time --- */

static void windows_end_at_their_last_second(void **state)
{
    static const struct {
        int64_t shift;
        bool good;
    } times[] = {{30 * DAY_S, true}, {30 * DAY_S + 1, false}, {-3600, true}, {-3601, false}};

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        struct dcap_report report;
        struct world w;

        world_open(&w, 4);
        w.now_s += times[i].shift;
        assert_int_equal(world_dcap(&w, TCB_MATCHING_STRICT, &report), times[i].good);
        world_close(&w);
    }
}

/* --- statuses --- */

static void statuses_merge_to_the_worst_with_all_advisories(void **state)
{
    static const struct {
        const char *level, *module, *qe;
        enum tcb_status strict, intel;
    } table[] = {
        {"UpToDate", "UpToDate", "UpToDate", TCB_STATUS_UP_TO_DATE, TCB_STATUS_UP_TO_DATE},
        {"SWHardeningNeeded", "UpToDate", "UpToDate", TCB_STATUS_SW_HARDENING,
         TCB_STATUS_SW_HARDENING},
        {"ConfigurationNeeded", "UpToDate", "UpToDate", TCB_STATUS_CONFIGURATION,
         TCB_STATUS_CONFIGURATION},
        {"ConfigurationAndSWHardeningNeeded", "UpToDate", "UpToDate",
         TCB_STATUS_CONFIGURATION_AND_SW_HARDENING, TCB_STATUS_CONFIGURATION_AND_SW_HARDENING},
        {"OutOfDate", "UpToDate", "UpToDate", TCB_STATUS_OUT_OF_DATE, TCB_STATUS_OUT_OF_DATE},
        {"OutOfDateConfigurationNeeded", "UpToDate", "UpToDate",
         TCB_STATUS_OUT_OF_DATE_CONFIGURATION, TCB_STATUS_OUT_OF_DATE_CONFIGURATION},
        {"UpToDate", "OutOfDate", "UpToDate", TCB_STATUS_OUT_OF_DATE, TCB_STATUS_OUT_OF_DATE},
        {"UpToDate", "UpToDate", "OutOfDate", TCB_STATUS_OUT_OF_DATE, TCB_STATUS_OUT_OF_DATE},
        {"ConfigurationNeeded", "OutOfDate", "UpToDate", TCB_STATUS_OUT_OF_DATE,
         TCB_STATUS_OUT_OF_DATE_CONFIGURATION},
        {"SWHardeningNeeded", "UpToDate", "OutOfDate", TCB_STATUS_OUT_OF_DATE,
         TCB_STATUS_OUT_OF_DATE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct dcap_report report;
        struct world w;

        world_open(&w, 4);
        w.platform->recipe.status = table[i].level;
        w.platform->recipe.module_status = table[i].module;
        w.platform->recipe.qe_status = table[i].qe;
        w.platform->recipe.advisories = "[\"INTEL-SA-1\",\"INTEL-SA-2\",\"INTEL-SA-1\"]";
        world_collateral(&w);
        assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
        assert_int_equal(report.verdict.status, table[i].strict);
        assert_int_equal(report.verdict.advisories.count, 2);
        assert_true(world_dcap(&w, TCB_MATCHING_INTEL, &report));
        assert_int_equal(report.verdict.status, table[i].intel);
        world_close(&w);
    }
}

/* The platform is below the newest level in one TDX component that the module's identity judges, too. */
static void intels_rule_leaves_the_first_two_svns_to_the_module(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    tcb_replace(&w, "\"tdxtcbcomponents\":[{\"svn\":6}", "\"tdxtcbcomponents\":[{\"svn\":7}");
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.verdict.status, TCB_STATUS_OUT_OF_DATE);
    assert_true(world_dcap(&w, TCB_MATCHING_INTEL, &report));
    assert_int_equal(report.verdict.status, TCB_STATUS_UP_TO_DATE);
    world_close(&w);
}

/* The machine is new, the TD was launched before: TEE_TCB_SVN is old, TEE_TCB_SVN2 is not. */
static void a_td_on_a_patched_machine_is_told_to_relaunch(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 5);
    memcpy(w.guest->td.tee_tcb_svn2, w.platform->recipe.tee_tcb_svn, SVN_COUNT);
    w.platform->recipe.tee_tcb_svn[0] = 5;
    w.platform->recipe.tee_tcb_svn[2] = 2;
    world_quote(&w);
    w.platform->recipe.tee_tcb_svn[0] = 6;
    w.platform->recipe.tee_tcb_svn[2] = 3;
    world_collateral(&w);
    /* Its SGX components are those of the newest level; of the second, too. */
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.verdict.status, TCB_STATUS_OUT_OF_DATE);
    assert_true(world_dcap(&w, TCB_MATCHING_INTEL, &report));
    assert_int_equal(report.verdict.status, TCB_STATUS_RELAUNCH);
    w.guest->td.tee_tcb_svn2[0] = 5; /* the module is not the newest after all */
    w.platform->recipe.tee_tcb_svn[0] = 5;
    w.platform->recipe.tee_tcb_svn[2] = 2;
    world_quote(&w);
    assert_true(world_dcap(&w, TCB_MATCHING_INTEL, &report));
    assert_int_equal(report.verdict.status, TCB_STATUS_OUT_OF_DATE);
    world_close(&w);
}

static void levels_are_matched_best_first_whatever_their_order(void **state)
{
    struct dcap_report report;
    struct world w;
    struct buf *b;
    uint8_t *levels, *second, *end;

    (void)state;
    world_open(&w, 4);
    b = &w.parts[P_TCB];
    /* The second level is put before the first: a lax one that the platform reaches as well. */
    levels = memmem(b->area, b->tail, "\"tcbLevels\":[{\"tcb\":{\"sgx", 25);
    assert_non_null(levels);
    levels += 13;
    second = memmem(levels + 1, b->tail - (size_t)(levels + 1 - b->area), "{\"tcb\":", 7);
    assert_non_null(second);
    end = memmem(second + 1, b->tail - (size_t)(second + 1 - b->area), "{\"tcb\":", 7);
    assert_non_null(end);
    {
        size_t one = (size_t)(second - levels), two = (size_t)(end - second);
        uint8_t *copy = malloc(one);

        assert_non_null(copy);
        memcpy(copy, levels, one);
        memmove(levels, second, two);
        memcpy(levels + two, copy, one);
        free(copy);
    }
    world_sign(&w, P_TCB, w.platform->signer_key);
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.verdict.status, TCB_STATUS_UP_TO_DATE);
    world_close(&w);
}

/* --- every cut and every bit --- */

static void no_cut_quote_is_accepted(void **state)
{
    struct world w;
    struct view whole;

    (void)state;
    world_open(&w, 4);
    whole = view_first(buf_view(&w.quote), buf_len(&w.quote) - 70);
    for (size_t n = 0; n < whole.len; n++) {
        uint8_t *cut = malloc(n + 1);
        struct attest_err err;
        struct quote q;

        memcpy(cut, whole.at, n);
        assert_false(quote_parse(view_from(cut, n), &q, &err));
        assert_true(err.code != ATTEST_OK);
        free(cut);
    }
    world_close(&w);
}

/* Before the padding every bit of a quote is signed, structure, or needed: a flip anywhere is refused. */
static void no_flipped_quote_is_accepted(void **state)
{
    struct dcap_report report;
    struct world w;
    size_t n;

    (void)state;
    world_open(&w, 4);
    n = buf_len(&w.quote);
    for (size_t i = 0; i < n; i++) {
        uint8_t bit = (uint8_t)(1u << (i % 8));

        *quote_at(&w, i) ^= bit;
        if (world_dcap(&w, TCB_MATCHING_STRICT, &report) != (i >= n - 70))
            fail_msg("a flip of byte %zu of %zu changed the verdict", i, n);
        *quote_at(&w, i) ^= bit;
    }
    world_close(&w);
}

static void no_flipped_collateral_is_accepted(void **state)
{
    static const unsigned parts[] = {P_ROOT_CRL, P_PCK_CRL, P_TCB_CHAIN, P_TCB,
                                     P_TCB_SIG,  P_QE,      P_QE_SIG};
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    for (size_t p = 0; p < COUNT(parts); p++) {
        struct buf *b = &w.parts[parts[p]];

        for (size_t i = 0; i < buf_len(b); i += parts[p] == P_TCB || parts[p] == P_QE ? 7 : 3) {
            b->area[i] ^= 4;
            if (world_dcap(&w, TCB_MATCHING_STRICT, &report))
                fail_msg("a flip of byte %zu of part %u was accepted", i, parts[p]);
            b->area[i] ^= 4;
        }
    }
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    world_close(&w);
}

static void what_is_needed_can_be_told_before_anything_is_verified(void **state)
{
    struct collateral_need need;
    struct quote quote;
    struct world w;

    (void)state;
    world_open(&w, 4);
    assert_true(quote_parse(buf_view(&w.quote), &quote, &w.err));
    assert_true(dcap_need(&quote, &need, &w.err));
    assert_memory_equal(need.fmspc, w.platform->recipe.fmspc, 6);
    assert_true(need.tdx && !need.processor_ca);
    quote_set(&w, AT_INNER, 3);
    assert_true(quote_parse(buf_view(&w.quote), &quote, &w.err));
    assert_false(dcap_need(&quote, &need, &w.err));
    assert_int_equal(w.err.code, ATTEST_QUOTE_CERTIFICATION);
    world_close(&w);
}

static void collateral_survives_being_written_and_read(void **state)
{
    struct collateral *read;
    struct dcap_report report;
    struct json_writer writer;
    struct buf json;
    struct world w;

    (void)state;
    world_open(&w, 4);
    buf_init(&json, 1 << 20, "json");
    json_begin(&writer, &json);
    collateral_write(&w.collateral, &writer);
    assert_true(json_end(&writer, NULL));
    assert_true(collateral_parse(buf_view(&json), &read, &w.err));
    w.collateral = *read;
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    collateral_free(read);
    buf_replace(&json, "\"tcb_info_signature\":\"", "\"tcb_info_signature\":\"0");
    assert_false(collateral_parse(buf_view(&json), &read, &w.err));
    assert_int_equal(w.err.code, ATTEST_COLLATERAL_SYNTAX);
    buf_done(&json);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(every_fault_has_its_error),
        cmocka_unit_test(a_service_td_is_refused),
        cmocka_unit_test(windows_end_at_their_last_second),
        cmocka_unit_test(statuses_merge_to_the_worst_with_all_advisories),
        cmocka_unit_test(intels_rule_leaves_the_first_two_svns_to_the_module),
        cmocka_unit_test(a_td_on_a_patched_machine_is_told_to_relaunch),
        cmocka_unit_test(levels_are_matched_best_first_whatever_their_order),
        cmocka_unit_test(no_cut_quote_is_accepted),
        cmocka_unit_test(no_flipped_quote_is_accepted),
        cmocka_unit_test(no_flipped_collateral_is_accepted),
        cmocka_unit_test(what_is_needed_can_be_told_before_anything_is_verified),
        cmocka_unit_test(collateral_survives_being_written_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
