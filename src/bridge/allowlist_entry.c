/* One entry: host:port, pins, options; patterns. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "bridge/allowlist_priv.h"
#include "bridge/policy.h"

#include "base/poison.h"

static bool ports(struct view text, struct allow_entry *e, bool patterns, struct err *err)
{
    size_t dash = view_find(text, '-');
    uint64_t first, last;

    if (dash < text.len && !patterns)
        return err_set(err, ERR_CONFIG, "port ranges need --allow-patterns");
    if (!text_u64(view_first(text, dash), 65535, true, &first) || !first)
        return err_set(err, ERR_CONFIG, "the port is not a number from 1 to 65535");
    last = first;
    if (dash < text.len && (!text_u64(view_skip(text, dash + 1), 65535, true, &last) || last < first))
        return err_set(err, ERR_CONFIG, "the port range is not of the form 8000-8010");
    e->port_first = (uint16_t)first;
    e->port_last = (uint16_t)last;
    return true;
}

static bool wildcard(struct view host, struct allow_entry *e, struct err *err)
{
    struct view parent = view_skip(host, 2);
    enum target_kind kind;
    struct addr addr;

    e->kind = ALLOW_WILDCARD;
    if (!target_host(parent, &kind, &addr, e->target.host, err))
        return false;
    if (kind != TARGET_NAME || !strchr(e->target.host, '.'))
        return err_set(err, ERR_CONFIG, "a wildcard needs at least two labels behind it: *.example.com:443");
    (void)snprintf(e->suffix, sizeof e->suffix, ".%.*s", HOST_BYTES_MAX - 1, e->target.host);
    return true;
}

/* "10.0.0.0/8" or "[fd00::]/8". */
static bool cidr(struct view host, struct allow_entry *e, struct err *err)
{
    size_t slash = view_find(host, '/');
    struct view base = view_first(host, slash);
    char text[ADDR_TEXT_BYTES];

    e->kind = ALLOW_CIDR;
    if (base.len >= 2 && base.at[0] == '[' && base.at[base.len - 1] == ']')
        base = view_first(view_skip(base, 1), base.len - 2);
    if (base.len + (host.len - slash) >= sizeof text)
        return err_set(err, ERR_CONFIG, "not an address range; write 10.0.0.0/8:443 or [fd00::]/8:443");
    (void)snprintf(text, sizeof text, "%.*s%.*s", VIEW_ARG(base), VIEW_ARG(view_skip(host, slash)));
    return cidr_parse(view_str(text), &e->cidr, err);
}

static bool odd_character(struct view v, bool slash)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.at[i] <= ' ' || v.at[i] >= 0x7F || strchr("@?#%\\", v.at[i]) ||
            (v.at[i] == '/' && !slash))
            return true;
    return false;
}

static bool host_and_port(struct view text, struct allow_entry *e, bool patterns, struct err *err)
{
    size_t colon = view_find_last(text, ':');
    struct view host = view_first(text, colon);
    bool star = view_starts(host, VIEW("*")), range = view_find(host, '/') < host.len;

    if (view_starts(text, VIEW("unix:")))
        return target_parse(text, &e->target, err);
    if (odd_character(text, range && patterns))
        return err_set(err, ERR_CONFIG, "blanks and the characters / @ ? # %% \\ cannot be part of host:port%s",
                       range ? " (address ranges need --allow-patterns)" : "");
    if (colon == text.len || text.at[text.len - 1] == ']' ||
        (view_find(host, ':') < host.len && host.at[0] != '['))
        return colon == text.len || text.at[text.len - 1] == ']'
                   ? err_set(err, ERR_CONFIG, "has no port; write %.*s:443", VIEW_ARG(view_first(text, 80)))
                   : err_set(err, ERR_CONFIG, "an IPv6 address needs brackets: [2001:db8::1]:443");
    if ((star || range) && !patterns)
        return err_set(err, ERR_CONFIG, "patterns need --allow-patterns");
    if (!ports(view_skip(text, colon + 1), e, patterns, err))
        return false;
    if (star)
        return view_starts(host, VIEW("*.")) ? wildcard(host, e, err)
                                             : err_set(err, ERR_CONFIG, "a wildcard is written *.example.com:443");
    if (range)
        return cidr(host, e, err);
    if (!target_host(host, &e->target.kind, &e->target.addr, e->target.host, err))
        return false;
    e->target.port = e->target.addr.port = e->port_first;
    target_text(&e->target);
    return true;
}

static bool pins(struct view text, struct allow_entry *e, struct err *err)
{
    struct view one;

    e->pins = calloc(ALLOW_PINS_MAX, sizeof *e->pins);
    if (!e->pins)
        return err_set(err, ERR_MEMORY, "allowlist");
    while (view_next(&text, '+', &one)) {
        bool bracket = one.len && one.at[0] == '[';

        if (e->pin_count == ALLOW_PINS_MAX)
            return err_set(err, ERR_CONFIG, "more than %d addresses behind '='", ALLOW_PINS_MAX);
        if (!addr_parse_ip(text_trim(one), bracket, &e->pins[e->pin_count]))
            return err_set(err, ERR_CONFIG,
                           "what follows '=' is not an IP address; write host:443=10.0.0.5+10.0.0.6");
        e->pins[e->pin_count++].port = e->port_first;
    }
    return true;
}

static bool option(struct view text, struct allow_entry *e, struct err *err)
{
    static const char *const modes[] = {"proxy=off", "proxy=v1", "proxy=v2"};

    for (int i = 0; i < 3; i++)
        if (view_eq(text, view_str(modes[i]))) {
            e->send_proxy_set = true;
            e->send_proxy = (int)SEND_PROXY_OFF + i;
            return true;
        }
    return err_set(err, ERR_CONFIG, "unknown option \";%.*s\"; there is ;proxy=v1, ;proxy=v2 and ;proxy=off",
                   VIEW_ARG(view_first(text, 40)));
}

bool allow_entry_parse(struct view text, bool patterns, struct allow_entry **out, struct err *err)
{
    CLEANUP(allow_entry_free_cleanup) struct allow_entry *e = calloc(1, sizeof *e);
    struct view main, options = {0}, pinned = {0}, one;
    size_t at = view_find(text, ';');

    if (!e)
        return err_set(err, ERR_MEMORY, "allowlist");
    main = view_first(text, at);
    if (at < text.len)
        options = view_skip(text, at + 1);
    at = view_find(main, '=');
    if (at < main.len)
        pinned = view_skip(main, at + 1);
    main = text_trim(view_first(main, at));
    e->text = strndup((const char *)main.at, main.len);
    if (!e->text)
        return err_set(err, ERR_MEMORY, "allowlist");
    if (!host_and_port(main, e, patterns, err) || (pinned.at && !pins(pinned, e, err)))
        return false;
    while (view_next(&options, ';', &one))
        if (!option(text_trim(one), e, err))
            return false;
    if (e->pin_count && e->kind != ALLOW_EXACT)
        return err_set(err, ERR_CONFIG, "a pattern cannot be pinned to addresses");
    *out = take(e);
    return true;
}
