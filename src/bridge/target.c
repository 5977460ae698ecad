#include "bridge/target.h"

#include <stdio.h>

#include "base/text.h"

#include "base/poison.h"

enum { LABEL_BYTES_MAX = 63, NAME_BYTES_MAX = 253 }; /* RFC 1035, 2.3.4, without the root's dot */
enum { UNIX_PATH_BYTES_MAX = 100 };                  /* sun_path has 108; room for a suffix */

static bool unix_parse(struct view path, struct target *out, struct err *err);
static bool name_parse(struct view host, enum target_kind *kind, char *out, struct err *err);
static bool label_good(struct view label);
static bool numeric(struct view label);

bool target_parse(struct view text, struct target *out, struct err *err)
{
    size_t colon = view_find_last(text, ':');
    struct target t = {0};
    uint64_t port;

    if (view_starts(text, VIEW("unix:/"))) /* "unix:80" is a host of that name */
        return unix_parse(view_skip(text, 5), out, err);
    if (text.len > TARGET_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "longer than %d bytes", TARGET_BYTES_MAX);
    if (colon == text.len || text.at[text.len - 1] == ']')
        return err_set(err, ERR_SYNTAX, "no port");
    if (!text_u64(view_skip(text, colon + 1), UINT16_MAX, true, &port) || port == 0)
        return err_set(err, ERR_SYNTAX, "the port is not a number from 1 to 65535");
    if (!target_host(view_first(text, colon), &t.kind, &t.addr, t.host, err))
        return false;
    target_set_port(&t, (uint16_t)port);
    *out = t;
    return true;
}

bool target_host(struct view host, enum target_kind *kind, struct addr *addr,
                 char out[static HOST_BYTES_MAX + 1], struct err *err)
{
    char text[ADDR_TEXT_BYTES];

    if (addr_parse_ip(host, true, addr)) {
        (void)snprintf(out, HOST_BYTES_MAX + 1, "%s", addr_ip_format(addr, text));
        *kind = TARGET_IP;
        return true;
    }
    if (host.len && host.at[0] == '[')
        return err_set(err, ERR_SYNTAX,
                       "no IPv6 address stands between the brackets (zone ids "
                       "are not accepted)");
    if (view_find(host, ':') < host.len)
        return err_set(err, ERR_SYNTAX, "an IPv6 address needs brackets: [2001:db8::1]:443");
    *addr = (struct addr){0};
    return name_parse(host, kind, out, err);
}

void target_set_port(struct target *t, uint16_t port)
{
    t->port = t->addr.port = port;
    if (t->addr.family == AF_INET6)
        (void)snprintf(t->text, sizeof t->text, "[%.*s]:%u", INET6_ADDRSTRLEN, t->host,
                       (unsigned)port);
    else
        (void)snprintf(t->text, sizeof t->text, "%.*s:%u", NAME_BYTES_MAX, t->host, (unsigned)port);
}

static bool unix_parse(struct view path, struct target *out, struct err *err)
{
    if (path.len > UNIX_PATH_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "the path of a Unix socket is longer than %d bytes",
                       UNIX_PATH_BYTES_MAX);
    for (size_t i = 0; i < path.len; i++)
        if (path.at[i] <= ' ' || path.at[i] >= 0x7f)
            return err_set(err, ERR_SYNTAX,
                           "the path of a Unix socket must be visible ASCII without blanks");
    *out = (struct target){.kind = TARGET_UNIX, .addr = {.family = AF_UNIX}};
    (void)snprintf(out->host, sizeof out->host, "%.*s", VIEW_ARG(path));
    (void)snprintf(out->text, sizeof out->text, "unix:%.*s", VIEW_ARG(path));
    return true;
}

static bool name_parse(struct view host, enum target_kind *kind, char *out, struct err *err)
{
    struct view rest, label, last = {0};

    if (host.len && host.at[host.len - 1] == '.')
        host.len--;
    if (host.len == 0)
        return err_set(err, ERR_SYNTAX, "the host is missing");
    if (host.len > NAME_BYTES_MAX)
        return err_set(err, ERR_SYNTAX, "the host is longer than %d bytes", NAME_BYTES_MAX);
    rest = host;
    while (view_next(&rest, '.', &label)) {
        if (!label_good(label))
            return err_set(err, ERR_SYNTAX,
                           "the host is neither a DNS name nor an IPv4 or [IPv6] address");
        last = label;
    }
    if (numeric(last))
        return err_set(err, ERR_SYNTAX,
                       "the host is a number; write an IPv4 address as four decimal numbers");
    for (size_t i = 0; i < host.len; i++)
        out[i] = (char)ascii_lower(host.at[i]);
    out[host.len] = '\0';
    *kind = strcmp(out, "localhost") == 0 ? TARGET_LOCALHOST : TARGET_NAME;
    return true;
}

static bool label_good(struct view label)
{
    if (label.len == 0 || label.len > LABEL_BYTES_MAX || label.at[0] == '-' ||
        label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = ascii_lower(label.at[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

/* Decimal, octal or hexadecimal. When the last label is a number, some resolvers (inet_aton) take
 * the whole host for an address. */
static bool numeric(struct view label)
{
    bool hex = label.len >= 2 && label.at[0] == '0' && ascii_lower(label.at[1]) == 'x';

    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        uint8_t c = ascii_lower(label.at[i]);

        if (!((c >= '0' && c <= '9') || (hex && c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}
