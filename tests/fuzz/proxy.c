/* A PROXY header is the same in any split, never longer than its limit, and what it says can be
 * written and read again. */
#include <stdlib.h>

#include "base/check.h"
#include "bridge/proxyproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOOKED_AT = 700 };

/* In a block of exactly its size, so that a byte too far is seen. */
static enum proxy_result parse(const uint8_t *data, size_t size, struct proxy_header *out,
                               struct err *err)
{
    uint8_t *copy = malloc(size ? size : 1);
    enum proxy_result r;

    CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    r = proxy_header_parse(view_from(copy, size), out, err);
    free(copy);
    return r;
}

static void check_written(const struct proxy_header *h)
{
    uint8_t out[PROXY_V2_BYTES_MAX];
    struct proxy_header again;
    size_t n = proxy_v1_write(&h->source, &h->destination, out, sizeof out);

    CHECK(n > 0 && n <= PROXY_V1_BYTES_MAX);
    CHECK(parse(out, n, &again, NULL) == PROXY_DONE && again.bytes == n);
    CHECK(again.local == h->local);
    CHECK(h->local ||
          (addr_eq(&again.source, &h->source) && addr_eq(&again.destination, &h->destination)));
    n = proxy_v2_write(&h->source, &h->destination, VIEW("id"), VIEW("a:1"), out, sizeof out);
    CHECK(n > 0 && parse(out, n, &again, NULL) == PROXY_DONE && again.bytes == n);
    CHECK(again.local == h->local);
    CHECK(h->local ||
          (addr_eq(&again.source, &h->source) && addr_eq(&again.destination, &h->destination)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum proxy_result settled = PROXY_MORE;
    struct proxy_header first = {0}, h;

    if (size > LOOKED_AT)
        size = LOOKED_AT;
    for (size_t cut = 0; cut <= size; cut++) {
        struct err err = {0};
        enum proxy_result r = parse(data, cut, &h, &err);

        CHECK((r == PROXY_FAILED) == (err.code != ERR_NONE));
        if (settled != PROXY_MORE) {
            CHECK(r == settled);
            CHECK(r != PROXY_DONE || (h.bytes == first.bytes && h.local == first.local &&
                                      addr_eq(&h.source, &first.source) &&
                                      addr_eq(&h.destination, &first.destination)));
            continue;
        }
        settled = r;
        if (r == PROXY_DONE) {
            first = h;
            CHECK(h.bytes == cut);
            CHECK(h.bytes <= (data[0] == 'P' ? PROXY_V1_BYTES_MAX : PROXY_V2_BYTES_MAX));
            check_written(&h);
        }
    }
    CHECK(size <= PROXY_V2_BYTES_MAX || settled != PROXY_MORE);
    return 0;
}
