#include <stdlib.h>

#include "ati/mcp/mcp_priv.h"
#include "base/codec.h"
#include "http/http.h"

enum { VALUE_BYTES_MAX = 64 * 1024 };

/* What a way is made with. */
struct making {
    struct mcp_way *way;
    const struct tool_provider *provider;
    const struct keyring *keyring;
    const struct mcp_credential *credential; /* NULL: none */
    const char *chosen;                      /* a caller's URL; NULL: none */
    struct err *err;
};

char *mcp_copy(struct view text)
{
    return strndup(text.at ? (const char *)text.at : "", text.len);
}

static void wipe_text(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

void mcp_way_free(struct mcp_way *way)
{
    if (!way)
        return;
    child_environment_done(&way->environment);
    wipe_text(way->url);
    free(way->command);
    for (char **a = way->arguments; a && *a; a++)
        free(*a);
    free(way->arguments);
    for (size_t i = 0; i < way->fields.count; i++) {
        free(way->fields.at[i].name);
        wipe_text(way->fields.at[i].value);
    }
    free(way->fields.at);
    for (size_t i = 0; i < way->secrets.count; i++)
        wipe_text(way->secrets.at[i]);
    free(way->secrets.at);
    mask_free(way->mask);
    free(way);
}

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "MCP transport error: no memory for a connection");
}

/* --- secrets ---------------------------------------------------------------------------------------- */

static bool add_secret(const struct making *m, struct view value)
{
    struct texts *s = &m->way->secrets;
    char **more = reallocarray(s->at, s->count + 1, sizeof *more);

    if (!more)
        return no_memory(m->err);
    s->at = more;
    more[s->count] = mcp_copy(value);
    return more[s->count++] || no_memory(m->err);
}

/* Of "${name}" in text, every value. */
static bool add_secrets_of(const struct making *m, struct view text)
{
    struct view value, name;
    size_t at;

    while ((at = view_find(text, '$')) < text.len) {
        text = view_skip(text, at + 1);
        if (!text.len || text.at[0] != '{')
            continue;
        name = view_skip(text, 1);
        name = view_first(name, view_find(name, '}'));
        if (keyring_find(m->keyring, name, &value) && !add_secret(m, value))
            return false;
    }
    return true;
}

bool mcp_way_mask_new(const struct mcp_way *way, struct mask **out, struct err *err)
{
    struct view *secrets = calloc(way->secrets.count + 1, sizeof *secrets);
    bool good;

    if (!secrets)
        return no_memory(err);
    for (size_t i = 0; i < way->secrets.count; i++)
        secrets[i] = view_str(way->secrets.at[i]);
    good = mask_new(secrets, way->secrets.count, out, NULL) || no_memory(err);
    free(secrets);
    return good;
}

bool mcp_way_mask(const struct mcp_way *way, struct buf *text, bool json, struct err *err)
{
    return mask_text(way->mask, text, json, json ? MASK_VALUE_BYTES_MIN : MASK_ERROR_BYTES_MIN,
                     err);
}

/* --- values ----------------------------------------------------------------------------------------- */

/* "${name}" in their places. out is wiped by the caller. */
static bool expand(const struct making *m, const char *text, enum keyring_missing how,
                   struct buf *out)
{
    char missing[128];

    return add_secrets_of(m, view_str(text)) &&
           keyring_expand(m->keyring, view_str(text), how, out, missing, m->err);
}

static bool add_variable(const struct making *m, const struct text_pair *p)
{
    struct buf value;
    bool good;

    buf_init(&value, VALUE_BYTES_MAX, "a variable of mcp_env");
    good = expand(m, p->value, KEYRING_MISSING_ENDS, &value) &&
           child_environment_set(&m->way->environment, view_str(p->name), buf_view(&value), m->err);
    buf_wipe(&value);
    return good;
}

static bool add_field(const struct making *m, const char *name, struct view value)
{
    struct text_pairs *f = &m->way->fields;
    struct text_pair *more = reallocarray(f->at, f->count + 1, sizeof *more);

    if (!more)
        return no_memory(m->err);
    f->at = more;
    more[f->count] = (struct text_pair){strdup(name), mcp_copy(value)};
    f->count++;
    return (more[f->count - 1].name && more[f->count - 1].value) || no_memory(m->err);
}

/* Those that the protocol writes are its own. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {
        "content-type",  "accept",         "mcp-session-id", "mcp-protocol-version",
        "last-event-id", "content-length", "host",           "connection"};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (view_eq_nocase(view_str(name), view_str(ours[i])))
            return true;
    return false;
}

static bool add_extra_field(const struct making *m, const struct text_pair *p)
{
    struct buf value;
    bool good;

    if (is_ours(p->name))
        return true;
    buf_init(&value, VALUE_BYTES_MAX, "a header of extra_headers");
    good = expand(m, p->value, KEYRING_MISSING_STAYS, &value) &&
           add_field(m, p->name, buf_view(&value));
    buf_wipe(&value);
    return good;
}

/* prefix and key together. */
static bool add_prefixed(const struct making *m, const char *prefix, struct view key)
{
    const char *name =
        m->provider->auth_header_name ? m->provider->auth_header_name : "Authorization";
    struct buf value;
    bool good;

    buf_init(&value, VALUE_BYTES_MAX, "a credential");
    good = add_secret(m, key) && buf_append_str(&value, prefix, m->err) &&
           buf_append(&value, key, m->err) && add_field(m, name, buf_view(&value));
    buf_wipe(&value);
    return good;
}

/* The key as a user's name, without a password (RFC 7617). */
static bool add_basic(const struct making *m, struct view key)
{
    struct buf pair, code;
    uint8_t *room;
    bool good;

    buf_init(&pair, VALUE_BYTES_MAX, "a credential");
    buf_init(&code, (size_t)2 * VALUE_BYTES_MAX, "a credential");
    good = add_secret(m, key) && buf_append(&pair, key, m->err) &&
           buf_append_byte(&pair, ':', m->err) &&
           buf_room(&code, (buf_len(&pair) + 2) / 3 * 4 + 1, &room, m->err);
    if (good) {
        base64_encode(buf_view(&pair), (char *)room);
        buf_wrote(&code, strlen((char *)room));
        good = add_prefixed(m, "Basic ", buf_view(&code));
    }
    buf_wipe(&pair);
    buf_wipe(&code);
    buf_done(&pair);
    buf_done(&code);
    return good;
}

/* A key that is not there: nothing is sent, and the server says what it thinks of that. */
static bool add_key(const struct making *m)
{
    const struct tool_provider *p = m->provider;
    struct view key;

    if (!p->auth_key_name ||
        (p->auth != AUTH_BEARER && p->auth != AUTH_HEADER && p->auth != AUTH_BASIC))
        return true;
    m->way->keyless = !keyring_find(m->keyring, view_str(p->auth_key_name), &key);
    if (m->way->keyless)
        return true;
    if (p->auth == AUTH_BEARER)
        return add_prefixed(m, "Bearer ", key);
    if (p->auth == AUTH_HEADER)
        return add_prefixed(m, p->auth_value_prefix ? p->auth_value_prefix : "", key);
    return add_basic(m, key);
}

static bool add_generated(const struct making *m)
{
    const struct tool_provider *p = m->provider;
    const struct mcp_credential *c = m->credential;
    const char *prefix = p->auth == AUTH_BEARER                           ? "Bearer "
                         : p->auth == AUTH_HEADER && p->auth_value_prefix ? p->auth_value_prefix
                                                                          : "";
    char name[256];

    if (c->token.len && !add_prefixed(m, prefix, c->token)) /* none: all of it goes elsewhere */
        return false;
    for (size_t i = 0; i < c->field_count; i++) {
        if (c->fields[i].name.len >= sizeof name)
            continue;
        memcpy(name, c->fields[i].name.at, c->fields[i].name.len);
        name[c->fields[i].name.len] = '\0';
        if (!is_ours(name) &&
            (!add_secret(m, c->fields[i].value) || !add_field(m, name, c->fields[i].value)))
            return false;
    }
    return true;
}

/* --- the two ways ----------------------------------------------------------------------------------- */

static bool make_stdio(const struct making *m, char **ours)
{
    static const char *const seen[] = {"PATH", "HOME", NULL};
    const struct tool_provider *p = m->provider;
    const struct mcp_credential *c = m->credential;
    struct mcp_way *way = m->way;

    if (!p->mcp_command)
        return err_set(m->err, ERR_CONFIG,
                       "Missing MCP configuration: mcp_command required for stdio transport");
    way->command = strdup(p->mcp_command);
    way->arguments = calloc(p->mcp_args.count + 1, sizeof *way->arguments);
    if (!way->command || !way->arguments)
        return no_memory(m->err);
    for (size_t i = 0; i < p->mcp_args.count; i++)
        if (!(way->arguments[i] = strdup(p->mcp_args.at[i])))
            return no_memory(m->err);
    if (!child_environment_init(&way->environment, ours, seen, m->err))
        return false;
    for (size_t i = 0; i < p->mcp_env.count; i++)
        if (!add_variable(m, &p->mcp_env.at[i]))
            return false;
    if (!c)
        return true;
    if (c->token.len &&
        (!add_secret(m, c->token) ||
         !child_environment_set(&way->environment, VIEW("ATI_AUTH_TOKEN"), c->token, m->err)))
        return false;
    for (size_t i = 0; i < c->field_count; i++)
        if (!add_secret(m, c->fields[i].value) ||
            !child_environment_set(&way->environment, c->fields[i].name, c->fields[i].value,
                                   m->err))
            return false;
    return true;
}

static bool make_http(const struct making *m, enum client_reach reach)
{
    const struct tool_provider *p = m->provider;
    struct buf url;
    bool good;

    m->way->reach = p->private_network ? CLIENT_ANYWHERE : reach;
    if (!m->chosen && !p->mcp_url)
        return err_set(m->err, ERR_CONFIG,
                       "Missing MCP configuration: mcp_url required for HTTP transport");
    buf_init(&url, CLIENT_URL_BYTES_MAX, "mcp_url");
    /* A caller's has no placeholders: they would be a way to the keyring. */
    good = m->chosen ? buf_append_str(&url, m->chosen, m->err)
                     : expand(m, p->mcp_url, KEYRING_MISSING_ENDS, &url);
    if (good) {
        m->way->url = mcp_copy(buf_view(&url));
        good = m->way->url || no_memory(m->err);
    }
    buf_wipe(&url);
    if (!good || !(m->credential ? add_generated(m) : add_key(m)))
        return false;
    for (size_t i = 0; i < p->extra_headers.count; i++)
        if (!add_extra_field(m, &p->extra_headers.at[i]))
            return false;
    return true;
}

/* Texts with a NUL behind each, so that no two ways read alike. */
static bool take_print(const struct mcp_way *way, const char *name,
                       uint8_t out[static SHA256_BYTES], struct err *err)
{
    struct buf all;
    bool good;

    buf_init(&all, SIZE_MAX / 2, "a connection");
#define ADD(text) (buf_append_str(&all, text, err) && buf_append_byte(&all, '\0', err))
    good = ADD(name) && ADD(way->own ? "own" : "") && ADD(way->command ? way->command : "") &&
           ADD(way->url ? way->url : "");
    for (char **a = way->arguments; good && a && *a; a++)
        good = ADD(*a);
    for (size_t i = 0; good && i < way->environment.count; i++)
        good = ADD("env") && ADD(way->environment.list[i]);
    for (size_t i = 0; good && i < way->fields.count; i++)
        good = ADD(way->fields.at[i].name) && ADD(way->fields.at[i].value);
#undef ADD
    good = good && buf_append_byte(&all, (uint8_t)way->reach, err);
    good = good && (secret_sha256(buf_view(&all).at, buf_len(&all), out) || no_memory(err));
    buf_wipe(&all);
    return good;
}

bool mcp_way_new(const struct tool_provider *provider, const struct keyring *keyring,
                 const struct mcp_credential *credential, const char *url,
                 const struct mcp_hub_options *options, struct mcp_way **out, struct err *err)
{
    struct mcp_way *way = calloc(1, sizeof *way);
    struct making m = {way, provider, keyring, credential, url, err};
    const char *transport = provider->mcp_transport ? provider->mcp_transport : "stdio";
    bool good;

    if (!way)
        return no_memory(err);
    way->http = strcmp(transport, "http") == 0;
    way->own = credential || url;
    if (way->http)
        good = make_http(&m, options->reach);
    else if (strcmp(transport, "stdio") == 0)
        good = make_stdio(&m, options->environment);
    else
        good = err_set(
            err, ERR_CONFIG,
            "Missing MCP configuration: Unknown MCP transport: '%s' (expected 'stdio' or 'http')",
            transport);
    if (good && mcp_way_mask_new(way, &way->mask, err) &&
        take_print(way, provider->name, way->fingerprint, err)) {
        *out = way;
        return true;
    }
    mcp_way_free(way);
    return false;
}

/* --- manifests -------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_texts(const struct texts *a, const struct texts *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_text(a->at[i], b->at[i]))
            return false;
    return true;
}

static bool same_pairs(const struct text_pairs *a, const struct text_pairs *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_text(a->at[i].name, b->at[i].name) || !same_text(a->at[i].value, b->at[i].value))
            return false;
    return true;
}

bool mcp_way_same(const struct tool_provider *a, const struct tool_provider *b)
{
    return a->handler == b->handler && same_text(a->mcp_transport, b->mcp_transport) &&
           same_text(a->mcp_command, b->mcp_command) && same_text(a->mcp_url, b->mcp_url) &&
           same_text(a->mcp_url_env, b->mcp_url_env) && same_texts(&a->mcp_args, &b->mcp_args) &&
           same_pairs(&a->mcp_env, &b->mcp_env) &&
           same_pairs(&a->extra_headers, &b->extra_headers) && a->auth == b->auth &&
           same_text(a->auth_key_name, b->auth_key_name) &&
           same_text(a->auth_header_name, b->auth_header_name) &&
           same_text(a->auth_value_prefix, b->auth_value_prefix) &&
           !a->generator == !b->generator && a->private_network == b->private_network;
}
