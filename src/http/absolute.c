/* absolute: the URLs that a client asks for (RFC 3986, 3), and what a redirect makes of one (5.2). */
#include "http/http_priv.h"

#include <stdio.h>

enum { SCHEME_BYTES_MAX = 32 };

static bool scheme_split(struct view url, struct view *scheme, struct view *rest);
static size_t authority_end(struct view rest);
static bool host_ok(struct view host, bool brackets);
static struct view without_fragment(struct view v);
static bool append_path(struct buf *out, struct view base_path, struct view path, struct err *err);
static void remove_last(struct buf *out, size_t start);

bool http_url_split(struct view url, struct http_url *out, struct err *err)
{
    struct http_url u = {0};
    struct view scheme, rest, authority;
    size_t at, end;

    url = without_fragment(url);
    if (url.len == 0 || view_span(url, 0, BYTE_TARGET) != url.len)
        return err_set(err, ERR_SYNTAX, "the URL is empty, or not visible ASCII");
    if (!scheme_split(url, &scheme, &rest) || !view_starts(rest, VIEW("//")))
        return err_set(err, ERR_SYNTAX, "the URL begins with neither http:// nor https://");
    u.https = view_eq_nocase(scheme, VIEW("https"));
    if (!u.https && !view_eq_nocase(scheme, VIEW("http")))
        return err_set(err, ERR_SYNTAX, "the URL's scheme is %.*s, neither http nor https",
                       VIEW_ARG(scheme));
    rest = view_skip(rest, 2);
    end = authority_end(rest);
    authority = view_first(rest, end);
    u.target = view_skip(rest, end);
    at = view_find(authority, '@');
    if (at < authority.len) {
        u.user_info = view_first(authority, at);
        authority = view_skip(authority, at + 1);
    }
    if (view_find(u.user_info, '\\') <
        u.user_info.len) /* to browsers a '/', and the host before it */
        return err_set(err, ERR_SYNTAX, "the URL holds a '\\' before its host");
    u.port = u.https ? 443 : 80;
    u.brackets = authority.len && authority.at[0] == '[';
    if (!http_authority_split(authority, &u.host, &u.port) || !host_ok(u.host, u.brackets))
        return err_set(err, ERR_SYNTAX, "the URL names no host that can be reached, or no port");
    u.authority = authority;
    end = view_find(u.target, '?');
    u.path = view_first(u.target, end);
    u.query = view_skip(u.target, end);
    *out = u;
    return true;
}

bool http_url_is_plain(struct view url)
{
    return view_span(url, 0, BYTE_TARGET) == url.len;
}

bool http_url_clean(struct view url, struct buf *out, struct err *err)
{
    url = without_fragment(view_trim_ows(url));
    for (size_t i = 0; i < url.len; i++) {
        char hex[] = {'%', 0, 0, 0};
        uint8_t c = url.at[i];

        if (c < 0x20 || c == 0x7f)
            return err_set(err, ERR_SYNTAX, "the URL holds a control character");
        if (byte_is(c, BYTE_TARGET)) {
            if (!buf_append_byte(out, c, err))
                return false;
            continue;
        }
        (void)snprintf(hex + 1, sizeof hex - 1, "%02X", c);
        if (!buf_append_str(out, hex, err))
            return false;
    }
    return true;
}

bool http_url_resolve(const struct http_url *base, struct view reference, struct buf *out,
                      struct err *err)
{
    struct view scheme, rest, path;
    size_t end;

    reference = without_fragment(reference);
    if (scheme_split(reference, &scheme, &rest))
        return buf_append(out, reference, err);
    if (!buf_append_str(out, base->https ? "https:" : "http:", err))
        return false;
    if (view_starts(reference, VIEW("//")))
        return buf_append(out, reference, err);
    if (!buf_append_str(out, "//", err) || !buf_append(out, base->authority, err))
        return false;
    if (!reference.len)
        return buf_append(out, base->target, err);
    end = view_find(reference, '?');
    path = view_first(reference, end);
    if (!path.len) {
        if (!buf_append(out, base->path, err))
            return false;
    } else if (!append_path(out, path.at[0] == '/' ? VIEW("") : base->path, path, err)) {
        return false;
    }
    return buf_append(out, view_skip(reference, end), err);
}

/* "scheme:" and what is behind it. */
static bool scheme_split(struct view url, struct view *scheme, struct view *rest)
{
    size_t n = 0;

    while (n < url.len && n <= SCHEME_BYTES_MAX) {
        uint8_t c = ascii_lower(url.at[n]);
        bool letter = c >= 'a' && c <= 'z';

        if (!letter && (n == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            break;
        n++;
    }
    if (n == 0 || n == url.len || url.at[n] != ':')
        return false;
    *scheme = view_first(url, n);
    *rest = view_skip(url, n + 1);
    return true;
}

static size_t authority_end(struct view rest)
{
    size_t end = 0;

    while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?')
        end++;
    return end;
}

/* Letters, digits, '-', '_' and '.'; or the inside of brackets. What else RFC 3986 allows, no name in DNS has; and of "a@b", "a\b"
 * and "a%2eb" two readers make two hosts. */
static bool host_ok(struct view host, bool brackets)
{
    if (!host.len || host.len > HOST_BYTES_MAX || host.at[0] == '.')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = ascii_lower(host.at[i]);
        bool digit = c >= '0' && c <= '9';

        if (brackets ? !digit && !(c >= 'a' && c <= 'f') && c != ':' && c != '.'
                     : !digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

static struct view without_fragment(struct view v)
{
    return view_first(v, view_find(v, '#'));
}

/* path, behind the folder of base_path, without "." and ".." (RFC 3986, 5.2.3 and 5.2.4). */
static bool append_path(struct buf *out, struct view base_path, struct view path, struct err *err)
{
    struct view parts[] = {view_first(base_path, view_find_last(base_path, '/')), path};
    size_t start = buf_len(out);

    if (parts[0].len == base_path.len)
        parts[0] = VIEW("");
    if (path.len && path.at[0] == '/')
        parts[1] = view_skip(path, 1);
    for (size_t i = 0; i < 2; i++) {
        struct view rest = i == 0 ? view_skip(parts[0], 1) : parts[1], segment;

        if (i == 0 && !parts[0].len)
            continue;
        while (view_next(&rest, '/', &segment)) {
            bool last = i == 1 && !rest.at, dots = view_eq(segment, VIEW(".."));

            if (dots)
                remove_last(out, start);
            if (dots || view_eq(segment, VIEW("."))) {
                if (last && !buf_append_byte(out, '/', err))
                    return false;
            } else if (!buf_append_byte(out, '/', err) || !buf_append(out, segment, err)) {
                return false;
            }
        }
    }
    return true;
}

/* The last "/segment" behind start. */
static void remove_last(struct buf *out, size_t start)
{
    struct view written = view_skip(buf_view(out), start);
    size_t slash = view_find_last(written, '/');

    if (slash < written.len)
        out->tail -= written.len - slash;
}
