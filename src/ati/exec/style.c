/* OpenAPI 3.0.3, "Style Values"; RFC 6570. */
#include <stdio.h>
#include <stdlib.h>

#include "ati/exec/place.h"

#include "base/poison.h"

static bool undecodable(struct err *err)
{
    return err_set(err, ERR_SYNTAX, "Invalid arguments: text with U+0000 or half of a surrogate");
}

bool place_text(const struct json_doc *doc, uint32_t token, struct buf *out, struct err *err)
{
    struct view span = json_span(doc, token);
    size_t len;
    char *text;
    bool good;

    switch (doc->tokens[token].kind) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
    case JSON_NUMBER:
        return buf_append(out, span, err);
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_render(doc, token, JSON_COMPACT, false, out, err);
    case JSON_STRING:
        break;
    }
    if (view_find(span, '\\') == span.len)
        return buf_append(out, span, err);
    if (!json_string_new(doc, token, &text, &len))
        return undecodable(err);
    good = buf_append(out, view_from(text, len), err);
    free(text);
    return good;
}

static bool is_array(const struct json_doc *doc, uint32_t token)
{
    return doc->tokens[token].kind == JSON_ARRAY;
}

static bool is_object(const struct json_doc *doc, uint32_t token)
{
    return doc->tokens[token].kind == JSON_OBJECT;
}

/* Steps over elements or members; *key is 0 for elements. */
struct walk {
    uint32_t left, at, key, value;
};

static void walk_begin(struct walk *w, const struct json_doc *doc, uint32_t container)
{
    *w = (struct walk){.left = doc->tokens[container].count, .at = json_first(container)};
}

static bool walk_next(struct walk *w, const struct json_doc *doc, uint32_t container)
{
    if (!w->left)
        return false;
    w->left--;
    w->key = is_object(doc, container) ? w->at : 0;
    w->value = w->key ? doc->tokens[w->key].next : w->at;
    w->at = doc->tokens[w->value].next;
    return true;
}

struct piece {
    struct buf *out;
    const struct place_how *how;
    place_check *check;
    void *context;
};

/* A value's text, checked and encoded. */
static bool put(const struct piece *p, const struct json_doc *doc, uint32_t token, struct err *err)
{
    struct buf text;
    bool good;

    buf_init(&text, PLACE_BODY_BYTES_MAX, "argument");
    good = (p->how->style == STYLE_JSON ? json_render(doc, token, JSON_COMPACT, false, &text, err)
                                        : place_text(doc, token, &text, err)) &&
           (!p->check || p->check(p->context, buf_view(&text), err)) &&
           place_encode(p->out, buf_view(&text), p->how->octets, err);
    buf_done(&text);
    return good;
}

/* "a,b" or "k,v,l,w", or exploded "k=v,l=w"; between is not encoded. */
static bool put_list(const struct piece *p, const struct json_doc *doc, uint32_t container,
                     const char *between, struct err *err)
{
    bool pairs = p->how->explode, first = true, good = true;
    struct walk w;

    walk_begin(&w, doc, container);
    while (good && walk_next(&w, doc, container)) {
        good = (first || buf_append_str(p->out, between, err)) &&
               (!w.key ||
                (put(p, doc, w.key, err) && buf_append_str(p->out, pairs ? "=" : between, err))) &&
               put(p, doc, w.value, err);
        first = false;
    }
    return good;
}

static const char *between_of(enum place_style style, enum place_octets octets)
{
    if (style == STYLE_SPACE)
        return octets == OCTETS_FORM ? "+" : "%20";
    if (style == STYLE_PIPE)
        return "%7C";
    return octets == OCTETS_FORM || octets == OCTETS_COOKIE ? "%2C" : ",";
}

static bool open_pair(struct place_pairs *pairs, struct view name, const struct place_how *how,
                      struct err *err)
{
    bool good = !pairs->any || buf_append_str(pairs->out, pairs->between, err);
    enum place_octets octets = how->octets == OCTETS_RESERVED ? OCTETS_FORM : how->octets;

    pairs->any = true;
    return good && place_encode(pairs->out, name, octets, err) &&
           buf_append_byte(pairs->out, '=', err);
}

static bool pair(struct place_pairs *pairs, struct view name, const struct json_doc *doc,
                 uint32_t token, const struct place_how *how, struct err *err)
{
    const struct piece p = {.out = pairs->out, .how = how};

    return open_pair(pairs, name, how, err) && put(&p, doc, token, err);
}

/* Each element or member is a pair of its own. */
static bool exploded(struct place_pairs *pairs, struct view name, const struct json_doc *doc,
                     uint32_t container, const struct place_how *how, struct err *err)
{
    struct walk w;
    struct buf key;
    bool good = true;

    buf_init(&key, PLACE_URL_BYTES_MAX, "name of an argument");
    walk_begin(&w, doc, container);
    while (good && walk_next(&w, doc, container)) {
        buf_reset(&key);
        good = (!w.key || place_text(doc, w.key, &key, err)) &&
               pair(pairs, w.key ? buf_view(&key) : name, doc, w.value, how, err);
    }
    buf_done(&key);
    return good;
}

/* name[a][0]=…: prefix holds the name so far. NOLINTNEXTLINE(misc-no-recursion): PLACE_DEPTH_MAX */
static bool deep(struct place_pairs *pairs, struct buf *prefix, const struct json_doc *doc,
                 uint32_t token, const struct place_how *how, unsigned depth, struct err *err)
{
    size_t len = buf_len(prefix), index = 0;
    struct walk w;
    bool good = true;

    if (!is_array(doc, token) && !is_object(doc, token))
        return pair(pairs, buf_view(prefix), doc, token, how, err);
    if (depth == PLACE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "Invalid arguments: more than %d levels", PLACE_DEPTH_MAX);
    walk_begin(&w, doc, token);
    while (good && walk_next(&w, doc, token)) {
        good = buf_append_byte(prefix, '[', err) &&
               (w.key ? place_text(doc, w.key, prefix, err)
                      : buf_appendf(prefix, err, "%zu", index++)) &&
               buf_append_byte(prefix, ']', err) &&
               deep(pairs, prefix, doc, w.value, how, depth + 1, err);
        prefix->tail -= buf_len(prefix) - len;
    }
    return good;
}

static bool deep_object(struct place_pairs *pairs, struct view name, const struct json_doc *doc,
                        uint32_t token, const struct place_how *how, struct err *err)
{
    struct buf prefix;
    bool good;

    buf_init(&prefix, PLACE_URL_BYTES_MAX, "name of an argument");
    good = buf_append(&prefix, name, err) && deep(pairs, &prefix, doc, token, how, 0, err);
    buf_done(&prefix);
    return good;
}

bool place_pairs(struct place_pairs *pairs, struct view name, const struct json_doc *doc,
                 uint32_t token, const struct place_how *how, struct err *err)
{
    const struct piece p = {.out = pairs->out, .how = how};
    bool container = is_array(doc, token) || is_object(doc, token);

    if (!container || how->style == STYLE_PLAIN || how->style == STYLE_JSON ||
        (how->style == STYLE_MULTI && !is_array(doc, token)))
        return pair(pairs, name, doc, token, how, err);
    if (how->style == STYLE_DEEP)
        return deep_object(pairs, name, doc, token, how, err);
    if (how->style == STYLE_MULTI || how->explode)
        return exploded(pairs, name, doc, token, how, err);
    return open_pair(pairs, name, how, err) &&
           put_list(&p, doc, token, between_of(how->style, how->octets), err);
}

/* ";name=a;name=b", ";name=a,b", ";k=v;l=w" */
static bool matrix(const struct piece *p, struct view name, const struct json_doc *doc,
                   uint32_t token, bool container, struct err *err)
{
    struct walk w;
    bool good = true;

    if (!container || !p->how->explode)
        return buf_append_byte(p->out, ';', err) &&
               place_encode(p->out, name, p->how->octets, err) &&
               buf_append_byte(p->out, '=', err) &&
               (container ? put_list(p, doc, token, ",", err) : put(p, doc, token, err));
    walk_begin(&w, doc, token);
    while (good && walk_next(&w, doc, token))
        good =
            buf_append_byte(p->out, ';', err) &&
            (w.key ? put(p, doc, w.key, err) : place_encode(p->out, name, p->how->octets, err)) &&
            buf_append_byte(p->out, '=', err) && put(p, doc, w.value, err);
    return good;
}

bool place_inline(struct buf *out, struct view name, const struct json_doc *doc, uint32_t token,
                  const struct place_how *how, place_check *check, void *context, struct err *err)
{
    const struct piece p = {.out = out, .how = how, .check = check, .context = context};
    bool container = is_array(doc, token) || is_object(doc, token);

    if (how->style == STYLE_MATRIX)
        return matrix(&p, name, doc, token, container, err);
    if (how->style == STYLE_LABEL && !buf_append_byte(out, '.', err))
        return false;
    if (container && (how->style == STYLE_SIMPLE || how->style == STYLE_LABEL))
        return put_list(&p, doc, token, how->style == STYLE_LABEL && how->explode ? "." : ",", err);
    return put(&p, doc, token, err);
}
