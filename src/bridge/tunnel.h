/* tunnel: one client socket, one target socket, and the bytes between them.
 *
 *   GREETING ──► DIALLING ──► OPEN ──► ENDING ──► gone
 *   PROXY, TLS,  101 is out,  relays   flushes, says Close, waits for the peer's;
 *   HTTP head    target is    both     each side is closed on its own
 *   │            connected to ways
 *   └──► ENDING with an HTTP refusal or with 101 + Close
 *
 * Directions   up: client → target (decoded, unmasked); down: target → client (framed). They are
 *              independent: either may be blocked while the other moves.
 * Backpressure a side is read only while the other side's residue is nothing; a residue is what the
 *              kernel did not take of one read. Control frames wait in flags, never in memory of their own.
 * Memory       this struct, one small label for the log, and nothing else while idle.
 * Ends         tunnel_end says why, once; tunnel_advance carries it out (ending.c has the table).
 * Read in order   greeting.c dialling.c relay_up.c relay_down.c relay_splice.c control.c ending.c
 *                 deadlines.c report.c; tunnel.c holds the life, stream.h the client's bytes */
#pragma once

#include "base/codec.h"
#include "bridge/admit.h"
#include "bridge/worker.h"
#include "ws/ws.h"

enum tunnel_phase { TUNNEL_GREETING, TUNNEL_DIALLING, TUNNEL_OPEN, TUNNEL_ENDING, TUNNEL_GONE };

/* io.bits of both sockets. */
enum {
    IO_READABLE = 1,
    IO_WRITABLE = 2,
    IO_ENDED = 4 /* RDHUP, HUP or ERR was seen */,
    IO_FAILED = 8
};

enum tunnel_flag {
    T_UPGRADED = 1 << 0,       /* 101 has been sent: from here on we speak in frames */
    T_CLIENT_EOF = 1 << 1,     /* the client sends nothing more */
    T_CLIENT_DISCARD = 1 << 2, /* what the client sends is thrown away */
    T_ENDED_FORWARD = 1 << 3,  /* the end was decided: no new data in either direction */
    T_CLIENT_RST = 1 << 4,     /* close the client's socket with RST */
    T_CLIENT_SHUT = 1 << 5,    /* we have sent FIN to it */
    T_CLOSE_DUE = 1 << 6,      /* a Close frame is to be sent at the next frame border */
    T_CLOSE_SENT = 1 << 7,
    T_CLOSE_RECEIVED = 1 << 8,
    T_PING_DUE = 1 << 9,
    T_PONG_DUE = 1 << 10,
    T_TARGET_EOF = 1 << 11,
    T_TARGET_DISCARD = 1 << 12,
    T_TARGET_FIN_DUE = 1 << 13, /* shut its write side once the residue is out */
    T_TARGET_SHUT = 1 << 14,
    T_TARGET_EXPLICIT = 1 << 15, /* a literal or localhost: the operator's own word */
    T_TARGET_RST = 1 << 16,
    T_TARGET_BROKEN = 1 << 17, /* writing to it failed: read what it still said, then end */
    T_SPLICE = 1 << 18,        /* the bulk path is on */
    T_FIRST_DATA = 1 << 19,    /* the client has sent data */
    T_PINGED = 1 << 20,        /* a Ping is out and nothing came since */
    T_COUNTED = 1 << 21,       /* guests knows of this client */
    T_BY_CLOSE = 1 << 22,      /* refused with 101 and Close */
    T_WAITING = 1 << 23,       /* in the line for buffer memory */
    T_LINGER = 1 << 24,        /* the client's Close waits for --linger-down */
    T_TLS_READY = 1 << 25,
    T_EARLY = 1 << 26,           /* up holds frames that came behind the request, undecoded */
    T_HEADER_DONE = 1 << 27,     /* the PROXY header has been dealt with */
    T_PEER_TRUSTED = 1 << 28,    /* the socket's other end is a trusted proxy */
    T_METERED = 1 << 29,         /* a direction waits for its rate */
    T_LISTED = 1 << 30,          /* in worker.tunnels, no longer in worker.pending */
    T_STALLED = (int)(1u << 31), /* counted as stalled */
};

enum {
    RELAY_TURN_BYTES =
        512 * 1024, /* of one direction in one turn: nobody starves behind a bulk tunnel */
    RELAY_TURN_READS = 16,
    RELAY_TURN_LONG = 128 * 1024,    /* who moves so much in a turn waits behind those who do not */
    RELAY_READ_FIRST = 16 * 1024,    /* first read; doubles while reads come back full */
    RELAY_PROBE_BYTES = 512,         /* what is read for a socket that looks full */
    RELAY_UNSENT_BYTES = 512 * 1024, /* TCP_NOTSENT_LOWAT of both sockets */
    RELAY_UNSENT_SPLICE = PIPE_BYTES, /* … of a client that takes whole pipes */
    MESSAGE_BYTES_FIRST =
        64 * 1024, /* a browser delivers whole messages: small ones arrive sooner */
    MESSAGE_BYTES_MOST = 1024 * 1024,
    METER_BYTE = 1000,    /* tokens */
    MESSAGE_TIME_MS = 20, /* a message should take no longer than this to arrive */
    MESSAGE_WINDOW_MS = 100,
    PIPE_HOLD_MS = 100,
    REFUSED_DRAIN_MS = 1000,
    TARGET_DRAIN_MS = 2000,
    CONTROL_PER_SECOND = 100,
    EMPTY_PER_SECOND = 10000,
};

/* A client's control frame on its way through, and the answer to it. Only while one is. */
struct control {
    uint8_t in_len, pong_len;
    uint8_t in[WS_CONTROL_MAX], pong[WS_CONTROL_MAX];
};

/* Rates and budgets, only when the operator set any. */
struct meter {
    uint64_t up_tokens, down_tokens; /* thousandths of the bytes that may move now */
    uint64_t filled_ms;
};

struct tunnel {
    struct io client, target;
    struct timer timer;
    struct task task;
    struct retired retired;
    struct worker *worker;
    struct tunnel *previous, *next; /* in pending or tunnels */
    struct tunnel *next_waiting;
    struct policy *policy; /* NULL until the head was judged */
    const struct allow_entry *entry;
    struct tls *tls;
    union {
        struct dial *dial; /* GREETING, DIALLING */
        struct pipe *pipe; /* OPEN */
    };
    struct chunk *up, *down; /* residues */
    union {
        struct greeting *greeting; /* GREETING: a head that came in pieces */
        struct control *control;   /* later */
    };
    struct meter *meter;
    char *label; /* target, origin, subject: three C strings in a row */
    struct ws_decoder decoder;
    struct utf8 text;
    uint64_t id;
    uint64_t up_bytes, down_bytes;
    uint64_t start_ms, data_ms, heard_ms, ping_ms, progress_ms, end_ms, target_end_ms;
    uint64_t window_ms; /* of the measurement of the client's speed */
    uint32_t window_bytes;
    uint32_t up_queued, down_queued; /* what the kernel still had to send when a residue began */
    uint32_t up_want, down_want;     /* bytes to read next: grows while reads fill it */
    uint32_t message_bytes;          /* largest frame to send now */
    uint32_t flags;
    uint32_t control_second; /* floods: frames in this second */
    uint16_t control_count, empty_count;
    uint16_t close_code;             /* to send; WS_CLOSE_NO_STATUS: an empty Close */
    uint16_t close_received;         /* 0: none yet */
    bool lived, bounded;             /* socket options set: see dialling_lived, dialling_bulk */
    bool head_only;                  /* the request was HEAD: refusals have no body */
    bool heavy;                      /* moved RELAY_TURN_LONG in its last turn */
    uint8_t phase, reason, by, bulk; /* bulk: reads in a row that argue for (or against) splice */
    uint32_t connect_us;
    struct addr peer, client_addr, target_addr;
};
_Static_assert(sizeof(struct tunnel) <= 640, "8,000 idle tunnels fit in 5 MiB, labels left out");

/* tunnel.c */
void tunnel_phase_set(struct tunnel *t, enum tunnel_phase phase); /* keeps the gauges */
struct tunnel *tunnel_new(struct worker *w, int fd, const struct addr *peer);
void tunnel_wake(struct tunnel *t); /* run it soon */
void tunnel_run(struct loop *loop, struct task *task);
void tunnel_free(struct tunnel *t); /* both sockets, at once; memory after the batch */
void tunnel_list_add(struct tunnel_list *list, struct tunnel *t);
void tunnel_listed(struct tunnel *t); /* its handshake is complete: from pending to tunnels */
void tunnel_list_remove(struct tunnel_list *list, struct tunnel *t);
void tunnel_wait_for_memory(struct tunnel *t);
void tunnel_release_waiting(struct chunk_pool *pool); /* memory came back: wake the first in line */
const char *tunnel_label(const struct tunnel *t,
                         unsigned index); /* 0 target, 1 origin, 2 subject */
void tunnel_slabs_free(struct worker *w);

/* greeting.c: from the first byte to the verdict */
void greeting_run(struct tunnel *t);
/* Answers with a reason's HTTP status and ends. */
void greeting_refuse(struct tunnel *t, enum reason reason, int status, const char *extra_lines);

/* dialling.c */
void dialling_start(struct tunnel *t, const struct target *target);
/* A reload took the target out of the list while it was dialled, before 101. */
void dialling_revoke(struct tunnel *t);
/* Options that only a tunnel that lasts needs (dead-peer detection on the target's side): set when its
 * first timer fires, so that short ones do not pay for them. */
void dialling_lived(struct tunnel *t);
/* Before bulk towards the target: bounds what waits unsent in the kernel. */
void dialling_bulk(struct tunnel *t);

/* relay_*.c: each returns true when its budget is spent and there is more to do */
MUST_USE bool relay_up(struct tunnel *t);
MUST_USE bool relay_down(struct tunnel *t);
MUST_USE bool relay_splice(struct tunnel *t, uint64_t *budget);
void relay_splice_spill(struct tunnel *t); /* out of the pipe, into a residue */
void relay_splice_enter(struct tunnel *t);
void relay_splice_leave(struct tunnel *t); /* gives the pipe back */
/* Of want bytes, how many the tunnel's rate lets move now; 0: wait (T_METERED). */
uint32_t relay_allowance(struct tunnel *t, bool up, uint32_t want);
void relay_count_down(struct tunnel *t, enum stats_path path, uint32_t bytes);
bool relay_down_flush(struct tunnel *t); /* true: nothing waits any more */
/* Sends bytes to the client now, or keeps what does not go out as residue. last: our FIN follows at once,
 * and may ride on the same segment. False: the client is gone. */
bool relay_send_client(struct tunnel *t, const void *at, size_t n, bool last);
/* How many of want bytes fd would take now without leaving us a residue; at least RELAY_PROBE_BYTES. */
uint32_t relay_room(int fd, uint32_t want, uint32_t unsent_max);
uint32_t relay_queued(int fd); /* bytes that the kernel has not been acknowledged yet */

/* control.c */
MUST_USE bool control_piece(struct tunnel *t, struct view piece, unsigned phase); /* false: ended */
MUST_USE bool control_end(struct tunnel *t);
MUST_USE bool control_frame_counted(struct tunnel *t, bool empty);
void control_flush(struct tunnel *t); /* Pong, Ping, Close that are due, at a frame border */

/* ending.c */
void tunnel_end(struct tunnel *t, enum reason reason,
                enum stats_by by); /* the first reason stands */
void tunnel_end_code(struct tunnel *t, enum reason reason, enum stats_by by, uint16_t close_code);
void tunnel_advance(struct tunnel *t);
/* Until when the client may answer our Close, if it is sent now; 0: for as long as it likes. */
uint64_t tunnel_answer_due(const struct tunnel *t);
/* Once all is said, our FIN goes out at once (RFC 6455, 7.1.1): when both have said Close, after an error, or
 * after an answer by HTTP. Otherwise the client's Close is waited for. */
bool tunnel_closes_first(const struct tunnel *t);
void tunnel_client_gone(struct tunnel *t, bool reset); /* reading or writing it failed, or EOF */
void tunnel_target_gone(struct tunnel *t, bool reset);
void tunnel_give_up_client(struct tunnel *t); /* with RST; ends the tunnel's hold on it */
void tunnel_give_up_target(struct tunnel *t);

/* deadlines.c */
void deadlines_arm(struct tunnel *t);
void deadlines_fire(struct loop *loop, struct timer *timer);
bool tunnel_stalled(const struct tunnel *t); /* bytes wait in our memory for a reader */

/* report.c */
void report_admitted(const struct tunnel *t);
void report_refused(struct tunnel *t, const struct verdict *v, enum reason reason);
void report_closed(struct tunnel *t);

static inline bool tunnel_has(const struct tunnel *t, uint32_t flag)
{
    return (t->flags & flag) != 0;
}
static inline uint64_t tunnel_now(const struct tunnel *t)
{
    return loop_now_ms(t->worker->loop);
}
