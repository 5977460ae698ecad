#include "ati/caller/caller.h"

#include <stdlib.h>

#include "ati/caller/caller_priv.h"

#include "base/poison.h"

static bool texts_copy(const struct caller_claims *claims, struct caller *c);
static bool words_split(struct caller *c);
static bool rates_copy(const struct caller_claims *claims, struct caller *c, struct err *err);

bool caller_new(const struct caller_claims *claims, struct caller **out, struct err *err)
{
    CLEANUP(caller_unref_cleanup) struct caller *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "caller");
    atomic_init(&c->references, 1);
    c->issued_s = claims->issued_s;
    c->expires_s = claims->expires_s;
    if (!texts_copy(claims, c) || !words_split(c))
        return err_set(err, ERR_MEMORY, "caller");
    if (!rates_copy(claims, c, err))
        return false;
    *out = take(c);
    return true;
}

bool caller_dev(struct caller **out, struct err *err)
{
    const struct caller_claims claims = {.subject = VIEW("dev"), .scope = VIEW("*")};

    if (!caller_new(&claims, out, err))
        return false;
    (*out)->unrestricted = true;
    return true;
}

struct caller *caller_ref(struct caller *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void caller_unref(struct caller *c)
{
    /* The last one to leave must see what the others did before they left. */
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < c->rate_count; i++)
        free(c->rates[i].pattern);
    for (size_t i = 0; i < c->scope_count; i++)
        free(c->scopes[i]);
    free(c->rates);
    free(c->scopes);
    free(c->subject);
    free(c->issuer);
    free(c->audience);
    free(c->id);
    free(c->job_id);
    free(c->sandbox_id);
    free(c->scope);
    free(c);
}

static bool text_copy(struct view text, char **out)
{
    if (!text.at)
        return true;
    *out = strndup((const char *)text.at, text.len);
    return *out != NULL;
}

static bool texts_copy(const struct caller_claims *claims, struct caller *c)
{
    struct view subject = claims->subject, scope = claims->scope;

    return text_copy(subject.at ? subject : VIEW(""), &c->subject) &&
           text_copy(scope.at ? scope : VIEW(""), &c->scope) &&
           text_copy(claims->issuer, &c->issuer) && text_copy(claims->audience, &c->audience) &&
           text_copy(claims->id, &c->id) && text_copy(claims->job_id, &c->job_id) &&
           text_copy(claims->sandbox_id, &c->sandbox_id);
}

static bool words_split(struct caller *c)
{
    struct view rest = view_str(c->scope), word;
    size_t count = 0;

    while (scope_next(&rest, &word))
        count++;
    c->scopes = calloc(count + 1, sizeof *c->scopes);
    if (!c->scopes)
        return false;
    for (rest = view_str(c->scope); scope_next(&rest, &word); c->scope_count++)
        if (!text_copy(word, &c->scopes[c->scope_count]))
            return false;
    return true;
}

static bool rates_copy(const struct caller_claims *claims, struct caller *c, struct err *err)
{
    if (!claims->rate_count)
        return true;
    c->rates = calloc(claims->rate_count, sizeof *c->rates);
    if (!c->rates)
        return err_set(err, ERR_MEMORY, "caller");
    for (size_t i = 0; i < claims->rate_count; i++) {
        c->rates[i] = claims->rates[i];
        c->rates[i].pattern = strdup(claims->rates[i].pattern);
        c->rate_count++;
        if (!c->rates[i].pattern)
            return err_set(err, ERR_MEMORY, "caller");
    }
    return true;
}

bool caller_expired(const struct caller *c, int64_t now_s)
{
    return c->expires_s != 0 && now_s > c->expires_s;
}

static bool granted(const struct caller *c, struct view name)
{
    for (size_t i = 0; i < c->scope_count; i++)
        if (scope_matches(name, view_str(c->scopes[i])))
            return true;
    return false;
}

bool caller_may(const struct caller *c, const char *required, int64_t now_s)
{
    char older[SCOPE_BYTES_MAX];

    if (!c)
        return false;
    if (c->unrestricted)
        return true;
    if (caller_expired(c, now_s))
        return false;
    if (!required || !*required)
        return true;
    return granted(c, view_str(required)) ||
           (scope_alias(required, older) && granted(c, view_str(older)));
}

bool caller_may_help(const struct caller *c, int64_t now_s)
{
    if (!c || (!c->unrestricted && caller_expired(c, now_s)))
        return false;
    for (size_t i = 0; i < c->scope_count; i++)
        if (strcmp(c->scopes[i], "*") == 0 || strcmp(c->scopes[i], "help") == 0)
            return true;
    return false;
}

size_t caller_scopes_of(const struct caller *c, const char *prefix)
{
    size_t count = 0;

    for (size_t i = 0; i < c->scope_count; i++)
        count += view_starts(view_str(c->scopes[i]), view_str(prefix));
    return count;
}
