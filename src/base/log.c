#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log_render.h"

#include "base/poison.h"

enum { LIMITED_PER_SECOND = 10, LIMITED_NAMES = 64, GATHER_US = 2000 };

/* How often one event name was seen in this second. */
struct limit {
    const char *event;
    uint64_t second;
    uint32_t count, suppressed;
};

/* A ring that one thread writes and the writer thread reads; positions only grow. */
struct log {
    struct log *next;
    struct log_sink *sink;
    struct limit limits[LIMITED_NAMES + 1]; /* the last one is shared by names without a place */
    _Atomic uint64_t written __attribute__((aligned(64)));
    _Atomic uint64_t taken __attribute__((aligned(64)));
    char ring[LOG_RING_BYTES];
};

struct log_sink {
    int fd, wake_fd;
    bool json, flat, colour;
    _Atomic int level; /* the loudest of all targets; LOG_OFF: none */
    const struct log_target *targets;
    size_t target_count;
    _Atomic int levels[LOG_TARGETS_MAX];
    const struct clock *clock;
    _Atomic bool started, stopping, asleep;
    _Atomic uint64_t dropped;
    pthread_t thread;
    pthread_mutex_t direct; /* the descriptor, for whole lines; the list of logs */
    _Atomic(struct log *) logs;
};

bool log_level_parse(struct view text, enum log_level *out)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};

    for (int i = 0; i < 4; i++)
        if (view_eq_nocase(text, view_str(words[i])))
            return *out = (enum log_level)i, true;
    return false;
}

bool log_sink_new(int fd, enum log_format format, enum log_level level, const struct clock *clock,
                  struct log_sink **out, struct err *err)
{
    struct log_sink *s = calloc(1, sizeof *s);
    bool terminal = isatty(fd);

    if (!s)
        return err_set(err, ERR_MEMORY, "log");
    s->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (s->wake_fd < 0) {
        free(s);
        return err_system(err, ERR_IO, errno, "log");
    }
    s->fd = fd;
    s->flat = format == LOG_FLAT;
    s->json = format == LOG_JSON || (format == LOG_AUTO && !terminal);
    s->colour = !s->json && !s->flat && terminal && !getenv("NO_COLOR");
    atomic_store(&s->level, (int)level);
    s->clock = clock;
    pthread_mutex_init(&s->direct, NULL);
    *out = s;
    return true;
}

static void write_all(int fd, const char *at, size_t n)
{
    while (n) {
        ssize_t done = write(fd, at, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) { /* whoever shares the descriptor made it so */
            (void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
            continue;
        }
        if (done <= 0)
            return; /* nobody reads the log: there is nowhere to say so */
        at += done;
        n -= (size_t)done;
    }
}

/* Writes out what one ring holds. True: it held something. */
static bool empty_ring(struct log *log)
{
    uint64_t from = atomic_load_explicit(&log->taken, memory_order_relaxed);
    uint64_t to = atomic_load_explicit(&log->written, memory_order_acquire);
    size_t at = from % LOG_RING_BYTES, n = (size_t)(to - from), first;

    if (!n)
        return false;
    first = n < LOG_RING_BYTES - at ? n : LOG_RING_BYTES - at;
    pthread_mutex_lock(&log->sink->direct); /* while starting and stopping, others write directly */
    write_all(log->sink->fd, log->ring + at, first);
    write_all(log->sink->fd, log->ring, n - first);
    pthread_mutex_unlock(&log->sink->direct);
    atomic_store_explicit(&log->taken, to, memory_order_release);
    return true;
}

static bool empty_all(struct log_sink *s)
{
    bool any = false;

    for (struct log *log = atomic_load(&s->logs); log; log = log->next)
        any |= empty_ring(log);
    return any;
}

static void *writer_main(void *argument)
{
    struct log_sink *s = argument;
    uint64_t ignored;

    (void)pthread_setname_np(pthread_self(), "log-writer");
    for (;;) {
        if (empty_all(s))
            continue;
        if (atomic_load(&s->stopping))
            break;
        /* An exchange, as in wake: of the two, the later one sees what stood before the earlier. */
        (void)atomic_exchange(&s->asleep, true);
        if (empty_all(s) || atomic_load(&s->stopping)) { /* came just before we lay down */
            atomic_store(&s->asleep, false);
            continue;
        }
        (void)!read(s->wake_fd, &ignored, sizeof ignored);
        /* Lines come in bursts: one wake-up for all of a moment, not one for each. */
        if (!atomic_load(&s->stopping))
            usleep(GATHER_US);
    }
    return NULL;
}

static void wake(struct log_sink *s)
{
    const uint64_t one = 1;

    if (atomic_exchange(&s->asleep, false))
        (void)!write(s->wake_fd, &one, sizeof one);
}

bool log_sink_start(struct log_sink *s, struct err *err)
{
    sigset_t all, before;
    int failed;

    if (atomic_load(&s->started))
        return true;
    atomic_store(&s->stopping, false);
    (void)sigfillset(&all); /* signals are the business of the program's own threads */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&s->thread, NULL, writer_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return err_system(err, ERR_MEMORY, failed, "log writer");
    atomic_store(&s->started, true);
    return true;
}

void log_sink_stop(struct log_sink *s)
{
    if (!atomic_exchange(&s->started, false))
        return;
    atomic_store(&s->stopping, true);
    wake(s);
    pthread_join(s->thread, NULL);
    (void)empty_all(s);
}

void log_sink_free(struct log_sink *s)
{
    struct log *log;

    if (!s)
        return;
    log_sink_stop(s);
    (void)empty_all(s); /* of threads that still logged while it stopped */
    log = atomic_load(&s->logs);
    while (log) {
        struct log *next = log->next;

        free(log);
        log = next;
    }
    close(s->wake_fd);
    pthread_mutex_destroy(&s->direct);
    free(s);
}

void log_sink_level(struct log_sink *s, enum log_level level)
{
    for (size_t i = 0; i < s->target_count; i++)
        atomic_store(&s->levels[i], (int)level);
    atomic_store(&s->level, (int)level);
}

void log_sink_targets(struct log_sink *s, const struct log_target *rows, size_t count)
{
    CHECK(count > 0 && count <= LOG_TARGETS_MAX && !rows[count - 1].word);
    s->targets = rows;
    s->target_count = count;
    log_sink_level(s, (enum log_level)atomic_load(&s->level));
}

void log_sink_filter(struct log_sink *s, struct view filter)
{
    int loudest = LOG_OFF;

    for (size_t i = 0; i < s->target_count; i++) {
        int level = log_filter_level(filter, view_str(s->targets[i].target));

        atomic_store(&s->levels[i], level);
        if (level > loudest)
            loudest = level;
    }
    if (!s->target_count)
        loudest = log_filter_level(filter, VIEW(""));
    atomic_store(&s->level, loudest);
}

/* The row of who speaks: the last one is everybody's. */
static size_t target_of(const struct log_sink *s, const char *event)
{
    size_t i = 0, word = strcspn(event, ".");

    while (i + 1 < s->target_count &&
           (strncmp(s->targets[i].word, event, word) != 0 || s->targets[i].word[word]))
        i++;
    return i;
}

uint64_t log_sink_dropped(const struct log_sink *s)
{
    return atomic_load(&s->dropped);
}

bool log_new(struct log_sink *s, struct log **out, struct err *err)
{
    struct log *log = aligned_alloc(64, (sizeof *log + 63) / 64 * 64);

    if (!log)
        return err_set(err, ERR_MEMORY, "log of a thread");
    memset(log, 0, offsetof(struct log, ring)); /* the ring's pages come when they are used */
    log->sink = s;
    pthread_mutex_lock(&s->direct);
    log->next = atomic_load(&s->logs);
    atomic_store(&s->logs, log);
    pthread_mutex_unlock(&s->direct);
    *out = log;
    return true;
}

bool log_wants(const struct log *log, enum log_level level)
{
    return log && (int)level <= atomic_load_explicit(&log->sink->level, memory_order_relaxed);
}

static void emit(struct log *log, const struct log_line *line)
{
    struct log_sink *s = log->sink;
    uint64_t to, from;
    size_t at, first;

    if (!atomic_load_explicit(&s->started, memory_order_acquire)) {
        pthread_mutex_lock(&s->direct);
        write_all(s->fd, line->at, line->len);
        pthread_mutex_unlock(&s->direct);
        return;
    }
    to = atomic_load_explicit(&log->written, memory_order_relaxed);
    from = atomic_load_explicit(&log->taken, memory_order_acquire);
    if (LOG_RING_BYTES - (to - from) < line->len) {
        atomic_fetch_add(&s->dropped, 1);
        return;
    }
    at = to % LOG_RING_BYTES;
    first = line->len < LOG_RING_BYTES - at ? line->len : LOG_RING_BYTES - at;
    memcpy(log->ring + at, line->at, first);
    memcpy(log->ring, line->at + first, line->len - first);
    atomic_store_explicit(&log->written, to + line->len, memory_order_release);
    wake(s);
}

static void render_and_emit(struct log *log, enum log_level level, const char *event,
                            const char *message, const struct log_field *fields, size_t count)
{
    struct log_sink *s = log->sink;
    struct log_line line;

    if (s->flat) {
        const char *target = s->target_count ? s->targets[target_of(s, event)].target : "";

        log_render_flat(&line, clock_wall_us(s->clock), level, target, message, fields, count);
    } else {
        log_render(&line, s->json, s->colour, clock_wall_ms(s->clock), level, event, message,
                   fields, count);
    }
    emit(log, &line);
}

/* The place of that name, taken at its first use: there are fewer names in the program than places. */
static struct limit *limit_of(struct log *log, const char *event)
{
    size_t at = ((uintptr_t)event >> 3) % LIMITED_NAMES;

    for (size_t tries = 0; tries < LIMITED_NAMES; tries++) {
        struct limit *l = &log->limits[at];

        if (!l->event)
            l->event = event;
        if (l->event == event)
            return l;
        at = (at + 1) % LIMITED_NAMES;
    }
    return &log->limits[LIMITED_NAMES];
}

static bool over_limit(struct log *log, const char *event)
{
    struct limit *l = limit_of(log, event);
    uint64_t second = clock_monotonic_ms(log->sink->clock) / 1000;

    if (l->second != second) {
        struct limit old = *l;

        *l = (struct limit){.event = event, .second = second};
        if (old.suppressed) {
            const struct log_field fields[] = {F_STR("suppressed_event", old.event),
                                               F_U64("count", old.suppressed)};

            render_and_emit(log, LOG_WARN, "log.suppressed", "lines suppressed", fields, 2);
        }
    }
    if (l->count == LIMITED_PER_SECOND) {
        l->suppressed++;
        return true;
    }
    l->count++;
    return false;
}

void log_fields(struct log *log, enum log_level level, bool limited, const char *event,
                const char *message, const struct log_field *fields, size_t count)
{
    const struct log_sink *s = log ? log->sink : NULL;

    if (!log_wants(log, level) ||
        (s->target_count && (int)level > atomic_load_explicit(&s->levels[target_of(s, event)],
                                                              memory_order_relaxed)) ||
        (limited && over_limit(log, event)))
        return;
    render_and_emit(log, level, event, message, fields, count);
}
