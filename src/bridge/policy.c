#include "bridge/policy.h"

#include <stdlib.h>

struct policy *policy_ref(struct policy *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    return p;
}

void policy_unref(struct policy *p)
{
    /* The last one to leave must see what the others did before they left. */
    if (!p || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1)
        return;
    allowlist_free(p->allow);
    origin_set_free(p->origins);
    host_set_free(p->hosts);
    for (size_t i = 0; p->subprotocols && p->subprotocols[i]; i++)
        free(p->subprotocols[i]);
    free(p->subprotocols);
    credentials_free(p->credentials);
    free(p->trusted_proxies);
    free(p->allow_from);
    free(p->limit_exempt);
    free(p);
}

/* Names can be made to point anywhere, so what they resolve to is judged by what kind of place it
 * is. */
bool policy_judge(const struct policy *p, const struct allow_entry *entry, bool literal,
                  const struct addr *a)
{
    if (literal)
        return true;
    if (entry->kind == ALLOW_CIDR && !cidr_contains(&entry->cidr, a))
        return false;
    if (p->deny_addr == DENY_OFF)
        return true;
    switch (addr_classify(a)) {
    case ADDR_GLOBAL:
        return true;
    case ADDR_PRIVATE:
        return p->deny_addr != DENY_PRIVATE;
    case ADDR_LOOPBACK:
    case ADDR_LINK_LOCAL:
    case ADDR_METADATA:
    case ADDR_SPECIAL:
        break;
    }
    return false;
}
