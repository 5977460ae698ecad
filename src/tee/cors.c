#include "tee/cors.h"

#include <stdio.h>

#include "base/text.h"

#include "base/poison.h"

enum { ORIGIN_BYTES_MAX = 8 + HOST_BYTES_MAX + 6 };

const char cors_preflight_fields[] =
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
    "Access-Control-Allow-Headers: DNT,User-Agent,X-Requested-With,If-Modified-Since,"
    "Cache-Control,Content-Type,Range,Authorization\r\n"
    "Access-Control-Max-Age: 1728000\r\n";

/* "http://" or "https://", a name or an IPv4 literal, perhaps a port (RFC 6454, 6.1). */
static bool split(struct view origin, struct view *host)
{
    struct view rest;
    uint64_t port;
    size_t colon;

    if (view_starts(origin, VIEW("https://")))
        rest = view_skip(origin, 8);
    else if (view_starts(origin, VIEW("http://")))
        rest = view_skip(origin, 7);
    else
        return false;
    colon = view_find(rest, ':');
    *host = view_first(rest, colon);
    if (!host->len || host->len > HOST_BYTES_MAX ||
        (colon < rest.len && !text_u64(view_skip(rest, colon + 1), 65535, false, &port)))
        return false;
    for (size_t i = 0; i < host->len; i++) {
        uint8_t c = ascii_lower(host->at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static bool below(struct view host, struct view domain)
{
    return host.len > domain.len && view_eq_nocase(view_skip(host, host.len - domain.len), domain);
}

bool cors_check(const char *list, struct err *err)
{
    struct view rest = view_str(list), one, host;
    char shown[96];

    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (view_starts(one, VIEW("*.")) ? one.len > 2 : split(one, &host))
            continue;
        (void)text_escape(one, 64, shown, sizeof shown);
        return err_set(err, ERR_CONFIG,
                       "--cors-origins: \"%s\" is neither an origin (https://app.example.com) nor "
                       "*.example.com",
                       shown);
    }
    return true;
}

bool cors_allows(const char *list, struct view origin)
{
    struct view rest = view_str(list), one, host;

    if (!split(origin, &host))
        return false;
    while (view_next(&rest, ',', &one)) {
        one = text_trim(one);
        if (view_starts(one, VIEW("*.")) ? below(host, view_skip(one, 1))
                                         : view_eq_nocase(one, origin))
            return true;
    }
    return false;
}

/* Vary also where the page is not allowed: a cache must not show it another's answer. */
void cors_fields(const char *list, const struct http_head *head, char out[static CORS_FIELDS_BYTES])
{
    struct view origin;

    out[0] = '\0';
    if (!list)
        return;
    if (!http_field(head, VIEW("Origin"), &origin) || origin.len > ORIGIN_BYTES_MAX ||
        !cors_allows(list, origin))
        (void)snprintf(out, CORS_FIELDS_BYTES, "Vary: Origin\r\n");
    else
        (void)snprintf(out, CORS_FIELDS_BYTES,
                       "Vary: Origin\r\nAccess-Control-Allow-Origin: %.*s\r\n"
                       "Access-Control-Expose-Headers: Content-Length,Content-Range\r\n",
                       VIEW_ARG(origin));
}

bool cors_preflight(const struct http_head *head, const char *fields)
{
    return view_eq(head->method, VIEW("OPTIONS")) &&
           http_field_count(head, VIEW("Access-Control-Request-Method")) &&
           view_find_text(view_str(fields), VIEW("Access-Control-Allow-Origin"));
}

bool cors_field(struct view name)
{
    return view_eq_nocase(name, VIEW("Access-Control-Allow-Origin")) ||
           view_eq_nocase(name, VIEW("Access-Control-Expose-Headers"));
}
