/* Many entries: splitting, comments, errors that say which one. */
#include "bridge/allowlist_priv.h"

#include <stdio.h>

#include "base/text.h"

#include "base/poison.h"

enum { SHOWN_BYTES_MAX = 100 };

struct place {
    unsigned entry, line; /* of the source, from 1 */
};

static bool pieces_add(struct allowlist *list, struct view line, const struct allowlist_options *o,
                       struct place *at, struct err *err);
static bool piece_add(struct allowlist *list, struct view text, const struct allowlist_options *o,
                      struct place at, struct err *err);
static void complain(const struct allowlist_options *o, struct place at, struct view text,
                     const struct err *why, struct err *out);

bool allowlist_add(struct allowlist *list, struct view text,
                   const struct allowlist_options *options, struct err *err)
{
    struct place at = {0};
    struct view line;

    list->cidr_names = options->cidr_names;
    if (!options->file)
        return pieces_add(list, text, options, &at, err);
    while (view_next(&text, '\n', &line)) {
        at.line++;
        line = view_first(line, view_find(line, '#'));
        if (!pieces_add(list, line, options, &at, err))
            return false;
    }
    return true;
}

static bool pieces_add(struct allowlist *list, struct view line, const struct allowlist_options *o,
                       struct place *at, struct err *err)
{
    struct view piece;

    while (view_next(&line, ',', &piece)) {
        piece = text_trim(piece);
        if (piece.len == 0)
            continue;
        at->entry++;
        if (!piece_add(list, piece, o, *at, err))
            return false;
    }
    return true;
}

static bool piece_add(struct allowlist *list, struct view text, const struct allowlist_options *o,
                      struct place at, struct err *err)
{
    CLEANUP(allow_entry_free_cleanup) struct allow_entry *e = NULL;
    struct err why = {0}, said;

    if (allow_entry_parse(text, o->patterns, &e, &why) && allowlist_keep(list, &e, &why))
        return true;
    complain(o, at, text, &why, &said);
    if (!o->lax || why.code == ERR_MEMORY || why.code == ERR_LIMIT) {
        if (err)
            *err = said;
        return false;
    }
    if (o->warn)
        o->warn(o->context, said.text);
    return true;
}

/* ATLS_PROXY_ALLOWLIST: allowlist entry 3 "tee.example.com" has no port; write tee.example.com:443
 */
static void complain(const struct allowlist_options *o, struct place at, struct view text,
                     const struct err *why, struct err *out)
{
    static const char *const begin_a_clause[] = {"has ", "is ", "holds ", "reaches ", "repeats "};
    char shown[SHOWN_BYTES_MAX + 4], line[16] = "";
    const char *joint = "cannot be used: ";

    for (size_t i = 0; i < sizeof begin_a_clause / sizeof *begin_a_clause; i++)
        if (view_starts(view_str(why->text), view_str(begin_a_clause[i])))
            joint = "";
    if (o->file)
        (void)snprintf(line, sizeof line, ":%u", at.line);
    (void)text_escape(text, SHOWN_BYTES_MAX, shown, sizeof shown);
    (void)err_set(out, why->code == ERR_MEMORY ? ERR_MEMORY : ERR_CONFIG,
                  "%.100s%s: allowlist entry %u \"%s\" %s%s", o->source, line, at.entry, shown,
                  joint, why->text);
}
