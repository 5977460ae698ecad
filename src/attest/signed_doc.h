/* signed_doc: members of a signed JSON document, each read with its type and range, or refused by name. Private
 * to tcb_info.c and qe_identity.c. */
#pragma once

#include "attest/attest_err.h"
#include "attest/tcb_status.h"

enum { SIGNED_DOC_BYTES_MAX = 1024 * 1024, SIGNED_DOC_TOKENS_MAX = 256 * 1024 };

struct signed_doc {
    struct json_tree tree;
    const char *what; /* "TcbInfo", "QeIdentity" */
    enum attest_code code;
    struct attest_err *err;
};

MUST_USE bool signed_doc_open(struct signed_doc *d, struct view text);
void signed_doc_close(struct signed_doc *d);

/* Token of a member of that kind; 0 with an error: it is not there. */
uint32_t signed_doc_member(struct signed_doc *d, uint32_t object, const char *key,
                           enum json_kind kind);
MUST_USE bool signed_doc_number(struct signed_doc *d, uint32_t object, const char *key,
                                uint32_t most, uint32_t *out);
/* n bytes in hex, either case. */
MUST_USE bool signed_doc_hex(struct signed_doc *d, uint32_t object, const char *key, uint8_t *out,
                             size_t n);
MUST_USE bool signed_doc_date(struct signed_doc *d, uint32_t object, const char *key, int64_t *out);
MUST_USE bool signed_doc_text(struct signed_doc *d, uint32_t object, const char *key, char *out,
                              size_t size);
/* What all levels have: { tcb, tcbDate, tcbStatus, advisoryIDs? }. *tcb: the token of its tcb. */
struct signed_level {
    enum tcb_status status;
    int64_t date_s;
    struct advisories advisories;
};
MUST_USE bool signed_doc_level(struct signed_doc *d, uint32_t object, uint32_t *tcb,
                               struct signed_level *out);
/* Always false. */
bool signed_doc_fail(struct signed_doc *d, const char *key, const char *want);
