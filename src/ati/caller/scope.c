/* scope: words and patterns. */
#include "ati/caller/caller_priv.h"

#include "base/poison.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool scope_next(struct view *rest, struct view *word)
{
    size_t n = 0;

    while (rest->len && is_blank(rest->at[0]))
        *rest = view_skip(*rest, 1);
    while (n < rest->len && !is_blank(rest->at[n]))
        n++;
    *word = view_first(*rest, n);
    *rest = view_skip(*rest, n);
    return n > 0;
}

bool scope_matches(struct view name, struct view pattern)
{
    if (view_ends(pattern, VIEW("*")))
        return view_starts(name, view_first(pattern, pattern.len - 1));
    return view_eq(name, pattern);
}

bool scope_alias(const char *name, char out[static SCOPE_BYTES_MAX])
{
    static const char kind[] = "tool:";
    size_t len = strlen(name), behind = sizeof kind - 1;
    char *colon;

    if (len >= SCOPE_BYTES_MAX || strncmp(name, kind, behind) != 0)
        return false;
    memcpy(out, name, len + 1);
    colon = strchr(out + behind, ':');
    if (!colon)
        return false;
    *colon = '_';
    return true;
}
