/* Input: a byte that picks rules and direction, then a head. A request is routed, and what goes on to the application is read
 * again: it must end where it ended for us, say nothing that only we may say, and be let through by the rules. An answer of the
 * application, read again by the client, must end where it ended for us. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "tee/proxy.h"
#include "tee/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULES = 4, ANSWER = 0x80, HEAD_ONLY = 0x40, OLD = 0x20, ROOM = 8 * HTTP_HEAD_BYTES_MAX };

#define TOKEN "0123456789abcdef0123456789abcdef"

static struct tee_token token;
static const struct tee_token none;
static struct route_rules rules[RULES];
static struct addr peer;

static void make(void)
{
    CHECK(tee_token_load(NULL, TOKEN, &token, NULL));
    CHECK(addr_parse(VIEW("192.0.2.7:1"), &peer));
    rules[0] = (struct route_rules){.auth = &none, .metrics = &none, .websockets = true};
    rules[1] = (struct route_rules){.auth = &token, .metrics = &token, .body_max = 100};
    rules[2] = (struct route_rules){
        .auth = &token, .metrics = &none, .auth_paths = "/metrics,/a/b", .websockets = true};
    rules[3] = (struct route_rules){
        .auth = &none, .metrics = &none, .cors_origins = "https://a.test:1,*.b.test"};
}

static bool same_end(const struct http_body *a, const struct http_body *b)
{
    return a->kind == b->kind && (a->kind != HTTP_BODY_LENGTH || a->left == b->left);
}

/* What a rewritten head may be too long for, a reader may refuse; it must not misread it. */
static bool reread(struct view bytes, bool response, struct http_head *out)
{
    struct http_parser p;
    enum http_result r;

    http_parser_init(&p);
    r = response ? http_response_parse(&p, bytes, out) : http_request_parse(&p, bytes, out);
    CHECK(r == HTTP_DONE || (r == HTTP_FAILED && p.status == 431));
    CHECK(r != HTTP_DONE || out->bytes == bytes.len);
    return r == HTTP_DONE;
}

static void check_said_by_us(const struct http_head *h, const char *name, struct view value)
{
    struct view found;

    CHECK(http_field(h, view_str(name), &found) && view_eq(found, value));
}

/* The application sees one request, ours in what is ours. */
static void check_request(const struct http_head *head, const struct route *r)
{
    static const char *const gone[] = {
        "X-TLS-EKM-Channel-Binding", "Forwarded",          "TE", "Trailer", "Keep-Alive",
        "Proxy-Connection",          "Proxy-Authorization"};
    struct http_body plan;
    struct http_head again;
    struct buf out;

    buf_init(&out, ROOM, "request");
    CHECK(proxy_request(head, &r->plan, &peer, r->upgrade, &out, NULL));
    if (reread(buf_view(&out), false, &again)) {
        CHECK(http_body_plan(&again, false, VIEW(""), &plan, NULL) && same_end(&plan, &r->plan));
        CHECK(view_eq(again.method, head->method) && view_eq(again.target, head->target));
        CHECK(again.minor == 1 && http_field_count(&again, VIEW("Host")) == 1);
        check_said_by_us(&again, "X-Forwarded-For", VIEW("192.0.2.7"));
        check_said_by_us(&again, "X-Real-IP", VIEW("192.0.2.7"));
        check_said_by_us(&again, "X-Forwarded-Proto", VIEW("https"));
        for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
            CHECK(http_field_count(&again, view_str(gone[i])) == 0);
        CHECK(http_field_count(&again, VIEW("Upgrade")) == r->upgrade);
        CHECK(http_field_count(&again, VIEW("Connection")) == r->upgrade);
    }
    buf_done(&out);
}

/* Lines of ours are lines, whatever a page called itself. */
static void check_extra(const struct route *r)
{
    char text[CORS_FIELDS_BYTES + 64];
    struct http_head head;
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%s\r\n", r->extra);

    CHECK(n > 0 && reread(view_from(text, (size_t)n), true, &head) && head.count <= 3);
}

static void check_route(const struct route_rules *u, const struct http_head *h,
                        const struct route *r)
{
    bool bears = http_field_count(h, VIEW("Authorization")) == 1;

    CHECK((r->to == ROUTE_REFUSED) == (r->status >= 400));
    CHECK(r->to != ROUTE_REFUSED || r->why.text[0]);
    CHECK(r->to != ROUTE_METRICS || (u->metrics->set && bears));
    CHECK(r->to != ROUTE_APPLICATION || !u->auth->set || u->auth_paths || bears);
    CHECK(r->to != ROUTE_APPLICATION || !u->body_max || r->plan.kind != HTTP_BODY_LENGTH ||
          r->plan.left <= u->body_max);
    CHECK(!r->upgrade || (r->to == ROUTE_APPLICATION && u->websockets && r->plan.done));
    CHECK(r->to == ROUTE_REFUSED || r->path.at[0] == '/');
    check_extra(r);
    if (r->to == ROUTE_APPLICATION)
        check_request(h, r);
}

static void take_request(const struct route_rules *u, struct view bytes)
{
    struct http_parser p;
    struct http_head head;
    struct route r;

    http_parser_init(&p);
    if (http_request_parse(&p, bytes, &head) != HTTP_DONE)
        return;
    route_request(u, &head, &r);
    check_route(u, &head, &r);
}

static void check_answer(const struct http_head *head, const struct http_body *plan, int minor,
                         struct view method, bool close)
{
    enum proxy_framing framing;
    struct http_body theirs;
    struct http_head again;
    struct buf out;

    buf_init(&out, ROOM, "answer");
    CHECK(proxy_response(head, plan, minor, close, "Vary: Origin\r\n", &framing, &out, NULL));
    CHECK(framing != PROXY_CHUNKED || minor == 1);
    if (reread(buf_view(&out), true, &again)) {
        CHECK(http_body_plan(&again, true, method, &theirs, NULL));
        CHECK(framing == PROXY_AS_IS   ? same_end(&theirs, plan)
              : framing == PROXY_CLOSE ? theirs.kind == HTTP_BODY_UNTIL_CLOSE
                                       : theirs.kind == HTTP_BODY_CHUNKED);
        CHECK(again.status == head->status && view_eq(again.reason, head->reason));
        CHECK(http_field_count(&again, VIEW("Connection")) == close);
    }
    buf_done(&out);
}

static void take_answer(uint8_t choice, struct view bytes)
{
    struct view method = choice & HEAD_ONLY ? VIEW("HEAD") : VIEW("GET");
    struct http_parser p;
    struct http_head head, again;
    struct http_body plan;
    struct buf out;

    http_parser_init(&p);
    if (http_response_parse(&p, bytes, &head) != HTTP_DONE ||
        !http_body_plan(&head, true, method, &plan, NULL))
        return;
    if (head.status != 101) {
        check_answer(&head, &plan, choice & OLD ? 0 : 1, method, choice & 1);
        return;
    }
    if (!proxy_switches(&head))
        return;
    buf_init(&out, ROOM, "answer");
    CHECK(proxy_switch(&head, "", &out, NULL));
    CHECK(!reread(buf_view(&out), true, &again) || proxy_switches(&again));
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *head;

    if (!token.set)
        make();
    if (size < 1)
        return 0;
    head = malloc(size > 1 ? size - 1 : 1); /* of just its size, so that a byte too far is seen */
    CHECK(head);
    if (size > 1)
        memcpy(head, data + 1, size - 1);
    if (data[0] & ANSWER)
        take_answer(data[0], view_from(head, size - 1));
    else
        take_request(&rules[data[0] % RULES], view_from(head, size - 1));
    free(head);
    return 0;
}
