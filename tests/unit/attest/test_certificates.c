/* Certificates and CRLs: the path from each leaf to the one root, what each certificate is for, and what has been revoked. */
#include "remake.h"

/* --- CRLs --- */

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
static void root_crl_expired(struct world *w)
{
    root_crl(w, -9, -1, NULL);
}
static void root_crl_future(struct world *w)
{
    root_crl(w, 1, 9, NULL);
}
static void pck_crl_expired(struct world *w)
{
    pck_crl(w, -9, -1, NULL);
}
static void pck_crl_future(struct world *w)
{
    pck_crl(w, 1, 9, NULL);
}
static void ca_revoked(struct world *w)
{
    root_crl(w, -9, 9, w->platform->ca);
}
static void signer_revoked(struct world *w)
{
    root_crl(w, -9, 9, w->platform->signer);
}
static void root_revoked(struct world *w)
{
    root_crl(w, -9, 9, w->platform->root);
}
static void pck_revoked(struct world *w)
{
    pck_crl(w, -9, 9, w->platform->pck);
}
static void pck_crl_by_another_key(struct world *w) /* in the name of the right CA */
{
    crl_of(w, P_PCK_CRL, w->platform->ca, w->platform->root_key, w->now_s - 9, w->now_s + 9, NULL);
}
static void root_crl_by_another_key(struct world *w)
{
    crl_of(w, P_ROOT_CRL, w->platform->root, w->platform->ca_key, w->now_s - 9, w->now_s + 9, NULL);
}
static void pck_crl_of_the_root(struct world *w)
{
    crl_of(w, P_PCK_CRL, w->platform->root, w->platform->root_key, w->now_s - 9, w->now_s + 9,
           NULL);
}
static void root_crl_of_the_ca(struct world *w)
{
    crl_of(w, P_ROOT_CRL, w->platform->ca, w->platform->ca_key, w->now_s - 9, w->now_s + 9, NULL);
}
static void pck_crl_of_the_processor_ca(struct world *w) /* genuine, and it says nothing of ours */
{
    struct sim_certificate_spec spec = {
        .name = SIM_MAKER " PCK Processor CA",
        .issuer = w->platform->root,
        .issuer_key = w->platform->root_key,
        .ca = true,
        .not_before_s = w->now_s - 9,
        .not_after_s = w->now_s + 9,
    };
    X509 *ca;

    assert_true(sim_key(&spec.key, NULL));
    assert_true(sim_certificate(&spec, &ca, NULL));
    crl_of(w, P_PCK_CRL, ca, spec.key, w->now_s - 9, w->now_s + 9, NULL);
    X509_free(ca);
    EVP_PKEY_free(spec.key);
}
static void pck_crl_empty(struct world *w)
{
    world_put(w, P_PCK_CRL, VIEW(""));
}
static void root_crl_empty(struct world *w)
{
    world_put(w, P_ROOT_CRL, VIEW(""));
}
static void pck_crl_garbage(struct world *w)
{
    world_put(w, P_PCK_CRL, VIEW("0\x03\x02\x01\x05"));
}
static void flip_last(struct world *w, unsigned part)
{
    w->parts[part].area[buf_len(&w->parts[part]) - 5] ^= 1;
}
static void root_crl_flipped(struct world *w)
{
    flip_last(w, P_ROOT_CRL);
}
static void pck_crl_flipped(struct world *w)
{
    flip_last(w, P_PCK_CRL);
}

/* --- times --- */

static void pck_expired(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = -99, .to = -1);
}
static void pck_future(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .from = 1, .to = 99);
}
static void ca_expired(struct world *w)
{
    REMAKE(ca, .name = CA_NAME, .from = -99, .to = -1, .ca = true);
}
static void ca_future(struct world *w)
{
    REMAKE(ca, .name = CA_NAME, .from = 1, .to = 99, .ca = true);
}
static void signer_expired(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .from = -99, .to = -1);
}
static void signer_future(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .from = 1, .to = 99);
}

/* --- signatures --- */

static EVP_PKEY *other_key(void) /* kept until the end */
{
    static EVP_PKEY *key;

    if (!key)
        assert_true(sim_key(&key, NULL));
    return key;
}
static void pck_by_another_key(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .issuer_key = other_key());
}
static void ca_by_another_key(struct world *w)
{
    REMAKE(ca, .name = CA_NAME, .ca = true, .issuer_key = other_key());
}
static void signer_by_another_key(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .issuer_key = other_key());
}
static void signer_of_qe_by_another_key(struct world *w) /* that of the TCB info is good */
{
    X509 *mine = X509_dup(w->platform->signer);

    signer_by_another_key(w);
    X509_free(w->platform->signer);
    w->platform->signer = mine;
    buf_reset(&w->parts[P_TCB_CHAIN]);
    assert_true(sim_signer_chain(w->platform, &w->parts[P_TCB_CHAIN], NULL));
    world_views(w);
}
static void signer_by_itself(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .self = true);
}

/* --- what each may be used for --- */

static void pck_is_a_ca(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .ca = true, .path_length = -1);
}
static void ca_is_a_leaf(struct world *w)
{
    REMAKE(ca, .name = CA_NAME);
}
static void signer_is_a_ca(struct world *w)
{
    REMAKE(signer, .name = SIGNER_NAME, .ca = true, .path_length = -1);
}
static void pck_named_as_a_signer(struct world *w)
{
    REMAKE(pck, .name = SIGNER_NAME);
}
static void ca_named_as_intels(struct world *w)
{
    REMAKE(ca, .name = "Intel SGX PCK Platform CA", .ca = true);
    REMAKE(pck, .name = PCK_NAME);
}
static void signer_named_as_a_pck(struct world *w)
{
    REMAKE(signer, .name = PCK_NAME);
}
static void pck_without_extension(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .other_extension = true);
}
static void signer_with_extension(struct world *w)
{
    struct buf extension;

    buf_init(&extension, 4096, "extension");
    assert_true(sim_sgx_extension(&w->platform->recipe, &extension, NULL));
    REMAKE(signer, .name = SIGNER_NAME, .extension = buf_view(&extension));
    buf_done(&extension);
}
/* A PCK's certificate and key as those of Intel's documents. */
static void pck_as_a_signer(struct world *w)
{
    world_sign(w, P_TCB, w->platform->pck_key);
    buf_reset(&w->parts[P_TCB_CHAIN]);
    assert_true(sim_pck_chain(w->platform, &w->parts[P_TCB_CHAIN], NULL));
    world_views(w);
}
static void pck_as_a_signer_of_qe(struct world *w)
{
    world_sign(w, P_QE, w->platform->pck_key);
    buf_reset(&w->parts[P_QE_CHAIN]);
    assert_true(sim_pck_chain(w->platform, &w->parts[P_QE_CHAIN], NULL));
    world_views(w);
}
/* The documents' signing certificate as that of the platform. */
static void signer_as_a_pck(struct world *w)
{
    buf_reset(&w->parts[P_PCK_CHAIN]);
    assert_true(sim_signer_chain(w->platform, &w->parts[P_PCK_CHAIN], NULL));
    world_views(w);
}
static void pck_by_the_root_itself(struct world *w)
{
    REMAKE(pck, .name = PCK_NAME, .issuer = w->platform->root, .issuer_key = w->platform->root_key);
    buf_reset(&w->parts[P_PCK_CHAIN]);
    assert_true(sim_pem(w->platform->pck, &w->parts[P_PCK_CHAIN], NULL));
    assert_true(sim_pem(w->platform->root, &w->parts[P_PCK_CHAIN], NULL));
    world_views(w);
}

/* --- chains --- */

/* One that has all the right names, and ends at another root. */
static void with_another_platform(struct world *w, void (*use)(struct world *w))
{
    struct sim_platform *mine = w->platform;

    assert_true(sim_platform_new(&mine->recipe, &w->platform, NULL));
    use(w);
    sim_platform_free(w->platform);
    w->platform = mine;
}
static void use_all(struct world *w)
{
    world_collateral(w);
    world_quote(w);
}
static void chains_to_another_root(struct world *w)
{
    with_another_platform(w, use_all);
}
static void pck_chain_to_another_root(struct world *w) /* all that is said of it is genuine */
{
    with_another_platform(w, world_quote);
}
static void use_documents(struct world *w)
{
    struct buf genuine = w->parts[P_ROOT_CRL];

    buf_init(&w->parts[P_ROOT_CRL], 1 << 20, "part");
    world_collateral(w);
    buf_done(&w->parts[P_ROOT_CRL]);
    w->parts[P_ROOT_CRL] = genuine;
    world_views(w);
}
static void signer_chains_to_another_root(struct world *w) /* with the genuine root's CRL */
{
    with_another_platform(w, use_documents);
}
/* As before, and the genuine root stands at the end instead of the other. */
static void use_quote_below(struct world *w)
{
    X509 *other = w->platform->root;

    assert_true(X509_up_ref(w->trust->root));
    w->platform->root = w->trust->root;
    world_quote(w);
    X509_free(w->platform->root);
    w->platform->root = other;
}
static void genuine_root_behind_another_ca(struct world *w)
{
    with_another_platform(w, use_quote_below);
}

/* Intel's names from the root on: good for who trusts that root. Here it is Intel's own. */
static void attacker_with_intels_names(struct world *w)
{
    struct buf der;

    REMAKE(root, .name = "Intel SGX Root CA", .ca = true, .path_length = 1);
    REMAKE(ca, .name = "Intel SGX PCK Platform CA", .ca = true);
    REMAKE(signer, .name = "Intel SGX TCB Signing");
    REMAKE(pck, .name = "Intel SGX PCK Certificate");
    trust_free(w->trust);
    buf_init(&der, 1 << 16, "der");
    assert_true(sim_der(w->platform->root, &der, NULL));
    assert_true(trust_custom(buf_view(&der), &w->trust, NULL));
    buf_done(&der);
    assert_true(fault_dcap(w));
    trust_free(w->trust);
    assert_true(trust_intel(&w->trust, NULL));
}

/* The CA may sign leaves alone, and has signed another CA. */
static void path_longer_than_allowed(struct world *w)
{
    struct sim_certificate_spec spec = {
        .name = SIM_MAKER " PCK Processor CA",
        .key = other_key(),
        .issuer = w->platform->ca,
        .issuer_key = w->platform->ca_key,
        .ca = true,
        .not_before_s = w->now_s - 9,
        .not_after_s = w->now_s + 9,
    };
    struct buf *chain = &w->parts[P_PCK_CHAIN];
    X509 *ca;

    assert_true(sim_certificate(&spec, &ca, NULL));
    REMAKE(pck, .name = PCK_NAME, .issuer = ca, .issuer_key = other_key());
    buf_reset(chain);
    assert_true(sim_pem(w->platform->pck, chain, NULL) && sim_pem(ca, chain, NULL) &&
                sim_ca_chain(w->platform, chain, NULL));
    world_views(w);
    X509_free(ca);
}
static void chain_short(struct world *w)
{
    buf_reset(&w->parts[P_PCK_CHAIN]);
    assert_true(sim_pem(w->platform->pck, &w->parts[P_PCK_CHAIN], NULL));
    world_views(w);
}
static void chain_with_one_more(struct world *w)
{
    buf_reset(&w->parts[P_PCK_CHAIN]);
    assert_true(sim_pck_chain(w->platform, &w->parts[P_PCK_CHAIN], NULL));
    assert_true(sim_pem(w->platform->signer, &w->parts[P_PCK_CHAIN], NULL));
    world_views(w);
}
static void chain_with_a_word(struct world *w)
{
    assert_true(buf_append_str(&w->parts[P_TCB_CHAIN], "a word\n", NULL));
    world_views(w);
}
static void chain_empty(struct world *w)
{
    world_put(w, P_TCB_CHAIN, VIEW(""));
}

/* --- the last second of each --- */

static void crls_and_certificates_end_with_their_second(void **state)
{
    static void (*const crls[])(struct world * w, int64_t from, int64_t to,
                                X509 * revoked) = {root_crl, pck_crl};
    struct world w;

    (void)state;
    world_open(&w, 4);
    for (size_t i = 0; i < COUNT(crls); i++) {
        world_collateral(&w);
        crls[i](&w, 0, 9, NULL);
        assert_true(fault_dcap(&w));
        crls[i](&w, -9, 0, NULL);
        assert_true(fault_dcap(&w));
        crls[i](&w, 1, 9, NULL);
        assert_false(fault_dcap(&w));
        assert_int_equal(w.err.code, ATTEST_CRL_TIME);
        crls[i](&w, -9, -1, NULL);
        assert_false(fault_dcap(&w));
        assert_int_equal(w.err.code, ATTEST_CRL_TIME);
    }
    remake(&w, &w.platform->pck, &(struct remake){.name = PCK_NAME, .from = 0, .to = 1});
    assert_true(fault_dcap(&w));
    world_close(&w);
}

static void free_other_key(void)
{
    EVP_PKEY_free(other_key());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DCAP_FAULT(root_crl_expired, CRL_TIME),
        DCAP_FAULT(root_crl_future, CRL_TIME),
        DCAP_FAULT(pck_crl_expired, CRL_TIME),
        DCAP_FAULT(pck_crl_future, CRL_TIME),
        cmocka_unit_test(crls_and_certificates_end_with_their_second),
        DCAP_FAULT(ca_revoked, CERTIFICATE_REVOKED),
        DCAP_FAULT(signer_revoked, CERTIFICATE_REVOKED),
        DCAP_FAULT(root_revoked, CERTIFICATE_REVOKED),
        DCAP_FAULT(pck_revoked, CERTIFICATE_REVOKED),
        DCAP_FAULT(pck_crl_by_another_key, CRL_SIGNATURE),
        DCAP_FAULT(root_crl_by_another_key, CRL_SIGNATURE),
        DCAP_FAULT(pck_crl_of_the_root, CRL_MISSING),
        DCAP_FAULT(root_crl_of_the_ca, CRL_SIGNATURE),
        DCAP_FAULT(pck_crl_of_the_processor_ca, CRL_MISSING),
        DCAP_FAULT(pck_crl_empty, CRL_SYNTAX),
        DCAP_FAULT(root_crl_empty, CRL_SYNTAX),
        DCAP_FAULT(pck_crl_garbage, CRL_SYNTAX),
        DCAP_FAULT(root_crl_flipped, CRL_SIGNATURE),
        DCAP_FAULT(pck_crl_flipped, CRL_SIGNATURE),
        DCAP_FAULT(pck_expired, CERTIFICATE_TIME),
        DCAP_FAULT(pck_future, CERTIFICATE_TIME),
        DCAP_FAULT(ca_expired, CERTIFICATE_TIME),
        DCAP_FAULT(ca_future, CERTIFICATE_TIME),
        DCAP_FAULT(signer_expired, CERTIFICATE_TIME),
        DCAP_FAULT(signer_future, CERTIFICATE_TIME),
        DCAP_FAULT(pck_by_another_key, CERTIFICATE_CHAIN),
        DCAP_FAULT(ca_by_another_key, CERTIFICATE_CHAIN),
        DCAP_FAULT(signer_by_another_key, CERTIFICATE_CHAIN),
        DCAP_FAULT(signer_of_qe_by_another_key, CERTIFICATE_CHAIN),
        DCAP_FAULT(signer_by_itself, CERTIFICATE_CHAIN),
        DCAP_FAULT(pck_is_a_ca, CERTIFICATE_CHAIN),
        DCAP_FAULT(ca_is_a_leaf, CERTIFICATE_CHAIN),
        DCAP_FAULT(signer_is_a_ca, CERTIFICATE_CHAIN),
        DCAP_FAULT(path_longer_than_allowed, CERTIFICATE_CHAIN),
        DCAP_FAULT(pck_named_as_a_signer, CERTIFICATE_PURPOSE),
        DCAP_FAULT(ca_named_as_intels, CERTIFICATE_PURPOSE),
        DCAP_FAULT(signer_named_as_a_pck, CERTIFICATE_PURPOSE),
        DCAP_FAULT(signer_with_extension, CERTIFICATE_PURPOSE),
        DCAP_FAULT(pck_without_extension, PCK_EXTENSION),
        DCAP_FAULT(pck_as_a_signer, CERTIFICATE_CHAIN),
        DCAP_FAULT(pck_as_a_signer_of_qe, CERTIFICATE_CHAIN),
        DCAP_FAULT(signer_as_a_pck, CERTIFICATE_CHAIN),
        DCAP_FAULT(pck_by_the_root_itself, CERTIFICATE_CHAIN),
        DCAP_FAULT(chains_to_another_root, CRL_SIGNATURE),
        DCAP_FAULT(attacker_with_intels_names, CRL_SIGNATURE),
        DCAP_FAULT(signer_chains_to_another_root, CERTIFICATE_CHAIN),
        DCAP_FAULT(pck_chain_to_another_root, CERTIFICATE_CHAIN),
        DCAP_FAULT(genuine_root_behind_another_ca, CERTIFICATE_CHAIN),
        DCAP_FAULT(chain_short, CERTIFICATE_CHAIN),
        DCAP_FAULT(chain_with_one_more, CERTIFICATE_CHAIN),
        DCAP_FAULT(chain_with_a_word, CERTIFICATE_SYNTAX),
        DCAP_FAULT(chain_empty, CERTIFICATE_SYNTAX),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    free_other_key();
    return failed;
}
