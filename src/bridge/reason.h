/* reason: why a tunnel was refused or ended. One list: the stable tokens of Close frames, HTTP bodies,
 * logs and metrics, the codes, and the table of the manual come from here. */
#pragma once

/* clang-format off */
/*   enum                  token                    Close  HTTP   meaning */
#define REASON_LIST(X)                                                                              \
    X(NONE,                "none",                  1005,  200, "still open")                       \
    X(TARGET_CLOSED,       "target-closed",         1000,  0,   "the target ended the connection")  \
    X(CLIENT_CLOSED,       "client-closed",         1000,  0,   "the client sent Close")            \
    X(CLIENT_ABORT,        "client-abort",          1006,  0,   "the client went without Close")    \
    X(DRAINING,            "draining",              1001,  503, "this bridge is shutting down")     \
    X(MAX_LIFETIME,        "max-lifetime",          1001,  0,   "the tunnel reached its age limit") \
    X(PROTOCOL_ERROR,      "protocol-error",        1002,  400, "the client broke RFC 6455")        \
    X(INVALID_UTF8,        "invalid-utf8",          1007,  0,   "text that is not UTF-8")           \
    X(TARGET_NOT_ALLOWED,  "target-not-allowed",    1008,  403, "the target is not on the allowlist") \
    X(NO_TARGET,           "no-target",             1008,  403, "no target named, and no default")  \
    X(IDLE_TIMEOUT,        "idle-timeout",          1008,  0,   "no data for too long")             \
    X(PING_TIMEOUT,        "ping-timeout",          1006,  0,   "the client does not answer")       \
    X(STALL_TIMEOUT,       "stall-timeout",         1006,  0,   "a reader made no progress")        \
    X(FIRST_DATA_TIMEOUT,  "first-data-timeout",    1008,  0,   "the client sent no first data")    \
    X(RATE_EXCEEDED,       "rate-exceeded",         1008,  429, "too many connections or frames")   \
    X(BYTES_EXCEEDED,      "bytes-exceeded",        1008,  0,   "the tunnel reached its byte limit") \
    X(ALLOWLIST_CHANGED,   "allowlist-changed",     1008,  0,   "the target was taken off the allowlist") \
    X(FRAME_TOO_BIG,       "frame-too-big",         1009,  0,   "a frame above the limit")          \
    X(INTERNAL,            "internal",              1011,  500, "a fault of this bridge")           \
    X(OVERLOADED,          "overloaded",            1013,  503, "out of connections, descriptors or memory") \
    X(DNS_FAILURE,         "dns-failure",           1014,  502, "the target's name did not resolve") \
    X(CONNECT_REFUSED,     "connect-refused",       1014,  502, "the target refused the connection") \
    X(CONNECT_TIMEOUT,     "connect-timeout",       1014,  504, "the target did not answer")        \
    X(NETWORK_UNREACHABLE, "network-unreachable",   1014,  502, "no route to the target")           \
    X(TARGET_RESET,        "target-reset",          1014,  502, "the target reset the connection")  \
    X(ADDRESS_DENIED,      "address-denied",        1014,  502, "the target resolved to an address that is refused") \
    X(BAD_REQUEST,         "bad-request",           1002,  400, "malformed HTTP or handshake")      \
    X(HEAD_TOO_LARGE,      "head-too-large",        1002,  431, "the request head is too large")    \
    X(NOT_WEBSOCKET,       "not-websocket",         1002,  426, "a plain HTTP request")             \
    X(BAD_VERSION,         "bad-version",           1002,  426, "not WebSocket version 13")         \
    X(HTTP_VERSION,        "http-version",          1002,  505, "not HTTP/1.1")                     \
    X(HANDSHAKE_TIMEOUT,   "handshake-timeout",     1002,  408, "the request took too long")        \
    X(ADDRESS_LIMIT,       "address-limit",         1008,  429, "too many tunnels from one address") \
    X(ADDRESS_REFUSED,     "address-refused",       1008,  403, "the client's address is not admitted") \
    X(ORIGIN_REFUSED,      "origin-refused",        1008,  403, "the page's origin is not admitted") \
    X(HOST_REFUSED,        "host-refused",          1008,  403, "the Host is not one of ours")      \
    X(SUBPROTOCOL_REFUSED, "subprotocol-refused",   1008,  400, "no offered subprotocol is known")  \
    X(UNAUTHORIZED,        "unauthorized",          1008,  401, "credential missing or wrong")      \
    X(PROXY_HEADER,        "proxy-header",          1002,  400, "PROXY header missing, malformed or from an untrusted peer") \
    X(NOT_HTTP,            "not-http",              1002,  0,   "TLS, HTTP/2 or noise on a plain port") \
    X(TLS_FAILED,          "tls-failed",            1002,  0,   "the TLS handshake failed")
/* clang-format on */

enum reason {
#define X(name, token, close_code, http_status, meaning) REASON_##name,
    REASON_LIST(X)
#undef X
        REASON_COUNT
};

const char *reason_token(enum reason r);
int reason_close_code(enum reason r);
int reason_http_status(enum reason r);
const char *reason_meaning(enum reason r);
