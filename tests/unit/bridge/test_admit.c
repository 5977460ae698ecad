#include "request.h"

#include <stdlib.h>
#include <unistd.h>

#include "bridge/admit.h"
#include "ws/ws.h"

#define LIST \
    "tee.test:443,Other.Test:8443,127.0.0.1:8443,localhost:9443,[::1]:443,unix:/run/app.sock"
#define PAGE        "Origin: https://page.test\r\n"
#define SHA256_OF_T "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8"
#define BEARER_T    "Authorization: Bearer t\r\n"

static struct request request;
static struct verdict verdict;

static struct policy *policy(const struct policy_source *source)
{
    struct policy *p = NULL;
    struct err err = {0};

    if (!policy_load(source, NULL, NULL, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

static struct addr address(const char *text)
{
    struct addr a = {.family = AF_UNIX};

    if (strcmp(text, "unix") != 0)
        assert_true(addr_parse(view_str(text), &a));
    return a;
}

/* The answer to a request whose head can be parsed; the verdict is in verdict. */
static enum reason ask_from(const struct policy *p, const char *peer, bool trusted,
                            const char *target, const char *fields)
{
    struct admit_request r = {
        .head = &request.head, .peer = address(peer), .peer_trusted = trusted};

    if (!request_make(&request, target, fields))
        fail_msg("no request: %s %s", target, fields);
    memset(&verdict, 0xa5, sizeof verdict);
    policy_admit(p, &r, &verdict);
    return verdict.reason;
}

static enum reason ask(const struct policy *p, const char *target, const char *fields)
{
    return ask_from(p, "192.0.2.7:5000", false, target, fields);
}

/* --- which target ---------------------------------------------------------------------------- */

#define NONE   REASON_NONE
#define DENIED REASON_TARGET_NOT_ALLOWED
#define BAD    REASON_BAD_REQUEST
#define A30    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A240   A30 A30 A30 A30 A30 A30 A30 A30

static void the_query_names_the_target(void **state)
{
    static const struct {
        const char *request_target;
        enum reason reason;
        const char *target;
    } rows[] = {
        /* plain */
        {"/?target=tee.test:443", NONE, "tee.test:443"},
        {"/tunnel?target=tee.test:443", NONE, "tee.test:443"},
        {"/any/thing?target=tee.test:443", NONE, "tee.test:443"},
        {"//?target=tee.test:443", NONE, "tee.test:443"},
        {"/?target=localhost:9443", NONE, "localhost:9443"},
        {"/?target=[::1]:443", NONE, "[::1]:443"},
        {"/?target=unix:/run/app.sock", NONE, "unix:/run/app.sock"},
        {"/?target=unlisted.test:443", DENIED, NULL},
        {"http://bridge.test/?target=tee.test:443", NONE, "tee.test:443"},
        {"http://bridge.test?target=tee.test:443", NONE, "tee.test:443"},
        {"http://bridge.test/", NONE, "127.0.0.1:8443"},
        /* no such parameter: the default */
        {"/", NONE, "127.0.0.1:8443"},
        {"/?", NONE, "127.0.0.1:8443"},
        {"/?x=1", NONE, "127.0.0.1:8443"},
        {"/?&", NONE, "127.0.0.1:8443"},
        {"/?=", NONE, "127.0.0.1:8443"},
        {"/?=target", NONE, "127.0.0.1:8443"},
        {"/?Target=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?TARGET=unlisted:1", NONE, "127.0.0.1:8443"},
        {"/?targets=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?targe=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?xtarget=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?+target=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?target+=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?target%00=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?target[]=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?%2574arget=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?target%3D=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?x=1;target=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/?%ZZtarget=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/target=tee.test:443", NONE, "127.0.0.1:8443"},
        {"/%3Ftarget=tee.test:443", NONE, "127.0.0.1:8443"},
        /* present but empty is not absent */
        {"/?target=", DENIED, NULL},
        {"/?target", DENIED, NULL},
        {"/?target&target=tee.test:443", DENIED, NULL},
        {"/?target=&target=tee.test:443", DENIED, NULL},
        {"/?x&target", DENIED, NULL},
        /* the first one counts */
        {"/?target=tee.test:443&target=other.test:8443", NONE, "tee.test:443"},
        {"/?target=unlisted:1&target=tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443&target=unlisted:1", NONE, "tee.test:443"},
        {"/?%74arget=unlisted:1&target=tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443&%74arget=unlisted:1", NONE, "tee.test:443"},
        {"/?x=1&target=tee.test:443&y", NONE, "tee.test:443"},
        {"/?&&target=tee.test:443&&", NONE, "tee.test:443"},
        /* the name is decoded */
        {"/?%74arget=tee.test:443", NONE, "tee.test:443"},
        {"/?%74%61%72%67%65%74=tee.test:443", NONE, "tee.test:443"},
        /* the value is decoded once */
        {"/?target=tee.test%3A443", NONE, "tee.test:443"},
        {"/?target=tee.test%3a443", NONE, "tee.test:443"},
        {"/?target=%74ee%2Etest:443", NONE, "tee.test:443"},
        {"/?target=%5B::1%5D:443", NONE, "[::1]:443"},
        {"/?target=unix:%2Frun%2Fapp.sock", NONE, "unix:/run/app.sock"},
        {"/?target=tee.test%253A443", DENIED, NULL},
        {"/?target=tee.test:443%", DENIED, NULL},
        {"/?target=tee.test:443%4", DENIED, NULL},
        {"/?target=tee.test:443%zz", DENIED, NULL},
        {"/?target=%FFtee.test:443", DENIED, NULL},
        {"/?target=tee.test:443%00", DENIED, NULL},
        {"/?target=%00tee.test:443", DENIED, NULL},
        {"/?target=tee.test%00.evil:443", DENIED, NULL},
        {"/?target=tee.test:443%0d%0a", DENIED, NULL},
        {"/?target=%E2%80%8Btee.test:443", DENIED, NULL},
        {"/?target=tee%EF%BC%8Etest:443", DENIED, NULL},
        {"/?target=%EF%BD%94ee.test:443", DENIED, NULL},
        /* nothing is trimmed */
        {"/?target=+tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443+", DENIED, NULL},
        {"/?target=%20tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443%20", DENIED, NULL},
        {"/?target=%09tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443%C2%A0", DENIED, NULL},
        /* what stands around a target elsewhere */
        {"/?target=tee.test:443;x=1", DENIED, NULL},
        {"/?target==tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443=", DENIED, NULL},
        {"/?target=tee.test:443,other.test:8443", DENIED, NULL},
        {"/?target=tee.test:443/", DENIED, NULL},
        {"/?target=//tee.test:443", DENIED, NULL},
        {"/?target=tcp://tee.test:443", DENIED, NULL},
        {"/?target=user@tee.test:443", DENIED, NULL},
        {"/?target=tee.test:443@evil:1", DENIED, NULL},
        {"/?target=tee.test:443%23", DENIED, NULL},
        {"/?target=tee.test:443%5c", DENIED, NULL},
        {"/?target=%22tee.test:443%22", DENIED, NULL},
        /* other spellings of the same endpoint */
        {"/?target=TEE.TEST:443", NONE, "tee.test:443"},
        {"/?target=tee.test.:443", NONE, "tee.test:443"},
        {"/?target=tee.test:0443", NONE, "tee.test:443"},
        {"/?target=Other.Test:8443", NONE, "other.test:8443"},
        {"/?target=other.test:8443", NONE, "other.test:8443"},
        {"/?target=[0:0:0:0:0:0:0:1]:443", NONE, "[::1]:443"},
        {"/?target=LocalHost.:9443", NONE, "localhost:9443"},
        /* spellings of an address that nobody should guess at */
        {"/?target=2130706433:8443", DENIED, NULL},
        {"/?target=0x7f000001:8443", DENIED, NULL},
        {"/?target=0x7f.1:8443", DENIED, NULL},
        {"/?target=127.1:8443", DENIED, NULL},
        {"/?target=017700000001:8443", DENIED, NULL},
        {"/?target=127.0.0.01:8443", DENIED, NULL},
        {"/?target=127.0.0.1.:8443", DENIED, NULL},
        {"/?target=[127.0.0.1]:8443", DENIED, NULL},
        {"/?target=[::ffff:127.0.0.1]:8443", DENIED, NULL},
        {"/?target=[::1%25lo]:443", DENIED, NULL},
        {"/?target=::1:443", DENIED, NULL},
        {"/?target=localhost:8443", DENIED, NULL},
        {"/?target=127.0.0.1:9443", DENIED, NULL},
        {"/?target=localhost.evil.test:9443", DENIED, NULL},
        /* ports */
        {"/?target=tee.test", DENIED, NULL},
        {"/?target=tee.test:", DENIED, NULL},
        {"/?target=tee.test:0", DENIED, NULL},
        {"/?target=tee.test:44", DENIED, NULL},
        {"/?target=tee.test:65979", DENIED, NULL},
        {"/?target=tee.test:%2B443", DENIED, NULL},
        {"/?target=tee.test:443.0", DENIED, NULL},
        {"/?target=tee.test:0x1bb", DENIED, NULL},
        {"/?target=tee.test:https", DENIED, NULL},
        /* length */
        {"/?target=" A240 A240, DENIED, NULL},
        {"/?x=" A240 A240 A240 "&target=tee.test:443", NONE, "tee.test:443"},
        /* what is no request target */
        {"*", BAD, NULL},
        {"bridge.test:443", BAD, NULL},
        {"/#?target=tee.test:443", BAD, NULL},
        {"/?target=tee.test:443#x", BAD, NULL},
    };
    struct policy *p =
        policy(&(struct policy_source){.allowlist = LIST, .target = "127.0.0.1:8443"});

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (ask(p, rows[i].request_target, UPGRADE) != rows[i].reason)
            fail_msg("%s: %s", rows[i].request_target, reason_token(verdict.reason));
        if (!rows[i].target) {
            assert_null(verdict.entry);
            assert_true(verdict.err.text[0]);
            continue;
        }
        if (strcmp(verdict.target.text, rows[i].target) != 0)
            fail_msg("%s: %s", rows[i].request_target, verdict.target.text);
        assert_non_null(verdict.entry);
        assert_false(verdict.by_pattern);
        assert_int_equal(verdict.err.code, ERR_NONE);
    }
    policy_unref(p);
}

/* A request for a target of exactly len decoded bytes ("0…0443" as its port), all percent-encoded.
 */
static enum reason ask_long(const struct policy *p, size_t len)
{
    char target[2048] = "/?target=";
    size_t n = strlen(target);

    for (size_t i = 0; i < len; i++) {
        size_t from_end = len - i;
        char c = i < 9 ? "tee.test:"[i] : from_end <= 3 ? "443"[3 - from_end] : '0';

        n += (size_t)snprintf(target + n, sizeof target - n, "%%%02X", (unsigned)c);
    }
    return ask(p, target, UPGRADE);
}

static void a_target_of_260_bytes_is_looked_up_and_a_longer_one_is_not(void **state)
{
    struct policy *p = policy(&(struct policy_source){.allowlist = LIST});

    (void)state;
    assert_int_equal(ask_long(p, 12), REASON_NONE);
    assert_int_equal(ask_long(p, TARGET_BYTES_MAX), REASON_NONE);
    assert_int_equal(verdict.requested.len, TARGET_BYTES_MAX);
    assert_int_equal(ask_long(p, TARGET_BYTES_MAX + 1), DENIED);
    assert_int_equal(ask_long(p, 600), DENIED);
    assert_int_equal(verdict.requested.len, sizeof verdict.requested_bytes);
    policy_unref(p);
}

static void what_was_requested_is_kept_for_the_log(void **state)
{
    struct policy *p = policy(&(struct policy_source){.allowlist = LIST, .target = "tee.test:443"});
    struct policy *none = policy(&(struct policy_source){.allowlist = LIST});

    (void)state;
    assert_int_equal(ask(p, "/?target=e%0avil%3A1&token=secret", UPGRADE), DENIED);
    assert_true(view_eq(verdict.requested, VIEW("e\nvil:1")));
    assert_int_equal(ask(p, "/", UPGRADE), REASON_NONE);
    assert_true(view_eq(verdict.requested, VIEW("tee.test:443")));
    assert_int_equal(ask(p, "/?target=TEE.test:443", UPGRADE), REASON_NONE);
    assert_true(view_eq(verdict.requested, VIEW("TEE.test:443")));
    assert_int_equal(ask(none, "/", UPGRADE), REASON_NO_TARGET);
    assert_int_equal(verdict.requested.len, 0);
    policy_unref(p);
    policy_unref(none);
}

static void a_pattern_that_matched_is_told(void **state)
{
    struct policy *p = policy(&(struct policy_source){.allowlist = "*.tee.test:443,a.tee.test:443",
                                                      .allow_patterns = true,
                                                      .target = "b.tee.test:443"});

    (void)state;
    assert_int_equal(ask(p, "/?target=b.tee.test:443", UPGRADE), REASON_NONE);
    assert_true(verdict.by_pattern);
    assert_string_equal(verdict.entry->text, "*.tee.test:443");
    assert_int_equal(ask(p, "/?target=a.tee.test:443", UPGRADE), REASON_NONE);
    assert_false(verdict.by_pattern);
    assert_int_equal(ask(p, "/", UPGRADE), REASON_NONE);
    assert_string_equal(verdict.target.text, "b.tee.test:443");
    assert_true(verdict.by_pattern);
    policy_unref(p);
}

/* --- how it is told -------------------------------------------------------------------------- */

static void a_page_is_told_by_close_and_a_program_by_status(void **state)
{
    static const struct {
        enum policy_reject reject;
        const char *fields;
        bool by_close;
    } rows[] = {
        {REJECT_AUTO, UPGRADE, false},
        {REJECT_AUTO, UPGRADE PAGE, true},
        {REJECT_AUTO, UPGRADE "Origin: null\r\n", true},
        {REJECT_AUTO, UPGRADE "Origin:\r\n", true},
        {REJECT_HTTP, UPGRADE, false},
        {REJECT_HTTP, UPGRADE PAGE, false},
        {REJECT_CLOSE, UPGRADE, true},
        {REJECT_CLOSE, UPGRADE PAGE, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy *p =
            policy(&(struct policy_source){.allowlist = LIST, .reject = rows[i].reject});

        assert_int_equal(ask(p, "/?target=evil:1", rows[i].fields), DENIED);
        assert_int_equal(verdict.by_close, rows[i].by_close);
        assert_int_equal(verdict.http_status, 403);
        assert_int_equal(ask(p, "/", rows[i].fields), REASON_NO_TARGET);
        assert_int_equal(verdict.by_close, rows[i].by_close);
        assert_int_equal(verdict.http_status, 403);
        /* Anything but the target is told by status to everybody. */
        assert_int_equal(ask(p, "*", rows[i].fields), BAD);
        assert_false(verdict.by_close);
        assert_int_equal(ask(p, "/?target=tee.test:443", rows[i].fields), REASON_NONE);
        assert_false(verdict.by_close);
        policy_unref(p);
    }
}

/* --- the handshake --------------------------------------------------------------------------- */

#define HOST       "Host: bridge.test\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define WEBSOCKET  "Upgrade: websocket\r\n"
#define VERSION    "Sec-WebSocket-Version: 13\r\n"
#define KEY        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void the_handshake_comes_before_what_it_asks_for(void **state)
{
    static const struct {
        const char *fields;
        enum reason reason;
        int status;
    } rows[] = {
        {HOST CONNECTION WEBSOCKET VERSION KEY, NONE, 200},
        {HOST, REASON_NOT_WEBSOCKET, 426},
        {HOST CONNECTION, REASON_NOT_WEBSOCKET, 426},
        {HOST CONNECTION WEBSOCKET KEY, REASON_BAD_VERSION, 426},
        {HOST CONNECTION WEBSOCKET KEY "Sec-WebSocket-Version: 8\r\n", REASON_BAD_VERSION, 426},
        {HOST CONNECTION WEBSOCKET VERSION, BAD, 400},
        {HOST CONNECTION WEBSOCKET VERSION "Sec-WebSocket-Key: short\r\n", BAD, 400},
        {HOST CONNECTION WEBSOCKET VERSION KEY KEY, BAD, 400},
        {HOST WEBSOCKET VERSION KEY, BAD, 400},
        {HOST CONNECTION VERSION KEY, BAD, 400},
        {HOST CONNECTION WEBSOCKET VERSION KEY "Content-Length: 5\r\n", BAD, 400},
        {HOST CONNECTION WEBSOCKET VERSION KEY "Transfer-Encoding: chunked\r\n", BAD, 400},
        {HOST CONNECTION WEBSOCKET VERSION KEY PAGE PAGE, BAD, 400},
    };
    struct policy *p = policy(&(struct policy_source){.allowlist = LIST});

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (ask(p, "/?target=tee.test:443", rows[i].fields) != rows[i].reason)
            fail_msg("%s: %s", rows[i].fields, reason_token(verdict.reason));
        assert_int_equal(verdict.http_status, rows[i].status);
        assert_true(rows[i].reason == NONE || verdict.err.text[0]);
        assert_false(verdict.by_close);
    }
    assert_int_equal(ask(p, "/?target=tee.test:443", UPGRADE), NONE);
    assert_true(view_eq(verdict.key, VIEW("dGhlIHNhbXBsZSBub25jZQ==")));
    policy_unref(p);
}

static void selects_the_first_subprotocol_that_is_no_credential(void **state)
{
    static const struct {
        const char *offered, *list, *selected; /* NULL: refused */
        enum reason reason;
    } rows[] = {
        {"", NULL, "", NONE},
        {"Sec-WebSocket-Protocol: binary\r\n", NULL, "binary", NONE},
        {"Sec-WebSocket-Protocol: a, b\r\n", NULL, "a", NONE},
        {"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", NULL, "a", NONE},
        {"Sec-WebSocket-Protocol: bearer.dA, b\r\n", NULL, "b", NONE},
        {"Sec-WebSocket-Protocol: Bearer.dA, b\r\n", NULL, "b", NONE},
        {"Sec-WebSocket-Protocol: bearer.dA\r\n", NULL, "", NONE},
        {"Sec-WebSocket-Protocol: bearer.dA\r\n", "binary", "", NONE},
        {"", "binary", "", NONE},
        {"Sec-WebSocket-Protocol: a, binary\r\n", "binary", "binary", NONE},
        {"Sec-WebSocket-Protocol: a, b\r\n", "b,a", "a", NONE},
        {"Sec-WebSocket-Protocol: a\r\n", "binary", NULL, REASON_SUBPROTOCOL_REFUSED},
        {"Sec-WebSocket-Protocol: Binary\r\n", "binary", NULL, REASON_SUBPROTOCOL_REFUSED},
        {"Sec-WebSocket-Protocol: bearer.dA, a\r\n", "binary", NULL, REASON_SUBPROTOCOL_REFUSED},
        {"Sec-WebSocket-Protocol: a b\r\n", NULL, NULL, BAD},
        {"Sec-WebSocket-Protocol: \"a\"\r\n", NULL, NULL, BAD},
        {"Sec-WebSocket-Protocol: " A240 "\r\n", NULL, NULL, BAD},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy *p =
            policy(&(struct policy_source){.allowlist = LIST, .subprotocols = rows[i].list});
        char fields[1024];

        (void)snprintf(fields, sizeof fields, "%s%s", UPGRADE, rows[i].offered);
        if (ask(p, "/?target=tee.test:443", fields) != rows[i].reason)
            fail_msg("%s: %s", rows[i].offered, reason_token(verdict.reason));
        if (rows[i].selected)
            assert_true(view_eq(verdict.subprotocol, view_str(rows[i].selected)));
        else
            assert_int_equal(verdict.http_status, 400);
        policy_unref(p);
    }
}

/* --- who it is ------------------------------------------------------------------------------- */

static void the_client_is_who_a_trusted_proxy_says(void **state)
{
    struct policy *p = policy(&(struct policy_source){.allowlist = LIST,
                                                      .trusted_proxies = "10.0.0.0/8",
                                                      .allow_from = "198.51.100.0/24,10.0.0.1"});
    struct policy *open = policy(&(struct policy_source){.allowlist = LIST});
    char text[ADDR_TEXT_BYTES];
    const char *good = "/?target=tee.test:443";

    (void)state;
    assert_int_equal(
        ask_from(p, "10.0.0.1:1", true, good, UPGRADE "X-Forwarded-For: 198.51.100.9\r\n"), NONE);
    assert_string_equal(addr_format(&verdict.client, text), "198.51.100.9:0");
    assert_int_equal(
        ask_from(p, "10.0.0.1:1", true, good, UPGRADE "X-Forwarded-For: 192.0.2.1\r\n"),
        REASON_ADDRESS_REFUSED);
    assert_int_equal(verdict.http_status, 403);
    assert_string_equal(addr_format(&verdict.client, text), "192.0.2.1:0");
    assert_int_equal(
        ask_from(p, "192.0.2.1:1", false, good, UPGRADE "X-Forwarded-For: 198.51.100.9\r\n"),
        REASON_ADDRESS_REFUSED);
    assert_string_equal(addr_format(&verdict.client, text), "192.0.2.1:1");
    assert_int_equal(ask_from(p, "198.51.100.1:1", false, good, UPGRADE), NONE);
    assert_int_equal(ask_from(p, "[::ffff:198.51.100.1]:1", false, good, UPGRADE), NONE);
    assert_int_equal(ask_from(p, "[2001:db8::1]:1", false, good, UPGRADE), REASON_ADDRESS_REFUSED);
    assert_int_equal(ask_from(p, "unix", false, good, UPGRADE), NONE);
    assert_int_equal(ask_from(p, "10.0.0.1:1", true, good,
                              UPGRADE
                              "X-Forwarded-For: 198.51.100.9\r\nForwarded: for=198.51.100.8\r\n"),
                     BAD);
    assert_int_equal(verdict.http_status, 400);
    assert_int_equal(ask_from(open, "192.0.2.1:1", false, good, UPGRADE), NONE);
    policy_unref(p);
    policy_unref(open);
}

/* --- all of it, in order --------------------------------------------------------------------- */

static char token_path[32];

static struct policy *strict_policy(enum policy_reject reject)
{
    FILE *tokens = tmpfile();
    struct policy *p;

    assert_non_null(tokens);
    assert_true(fputs(SHA256_OF_T " alice\n", tokens) >= 0 && fflush(tokens) == 0);
    (void)snprintf(token_path, sizeof token_path, "/proc/self/fd/%d", fileno(tokens));
    p = policy(&(struct policy_source){
        .allowlist = LIST,
        .origins = "https://page.test",
        .hosts = "bridge.test",
        .subprotocols = "binary",
        .auth_token_file = token_path,
        .allow_from = "192.0.2.0/24",
        .reject = reject,
    });
    (void)fclose(tokens);
    return p;
}

/* Six things can be wrong, in the order in which they are looked at. Whatever else is wrong behind
 * it, the first one is what is told. */
static void the_first_thing_that_is_wrong_is_what_is_told(void **state)
{
    static const enum reason reasons[] = {
        REASON_ADDRESS_REFUSED,    REASON_BAD_VERSION,  REASON_ORIGIN_REFUSED,
        REASON_HOST_REFUSED,       REASON_UNAUTHORIZED, REASON_SUBPROTOCOL_REFUSED,
        REASON_TARGET_NOT_ALLOWED,
    };
    static const int statuses[] = {403, 426, 403, 403, 401, 400, 403};

    (void)state;
    for (int reject = REJECT_AUTO; reject <= REJECT_CLOSE; reject++) {
        struct policy *p = strict_policy((enum policy_reject)reject);

        for (unsigned wrong = 0; wrong < 1u << COUNT(reasons); wrong++) {
            char fields[1024];
            unsigned first = 0;

            (void)snprintf(fields, sizeof fields,
                           CONNECTION WEBSOCKET KEY
                           "Sec-WebSocket-Version: %s\r\nOrigin: https://%s\r\n"
                           "Host: %s\r\nAuthorization: Bearer %s\r\n"
                           "Sec-WebSocket-Protocol: %s\r\n",
                           wrong & 2 ? "12" : "13", wrong & 4 ? "evil.test" : "page.test",
                           wrong & 8 ? "evil.test" : "bridge.test", wrong & 16 ? "wrong" : "t",
                           wrong & 32 ? "text" : "binary");
            (void)ask_from(p, wrong & 1 ? "203.0.113.1:1" : "192.0.2.1:1", false,
                           wrong & 64 ? "/?target=evil:1" : "/?target=tee.test:443", fields);
            while (first < COUNT(reasons) && !(wrong & 1u << first))
                first++;
            if (first == COUNT(reasons)) {
                assert_int_equal(verdict.reason, REASON_NONE);
                assert_string_equal(verdict.subject, "alice");
                assert_true(view_eq(verdict.origin, VIEW("https://page.test")));
                continue;
            }
            if (verdict.reason != reasons[first])
                fail_msg("%x: %s, not %s", wrong, reason_token(verdict.reason),
                         reason_token(reasons[first]));
            assert_int_equal(verdict.http_status, statuses[first]);
            assert_int_equal(verdict.by_close, first == 6 && reject != REJECT_HTTP);
            assert_null(verdict.entry);
        }
        policy_unref(p);
    }
}

static void a_page_that_is_not_admitted_learns_nothing_of_targets(void **state)
{
    static const char *const targets[] = {"/?target=tee.test:443", "/?target=evil:1", "/",
                                          "/?target="};
    struct policy *p = strict_policy(REJECT_AUTO);
    static struct verdict first;

    (void)state;
    for (size_t i = 0; i < COUNT(targets); i++) {
        (void)ask(p, targets[i], UPGRADE "Origin: https://evil.test\r\n" BEARER_T);
        assert_int_equal(verdict.reason, REASON_ORIGIN_REFUSED);
        if (i == 0)
            first = verdict;
        assert_int_equal(verdict.http_status, first.http_status);
        assert_string_equal(verdict.err.text, first.err.text);
        (void)ask(p, targets[i], UPGRADE PAGE);
        assert_int_equal(verdict.reason, REASON_UNAUTHORIZED);
        assert_false(verdict.by_close);
    }
    policy_unref(p);
}

static void programs_without_an_origin_are_not_asked_for_one(void **state)
{
    struct policy *p = strict_policy(REJECT_AUTO);
    struct policy *same =
        policy(&(struct policy_source){.allowlist = LIST, .origins = "same-host"});

    (void)state;
    assert_int_equal(ask(p, "/?target=tee.test:443", UPGRADE BEARER_T), NONE);
    assert_int_equal(ask(p, "/?target=tee.test:443", UPGRADE BEARER_T "Origin:\r\n"),
                     REASON_ORIGIN_REFUSED);
    assert_int_equal(ask(same, "/?target=tee.test:443", UPGRADE "Origin: http://bridge.test\r\n"),
                     NONE);
    assert_int_equal(ask(same, "/?target=tee.test:443", UPGRADE "Origin: http://evil.test\r\n"),
                     REASON_ORIGIN_REFUSED);
    policy_unref(p);
    policy_unref(same);
}

static void a_client_certificate_is_a_credential(void **state)
{
    struct policy *p = strict_policy(REJECT_AUTO);
    struct admit_request r = {.head = &request.head,
                              .peer = address("192.0.2.1:1"),
                              .tls = true,
                              .tls_client_verified = true};

    (void)state;
    assert_true(request_make(&request, "/?target=tee.test:443", UPGRADE));
    policy_admit(p, &r, &verdict);
    assert_int_equal(verdict.reason, NONE);
    assert_string_equal(verdict.subject, "");
    r.tls_client_verified = false;
    policy_admit(p, &r, &verdict);
    assert_int_equal(verdict.reason, REASON_UNAUTHORIZED);
    policy_unref(p);
}

static void the_query_holds_a_token_only_where_that_is_permitted(void **state)
{
    FILE *tokens = tmpfile();
    struct policy_source s = {.allowlist = LIST, .auth_token_file = token_path};

    (void)state;
    assert_non_null(tokens);
    assert_true(fputs(SHA256_OF_T "\n", tokens) >= 0 && fflush(tokens) == 0);
    (void)snprintf(token_path, sizeof token_path, "/proc/self/fd/%d", fileno(tokens));
    for (int permitted = 0; permitted < 2; permitted++) {
        struct policy *p;

        s.auth_query = permitted;
        p = policy(&s);
        assert_int_equal(ask(p, "/?target=tee.test:443&token=t", UPGRADE),
                         permitted ? NONE : REASON_UNAUTHORIZED);
        assert_int_equal(ask(p, "/?target=tee.test:443&token=x", UPGRADE), REASON_UNAUTHORIZED);
        policy_unref(p);
    }
    (void)fclose(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_query_names_the_target),
        cmocka_unit_test(a_target_of_260_bytes_is_looked_up_and_a_longer_one_is_not),
        cmocka_unit_test(what_was_requested_is_kept_for_the_log),
        cmocka_unit_test(a_pattern_that_matched_is_told),
        cmocka_unit_test(a_page_is_told_by_close_and_a_program_by_status),
        cmocka_unit_test(the_handshake_comes_before_what_it_asks_for),
        cmocka_unit_test(selects_the_first_subprotocol_that_is_no_credential),
        cmocka_unit_test(the_client_is_who_a_trusted_proxy_says),
        cmocka_unit_test(the_first_thing_that_is_wrong_is_what_is_told),
        cmocka_unit_test(a_page_that_is_not_admitted_learns_nothing_of_targets),
        cmocka_unit_test(programs_without_an_origin_are_not_asked_for_one),
        cmocka_unit_test(a_client_certificate_is_a_credential),
        cmocka_unit_test(the_query_holds_a_token_only_where_that_is_permitted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
