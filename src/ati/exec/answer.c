#include "ati/exec/answer.h"

#include "base/text.h"

#include "base/poison.h"

enum { MESSAGE_MAX = 256, TYPE_MAX = 32, ANSWER_VALUES_MAX = 4096 };

bool answer_value(struct buf *body, struct err *err)
{
    struct view v = buf_view(body);
    size_t len = v.len;
    struct json_writer w;
    struct buf text;

    if (len && json_compact(body->area + body->head, &len, NULL)) {
        body->tail = body->head + len;
        return true;
    }
    buf_init_like(&text, body);
    json_begin(&w, &text);
    json_text(&w, v);
    if (!json_end(&w, err)) {
        buf_done(&text);
        return false;
    }
    buf_done(body);
    *body = text;
    return true;
}

static bool text_at(const struct json_doc *doc, uint32_t object, const char *key, char *out,
                    size_t size)
{
    uint32_t at = json_member(doc, object, key);

    return at && json_string(doc, at, out, size);
}

/* "No records were found" in all its forms. */
static bool says_none(struct view message)
{
    static const char *const things[] = {"records", "companies", "persons", "results", "matches"};
    struct view rest;

    while (view_starts(message, VIEW("no ")))
        message = view_skip(message, 3);
    for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
        if (!view_starts(message, view_str(things[i])))
            continue;
        rest = view_skip(message, strlen(things[i]));
        if (view_starts(rest, VIEW(" were found")) || view_starts(rest, VIEW(" found")))
            return true;
    }
    return false;
}

static bool no_records(const struct json_doc *doc)
{
    uint32_t error = json_member(doc, 0, "error");
    char message[MESSAGE_MAX] = "", type[TYPE_MAX] = "";
    struct view said;

    /* Without a message it may as well be a page that is gone; and what does not fit is none of these. */
    if (!text_at(doc, error, "message", message, sizeof message) &&
        !text_at(doc, 0, "error", message, sizeof message) &&
        !text_at(doc, 0, "message", message, sizeof message))
        return false;
    if (!text_at(doc, error, "type", type, sizeof type) &&
        !text_at(doc, 0, "type", type, sizeof type) &&
        !text_at(doc, 0, "error_type", type, sizeof type))
        type[0] = '\0';
    for (char *c = message; *c; c++)
        *c = (char)ascii_lower((uint8_t)*c);
    said = text_trim(view_str(message));
    return says_none(said) ||
           (!strcmp(type, "not_found") && (!said.len || view_eq(said, VIEW("not found"))));
}

bool answer_no_records(struct view body)
{
    struct json_tree tree;
    bool none;

    if (!json_load_loose(body, ANSWER_VALUES_MAX, &tree, NULL))
        return false;
    none = tree.doc.tokens[0].kind == JSON_OBJECT && no_records(&tree.doc);
    json_unload(&tree);
    return none;
}
