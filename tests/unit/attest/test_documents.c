/* Intel's two documents: signed as they are, in time, for this platform, and nothing in them that is not understood. */
#include "faults.h"

/* --- signatures --- */

static void tcb_signature_flipped(struct world *w)
{
    w->parts[P_TCB_SIG].area[3] ^= 1;
}
static void qe_signature_flipped(struct world *w)
{
    w->parts[P_QE_SIG].area[3] ^= 1;
}
static void signatures_swapped(struct world *w)
{
    struct view other = w->collateral.qe_identity_signature;

    w->collateral.qe_identity_signature = w->collateral.tcb_info_signature;
    w->collateral.tcb_info_signature = other;
}
static void tcb_signed_by_pck(struct world *w) /* under the chain of the one that should have */
{
    world_sign(w, P_TCB, w->platform->pck_key);
}
static void qe_signed_by_pck(struct world *w)
{
    world_sign(w, P_QE, w->platform->pck_key);
}

/* --- the same meaning, in other bytes --- */

static void other_text(struct world *w, unsigned part, const char *from, const char *to)
{
    buf_replace(&w->parts[part], from, to);
    world_views(w);
}
static void tcb_with_blanks(struct world *w)
{
    other_text(w, P_TCB, "{\"id\":", "{ \"id\":");
}
static void tcb_reordered(struct world *w)
{
    other_text(w, P_TCB, "\"id\":\"TDX\",\"version\":3", "\"version\":3,\"id\":\"TDX\"");
}
static void tcb_escaped(struct world *w)
{
    other_text(w, P_TCB, "\"id\":\"TDX\"", "\"id\":\"TD\\u0058\"");
}
static void qe_with_blanks(struct world *w)
{
    other_text(w, P_QE, "{\"id\":", "{\n\"id\":");
}
static void qe_reordered(struct world *w)
{
    other_text(w, P_QE, "\"id\":\"TD_QE\",\"version\":2", "\"version\":2,\"id\":\"TD_QE\"");
}
static void qe_escaped(struct world *w)
{
    other_text(w, P_QE, "\"TD_QE\"", "\"TD\\u005FQE\"");
}

/* --- of another kind, of another platform --- */

static void tcb_of_version_2(struct world *w) /* which knows no TDX */
{
    struct buf *b = &w->parts[P_TCB];

    buf_reset(b);
    assert_true(buf_append_str(b,
                               "{\"version\":2,\"issueDate\":\"2026-09-01T00:00:00Z\","
                               "\"nextUpdate\":\"2026-10-01T00:00:00Z\",\"fmspc\":\"9053494d0000\","
                               "\"pceId\":\"0000\",\"tcbType\":0,\"tcbEvaluationDataNumber\":17,"
                               "\"tcbLevels\":[{\"tcb\":{",
                               NULL));
    for (unsigned i = 1; i <= SVN_COUNT; i++)
        assert_true(buf_appendf(b, NULL, "\"sgxtcbcomp%02usvn\":0,", i));
    assert_true(buf_append_str(b,
                               "\"pcesvn\":0},\"tcbDate\":\"2024-03-13T00:00:00Z\","
                               "\"tcbStatus\":\"UpToDate\"}]}",
                               NULL));
    world_sign(w, P_TCB, w->platform->signer_key);
}
static void tcb_of_another_platform(struct world *w) /* of the same kind of hardware's PKI */
{
    struct sim_recipe other = w->platform->recipe;

    other.fmspc[5] ^= 1;
    buf_reset(&w->parts[P_TCB]);
    assert_true(sim_tcb_info(&other, &w->parts[P_TCB], NULL));
    world_sign(w, P_TCB, w->platform->signer_key);
}
static void collateral_of_another_pki(struct world *w)
{
    struct sim_platform *mine = w->platform;

    assert_true(sim_platform_new(&mine->recipe, &w->platform, NULL));
    world_collateral(w);
    sim_platform_free(w->platform);
    w->platform = mine;
}

static void revoked_level(struct world *w)
{
    w->platform->recipe.status = "Revoked";
    world_collateral(w);
}
static void revoked_module(struct world *w)
{
    w->platform->recipe.module_status = "Revoked";
    world_collateral(w);
}
static void revoked_qe(struct world *w)
{
    w->platform->recipe.qe_status = "Revoked";
    world_collateral(w);
}

/* --- time --- */

/* A document that begins an hour before n_s and ends at n_s, or begins there, an hour before its end. */
static void document_around(struct world *w, unsigned part, int64_t issued_s)
{
    struct sim_recipe recipe = w->platform->recipe;

    recipe.now_s = issued_s + 3600;
    recipe.document_days = 0;
    buf_reset(&w->parts[part]);
    assert_true(part == P_TCB ? sim_tcb_info(&recipe, &w->parts[part], NULL)
                              : sim_qe_identity(&recipe, &w->parts[part], NULL));
    world_sign(w, part, w->platform->signer_key);
}

static void documents_are_good_from_their_first_second_to_their_last(void **state)
{
    static const struct {
        unsigned part;
        int64_t issued_s; /* from now; they are good for an hour */
        enum attest_code code;
    } cases[] = {
        {P_TCB, 0, ATTEST_OK},           {P_TCB, 1, ATTEST_TCB_TIME},   {P_TCB, -3600, ATTEST_OK},
        {P_TCB, -3601, ATTEST_TCB_TIME}, {P_QE, 0, ATTEST_OK},          {P_QE, 1, ATTEST_QE_TIME},
        {P_QE, -3600, ATTEST_OK},        {P_QE, -3601, ATTEST_QE_TIME},
    };
    struct world w;

    (void)state;
    world_open(&w, 4);
    for (size_t i = 0; i < COUNT(cases); i++) {
        world_collateral(&w);
        document_around(&w, cases[i].part, w.now_s + cases[i].issued_s);
        (void)!fault_dcap(&w);
        if (w.err.code != cases[i].code)
            fail_msg("%zu: wanted %s, got %s: %s", i, attest_code_name(cases[i].code),
                     attest_code_name(w.err.code), w.err.text);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DCAP_FAULT(tcb_signature_flipped, TCB_SIGNATURE),
        DCAP_FAULT(qe_signature_flipped, QE_SIGNATURE),
        DCAP_FAULT(signatures_swapped, TCB_SIGNATURE),
        DCAP_FAULT(tcb_signed_by_pck, TCB_SIGNATURE),
        DCAP_FAULT(qe_signed_by_pck, QE_SIGNATURE),
        DCAP_FAULT(tcb_with_blanks, TCB_SIGNATURE),
        DCAP_FAULT(tcb_reordered, TCB_SIGNATURE),
        DCAP_FAULT(tcb_escaped, TCB_SIGNATURE),
        DCAP_FAULT(qe_with_blanks, QE_SIGNATURE),
        DCAP_FAULT(qe_reordered, QE_SIGNATURE),
        DCAP_FAULT(qe_escaped, QE_SIGNATURE),
        TCB_TEXT_FAULT(tcb_expired, TCB_TIME, "\"nextUpdate\":\"2026-10",
                       "\"nextUpdate\":\"2026-08"),
        TCB_TEXT_FAULT(tcb_future, TCB_TIME, "\"issueDate\":\"2026-09", "\"issueDate\":\"2026-12"),
        QE_TEXT_FAULT(qe_expired, QE_TIME, "\"nextUpdate\":\"2026-10", "\"nextUpdate\":\"2026-08"),
        QE_TEXT_FAULT(qe_future, QE_TIME, "\"issueDate\":\"2026-09", "\"issueDate\":\"2026-12"),
        cmocka_unit_test(documents_are_good_from_their_first_second_to_their_last),
        TCB_TEXT_FAULT(other_fmspc, TCB_FMSPC, "\"fmspc\":\"90", "\"fmspc\":\"91"),
        TCB_TEXT_FAULT(other_pceid, TCB_PCEID, "\"pceId\":\"0000", "\"pceId\":\"0001"),
        TCB_TEXT_FAULT(tcb_of_sgx, TCB_ID, "\"id\":\"TDX\"", "\"id\":\"SGX\""),
        TCB_TEXT_FAULT(tcb_of_another_kind, TCB_SYNTAX, "\"id\":\"TDX\"", "\"id\":\"TDY\""),
        TCB_TEXT_FAULT(tcb_of_version_1, TCB_ID, "\"version\":3", "\"version\":1"),
        DCAP_FAULT(tcb_of_version_2, TCB_ID),
        TCB_TEXT_FAULT(tcb_type_1, TCB_SYNTAX, "\"tcbType\":0", "\"tcbType\":1"),
        DCAP_FAULT(tcb_of_another_platform, TCB_FMSPC),
        DCAP_FAULT(collateral_of_another_pki, CRL_SIGNATURE),
        QE_TEXT_FAULT(qe_of_sgx, QE_ID, "\"TD_QE\"", "\"QE\""),
        QE_TEXT_FAULT(qe_of_version_1, QE_ID, "\"version\":2", "\"version\":1"),
        TCB_TEXT_FAULT(status_in_lower_case, TCB_SYNTAX, "\"OutOfDate\"", "\"outofdate\""),
        TCB_TEXT_FAULT(status_unknown, TCB_SYNTAX, "\"UpToDate\"", "\"Fine\""),
        TCB_TEXT_FAULT(status_empty, TCB_SYNTAX, "\"UpToDate\"", "\"\""),
        TCB_TEXT_FAULT(status_of_verdicts_alone, TCB_SYNTAX, "\"OutOfDate\"",
                       "\"TDRelaunchAdvised\""),
        QE_TEXT_FAULT(qe_status_in_lower_case, QE_SYNTAX, "\"UpToDate\"", "\"uptodate\""),
        QE_TEXT_FAULT(qe_status_unknown, QE_SYNTAX, "\"UpToDate\"", "\"Fine\""),
        TCB_TEXT_FAULT(svn_256, TCB_SYNTAX, "{\"svn\":5}", "{\"svn\":256}"),
        TCB_TEXT_FAULT(svn_negative, TCB_SYNTAX, "{\"svn\":5}", "{\"svn\":-1}"),
        TCB_TEXT_FAULT(svn_with_a_fraction, TCB_SYNTAX, "{\"svn\":5}", "{\"svn\":1.0}"),
        TCB_TEXT_FAULT(svn_with_an_exponent, TCB_SYNTAX, "{\"svn\":5}", "{\"svn\":1e0}"),
        TCB_TEXT_FAULT(svn_as_text, TCB_SYNTAX, "{\"svn\":5}", "{\"svn\":\"1\"}"),
        TCB_TEXT_FAULT(pcesvn_65536, TCB_SYNTAX, "\"pcesvn\":13", "\"pcesvn\":65536"),
        TCB_TEXT_FAULT(module_svn_negative, TCB_SYNTAX, "{\"isvsvn\":6}", "{\"isvsvn\":-6}"),
        QE_TEXT_FAULT(qe_svn_65536, QE_SYNTAX, "{\"isvsvn\":4}", "{\"isvsvn\":65536}"),
        QE_TEXT_FAULT(qe_svn_as_text, QE_SYNTAX, "{\"isvsvn\":4}", "{\"isvsvn\":\"4\"}"),
        QE_TEXT_FAULT(qe_level_twice, QE_SYNTAX, "{\"isvsvn\":1}", "{\"isvsvn\":4}"),
        TCB_TEXT_FAULT(member_twice, TCB_SYNTAX, "\"tcbType\":0",
                       "\"tcbType\":0,\"tcb\\u0054ype\":0"),
        QE_TEXT_FAULT(qe_member_twice, QE_SYNTAX, "\"isvprodid\":2",
                      "\"isvprodid\":2,\"isvprodi\\u0064\":3"),
        DCAP_FAULT(revoked_level, TCB_REVOKED),
        DCAP_FAULT(revoked_module, TCB_REVOKED),
        DCAP_FAULT(revoked_qe, TCB_REVOKED),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
