/* From settings and files to a whole policy, or to the reason why there is none. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/text.h"
#include "bridge/policy.h"
#include "http/http.h"

#include "base/poison.h"

enum {
    ALLOWLIST_FILE_BYTES_MAX = 8 * 1024 * 1024
}; /* for ALLOWLIST_ENTRIES_MAX of a fair length */
enum { READ_BYTES = 16 * 1024, CIDRS_MAX = 4096, SUBPROTOCOLS_MAX = 64, SHOWN_BYTES_MAX = 80 };

struct loading {
    const struct policy_source *source;
    policy_warning *warn;
    void *context;
    struct policy *policy;
};

typedef bool part(struct loading *l, struct err *err);
static part allowlist_load, default_load, origins_load, subprotocols_load, credentials_load,
    networks_load;

bool policy_load(const struct policy_source *source, policy_warning *warn, void *context,
                 struct policy **out, struct err *err)
{
    static part *const parts[] = {allowlist_load,    default_load,     origins_load,
                                  subprotocols_load, credentials_load, networks_load};
    static _Atomic uint64_t generation;
    CLEANUP(policy_unref_cleanup) struct policy *p = calloc(1, sizeof *p);
    struct loading l = {source, warn, context, p};

    if (!p)
        return err_set(err, ERR_MEMORY, "policy");
    atomic_init(&p->references, 1);
    p->reject = source->reject;
    p->deny_addr = source->deny_addr;
    p->proxy_protocol = source->proxy_protocol;
    p->send_proxy = source->send_proxy;
    p->auth_query = source->auth_query;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!parts[i](&l, err)) {
            if (err && err->code != ERR_MEMORY)
                err->code = ERR_CONFIG;
            return false;
        }
    p->generation = atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed) + 1;
    *out = take(p);
    return true;
}

static void warn(const struct loading *l, const char *sentence)
{
    if (l->warn)
        l->warn(l->context, sentence);
}

/* The whole file. out bounds its size. */
static bool file_read(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    uint8_t *at;

    if (fd < 0)
        return err_system(err, ERR_CONFIG, errno, "%s: cannot be opened", path);
    do {
        n = -1;
        if (!buf_room(out, READ_BYTES, &at, err)) {
            (void)err_in(err, "%s", path);
            break;
        }
        n = read(fd, at, READ_BYTES);
        if (n < 0)
            (void)err_system(err, ERR_CONFIG, errno, "%s: cannot be read", path);
        else
            buf_wrote(out, (size_t)n);
    } while (n > 0);
    (void)close(fd);
    return n == 0;
}

/* --- allowlist and default target ------------------------------------------------------------ */

static bool allowlist_load(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct allowlist_options options = {
        .lax = s->lax_allowlist,
        .patterns = s->allow_patterns,
        .cidr_names = s->cidr_names,
        .source = "ATLS_PROXY_ALLOWLIST",
        .warn = l->warn,
        .context = l->context,
    };

    if (!allowlist_new(&l->policy->allow, err) ||
        !allowlist_add(l->policy->allow, view_str(s->allowlist), &options, err))
        return false;
    if (s->allowlist_file) {
        struct buf text;
        bool good;

        buf_init(&text, ALLOWLIST_FILE_BYTES_MAX, "allowlist file");
        options.file = true;
        options.source = s->allowlist_file;
        good = file_read(s->allowlist_file, &text, err) &&
               allowlist_add(l->policy->allow, buf_view(&text), &options, err);
        buf_done(&text);
        if (!good)
            return false;
    }
    if (allowlist_count(l->policy->allow) || s->allow_empty)
        return true;
    return err_set(err, ERR_CONFIG,
                   "ATLS_PROXY_ALLOWLIST names no target, so nothing could be reached; set it, for "
                   "example ATLS_PROXY_ALLOWLIST=tee.example.com:443, or give --allow-empty to "
                   "refuse everything");
}

static bool default_load(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct policy *p = l->policy;
    char shown[TARGET_BYTES_MAX / 2];
    struct err sentence;
    bool empty = allowlist_count(p->allow) == 0;

    if (!s->target)
        return true;
    p->default_entry =
        allowlist_match(p->allow, view_str(s->target), &p->default_target, &p->default_by_pattern);
    p->has_default = p->default_entry != NULL;
    if (p->has_default)
        return true;
    (void)text_escape(view_str(s->target), SHOWN_BYTES_MAX, shown, sizeof shown);
    if (s->strict_default || (s->target_explicit && !empty))
        return err_set(err, ERR_CONFIG,
                       "Default target %s is not in allowlist; add it to ATLS_PROXY_ALLOWLIST, or "
                       "set ATLS_PROXY_TARGET to a target that is listed",
                       shown);
    (void)err_set(&sentence, ERR_CONFIG,
                  "no default target: %s is not in the allowlist, so requests must name their "
                  "target",
                  shown);
    warn(l, sentence.text);
    return true;
}

/* --- who may come ---------------------------------------------------------------------------- */

static bool origins_load(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct policy *p = l->policy;

    return (!s->origins || origin_set_parse(view_str(s->origins), "--origins", &p->origins, err)) &&
           (!s->hosts || host_set_parse(view_str(s->hosts), "--hosts", &p->hosts, err));
}

static bool subprotocols_load(struct loading *l, struct err *err)
{
    struct view rest = view_str(l->source->subprotocols), one;
    size_t count = 0;
    char **list;

    if (!rest.at)
        return true;
    list = l->policy->subprotocols = calloc(SUBPROTOCOLS_MAX + 1, sizeof *list);
    if (!list)
        return err_set(err, ERR_MEMORY, "--subprotocols");
    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (one.len == 0)
            continue;
        if (!http_is_token(one) || credential_is_subprotocol(one))
            return err_set(err, ERR_CONFIG,
                           "--subprotocols: each name is a token, as in binary, and does not begin "
                           "with \"bearer.\"");
        if (count == SUBPROTOCOLS_MAX)
            return err_set(err, ERR_CONFIG, "--subprotocols: more than %d names", SUBPROTOCOLS_MAX);
        list[count] = strndup((const char *)one.at, one.len);
        if (!list[count++])
            return err_set(err, ERR_MEMORY, "--subprotocols");
    }
    return count || err_set(err, ERR_CONFIG,
                            "--subprotocols: names none; leave it out to select the first that a "
                            "client offers");
}

static void credentials_review(const struct loading *l)
{
    const struct policy_source *s = l->source;

    if (s->auth_jwt_jwks && !s->auth_jwt_audience)
        warn(l, "--auth-jwt-jwks without --auth-jwt-audience: tokens that were made for other "
                "services by the same issuer are accepted");
    if (!s->auth_jwt_jwks && (s->auth_jwt_audience || s->auth_jwt_issuer))
        warn(l, "--auth-jwt-audience and --auth-jwt-issuer have no effect without --auth-jwt-jwks");
    if (s->auth_query && !s->auth_token_file && !s->auth_jwt_jwks)
        warn(l, "--auth-query has no effect without --auth-token-file or --auth-jwt-jwks");
}

/* What a file says, also when it is empty, is not "there is no file". */
static struct view present(const struct buf *b, const char *path)
{
    struct view v = buf_view(b);

    return path && !v.at ? VIEW("") : v;
}

static bool credentials_load(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct buf tokens, jwks;
    bool good;

    credentials_review(l);
    if (!s->auth_token_file && !s->auth_jwt_jwks)
        return true;
    buf_init(&tokens, CONFIG_FILE_BYTES_MAX, "token file");
    buf_init(&jwks, CONFIG_FILE_BYTES_MAX, "key set");
    good = (!s->auth_token_file || file_read(s->auth_token_file, &tokens, err)) &&
           (!s->auth_jwt_jwks || file_read(s->auth_jwt_jwks, &jwks, err));
    if (good) {
        struct credential_source source = {
            .tokens = present(&tokens, s->auth_token_file),
            .tokens_name = s->auth_token_file,
            .jwks = present(&jwks, s->auth_jwt_jwks),
            .jwks_name = s->auth_jwt_jwks,
            .audience = s->auth_jwt_audience,
            .issuer = s->auth_jwt_issuer,
        };

        good = credentials_new(&source, &l->policy->credentials, err);
    }
    buf_done(&tokens);
    buf_done(&jwks);
    return good;
}

/* --- networks -------------------------------------------------------------------------------- */

static bool cidrs_parse(const char *list, const char *what, struct cidr **out, size_t *count,
                        struct err *err)
{
    struct view rest = view_str(list), one;
    char shown[SHOWN_BYTES_MAX + 4];
    size_t most = 1;

    if (!list)
        return true;
    for (size_t i = 0; i < rest.len; i++)
        most += rest.at[i] == ',';
    if (most > CIDRS_MAX)
        return err_set(err, ERR_CONFIG, "%s: more than %d networks", what, CIDRS_MAX);
    *out = calloc(most, sizeof **out);
    if (!*out)
        return err_set(err, ERR_MEMORY, "%s", what);
    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (one.len == 0)
            continue;
        if (!cidr_parse(one, &(*out)[*count], err)) {
            (void)text_escape(one, SHOWN_BYTES_MAX, shown, sizeof shown);
            return err_in(err, "%s: \"%s\"", what, shown);
        }
        (*count)++;
    }
    return true;
}

static bool networks_load(struct loading *l, struct err *err)
{
    const struct policy_source *s = l->source;
    struct policy *p = l->policy;
    const char *from = s->allow_from && strcmp(s->allow_from, "0") != 0 ? s->allow_from : NULL;

    if (!cidrs_parse(s->trusted_proxies, "--trusted-proxies", &p->trusted_proxies,
                     &p->trusted_proxy_count, err) ||
        !cidrs_parse(from, "--allow-from", &p->allow_from, &p->allow_from_count, err) ||
        !cidrs_parse(s->limit_exempt, "--limit-exempt", &p->limit_exempt, &p->limit_exempt_count,
                     err))
        return false;
    if (from && p->allow_from_count == 0)
        return err_set(err, ERR_CONFIG,
                       "--allow-from: names no network; leave it out to admit all");
    if (s->proxy_protocol != PROXY_HEADER_OFF && p->trusted_proxy_count == 0)
        warn(l, "--proxy-protocol without --trusted-proxies: every PROXY header is refused");
    return true;
}
