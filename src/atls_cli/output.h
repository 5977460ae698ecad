/* output: bytes to standard output, at once and whole. */
#pragma once

#include "attest/attest_err.h"
#include "base/view.h"

MUST_USE bool output_write(struct view bytes, struct attest_err *err);
