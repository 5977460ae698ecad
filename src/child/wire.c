#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"
#include "child/child_priv.h"

/* What newer kernels have, and some are set to insist on. */
#define NOEXEC_SEAL 0x0008U

enum { PIECE_BYTES = 4096 };

union control {
    struct cmsghdr head; /* for its alignment */
    char bytes[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
};

bool wire_send(int fd, void *message, size_t size, const int *fds, size_t count)
{
    struct iovec bytes = {.iov_base = message, .iov_len = size};
    union control control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};
    ssize_t n;

    if (count) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof *fds);
    }
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}

static size_t take_fds(struct msghdr *m, int fds[static HELPER_FDS_MAX])
{
    struct cmsghdr *head = CMSG_FIRSTHDR(m);
    size_t count;

    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
        head->cmsg_len < CMSG_LEN(0))
        return 0;
    count = (head->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
    if (count > HELPER_FDS_MAX)
        count = HELPER_FDS_MAX;
    memcpy(fds, CMSG_DATA(head), count * sizeof *fds);
    return count;
}

bool wire_receive(int fd, void *message, size_t size, int fds[static HELPER_FDS_MAX], size_t *count)
{
    struct iovec bytes = {.iov_base = message, .iov_len = size};
    union control control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &bytes,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;

    do
        n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return false;
    *count = take_fds(&m, fds);
    if (n == (ssize_t)size && !(m.msg_flags & MSG_TRUNC))
        return true;
    wire_close(fds, *count);
    errno = n == 0 ? 0 : EPROTO;
    return false;
}

void wire_close(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* --- images ----------------------------------------------------------------------------------------- */

static int open_unnamed(void)
{
    int fd = memfd_create("command", MFD_CLOEXEC | NOEXEC_SEAL);

    return fd < 0 && errno == EINVAL ? memfd_create("command", MFD_CLOEXEC) : fd;
}

static bool write_at(int fd, const void *at, size_t len, off_t offset)
{
    ssize_t n;

    for (; len; len -= (size_t)n, offset += n, at = (const char *)at + n) {
        n = pwrite(fd, at, len, offset);
        if (n == 0)
            errno = EIO;
        if (n <= 0 && errno != EINTR)
            return false;
        n = n < 0 ? 0 : n;
    }
    return true;
}

static bool read_at(int fd, char *at, size_t len)
{
    off_t offset = 0;
    ssize_t n;

    for (; len; len -= (size_t)n, offset += n, at += n) {
        n = pread(fd, at, len, offset);
        if (n == 0)
            errno = EPROTO;
        if (n <= 0 && errno != EINTR)
            return false;
        n = n < 0 ? 0 : n;
    }
    return true;
}

bool wire_image_put(const struct spawn_image *image, int *out)
{
    int fd;

    if (image->texts.len > HELPER_TEXT_BYTES_MAX) {
        errno = E2BIG;
        return false;
    }
    fd = open_unnamed();
    if (fd >= 0 && !write_at(fd, image->texts.at, image->texts.len, 0)) {
        close(fd);
        fd = -1;
    }
    *out = fd;
    return fd >= 0;
}

/* Its pages go back to the kernel as zeros. */
static void wipe(int fd, size_t len)
{
    static const char zeros[PIECE_BYTES];

    for (size_t at = 0; at < len; at += sizeof zeros)
        (void)!write_at(fd, zeros, len - at < sizeof zeros ? len - at : sizeof zeros, (off_t)at);
}

/* The next count texts, and a NULL behind them. False: there are not so many. */
static bool take_texts(struct view *rest, size_t count, const char **out)
{
    for (size_t i = 0; i < count; i++) {
        size_t end = view_find(*rest, '\0');

        if (end == rest->len)
            return false;
        out[i] = (const char *)rest->at;
        *rest = view_skip(*rest, end + 1);
    }
    out[count] = NULL;
    return true;
}

static bool rebuild(const struct helper_ask *ask, struct view texts, struct spawn_image **out)
{
    size_t count = (size_t)ask->arguments + ask->variables + 2;
    const char *program[2], *folder[2] = {NULL}, **list = calloc(count, sizeof *list);
    struct err err;
    bool good;

    if (!list) {
        errno = ENOMEM;
        return false;
    }
    good = take_texts(&texts, 1, program) && take_texts(&texts, ask->arguments, list) &&
           take_texts(&texts, ask->variables, list + ask->arguments + 1) &&
           take_texts(&texts, ask->folder ? 1 : 0, folder) && !texts.len;
    if (good) {
        struct child_command command = {.program = program[0], .arguments = list};

        command.environment = (char *const *)(void *)(list + ask->arguments + 1);
        command.folder = folder[0];
        good = spawn_image_new(&command, out, &err);
        errno = good ? 0 : err.code == ERR_LIMIT ? E2BIG : ENOMEM;
    } else {
        errno = EPROTO;
    }
    free(list);
    return good;
}

bool wire_image_take(int fd, const struct helper_ask *ask, struct spawn_image **out)
{
    size_t len = ask->text_bytes;
    bool good = false;
    int errnum;
    char *copy;

    errno = EPROTO;
    if (len > HELPER_TEXT_BYTES_MAX || ask->arguments > len || ask->variables > len)
        return false;
    copy = malloc(len + 1);
    if (copy && read_at(fd, copy, len))
        good = rebuild(ask, view_from(copy, len), out);
    errnum = errno;
    if (copy)
        secret_wipe(copy, len);
    free(copy);
    wipe(fd, len);
    errno = errnum;
    return good;
}
