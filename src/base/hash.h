/* hash: a seeded, fast, non-cryptographic 64-bit hash for tables that a peer can fill. */
#pragma once

#include "base/view.h"

/* seed: from random_bytes, one a table, so that nobody can aim at a bucket. */
uint64_t hash_bytes(struct view v, uint64_t seed);
