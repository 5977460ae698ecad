/* Connecting without a loop of one's own. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/connect.h"

enum { PATIENCE_MS = 20000 };

/* Bound to a free port of 127.0.0.1; it listens, or refuses. */
static int bound(bool listens, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof a;

    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    if (listens)
        assert_int_equal(listen(fd, 4), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void a_name_or_a_literal_is_connected_to(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    uint16_t port;
    int listener = bound(true, &port);

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        int fd, peer, value = 0;
        socklen_t n = sizeof value;
        struct err err;
        char byte = 0;

        if (!connect_tcp(hosts[i], port, PATIENCE_MS, &fd, &err))
            fail_msg("%s: %s", hosts[i], err.text);
        peer = accept(listener, NULL, NULL);
        assert_int_equal(write(peer, "x", 1), 1);
        close(peer);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &n), 0);
        assert_true(value);
        assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
        assert_int_equal(read(fd, &byte, 1), 1);
        assert_int_equal(byte, 'x');
        close(fd);
    }
    close(listener);
}

static void why_not_is_said(void **state)
{
    int fd = -2, holder;
    struct err err;
    uint16_t port;

    (void)state;
    holder = bound(false, &port);
    assert_false(connect_tcp("127.0.0.1", port, PATIENCE_MS, &fd, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_false(connect_tcp("no name", port, PATIENCE_MS, &fd, &err));
    assert_int_equal(err.code, ERR_NAME);
    assert_false(connect_tcp("", port, 0, &fd, &err));
    assert_int_equal(err.code, ERR_NAME);
    assert_int_equal(fd, -2);
    close(holder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_or_a_literal_is_connected_to),
        cmocka_unit_test(why_not_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
