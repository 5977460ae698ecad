/* addr: internet addresses as values: parse, print canonically (RFC 5952), compare, classify. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/view.h"

/* An IPv4 or IPv6 address with a port; or nothing (family AF_UNSPEC), or a Unix peer (AF_UNIX). */
struct addr {
    uint8_t ip[16];  /* network order; IPv4 in the first 4 bytes */
    uint16_t port;   /* host order */
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC */
};
_Static_assert(sizeof(struct addr) == 20, "a tunnel holds three of these");

enum { ADDR_TEXT_BYTES = 64 };

/* A literal only: dotted quad of four decimal numbers without leading zeros, or IPv6 without zone.
 * brackets: IPv6 must stand in []. No name is ever resolved. */
MUST_USE bool addr_parse_ip(struct view text, bool brackets, struct addr *out);
/* "1.2.3.4:443", "[2001:db8::1]:443". */
MUST_USE bool addr_parse(struct view text, struct addr *out);
/* "1.2.3.4", "2001:db8::1"; "unix" for AF_UNIX, "-" for AF_UNSPEC. Return out. */
char *addr_ip_format(const struct addr *a, char out[static ADDR_TEXT_BYTES]);
/* "1.2.3.4:443", "[2001:db8::1]:443". */
char *addr_format(const struct addr *a, char out[static ADDR_TEXT_BYTES]);

bool addr_ip_eq(const struct addr *a, const struct addr *b);
bool addr_eq(const struct addr *a, const struct addr *b);
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out);
void addr_from_sockaddr(const struct sockaddr *sa, struct addr *out);
/* An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes the IPv4 address; others stay. */
void addr_unmap(struct addr *a);

struct cidr {
    struct addr base;
    unsigned bits;
};
/* "10.0.0.0/8", "fd00::/8" or "[fd00::]/8", or an address alone (all bits). Host bits beyond the mask are an error.
 * A range of IPv4-mapped addresses becomes the IPv4 range. */
MUST_USE bool cidr_parse(struct view text, struct cidr *out, struct err *err);
bool cidr_contains(const struct cidr *c, const struct addr *a); /* IPv4-mapped counts as IPv4 */

/* What kind of place an address is (IANA special-purpose registries, RFC 6890). */
enum addr_class {
    ADDR_GLOBAL,
    ADDR_PRIVATE, /* RFC 1918, fc00::/7, 100.64.0.0/10 */
    ADDR_LOOPBACK,
    ADDR_LINK_LOCAL, /* 169.254/16, fe80::/10 */
    ADDR_METADATA,   /* 169.254.169.254, fd00:ec2::254, …: a cloud's instance metadata */
    ADDR_SPECIAL,    /* unspecified, this-network, multicast, broadcast, reserved, documentation */
};
/* Looks through IPv4-mapped, NAT64 (64:ff9b::/96) and 6to4 (2002::/16) forms at the IPv4 inside. */
enum addr_class addr_classify(const struct addr *a);
const char *addr_class_name(enum addr_class c);
