/* Input: lines; one that begins with 'f' is a Forwarded field, any other X-Forwarded-For. Nothing
 * that a client writes says who it is: not past an untrusted peer, and not past what a trusted
 * proxy adds. */
#include "base/check.h"
#include "bridge/client_addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct addr address(struct view text)
{
    struct addr a;

    CHECK(addr_parse(text, &a));
    return a;
}

static void add(struct http_head *h, struct view name, struct view value)
{
    h->fields[h->count++] = (struct http_field){name, view_trim_ows(value)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head h;
    struct addr peer = address(VIEW("127.0.0.1:5000")), client = address(VIEW("198.51.100.7:0")),
                found;
    struct view rest = view_from(data, size), line;
    struct cidr trusted[2];
    struct err err = {0};
    bool standard = false, good;

    CHECK(cidr_parse(VIEW("127.0.0.0/8"), &trusted[0], NULL));
    CHECK(cidr_parse(VIEW("fd00::/8"), &trusted[1], NULL));
    h.count = 0;
    while (view_next(&rest, '\n', &line) && h.count < HTTP_FIELDS_MAX - 2) {
        bool f = line.len && line.at[0] == 'f';

        standard = standard || f;
        add(&h, f ? VIEW("Forwarded") : VIEW("x-forwarded-for"), view_skip(line, f));
    }
    CHECK(client_addr_find(&h, &peer, false, trusted, 2, &found, NULL) && addr_eq(&found, &peer));
    good = client_addr_find(&h, &peer, true, trusted, 2, &found, &err);
    CHECK(good == (err.code == ERR_NONE));
    CHECK(good || addr_eq(&found, &peer));
    CHECK(found.family == AF_INET || found.family == AF_INET6);
    CHECK(good || standard);

    add(&h, VIEW("X-Forwarded-For"), VIEW("198.51.100.7"));
    good = client_addr_find(&h, &peer, true, trusted, 2, &found, NULL);
    CHECK(good ? addr_eq(&found, &client) : standard && addr_eq(&found, &peer));
    add(&h, VIEW("Forwarded"), VIEW("for=198.51.100.7;proto=https"));
    CHECK(client_addr_find(&h, &peer, true, trusted, 2, &found, NULL));
    CHECK(addr_eq(&found, &client));
    return 0;
}
