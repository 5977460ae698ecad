/* output: what several commands print on standard output. */
#pragma once

#include "attest/verify.h"

/* At once and whole. */
MUST_USE bool output_write(struct view bytes, struct attest_err *err);
/* A verdict for people, in lines. */
void output_attestation(const struct attestation *a);
