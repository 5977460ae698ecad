/* auth: who asks. One function, for every route and every method; what it does not know, it refuses. */
#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

/* For everybody, whatever the method. */
static bool path_open(struct view path)
{
    return view_eq(path, VIEW("/health")) || view_eq(path, VIEW("/.well-known/jwks.json"));
}

/* "Ati-Key …", however its letters are written: nobody gets in by writing it oddly. */
static bool is_virtual_key(struct view value)
{
    struct view word = view_first(value, view_find(value, ' '));

    return view_eq_nocase(word, VIEW("Ati-Key"));
}

static bool any_virtual_key(const struct http_head *head)
{
    for (size_t i = 0; i < head->count; i++)
        if (view_eq_nocase(head->fields[i].name, VIEW("Authorization")) &&
            is_virtual_key(head->fields[i].value))
            return true;
    return false;
}

/* False: there is none, or it is not clear which. */
static bool bearer(const struct http_head *head, struct view *out)
{
    if (!http_field(head, VIEW("Authorization"), out) || !view_starts(*out, VIEW("Bearer ")))
        return false;
    *out = view_skip(*out, strlen("Bearer "));
    return true;
}

/* What nobody has verified is nobody's: in dev mode there is none, whatever the head says. */
struct view auth_token(const struct request *r)
{
    struct view token;

    return r->snapshot->authority && bearer(r->exchange->request.head, &token) ? token : VIEW("");
}

enum auth_verdict auth_decide(struct worker *w, const struct snapshot *snapshot,
                              const struct http_head *head, struct view path, int64_t now_s,
                              struct caller **out, struct err *err)
{
    struct view value;

    if (path_open(path))
        return AUTH_OPEN;
    /* Virtual keys live in a store, and there is none: nobody can say whether this one is good. It
     * is no way around the check, in dev mode either. */
    if (any_virtual_key(head))
        return AUTH_NO_STORE;
    if (!snapshot->authority) {
        *out = caller_ref(w->gateway->dev);
        return AUTH_CALLER;
    }
    /* Two of them are none: who is meant would depend on who reads. */
    if (!bearer(head, &value)) {
        (void)err_set(err, ERR_DENIED, "no \"Authorization: Bearer\"");
        return AUTH_REFUSED;
    }
    return token_cache_validate(w->tokens, snapshot->authority, value, now_s, out, err)
               ? AUTH_CALLER
               : AUTH_REFUSED;
}
