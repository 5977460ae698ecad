#include "net/connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#include "base/poison.h"

/* 0, or why not. timeout_ms 0: for ever. */
static int wait_connected(int fd, uint64_t timeout_ms)
{
    uint64_t until = clock_monotonic_ms(&clock_system) + timeout_ms;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int failure = 0, n;
    socklen_t len = sizeof failure;

    do {
        uint64_t now = clock_monotonic_ms(&clock_system), left = now < until ? until - now : 0;

        n = poll(&p, 1, timeout_ms ? (int)(left < INT32_MAX ? left : INT32_MAX) : -1);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n ? errno : ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) == 0 ? failure : errno;
}

static int connect_one(const struct addrinfo *a, uint64_t timeout_ms, int *out)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), code = 0;
    const int on = 1;

    if (fd < 0)
        return errno;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
        code = errno == EINPROGRESS ? wait_connected(fd, timeout_ms) : errno;
    if (code)
        close(fd);
    else
        *out = fd;
    return code;
}

static enum err_code code_of(int failure)
{
    if (failure == ECONNREFUSED)
        return ERR_REFUSED;
    return failure == ETIMEDOUT ? ERR_TIMEOUT : ERR_IO;
}

bool connect_tcp(const char *host, uint16_t port, uint64_t timeout_ms, int *fd, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    uint64_t until = clock_monotonic_ms(&clock_system) + timeout_ms;
    struct addrinfo *all;
    unsigned count = 0;
    char service[8];
    int code;

    (void)snprintf(service, sizeof service, "%u", port);
    code = getaddrinfo(host, service, &hints, &all);
    if (code)
        return err_set(err, ERR_NAME, "connecting to %s:%s: %s", host, service, gai_strerror(code));
    for (const struct addrinfo *a = all; a; a = a->ai_next)
        count++;
    code = ETIMEDOUT;
    for (const struct addrinfo *a = all; a && code; a = a->ai_next, count--) {
        uint64_t now = clock_monotonic_ms(&clock_system), left = now < until ? until - now : 1;

        /* One that swallows packets leaves time for the others. */
        code = connect_one(a, timeout_ms ? left / count + 1 : 0, fd);
    }
    freeaddrinfo(all);
    return !code || err_system(err, code_of(code), code, "connecting to %s:%s", host, service);
}
