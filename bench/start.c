#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct timespec nap = {0, 50 * 1000};

static bool accepts(const struct sockaddr_in *where)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)where, sizeof *where) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static void stop(pid_t pid)
{
    kill(-pid, SIGTERM);
    for (int i = 0; i < 40000; i++) { /* two seconds */
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        nanosleep(&nap, NULL);
    }
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Runs the command in a process group of its own, prints when the address accepts, ends the group.
 */
int start_measure(const struct options *o)
{
    uint64_t began, limit = (uint64_t)(o->seconds * 1e9), took = 0;
    pid_t pid;

    if (accepts(&o->connect))
        bench_die("somebody listens there already");
    began = bench_now_ns();
    pid = fork();
    if (pid < 0)
        bench_die("fork: %m");
    if (pid == 0) {
        setpgid(0, 0);
        execvp(o->command[0], o->command);
        _exit(127);
    }
    setpgid(pid, pid);
    while (took < limit) {
        took = bench_now_ns() - began;
        if (accepts(&o->connect))
            break;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            bench_die("%s ended before it accepted", o->command[0]);
        nanosleep(&nap, NULL);
    }
    stop(pid);
    if (took >= limit)
        bench_die("%s did not accept within %.1f s", o->command[0], o->seconds);
    printf("{\"ready_ms\": %.3f}\n", (double)took / 1e6);
    return 0;
}
