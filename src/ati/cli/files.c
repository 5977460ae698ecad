#include <stdlib.h>

#include "ati/cli/run.h"
#include "ati/exec/exec.h"
#include "base/codec.h"
#include "base/file.h"

#include "base/poison.h"

enum { FILE_BYTES_MAX = 1024 * 1024 * 1024 };

enum run_files run_files_kind(struct view tool)
{
    /* With '_' as it is resolved, too. */
    if (view_eq(tool, VIEW("file_manager:download")) ||
        view_eq(tool, VIEW("file_manager_download")))
        return RUN_FILES_DOWNLOAD;
    if (view_eq(tool, VIEW("file_manager:upload")) || view_eq(tool, VIEW("file_manager_upload")))
        return RUN_FILES_UPLOAD;
    return RUN_FILES_NONE;
}

/* Members of an object that pass, as they stand. */
typedef bool choose(const char *name);

static bool copy_members(struct json_writer *w, const struct json_doc *doc, choose *passes)
{
    uint32_t key = json_first(0);

    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        uint32_t value = doc->tokens[key].next;
        char *name;
        size_t len;

        if (!json_string_new(doc, key, &name, &len))
            return false;
        if (passes(name)) {
            json_key(w, name);
            json_raw(w, json_source(doc, value));
        }
        free(name);
        key = doc->tokens[value].next;
    }
    return true;
}

static bool of_download(const char *name)
{
    return strcmp(name, "out") != 0 && strcmp(name, "inline") != 0;
}

static bool of_upload(const char *name)
{
    return strcmp(name, "destination") == 0;
}

static bool of_answer(const char *name)
{
    return strcmp(name, "content_base64") != 0 && strcmp(name, "path") != 0;
}

/* A string of the arguments, or NULL; the caller's. */
static char *text_of(const struct json_doc *doc, const char *name)
{
    uint32_t token = json_member(doc, 0, name);
    char *text;
    size_t len;

    return token && json_string_new(doc, token, &text, &len) ? text : NULL;
}

/* As it is named, or as a flag writes it. */
static char *text_of_either(const struct json_doc *doc, const char *name, const char *flag)
{
    char *text = text_of(doc, name);

    return text ? text : text_of(doc, flag);
}

static bool put_file(struct json_writer *w, const char *path, struct err *err)
{
    struct buf content;
    struct err why;
    char *text = NULL;
    bool good;

    buf_init(&content, FILE_BYTES_MAX, "file");
    good = file_read(path, &content, &why) || err_set(err, why.code, "failed to read %s", why.text);
    if (good) {
        text = malloc(BASE64_LEN(buf_len(&content)) + 1);
        good = text || err_set(err, ERR_MEMORY, "%s", path);
    }
    if (good) {
        base64_encode(buf_view(&content), text);
        json_key(w, "content_base64");
        json_text(w, view_str(text));
    }
    free(text);
    buf_done(&content);
    return good;
}

static bool upload(const struct json_doc *doc, struct json_writer *w, struct err *err)
{
    char *path = text_of(doc, "path"), *name = text_of_either(doc, "object_name", "object-name"),
         *type = text_of_either(doc, "content_type", "content-type");
    const char *base = path ? strrchr(path, '/') : NULL;
    bool good;

    if (!path) {
        (void)err_set(err, ERR_USAGE, "missing required --path");
        good = false;
    } else {
        good = copy_members(w, doc, of_upload);
        json_key(w, "filename");
        json_text(w, view_str(name ? name : base ? base + 1 : path));
        json_key(w, "content_type");
        json_text(w, view_str(type ? type : exec_media_type(view_str(path))));
        good = good && put_file(w, path, err);
    }
    free(path);
    free(name);
    free(type);
    return good;
}

bool run_files_arguments(enum run_files kind, struct view map, struct buf *out, char **out_path,
                         struct err *err)
{
    struct json_tree tree;
    struct json_writer w;
    bool good;

    *out_path = NULL;
    if (!json_load_loose(map, UINT32_MAX, &tree, err))
        return false;
    json_begin(&w, out);
    json_object(&w);
    if (kind == RUN_FILES_UPLOAD)
        good = upload(&tree.doc, &w, err);
    else
        good = copy_members(&w, &tree.doc, of_download) ||
               err_set(err, ERR_USAGE, "an argument cannot be read");
    json_object_end(&w);
    good = good && json_end(&w, err);
    if (good && kind == RUN_FILES_DOWNLOAD)
        *out_path = text_of(&tree.doc, "out");
    json_unload(&tree);
    return good;
}

bool run_files_answer(struct view answer, const char *out_path, struct buf *out, struct err *err)
{
    struct json_tree tree;
    struct json_writer w;
    char *content;
    size_t bytes;
    bool good;

    if (!out_path)
        return buf_append(out, answer, err);
    if (!json_load_loose(answer, UINT32_MAX, &tree, err))
        return false;
    content = text_of(&tree.doc, "content_base64");
    good = content ? run_write_file(out_path, view_str(content), &bytes, err)
                   : err_set(err, ERR_SYNTAX, "the answer to a download without its content");
    free(content);
    json_begin(&w, out);
    json_object(&w);
    good = good && (copy_members(&w, &tree.doc, of_answer) ||
                    err_set(err, ERR_SYNTAX, "the answer to a download cannot be read"));
    json_key(&w, "path");
    json_text(&w, view_str(out_path));
    json_object_end(&w);
    json_unload(&tree);
    return good && json_end(&w, err);
}
