/* A call's life: its time, pauses, and how it is left. */
#include "world.h"

#include "client/client_priv.h"

/* The clock is moved by hand: the timers of the loop follow. */
static void a_call_has_its_time(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("GET"), .timeout_ms = 500};
    struct asker c = {0}, d = {0};
    char url[256];
    int fd;

    world_url(w, "/", url);
    r.url = view_str(url);
    caller_start(w, &c, &r);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    world_pass(w, 400);
    assert_int_equal(c.dones, 0);
    world_pass(w, 200);
    check_end(w, &c, CLIENT_TIMEOUT);
    assert_false(c.end.answered);
    assert_int_equal(c.end.err.code, ERR_TIMEOUT);
    check_hung_up(w, fd);

    caller_start(w, &d, &r);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
    world_pass(w, 600);
    check_end(w, &d, CLIENT_TIMEOUT);
    assert_true(d.end.answered);
    check_hung_up(w, fd);
}

static void connecting_has_its_time(void **state)
{
    struct world *w = *state;
    struct client_request r = {
        .method = VIEW("GET"), .url = VIEW("http://slow.test/"), .connect_ms = 300};
    struct asker c = {0}, d = {0};
    char url[256];
    int fd;

    dns_server_say(w->dns, "slow.test", DNS_A, &(struct dns_rule){.hold = true});
    dns_server_say(w->dns, "slow.test", DNS_AAAA, &(struct dns_rule){.hold = true});
    caller_start(w, &c, &r);
    some_turns(w);
    world_pass(w, 400);
    check_end(w, &c, CLIENT_TIMEOUT);
    assert_int_equal(c.end.err.code, ERR_TIMEOUT);

    /* TLS that is not answered is a part of it. */
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", w->port);
    r.url = view_str(url);
    caller_start(w, &d, &r);
    fd = serve(w);
    world_pass(w, 400);
    check_end(w, &d, CLIENT_TIMEOUT);
    assert_non_null(strstr(d.end.err.text, "TLS"));
    close(fd);
}

static void a_receiver_that_pauses_is_not_told_more(void **state)
{
    struct world *w = *state;
    struct asker c = {.pause_in_head = true, .pause_in_piece = true};
    const size_t big = 24 << 20;
    char url[256], head[128];
    uint8_t *bytes = malloc(big);
    size_t sent = 0;
    int fd;

    assert_non_null(bytes);
    for (size_t i = 0; i < big; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    world_url(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", big);
    say(w, fd, head);
    for (unsigned i = 0; i < 200; i++) {
        ssize_t n = send(fd, bytes + sent, big - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn(w);
    }
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.pieces, 0);
    assert_true(sent < big); /* the socket is full, and nobody reads it */
    for (unsigned i = 0; i < TURNS_MAX && !c.dones; i++) {
        unsigned before = c.pieces;
        ssize_t n = send(fd, bytes + sent, big - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        client_resume(c.call);
        turn(w);
        assert_true(c.pieces <= before + 1);
    }
    assert_int_equal(c.dones, 1);
    assert_int_equal(c.end.outcome, CLIENT_OK);
    assert_int_equal(buf_len(&c.body), big);
    assert_memory_equal(buf_view(&c.body).at, bytes, big);
    buf_done(&c.body);
    free(bytes);
    close(fd);
}

static void a_pause_in_the_head_of_an_empty_answer(void **state)
{
    struct world *w = *state;
    struct asker c = {.pause_in_head = true};
    char url[256];
    int fd;

    world_url(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 204 No Content\r\n\r\n");
    some_turns(w);
    assert_int_equal(c.heads, 1);
    assert_int_equal(c.dones, 0);
    client_resume(c.call);
    assert_int_equal(c.dones, 0); /* not from inside */
    check_answer(w, &c, 204, "");
    close(fd);
}

static void a_paused_answer_that_ends_is_whole(void **state)
{
    struct world *w = *state;
    struct asker c = {.pause_in_piece = true};
    char url[256];
    int fd;

    world_url(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
    close(fd);
    some_turns(w);
    assert_int_equal(c.dones, 0);
    client_resume(c.call);
    check_answer(w, &c, 200, "abc");
}

static void large_bodies_leave_while_answers_come(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("PUT")};
    const size_t big = 16 << 20;
    struct asker c = {0};
    uint8_t *bytes = malloc(big), *got = malloc(big + 4096);
    char url[256], *body;
    size_t n = 0, head;
    int fd;

    assert_true(bytes && got);
    for (size_t i = 0; i < big; i++)
        bytes[i] = (uint8_t)(i * 7 >> 2);
    world_url(w, "/", url);
    r.url = view_str(url);
    r.body = view_from(bytes, big);
    caller_start(w, &c, &r);
    fd = serve(w);
    do {
        ssize_t some = recv(fd, got + n, big + 4096 - n, 0);

        n += some > 0 ? (size_t)some : 0;
        turn(w);
        body = memmem(got, n, "\r\n\r\n", 4);
        head = body ? (size_t)((uint8_t *)body - got) + 4 : 0;
    } while (!head || n < head + big);
    assert_memory_equal(got + head, bytes, big);
    say(w, fd, OK_5);
    check_answer(w, &c, 200, "hello");
    free(bytes);
    free(got);
    close(fd);
}

static void an_answer_may_come_before_the_request_is_whole(void **state)
{
    struct world *w = *state;
    struct client_request r = {.method = VIEW("POST")};
    const size_t big = 16 << 20;
    struct asker c = {0};
    uint8_t *bytes = calloc(1, big);
    char url[256];
    int fd;

    assert_non_null(bytes);
    world_url(w, "/", url);
    r.url = view_str(url);
    r.body = view_from(bytes, big);
    caller_start(w, &c, &r);
    fd = serve(w);
    say(w, fd, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
    check_answer(w, &c, 413, "big");
    reset(fd); /* it is not used again: what it would read are the rest of the body */
    some_turns(w);
    free(bytes);
}

static void cancelled_in_every_phase(void **state)
{
    struct world *w = *state;
    struct asker c[6] = {{0}};
    char url[256], tls[256];
    int fd;

    world_url(w, "/", url);
    get(w, &c[0], url); /* dialling */
    client_cancel(c[0].call);
    some_turns(w);

    dns_server_say(w->dns, "slow.test", DNS_A, &(struct dns_rule){.hold = true});
    get(w, &c[1], "http://slow.test/");
    some_turns(w);
    client_cancel(c[1].call);

    get(w, &c[2], "http://"); /* its end waits to be told */
    client_cancel(c[2].call);

    while ((fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(fd);
    (void)snprintf(tls, sizeof tls, "https://127.0.0.1:%u/", w->port);
    get(w, &c[3], tls);
    fd = serve(w);
    some_turns(w);
    client_cancel(c[3].call);
    close(fd);

    get(w, &c[4], url); /* an answer is awaited */
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    client_cancel(c[4].call);
    check_hung_up(w, fd);

    get(w, &c[5], url); /* within the answer */
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
    some_turns(w);
    assert_int_equal(c[5].heads, 1);
    client_cancel(c[5].call);
    check_hung_up(w, fd);
    some_turns(w);
    for (size_t i = 0; i < COUNT(c); i++) {
        assert_int_equal(c[i].dones, 0);
        buf_done(&c[i].body);
    }
}

static void cancelled_from_inside(void **state)
{
    struct world *w = *state;
    struct asker c[2] = {{.cancel_in_head = true}, {.cancel_in_piece = true}};
    char url[256];

    world_url(w, "/", url);
    for (size_t i = 0; i < 2; i++) {
        int fd;

        get(w, &c[i], url);
        fd = serve(w);
        (void)heard(w, fd, "\r\n\r\n");
        say(w, fd, OK_5);
        check_hung_up(w, fd);
        assert_int_equal(c[i].heads, 1);
        assert_int_equal(c[i].pieces, i);
        assert_int_equal(c[i].dones, 0);
        buf_done(&c[i].body);
    }
}

/* The descriptor of ours whose other end is fd. */
static int our_end_of(int fd)
{
    struct sockaddr_in theirs, ours;
    socklen_t len = sizeof theirs;

    assert_int_equal(getpeername(fd, (struct sockaddr *)&theirs, &len), 0);
    for (int i = 3; i < 256; i++) {
        len = sizeof ours;
        if (i != fd && getsockname(i, (struct sockaddr *)&ours, &len) == 0 &&
            ours.sin_port == theirs.sin_port)
            return i;
    }
    return -1;
}

/* A child that is being started has copies of all descriptors until its exec: close does not take ours from epoll then. */
static void a_copy_of_its_socket_wakes_nobody(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];
    int fd, copy;

    world_url(w, "/", url);
    get(w, &c, url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    copy = dup(our_end_of(fd));
    assert_true(copy >= 0);
    say(w, fd, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    check_answer(w, &c, 204, "");
    some_turns(w);
    say(w, fd, "what nobody waits for");
    some_turns(w);
    close(copy);
    close(fd);
}

static void the_client_goes_with_its_calls(void **state)
{
    struct world *w = *state;
    struct asker c[2] = {{0}};
    char url[256];
    int fd;

    world_url(w, "/", url);
    get(w, &c[0], url);
    fd = serve(w);
    (void)heard(w, fd, "\r\n\r\n");
    get(w, &c[1], "http://nobody.test/");
    client_free(w->client);
    w->client = NULL;
    check_hung_up(w, fd);
    assert_int_equal(c[0].dones + c[1].dones, 0);
    buf_done(&c[0].body);
    buf_done(&c[1].body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_call_has_its_time),
        world_test(connecting_has_its_time),
        world_test(a_receiver_that_pauses_is_not_told_more),
        world_test(a_pause_in_the_head_of_an_empty_answer),
        world_test(a_paused_answer_that_ends_is_whole),
        world_test(large_bodies_leave_while_answers_come),
        world_test(an_answer_may_come_before_the_request_is_whole),
        world_test(cancelled_in_every_phase),
        world_test(cancelled_from_inside),
        world_test(a_copy_of_its_socket_wakes_nobody),
        world_test(the_client_goes_with_its_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
