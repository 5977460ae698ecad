/* allowlist: the targets that may be reached, and nothing else may.
 *
 *   entry    host:port[=addr[+addr…]][;proxy=v1|v2|off]
 *   host     a DNS name, a dotted quad, [IPv6]; unix:/path stands for itself
 *   =addr    connect to these addresses instead of asking DNS
 *   ;proxy   this target's own choice of a PROXY header
 *   patterns, only when opted in: *.example.com:443 (one label), 10.0.0.0/8:8443 and [fd00::]/8:443
 *            (literal targets; names too with cidr_names), host:8000-8010
 *
 * A request matches by byte equality with an entry's host:port first, then by canonical equality
 * (target.h), then by pattern. Entries are separated by commas; in a file by newlines too, with '#'
 * comments. Nothing here resolves names. */
#pragma once

#include "bridge/target.h"

enum allow_kind { ALLOW_EXACT, ALLOW_WILDCARD, ALLOW_CIDR };
enum { ALLOW_PINS_MAX = 8 };

struct allow_entry {
    char *text;                /* "host:port" as written, without pins and options */
    enum allow_kind kind;
    uint16_t port_first, port_last;
    struct target target;      /* EXACT: canonical; its port is port_first */
    char suffix[HOST_BYTES_MAX + 1]; /* WILDCARD: ".example.com" */
    struct cidr cidr;          /* CIDR */
    struct addr *pins;
    size_t pin_count;
    bool send_proxy_set;
    int send_proxy;            /* enum policy_send_proxy, when set */
    uint32_t index;            /* place in the list */
};

struct allowlist;

struct allowlist_options {
    bool lax, patterns, cidr_names;
    bool file;                 /* newlines separate too, '#' begins a comment */
    const char *source;        /* names the source in errors: a variable, or a path */
    void (*warn)(void *context, const char *sentence);
    void *context;
};

MUST_USE bool allowlist_new(struct allowlist **out, struct err *err);
void allowlist_free(struct allowlist *list);
CLEANUP_DEFINE(struct allowlist, allowlist_free)
/* Adds the entries of text; on failure the list is as before or holds a part: free it. */
MUST_USE bool allowlist_add(struct allowlist *list, struct view text,
                            const struct allowlist_options *options, struct err *err);

/* The entry that admits requested (as decoded from the URL), or NULL. *out: the target to connect to,
 * canonical. *by_pattern: not by its own entry. O(1) for exact entries. */
const struct allow_entry *allowlist_match(const struct allowlist *list, struct view requested,
                                          struct target *out, bool *by_pattern);
size_t allowlist_count(const struct allowlist *list);
const struct allow_entry *allowlist_at(const struct allowlist *list, size_t index);
bool allowlist_cidr_names(const struct allowlist *list);
/* All ports that entries name, each once; the caller frees *out. False: too many to list, or no memory. */
MUST_USE bool allowlist_ports(const struct allowlist *list, uint16_t **out, size_t *count);
