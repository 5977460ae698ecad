/* page: which web pages may speak to us. Pure. */
#include "ati/gateway/gateway_priv.h"
#include "http/http.h"
#include "net/addr.h"

#include "base/poison.h"

static bool loopback(struct view host)
{
    return view_eq_nocase(host, VIEW("localhost")) || view_eq(host, VIEW("127.0.0.1")) ||
           view_eq(host, VIEW("::1"));
}

/* scheme://host[:port]: the part behind the slashes, and the port that its scheme stands for. */
static bool split(struct view origin, struct view *host, uint16_t *port)
{
    bool tls = view_starts(origin, VIEW("https://"));

    if (!tls && !view_starts(origin, VIEW("http://")))
        return false;
    *port = tls ? 443 : 80;
    return http_authority_split(view_skip(origin, tls ? 8 : 7), host, port);
}

bool page_host_fixed(struct view host)
{
    struct addr a;
    struct view name;
    uint16_t port = 0;

    if (!http_authority_split(host, &name, &port))
        return false;
    return view_eq_nocase(name, VIEW("localhost")) || addr_parse_ip(name, false, &a) ||
           (name.len > 10 && view_eq_nocase(view_skip(name, name.len - 10), VIEW(".localhost")));
}

bool page_origin_good(struct view origin, struct view host, const char *allowed, bool verified)
{
    struct view rest = view_str(allowed), piece, page, own;
    uint16_t page_port, own_port;

    if (!origin.len)
        return true;
    while (allowed && view_next(&rest, ',', &piece)) {
        piece = view_trim_ows(piece);
        if (view_eq(piece, VIEW("*")) || (piece.len && view_eq_nocase(piece, origin)))
            return true;
    }
    if (!split(origin, &page, &page_port)) /* "null", and what no browser sends */
        return false;
    own_port = view_starts(origin, VIEW("https://")) ? 443 : 80;
    if (!http_authority_split(host, &own, &own_port))
        return false;
    if (loopback(page) && loopback(own))
        return true;
    return (verified || page_host_fixed(host)) && view_eq_nocase(page, own) &&
           page_port == own_port;
}

bool page_may_speak(const struct http_head *head, const char *allowed, bool verified)
{
    struct view origin, host = VIEW("");

    (void)!http_field(head, VIEW("Host"), &host);
    return http_field_count(head, VIEW("Origin")) == 0 ||
           (http_field(head, VIEW("Origin"), &origin) &&
            page_origin_good(origin, host, allowed, verified));
}
