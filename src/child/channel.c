#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "child/child_priv.h"
#include "net/owner.h"

struct channel {
    struct channel *next;
    struct loop *loop;
    struct io io;              /* -1: the helper has gone */
    struct ask *first, **last; /* that wait for an answer, in this order */
    struct ask *unsent;        /* the first of these */
    unsigned underway;         /* the others: at most HELPER_WINDOW */
    struct task settle;
    struct retired retired;
};

/* The helper belongs to the process. */
static struct {
    pthread_mutex_t lock;
    pid_t pid; /* 0: none */
    int control;
    struct channel *first;
    struct io io;         /* its pidfd */
    struct loop *watcher; /* NULL: nobody, or it has ended and is reaped */
    bool reaped;
    void (*ended)(void *context, int status);
    void *context;
} helper = {.lock = PTHREAD_MUTEX_INITIALIZER, .control = -1, .io.fd = -1};

static void lost(struct channel *ch);

/* --- asks ------------------------------------------------------------------------------------------- */

/* False: errno; *ours: it is the fault of this one alone, not of the line. */
static bool send_start(struct channel *ch, const struct ask *ask, bool *ours)
{
    const struct spawn_image *image = ask->image;
    struct helper_ask message = {.verb = HELPER_START,
                                 .text_bytes = (uint32_t)image->texts.len,
                                 .arguments = (uint32_t)image->argument_count,
                                 .variables = (uint32_t)image->variable_count,
                                 .folder = image->folder != NULL};
    int fds[HELPER_FDS_MAX] = {-1, ask->streams[0], ask->streams[1], ask->streams[2]}, errnum;
    bool good;

    *ours = !wire_image_put(image, &fds[0]);
    if (*ours)
        return false;
    good = wire_send(ch->io.fd, &message, sizeof message, fds, HELPER_FDS_MAX);
    errnum = errno;
    close(fds[0]);
    errno = errnum;
    return good;
}

static bool send_ask(struct channel *ch, const struct ask *ask, bool *ours)
{
    struct helper_ask message = {.verb = ask->verb, .pid = ask->pid};

    *ours = false;
    return ask->verb == HELPER_START ? send_start(ch, ask, ours)
                                     : wire_send(ch->io.fd, &message, sizeof message, NULL, 0);
}

/* What the next answer may change. */
static bool passing(int errnum)
{
    return errnum == EAGAIN || errnum == ENOBUFS || errnum == ENOMEM || errnum == ETOOMANYREFS ||
           errnum == EMFILE || errnum == ENFILE;
}

static void pump(struct channel *ch)
{
    while (ch->unsent && ch->io.fd >= 0 && ch->underway < HELPER_WINDOW) {
        struct ask *ask = ch->unsent;
        bool ours;

        if (send_ask(ch, ask, &ours)) {
            ask->sent = true;
            ch->underway++;
        } else if (ch->underway && passing(errno)) {
            return;
        } else if (ours || (ask->verb == HELPER_START && passing(errno))) {
            ask->errnum = errno;
        } else {
            lost(ch);
            return;
        }
        ch->unsent = ask->next;
    }
    if (ch->first && !ch->first->sent)
        task_queue(ch->loop, &ch->settle);
}

static struct ask *pop(struct channel *ch)
{
    struct ask *ask = ch->first;

    if (ch->unsent == ask)
        ch->unsent = ask->next;
    ch->first = ask->next;
    if (!ch->first)
        ch->last = &ch->first;
    ask->next = NULL;
    return ask;
}

/* Those that have waited long enough for what could not be sent. */
static void settle(struct loop *loop, struct task *task)
{
    struct channel *ch = OWNER(task, struct channel, settle);

    (void)loop;
    while (ch->first && (ch->io.fd < 0 || ch->first->errnum)) {
        struct ask *ask = pop(ch);
        const struct helper_answer answer = {
            .stage = ask->errnum == E2BIG ? SPAWN_EXEC : SPAWN_PROCESS, .errnum = ask->errnum};

        if (ask->answered)
            ask->answered(ask, ch->io.fd < 0 ? NULL : &answer, -1);
    }
}

static void lost(struct channel *ch)
{
    if (ch->io.fd < 0)
        return;
    loop_forget(ch->loop, &ch->io);
    close(ch->io.fd);
    ch->io.fd = -1;
    task_queue(ch->loop, &ch->settle);
    child_kill_all(ch->loop);
}

static void answered(struct channel *ch, const struct helper_answer *answer, int pidfd)
{
    struct ask *ask = pop(ch);

    ch->underway--;
    if (ask->answered)
        ask->answered(ask, answer, pidfd);
    else if (pidfd >= 0)
        close(pidfd);
    settle(ch->loop, &ch->settle);
    pump(ch);
}

static void ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct channel *ch = OWNER(io, struct channel, io);
    struct helper_answer answer;
    int fds[HELPER_FDS_MAX];
    size_t count;

    (void)loop;
    (void)events;
    do {
        while (ch->io.fd >= 0 && wire_receive(ch->io.fd, &answer, sizeof answer, fds, &count)) {
            if (!ch->underway || count > 1) {
                wire_close(fds, count);
                errno = EPROTO;
                break;
            }
            answered(ch, &answer, count ? fds[0] : -1);
            errno = EAGAIN;
        }
        /* It is told once, in front of answers that came before it. */
    } while (errno == ECONNRESET);
    if (errno != EAGAIN)
        lost(ch);
}

void channel_ask(struct channel *ch, struct ask *ask)
{
    ask->next = NULL;
    ask->sent = false;
    ask->errnum = 0;
    *ch->last = ask;
    ch->last = &ask->next;
    if (!ch->unsent)
        ch->unsent = ask;
    if (ch->io.fd < 0)
        task_queue(ch->loop, &ch->settle);
    else
        pump(ch);
}

bool channel_withdraw(struct channel *ch, struct ask *ask)
{
    struct ask **at = &ch->first;

    if (ask->sent)
        return false;
    while (*at && *at != ask)
        at = &(*at)->next;
    CHECK(*at);
    *at = ask->next;
    if (ch->unsent == ask)
        ch->unsent = ask->next;
    if (ch->last == &ask->next)
        ch->last = at;
    ask->next = NULL;
    return true;
}

/* --- lines ------------------------------------------------------------------------------------------ */

static void retire(struct loop *loop, struct retired *retired)
{
    (void)loop;
    free(OWNER(retired, struct channel, retired));
}

/* The helper gets the other end. */
static bool connect_(struct channel *ch, struct err *err)
{
    int ends[2] = {-1, -1};
    char byte = 0;
    bool good = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 &&
                child_lift(&ends[0]) && wire_send(helper.control, &byte, 1, &ends[1], 1);

    if (!good && (errno == EPIPE || errno == ECONNRESET))
        (void)err_set(err, ERR_IO, "%s", HELPER_GONE);
    else if (!good)
        (void)err_system(err, ERR_IO, errno, "the process that starts programs");
    if (ends[1] >= 0)
        close(ends[1]);
    ch->io.fd = ends[0];
    if (good && loop_watch_level(ch->loop, &ch->io, EPOLLIN, err))
        return true;
    if (ends[0] >= 0)
        close(ends[0]);
    return false;
}

static bool open_(struct loop *loop, struct channel **out, struct err *err)
{
    struct channel *ch = calloc(1, sizeof *ch);

    if (!ch)
        return err_set(err, ERR_MEMORY, "no memory for a line to the process that starts programs");
    ch->loop = loop;
    ch->last = &ch->first;
    ch->io.ready = ready;
    ch->retired.free = retire;
    task_init(&ch->settle, settle);
    if (!connect_(ch, err)) {
        free(ch);
        return false;
    }
    ch->next = helper.first;
    helper.first = ch;
    *out = ch;
    return true;
}

bool channel_of(struct loop *loop, struct channel **out, struct err *err)
{
    struct channel *ch = NULL;
    bool good = true;

    pthread_mutex_lock(&helper.lock);
    for (ch = helper.first; ch && ch->loop != loop; ch = ch->next)
        ;
    if (helper.pid && !ch)
        good = open_(loop, &ch, err);
    pthread_mutex_unlock(&helper.lock);
    if (good && ch && ch->io.fd < 0)
        return err_set(err, ERR_IO, "%s", HELPER_GONE);
    if (good)
        *out = ch;
    return good;
}

/* Until there is something to be read, for CHILD_GRACE_MS from begin on. */
static bool wait_for(int fd, uint64_t begin)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    uint64_t until = begin + CHILD_GRACE_MS, now;
    int n;

    do {
        now = clock_monotonic_ms(&clock_system);
        n = poll(&polled, 1, now < until ? (int)(until - now) : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* The helper closes its end when everything of this loop is over. */
static void wait_for_the_end(int fd)
{
    uint64_t begin = clock_monotonic_ms(&clock_system);
    struct helper_answer answer;
    int fds[HELPER_FDS_MAX];
    size_t count;

    if (shutdown(fd, SHUT_WR) != 0)
        return;
    for (;;) {
        if (wire_receive(fd, &answer, sizeof answer, fds, &count)) {
            if (count)
                spawn_kill(fds[0], true); /* it has just been started, for nobody */
            wire_close(fds, count);
        } else if (errno != EAGAIN || !wait_for(fd, begin)) {
            return;
        }
    }
}

void channel_close(struct loop *loop)
{
    struct channel **at, *ch;
    bool watches;

    pthread_mutex_lock(&helper.lock);
    for (at = &helper.first; *at && (*at)->loop != loop; at = &(*at)->next)
        ;
    ch = *at;
    if (ch)
        *at = ch->next;
    watches = helper.watcher == loop;
    if (watches)
        helper.watcher = NULL;
    pthread_mutex_unlock(&helper.lock);
    if (watches)
        loop_forget(loop, &helper.io);
    if (!ch)
        return;
    task_cancel(loop, &ch->settle);
    if (ch->io.fd >= 0) {
        loop_forget(loop, &ch->io);
        wait_for_the_end(ch->io.fd);
        close(ch->io.fd);
        ch->io.fd = -1;
    }
    loop_retire(loop, &ch->retired);
}

/* --- the helper ------------------------------------------------------------------------------------- */

void channel_begin(pid_t pid, int pidfd, int control)
{
    pthread_mutex_lock(&helper.lock);
    CHECK(!helper.pid);
    helper.pid = pid;
    helper.io.fd = pidfd;
    helper.control = control;
    helper.reaped = false;
    pthread_mutex_unlock(&helper.lock);
}

pid_t child_helper_pid(void)
{
    pid_t pid;

    pthread_mutex_lock(&helper.lock);
    pid = helper.pid;
    pthread_mutex_unlock(&helper.lock);
    return pid;
}

static void helper_ready(struct loop *loop, struct io *io, uint32_t events)
{
    int status = spawn_reap(helper.pid);

    (void)events;
    loop_forget(loop, io);
    pthread_mutex_lock(&helper.lock);
    helper.watcher = NULL;
    helper.reaped = true;
    pthread_mutex_unlock(&helper.lock);
    helper.ended(helper.context, status);
}

bool child_helper_watch(struct loop *loop, void (*ended)(void *context, int status), void *context,
                        struct err *err)
{
    bool good = true;

    pthread_mutex_lock(&helper.lock);
    if (helper.pid) {
        CHECK(!helper.watcher && !helper.reaped);
        helper.io.ready = helper_ready;
        helper.ended = ended;
        helper.context = context;
        good = loop_watch_level(loop, &helper.io, EPOLLIN, err);
        helper.watcher = good ? loop : NULL;
    }
    pthread_mutex_unlock(&helper.lock);
    return good;
}

/* One that not even a signal ends is left to whoever inherits it. */
static void end_helper(pid_t pid, int pidfd)
{
    if (!wait_for(pidfd, clock_monotonic_ms(&clock_system)))
        spawn_kill(pidfd, false);
    if (wait_for(pidfd, clock_monotonic_ms(&clock_system)))
        (void)spawn_reap(pid);
}

void child_helper_stop(void)
{
    pid_t pid;

    pthread_mutex_lock(&helper.lock);
    CHECK(!helper.first && !helper.watcher);
    pid = helper.pid;
    if (pid)
        close(helper.control);
    helper.pid = 0;
    helper.control = -1;
    pthread_mutex_unlock(&helper.lock);
    if (!pid)
        return;
    if (!helper.reaped)
        end_helper(pid, helper.io.fd);
    close(helper.io.fd);
    helper.io.fd = -1;
}
