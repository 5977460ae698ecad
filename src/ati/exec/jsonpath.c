#include "ati/exec/exec.h"

#include <stdlib.h>

#include "ati/exec/jsonpath_priv.h"
#include "base/codec.h"

#include "base/poison.h"

struct run {
    const struct path *path;
    const struct json_doc *doc;
    uint64_t steps;
    struct err *err;
};

/* What an operand is for one node. */
struct meant {
    enum { MEANT_NOTHING, MEANT_TOKEN, MEANT_OPERAND, MEANT_COUNT } kind;
    uint32_t token;
    const struct path_operand *operand;
    uint64_t count;
};

static bool select_from(struct run *r, const struct path_query *q, uint32_t current,
                        struct path_nodes *out);
static bool passes(struct run *r, uint32_t filter, uint32_t current, bool *out);

static bool step(struct run *r)
{
    return ++r->steps <= JSONPATH_STEPS_MAX ||
           err_set(r->err, ERR_LIMIT, "takes too long for this response");
}

static bool add(struct run *r, struct path_nodes *nodes, uint32_t token)
{
    size_t size = nodes->size ? 2 * nodes->size : 16;
    uint32_t *at;

    if (nodes->count == nodes->size) {
        if (nodes->count >= JSONPATH_NODES_MAX)
            return err_set(r->err, ERR_LIMIT, "more than %d matches", JSONPATH_NODES_MAX);
        at = realloc(nodes->at, size * sizeof *at);
        if (!at)
            return err_set(r->err, ERR_MEMORY, "no memory");
        nodes->at = at;
        nodes->size = size;
    }
    nodes->at[nodes->count++] = token;
    return step(r);
}

static void nodes_done(struct path_nodes *nodes)
{
    free(nodes->at);
    *nodes = (struct path_nodes){.at = NULL};
}

/* Steps over the children of a container: *at is 0 at first. */
static bool next_child(const struct json_doc *doc, uint32_t container, uint32_t *left, uint32_t *at,
                       uint32_t *child)
{
    const struct json_token *t = &doc->tokens[container];

    if (!*at) {
        *left = t->kind == JSON_OBJECT || t->kind == JSON_ARRAY ? t->count : 0;
        *at = json_first(container);
    }
    if (!*left)
        return false;
    (*left)--;
    *child = t->kind == JSON_OBJECT ? doc->tokens[*at].next : *at;
    *at = doc->tokens[*child].next;
    return true;
}

static uint32_t element(const struct json_doc *doc, uint32_t array, uint64_t index)
{
    uint32_t at = json_first(array);

    while (index--)
        at = doc->tokens[at].next;
    return at;
}

/* The element at index, from the end when it is negative; 0: there is none. */
static uint32_t element_of(struct run *r, uint32_t array, int64_t index)
{
    const struct json_token *t = &r->doc->tokens[array];

    if (t->kind != JSON_ARRAY)
        return 0;
    if (index < 0)
        index += t->count;
    if (index < 0 || index >= t->count)
        return 0;
    r->steps += (uint64_t)index / 16; /* stepping over is cheap, not free */
    return element(r->doc, array, (uint64_t)index);
}

/* A member's value, 0: none. */
static uint32_t member_of(struct run *r, uint32_t object, const struct path_selector *s)
{
    r->steps += r->doc->tokens[object].count / 4;
    return json_member(r->doc, object, (const char *)s->name.at);
}

static int64_t bound(int64_t n, int64_t least, int64_t most)
{
    return n < least ? least : n > most ? most : n;
}

/* RFC 9535, 2.3.4.2.2. Going backwards costs a list of the elements. */
static bool slice(struct run *r, const struct path_selector *s, uint32_t array,
                  struct path_nodes *out)
{
    const struct json_token *t = &r->doc->tokens[array];
    int64_t len = t->count, start, end, wanted;
    struct path_nodes all = {.at = NULL};
    uint32_t left = 0, at = 0, child;
    bool good = true;

    if (t->kind != JSON_ARRAY || !s->step)
        return true;
    start = s->has_start ? s->index : s->step > 0 ? 0 : len - 1;
    end = s->has_end ? s->end : s->step > 0 ? len : -len - 1;
    start += start < 0 ? len : 0;
    end += end < 0 ? len : 0;
    if (s->step > 0) {
        start = bound(start, 0, len);
        end = bound(end, 0, len);
    } else {
        start = bound(start, -1, len - 1);
        end = bound(end, -1, len - 1);
    }
    if (s->step > 0 ? start >= end : start <= end)
        return true;
    while (good && next_child(r->doc, array, &left, &at, &child))
        good = add(r, &all, child);
    for (wanted = start; good && all.at && (s->step > 0 ? wanted < end : wanted > end);
         wanted += s->step)
        good = add(r, out, all.at[wanted]);
    nodes_done(&all);
    return good;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX */
static bool children(struct run *r, const struct path_selector *s, uint32_t node,
                     struct path_nodes *out)
{
    uint32_t left = 0, at = 0, child;

    while (next_child(r->doc, node, &left, &at, &child)) {
        bool wanted = true;

        if (!step(r) || (s->kind == SELECT_FILTER && !passes(r, s->filter, child, &wanted)) ||
            (wanted && !add(r, out, child)))
            return false;
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX */
static bool apply(struct run *r, const struct path_segment *segment, uint32_t node,
                  struct path_nodes *out)
{
    const struct path_selector *s;
    uint32_t found = 0;

    for (uint32_t i = segment->selectors; i; i = s->next) {
        s = &r->path->selectors[i];
        switch (s->kind) {
        case SELECT_NAME:
            found = member_of(r, node, s);
            break;
        case SELECT_INDEX:
            found = element_of(r, node, s->index);
            break;
        case SELECT_SLICE:
            if (!slice(r, s, node, out))
                return false;
            continue;
        case SELECT_ALL:
        case SELECT_FILTER:
            if (!children(r, s, node, out))
                return false;
            continue;
        }
        if (!step(r) || (found && !add(r, out, found)))
            return false;
    }
    return true;
}

/* The node and all below it, in the order of the text. NOLINTNEXTLINE(misc-no-recursion): JSON_DEEP_MAX */
static bool descend(struct run *r, const struct path_segment *segment, uint32_t node,
                    struct path_nodes *out)
{
    uint32_t left = 0, at = 0, child;

    if (!apply(r, segment, node, out))
        return false;
    while (next_child(r->doc, node, &left, &at, &child))
        if (!descend(r, segment, child, out))
            return false;
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX */
static bool select_from(struct run *r, const struct path_query *q, uint32_t current,
                        struct path_nodes *out)
{
    struct path_nodes now = {.at = NULL}, next = {.at = NULL};
    const struct path_segment *s;
    bool good = add(r, &now, q->relative ? current : 0);

    for (uint32_t i = q->segments; good && i; i = s->next) {
        s = &r->path->segments[i];
        for (size_t k = 0; good && k < now.count; k++)
            good = s->descendant ? descend(r, s, now.at[k], &next) : apply(r, s, now.at[k], &next);
        nodes_done(&now);
        now = next;
        next = (struct path_nodes){.at = NULL};
    }
    if (!good)
        nodes_done(&now);
    *out = now;
    return good;
}

static uint64_t characters(struct view text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += (text.at[i] & 0xC0) != 0x80;
    return n;
}

/* A JSON string's length in characters; what does not decode counts as written. */
static bool string_length(struct run *r, uint32_t token, uint64_t *out)
{
    size_t len;
    char *text;

    if (!json_string_new(r->doc, token, &text, &len)) {
        *out = characters(json_span(r->doc, token));
        return true;
    }
    *out = characters(view_from(text, len));
    free(text);
    return true;
}

/* length() of a node: of a text, an array, an object; else nothing. */
static bool length_of(struct run *r, uint32_t token, struct meant *out)
{
    const struct json_token *t = &r->doc->tokens[token];

    out->kind = MEANT_COUNT;
    out->count = t->count;
    if (t->kind == JSON_STRING)
        return string_length(r, token, &out->count);
    if (t->kind != JSON_ARRAY && t->kind != JSON_OBJECT)
        out->kind = MEANT_NOTHING;
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX */
static bool mean(struct run *r, const struct path_operand *o, uint32_t current, struct meant *out)
{
    struct path_nodes found = {.at = NULL};

    *out = (struct meant){.kind = MEANT_OPERAND, .operand = o};
    if (o->kind < OPERAND_QUERY)
        return true;
    if (o->of_text) {
        out->kind = MEANT_COUNT;
        out->count = characters(o->text);
        return true;
    }
    if (!select_from(r, &o->query, current, &found))
        return false;
    out->kind = MEANT_NOTHING;
    if (o->kind == OPERAND_COUNT) {
        out->kind = MEANT_COUNT;
        out->count = found.count;
    } else if (found.count == 1 && o->kind == OPERAND_LENGTH) {
        (void)length_of(r, found.at[0], out);
    } else if (found.count == 1) {
        out->kind = MEANT_TOKEN;
        out->token = found.at[0];
    }
    nodes_done(&found);
    return true;
}

enum json_like { LIKE_NOTHING, LIKE_NULL, LIKE_BOOL, LIKE_NUMBER, LIKE_STRING, LIKE_CONTAINER };

static enum json_like like(const struct run *r, const struct meant *m)
{
    static const enum json_like of_operand[] = {
        [OPERAND_NULL] = LIKE_NULL,
        [OPERAND_BOOL] = LIKE_BOOL,
        [OPERAND_NUMBER] = LIKE_NUMBER,
        [OPERAND_STRING] = LIKE_STRING,
    };
    static const enum json_like of_token[] = {
        [JSON_NULL] = LIKE_NULL,     [JSON_BOOL] = LIKE_BOOL,       [JSON_NUMBER] = LIKE_NUMBER,
        [JSON_STRING] = LIKE_STRING, [JSON_ARRAY] = LIKE_CONTAINER, [JSON_OBJECT] = LIKE_CONTAINER,
    };

    switch (m->kind) {
    case MEANT_NOTHING:
        return LIKE_NOTHING;
    case MEANT_TOKEN:
        return of_token[r->doc->tokens[m->token].kind];
    case MEANT_OPERAND:
        return of_operand[m->operand->kind];
    case MEANT_COUNT:
        return LIKE_NUMBER;
    }
    return LIKE_NOTHING;
}

static bool truth_of(const struct run *r, const struct meant *m)
{
    bool truth = false;

    if (m->kind == MEANT_OPERAND)
        return m->operand->truth;
    (void)!json_boolean(r->doc, m->token, &truth);
    return truth;
}

/* A whole number is compared as one; *whole: it is. */
static double number_of(const struct run *r, const struct meant *m, int64_t *n, bool *whole)
{
    struct view text = m->kind == MEANT_TOKEN ? json_span(r->doc, m->token) : VIEW("");
    struct json_token token;
    struct json_doc doc;
    char copy[512];

    *whole = true;
    *n = (int64_t)m->count;
    if (m->kind == MEANT_COUNT)
        return (double)m->count;
    if (m->kind == MEANT_OPERAND)
        text = m->operand->text;
    *whole = json_parse(text, &token, 1, &doc, NULL) && json_integer(&doc, 0, n);
    if (*whole)
        return (double)*n;
    text = view_first(text, sizeof copy - 1); /* nobody writes more digits */
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return strtod(copy, NULL);
}

/* A string, decoded; *made: to be freed. What does not decode (a lone surrogate, NUL) is compared as written. */
static struct view string_of(const struct run *r, const struct meant *m, char **made)
{
    size_t len;

    *made = NULL;
    if (m->kind == MEANT_OPERAND)
        return m->operand->text;
    if (view_find(json_span(r->doc, m->token), '\\') == json_span(r->doc, m->token).len ||
        !json_string_new(r->doc, m->token, made, &len))
        return json_span(r->doc, m->token);
    return view_from(*made, len);
}

static int order_of_views(struct view a, struct view b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.at, b.at, n) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int order_of_numbers(const struct run *r, const struct meant *a, const struct meant *b)
{
    int64_t n, m;
    bool n_whole, m_whole;
    double x = number_of(r, a, &n, &n_whole), y = number_of(r, b, &m, &m_whole);

    return n_whole && m_whole ? (n > m) - (n < m) : (x > y) - (x < y);
}

/* < 0, 0, > 0 of two numbers or two strings. */
static int order(struct run *r, const struct meant *a, const struct meant *b)
{
    char *made_a, *made_b;
    struct view x, y;
    int result;

    if (like(r, a) == LIKE_NUMBER)
        return order_of_numbers(r, a, b);
    x = string_of(r, a, &made_a);
    y = string_of(r, b, &made_b);
    r->steps += (x.len + y.len) / 64;
    result = order_of_views(x, y);
    free(made_a);
    free(made_b);
    return result;
}

static bool equal(struct run *r, const struct meant *a, const struct meant *b);

/* NOLINTNEXTLINE(misc-no-recursion): JSON_DEEP_MAX */
static bool equal_arrays(struct run *r, uint32_t a, uint32_t b)
{
    uint32_t left_a, left_b, at_a = 0, at_b = 0;
    struct meant x = {.kind = MEANT_TOKEN}, y = x;

    if (r->doc->tokens[a].count != r->doc->tokens[b].count)
        return false;
    while (next_child(r->doc, a, &left_a, &at_a, &x.token) &&
           next_child(r->doc, b, &left_b, &at_b, &y.token))
        if (!equal(r, &x, &y))
            return false;
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSON_DEEP_MAX */
static bool equal_objects(struct run *r, uint32_t a, uint32_t b)
{
    uint32_t at = json_first(a), count = r->doc->tokens[a].count;
    struct meant x = {.kind = MEANT_TOKEN}, y = x;

    if (count != r->doc->tokens[b].count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        char *key;

        x.token = r->doc->tokens[at].next;
        if (!json_string_new(r->doc, at, &key, &len))
            return false;
        y.token = json_member(r->doc, b, key);
        free(key);
        r->steps += 1 + count / 4;
        if (!y.token || r->steps > JSONPATH_STEPS_MAX || !equal(r, &x, &y))
            return false;
        at = r->doc->tokens[x.token].next;
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSON_DEEP_MAX */
static bool equal(struct run *r, const struct meant *a, const struct meant *b)
{
    enum json_like kind = like(r, a);

    r->steps++;
    if (kind != like(r, b))
        return false;
    switch (kind) {
    case LIKE_NOTHING:
    case LIKE_NULL:
        return true;
    case LIKE_BOOL:
        return truth_of(r, a) == truth_of(r, b);
    case LIKE_NUMBER:
    case LIKE_STRING:
        return order(r, a, b) == 0;
    case LIKE_CONTAINER:
        if (r->doc->tokens[a->token].kind != r->doc->tokens[b->token].kind)
            return false;
        return r->doc->tokens[a->token].kind == JSON_ARRAY ? equal_arrays(r, a->token, b->token)
                                                           : equal_objects(r, a->token, b->token);
    }
    return false;
}

static bool ordered(struct run *r, const struct meant *a, const struct meant *b)
{
    enum json_like kind = like(r, a);

    return kind == like(r, b) && (kind == LIKE_NUMBER || kind == LIKE_STRING);
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX */
static bool compares(struct run *r, const struct path_filter *f, uint32_t current, bool *out)
{
    struct meant a, b;

    if (!mean(r, &f->a, current, &a) || !mean(r, &f->b, current, &b))
        return false;
    *out = f->kind == FILTER_NE;
    if (f->kind == FILTER_LT)
        *out = ordered(r, &a, &b) && order(r, &a, &b) < 0;
    else if (f->kind == FILTER_GT)
        *out = ordered(r, &a, &b) && order(r, &a, &b) > 0;
    else if (f->kind == FILTER_LE)
        *out = equal(r, &a, &b) || (ordered(r, &a, &b) && order(r, &a, &b) < 0);
    else if (f->kind == FILTER_GE)
        *out = equal(r, &a, &b) || (ordered(r, &a, &b) && order(r, &a, &b) > 0);
    else if (equal(r, &a, &b))
        *out = !*out;
    return step(r);
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX */
static bool exists(struct run *r, const struct path_filter *f, uint32_t current, bool *out)
{
    struct path_nodes found;

    if (!select_from(r, &f->a.query, current, &found))
        return false;
    *out = found.count > 0;
    nodes_done(&found);
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): JSONPATH_DEPTH_MAX; rows of terms are a loop */
static bool passes(struct run *r, uint32_t filter, uint32_t current, bool *out)
{
    for (;;) {
        const struct path_filter *f = &r->path->filters[filter];

        if (f->kind == FILTER_EXISTS)
            return exists(r, f, current, out);
        if (f->kind > FILTER_EXISTS)
            return compares(r, f, current, out);
        if (!passes(r, f->left, current, out))
            return false;
        if (f->kind == FILTER_NOT) {
            *out = !*out;
            return true;
        }
        if (*out == (f->kind == FILTER_OR)) /* decided */
            return true;
        filter = f->right;
    }
}

bool path_select(const struct path *p, const struct json_doc *doc, struct path_nodes *out,
                 struct err *err)
{
    struct run r = {.path = p, .doc = doc, .err = err};

    return select_from(&r, &p->query, 0, out);
}

static bool write_found(const struct json_doc *doc, const struct path_nodes *found, struct buf *out,
                        struct err *err)
{
    bool good = true;

    if (!found->count)
        return buf_append_str(out, "null", err);
    if (found->count == 1)
        return json_render(doc, found->at[0], JSON_COMPACT, false, out, err);
    for (size_t i = 0; good && i < found->count; i++)
        good = buf_append_str(out, i ? "," : "[", err) &&
               json_render(doc, found->at[i], JSON_COMPACT, false, out, err);
    return good && buf_append_str(out, "]", err);
}

static bool extract(struct view value, const struct path *path, struct buf *out, struct err *err)
{
    struct path_nodes found;
    struct json_tree tree;
    size_t before = buf_len(out);
    bool good;

    if (!json_load_loose(value, JSONPATH_VALUES_MAX, &tree, err))
        return false;
    good = path_select(path, &tree.doc, &found, err);
    if (good) {
        good = write_found(&tree.doc, &found, out, err);
        nodes_done(&found);
    }
    if (!good && buf_len(out) > before)
        out->tail -= buf_len(out) - before;
    json_unload(&tree);
    return good;
}

bool jsonpath_extract(struct view value, struct view path, struct buf *out, struct err *err)
{
    struct path p;
    bool good;

    if (!path_parse(path, &p, err)) {
        (void)err_in(err, "JSONPath extraction failed: Invalid JSONPath '%.*s'",
                     (int)(path.len < 128 ? path.len : 128), (const char *)path.at);
        return false;
    }
    good = extract(value, &p, out, err) || err_in(err, "JSONPath extraction failed");
    path_done(&p);
    return good;
}
