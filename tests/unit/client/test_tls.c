/* Requests over TLS, to a server that the test plays with the other end of the engine. TLS 1.2 stands in tests/integration. */
#include "world.h"

#include <openssl/x509.h>
#include <time.h>

#include "sim/certificates.h"
#include "tls/session.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

enum { RAW_BYTES = 64 * 1024 };

/* The server's end of a connection. */
struct end {
    struct world *w;
    int fd;
    struct session *tls;
    char seen[SEEN_BYTES];
    size_t seen_len;
    bool shaken;
};

struct certificates {
    struct buf chain, key;
};

static void certificate(struct certificates *c, const char *names, bool expired)
{
    int64_t now = (int64_t)time(NULL);
    struct sim_certificate_spec spec = {.name = "A",
                                        .alt_names = names,
                                        .not_before_s = now - 1000,
                                        .not_after_s = expired ? now - 100 : now + 1000};
    X509 *x = NULL;

    buf_init(&c->chain, 1 << 16, "chain");
    buf_init(&c->key, 1 << 16, "key");
    assert_true(sim_key(&spec.key, NULL) && sim_certificate(&spec, &x, NULL) &&
                sim_pem(x, &c->chain, NULL) && sim_key_pem(spec.key, &c->key, NULL));
    X509_free(x);
    EVP_PKEY_free(spec.key);
}

static void certificates_done(struct certificates *c)
{
    buf_done(&c->chain);
    buf_done(&c->key);
}

static void name_it(struct world *w, const char *name)
{
    dns_server_say(w->dns, name, DNS_A, &(struct dns_rule){.ttl = 60, .addresses = {"127.0.0.1"}});
}

static void flush(struct end *e)
{
    struct view v;

    while ((v = session_output(e->tls)).len) {
        ssize_t n = send(e->fd, v.at, v.len, MSG_NOSIGNAL);

        if (n > 0)
            session_sent(e->tls, (size_t)n);
        else if (errno != EAGAIN)
            return;
        turn(e->w);
    }
}

/* Takes what came. False: the client has gone, or the handshake failed. */
static bool take_some(struct end *e)
{
    static uint8_t raw[RAW_BYTES];
    ssize_t n = recv(e->fd, raw, sizeof raw, 0);
    enum tls_status status = TLS_OK;

    if (n == 0)
        return false;
    if (n < 0) {
        bool waits = errno == EAGAIN;

        turn(e->w);
        return waits;
    }
    assert_true(session_feed(e->tls, view_from(raw, (size_t)n), NULL));
    if (!e->shaken) {
        status = session_handshake(e->tls, NULL);
        e->shaken = status == TLS_OK;
    }
    while (e->shaken && status == TLS_OK) {
        size_t room = sizeof e->seen - 1 - e->seen_len;

        status = session_read(e->tls, e->seen + e->seen_len, &room, NULL);
        e->seen_len += room;
        e->seen[e->seen_len] = '\0';
    }
    flush(e);
    return status != TLS_FAILED;
}

static struct end *serve_tls_at(struct world *w, struct session_context *context, int fd)
{
    struct end *e = calloc(1, sizeof *e);

    assert_non_null(e);
    e->w = w;
    e->fd = fd;
    assert_true(session_accept(context, &e->tls, NULL));
    return e;
}

static struct end *serve_tls(struct world *w, struct session_context *context)
{
    return serve_tls_at(w, context, serve(w));
}

static void end_close(struct end *e)
{
    session_free(e->tls);
    close(e->fd);
    free(e);
}

static void heard_tls(struct end *e, const char *end)
{
    size_t n = strlen(end);

    e->seen_len = 0;
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        if (!take_some(e))
            fail_msg("the client has gone");
        if (e->seen_len >= n && strcmp(e->seen + e->seen_len - n, end) == 0)
            return;
    }
    fail_msg("the client said only: %s", e->seen);
}

static void say_tls(struct end *e, const char *text)
{
    assert_true(session_write(e->tls, view_str(text), NULL));
    flush(e);
}

static struct session_context *good_server(struct world *w, const char *names)
{
    struct session_context *context = NULL;
    struct certificates c;

    certificate(&c, names, false);
    assert_true(session_server_context(buf_view(&c.chain), buf_view(&c.key), &context, NULL));
    use_client(w, &(struct client_options){.extra_roots = buf_view(&c.chain)});
    certificates_done(&c);
    return context;
}

static void url_of(struct world *w, const char *host, const char *path, char out[static 256])
{
    (void)snprintf(out, 256, "https://%s:%u%s", host, w->port, path);
}

static void a_request_over_tls(void **state)
{
    static const char *const hosts[] = {"a.test", "A.test.", "127.0.0.1"};
    struct world *w = *state;
    struct session_context *context = good_server(w, "DNS:a.test,IP:127.0.0.1");

    name_it(w, "a.test");
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct asker c = {0}, d = {0};
        struct end *e;
        char url[256];

        url_of(w, hosts[i], "/x", url);
        get(w, &c, url);
        e = serve_tls(w, context);
        heard_tls(e, "\r\n\r\n");
        assert_int_equal(strncmp(e->seen, "GET /x HTTP/1.1\r\nHost: ", 23), 0);
        say_tls(e, ANSWER);
        check_answer(w, &c, 200, "ok");
        get(w, &d, url);
        heard_tls(e, "\r\n\r\n");
        say_tls(e, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        check_answer(w, &d, 200, "ok");
        assert_int_equal(d.end.connect_us, 0);
        end_close(e);
    }
    session_context_unref(context);
}

static void bodies_both_ways(void **state)
{
    static const size_t sizes[] = {1, 100, 16000, 16384, 100000};
    struct world *w = *state;
    struct session_context *context = good_server(w, "IP:127.0.0.1");
    struct end *e = NULL;
    char url[256];

    url_of(w, "127.0.0.1", "/", url);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct client_request r = {.method = VIEW("POST"), .url = view_str(url)};
        char *body = malloc(sizes[i] + 1), head[128];
        struct asker c = {0};

        assert_non_null(body);
        for (size_t j = 0; j < sizes[i]; j++)
            body[j] = (char)('a' + j % 26);
        body[sizes[i]] = '\0';
        r.body = view_from(body, sizes[i]);
        caller_start(w, &c, &r);
        if (!e)
            e = serve_tls(w, context);
        heard_tls(e, body);
        (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                       sizes[i]);
        say_tls(e, head);
        say_tls(e, body);
        check_answer(w, &c, 200, body);
        free(body);
    }
    end_close(e);
    session_context_unref(context);
}

static void a_pause_holds_the_server_back(void **state)
{
    struct world *w = *state;
    struct session_context *context = good_server(w, "IP:127.0.0.1");
    struct asker c = {.pause_in_piece = true};
    char url[256], *body = malloc(200001);
    struct end *e;

    assert_non_null(body);
    memset(body, 'x', 200000);
    body[200000] = '\0';
    url_of(w, "127.0.0.1", "/", url);
    get(w, &c, url);
    e = serve_tls(w, context);
    heard_tls(e, "\r\n\r\n");
    say_tls(e, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
    say_tls(e, body);
    some_turns(w);
    assert_int_equal(c.pieces, 1);
    for (unsigned i = 0; i < TURNS_MAX && !c.dones; i++) {
        client_resume(c.call);
        turn(w);
    }
    check_answer(w, &c, 200, body);
    end_close(e);
    free(body);
    session_context_unref(context);
}

static void check_refused(struct world *w, struct session_context *context, const char *host,
                          const char *why)
{
    struct asker c = {0};
    struct end *e;
    char url[256];

    url_of(w, host, "/?key=hidden", url);
    get(w, &c, url);
    e = serve_tls(w, context);
    for (unsigned i = 0; i < TURNS_MAX && !c.dones && take_some(e); i++)
        ;
    check_end(w, &c, CLIENT_CONNECT);
    assert_int_equal(c.end.err.code, ERR_TLS);
    if (!strstr(c.end.err.text, why))
        fail_msg("%s", c.end.err.text);
    assert_null(strstr(c.end.err.text, "hidden"));
    assert_int_equal(e->seen_len, 0); /* nothing of the request was sent */
    end_close(e);
}

static void certificates_that_are_not_good(void **state)
{
    struct world *w = *state;
    struct session_context *context = good_server(w, "DNS:a.test"), *expired = NULL;
    struct certificates c;

    name_it(w, "b.test");
    check_refused(w, context, "b.test", "hostname mismatch");
    check_refused(w, context, "127.0.0.1", "IP address mismatch");
    use_client(w, &(struct client_options){0}); /* who does not know the CA */
    name_it(w, "a.test");
    check_refused(w, context, "a.test", "self-signed certificate");
    session_context_unref(context);

    certificate(&c, "DNS:a.test", true);
    assert_true(session_server_context(buf_view(&c.chain), buf_view(&c.key), &expired, NULL));
    use_client(w, &(struct client_options){.extra_roots = buf_view(&c.chain)});
    certificates_done(&c);
    check_refused(w, expired, "a.test", "certificate has expired");
    session_context_unref(expired);
}

static void roots_of_the_environment(void **state)
{
    struct world *w = *state;
    struct session_context *context = NULL;
    struct certificates cert;
    char path[] = "/tmp/client-roots-XXXXXX", variable[64];
    char *environment[] = {variable, NULL};
    struct client *none = NULL;
    struct asker c = {0};
    char url[256];
    struct end *e;
    struct err err;
    int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    certificate(&cert, "IP:127.0.0.1", false);
    assert_true(session_server_context(buf_view(&cert.chain), buf_view(&cert.key), &context, NULL));
    assert_int_equal(write(fd, buf_view(&cert.chain).at, buf_len(&cert.chain)),
                     (ssize_t)buf_len(&cert.chain));
    close(fd);
    certificates_done(&cert);
    (void)snprintf(variable, sizeof variable, "SSL_CERT_FILE=%s", path);
    use_client(w, &(struct client_options){.environment = environment});
    assert_int_equal(unlink(path), 0);
    url_of(w, "127.0.0.1", "/", url);
    get(w, &c, url);
    e = serve_tls(w, context);
    heard_tls(e, "\r\n\r\n");
    say_tls(e, ANSWER);
    check_answer(w, &c, 200, "ok");
    end_close(e);
    session_context_unref(context);
    assert_false(client_new(w->loop, w->resolver,
                            &(struct client_options){.environment = environment}, &none, &err));
    assert_non_null(strstr(err.text, "SSL_CERT_FILE"));
}

static void a_server_without_tls(void **state)
{
    struct world *w = *state;
    struct asker c = {0};
    char url[256];
    int fd;

    url_of(w, "127.0.0.1", "/", url);
    get(w, &c, url);
    fd = serve(w);
    say(w, fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    check_end(w, &c, CLIENT_CONNECT);
    assert_int_equal(c.end.err.code, ERR_TLS);
    close(fd);
}

/* Somebody on the way may have ended it: only close_notify says that it is whole. */
static void an_end_without_close_notify_is_none(void **state)
{
    struct world *w = *state;
    struct session_context *context = good_server(w, "IP:127.0.0.1");
    char url[256];

    url_of(w, "127.0.0.1", "/", url);
    for (unsigned notify = 0; notify < 2; notify++) {
        struct asker c = {0};
        struct end *e;

        get(w, &c, url);
        e = serve_tls(w, context);
        heard_tls(e, "\r\n\r\n");
        say_tls(e, "HTTP/1.1 200 OK\r\n\r\nhalf");
        some_turns(w);
        assert_int_equal(c.dones, 0);
        if (notify) {
            session_close(e->tls);
            flush(e);
        }
        end_close(e);
        if (notify)
            check_answer(w, &c, 200, "half");
        else
            check_end(w, &c, CLIENT_BROKEN);
    }
    session_context_unref(context);
}

/* What is no TLS behind what is. */
static void records_that_are_none(void **state)
{
    static const char junk[] = "\x17\x03\x03\x00\x20 this was encrypted by nobody at all";
    struct world *w = *state;
    struct session_context *context = good_server(w, "IP:127.0.0.1");
    struct asker c = {0};
    uint8_t both[4096];
    struct view good;
    char url[256];
    struct end *e;

    url_of(w, "127.0.0.1", "/", url);
    get(w, &c, url);
    e = serve_tls(w, context);
    heard_tls(e, "\r\n\r\n");
    assert_true(
        session_write(e->tls, VIEW("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), NULL));
    good = session_output(e->tls);
    assert_true(good.len + sizeof junk <= sizeof both);
    memcpy(both, good.at, good.len);
    memcpy(both + good.len, junk, sizeof junk);
    say_bytes(w, e->fd, both, good.len + sizeof junk); /* in one segment */
    check_end(w, &c, CLIENT_BROKEN);
    assert_int_equal(c.heads, 1);
    end_close(e);
    session_context_unref(context);
}

static void never_from_https_to_http(void **state)
{
    struct world *w = *state;
    struct session_context *context = good_server(w, "IP:127.0.0.1");
    struct client_request r = {.method = VIEW("GET"), .redirects = 5};
    struct asker c = {0};
    char url[256], answer[512];
    struct end *e;

    url_of(w, "127.0.0.1", "/", url);
    r.url = view_str(url);
    caller_start(w, &c, &r);
    e = serve_tls(w, context);
    heard_tls(e, "\r\n\r\n");
    (void)snprintf(answer, sizeof answer,
                   "HTTP/1.1 302 Found\r\nLocation: %s/?key=hidden\r\nContent-Length: 0\r\n\r\n",
                   w->origin);
    say_tls(e, answer);
    check_end(w, &c, CLIENT_URL);
    assert_non_null(strstr(c.end.err.text, "https to http"));
    assert_null(strstr(c.end.err.text, "hidden"));
    end_close(e);
    nobody_comes(w);
    session_context_unref(context);
}

static void a_stale_session_costs_no_request(void **state)
{
    struct world *w = *state;
    struct session_context *context = good_server(w, "IP:127.0.0.1");
    struct asker c = {0}, d = {0};
    char url[256];
    struct end *e;

    url_of(w, "127.0.0.1", "/", url);
    get(w, &c, url);
    e = serve_tls(w, context);
    heard_tls(e, "\r\n\r\n");
    say_tls(e, ANSWER);
    check_answer(w, &c, 200, "ok");
    end_close(e);
    get(w, &d, url);
    e = serve_tls(w, context);
    heard_tls(e, "\r\n\r\n");
    say_tls(e, ANSWER);
    check_answer(w, &d, 200, "ok");
    end_close(e);
    session_context_unref(context);
}

static void through_a_tunnel(void **state)
{
    struct world *w = *state;
    struct session_context *context;
    struct certificates cert;
    struct asker c = {0};
    char proxy[128];
    char *environment[] = {proxy, NULL};
    struct end *e;
    int fd;

    (void)snprintf(proxy, sizeof proxy, "HTTPS_PROXY=%s", w->origin);
    certificate(&cert, "DNS:a.test", false);
    assert_true(session_server_context(buf_view(&cert.chain), buf_view(&cert.key), &context, NULL));
    use_client(w, &(struct client_options){.extra_roots = buf_view(&cert.chain),
                                           .environment = environment});
    certificates_done(&cert);
    get(w, &c, "https://a.test:8443/x");
    fd = serve(w);
    assert_string_equal(heard(w, fd, "\r\n\r\n"),
                        "CONNECT a.test:8443 HTTP/1.1\r\nHost: a.test:8443\r\n\r\n");
    say(w, fd, "HTTP/1.1 200 OK\r\n\r\n");
    e = serve_tls_at(w, context, fd);
    heard_tls(e, "\r\n\r\n");
    assert_int_equal(strncmp(e->seen, "GET /x HTTP/1.1\r\nHost: a.test:8443\r\n", 36), 0);
    say_tls(e, ANSWER);
    check_answer(w, &c, 200, "ok");
    end_close(e);
    session_context_unref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_request_over_tls),
        world_test(bodies_both_ways),
        world_test(a_pause_holds_the_server_back),
        world_test(certificates_that_are_not_good),
        world_test(roots_of_the_environment),
        world_test(a_server_without_tls),
        world_test(an_end_without_close_notify_is_none),
        world_test(records_that_are_none),
        world_test(never_from_https_to_http),
        world_test(a_stale_session_costs_no_request),
        world_test(through_a_tunnel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
