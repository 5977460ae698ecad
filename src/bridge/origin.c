#include "bridge/origin.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#include "base/poison.h"

enum { ORIGIN_TEXT = 300, SET_MAX = 4096 };

struct text_set {
    char **texts;
    size_t count;
};

struct origin_set {
    struct text_set exact; /* "https://app.example.com:443": port always there */
    bool same_host, null;
};

struct host_set {
    struct text_set hosts; /* "host" or "host:port", lower case */
};

static bool text_add(struct text_set *set, const char *text)
{
    char **grown, *copy = strdup(text);

    if (!copy || set->count == SET_MAX) {
        free(copy);
        return false;
    }
    grown = realloc(set->texts, (set->count + 1) * sizeof(char *));
    if (!grown) {
        free(copy);
        return false;
    }
    set->texts = grown;
    grown[set->count++] = copy;
    return true;
}

static bool text_has(const struct text_set *set, const char *text)
{
    for (size_t i = 0; i < set->count; i++)
        if (!strcmp(set->texts[i], text))
            return true;
    return false;
}

static void text_set_done(struct text_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->texts[i]);
    free(set->texts);
}

static void lower(char *out, struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        out[i] = (char)ascii_lower(v.at[i]);
    out[v.len] = '\0';
}

/* Splits "host[:port]", "[v6][:port]". False: not of that form. */
static bool host_port(struct view text, struct view *host, uint64_t *port)
{
    size_t end = text.len && text.at[0] == '[' ? view_find(text, ']') + 1 : view_find(text, ':');
    struct view rest;

    if (end > text.len)
        return false;
    *host = view_first(text, end);
    rest = view_skip(text, end);
    *port = 0;
    if (!host->len || host->len > 255)
        return false;
    for (size_t i = 0; i < host->len; i++)
        if (host->at[i] <= ' ' || host->at[i] >= 0x7F || strchr("/@?#\\", host->at[i]))
            return false;
    return !rest.len || (rest.at[0] == ':' && text_u64(view_skip(rest, 1), 65535, false, port) && *port);
}

/* scheme://host:port in lower case, the default port filled in. False: not an origin. */
static bool normal(struct view origin, char out[static ORIGIN_TEXT], struct view *host, uint64_t *port)
{
    struct view scheme, rest;
    char low[272];
    size_t at = 0;

    while (at + 3 <= origin.len && memcmp(origin.at + at, "://", 3) != 0)
        at++;
    if (!at || at + 3 > origin.len || at > 16)
        return false;
    scheme = view_first(origin, at);
    rest = view_skip(origin, at + 3);
    if (!host_port(rest, host, port))
        return false;
    if (!*port)
        *port = view_eq_nocase(scheme, VIEW("https")) ? 443 : view_eq_nocase(scheme, VIEW("http")) ? 80 : 0;
    lower(low, scheme);
    at = (size_t)snprintf(out, ORIGIN_TEXT, "%s://", low);
    lower(low, *host);
    (void)snprintf(out + at, ORIGIN_TEXT - at, "%s:%u", low, (unsigned)*port);
    return true;
}

bool origin_set_parse(struct view text, struct origin_set **out, struct err *err)
{
    struct origin_set *s = calloc(1, sizeof *s);
    struct view one, host;
    char low[ORIGIN_TEXT];
    uint64_t port;

    if (!s)
        return err_set(err, ERR_MEMORY, "origins");
    while (view_next(&text, ',', &one)) {
        one = text_trim(one);
        if (!one.len)
            continue;
        if (view_eq(one, VIEW("same-host"))) {
            s->same_host = true;
        } else if (view_eq(one, VIEW("null"))) {
            s->null = true;
        } else if (!normal(one, low, &host, &port)) {
            origin_set_free(s);
            return err_set(err, ERR_CONFIG,
                           "\"%.*s\" is not an origin; write https://app.example.com, without a path",
                           VIEW_ARG(view_first(one, 100)));
        } else if (!text_add(&s->exact, low)) {
            origin_set_free(s);
            return err_set(err, ERR_MEMORY, "origins");
        }
    }
    *out = s;
    return true;
}

void origin_set_free(struct origin_set *s)
{
    if (!s)
        return;
    text_set_done(&s->exact);
    free(s);
}

/* The page came from the host that it now asks for: ports may differ only as given. */
static bool same_host(struct view host, uint64_t port, struct view asked, bool secure)
{
    struct view asked_host;
    uint64_t asked_port;

    if (!host_port(asked, &asked_host, &asked_port))
        return false;
    if (!asked_port)
        asked_port = secure ? 443 : 80;
    return view_eq_nocase(host, asked_host) && port == asked_port;
}

bool origin_set_has(const struct origin_set *s, struct view origin, struct view host)
{
    char low[ORIGIN_TEXT];
    struct view own;
    uint64_t port;

    if (view_eq(origin, VIEW("null")))
        return s->null;
    if (!normal(origin, low, &own, &port))
        return false;
    if (text_has(&s->exact, low))
        return true;
    return s->same_host && same_host(own, port, host, !strncmp(low, "https:", 6));
}

bool host_set_parse(struct view text, struct host_set **out, struct err *err)
{
    struct host_set *s = calloc(1, sizeof *s);
    struct view one, host;
    uint64_t port;
    char low[272];

    if (!s)
        return err_set(err, ERR_MEMORY, "hosts");
    while (view_next(&text, ',', &one)) {
        one = text_trim(one);
        if (!one.len)
            continue;
        if (one.len > 262 || !host_port(one, &host, &port)) {
            host_set_free(s);
            return err_set(err, ERR_CONFIG, "\"%.*s\" is not a host; write proxy.example.com or proxy.example.com:9000",
                           VIEW_ARG(view_first(one, 100)));
        }
        lower(low, one);
        if (!text_add(&s->hosts, low)) {
            host_set_free(s);
            return err_set(err, ERR_MEMORY, "hosts");
        }
    }
    *out = s;
    return true;
}

void host_set_free(struct host_set *s)
{
    if (!s)
        return;
    text_set_done(&s->hosts);
    free(s);
}

bool host_set_has(const struct host_set *s, struct view host)
{
    struct view name;
    uint64_t port;
    char low[272];

    if (host.len > 262 || !host_port(host, &name, &port))
        return false;
    lower(low, host);
    if (text_has(&s->hosts, low))
        return true;
    lower(low, name);
    return text_has(&s->hosts, low);
}
