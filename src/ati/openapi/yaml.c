/* libyaml's events as JSON, written as they come. An anchor is a span of what was written; an alias copies it, so that the price of
 * aliases is the bytes they make, and those have a ceiling. */
#include <stdlib.h>
#include <yaml.h>

#include "ati/openapi/openapi_priv.h"
#include "base/text.h"

#include "base/poison.h"

enum { PLAIN_BYTES_MAX = 512, NEAR_KEYS = 16 };

struct anchor {
    char *name;
    size_t start, end; /* in what was written; end 0: not yet */
    unsigned levels;   /* of containers in it */
};

/* A key of a mapping that is open. */
struct key {
    size_t start, len;
    uint32_t line, column;
};

struct frame {
    bool mapping, value_next;
    size_t keys;    /* where this mapping's begin */
    unsigned below; /* levels of containers seen inside */
    char *anchor;   /* NULL: none */
    size_t start;
};

struct yaml {
    struct json_writer w;
    struct buf *out;
    struct frame frames[JSON_DEEP_MAX];
    unsigned depth;
    struct anchor *anchors; /* by name */
    size_t anchor_count, alias_bytes;
    struct key *keys;
    size_t key_count, key_room;
    bool done;
    struct err *err;
};

static bool at(const struct yaml *y, const yaml_mark_t *mark, enum err_code code, const char *what)
{
    return err_set(y->err, code, "line %zu, column %zu: %s", mark->line + 1, mark->column + 1,
                   what);
}

static struct view written(const struct yaml *y, size_t start, size_t len)
{
    return view_first(view_skip(buf_view(y->out), start), len);
}

/* NULL: there is none of that name. */
static struct anchor *anchor_find(const struct yaml *y, const char *name)
{
    for (size_t low = 0, high = y->anchor_count; low < high;) {
        size_t middle = (low + high) / 2;
        int order = strcmp(y->anchors[middle].name, name);

        if (!order)
            return &y->anchors[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The anchor of that name is what begins now; a later one of the same name takes its place. */
static bool anchor_begin(struct yaml *y, const yaml_char_t *name, const yaml_mark_t *mark)
{
    struct anchor *known = anchor_find(y, (const char *)name), *grown;
    size_t slot = 0;

    if (known) {
        known->end = 0;
        return true;
    }
    if (y->anchor_count == YAML_ANCHORS_MAX)
        return at(y, mark, ERR_LIMIT, "too many anchors");
    grown = reallocarray(y->anchors, y->anchor_count + 1, sizeof *grown);
    if (!grown)
        return err_set(y->err, ERR_MEMORY, "YAML: no memory for an anchor");
    y->anchors = grown;
    while (slot < y->anchor_count && strcmp(grown[slot].name, (const char *)name) < 0)
        slot++;
    memmove(&grown[slot + 1], &grown[slot], (y->anchor_count - slot) * sizeof *grown);
    grown[slot] = (struct anchor){.name = strdup((const char *)name)};
    y->anchor_count++;
    return grown[slot].name || err_set(y->err, ERR_MEMORY, "YAML: no memory for an anchor");
}

static void anchor_end(struct yaml *y, const char *name, size_t start, unsigned levels)
{
    struct anchor *a = anchor_find(y, name);

    if (a) {
        a->start = start;
        a->end = buf_len(y->out);
        a->levels = levels;
    }
}

static struct view key_text(const struct yaml *y, const struct key *k)
{
    return written(y, k->start, k->len);
}

static int key_order(const void *a, const void *b, void *context)
{
    const struct key *left = a, *right = b;
    const struct yaml *y = context;
    struct view l = key_text(y, left), r = key_text(y, right);
    int order;

    if (l.len != r.len)
        return l.len < r.len ? -1 : 1;
    order = l.at && r.at ? memcmp(l.at, r.at, l.len) : 0;
    if (order)
        return order;
    return left->start < right->start ? -1 : 1;
}

/* The keys of a mapping that ends. */
static bool keys_differ(struct yaml *y, size_t first)
{
    const struct key *twice = NULL;

    if (y->key_count - first < 2)
        return true;
    qsort_r(y->keys + first, y->key_count - first, sizeof *y->keys, key_order, y);
    for (size_t i = first + 1; i < y->key_count; i++)
        if (view_eq(key_text(y, &y->keys[i - 1]), key_text(y, &y->keys[i])) &&
            (!twice || y->keys[i].start < twice->start))
            twice = &y->keys[i];
    if (twice) {
        char shown[80];

        (void)text_escape(key_text(y, twice), 64, shown, sizeof shown);
        return err_set(y->err, ERR_SYNTAX, "line %u, column %u: the key \"%s\" stands twice",
                       twice->line, twice->column, shown);
    }
    return true;
}

static bool key_write(struct yaml *y, struct view text, const yaml_mark_t *mark)
{
    struct key *grown;
    size_t before = buf_len(y->out);

    if (memchr(text.at, 0, text.len))
        return at(y, mark, ERR_SYNTAX, "a key with a NUL");
    json_key(&y->w, (const char *)text.at);
    if (y->w.err.code)
        return true; /* json_end tells */
    if (y->key_count == y->key_room) {
        y->key_room = y->key_room ? 2 * y->key_room : 64;
        grown = reallocarray(y->keys, y->key_room, sizeof *grown);
        if (!grown)
            return err_set(y->err, ERR_MEMORY, "YAML: no memory for a key");
        y->keys = grown;
    }
    before += written(y, before, 1).at[0] == ',';
    y->keys[y->key_count++] = (struct key){
        .start = before + 1,
        .len = buf_len(y->out) - before - 3, /* quotes and colon */
        .line = (uint32_t)mark->line + 1,
        .column = (uint32_t)mark->column + 1,
    };
    return true;
}

/* Whether what comes now is a key. Else it is a value, and a key comes next. */
static bool takes_key(struct yaml *y)
{
    struct frame *f = y->depth ? &y->frames[y->depth - 1] : NULL;

    if (!f || !f->mapping)
        return false;
    f->value_next = !f->value_next;
    return f->value_next;
}

static void levels_seen(struct yaml *y, unsigned levels)
{
    if (y->depth && y->frames[y->depth - 1].below < levels)
        y->frames[y->depth - 1].below = levels;
}

/* The offset of a value that was written behind before, maybe with a comma in front. */
static size_t value_start(const struct yaml *y, size_t before)
{
    return before + (buf_len(y->out) > before && written(y, before, 1).at[0] == ',');
}

static bool wants_text(const yaml_event_t *event)
{
    const char *tag = (const char *)event->data.scalar.tag;

    return tag && (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0);
}

/* A tag of the core schema makes a quoted scalar plain. */
static bool wants_value(const yaml_event_t *event)
{
    static const char *const tags[] = {YAML_NULL_TAG, YAML_BOOL_TAG, YAML_INT_TAG, YAML_FLOAT_TAG};
    const char *tag = (const char *)event->data.scalar.tag;

    for (size_t i = 0; tag && i < sizeof tags / sizeof *tags; i++)
        if (strcmp(tag, tags[i]) == 0)
            return true;
    return false;
}

static bool scalar(struct yaml *y, const yaml_event_t *event)
{
    struct view text = view_from(event->data.scalar.value, event->data.scalar.length);
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !wants_text(event);
    char json[PLAIN_BYTES_MAX + 24];
    size_t before = buf_len(y->out), len;

    if (event->data.scalar.anchor &&
        !anchor_begin(y, event->data.scalar.anchor, &event->start_mark))
        return false;
    if (takes_key(y)) {
        if (event->data.scalar.anchor)
            return at(y, &event->start_mark, ERR_SYNTAX, "a key with an anchor");
        return key_write(y, text, &event->start_mark);
    }
    if ((plain || wants_value(event)) && text.len <= PLAIN_BYTES_MAX &&
        yaml_scalar(text, json, &len))
        json_raw(&y->w, view_from(json, len));
    else
        json_text(&y->w, text);
    if (event->data.scalar.anchor)
        anchor_end(y, (const char *)event->data.scalar.anchor, value_start(y, before), 0);
    return true;
}

static bool alias(struct yaml *y, const yaml_event_t *event)
{
    const struct anchor *a = anchor_find(y, (const char *)event->data.alias.anchor);
    CLEANUP(text_free_cleanup) char *copy = NULL;
    struct view span;

    if (!a)
        return at(y, &event->start_mark, ERR_SYNTAX, "an alias of an anchor that is not there");
    if (!a->end)
        return at(y, &event->start_mark, ERR_SYNTAX, "an alias inside of what it stands for");
    if (y->depth + a->levels > JSON_DEEP_MAX)
        return at(y, &event->start_mark, ERR_LIMIT, "an alias makes too many levels");
    span = written(y, a->start, a->end - a->start);
    if (span.len > YAML_ALIAS_BYTES_MAX - y->alias_bytes)
        return at(y, &event->start_mark, ERR_LIMIT,
                  "aliases make too much of this document (\"billion laughs\")");
    y->alias_bytes += span.len;
    copy = span.at ? strndup((const char *)span.at, span.len) : NULL;
    if (!copy)
        return err_set(y->err, ERR_MEMORY, "YAML: no memory for an alias");
    if (takes_key(y))
        return at(y, &event->start_mark, ERR_SYNTAX, "an alias for a key");
    json_raw(&y->w, view_str(copy));
    levels_seen(y, a->levels);
    return true;
}

static bool open_container(struct yaml *y, bool mapping, const yaml_char_t *anchor,
                           const yaml_mark_t *mark)
{
    size_t before = buf_len(y->out);
    struct frame *f = &y->frames[y->depth];

    if (anchor && !anchor_begin(y, anchor, mark))
        return false;
    if (takes_key(y))
        return at(y, mark, ERR_SYNTAX, "a key that is no scalar");
    if (y->depth == JSON_DEEP_MAX)
        return at(y, mark, ERR_LIMIT, "too many levels");
    if (mapping)
        json_object(&y->w);
    else
        json_array(&y->w);
    *f = (struct frame){.mapping = mapping, .keys = y->key_count, .start = value_start(y, before)};
    y->depth++;
    if (anchor) {
        f->anchor = strdup((const char *)anchor);
        return f->anchor || err_set(y->err, ERR_MEMORY, "YAML: no memory for an anchor");
    }
    return true;
}

static bool close_container(struct yaml *y)
{
    struct frame *f = &y->frames[y->depth - 1];
    bool good = !f->mapping || keys_differ(y, f->keys);
    unsigned levels = f->below + 1;

    y->key_count = f->keys;
    if (f->mapping)
        json_object_end(&y->w);
    else
        json_array_end(&y->w);
    if (f->anchor)
        anchor_end(y, f->anchor, f->start, levels);
    free(take(f->anchor));
    y->depth--;
    levels_seen(y, levels);
    return good;
}

static bool step(struct yaml *y, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return scalar(y, event);
    case YAML_ALIAS_EVENT:
        return alias(y, event);
    case YAML_MAPPING_START_EVENT:
        return open_container(y, true, event->data.mapping_start.anchor, &event->start_mark);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(y, false, event->data.sequence_start.anchor, &event->start_mark);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return close_container(y);
    case YAML_DOCUMENT_START_EVENT:
        if (y->done)
            return at(y, &event->start_mark, ERR_SYNTAX, "a second document");
        return true;
    case YAML_DOCUMENT_END_EVENT:
        y->done = true;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
        return true;
    }
    return true;
}

static bool parse_error(const yaml_parser_t *p, struct err *err)
{
    const char *problem = p->problem ? p->problem : "not well-formed";

    if (p->error == YAML_MEMORY_ERROR)
        return err_set(err, ERR_MEMORY, "YAML: no memory");
    if (p->error == YAML_READER_ERROR)
        return err_set(err, ERR_SYNTAX, "line %zu, column %zu: %s (byte %zu)", p->mark.line + 1,
                       p->mark.column + 1, problem, p->problem_offset);
    return err_set(err, ERR_SYNTAX, "line %zu, column %zu: %s%s%s", p->problem_mark.line + 1,
                   p->problem_mark.column + 1, problem, p->context ? " " : "",
                   p->context ? p->context : "");
}

static bool events(yaml_parser_t *parser, struct yaml *y, struct err *err)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        bool good;

        if (!yaml_parser_parse(parser, &event))
            return parse_error(parser, err);
        more = event.type != YAML_STREAM_END_EVENT;
        good = step(y, &event) && !y->w.err.code;
        yaml_event_delete(&event);
        if (!good) {
            if (y->w.err.code && err)
                *err = y->w.err;
            return false;
        }
    }
    return y->done || err_set(err, ERR_SYNTAX, "line 1, column 1: there is nothing in it");
}

bool yaml_to_json(struct view yaml, struct buf *json, struct err *err)
{
    struct yaml y = {.out = json, .err = err};
    yaml_parser_t parser;
    bool good;

    if (!yaml_parser_initialize(&parser))
        return err_set(err, ERR_MEMORY, "YAML: no memory");
    yaml_parser_set_input_string(&parser, yaml.len ? yaml.at : (const uint8_t *)"", yaml.len);
    json_begin(&y.w, json);
    good = events(&parser, &y, err);
    yaml_parser_delete(&parser);
    for (unsigned i = 0; i < y.depth; i++)
        free(y.frames[i].anchor);
    for (size_t i = 0; i < y.anchor_count; i++)
        free(y.anchors[i].name);
    free(y.anchors);
    free(y.keys);
    return good && json_end(&y.w, err);
}
