/* Query parameters: the decoded length is told even when it does not fit, what fits is a prefix, and the
 * result is UTF-8 (bad bytes became U+FFFD). */
#include "base/check.h"
#include "base/codec.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t small[16], large[4 * 4096];
    struct view query = view_from(data, size);
    struct http_target target;
    size_t small_len = 0, large_len = 0;
    bool found;

    if (size > 4096)
        return 0;
    found = http_query_first(query, VIEW("target"), large, sizeof large, &large_len);
    CHECK(found == http_query_first(query, VIEW("target"), small, sizeof small, &small_len));
    if (found) {
        CHECK(small_len == large_len && large_len <= sizeof large);
        CHECK(memcmp(small, large, large_len < sizeof small ? large_len : sizeof small) == 0);
        CHECK(utf8_valid(view_from(large, large_len)));
    }
    if (http_target_split(query, &target, NULL)) {
        CHECK(view_find(query, '#') == query.len);
        CHECK(target.query.at == NULL ||
              (target.query.at >= data && target.query.at <= data + size));
    }
    return 0;
}
