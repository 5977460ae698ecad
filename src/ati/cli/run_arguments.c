#include <stdlib.h>

#include "ati/cli/run.h"

#include "base/poison.h"

struct argument {
    const char *key, *value; /* value NULL: true */
};

static bool flag(const char *word)
{
    return strncmp(word, "--", 2) == 0;
}

/* What is not the tool's is left out: how many words are kept. */
static size_t without_global(const char *const *words, size_t count, const char **kept, bool *json)
{
    size_t n = 0;

    *json = false;
    for (size_t i = 0; i < count; i++) {
        bool is_json = !strcmp(words[i], "-J") || !strcmp(words[i], "--json");

        *json |= is_json;
        if (!strcmp(words[i], "--output") || !strcmp(words[i], "--format"))
            i++;
        else if (!is_json && strcmp(words[i], "--verbose") != 0)
            kept[n++] = words[i];
    }
    return n;
}

static void remember(struct argument *list, size_t *count, struct argument a)
{
    size_t i = 0;

    while (i < *count && strcmp(list[i].key, a.key) != 0)
        i++;
    list[i] = a;
    *count += i == *count;
}

static bool pairs(const char *const *words, size_t count, struct argument *list, size_t *found,
                  struct err *err)
{
    *found = 0;
    for (size_t i = 0; i < count; i++) {
        struct argument a = {.key = words[i] + strspn(words[i], "-")};

        if (!flag(words[i]))
            continue;
        if (!a.key[0])
            return err_set(err, ERR_USAGE, "Empty argument key");
        if (i + 1 < count && !flag(words[i + 1]))
            a.value = words[++i];
        remember(list, found, a);
    }
    return true;
}

static void put_value(struct json_writer *w, const char *value)
{
    struct json_tree tree;

    if (!value) {
        json_bool(w, true);
    } else if (json_load_loose(view_str(value), UINT32_MAX, &tree, NULL)) {
        json_raw(w, view_str(value));
        json_unload(&tree);
    } else {
        json_text(w, view_str(value));
    }
}

bool run_arguments(const char *const *words, size_t count, struct buf *map, bool *json,
                   struct err *err)
{
    const char **kept = calloc(count + 1, sizeof *kept);
    struct argument *list = calloc(count + 1, sizeof *list);
    size_t n = 0;
    bool good = kept && list;

    if (good)
        good = pairs(kept, without_global(words, count, kept, json), list, &n, err);
    else
        (void)err_set(err, ERR_MEMORY, "arguments");
    if (good) {
        struct json_writer w;

        json_begin(&w, map);
        json_object(&w);
        for (size_t i = 0; i < n; i++) {
            json_key(&w, list[i].key);
            put_value(&w, list[i].value);
        }
        json_object_end(&w);
        good = json_end(&w, err);
    }
    free(kept);
    free(list);
    return good;
}
