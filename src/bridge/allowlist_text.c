/* Many entries: splitting, comments, errors that say which one. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "bridge/allowlist_priv.h"

#include "base/poison.h"

static bool keep(struct allowlist *list, struct allow_entry *e, struct err *err)
{
    if (list->count == ALLOWLIST_ENTRIES_MAX) {
        allow_entry_free(e);
        return err_set(err, ERR_LIMIT, "more than %d entries", ALLOWLIST_ENTRIES_MAX);
    }
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        struct allow_entry **entries = realloc(list->entries, room * sizeof(struct allow_entry *));

        if (!entries) {
            allow_entry_free(e);
            return err_set(err, ERR_MEMORY, "allowlist");
        }
        list->entries = entries;
        list->room = room;
    }
    e->index = (uint32_t)list->count;
    list->patterns |= e->kind != ALLOW_EXACT || e->port_first != e->port_last;
    list->entries[list->count++] = e;
    return true;
}

struct place {
    unsigned entry, line;
};

/* "allowlist entry 3 "tee.example.com" has no port; write …", with the place in front. */
static bool complain(const struct allowlist_options *o, struct place at, struct view text,
                     struct err *err)
{
    char escaped[160], what[ERR_TEXT_BYTES], where[200];

    (void)text_escape(text, 80, escaped, sizeof escaped);
    (void)snprintf(what, sizeof what, "%s", err->text);
    if (o->file)
        (void)snprintf(where, sizeof where, "%.180s:%u", o->source, at.line);
    else
        (void)snprintf(where, sizeof where, "%.190s", o->source);
    return err_set(err, err->code, "%s: allowlist entry %u \"%s\" %s%s", where, at.entry, escaped,
                   view_starts(view_str(what), VIEW("has ")) ? "" : "cannot be used: ", what);
}

static bool one_entry(struct allowlist *list, struct view text, const struct allowlist_options *o,
                      struct place at, struct err *err)
{
    struct allow_entry *e = NULL;
    struct err own = {0};

    if (!allow_entry_parse(text, o->patterns, &e, &own)) {
        if (own.code == ERR_SYNTAX)
            own.code = ERR_CONFIG;
        (void)complain(o, at, text, &own);
        if (!o->lax || own.code == ERR_MEMORY) {
            if (err)
                *err = own;
            return false;
        }
        o->warn(o->context, own.text);
        return true;
    }
    return keep(list, e, err);
}

static bool line_of(struct allowlist *list, struct view line, const struct allowlist_options *o,
                    struct place *at, struct err *err)
{
    struct view piece;

    while (view_next(&line, ',', &piece)) {
        piece = text_trim(piece);
        if (!piece.len)
            continue;
        at->entry++;
        if (!one_entry(list, piece, o, *at, err))
            return false;
    }
    return true;
}

bool allowlist_add(struct allowlist *list, struct view text, const struct allowlist_options *o,
                   struct err *err)
{
    struct place at = {0};
    struct view line;

    list->cidr_names = o->cidr_names;
    if (!o->file) {
        if (text.at && !line_of(list, text, o, &at, err))
            return false;
        return allowlist_index(list, err);
    }
    while (view_next(&text, '\n', &line)) {
        at.line++;
        line = view_first(line, view_find(line, '#'));
        if (!line_of(list, line, o, &at, err))
            return false;
    }
    return allowlist_index(list, err);
}
