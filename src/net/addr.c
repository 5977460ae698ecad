#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/text.h"

static bool ipv4_parse(struct view text, uint8_t out[4]);
static bool ipv6_parse(struct view text, uint8_t out[16]);
static bool group_parse(struct view text, uint8_t out[2]);
static size_t groups_parse(struct view text, bool ipv4_tail, uint8_t *out, size_t room);
static bool prefix_eq(const uint8_t *a, const uint8_t *b, unsigned bits);
static bool embedded_ipv4(const struct addr *a, struct addr *out);
static char *ipv6_format(const uint8_t ip[16], char *out, size_t size);

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool addr_parse_ip(struct view text, bool brackets, struct addr *out)
{
    struct addr a = {.family = AF_INET};

    if (ipv4_parse(text, a.ip)) {
        *out = a;
        return true;
    }
    if (brackets) {
        if (text.len < 2 || text.at[0] != '[' || text.at[text.len - 1] != ']')
            return false;
        text = view_from(text.at + 1, text.len - 2);
    }
    a.family = AF_INET6;
    if (!ipv6_parse(text, a.ip))
        return false;
    *out = a;
    return true;
}

bool addr_parse(struct view text, struct addr *out)
{
    size_t colon = view_find_last(text, ':');
    struct addr a;
    uint64_t port;

    if (colon == text.len || !text_u64(view_skip(text, colon + 1), UINT16_MAX, false, &port) ||
        !addr_parse_ip(view_first(text, colon), true, &a))
        return false;
    a.port = (uint16_t)port;
    *out = a;
    return true;
}

char *addr_ip_format(const struct addr *a, char out[static ADDR_TEXT_BYTES])
{
    if (a->family == AF_INET6)
        return ipv6_format(a->ip, out, ADDR_TEXT_BYTES);
    if (a->family == AF_INET)
        snprintf(out, ADDR_TEXT_BYTES, "%u.%u.%u.%u", (unsigned)a->ip[0], (unsigned)a->ip[1],
                 (unsigned)a->ip[2], (unsigned)a->ip[3]);
    else
        snprintf(out, ADDR_TEXT_BYTES, "%s", a->family == AF_UNIX ? "unix" : "-");
    return out;
}

char *addr_format(const struct addr *a, char out[static ADDR_TEXT_BYTES])
{
    char ip[ADDR_TEXT_BYTES];

    addr_ip_format(a, ip);
    if (a->family == AF_INET6)
        snprintf(out, ADDR_TEXT_BYTES, "[%.45s]:%u", ip, (unsigned)a->port);
    else if (a->family == AF_INET)
        snprintf(out, ADDR_TEXT_BYTES, "%.45s:%u", ip, (unsigned)a->port);
    else
        snprintf(out, ADDR_TEXT_BYTES, "%.45s", ip);
    return out;
}

bool addr_ip_eq(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == AF_INET)
        return memcmp(a->ip, b->ip, 4) == 0;
    return a->family != AF_INET6 || memcmp(a->ip, b->ip, 16) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return addr_ip_eq(a, b) && a->port == b->port;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    out->ss_family = a->family;
    if (a->family == AF_INET) {
        in4->sin_port = htons(a->port);
        memcpy(&in4->sin_addr, a->ip, 4);
        return sizeof *in4;
    }
    if (a->family == AF_INET6) {
        in6->sin6_port = htons(a->port);
        memcpy(&in6->sin6_addr, a->ip, 16);
        return sizeof *in6;
    }
    return sizeof out->ss_family;
}

void addr_from_sockaddr(const struct sockaddr *sa, struct addr *out)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;

    *out = (struct addr){.family = AF_UNSPEC};
    if (sa->sa_family == AF_INET) {
        memcpy(&in4, sa, sizeof in4);
        memcpy(out->ip, &in4.sin_addr, 4);
        out->port = ntohs(in4.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof in6);
        memcpy(out->ip, &in6.sin6_addr, 16);
        out->port = ntohs(in6.sin6_port);
    } else if (sa->sa_family != AF_UNIX)
        return;
    out->family = sa->sa_family;
}

void addr_unmap(struct addr *a)
{
    struct addr v4 = {.port = a->port, .family = AF_INET};

    if (a->family != AF_INET6 || memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) != 0)
        return;
    memcpy(v4.ip, a->ip + 12, 4);
    *a = v4;
}

bool cidr_parse(struct view text, struct cidr *out, struct err *err)
{
    size_t slash = view_find(text, '/');
    struct cidr c;
    uint64_t bits;
    unsigned most;
    bool brackets = text.len && text.at[0] == '[';

    if (!addr_parse_ip(view_first(text, slash), brackets, &c.base))
        return err_set(err, ERR_SYNTAX, "no IP address stands before the prefix length");
    most = c.base.family == AF_INET ? 32 : 128;
    bits = most;
    if (slash != text.len && !text_u64(view_skip(text, slash + 1), most, false, &bits))
        return err_set(err, ERR_SYNTAX, "the prefix length must be a number from 0 to %u", most);
    c.bits = (unsigned)bits;
    for (unsigned i = c.bits; i < most; i++)
        if (c.base.ip[i / 8] & (0x80u >> i % 8))
            return err_set(err, ERR_SYNTAX, "the address has bits set beyond its /%u", c.bits);
    if (c.base.family == AF_INET6 && c.bits >= 96) {
        addr_unmap(&c.base);
        c.bits -= c.base.family == AF_INET ? 96 : 0;
    }
    *out = c;
    return true;
}

bool cidr_contains(const struct cidr *c, const struct addr *a)
{
    struct addr plain = *a;

    addr_unmap(&plain);
    return plain.family == c->base.family && prefix_eq(plain.ip, c->base.ip, c->bits);
}

struct special {
    uint8_t ip[16];
    uint8_t bits;
    uint8_t class;
};

/* The first row that matches decides. What no row names is global. */
static const struct special special_ipv4[] = {
    {{169, 254, 169, 254}, 32, ADDR_METADATA}, /* most clouds */
    {{100, 100, 100, 200}, 32, ADDR_METADATA}, /* Alibaba Cloud */
    {{168, 63, 129, 16}, 32, ADDR_METADATA},   /* Azure's agent */
    {{192, 0, 0, 192}, 32, ADDR_METADATA},     /* Oracle Cloud, of old */
    {{0}, 8, ADDR_SPECIAL},                    /* this network (RFC 791) */
    {{10}, 8, ADDR_PRIVATE},                   /* RFC 1918 */
    {{100, 64}, 10, ADDR_PRIVATE},             /* shared space of carriers (RFC 6598) */
    {{127}, 8, ADDR_LOOPBACK},                 /* RFC 1122 */
    {{169, 254}, 16, ADDR_LINK_LOCAL},         /* RFC 3927 */
    {{172, 16}, 12, ADDR_PRIVATE},             /* RFC 1918 */
    {{192, 0, 0}, 24, ADDR_SPECIAL},           /* protocol assignments (RFC 6890) */
    {{192, 0, 2}, 24, ADDR_SPECIAL},           /* documentation (RFC 5737) */
    {{192, 88, 99}, 24, ADDR_SPECIAL},         /* 6to4 relays, withdrawn (RFC 7526) */
    {{192, 168}, 16, ADDR_PRIVATE},            /* RFC 1918 */
    {{198, 18}, 15, ADDR_SPECIAL},             /* benchmarking (RFC 2544) */
    {{198, 51, 100}, 24, ADDR_SPECIAL},        /* documentation */
    {{203, 0, 113}, 24, ADDR_SPECIAL},         /* documentation */
    {{224}, 4, ADDR_SPECIAL},                  /* multicast (RFC 5771) */
    {{240}, 4, ADDR_SPECIAL},                  /* reserved, and broadcast (RFC 1112) */
};

static const struct special special_ipv6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54}, 128, ADDR_METADATA}, /* AWS */
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54}, 128, ADDR_METADATA}, /* Google Cloud */
    {{[15] = 1}, 128, ADDR_LOOPBACK},
    {{0}, 96, ADDR_SPECIAL},                                  /* unspecified, IPv4-compatible */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, ADDR_SPECIAL}, /* local NAT64 (RFC 8215) */
    {{0x01}, 64, ADDR_SPECIAL},                               /* discard-only (RFC 6666) */
    {{0x20, 0x01}, 23, ADDR_SPECIAL},                         /* protocol assignments, Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDR_SPECIAL},             /* documentation (RFC 3849) */
    {{0x3f, 0xff}, 20, ADDR_SPECIAL},                         /* documentation (RFC 9637) */
    {{0x5f, 0x00}, 16, ADDR_SPECIAL},                         /* segment routing (RFC 9602) */
    {{0xfc}, 7, ADDR_PRIVATE},                                /* RFC 4193 */
    {{0xfe, 0x80}, 10, ADDR_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, ADDR_SPECIAL}, /* site-local, withdrawn (RFC 3879) */
    {{0xff}, 8, ADDR_SPECIAL},        /* multicast */
    {{0x20}, 3, ADDR_GLOBAL},         /* 2000::/3, all that was ever given out */
    {{0}, 0, ADDR_SPECIAL},           /* unassigned */
};

enum addr_class addr_classify(const struct addr *a)
{
    const struct special *table = special_ipv6;
    size_t count = sizeof special_ipv6 / sizeof *special_ipv6;
    struct addr v4;

    if (a->family != AF_INET && a->family != AF_INET6)
        return ADDR_SPECIAL;
    if (embedded_ipv4(a, &v4)) {
        a = &v4;
        table = special_ipv4;
        count = sizeof special_ipv4 / sizeof *special_ipv4;
    }
    for (size_t i = 0; i < count; i++)
        if (prefix_eq(a->ip, table[i].ip, table[i].bits))
            return (enum addr_class)table[i].class;
    return ADDR_GLOBAL;
}

const char *addr_class_name(enum addr_class c)
{
    static const char *const names[] = {
        [ADDR_GLOBAL] = "global",     [ADDR_PRIVATE] = "private",
        [ADDR_LOOPBACK] = "loopback", [ADDR_LINK_LOCAL] = "link-local",
        [ADDR_METADATA] = "metadata", [ADDR_SPECIAL] = "special",
    };

    return names[c];
}

/* inet_pton would do, but it wants a terminated copy, and takes no length. */
static bool ipv4_parse(struct view text, uint8_t out[4])
{
    struct view piece, rest = text;
    uint8_t ip[4];
    uint64_t n;

    for (size_t i = 0; i < 4; i++) {
        if (!view_next(&rest, '.', &piece) || !text_u64(piece, UINT8_MAX, false, &n))
            return false;
        ip[i] = (uint8_t)n;
    }
    if (rest.at)
        return false;
    memcpy(out, ip, sizeof ip);
    return true;
}

static bool ipv6_parse(struct view text, uint8_t out[16])
{
    size_t gap = text.len, head, tail = 0;
    uint8_t left[16], right[16];

    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.at[i] == ':' && text.at[i + 1] == ':') {
            gap = i;
            break;
        }
    if (gap == text.len) {
        if (groups_parse(text, true, left, 16) != 16)
            return false;
        memcpy(out, left, 16);
        return true;
    }
    /* "::" stands for one group or more, so at most seven are written (RFC 4291, 2.2). */
    head = gap == 0 ? 0 : groups_parse(view_first(text, gap), false, left, 14);
    if (gap != 0 && head == 0)
        return false;
    text = view_skip(text, gap + 2);
    if (text.len > 0 && (tail = groups_parse(text, true, right, 14 - head)) == 0)
        return false;
    memset(out, 0, 16);
    memcpy(out, left, head);
    memcpy(out + 16 - tail, right, tail);
    return true;
}

/* One to four hexadecimal digits. */
static bool group_parse(struct view text, uint8_t out[2])
{
    unsigned value = 0;

    if (text.len == 0 || text.len > 4)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.at[i]);

        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return true;
}

/* Groups between single colons, the last one perhaps a dotted quad. Returns the bytes written, 0
 * when it is none of this or passes room. */
static size_t groups_parse(struct view text, bool ipv4_tail, uint8_t *out, size_t room)
{
    struct view piece;
    size_t n = 0;

    while (view_next(&text, ':', &piece)) {
        if (ipv4_tail && !text.at && n + 4 <= room && ipv4_parse(piece, out + n))
            return n + 4;
        if (n + 2 > room || !group_parse(piece, out + n))
            return 0;
        n += 2;
    }
    return n;
}

static bool prefix_eq(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

/* The IPv4 address that packets to a end at: a itself, or the one inside a translated form. */
static bool embedded_ipv4(const struct addr *a, struct addr *out)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    struct addr v4 = {.port = a->port, .family = AF_INET};

    if (a->family == AF_INET)
        memcpy(v4.ip, a->ip, 4);
    else if (memcmp(a->ip, mapped_prefix, 12) == 0 || memcmp(a->ip, nat64, 12) == 0)
        memcpy(v4.ip, a->ip + 12, 4);
    else if (a->ip[0] == 0x20 && a->ip[1] == 0x02) /* 6to4 (RFC 3056) */
        memcpy(v4.ip, a->ip + 2, 4);
    else
        return false;
    *out = v4;
    return true;
}

/* RFC 5952: lower case, no leading zeros, the longest run of at least two zero groups (the first of
 * equals) as "::"; IPv4-mapped addresses end in a dotted quad. */
static char *ipv6_format(const uint8_t ip[16], char *out, size_t size)
{
    size_t run_at = 8, run_len = 1, groups = 8, n = 0;

    for (size_t i = 0; i < 8; i++) {
        size_t len = 0;

        while (i + len < 8 && ip[(i + len) * 2] == 0 && ip[(i + len) * 2 + 1] == 0)
            len++;
        if (len > run_len) {
            run_at = i;
            run_len = len;
        }
    }
    if (memcmp(ip, mapped_prefix, 12) == 0)
        groups = 6;
    for (size_t i = 0; i < groups; i++) {
        if (i == run_at) {
            n += (size_t)snprintf(out + n, size - n, "::");
            i += run_len - 1;
            continue;
        }
        n += (size_t)snprintf(out + n, size - n, "%s%x", n && out[n - 1] != ':' ? ":" : "",
                              (unsigned)ip[i * 2] << 8 | ip[i * 2 + 1]);
    }
    if (groups == 6)
        snprintf(out + n, size - n, ":%u.%u.%u.%u", (unsigned)ip[12], (unsigned)ip[13],
                 (unsigned)ip[14], (unsigned)ip[15]);
    return out;
}
