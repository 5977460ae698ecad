#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ati/cli/run.h"
#include "base/codec.h"
#include "base/file.h"

#include "base/poison.h"

enum { PATH_BYTES_MAX = 4096, FILE_MODE = 0644, FOLDER_MODE = 0755 };

struct outputs {
    const char *const *words;
    size_t count;
    struct view map;
    struct buf *refused;
    struct err *err;
};

static bool make_folders(const char *path, struct err *err)
{
    const char *name = strrchr(path, '/');
    char folder[PATH_BYTES_MAX];

    if (!name || name == path)
        return true;
    if ((size_t)(name - path) >= sizeof folder)
        return err_set(err, ERR_LIMIT, "%.64s…: the path is too long", path);
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    return folders_make(folder, FOLDER_MODE, err);
}

bool run_write_file(const char *path, struct view content, size_t *bytes, struct err *err)
{
    size_t room = content.len / 4 * 3 + 3;
    uint8_t *plain = malloc(room);
    bool good;

    if (!plain)
        return err_set(err, ERR_MEMORY, "%s: no memory for %zu bytes", path, room);
    good = base64_decode(content, plain, &room) ||
           err_set(err, ERR_SYNTAX, "%s: the content that came is no base64", path);
    good =
        good && make_folders(path, err) && file_write(path, view_from(plain, room), FILE_MODE, err);
    free(plain);
    if (good)
        *bytes = room;
    return good;
}

/* A word, or what stands behind the '=' of one. */
static bool among_words(const struct outputs *o, struct view path)
{
    for (size_t i = 0; i < o->count; i++) {
        struct view word = view_str(o->words[i]);
        size_t equals = view_find(word, '=');

        if (view_eq(word, path) ||
            (word.len && word.at[0] == '-' && view_eq(view_skip(word, equals + 1), path)))
            return true;
    }
    return false;
}

/* A string anywhere in the arguments. */
static bool among_values(const struct outputs *o, const char *path)
{
    struct json_tree tree;
    bool found = false;

    if (!o->map.len || !json_load_loose(o->map, UINT32_MAX, &tree, NULL))
        return false;
    for (uint32_t i = 0; i < tree.doc.count && !found; i++) {
        char *text;
        size_t len;

        if (json_string_new(&tree.doc, i, &text, &len)) {
            found = strcmp(text, path) == 0;
            free(text);
        }
    }
    json_unload(&tree);
    return found;
}

/* What is shown of a file that was written: as it came, with "path" in the place of its content. */
static void put_written(struct json_writer *w, const struct json_doc *doc, uint32_t output,
                        const char *path)
{
    uint32_t key = json_first(output);

    json_object(w);
    for (uint32_t i = 0; i < doc->tokens[output].count; i++) {
        uint32_t value = doc->tokens[key].next;
        char *name;
        size_t len;

        if (json_string_new(doc, key, &name, &len)) {
            if (strcmp(name, "content_base64") == 0 || strcmp(name, "path") == 0) {
                if (strcmp(name, "content_base64") == 0) {
                    json_key(w, "path");
                    json_text(w, view_str(path));
                }
            } else {
                json_key(w, name);
                json_raw(w, json_source(doc, value));
            }
            free(name);
        }
        key = doc->tokens[value].next;
    }
    json_object_end(w);
}

static bool refuse(const struct outputs *o, const char *path)
{
    return (!buf_len(o->refused) || buf_append_str(o->refused, ", ", o->err)) &&
           buf_append_str(o->refused, path, o->err);
}

static bool one_output(const struct outputs *o, struct json_writer *w, const struct json_doc *doc,
                       const char *path, uint32_t output)
{
    uint32_t content = json_member(doc, output, "content_base64");
    char *plain;
    size_t len, bytes;
    bool good;

    json_key(w, path);
    if (!content || doc->tokens[content].kind != JSON_STRING ||
        (!among_words(o, view_str(path)) && !among_values(o, path))) {
        json_raw(w, json_source(doc, output));
        return !content || refuse(o, path);
    }
    if (!json_string_new(doc, content, &plain, &len))
        return err_set(o->err, ERR_SYNTAX, "%s: the content that came is no base64", path);
    good = run_write_file(path, view_from(plain, len), &bytes, o->err);
    free(plain);
    put_written(w, doc, output, path);
    return good;
}

static bool all_outputs(const struct outputs *o, struct json_writer *w, const struct json_doc *doc,
                        uint32_t outputs)
{
    uint32_t key = json_first(outputs);

    json_object(w);
    for (uint32_t i = 0; i < doc->tokens[outputs].count; i++) {
        uint32_t value = doc->tokens[key].next;
        char *path;
        size_t len;
        bool good;

        if (!json_string_new(doc, key, &path, &len))
            return err_set(o->err, ERR_SYNTAX, "outputs: a path that cannot be one");
        good = one_output(o, w, doc, path, value);
        free(path);
        if (!good)
            return false;
        key = doc->tokens[value].next;
    }
    json_object_end(w);
    return true;
}

static bool rewrite(const struct outputs *o, const struct json_doc *doc, uint32_t outputs,
                    struct buf *out)
{
    uint32_t key = json_first(0);
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        uint32_t value = doc->tokens[key].next;
        char *name;
        size_t len;

        if (!json_string_new(doc, key, &name, &len))
            return err_set(o->err, ERR_SYNTAX, "a result with a key that cannot be read");
        json_key(&w, name);
        free(name);
        if (value != outputs)
            json_raw(&w, json_source(doc, value));
        else if (!all_outputs(o, &w, doc, outputs))
            return false;
        key = doc->tokens[value].next;
    }
    json_object_end(&w);
    return json_end(&w, o->err);
}

bool run_outputs(struct view result, const char *const *words, size_t count, struct view map,
                 struct buf *out, bool *changed, struct buf *refused, struct err *err)
{
    struct outputs o = {.words = words, .count = count, .map = map, .refused = refused, .err = err};
    struct json_tree tree;
    uint32_t outputs;
    bool good = true;

    *changed = false;
    if (!json_load_loose(result, UINT32_MAX, &tree, NULL))
        return true;
    outputs = json_member(&tree.doc, 0, "outputs");
    if (outputs && tree.doc.tokens[outputs].kind == JSON_OBJECT) {
        good = rewrite(&o, &tree.doc, outputs, out);
        *changed = good;
    }
    json_unload(&tree);
    return good;
}
