/* Literals against the C library's parser; what we print is what we read; ranges hold their base.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "net/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ip(struct view text)
{
    char copy[128], printed[ADDR_TEXT_BYTES];
    struct addr a, again;
    uint8_t theirs[16];
    bool ours, v4, v6;

    if (text.len >= sizeof copy || memchr(text.at, 0, text.len))
        return;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    ours = addr_parse_ip(text, false, &a);
    v4 = inet_pton(AF_INET, copy, theirs) == 1;
    if (v4)
        CHECK(ours && a.family == AF_INET && memcmp(a.ip, theirs, 4) == 0);
    v6 = inet_pton(AF_INET6, copy, theirs) == 1;
    if (v6)
        CHECK(ours && a.family == AF_INET6 && memcmp(a.ip, theirs, 16) == 0);
    CHECK(ours == (v4 || v6));
    if (!ours)
        return;
    addr_ip_format(&a, printed);
    CHECK(addr_parse_ip(view_str(printed), false, &again) && addr_eq(&a, &again));
    again = a;
    addr_unmap(&again);
    CHECK(addr_classify(&a) == addr_classify(&again));
}

static void check_port(struct view text)
{
    char printed[ADDR_TEXT_BYTES];
    struct addr a, again;

    if (!addr_parse(text, &a))
        return;
    addr_format(&a, printed);
    CHECK(addr_parse(view_str(printed), &again) && addr_eq(&a, &again));
}

static void check_cidr(struct view text)
{
    struct err err;
    struct cidr c;

    if (!cidr_parse(text, &c, &err))
        return;
    CHECK(c.bits <= (c.base.family == AF_INET ? 32u : 128u));
    CHECK(cidr_contains(&c, &c.base));
    if (c.bits > 0) {
        c.base.ip[(c.bits - 1) / 8] ^= (uint8_t)(0x80u >> (c.bits - 1) % 8);
        struct addr outside = c.base;
        c.base.ip[(c.bits - 1) / 8] ^= (uint8_t)(0x80u >> (c.bits - 1) % 8);
        addr_unmap(&outside);
        CHECK(!cidr_contains(&c, &outside));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = view_from(data, size);

    if (size == 0)
        return 0;
    check_ip(text);
    check_port(text);
    check_cidr(text);
    return 0;
}
