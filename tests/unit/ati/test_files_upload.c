/* file_manager: uploads, to buckets and to fal. */
#include "files_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
