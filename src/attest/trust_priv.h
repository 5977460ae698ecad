/* Private to trust*.c. */
#pragma once

#include <stdint.h>

enum { TRUST_INTEL_ROOT_BYTES = 659 };
extern const uint8_t trust_intel_root[TRUST_INTEL_ROOT_BYTES];
