/* output: what several commands print on standard output. */
#pragma once

#include "attest/verify.h"

/* At once and whole. */
MUST_USE bool output_write(struct view bytes, struct attest_err *err);
/* A line of JSON that w wrote into out, which is done with; a failure goes to standard error, after the command's name. */
void output_json(const char *command, struct json_writer *w, struct buf *out);
/* A verdict for people, in lines. */
void output_attestation(const struct attestation *a);
