/* load: the load generator's inside. One thread, one epoll, level-triggered.
 *
 *   load.c      the modes, the loop, the phases (connect, warm up, measure), the report
 *   options.c   the command line
 *   client.c    one tunnel: connect, upgrade, frames in, bytes out, close
 *   roles.c     what tunnels do in timed runs
 *   verify.c    what they do under --verify: every byte is made and checked by its position
 *   start.c     how long a program takes until it accepts
 *
 * The generator must not be the limit: frames are masked once, before the run; large payloads are
 * discarded in the kernel; no clock is read but for latencies. */
#pragma once

#include "common.h"
#include "histogram.h"

enum mode {
    MODE_UP,
    MODE_DOWN,
    MODE_ECHO,
    MODE_CONN,
    MODE_IDLE,
    MODE_CHURN,
    MODE_TOKENS,
    MODE_MIX,
    MODE_START,
};

struct options {
    enum mode mode;
    const char *mode_name;
    struct sockaddr_in connect;
    char host[64], path[512], header[1024]; /* header: whole lines, each with its CRLF */
    bool raw, verify, json, any;
    uint32_t tunnels, bulk, source_addresses, pending;
    size_t size;
    double seconds, warmup;
    uint64_t rate, count, bytes;
    char **command; /* of the start mode */
};

enum client_state { CLIENT_NONE, CLIENT_CONNECTING, CLIENT_UPGRADING, CLIENT_OPEN, CLIENT_ENDING };
enum ending { END_CLOSE, END_FIN, END_RST };

struct client;

/* What a kind of tunnel does. Any member may be NULL. */
struct role {
    void (*opened)(struct client *c);
    /* bytes NULL: len bytes were discarded unseen. May end the client. */
    void (*payload)(struct client *c, const uint8_t *bytes, size_t len);
    void (*writable)(struct client *c); /* all is sent and the socket takes more */
    bool sees;                          /* payload must not be discarded unseen */
};

struct client {
    const struct role *role;
    int fd;
    uint32_t index, generation, interest;
    enum client_state state;
    bool writes; /* role->writable is asked for */

    uint8_t head[BENCH_FRAME_HEAD_MAX], control[125];
    uint8_t head_len, control_len;
    uint64_t left, frame_len; /* of the frame that comes in */

    const uint8_t *out; /* lent by the role until it is sent */
    size_t out_len;
    uint8_t pong[6 + 125], pong_len;
    bool pong_begun; /* a part of it is sent: no frame may come between */

    char *answer; /* the upgrade answer so far */
    size_t answer_len;

    uint64_t began_ns;       /* of the connection or of the message under way */
    uint64_t sent, received; /* payload bytes */
    uint64_t *due;           /* open loop: when each message under way was due */
    uint32_t due_at, due_count, owed;
    uint8_t piece[10]; /* of a token message */
    uint32_t piece_len, piece_left;
    uint8_t *frame; /* --verify: the frame under way */
    uint32_t seed;
    bool done;
};

struct load {
    struct options o;
    int epoll;
    bool measuring, stop;
    struct client *clients; /* clients, then room for those that are ending */
    uint32_t slots, open, pending, started, hint;
    uint64_t failed, lost, operations, bytes_up, bytes_down, pings, next_due_ns, finished;
    uint64_t overrun; /* open loop: messages that were due while too many were under way */
    uint32_t next_sender, total;
    struct histogram latency;
    uint8_t *up, *echo; /* frames that are ready to send; up is many */
    size_t up_len, up_payload, echo_len,
        choice_len; /* echo begins with choice_len bytes of choice */
    uint8_t buffer[BENCH_DISCARD_BYTES];
};

extern struct load load;

void options_read(int argc, char **argv, struct options *o);
int start_measure(const struct options *o);

/* --- client.c ------------------------------------------------------------------------------- */

struct client *client_new(const struct role *role); /* connects; NULL without a free slot */
void client_event(struct client *c, uint32_t events);
/* c->out must be empty. bytes stay lent until they are sent. */
void client_send(struct client *c, const uint8_t *bytes, size_t len);
void client_want_writable(struct client *c, bool wanted);
void client_end(struct client *c, enum ending how);

/* --- roles.c, verify.c ---------------------------------------------------------------------- */

extern const struct role role_up, role_down, role_echo, role_tokens, role_conn, role_idle;
extern const struct role role_verify;

void frames_prepare(void); /* fills load.up and load.echo */
/* The frame that asks `wstarget any` for a service; empty without --any. Lends static storage. */
const uint8_t *frame_choice(enum bench_service service, size_t *len);
/* Sends what is due in an open loop; returns nanoseconds until the next, UINT64_MAX for none. */
uint64_t echo_open_loop(uint64_t now);
enum bench_service verify_service(void);
