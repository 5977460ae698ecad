#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void *bench_alloc(size_t bytes)
{
    void *at = calloc(1, bytes);

    if (!at)
        bench_die("out of memory for %zu bytes", bytes);
    return at;
}

uint64_t bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_number(const char *text, const char *what)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        bench_die("%s: \"%s\" is not a number", what, text);
    return value;
}

double bench_cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct sockaddr_in bench_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port;

    if (!colon || (size_t)(colon - text) >= sizeof host)
        bench_die("\"%s\" is not an address; write 127.0.0.1:9000", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    port = bench_number(colon + 1, "port");
    if (port > 65535)
        bench_die("\"%s\": no such port", text);
    address.sin_port = htons((uint16_t)port);
    if (strcmp(host, "localhost") == 0)
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
             ntohl(address.sin_addr.s_addr) >> 24 != 127)
        bench_die("\"%s\" is outside 127.0.0.0/8; the benchmark stays on this machine", text);
    return address;
}

int bench_listen(const struct sockaddr_in *where)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        bench_die("socket: %m");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)where, sizeof *where) || listen(fd, 4096))
        bench_die("cannot listen on port %d: %m", ntohs(where->sin_port));
    return fd;
}

int bench_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        bench_nodelay(fd);
    else if (errno == EMFILE || errno == ENFILE)
        bench_die("out of descriptors");
    return fd;
}

void bench_nodelay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void bench_raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

const uint8_t *bench_pattern(uint64_t position)
{
    static uint8_t *ring;

    if (!ring) {
        uint32_t seed = 0x9E3779B9;

        ring = bench_alloc(BENCH_PATTERN_PERIOD + BENCH_PATTERN_ROOM);
        for (size_t i = 0; i < BENCH_PATTERN_PERIOD; i++)
            ring[i] = (uint8_t)(bench_random(&seed) >> 11);
        memcpy(ring + BENCH_PATTERN_PERIOD, ring, BENCH_PATTERN_PERIOD);
        memcpy(ring + 2 * BENCH_PATTERN_PERIOD, ring, BENCH_PATTERN_ROOM - BENCH_PATTERN_PERIOD);
    }
    return ring + position % BENCH_PATTERN_PERIOD;
}

bool bench_pattern_is(uint64_t position, const uint8_t *bytes, size_t len)
{
    while (len) {
        size_t piece = len < BENCH_PATTERN_ROOM ? len : BENCH_PATTERN_ROOM;

        if (memcmp(bytes, bench_pattern(position), piece) != 0)
            return false;
        bytes += piece;
        position += piece;
        len -= piece;
    }
    return true;
}

size_t bench_frame_head(uint64_t len, const uint8_t *mask, uint8_t out[static BENCH_FRAME_HEAD_MAX])
{
    uint8_t bit = mask ? 0x80 : 0;
    size_t n = 2, wide = len < 126 ? 0 : len < 65536 ? 2 : 8;

    out[0] = 0x82;
    out[1] = (uint8_t)(bit | (wide == 0 ? (uint8_t)len : wide == 2 ? 126 : 127));
    for (size_t i = wide; i > 0; i--)
        out[n++] = (uint8_t)(len >> (8 * (i - 1)));
    for (size_t i = 0; mask && i < 4; i++)
        out[n++] = mask[i];
    return n;
}

void bench_mask(uint8_t *at, size_t len, const uint8_t mask[static 4], unsigned phase)
{
    uint8_t turned[8];
    uint64_t key;
    size_t i = 0;

    for (unsigned k = 0; k < 8; k++)
        turned[k] = mask[(phase + k) & 3];
    memcpy(&key, turned, sizeof key);
    for (; i + 8 <= len; i += 8) {
        uint64_t word;

        memcpy(&word, at + i, sizeof word);
        word ^= key;
        memcpy(at + i, &word, sizeof word);
    }
    for (; i < len; i++)
        at[i] ^= turned[i & 7];
}

uint32_t bench_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
