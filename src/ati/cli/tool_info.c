#include <stdlib.h>

#include "ati/cli/tool.h"
#include "base/json.h"

#include "base/poison.h"

/* --- as JSON ------------------------------------------------------------------------------------- */

static void text_or_null(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    if (text)
        json_text(w, view_str(text));
    else
        json_null(w);
}

static void text_list(struct json_writer *w, const char *key, const struct texts *list)
{
    json_key(w, key);
    json_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_text(w, view_str(list->at[i]));
    json_array_end(w);
}

bool tool_info_json(const struct tool *tool, struct view help, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    text_or_null(&w, "name", tool->name);
    text_or_null(&w, "description", tool->description);
    text_or_null(&w, "provider", tool->provider->name);
    text_or_null(&w, "base_url", tool->provider->base_url);
    text_or_null(&w, "method", tool_method_name(tool->method));
    text_or_null(&w, "endpoint", tool->endpoint);
    text_or_null(&w, "scope", tool->scope);
    text_list(&w, "skills", &tool->provider->skills);
    json_key(&w, "input_schema");
    json_raw(&w, tool->schema ? view_str(tool->schema) : VIEW("null"));
    if (help.len) {
        json_key(&w, "help_text");
        json_text(&w, help);
    }
    json_object_end(&w);
    return json_end(&w, err);
}

/* --- as text ------------------------------------------------------------------------------------- */

/* "Provider:    github": nothing when there is nothing to tell. */
static bool line(struct buf *out, const char *label, struct view text, struct err *err)
{
    return !text.len || (buf_appendf(out, err, "%-12s ", label) && buf_append(out, text, err) &&
                         buf_append_byte(out, '\n', err));
}

static bool list_line(struct buf *out, const char *label, const struct texts *list, struct err *err)
{
    if (!list->count)
        return true;
    if (!buf_appendf(out, err, "%-12s ", label))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if ((i && !buf_append_str(out, ", ", err)) || !buf_append_str(out, list->at[i], err))
            return false;
    return buf_append_byte(out, '\n', err);
}

/* A string of the document as it reads. */
static bool put_member(const struct json_doc *doc, uint32_t object, const char *name,
                       const char *before, const char *after, struct buf *out, struct err *err)
{
    uint32_t token = json_member(doc, object, name);
    char *text;
    size_t len;
    bool good;

    if (!token || !json_string_new(doc, token, &text, &len))
        return true;
    good = !len || (buf_append_str(out, before, err) &&
                    buf_append(out, view_from(text, len), err) && buf_append_str(out, after, err));
    free(text);
    return good;
}

typedef bool each_property(const struct json_doc *doc, const char *name, uint32_t property,
                           struct buf *out, struct err *err);

static bool properties(const struct json_doc *doc, uint32_t schema, each_property *each,
                       struct buf *out, struct err *err)
{
    uint32_t object = json_member(doc, schema, "properties"), key = json_first(object);
    bool good = true;

    if (!object || doc->tokens[object].kind != JSON_OBJECT)
        return true;
    for (uint32_t i = 0; good && i < doc->tokens[object].count; i++) {
        uint32_t value = doc->tokens[key].next;
        char *name;
        size_t len;

        if (json_string_new(doc, key, &name, &len)) {
            good = each(doc, name, value, out, err);
            free(name);
        }
        key = doc->tokens[value].next;
    }
    return good;
}

/* "  --query                (string) what to look for" */
static bool property_line(const struct json_doc *doc, const char *name, uint32_t property,
                          struct buf *out, struct err *err)
{
    return buf_appendf(out, err, "  --%-20s (", name) &&
           (json_member(doc, property, "type") ? put_member(doc, property, "type", "", "", out, err)
                                               : buf_append_str(out, "any", err)) &&
           buf_append_byte(out, ')', err) &&
           put_member(doc, property, "description", " ", "", out, err) &&
           buf_append_byte(out, '\n', err);
}

/* " --per_page 30", " --query <query>" */
static bool property_usage(const struct json_doc *doc, const char *name, uint32_t property,
                           struct buf *out, struct err *err)
{
    uint32_t value = json_member(doc, property, "default");

    value = value ? value : json_member(doc, property, "example");
    if (!value)
        return buf_appendf(out, err, " --%s <%s>", name, name);
    return buf_appendf(out, err, " --%s ", name) &&
           json_render(doc, value, JSON_COMPACT, true, out, err);
}

static bool schema_lines(const struct json_doc *doc, struct buf *out, struct err *err)
{
    return buf_append_str(out, "\nInput Schema:\n", err) &&
           json_render(doc, 0, JSON_PRETTY, true, out, err) && buf_append_byte(out, '\n', err);
}

static bool usage_lines(const struct tool *tool, const struct json_doc *schema, struct buf *out,
                        struct err *err)
{
    if (!buf_appendf(out, err, "\nUsage:\n  ati run %s", tool->name))
        return false;
    if (tool->provider->handler == HANDLER_CLI)
        return buf_appendf(out, err, " -- <args>  (passthrough to `%s`)\n",
                           tool->provider->cli_command ? tool->provider->cli_command : "");
    return (!schema || properties(schema, 0, property_usage, out, err)) &&
           buf_append_byte(out, '\n', err);
}

static bool where(const struct tool *tool, struct buf *out, struct err *err)
{
    const struct tool_provider *p = tool->provider;

    switch (p->handler) {
    case HANDLER_MCP:
        return line(out, "Transport:", p->mcp_http ? VIEW("MCP (http)") : VIEW("MCP (stdio)"), err);
    case HANDLER_CLI:
        return line(out, "Command:", view_str(p->cli_command), err);
    case HANDLER_HTTP:
    case HANDLER_OPENAPI:
        return buf_appendf(out, err, "%-12s %s %s%s\n", "Endpoint:", tool_method_name(tool->method),
                           p->base_url, tool->endpoint);
    case HANDLER_FILES:
    case HANDLER_PASSTHROUGH:
        return line(out, "Endpoint:", view_str(tool_method_name(tool->method)), err);
    }
    return true;
}

static bool examples(const struct texts *list, struct buf *out, struct err *err)
{
    if (list->count && !buf_append_str(out, "\nExamples:\n", err))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!buf_appendf(out, err, "  %s\n", list->at[i]))
            return false;
    return true;
}

static bool head(const struct tool *tool, struct buf *out, struct err *err)
{
    const struct tool_provider *p = tool->provider;

    return line(out, "Tool:", view_str(tool->name), err) &&
           buf_appendf(out, err, "%-12s %s (%s)\n", "Provider:", p->name, p->description) &&
           line(out, "Handler:", view_str(manifest_handler_shown(p)), err) &&
           where(tool, out, err) && line(out, "Description:", view_str(tool->description), err) &&
           line(out, "Scope:", view_str(tool->scope), err) &&
           line(out, "Category:", view_str(p->category), err) &&
           list_line(out, "Tags:", &tool->tags, err) &&
           line(out, "Hint:", view_str(tool->hint), err) &&
           list_line(out, "Skills:", &p->skills, err);
}

bool tool_info_text(const struct tool *tool, struct view help, struct buf *out, struct err *err)
{
    struct json_tree given, sorted;
    struct buf text;
    bool known = false, good = head(tool, out, err);

    /* Sorted, so that usage and schema name things in one order. */
    buf_init(&text, TOOL_BYTES_MAX, "schema");
    if (tool->schema && json_load_loose(view_str(tool->schema), UINT32_MAX, &given, NULL)) {
        known = json_render(&given.doc, 0, JSON_COMPACT, true, &text, NULL) &&
                json_load_loose(buf_view(&text), UINT32_MAX, &sorted, NULL);
        json_unload(&given);
    }
    good = good && (!known || schema_lines(&sorted.doc, out, err)) &&
           examples(&tool->examples, out, err) &&
           (!help.len || (buf_append_str(out, "\nCLI Usage (from --help):\n", err) &&
                          buf_append(out, help, err) && buf_append_byte(out, '\n', err))) &&
           usage_lines(tool, known ? &sorted.doc : NULL, out, err);
    if (known)
        json_unload(&sorted);
    buf_done(&text);
    return good;
}

static bool remote_list(const struct json_doc *doc, const char *name, const char *label,
                        struct buf *out, struct err *err)
{
    uint32_t array = json_member(doc, 0, name), at = json_first(array);

    if (!array || doc->tokens[array].kind != JSON_ARRAY || !doc->tokens[array].count)
        return true;
    if (!buf_appendf(out, err, "%-12s ", label))
        return false;
    for (uint32_t i = 0; i < doc->tokens[array].count; i++) {
        char *text;
        size_t len;
        bool good = true;

        if (json_string_new(doc, at, &text, &len)) {
            good = buf_appendf(out, err, "%s%s", i ? ", " : "", text);
            free(text);
        }
        if (!good)
            return false;
        at = doc->tokens[at].next;
    }
    return buf_append_byte(out, '\n', err);
}

static bool remote_lines(const struct json_doc *doc, struct buf *out, struct err *err)
{
    static const struct {
        const char *name, *label;
    } rows[] = {{"name", "Tool:        "},
                {"provider", "Provider:    "},
                {"description", "Description: "},
                {"method", "Method:      "},
                {"hint", "Hint:        "}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!put_member(doc, 0, rows[i].name, rows[i].label, "\n", out, err))
            return false;
    return remote_list(doc, "tags", "Tags:", out, err) &&
           remote_list(doc, "skills", "Skills:", out, err);
}

bool tool_info_remote(struct view answer, struct buf *out, struct err *err)
{
    struct json_tree tree;
    uint32_t schema;
    size_t before;
    bool good;

    if (!json_load_loose(answer, UINT32_MAX, &tree, err))
        return false;
    schema = json_member(&tree.doc, 0, "input_schema");
    good = remote_lines(&tree.doc, out, err);
    if (good && schema && tree.doc.tokens[schema].kind == JSON_OBJECT) {
        good = buf_append_str(out, "\nParameters:\n", err);
        before = buf_len(out);
        good = good && properties(&tree.doc, schema, property_line, out, err) &&
               (buf_len(out) > before || buf_append_str(out, "  none\n", err));
    }
    json_unload(&tree);
    return good;
}
