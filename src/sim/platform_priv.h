/* Private to the simulator's files. */
#pragma once

#include <stdint.h>

/* Who signs the simulated quoting enclave. */
extern const uint8_t sim_qe_signer[32];
