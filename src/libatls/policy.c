#include <stdlib.h>

#include "attest/compose.h"
#include "libatls/libatls_priv.h"

#include "base/poison.h"

static atls_result wrap(struct policy *is, struct atls_policy **out, struct atls_error *error)
{
    struct atls_policy *p = malloc(sizeof *p);

    if (!p) {
        policy_free(is);
        return libatls_memory(error);
    }
    p->is = is;
    *out = p;
    return ATLS_OK;
}

atls_result atls_policy_parse(const char *json, size_t len, struct atls_policy **out,
                              struct atls_error *error)
{
    struct attest_err why;
    struct policy *is;

    return policy_parse(view_from(json, len), &is, &why) ? wrap(is, out, error)
                                                         : libatls_failed(&why, error);
}

atls_result atls_policy_dev(struct atls_policy **out, struct atls_error *error)
{
    struct attest_err why;
    struct policy *is;

    return policy_dev(&is, &why) ? wrap(is, out, error) : libatls_failed(&why, error);
}

void atls_policy_free(struct atls_policy *policy)
{
    if (!policy)
        return;
    policy_free(policy->is);
    free(policy);
}

const uint8_t *atls_policy_digest(const struct atls_policy *policy)
{
    return policy->is->digest;
}

const char *atls_policy_pccs_url(const struct atls_policy *policy)
{
    return policy->is->pccs_url;
}

uint64_t atls_policy_reattest_after(const struct atls_policy *policy)
{
    return policy->is->reattest_after_s;
}

atls_result atls_compose_merge(const char *defaults, const char *user, char **out,
                               struct atls_error *error)
{
    struct attest_err why;
    struct buf all;

    buf_init(&all, COMPOSE_BYTES_MAX, "app-compose");
    if (compose_merge(view_str(defaults), view_str(user), &all, &why))
        return libatls_copy(&all, out, error);
    buf_done(&all);
    return libatls_failed(&why, error);
}

atls_result atls_compose_hash(const char *json, size_t len, uint8_t out[ATLS_SHA256_BYTES],
                              struct atls_error *error)
{
    struct attest_err why;

    return compose_hash_text(view_from(json, len), out, &why) ? ATLS_OK
                                                              : libatls_failed(&why, error);
}
