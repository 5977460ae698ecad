/* faults: one good world, one thing that is wrong with it, and the error that it is refused with. Each is a test of cmocka's of
 * its own, by its name: a row of the table in main.
 *
 *   DCAP_FAULT(f, CODE)     f(w) spoils what dcap_verify sees
 *   VERIFY_FAULT(f, CODE)   the same for policy_parse and attest_verify
 *   VERIFY_FAULT_SAYS       and the text begins so: words that callers of other implementations look for
 *   BYTE_FAULT, TD_FAULT, QE_FAULT, TCB_TEXT_FAULT, QE_TEXT_FAULT   what needs no function: a byte, or a piece of text
 *
 * docs/attack-list.md names faults and their errors by these rows; scripts/check-docs reads them. */
#pragma once

#include "world.h"

struct fault {
    const char *name;
    void (*spoil)(struct world *w);
    void (*spoil_by)(struct world *w, const struct fault *f); /* or this */
    bool (*judge)(struct world *w);
    enum attest_code code;
    size_t at; /* of spoil_by */
    uint8_t value;
    const char *from, *to;
    const char *words; /* that the text begins with; NULL: whatever */
};

static inline bool fault_dcap(struct world *w)
{
    struct dcap_report report;

    return world_dcap(w, TCB_MATCHING_STRICT, &report);
}

static inline void fault_test(void **state)
{
    const struct fault *f = *state;
    struct world w;

    world_open_as(&w, 4, f->name);
    if (f->spoil)
        f->spoil(&w);
    else
        f->spoil_by(&w, f);
    if (f->judge(&w))
        fail_msg("wanted %s, but it was found good", attest_code_name(f->code));
    if (w.err.code != f->code)
        fail_msg("wanted %s, got %s: %s", attest_code_name(f->code), attest_code_name(w.err.code),
                 w.err.text);
    if (f->words && strncmp(w.err.text, f->words, strlen(f->words)) != 0)
        fail_msg("wanted \"%s…\", got \"%s\"", f->words, w.err.text);
    world_close(&w);
}

/* A byte of the quote, whose signatures are left as they are. */
static inline void fault_byte(struct world *w, const struct fault *f)
{
    quote_set(w, f->at, f->value);
}

/* A byte of the TD report; the quote's own signature is good. */
static inline void fault_td(struct world *w, const struct fault *f)
{
    quote_set(w, AT_BODY + f->at, f->value);
    quote_resign_body(w);
}

/* A byte of the QE report; all signatures are good. */
static inline void fault_qe(struct world *w, const struct fault *f)
{
    quote_set(w, AT_QE + f->at, f->value);
    quote_resign(w);
}

/* A piece of a document, which is signed anew. */
static inline void fault_tcb_text(struct world *w, const struct fault *f)
{
    tcb_replace(w, f->from, f->to);
}
static inline void fault_qe_text(struct world *w, const struct fault *f)
{
    qe_replace(w, f->from, f->to);
}

#define FAULT_ROW(text, error, by, ...)                                         \
    {                                                                           \
        .name = text, .test_func = fault_test, .initial_state = &(struct fault) \
        {                                                                       \
            .name = text, .code = error, .judge = by, __VA_ARGS__               \
        }                                                                       \
    }
#define DCAP_FAULT(f, error)   FAULT_ROW(#f, ATTEST_##error, fault_dcap, .spoil = f)
#define VERIFY_FAULT(f, error) FAULT_ROW(#f, ATTEST_##error, world_verify, .spoil = f)
#define VERIFY_FAULT_SAYS(f, error, text) \
    FAULT_ROW(#f, ATTEST_##error, world_verify, .spoil = f, .words = text)
#define BYTE_FAULT(f, error, offset, byte) \
    FAULT_ROW(#f, ATTEST_##error, fault_dcap, .spoil_by = fault_byte, .at = offset, .value = byte)
#define TD_FAULT(f, error, offset, byte) \
    FAULT_ROW(#f, ATTEST_##error, fault_dcap, .spoil_by = fault_td, .at = offset, .value = byte)
#define QE_FAULT(f, error, offset, byte) \
    FAULT_ROW(#f, ATTEST_##error, fault_dcap, .spoil_by = fault_qe, .at = offset, .value = byte)
#define TCB_TEXT_FAULT(f, error, old, new) \
    FAULT_ROW(#f, ATTEST_##error, fault_dcap, .spoil_by = fault_tcb_text, .from = old, .to = new)
#define QE_TEXT_FAULT(f, error, old, new) \
    FAULT_ROW(#f, ATTEST_##error, fault_dcap, .spoil_by = fault_qe_text, .from = old, .to = new)
