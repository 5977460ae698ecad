/* The extension of a PCK certificate: DER in its one form, each element once, of its type and length. */
#include "remake.h"

#include "attest/pck.h"

enum {
    INTEGER = 0x02,
    OCTETS = 0x04,
    OID = 0x06,
    BOOLEAN = 0x01,
    ENUMERATED = 0x0A,
    SEQUENCE = 0x30
};

struct item {
    uint8_t tail[2]; /* of the OID; 0 ends */
    uint8_t tag;
    uint8_t value[32];
    size_t len;
    bool gone, twice;
};

/* What is encoded: in order of their OIDs, so that item i has the OID i + 1. */
struct extension {
    struct item top[8], tcb[18], configuration[3];
    uint8_t prefix_last;   /* of all OIDs */
    struct view inside[8]; /* instead of a top item's value */
    void (*after)(struct buf *der);
};

static void put(struct buf *out, uint8_t tag, struct view content)
{
    assert_true(buf_append_byte(out, tag, NULL));
    if (content.len >= 0x100)
        assert_true(buf_append_byte(out, 0x82, NULL) &&
                    buf_append_byte(out, (uint8_t)(content.len >> 8), NULL));
    else if (content.len >= 0x80)
        assert_true(buf_append_byte(out, 0x81, NULL));
    assert_true(buf_append_byte(out, (uint8_t)content.len, NULL) && buf_append(out, content, NULL));
}

static void put_pair(struct buf *out, const struct extension *e, const struct item *item,
                     struct view value)
{
    uint8_t oid[11] = {0x2A, 0x86, 0x48, 0x86, 0xF8, 0x4D, 0x01, 0x0D, e->prefix_last};
    struct buf inside;

    memcpy(oid + 9, item->tail, 2);
    buf_init(&inside, 1 << 16, "pair");
    put(&inside, OID, view_from(oid, item->tail[1] ? 11 : 10));
    put(&inside, item->tag, value);
    for (int i = 0; i <= item->twice; i++)
        put(out, SEQUENCE, buf_view(&inside));
    buf_done(&inside);
}

static void put_items(struct buf *out, const struct extension *e, const struct item *items,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (items[i].tail[0] && !items[i].gone)
            put_pair(out, e, &items[i], view_from(items[i].value, items[i].len));
}

static void encode(const struct extension *e, struct buf *out)
{
    struct buf parts[2], all;

    buf_init(&parts[0], 1 << 16, "tcb");
    buf_init(&parts[1], 1 << 16, "configuration");
    buf_init(&all, 1 << 16, "all");
    put_items(&parts[0], e, e->tcb, COUNT(e->tcb));
    put_items(&parts[1], e, e->configuration, COUNT(e->configuration));
    for (size_t i = 0; i < COUNT(e->top); i++) {
        const struct item *item = &e->top[i];
        struct view value = e->inside[i].len ? e->inside[i]
                            : i == 1         ? buf_view(&parts[0])
                            : i == 6         ? buf_view(&parts[1])
                                             : view_from(item->value, item->len);

        if (item->tail[0] && !item->gone)
            put_pair(&all, e, item, value);
    }
    put(out, SEQUENCE, buf_view(&all));
    if (e->after)
        e->after(out);
    buf_done(&parts[0]);
    buf_done(&parts[1]);
    buf_done(&all);
}

static struct extension whole(void)
{
    struct extension e = {
        .prefix_last = 1,
        .top = {{{1}, OCTETS, {1, 2, 3}, 16, false, false},
                {{2}, SEQUENCE, {0}, 0, false, false},
                {{3}, OCTETS, {0}, 2, false, false},
                {{4}, OCTETS, {0x90, 1, 2}, 6, false, false},
                {{5}, ENUMERATED, {1}, 1, false, false},
                {{6}, OCTETS, {7}, 16, false, false},
                {{7}, SEQUENCE, {0}, 0, false, false}},
    };

    for (uint8_t i = 0; i < 18; i++)
        e.tcb[i] = (struct item){{2, (uint8_t)(i + 1)}, INTEGER, {i}, 1, false, false};
    for (uint8_t i = 0; i < 16; i++)
        e.tcb[17].value[i] = i;
    e.tcb[17].tag = OCTETS;
    e.tcb[17].len = 16;
    e.tcb[16].value[0] = 13;
    for (uint8_t i = 0; i < 3; i++)
        e.configuration[i] = (struct item){{7, (uint8_t)(i + 1)}, BOOLEAN, {0xFF}, 1, false, false};
    return e;
}

static bool parses(const struct extension *e, struct pck *pck, struct attest_err *err)
{
    struct buf der;
    uint8_t *exact;
    bool good;

    buf_init(&der, 1 << 16, "DER");
    encode(e, &der);
    exact = malloc(buf_len(&der));
    assert_non_null(exact);
    memcpy(exact, der.area + der.head, buf_len(&der));
    good = pck_parse(view_from(exact, buf_len(&der)), pck, err);
    free(exact);
    buf_done(&der);
    return good;
}

/* --- what is wrong --- */

struct pck_fault {
    const char *name;
    void (*spoil)(struct extension *e);
    enum attest_code code;
};

/* In a certificate of a platform whose quote is good. */
static void ask_with(const struct extension *e, const struct pck_fault *f)
{
    struct world open, *w = &open;
    struct dcap_report report;
    struct buf der;

    if (!verdicts_on())
        return;
    world_open_as(w, 4, f->name);
    buf_init(&der, 1 << 16, "DER");
    encode(e, &der);
    REMAKE(pck, .name = PCK_NAME, .other_extension = true, .extension = buf_view(&der));
    assert_false(world_dcap(w, TCB_MATCHING_STRICT, &report));
    assert_int_equal(w->err.code, f->code);
    buf_done(&der);
    world_close(w);
}

static void pck_fault_test(void **state)
{
    const struct pck_fault *f = *state;
    struct attest_err err = {.code = ATTEST_OK};
    struct extension e = whole();
    struct pck pck;

    assert_true(parses(&e, &pck, &err));
    f->spoil(&e);
    assert_false(parses(&e, &pck, &err));
    assert_int_equal(err.code, f->code);
    ask_with(&e, f);
}

#define PCK_FAULT(f, error)                                                           \
    {                                                                                 \
        .name = #f, .test_func = pck_fault_test, .initial_state = &(struct pck_fault) \
        {                                                                             \
            .name = #f, .spoil = f, .code = ATTEST_##error                            \
        }                                                                             \
    }

static void without_ppid(struct extension *e)
{
    e->top[0].gone = true;
}
static void without_tcb(struct extension *e)
{
    e->top[1].gone = true;
}
static void without_pceid(struct extension *e)
{
    e->top[2].gone = true;
}
static void without_fmspc(struct extension *e)
{
    e->top[3].gone = true;
}
static void without_type(struct extension *e)
{
    e->top[4].gone = true;
}
static void without_a_component(struct extension *e)
{
    e->tcb[6].gone = true;
}
static void without_pcesvn(struct extension *e)
{
    e->tcb[16].gone = true;
}
static void without_cpusvn(struct extension *e)
{
    e->tcb[17].gone = true;
}
static void fmspc_twice(struct extension *e)
{
    e->top[3].twice = true;
}
static void tcb_twice(struct extension *e)
{
    e->top[1].twice = true;
}
static void component_twice(struct extension *e)
{
    e->tcb[2].twice = true;
}
static void configuration_twice(struct extension *e)
{
    e->configuration[1].twice = true;
}
static void ppid_of_15(struct extension *e)
{
    e->top[0].len = 15;
}
static void pceid_of_3(struct extension *e)
{
    e->top[2].len = 3;
}
static void fmspc_of_5(struct extension *e)
{
    e->top[3].len = 5;
}
static void fmspc_of_7(struct extension *e)
{
    e->top[3].len = 7;
}
static void cpusvn_of_17(struct extension *e)
{
    e->tcb[17].len = 17;
}
static void instance_of_15(struct extension *e)
{
    e->top[5].len = 15;
}
static void set_number(struct item *item, const char *bytes, size_t n)
{
    memcpy(item->value, bytes, n);
    item->len = n;
}
static void component_256(struct extension *e)
{
    set_number(&e->tcb[3], "\x01\x00", 2);
}
static void component_negative(struct extension *e)
{
    set_number(&e->tcb[3], "\xFF", 1);
}
static void component_not_shortest(struct extension *e)
{
    set_number(&e->tcb[3], "\x00\x03", 2);
}
static void component_of_no_byte(struct extension *e)
{
    set_number(&e->tcb[0], "", 0);
}
static void component_of_5_bytes(struct extension *e)
{
    set_number(&e->tcb[3], "\x00\x00\x00\x00\x03", 5);
}
static void component_not_of_cpusvn(struct extension *e)
{
    e->tcb[3].value[0] = 9;
}
static void pcesvn_65536(struct extension *e)
{
    set_number(&e->tcb[16], "\x01\x00\x00", 3);
}
static void pcesvn_negative(struct extension *e)
{
    set_number(&e->tcb[16], "\x80\x00", 2);
}
static void component_as_octets(struct extension *e)
{
    e->tcb[3].tag = OCTETS;
}
static void fmspc_as_integer(struct extension *e)
{
    e->top[3].tag = INTEGER;
}
static void type_3(struct extension *e)
{
    e->top[4].value[0] = 3;
}
static void type_as_integer(struct extension *e)
{
    e->top[4].tag = INTEGER;
}
static void configuration_as_number(struct extension *e)
{
    e->configuration[0].tag = INTEGER;
}
static void oids_of_another(struct extension *e)
{
    e->prefix_last = 2;
}

/* So many sequences, each in the other. */
static struct view nested(void)
{
    static uint8_t bytes[2000];
    size_t at = sizeof bytes;

    for (size_t n = 0; at >= 4 && n < 0x10000; n = sizeof bytes - at) {
        if (n >= 0x100) {
            at -= 4;
            bytes[at + 1] = 0x82;
            bytes[at + 2] = (uint8_t)(n >> 8);
            bytes[at + 3] = (uint8_t)n;
        } else if (n >= 0x80) {
            at -= 3;
            bytes[at + 1] = 0x81;
            bytes[at + 2] = (uint8_t)n;
        } else {
            at -= 2;
            bytes[at + 1] = (uint8_t)n;
        }
        bytes[at] = SEQUENCE;
    }
    return view_from(bytes + at, sizeof bytes - at);
}
static void tcb_nested(struct extension *e)
{
    e->inside[1] = nested();
}
static void configuration_nested(struct extension *e)
{
    e->inside[6] = nested();
}

static void make_indefinite(struct buf *der)
{
    struct buf next;

    buf_init(&next, 1 << 16, "DER");
    assert_true(buf_append(&next, VIEW("\x30\x80"), NULL) &&
                buf_append(&next, view_skip(buf_view(der), 4), NULL) &&
                buf_append(&next, VIEW("\x00\x00"), NULL));
    buf_done(der);
    *der = next;
}
static void length_indefinite(struct extension *e)
{
    e->after = make_indefinite;
}
/* The first pair's length, 0x1E, in two bytes. */
static void make_not_shortest(struct buf *der)
{
    struct buf next;
    struct view rest = view_skip(buf_view(der), 4);
    size_t n = buf_len(der) - 4 + 1;

    buf_init(&next, 1 << 16, "DER");
    assert_true(buf_append(&next, VIEW("\x30\x82"), NULL) &&
                buf_append_byte(&next, (uint8_t)(n >> 8), NULL) &&
                buf_append_byte(&next, (uint8_t)n, NULL) &&
                buf_append(&next, VIEW("\x30\x81"), NULL) &&
                buf_append(&next, view_skip(rest, 1), NULL));
    buf_done(der);
    *der = next;
}
static void length_not_shortest(struct extension *e)
{
    e->after = make_not_shortest;
}
static void make_huge(struct buf *der)
{
    struct buf next;

    buf_init(&next, 1 << 16, "DER");
    assert_true(buf_append(&next, VIEW("\x30\x84\xFF\xFF\xFF\xFF"), NULL) &&
                buf_append(&next, view_skip(buf_view(der), 4), NULL));
    buf_done(der);
    *der = next;
}
static void length_huge(struct extension *e)
{
    e->after = make_huge;
}
static void add_a_byte(struct buf *der)
{
    assert_true(buf_append_byte(der, 0, NULL));
}
static void byte_behind(struct extension *e)
{
    e->after = add_a_byte;
}
static void drop_all(struct buf *der)
{
    buf_reset(der);
    assert_true(buf_append(der, VIEW("\x30\x00"), NULL));
}
static void nothing_inside(struct extension *e)
{
    e->after = drop_all;
}

/* --- what is right --- */

static void what_it_says_is_read(void **state)
{
    struct extension e = whole();
    struct attest_err err;
    struct pck pck;

    (void)state;
    set_number(&e.tcb[3], "\x00\xFF", 2); /* the shortest form of a number that is not negative */
    e.tcb[17].value[3] = 0xFF;
    set_number(&e.tcb[16], "\x00\xFF\xFF", 3);
    assert_true(parses(&e, &pck, &err));
    assert_int_equal(pck.components[3], 255);
    assert_int_equal(pck.pcesvn, 65535);
    assert_int_equal(pck.fmspc[0], 0x90);
    e.top[5].gone = e.top[6].gone = true; /* a Processor CA's certificates have neither */
    assert_true(parses(&e, &pck, &err));
    /* What a later profile adds. */
    e.top[7] = (struct item){{8}, SEQUENCE, {0}, 0, false, false};
    e.inside[7] = nested();
    assert_true(parses(&e, &pck, &err));
}

static void no_cut_extension_is_accepted(void **state)
{
    struct extension e = whole();
    struct buf der;

    (void)state;
    buf_init(&der, 1 << 16, "DER");
    encode(&e, &der);
    for (size_t n = 1; n < buf_len(&der); n++) {
        uint8_t *cut = malloc(n);
        struct attest_err err;
        struct pck pck;

        assert_non_null(cut);
        memcpy(cut, der.area + der.head, n);
        assert_false(pck_parse(view_from(cut, n), &pck, &err));
        assert_int_equal(err.code, ATTEST_PCK_EXTENSION);
        free(cut);
    }
    buf_done(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says_is_read),
        cmocka_unit_test(no_cut_extension_is_accepted),
        PCK_FAULT(without_ppid, PCK_EXTENSION),
        PCK_FAULT(without_tcb, PCK_EXTENSION),
        PCK_FAULT(without_pceid, PCK_EXTENSION),
        PCK_FAULT(without_fmspc, PCK_EXTENSION),
        PCK_FAULT(without_type, PCK_EXTENSION),
        PCK_FAULT(without_a_component, PCK_EXTENSION),
        PCK_FAULT(without_pcesvn, PCK_EXTENSION),
        PCK_FAULT(without_cpusvn, PCK_EXTENSION),
        PCK_FAULT(fmspc_twice, PCK_EXTENSION),
        PCK_FAULT(tcb_twice, PCK_EXTENSION),
        PCK_FAULT(component_twice, PCK_EXTENSION),
        PCK_FAULT(configuration_twice, PCK_EXTENSION),
        PCK_FAULT(ppid_of_15, PCK_EXTENSION),
        PCK_FAULT(pceid_of_3, PCK_EXTENSION),
        PCK_FAULT(fmspc_of_5, PCK_EXTENSION),
        PCK_FAULT(fmspc_of_7, PCK_EXTENSION),
        PCK_FAULT(cpusvn_of_17, PCK_EXTENSION),
        PCK_FAULT(instance_of_15, PCK_EXTENSION),
        PCK_FAULT(component_256, PCK_EXTENSION),
        PCK_FAULT(component_negative, PCK_EXTENSION),
        PCK_FAULT(component_not_shortest, PCK_EXTENSION),
        PCK_FAULT(component_of_no_byte, PCK_EXTENSION),
        PCK_FAULT(component_of_5_bytes, PCK_EXTENSION),
        PCK_FAULT(component_not_of_cpusvn, PCK_EXTENSION),
        PCK_FAULT(pcesvn_65536, PCK_EXTENSION),
        PCK_FAULT(pcesvn_negative, PCK_EXTENSION),
        PCK_FAULT(component_as_octets, PCK_EXTENSION),
        PCK_FAULT(fmspc_as_integer, PCK_EXTENSION),
        PCK_FAULT(type_3, PCK_EXTENSION),
        PCK_FAULT(type_as_integer, PCK_EXTENSION),
        PCK_FAULT(configuration_as_number, PCK_EXTENSION),
        PCK_FAULT(oids_of_another, PCK_EXTENSION),
        PCK_FAULT(tcb_nested, PCK_EXTENSION),
        PCK_FAULT(configuration_nested, PCK_EXTENSION),
        PCK_FAULT(length_indefinite, PCK_EXTENSION),
        PCK_FAULT(length_not_shortest, PCK_EXTENSION),
        PCK_FAULT(length_huge, PCK_EXTENSION),
        PCK_FAULT(byte_behind, PCK_EXTENSION),
        PCK_FAULT(nothing_inside, PCK_EXTENSION),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
