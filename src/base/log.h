/* log: events with typed fields, as text on a terminal and as JSON Lines elsewhere.
 *
 *   log_event(log, LOG_INFO, "tunnel.closed", "tunnel closed",
 *             F_STR("target", name), F_U64("bytes_down", n), F_STR("reason", "idle-timeout"));
 *
 *   text   2026-11-20T22:05:31.123Z  INFO tunnel closed target=tee:443 bytes_down=10 reason=idle-timeout
 *   json   {"time":"…","level":"info","event":"tunnel.closed","message":"tunnel closed","target":…}
 *   flat   {"timestamp":"…123456Z","level":"INFO","message":"tunnel closed","bytes_down":10,…,"target":"…"}
 *
 * Targets    in the flat style an event is not named; a line says by "target" which part of the program spoke: log_sink_targets
 *            tells which by the first word of the event. Filters ("warn,ati::core=debug") go by targets.
 *
 * Threads    one struct log a thread; it renders a line into a ring of its own, and one writer thread
 *            per sink moves rings to the descriptor. A full ring drops the line and counts it: a
 *            worker never waits for its log. Before log_sink_start (and after log_sink_stop) lines
 *            are written directly.
 * Peers      text that a peer chose is escaped and cut (LOG_TEXT_MAX bytes): one event is one line,
 *            whatever was sent (but F_LINES, as text). Events that a peer can cause at will go through log_event_limited:
 *            ten a second for each event name, then silence and one "suppressed" count.
 * Secrets    have no field kind; they are never given to this interface. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/view.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
/* AUTO: text when the descriptor is a terminal, else json. */
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON, LOG_FLAT };

enum { LOG_TEXT_MAX = 512, LOG_LINE_MAX = 4096, LOG_RING_BYTES = 256 * 1024, LOG_TARGETS_MAX = 32 };

struct log_field {
    const char *name; /* a literal, lower_snake_case: the same word as in metrics and docs */
    enum log_field_kind {
        LOG_F_TEXT,
        LOG_F_LINES,
        LOG_F_U64,
        LOG_F_I64,
        LOG_F_BOOL,
        LOG_F_SECONDS
    } kind;
    union {
        struct view text;
        uint64_t u64;
        int64_t i64;
        bool boolean;
        uint64_t ms; /* LOG_F_SECONDS: printed as seconds with three decimals */
    };
};

#define F_VIEW(n, v) ((struct log_field){.name = (n), .kind = LOG_F_TEXT, .text = (v)})
#define F_STR(n, s)  F_VIEW(n, view_str(s))
/* For the last field, and a person: as text it is written as it reads, its line ends too. */
#define F_LINES(n, v)   ((struct log_field){.name = (n), .kind = LOG_F_LINES, .text = (v)})
#define F_U64(n, v)     ((struct log_field){.name = (n), .kind = LOG_F_U64, .u64 = (v)})
#define F_I64(n, v)     ((struct log_field){.name = (n), .kind = LOG_F_I64, .i64 = (v)})
#define F_BOOL(n, v)    ((struct log_field){.name = (n), .kind = LOG_F_BOOL, .boolean = (v)})
#define F_SECONDS(n, v) ((struct log_field){.name = (n), .kind = LOG_F_SECONDS, .ms = (v)})

struct log_sink; /* where lines go: one a process */
struct log;      /* a thread's end of it */

/* fd is lent. A field with an empty text value is left out of the line. */
MUST_USE bool log_sink_new(int fd, enum log_format format, enum log_level level,
                           const struct clock *clock, struct log_sink **out, struct err *err);
/* Starts the writer thread (call after sandbox-relevant set-up is done, before workers run). */
MUST_USE bool log_sink_start(struct log_sink *sink, struct err *err);
/* Writes out what waits, ends the thread; lines are written directly from then on. */
void log_sink_stop(struct log_sink *sink);
void log_sink_free(struct log_sink *sink); /* also every struct log made of it */
void log_sink_level(struct log_sink *sink, enum log_level level); /* any thread, any time */
/* Who speaks: the first word of an event ("mcp" of "mcp.connected") and what it is called. The last row is for all others, its
 * word NULL. At most LOG_TARGETS_MAX rows, lent for the sink's life. Before log_new. */
struct log_target {
    const char *word, *target;
};
void log_sink_targets(struct log_sink *sink, const struct log_target *rows, size_t count);
/* Levels as RUST_LOG has them: "debug", "warn,ati::core=debug,off" …: a bare level for all, target=level for targets that begin so;
 * of several the longest counts. Words that cannot be read are passed over. Any thread, after log_sink_targets. */
void log_sink_filter(struct log_sink *sink, struct view filter);
uint64_t log_sink_dropped(const struct log_sink *sink);

MUST_USE bool log_new(struct log_sink *sink, struct log **out, struct err *err);

bool log_wants(const struct log *log, enum log_level level);
void log_fields(struct log *log, enum log_level level, bool limited, const char *event,
                const char *message, const struct log_field *fields, size_t count);

/* event: a literal, "noun.verb"; message: a short sentence for a person. log may be NULL. */
#define log_event(log, level, event, message, ...) \
    log_emit_(log, level, false, event, message, ((struct log_field[]){{0}, ##__VA_ARGS__}))
#define log_event_limited(log, level, event, message, ...) \
    log_emit_(log, level, true, event, message, ((struct log_field[]){{0}, ##__VA_ARGS__}))
#define log_emit_(log, level, limited, event, message, fields)                             \
    (log_wants(log, level) ? log_fields(log, level, limited, event, message, (fields) + 1, \
                                        sizeof(fields) / sizeof(struct log_field) - 1)     \
                           : (void)0)

MUST_USE bool log_level_parse(struct view text, enum log_level *out);
