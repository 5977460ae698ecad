#include <stdio.h>
#include <stdlib.h>

#include "ati/exec/answer.h"
#include "ati/exec/credential.h"
#include "ati/exec/exec_priv.h"
#include "ati/exec/place.h"

#include "base/poison.h"

enum {
    REDIRECTS_MAX = 10,
    FIELDS_FIXED = 4, /* Accept, Content-Type, traceparent, tracestate */
    HTTP_BAD_GATEWAY = 502,
    HTTP_NOT_FOUND = 404
};

struct http_call {
    struct execution *e;
    struct placement placement;
    struct credential *credential;
    struct client_call *call;
    struct secret_text url; /* with the query's credential */
    struct client_field *fields;
    size_t field_count;
    struct secret_text *expanded; /* values of extra_headers */
    size_t expanded_count;
    struct view host;
    uint64_t started_us;
};

static const struct tool_provider *provider_of(const struct http_call *h)
{
    return h->e->request.tool->provider;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* Of fields with the same name the last one counts: the caller's, then the operator's, then the credential. */
static void set_field(struct http_call *h, struct view name, struct view value, bool secret)
{
    size_t i = 0;

    while (i < h->field_count && !view_eq_nocase(h->fields[i].name, name))
        i++;
    if (i == h->field_count)
        h->field_count++;
    h->fields[i] = (struct client_field){.name = name, .value = value, .secret = secret};
}

/* The operator's own fields; ${entry} is one of the keyring, and what is not there stays as it is written. They may be credentials even
 * without one: not for another origin. */
static bool set_extra(struct http_call *h, const struct text_pair *pair, struct err *err)
{
    const struct keyring *keyring = h->e->request.snapshot->keyring;
    struct secret_text *copy = &h->expanded[h->expanded_count];
    struct view value = view_str(pair->value), expanded;
    char missing[128];
    struct buf text;
    bool good;

    if (view_find_text(value, VIEW("${"))) {
        buf_init(&text, HTTP_HEAD_BYTES_MAX, "extra header");
        good = keyring_expand(keyring, value, KEYRING_MISSING_STAYS, &text, missing, err);
        expanded = buf_view(&text);
        good = good && secret_text_join(copy, &expanded, 1, err);
        buf_wipe(&text);
        if (!good)
            return err_in(err, "extra_headers.%s", pair->name);
        h->expanded_count++;
        value = secret_text_view(copy);
        exec_secret(h->e, value);
    }
    if (view_eq_nocase(view_str(pair->name), VIEW("Host")))
        h->host = value;
    else
        set_field(h, view_str(pair->name), value, true);
    return true;
}

static bool write_fields(struct http_call *h, struct err *err)
{
    const struct exec_request *r = &h->e->request;
    const struct text_pairs *extra = &provider_of(h)->extra_headers;
    const struct client_field *own;
    size_t count = credential_fields(h->credential, &own);

    h->fields =
        calloc(FIELDS_FIXED + h->placement.field_count + extra->count + count, sizeof *h->fields);
    h->expanded = calloc(extra->count + 1, sizeof *h->expanded);
    if (!h->fields || !h->expanded)
        return err_set(err, ERR_MEMORY, "no memory for a request");
    set_field(h, VIEW("Accept"), VIEW("*/*"), false);
    for (size_t i = 0; i < h->placement.field_count; i++)
        set_field(h, view_str(h->placement.fields[i].name), view_str(h->placement.fields[i].value),
                  false);
    if (h->placement.has_body)
        set_field(h, VIEW("Content-Type"), view_str(h->placement.content_type), false);
    if (r->traceparent.len)
        set_field(h, VIEW("traceparent"), r->traceparent, false);
    if (r->traceparent.len && r->tracestate.len)
        set_field(h, VIEW("tracestate"), r->tracestate, false);
    for (size_t i = 0; i < extra->count; i++)
        if (!set_extra(h, &extra->at[i], err))
            return false;
    for (size_t i = 0; i < count; i++)
        set_field(h, own[i].name, own[i].value, true);
    return true;
}

/* The URL, with the credential behind the other parameters. */
static bool write_url(struct http_call *h, struct err *err)
{
    struct view url = buf_view(&h->placement.url), name, value, all;
    struct buf text;
    uint8_t *room;
    bool good;

    if (!credential_query(h->credential, &name, &value))
        return secret_text_join(&h->url, &url, 1, err);
    buf_init(&text, url.len + 2 + 3 * (name.len + value.len), "URL");
    good = buf_room(&text, text.max, &room, err) && /* at once: no copies */
           buf_append(&text, url, err) &&
           buf_append_byte(&text, h->placement.has_query ? '&' : '?', err) &&
           place_encode(&text, name, OCTETS_FORM, err) && buf_append_byte(&text, '=', err) &&
           place_encode(&text, value, OCTETS_FORM, err);
    all = buf_view(&text);
    good = good && secret_text_join(&h->url, &all, 1, err);
    buf_wipe(&text);
    return good;
}

/* --- the answer ------------------------------------------------------------------------------- */

static void refuse(struct http_call *h, int status, struct view body)
{
    char prefix[48];

    (void)snprintf(prefix, sizeof prefix, "API error (%d): ", status);
    exec_fail_text(h->e, EXEC_HTTP, HTTP_BAD_GATEWAY, prefix, body);
}

static void no_records(struct http_call *h)
{
    struct buf value;

    buf_init(&value, EXEC_RESULT_BYTES_MAX, "result");
    (void)!buf_append_str(&value, "{\"records\":[]}", NULL);
    exec_finish(h->e, EXEC_NO_RECORDS, &value);
}

static void take_value(struct http_call *h, struct buf *body)
{
    struct err err;

    body->max = EXEC_RESULT_BYTES_MAX;
    body->what = "result";
    if (answer_value(body, &err))
        exec_finish(h->e, EXEC_OK, body);
    else
        exec_fail_err(h->e, EXEC_HTTP, "HTTP request failed: ", &err);
}

static bool names_host(struct view url, struct view host)
{
    for (size_t at = 0; at + host.len <= url.len; at++)
        if (view_eq_nocase(view_first(view_skip(url, at), host.len), host))
            return true;
    return false;
}

/* The rules refused the provider's address, or that of a redirect. */
static void denied(struct http_call *h, const struct client_end *end)
{
    const char *base = provider_of(h)->base_url, *mark = strstr(end->err.text, ": ");
    struct view who = view_from(end->err.text, mark ? (size_t)(mark - end->err.text) : 0);

    if (!who.len || names_host(view_str(base), who))
        who = view_str(base);
    exec_fail(h->e, EXEC_HTTP, HTTP_BAD_GATEWAY,
              "SSRF protection: URL '%.*s' targets a private/internal network address",
              VIEW_ARG(who));
}

static void answered(void *context, struct client_answer *a)
{
    struct http_call *h = context;

    h->call = NULL;
    h->e->result.upstream_us += clock_monotonic_us() - h->started_us;
    h->e->result.upstream_status = a->status;
    h->e->carried_out = a->status != 0;
    if (a->end.outcome == CLIENT_TIMEOUT)
        h->e->result.unreached = "timeout";
    else if (a->end.outcome != CLIENT_OK && a->end.outcome != CLIENT_DENIED &&
             a->end.outcome != CLIENT_MEMORY)
        h->e->result.unreached = a->end.outcome == CLIENT_CONNECT ? "connect" : "send";
    if (a->end.outcome == CLIENT_DENIED)
        denied(h, &a->end);
    else if (a->end.outcome != CLIENT_OK)
        exec_fail_err(h->e, EXEC_HTTP, "HTTP request failed: ", &a->end.err);
    else if (a->status >= 200 && a->status <= 299)
        take_value(h, &a->body);
    else if (a->status == HTTP_NOT_FOUND && answer_no_records(buf_view(&a->body)))
        no_records(h);
    else
        refuse(h, a->status, buf_view(&a->body));
}

/* --- the request ------------------------------------------------------------------------------ */

static bool send_request(struct http_call *h, struct err *err)
{
    const struct tool *tool = h->e->request.tool;
    struct executor *x = h->e->executor;
    struct client_request request = {
        .method = view_str(tool_method_name(tool->method)),
        .reach = tool->provider->private_network ? CLIENT_ANYWHERE : x->shared->reach,
        .redirects = REDIRECTS_MAX,
        .timeout_ms = EXEC_HTTP_TIMEOUT_MS,
    };

    if (!write_fields(h, err) || !write_url(h, err))
        return false;
    request.url = secret_text_view(&h->url);
    request.host = h->host;
    request.fields = h->fields;
    request.field_count = h->field_count;
    request.body = buf_view(&h->placement.body);
    request.has_body = h->placement.has_body;
    h->started_us = clock_monotonic_us();
    h->call = client_collect(x->client, &request, EXEC_RESULT_BYTES_MAX, answered, h, err);
    return h->call || err_in(err, "HTTP request failed");
}

static void credential_ready(void *context, const char *error)
{
    struct http_call *h = context;
    struct err err;

    if (error && credential_starved(h->credential))
        exec_fail_busy(h->e, EXEC_HTTP, error);
    else if (error)
        exec_fail_text(h->e, EXEC_HTTP, HTTP_BAD_GATEWAY, "", view_str(error));
    else if (!send_request(h, &err))
        exec_fail_err(h->e, EXEC_HTTP, "", &err);
}

static bool start(struct execution *e, struct err *err)
{
    struct http_call *h = calloc(1, sizeof *h);
    bool ready;

    if (!h)
        return err_set(err, ERR_MEMORY, "no memory for a request");
    h->e = e;
    e->state = h;
    return place_arguments(e->request.tool, e->request.arguments, e->executor->shared->memory,
                           &h->placement, err) &&
           credential_start(e, credential_ready, h, &h->credential, &ready, err) &&
           (!ready || send_request(h, err));
}

static void cancel(struct execution *e)
{
    struct http_call *h = e->state;

    if (h->call)
        client_cancel(h->call);
    credential_free(h->credential);
    placement_done(&h->placement);
    secret_text_done(&h->url);
    for (size_t i = 0; i < h->expanded_count; i++)
        secret_text_done(&h->expanded[i]);
    free(h->expanded);
    free(h->fields);
    free(h);
}

const struct exec_handler exec_http = {start, cancel, EXEC_HTTP};
