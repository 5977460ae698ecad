#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "child/child_priv.h"
#include "net/owner.h"

/* DRAIN_PIECES: of output that waits when a process has ended; somebody may write on without end. */
enum { PIECE_BYTES = 64 * 1024, DRAIN_PIECES = 64 };

struct child {
    struct child *next, **link; /* in the list of all */
    struct loop *loop;
    struct child_receiver receiver; /* of an abandoned child: empty */
    void *context;
    struct spawn_image *image; /* until it runs */
    int give[3];               /* what it will have as 0, 1 and 2: until it runs */
    unsigned tries;
    pid_t pid; /* 0: it does not run yet. Ours until it is reaped, and with it its group's number */
    int pidfd; /* of the process, until it is reaped */
    struct io process; /* the same; -1: it has ended, or does not run yet */
    struct io in, out, error;
    struct buf waiting; /* for in */
    bool in_closing;    /* once nothing is waiting */
    uint64_t unread;
    bool stopping, killed;
    struct timer timer; /* the next try, or the end of the grace */
    struct buf error_end;
    struct budget *places; /* that it has one of */
    struct channel
        *channel; /* NULL: we start, signal and reap ourselves; else the helper is asked: */
    struct ask start, stop, kill, reap;
    bool starting, reaping; /* it has not answered yet */
    struct err why;         /* it could not be started after all */
    struct retired retired;
};

/* Every child of every loop: known only for child_end_all. */
static struct {
    pthread_mutex_t lock;
    struct child *first;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local uint8_t piece[PIECE_BYTES];

static void ended(struct child *c);

/* --- streams ---------------------------------------------------------------------------------------- */

static void close_io(struct child *c, struct io *io)
{
    if (io->fd < 0)
        return;
    loop_forget(c->loop, io);
    close(io->fd);
    io->fd = -1;
}

static void close_give(struct child *c)
{
    for (size_t i = 0; i < 3; i++) {
        if (c->give[i] >= 0)
            close(c->give[i]);
        c->give[i] = -1;
    }
}

/* Nobody has the other end of its input: what is in between stays there. */
static void count_unread(struct child *c)
{
    struct pollfd end = {.fd = c->in.fd};
    int bytes = 0;

    if (poll(&end, 1, 0) == 1 && (end.revents & POLLERR) &&
        ioctl(c->in.fd, FIONREAD, &bytes) == 0 && bytes >= 0)
        c->unread = (uint64_t)bytes + buf_len(&c->waiting);
}

static void drop_input(struct child *c)
{
    if (c->in.fd >= 0)
        count_unread(c);
    close_io(c, &c->in);
    buf_done(&c->waiting);
}

static void watch_input(struct child *c)
{
    struct err err;

    /* An end that is closed is told whatever is asked for. */
    if (c->in.fd >= 0 &&
        !loop_watch_level(c->loop, &c->in, buf_len(&c->waiting) ? EPOLLOUT : 0, &err))
        drop_input(c);
}

static void write_waiting(struct child *c)
{
    struct view v;
    ssize_t n;

    while (c->in.fd >= 0 && (v = buf_view(&c->waiting)).len) {
        n = write(c->in.fd, v.at, v.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            drop_input(c);
        else
            buf_eat(&c->waiting, (size_t)n);
    }
    if (c->in_closing)
        drop_input(c);
}

static void in_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct child *c = OWNER(io, struct child, in);

    (void)loop;
    if (events & (EPOLLERR | EPOLLHUP)) {
        drop_input(c);
        return;
    }
    write_waiting(c);
    if (!buf_len(&c->waiting)) {
        buf_done(&c->waiting);
        watch_input(c);
    }
}

static void keep_error(struct child *c, struct view text)
{
    size_t over;

    text = view_skip(text, text.len > CHILD_ERROR_BYTES ? text.len - CHILD_ERROR_BYTES : 0);
    over = buf_len(&c->error_end) + text.len;
    over = over > CHILD_ERROR_BYTES ? over - CHILD_ERROR_BYTES : 0;
    buf_eat(&c->error_end, over);
    /* It is for people: without memory it is left out. */
    if (!buf_append(&c->error_end, text, NULL))
        buf_reset(&c->error_end);
}

/* One piece. False: nothing is there now, or it has ended. */
static bool read_piece(struct child *c, struct io *io)
{
    ssize_t n;

    if (io->fd < 0)
        return false;
    do
        n = read(io->fd, piece, sizeof piece);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        close_io(c, io);
        return false;
    }
    if (io == &c->error)
        keep_error(c, view_from(piece, (size_t)n));
    else if (c->receiver.output)
        c->receiver.output(c->context, view_from(piece, (size_t)n));
    secret_wipe(piece, (size_t)n); /* a program may print a key, and the thread outlives it */
    return true;
}

static bool all_read(const struct child *c)
{
    return c->out.fd < 0 && c->error.fd < 0;
}

static void out_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct child *c = OWNER(io, struct child, out);

    (void)loop;
    (void)events;
    read_piece(c, io);
    if (c->process.fd < 0 && all_read(c))
        ended(c);
}

static void error_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct child *c = OWNER(io, struct child, error);

    (void)loop;
    (void)events;
    read_piece(c, io);
    if (c->process.fd < 0 && all_read(c))
        ended(c);
}

/* --- life ------------------------------------------------------------------------------------------- */

/* The process stays a zombie until it is reaped, so that nobody else gets its number: the signal finds its group or nobody. */
static void stop_group(struct child *c)
{
    if (!c->pid || c->reaping)
        return;
    c->stop.pid = c->pid;
    if (c->channel) {
        channel_ask(c->channel, &c->stop);
        return;
    }
    (void)kill(-c->pid, SIGTERM);
    /* A process that has been stopped (SIGSTOP) hears of it, too. */
    (void)kill(-c->pid, SIGCONT);
}

/* Without asking the helper. */
static void kill_ourselves(const struct child *c)
{
    if (c->channel && c->pidfd >= 0)
        spawn_kill(c->pidfd, true);
}

/* Once: when the timer that leads here fires again, it has not helped. */
static void kill_group(struct child *c)
{
    c->killed = true;
    c->kill.pid = c->pid;
    if (c->channel)
        channel_ask(c->channel, &c->kill);
    else
        (void)kill(-c->pid, SIGKILL);
    timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CHILD_GRACE_MS);
}

static void link_(struct child *c)
{
    pthread_mutex_lock(&all.lock);
    c->next = all.first;
    c->link = &all.first;
    if (c->next)
        c->next->link = &c->next;
    all.first = c;
    pthread_mutex_unlock(&all.lock);
}

static void unlink_(struct child *c)
{
    pthread_mutex_lock(&all.lock);
    if (c->link) {
        *c->link = c->next;
        if (c->next)
            c->next->link = c->link;
        c->link = NULL;
    }
    pthread_mutex_unlock(&all.lock);
}

static void retire(struct loop *loop, struct retired *retired)
{
    (void)loop;
    free(OWNER(retired, struct child, retired));
}

static void forget_process(struct child *c)
{
    if (c->process.fd >= 0)
        loop_forget(c->loop, &c->process);
    c->process.fd = -1;
}

/* Everything but the struct's memory. */
static void release(struct child *c)
{
    unlink_(c);
    timer_cancel(&c->timer);
    forget_process(c);
    if (c->pidfd >= 0)
        close(c->pidfd);
    c->pidfd = -1;
    close_io(c, &c->out);
    close_io(c, &c->error);
    drop_input(c);
    close_give(c);
    spawn_image_free(c->image);
    c->image = NULL;
    buf_wipe(&c->error_end);
    budget_give(c->places, 1);
    c->places = NULL;
}

/* Kills what is left of the group and takes the status. The process is a zombie, or was killed: it does not take long. */
static int reap(struct child *c)
{
    int status = 0;

    if (c->pid) {
        (void)kill(-c->pid, SIGKILL);
        status = spawn_reap(c->pid);
    }
    c->pid = 0;
    return status;
}

static void tell(struct child *c, int status)
{
    struct child_receiver r = c->receiver;

    c->receiver = (struct child_receiver){0};
    if (c->why.code && r.failed)
        r.failed(c->context, &c->why);
    else if (c->why.code && r.ended)
        r.ended(c->context, W_EXITCODE(127, 0), view_str(c->why.text));
    else if (r.ended)
        r.ended(c->context, status, buf_view(&c->error_end));
}

static void finish(struct child *c, int status)
{
    timer_cancel(&c->timer);
    tell(c, status);
    release(c);
    loop_retire(c->loop, &c->retired);
}

/* What is there still; its group writes no more. */
static void drain(struct child *c)
{
    for (int i = 0; i < DRAIN_PIECES && (read_piece(c, &c->out) || read_piece(c, &c->error));)
        i++;
}

static void reaped(struct ask *ask, const struct helper_answer *answer, int pidfd)
{
    struct child *c = OWNER(ask, struct child, reap);

    if (pidfd >= 0)
        close(pidfd);
    c->pid = 0;
    drain(c);
    /* Without a helper: it was killed when that ended. */
    finish(c, answer ? answer->status : W_EXITCODE(0, SIGKILL));
}

/* The process has ended, or never ran. */
static void ended(struct child *c)
{
    if (!c->pid) {
        finish(c, W_EXITCODE(0, SIGTERM)); /* stopped before it ran */
    } else if (!c->channel) {
        (void)kill(-c->pid, SIGKILL);
        drain(c);
        finish(c, reap(c));
    } else if (!c->reaping) {
        c->reaping = true;
        if (c->stopping)
            timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CHILD_GRACE_MS);
        else
            timer_cancel(&c->timer);
        c->reap.pid = c->pid;
        channel_ask(c->channel, &c->reap);
    }
}

static void process_ready(struct loop *loop, struct io *io, uint32_t events)
{
    struct child *c = OWNER(io, struct child, process);

    (void)events;
    (void)io;
    forget_process(c);
    drop_input(c);
    if (all_read(c)) {
        ended(c);
        return;
    }
    /* Others of its group may hold its output. */
    if (c->killed || !timer_armed(&c->timer))
        timer_set(loop, &c->timer, loop_now_ms(loop) + (c->killed ? 0 : CHILD_GRACE_MS));
}

bool child_lift(int *fd)
{
    int higher;

    if (*fd < 0 || *fd > 2)
        return *fd >= 0;
    higher = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    close(*fd);
    *fd = higher;
    return higher >= 0;
}

/* It runs: now it is listened to. A helper's word of that may come behind the first of its own. */
static bool watch(struct child *c, const struct spawned *s, struct err *err)
{
    c->pid = s->pid;
    c->process.fd = s->pidfd;
    close_give(c);
    spawn_image_free(c->image);
    c->image = NULL;
    if (s->pidfd < 0)
        errno = EMFILE; /* it came, and found no room */
    if (!child_lift(&c->process.fd))
        return err_system(err, ERR_IO, errno, "a process's descriptor");
    c->pidfd = c->process.fd;
    return loop_watch_level(c->loop, &c->process, EPOLLIN, err) &&
           loop_watch_level(c->loop, &c->out, EPOLLIN, err) &&
           loop_watch_level(c->loop, &c->error, EPOLLIN, err);
}

/* Somebody still writes the program: it is tried again. */
static bool again(struct child *c, const struct spawned *s)
{
    if (s->errnum != ETXTBSY || c->stopping || c->tries++ >= CHILD_BUSY_TRIES)
        return false;
    timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CHILD_BUSY_MS);
    return true;
}

static void started(struct ask *ask, const struct helper_answer *answer, int pidfd)
{
    struct child *c = OWNER(ask, struct child, start);
    struct spawned s = {.pidfd = pidfd};

    c->starting = false;
    if (answer) {
        s.pid = answer->pid;
        s.stage = answer->stage;
        s.errnum = answer->errnum;
    }
    if (answer && !s.errnum && watch(c, &s, &c->why)) {
        if (c->stopping) {
            stop_group(c);
            timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CHILD_GRACE_MS);
        }
        return;
    }
    if (!answer)
        (void)err_set(&c->why, ERR_IO, "%.200s: %s", c->image->program, HELPER_GONE);
    else if (s.errnum && again(c, &s))
        return;
    else if (s.errnum && !(s.errnum == ETXTBSY && c->stopping))
        (void)spawn_failed(c->image, &s, &c->why);
    ended(c);
}

static bool run_it(struct child *c, struct err *err)
{
    struct spawned s;

    if (c->channel) {
        c->starting = true;
        c->start.image = c->image;
        channel_ask(c->channel, &c->start);
        return true;
    }
    spawn(c->image, c->give, &s);
    if (s.errnum)
        return again(c, &s) || spawn_failed(c->image, &s, err);
    if (watch(c, &s, err))
        return true;
    (void)reap(c);
    return false;
}

/* It had its time, and so had the helper. What still comes of it is nobody's. */
static void give_up(struct child *c)
{
    kill_ourselves(c);
    tell(c, W_EXITCODE(0, SIGKILL));
}

static void timed(struct loop *loop, struct timer *timer)
{
    struct child *c = OWNER(timer, struct child, timer);

    (void)loop;
    if (!c->pid && !c->stopping && run_it(c, &c->why))
        return;
    if (c->starting || c->reaping || (c->killed && c->process.fd >= 0))
        give_up(c);
    else if (!c->pid || c->process.fd < 0)
        ended(c);
    else
        kill_group(c);
}

/* --- opening ---------------------------------------------------------------------------------------- */

/* ours: not blocking; theirs: as programs expect it. */
static bool open_pipe(int *ours, int *theirs, bool we_write)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *ours = ends[we_write ? 1 : 0];
    *theirs = ends[we_write ? 0 : 1];
    return child_lift(ours) && child_lift(theirs) && fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool open_streams(struct child *c, bool talk, struct err *err)
{
    bool good;

    if (talk) {
        good = open_pipe(&c->in.fd, &c->give[0], true);
    } else {
        c->give[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        good = child_lift(&c->give[0]);
    }
    if (!good || !open_pipe(&c->out.fd, &c->give[1], false) ||
        !open_pipe(&c->error.fd, &c->give[2], false))
        return err_system(err, ERR_IO, errno, "%.200s: pipes", c->image->program);
    return !talk || loop_watch_level(c->loop, &c->in, 0, err);
}

/* Writing to a child that has gone is an error and no signal; and children are there until we look at them, also when
 * whoever started us did not want to know of his. */
static void set_signals(void)
{
    struct sigaction old, usual = {.sa_handler = SIG_DFL}, ignored = {.sa_handler = SIG_IGN};

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(SIGPIPE, &ignored, NULL);
    if (sigaction(SIGCHLD, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        sigaction(SIGCHLD, &usual, NULL);
}

bool child_start(struct loop *loop, const struct child_command *command, bool talk,
                 const struct child_receiver *receiver, void *context, struct child **out,
                 struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct child *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ERR_MEMORY, "%.200s: no memory for a process", command->program);
    if (!budget_take(command->places, 1)) {
        free(c);
        return err_set(err, ERR_BUSY,
                       "%.200s: as many programs run as may; try again when others have ended",
                       command->program);
    }
    c->places = command->places;
    pthread_once(&once, set_signals);
    c->loop = loop;
    c->receiver = *receiver;
    c->context = context;
    for (size_t i = 0; i < 3; i++)
        c->give[i] = -1;
    c->pidfd = -1;
    c->process = (struct io){.ready = process_ready, .fd = -1};
    c->in = (struct io){.ready = in_ready, .fd = -1};
    c->out = (struct io){.ready = out_ready, .fd = -1};
    c->error = (struct io){.ready = error_ready, .fd = -1};
    buf_init(&c->waiting, CHILD_INPUT_MAX, "a child's input");
    buf_count(&c->waiting, command->memory);
    buf_init(&c->error_end, CHILD_ERROR_BYTES, "a child's standard error");
    timer_init(&c->timer, timed);
    c->retired.free = retire;
    c->start = (struct ask){.verb = HELPER_START, .streams = c->give, .answered = started};
    c->stop.verb = HELPER_STOP;
    c->kill.verb = HELPER_KILL;
    c->reap = (struct ask){.verb = HELPER_REAP, .answered = reaped};
    if ((channel_of(loop, &c->channel, err) || err_in(err, "%.200s", command->program)) &&
        spawn_image_new(command, &c->image, err) && open_streams(c, talk, err) && run_it(c, err)) {
        link_(c);
        *out = c;
        return true;
    }
    release(c);
    free(c);
    return false;
}

bool child_open(struct loop *loop, const struct child_command *command,
                const struct child_receiver *receiver, void *context, struct child **out,
                struct err *err)
{
    return child_start(loop, command, true, receiver, context, out, err);
}

/* --- what the owner says ---------------------------------------------------------------------------- */

bool child_write(struct child *c, struct view bytes, struct err *err)
{
    bool idle = !buf_len(&c->waiting);

    if (c->in.fd < 0 || c->in_closing)
        return err_set(err, ERR_IO, "the process reads no more");
    if (!buf_append(&c->waiting, bytes, err))
        return false;
    if (!idle)
        return true;
    write_waiting(c);
    if (c->in.fd < 0)
        return err_set(err, ERR_IO, "the process reads no more");
    if (buf_len(&c->waiting))
        watch_input(c);
    return true;
}

void child_close_input(struct child *c)
{
    c->in_closing = true;
    if (!buf_len(&c->waiting))
        drop_input(c);
}

uint64_t child_unread(const struct child *c)
{
    return c->unread;
}

void child_stop(struct child *c)
{
    if (c->stopping)
        return;
    c->stopping = true;
    drop_input(c);
    if (c->starting && !channel_withdraw(c->channel, &c->start)) {
        /* The answer is on its way. */
        timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CHILD_GRACE_MS);
        return;
    }
    c->starting = false;
    if (!c->pid) {
        timer_set(c->loop, &c->timer, loop_now_ms(c->loop));
        return;
    }
    stop_group(c);
    if (!timer_armed(&c->timer))
        timer_set(c->loop, &c->timer, loop_now_ms(c->loop) + CHILD_GRACE_MS);
}

void child_abandon(struct child *c)
{
    c->receiver = (struct child_receiver){0};
    child_stop(c);
}

struct view child_error(const struct child *c)
{
    return buf_view(&c->error_end);
}

pid_t child_pid(const struct child *c)
{
    return c->pid;
}

static struct child *any_of(const struct loop *loop)
{
    struct child *c;

    pthread_mutex_lock(&all.lock);
    for (c = all.first; c && c->loop != loop; c = c->next)
        ;
    pthread_mutex_unlock(&all.lock);
    return c;
}

void child_kill_all(struct loop *loop)
{
    pthread_mutex_lock(&all.lock);
    for (const struct child *c = all.first; c; c = c->next)
        if (c->loop == loop)
            kill_ourselves(c);
    pthread_mutex_unlock(&all.lock);
}

void child_end_all(struct loop *loop)
{
    struct child *c;

    channel_close(loop);
    while ((c = any_of(loop)) != NULL) {
        if (!c->channel)
            (void)reap(c);
        kill_ourselves(c); /* the helper may have been in no state to do so */
        release(c);
        loop_retire(loop, &c->retired);
    }
}
