/* ring: names and values to pages. Decoded text is never anywhere else. */
#include <stdlib.h>

#include "ati/keyring/keyring_priv.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

enum { FIRST_ENTRIES = 32, FIRST_PAGES_BYTES = 4000 };
#define FILE_MARK      "@file:"
#define NOT_OF_STRINGS "Invalid keyring format — expected JSON object"

static bool pages_room(struct ring *r, size_t n, uint8_t **out, struct err *err);
static bool entry_add(struct ring *r, const struct keyring_entry *entry, struct err *err);
static bool member_read(struct ring *r, const struct json_doc *doc, uint32_t key, bool files,
                        struct err *err);
static bool string_read(struct ring *r, const struct json_doc *doc, uint32_t token, uint32_t *at,
                        uint32_t *len, struct err *err);
static bool file_follow(struct ring *r, struct keyring_entry *entry, struct err *err);

bool ring_read(struct ring *r, struct view text, bool files, struct err *err)
{
    struct json_tree tree;
    bool good = true;
    uint32_t key = json_first(0);

    if (!json_load_loose(text, 2 * KEYRING_ENTRIES_MAX + 1, &tree, err))
        return err_in(err, NOT_OF_STRINGS);
    if (tree.doc.tokens[0].kind != JSON_OBJECT)
        good = err_set(err, ERR_SYNTAX, NOT_OF_STRINGS ": it is none");
    for (uint32_t i = 0; good && i < tree.doc.tokens[0].count; i++) {
        good = member_read(r, &tree.doc, key, files, err);
        key = tree.doc.tokens[tree.doc.tokens[key].next].next;
    }
    json_unload(&tree);
    return good;
}

static bool member_read(struct ring *r, const struct json_doc *doc, uint32_t key, bool files,
                        struct err *err)
{
    struct keyring_entry entry = {0};
    char shown[96];
    bool strings = string_read(r, doc, key, &entry.name, &entry.name_len, err) &&
                   string_read(r, doc, doc->tokens[key].next, &entry.value, &entry.value_len, err);

    if (strings && (!files || file_follow(r, &entry, err)))
        return entry_add(r, &entry, err);
    (void)text_escape(json_span(doc, key), 64, shown, sizeof shown);
    (void)err_in(err, "\"%s\"", shown);
    if (!strings && err && err->code == ERR_SYNTAX)
        (void)err_in(err, NOT_OF_STRINGS);
    return false;
}

static bool string_read(struct ring *r, const struct json_doc *doc, uint32_t token, uint32_t *at,
                        uint32_t *len, struct err *err)
{
    size_t room = json_span(doc, token).len + 1;
    uint8_t *out = NULL;

    if (doc->tokens[token].kind != JSON_STRING)
        return err_set(err, ERR_SYNTAX, "values are strings");
    if (!pages_room(r, room, &out, err) || !out)
        return false;
    if (!json_string(doc, token, (char *)out, room))
        return err_set(err, ERR_SYNTAX, "a string with a NUL or a lone surrogate");
    *at = (uint32_t)r->used;
    *len = (uint32_t)strlen((char *)out);
    r->used += *len + 1;
    return true;
}

/* The path is a C string: every string in the pages ends with a NUL. */
static bool file_follow(struct ring *r, struct keyring_entry *entry, struct err *err)
{
    CLEANUP(locked_done) struct locked pages = {.at = NULL};
    struct view value = view_from(r->pages.at + entry->value, entry->value_len), content;
    uint8_t *out = NULL;

    if (!view_starts(value, VIEW(FILE_MARK)))
        return true;
    if (r->source && r->source->reads)
        r->source->reads(r->source->context, (const char *)value.at + sizeof FILE_MARK - 1);
    if (!keyring_read((const char *)value.at + sizeof FILE_MARK - 1, KEYRING_BYTES_MAX, &pages,
                      err))
        return false;
    content = text_trim(keyring_bytes(&pages));
    if (!utf8_valid(content) || view_find(content, '\0') < content.len)
        return err_set(err, ERR_SYNTAX, "the file is not text");
    if (!pages_room(r, content.len + 1, &out, err) || !out)
        return false;
    if (content.len)
        memcpy(out, content.at, content.len);
    out[content.len] = '\0';
    entry->value = (uint32_t)r->used;
    entry->value_len = (uint32_t)content.len;
    r->used += content.len + 1;
    return true;
}

bool ring_put(struct ring *r, struct view name, bool lower, struct view value, struct err *err)
{
    struct keyring_entry entry = {.name_len = (uint32_t)name.len, .value_len = (uint32_t)value.len};
    uint8_t *out = NULL;

    if (name.len > KEYRING_BYTES_MAX || value.len > KEYRING_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "keyring: more than %d bytes", KEYRING_BYTES_MAX);
    if (!pages_room(r, name.len + value.len + 2, &out, err) || !out)
        return false;
    for (size_t i = 0; i < name.len; i++)
        out[i] = lower ? ascii_lower(name.at[i]) : name.at[i];
    out[name.len] = '\0';
    if (value.len)
        memcpy(out + name.len + 1, value.at, value.len);
    out[name.len + 1 + value.len] = '\0';
    entry.name = (uint32_t)r->used;
    entry.value = entry.name + entry.name_len + 1;
    r->used += name.len + value.len + 2;
    return entry_add(r, &entry, err);
}

static bool pages_room(struct ring *r, size_t n, uint8_t **out, struct err *err)
{
    struct locked larger;

    if (r->pages.at && r->pages.size - r->used >= n) {
        *out = r->pages.at + r->used;
        return true;
    }
    if (r->used + n > (size_t)4 * KEYRING_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "keyring: more than %d bytes", KEYRING_BYTES_MAX);
    if (!locked_new((r->used + n) * 2 + FIRST_PAGES_BYTES, &larger, err))
        return false;
    if (r->used && r->pages.at)
        memcpy(larger.at, r->pages.at, r->used);
    locked_done(&r->pages);
    r->pages = larger;
    *out = r->pages.at + r->used;
    return true;
}

static bool entry_add(struct ring *r, const struct keyring_entry *entry, struct err *err)
{
    struct keyring_entry *entries;
    size_t room = r->room ? r->room * 2 : FIRST_ENTRIES;

    if (r->count == KEYRING_ENTRIES_MAX)
        return err_set(err, ERR_LIMIT, "keyring: more than %d entries", KEYRING_ENTRIES_MAX);
    if (r->count == r->room) {
        entries = reallocarray(r->entries, room, sizeof *entries);
        if (!entries)
            return err_set(err, ERR_MEMORY, "keyring");
        r->entries = entries;
        r->room = room;
    }
    r->entries[r->count++] = *entry;
    return true;
}

static int compare(const void *a, const void *b, void *context)
{
    const struct keyring_entry *x = a, *y = b;
    const uint8_t *at = context;
    uint32_t least = x->name_len < y->name_len ? x->name_len : y->name_len;
    int order = memcmp(at + x->name, at + y->name, least);

    if (order)
        return order;
    if (x->name_len != y->name_len)
        return x->name_len < y->name_len ? -1 : 1;
    return x->name < y->name ? -1 : 1; /* what came first stands first */
}

void ring_sort(struct ring *r)
{
    size_t kept = 0;

    if (!r->count)
        return;
    qsort_r(r->entries, r->count, sizeof *r->entries, compare, r->pages.at);
    for (size_t i = 0; i < r->count; i++)
        if (i + 1 == r->count || !view_eq(ring_name(r, i), ring_name(r, i + 1)))
            r->entries[kept++] = r->entries[i];
    r->count = kept;
}

bool ring_finish(struct ring *r, bool ephemeral, struct keyring **out, struct err *err)
{
    struct keyring *k = calloc(1, sizeof *k);
    size_t kept = 0;

    if (!k)
        return err_set(err, ERR_MEMORY, "keyring");
    ring_sort(r);
    for (size_t i = 0; i < r->count; i++)
        if (r->entries[i].value_len)
            r->entries[kept++] = r->entries[i];
    atomic_init(&k->references, 1);
    k->ephemeral = ephemeral;
    k->pages = r->pages;
    k->entries = r->entries;
    k->count = kept;
    locked_seal(&k->pages);
    *r = (struct ring){.count = 0};
    *out = k;
    return true;
}

void ring_done(struct ring *r)
{
    locked_done(&r->pages);
    free(r->entries);
    *r = (struct ring){.count = 0};
}
