#include "ati/cli/remote.h"

#include <stdio.h>
#include <stdlib.h>

#include "ati/cli/claims.h"
#include "ati/cli/work.h"
#include "ati/token/token.h"
#include "base/json.h"
#include "base/secret.h"

#include "base/poison.h"

enum {
    URL_BYTES_MAX = CLIENT_URL_BYTES_MAX,
    TOKEN_FIELD_BYTES_MAX = 64 * 1024,
    HTTP_UNAUTHORISED = 401
};

#define SCHEME "Bearer "

struct remote {
    struct cli_work work;
    struct buf url, credential;
    struct view upstream;
    struct buf *answer, *error;
    bool good;
};

bool remote_encode(struct view value, struct buf *out, struct err *err)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.at[i];

        if (memchr(plain, c, sizeof plain - 1) ? !buf_append_byte(out, c, err)
                                               : !buf_appendf(out, err, "%%%02X", c))
            return false;
    }
    return true;
}

/* The error as it reads: a string raw, others as JSON. */
static bool put_error(const struct json_doc *doc, uint32_t token, struct buf *error)
{
    char *text;
    size_t len;
    bool good;

    if (!json_string_new(doc, token, &text, &len))
        return json_render(doc, token, JSON_COMPACT, true, error, NULL);
    good = buf_append(error, view_from(text, len), NULL);
    free(text);
    return good;
}

bool remote_judge(int status, struct view body, struct buf *error)
{
    struct json_tree tree;
    struct err err;
    uint32_t told;
    bool good = false;

    if (status < 200 || status > 299) {
        (void)(buf_appendf(error, NULL, "Proxy error (%d): ", status) &&
               buf_append(error, body, NULL));
        return false;
    }
    if (!json_load_loose(body, UINT32_MAX, &tree, &err)) {
        (void)!buf_appendf(error, NULL, "Proxy returned invalid response: %s", err.text);
        return false;
    }
    told = json_member(&tree.doc, 0, "error");
    if (!told || tree.doc.tokens[told].kind == JSON_NULL)
        good = true;
    else
        (void)(buf_appendf(error, NULL, "Proxy error (%d): ", status) &&
               put_error(&tree.doc, told, error));
    json_unload(&tree);
    return good;
}

static bool has_expired(struct view token)
{
    struct cli_claims claims;
    bool over = cli_claims_read(&claims, token, NULL) && claims.expires_s &&
                clock_wall_ms(&clock_system) / 1000 > claims.expires_s;

    cli_claims_done(&claims);
    return over;
}

/* The proxy says no more than its status. */
static void tell_unauthorised(const struct remote *r, int status)
{
    const char *why = "the proxy wants a session token: set ATI_SESSION_TOKEN or "
                      "ATI_SESSION_TOKEN_FILE";

    if (status != HTTP_UNAUTHORISED)
        return;
    if (buf_len(&r->credential))
        why = has_expired(view_skip(buf_view(&r->credential), strlen(SCHEME)))
                  ? "this session token has expired: whoever runs the proxy issues another one"
                  : "the proxy does not take this session token: its log says why; \"ati auth "
                    "status\" shows what it is";
    log_event(r->work.cli->log, LOG_WARN, "cli.unauthorised", why);
}

/* Where a person looks next. The URL is not shown: it may hold a password. */
static void tell_unreachable(const struct remote *r, enum client_outcome outcome)
{
    if (outcome == CLIENT_CONNECT || outcome == CLIENT_TIMEOUT || outcome == CLIENT_BROKEN)
        log_event(r->work.cli->log, LOG_WARN, "cli.unreachable",
                  "no answer from the proxy: does \"ati proxy\" run where ATI_PROXY_URL says?");
}

static void collected(void *context, struct client_answer *answer)
{
    struct remote *r = context;

    if (answer->end.outcome == CLIENT_OK) {
        tell_unauthorised(r, answer->status);
        r->good = remote_judge(answer->status, buf_view(&answer->body), r->error);
        if (r->good) {
            *r->answer = answer->body;
            buf_init(&answer->body, 0, "answer");
        }
    } else {
        tell_unreachable(r, answer->end.outcome);
        (void)!buf_appendf(r->error, NULL, "Proxy request failed: %s%s",
                           answer->end.outcome == CLIENT_TIMEOUT ? "timeout: " : "",
                           answer->end.err.text);
    }
    cli_work_finish(&r->work);
}

/* ATI_PROXY_URL without its trailing slashes, and the path. */
static bool find_url(struct remote *r, const struct cli *cli, struct view path, struct err *err)
{
    struct view base = view_str(cli->proxy_url);

    if (!view_starts(base, VIEW("http://")) && !view_starts(base, VIEW("https://")))
        return err_set(err, ERR_USAGE,
                       "Proxy request failed: ATI_PROXY_URL begins with neither http:// nor "
                       "https://: write for example http://127.0.0.1:8090");
    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    return buf_append(&r->url, base, err) && buf_append(&r->url, path, err);
}

/* "Bearer {token}"; empty without a token. */
static bool find_credential(struct remote *r, const struct cli *cli, struct err *err)
{
    struct buf token;
    bool good;

    buf_init(&token, TOKEN_BYTES_MAX, "session token");
    good = token_session(cli->environment, &token, err) &&
           (!buf_len(&token) || (buf_append_str(&r->credential, SCHEME, err) &&
                                 buf_append(&r->credential, buf_view(&token), err)));
    buf_wipe(&token);
    return good;
}

static bool send_request(struct remote *r, const char *method, struct view body, struct err *err)
{
    struct client_field fields[3];
    struct client_request request = {.method = view_str(method),
                                     .url = buf_view(&r->url),
                                     .fields = fields,
                                     .body = body,
                                     .has_body = body.len > 0,
                                     .reach = CLIENT_ANYWHERE,
                                     .timeout_ms = REMOTE_MS};
    struct client_call *call;

    if (body.len)
        fields[request.field_count++] =
            (struct client_field){.name = VIEW("Content-Type"), .value = VIEW("application/json")};
    if (buf_len(&r->credential))
        fields[request.field_count++] = (struct client_field){
            .name = VIEW("Authorization"), .value = buf_view(&r->credential), .secret = true};
    if (r->upstream.len)
        fields[request.field_count++] =
            (struct client_field){.name = VIEW("X-Ati-Upstream-Url"), .value = r->upstream};
    call = client_collect(r->work.client, &request, REMOTE_BYTES_MAX, collected, r, err);
    if (!call || cli_work_run(&r->work, err))
        return call != NULL;
    if (!r->work.finished) /* what it was lent goes away */
        client_cancel(call);
    return false;
}

enum remote_outcome cli_remote(const struct cli *cli, const char *method, struct view path,
                               struct view body, struct view upstream, const char *label,
                               struct buf *answer, struct buf *error, int *status)
{
    struct remote r = {.upstream = upstream, .answer = answer, .error = error};
    struct err err = {.code = ERR_NONE};
    enum remote_outcome outcome;

    buf_init(&r.url, URL_BYTES_MAX, "ATI_PROXY_URL");
    buf_init(&r.credential, TOKEN_FIELD_BYTES_MAX, "session token");
    if (find_url(&r, cli, path, &err) && find_credential(&r, cli, &err) &&
        cli_work_open(&r.work, cli, label, &err) && send_request(&r, method, body, &err))
        outcome = r.good ? REMOTE_OK : REMOTE_FAILED;
    else if (r.work.signo)
        outcome = REMOTE_SIGNAL;
    else
        outcome = REMOTE_FAILED;
    *status = cli_work_status(&r.work);
    cli_work_close(&r.work);
    if (outcome == REMOTE_FAILED && !buf_len(error))
        (void)!buf_append_str(error, err.text, NULL);
    buf_wipe(&r.credential);
    buf_done(&r.url);
    return outcome;
}
