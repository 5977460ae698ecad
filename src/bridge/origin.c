#include "bridge/origin.h"

#include <stdlib.h>

#include "base/text.h"
#include "bridge/target.h"

#include "base/poison.h"

enum { SCHEME_BYTES_MAX = 32, SHOWN_BYTES_MAX = 80 };

/* scheme://host:port or host:port. port 0: none was given, and none is usual for the scheme. */
struct place {
    char scheme[SCHEME_BYTES_MAX + 1]; /* "" for a Host */
    char host[HOST_BYTES_MAX + 1];
    uint16_t port;
    bool port_usual; /* it is what the scheme implies */
};

struct origin_set {
    bool null, same_host;
    size_t count;
    struct place *places;
};

struct host_set {
    size_t count;
    struct place *places;
};

static bool origin_parse(struct view text, struct place *out);
static bool host_parse(struct view text, struct place *out);
static bool scheme_parse(struct view text, char *out);
static uint16_t usual_port(const char *scheme);
static bool entry_bad(const char *what, struct view entry, const char *hint, struct err *err);

/* Room for all entries of the list. */
static bool places_new(struct view list, const char *what, struct place **out, struct err *err)
{
    size_t count = 1;

    for (size_t i = 0; i < list.len; i++)
        count += list.at[i] == ',';
    if (count > ORIGINS_MAX)
        return err_set(err, ERR_CONFIG, "%s: more than %d entries", what, ORIGINS_MAX);
    *out = calloc(count, sizeof **out);
    return *out || err_set(err, ERR_MEMORY, "%s", what);
}

bool origin_set_parse(struct view list, const char *what, struct origin_set **out, struct err *err)
{
    CLEANUP(origin_set_free_cleanup) struct origin_set *s = calloc(1, sizeof *s);
    struct view entry;

    if (!s)
        return err_set(err, ERR_MEMORY, "%s", what);
    if (!places_new(list, what, &s->places, err))
        return false;
    while (view_next(&list, ',', &entry)) {
        entry = text_trim(entry);
        if (entry.len == 0)
            continue;
        if (view_eq_nocase(entry, VIEW("null")))
            s->null = true;
        else if (view_eq_nocase(entry, VIEW("same-host")))
            s->same_host = true;
        else if (!origin_parse(entry, &s->places[s->count++]))
            return entry_bad(what, entry,
                             "an origin; write scheme://host[:port] without a path, as in "
                             "https://app.example.com, or same-host, or null",
                             err);
    }
    if (s->count == 0 && !s->null && !s->same_host)
        return err_set(err, ERR_CONFIG, "%s: names no origin; leave it out to admit any", what);
    *out = take(s);
    return true;
}

void origin_set_free(struct origin_set *s)
{
    if (!s)
        return;
    free(s->places);
    free(s);
}

static bool same_host(const struct place *origin, struct view host)
{
    struct place ours;

    if (!host_parse(host, &ours) || strcmp(ours.host, origin->host) != 0)
        return false;
    return ours.port ? ours.port == origin->port : origin->port_usual;
}

bool origin_set_has(const struct origin_set *s, struct view origin, struct view host)
{
    struct place p;

    if (view_eq(origin, VIEW("null")))
        return s->null;
    if (!origin_parse(origin, &p))
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (p.port == s->places[i].port && strcmp(p.scheme, s->places[i].scheme) == 0 &&
            strcmp(p.host, s->places[i].host) == 0)
            return true;
    return s->same_host && same_host(&p, host);
}

bool host_set_parse(struct view list, const char *what, struct host_set **out, struct err *err)
{
    CLEANUP(host_set_free_cleanup) struct host_set *s = calloc(1, sizeof *s);
    struct view entry;

    if (!s)
        return err_set(err, ERR_MEMORY, "%s", what);
    if (!places_new(list, what, &s->places, err))
        return false;
    while (view_next(&list, ',', &entry)) {
        entry = text_trim(entry);
        if (entry.len && !host_parse(entry, &s->places[s->count++]))
            return entry_bad(what, entry,
                             "a host; write bridge.example.com or bridge.example.com:9000", err);
    }
    if (s->count == 0)
        return err_set(err, ERR_CONFIG, "%s: names no host; leave it out to admit any", what);
    *out = take(s);
    return true;
}

void host_set_free(struct host_set *s)
{
    if (!s)
        return;
    free(s->places);
    free(s);
}

bool host_set_has(const struct host_set *s, struct view host)
{
    struct place p;

    if (!host_parse(host, &p))
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(p.host, s->places[i].host) == 0 &&
            (!s->places[i].port || s->places[i].port == p.port))
            return true;
    return false;
}

static bool origin_parse(struct view text, struct place *out)
{
    size_t colon = view_find(text, ':');
    struct view rest = view_skip(text, colon);

    if (!view_starts(rest, VIEW("://")) || !host_parse(view_skip(rest, 3), out) ||
        !scheme_parse(view_first(text, colon), out->scheme))
        return false;
    if (!out->port)
        out->port = usual_port(out->scheme);
    out->port_usual = out->port == usual_port(out->scheme);
    return true;
}

/* host[:port]; everything else of a URL is refused. */
static bool host_parse(struct view text, struct place *out)
{
    size_t colon = view_find_last(text, ':');
    enum target_kind kind;
    struct addr addr;
    uint64_t port = 0;

    *out = (struct place){0};
    if (text.len && text.at[text.len - 1] == ']')
        colon = text.len;
    if (colon < text.len &&
        (!text_u64(view_skip(text, colon + 1), UINT16_MAX, false, &port) || port == 0))
        return false;
    out->port = (uint16_t)port;
    return target_host(view_first(text, colon), &kind, &addr, out->host, NULL);
}

/* RFC 3986, 3.1. */
static bool scheme_parse(struct view text, char *out)
{
    if (text.len == 0 || text.len > SCHEME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.at[i]);

        bool letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';

        if (!letter && (i == 0 || !(digit || c == '+' || c == '-' || c == '.')))
            return false;
        out[i] = (char)c;
    }
    out[text.len] = '\0';
    return true;
}

static uint16_t usual_port(const char *scheme)
{
    if (strcmp(scheme, "https") == 0 || strcmp(scheme, "wss") == 0)
        return 443;
    if (strcmp(scheme, "http") == 0 || strcmp(scheme, "ws") == 0)
        return 80;
    return 0;
}

static bool entry_bad(const char *what, struct view entry, const char *hint, struct err *err)
{
    char shown[SHOWN_BYTES_MAX + 4];

    (void)text_escape(entry, SHOWN_BYTES_MAX, shown, sizeof shown);
    return err_set(err, ERR_CONFIG, "%s: \"%s\" is not %s", what, shown, hint);
}
