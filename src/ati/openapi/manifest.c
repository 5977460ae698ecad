#include <stdio.h>

#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_one_of(struct view label, const char *const *list)
{
    for (; *list; list++)
        if (view_eq_nocase(label, view_str(*list)))
            return true;
    return false;
}

/* Lower case, '_' for what is neither letter nor digit, none at the ends. */
static bool append_word(struct view text, struct buf *out, struct err *err)
{
    while (text.len && !is_plain(ascii_lower(text.at[0])))
        text = view_skip(text, 1);
    while (text.len && !is_plain(ascii_lower(text.at[text.len - 1])))
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.at[i]);

        if (!buf_append_byte(out, is_plain(c) ? c : '_', err))
            return false;
    }
    return true;
}

/* A host without the labels that say nothing. */
static struct view telling(struct view host)
{
    static const char *const first[] = {"api", "www", "mcp", "rest", NULL};
    static const char *const last[] = {"com", "org", "net", "io",  "dev",
                                       "ai",  "co",  "gov", "edu", NULL};
    size_t dot = view_find(host, '.'), end;

    if (dot < host.len && is_one_of(view_first(host, dot), first))
        host = view_skip(host, dot + 1);
    end = view_find_last(host, '.');
    if (end < host.len && is_one_of(view_skip(host, end + 1), last))
        host.len = end;
    return host;
}

bool openapi_name(struct view origin, struct buf *out, struct err *err)
{
    struct view host;
    size_t slash;

    if (view_starts(origin, VIEW("http://")) || view_starts(origin, VIEW("https://"))) {
        host = view_skip(origin, view_find(origin, '/') + 2);
        host = view_first(host, view_find(host, '/'));
        host = view_first(view_first(host, view_find(host, '?')), view_find(host, '#'));
        if (view_find(host, '@') < host.len)
            host = view_skip(host, view_find_last(host, '@') + 1);
        host = view_first(host, view_find(host, ':'));
        return append_word(telling(host), out, err);
    }
    slash = view_find_last(origin, '/');
    if (slash < origin.len)
        origin = view_skip(origin, slash + 1);
    slash = view_find_last(origin, '.');
    return append_word(view_first(origin, slash ? slash : origin.len), out, err);
}

static bool write_auth(const struct openapi_auth *a, const char *name, const char *key,
                       struct buf *out, struct err *err)
{
    char made[OPENAPI_NAME_BYTES_MAX];

    (void)snprintf(made, sizeof made, "%s_api_key", name);
    if (!manifest_write_text(out, "auth_type", view_str(manifest_auth_name(a->type)), err))
        return false;
    if (a->type == AUTH_NONE)
        return true;
    if (!manifest_write_text(out, "auth_key_name", view_str(key ? key : made), err))
        return false;
    if (a->type == AUTH_OAUTH2) {
        (void)snprintf(made, sizeof made, "%s_client_secret", name);
        return manifest_write_text(out, "auth_secret_name", view_str(made), err) &&
               (!a->token_url ||
                manifest_write_text(out, "oauth2_token_url", view_str(a->token_url), err));
    }
    if (a->header_name)
        return manifest_write_text(out, "auth_header_name", view_str(a->header_name), err);
    return !a->query_name ||
           manifest_write_text(out, "auth_query_name", view_str(a->query_name), err);
}

bool openapi_manifest(const struct openapi *o, const char *name, const char *key,
                      const struct texts *include_tags, struct buf *out, struct err *err)
{
    struct openapi_auth auth;
    char spec[OPENAPI_NAME_BYTES_MAX + 8];
    bool good;

    (void)snprintf(spec, sizeof spec, "%s.json", name);
    if (!openapi_auth(o, &auth, err))
        return false;
    good = buf_append_str(out, "[provider]\n", err) &&
           manifest_write_text(out, "name", view_str(name), err) &&
           manifest_write_text(out, "description", view_str(o->title), err) &&
           manifest_write_text(out, "handler", VIEW("openapi"), err) &&
           manifest_write_text(out, "base_url", view_str(o->base_url), err) &&
           manifest_write_text(out, "openapi_spec", view_str(spec), err) &&
           write_auth(&auth, name, key, out, err);
    openapi_auth_done(&auth);
    if (good && include_tags && include_tags->count) {
        struct view *tags = calloc(include_tags->count, sizeof *tags);

        if (!tags)
            return err_set(err, ERR_MEMORY, "OpenAPI: no memory for tags");
        for (size_t i = 0; i < include_tags->count; i++)
            tags[i] = view_str(include_tags->at[i]);
        good = manifest_write_texts(out, "openapi_include_tags", tags, include_tags->count, err);
        free(tags);
    }
    return good;
}
