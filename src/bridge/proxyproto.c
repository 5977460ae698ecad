#include "bridge/proxyproto.h"

#include <stdio.h>

#include "base/text.h"

#include "base/poison.h"

enum { V2_HEAD = 16, V2_INET = 12, V2_INET6 = 36, PP2_AUTHORITY = 2, PP2_UNIQUE_ID = 5 };

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* v may still become prefix. */
static bool may_begin(struct view v, const void *prefix, size_t n)
{
    return memcmp(v.at, prefix, v.len < n ? v.len : n) == 0;
}

static enum proxy_result bad(struct err *err, const char *what)
{
    (void)err_set(err, ERR_SYNTAX, "PROXY header: %s", what);
    return PROXY_FAILED;
}

static bool v1_addresses(struct view *rest, bool v6, struct proxy_header *h)
{
    struct view source, destination, from, to;
    uint64_t source_port, destination_port;

    if (!view_next(rest, ' ', &source) || !view_next(rest, ' ', &destination) ||
        !view_next(rest, ' ', &from) || !view_next(rest, ' ', &to) || rest->at)
        return false;
    if (!addr_parse_ip(source, false, &h->source) || !addr_parse_ip(destination, false, &h->destination) ||
        h->source.family != (v6 ? AF_INET6 : AF_INET) || h->destination.family != h->source.family)
        return false;
    if (!text_u64(from, 65535, false, &source_port) || !text_u64(to, 65535, false, &destination_port))
        return false;
    h->source.port = (uint16_t)source_port;
    h->destination.port = (uint16_t)destination_port;
    return true;
}

static enum proxy_result v1(struct view bytes, struct proxy_header *out, struct err *err)
{
    struct view seen = view_first(bytes, PROXY_V1_BYTES_MAX), line, rest, word;
    size_t end = view_find(seen, '\n');
    struct proxy_header h = {0};

    if (end == seen.len)
        return bytes.len >= PROXY_V1_BYTES_MAX ? bad(err, "no CRLF within 107 bytes") : PROXY_MORE;
    if (end == 0 || seen.at[end - 1] != '\r')
        return bad(err, "the line does not end in CRLF");
    line = view_first(seen, end - 1);
    rest = view_skip(line, 6);
    if (!view_next(&rest, ' ', &word))
        return bad(err, "no protocol");
    h.bytes = end + 1;
    if (view_eq(word, VIEW("UNKNOWN")))
        h.local = true;
    else if (!view_eq(word, VIEW("TCP4")) && !view_eq(word, VIEW("TCP6")))
        return bad(err, "the protocol is none of TCP4, TCP6, UNKNOWN");
    else if (!v1_addresses(&rest, view_eq(word, VIEW("TCP6")), &h))
        return bad(err, "the addresses cannot be read");
    addr_unmap(&h.source);
    addr_unmap(&h.destination);
    *out = h;
    return PROXY_DONE;
}

static uint16_t be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void v2_addresses(const uint8_t *at, bool v6, struct proxy_header *h)
{
    size_t n = v6 ? 16 : 4;

    h->source = (struct addr){.family = v6 ? AF_INET6 : AF_INET, .port = be16(at + 2 * n)};
    h->destination = (struct addr){.family = h->source.family, .port = be16(at + 2 * n + 2)};
    memcpy(h->source.ip, at, n);
    memcpy(h->destination.ip, at + n, n);
    addr_unmap(&h->source);
    addr_unmap(&h->destination);
}

/* Type, two bytes of length, value; the list must end exactly at the end. */
static bool tlvs_good(const uint8_t *at, size_t n)
{
    while (n) {
        size_t len;

        if (n < 3)
            return false;
        len = 3u + be16(at + 1);
        if (len > n)
            return false;
        at += len;
        n -= len;
    }
    return true;
}

static enum proxy_result v2(struct view bytes, struct proxy_header *out, struct err *err)
{
    struct proxy_header h = {0};
    size_t length, addresses;
    uint8_t command, family;

    if (bytes.len < V2_HEAD)
        return PROXY_MORE;
    command = bytes.at[12];
    family = bytes.at[13] >> 4;
    length = be16(bytes.at + 14);
    if (command >> 4 != 2 || (command & 15) > 1)
        return bad(err, "unknown version or command");
    if (family > 3 || (bytes.at[13] & 15) > 2)
        return bad(err, "unknown address family or protocol");
    if (V2_HEAD + length > PROXY_V2_BYTES_MAX)
        return bad(err, "longer than 536 bytes");
    if (bytes.len < V2_HEAD + length)
        return PROXY_MORE;
    h.bytes = V2_HEAD + length;
    h.local = (command & 15) == 0 || family == 0 || family == 3;
    addresses = family == 1 ? V2_INET : family == 2 ? V2_INET6 : 0;
    if (length < addresses)
        return bad(err, "too short for its addresses");
    if (!h.local) {
        v2_addresses(bytes.at + V2_HEAD, family == 2, &h);
        if (!tlvs_good(bytes.at + V2_HEAD + addresses, length - addresses))
            return bad(err, "a TLV passes the end");
    }
    *out = h;
    return PROXY_DONE;
}

enum proxy_result proxy_header_parse(struct view bytes, struct proxy_header *out, struct err *err)
{
    if (!bytes.len)
        return PROXY_MORE;
    if (may_begin(bytes, signature, sizeof signature))
        return bytes.len < sizeof signature ? PROXY_MORE : v2(bytes, out, err);
    if (may_begin(bytes, "PROXY ", 6))
        return bytes.len < 6 ? PROXY_MORE : v1(bytes, out, err);
    return PROXY_NONE;
}

static bool like(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && (a->family == AF_INET || a->family == AF_INET6);
}

size_t proxy_v1_write(const struct addr *source, const struct addr *destination, uint8_t *out, size_t room)
{
    char from[ADDR_TEXT_BYTES], to[ADDR_TEXT_BYTES], line[PROXY_V1_BYTES_MAX + 1];
    int n;

    if (!like(source, destination))
        n = snprintf(line, sizeof line, "PROXY UNKNOWN\r\n");
    else
        n = snprintf(line, sizeof line, "PROXY TCP%c %s %s %u %u\r\n",
                     source->family == AF_INET6 ? '6' : '4', addr_ip_format(source, from),
                     addr_ip_format(destination, to), (unsigned)source->port,
                     (unsigned)destination->port);
    if (n < 0 || (size_t)n >= sizeof line || (size_t)n > room)
        return 0;
    memcpy(out, line, (size_t)n);
    return (size_t)n;
}

static size_t put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return 2;
}

static size_t put_tlv(uint8_t *at, uint8_t type, struct view value)
{
    if (!value.len)
        return 0;
    at[0] = type;
    (void)put16(at + 1, value.len);
    memcpy(at + 3, value.at, value.len);
    return 3 + value.len;
}

size_t proxy_v2_write(const struct addr *source, const struct addr *destination, struct view id,
                      struct view authority, uint8_t *out, size_t room)
{
    bool known = like(source, destination), v6 = source->family == AF_INET6;
    size_t n = V2_HEAD, ip = v6 ? 16 : 4;

    if (room < V2_HEAD + V2_INET6 + 3 + id.len + 3 + authority.len)
        return 0;
    memcpy(out, signature, sizeof signature);
    out[12] = 0x21; /* version 2, PROXY */
    out[13] = known ? (v6 ? 0x21 : 0x11) : 0;
    if (known) {
        memcpy(out + n, source->ip, ip);
        memcpy(out + n + ip, destination->ip, ip);
        n += 2 * ip;
        n += put16(out + n, source->port);
        n += put16(out + n, destination->port);
    }
    n += put_tlv(out + n, PP2_AUTHORITY, authority);
    n += put_tlv(out + n, PP2_UNIQUE_ID, id);
    (void)put16(out + 14, n - V2_HEAD);
    return n;
}
