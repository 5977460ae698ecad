/* One entry of the list: host:port, pins, options; patterns. */
#include "bridge/allowlist_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "bridge/policy.h"

#include "base/poison.h"

enum { SHOWN_BYTES_MAX = 80 }; /* of an entry, in an error */

static bool main_parse(struct view text, struct allow_entry *e, bool patterns, struct err *err);
static bool characters_good(struct view text, bool patterns, struct err *err);
static bool ports_parse(struct view text, struct allow_entry *e, bool patterns, struct err *err);
static bool host_parse(struct view host, struct allow_entry *e, bool patterns, struct err *err);
static bool wildcard_parse(struct view host, struct allow_entry *e, struct err *err);
static bool cidr_entry_parse(struct view host, struct allow_entry *e, struct err *err);
static bool pins_parse(struct view text, struct allow_entry *e, struct err *err);
static bool option_parse(struct view text, struct allow_entry *e, struct err *err);

bool allow_entry_parse(struct view text, bool patterns, struct allow_entry **out, struct err *err)
{
    CLEANUP(allow_entry_free_cleanup) struct allow_entry *e = calloc(1, sizeof *e);
    struct view options = text, head = {0}, pinned, one;
    size_t equals;

    if (!e)
        return err_set(err, ERR_MEMORY, "allowlist entry");
    (void)view_next(&options, ';', &head);
    equals = view_find(head, '=');
    pinned = view_skip(head, equals + 1);
    one = text_trim(view_first(head, equals));
    if (!main_parse(one, e, patterns, err))
        return false;
    e->text = strndup((const char *)one.at, one.len);
    if (!e->text)
        return err_set(err, ERR_MEMORY, "allowlist entry");
    if (equals < head.len && !pins_parse(pinned, e, err))
        return false;
    while (view_next(&options, ';', &one))
        if (!option_parse(text_trim(one), e, err))
            return false;
    *out = take(e);
    return true;
}

static bool main_parse(struct view text, struct allow_entry *e, bool patterns, struct err *err)
{
    size_t colon = view_find_last(text, ':');

    if (view_starts(text, VIEW("unix:/")))
        return target_parse(text, &e->target, err);
    if (text.len > TARGET_BYTES_MAX)
        return err_set(err, ERR_CONFIG, "is longer than %d bytes", TARGET_BYTES_MAX);
    if (!characters_good(text, patterns, err))
        return false;
    if (colon == text.len || text.at[text.len - 1] == ']')
        return err_set(err, ERR_CONFIG, "has no port; write %.*s:443",
                       VIEW_ARG(view_first(text, SHOWN_BYTES_MAX)));
    return ports_parse(view_skip(text, colon + 1), e, patterns, err) &&
           host_parse(view_first(text, colon), e, patterns, err);
}

/* What can only come from a URL, a quoted string or a slip. */
static bool characters_good(struct view text, bool patterns, struct err *err)
{
    size_t slash = view_find(text, '/');
    bool range = slash + 1 < text.len && text.at[slash + 1] >= '0' && text.at[slash + 1] <= '9';

    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || strchr("@?#%\\\"'", text.at[i]))
            return err_set(err, ERR_CONFIG, "holds a character that cannot be part of host:port");
    if (slash == text.len)
        return true;
    if (!range)
        return err_set(err, ERR_CONFIG,
                       "holds a '/'; write host:port only, without scheme and path");
    if (!patterns)
        return err_set(err, ERR_CONFIG, "is an address range, which needs --allow-patterns");
    return true;
}

static bool ports_parse(struct view text, struct allow_entry *e, bool patterns, struct err *err)
{
    size_t dash = view_find(text, '-');
    uint64_t first, last;

    if (!text_u64(view_first(text, dash), UINT16_MAX, true, &first) || first == 0)
        return err_set(err, ERR_CONFIG, "has a port that is not a number from 1 to 65535");
    last = first;
    if (dash < text.len) {
        if (!text_u64(view_skip(text, dash + 1), UINT16_MAX, true, &last) || last < first)
            return err_set(err, ERR_CONFIG, "has a port range that is not of the form 8000-8010");
        if (!patterns)
            return err_set(err, ERR_CONFIG, "has a port range, which needs --allow-patterns");
    }
    e->port_first = (uint16_t)first;
    e->port_last = (uint16_t)last;
    return true;
}

static bool host_parse(struct view host, struct allow_entry *e, bool patterns, struct err *err)
{
    if (view_find(host, '*') < host.len) {
        if (!patterns)
            return err_set(err, ERR_CONFIG, "is a wildcard, which needs --allow-patterns");
        return wildcard_parse(host, e, err);
    }
    if (view_find(host, '/') < host.len)
        return cidr_entry_parse(host, e, err);
    if (!target_host(host, &e->target.kind, &e->target.addr, e->target.host, err))
        return false;
    target_set_port(&e->target, e->port_first);
    return true;
}

/* One label may be anything; "*.com" would be half of the world. Which longer suffixes are public
 * is not known here. */
static bool wildcard_parse(struct view host, struct allow_entry *e, struct err *err)
{
    struct err own;

    e->kind = ALLOW_WILDCARD;
    if (!view_starts(host, VIEW("*.")) ||
        !target_host(view_skip(host, 2), &e->target.kind, &e->target.addr, e->target.host, &own) ||
        e->target.kind != TARGET_NAME)
        return err_set(err, ERR_CONFIG,
                       "is not a wildcard that can be used; write *.example.com:443");
    if (!strchr(e->target.host, '.'))
        return err_set(err, ERR_CONFIG,
                       "reaches too far: two labels must follow the star, as in *.example.com:443");
    return true;
}

/* "10.0.0.0/8" or "[fd00::]/8". */
static bool cidr_entry_parse(struct view host, struct allow_entry *e, struct err *err)
{
    size_t slash = view_find(host, '/');
    struct view base = view_first(host, slash);
    bool brackets = base.len >= 2 && base.at[0] == '[' && base.at[base.len - 1] == ']';
    char text[ADDR_TEXT_BYTES];

    e->kind = ALLOW_CIDR;
    if (brackets)
        base = view_first(view_skip(base, 1), base.len - 2);
    if (brackets != (view_find(base, ':') < base.len) ||
        base.len + (host.len - slash) >= sizeof text)
        return err_set(err, ERR_CONFIG,
                       "is not an address range; write 10.0.0.0/8:443 or [fd00::]/8:443");
    (void)snprintf(text, sizeof text, "%.*s%.*s", VIEW_ARG(base), VIEW_ARG(view_skip(host, slash)));
    return cidr_parse(view_str(text), &e->cidr, err);
}

static bool pins_parse(struct view text, struct allow_entry *e, struct err *err)
{
    struct view one;

    if (e->kind != ALLOW_EXACT || e->target.kind == TARGET_IP || e->target.kind == TARGET_UNIX)
        return err_set(err, ERR_CONFIG, "has addresses behind '=', which only a name can have");
    e->pins = calloc(ALLOW_PINS_MAX, sizeof *e->pins);
    if (!e->pins)
        return err_set(err, ERR_MEMORY, "allowlist entry");
    while (view_next(&text, '+', &one)) {
        one = text_trim(one);
        if (e->pin_count == ALLOW_PINS_MAX)
            return err_set(err, ERR_CONFIG, "has more than %d addresses behind '='",
                           ALLOW_PINS_MAX);
        if (!addr_parse_ip(one, one.len && one.at[0] == '[', &e->pins[e->pin_count]))
            return err_set(err, ERR_CONFIG,
                           "has no IP address behind '='; write host:443=10.0.0.5+10.0.0.6");
        e->pins[e->pin_count++].port = e->port_first;
    }
    return true;
}

static bool option_parse(struct view text, struct allow_entry *e, struct err *err)
{
    static const struct {
        const char *text;
        enum policy_send_proxy mode;
    } modes[] = {
        {"proxy=off", SEND_PROXY_OFF}, {"proxy=v1", SEND_PROXY_V1}, {"proxy=v2", SEND_PROXY_V2}};

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (view_eq(text, view_str(modes[i].text))) {
            if (e->send_proxy_set)
                return err_set(err, ERR_CONFIG, "has the option ;proxy= twice");
            e->send_proxy_set = true;
            e->send_proxy = (int)modes[i].mode;
            return true;
        }
    return err_set(err, ERR_CONFIG,
                   "has an option that does not exist; there are ;proxy=v1, ;proxy=v2, ;proxy=off");
}
