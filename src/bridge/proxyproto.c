#include "bridge/proxyproto.h"

#include <stdio.h>

#include "base/text.h"

#include "base/poison.h"

enum {
    V2_HEAD_BYTES = 16,
    V2_SIGNATURE_BYTES = 12,
    V2_IPV4_BYTES = 12,
    V2_IPV6_BYTES = 36,
    V2_UNIX_BYTES = 216,
    V2_VERSION = 0x20, /* in the upper half of byte 12 … */
    V2_LOCAL = 0,      /* … and the command in the lower */
    V2_PROXY = 1,
    V2_UNSPEC = 0x00, /* family and transport */
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNIX_STREAM = 0x31,
    TLV_AUTHORITY = 0x02,
    TLV_UNIQUE_ID = 0x05,
    UNIQUE_ID_BYTES_MAX = 128,
};

static const uint8_t signature[V2_SIGNATURE_BYTES] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static bool begins(struct view bytes, struct view with);
static enum proxy_result v1_parse(struct view bytes, struct proxy_header *out, struct err *err);
static bool v1_line(struct view line, struct proxy_header *out);
static enum proxy_result v2_parse(struct view bytes, struct proxy_header *out, struct err *err);
static bool v2_addresses(uint8_t family, struct view body, struct proxy_header *out,
                         struct err *err);
static enum proxy_result failed(struct err *err, const char *sentence);
static bool family_shared(const struct addr *source, const struct addr *destination,
                          struct addr out[2]);
static size_t tlv_write(uint8_t type, struct view value, uint8_t *out);

/* --- reading --------------------------------------------------------------------------------- */

enum proxy_result proxy_header_parse(struct view bytes, struct proxy_header *out, struct err *err)
{
    struct view v1 = VIEW("PROXY "), v2 = view_from(signature, sizeof signature);

    if (begins(bytes, v1))
        return bytes.len < v1.len ? PROXY_MORE : v1_parse(bytes, out, err);
    if (begins(bytes, v2))
        return bytes.len < V2_HEAD_BYTES ? PROXY_MORE : v2_parse(bytes, out, err);
    return PROXY_NONE;
}

/* As far as they both go. */
static bool begins(struct view bytes, struct view with)
{
    size_t n = bytes.len < with.len ? bytes.len : with.len;

    return view_eq(view_first(bytes, n), view_first(with, n));
}

static enum proxy_result v1_parse(struct view bytes, struct proxy_header *out, struct err *err)
{
    struct view seen = view_first(bytes, PROXY_V1_BYTES_MAX);
    size_t end = view_find(seen, '\n');
    struct proxy_header h = {.bytes = end + 1};

    if (end == seen.len)
        return seen.len < PROXY_V1_BYTES_MAX
                   ? PROXY_MORE
                   : failed(err, "PROXY header: the line is longer than 107 bytes");
    if (bytes.at[end - 1] != '\r')
        return failed(err, "PROXY header: the line does not end in CRLF");
    if (!v1_line(view_first(bytes, end - 1), &h))
        return failed(err, "PROXY header: not \"PROXY TCP4|TCP6 source destination port port\"");
    *out = h;
    return PROXY_DONE;
}

static bool v1_line(struct view line, struct proxy_header *out)
{
    struct view word[6];
    uint64_t ports[2];
    uint16_t family;

    for (size_t i = 0; i < 6; i++) {
        if (!view_next(&line, ' ', &word[i]))
            return false;
        /* What follows UNKNOWN must be ignored, whatever it is. */
        if (i == 1 && view_eq(word[i], VIEW("UNKNOWN"))) {
            out->local = true;
            return true;
        }
    }
    family = view_eq(word[1], VIEW("TCP4")) ? AF_INET : AF_INET6;
    if (line.at || (family == AF_INET6 && !view_eq(word[1], VIEW("TCP6"))) ||
        !addr_parse_ip(word[2], false, &out->source) ||
        !addr_parse_ip(word[3], false, &out->destination) || out->source.family != family ||
        out->destination.family != family || !text_u64(word[4], UINT16_MAX, false, &ports[0]) ||
        !text_u64(word[5], UINT16_MAX, false, &ports[1]))
        return false;
    out->source.port = (uint16_t)ports[0];
    out->destination.port = (uint16_t)ports[1];
    addr_unmap(&out->source);
    addr_unmap(&out->destination);
    return true;
}

static enum proxy_result v2_parse(struct view bytes, struct proxy_header *out, struct err *err)
{
    uint8_t command = bytes.at[12], family = bytes.at[13];
    size_t len = (size_t)(bytes.at[14] << 8 | bytes.at[15]);
    struct proxy_header h = {.bytes = V2_HEAD_BYTES + len};

    if ((command & 0xf0) != V2_VERSION || (command & 0x0f) > V2_PROXY)
        return failed(err, "PROXY header: unknown version or command");
    if (h.bytes > PROXY_V2_BYTES_MAX)
        return failed(err, "PROXY header: longer than 536 bytes");
    if (bytes.len < h.bytes)
        return PROXY_MORE;
    h.local = (command & 0x0f) == V2_LOCAL;
    if (!h.local &&
        !v2_addresses(family, view_first(view_skip(bytes, V2_HEAD_BYTES), len), &h, err))
        return PROXY_FAILED;
    *out = h;
    return PROXY_DONE;
}

static uint16_t port_read(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static bool v2_addresses(uint8_t family, struct view body, struct proxy_header *out,
                         struct err *err)
{
    bool v4 = family == V2_TCP4;
    size_t ip = v4 ? 4 : 16, need = v4 ? V2_IPV4_BYTES : V2_IPV6_BYTES;

    if (family == V2_UNSPEC || family == V2_UNIX_STREAM) {
        out->local = true;
        need = family == V2_UNSPEC ? 0 : V2_UNIX_BYTES;
    } else if (!v4 && family != V2_TCP6) {
        return err_set(err, ERR_SYNTAX, "PROXY header: its transport is not a stream");
    }
    if (body.len < need)
        return err_set(err, ERR_SYNTAX, "PROXY header: too short for its addresses");
    if (out->local)
        return true;
    out->source.family = out->destination.family = v4 ? AF_INET : AF_INET6;
    memcpy(out->source.ip, body.at, ip);
    memcpy(out->destination.ip, body.at + ip, ip);
    out->source.port = port_read(body.at + 2 * ip);
    out->destination.port = port_read(body.at + 2 * ip + 2);
    addr_unmap(&out->source);
    addr_unmap(&out->destination);
    return true;
}

static enum proxy_result failed(struct err *err, const char *sentence)
{
    (void)err_set(err, ERR_SYNTAX, "%s", sentence);
    return PROXY_FAILED;
}

/* --- writing --------------------------------------------------------------------------------- */

size_t proxy_v1_write(const struct addr *source, const struct addr *destination, uint8_t *out,
                      size_t room)
{
    char line[PROXY_V1_BYTES_MAX + 1], from[ADDR_TEXT_BYTES], to[ADDR_TEXT_BYTES];
    struct addr both[2];
    int n;

    if (family_shared(source, destination, both))
        n = snprintf(line, sizeof line, "PROXY %s %.39s %.39s %u %u\r\n",
                     both[0].family == AF_INET ? "TCP4" : "TCP6", addr_ip_format(&both[0], from),
                     addr_ip_format(&both[1], to), (unsigned)both[0].port, (unsigned)both[1].port);
    else
        n = snprintf(line, sizeof line, "PROXY UNKNOWN\r\n");
    if (n < 0 || (size_t)n > room || (size_t)n >= sizeof line)
        return 0;
    memcpy(out, line, (size_t)n);
    return (size_t)n;
}

static void port_write(uint8_t *at, uint16_t port)
{
    at[0] = (uint8_t)(port >> 8);
    at[1] = (uint8_t)port;
}

size_t proxy_v2_write(const struct addr *source, const struct addr *destination,
                      struct view unique_id, struct view authority, uint8_t *out, size_t room)
{
    uint8_t header[PROXY_V2_BYTES_MAX] = {0};
    size_t n = V2_HEAD_BYTES;
    struct addr both[2];

    if (unique_id.len > UNIQUE_ID_BYTES_MAX || authority.len > TARGET_BYTES_MAX)
        return 0;
    memcpy(header, signature, sizeof signature);
    header[12] = V2_VERSION | V2_LOCAL;
    if (family_shared(source, destination, both)) {
        size_t ip = both[0].family == AF_INET ? 4 : 16;

        header[12] = V2_VERSION | V2_PROXY;
        header[13] = both[0].family == AF_INET ? V2_TCP4 : V2_TCP6;
        memcpy(header + n, both[0].ip, ip);
        memcpy(header + n + ip, both[1].ip, ip);
        port_write(header + n + 2 * ip, both[0].port);
        port_write(header + n + 2 * ip + 2, both[1].port);
        n += 2 * ip + 4;
    }
    n += tlv_write(TLV_AUTHORITY, authority, header + n);
    n += tlv_write(TLV_UNIQUE_ID, unique_id, header + n);
    port_write(header + 14, (uint16_t)(n - V2_HEAD_BYTES));
    if (n > room)
        return 0;
    memcpy(out, header, n);
    return n;
}

_Static_assert(V2_HEAD_BYTES + V2_IPV6_BYTES + 3 + UNIQUE_ID_BYTES_MAX + 3 + TARGET_BYTES_MAX <=
                   PROXY_V2_BYTES_MAX,
               "what we write fits in what receivers must take");

static size_t tlv_write(uint8_t type, struct view value, uint8_t *out)
{
    if (value.len == 0)
        return 0;
    out[0] = type;
    port_write(out + 1, (uint16_t)value.len);
    memcpy(out + 3, value.at, value.len);
    return 3 + value.len;
}

static void map_to_v6(struct addr *a)
{
    struct addr v6 = {.ip = {[10] = 0xff, [11] = 0xff}, .port = a->port, .family = AF_INET6};

    if (a->family != AF_INET)
        return;
    memcpy(v6.ip + 12, a->ip, 4);
    *a = v6;
}

/* A header has one family for both ends. False: there is none that can say both. */
static bool family_shared(const struct addr *source, const struct addr *destination,
                          struct addr out[2])
{
    out[0] = *source;
    out[1] = *destination;
    for (size_t i = 0; i < 2; i++) {
        if (out[i].family != AF_INET && out[i].family != AF_INET6)
            return false;
        addr_unmap(&out[i]);
    }
    if (out[0].family != out[1].family) {
        map_to_v6(&out[0]);
        map_to_v6(&out[1]);
    }
    return true;
}
