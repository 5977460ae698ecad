#include "ati/exec/grant.h"

#include "ati/exec/credential.h"
#include "base/check.h"
#include "base/json.h"

#include "base/poison.h"

enum { ANSWER_VALUES_MAX = 1024, SHOWN_MAX = 200 };

void grant_field(struct grant *g, struct view name, struct view value, bool secret)
{
    CHECK(g->field_count < GRANT_FIELDS_MAX);
    g->fields[g->field_count++] = (struct client_field){name, value, secret};
}

static bool token_of(const struct grant *g, struct view body, struct secret_text *token,
                     uint64_t *keep_ms, struct err *err)
{
    const struct grant_kind *kind = g->kind;
    int64_t expires_s = kind->expires_s;
    struct json_tree tree;
    uint32_t at, expires;
    bool good;

    if (!json_load_loose(body, ANSWER_VALUES_MAX, &tree, err))
        return err_in(err, "%s: the answer", kind->doing);
    at = json_member(&tree.doc, 0, "access_token");
    expires = json_member(&tree.doc, 0, "expires_in");
    good = at && json_string_new(&tree.doc, at, &token->at, &token->len);
    if (good && !token->len) {
        secret_text_done(token);
        good = false;
    }
    if (expires && !json_integer(&tree.doc, expires, &expires_s))
        expires_s = kind->expires_s;
    if (expires_s > kind->expires_most_s)
        expires_s = kind->expires_most_s;
    json_unload(&tree);
    *keep_ms = expires_s > GRANT_MARGIN_S ? (uint64_t)(expires_s - GRANT_MARGIN_S) * 1000 : 0;
    return good || err_set(err, ERR_SYNTAX, "%s: the answer has no access_token", kind->doing);
}

static bool read_answer(struct grant *g, const struct client_answer *a, struct err *err)
{
    struct secret_text token = {NULL, 0};
    char shown[SHOWN_MAX * 4 + 8];
    uint64_t keep_ms = 0;
    bool good;

    if (a->end.outcome != CLIENT_OK)
        return err_set(err, a->end.err.code, "%s: %s", g->kind->doing, a->end.err.text);
    if (a->status < 200 || a->status > 299)
        return err_set(err, ERR_DENIED, "%s: HTTP %d: %s", g->kind->doing, a->status,
                       exec_shown(g->e, buf_view(&a->body), SHOWN_MAX, shown, sizeof shown));
    good = token_of(g, buf_view(&a->body), &token, &keep_ms, err) &&
           flight_land(g->flight, secret_text_view(&token), keep_ms, err);
    secret_text_done(&token);
    return good;
}

static void request_done(struct grant *g)
{
    if (g->call)
        client_cancel(g->call);
    g->call = NULL;
    buf_wipe(&g->body);
}

static void answered(void *context, struct client_answer *a)
{
    struct grant *g = context;
    struct err err;
    bool good = read_answer(g, a, &err);

    g->call = NULL;
    buf_wipe(&a->body);
    request_done(g);
    if (!good)
        flight_fail(g->flight, view_str(err.text));
    g->done(g->context, good ? NULL : err.text);
}

static bool fetch(struct grant *g, struct err *err)
{
    struct client_request request = {
        .method = VIEW("POST"),
        .url = g->url,
        .fields = g->fields,
        .has_body = true,
        .repeatable = true,
        .reach = g->reach,
        .timeout_ms = g->kind->timeout_ms,
    };

    g->field_count = 0;
    grant_field(g, VIEW("Content-Type"), VIEW("application/x-www-form-urlencoded"), false);
    grant_field(g, VIEW("Accept"), VIEW("application/json"), false);
    if (!g->kind->write(g, err))
        return false;
    request.field_count = g->field_count;
    request.body = buf_view(&g->body);
    g->call =
        client_collect(g->e->executor->client, &request, GRANT_ANSWER_BYTES_MAX, answered, g, err);
    return g->call || err_in(err, "%s", g->kind->doing);
}

static bool fetch_or_fail(struct grant *g, struct err *err)
{
    if (fetch(g, err))
        return true;
    request_done(g);
    flight_fail(g->flight, view_str(err->text));
    return false;
}

static void told(void *context, enum flight_news news, struct view text)
{
    struct grant *g = context;
    struct err err;

    if (news != FLIGHT_FETCH)
        g->done(g->context, news == FLIGHT_VALUE ? NULL : (const char *)text.at);
    else if (!fetch_or_fail(g, &err))
        g->done(g->context, err.text);
}

bool grant_start(struct grant *g, const uint8_t key[static FLIGHT_KEY_BYTES], bool *ready,
                 struct err *err)
{
    struct executor *x = g->e->executor;
    enum flight_news news;

    if (!flight_ask(x->shared->tokens, x->loop, key, told, g, &g->flight, &news, err))
        return false;
    *ready = news == FLIGHT_VALUE;
    return news != FLIGHT_FETCH || fetch_or_fail(g, err);
}

struct view grant_token(const struct grant *g)
{
    return flight_value(g->flight);
}

void grant_end(struct grant *g)
{
    request_done(g);
    flight_end(g->flight);
    g->flight = NULL;
}
