/* Where the application is. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tee/upstream.h"

#include "base/poison.h"

enum { HOST_BYTES = 256, PORT_BYTES = 8 };

/* One of the two is set. */
struct place {
    struct view path;
    char host[HOST_BYTES], port[PORT_BYTES];
};

static bool parse(const char *text, struct place *out, struct err *err)
{
    struct view spec = view_str(text), name;
    uint16_t port = 0;

    *out = (struct place){.path = VIEW("")};
    if (view_starts(spec, VIEW("unix:"))) {
        out->path = view_skip(spec, 5);
        return (out->path.len && out->path.len < sizeof((struct sockaddr_un *)0)->sun_path) ||
               err_set(err, ERR_CONFIG, "--upstream: the path of a Unix socket has 1 to 107 bytes");
    }
    if (!http_authority_split(spec, &name, &port) || name.len >= HOST_BYTES || !port)
        return err_set(err, ERR_CONFIG, "--upstream: expected host:port or unix:PATH");
    (void)snprintf(out->host, sizeof out->host, "%.*s", VIEW_ARG(name));
    (void)snprintf(out->port, sizeof out->port, "%u", (unsigned)port);
    return true;
}

bool upstream_check(const char *spec, struct err *err)
{
    struct place place;

    return parse(spec, &place, err);
}

bool upstream_resolve(struct site *s, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct sockaddr_un *un = (struct sockaddr_un *)&s->upstream;
    struct addrinfo *all;
    struct place place;
    int code;

    if (!parse(s->config->upstream, &place, err))
        return false;
    if (place.path.len) {
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, place.path.at, place.path.len);
        s->upstream_len = sizeof *un;
        return true;
    }
    code = getaddrinfo(place.host, place.port, &hints, &all);
    if (code)
        return err_set(err, ERR_NAME, "--upstream: %s: %s", place.host, gai_strerror(code));
    memcpy(&s->upstream, all->ai_addr, all->ai_addrlen);
    s->upstream_len = all->ai_addrlen;
    freeaddrinfo(all);
    return true;
}
