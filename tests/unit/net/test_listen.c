#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/listen.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char folder[] = "/tmp/test_listen.XXXXXX";
static const struct listen_options plain = {.backlog = 16};
static const struct listen_options sharing = {.backlog = 16, .reuse_port = true};

static struct listener list[LISTENERS_MAX];
static size_t count;
static struct err err;

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a socket file was left behind */
}

static int start_empty(void **state)
{
    (void)state;
    count = 0;
    err = (struct err){0};
    return 0;
}

static void close_all(void)
{
    while (count > 0)
        listen_close(&list[--count]);
}

/* "unix:" (or nothing) and a file in the test's folder. */
static const char *in_folder(const char *before, const char *file)
{
    static char text[256];

    snprintf(text, sizeof text, "%s%s/%s", before, folder, file);
    return text;
}

static void open_spec(const char *spec)
{
    if (!listen_open(view_str(spec), &plain, list, &count, &err))
        fail_msg("%s: %s", spec, err.text);
}

/* Connects to a listener as a client of its family would. */
static bool answers(const struct listener *l)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    int fd, got;
    bool ok;

    assert_int_equal(getsockname(l->fd, (struct sockaddr *)&ss, &len), 0);
    fd = socket(ss.ss_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    ok = connect(fd, (struct sockaddr *)&ss, len) == 0;
    got = accept(l->fd, NULL, NULL);
    close(fd);
    if (got >= 0)
        close(got);
    return ok && got >= 0;
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof in6) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

static void listens_on_an_address_and_tells_the_port_it_got(void **state)
{
    char name[ADDR_TEXT_BYTES];

    (void)state;
    open_spec("127.0.0.1:0");
    assert_int_equal(count, 1);
    assert_int_not_equal(list[0].addr.port, 0);
    assert_string_equal(list[0].name, addr_format(&list[0].addr, name));
    assert_true(fcntl(list[0].fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(list[0].fd, F_GETFD) & FD_CLOEXEC);
    assert_false(list[0].inherited);
    assert_true(answers(&list[0]));
    close_all();
}

static void listens_on_all_addresses_with_both_families(void **state)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    open_spec(":0");
    assert_int_equal(count, 1);
    assert_int_equal(list[0].addr.family, have_ipv6() ? AF_INET6 : AF_INET);
    in4.sin_port = htons(list[0].addr.port);
    assert_int_equal(connect(fd, (struct sockaddr *)&in4, sizeof in4), 0);
    close(fd);
    close_all();
}

static void listens_on_every_element_and_every_address_of_a_name(void **state)
{
    (void)state;
    open_spec(" 127.0.0.1:0 , localhost:0");
    assert_true(count >= 2);
    for (size_t i = 0; i < count; i++)
        assert_true(answers(&list[i]));
    close_all();
    if (!have_ipv6()) {
        print_message("no IPv6 here: [::1] is not tried\n");
        return;
    }
    open_spec("[::1]:0");
    assert_true(answers(&list[0]));
    assert_true(strncmp(list[0].name, "[::1]:", 6) == 0);
    close_all();
}

static void an_address_in_use_is_named_and_nothing_stays_open(void **state)
{
    char spec[160];
    int before, after;

    (void)state;
    open_spec("127.0.0.1:0");
    before = dup(0);
    close(before);
    snprintf(spec, sizeof spec, "127.0.0.1:0,%s", list[0].name);
    assert_false(listen_open(view_str(spec), &plain, list, &count, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, list[0].name));
    assert_non_null(strstr(err.text, strerror(EADDRINUSE)));
    assert_int_equal(count, 1);
    after = dup(0);
    close(after);
    assert_int_equal(before, after);
    close_all();
}

static void opens_one_more_socket_a_worker(void **state)
{
    struct listener more;

    (void)state;
    assert_true(listen_open(VIEW("127.0.0.1:0"), &sharing, list, &count, &err));
    assert_false(list[0].shared);
    assert_true(listen_clone(&list[0], &sharing, &more, &err));
    assert_true(addr_eq(&more.addr, &list[0].addr));
    assert_string_equal(more.name, list[0].name);
    assert_int_not_equal(more.fd, list[0].fd);
    listen_close(&more);
    close_all();
    if (have_ipv6()) { /* dual stack stays dual stack */
        int only = 1;
        socklen_t len = sizeof only;

        assert_true(listen_open(VIEW(":0"), &sharing, list, &count, &err));
        assert_true(listen_clone(&list[0], &sharing, &more, &err));
        assert_int_equal(getsockopt(more.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len), 0);
        assert_int_equal(only, 0);
        listen_close(&more);
        close_all();
    }
}

static void notices_that_the_port_is_shared_with_another(void **state)
{
    (void)state;
    assert_true(listen_open(VIEW("127.0.0.1:0"), &sharing, list, &count, &err));
    assert_true(listen_open(view_str(list[0].name), &sharing, list, &count, &err));
    assert_false(list[0].shared);
    assert_true(list[1].shared);
    close_all();
}

static void makes_a_unix_socket_with_its_mode_and_removes_it(void **state)
{
    char spec[300], path[256];
    struct listener more;
    struct stat st;
    mode_t mask = umask(077);

    (void)state;
    snprintf(path, sizeof path, "%s", in_folder("", "a.sock"));
    snprintf(spec, sizeof spec, "unix:%s;mode=0666", path);
    open_spec(spec);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    snprintf(spec, sizeof spec, "unix:%s", path);
    assert_string_equal(list[0].name, spec);
    assert_int_equal(list[0].addr.family, AF_UNIX);
    assert_true(answers(&list[0]));
    assert_false(listen_clone(&list[0], &plain, &more, &err));
    assert_true(listen_again(&list[0], &plain, &more, &err));
    assert_int_not_equal(more.fd, list[0].fd);
    assert_true(answers(&more)); /* the same queue */
    close(more.fd);
    close_all();
    assert_int_equal(stat(path, &st), -1);
}

static void leaves_a_living_unix_socket_alone(void **state)
{
    char spec[300];

    (void)state;
    snprintf(spec, sizeof spec, "unix:%s", in_folder("", "b.sock"));
    open_spec(spec);
    assert_false(listen_open(view_str(spec), &plain, list, &count, &err));
    assert_non_null(strstr(err.text, "b.sock"));
    assert_int_equal(count, 1);
    assert_true(answers(&list[0]));
    close_all();
}

static void takes_the_place_of_a_dead_unix_socket(void **state)
{
    char spec[300];

    (void)state;
    snprintf(spec, sizeof spec, "unix:%s", in_folder("", "c.sock"));
    open_spec(spec);
    close(list[0].fd); /* as when the process died: the file stays */
    count = 0;
    open_spec(spec);
    assert_true(answers(&list[0]));
    close_all();
}

static void never_removes_a_file_that_is_no_socket(void **state)
{
    char spec[300];
    const char *path = in_folder("", "precious");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    snprintf(spec, sizeof spec, "unix:%s", path);
    assert_false(listen_open(view_str(spec), &plain, list, &count, &err));
    assert_non_null(strstr(err.text, strerror(EADDRINUSE)));
    assert_int_equal(unlink(path), 0); /* it was still there */
}

static void listens_on_an_abstract_name(void **state)
{
    char spec[64];

    (void)state;
    snprintf(spec, sizeof spec, "unix:@test_listen.%ld", (long)getpid());
    open_spec(spec);
    assert_string_equal(list[0].name, spec);
    assert_true(answers(&list[0]));
    assert_false(listen_open(view_str(spec), &plain, list, &count, &err));
    close_all();
}

static void takes_a_descriptor_that_was_handed_over(void **state)
{
    char spec[32];
    struct listener more;
    int fd;

    (void)state;
    open_spec("127.0.0.1:0");
    fd = dup(list[0].fd);
    snprintf(spec, sizeof spec, "fd:%d", fd);
    open_spec(spec);
    assert_int_equal(count, 2);
    assert_int_equal(list[1].fd, fd);
    assert_true(list[1].inherited);
    assert_true(addr_eq(&list[0].addr, &list[1].addr));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_false(listen_clone(&list[1], &plain, &more, &err));
    assert_false(listen_open(view_str(spec), &plain, list, &count, &err)); /* twice */
    assert_int_equal(count, 2);
    assert_true(answers(&list[1]));
    close_all();
}

static void refuses_descriptors_that_are_no_stream_sockets(void **state)
{
    int fds[3];

    (void)state;
    fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
    fds[1] = open("/dev/null", O_RDONLY);
    fds[2] = dup(fds[1]);
    close(fds[2]); /* not open at all */
    for (size_t i = 0; i < COUNT(fds); i++) {
        char spec[32];

        snprintf(spec, sizeof spec, "fd:%d", fds[i]);
        assert_false(listen_open(view_str(spec), &plain, list, &count, &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(count, 0);
    }
    close(fds[0]);
    close(fds[1]);
}

/* Puts two listening sockets at 3 and 4, as systemd does. Returns what was there. */
static void take_places(int saved[2])
{
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd;

        saved[i] = fcntl(3 + i, F_DUPFD, 100);
        close(3 + i);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&in4, sizeof in4), 0);
        assert_int_equal(listen(fd, 5), 0);
        if (fd != 3 + i) {
            assert_int_equal(dup2(fd, 3 + i), 3 + i);
            close(fd);
        }
    }
}

static void give_places_back(const int saved[2])
{
    for (int i = 0; i < 2; i++) {
        close(3 + i);
        if (saved[i] >= 0) {
            dup2(saved[i], 3 + i);
            close(saved[i]);
        }
    }
}

static void takes_the_sockets_of_systemd_by_name_or_all(void **state)
{
    char pid[24];
    int saved[2];

    (void)state;
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "http:metrics", 1);

    take_places(saved);
    open_spec("systemd");
    assert_int_equal(count, 2);
    assert_int_equal(list[0].fd, 3);
    assert_int_equal(list[1].fd, 4);
    assert_true(list[0].inherited && answers(&list[0]) && answers(&list[1]));
    count = 0;
    open_spec("systemd:metrics");
    assert_int_equal(count, 1);
    assert_int_equal(list[0].fd, 4);
    count = 0;
    assert_false(listen_open(VIEW("systemd:other"), &plain, list, &count, &err));
    assert_non_null(strstr(err.text, "other"));
    setenv("LISTEN_PID", "1", 1); /* meant for somebody else */
    assert_false(listen_open(VIEW("systemd"), &plain, list, &count, &err));
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "bad", 1);
    assert_false(listen_open(VIEW("systemd"), &plain, list, &count, &err));
    listen_systemd_done();
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDNAMES"));
    assert_false(listen_open(VIEW("systemd"), &plain, list, &count, &err));
    give_places_back(saved);
}

static void checks_the_syntax_without_opening_anything(void **state)
{
    static const char *const good[] = {
        "127.0.0.1:9000",    "[::1]:9000",         ":9000",  "localhost:0",    "a.example:1,:2",
        "unix:/run/x.sock",  "unix:@abstract",     "fd:3",   "systemd",        "systemd:http",
        "unix:/x;mode=0660", " 127.0.0.1:1 , :2 ", "unix:x", "unix:/x;mode=7",
    };
    static const char *const bad[] = {
        "",
        ",",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "::1:9000",
        "[::1]",
        "[x]:1",
        "ex ample:1",
        "127.0.0.1:1,",
        "unix:",
        "unix:@",
        "unix:/x;mode=8",
        "unix:/x;mode=",
        "unix:/x;mode=01777",
        "unix:/x;",
        "unix:/x;a=b",
        "unix:@x;mode=1",
        "fd:",
        "fd:x",
        "fd:-1",
        "systemd:",
        "http://x:1",
        "a:b:1",
        "9000",
        "unix:/"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!listen_check(view_str(good[i]), &err))
            fail_msg("%s: %s", good[i], err.text);
    for (size_t i = 0; i < COUNT(bad); i++) {
        err = (struct err){0};
        if (listen_check(view_str(bad[i]), &err))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_true(strlen(err.text) > 10);
        assert_false(listen_open(view_str(bad[i]), &plain, list, &count, &err));
    }
    assert_false(listen_check(view_from(NULL, 0), &err));
}

static void a_full_list_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        open_spec("127.0.0.1:0");
    assert_false(listen_open(VIEW("127.0.0.1:0"), &plain, list, &count, &err));
    assert_false(
        listen_open(view_str(in_folder("unix:", "full.sock")), &plain, list, &count, &err));
    assert_int_equal(count, LISTENERS_MAX);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(listens_on_an_address_and_tells_the_port_it_got, start_empty),
        cmocka_unit_test_setup(listens_on_all_addresses_with_both_families, start_empty),
        cmocka_unit_test_setup(listens_on_every_element_and_every_address_of_a_name, start_empty),
        cmocka_unit_test_setup(an_address_in_use_is_named_and_nothing_stays_open, start_empty),
        cmocka_unit_test_setup(opens_one_more_socket_a_worker, start_empty),
        cmocka_unit_test_setup(notices_that_the_port_is_shared_with_another, start_empty),
        cmocka_unit_test_setup(makes_a_unix_socket_with_its_mode_and_removes_it, start_empty),
        cmocka_unit_test_setup(leaves_a_living_unix_socket_alone, start_empty),
        cmocka_unit_test_setup(takes_the_place_of_a_dead_unix_socket, start_empty),
        cmocka_unit_test_setup(never_removes_a_file_that_is_no_socket, start_empty),
        cmocka_unit_test_setup(listens_on_an_abstract_name, start_empty),
        cmocka_unit_test_setup(takes_a_descriptor_that_was_handed_over, start_empty),
        cmocka_unit_test_setup(refuses_descriptors_that_are_no_stream_sockets, start_empty),
        cmocka_unit_test_setup(takes_the_sockets_of_systemd_by_name_or_all, start_empty),
        cmocka_unit_test_setup(checks_the_syntax_without_opening_anything, start_empty),
        cmocka_unit_test_setup(a_full_list_is_an_error, start_empty),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
