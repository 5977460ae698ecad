/* fal: a file into fal.ai's storage: a token for its CDN, and the file to where the token's answer says. */
#include "ati/exec/files.h"

#include <stdlib.h>

#include "ati/exec/credential.h"

#include "base/poison.h"

#define ENDPOINT "https://rest.alpha.fal.ai"

enum { ANSWER_VALUES_MAX = 256 };

struct fal {
    struct upload *u;
    struct secret_text authorization, url, token;
    struct client_field fields[3];
};

static void fal_free(void *sink)
{
    struct fal *f = sink;

    secret_text_done(&f->authorization);
    secret_text_done(&f->token);
    secret_text_done(&f->url);
    free(f);
}

static bool text_of(const struct json_doc *doc, const char *name, struct secret_text *out,
                    struct err *err)
{
    uint32_t at = json_member(doc, 0, name);

    return (at && json_string_new(doc, at, &out->at, &out->len) && out->len) ||
           err_set(err, ERR_SYNTAX, "the answer has no %s", name);
}

static bool join_url(struct view base, const char *path, struct secret_text *out, struct err *err)
{
    struct view parts[] = {base, view_str(path)};

    while (parts[0].len && parts[0].at[parts[0].len - 1] == '/')
        parts[0].len--;
    return secret_text_join(out, parts, 2, err);
}

/* --- the file --- */

static void stored(void *context, struct client_answer *a)
{
    struct fal *f = context;
    struct upload *u = f->u;
    struct secret_text url = {NULL, 0};
    struct json_tree tree;
    struct err err;
    bool good = upload_answer_good(f->u->files.e, a, "storing the file", &err);

    u->files.call = NULL;
    if (good) {
        good = json_load_loose(buf_view(&a->body), ANSWER_VALUES_MAX, &tree, NULL) ||
               err_set(&err, ERR_SYNTAX, "the answer is no JSON");
        if (good) {
            good = text_of(&tree.doc, "access_url", &url, &err);
            json_unload(&tree);
        }
        if (!good)
            (void)err_in(&err, "storing the file");
    }
    if (good)
        upload_stored(u, secret_text_view(&url));
    else
        upload_failed(u, err.text);
    secret_text_done(&url);
}

static bool send_file(struct fal *f, struct err *err)
{
    struct upload *u = f->u;
    /* Where it goes is what a stranger answered: over TLS, and never inside, whatever the settings. */
    struct client_request request = {
        .method = VIEW("POST"),
        .url = secret_text_view(&f->url),
        .fields = f->fields,
        .field_count = 3,
        .body = view_from(u->bytes, u->size),
        .has_body = true,
        .reach = CLIENT_PUBLIC,
        .timeout_ms = FILES_UPLOAD_MS,
    };

    f->fields[0] = (struct client_field){VIEW("Authorization"), secret_text_view(&f->token), true};
    f->fields[1] = (struct client_field){VIEW("X-Fal-File-Name"), view_str(u->filename), false};
    f->fields[2] = (struct client_field){VIEW("Content-Type"), view_str(u->content_type), false};
    u->files.call = client_collect(u->files.e->executor->client, &request, FILES_ANSWER_BYTES_MAX,
                                   stored, f, err);
    return u->files.call != NULL;
}

/* --- the token --- */

static bool read_token(struct fal *f, struct view body, struct err *err)
{
    struct secret_text token = {NULL, 0}, type = {NULL, 0}, base = {NULL, 0};
    struct view parts[3];
    struct http_url url;
    struct json_tree tree;
    char shown[FILES_URL_SHOWN];
    bool good;

    if (!json_load_loose(body, ANSWER_VALUES_MAX, &tree, NULL))
        return err_set(err, ERR_SYNTAX, "the answer is no JSON");
    good = text_of(&tree.doc, "token", &token, err) &&
           text_of(&tree.doc, "token_type", &type, err) &&
           text_of(&tree.doc, "base_url", &base, err);
    json_unload(&tree);
    if (good) {
        parts[0] = secret_text_view(&type);
        parts[1] = VIEW(" ");
        parts[2] = secret_text_view(&token);
        good = secret_text_join(&f->token, parts, 3, err);
    }
    if (good) {
        exec_secret(f->u->files.e, view_skip(secret_text_view(&f->token), type.len + 1));
        secret_text_done(&f->url);
        good = http_url_split(secret_text_view(&base), &url, err) &&
               join_url(secret_text_view(&base), "/files/upload", &f->url, err) &&
               (url.https || err_set(err, ERR_DENIED, "refusing non-HTTPS URL from server: %s",
                                     files_url_shown(f->url.at, shown)));
    }
    secret_text_done(&token);
    secret_text_done(&type);
    secret_text_done(&base);
    return good;
}

static void has_token(void *context, struct client_answer *a)
{
    struct fal *f = context;
    struct err err;
    bool good = upload_answer_good(f->u->files.e, a, "getting a token", &err);

    f->u->files.call = NULL;
    if (good && !read_token(f, buf_view(&a->body), &err))
        good = err_in(&err, "getting a token");
    buf_wipe(&a->body);
    if (!good || !send_file(f, &err))
        upload_failed(f->u, err.text);
}

static bool ask_token(struct fal *f, struct err *err)
{
    struct upload *u = f->u;
    struct client_request request = {
        .method = VIEW("POST"),
        .url = secret_text_view(&f->url),
        .fields = f->fields,
        .field_count = 2,
        .body = VIEW("{}"),
        .repeatable = true,
        .reach = upload_reach(u),
        .timeout_ms = FILES_UPLOAD_MS,
    };

    f->fields[0] =
        (struct client_field){VIEW("Authorization"), secret_text_view(&f->authorization), true};
    f->fields[1] = (struct client_field){VIEW("Content-Type"), VIEW("application/json"), false};
    u->files.call = client_collect(u->files.e->executor->client, &request, FILES_ANSWER_BYTES_MAX,
                                   has_token, f, err);
    return u->files.call != NULL;
}

bool fal_store(struct upload *u, struct err *err)
{
    const struct upload_destination *d = u->destination;
    const char *key_ref = d->key_ref ? d->key_ref : "fal_api_key";
    const char *endpoint = d->endpoint ? d->endpoint : ENDPOINT;
    struct fal *f = calloc(1, sizeof *f);
    struct view parts[2] = {VIEW("Key ")};

    if (!f)
        return err_set(err, ERR_MEMORY, "no memory for an upload");
    f->u = u;
    u->sink = f;
    u->sink_free = fal_free;
    if (!keyring_find(u->files.e->request.snapshot->keyring, view_str(key_ref), &parts[1]))
        return err_set(err, ERR_NOT_FOUND, "API key '%s' not found in keyring", key_ref);
    exec_secret(u->files.e, parts[1]);
    if (!upload_url_good(view_str(endpoint), err))
        return err_in(err, "endpoint of destination '%s'", d->key);
    return secret_text_join(&f->authorization, parts, 2, err) &&
           join_url(view_str(endpoint), "/storage/auth/token?storage_type=fal-cdn-v3", &f->url,
                    err) &&
           ask_token(f, err);
}
