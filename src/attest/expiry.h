/* expiry: until when collateral that is kept may serve. Signatures are not looked at: dcap does that each time. */
#pragma once

#include "attest/collateral.h"

/* Unix seconds: when the first of its documents and CRLs ends. False: one of them is not what it should be, or comes from the
 * future. */
MUST_USE bool collateral_expiry(const struct collateral *c, int64_t now_s, int64_t *until_s);
