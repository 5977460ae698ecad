/* A URL is taken apart in one way, put together it is the same, and what a redirect makes of it is one or none. Input: a URL, a newline,
 * a Location. */
#include "base/check.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 14 };

static bool inside(struct view part, struct view whole)
{
    return !part.len || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void check_parts(struct view url, const struct http_url *u)
{
    CHECK(u->host.len > 0 && u->host.len <= HOST_BYTES_MAX && u->port > 0);
    CHECK(inside(u->user_info, url) && inside(u->host, url) && inside(u->authority, url));
    CHECK(inside(u->target, url) && u->target.len == u->path.len + u->query.len);
    CHECK(!u->path.len || u->path.at[0] == '/');
    CHECK(!u->query.len || u->query.at[0] == '?');
    CHECK(http_url_is_plain(u->target) && view_find(u->target, '#') == u->target.len);
    for (size_t i = 0; i < u->host.len; i++)
        CHECK(!memchr("/\\@?#%[] \r\n", u->host.at[i], 11));
}

static bool same(const struct http_url *a, const struct http_url *b)
{
    return a->https == b->https && a->port == b->port && view_eq(a->host, b->host) &&
           a->brackets == b->brackets && view_eq(a->target, b->target);
}

/* Without its user info it names the same. */
static void check_again(const struct http_url *u)
{
    struct http_url again;
    struct buf text;

    buf_init(&text, 4 * INPUT_MAX, "URL");
    CHECK(http_url_resolve(u, VIEW(""), &text, NULL));
    CHECK(http_url_split(buf_view(&text), &again, NULL));
    CHECK(same(u, &again) && !again.user_info.at);
    buf_done(&text);
}

static void check_redirect(const struct http_url *base, struct view location)
{
    struct http_url u;
    struct buf clean, text;
    struct err err = {0};

    buf_init(&clean, 4 * INPUT_MAX, "URL");
    buf_init(&text, 8 * INPUT_MAX, "URL");
    if (http_url_clean(location, &clean, &err)) {
        CHECK(http_url_is_plain(buf_view(&clean)));
        CHECK(http_url_resolve(base, buf_view(&clean), &text, NULL));
        if (http_url_split(buf_view(&text), &u, &err)) {
            check_parts(buf_view(&text), &u);
            check_again(&u);
        }
    }
    CHECK(err.code == ERR_NONE || (err.code == ERR_SYNTAX && err.text[0]));
    buf_done(&clean);
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view all = view_from(data, size), url = view_first(all, view_find(all, '\n'));
    struct err err = {0};
    struct http_url u;

    if (size > INPUT_MAX)
        return 0;
    if (!http_url_split(url, &u, &err)) {
        CHECK(err.code == ERR_SYNTAX && err.text[0]);
        return 0;
    }
    check_parts(url, &u);
    check_again(&u);
    check_redirect(&u, view_skip(all, url.len + 1));
    return 0;
}
