#include "attest/collateral.h"

#include <stdlib.h>

#include "base/clock.h"
#include "fetch/fetch.h"
#include "libatls/libatls_priv.h"

#include "base/poison.h"

static atls_result wrap(struct collateral *is, struct atls_collateral **out,
                        struct atls_error *error)
{
    struct atls_collateral *c = malloc(sizeof *c);

    if (!c) {
        collateral_free(is);
        return libatls_memory(error);
    }
    c->is = is;
    *out = c;
    return ATLS_OK;
}

atls_result atls_collateral_parse(const char *json, size_t len, struct atls_collateral **out,
                                  struct atls_error *error)
{
    struct attest_err why;
    struct collateral *is;

    return collateral_parse(view_from(json, len), &is, &why) ? wrap(is, out, error)
                                                             : libatls_failed(&why, error);
}

atls_result atls_collateral_json(const struct atls_collateral *collateral, char **out,
                                 struct atls_error *error)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, COLLATERAL_BYTES_MAX, "collateral");
    json_begin(&w, &json);
    collateral_write(collateral->is, &w);
    return libatls_text(&w, &json, out, error);
}

void atls_collateral_free(struct atls_collateral *collateral)
{
    if (!collateral)
        return;
    collateral_free(collateral->is);
    free(collateral);
}

atls_result atls_collateral_fetch(const struct atls_need *need, const char *url, const char *cache,
                                  uint64_t timeout_ms, struct atls_collateral **out,
                                  struct atls_error *error)
{
    const struct fetch_options options = {
        .url = url,
        .timeout_ms = timeout_ms,
        .cache = cache,
        .now_s = clock_wall_ms(&clock_system) / 1000,
    };
    struct collateral_need inner = {.processor_ca = need->processor_ca, .tdx = need->tdx};
    struct attest_err why;
    struct collateral *is;

    memcpy(inner.fmspc, need->fmspc, sizeof inner.fmspc);
    return fetch_collateral(&options, &inner, &is, &why) ? wrap(is, out, error)
                                                         : libatls_failed(&why, error);
}
