#include "net/process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { NOTIFY_BYTES_MAX = 512 };

/* The service manager belongs to the process, and so does the way to it. */
static _Atomic int notify_fd = -1;

static void notify_send(const char *text);
static void notify_with_status(const char *what, const char *status);

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int fd, before;

    if (len < 2 || len >= sizeof un.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(un.sun_path, path, len);
    if (path[0] == '@')
        un.sun_path[0] = '\0';
    else
        size++;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&un, size) != 0) {
        close(fd);
        return;
    }
    before = atomic_exchange(&notify_fd, fd);
    if (before >= 0)
        close(before);
}

void notify_ready(const char *status)
{
    notify_with_status("READY=1", status);
}

void notify_reloading(void)
{
    char text[NOTIFY_BYTES_MAX];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_us());
    notify_send(text);
}

void notify_stopping(const char *status)
{
    notify_with_status("STOPPING=1", status);
}

void notify_status(const char *status)
{
    notify_with_status(NULL, status);
}

void notify_watchdog(void)
{
    notify_send("WATCHDOG=1");
}

uint64_t notify_watchdog_ms(void)
{
    const char *pid_text = getenv("WATCHDOG_PID");
    uint64_t us, pid;

    if (!text_u64(view_str(getenv("WATCHDOG_USEC")), UINT64_MAX, false, &us))
        return 0;
    if (pid_text &&
        (!text_u64(view_str(pid_text), INT32_MAX, false, &pid) || pid != (uint64_t)getpid()))
        return 0;
    return us / 2000;
}

static void notify_with_status(const char *what, const char *status)
{
    char text[NOTIFY_BYTES_MAX], line[NOTIFY_BYTES_MAX / 2];

    /* A newline would begin another assignment. */
    snprintf(line, sizeof line, "%s", status ? status : "");
    for (char *p = line; *p; p++)
        if (*p == '\n')
            *p = ' ';
    snprintf(text, sizeof text, "%s%s%s%s", what ? what : "", what && status ? "\n" : "",
             status ? "STATUS=" : "", line);
    if (text[0])
        notify_send(text);
}

/* A manager that does not listen is its own problem: nothing is reported, nothing waits. */
static void notify_send(const char *text)
{
    int fd = atomic_load(&notify_fd);

    if (fd >= 0 && send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}
