#include "dns_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/owner.h"

enum {
    RULES_MAX = 8192,
    HELD_MAX = 64,
    MESSAGE_MAX = 65535,
    QUERY_MAX = 512,
    CLIENTS_MAX = 8,
    PORT_TRIES = 20
};

struct rule {
    char name[256];
    enum dns_type type;
    unsigned asked;
    bool said;
    struct dns_rule rule;
};

struct query {
    uint8_t bytes[QUERY_MAX];
    size_t len;
    char name[256];
    uint16_t type;
    struct sockaddr_in from;
    bool tcp;
};

struct client {
    struct io io; /* fd < 0: free */
    struct dns_server *server;
    uint8_t bytes[QUERY_MAX];
    size_t len;
};

struct dns_server {
    struct loop *loop;
    struct io udp, tcp;
    struct client clients[CLIENTS_MAX];
    char text[32];
    unsigned asked, asked_tcp;
    size_t rule_count, held_count;
    struct rule rules[RULES_MAX];
    struct query held[HELD_MAX];
    uint8_t out[2 + MESSAGE_MAX];
};

static int open_socket(int type, uint16_t *port);
static void udp_ready(struct loop *loop, struct io *io, uint32_t events);
static void tcp_ready(struct loop *loop, struct io *io, uint32_t events);
static void client_ready(struct loop *loop, struct io *io, uint32_t events);
static void client_close(struct client *c);
static void asked(struct dns_server *s, struct query *q, int fd);
static bool query_read(struct query *q);
static void answer(struct dns_server *s, const struct query *q, int fd);
static size_t answer_write(struct dns_server *s, const struct query *q, const struct rule *r);
static size_t put_name(uint8_t *at, const char *name);
static size_t put_record(uint8_t *at, const char *owner, uint16_t type, uint32_t ttl,
                         const void *data, uint16_t len);
static size_t put_u16(uint8_t *at, uint16_t v);
static struct rule *rule_of(struct dns_server *s, const char *name, uint16_t type);

struct dns_server *dns_server_new(struct loop *loop)
{
    struct dns_server *s = calloc(1, sizeof *s);
    uint16_t port = 0;

    CHECK(s);
    s->loop = loop;
    s->udp = (struct io){.ready = udp_ready, .fd = -1};
    s->tcp = (struct io){.ready = tcp_ready, .fd = -1};
    for (int i = 0; i < PORT_TRIES && s->udp.fd < 0; i++) {
        if (s->tcp.fd >= 0)
            close(s->tcp.fd);
        port = 0;
        s->tcp.fd = open_socket(SOCK_STREAM, &port);
        s->udp.fd = open_socket(SOCK_DGRAM, &port); /* somebody else may have it */
    }
    CHECK(s->udp.fd >= 0 && listen(s->tcp.fd, 8) == 0);
    CHECK(loop_watch_level(loop, &s->udp, EPOLLIN, NULL));
    CHECK(loop_watch_level(loop, &s->tcp, EPOLLIN, NULL));
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        s->clients[i] = (struct client){.io = {.ready = client_ready, .fd = -1}, .server = s};
    (void)snprintf(s->text, sizeof s->text, "127.0.0.1:%u", (unsigned)port);
    return s;
}

void dns_server_free(struct dns_server *s)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        client_close(&s->clients[i]);
    loop_forget(s->loop, &s->udp);
    loop_forget(s->loop, &s->tcp);
    close(s->udp.fd);
    close(s->tcp.fd);
    free(s);
}

const char *dns_server_text(const struct dns_server *s)
{
    return s->text;
}

void dns_server_say(struct dns_server *s, const char *name, enum dns_type type,
                    const struct dns_rule *rule)
{
    struct rule *r = rule_of(s, name, (uint16_t)type);

    r->rule = *rule;
    r->said = true;
}

void dns_server_release(struct dns_server *s, const char *name, enum dns_type type)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->held_count; i++)
        if (s->held[i].type == type && strcasecmp(s->held[i].name, name) == 0)
            answer(s, &s->held[i], s->udp.fd);
        else
            s->held[kept++] = s->held[i];
    s->held_count = kept;
}

unsigned dns_server_asked(const struct dns_server *s, const char *name, enum dns_type type)
{
    if (!name)
        return s->asked;
    for (size_t i = 0; i < s->rule_count; i++)
        if (s->rules[i].type == type && strcasecmp(s->rules[i].name, name) == 0)
            return s->rules[i].asked;
    return 0;
}

unsigned dns_server_asked_tcp(const struct dns_server *s)
{
    return s->asked_tcp;
}

/* *port: in, the wanted one, or 0; out, the one it got. Returns -1 when it is taken. */
static int open_socket(int type, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof a;

    CHECK(fd >= 0);
    a.sin_port = htons(*port);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    CHECK(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void udp_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct dns_server *s = OWNER(io, struct dns_server, udp);
    struct query q = {0};
    socklen_t len = sizeof q.from;
    ssize_t n;

    (void)loop;
    (void)events;
    n = recvfrom(io->fd, q.bytes, sizeof q.bytes, 0, (struct sockaddr *)&q.from, &len);
    if (n <= 0)
        return;
    q.len = (size_t)n;
    asked(s, &q, io->fd);
}

static void tcp_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct dns_server *s = OWNER(io, struct dns_server, tcp);
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];

        if (c->io.fd >= 0)
            continue;
        c->io.fd = fd;
        c->len = 0;
        CHECK(loop_watch_level(loop, &c->io, EPOLLIN, NULL));
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void client_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct client *c = OWNER(io, struct client, io);
    struct query q = {.tcp = true};
    ssize_t n = recv(io->fd, c->bytes + c->len, sizeof c->bytes - c->len, MSG_DONTWAIT);
    size_t need;

    (void)loop;
    (void)events;
    if (n <= 0) {
        client_close(c);
        return;
    }
    c->len += (size_t)n;
    while (c->len >= 2 && c->len >= (need = 2 + (size_t)(c->bytes[0] << 8 | c->bytes[1]))) {
        q.len = need - 2;
        memcpy(q.bytes, c->bytes + 2, q.len);
        memmove(c->bytes, c->bytes + need, c->len - need);
        c->len -= need;
        c->server->asked_tcp++;
        asked(c->server, &q, io->fd);
    }
}

static void client_close(struct client *c)
{
    if (c->io.fd < 0)
        return;
    loop_forget(c->server->loop, &c->io);
    close(c->io.fd);
    c->io.fd = -1;
}

static void asked(struct dns_server *s, struct query *q, int fd)
{
    struct rule *r;

    if (!query_read(q))
        return;
    r = rule_of(s, q->name, q->type);
    s->asked++;
    r->asked++;
    if (r->rule.drop)
        return;
    if (!r->rule.hold || q->tcp) {
        answer(s, q, fd);
        return;
    }
    CHECK(s->held_count < HELD_MAX);
    s->held[s->held_count++] = *q;
}

/* Reads name and type of the one question. */
static bool query_read(struct query *q)
{
    size_t at = 12, used = 0;

    if (q->len < 12 + 5 || q->bytes[4] != 0 || q->bytes[5] != 1)
        return false;
    while (at < q->len && q->bytes[at] != 0) {
        size_t n = q->bytes[at++];

        if (n > 63 || at + n > q->len || used + n + 2 > sizeof q->name)
            return false;
        if (used)
            q->name[used++] = '.';
        memcpy(q->name + used, q->bytes + at, n);
        used += n;
        at += n;
    }
    q->name[used] = '\0';
    if (at + 5 > q->len)
        return false;
    q->type = (uint16_t)(q->bytes[at + 1] << 8 | q->bytes[at + 2]);
    return true;
}

static void answer(struct dns_server *s, const struct query *q, int fd)
{
    size_t len = answer_write(s, q, rule_of(s, q->name, q->type));

    s->out[0] = (uint8_t)(len >> 8);
    s->out[1] = (uint8_t)len;
    if (q->tcp)
        CHECK(send(fd, s->out, len + 2, MSG_NOSIGNAL) == (ssize_t)len + 2);
    else
        (void)sendto(fd, s->out + 2, len, 0, (const struct sockaddr *)&q->from, sizeof q->from);
}

/* Returns the length of the message at s->out + 2. */
static size_t answer_write(struct dns_server *s, const struct query *q, const struct rule *r)
{
    const struct dns_rule *rule = &r->rule;
    uint8_t *const out = s->out + 2, data[256];
    const char *owner = q->name;
    size_t at = 12 + put_name(NULL, q->name) + 4, size = q->type == DNS_A ? 4 : 16;
    unsigned count = 0, rcode = r->said ? rule->rcode : DNS_NXDOMAIN;
    bool cut = rule->truncate && !q->tcp;

    memcpy(out, q->bytes, at);
    out[2] = (uint8_t)(0x84 | (cut ? 2 : 0)); /* QR AA TC */
    out[3] = (uint8_t)(0x80 | rcode);         /* RA */
    memset(out + 8, 0, 4);
    if (rule->garbage) {
        memset(out + at, 0xc0, 64);
        out[7] = 9;
        return at + 64;
    }
    if (rule->loop || rule->cname) {
        size_t n = put_name(data, rule->loop ? owner : rule->cname);

        at += put_record(out + at, owner, 5, rule->cname_ttl, data, (uint16_t)n);
        owner = rule->loop ? owner : rule->cname;
        count++;
    }
    for (size_t i = 0; !cut && i < 4 && rule->addresses[i]; i++) {
        CHECK(inet_pton(q->type == DNS_A ? AF_INET : AF_INET6, rule->addresses[i], data) == 1);
        at += put_record(out + at, owner, q->type, rule->ttl, data, (uint16_t)size);
        count++;
    }
    for (unsigned i = 0; !cut && i < rule->many; i++) {
        memset(data, 0, sizeof data);
        data[0] = q->type == DNS_A ? 127 : 0xfd;
        data[size - 2] = (uint8_t)(i >> 8);
        data[size - 1] = (uint8_t)i;
        at += put_record(out + at, owner, q->type, rule->ttl, data, (uint16_t)size);
        count++;
    }
    (void)put_u16(out + 6, (uint16_t)count);
    return at;
}

/* at NULL: only counts. */
static size_t put_name(uint8_t *at, const char *name)
{
    size_t used = 0;

    while (*name) {
        size_t n = strcspn(name, ".");

        if (at) {
            at[used] = (uint8_t)n;
            memcpy(at + used + 1, name, n);
        }
        used += n + 1;
        name += n + (name[n] == '.');
    }
    if (at)
        at[used] = 0;
    return used + 1;
}

static size_t put_record(uint8_t *at, const char *owner, uint16_t type, uint32_t ttl,
                         const void *data, uint16_t len)
{
    size_t n = put_name(at, owner);

    n += put_u16(at + n, type);
    n += put_u16(at + n, 1);
    n += put_u16(at + n, (uint16_t)(ttl >> 16));
    n += put_u16(at + n, (uint16_t)ttl);
    n += put_u16(at + n, len);
    memcpy(at + n, data, len);
    return n + len;
}

static size_t put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
    return 2;
}

static struct rule *rule_of(struct dns_server *s, const char *name, uint16_t type)
{
    struct rule *r;

    for (size_t i = 0; i < s->rule_count; i++)
        if (s->rules[i].type == type && strcasecmp(s->rules[i].name, name) == 0)
            return &s->rules[i];
    CHECK(s->rule_count < RULES_MAX);
    r = &s->rules[s->rule_count++];
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    r->type = type;
    return r;
}
