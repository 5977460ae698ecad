#include "bridge/client_addr.h"

#include "base/text.h"

/* Reads the address out of one element. */
typedef bool element_reader(struct view element, struct addr *out);

struct proxies {
    const struct cidr *at;
    size_t count;
};

static bool walk(const struct http_head *h, const char *name, element_reader *read,
                 struct proxies trusted, struct addr *out);
static element_reader plain_read, forwarded_read;
static bool node_parse(struct view text, bool bare_v6, struct addr *out);

bool client_addr_find(const struct http_head *h, const struct addr *peer, bool peer_trusted,
                      const struct cidr *trusted, size_t trusted_count, struct addr *out,
                      struct err *err)
{
    struct proxies proxies = {trusted, trusted_count};
    struct addr plain, standard;
    bool by_plain, by_standard;

    *out = *peer;
    if (!peer_trusted)
        return true;
    by_plain = walk(h, "X-Forwarded-For", plain_read, proxies, &plain);
    by_standard = walk(h, "Forwarded", forwarded_read, proxies, &standard);
    if (by_plain && by_standard && !addr_ip_eq(&plain, &standard))
        return err_set(err, ERR_SYNTAX, "X-Forwarded-For and Forwarded contradict each other");
    if (by_plain)
        *out = plain;
    else if (by_standard)
        *out = standard;
    return true;
}

static bool is_trusted(const struct addr *a, struct proxies trusted)
{
    for (size_t i = 0; i < trusted.count; i++)
        if (cidr_contains(&trusted.at[i], a))
            return true;
    return false;
}

/* Takes the element behind the last comma out of *list. False: none is left. */
static bool last_element(struct view *list, struct view *element)
{
    struct view none = {0}, whole = *list;
    size_t comma = view_find_last(whole, ',');

    if (!whole.at)
        return false;
    if (comma == whole.len) {
        *element = view_trim_ows(whole);
        *list = none;
    } else {
        *element = view_trim_ows(view_skip(whole, comma + 1));
        *list = view_first(whole, comma);
    }
    return true;
}

/* False when the field leads nowhere. */
static bool walk(const struct http_head *h, const char *name, element_reader *read,
                 struct proxies trusted, struct addr *out)
{
    bool found = false;

    for (size_t i = h->count; i > 0; i--) {
        struct view list = h->fields[i - 1].value, element;

        if (!view_eq_nocase(h->fields[i - 1].name, view_str(name)))
            continue;
        while (last_element(&list, &element)) {
            struct addr a;

            if (element.len == 0)
                continue;
            if (!read(element, &a))
                return found;
            addr_unmap(&a);
            *out = a;
            found = true;
            if (!is_trusted(&a, trusted))
                return true;
        }
    }
    return found;
}

/* X-Forwarded-For has no standard: an address, perhaps with a port, IPv6 with or without brackets.
 */
static bool plain_read(struct view element, struct addr *out)
{
    return node_parse(element, true, out);
}

/* RFC 7239, 4: name=value pairs with ';' between them. Splitting at commas and semicolons before
 * quotes are looked at is safe from the right: a quote that a client left open stays on its side.
 */
static bool forwarded_read(struct view element, struct addr *out)
{
    struct view pair, node = {0};

    while (view_next(&element, ';', &pair)) {
        size_t equals;

        pair = view_trim_ows(pair);
        equals = view_find(pair, '=');
        if (!view_eq_nocase(view_first(pair, equals), VIEW("for")))
            continue;
        if (node.at || equals == pair.len)
            return false;
        node = view_skip(pair, equals + 1);
    }
    if (node.len >= 2 && node.at[0] == '"' && node.at[node.len - 1] == '"')
        node = view_first(view_skip(node, 1), node.len - 2);
    return node_parse(node, false, out);
}

/* RFC 7239, 6. "unknown" and obfuscated nodes are no addresses; an obfuscated port is as good as
 * none. */
static bool node_parse(struct view text, bool bare_v6, struct addr *out)
{
    size_t colon = view_find_last(text, ':');
    struct view port = view_skip(text, colon + 1);
    uint64_t number = 0;

    if (addr_parse_ip(text, true, out) || (bare_v6 && addr_parse_ip(text, false, out)))
        return true;
    if (colon == text.len || !addr_parse_ip(view_first(text, colon), true, out))
        return false;
    if (!text_u64(port, UINT16_MAX, true, &number) && !view_starts(port, VIEW("_")))
        return false;
    out->port = (uint16_t)number;
    return true;
}
