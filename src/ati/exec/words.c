#include "ati/exec/words.h"

#include <stdlib.h>

#include "ati/exec/place.h"

#include "base/poison.h"

enum { WORDS_BYTES_MAX = 4 * 1024 * 1024 };

struct option {
    char *key; /* decoded */
    uint32_t value;
};

static int option_order(const void *a, const void *b)
{
    return strcmp(((const struct option *)a)->key, ((const struct option *)b)->key);
}

/* One more word; the views are made when all text stands still. */
static bool add(struct words *w, const char *prefix, const struct json_doc *doc, uint32_t value,
                struct err *err)
{
    size_t before = buf_len(&w->text);

    if (!buf_append_str(&w->text, prefix, err))
        return false;
    if (value) {
        if (doc->tokens[value].kind == JSON_STRING
                ? !place_text(doc, value, &w->text, err)
                : !json_render(doc, value, JSON_COMPACT, false, &w->text, err))
            return false;
    }
    w->list[w->count++] = view_from(NULL, buf_len(&w->text) - before);
    return true;
}

static bool positional(struct words *w, const struct json_doc *doc, uint32_t array, struct err *err)
{
    uint32_t at = json_first(array);

    for (uint32_t i = 0; i < doc->tokens[array].count; i++) {
        if (!add(w, "", doc, at, err))
            return false;
        at = doc->tokens[at].next;
    }
    return true;
}

static bool add_option(struct words *w, const struct json_doc *doc, const struct option *o,
                       struct err *err)
{
    struct view key = view_str(o->key);
    bool truth = false;

    w->list[w->count++] = view_from(NULL, key.len + 2);
    return buf_append_str(&w->text, "--", err) && buf_append(&w->text, key, err) &&
           ((json_boolean(doc, o->value, &truth) && truth) || add(w, "", doc, o->value, err));
}

static bool options(struct words *w, const struct json_doc *doc, struct err *err)
{
    uint32_t count = doc->tokens[0].count, key = json_first(0), n = 0;
    struct option *list = calloc(count + 1, sizeof *list);
    bool good = true;
    size_t len;

    if (!list)
        return err_set(err, ERR_MEMORY, "no memory for arguments");
    for (; good && n < count; n++) {
        list[n].value = doc->tokens[key].next;
        good = json_string_new(doc, key, &list[n].key, &len) ||
               err_set(err, ERR_SYNTAX, "an argument's name cannot be used");
        key = doc->tokens[list[n].value].next;
        if (!good)
            break;
    }
    if (good)
        qsort(list, n, sizeof *list, option_order);
    for (uint32_t i = 0; good && i < n; i++)
        if (json_member(doc, 0, list[i].key) == list[i].value) /* the last of equal ones */
            good = add_option(w, doc, &list[i], err);
    for (uint32_t i = 0; i < n; i++)
        free(list[i].key);
    free(list);
    return good;
}

static bool read_words(struct words *w, const struct json_doc *doc, struct err *err)
{
    uint32_t array;

    if (doc->tokens[0].kind != JSON_OBJECT)
        return true;
    if (doc->tokens[0].count > PLACE_ARGUMENTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d arguments", PLACE_ARGUMENTS_MAX);
    array = json_member(doc, 0, "_positional");
    if (array && doc->tokens[array].kind != JSON_ARRAY)
        array = 0;
    w->list = calloc((size_t)2 * (doc->tokens[array].count + 1), sizeof *w->list);
    if (!w->list)
        return err_set(err, ERR_MEMORY, "no memory for arguments");
    return array ? positional(w, doc, array, err) : options(w, doc, err);
}

bool words_from(struct view arguments, struct words *out, struct err *err)
{
    struct json_tree tree;
    const uint8_t *at;
    bool good;

    *out = (struct words){.list = NULL};
    buf_init(&out->text, WORDS_BYTES_MAX, "arguments");
    if (!arguments.len)
        return true;
    if (!json_load_loose(arguments, PLACE_VALUES_MAX, &tree, err))
        return err_in(err, "arguments");
    good = read_words(out, &tree.doc, err);
    json_unload(&tree);
    at = buf_view(&out->text).at;
    for (size_t i = 0; i < out->count; i++) {
        out->list[i].at = at;
        at += out->list[i].len;
    }
    return good;
}

void words_done(struct words *w)
{
    free(w->list);
    buf_done(&w->text);
    *w = (struct words){.list = NULL};
}
