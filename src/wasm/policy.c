#include "attest/policy.h"

#include "attest/compose.h"
#include "base/codec.h"
#include "wasm/module.h"

#include "base/poison.h"

enum { ABOUT_MAX = 16 * 1024 };

static struct policy *made(bool good, struct policy *p, const struct attest_err *err)
{
    if (good)
        return p;
    (void)wasm_fail(err);
    return NULL;
}

struct policy *WASM_EXPORT(policy_new)(const char *json, uint32_t len)
{
    struct policy *p = NULL;
    struct attest_err err;

    return made(policy_parse(view_from(json, len), &p, &err), p, &err);
}

void WASM_EXPORT(policy_delete)(struct policy *p)
{
    policy_free(p);
}

/* Whoever is trusted beside Intel makes quotes of no hardware. */
static bool simulation(const struct policy *p)
{
    for (unsigned i = 0; i < p->root_count; i++)
        if (!p->roots[i]->intel)
            return true;
    return p->allow_simulated;
}

void WASM_EXPORT(policy_about)(const struct policy *p)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, ABOUT_MAX, "policy");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "digest");
    json_hex(&w, view_from(p->digest, sizeof p->digest));
    json_key(&w, "pccs_url");
    json_text(&w, view_str(p->pccs_url));
    json_key(&w, "reattest_after");
    json_u64(&w, p->reattest_after_s);
    json_key(&w, "simulation");
    json_bool(&w, simulation(p));
    json_object_end(&w);
    (void)wasm_answer(&w, &json);
}

int32_t WASM_EXPORT(compose_merge_texts)(const char *defaults, uint32_t defaults_len,
                                         const char *user, uint32_t user_len)
{
    struct attest_err err;
    struct buf out;

    buf_init(&out, COMPOSE_BYTES_MAX, "app compose");
    if (compose_merge(view_from(defaults, defaults_len), view_from(user, user_len), &out, &err))
        return wasm_answer_buf(&out);
    buf_done(&out);
    return wasm_fail(&err);
}

int32_t WASM_EXPORT(compose_digest)(const char *json, uint32_t len)
{
    static char hex[2 * HASH_BYTES + 1];
    uint8_t digest[HASH_BYTES];
    struct attest_err err;

    if (!compose_hash_text(view_from(json, len), digest, &err))
        return wasm_fail(&err);
    hex_encode(view_from(digest, sizeof digest), hex);
    wasm_answer_bytes(view_str(hex));
    return WASM_DONE;
}
