#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

enum verdict { NEXT, FOUND, STOP };

static bool is(const struct openapi *o, uint32_t object, const char *member, struct view value)
{
    uint32_t token = member_of(o, object, member);

    return token && kind_of(o, token) == JSON_STRING && view_eq_nocase(span_of(o, token), value);
}

static enum verdict http(const struct openapi *o, uint32_t scheme, struct openapi_auth *out)
{
    if (is(o, scheme, "scheme", VIEW("bearer")))
        out->type = AUTH_BEARER;
    else if (is(o, scheme, "scheme", VIEW("basic")))
        out->type = AUTH_BASIC;
    else
        return NEXT;
    return FOUND;
}

static enum verdict api_key(const struct openapi *o, uint32_t scheme, struct openapi_auth *out)
{
    char *name = openapi_text(o, member_of(o, scheme, "name"));

    if (name && is(o, scheme, "in", VIEW("header"))) {
        out->type = AUTH_HEADER;
        out->header_name = name;
        return FOUND;
    }
    if (name && is(o, scheme, "in", VIEW("query"))) {
        out->type = AUTH_QUERY;
        out->query_name = name;
        return FOUND;
    }
    free(name);
    return is(o, scheme, "in", VIEW("cookie")) ? STOP : NEXT;
}

static enum verdict oauth2(const struct openapi *o, uint32_t scheme, struct openapi_auth *out)
{
    uint32_t flow = member_of(o, member_of(o, scheme, "flows"), "clientCredentials");

    if (!flow)
        return NEXT;
    out->type = AUTH_OAUTH2;
    out->token_url = openapi_text(o, member_of(o, flow, "tokenUrl"));
    return FOUND;
}

static enum verdict judge(const struct openapi *o, uint32_t scheme, struct openapi_auth *out)
{
    if (is(o, scheme, "type", VIEW("http")))
        return http(o, scheme, out);
    if (is(o, scheme, "type", VIEW("apiKey")))
        return api_key(o, scheme, out);
    if (is(o, scheme, "type", VIEW("oauth2")))
        return oauth2(o, scheme, out);
    return NEXT;
}

bool openapi_auth(const struct openapi *o, struct openapi_auth *out, struct err *err)
{
    uint32_t schemes = member_of(o, top_member(o, "components"), "securitySchemes");
    uint32_t key = json_first(schemes);
    enum verdict verdict = NEXT;

    (void)err;
    *out = (struct openapi_auth){.type = AUTH_NONE};
    if (!schemes || kind_of(o, schemes) != JSON_OBJECT)
        return true;
    for (uint32_t i = 0; i < count_of(o, schemes) && verdict == NEXT; i++) {
        uint32_t scheme = openapi_resolve(o, next_of(o, key), NULL);

        if (scheme)
            verdict = judge(o, scheme, out);
        if (verdict == FOUND)
            out->description = openapi_text(o, member_of(o, scheme, "description"));
        key = next_of(o, next_of(o, key));
    }
    return true;
}

void openapi_auth_done(struct openapi_auth *a)
{
    free(a->header_name);
    free(a->query_name);
    free(a->token_url);
    free(a->description);
    *a = (struct openapi_auth){0};
}
