/* Tokens of OAuth2, from a server over TLS that the test plays with the other end of the engine. */
#include "exec_world.h"

#include <openssl/x509.h>
#include <time.h>

#include "sim/certificates.h"
#include "tls/session.h"

#include "base/poison.h"

#define PROVIDER                                                                        \
    "[provider]\nname=\"p\"\ndescription=\"d\"\nbase_url=\"http://127.0.0.1:{port}\"\n" \
    "auth_type=\"oauth2\"\nauth_key_name=\"id\"\nauth_secret_name=\"long\"\n"
#define TOOL "[[tools]]\nname=\"t\"\ndescription=\"d\"\nendpoint=\"/x\"\n"

struct issuer {
    struct exec_world *w;
    struct session_context *context;
    int listener;
    uint16_t port;
    char toml[1024];
};

/* One connection to it. */
struct visit {
    int fd;
    struct session *tls;
    char seen[8192];
    size_t len;
};

static void issuer_open(struct exec_world *w, struct issuer *i, const char *more)
{
    int64_t now = (int64_t)time(NULL);
    struct sim_certificate_spec spec = {.name = "A",
                                        .alt_names = "IP:127.0.0.1",
                                        .not_before_s = now - 1000,
                                        .not_after_s = now + 1000};
    struct buf chain, key;
    X509 *x = NULL;

    buf_init(&chain, 1 << 16, "chain");
    buf_init(&key, 1 << 16, "key");
    assert_true(sim_key(&spec.key, NULL) && sim_certificate(&spec, &x, NULL) &&
                sim_pem(x, &chain, NULL) && sim_key_pem(spec.key, &key, NULL));
    i->w = w;
    i->listener = listen_here(&i->port);
    assert_true(session_server_context(buf_view(&chain), buf_view(&key), &i->context, NULL));
    use_client(w, buf_view(&chain));
    use_shared(w, CLIENT_ANYWHERE);
    X509_free(x);
    EVP_PKEY_free(spec.key);
    buf_done(&chain);
    buf_done(&key);
    (void)snprintf(i->toml, sizeof i->toml,
                   PROVIDER "oauth2_token_url=\"https://127.0.0.1:%u/token\"\n%s" TOOL, i->port,
                   more);
    use_provider(w, i->toml);
}

static void issuer_close(struct issuer *i)
{
    session_context_unref(i->context);
    close(i->listener);
}

static void flush(struct issuer *i, struct visit *v)
{
    struct view out;

    while ((out = session_output(v->tls)).len) {
        ssize_t n = send(v->fd, out.at, out.len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        session_sent(v->tls, (size_t)n);
        turn(i->w);
    }
}

/* The next request, whole. */
static void visited(struct issuer *i, struct visit *v)
{
    static uint8_t raw[64 * 1024];
    uint64_t until = patience();
    bool shaken = false;

    *v = (struct visit){.fd = serve_at(i->w, i->listener)};
    assert_true(session_accept(i->context, &v->tls, NULL));
    while (clock_monotonic_ms(&clock_system) < until) {
        ssize_t n = recv(v->fd, raw, sizeof raw, 0);
        enum tls_status status = TLS_OK;
        const char *body;

        turn(i->w);
        if (n <= 0)
            continue;
        assert_true(session_feed(v->tls, view_from(raw, (size_t)n), NULL));
        if (!shaken)
            shaken = session_handshake(v->tls, NULL) == TLS_OK;
        while (shaken && status == TLS_OK) {
            size_t room = sizeof v->seen - 1 - v->len;

            status = session_read(v->tls, v->seen + v->len, &room, NULL);
            v->len += room;
            v->seen[v->len] = '\0';
        }
        flush(i, v);
        body = strstr(v->seen, "\r\n\r\n");
        if (body && strstr(body, "grant_type=client_credentials"))
            return;
    }
    fail_msg("the client said only: %s", v->seen);
}

static void grant(struct issuer *i, struct visit *v, int status, const char *body)
{
    char text[2048];

    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
                   strlen(body), body);
    assert_true(session_write(v->tls, view_str(text), NULL));
    flush(i, v);
    session_free(v->tls);
    close(v->fd);
}

static void nobody_visits(struct issuer *i)
{
    for (int n = 0; n < 5; n++)
        turn(i->w);
    assert_int_equal(accept4(i->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1);
}

static void used(struct exec_world *w, struct told *t, const char *token)
{
    char want[256];
    int fd = serve(w);

    (void)snprintf(want, sizeof want, "\r\nAuthorization: Bearer %s\r\n", token);
    assert_non_null(strstr(heard(w, fd, "\r\n\r\n"), want));
    answer(w, fd, 200, "1");
    check_value(w, t, "1");
}

static void a_token_is_asked_for_once_and_used_again(void **state)
{
    struct exec_world *w = *state;
    struct issuer i;
    struct visit v;
    struct told t[4];

    issuer_open(w, &i, "");
    for (size_t n = 0; n < COUNT(t); n++)
        begin(w, "t", "{}", &t[n]);
    visited(&i, &v);
    assert_int_equal(strncmp(v.seen, "POST /token HTTP/1.1\r\n", 22), 0);
    assert_non_null(strstr(v.seen, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
    assert_null(strstr(v.seen, "Authorization"));
    assert_non_null(strstr(v.seen, "\r\n\r\ngrant_type=client_credentials&client_id=client+one&"
                                   "client_secret=sk-live%2F0123456789%2Babcdef%5C%22x"));
    nobody_visits(&i);
    grant(&i, &v, 200, "{\"access_token\":\"tok-1\",\"token_type\":\"Bearer\"}");
    for (size_t n = 0; n < COUNT(t); n++)
        used(w, &t[n], "tok-1");
    begin(w, "t", "{}", &t[0]);
    used(w, &t[0], "tok-1");
    nobody_visits(&i);
    /* Another secret is another client: what it was given is not used on. */
    load_keyring(w, "{\"id\":\"client one\",\"long\":\"rotated\"}");
    use_provider(w, i.toml);
    begin(w, "t", "{}", &t[0]);
    visited(&i, &v);
    grant(&i, &v, 200, "{\"access_token\":\"tok-2\"}");
    used(w, &t[0], "tok-2");
    issuer_close(&i);
}

static void credentials_go_by_basic_when_it_says_so(void **state)
{
    struct exec_world *w = *state;
    struct issuer i;
    struct visit v;
    struct told t;

    issuer_open(w, &i, "oauth2_basic_auth=true\n");
    begin(w, "t", "{}", &t);
    visited(&i, &v);
    assert_non_null(strstr(
        v.seen,
        "\r\nAuthorization: Basic Y2xpZW50IG9uZTpzay1saXZlLzAxMjM0NTY3ODkrYWJjZGVmXCJ4\r\n"));
    assert_non_null(strstr(v.seen, "\r\n\r\ngrant_type=client_credentials"));
    assert_null(strstr(v.seen, "client_secret"));
    grant(&i, &v, 200, "{\"access_token\":\"tok\"}");
    used(w, &t, "tok");
    issuer_close(&i);
}

static void a_token_that_soon_expires_is_not_kept(void **state)
{
    static const struct {
        const char *expires;
        bool kept;
    } cases[] = {{"60", false}, {"61", true},    {"0", false},
                 {"-5", false}, {"\"x\"", true}, {"1e3", true}};
    struct exec_world *w = *state;

    for (size_t n = 0; n < COUNT(cases); n++) {
        char body[128];
        struct issuer i;
        struct visit v;
        struct told t;

        issuer_open(w, &i, "");
        (void)snprintf(body, sizeof body, "{\"expires_in\":%s,\"access_token\":\"tok\"}",
                       cases[n].expires);
        begin(w, "t", "{}", &t);
        visited(&i, &v);
        grant(&i, &v, 200, body);
        used(w, &t, "tok");
        begin(w, "t", "{}", &t);
        if (!cases[n].kept) {
            visited(&i, &v);
            grant(&i, &v, 200, body);
        }
        used(w, &t, "tok");
        nobody_visits(&i);
        issuer_close(&i);
    }
}

static void refusals_are_told_without_secrets_and_not_kept(void **state)
{
    static const struct {
        int status;
        const char *body, *error;
    } cases[] = {
        {401, "{\"error\":\"invalid_client\"}",
         "OAuth2 token exchange failed: HTTP 401: {\\\"error\\\":\\\"invalid_client\\\"}"},
        {400, "for client one no secret sk-live/0123456789+abcdef\\\"x",
         "OAuth2 token exchange failed: HTTP 400: for [redacted] no secret "
         "sk-live/0123456789+abcdef"},
        {302, "", "OAuth2 token exchange failed: HTTP 302: "},
        {200, "{\"token\":\"x\"}", "OAuth2 token exchange failed: the answer has no access_token"},
        {200, "{\"access_token\":\"\"}",
         "OAuth2 token exchange failed: the answer has no access_token"},
        {200, "{\"access_token\":5}",
         "OAuth2 token exchange failed: the answer has no access_token"},
        {200, "hello",
         "OAuth2 token exchange failed: the answer: JSON: at byte 0 a value was expected"},
    };
    struct exec_world *w = *state;
    struct issuer i;
    struct visit v;
    struct told t[2];

    issuer_open(w, &i, "");
    for (size_t n = 0; n < COUNT(cases); n++) {
        begin(w, "t", "{}", &t[0]);
        begin(w, "t", "{}", &t[1]);
        visited(&i, &v);
        grant(&i, &v, cases[n].status, cases[n].body);
        for (size_t k = 0; k < 2; k++) {
            wait_done(w, &t[k]);
            assert_int_equal(t[k].outcome, EXEC_HTTP);
            if (strstr(t[k].error, "sk-live") ||
                !strstr(t[k].error, "OAuth2 token exchange failed: "))
                fail_msg("%s", t[k].error);
            if (cases[n].status != 400)
                assert_string_equal(t[k].error, cases[n].error);
            told_done(&t[k]);
        }
        nobody_visits(&i);
    }
    begin(w, "t", "{}", &t[0]);
    visited(&i, &v);
    grant(&i, &v, 200, "{\"access_token\":\"tok\"}");
    used(w, &t[0], "tok");
    issuer_close(&i);
}

static void who_leaves_hands_over(void **state)
{
    struct exec_world *w = *state;
    struct issuer i;
    struct visit v;
    struct told first, second;

    issuer_open(w, &i, "");
    begin(w, "t", "{}", &first);
    begin(w, "t", "{}", &second);
    visited(&i, &v);
    exec_cancel(first.execution);
    session_free(v.tls);
    close(v.fd);
    visited(&i, &v);
    grant(&i, &v, 200, "{\"access_token\":\"tok\"}");
    used(w, &second, "tok");
    assert_int_equal(first.dones, 0);
    issuer_close(&i);
}

static void what_is_missing_is_named(void **state)
{
    static const struct {
        const char *toml, *error;
    } cases[] = {
        {"auth_key_name=\"id\"\noauth2_token_url=\"https://x\"\n",
         "OAuth2 token exchange failed: auth_secret_name not set for OAuth2"},
        {"auth_key_name=\"id\"\nauth_secret_name=\"nobody\"\noauth2_token_url=\"https://x\"\n",
         "API key 'nobody' not found in keyring"},
        {"auth_key_name=\"id\"\nauth_secret_name=\"long\"\noauth2_token_url=\"/token\"\n",
         "OAuth2 token URL must use HTTPS: 'http://a.example/token'"},
        {"auth_key_name=\"id\"\nauth_secret_name=\"long\"\noauth2_token_url=\"httpx\"\n",
         "OAuth2 token URL must use HTTPS: 'httpx'"},
    };
    struct exec_world *w = *state;
    char toml[1024];
    struct told t;

    for (size_t n = 0; n < COUNT(cases); n++) {
        (void)snprintf(toml, sizeof toml,
                       "[provider]\nname=\"p\"\ndescription=\"d\"\nbase_url=\"http://a.example/\"\n"
                       "auth_type=\"oauth2\"\n%s" TOOL,
                       cases[n].toml);
        use_provider(w, toml);
        begin(w, "t", "{}", &t);
        check_failure(w, &t, EXEC_HTTP, cases[n].error);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_open, exec_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_asked_for_once_and_used_again),
        TEST(credentials_go_by_basic_when_it_says_so),
        TEST(a_token_that_soon_expires_is_not_kept),
        TEST(refusals_are_told_without_secrets_and_not_kept),
        TEST(who_leaves_hands_over),
        TEST(what_is_missing_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
