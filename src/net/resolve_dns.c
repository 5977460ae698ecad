#include "net/resolve_priv.h"

#include <arpa/nameser.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    DNS_TRIES = 3,
    DNS_TRY_MS_MIN = 100,
    /* c-ares doubles the time of each try: 1 + 2 + 4 parts. */
    DNS_TIME_PARTS = 7,
    DNS_UDP_BYTES = 1232, /* fits in a packet of the least IPv6 MTU, as DNS Flag Day 2020 advises */
};

/* A socket of c-ares; outlives it until the end of the batch of events. */
struct dns_socket {
    struct io io;
    struct resolver *resolver;
    struct dns_socket *next;
    struct retired retired;
};

static void library_init(void);
static void socket_changed(void *context, ares_socket_t fd, int readable, int writable);
static struct dns_socket **socket_find(struct resolver *r, int fd);
static void socket_ready(struct loop *loop, struct io *io, uint32_t events);
static void socket_freed(struct loop *loop, struct retired *retired);
static void dns_timer_fired(struct loop *loop, struct timer *timer);
static void dns_arm(struct resolver *r);
static void dns_answered(void *context, int status, int timeouts, unsigned char *reply, int len);
static int read_a(const unsigned char *reply, int len, struct addr *addrs, size_t *count,
                  uint64_t *ttl_s);
static int read_aaaa(const unsigned char *reply, int len, struct addr *addrs, size_t *count,
                     uint64_t *ttl_s);
static void least_ttl(uint64_t *ttl_s, int ttl);

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

bool dns_open(struct resolver *r, struct err *err)
{
    uint64_t try_ms = r->options.timeout_ms / DNS_TIME_PARTS;
    char lookups[] = "b"; /* DNS only: files and localhost are read by us */
    struct ares_options o = {
        .flags = ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = (int)(try_ms < DNS_TRY_MS_MIN ? DNS_TRY_MS_MIN : try_ms),
        .tries = DNS_TRIES,
        .lookups = lookups,
        .ednspsz = DNS_UDP_BYTES,
        .sock_state_cb = socket_changed,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
    int status;

    if (r->own_servers)
        mask |= ARES_OPT_DOMAINS; /* none */
    timer_init(&r->dns_timer, dns_timer_fired);
    (void)pthread_once(&library_once, library_init);
    status = library_status;
    if (status == ARES_SUCCESS)
        status = ares_init_options(&r->channel, &o, mask);
    if (status != ARES_SUCCESS)
        return err_set(err, ERR_INTERNAL, "starting the resolver: %s", ares_strerror(status));
    if (r->own_servers) {
        status = ares_set_servers_ports_csv(r->channel, r->options.servers);
        if (status != ARES_SUCCESS)
            return err_set(err, ERR_CONFIG, "DNS servers \"%s\": %s", r->options.servers,
                           ares_strerror(status));
    }
    return true;
}

void dns_close(struct resolver *r)
{
    if (r->channel)
        ares_destroy(r->channel);
    r->channel = NULL;
    timer_cancel(&r->dns_timer);
}

void dns_ask(struct resolver *r, struct family *f)
{
    const char *name = f->entry->name;
    int type = f == &f->entry->families[FAMILY_V6] ? ns_t_aaaa : ns_t_a;

    f->asked = true;
    r->asked++;
    metric_add(&r->stats.queries, 1);
    /* Search domains are for names without a dot only: others are what they say. */
    if (strchr(name, '.'))
        ares_query(r->channel, name, ns_c_in, type, dns_answered, f);
    else
        ares_search(r->channel, name, ns_c_in, type, dns_answered, f);
    dns_arm(r);
}

static void library_init(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static void socket_changed(void *context, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = context;
    struct dns_socket **at = socket_find(r, fd), *s = *at;
    uint32_t events = (readable ? EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);

    if (!s) {
        if (!events)
            return;
        s = calloc(1, sizeof *s);
        if (!s)
            return; /* never heard of again: the query ends by its time-out */
        *s = (struct dns_socket){.io = {.ready = socket_ready, .fd = fd}, .resolver = r};
        *at = s;
    }
    if (events && loop_watch_level(r->loop, &s->io, events, NULL))
        return;
    loop_forget(r->loop, &s->io);
    *at = s->next;
    s->retired.free = socket_freed;
    loop_retire(r->loop, &s->retired);
}

/* Where it is linked, or where it would be. */
static struct dns_socket **socket_find(struct resolver *r, int fd)
{
    struct dns_socket **at = &r->sockets;

    while (*at && (*at)->io.fd != fd)
        at = &(*at)->next;
    return at;
}

static void socket_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct resolver *r = OWNER(io, struct dns_socket, io)->resolver;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP);

    (void)loop;
    ares_process_fd(r->channel, in ? io->fd : ARES_SOCKET_BAD,
                    events & EPOLLOUT ? io->fd : ARES_SOCKET_BAD);
    dns_arm(r);
}

static void socket_freed(struct loop *loop, struct retired *retired)
{
    (void)loop;
    free(OWNER(retired, struct dns_socket, retired));
}

static void dns_timer_fired(struct loop *loop, struct timer *timer)
{
    struct resolver *r = OWNER(timer, struct resolver, dns_timer);

    (void)loop;
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_arm(r);
}

/* For the next time-out of c-ares. */
static void dns_arm(struct resolver *r)
{
    struct timeval room, *left = ares_timeout(r->channel, NULL, &room);

    timer_cancel(&r->dns_timer);
    if (left)
        timer_set(r->loop, &r->dns_timer,
                  loop_now_ms(r->loop) + (uint64_t)left->tv_sec * 1000 +
                      (uint64_t)left->tv_usec / 1000 + 1);
}

static void dns_answered(void *context, int status, int timeouts, unsigned char *reply, int len)
{
    struct family *f = context;
    struct resolver *r = f->entry->resolver;
    struct addr addrs[RESOLVE_ADDRESSES_MAX];
    bool v6 = f == &f->entry->families[FAMILY_V6];
    uint64_t ttl_s = UINT32_MAX;
    size_t count = 0;

    (void)timeouts;
    r->asked--;
    if (r->closing)
        return;
    if (status == ARES_SUCCESS)
        status = (v6 ? read_aaaa : read_a)(reply, len, addrs, &count, &ttl_s);
    if (status == ARES_SUCCESS && count > 0)
        family_settle(f, FAMILY_FOUND, addrs, count, ttl_s * 1000);
    else if (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND)
        family_settle(f, FAMILY_NONE, NULL, 0, 0);
    else
        family_settle(f, status == ARES_ETIMEOUT ? FAMILY_LATE : FAMILY_FAILED, NULL, 0, 0);
}

static int read_a(const unsigned char *reply, int len, struct addr *addrs, size_t *count,
                  uint64_t *ttl_s)
{
    struct ares_addrttl found[RESOLVE_ADDRESSES_MAX];
    int n = RESOLVE_ADDRESSES_MAX, status = ares_parse_a_reply(reply, len, NULL, found, &n);

    for (int i = 0; status == ARES_SUCCESS && i < n; i++) {
        struct addr *a = &addrs[(*count)++];

        *a = (struct addr){.family = AF_INET};
        memcpy(a->ip, &found[i].ipaddr, sizeof found[i].ipaddr);
        least_ttl(ttl_s, found[i].ttl);
    }
    return status;
}

static int read_aaaa(const unsigned char *reply, int len, struct addr *addrs, size_t *count,
                     uint64_t *ttl_s)
{
    struct ares_addr6ttl found[RESOLVE_ADDRESSES_MAX];
    int n = RESOLVE_ADDRESSES_MAX, status = ares_parse_aaaa_reply(reply, len, NULL, found, &n);

    for (int i = 0; status == ARES_SUCCESS && i < n; i++) {
        struct addr *a = &addrs[(*count)++];

        *a = (struct addr){.family = AF_INET6};
        memcpy(a->ip, &found[i].ip6addr, sizeof a->ip);
        addr_unmap(a);
        least_ttl(ttl_s, found[i].ttl);
    }
    return status;
}

/* A TTL with the top bit set is no TTL (RFC 2181, 8). */
static void least_ttl(uint64_t *ttl_s, int ttl)
{
    uint64_t s = ttl > 0 ? (uint64_t)ttl : 0;

    if (s < *ttl_s)
        *ttl_s = s;
}
