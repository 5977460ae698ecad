#include "attest/tcb_status.h"

#include "base/poison.h"

static const char *const names[] = {
#define X(name, text) [TCB_STATUS_##name] = (text),
    TCB_STATUS_LIST(X)
#undef X
};

const char *tcb_status_name(enum tcb_status s)
{
    return names[s];
}

bool tcb_status_parse(struct view text, enum tcb_status *out)
{
    for (unsigned i = 0; i < TCB_STATUS_COUNT; i++) {
        if (view_eq(text, view_str(names[i]))) {
            *out = (enum tcb_status)i;
            return true;
        }
    }
    return false;
}

bool advisories_have(const struct advisories *all, const char *id)
{
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->ids[i], id) == 0)
            return true;
    return false;
}

static bool add(struct advisories *all, const char *id)
{
    if (advisories_have(all, id))
        return true;
    if (all->count == ADVISORIES_MAX)
        return false;
    memcpy(all->ids[all->count++], id, strlen(id) + 1);
    return true;
}

bool advisories_add(struct advisories *all, const struct json_doc *doc, uint32_t array)
{
    uint32_t at;

    if (!array)
        return true;
    if (doc->tokens[array].kind != JSON_ARRAY)
        return false;
    at = json_first(array);
    for (uint32_t i = 0; i < doc->tokens[array].count; i++) {
        char id[ADVISORY_BYTES];

        if (!json_string(doc, at, id, sizeof id) || !*id || !add(all, id))
            return false;
        at = doc->tokens[at].next;
    }
    return true;
}

bool tcb_merge(struct tcb_verdict *into, const struct tcb_verdict *other)
{
    if (other->status > into->status)
        into->status = other->status;
    for (unsigned i = 0; i < other->advisories.count; i++)
        if (!add(&into->advisories, other->advisories.ids[i]))
            return false;
    return true;
}
