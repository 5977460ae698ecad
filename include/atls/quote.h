/* quote.h: a look into a quote. Nothing is verified here: a forged one shows as well as a genuine one. */
#ifndef ATLS_QUOTE_H
#define ATLS_QUOTE_H

#include <atls/collateral.h>

ATLS_BEGIN

/* Every field, as a JSON object: what "atls inspect --json" prints. The caller frees it. */
ATLS_CHECKED atls_result atls_quote_json(const void *quote, size_t len, char **out,
                                         struct atls_error *error);
ATLS_CHECKED atls_result atls_quote_need(const void *quote, size_t len, struct atls_need *out,
                                         struct atls_error *error);

ATLS_END

#endif
