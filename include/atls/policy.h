/* policy.h: what an endpoint must be. A JSON document of type "dstack_tdx"; docs/attested-tls.md has every member and what it
 * buys. It is read whole or refused whole: a misspelt member is an error. */
#ifndef ATLS_POLICY_H
#define ATLS_POLICY_H

#include <atls/error.h>

struct atls_policy;

ATLS_BEGIN

ATLS_CHECKED atls_result atls_policy_parse(const char *json, size_t len, struct atls_policy **out,
                                           struct atls_error *error);
/* For development: a genuine quote of a machine that may be badly patched, and no look at what runs there. */
ATLS_CHECKED atls_result atls_policy_dev(struct atls_policy **out, struct atls_error *error);
ATLS_API void atls_policy_free(struct atls_policy *policy); /* NULL is fine */

/* SHA-256 of the document: connections may be shared by callers of the same policy alone. */
ATLS_API const uint8_t *atls_policy_digest(const struct atls_policy *policy);
/* Where collateral comes from when it is not stapled. */
ATLS_API const char *atls_policy_pccs_url(const struct atls_policy *policy);
/* Seconds after which a connection must be attested again; 0: never. */
ATLS_API uint64_t atls_policy_reattest_after(const struct atls_policy *policy);

/* An app-compose manifest: defaults with the members of user; a known name takes its new value where it stands, others follow.
 * Both are JSON texts; the result is the canonical text that guests hash. The caller frees it. */
ATLS_CHECKED atls_result atls_compose_merge(const char *defaults, const char *user, char **out,
                                            struct atls_error *error);
/* SHA-256 of the canonical text of a manifest, or of a JSON string's own bytes. */
ATLS_CHECKED atls_result atls_compose_hash(const char *json, size_t len,
                                           uint8_t out[ATLS_SHA256_BYTES],
                                           struct atls_error *error);

ATLS_END

#endif
