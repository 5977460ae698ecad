/* file_manager at the executor: downloads from, and uploads to, servers that the test plays. */
#include "../client/world.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include "ati/exec/files.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/text.h"

struct files_world {
    struct world *w;
    char folder[64];
    char allowlist[128];
    char *environment[2];
    struct exec_shared *shared;
    struct executor *executor;
    struct snapshot *snapshot;
    struct caller *caller;
    char *pem;
    EVP_PKEY *key;
};

struct told {
    unsigned calls;
    enum exec_outcome outcome;
    int status;
    char value[4096], error[4096];
};

/* --- the world --- */

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(file_write(path, view_str(text), 0600, NULL));
}

static void warn(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", text);
}

/* A service account's key, as Google gives them out. */
static void write_credentials(struct files_world *f)
{
    char account[8192], credentials[16384];
    struct json_writer w;
    struct buf out;
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    long n;

    f->key = EVP_RSA_gen(2048);
    assert_true(f->key && bio &&
                PEM_write_bio_PrivateKey(bio, f->key, NULL, NULL, 0, NULL, NULL) == 1);
    n = BIO_get_mem_data(bio, &at);
    f->pem = strndup(at, (size_t)n);
    BIO_free(bio);
    buf_init(&out, sizeof account, "account");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "client_email");
    json_text(&w, VIEW("me@project.test"));
    json_key(&w, "private_key");
    json_text(&w, view_str(f->pem));
    json_key(&w, "private_key_id");
    json_text(&w, VIEW("key-1"));
    json_key(&w, "token_uri");
    (void)snprintf(credentials, sizeof credentials, "%s/token", f->w->origin);
    json_text(&w, view_str(credentials));
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    (void)snprintf(account, sizeof account, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_reset(&out);
    out.max = sizeof credentials;
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "gcp_credentials");
    json_text(&w, view_str(account));
    json_key(&w, "fal_api_key");
    json_text(&w, VIEW("fal-key-hidden-0123456789"));
    json_key(&w, "broken");
    json_text(&w, VIEW("hidden, and no JSON"));
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    (void)snprintf(credentials, sizeof credentials, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    write_text(f->folder, "credentials", credentials);
}

static void write_manifests(struct files_world *f)
{
    char text[4096], path[128];

    (void)snprintf(path, sizeof path, "%s/manifests", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(
        text, sizeof text,
        "[provider]\nname = \"file_manager\"\ndescription = \"files\"\nhandler = \"file_manager\"\n"
        "upload_default_destination = \"bucket\"\n"
        "[provider.upload_destinations.bucket]\nkind = \"gcs\"\nbucket = \"b-1\"\n"
        "prefix = \"in/box\"\nendpoint = \"%s\"\n"
        "[provider.upload_destinations.keyless]\nkind = \"gcs\"\nbucket = \"b\"\n"
        "key_ref = \"nobody\"\n"
        "[provider.upload_destinations.broken]\nkind = \"gcs\"\nbucket = \"b\"\n"
        "key_ref = \"broken\"\n"
        "[provider.upload_destinations.clear]\nkind = \"gcs\"\nbucket = \"b\"\n"
        "endpoint = \"http://storage.test\"\n"
        "[provider.upload_destinations.fal]\nkind = \"fal_storage\"\nendpoint = \"%s\"\n",
        f->w->origin, f->w->origin);
    write_text(f->folder, "manifests/files.toml", text);
}

static void load(struct files_world *f)
{
    struct keyring_source source = {.folder = f->folder};
    struct keyring_report report;
    struct catalog *catalog = NULL;
    struct keyring *keyring = NULL;
    struct err err;

    if (!catalog_load(f->folder, 0, warn, NULL, &catalog, &err) ||
        !keyring_load(&source, &keyring, &report, &err) ||
        !snapshot_new(catalog, keyring, NULL, &f->snapshot, &err))
        fail_msg("%s", err.text);
    catalog_unref(catalog);
    keyring_unref(keyring);
}

static void use_reach(struct files_world *f, enum client_reach reach)
{
    struct exec_shared_options options = {
        .folder = f->folder, .environment = f->environment, .reach = reach};

    executor_free(f->executor);
    exec_shared_free(f->shared);
    assert_true(exec_shared_new(&options, &f->shared, NULL));
    assert_true(executor_new(f->w->loop, f->w->client, f->shared, NULL, &f->executor, NULL));
}

static int open_files(void **state)
{
    struct files_world *f = calloc(1, sizeof *f);
    void *inner = NULL;

    assert_non_null(f);
    assert_int_equal(open_world(&inner), 0);
    f->w = inner;
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/ati-files-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    write_credentials(f);
    write_manifests(f);
    load(f);
    assert_true(caller_dev(&f->caller, NULL));
    use_reach(f, CLIENT_ANYWHERE);
    *state = f;
    return 0;
}

static int close_files(void **state)
{
    struct files_world *f = *state;
    void *inner = f->w;
    char command[128];

    executor_free(f->executor);
    exec_shared_free(f->shared);
    snapshot_unref(f->snapshot);
    caller_unref(f->caller);
    EVP_PKEY_free(f->key);
    free(f->pem);
    (void)snprintf(command, sizeof command, "rm -r %s", f->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
    free(f);
    return close_world(&inner);
}

static void told_done(void *context, struct exec_result *r)
{
    struct told *t = context;

    t->calls++;
    t->outcome = r->outcome;
    t->status = r->status;
    (void)snprintf(t->value, sizeof t->value, "%.*s", VIEW_ARG(buf_view(&r->value)));
    (void)snprintf(t->error, sizeof t->error, "%.*s", VIEW_ARG(buf_view(&r->error)));
}

static struct execution *start(struct files_world *f, struct told *t, const char *tool,
                               const char *arguments)
{
    struct exec_request request = {.snapshot = f->snapshot,
                                   .tool = catalog_find(f->snapshot->catalog, view_str(tool)),
                                   .caller = f->caller,
                                   .arguments = view_str(arguments)};
    struct execution *e;

    *t = (struct told){0};
    assert_non_null(request.tool);
    assert_true(exec_start(f->executor, &request, told_done, t, &e, NULL));
    assert_int_equal(t->calls, 0);
    return e;
}

static void finish(struct files_world *f, struct told *t)
{
    for (unsigned i = 0; i < TURNS_MAX && !t->calls; i++)
        turn(f->w);
    assert_int_equal(t->calls, 1);
    assert_null(strstr(t->error, "hidden"));
    assert_null(strstr(t->value, "hidden"));
}

static void check_failed(struct files_world *f, struct told *t, int status, const char *text)
{
    finish(f, t);
    if (t->outcome != EXEC_FILES || t->status != status || !strstr(t->error, text))
        fail_msg("%d %d %s %s", t->outcome, t->status, t->error, t->value);
}

static void check_value(struct files_world *f, struct told *t, const char *value)
{
    finish(f, t);
    if (t->outcome != EXEC_OK)
        fail_msg("%d %s", t->status, t->error);
    assert_string_equal(t->value, value);
}

static struct execution *download(struct files_world *f, struct told *t, const char *path,
                                  const char *more)
{
    char arguments[1024];

    (void)snprintf(arguments, sizeof arguments, "{\"url\":\"%s%s\"%s}", f->w->origin, path, more);
    return start(f, t, "file_manager:download", arguments);
}

/* --- downloads --- */

static void a_file_comes_as_base64(void **state)
{
    static const char *const bodies[] = {"", "h", "he", "hel", "hell", "hello"};
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(bodies); i++) {
        char answer[512], base64[32], expected[512];
        struct told t;
        int fd;

        (void)download(f, &t, "/a?b", "");
        fd = serve(f->w);
        assert_int_equal(strncmp(heard(f->w, fd, "\r\n\r\n"), "GET /a?b HTTP/1.1\r\n", 19), 0);
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nContent-Type: text/x; a=\"b\"\r\n"
                       "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        say(f->w, fd, answer);
        for (size_t j = 0; bodies[i][j]; j++) { /* each byte on its own */
            (void)snprintf(answer, sizeof answer, "1\r\n%c\r\n", bodies[i][j]);
            say(f->w, fd, answer);
        }
        say(f->w, fd, "0\r\n\r\n");
        base64_encode(view_str(bodies[i]), base64);
        (void)snprintf(expected, sizeof expected,
                       "{\"content_base64\":\"%s\",\"content_type\":\"text/x; a=\\\"b\\\"\","
                       "\"size_bytes\":%zu,\"source_url\":\"%s/a?b\",\"success\":true}",
                       base64, strlen(bodies[i]), f->w->origin);
        check_value(f, &t, expected);
        close(fd);
    }
}

static void arguments_that_are_not_good(void **state)
{
    static const struct {
        const char *arguments, *text;
    } cases[] = {
        {"{}", "Missing required argument: url"},
        {"[]", "Missing required argument: url"},
        {"{\"url\":null}", "Missing required argument: url"},
        {"{\"url\":5}", "Missing required argument: url"},
        {"{\"url\":\"\"}", "Missing required argument: url"},
        {"{\"url\":\"http://a\",\"max_bytes\":0}", "Invalid argument 'max_bytes': must be > 0"},
        {"{\"url\":\"http://a\",\"max-bytes\":\"x\"}", "Invalid argument 'max_bytes': "},
        {"{\"url\":\"http://a\",\"max_bytes\":-1}", "Invalid argument 'max_bytes': "},
        {"{\"url\":\"http://a\",\"timeout\":1.5}", "Invalid argument 'timeout': "},
        {"{\"url\":\"http://a\",\"headers\":[]}", "Invalid argument 'headers': "},
        {"{\"url\":\"http://a\",\"headers\":\"x\"}", "Invalid argument 'headers': "},
        {"{\"url\":\"http://a\",\"headers\":{\"Host\":\"b\"}}", "Invalid extra header 'Host': "},
        {"{\"url\":\"http://a\",\"headers\":\"{\\\"host\\\":\\\"b\\\"}\"}",
         "Invalid extra header 'host': "},
        {"{\"url\":\"http://a\",\"headers\":{\"Content-Length\":5}}", "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"transfer-encoding\":\"b\"}}",
         "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"Connection\":\"b\"}}", "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"Proxy-Authorization\":\"hidden\"}}",
         "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"X Y\":\"b\"}}", "Invalid extra header 'X Y': "},
        {"{\"url\":\"http://a\",\"headers\":{\"X:\":\"b\"}}", "Invalid extra header 'X:': "},
        {"{\"url\":\"http://a\",\"headers\":{\"\":\"b\"}}", "Invalid extra header '': "},
        {"{\"url\":\"http://a\",\"headers\":{\"X\\n\":\"b\"}}", "Invalid extra header 'X\\n': "},
        {"{\"url\":\"http://a\",\"headers\":{\"\xc3\xa9\":\"b\"}}", "Invalid extra header"},
        {"{\"url\":\"http://a\",\"headers\":{\"X\":\"a\\r\\nB: hidden\"}}",
         "Invalid extra header 'X': "},
        {"{\"url\":\"http://a\",\"headers\":{\"X\":[]}}",
         "Invalid argument 'headers': value for 'X' must be "},
    };
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told t;

        (void)start(f, &t, "file_manager:download", cases[i].arguments);
        check_failed(f, &t, 400, cases[i].text);
    }
    nobody_comes(f->w);
}

static void headers_are_sent_and_do_not_cross(void **state)
{
    struct files_world *f = *state;
    struct world other = {.loop = f->w->loop};
    struct told t;
    char location[256];
    const char *text;
    int fd, other_fd;

    other.listener = listen_at("127.0.0.1", &other.port);
    (void)download(
        f, &t, "/",
        ",\"headers\":{\"X-Key\":\"hidden\",\"X-N\":5,\"X-B\":true,\"Range\":\"bytes=0-\"}");
    fd = serve(f->w);
    text = heard(f->w, fd, "\r\n\r\n");
    assert_true(strstr(text, "X-Key: hidden\r\n") && strstr(text, "X-N: 5\r\n") &&
                strstr(text, "X-B: true\r\n") && strstr(text, "Range: bytes=0-\r\n"));
    (void)snprintf(
        location, sizeof location,
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n",
        other.port);
    say(f->w, fd, location);
    other_fd = serve(&other);
    text = heard(f->w, other_fd, "\r\n\r\n");
    assert_null(strstr(text, "X-"));
    assert_non_null(strstr(text, "Range: bytes=0-\r\n"));
    say(f->w, other_fd, "HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nok");
    finish(f, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    assert_non_null(strstr(t.value, "\"content_type\":null"));
    close(fd);
    close(other_fd);
    close(other.listener);
}

static void a_file_has_its_limit(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello!",
    };
    static const char *const arguments[] = {",\"max_bytes\":5", ",\"max-bytes\":\"5\"",
                                            ",\"max_bytes\":\" 5 \"", ",\"max_bytes\":5"};
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(answers); i++) {
        struct told t;
        int fd;

        (void)download(f, &t, "/", arguments[i]);
        fd = serve(f->w);
        (void)heard(f->w, fd, "\r\n\r\n");
        say(f->w, fd, answers[i]);
        check_failed(f, &t, 413, "Response exceeds max-bytes (5 bytes)");
        check_hung_up(f->w, fd);
    }
}

static void servers_that_say_no(void **state)
{
    static const struct {
        const char *answer, *text;
        int status;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "status 404 for '", 404},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "status 503 for '", 503},
        {"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "status 302 for '", 400},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ngone", "HTTP error fetching '", 502},
        {"nonsense\r\n\r\n", "HTTP error fetching '", 502},
    };
    struct files_world *f = *state;
    char large[2048] = "HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n";
    struct told t;
    int fd;

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)download(f, &t, "/a?key=hidden#hidden", "");
        fd = serve(f->w);
        (void)heard(f->w, fd, "\r\n\r\n");
        say(f->w, fd, cases[i].answer);
        close(fd);
        check_failed(f, &t, cases[i].status, cases[i].text);
        assert_non_null(strstr(t.error, "/a'"));
    }
    memset(large + strlen(large), 'x', 1000);
    (void)download(f, &t, "/", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, large);
    check_failed(f, &t, 500, "': xxx");
    assert_int_equal(strlen(strchr(t.error, 'x')), 512);
    close(fd);
    (void)start(f, &t, "file_manager:download", "{\"url\":\"ftp://user:hidden@a/\"}");
    check_failed(f, &t, 502, "Invalid URL: ");
}

static void redirects_are_followed_when_asked(void **state)
{
    struct files_world *f = *state;
    const char *moved = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    struct told t;
    int fd;

    (void)download(f, &t, "/a", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, moved);
    assert_non_null(strstr(heard(f->w, fd, "\r\n\r\n"), "GET /b "));
    say(f->w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    finish(f, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    assert_non_null(strstr(t.value, "/a\"")); /* what was asked for */
    (void)download(f, &t, "/a", ",\"follow_redirects\":false");
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, moved);
    check_failed(f, &t, 400, "Upstream returned status 302");
    close(fd);
}

static void hosts_on_the_list(void **state)
{
    static const struct {
        const char *list, *host;
        bool allowed;
    } cases[] = {
        {NULL, "a.test", true},
        {" , ", "a.test", true},
        {"*", "a.test", true},
        {"a.test", "a.test", true},
        {"A.Test", "a.tesT", true},
        {"a.test", "b.a.test", false},
        {"*.a.test", "a.test", true},
        {"*.a.test", "b.a.test", true},
        {"*.a.test", "c.b.A.test", true},
        {"*.a.test", "ba.test", false},
        {"*.a.test", "a.test.evil", false},
        {"x, *.a.test ,y", "b.a.test", true},
        {"a.test", "a.test.", true},
        {"a.*", "a.test", false},
        {"127.0.0.1", "127.0.0.1", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (download_allowed(cases[i].list, view_str(cases[i].host)) != cases[i].allowed)
            fail_msg("%s by %s", cases[i].host, cases[i].list);
}

static void the_list_holds_for_every_hop(void **state)
{
    struct files_world *f = *state;
    struct told t;
    int fd;

    (void)snprintf(f->allowlist, sizeof f->allowlist,
                   "ATI_DOWNLOAD_ALLOWLIST=127.0.0.1,*.b.test,[::1]");
    f->environment[0] = f->allowlist;
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://a.test/\"}");
    check_failed(f, &t, 403, "Host 'a.test' is not in the download allowlist");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://[::2]/\"}");
    check_failed(f, &t, 403, "Host '[::2]' is not in the download allowlist");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://[::1]:1/\"}");
    check_failed(f, &t, 502, "HTTP error fetching 'http://[::1]:1/': ");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://[::3]:0/\"}");
    check_failed(f, &t, 502, "Invalid URL: ");
    (void)download(f, &t, "/", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, "HTTP/1.1 302 Found\r\nLocation: http://a.test/x\r\nContent-Length: 0\r\n\r\n");
    check_failed(f, &t, 403, "Host 'a.test' is not in the download allowlist");
    close(fd);
}

static void no_address_inside(void **state)
{
    struct files_world *f = *state;
    struct told t;

    use_reach(f, CLIENT_PUBLIC);
    (void)download(f, &t, "/?key=hidden", "");
    check_failed(f, &t, 403, "URL is not allowed (private/internal address): http://127.0.0.1:");
    (void)start(f, &t, "file_manager:download", "{\"url\":\"http://x.internal/\"}");
    check_failed(f, &t, 403, "URL is not allowed (private/internal address): http://x.internal/");
    nobody_comes(f->w);
}

static void a_download_that_is_cancelled(void **state)
{
    struct files_world *f = *state;
    struct execution *e;
    struct told t;
    int fd;

    e = download(f, &t, "/", "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "\r\n\r\n");
    say(f->w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    some_turns(f->w);
    exec_cancel(e);
    check_hung_up(f->w, fd);
    assert_int_equal(t.calls, 0);
}

/* --- uploads --- */

static struct execution *upload(struct files_world *f, struct told *t, const char *more)
{
    char arguments[1024];

    (void)snprintf(arguments, sizeof arguments,
                   "{\"filename\":\"dir/a b.png\",\"content_base64\":\"aGVs\\u0062G8=\"%s}", more);
    return start(f, t, "file_manager:upload", arguments); /* "aGVsbG8=" */
}

static void uploads_that_cannot_be(void **state)
{
    static const struct {
        const char *arguments;
        int status;
        const char *text;
    } cases[] = {
        {"{\"filename\":\"a\"}", 400, "Missing required argument: content_base64"},
        {"{\"content_base64\":\"\"}", 400, "Missing required argument: filename"},
        {"{\"filename\":\"\",\"content_base64\":\"\"}", 400, "Missing required argument: filename"},
        {"{\"filename\":\"a\",\"content_base64\":5}", 400,
         "Missing required argument: content_base64"},
        {"{\"filename\":\"a\",\"content_base64\":\"a\"}", 400,
         "Invalid base64 in upload payload: "},
        {"{\"filename\":\"a\",\"content_base64\":\"aGVsbG8\"}", 400,
         "Invalid base64 in upload payload: "},
        {"{\"filename\":\"a\",\"content_base64\":\"aG=sbG8=\"}", 400,
         "Invalid base64 in upload payload: "},
        {"{\"filename\":\"a\",\"content_base64\":\"aGVs bG8=\"}", 400,
         "Invalid base64 in upload payload: "},
        {"{\"filename\":\"a\",\"content_base64\":\"\",\"destination\":\"x\"}", 403,
         "Unknown upload destination 'x' — not in the operator's allowlist"},
        {"{\"filename\":\"a\",\"content_base64\":\"\",\"content_type\":\"a\\nb\"}", 400,
         "Invalid argument 'content_type': "},
        {"{\"filename\":\"a\",\"content_base64\":\"\",\"destination\":\"keyless\"}", 502,
         "Upload failed: API key 'nobody' not found in keyring"},
        {"{\"filename\":\"a\",\"content_base64\":\"\",\"destination\":\"broken\"}", 502,
         "Upload failed: Invalid service account JSON: "},
        {"{\"filename\":\"a\",\"content_base64\":\"\",\"destination\":\"clear\"}", 502,
         "https:// alone"},
    };
    struct files_world *f = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct told t;

        (void)start(f, &t, "file_manager:upload", cases[i].arguments);
        check_failed(f, &t, cases[i].status, cases[i].text);
    }
    nobody_comes(f->w);
}

/* The parts between dots, decoded, each with a NUL behind it. */
static void split(const char *assertion, char out[3][2048], size_t len[3])
{
    struct view rest = view_str(assertion), part;

    for (size_t i = 0; i < 3; i++) {
        assert_true(view_next(&rest, '.', &part));
        len[i] = 2047;
        assert_true(base64url_decode(part, (uint8_t *)out[i], &len[i]));
        out[i][len[i]] = '\0';
    }
    assert_null(rest.at);
}

static void check_assertion(struct files_world *f, const char *assertion)
{
    static char parts[3][2048];
    size_t len[3], signed_len = (size_t)(strrchr(assertion, '.') - assertion);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct json_tree tree;
    int64_t issued = 0, expires = 0;

    split(assertion, parts, len);
    assert_string_equal(parts[0], "{\"alg\":\"RS256\",\"kid\":\"key-1\",\"typ\":\"JWT\"}");
    assert_true(json_load(view_str(parts[1]), 64, &tree, NULL));
    assert_non_null(strstr(parts[1], "\"iss\":\"me@project.test\""));
    assert_non_null(strstr(parts[1], "devstorage.read_write"));
    assert_non_null(strstr(parts[1], "/token\""));
    assert_true(json_integer(&tree.doc, json_member(&tree.doc, 0, "iat"), &issued) &&
                json_integer(&tree.doc, json_member(&tree.doc, 0, "exp"), &expires));
    assert_int_equal(expires - issued, 3600);
    json_unload(&tree);
    assert_true(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, f->key) == 1);
    assert_int_equal(EVP_DigestVerify(context, (uint8_t *)parts[2], len[2],
                                      (const uint8_t *)assertion, signed_len),
                     1);
    EVP_MD_CTX_free(context);
}

/* Answers one request for a token. */
static void give_token(struct files_world *f, int fd)
{
    static char text[SEEN_BYTES];
    char *at;
    size_t n = 0, length;

    /* The body ends after Content-Length bytes. */
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);

        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
        at = strstr(text, "\r\n\r\n");
        length =
            strstr(text, "Content-Length: ")
                ? (size_t)atoi(strstr(text, "Content-Length: ") + 16) /* NOLINT(cert-err34-c) */
                : 0;
        if (at && length && strlen(at + 4) == length)
            break;
        turn(f->w);
    }
    assert_int_equal(strncmp(text, "POST /token HTTP/1.1\r\n", 22), 0);
    at =
        strstr(text, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    assert_non_null(at);
    check_assertion(f, strrchr(at, '=') + 1);
    say(f->w, fd,
        "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"
        "{\"access_token\":\"token-hidden-0123456789\",\"expires_in\":3600}");
}

static void take_object(struct files_world *f, int fd, char name[static 128])
{
    const char *text = heard(f->w, fd, "hello"), *at;

    assert_int_equal(
        strncmp(text, "POST /upload/storage/v1/b/b-1/o?uploadType=media&name=in%2Fbox%2F", 65), 0);
    assert_non_null(strstr(text, "Authorization: Bearer token-hidden-0123456789\r\n"));
    assert_non_null(strstr(text, "Content-Type: image/png\r\n"));
    at = text + 65;
    (void)snprintf(name, 128, "%.*s", (int)strcspn(at, " "), at);
    say(f->w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static void a_file_into_a_bucket(void **state)
{
    struct files_world *f = *state;
    char name[128], expected[512];
    struct told t;
    int fd;

    (void)upload(f, &t, "");
    fd = serve(f->w);
    give_token(f, fd);
    take_object(f, fd, name);
    assert_int_equal(strlen(name),
                     strlen("2026-01-02%2F00000000-0000-4000-8000-000000000000-a%20b.png"));
    assert_int_equal(name[27], '4'); /* a UUID of version 4 */
    *strstr(name, "%2F") = '\0';
    (void)snprintf(expected, sizeof expected,
                   "{\"content_type\":\"image/png\",\"destination\":\"bucket\",\"size_bytes\":5,"
                   "\"success\":true,\"url\":\"%s/b-1/in/box/%s/%s\"}",
                   f->w->origin, name, name + strlen(name) + 3);
    check_value(f, &t, expected);

    (void)upload(f, &t, ",\"destination\":\"bucket\""); /* with the same token */
    take_object(f, fd, name);
    finish(f, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    close(fd);
}

static void buckets_that_fail(void **state)
{
    struct files_world *f = *state;
    struct told t;
    int fd;

    (void)upload(f, &t, "");
    fd = serve(f->w);
    (void)heard(f->w, fd, "");
    say(f->w, fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 13\r\n\r\ninvalid_grant");
    check_failed(f, &t, 502, "Upload failed: getting a token: HTTP 400: invalid_grant");
    close(fd);
    (void)upload(f, &t, "");
    fd = serve(f->w);
    give_token(f, fd);
    (void)heard(f->w, fd, "hello");
    say(f->w, fd,
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 31\r\n\r\nno: token-hidden-0123456789 :no");
    check_failed(f, &t, 502, "Upload failed: storing the object: HTTP 403: no: [redacted]");
    close(fd);
}

static void waits_for_one_token_together(void **state)
{
    struct files_world *f = *state;
    struct told t[2];
    char name[128];
    int fd, second;

    (void)upload(f, &t[0], "");
    (void)upload(f, &t[1], "");
    fd = serve(f->w);
    give_token(f, fd);
    take_object(f, fd, name);
    second = serve(f->w);
    take_object(f, second, name);
    for (size_t i = 0; i < 2; i++) {
        finish(f, &t[i]);
        assert_int_equal(t[i].outcome, EXEC_OK);
    }
    close(fd);
    close(second);
}

static void fal_points_to_where_it_must_not(void **state)
{
    static const struct {
        const char *base, *text;
    } cases[] = {
        {"http://cdn.test", "refusing non-HTTPS URL from server: http://cdn.test/files/upload"},
        {"https://127.0.0.1:9", "not a public address"},
        {"https://inside.test", "its address 10.0.0.1 is not public"},
        {"ftp://x", "scheme"},
    };
    struct files_world *f = *state;

    dns_server_say(f->w->dns, "inside.test", DNS_A,
                   &(struct dns_rule){.ttl = 60, .addresses = {"10.0.0.1"}});
    for (size_t i = 0; i < COUNT(cases); i++) {
        char json[256], answer[512];
        const char *text;
        struct told t;
        int fd;

        (void)upload(f, &t, ",\"destination\":\"fal\"");
        fd = serve(f->w);
        text = heard(f->w, fd, "{}");
        assert_int_equal(
            strncmp(text, "POST /storage/auth/token?storage_type=fal-cdn-v3 HTTP/1.1\r\n", 59), 0);
        assert_non_null(strstr(text, "Authorization: Key fal-key-hidden-0123456789\r\n"));
        (void)snprintf(
            json, sizeof json,
            "{\"token\":\"t-hidden-0123456789\",\"token_type\":\"Bearer\",\"base_url\":\"%s\"}",
            cases[i].base);
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(json), json);
        say(f->w, fd, answer);
        check_failed(f, &t, 502, cases[i].text);
        close(fd);
    }
}

static void an_upload_that_is_cancelled(void **state)
{
    struct files_world *f = *state;
    struct execution *e;
    struct told t;
    int fd;

    e = upload(f, &t, "");
    exec_cancel(e); /* before its bytes are there */
    e = upload(f, &t, "");
    fd = serve(f->w);
    exec_cancel(e); /* while a token is asked for */
    check_hung_up(f->w, fd);
    assert_int_equal(t.calls, 0);
}

static void names_of_files(void **state)
{
    static const char *const cases[][2] = {
        {"a.png", "a.png"},
        {"/etc/passwd", "passwd"},
        {"..\\..\\x", "x"},
        {"a\nb", "ab"},
        {"\xc3\xa9.txt", "\xc3\xa9.txt"},
        {"", "upload-5"},
        {".", "upload-5"},
        {"a/..", "upload-5"},
        {"a/", "upload-5"},
        {NULL, "upload-5"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *name = upload_filename(cases[i][0], 5);

        assert_string_equal(name, cases[i][1]);
        free(name);
    }
}

static void large_uploads_are_decoded_in_slices(void **state)
{
    enum { BYTES = 3 * 1024 * 1024 + 1 };
    struct files_world *f = *state;
    uint8_t *bytes = malloc(BYTES), *got = malloc(BYTES + 4096);
    char *arguments = malloc(BASE64_LEN(BYTES) + 256), *at;
    struct told t;
    size_t n = 0;
    int fd;

    assert_true(bytes && got && arguments);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 131 >> 4);
    at = arguments + snprintf(arguments, 64, "{\"filename\":\"x\",\"content_base64\":\"");
    base64_encode(view_from(bytes, BYTES), at);
    at += BASE64_LEN(BYTES);
    (void)snprintf(at, 8, "\"}");
    (void)start(f, &t, "file_manager:upload", arguments);
    fd = serve(f->w);
    give_token(f, fd);
    for (unsigned i = 0; i < 10 * TURNS_MAX && n < BYTES; i++) {
        ssize_t some = recv(fd, got + n, BYTES + 4096 - n, 0);

        n += some > 0 ? (size_t)some : 0;
        if (some <= 0 || n < BYTES)
            turn(f->w);
        at = n > 4 ? memmem(got, n, "\r\n\r\n", 4) : NULL;
        if (at && n - (size_t)((uint8_t *)at + 4 - got) == BYTES)
            break;
    }
    at = memmem(got, n, "\r\n\r\n", 4);
    assert_non_null(at);
    while (n - (size_t)((uint8_t *)at + 4 - got) < BYTES) {
        ssize_t some = recv(fd, got + n, BYTES + 4096 - n, 0);

        n += some > 0 ? (size_t)some : 0;
        turn(f->w);
    }
    assert_memory_equal(at + 4, bytes, BYTES);
    say(f->w, fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    finish(f, &t);
    assert_int_equal(t.outcome, EXEC_OK);
    close(fd);

    /* Padding where a slice ends is still wrong. */
    at = strstr(arguments, "base64\":\"") + 9;
    at[1024 * 1024 - 1] = '=';
    (void)start(f, &t, "file_manager:upload", arguments);
    check_failed(f, &t, 400, "Invalid base64 in upload payload: ");
    free(bytes);
    free(got);
    free(arguments);
}

#define files_test(name) cmocka_unit_test_setup_teardown(name, open_files, close_files)

int main(void)
{
    const struct CMUnitTest tests[] = {
        files_test(a_file_comes_as_base64),
        files_test(arguments_that_are_not_good),
        files_test(headers_are_sent_and_do_not_cross),
        files_test(a_file_has_its_limit),
        files_test(servers_that_say_no),
        files_test(redirects_are_followed_when_asked),
        cmocka_unit_test(hosts_on_the_list),
        files_test(the_list_holds_for_every_hop),
        files_test(no_address_inside),
        files_test(a_download_that_is_cancelled),
        files_test(uploads_that_cannot_be),
        files_test(a_file_into_a_bucket),
        files_test(buckets_that_fail),
        files_test(waits_for_one_token_together),
        files_test(fal_points_to_where_it_must_not),
        files_test(an_upload_that_is_cancelled),
        cmocka_unit_test(names_of_files),
        files_test(large_uploads_are_decoded_in_slices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
