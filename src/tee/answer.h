/* answer: the body of a good answer to /tdx_quote, as JSON, its members in the order in which the reference service writes them.
 * Pure. */
#pragma once

#include "attest/quote.h"
#include "base/buf.h"

struct answer {
    struct view quote;      /* bytes */
    struct view event_log;  /* a text in JSON, which holds JSON */
    struct view vm_config;  /* text */
    struct view tcb_info;   /* JSON, or empty */
    struct view collateral; /* JSON, or empty */
    const uint8_t *report_data;
    int64_t now_s;
};

MUST_USE bool answer_write(const struct answer *a, struct buf *out, struct err *err);
