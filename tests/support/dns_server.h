/* dns_server: a DNS server for tests that says what it is told to, on loopback, over UDP and TCP,
 * driven by the loop of the test. Names without a rule do not exist. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/loop.h"

struct dns_server;

enum dns_type { DNS_A = 1, DNS_AAAA = 28 };
enum dns_rcode { DNS_NOERROR = 0, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

struct dns_rule {
    enum dns_rcode rcode;
    bool drop;     /* never answer */
    bool hold;     /* answer at dns_server_release */
    bool truncate; /* over UDP: no records and the TC bit */
    bool loop;     /* a CNAME that points at itself */
    bool garbage;  /* bytes after the header that mean nothing */
    uint32_t ttl;
    const char *cname; /* the addresses belong to this name */
    uint32_t cname_ttl;
    const char *addresses[4]; /* in text */
    unsigned many;            /* so many made-up addresses besides */
};

struct dns_server *dns_server_new(struct loop *loop);
void dns_server_free(struct dns_server *s);
/* "127.0.0.1:port" */
const char *dns_server_text(const struct dns_server *s);
/* Replaces the rule that is there. name: copied, any case; texts in rule: lent. */
void dns_server_say(struct dns_server *s, const char *name, enum dns_type type,
                    const struct dns_rule *rule);
/* Answers what was held, by the rules as they are now (hold does not count). */
void dns_server_release(struct dns_server *s, const char *name, enum dns_type type);
/* Queries for this name and type until now; NULL: all. */
unsigned dns_server_asked(const struct dns_server *s, const char *name, enum dns_type type);
unsigned dns_server_asked_tcp(const struct dns_server *s);
