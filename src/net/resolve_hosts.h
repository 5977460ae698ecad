/* resolve_hosts: what needs no DNS: which names may be asked for at all, "localhost", and the text
 * of hosts(5) and of resolv.conf(5). Pure: bytes in, addresses out. */
#pragma once

#include "net/addr.h"

/* Letters, digits, hyphens and underscores in labels of 1–63 bytes; 253 bytes without the final
 * dot; the last label is no number in any notation, because some resolvers read "127.1" as an
 * address. */
MUST_USE bool resolve_name_ok(struct view name);
/* "localhost" and all names under it (RFC 6761, 6.3); any case. */
bool resolve_name_local(struct view name);

/* The addresses of name in the text of a hosts file, at most max of each family, in the file's
 * order. A final dot of name is ignored. */
struct hosts_found {
    size_t count[2]; /* IPv4, IPv6 */
    struct addr *addrs[2];
    size_t max;
};
void hosts_find(struct view text, struct view name, struct hosts_found *found);

/* The name servers of a resolv.conf as "a,b,[c]:53", as many as fit. Returns how many. */
size_t resolv_conf_servers(struct view text, char *out, size_t size);
