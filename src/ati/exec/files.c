/* files: which of the two, and what their arguments have in common. */
#include "ati/exec/files.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#include "base/poison.h"

enum {
    HTTP_BAD_REQUEST = 400,
    HTTP_NOT_FOUND = 404,
    HTTP_BAD_GATEWAY = 502,
    HTTP_UNAVAILABLE = 503
};

static bool start(struct execution *e, struct err *err)
{
    struct view name = view_str(e->request.tool->name);
    struct view verb = view_skip(name, view_find_last(name, ':') + 1);

    if (view_eq(verb, VIEW("download")))
        return download_start(e, err);
    if (view_eq(verb, VIEW("upload")))
        return upload_start(e, err);
    exec_fail(e, EXEC_FILES, HTTP_NOT_FOUND, "Unknown file_manager tool: '%s'",
              e->request.tool->name);
    return true;
}

static void cancel(struct execution *e)
{
    struct files_call *f = e->state;

    if (f->call)
        client_cancel(f->call);
    json_unload(&f->arguments);
    f->free(f);
}

const struct exec_handler exec_files = {start, cancel, EXEC_FILES};

bool files_memory(struct files_call *f)
{
    f->e->result.busy = !f->e->carried_out;
    if (f->e->carried_out)
        exec_fail(f->e, EXEC_FILES, HTTP_BAD_GATEWAY, EXEC_CARRIED_OUT);
    else
        exec_fail(f->e, EXEC_FILES, HTTP_UNAVAILABLE,
                  "no memory left for the file; try again when others have ended");
    return false;
}

static bool invalid(struct files_call *f, const char *name, const char *why)
{
    exec_fail(f->e, EXEC_FILES, HTTP_BAD_REQUEST, "Invalid argument '%s': %s", name, why);
    return false;
}

uint32_t files_find(const struct files_call *f, const char *name)
{
    const struct json_doc *doc = &f->arguments.doc;
    uint32_t at = doc->count ? json_member(doc, 0, name) : 0;
    char flag[FILES_NAME_BYTES];

    if (doc->count && !at && strlen(name) < sizeof flag) {
        (void)stpcpy(flag, name);
        for (char *c = flag; *c; c++)
            if (*c == '_')
                *c = '-';
        at = json_member(doc, 0, flag);
    }
    return at && doc->tokens[at].kind != JSON_NULL ? at : 0;
}

/* In place. */
static void trim(char *text)
{
    struct view all = view_str(text), rest = text_trim(all);

    memmove(text, text + (rest.at - all.at), rest.len);
    text[rest.len] = '\0';
}

bool files_missing(struct files_call *f, const char *name)
{
    exec_fail(f->e, EXEC_FILES, HTTP_BAD_REQUEST, "Missing required argument: %s", name);
    return false;
}

bool files_text(struct files_call *f, const char *name, bool required, char **out)
{
    const struct json_doc *doc = &f->arguments.doc;
    uint32_t at = files_find(f, name);
    size_t len;

    *out = NULL;
    if (at && doc->tokens[at].kind == JSON_STRING) {
        if (!json_string_new(doc, at, out, &len))
            return invalid(f, name, "holds a NUL or half a character");
        trim(*out);
        if ((*out)[0])
            return true;
        free(*out);
        *out = NULL;
    }
    return !required || files_missing(f, name);
}

bool files_number(struct files_call *f, const char *name, uint64_t fallback, uint64_t *out)
{
    const struct json_doc *doc = &f->arguments.doc;
    uint32_t at = files_find(f, name);
    bool text;

    *out = fallback;
    if (!at)
        return true;
    text = doc->tokens[at].kind == JSON_STRING;
    if ((!text && doc->tokens[at].kind != JSON_NUMBER) ||
        !text_u64(text_trim(json_span(doc, at)), INT64_MAX, true, out))
        return invalid(f, name,
                       text ? "invalid digit found in string" : "must be a positive integer");
    return *out > 0 || invalid(f, name, "must be > 0");
}

bool files_bool(const struct files_call *f, const char *name, bool fallback)
{
    const struct json_doc *doc = &f->arguments.doc;
    uint32_t at = files_find(f, name);
    bool value = fallback;

    if (at && !json_boolean(doc, at, &value) &&
        (doc->tokens[at].kind != JSON_STRING || !text_bool(json_span(doc, at), &value)))
        return fallback;
    return value;
}

const char *files_url_shown(const char *url, char out[static FILES_URL_SHOWN])
{
    struct view all = view_str(url), rest, authority;
    size_t start = 0, at;

    for (size_t i = 0; i + 2 < all.len && !start; i++)
        if (memcmp(all.at + i, "://", 3) == 0)
            start = i + 3;
    rest = view_skip(all, start);
    for (at = 0; at < rest.len && !strchr("/?#", rest.at[at]); at++)
        ;
    authority = view_first(rest, at);
    rest = view_skip(rest, at);
    at = view_find_last(authority, '@');
    if (at < authority.len)
        authority = view_skip(authority, at + 1);
    rest = view_first(rest, view_find(rest, '?'));
    rest = view_first(rest, view_find(rest, '#'));
    (void)snprintf(out, FILES_URL_SHOWN, "%.*s%.*s%.*s", (int)start, url, VIEW_ARG(authority),
                   VIEW_ARG(rest));
    return out;
}
