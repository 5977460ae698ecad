#include "bridge/config.h"

#include "base/text.h"

#include <stddef.h>
#include <unistd.h>

/* clang-format off */
#define AT(field) offsetof(struct config, field)
#define TEXT(name, group, field, fallback, value, help) \
    {name, group, SETTING_TEXT, AT(field), fallback, 0, 0, NULL, value, help}
#define LIST(name, group, field, fallback, value, help) \
    {name, group, SETTING_LIST, AT(field), fallback, 0, 0, NULL, value, help}
#define FLAG(name, group, field, help) \
    {name, group, SETTING_BOOL, AT(field), "false", 0, 0, NULL, NULL, help}
#define CHOICE(name, group, field, fallback, choices, help) \
    {name, group, SETTING_CHOICE, AT(field), fallback, 0, 0, choices, NULL, help}
#define NUMBER(name, group, field, fallback, least, most, help) \
    {name, group, SETTING_U32, AT(field), fallback, least, most, NULL, NULL, help}
#define TIME(name, group, field, fallback, most, help) \
    {name, group, SETTING_DURATION, AT(field), fallback, 0, most, NULL, NULL, help}
#define SIZE(name, group, field, fallback, least, most, help) \
    {name, group, SETTING_SIZE, AT(field), fallback, least, most, NULL, NULL, help}

#define HOUR (3600ull * 1000)
#define YEAR (366ull * 24 * 3600 * 1000)
#define DAYS (24ull * 3600 * 1000)

#define MAIN "Where to listen, where to connect"
#define ACCESS "Who may connect"
#define ANSWERS "How clients are answered"
#define REACH "Reaching the target"
#define DATA "Data path"
#define LIMITS "Limits (0 turns one off)"
#define TIMERS "Timers (0 turns one off)"
#define TLS_ "TLS towards clients (wss)"
#define LIFE "Operation"

static const struct setting rows[] = {
    LIST("listen", MAIN, listen, "127.0.0.1:9000", "ADDR", "Addresses to listen on: host:port, [v6]:port, :port, unix:PATH[;mode=0660], unix:@NAME, fd:N, systemd"),
    TEXT("target", MAIN, target, "127.0.0.1:8443", "HOST:PORT", "Target when the request names none; must be on the allowlist"),
    LIST("allowlist", MAIN, allowlist, NULL, "LIST", "Permitted targets, host:port, separated by commas (required, here or as a file)"),
    TEXT("allowlist-file", MAIN, allowlist_file, NULL, "FILE", "More permitted targets: commas or lines, '#' comments; read again on SIGHUP"),
    FLAG("allow-empty", MAIN, allow_empty, "Start with an empty allowlist and refuse everything"),
    FLAG("lax-allowlist", MAIN, lax_allowlist, "Warn of malformed allowlist entries instead of refusing to start"),
    FLAG("allow-patterns", MAIN, allow_patterns, "Accept *.example.com:443, 10.0.0.0/8:8443 and host:8000-8010 on the allowlist"),
    FLAG("cidr-names", MAIN, cidr_names, "CIDR entries also admit names that resolve into them"),
    FLAG("strict-default", MAIN, strict_default, "Refuse to start when the built-in default target is not on the allowlist"),

    LIST("origins", ACCESS, origins, NULL, "LIST", "Page origins that may connect (https://app.example.com, same-host, null); unset: any"),
    LIST("hosts", ACCESS, hosts, NULL, "LIST", "Host headers that are ours; unset: any"),
    LIST("allow-from", ACCESS, allow_from, NULL, "CIDRS", "Client addresses that may connect; unset: all"),
    TEXT("auth-token-file", ACCESS, auth_token_file, NULL, "FILE", "SHA-256 hashes of accepted tokens, one a line"),
    FLAG("auth-query", ACCESS, auth_query, "Also read the token from ?token= (it may end up in other people's logs)"),
    TEXT("auth-jwt-jwks", ACCESS, auth_jwt_jwks, NULL, "FILE", "JWKS with the keys of accepted JWTs (ES256, EdDSA)"),
    TEXT("auth-jwt-audience", ACCESS, auth_jwt_audience, NULL, "TEXT", "Audience that a JWT must name"),
    TEXT("auth-jwt-issuer", ACCESS, auth_jwt_issuer, NULL, "TEXT", "Issuer that a JWT must name"),
    LIST("trusted-proxies", ACCESS, trusted_proxies, NULL, "CIDRS", "Proxies in front whose X-Forwarded-For, Forwarded and PROXY headers count"),
    CHOICE("proxy-protocol", ACCESS, proxy_protocol, "off", "off|optional|require", "PROXY protocol header (v1, v2) from trusted proxies"),

    CHOICE("reject", ANSWERS, reject, "auto", "auto|http|close", "How a refused target is told: auto gives browsers a Close frame and others HTTP 403"),
    FLAG("connect-first", ANSWERS, connect_first, "Connect to the target before answering, and answer 502 or 504 when that fails"),
    LIST("subprotocols", ANSWERS, subprotocols, NULL, "LIST", "Subprotocols to choose from; unset: the first that the client offers"),
    FLAG("strict-text", ANSWERS, strict_text, "Check that text messages are UTF-8 (RFC 6455, 8.1)"),

    CHOICE("deny-addr", REACH, deny_addr, "special-for-names", "special-for-names|private|off", "Resolved addresses to refuse: loopback, link-local, metadata …; private adds RFC 1918 and fc00::/7"),
    CHOICE("send-proxy", REACH, send_proxy, "off", "off|v1|v2", "Begin each target connection with a PROXY protocol header"),
    LIST("source-addr", REACH, source_addr, NULL, "ADDRS", "Local addresses to connect from, in turn"),
    LIST("dns-servers", REACH, dns_servers, NULL, "ADDRS", "DNS servers instead of those of /etc/resolv.conf"),
    TIME("dns-stale", REACH, dns_stale_ms, "300s", 7 * DAYS, "How long an expired answer still serves while DNS fails"),
    FLAG("fast-open", REACH, fast_open, "Send the first bytes in the SYN where the target supports it (TCP Fast Open)"),

    NUMBER("workers", DATA, workers, "0", 0, 256, "Worker threads; 0: one for each usable CPU"),
    FLAG("pin", DATA, pin, "Pin each worker to its CPU"),
    NUMBER("busy-poll", DATA, busy_poll_us, "0", 0, 10000, "Microseconds to look for events before sleeping: lower latency for a whole core a worker"),
    SIZE("buffer-memory", DATA, buffer_memory, "64MiB", 1024ull * 1024, 64ull << 30, "Most memory of a worker for bytes in flight"),
    CHOICE("splice", DATA, splice, "auto", "auto|on|off", "Zero-copy from target to client"),
    SIZE("max-frame", DATA, frame_max, "1TiB", 125, 1ull << 62, "Largest WebSocket frame accepted; nothing is buffered, so this protects nobody by itself"),
    SIZE("max-message", DATA, message_max, "0", 0, 1024ull * 1024, "Largest WebSocket message sent; 0: 64 KiB to 1 MiB by the client's speed"),

    NUMBER("max-connections", LIMITS, connections_max, "0", 0, 1000000, "Tunnels at once; 0: 0.45 of the descriptor limit, at most 65536"),
    NUMBER("max-per-ip", LIMITS, per_ip_max, "256", 0, 1000000, "Tunnels at once from one address (IPv6: one /64)"),
    NUMBER("max-pending", LIMITS, pending_max, "1024", 1, 1000000, "Unfinished handshakes at once; the oldest gives way"),
    NUMBER("rate-per-ip", LIMITS, rate_per_ip, "20", 0, 1000000, "New connections a second from one address"),
    NUMBER("rate-burst", LIMITS, rate_burst, "100", 1, 1000000, "… and how many may come at once"),
    LIST("limit-exempt", LIMITS, limit_exempt, NULL, "CIDRS", "Addresses that the per-address limits do not count"),
    SIZE("max-rate-up", LIMITS, rate_up_max, "0", 0, 1ull << 50, "Bytes a second of one tunnel, client to target"),
    SIZE("max-rate-down", LIMITS, rate_down_max, "0", 0, 1ull << 50, "Bytes a second of one tunnel, target to client"),
    SIZE("max-bytes", LIMITS, bytes_max, "0", 0, 1ull << 62, "Bytes of one tunnel, both directions together"),

    TIME("handshake-timeout", TIMERS, handshake_timeout_ms, "5s", HOUR, "From accept to a complete request; the first byte must come in 3/5 of it"),
    TIME("connect-timeout", TIMERS, connect_timeout_ms, "5s", HOUR, "Resolving and connecting to the target"),
    TIME("first-data-timeout", TIMERS, first_data_timeout_ms, "10s", YEAR, "From the upgrade to the client's first data; turn it off for targets that speak first"),
    TIME("idle-timeout", TIMERS, idle_timeout_ms, "0", YEAR, "No data in either direction"),
    TIME("ping-interval", TIMERS, ping_interval_ms, "25s", YEAR, "Silence of the client before it is sent a Ping"),
    TIME("ping-timeout", TIMERS, ping_timeout_ms, "20s", YEAR, "After that Ping, without a byte from the client"),
    TIME("stall-timeout", TIMERS, stall_timeout_ms, "60s", YEAR, "Bytes wait and their reader makes no progress"),
    TIME("close-timeout", TIMERS, close_timeout_ms, "5s", HOUR, "Waiting for the client's answer to our Close"),
    TIME("linger-down", TIMERS, linger_down_ms, "0", HOUR, "Go on delivering this long after the client's Close"),
    TIME("max-lifetime", TIMERS, lifetime_max_ms, "0", YEAR, "Age at which a tunnel is closed"),
    TIME("drain-timeout", TIMERS, drain_timeout_ms, "30s", DAYS, "On SIGTERM, how long tunnels may go on"),
    TIME("drain-grace", TIMERS, drain_grace_ms, "0", HOUR, "On SIGTERM, how long to go on accepting after /readyz says 503"),

    LIST("tls-cert", TLS_, tls_cert, NULL, "CERT:KEY", "Certificate and key files (PEM); several are chosen by SNI; read again on SIGHUP"),
    FLAG("tls12", TLS_, tls12, "Accept TLS 1.2 beside TLS 1.3"),
    TEXT("tls-client-ca", TLS_, tls_client_ca, NULL, "FILE", "CA bundle: ask clients for a certificate"),
    FLAG("tls-client-required", TLS_, tls_client_required, "Refuse clients without a certificate"),
    CHOICE("ktls", TLS_, ktls, "auto", "auto|off", "Let the kernel encrypt where it can"),

    LIST("admin", LIFE, admin, "127.0.0.1:9001", "ADDR", "Listener for /metrics, /healthz, /readyz and /debug/tunnels; off: none"),
    CHOICE("log", LIFE, log_format, "auto", "auto|text|json", "Log to stderr as text or JSON lines; auto: text on a terminal"),
    CHOICE("log-level", LIFE, log_level, "info", "error|warn|info|debug", "How much to log"),
    CHOICE("on-revoke", LIFE, on_revoke, "close", "keep|close", "What a reload does to tunnels whose target is no longer allowed"),
    FLAG("watch", LIFE, watch, "Reload when the allowlist, token, key set or certificate files change"),
    TEXT("user", LIFE, user, NULL, "USER[:GROUP]", "Become this user once the sockets are open"),
    CHOICE("seccomp", LIFE, seccomp, "on", "off|on|log|required", "System call filter"),
    CHOICE("landlock", LIFE, landlock, "on", "off|on|log|required", "File system and port restrictions"),
    CHOICE("profile", LIFE, profile, "dev", "dev|prod", "prod refuses to start where dev only warns"),
};
/* clang-format on */

const struct settings_program config_program = {
    .name = "atlas-proxy",
    .prefix = "ATLS_PROXY_",
    .summary = "A WebSocket-to-TCP bridge for browsers that speak attested TLS. Forwards bytes to "
               "targets on an allowlist; decrypts nothing, keeps nothing.",
    .usage = "atlas-proxy [OPTION]...",
    .epilogue =
        "Example:\n"
        "  ATLS_PROXY_ALLOWLIST=\"vllm.example.com:443,tee2.example.com:8443\" atlas-proxy\n"
        "  then open ws://127.0.0.1:9000/?target=vllm.example.com:443\n"
        "\n"
        "Signals: SIGTERM and SIGINT drain (twice: stop at once), SIGHUP reloads, SIGUSR1 logs a\n"
        "summary.\n"
        "Exit status: 0 after a drain, 2 for a configuration that cannot be used, 70 for a fault "
        "of\n"
        "this program, 74 when an address cannot be listened on.\n"
        "Manual: man atlas-proxy(8).\n",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

struct policy_source config_policy_source(const struct config *c, bool explicit_target)
{
    return (struct policy_source){
        .allowlist = c->allowlist,
        .allowlist_file = c->allowlist_file,
        .allow_empty = c->allow_empty,
        .lax_allowlist = c->lax_allowlist,
        .allow_patterns = c->allow_patterns,
        .cidr_names = c->cidr_names,
        .target = c->target,
        .target_explicit = explicit_target,
        .strict_default = c->strict_default,
        .origins = c->origins,
        .hosts = c->hosts,
        .subprotocols = c->subprotocols,
        .auth_token_file = c->auth_token_file,
        .auth_query = c->auth_query,
        .auth_jwt_jwks = c->auth_jwt_jwks,
        .auth_jwt_audience = c->auth_jwt_audience,
        .auth_jwt_issuer = c->auth_jwt_issuer,
        .trusted_proxies = c->trusted_proxies,
        .allow_from = c->allow_from,
        .limit_exempt = c->limit_exempt,
        .reject = (enum policy_reject)c->reject,
        .deny_addr = (enum policy_deny)c->deny_addr,
        .proxy_protocol = (enum policy_proxy_header)c->proxy_protocol,
        .send_proxy = (enum policy_send_proxy)c->send_proxy,
    };
}

/* Does any element of the listen list face more than this machine? */
static bool listens_wide(const char *listen)
{
    struct view rest = view_str(listen), one;

    while (view_next(&rest, ',', &one)) {
        struct addr a;

        one = text_trim(one);
        if (view_starts(one, VIEW(":")))
            return true;
        if (addr_parse(one, &a) && addr_classify(&a) != ADDR_LOOPBACK)
            return true;
    }
    return false;
}

unsigned config_review(const struct config *c, void (*say)(void *context, const char *sentence),
                       void *context)
{
    unsigned found = 0;

    if (!c->origins)
        found++, say(context, "no --origins: any web page may connect; name the pages that may, "
                              "for example --origins https://app.example.com");
    if (!c->per_ip_max || !c->rate_per_ip)
        found++, say(context, "--max-per-ip or --rate-per-ip is 0: one client may take every slot");
    if (listens_wide(c->listen) && !c->tls_cert && !c->trusted_proxies)
        found++, say(context, "listening beyond this machine without --tls-cert and without "
                              "--trusted-proxies: clients connect in the clear");
    if (geteuid() == 0 && !c->user)
        found++, say(context, "running as root: set --user, or run under an unprivileged account");
    return found;
}
