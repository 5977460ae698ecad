/* Our reading of HTTP beside http_parser's, over good messages and mutations of them: what we take, it takes
 * too, with the same method, target, version, fields, data and ends; so what it refuses, we refuse.
 *
 * We refuse more, on purpose: bare LF and CR, empty lines but one, other versions, controls in values, folded
 * lines, a Host that is missing, doubled or no host, lengths with leading zeros, codings beside chunked, tabs
 * beside a length or a coding, fragments in targets, blanks after chunk sizes. In some places it is the
 * stricter one, and such messages are passed over: methods that it has no name for, "host:port" for a method
 * that is not CONNECT, a second Content-Length even when it is equal, and names that only begin with
 * Transfer-Encoding. Deterministic: the generator is seeded. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Two of its names are ours as well. */
#define http_parser      theirs_parser
#define http_parser_init theirs_parser_init
#include <http_parser.h>
#undef http_parser
#undef http_parser_init

#include "http/http.h"

enum { ROUNDS = 400000, MESSAGE_MAX = 4096 };

/* A message as text: its start line, its fields, then its data, then how it ended. */
struct reading {
    char text[4 * MESSAGE_MAX];
    size_t len, head, used;
    bool taken, over, in_name, in_value;
};

static uint32_t seed = 20240607;

static uint32_t below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void add(struct reading *r, const void *bytes, size_t n)
{
    assert_true(r->len + n < sizeof r->text);
    if (n)
        memcpy(r->text + r->len, bytes, n);
    r->len += n;
    r->text[r->len] = '\0';
}

static void add_text(struct reading *r, const char *text)
{
    add(r, text, strlen(text));
}

/* --- messages ----------------------------------------------------------------------------- */

#define PICK(words) (words)[below((uint32_t)(sizeof(words) / sizeof((words)[0])))]

static const char *const fields[] = {
    "Host: a",
    "Host: [::1]:80",
    "Connection: Upgrade",
    "Connection: keep-alive, close",
    "Upgrade: websocket",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 05",
    "Content-Length: 5 ",
    "Content-Length: 5x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "X:",
    "X: ",
    "X:\t y \t",
    "X-Y_Z.~!#$%&'*+^`|: \xc3\xa9",
    "X : y",
    " folded",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Cookie: a=b; c=\"d\"",
    "Content-Length: -1",
    "no colon",
    "Content-Length: 99999999999999999999",
    "Trailer: X",
    "TE: trailers",
    "Expect: 100-continue",
};

static const char *const chunks[] = {
    "5\r\nhello\r\n", "1;a=b\r\nx\r\n", "0a\r\n0123456789\r\n", "3 \r\nabc\r\n", "2\r\nhip\r\n",
    "FFF\r\n",        "g\r\n",
};

static void start_line(struct reading *out, bool response)
{
    static const char *const methods[] = {"GET", "GET",     "GET",     "POST", "HEAD",
                                          "PUT", "OPTIONS", "CONNECT", "get"};
    static const char *const targets[] = {
        "/",           "/?target=a%3A443", "/a?b?c=d", "http://h/p?q", "http://[::1]:9/", "*",
        "host:443",    "wss://h",          "//",       "/a#b",         "/\xff",           "h",
        "/{|}\\^`\"<>"};
    static const char *const versions[] = {"1.1", "1.1", "1.1", "1.1", "1.1", "1.1",
                                           "1.0", "1.0", "1.2", "2.0", "0.9", "1.10"};
    static const char *const statuses[] = {"200 OK",   "101 Switching Protocols",
                                           "204 None", "304 \xc3\xa9",
                                           "500 ",     "404",
                                           "99 x",     "600 x",
                                           "0200 x",   "200\tOK"};

    if (response) {
        add_text(out, "HTTP/");
        add_text(out, PICK(versions));
        add_text(out, " ");
        add_text(out, PICK(statuses));
    } else {
        if (below(16) == 0)
            add_text(out, "\r\n");
        add_text(out, PICK(methods));
        add_text(out, " ");
        add_text(out, below(2) ? "/" : PICK(targets));
        add_text(out, " HTTP/");
        add_text(out, PICK(versions));
    }
    add_text(out, "\r\n");
}

static void mutate(struct reading *out)
{
    static const uint8_t bytes[] = {'\r', '\n', 0,   ' ', '\t', ':', ';', ',',
                                    0x7f, 0x80, '0', 'f', '/',  '@', '"', 0x1b};
    size_t at = below((uint32_t)out->len);

    switch (below(4)) {
    case 0:
        out->text[at] = (char)PICK(bytes);
        break;
    case 1:
        out->text[at] = (char)(out->text[at] ^ (1 << below(7)));
        break;
    case 2:
        memmove(out->text + at, out->text + at + 1, out->len - at);
        out->len--;
        break;
    case 3:
        memmove(out->text + at + 1, out->text + at, out->len - at);
        out->text[at] = (char)PICK(bytes);
        out->len++;
        break;
    }
}

static void message(struct reading *out, bool response)
{
    out->len = 0;
    start_line(out, response);
    if (!response && below(8))
        add_text(out, "Host: a\r\n");
    for (uint32_t n = below(4); n; n--) {
        add_text(out, PICK(fields));
        add_text(out, "\r\n");
    }
    if (below(3) == 0)
        add_text(out, below(2) ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 7\r\n");
    add_text(out, "\r\n");
    for (uint32_t n = below(4); n; n--)
        add_text(out, PICK(chunks));
    add_text(out, below(2) ? "0\r\n\r\n" : "0\r\nX: y\r\n\r\n");
    for (uint32_t n = below(4); n > 1 && out->len > 1; n--)
        mutate(out);
}

/* --- ours --------------------------------------------------------------------------------- */

/* The other one takes it for Transfer-Encoding. */
static bool trips(const struct http_field *field)
{
    const struct view coding = VIEW("Transfer-Encoding");

    return field->name.len > coding.len &&
           view_eq_nocase(view_first(field->name, coding.len), coding);
}

static bool known_to_both(const struct http_head *h, bool response)
{
    struct http_target target;

    if (http_field_count(h, VIEW("Content-Length")) > 1)
        return false;
    for (size_t i = 0; i < h->count; i++)
        if (trips(&h->fields[i]))
            return false;
    if (response)
        return true;
    if (!http_target_split(h->target, &target, NULL))
        return false;
    for (int m = HTTP_DELETE; m <= HTTP_SOURCE; m++)
        if (view_eq(h->method, view_str(http_method_str((enum http_method)m))))
            return (target.form == HTTP_AUTHORITY_FORM) == view_eq(h->method, VIEW("CONNECT"));
    return false;
}

/* The other one reads a body where RFC 9112, 6.3 says that there is none. */
static bool body_is_compared(const struct http_head *h, bool response)
{
    if (response)
        return h->status >= 200 && h->status != 204 && h->status != 304;
    return !view_eq(h->method, VIEW("CONNECT"));
}

static void tell_head(struct reading *r, const struct http_head *h, bool response)
{
    char line[64];

    if (response) {
        (void)snprintf(line, sizeof line, "1.%d %d ", h->minor, h->status);
        add_text(r, line);
        add(r, h->reason.at, h->reason.len);
    } else {
        (void)snprintf(line, sizeof line, " 1.%d", h->minor);
        add(r, h->method.at, h->method.len);
        add_text(r, " ");
        add(r, h->target.at, h->target.len);
        add_text(r, line);
    }
    for (size_t i = 0; i < h->count; i++) {
        add_text(r, "\n");
        add(r, h->fields[i].name.at, h->fields[i].name.len);
        add_text(r, "=");
        add(r, h->fields[i].value.at, h->fields[i].value.len);
    }
    add_text(r, "\n\n");
}

/* Leaves r->taken false for what we refuse. */
static void ours(struct view bytes, bool response, struct reading *r)
{
    struct http_parser parser;
    struct http_head head;
    struct http_body body;
    struct view in, piece;

    *r = (struct reading){.len = 0};
    http_parser_init(&parser);
    if ((response ? http_response_parse(&parser, bytes, &head)
                  : http_request_parse(&parser, bytes, &head)) != HTTP_DONE ||
        !http_body_plan(&head, response, VIEW("GET"), &body, NULL) ||
        !known_to_both(&head, response))
        return;
    tell_head(r, &head, response);
    r->head = r->used = head.bytes;
    r->taken = true;
    if (!body_is_compared(&head, response))
        return;
    in = view_skip(bytes, head.bytes);
    while (in.len && !body.done && r->taken) {
        r->taken = http_body_feed(&body, &in, &piece, NULL);
        add(r, piece.at, piece.len);
    }
    r->used = bytes.len - in.len;
    r->over = body.done;
}

/* --- theirs ------------------------------------------------------------------------------- */

/* Ours has the same name, so theirs is asked for where the loader keeps it. */
static void theirs_init(theirs_parser *p, enum http_parser_type type)
{
    void (*init)(theirs_parser *, enum http_parser_type);
    void *at = dlsym(RTLD_NEXT, "http_parser_init");

    assert_non_null(at);
    memcpy(&init, &at, sizeof init);
    init(p, type);
}

static int on_url(theirs_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;

    if (r->len == 0) {
        add_text(r, http_method_str((enum http_method)p->method));
        add_text(r, " ");
    }
    add(r, at, n);
    return 0;
}

/* The start line is told when the version or the status behind it is known. */
static void end_start_line(theirs_parser *p, struct reading *r)
{
    char line[64];

    if (r->head)
        return;
    r->head = 1;
    if (p->type == HTTP_REQUEST)
        (void)snprintf(line, sizeof line, " %u.%u", (unsigned)p->http_major,
                       (unsigned)p->http_minor);
    else
        (void)snprintf(line, sizeof line, "%u.%u %u ", (unsigned)p->http_major,
                       (unsigned)p->http_minor, (unsigned)p->status_code);
    add_text(r, line);
}

static int on_status(theirs_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;

    end_start_line(p, r);
    add(r, at, n);
    return 0;
}

/* It leaves the blanks behind a value to the caller. */
static void end_value(struct reading *r)
{
    while (r->in_value && (r->text[r->len - 1] == ' ' || r->text[r->len - 1] == '\t'))
        r->len--;
    r->in_value = false;
}

static int on_field(theirs_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;

    if (r->head > 1)
        return 0;
    end_start_line(p, r);
    if (r->in_value || !r->in_name) {
        end_value(r);
        add_text(r, "\n");
    }
    r->in_name = true;
    add(r, at, n);
    return 0;
}

static int on_value(theirs_parser *p, const char *at, size_t n)
{
    struct reading *r = p->data;

    if (r->head > 1)
        return 0;
    if (!r->in_value)
        add_text(r, "=");
    r->in_value = true;
    r->in_name = false;
    add(r, at, n);
    return 0;
}

static int on_head(theirs_parser *p)
{
    struct reading *r = p->data;

    end_start_line(p, r);
    end_value(r);
    add_text(r, "\n\n");
    r->head = r->used;
    return 0;
}

static int on_body(theirs_parser *p, const char *at, size_t n)
{
    add(p->data, at, n);
    return 0;
}

static int on_end(theirs_parser *p)
{
    struct reading *r = p->data;

    r->over = true;
    return 0;
}

/* Byte by byte, which shows where each thing ends. */
static void theirs(struct view bytes, bool response, struct reading *r)
{
    const http_parser_settings settings = {
        .on_url = on_url,
        .on_status = on_status,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_end,
    };
    theirs_parser p;

    *r = (struct reading){.taken = true};
    theirs_init(&p, response ? HTTP_RESPONSE : HTTP_REQUEST);
    p.data = r;
    while (r->taken && r->used < bytes.len) {
        r->used++;
        (void)http_parser_execute(&p, &settings, (const char *)bytes.at + r->used - 1, 1);
        r->taken = p.http_errno == HPE_OK;
    }
}

/* --- both --------------------------------------------------------------------------------- */

static void compare(bool response)
{
    static struct reading bytes, a, b;
    unsigned taken = 0, refused = 0, with_body = 0;

    for (int round = 0; round < ROUNDS; round++) {
        message(&bytes, response);
        ours(view_from(bytes.text, bytes.len), response, &a);
        if (!a.taken) {
            refused++;
            continue;
        }
        taken++;
        with_body += a.used > a.head;
        theirs(view_from(bytes.text, a.used), response, &b);
        if (!b.taken || b.head != a.head || b.len != a.len || memcmp(a.text, b.text, a.len) != 0 ||
            (a.used > a.head && a.over != b.over))
            fail_msg("round %d: we read\n%s\nin\n%.*s\n%s", round, a.text, (int)bytes.len,
                     bytes.text, b.taken ? b.text : "which was refused");
    }
    /* The generator is of use only when it keeps to both sides of the border. */

    assert_true(taken > ROUNDS / 10 && refused > ROUNDS / 10 && with_body > ROUNDS / 50);
}

static void what_we_take_of_requests_another_reads_the_same(void **state)
{
    (void)state;
    compare(false);
}

static void what_we_take_of_responses_another_reads_the_same(void **state)
{
    (void)state;
    compare(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_we_take_of_requests_another_reads_the_same),
        cmocka_unit_test(what_we_take_of_responses_another_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
