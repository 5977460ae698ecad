#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/text.h"
#include "net/listen_priv.h"

/* How an IPv6 socket treats IPv4: as the system does, or as we say. */
enum v6only { V6ONLY_SYSTEM = -1, V6ONLY_OFF = 0, V6ONLY_ON = 1 };

struct opening {
    const struct listen_options *options;
    struct listener *list;
    size_t *count;
};

static bool open_one(struct view element, struct opening *o, struct err *err);
static bool open_all_addresses(uint16_t port, struct opening *o, struct err *err);
static bool open_name(const struct listen_spec *spec, struct opening *o, struct err *err);
static bool open_tcp(const struct addr *a, enum v6only v6only, struct opening *o, struct err *err);
static int socket_tcp(const struct addr *a, enum v6only v6only, bool reuse_port);
static bool start_tcp(int fd, const struct listen_options *options, struct listener *l);
static bool address_taken(const struct addr *a, enum v6only v6only);
static bool open_unix(const struct listen_spec *spec, struct opening *o, struct err *err);
static int bind_unix(const struct listen_spec *spec, const struct sockaddr_un *un, socklen_t len);
static bool unix_is_stale(const struct sockaddr_un *un, socklen_t len);
static bool open_fd(int fd, struct opening *o, struct err *err);
static bool open_systemd(struct view name, struct opening *o, struct err *err);
static struct listener *opened(struct opening *o, int fd, struct err *err);
static bool set_option(int fd, int level, int name, int value);
static int close_with(int fd, int errnum);

bool listen_open(struct view spec, const struct listen_options *options, struct listener *list,
                 size_t *count, struct err *err)
{
    size_t before = *count;
    struct opening o = {options, list, count};
    struct view element;

    if (!spec.at)
        spec = VIEW("");
    while (view_next(&spec, ',', &element)) {
        if (open_one(element, &o, err))
            continue;
        while (*count > before)
            listen_close(&list[--*count]);
        return false;
    }
    return true;
}

bool listen_clone(const struct listener *from, const struct listen_options *options,
                  struct listener *out, struct err *err)
{
    struct listener l = {.fd = -1, .addr = from->addr};
    int v6only = V6ONLY_SYSTEM;
    socklen_t len = sizeof v6only;

    if (from->inherited || from->addr.family == AF_UNIX)
        return err_set(err, ERR_INTERNAL, "%s cannot be opened once more", from->name);
    if (from->addr.family == AF_INET6 &&
        getsockopt(from->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len) != 0)
        return err_system(err, ERR_IO, errno, "listening on %s", from->name);
    l.fd = socket_tcp(&from->addr, (enum v6only)v6only, true);
    if (l.fd < 0 || !start_tcp(l.fd, options, &l)) {
        if (l.fd >= 0)
            close_with(l.fd, errno);
        return err_system(err, ERR_IO, errno, "listening on %s", from->name);
    }
    *out = l;
    return true;
}

bool listen_again(const struct listener *from, const struct listen_options *options,
                  struct listener *out, struct err *err)
{
    struct listener l = *from;

    if (!from->inherited && from->addr.family != AF_UNIX)
        return listen_clone(from, options, out, err);
    l.fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
    if (l.fd < 0)
        return err_system(err, ERR_IO, errno, "sharing %s", from->name);
    *out = l;
    return true;
}

void listen_close(struct listener *l)
{
    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    /* "unix:/…" that we made; an abstract name goes away by itself. */
    if (!l->inherited && l->addr.family == AF_UNIX && l->name[5] != '@')
        (void)unlink(l->name + 5);
}

void listen_systemd_done(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool open_one(struct view element, struct opening *o, struct err *err)
{
    struct listen_spec spec;

    if (!listen_spec_parse(element, &spec, err))
        return false;
    switch (spec.kind) {
    case LISTEN_UNIX:
        return open_unix(&spec, o, err);
    case LISTEN_FD:
        return open_fd(spec.fd, o, err);
    case LISTEN_SYSTEMD:
        return open_systemd(spec.host, o, err);
    case LISTEN_TCP:
        break;
    }
    if (spec.host.len == 0)
        return open_all_addresses(spec.port, o, err);
    if (spec.addr.family != AF_UNSPEC)
        return open_tcp(&spec.addr, V6ONLY_SYSTEM, o, err);
    return open_name(&spec, o, err);
}

static bool open_all_addresses(uint16_t port, struct opening *o, struct err *err)
{
    struct addr v6 = {.port = port, .family = AF_INET6};
    struct addr v4 = {.port = port, .family = AF_INET};

    if (open_tcp(&v6, V6ONLY_OFF, o, err))
        return true;
    if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
        return false;
    return open_tcp(&v4, V6ONLY_SYSTEM, o, err);
}

static bool open_name(const struct listen_spec *spec, struct opening *o, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char host[HOST_BYTES_MAX + 1];
    size_t before = *o->count;
    struct addr a;
    int status;

    memcpy(host, spec->host.at, spec->host.len);
    host[spec->host.len] = '\0';
    status = getaddrinfo(host, NULL, &hints, &found);
    if (status != 0)
        return err_set(err, ERR_NAME, "cannot listen on %.200s:%u: %s", host, (unsigned)spec->port,
                       gai_strerror(status));
    for (struct addrinfo *i = found; i; i = i->ai_next) {
        addr_from_sockaddr(i->ai_addr, &a);
        a.port = spec->port;
        if (open_tcp(&a, V6ONLY_ON, o, err))
            continue;
        /* A name may have addresses of a family that this machine has not. */
        if ((errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && (i->ai_next || *o->count > before))
            continue;
        freeaddrinfo(found);
        return false;
    }
    freeaddrinfo(found);
    return true;
}

/* On failure errno tells the system's reason, 0 when it was none of its. */
static bool open_tcp(const struct addr *a, enum v6only v6only, struct opening *o, struct err *err)
{
    char text[ADDR_TEXT_BYTES];
    bool shared = o->options->reuse_port && a->port != 0 && address_taken(a, v6only);
    int fd = socket_tcp(a, v6only, o->options->reuse_port);
    int errnum = errno;
    struct listener *l;

    if (fd >= 0) {
        l = opened(o, fd, err);
        if (!l)
            return false;
        l->addr = *a;
        l->shared = shared;
        if (start_tcp(fd, o->options, l))
            return true;
        errnum = errno;
        close(o->list[--*o->count].fd);
    }
    err_system(err, ERR_IO, errnum, "cannot listen on %s", addr_format(a, text));
    errno = errnum;
    return false;
}

/* A socket bound to the address, or -1 and errno. */
static int socket_tcp(const struct addr *a, enum v6only v6only, bool reuse_port)
{
    int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);

    if (fd < 0)
        return -1;
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
        (reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
        (a->family == AF_INET6 && v6only != V6ONLY_SYSTEM &&
         !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only)) ||
        bind(fd, (struct sockaddr *)&ss, len) != 0)
        return close_with(fd, errno);
    return fd;
}

/* Listens, and writes what the socket is bound to. False: errno. */
static bool start_tcp(int fd, const struct listen_options *options, struct listener *l)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    char text[ADDR_TEXT_BYTES];

    /* Both only save work: a kernel without them serves just as well. */
    if (options->defer_accept_s > 0)
        (void)set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, (int)options->defer_accept_s);
    if (options->fast_open > 0)
        (void)set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, (int)options->fast_open);
    if (listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return false;
    addr_from_sockaddr((struct sockaddr *)&ss, &l->addr);
    snprintf(l->name, sizeof l->name, "%s", addr_format(&l->addr, text));
    return true;
}

/* With SO_REUSEPORT a second program of the same user would silently get half of the clients. A
 * socket without it cannot be bound beside another that listens. */
static bool address_taken(const struct addr *a, enum v6only v6only)
{
    int fd = socket_tcp(a, v6only, false);

    if (fd < 0)
        return errno == EADDRINUSE;
    close(fd);
    return false;
}

static bool open_unix(const struct listen_spec *spec, struct opening *o, struct err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + spec->host.len);
    struct listener *l;
    int fd;

    memcpy(un.sun_path, spec->host.at, spec->host.len);
    if (un.sun_path[0] == '@')
        un.sun_path[0] = '\0';
    else
        len++;
    fd = bind_unix(spec, &un, len);
    if (fd < 0 && errno == EADDRINUSE && un.sun_path[0] && unix_is_stale(&un, len)) {
        (void)unlink(un.sun_path);
        fd = bind_unix(spec, &un, len);
    }
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "cannot listen on unix:%.*s", VIEW_ARG(spec->host));
    l = opened(o, fd, err);
    if (!l) {
        if (un.sun_path[0])
            (void)unlink(un.sun_path);
        return false;
    }
    l->addr = (struct addr){.family = AF_UNIX};
    snprintf(l->name, sizeof l->name, "unix:%.*s", VIEW_ARG(spec->host));
    if (listen(fd, o->options->backlog > 0 ? o->options->backlog : SOMAXCONN) == 0)
        return true;
    err_system(err, ERR_IO, errno, "cannot listen on %s", l->name);
    listen_close(&o->list[--*o->count]);
    return false;
}

/* The mode of the socket becomes the mode of the file (less the umask), so that there is no moment
 * at which the file is open to more people than asked for. */
static int bind_unix(const struct listen_spec *spec, const struct sockaddr_un *un, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if ((spec->has_mode && fchmod(fd, spec->mode) != 0) ||
        bind(fd, (const struct sockaddr *)un, len) != 0)
        return close_with(fd, errno);
    if (spec->has_mode && chmod(un->sun_path, spec->mode) != 0) {
        int errnum = errno;

        (void)unlink(un->sun_path);
        return close_with(fd, errnum);
    }
    return fd;
}

/* A socket file on which nobody answers. */
static bool unix_is_stale(const struct sockaddr_un *un, socklen_t len)
{
    struct stat st;
    bool refused;
    int fd;

    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        errno = EADDRINUSE;
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    refused = connect(fd, (const struct sockaddr *)un, len) != 0 && errno == ECONNREFUSED;
    close_with(fd, EADDRINUSE);
    return refused;
}

static bool open_fd(int fd, struct opening *o, struct err *err)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss, size = sizeof(int);
    char text[ADDR_TEXT_BYTES];
    int type, accepting;
    struct listener *l;
    struct addr a;

    for (size_t i = 0; i < *o->count; i++)
        if (o->list[i].fd == fd)
            return err_set(err, ERR_CONFIG, "descriptor %d is named by two listeners", fd);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size) != 0 ||
        getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return err_system(err, ERR_CONFIG, errno, "descriptor %d was not handed to us", fd);
    addr_from_sockaddr((struct sockaddr *)&ss, &a);
    if (type != SOCK_STREAM || a.family == AF_UNSPEC)
        return err_set(err, ERR_CONFIG, "descriptor %d is no TCP or Unix stream socket", fd);
    if (!accepting && listen(fd, o->options->backlog > 0 ? o->options->backlog : SOMAXCONN) != 0)
        return err_system(err, ERR_CONFIG, errno, "descriptor %d does not listen", fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
        return err_system(err, ERR_CONFIG, errno, "descriptor %d", fd);
    l = opened(o, fd, err);
    if (!l)
        return false;
    l->addr = a;
    l->inherited = true;
    snprintf(l->name, sizeof l->name, "%s (fd %d)", addr_format(&a, text), fd);
    return true;
}

/* sd_listen_fds(3): descriptors from 3 on, meant for the process LISTEN_PID. */
static bool open_systemd(struct view name, struct opening *o, struct err *err)
{
    struct view names = view_str(getenv("LISTEN_FDNAMES")), fd_name;
    uint64_t pid, count;
    bool any = false;

    if (!text_u64(view_str(getenv("LISTEN_PID")), INT32_MAX, false, &pid) ||
        pid != (uint64_t)getpid() ||
        !text_u64(view_str(getenv("LISTEN_FDS")), LISTENERS_MAX, false, &count))
        return err_set(err, ERR_CONFIG,
                       "systemd handed over no sockets (LISTEN_FDS); start the .socket unit, not "
                       "the .service");
    for (int fd = 3; fd < 3 + (int)count; fd++) {
        if (!view_next(&names, ':', &fd_name))
            fd_name = VIEW("unknown");
        if (name.at && !view_eq(name, fd_name))
            continue;
        if (!open_fd(fd, o, err))
            return false;
        any = true;
    }
    if (any)
        return true;
    if (!name.at)
        return err_set(err, ERR_CONFIG, "systemd handed over no sockets (LISTEN_FDS)");
    return err_set(err, ERR_CONFIG, "none of systemd's sockets has FileDescriptorName=%.*s",
                   VIEW_ARG(view_first(name, 64)));
}

/* The next place of the list, holding fd; NULL closes fd: the list is full. */
static struct listener *opened(struct opening *o, int fd, struct err *err)
{
    struct listener *l = &o->list[*o->count];

    if (*o->count == LISTENERS_MAX) {
        close_with(fd, 0);
        err_set(err, ERR_CONFIG, "there are more than %d listeners", LISTENERS_MAX);
        return NULL;
    }
    ++*o->count;
    *l = (struct listener){.fd = fd};
    return l;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* Closes fd and leaves errnum in errno. Returns -1. */
static int close_with(int fd, int errnum)
{
    close(fd);
    errno = errnum;
    return -1;
}
