/* common: what the load generator, the targets and the bare relay share.
 *
 * All of them speak IPv4 on 127.0.0.0/8 and nothing else: a benchmark has no business elsewhere.
 * None of this uses the product's code, so that a mistake there cannot hide itself here. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_READ_BYTES = 256 * 1024,
    BENCH_DISCARD_BYTES = 1024 * 1024, /* one MSG_TRUNC read */
    BENCH_PATTERN_ROOM = 1024 * 1024,  /* at least so much pattern stands behind any position */
    BENCH_PATTERN_PERIOD = 1024 * 1024 - 3, /* prime: no lost buffer or pipe is a multiple of it */
    BENCH_FRAME_HEAD_MAX = 14,
};

#define BENCH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* What a connection to `wstarget any` asks for with its first byte. */
#define BENCH_SERVICES(X)    \
    X(SINK, 'K', "sink")     \
    X(SOURCE, 'S', "source") \
    X(ECHO, 'E', "echo")     \
    X(CHECK, 'C', "check")   \
    X(TOKENS, 'T', "tokens") \
    X(STALL, 'X', "stall")   \
    X(SLOW, 'L', "slow")     \
    X(RST, 'R', "rst")       \
    X(FIN, 'F', "fin-after")

enum bench_service {
#define X(name, letter, text) BENCH_##name = letter,
    BENCH_SERVICES(X)
#undef X
};

_Noreturn void bench_die(const char *fmt, ...) BENCH_PRINTF(1, 2);
void *bench_alloc(size_t bytes); /* zeroed; ends the program when there is none */
uint64_t bench_now_ns(void);
uint64_t bench_number(const char *text, const char *what); /* ends the program when it is none */
double bench_cpu_seconds(void);                            /* of this process, so far */

/* "127.0.0.1:80" or "localhost:80"; ends the program for anything outside 127.0.0.0/8. */
struct sockaddr_in bench_address(const char *text);
int bench_listen(const struct sockaddr_in *where);
int bench_accept(int listener); /* non-blocking, TCP_NODELAY; -1 when nobody waits */
void bench_nodelay(int fd);
void bench_raise_files(void); /* the soft limit of descriptors becomes the hard one */

/* The byte stream of all sources: deterministic, and different at every position of a period.
 * Lends BENCH_PATTERN_ROOM bytes that stand at position. */
const uint8_t *bench_pattern(uint64_t position);
/* The bytes are what stands at position. */
bool bench_pattern_is(uint64_t position, const uint8_t *bytes, size_t len);

/* The head of a final binary frame; mask NULL for a server's. Returns its length. */
size_t bench_frame_head(uint64_t len, const uint8_t *mask,
                        uint8_t out[static BENCH_FRAME_HEAD_MAX]);
void bench_mask(uint8_t *at, size_t len, const uint8_t mask[static 4], unsigned phase);
uint32_t bench_random(uint32_t *state); /* xorshift: repeatable, state never 0 */

/* The one key that our generator sends, so that neither side needs SHA-1 (RFC 6455, 1.3). */
#define BENCH_WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define BENCH_WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
