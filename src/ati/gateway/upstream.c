/* upstream: X-Ati-Upstream-Url, the MCP server that a caller chooses for its call. It may where the manifest says so (mcp_url_env), and
 * only one that the operator has listed: entry NAME_allowed_urls of the keyring, URLs with commas between them.
 *
 *   https://tools-*.example.com/mcp    scheme, port and path as they stand; "*" for any part of a label of the host, never for a dot
 *
 * A list with a mistake in it allows nothing. Addresses are judged where they are dialled, as those of manifests. */
#include <stdio.h>

#include "ati/gateway/gateway_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { KEY_BYTES = 256, SHOWN_BYTES = 200 };

/* An entry of the list. */
struct pattern {
    bool https;
    struct view host; /* may hold "*" */
    uint16_t port;
    struct view path;
};

static char small(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool scheme_take(struct view *text, const char *scheme)
{
    size_t len = strlen(scheme);

    if (text->len < len || !view_eq_nocase(view_first(*text, len), view_str(scheme)))
        return false;
    *text = view_skip(*text, len);
    return true;
}

static bool port_parse(struct view text, uint16_t *port)
{
    uint32_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        n = 10 * n + (uint32_t)(text.at[i] - '0');
        if (n > UINT16_MAX)
            return false;
    }
    *port = (uint16_t)n;
    return n > 0;
}

/* Labels of letters, digits, '-', '_' and single stars. */
static bool host_good(struct view host)
{
    struct view label;
    uint8_t before = 0;

    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.at[i];
        bool plain = (small(c) >= 'a' && small(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '_' || c == '.' || c == '*';

        if (!plain || (c == '*' && before == '*'))
            return false;
        before = c;
    }
    if (!host.len)
        return false;
    while (view_next(&host, '.', &label))
        if (!label.len)
            return false;
    return before != '.';
}

static bool pattern_parse(struct view text, struct pattern *out)
{
    size_t end, colon;
    struct view authority;

    out->https = scheme_take(&text, "https://");
    if (!out->https && !scheme_take(&text, "http://"))
        return false;
    text = view_first(text, view_find(text, '#'));
    text = view_first(text, view_find(text, '?'));
    end = view_find(text, '/');
    authority = view_first(text, end);
    out->path = end < text.len ? view_skip(text, end) : VIEW("/");
    out->port = out->https ? 443 : 80;
    colon = view_find(authority, ':');
    out->host = view_first(authority, colon);
    return host_good(out->host) &&
           (colon == authority.len || port_parse(view_skip(authority, colon + 1), &out->port));
}

/* Without dots in it; a star that has taken too little takes one more. */
static bool label_matches(struct view pattern, struct view label)
{
    size_t p = 0, l = 0, star = SIZE_MAX, taken = 0;

    while (l < label.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = p++;
            taken = l;
        } else if (p < pattern.len && small(pattern.at[p]) == small(label.at[l])) {
            p++;
            l++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            l = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*')
        p++;
    return p == pattern.len;
}

static bool host_matches(struct view pattern, struct view host)
{
    struct view p = VIEW(""), h = VIEW("");

    for (;;) {
        bool more = view_next(&pattern, '.', &p);

        if (view_next(&host, '.', &h) != more)
            return false;
        if (!more)
            return true;
        if (!label_matches(p, h))
            return false;
    }
}

static bool matches(const struct pattern *p, const struct http_url *u)
{
    struct view path = u->path.len ? u->path : VIEW("/");

    return !u->user_info.at && !u->brackets && u->https == p->https && u->port == p->port &&
           view_eq(path, p->path) && host_matches(p->host, u->host);
}

enum listed { LISTED, UNLISTED, NO_LIST, BAD_LIST };

static enum listed look_up(const struct keyring *keyring, const char *provider,
                           const struct http_url *url)
{
    struct view list, text;
    struct pattern pattern;
    enum listed found = NO_LIST;
    char key[KEY_BYTES];

    if ((size_t)snprintf(key, sizeof key, "%s_allowed_urls", provider) >= sizeof key ||
        !keyring_find(keyring, view_str(key), &list))
        return NO_LIST;
    while (view_next(&list, ',', &text)) {
        text = text_trim(text);
        if (!text.len)
            continue;
        if (!pattern_parse(text, &pattern))
            return BAD_LIST;
        found = found == LISTED || matches(&pattern, url) ? LISTED : UNLISTED;
    }
    return found;
}

static enum invoke_verdict no_list(const struct request *r, const char *provider, bool bad,
                                   struct err *err)
{
    char variable[KEY_BYTES];

    if (bad)
        log_event_limited(r->worker->log, LOG_WARN, "upstream.bad_list",
                          "a list of allowed MCP servers has a mistake in it, and allows nothing: "
                          "write https://name-*.example.com/path, with commas between them",
                          F_STR("provider", provider));
    (void)snprintf(variable, sizeof variable, "%s", provider);
    for (char *c = variable; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    (void)err_set(err, ERR_DENIED,
                  "Provider '%.100s' has no upstream URL allowlist configured (set "
                  "ATI_KEY_%.100s_ALLOWED_URLS on the proxy)",
                  provider, variable);
    return INVOKE_DENIED;
}

enum invoke_verdict upstream_choose(const struct request *r, const struct tool_provider *p,
                                    struct view *out, struct err *err)
{
    const struct http_head *head = r->exchange->request.head;
    struct http_url url;
    struct err why;
    enum listed listed;

    *out = VIEW("");
    if (http_field_count(head, VIEW("X-Ati-Upstream-Url")) == 0)
        return INVOKE_STARTED;
    if (!http_field(head, VIEW("X-Ati-Upstream-Url"), out)) {
        (void)err_set(err, ERR_USAGE, "X-Ati-Upstream-Url sent more than once");
        return INVOKE_MISDIRECTED;
    }
    *out = text_trim(*out);
    if (!out->len)
        return INVOKE_STARTED;
    if (!p->mcp_url_env) {
        (void)err_set(
            err, ERR_USAGE,
            "X-Ati-Upstream-Url sent for provider '%s' which does not declare mcp_url_env",
            p->name);
        return INVOKE_MISDIRECTED;
    }
    if (!http_url_split(*out, &url, &why)) {
        (void)err_set(err, ERR_USAGE, "X-Ati-Upstream-Url '%.*s' is not a valid URL: %s",
                      VIEW_ARG(view_first(*out, SHOWN_BYTES)), why.text);
        return INVOKE_MISDIRECTED;
    }
    listed = look_up(r->snapshot->keyring, p->name, &url);
    if (listed == NO_LIST || listed == BAD_LIST)
        return no_list(r, p->name, listed == BAD_LIST, err);
    if (listed == LISTED)
        return INVOKE_STARTED;
    (void)err_set(err, ERR_DENIED, "Upstream URL '%.*s' not in provider '%s's allowlist",
                  VIEW_ARG(view_first(*out, SHOWN_BYTES)), p->name);
    return INVOKE_DENIED;
}
