/* gcs: a file into a bucket of Google Cloud Storage, by its JSON interface. */
#include "ati/exec/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ati/exec/credential.h"
#include "ati/exec/place.h"

#include "base/poison.h"

#define ENDPOINT "https://storage.googleapis.com"

enum { URL_BYTES_MAX = CLIENT_URL_BYTES_MAX };

struct gcs {
    struct upload *u;
    struct gcs_token *token;
    struct secret_text authorization;
    struct buf object, url;
    struct client_field fields[2];
};

static void gcs_free(void *sink)
{
    struct gcs *g = sink;

    gcs_token_end(g->token);
    secret_text_done(&g->authorization);
    buf_done(&g->object);
    buf_done(&g->url);
    free(g);
}

bool gcs_object(const char *prefix, int64_t now_s, const uint8_t random[static 16],
                const char *filename, struct buf *out, struct err *err)
{
    struct view folder = view_str(prefix);
    time_t now = (time_t)now_s;
    struct tm day;

    while (folder.len && folder.at[folder.len - 1] == '/')
        folder.len--;
    if (!gmtime_r(&now, &day))
        return err_set(err, ERR_INTERNAL, "the clock is far off");
    return (!folder.len || (buf_append(out, folder, err) && buf_append_byte(out, '/', err))) &&
           buf_appendf(out, err, "%04d-%02d-%02d/", day.tm_year + 1900, day.tm_mon + 1,
                       day.tm_mday) &&
           /* Version 4, variant 1 (RFC 9562, 5.4). */
           buf_appendf(
               out, err, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x-",
               random[0], random[1], random[2], random[3], random[4], random[5],
               (random[6] & 0x0fu) | 0x40u, random[7], (random[8] & 0x3fu) | 0x80u, random[9],
               random[10], random[11], random[12], random[13], random[14], random[15]) &&
           buf_append_str(out, filename, err);
}

static const char *endpoint_of(const struct upload *u)
{
    return u->destination->endpoint ? u->destination->endpoint : ENDPOINT;
}

static bool append_endpoint(const struct upload *u, struct buf *out, struct err *err)
{
    struct view v = view_str(endpoint_of(u));

    while (v.len && v.at[v.len - 1] == '/')
        v.len--;
    return buf_append(out, v, err);
}

/* Where people find it: the object's folders stay folders. */
static bool public_url(const struct gcs *g, struct buf *out, struct err *err)
{
    struct view rest = buf_view(&g->object), segment;

    if (!append_endpoint(g->u, out, err) || !buf_append_byte(out, '/', err) ||
        !place_encode(out, view_str(g->u->destination->bucket), OCTETS_PATH, err))
        return false;
    while (view_next(&rest, '/', &segment))
        if (!buf_append_byte(out, '/', err) || !place_encode(out, segment, OCTETS_PATH, err))
            return false;
    return true;
}

static void stored(void *context, struct client_answer *a)
{
    struct gcs *g = context;
    struct err err;

    g->u->files.call = NULL;
    buf_reset(&g->url);
    if (upload_answer_good(g->u->files.e, a, "storing the object", &err) &&
        public_url(g, &g->url, &err))
        upload_stored(g->u, buf_view(&g->url));
    else
        upload_failed(g->u, err.text);
}

static bool send_object(struct gcs *g, struct err *err)
{
    struct upload *u = g->u;
    const struct view parts[] = {VIEW("Bearer "), gcs_token_value(g->token)};
    struct client_request request = {
        .method = VIEW("POST"),
        .fields = g->fields,
        .field_count = 2,
        .body = view_from(u->bytes, u->size),
        .has_body = true,
        .repeatable = true, /* the same object, by the same name */
        .reach = upload_reach(u),
        .timeout_ms = FILES_UPLOAD_MS,
    };

    if (!append_endpoint(u, &g->url, err) ||
        !buf_append_str(&g->url, "/upload/storage/v1/b/", err) ||
        !place_encode(&g->url, view_str(u->destination->bucket), OCTETS_PATH, err) ||
        !buf_append_str(&g->url, "/o?uploadType=media&name=", err) ||
        !place_encode(&g->url, buf_view(&g->object), OCTETS_PATH, err) ||
        !secret_text_join(&g->authorization, parts, 2, err))
        return false;
    exec_secret(u->files.e, parts[1]);
    g->fields[0] =
        (struct client_field){VIEW("Authorization"), secret_text_view(&g->authorization), true};
    g->fields[1] = (struct client_field){VIEW("Content-Type"), view_str(u->content_type), false};
    request.url = buf_view(&g->url);
    u->files.call = client_collect(u->files.e->executor->client, &request, FILES_ANSWER_BYTES_MAX,
                                   stored, g, err);
    return u->files.call != NULL;
}

static void has_token(void *context, const char *error)
{
    struct gcs *g = context;
    struct err err;

    if (error)
        upload_failed(g->u, error);
    else if (!send_object(g, &err))
        upload_failed(g->u, err.text);
}

bool gcs_store(struct upload *u, struct err *err)
{
    const struct upload_destination *d = u->destination;
    const char *key_ref = d->key_ref ? d->key_ref : "gcp_credentials";
    struct gcs *g = calloc(1, sizeof *g);
    struct view credentials;
    uint8_t random[16];
    bool ready;

    if (!g)
        return err_set(err, ERR_MEMORY, "no memory for an upload");
    g->u = u;
    u->sink = g;
    u->sink_free = gcs_free;
    buf_init(&g->object, URL_BYTES_MAX, "name of the object");
    buf_init(&g->url, URL_BYTES_MAX, "URL of the object");
    random_bytes(random, sizeof random);
    if (!d->bucket)
        return err_set(err, ERR_CONFIG, "destination '%s' names no bucket", d->key);
    if (!keyring_find(u->files.e->request.snapshot->keyring, view_str(key_ref), &credentials))
        return err_set(err, ERR_NOT_FOUND, "API key '%s' not found in keyring", key_ref);
    if (!upload_url_good(view_str(endpoint_of(u)), err))
        return err_in(err, "endpoint of destination '%s'", d->key);
    return gcs_object(d->prefix ? d->prefix : "ati-uploads", clock_wall_ms(&clock_system) / 1000,
                      random, u->filename, &g->object, err) &&
           gcs_token_start(u->files.e, credentials, upload_reach(u), has_token, g, &g->token,
                           &ready, err) &&
           (!ready || send_object(g, err));
}
