/* Which level a platform reaches, what its module and quoting enclave add, and the status that comes of it. */
#include "remake.h"

/* --- components --- */

static void no_components(struct world *w, const char *name)
{
    struct buf *b = &w->parts[P_TCB];
    const uint8_t *from = memmem(b->area + b->head, buf_len(b), name, strlen(name));
    const uint8_t *to = from ? memchr(from, ']', buf_len(b)) : NULL;
    char old[1024];

    assert_non_null(to);
    (void)snprintf(old, sizeof old, "%.*s", (int)(to - from), (const char *)from);
    tcb_replace(w, old, name);
}
/* Such a level comes behind the second, which here wants a later PCE. */
static void sgx_components_0(struct world *w)
{
    tcb_replace(w, "\"pcesvn\":13", "\"pcesvn\":12");
    tcb_replace(w, "\"pcesvn\":13", "\"pcesvn\":14");
    no_components(w, "\"sgxtcbcomponents\":[");
}
static void tdx_components_0(struct world *w)
{
    no_components(w, "\"tdxtcbcomponents\":[");
}

/* --- levels --- */

static void below_all_levels(struct world *w) /* each wants a later PCE */
{
    tcb_replace(w, "\"pcesvn\":13", "\"pcesvn\":14");
    tcb_replace(w, "\"pcesvn\":13", "\"pcesvn\":14");
    tcb_replace(w, "\"pcesvn\":5", "\"pcesvn\":14");
}
/* (6, 0, …) of the platform is lexicographically above (5, 5, …) and (4, 4, …), and reaches neither. */
static void above_lexicographically_alone(struct world *w)
{
    struct sim_recipe *r = &w->platform->recipe;

    r->cpusvn[0] = 6;
    r->cpusvn[1] = 0;
    REMAKE(pck, .name = PCK_NAME);
    r->cpusvn[0] = 5;
    r->cpusvn[1] = 5;
    world_collateral(w);
    tcb_replace(w, "\"pcesvn\":5", "\"pcesvn\":14");
}

/* --- modules --- */

static void module_svn_below_all(struct world *w)
{
    tcb_replace(w, "\"tdxtcbcomponents\":[{\"svn\":6}", "\"tdxtcbcomponents\":[{\"svn\":0}");
    quote_set(w, AT_BODY, 1);
    quote_resign_body(w);
}
static void module_3_without_identity(struct world *w)
{
    tcb_replace(w, "\"TDX_03\"", "\"TDX_04\"");
    quote_set(w, AT_BODY + 1, 3);
    quote_resign_body(w);
}
static void module_0_without_tdx_module(struct world *w)
{
    tcb_replace(w, "\"tdxModule\":", "\"x_module\":");
    quote_set(w, AT_BODY + 1, 0);
    quote_resign_body(w);
}

/* --- the module of an identity, whatever the case of its id --- */

static void ids_of_modules_have_no_case(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    tcb_replace(&w, "\"TDX_01\"", "\"tdx_01\"");
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_true(report.has_module);
    world_close(&w);
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

/* The quoting enclave itself is of an older SVN, whose level is out of date. */
static void an_old_quoting_enclave_makes_all_out_of_date(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    quote_set(&w, AT_QE + 258, 3);
    quote_resign(&w);
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.qe.status, TCB_STATUS_OUT_OF_DATE);
    assert_int_equal(report.platform.status, TCB_STATUS_UP_TO_DATE);
    assert_int_equal(report.verdict.status, TCB_STATUS_OUT_OF_DATE);
    assert_true(advisories_have(&report.verdict.advisories, "INTEL-SA-00477"));
    world_close(&w);
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

/* --- order --- */

/* Puts the first object of an array behind the second. begin: text up to the first's brace. */
static void swap_first_two(struct buf *b, const char *begin)
{
    uint8_t *first = memmem(b->area + b->head, buf_len(b), begin, strlen(begin)), *second, *end;
    size_t one, two;
    uint8_t *copy;

    assert_non_null(first);
    first += strlen(begin) - 1;
    second = memmem(first + 1, (size_t)(b->area + b->tail - first - 1), "{\"tcb\":", 7);
    assert_non_null(second);
    end = memmem(second + 1, (size_t)(b->area + b->tail - second - 1), "\"tcbStatus\"", 11);
    assert_non_null(end);
    end = memchr(end, '}', (size_t)(b->area + b->tail - end));
    assert_non_null(end);
    end++;
    one = (size_t)(second - first) - 1; /* without the comma */
    two = (size_t)(end - second);
    copy = malloc(one);
    assert_non_null(copy);
    memcpy(copy, first, one);
    memmove(first, second, two);
    first[two] = ',';
    memcpy(first + two + 1, copy, one);
    free(copy);
}

/* A lax level that the platform reaches as well stands before the one that counts. */
static void levels_are_matched_best_first_whatever_their_order(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    swap_first_two(&w.parts[P_TCB], "],\"tcbLevels\":[{");
    world_sign(&w, P_TCB, w.platform->signer_key);
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.level, TCB_STATUS_UP_TO_DATE);
    world_close(&w);
}

static void levels_of_modules_are_matched_best_first(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    swap_first_two(
        &w.parts[P_TCB],
        "\"id\":\"TDX_01\",\"mrsigner\":\"0000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000000000000000000\",\"attributes\":"
        "\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\",\"tcbLevels\":[{");
    world_sign(&w, P_TCB, w.platform->signer_key);
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.module, TCB_STATUS_UP_TO_DATE);
    world_close(&w);
}

static void levels_of_quoting_enclaves_are_matched_best_first(void **state)
{
    struct dcap_report report;
    struct world w;

    (void)state;
    world_open(&w, 4);
    swap_first_two(&w.parts[P_QE], "\"tcbLevels\":[{");
    world_sign(&w, P_QE, w.platform->signer_key);
    assert_true(world_dcap(&w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(report.qe.status, TCB_STATUS_UP_TO_DATE);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCB_TEXT_FAULT(sgx_components_15, TCB_COMPONENTS, "\"sgxtcbcomponents\":[{\"svn\":5},",
                       "\"sgxtcbcomponents\":["),
        TCB_TEXT_FAULT(sgx_components_17, TCB_COMPONENTS, "\"sgxtcbcomponents\":[",
                       "\"sgxtcbcomponents\":[{\"svn\":5},"),
        DCAP_FAULT(sgx_components_0, TCB_COMPONENTS),
        TCB_TEXT_FAULT(tdx_components_15, TCB_COMPONENTS, "\"tdxtcbcomponents\":[{\"svn\":6},",
                       "\"tdxtcbcomponents\":["),
        TCB_TEXT_FAULT(tdx_components_17, TCB_COMPONENTS, "\"tdxtcbcomponents\":[",
                       "\"tdxtcbcomponents\":[{\"svn\":6},"),
        DCAP_FAULT(tdx_components_0, TCB_COMPONENTS),
        DCAP_FAULT(below_all_levels, TCB_NO_LEVEL),
        DCAP_FAULT(above_lexicographically_alone, TCB_NO_LEVEL),
        TD_FAULT(module_attributes, MODULE_ATTRIBUTES, 112, 1),
        TD_FAULT(module_attributes_last_bit, MODULE_ATTRIBUTES, 119, 0x80),
        TD_FAULT(module_signer, MODULE_SIGNER, 64, 1),
        TD_FAULT(module_2_without_identity, MODULE_IDENTITY, 1, 2),
        DCAP_FAULT(module_3_without_identity, MODULE_IDENTITY),
        TCB_TEXT_FAULT(module_without_any_identity, MODULE_IDENTITY, "tdxModuleIdentities",
                       "x_other"),
        DCAP_FAULT(module_0_without_tdx_module, MODULE_IDENTITY),
        DCAP_FAULT(module_svn_below_all, MODULE_SVN),
        cmocka_unit_test(ids_of_modules_have_no_case),
        cmocka_unit_test(statuses_merge_to_the_worst_with_all_advisories),
        cmocka_unit_test(an_old_quoting_enclave_makes_all_out_of_date),
        cmocka_unit_test(intels_rule_leaves_the_first_two_svns_to_the_module),
        cmocka_unit_test(a_td_on_a_patched_machine_is_told_to_relaunch),
        cmocka_unit_test(levels_are_matched_best_first_whatever_their_order),
        cmocka_unit_test(levels_of_modules_are_matched_best_first),
        cmocka_unit_test(levels_of_quoting_enclaves_are_matched_best_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
