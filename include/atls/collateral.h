/* collateral.h: what Intel has signed about a family of platforms. It may come from anywhere (stapled by the endpoint, a file,
 * a PCCS): it is verified with the quote. */
#ifndef ATLS_COLLATERAL_H
#define ATLS_COLLATERAL_H

#include <atls/error.h>

struct atls_collateral;

/* Which collateral a quote needs: as its own, unverified certificates say. To fetch by, not to trust. All zero: the quote has no
 * certificate (certification data of type 2 or 3), which atls_dial fetches, too. */
struct atls_need {
    uint8_t fmspc[6];  /* family, model, stepping, platform, custom SKU */
    bool processor_ca; /* the PCK certificate is by the Processor CA; else by the Platform CA */
    bool tdx;          /* else SGX */
};

ATLS_BEGIN

/* A QuoteCollateralV3 object in JSON. */
ATLS_CHECKED atls_result atls_collateral_parse(const char *json, size_t len,
                                               struct atls_collateral **out,
                                               struct atls_error *error);
/* Readable by atls_collateral_parse. The caller frees it. */
ATLS_CHECKED atls_result atls_collateral_json(const struct atls_collateral *collateral, char **out,
                                              struct atls_error *error);
ATLS_API void atls_collateral_free(struct atls_collateral *collateral); /* NULL is fine */

/* Asks a PCCS or Intel's service, over HTTPS; blocks. url: base of the service (atls_policy_pccs_url). cache: a folder, which is
 * made when it is not there; NULL: none. */
ATLS_CHECKED atls_result atls_collateral_fetch(const struct atls_need *need, const char *url,
                                               const char *cache, uint64_t timeout_ms,
                                               struct atls_collateral **out,
                                               struct atls_error *error);

ATLS_END

#endif
