#include "bridge/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "http/http.h"

#include "base/poison.h"

enum { ALLOWLIST_FILE_BYTES_MAX = 8 * 1024 * 1024, CIDRS_MAX = 4096, SUBPROTOCOLS_MAX = 64 };

static _Atomic uint64_t generations;

struct loading {
    const struct policy_source *source;
    policy_warning *warn;
    void *context;
    struct policy *policy;
};

static bool allow_file(struct loading *l, struct allowlist_options *o, struct err *err)
{
    const char *path = l->source->allowlist_file;
    FILE *in = fopen(path, "re");
    char *text;
    size_t n;
    bool good;

    if (!in)
        return err_system(err, ERR_CONFIG, errno, "--allowlist-file %s", path);
    text = malloc(ALLOWLIST_FILE_BYTES_MAX + 1);
    n = text ? fread(text, 1, ALLOWLIST_FILE_BYTES_MAX + 1, in) : 0;
    o->file = true;
    o->source = path;
    if (!text)
        good = err_set(err, ERR_MEMORY, "--allowlist-file %s", path);
    else if (ferror(in))
        good = err_system(err, ERR_CONFIG, errno, "--allowlist-file %s", path);
    else if (n > ALLOWLIST_FILE_BYTES_MAX)
        good = err_set(err, ERR_CONFIG, "--allowlist-file %s: larger than %d bytes", path,
                       ALLOWLIST_FILE_BYTES_MAX);
    else
        good = allowlist_add(l->policy->allow, view_from(text, n), o, err);
    free(text);
    (void)fclose(in);
    return good;
}

static bool load_allowlist(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct allowlist_options o = {
        .lax = s->lax_allowlist,
        .patterns = s->allow_patterns,
        .cidr_names = s->cidr_names,
        .source = "ATLS_PROXY_ALLOWLIST",
        .warn = l->warn,
        .context = l->context,
    };

    if (!allowlist_new(&l->policy->allow, err) ||
        !allowlist_add(l->policy->allow, view_str(s->allowlist), &o, err) ||
        (s->allowlist_file && !allow_file(l, &o, err)))
        return false;
    if (allowlist_count(l->policy->allow) || s->allow_empty)
        return true;
    return err_set(err, ERR_CONFIG,
                   "ATLS_PROXY_ALLOWLIST is %s: every target would be refused. Name the targets that "
                   "may be reached, for example ATLS_PROXY_ALLOWLIST=\"tee.example.com:443\"; "
                   "--allow-empty starts all the same",
                   s->allowlist ? "empty" : "not set");
}

static bool load_default(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct policy *p = l->policy;
    char sentence[400];
    bool by_pattern;

    if (!s->target || !*s->target)
        return true;
    p->default_entry = allowlist_match(p->allow, view_str(s->target), &p->default_target, &by_pattern);
    p->has_default = p->default_entry != NULL;
    if (p->has_default)
        return true;
    if ((s->target_explicit && !s->allow_empty) || s->strict_default)
        return err_set(err, ERR_CONFIG,
                       "Default target %.100s is not in allowlist: add it to ATLS_PROXY_ALLOWLIST, or "
                       "set ATLS_PROXY_TARGET to a target that is",
                       s->target);
    (void)snprintf(sentence, sizeof sentence,
                   "no default target: %.100s is not on the allowlist, so clients must name theirs "
                   "(?target=host:port)",
                   s->target);
    l->warn(l->context, sentence);
    return true;
}

static bool load_cidrs(const char *option, const char *text, struct cidr **out, size_t *count,
                       struct err *err)
{
    struct view rest = view_str(text), one;
    struct cidr *list, *grown;

    while (text && view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (!one.len)
            continue;
        if (*count == CIDRS_MAX)
            return err_set(err, ERR_CONFIG, "%s: more than %d ranges", option, CIDRS_MAX);
        list = *out;
        grown = realloc(list, (*count + 1) * sizeof *grown);
        if (!grown)
            return err_set(err, ERR_MEMORY, "%s", option);
        *out = grown;
        if (!cidr_parse(one, &grown[*count], err))
            return err_in(err, "%s", option);
        (*count)++;
    }
    return true;
}

static bool load_subprotocols(struct policy *p, const char *text, struct err *err)
{
    struct view rest = view_str(text), one;
    size_t n = 0;

    if (!text)
        return true;
    p->subprotocols = calloc(SUBPROTOCOLS_MAX + 1, sizeof(char *));
    if (!p->subprotocols)
        return err_set(err, ERR_MEMORY, "--subprotocols");
    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (!one.len)
            continue;
        if (!http_is_token(one))
            return err_set(err, ERR_CONFIG, "--subprotocols: \"%.*s\" is not a token",
                           VIEW_ARG(view_first(one, 64)));
        if (n == SUBPROTOCOLS_MAX || !(p->subprotocols[n++] = strndup((const char *)one.at, one.len)))
            return err_set(err, ERR_CONFIG, "--subprotocols: more than %d", SUBPROTOCOLS_MAX);
    }
    return true;
}

static bool load_access(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct policy *p = l->policy;
    struct credential_source credentials = {.token_file = s->auth_token_file,
                                            .jwks_file = s->auth_jwt_jwks,
                                            .audience = s->auth_jwt_audience,
                                            .issuer = s->auth_jwt_issuer};

    if (s->origins && *s->origins && !origin_set_parse(view_str(s->origins), &p->origins, err))
        return err_in(err, "--origins");
    if (s->hosts && *s->hosts && !host_set_parse(view_str(s->hosts), &p->hosts, err))
        return err_in(err, "--hosts");
    if ((s->auth_token_file || s->auth_jwt_jwks) &&
        !credentials_load(&credentials, &p->credentials, err))
        return false;
    if (s->auth_jwt_jwks && !s->auth_jwt_audience)
        l->warn(l->context, "--auth-jwt-jwks without --auth-jwt-audience: tokens made for others are accepted");
    return load_cidrs("--trusted-proxies", s->trusted_proxies, &p->trusted_proxies,
                      &p->trusted_proxy_count, err) &&
           load_cidrs("--allow-from", s->allow_from, &p->allow_from, &p->allow_from_count, err) &&
           load_cidrs("--limit-exempt", s->limit_exempt, &p->limit_exempt, &p->limit_exempt_count, err) &&
           load_subprotocols(p, s->subprotocols, err);
}

bool policy_load(const struct policy_source *source, policy_warning *warn, void *context,
                 struct policy **out, struct err *err)
{
    CLEANUP(policy_unref_cleanup) struct policy *p = calloc(1, sizeof *p);
    struct loading l = {.source = source, .warn = warn, .context = context, .policy = p};

    if (!p)
        return err_set(err, ERR_MEMORY, "policy");
    atomic_store(&p->references, 1u);
    p->reject = source->reject;
    p->deny_addr = source->deny_addr;
    p->proxy_protocol = source->proxy_protocol;
    p->send_proxy = source->send_proxy;
    p->auth_query = source->auth_query;
    if (!load_allowlist(&l, err) || !load_default(&l, err) || !load_access(&l, err))
        return false;
    if (p->proxy_protocol != PROXY_HEADER_OFF && !p->trusted_proxy_count)
        return err_set(err, ERR_CONFIG,
                       "--proxy-protocol needs --trusted-proxies: the addresses whose header counts");
    p->generation = atomic_fetch_add(&generations, 1) + 1;
    *out = take(p);
    return true;
}

struct policy *policy_ref(struct policy *p)
{
    atomic_fetch_add_explicit(&p->references, 1u, memory_order_relaxed);
    return p;
}

void policy_unref(struct policy *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->references, 1u, memory_order_acq_rel) != 1)
        return;
    allowlist_free(p->allow);
    origin_set_free(p->origins);
    host_set_free(p->hosts);
    credentials_free(p->credentials);
    free(p->trusted_proxies);
    free(p->allow_from);
    free(p->limit_exempt);
    for (size_t i = 0; p->subprotocols && p->subprotocols[i]; i++)
        free(p->subprotocols[i]);
    free(p->subprotocols);
    free(p);
}

bool policy_judge(const struct policy *p, const struct allow_entry *entry, bool literal,
                  const struct addr *a)
{
    if (entry->kind == ALLOW_CIDR && !cidr_contains(&entry->cidr, a))
        return false;
    if (literal || p->deny_addr == DENY_OFF)
        return true;
    switch (addr_classify(a)) {
    case ADDR_GLOBAL:
        return true;
    case ADDR_PRIVATE:
        return p->deny_addr != DENY_PRIVATE;
    case ADDR_LOOPBACK:
    case ADDR_LINK_LOCAL:
    case ADDR_METADATA:
    case ADDR_SPECIAL:
        break;
    }
    return false;
}
