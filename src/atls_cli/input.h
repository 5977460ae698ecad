/* input: files that the commands are given. */
#pragma once

#include "attest/policy.h"
#include "attest/trust.h"
#include "base/buf.h"

/* A quote, as it is or in hex, with or without blanks around; "-": standard input. */
MUST_USE bool input_quote(const char *path, struct buf *out, struct err *err);
/* Any file; what: names it in errors. */
MUST_USE bool input_file(const char *path, size_t max, const char *what, struct buf *out,
                         struct err *err);
MUST_USE bool input_policy(const char *path, struct policy **out, struct err *err);
/* A certificate in PEM. */
MUST_USE bool input_trust(const char *path, struct trust **out, struct err *err);
/* The event log itself, or an answer that holds one as dstack's GetQuote does. */
MUST_USE bool input_event_log(const char *path, struct buf *out, struct err *err);
