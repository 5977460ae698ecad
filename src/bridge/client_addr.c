#include "bridge/client_addr.h"

#include "base/text.h"

#include "base/poison.h"

enum { HOPS_MAX = 32 };

/* The hops that the header names, leftmost first; only the last HOPS_MAX matter. */
struct hops {
    struct view at[HOPS_MAX];
    size_t count; /* all that were seen */
};

static void hop(struct hops *h, struct view v)
{
    h->at[h->count++ % HOPS_MAX] = v;
}

static bool trusted_has(const struct cidr *trusted, size_t count, const struct addr *a)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&trusted[i], a))
            return true;
    return false;
}

/* "1.2.3.4", "1.2.3.4:80", "[::1]", "[::1]:80", "::1", each perhaps in quotes. */
static bool address(struct view v, struct addr *out)
{
    if (v.len >= 2 && v.at[0] == '"' && v.at[v.len - 1] == '"')
        v = view_first(view_skip(v, 1), v.len - 2);
    if (!addr_parse(v, out) && !addr_parse_ip(v, v.len && v.at[0] == '[', out))
        return false;
    addr_unmap(out);
    return true;
}

/* The for= parameter of one Forwarded element; empty when there is none. */
static struct view forwarded_for(struct view element)
{
    struct view pair, rest = element;

    while (view_next(&rest, ';', &pair)) {
        size_t equals = view_find(pair, '=');

        pair = view_trim_ows(pair);
        equals = view_find(pair, '=');
        if (view_eq_nocase(view_first(pair, equals), VIEW("for")))
            return view_skip(pair, equals + 1);
    }
    return view_from(NULL, 0);
}

static void collect(const struct http_head *head, struct hops *hops)
{
    bool forwarded = http_field_count(head, VIEW("Forwarded")) > 0;
    struct view name = forwarded ? VIEW("Forwarded") : VIEW("X-Forwarded-For"), element;
    struct http_list cursor = {0};

    while (http_list_next(head, name, &cursor, &element))
        hop(hops, forwarded ? forwarded_for(element) : element);
}

struct addr client_addr(const struct http_head *head, const struct addr *peer, bool peer_trusted,
                        const struct cidr *trusted, size_t trusted_count)
{
    struct addr client = *peer, one;
    struct hops hops = {0};

    if (!peer_trusted)
        return client;
    collect(head, &hops);
    for (size_t i = hops.count; i > 0 && hops.count - i < HOPS_MAX; i--) {
        if (!address(hops.at[(i - 1) % HOPS_MAX], &one))
            break;
        client = one;
        client.port = 0;
        if (!trusted_has(trusted, trusted_count, &one))
            break;
    }
    return client;
}
