/* secret: bytes that must not be printed, compared in a way that leaks, or left behind. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum { SHA256_BYTES = 32 };

void secret_wipe(void *at, size_t len);
struct buf;
void buf_wipe(struct buf *b); /* all of its area; as buf_done */
/* Constant time in the content. */
bool secret_equal(const void *a, const void *b, size_t len);
/* SHA-256 (FIPS 180-4) through OpenSSL. */
MUST_USE bool secret_sha256(const void *at, size_t len, uint8_t out[static SHA256_BYTES]);
/* n bytes from the operating system's generator; ends the process when there are none. */
void random_bytes(void *out, size_t n);
/* Whole process: no core dumps, no ptrace by others (PR_SET_DUMPABLE 0, RLIMIT_CORE 0). */
void secret_no_dumps(void);
