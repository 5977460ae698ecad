/* report: quotes and verdicts as JSON, for people and programs. Bytes are lowercase hex, times RFC 3339. The platform's
 * identifier (PPID) is left out: it names a machine. */
#pragma once

#include "attest/verify.h"

/* { "status", "advisory_ids", "report", "platform_status", "qe_status", "tcb_date", …, "events" }, as one object. */
void report_write(const struct attestation *a, struct json_writer *w); /* NULL: null */
/* { "version", "tee", "body", "qe_vendor_id", …, "certification_type" }: every field, nothing verified. */
void report_write_quote(const struct quote *q, struct json_writer *w);
/* { "class", "code", "number", "message", "retryable" } */
void report_write_error(const struct attest_err *err, struct json_writer *w); /* NULL: null */
void report_write_advisories(const struct advisories *a, struct json_writer *w);
void report_write_hex(struct json_writer *w, const char *key, struct view bytes);
void report_write_time(struct json_writer *w, const char *key, int64_t seconds);
