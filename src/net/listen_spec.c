#include "net/listen_priv.h"

#include <sys/un.h>

#include "base/limits.h"
#include "base/text.h"

static bool parse_tcp(struct view text, struct listen_spec *out, struct err *err);
static bool parse_unix(struct view text, struct listen_spec *out, struct err *err);
static bool parse_mode(struct view text, mode_t *out);
static bool host_valid(struct view host);

enum { FD_MOST = 1 << 20 };

bool listen_check(struct view spec, struct err *err)
{
    struct listen_spec parsed;
    struct view element;

    if (!spec.at)
        spec = VIEW("");
    while (view_next(&spec, ',', &element))
        if (!listen_spec_parse(element, &parsed, err))
            return false;
    return true;
}

bool listen_spec_parse(struct view element, struct listen_spec *out, struct err *err)
{
    struct view text = view_trim_ows(element);
    uint64_t fd;

    *out = (struct listen_spec){.kind = LISTEN_TCP};
    if (text.len == 0)
        return err_set(err, ERR_CONFIG, "a listener is empty; write host:port or unix:/path");
    if (view_starts(text, VIEW("unix:")))
        return parse_unix(view_skip(text, 5), out, err);
    if (view_eq(text, VIEW("systemd"))) {
        out->kind = LISTEN_SYSTEMD;
        return true;
    }
    if (view_starts(text, VIEW("systemd:"))) {
        out->kind = LISTEN_SYSTEMD;
        out->host = view_skip(text, 8);
        return out->host.len > 0 ||
               err_set(err, ERR_CONFIG, "listener \"systemd:\" has no name; write systemd for all");
    }
    if (view_starts(text, VIEW("fd:"))) {
        out->kind = LISTEN_FD;
        if (!text_u64(view_skip(text, 3), FD_MOST, false, &fd))
            return err_set(err, ERR_CONFIG, "listener \"%.*s\": fd: takes a descriptor's number",
                           VIEW_ARG(view_first(text, 64)));
        out->fd = (int)fd;
        return true;
    }
    return parse_tcp(text, out, err);
}

static bool parse_tcp(struct view text, struct listen_spec *out, struct err *err)
{
    size_t colon = view_find_last(text, ':');
    struct view shown = view_first(text, 64), host = view_first(text, colon);
    uint64_t port;

    if (colon == text.len)
        return err_set(err, ERR_CONFIG, "listener \"%.*s\" has no port; write %.*s:9000",
                       VIEW_ARG(shown), VIEW_ARG(shown));
    if (!text_u64(view_skip(text, colon + 1), UINT16_MAX, false, &port))
        return err_set(err, ERR_CONFIG, "listener \"%.*s\": the port is not a number up to 65535",
                       VIEW_ARG(shown));
    if (host.len > 0 && !addr_parse_ip(host, true, &out->addr)) {
        if (host.at[0] == '[' || view_find(host, ':') != host.len)
            return err_set(err, ERR_CONFIG, "listener \"%.*s\": write IPv6 as [address]:port",
                           VIEW_ARG(shown));
        if (!host_valid(host))
            return err_set(err, ERR_CONFIG, "listener \"%.*s\": this is no host name",
                           VIEW_ARG(shown));
    }
    out->host = host;
    out->port = out->addr.port = (uint16_t)port;
    return true;
}

static bool parse_unix(struct view text, struct listen_spec *out, struct err *err)
{
    static const struct view key = {(const uint8_t *)"mode=", 5};
    size_t semicolon = view_find(text, ';');
    struct view path = view_first(text, semicolon), option = view_skip(text, semicolon + 1);
    struct sockaddr_un un;

    out->kind = LISTEN_UNIX;
    out->host = path;
    if (path.len == 0 || view_eq(path, VIEW("@")))
        return err_set(err, ERR_CONFIG, "a unix: listener has no path; write unix:/run/name.sock");
    if (path.len >= sizeof un.sun_path || view_find(path, '\0') != path.len)
        return err_set(err, ERR_CONFIG, "listener unix:%.*s…: a path may have %zu bytes",
                       VIEW_ARG(view_first(path, 32)), sizeof un.sun_path - 1);
    if (semicolon == text.len)
        return true;
    if (path.at[0] == '@' || !view_starts(option, key) ||
        !parse_mode(view_skip(option, key.len), &out->mode))
        return err_set(err, ERR_CONFIG,
                       "listener unix:%.*s: only ;mode= with an octal number up to 0777 may follow "
                       "a path",
                       VIEW_ARG(view_first(path, 108)));
    out->has_mode = true;
    return true;
}

static bool parse_mode(struct view text, mode_t *out)
{
    mode_t mode = 0;

    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '7')
            return false;
        mode = mode << 3 | (mode_t)(text.at[i] - '0');
    }
    *out = mode;
    return mode <= 0777;
}

static bool host_valid(struct view host)
{
    if (host.len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = ascii_lower(host.at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}
