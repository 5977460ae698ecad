/* The helper: one thread, no keys, the rights that we had at the start. It reads asks, one at a time, and answers each. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "child/child_priv.h"
#include "net/process.h"

enum { CONTROL_FD = 3 };

/* A process that runs, or has not been reaped: its number is nobody else's. */
struct ward {
    struct ward *next;
    pid_t pid;
};

/* Of one loop. */
struct line {
    int fd;
    struct ward *wards;
};

static struct {
    struct line lines[HELPER_LOOPS_MAX];
    struct pollfd polled[HELPER_LOOPS_MAX + 1]; /* control first */
    size_t count;
} helper;

/* --- asks ------------------------------------------------------------------------------------------- */

static struct ward **find(struct line *l, pid_t pid)
{
    struct ward **at = &l->wards;

    while (*at && (*at)->pid != pid)
        at = &(*at)->next;
    return at;
}

static void start(struct line *l, const struct helper_ask *ask, const int *fds,
                  struct helper_answer *answer, int *pidfd)
{
    struct ward *ward = calloc(1, sizeof *ward);
    struct spawn_image *image = NULL;
    struct spawned s = {.pidfd = -1, .stage = SPAWN_PROCESS, .errnum = ENOMEM};

    if (ward && wire_image_take(fds[0], ask, &image))
        spawn(image, fds + 1, &s);
    else if (ward)
        s.errnum = errno;
    spawn_image_free(image);
    *answer = (struct helper_answer){.pid = s.pid, .stage = s.stage, .errnum = s.errnum};
    *pidfd = s.pidfd;
    if (s.errnum) {
        free(ward);
        return;
    }
    ward->pid = s.pid;
    ward->next = l->wards;
    l->wards = ward;
}

static int reap(struct ward **at)
{
    struct ward *ward = *at;
    int status;

    (void)kill(-ward->pid, SIGKILL);
    status = spawn_reap(ward->pid);
    *at = ward->next;
    free(ward);
    return status;
}

static void act(struct line *l, const struct helper_ask *ask, struct helper_answer *answer)
{
    struct ward **at = find(l, ask->pid);

    *answer = (struct helper_answer){.pid = ask->pid};
    if (!*at)
        answer->status = W_EXITCODE(0, SIGKILL);
    else if (ask->verb == HELPER_REAP)
        answer->status = reap(at);
    else
        (void)kill(-ask->pid, ask->verb == HELPER_STOP ? SIGTERM : SIGKILL);
    /* A process that has been stopped (SIGSTOP) hears of it, too. */
    if (*at && ask->verb == HELPER_STOP)
        (void)kill(-ask->pid, SIGCONT);
}

/* One ask. False: this loop has ended, or nobody can talk to it. */
static bool serve(struct line *l)
{
    struct helper_answer answer;
    int fds[HELPER_FDS_MAX], pidfd = -1;
    struct helper_ask ask;
    size_t count;
    bool good;

    if (!wire_receive(l->fd, &ask, sizeof ask, fds, &count))
        return errno == EAGAIN;
    if (ask.verb != HELPER_START)
        act(l, &ask, &answer);
    else if (count == HELPER_FDS_MAX)
        start(l, &ask, fds, &answer, &pidfd);
    else /* not all of them had room here */
        answer = (struct helper_answer){.stage = SPAWN_PROCESS, .errnum = EMFILE};
    wire_close(fds, count);
    good = wire_send(l->fd, &answer, sizeof answer, &pidfd, pidfd >= 0 ? 1 : 0);
    if (pidfd >= 0) {
        /* Descriptors may be too many on their way; without it this one is killed, and no other. */
        good = good || wire_send(l->fd, &answer, sizeof answer, NULL, 0);
        close(pidfd);
    }
    return good;
}

/* --- lines ------------------------------------------------------------------------------------------ */

/* Closed last: whoever sees it closed knows that all is over. */
static void line_end(struct line *l)
{
    for (struct ward *w = l->wards; w; w = w->next)
        (void)kill(-w->pid, SIGKILL);
    while (l->wards)
        (void)reap(&l->wards);
    close(l->fd);
}

static bool line_begin(int control)
{
    int fds[HELPER_FDS_MAX];
    size_t count;
    char byte;

    if (!wire_receive(control, &byte, 1, fds, &count))
        return errno == EAGAIN;
    if (count != 1 || helper.count == HELPER_LOOPS_MAX)
        wire_close(fds, count);
    else
        helper.lines[helper.count++] = (struct line){.fd = fds[0]};
    return true;
}

static bool wait_for_asks(pid_t parent)
{
    helper.polled[0] = (struct pollfd){.fd = CONTROL_FD, .events = POLLIN};
    for (size_t i = 0; i < helper.count; i++)
        helper.polled[i + 1] = (struct pollfd){.fd = helper.lines[i].fd, .events = POLLIN};
    if (poll(helper.polled, helper.count + 1, -1) >= 0)
        return true;
    for (size_t i = 0; i <= helper.count; i++)
        helper.polled[i].revents = 0;
    return getppid() == parent;
}

static void run(pid_t parent)
{
    do {
        for (size_t i = helper.count; i-- > 0;)
            if (helper.polled[i + 1].revents && !serve(&helper.lines[i])) {
                line_end(&helper.lines[i]);
                helper.lines[i] = helper.lines[--helper.count];
            }
        if (helper.polled[0].revents && !line_begin(CONTROL_FD))
            break;
    } while (wait_for_asks(parent));
    while (helper.count)
        line_end(&helper.lines[--helper.count]);
}

/* --- life ------------------------------------------------------------------------------------------- */

static void woken(int signo)
{
    (void)signo;
}

/* What is sent to our whole group is for the one that we work for: it may want to stop its children in order. */
static bool quiet(pid_t parent)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, wake = {.sa_handler = woken};
    sigset_t most;

    sigfillset(&most);
    sigdelset(&most, SIGUSR1);
    return sigaction(SIGCHLD, &usual, NULL) == 0 && sigaction(SIGUSR1, &wake, NULL) == 0 &&
           sigprocmask(SIG_SETMASK, &most, NULL) == 0 &&
           prctl(PR_SET_PDEATHSIG, (unsigned long)SIGUSR1, 0UL, 0UL, 0UL) == 0 &&
           getppid() == parent;
}

/* Kernels before 5.9 lack the call, and filters forbid it. */
static void close_from(int first)
{
    long end = sysconf(_SC_OPEN_MAX);

    if (syscall(SYS_close_range, first, ~0U, 0) != 0)
        for (int fd = first; fd < end; fd++)
            close(fd);
}

/* Standard error stays, for what CHECK would say. */
static bool close_others(int control)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool good = null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
                (control == CONTROL_FD || dup3(control, CONTROL_FD, O_CLOEXEC) >= 0);

    close_from(CONTROL_FD + 1);
    return good;
}

static _Noreturn void helper_main(const char *name, int control, char **environment, pid_t parent)
{
    for (char **at = environment; at && *at; at++)
        secret_wipe(*at, strlen(*at));
    secret_no_dumps();
    (void)descriptors_raise(); /* as children of ours would have it */
    (void)prctl(PR_SET_NAME, name, 0UL, 0UL, 0UL);
    if (!quiet(parent) || !close_others(control))
        _exit(1);
    run(parent);
    _exit(0);
}

bool child_helper_start(const char *name, char **environment, struct err *err)
{
    int ends[2] = {-1, -1};
    pid_t parent = getpid(), pid;
    int pidfd;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 || !child_lift(&ends[0]) ||
        !child_lift(&ends[1])) {
        (void)err_system(err, ERR_IO, errno, "a line to the process that starts programs");
        wire_close(ends, 2);
        return false;
    }
    pid = fork();
    if (pid == 0)
        helper_main(name, ends[1], environment, parent);
    close(ends[1]);
    if (pid < 0) {
        (void)err_system(err, ERR_IO, errno, "the process that starts programs");
        close(ends[0]);
        return false;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (!child_lift(&pidfd)) {
        (void)err_system(err, ERR_IO, errno, "the process that starts programs: its descriptor");
        close(ends[0]); /* which ends it */
        (void)spawn_reap(pid);
        return false;
    }
    channel_begin(pid, pidfd, ends[0]);
    return true;
}
