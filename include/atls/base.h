/* base.h: what all headers of libatls share.
 *
 * Every function that can fail returns an atls_result: ATLS_OK (0), or the number of the error (error.h), with the reason in
 * *error where that is not NULL. Out parameters are written on success alone.
 *
 * Structures with a member "size" are set to their _INIT first; the library reads no member that the caller's version of the
 * header did not have. Objects (struct atls_…, declared but not defined) belong to one thread at a time; an atls_policy, once
 * parsed, and an atls_context may be shared by any number. Bytes go with their length; texts end with a NUL. */
#ifndef ATLS_BASE_H
#define ATLS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ATLS_BEGIN extern "C" {
#define ATLS_END   }
#else
#define ATLS_BEGIN
#define ATLS_END
#endif

#if defined __GNUC__
#define ATLS_API     __attribute__((visibility("default")))
#define ATLS_CHECKED __attribute__((visibility("default"), warn_unused_result))
#else
#define ATLS_API
#define ATLS_CHECKED
#endif

/* The version of these headers; atls_version tells that of the library. */
#define ATLS_VERSION_MAJOR 0
#define ATLS_VERSION_MINOR 1
#define ATLS_VERSION_PATCH 0

enum {
    ATLS_SHA256_BYTES = 32,
    ATLS_MEASUREMENT_BYTES = 48, /* SHA-384 */
    ATLS_REPORT_DATA_BYTES = 64,
    ATLS_NONCE_BYTES = 32
};

typedef int atls_result;

ATLS_BEGIN

/* "0.1.0", with the commit behind it away from a release. */
ATLS_API const char *atls_version(void);
/* For texts that functions hand over ("the caller frees it"). NULL is fine. */
ATLS_API void atls_free(void *text);

ATLS_END

#endif
