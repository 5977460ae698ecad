/* pool: origins, and the connections to them that wait for the next request. */
#include "client/client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "base/poison.h"

enum { AUTHORITY_EXTRA = 9 }; /* brackets, ':', five digits, NUL */

static void idle_late(struct loop *loop, struct timer *timer);

/* Lower case, without the final dot: "A." and "a" are one. */
static size_t canonical(struct view host, char out[static HOST_BYTES_MAX + 1])
{
    size_t n = host.len;

    if (n > 1 && host.at[n - 1] == '.')
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)ascii_lower(host.at[i]);
    out[n] = '\0';
    return n;
}

/* A last label that reads as a number is an IPv4 address to some (0x7f.1, 2130706433), and to us no name. */
static bool numeric(struct view host)
{
    struct view label = view_skip(host, view_find_last(host, '.') + 1);
    size_t i = 0;

    if (label.len == 0)
        label = host;
    if (label.len >= 2 && label.at[0] == '0' && label.at[1] == 'x') {
        i = 2;
        while (i < label.len && ((label.at[i] >= '0' && label.at[i] <= '9') ||
                                 (label.at[i] >= 'a' && label.at[i] <= 'f')))
            i++;
        return i == label.len;
    }
    while (i < label.len && label.at[i] >= '0' && label.at[i] <= '9')
        i++;
    return i == label.len;
}

static bool same(const struct client_origin *o, bool https, uint16_t port, enum client_reach reach,
                 struct view host)
{
    return o->port == port && o->https == https && o->reach == reach &&
           view_eq(view_from(o->host, o->host_len), host);
}

static void name_it(struct client_origin *o, struct view host, bool brackets)
{
    unsigned usual = o->https ? 443 : 80;
    char port[8] = "";

    if (o->port != usual)
        (void)snprintf(port, sizeof port, ":%u", o->port);
    o->host_len = host.len;
    memcpy(o->host, host.at, host.len);
    o->authority = o->host + host.len + 1;
    (void)snprintf(o->authority, host.len + AUTHORITY_EXTRA, "%s%.*s%s%s", brackets ? "[" : "",
                   VIEW_ARG(host), brackets ? "]" : "", port);
}

static struct client_origin *origin_new(struct client *c, const struct http_url *url,
                                        struct view host, enum client_reach reach, struct err *err)
{
    struct client_origin *o;
    struct addr literal;
    bool is_literal = addr_parse_ip(host, false, &literal);

    if (is_literal ? url->brackets != (literal.family == AF_INET6)
                   : url->brackets || numeric(host)) {
        (void)err_set(err, ERR_SYNTAX, "the URL's host is neither a name nor an IP address");
        return NULL;
    }
    o = calloc(1, sizeof *o + 2 * host.len + 1 + AUTHORITY_EXTRA);
    if (!o) {
        (void)err_set(err, ERR_MEMORY, "no memory for an origin");
        return NULL;
    }
    o->https = url->https;
    o->port = url->port;
    o->reach = reach;
    o->literal = is_literal;
    if (is_literal)
        o->address = literal;
    name_it(o, host, url->brackets);
    o->not_allowed = reach != CLIENT_ANYWHERE && client_name_private(host);
    o->proxy = client_proxy_for(&c->proxies, url->https, host, url->port);
    return o;
}

struct client_origin *client_origin_take(struct client *c, const struct http_url *url,
                                         enum client_reach reach, struct err *err)
{
    char text[HOST_BYTES_MAX + 1];
    struct view host = view_from(text, canonical(url->host, text));
    uint64_t hash = hash_bytes(host, c->seed + url->port);
    struct client_origin **slot = &c->origins[hash % CLIENT_ORIGIN_SLOTS], *o = *slot;

    while (o && !same(o, url->https, url->port, reach, host))
        o = o->next;
    if (!o) {
        o = origin_new(c, url, host, reach, err);
        if (!o)
            return NULL;
        o->hash = hash;
        o->next = *slot;
        *slot = o;
    }
    o->users++;
    return o;
}

void client_origin_give(struct client *c, struct client_origin *o)
{
    struct client_origin **at = &c->origins[o->hash % CLIENT_ORIGIN_SLOTS];

    if (--o->users)
        return;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    free(o);
}

void client_pool_remove(struct client_conn *conn)
{
    struct client *c = conn->client;

    timer_cancel(&conn->idle);
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    conn->link = NULL;
    conn->origin->idle_count--;
    *(conn->older ? &conn->older->newer : &c->oldest) = conn->newer;
    *(conn->newer ? &conn->newer->older : &c->newest) = conn->older;
    c->idle_count--;
}

/* Nothing came meanwhile, as far as the kernel knows. */
static bool silent(const struct client_conn *conn)
{
    uint8_t byte;

    return recv(conn->io.fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

struct client_conn *client_pool_take(struct client *c, struct client_origin *o)
{
    struct client_conn *conn;

    while ((conn = o->idle) != NULL) {
        client_pool_remove(conn);
        conn->reused = true;
        if (loop_now_ms(c->loop) - conn->idle_since_ms < CLIENT_UNTRIED_MS || silent(conn))
            return conn;
        client_conn_drop(conn);
    }
    return NULL;
}

static void idle_late(struct loop *loop, struct timer *timer)
{
    struct client_conn *conn = OWNER(timer, struct client_conn, idle);

    (void)loop;
    client_pool_remove(conn);
    client_conn_drop(conn);
}

void client_pool_give(struct client_conn *conn)
{
    struct client *c = conn->client;
    struct client_origin *o = conn->origin;
    uint64_t keep_ms = conn->keep_ms && conn->keep_ms < c->idle_ms ? conn->keep_ms : c->idle_ms;

    if (conn->ended || conn->cut || (conn->io.bits & CLIENT_HUNG_UP) || buf_len(&conn->in) ||
        o->idle_count >= CLIENT_IDLE_PER_ORIGIN ||
        ((conn->io.bits & CLIENT_READABLE) && !silent(conn))) {
        client_conn_drop(conn);
        return;
    }
    conn->io.bits &= ~(uint32_t)CLIENT_READABLE;
    buf_done(&conn->in);
    buf_done(&conn->out);
    if (c->idle_count >= CLIENT_IDLE_ALL) {
        struct client_conn *oldest = c->oldest;

        client_pool_remove(oldest);
        client_conn_drop(oldest);
    }
    conn->next = o->idle;
    conn->link = &o->idle;
    if (conn->next)
        conn->next->link = &conn->next;
    o->idle = conn;
    o->idle_count++;
    conn->older = c->newest;
    conn->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = conn;
    c->newest = conn;
    c->idle_count++;
    conn->idle_since_ms = loop_now_ms(c->loop);
    timer_init(&conn->idle, idle_late);
    timer_set(c->loop, &conn->idle, conn->idle_since_ms + keep_ms);
}

/* Bytes without a request, or an end. TLS may have something to say of its own: tickets. */
void client_pool_ready(struct client_conn *conn)
{
    bool good = false;

    if (conn->tls && !(conn->io.bits & CLIENT_HUNG_UP) && (conn->io.bits & CLIENT_READABLE)) {
        struct buf *in = &conn->client->in;

        good = client_fill(conn, in, NULL) == CLIENT_NOTHING && !conn->ended;
        buf_reset(in);
    } else if (!(conn->io.bits & (CLIENT_READABLE | CLIENT_HUNG_UP))) {
        good = true;
    }
    if (good)
        return;
    client_pool_remove(conn);
    client_conn_drop(conn);
}
