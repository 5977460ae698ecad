/* upload: a caller's file to where the operator allows it. */
#include "ati/exec/files.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum {
    HTTP_BAD_REQUEST = 400,
    HTTP_FORBIDDEN = 403,
    HTTP_TOO_LARGE = 413,
    HTTP_BAD_GATEWAY = 502,
    HTTP_UNAVAILABLE = 503,
    SLICE_CHARACTERS = 1024 * 1024, /* a multiple of four: decoded in one turn of the loop */
    RESULT_BYTES_MAX = 64 * 1024
};

static void upload_free(struct files_call *f)
{
    struct upload *u = (struct upload *)(void *)f;

    task_cancel(f->e->executor->loop, &u->slice);
    if (u->sink)
        u->sink_free(u->sink);
    free(u->bytes);
    budget_give(f->e->executor->shared->memory, u->held);
    free(u->text_copy);
    free(u->filename);
    free(u->content_type);
    free(u);
}

char *upload_filename(const char *given, int64_t now_ms)
{
    struct view all = view_str(given);
    char *out = malloc(all.len + 32);
    size_t n = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < all.len; i++) {
        uint8_t c = all.at[i];

        if (c == '/' || c == '\\')
            n = 0;
        else if (c >= 0x20 && c != 0x7f)
            out[n++] = (char)c;
    }
    out[n] = '\0';
    if (n == 0 || strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
        (void)snprintf(out, all.len + 32, "upload-%lld", (long long)now_ms);
    return out;
}

/* --- the end --- */

void upload_failed(struct upload *u, const char *text)
{
    exec_fail_text(u->files.e, EXEC_FILES, HTTP_BAD_GATEWAY, "Upload failed: ", view_str(text));
}

void upload_stored(struct upload *u, struct view url)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, RESULT_BYTES_MAX + 6 * (url.len + strlen(u->content_type)), "result");
    json_begin(&w, &json);
    json_object(&w);
    json_key(&w, "content_type");
    json_text(&w, view_str(u->content_type));
    json_key(&w, "destination");
    json_text(&w, view_str(u->destination->key));
    json_key(&w, "size_bytes");
    json_u64(&w, u->size);
    json_key(&w, "success");
    json_bool(&w, true);
    json_key(&w, "url");
    json_text(&w, url);
    json_object_end(&w);
    u->files.e->carried_out = true;
    if (json_end(&w, NULL))
        exec_finish(u->files.e, EXEC_OK, &json);
    else
        (void)!files_memory(&u->files);
    buf_done(&json);
}

bool upload_answer_good(const struct execution *e, const struct client_answer *a, const char *doing,
                        struct err *err)
{
    char shown[FILES_SHOWN_BYTES / 2];

    if (a->end.outcome != CLIENT_OK)
        return err_set(err, a->end.err.code, "%s: %s", doing, a->end.err.text);
    if (a->status >= 200 && a->status <= 299)
        return true;
    return err_set(err, ERR_DENIED, "%s: HTTP %d: %s", doing, a->status,
                   exec_shown(e, buf_view(&a->body), sizeof shown, shown, sizeof shown));
}

bool upload_url_good(struct view url, struct err *err)
{
    struct http_url u;

    return http_url_split(url, &u, err) &&
           (u.https || client_name_private(u.host) ||
            err_set(err, ERR_DENIED, "credentials are sent over https:// alone"));
}

enum client_reach upload_reach(const struct upload *u)
{
    const struct execution *e = u->files.e;

    return e->request.tool->provider->private_network ? CLIENT_ANYWHERE
                                                      : e->executor->shared->reach;
}

/* --- its bytes --- */

static void store(struct upload *u)
{
    const char *kind = u->destination->kind;
    struct err err = {0};
    bool good;

    if (kind && strcmp(kind, "gcs") == 0)
        good = gcs_store(u, &err);
    else if (kind && strcmp(kind, "fal_storage") == 0)
        good = fal_store(u, &err);
    else
        good = err_set(&err, ERR_CONFIG, "destination '%s' has kind '%s', not gcs or fal_storage",
                       u->destination->key, kind ? kind : "");
    if (!good)
        upload_failed(u, err.text);
}

/* A slice that is not the last one has no padding. */
static bool decode_slice(struct upload *u, struct view slice, bool last)
{
    size_t n = slice.len / 4 * 3;

    if (!base64_decode(slice, u->bytes + u->size, &n) || (!last && n != slice.len / 4 * 3))
        return false;
    u->text_at += slice.len;
    u->size += n;
    return true;
}

static void decode(struct loop *loop, struct task *task)
{
    struct upload *u = (struct upload *)(void *)((char *)task - offsetof(struct upload, slice));
    struct view rest = view_skip(u->text, u->text_at), slice = view_first(rest, SLICE_CHARACTERS);

    if (slice.len && !decode_slice(u, slice, slice.len == rest.len))
        exec_fail(u->files.e, EXEC_FILES, HTTP_BAD_REQUEST,
                  "Invalid base64 in upload payload: in the %zu characters from %zu", slice.len,
                  u->text_at);
    else if (slice.len < rest.len)
        task_queue_long(loop, task);
    else
        store(u);
}

/* The text where it stands, for it may be large; unless it was written with escapes. */
static bool read_content(struct upload *u)
{
    struct json_doc *doc = &u->files.arguments.doc;
    uint32_t at = files_find(&u->files, "content_base64");

    if (at && doc->tokens[at].kind == JSON_STRING) {
        u->text = json_span(doc, at);
        if (view_find(u->text, '\\') == u->text.len)
            return true;
    }
    if (!files_text(&u->files, "content_base64", true, &u->text_copy))
        return false;
    u->text = view_str(u->text_copy);
    return true;
}

static bool take_content(struct upload *u)
{
    if (!read_content(u))
        return false;
    if (u->text.len > BASE64_LEN((size_t)FILES_BYTES_MAX)) {
        exec_fail(u->files.e, EXEC_FILES, HTTP_TOO_LARGE, "Upload exceeds %d bytes",
                  FILES_BYTES_MAX);
        return false;
    }
    if (!budget_take(u->files.e->executor->shared->memory, u->text.len / 4 * 3 + 1))
        return files_memory(&u->files);
    u->held = u->text.len / 4 * 3 + 1;
    u->bytes = malloc(u->held);
    return u->bytes || files_memory(&u->files);
}

/* --- where to --- */

static bool choose(struct upload *u)
{
    struct execution *e = u->files.e;
    const struct tool_provider *p = e->request.tool->provider;
    char *named;
    const char *key;

    if (!p->upload_destination_count) {
        exec_fail(e, EXEC_FILES, HTTP_UNAVAILABLE,
                  "Upload destinations not configured on the proxy — set "
                  "[provider.upload_destinations] in the file_manager manifest");
        return false;
    }
    if (!files_text(&u->files, "destination", false, &named))
        return false;
    key = named ? named : p->upload_default_destination;
    for (size_t i = 0; key && i < p->upload_destination_count; i++)
        if (strcmp(p->upload_destinations[i].key, key) == 0)
            u->destination = &p->upload_destinations[i];
    if (!u->destination && named)
        exec_fail(e, EXEC_FILES, HTTP_FORBIDDEN,
                  "Unknown upload destination '%s' — not in the operator's allowlist", named);
    else if (!u->destination)
        exec_fail(e, EXEC_FILES, HTTP_UNAVAILABLE,
                  "Upload destinations not configured on the proxy — no destination was named, and "
                  "upload_default_destination is not set");
    free(named);
    return u->destination != NULL;
}

static bool name_it(struct upload *u)
{
    char *given, *type;

    if (!files_text(&u->files, "filename", true, &given))
        return false;
    u->filename = upload_filename(given, clock_wall_ms(&clock_system));
    free(given);
    if (!u->filename)
        return files_memory(&u->files);
    if (!files_text(&u->files, "content_type", false, &type))
        return false;
    u->content_type = type ? type : strdup(exec_media_type(view_str(u->filename)));
    if (!u->content_type)
        return files_memory(&u->files);
    if (http_is_value(view_str(u->content_type)))
        return true;
    exec_fail(u->files.e, EXEC_FILES, HTTP_BAD_REQUEST,
              "Invalid argument 'content_type': it holds a control character");
    return false;
}

bool upload_start(struct execution *e, struct err *err)
{
    struct upload *u = calloc(1, sizeof *u);

    if (!u)
        return err_set(err, ERR_MEMORY, "no memory for an upload");
    u->files.e = e;
    u->files.free = upload_free;
    e->state = &u->files;
    task_init(&u->slice, decode);
    if (!json_load_loose(e->request.arguments, UINT32_MAX, &u->files.arguments, err))
        return false;
    if (name_it(u) && take_content(u) && choose(u))
        task_queue_long(e->executor->loop, &u->slice);
    return true; /* or it has failed */
}
