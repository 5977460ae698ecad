#include "net/dial_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

static bool next_address(struct dial *dial, struct addr *out);
static void try_address(struct dial *dial, const struct addr *a);
static int open_socket(const struct dial *dial, const struct addr *a);
static int connect_from(struct dialer *d, int fd, const struct addr *a);
static int connect_to(int fd, const struct addr *a);
static int bind_source(int fd, const struct addr *source);
static const struct addr *source_at(const struct dialer *d, uint16_t family, size_t n);
static void wait_for(struct dial *dial, const struct addr *a, int fd);
static void attempt_ready(struct loop *loop, struct io *io, uint32_t events);
static void attempt_close(struct attempt *attempt);
static void failed_errno(struct dial *dial, const struct addr *a, int errnum);
static enum dial_outcome outcome_of(const struct addr *a, int errnum);
static bool has_route(const struct addr *a);
static unsigned weight(enum dial_outcome o);
static enum err_code err_code_of(enum dial_outcome o);
static bool addresses_left(const struct dial *dial);

void dial_try(struct dial *dial)
{
    unsigned open = dial->open;
    struct addr a;

    timer_cancel(&dial->next_try);
    while (!dial->ended && dial->open == open && next_address(dial, &a))
        try_address(dial, &a);
    if (dial->ended)
        return;
    if (dial->open == 0 && !dial->more) {
        dial_end(dial, -1, NULL);
        return;
    }
    if (dial->open > 0 && (addresses_left(dial) || dial->more))
        timer_set(dial->dialer->loop, &dial->next_try,
                  loop_now_ms(dial->dialer->loop) + DIAL_STAGGER_MS);
}

void dial_drop_attempts(struct dial *dial)
{
    for (size_t i = 0; i < dial->tried; i++)
        attempt_close(&dial->attempts[i]);
}

void dial_failed(struct dial *dial, enum dial_outcome outcome, const struct addr *a, int errnum)
{
    struct dial_result *result = &dial->result;
    char text[ADDR_TEXT_BYTES];

    result->address = *a;
    if (outcome == DIAL_NO_PORTS)
        metric_add(&dial->dialer->stats.no_ports, 1);
    if (result->outcome != DIAL_OK && weight(outcome) <= weight(result->outcome))
        return;
    result->outcome = outcome;
    addr_format(a, text);
    if (outcome == DIAL_DENIED)
        (void)err_set(&result->err, ERR_DENIED, "the address %s of \"%s\" is not allowed", text,
                      dial->host);
    else if (errnum == 0)
        (void)err_set(&result->err, ERR_TIMEOUT, "%s did not answer within %llu ms", text,
                      (unsigned long long)dial->dialer->options.timeout_ms);
    else
        (void)err_system(&result->err, err_code_of(outcome), errnum, "connecting to %s", text);
}

void dial_next_try_fired(struct loop *loop, struct timer *timer)
{
    struct dial *dial = OWNER(timer, struct dial, next_try);

    (void)loop;
    if (!dial->ended)
        dial_try(dial);
}

/* Families take turns, the preferred one begins (RFC 8305, 4). */
static bool next_address(struct dial *dial, struct addr *out)
{
    uint8_t family =
        dial->last_family == DIAL_FAMILIES ? dial->preferred : (uint8_t)(1 - dial->last_family);
    struct address_list *list = &dial->lists[family];

    if (dial->tried >= DIAL_ATTEMPTS_MAX || dial->out_of_resources)
        return false;
    if (list->next == list->count) {
        family = (uint8_t)(1 - family);
        list = &dial->lists[family];
    }
    if (list->next == list->count)
        return false;
    *out = list->addrs[list->next++];
    dial->last_family = family;
    return true;
}

static void try_address(struct dial *dial, const struct addr *a)
{
    int fd, errnum;

    if (!dial->judge(dial->judge_context, dial_host(dial), dial->literal, a)) {
        dial_failed(dial, DIAL_DENIED, a, 0);
        return;
    }
    dial->attempts[dial->tried++].io.fd = -1;
    fd = open_socket(dial, a);
    if (fd < 0) {
        failed_errno(dial, a, errno);
        return;
    }
    errnum = connect_from(dial->dialer, fd, a);
    if (errnum == 0) {
        dial_end(dial, fd, a);
        return;
    }
    if (errnum == EINPROGRESS) {
        wait_for(dial, a, fd);
        return;
    }
    failed_errno(dial, a, errnum);
    close(fd);
}

static int open_socket(const struct dial *dial, const struct addr *a)
{
    int fd = socket(a->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP), on = 1;

    if (fd >= 0 && dial->dialer->options.fast_open)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
    return fd;
}

/* Returns 0, EINPROGRESS, or why it failed. Sources whose ports are used up are passed over. */
static int connect_from(struct dialer *d, int fd, const struct addr *a)
{
    size_t *next = &d->source_next[a->family == AF_INET6 ? DIAL_V6 : DIAL_V4];
    size_t tries = d->options.source_count;
    int errnum = EADDRNOTAVAIL;

    if (!source_at(d, a->family, 0))
        return connect_to(fd, a);
    /* A socket whose connect() found no port is still without one, so it may be bound again. */
    for (; tries > 0 && errnum == EADDRNOTAVAIL; tries--) {
        errnum = bind_source(fd, source_at(d, a->family, (*next)++));
        if (errnum == 0)
            errnum = connect_to(fd, a);
    }
    return errnum;
}

static int connect_to(int fd, const struct addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);

    return connect(fd, (const struct sockaddr *)&ss, len) == 0 ? 0 : errno;
}

/* The port is chosen at connect(), when the target is known: ports are then used up per target and
 * not for all of them together. */
static int bind_source(int fd, const struct addr *source)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(source, &ss);
    int on = 1;

    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)&ss, len) == 0 ? 0 : errno;
}

/* The n-th source of a family, counting round and round; NULL when there is none. */
static const struct addr *source_at(const struct dialer *d, uint16_t family, size_t n)
{
    const struct addr *const sources = d->options.sources;
    size_t count = 0;

    for (size_t i = 0; i < d->options.source_count; i++)
        count += sources[i].family == family;
    if (count == 0)
        return NULL;
    n %= count;
    for (size_t i = 0; i < d->options.source_count; i++)
        if (sources[i].family == family && n-- == 0)
            return &sources[i];
    return NULL;
}

static void wait_for(struct dial *dial, const struct addr *a, int fd)
{
    struct attempt *attempt = &dial->attempts[dial->tried - 1];

    attempt->io = (struct io){.ready = attempt_ready, .fd = fd};
    attempt->dial = dial;
    attempt->address = *a;
    if (!loop_watch(dial->dialer->loop, &attempt->io, NULL)) {
        failed_errno(dial, a, ENOMEM);
        attempt->io.fd = -1;
        close(fd);
        return;
    }
    dial->open++;
}

static void attempt_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct attempt *attempt = OWNER(io, struct attempt, io);
    struct dial *dial = attempt->dial;
    int errnum = 0, fd = io->fd;
    socklen_t len = sizeof errnum;

    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) || dial->ended)
        return;
    if ((events & (EPOLLERR | EPOLLHUP)) &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
        errnum = errno;
    if (errnum == 0) {
        loop_closing(loop, io);
        io->fd = -1;
        dial->open--;
        dial->result.watched = true;
        dial_end(dial, fd, &attempt->address);
        return;
    }
    attempt_close(attempt);
    failed_errno(dial, &attempt->address, errnum);
    dial_try(dial);
}

static void attempt_close(struct attempt *attempt)
{
    int fd = attempt->io.fd;

    if (fd < 0)
        return;
    loop_forget(attempt->dial->dialer->loop, &attempt->io);
    attempt->io.fd = -1;
    attempt->dial->open--;
    close(fd);
}

static void failed_errno(struct dial *dial, const struct addr *a, int errnum)
{
    enum dial_outcome outcome = outcome_of(a, errnum);

    if (outcome == DIAL_NO_RESOURCES)
        dial->out_of_resources = true;
    dial_failed(dial, outcome, a, errnum);
}

static enum dial_outcome outcome_of(const struct addr *a, int errnum)
{
    switch (errnum) {
    case ECONNRESET:
        return DIAL_RESET;
    case ECONNREFUSED:
        return DIAL_REFUSED;
    case ETIMEDOUT:
        return DIAL_TIMEOUT;
    case EADDRNOTAVAIL:
        return has_route(a) ? DIAL_NO_PORTS : DIAL_UNREACHABLE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return DIAL_NO_RESOURCES;
    default:
        return DIAL_UNREACHABLE;
    }
}

/* EADDRNOTAVAIL is also what a machine without any address of the family says. A datagram socket
 * needs no TCP port: when it connects, there is a way, and it was a port that was lacking. */
static bool has_route(const struct addr *a)
{
    int fd = socket(a->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool found = fd >= 0 && connect_to(fd, a) == 0;

    if (fd >= 0)
        close(fd);
    return found;
}

/* The more it tells the operator, the heavier. */
static unsigned weight(enum dial_outcome o)
{
    static const unsigned char weights[] = {
        [DIAL_OK] = 0,          [DIAL_NAME] = 1,     [DIAL_TIMEOUT] = 2,
        [DIAL_UNREACHABLE] = 3, [DIAL_NO_PORTS] = 4, [DIAL_REFUSED] = 5,
        [DIAL_RESET] = 6,       [DIAL_DENIED] = 7,   [DIAL_NO_RESOURCES] = 8,
    };

    return weights[o];
}

static enum err_code err_code_of(enum dial_outcome o)
{
    if (o == DIAL_REFUSED)
        return ERR_REFUSED;
    if (o == DIAL_TIMEOUT)
        return ERR_TIMEOUT;
    return o == DIAL_NO_PORTS || o == DIAL_NO_RESOURCES ? ERR_LIMIT : ERR_IO;
}

static bool addresses_left(const struct dial *dial)
{
    return dial->tried < DIAL_ATTEMPTS_MAX &&
           (dial->lists[DIAL_V4].next < dial->lists[DIAL_V4].count ||
            dial->lists[DIAL_V6].next < dial->lists[DIAL_V6].count);
}
