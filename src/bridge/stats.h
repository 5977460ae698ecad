/* stats: what one worker counts. Written by its thread alone, read by whoever answers /metrics. */
#pragma once

#include "base/metrics.h"
#include "bridge/reason.h"

enum stats_by { BY_CLIENT, BY_TARGET, BY_BRIDGE, BY_COUNT };
enum stats_path { PATH_COPY, PATH_SPLICE, PATH_TLS, PATH_COUNT };
enum stats_frame { FRAME_DATA, FRAME_PING, FRAME_PONG, FRAME_CLOSE, FRAME_COUNT };

struct worker_stats {
    metric accepted, handed_over, evicted, accept_paused, accept_failed;
    metric pending, dialling, open, ending; /* gauges: tunnels by state */
    metric refused[REASON_COUNT];           /* told no before a tunnel was open */
    metric closed[REASON_COUNT][BY_COUNT];  /* tunnels that had been open, by who ended them */
    metric up_bytes, down_bytes[PATH_COUNT];
    metric up_frames[FRAME_COUNT], down_frames[FRAME_COUNT];
    metric buffers_in_use, buffer_bytes, buffer_waits;
    metric pipes_in_use, pipe_misses;
    metric stalled; /* gauge: tunnels with bytes that nobody takes */
    metric tls_handshakes, tls_resumed, tls_on_plain, http2_preface;
    metric revoked;
    struct histogram handshake_us, tunnel_us;
} __attribute__((aligned(64)));
