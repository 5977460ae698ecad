/* The provider that is always there: files, up and down. */
#include <stdlib.h>

#include "ati/manifest/manifest_priv.h"

#include "base/poison.h"

static const struct {
    const char *name, *description, *scope, *schema;
    const char *tags[4];
} builtin[] = {
    {
        "file_manager:download",
        "Downloads a file from a URL and saves it, or returns its bytes",
        "tool:file_manager:download",
        "{\"type\":\"object\",\"properties\":{"
        "\"url\":{\"type\":\"string\",\"description\":\"Where the file is (http or https)\"},"
        "\"out\":{\"type\":\"string\",\"description\":\"Path to save it at\"},"
        "\"inline\":{\"type\":\"boolean\",\"description\":\"Return the bytes as base64 instead of "
        "saving them\"},"
        "\"max_bytes\":{\"type\":\"integer\",\"description\":\"Refuse files that are larger\","
        "\"default\":524288000},"
        "\"timeout\":{\"type\":\"integer\",\"description\":\"Seconds to wait\",\"default\":120},"
        "\"headers\":{\"type\":\"object\",\"description\":\"Request headers to send along\"},"
        "\"follow_redirects\":{\"type\":\"boolean\",\"description\":\"Go where the server points "
        "to\",\"default\":true}},\"required\":[\"url\"]}",
        {"file", "download", "binary", NULL},
    },
    {
        "file_manager:upload",
        "Uploads a local file to a destination that the operator allows, and returns its URL",
        "tool:file_manager:upload",
        "{\"type\":\"object\",\"properties\":{"
        "\"path\":{\"type\":\"string\",\"description\":\"The local file\"},"
        "\"content_type\":{\"type\":\"string\",\"description\":\"MIME type; by default, that of "
        "the file's extension\"},"
        "\"object_name\":{\"type\":\"string\",\"description\":\"Name to store it under; by "
        "default, the file's\"},"
        "\"destination\":{\"type\":\"string\",\"description\":\"Which of the operator's "
        "destinations; by default, the default one\"}},\"required\":[\"path\"]}",
        {"file", "upload", "binary", NULL},
    },
};

enum { BUILTIN_COUNT = sizeof builtin / sizeof *builtin };

static bool make(struct tool_provider *p, unsigned i, struct tool *t, struct err *err)
{
    bool good;

    t->provider = p;
    t->method = METHOD_POST;
    good = manifest_copy(view_str(builtin[i].name), &t->name, err) &&
           manifest_copy(view_str(builtin[i].description), &t->description, err) &&
           manifest_copy(VIEW(""), &t->endpoint, err) &&
           manifest_copy(view_str(builtin[i].scope), &t->scope, err) &&
           manifest_copy(view_str(builtin[i].schema), &t->schema, err);
    for (const char *const *tag = builtin[i].tags; good && *tag; tag++)
        good = texts_add(&t->tags, view_str(*tag), err);
    return good;
}

bool manifest_file_tools(struct tool_provider *p, struct err *err)
{
    free(p->tools);
    p->tools = calloc(BUILTIN_COUNT, sizeof *p->tools);
    if (!p->tools)
        return err_set(err, ERR_MEMORY, "no memory for a manifest");
    p->tool_count = BUILTIN_COUNT;
    for (unsigned i = 0; i < BUILTIN_COUNT; i++)
        if (!make(p, i, &p->tools[i], err))
            return false;
    return true;
}

bool manifest_builtin(struct tool_provider **out, struct err *err)
{
    CLEANUP(tool_provider_unref_cleanup) struct tool_provider *p = NULL;

    if (!manifest_provider_new(&p, err))
        return false;
    p->handler = HANDLER_FILES;
    if (!manifest_copy(VIEW("file_manager"), &p->name, err) ||
        !manifest_copy(VIEW("Downloads and uploads files"), &p->description, err) ||
        !manifest_copy(VIEW("file_manager"), &p->category, err) || !manifest_complete(p, err))
        return false;
    *out = take(p);
    return true;
}
