/* upgrade: the opening handshake, from either end (RFC 6455, 4). */
#include "ws/ws.h"

#include "base/codec.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdio.h>

#include <openssl/evp.h>

enum { KEY_SECRET_BYTES = 16, SHA1_BYTES = 20, SHOWN_BYTES = 41 };

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static bool request_ok(const struct http_head *h, struct err *err);
static bool upgrade_ok(const struct http_head *h, struct err *err);
static bool body_absent(const struct http_head *h, struct err *err);
static bool key_ok(struct view key);
static bool one_field(const struct http_head *h, const char *name, struct view *value,
                      struct err *err);
static bool bad_field(const struct http_head *h, const char *name, const char *expected,
                      struct err *err);

enum ws_upgrade ws_upgrade_check(const struct http_head *h, struct view *key, struct err *err)
{
    struct view said, version;

    if (!http_field_has_token(h, VIEW("Upgrade"), VIEW("websocket")) &&
        http_field_count(h, VIEW("Sec-WebSocket-Key")) == 0)
        return WS_UPGRADE_NONE;
    if (!request_ok(h, err) || !upgrade_ok(h, err) || !body_absent(h, err))
        return WS_UPGRADE_BAD;
    if (http_field_count(h, VIEW("Sec-WebSocket-Version")) == 0) {
        (void)bad_field(h, "Sec-WebSocket-Version", "13", err);
        return WS_UPGRADE_VERSION;
    }
    if (!one_field(h, "Sec-WebSocket-Version", &version, err) ||
        !one_field(h, "Sec-WebSocket-Key", &said, err))
        return WS_UPGRADE_BAD;
    if (!view_eq(version, VIEW("13"))) {
        (void)bad_field(h, "Sec-WebSocket-Version", "13", err);
        return WS_UPGRADE_VERSION;
    }
    if (!key_ok(said)) {
        (void)bad_field(h, "Sec-WebSocket-Key", "16 bytes in base64", err);
        return WS_UPGRADE_BAD;
    }
    *key = said;
    return WS_UPGRADE_OK;
}

/* Of a field, when the request line is the first. */
static size_t line_of(size_t index)
{
    return index + 2;
}

static bool request_ok(const struct http_head *h, struct err *err)
{
    struct view host;
    char method[SHOWN_BYTES];

    if (!view_eq(h->method, VIEW("GET"))) {
        (void)text_escape(h->method, SHOWN_BYTES, method, sizeof method);
        return err_set(err, ERR_SYNTAX, "line 1: expected method GET, got %s", method);
    }
    if (h->minor != 1)
        return err_set(err, ERR_SYNTAX, "line 1: expected HTTP/1.1, got HTTP/1.%d", h->minor);
    return one_field(h, "Host", &host, err);
}

/* Every Upgrade field has to name websocket: two that differ are a request for two things, of which
 * a proxy before us may have understood the other. */
static bool upgrade_ok(const struct http_head *h, struct err *err)
{
    if (!http_field_has_token(h, VIEW("Upgrade"), VIEW("websocket")))
        return bad_field(h, "Upgrade", "websocket", err);
    for (size_t i = 0; i < h->count; i++)
        if (view_eq_nocase(h->fields[i].name, VIEW("Upgrade")) &&
            !http_list_has_token(h->fields[i].value, VIEW("websocket")))
            return err_set(err, ERR_SYNTAX,
                           "line %zu: field \"Upgrade\": expected websocket, as in the other",
                           line_of(i));
    if (!http_field_has_token(h, VIEW("Connection"), VIEW("upgrade")))
        return bad_field(h, "Connection", "upgrade", err);
    return true;
}

/* An upgrade has no body. A proxy before us may think that it has one (RFC 9112, 11.2). */
static bool body_absent(const struct http_head *h, struct err *err)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct http_field *field = &h->fields[i];

        if (view_eq_nocase(field->name, VIEW("Transfer-Encoding")))
            return err_set(err, ERR_SYNTAX,
                           "line %zu: field \"Transfer-Encoding\": expected none in an upgrade",
                           line_of(i));
        if (view_eq_nocase(field->name, VIEW("Content-Length")) &&
            !view_eq(field->value, VIEW("0")))
            return err_set(err, ERR_SYNTAX,
                           "line %zu: field \"Content-Length\": expected none in an upgrade, or 0",
                           line_of(i));
    }
    return true;
}

static bool key_ok(struct view key)
{
    uint8_t secret[KEY_SECRET_BYTES];
    size_t len = sizeof secret;

    return key.len == WS_KEY_BYTES && base64_decode(key, secret, &len) && len == sizeof secret;
}

/* *value: of the only field of that name. */
static bool one_field(const struct http_head *h, const char *name, struct view *value,
                      struct err *err)
{
    unsigned count = http_field_count(h, view_str(name));

    if (http_field(h, view_str(name), value))
        return true;
    return err_set(err, ERR_SYNTAX, "field \"%s\": expected one, got %u", name, count);
}

/* Names the first field of that name, when there is one, and shows what it holds. Always false. */
static bool bad_field(const struct http_head *h, const char *name, const char *expected,
                      struct err *err)
{
    char value[SHOWN_BYTES];

    for (size_t i = 0; i < h->count; i++) {
        if (!view_eq_nocase(h->fields[i].name, view_str(name)))
            continue;
        (void)text_escape(h->fields[i].value, SHOWN_BYTES, value, sizeof value);
        return err_set(err, ERR_SYNTAX, "line %zu: field \"%s\": expected %s, got \"%s\"",
                       line_of(i), name, expected, value);
    }
    return err_set(err, ERR_SYNTAX, "expected a field \"%s\" with %s", name, expected);
}

bool ws_accept_key(struct view key, uint8_t out[static WS_ACCEPT_BYTES])
{
    uint8_t input[WS_KEY_BYTES + sizeof guid - 1], digest[SHA1_BYTES];
    char text[BASE64_LEN(SHA1_BYTES) + 1];
    size_t len = sizeof digest;

    _Static_assert(sizeof text == WS_ACCEPT_BYTES + 1, "an accept key is a digest in base64");
    if (key.len != WS_KEY_BYTES)
        return false;
    memcpy(input, key.at, WS_KEY_BYTES);
    memcpy(input + WS_KEY_BYTES, guid, sizeof guid - 1);
    if (EVP_Q_digest(NULL, "SHA1", NULL, input, sizeof input, digest, &len) != 1)
        return false;
    base64_encode((struct view){digest, len}, text);
    memcpy(out, text, WS_ACCEPT_BYTES);
    return true;
}

size_t ws_upgrade_answer(struct view key, struct view subprotocol, uint8_t *out, size_t room)
{
    uint8_t accept[WS_ACCEPT_BYTES];
    char text[512];
    int n;

    if ((subprotocol.len && !http_is_token(subprotocol)) || subprotocol.len > sizeof text / 2 ||
        !ws_accept_key(key, accept))
        return 0;
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\n"
                 "Upgrade: websocket\r\n"
                 "Connection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %.*s\r\n"
                 "%s%.*s%s\r\n",
                 WS_ACCEPT_BYTES, (const char *)accept,
                 subprotocol.len ? "Sec-WebSocket-Protocol: " : "", VIEW_ARG(subprotocol),
                 subprotocol.len ? "\r\n" : "");
    if (n < 0 || (size_t)n >= sizeof text || (size_t)n > room)
        return 0;
    memcpy(out, text, (size_t)n);
    return (size_t)n;
}

bool ws_client_request(struct buf *out, struct view host, struct view target,
                       struct view extra_lines, uint8_t key[static WS_KEY_BYTES], struct err *err)
{
    uint8_t secret[KEY_SECRET_BYTES];
    char text[WS_KEY_BYTES + 1];

    random_bytes(secret, sizeof secret);
    base64_encode((struct view){secret, sizeof secret}, text);
    memcpy(key, text, WS_KEY_BYTES);
    return http_write_request(out, VIEW("GET"), target, err) &&
           http_write_field(out, "Host", host, err) &&
           http_write_field(out, "Upgrade", VIEW("websocket"), err) &&
           http_write_field(out, "Connection", VIEW("Upgrade"), err) &&
           http_write_field(out, "Sec-WebSocket-Version", VIEW("13"), err) &&
           http_write_field(out, "Sec-WebSocket-Key", (struct view){key, WS_KEY_BYTES}, err) &&
           buf_append(out, extra_lines, err) && http_write_end(out, err);
}

bool ws_client_check(const struct http_head *answer, const uint8_t key[static WS_KEY_BYTES],
                     struct err *err)
{
    uint8_t accept[WS_ACCEPT_BYTES];
    struct view said;

    if (answer->status != 101)
        return err_set(err, ERR_DENIED, "line 1: expected status 101, got %d", answer->status);
    if (!http_field_has_token(answer, VIEW("Upgrade"), VIEW("websocket")))
        return bad_field(answer, "Upgrade", "websocket", err);
    if (!http_field_has_token(answer, VIEW("Connection"), VIEW("upgrade")))
        return bad_field(answer, "Connection", "upgrade", err);
    if (http_field_count(answer, VIEW("Sec-WebSocket-Extensions")))
        return bad_field(answer, "Sec-WebSocket-Extensions", "none, as none was offered", err);
    if (!one_field(answer, "Sec-WebSocket-Accept", &said, err))
        return false;
    if (!ws_accept_key((struct view){key, WS_KEY_BYTES}, accept))
        return err_set(err, ERR_INTERNAL, "SHA-1 is not available");
    if (!view_eq(said, (struct view){accept, sizeof accept}))
        return bad_field(answer, "Sec-WebSocket-Accept", "the digest of our key", err);
    return true;
}
