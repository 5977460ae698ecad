#include <stdlib.h>

#include "ati/cli/run.h"

#include "base/poison.h"

/* The same but for the case of ASCII letters, '-' and '_'. */
static bool same_key(const char *a, const char *b)
{
    for (;;) {
        while (*a == '-' || *a == '_')
            a++;
        while (*b == '-' || *b == '_')
            b++;
        if (ascii_lower((uint8_t)*a) != ascii_lower((uint8_t)*b))
            return false;
        if (!*a)
            return true;
        a++;
        b++;
    }
}

/* The property's spelling as it stands in the schema, or 0. */
static uint32_t property_like(const struct json_doc *schema, uint32_t properties, const char *key)
{
    uint32_t at = json_first(properties);

    if (!properties || schema->tokens[properties].kind != JSON_OBJECT)
        return 0;
    for (uint32_t i = 0; i < schema->tokens[properties].count; i++) {
        char *name;
        size_t len;

        if (json_string_new(schema, at, &name, &len)) {
            bool same = same_key(name, key);

            free(name);
            if (same)
                return at;
        }
        at = schema->tokens[schema->tokens[at].next].next;
    }
    return 0;
}

/* Writes the key as the schema has it. */
static bool put_key(const struct json_doc *map, uint32_t key, const struct json_doc *schema,
                    uint32_t properties, struct buf *out, struct err *err)
{
    struct view spelt = json_source(map, key);
    char *name;
    size_t len;

    if (json_string_new(map, key, &name, &len)) {
        uint32_t like =
            json_member(schema, properties, name) ? 0 : property_like(schema, properties, name);

        if (like)
            spelt = json_source(schema, like);
        free(name);
    }
    return buf_append(out, spelt, err) && buf_append_byte(out, ':', err);
}

static bool rewrite(const struct json_doc *map, const struct json_doc *schema, struct buf *out,
                    struct err *err)
{
    uint32_t properties = json_member(schema, 0, "properties"), key = json_first(0);
    bool good = buf_append_byte(out, '{', err);

    for (uint32_t i = 0; good && i < map->tokens[0].count; i++) {
        uint32_t value = map->tokens[key].next;

        good = (!i || buf_append_byte(out, ',', err)) &&
               put_key(map, key, schema, properties, out, err) &&
               buf_append(out, json_source(map, value), err);
        key = map->tokens[value].next;
    }
    return good && buf_append_byte(out, '}', err);
}

bool run_keys(struct view map, struct view schema, struct buf *out, struct err *err)
{
    struct json_tree given, known = {0}, twice;
    struct buf text;
    bool good;

    if (!json_load_loose(map, UINT32_MAX, &given, err))
        return false;
    if (!json_load_loose(schema.len ? schema : VIEW("{}"), UINT32_MAX, &known, err))
        return json_unload(&given), err_in(err, "the tool's schema");
    buf_init(&text, RUN_BYTES_MAX, "arguments");
    good = rewrite(&given.doc, &known.doc, &text, err);
    /* Two spellings of one key: the last one counts. */
    if (good && (good = json_load_loose(buf_view(&text), UINT32_MAX, &twice, err))) {
        good = json_render(&twice.doc, 0, JSON_COMPACT, true, out, err);
        json_unload(&twice);
    }
    buf_done(&text);
    json_unload(&known);
    json_unload(&given);
    return good;
}
