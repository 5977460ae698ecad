/* download: somebody else's file, as base64. What comes is encoded at once, so that it is held once. */
#include "ati/exec/files.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum {
    REDIRECTS_MAX = 10,
    FIELDS_MAX = 64,
    HTTP_BAD_REQUEST = 400,
    HTTP_FORBIDDEN = 403,
    HTTP_TOO_LARGE = 413,
    HTTP_BAD_GATEWAY = 502,
    STATUS_LEAST = 400,
    STATUS_MOST = 599,
    TAIL_BYTES = 64 * 1024, /* of the result, beside content and URL */
    TIMEOUT_S_MAX = 24 * 3600
};

static const char content_key[] = "{\"content_base64\":\"";

struct download {
    struct files_call files;
    char *url, *content_type;
    uint64_t max, size;
    struct client_field fields[FIELDS_MAX + 1]; /* and Accept */
    char *names[FIELDS_MAX], *values[FIELDS_MAX];
    size_t field_count;
    bool accepts; /* a field of the caller's says what */
    const char *allowlist;
    char *not_listed; /* the host that the allowlist refused */
    int status;
    struct buf json; /* from "{" to the content so far */
    uint8_t carry[3];
    size_t carry_len;
    uint8_t shown[FILES_SHOWN_BYTES]; /* of an answer that is none */
    size_t shown_len;
};

static void download_free(struct files_call *f)
{
    struct download *d = (struct download *)(void *)f;

    for (size_t i = 0; i < d->field_count; i++) {
        if (d->values[i])
            secret_wipe(d->values[i], strlen(d->values[i]));
        free(d->names[i]);
        free(d->values[i]);
    }
    buf_done(&d->json);
    free(d->not_listed);
    free(d->content_type);
    free(d->url);
    free(d);
}

/* --- fields --- */

static bool refuse(struct download *d, const char *name, const char *why)
{
    char shown[128];

    (void)text_escape(view_str(name), 64, shown, sizeof shown);
    exec_fail(d->files.e, EXEC_FILES, HTTP_BAD_REQUEST, "Invalid extra header '%s': %s", shown,
              why);
    return false;
}

static bool among(struct view name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (view_eq_nocase(name, view_str(names[i])))
            return true;
    return false;
}

static bool add_field(struct download *d, char *name, char *value)
{
    static const char *const ours[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection",
                                       "Proxy-Authorization"};
    /* What may follow a redirect to another origin; all else may be a credential. */
    static const char *const harmless[] = {"Accept", "Accept-Language", "Range", "User-Agent"};
    size_t n = d->field_count++;

    d->names[n] = name;
    d->values[n] = value;
    if (!name || !value)
        return files_memory(&d->files);
    d->fields[n] =
        (struct client_field){view_str(name), view_str(value),
                              !among(view_str(name), harmless, sizeof harmless / sizeof *harmless)};
    d->accepts = d->accepts || view_eq_nocase(view_str(name), VIEW("Accept"));
    if (among(view_str(name), ours, sizeof ours / sizeof *ours))
        return refuse(d, name, "header is not allowed");
    if (!http_is_token(view_str(name)))
        return refuse(d, name, "header name contains invalid characters");
    return http_is_value(view_str(value)) ||
           refuse(d, name, "header value contains invalid characters");
}

static char *value_of(const struct json_doc *doc, uint32_t at)
{
    struct view span = json_span(doc, at);
    char *text;
    size_t len;

    switch (doc->tokens[at].kind) {
    case JSON_STRING:
        return json_string_new(doc, at, &text, &len) ? text : NULL;
    case JSON_NUMBER:
    case JSON_BOOL:
        return strndup((const char *)span.at, span.len);
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return NULL;
}

static bool bad_headers(struct download *d, const char *why)
{
    exec_fail(d->files.e, EXEC_FILES, HTTP_BAD_REQUEST, "Invalid argument 'headers': %s", why);
    return false;
}

static bool fields_of(struct download *d, const struct json_doc *doc, uint32_t object)
{
    uint32_t key = json_first(object);

    if (doc->tokens[object].kind != JSON_OBJECT)
        return bad_headers(d, "must be a JSON object or JSON string");
    if (doc->tokens[object].count > FIELDS_MAX)
        return bad_headers(d, "expected at most 64 of them");
    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t value = doc->tokens[key].next;
        char *name;
        size_t len;

        if (!json_string_new(doc, key, &name, &len))
            return bad_headers(d, "a name holds a NUL or half a character");
        if (doc->tokens[value].kind == JSON_NULL || doc->tokens[value].kind == JSON_ARRAY ||
            doc->tokens[value].kind == JSON_OBJECT) {
            exec_fail(
                d->files.e, EXEC_FILES, HTTP_BAD_REQUEST,
                "Invalid argument 'headers': value for '%s' must be a string, number, or bool",
                name);
            free(name);
            return false;
        }
        if (!add_field(d, name, value_of(doc, value)))
            return false;
        key = doc->tokens[value].next;
    }
    return true;
}

/* An object, or its text. */
static bool read_fields(struct download *d)
{
    const struct json_doc *doc = &d->files.arguments.doc;
    uint32_t at = files_find(&d->files, "headers");
    struct json_tree tree;
    char *text;
    bool good;

    if (!at)
        return true;
    if (doc->tokens[at].kind != JSON_STRING)
        return fields_of(d, doc, at);
    if (!files_text(&d->files, "headers", false, &text))
        return false;
    if (!text)
        return true;
    good = json_load_loose(view_str(text), UINT32_MAX, &tree, NULL);
    if (good) {
        good = fields_of(d, &tree.doc, 0);
        json_unload(&tree);
    } else {
        (void)bad_headers(d, "invalid JSON");
    }
    secret_wipe(text, strlen(text));
    free(text);
    return good;
}

/* --- where to --- */

static bool matches(struct view pattern, struct view host)
{
    if (view_eq(pattern, VIEW("*")))
        return true;
    if (!view_starts(pattern, VIEW("*.")))
        return view_eq_nocase(pattern, host);
    pattern = view_skip(pattern, 1); /* ".d" */
    return view_eq_nocase(view_skip(pattern, 1), host) ||
           (host.len > pattern.len &&
            view_eq_nocase(view_skip(host, host.len - pattern.len), pattern));
}

bool download_allowed(const char *list, struct view host)
{
    struct view rest = view_str(list), pattern;
    bool any = false;

    if (host.len && host.at[host.len - 1] == '.')
        host.len--;
    while (view_next(&rest, ',', &pattern)) {
        pattern = text_trim(pattern);
        any = any || pattern.len;
        if (pattern.len && matches(pattern, host))
            return true;
    }
    return !any;
}

static bool judge(void *context, struct view host, struct err *err)
{
    struct download *d = context;
    bool brackets = view_find(host, ':') < host.len;
    char text[HOST_BYTES_MAX + 3];

    /* An IPv6 literal may stand in the list as in a URL, or alone. */
    (void)snprintf(text, sizeof text, brackets ? "[%.*s]" : "%.*s", VIEW_ARG(host));
    if (download_allowed(d->allowlist, view_str(text)) ||
        (brackets && download_allowed(d->allowlist, host)))
        return true;
    free(d->not_listed);
    d->not_listed = strdup(text);
    return err_set(err, ERR_DENIED, "not on the list");
}

/* --- the answer --- */

static void stop(struct download *d)
{
    client_cancel(d->files.call);
    d->files.call = NULL;
}

static void too_large(struct download *d)
{
    exec_fail(d->files.e, EXEC_FILES, HTTP_TOO_LARGE, "Response exceeds max-bytes (%llu bytes)",
              (unsigned long long)d->max);
}

static void not_good(struct download *d)
{
    char url[FILES_URL_SHOWN], prefix[FILES_URL_SHOWN + 64];
    int status = d->status < STATUS_LEAST  ? STATUS_LEAST
                 : d->status > STATUS_MOST ? STATUS_MOST
                                           : d->status;

    (void)snprintf(prefix, sizeof prefix, "Upstream returned status %d for '%s': ", d->status,
                   files_url_shown(d->url, url));
    exec_fail_text(d->files.e, EXEC_FILES, status, prefix, view_from(d->shown, d->shown_len));
}

static bool good_status(const struct download *d)
{
    return d->status >= 200 && d->status <= 299;
}

static void head(void *context, const struct http_head *h)
{
    struct download *d = context;
    struct view type, length;
    uint64_t announced = 0;
    bool good = true;
    uint8_t *room;

    d->status = h->status;
    d->files.e->result.upstream_status = h->status;
    d->files.e->carried_out = true;
    if (!good_status(d))
        return;
    if (http_field(h, VIEW("Content-Type"), &type)) {
        d->content_type = strndup((const char *)type.at, type.len);
        good = d->content_type != NULL;
    }
    if (http_field(h, VIEW("Content-Length"), &length))
        (void)!text_u64(length, INT64_MAX, true, &announced);
    if (announced > d->max) {
        stop(d);
        too_large(d);
    } else if (!good || !buf_append_str(&d->json, content_key, NULL) ||
               !buf_room(&d->json, BASE64_LEN((size_t)announced) + 1, &room, NULL)) {
        stop(d);
        (void)!files_memory(&d->files);
    }
}

static bool encode(struct download *d, struct view v)
{
    uint8_t *room;

    if (!buf_room(&d->json, BASE64_LEN(v.len) + 1, &room, NULL))
        return false;
    base64_encode(v, (char *)room);
    buf_wrote(&d->json, BASE64_LEN(v.len));
    return true;
}

/* Three bytes are four characters; what is over waits. */
static bool add(struct download *d, struct view piece)
{
    size_t whole;

    while (d->carry_len && d->carry_len < sizeof d->carry && piece.len) {
        d->carry[d->carry_len++] = piece.at[0];
        piece = view_skip(piece, 1);
    }
    if (d->carry_len == sizeof d->carry) {
        if (!encode(d, view_from(d->carry, sizeof d->carry)))
            return false;
        d->carry_len = 0;
    }
    if (d->carry_len)
        return true;
    whole = piece.len - piece.len % sizeof d->carry;
    d->carry_len = piece.len - whole;
    memcpy(d->carry, piece.at + whole, d->carry_len);
    return !whole || encode(d, view_first(piece, whole));
}

static void piece(void *context, struct view v)
{
    struct download *d = context;

    if (!good_status(d)) {
        size_t room = sizeof d->shown - d->shown_len, n = v.len < room ? v.len : room;

        memcpy(d->shown + d->shown_len, v.at, n);
        d->shown_len += n;
        if (d->shown_len < sizeof d->shown)
            return;
        stop(d);
        not_good(d);
    } else if (v.len > d->max - d->size) {
        stop(d);
        too_large(d);
    } else {
        d->size += v.len;
        if (add(d, v))
            return;
        stop(d);
        (void)!files_memory(&d->files);
    }
}

/* The members behind the content, in the order of their names. */
static bool write_rest(struct download *d)
{
    struct json_writer w;
    struct buf tail;
    bool good;

    buf_init(&tail, TAIL_BYTES + 6 * strlen(d->url), "result");
    json_begin(&w, &tail);
    json_object(&w);
    json_key(&w, "content_type");
    if (d->content_type)
        json_text(&w, view_str(d->content_type));
    else
        json_null(&w);
    json_key(&w, "size_bytes");
    json_u64(&w, d->size);
    json_key(&w, "source_url");
    json_text(&w, view_str(d->url));
    json_key(&w, "success");
    json_bool(&w, true);
    json_object_end(&w);
    good = json_end(&w, NULL) && encode(d, view_from(d->carry, d->carry_len)) &&
           buf_append_str(&d->json, "\",", NULL) &&
           buf_append(&d->json, view_skip(buf_view(&tail), 1), NULL);
    buf_done(&tail);
    return good;
}

static void failed(struct download *d, const struct client_end *end)
{
    struct execution *e = d->files.e;
    char url[FILES_URL_SHOWN];

    (void)files_url_shown(d->url, url);
    if (d->not_listed)
        exec_fail(e, EXEC_FILES, HTTP_FORBIDDEN, "Host '%s' is not in the download allowlist",
                  d->not_listed);
    else if (end->outcome == CLIENT_DENIED)
        exec_fail(e, EXEC_FILES, HTTP_FORBIDDEN,
                  "URL is not allowed (private/internal address): %s", url);
    else if (end->outcome == CLIENT_URL)
        exec_fail(e, EXEC_FILES, HTTP_BAD_GATEWAY, "Invalid URL: %s", end->err.text);
    else
        exec_fail(e, EXEC_FILES, HTTP_BAD_GATEWAY, "HTTP error fetching '%s': %s", url,
                  end->err.text);
}

static void done(void *context, const struct client_end *end)
{
    struct download *d = context;

    d->files.call = NULL;
    if (end->outcome != CLIENT_OK)
        failed(d, end);
    else if (!good_status(d))
        not_good(d);
    else if (write_rest(d))
        exec_finish(d->files.e, EXEC_OK, &d->json);
    else
        (void)!files_memory(&d->files);
}

static bool ask(struct download *d, uint64_t timeout_s, bool follows, struct err *err)
{
    static const struct client_receiver receiver = {head, piece, done};
    const struct execution *e = d->files.e;
    const struct exec_shared *shared = e->executor->shared;
    struct client_request request = {
        .method = VIEW("GET"),
        .url = view_str(d->url),
        .fields = d->fields,
        .field_count = d->field_count,
        .reach = shared->reach,
        .judge = judge,
        .judge_context = d,
        .redirects = follows ? REDIRECTS_MAX : 0,
        .timeout_ms = (timeout_s < TIMEOUT_S_MAX ? timeout_s : TIMEOUT_S_MAX) * 1000,
    };

    if (!d->accepts)
        d->fields[request.field_count++] =
            (struct client_field){VIEW("Accept"), VIEW("*/*"), false};
    d->allowlist = exec_variable(shared->environment, "ATI_DOWNLOAD_ALLOWLIST");
    d->files.call = client_start(e->executor->client, &request, &receiver, d, err);
    return d->files.call != NULL;
}

bool download_start(struct execution *e, struct err *err)
{
    struct download *d = calloc(1, sizeof *d);
    uint64_t timeout_s;

    if (!d)
        return err_set(err, ERR_MEMORY, "no memory for a download");
    d->files.e = e;
    d->files.free = download_free;
    e->state = &d->files;
    if (!json_load_loose(e->request.arguments, UINT32_MAX, &d->files.arguments, err))
        return false;
    if (!files_text(&d->files, "url", true, &d->url) ||
        !files_number(&d->files, "max_bytes", FILES_DOWNLOAD_BYTES, &d->max) ||
        !files_number(&d->files, "timeout", FILES_DOWNLOAD_S, &timeout_s) || !read_fields(d))
        return true; /* it has failed */
    d->max = d->max < FILES_BYTES_MAX ? d->max : FILES_BYTES_MAX;
    buf_init(&d->json, BASE64_LEN((size_t)d->max) + (size_t)2 * TAIL_BYTES + 6 * strlen(d->url),
             "result");
    buf_count(&d->json, e->executor->shared->memory);
    return ask(d, timeout_s, files_bool(&d->files, "follow_redirects", true), err);
}
