/* Where a document's API is served: servers[0].url, its variables by their defaults, as a reference (RFC 3986, 5.2) from where the
 * document came from. */
#include "ati/openapi/openapi_priv.h"

#include "base/poison.h"

enum { URL_BYTES_MAX = 8 * 1024 };

/* The length of "scheme:" at the front; 0: none. */
static size_t scheme_of(struct view url)
{
    size_t n = 0;

    while (url.at && n < url.len &&
           ((ascii_lower(url.at[n]) >= 'a' && ascii_lower(url.at[n]) <= 'z') ||
            (n && strchr("0123456789+-.", url.at[n]))))
        n++;
    return n && n < url.len && url.at[n] == ':' ? n + 1 : 0;
}

static bool is_web(struct view url)
{
    return view_starts(url, VIEW("http://")) || view_starts(url, VIEW("https://"));
}

/* Drops the last segment of what is written behind root, and its slash. */
static void up(struct buf *out, size_t root)
{
    size_t last = view_find_last(view_skip(buf_view(out), root), '/');

    if (last < buf_len(out) - root)
        out->tail = out->head + root + last;
}

/* Appends path without "." and ".." (RFC 3986, 5.2.4). */
static bool append_path(struct buf *out, struct view path, struct err *err)
{
    size_t root = buf_len(out);
    struct view piece;
    bool first = true, slash = false;

    if (!path.at)
        return true;
    while (view_next(&path, '/', &piece)) {
        bool dots = view_eq(piece, VIEW("..")), dot = view_eq(piece, VIEW("."));

        if (first && !piece.len) { /* the slash in front */
            first = false;
            continue;
        }
        first = false;
        slash = dot || dots;
        if (dots)
            up(out, root);
        if (slash)
            continue;
        if (!buf_append_byte(out, '/', err) || !buf_append(out, piece, err))
            return false;
    }
    return !slash || buf_append_byte(out, '/', err);
}

/* url as a reference from base, which is http or https. */
static bool resolve(struct view base, struct view url, struct buf *out, struct err *err)
{
    size_t scheme = scheme_of(base), authority, path_end;
    struct view behind = view_skip(base, scheme + 2), path;

    authority = scheme + 2;
    while (behind.len && !strchr("/?#", behind.at[0])) {
        authority++;
        behind = view_skip(behind, 1);
    }
    path = view_skip(base, authority);
    path_end = view_find(path, '#');
    path = view_first(path, path_end);
    path = view_first(path, view_find(path, '?'));
    if (view_starts(url, VIEW("//")))
        return buf_append(out, view_first(base, scheme), err) && buf_append(out, url, err);
    if (!buf_append(out, view_first(base, authority), err))
        return false;
    if (view_starts(url, VIEW("/")))
        return append_path(out, url, err);
    path = view_first(path, view_find_last(path, '/'));
    if (!path.len || view_find_last(path, '/') == path.len)
        path = VIEW("");
    if (!url.len)
        return append_path(out, path, err);
    {
        struct buf joined;
        bool good;

        buf_init(&joined, URL_BYTES_MAX, "URL of a server");
        good = buf_append(&joined, path, err) && buf_append_byte(&joined, '/', err) &&
               buf_append(&joined, url, err) && append_path(out, buf_view(&joined), err);
        buf_done(&joined);
        return good;
    }
}

/* url with each {name} of variables in it. What has no default stays. */
static bool fill_in(const struct openapi *o, struct view url, uint32_t variables, struct buf *out,
                    struct err *err)
{
    while (url.len) {
        size_t open = view_find(url, '{'), close;
        CLEANUP(text_free_cleanup) char *name = NULL, *value = NULL;

        if (!buf_append(out, view_first(url, open), err))
            return false;
        url = view_skip(url, open);
        close = view_find(url, '}');
        if (close == url.len)
            return buf_append(out, url, err);
        name = strndup((const char *)url.at + 1, close - 1);
        if (!name)
            return err_set(err, ERR_MEMORY, "OpenAPI: no memory for a server");
        value = openapi_text(o, member_of(o, member_of(o, variables, name), "default"));
        if (!buf_append(out, value ? view_str(value) : view_first(url, close + 1), err))
            return false;
        url = view_skip(url, close + 1);
    }
    return true;
}

static bool server(const struct openapi *o, uint32_t servers, struct view origin, struct buf *raw,
                   struct buf *out, struct err *err)
{
    uint32_t first = servers && kind_of(o, servers) == JSON_ARRAY && count_of(o, servers)
                         ? json_first(servers)
                         : 0;
    CLEANUP(text_free_cleanup) char *text = openapi_text(o, member_of(o, first, "url"));
    struct view url;

    if (text && !fill_in(o, view_str(text), member_of(o, first, "variables"), raw, err))
        return false;
    url = buf_len(raw) ? buf_view(raw) : VIEW("");
    if (!text &&
        is_web(origin)) /* "the default value would be a Server Object with a url value of /" */
        url = VIEW("/");
    if (scheme_of(url) || !is_web(origin) ? !buf_append(out, url, err)
                                          : !resolve(origin, url, out, err))
        return false;
    return buf_append_byte(out, '\0', err);
}

bool openapi_server(const struct openapi *o, uint32_t servers, const char *origin, char **out,
                    struct err *err)
{
    struct buf raw, url;
    bool good;

    buf_init(&raw, URL_BYTES_MAX, "URL of a server");
    buf_init(&url, URL_BYTES_MAX, "URL of a server");
    good = server(o, servers, view_str(origin), &raw, &url, err);
    *out = good && url.area ? strdup((const char *)buf_view(&url).at) : NULL;
    buf_done(&raw);
    buf_done(&url);
    return *out || !good ? good : err_set(err, ERR_MEMORY, "OpenAPI: no memory for a server");
}
