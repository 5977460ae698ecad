/* allowlist: the targets that may be reached, and nothing else may.
 *
 *   entry     host:port[=addr[+addr…]][;proxy=v1|v2|off]
 *   host      a DNS name, a dotted quad, [IPv6]; unix:/path stands for itself, without a port
 *   =addr     connect to these addresses instead of asking DNS
 *   ;proxy=   this target's own choice of a PROXY header
 *   patterns  only when opted in: *.example.com:443 (one label), 10.0.0.0/8:8443 and [fd00::]/8:443
 *             (literal targets; names that resolve into them too with cidr_names), host:8000-8010
 *
 * A request matches by byte equality with an entry's host:port first, then by canonical equality
 * (target.h), then by pattern, in the order of the list. Entries are separated by commas; in a file
 * by newlines too, with '#' comments. Nothing here resolves names.
 *
 * Read in order   allowlist_entry.c (one entry) allowlist_text.c (many) allowlist.c (matching) */
#pragma once

#include "bridge/target.h"

enum allow_kind { ALLOW_EXACT, ALLOW_WILDCARD, ALLOW_CIDR };
enum { ALLOW_PINS_MAX = 8 };

struct allow_entry {
    char *text; /* "host:port" as written, without pins and options */
    enum allow_kind kind;
    uint16_t port_first, port_last; /* 0 for a Unix socket */
    struct target target;           /* EXACT: canonical, with port_first. WILDCARD: .host is what
                                     * stands behind "*." */
    struct cidr cidr;               /* CIDR */
    struct addr *pins;              /* NULL: ask DNS */
    size_t pin_count;
    bool send_proxy_set;
    int send_proxy; /* enum policy_send_proxy, when set */
    uint32_t index; /* its place in the list */
};

struct allowlist;

struct allowlist_options {
    bool lax; /* entries that cannot be used are left out with a warning */
    bool patterns, cidr_names;
    bool file;          /* newlines separate too, '#' begins a comment */
    const char *source; /* names the source in errors: a variable, or a path */
    void (*warn)(void *context, const char *sentence); /* may be NULL */
    void *context;
};

MUST_USE bool allowlist_new(struct allowlist **out, struct err *err);
void allowlist_free(struct allowlist *list); /* NULL is fine */
CLEANUP_DEFINE(struct allowlist, allowlist_free)
/* Adds the entries of text to what is there; an entry that repeats another is counted once. After a
 * failure the list is good for allowlist_free only. */
MUST_USE bool allowlist_add(struct allowlist *list, struct view text,
                            const struct allowlist_options *options, struct err *err);

/* The entry that admits requested (as decoded from the URL), or NULL. *out: the target to connect
 * to, canonical; written on a match only. *by_pattern: it was no exact entry. O(1) in the number of
 * exact entries, O(n) in that of patterns. */
const struct allow_entry *allowlist_match(const struct allowlist *list, struct view requested,
                                          struct target *out, bool *by_pattern);
size_t allowlist_count(const struct allowlist *list);
/* index: below allowlist_count. */
const struct allow_entry *allowlist_at(const struct allowlist *list, size_t index);
/* Calls visit with each distinct DNS name that an entry asks to resolve (wildcards name none).
 * False: no memory. */
MUST_USE bool allowlist_names(const struct allowlist *list,
                              void (*visit)(void *context, struct view name), void *context);
/* All TCP ports that entries name, ascending, each once; the caller frees *out. False: more than
 * ALLOWLIST_PORTS_MAX, or no memory. */
enum { ALLOWLIST_PORTS_MAX = 1024 };
MUST_USE bool allowlist_ports(const struct allowlist *list, uint16_t **out, size_t *count);
