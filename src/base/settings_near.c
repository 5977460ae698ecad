#include "base/settings_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { FAR = 4, WORD_LEAST = 3 };

/* One word is the other and more: --max-conn for --max-connections, --listen-addr for --listen. */
static bool begins(struct view whole, struct view part)
{
    return part.len >= WORD_LEAST && view_starts(whole, part);
}

/* The fewer the nearer; FAR or more is no help. Beginnings come after all slips of the finger. */
static unsigned distance(struct view name, struct view known)
{
    unsigned d = text_distance(name, known);

    if (d >= FAR && (begins(known, name) || begins(name, known)))
        return FAR - 1;
    return d;
}

static void consider(struct view name, const char *known, const char **best, unsigned *least)
{
    unsigned d = distance(name, view_str(known));

    if (d < *least) {
        *least = d;
        *best = known;
    }
}

const char *settings_nearest(const struct settings_program *p, struct view name,
                             enum setting_source source)
{
    static const char *const others[] = {"config", "check", "print-config", "help", "version"};
    size_t count = source == SOURCE_FLAG          ? sizeof others / sizeof others[0]
                   : source == SOURCE_ENVIRONMENT ? 1 /* PREFIXCONFIG */
                                                  : 0;
    const char *best = NULL;
    unsigned least = FAR;

    for (size_t i = 0; i < p->count; i++)
        consider(name, p->rows[i].name, &best, &least);
    for (size_t i = 0; i < count; i++)
        consider(name, others[i], &best, &least);
    return best;
}
