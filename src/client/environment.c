/* environment: proxies and certificates, as curl and its like read them. */
#include "client/client_priv.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"

#include "base/poison.h"

enum { AUTHORIZATION_BYTES_MAX = 8 * 1024 };

static struct view variable(char **environment, const char *name)
{
    size_t n = strlen(name);

    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return text_trim(view_str(*environment + n + 1));
    return view_str(NULL);
}

/* The first that is set and not empty. */
static struct view either(char **environment, const char **name, const char *first,
                          const char *second)
{
    struct view value = first ? variable(environment, first) : view_str(NULL);

    *name = first;
    if (!value.len) {
        value = variable(environment, second);
        *name = second;
    }
    return value;
}

static bool copy(struct view v, char **out, struct err *err)
{
    *out = malloc(v.len + 1);
    if (*out && v.at)
        memcpy(*out, v.at, v.len);
    if (*out)
        (*out)[v.len] = '\0';
    return *out || err_set(err, ERR_MEMORY, "no memory for what the environment says");
}

static bool authorization(struct view user_info, char **out, struct err *err)
{
    struct buf line;
    bool good;

    if (!user_info.at)
        return true;
    buf_init(&line, AUTHORIZATION_BYTES_MAX, "user and password of a proxy");
    good = client_basic_write(&line, "Proxy-Authorization", user_info, err) &&
           copy(buf_view(&line), out, err);
    buf_wipe(&line);
    return good;
}

/* "http://user:password@host:port", with or without its scheme. */
static bool proxy_read(struct view text, const char *name, struct client_proxy *out,
                       struct err *err)
{
    struct http_url url;
    struct buf whole;
    bool good;

    if (!text.len)
        return true;
    buf_init(&whole, CLIENT_URL_BYTES_MAX, "the URL of a proxy");
    good = (view_find_text(text, VIEW("://")) || buf_append_str(&whole, "http://", err)) &&
           buf_append(&whole, text, err) && http_url_split(buf_view(&whole), &url, err);
    if (good && url.https)
        good = err_set(err, ERR_CONFIG, "a proxy is spoken to over http:// alone");
    if (good) {
        out->port = url.port;
        good = copy(url.host, &out->host, err) &&
               authorization(url.user_info, &out->authorization, err);
    }
    buf_wipe(&whole);
    return good || err_in(err, "environment: %s", name);
}

bool client_proxies_read(char **environment, struct client_proxies *out, struct err *err)
{
    const char *all_name, *http_name, *https_name, *no_name;
    struct view all = either(environment, &all_name, "ALL_PROXY", "all_proxy");
    /* A CGI's environment has a client's field "Proxy" under that name. */
    bool cgi = variable(environment, "REQUEST_METHOD").at != NULL;
    struct view http = either(environment, &http_name, cgi ? NULL : "HTTP_PROXY", "http_proxy");
    struct view https = either(environment, &https_name, "HTTPS_PROXY", "https_proxy");
    struct view no = either(environment, &no_name, "NO_PROXY", "no_proxy");
    struct client_proxies p = {0};
    bool good;

    good = proxy_read(http.len ? http : all, http.len ? http_name : all_name, &p.http, err) &&
           proxy_read(https.len ? https : all, https.len ? https_name : all_name, &p.https, err) &&
           (!no.len || copy(no, &p.no_proxy, err));
    if (good)
        *out = p;
    else
        client_proxies_done(&p);
    return good;
}

static void proxy_done(struct client_proxy *p)
{
    if (p->authorization)
        secret_wipe(p->authorization, strlen(p->authorization));
    free(p->authorization);
    free(p->host);
}

void client_proxies_done(struct client_proxies *p)
{
    proxy_done(&p->http);
    proxy_done(&p->https);
    free(p->no_proxy);
    *p = (struct client_proxies){0};
}

bool client_roots_read(char **environment, struct buf *out, struct err *err)
{
    struct view path = variable(environment, "SSL_CERT_FILE");
    char *name = NULL;
    bool good;

    if (!path.len)
        return true;
    good = copy(path, &name, err) && file_read(name, out, err);
    free(name);
    return good || err_in(err, "environment: SSL_CERT_FILE");
}

/* The name itself, and those below it; ".name" is the same. */
static bool name_matches(struct view pattern, struct view host)
{
    struct view tail;

    if (pattern.len && pattern.at[0] == '.')
        pattern = view_skip(pattern, 1);
    if (!pattern.len || host.len < pattern.len)
        return false;
    tail = view_skip(host, host.len - pattern.len);
    return view_eq_nocase(tail, pattern) &&
           (host.len == pattern.len || host.at[host.len - pattern.len - 1] == '.');
}

/* "*", a name, an address or a range of them; names and addresses with a port behind them, too. */
static bool excepted(struct view entry, struct view host, const struct addr *literal, uint16_t port)
{
    uint16_t entry_port = port;
    struct view name;
    struct cidr range;

    if (view_eq(entry, VIEW("*")))
        return true;
    if (cidr_parse(entry, &range, NULL))
        return literal && cidr_contains(&range, literal);
    if (!http_authority_split(entry, &name, &entry_port) || entry_port != port)
        return false;
    if (cidr_parse(name, &range, NULL))
        return literal && cidr_contains(&range, literal);
    return !literal && name_matches(name, host);
}

const struct client_proxy *client_proxy_for(const struct client_proxies *p, bool https,
                                            struct view host, uint16_t port)
{
    const struct client_proxy *proxy = https ? &p->https : &p->http;
    struct view rest = view_str(p->no_proxy), entry;
    struct addr a;
    bool literal = addr_parse_ip(host, false, &a);

    if (!proxy->host)
        return NULL;
    while (view_next(&rest, ',', &entry)) {
        entry = text_trim(entry);
        if (entry.len && excepted(entry, host, literal ? &a : NULL, port))
            return NULL;
    }
    return proxy;
}
