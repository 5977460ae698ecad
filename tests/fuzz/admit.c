/* Input: a byte that picks policy and peer, then a request head. Every verdict is whole and the
 * same each time, nothing is admitted that is not in the list, and no credential is ever selected
 * or quoted. */
#include <string.h>

#include "base/check.h"
#include "bridge/admit.h"
#include "ws/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { POLICIES = 4 };

/* The SHA-256 of "t". */
#define HASH_OF_T "e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8 alice"

static struct policy *policies[POLICIES];

static void make(void)
{
    static const struct policy_source sources[POLICIES] = {
        {.allowlist = "tee.test:443,[::1]:1,unix:/a", .target = "tee.test:443"},
        {.allowlist = "*.tee.test:443,10.0.0.0/8:1-99,a.test:1",
         .allow_patterns = true,
         .cidr_names = true,
         .reject = REJECT_CLOSE,
         .trusted_proxies = "127.0.0.0/8"},
        {.allowlist = "tee.test:443",
         .origins = "https://page.test,same-host",
         .hosts = "bridge.test",
         .subprotocols = "binary",
         .allow_from = "127.0.0.0/8,198.51.100.0/24",
         .trusted_proxies = "127.0.0.0/8"},
        {.allowlist = "tee.test:443", .target = "tee.test:443", .auth_query = true},
    };
    struct credential_source credentials = {.tokens = VIEW(HASH_OF_T), .tokens_name = "tokens"};

    for (size_t i = 0; i < POLICIES; i++)
        CHECK(policy_load(&sources[i], NULL, NULL, &policies[i], NULL));
    CHECK(credentials_new(&credentials, &policies[3]->credentials, NULL));
}

static void check_admitted(const struct policy *p, const struct http_head *h,
                           const struct verdict *v)
{
    struct target t;
    struct view host;
    bool by_pattern;

    CHECK(v->entry && v->key.len == WS_KEY_BYTES && !v->by_close && v->http_status == 200);
    CHECK(allowlist_match(p->allow, view_str(v->target.text), &t, &by_pattern) == v->entry);
    CHECK(strcmp(t.text, v->target.text) == 0 && by_pattern == v->by_pattern);
    CHECK(!p->origins || http_field_count(h, VIEW("Origin")) == 0 ||
          (http_field(h, VIEW("Host"), &host) && origin_set_has(p->origins, v->origin, host)));
}

static void check_refused(const struct policy *p, const struct verdict *v)
{
    bool target = v->reason == REASON_TARGET_NOT_ALLOWED || v->reason == REASON_NO_TARGET;

    CHECK(!v->entry && v->err.text[0] && v->http_status >= 400);
    CHECK(!v->by_close || (target && p->reject != REJECT_HTTP && v->key.len == WS_KEY_BYTES));
}

static void check_verdict(const struct policy *p, const struct http_head *h,
                          const struct verdict *v)
{
    CHECK(v->reason < REASON_COUNT && v->client.family != AF_UNSPEC);
    CHECK(v->requested.len <= sizeof v->requested_bytes);
    CHECK(memchr(v->subject, 0, sizeof v->subject));
    CHECK(!v->subprotocol.len ||
          (http_is_token(v->subprotocol) && !credential_is_subprotocol(v->subprotocol)));
    if (v->reason == REASON_NONE)
        check_admitted(p, h, v);
    else
        check_refused(p, v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head;
    static struct verdict once, twice;
    struct admit_request request = {.head = &head, .wall_ms = 1800000000000};
    const struct policy *p;
    struct http_parser parser;

    if (!policies[0])
        make();
    if (size == 0)
        return 0;
    http_parser_init(&parser);
    if (http_request_parse(&parser, view_from(data + 1, size - 1), &head) != HTTP_DONE)
        return 0;
    p = policies[data[0] % POLICIES];
    CHECK(addr_parse(data[0] & 4 ? VIEW("127.0.0.1:1") : VIEW("198.51.100.1:1"), &request.peer));
    request.peer_trusted = data[0] & 4;
    request.tls_client_verified = data[0] & 8;
    policy_admit(p, &request, &once);
    check_verdict(p, &head, &once);
    policy_admit(p, &request, &twice);
    CHECK(once.reason == twice.reason && once.entry == twice.entry);
    CHECK(strcmp(once.err.text, twice.err.text) == 0 && addr_eq(&once.client, &twice.client));
    CHECK(view_eq(once.requested, twice.requested));
    return 0;
}
