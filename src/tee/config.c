#include "tee/config.h"

#include "base/poison.h"

#define ROW(field, k, text, ...)                                                           \
    {                                                                                      \
        .name = text, .kind = k, .offset = offsetof(struct tee_config, field), __VA_ARGS__ \
    }

static const struct setting rows[] = {
    ROW(listen, SETTING_TEXT, "listen", .group = "Where", .fallback = "127.0.0.1:8443",
        .value_name = "ADDR",
        .help = "Addresses to listen on: host:port, [v6]:port, :port, fd:N, systemd"),
    ROW(upstream, SETTING_TEXT, "upstream", .group = "Where", .fallback = "127.0.0.1:8000",
        .value_name = "ADDR",
        .help = "The application: host:port or unix:PATH, HTTP/1.1 in the clear"),
    ROW(websockets, SETTING_BOOL, "websockets", .group = "Where", .fallback = "true",
        .help = "Pass WebSockets to the application"),
    ROW(cert, SETTING_TEXT, "cert", .group = "Certificate", .value_name = "FILE",
        .help = "Chain in PEM, leaf first; read again on SIGHUP. Without it one is made"),
    ROW(key, SETTING_TEXT, "key", .group = "Certificate", .value_name = "FILE",
        .help = "Its key in PEM"),
    ROW(derived_key, SETTING_BOOL, "derived-key", .group = "Certificate",
        .help = "The key follows from --name and the application's secret that the guest agent "
                "keeps: the same after each start, and never on disk"),
    ROW(csr, SETTING_TEXT, "csr", .group = "Certificate", .value_name = "FILE",
        .help = "With --derived-key: write a certificate request for it"),
    ROW(name, SETTING_TEXT, "name", .group = "Certificate", .fallback = "localhost",
        .value_name = "HOST", .help = "Name in a certificate or a request that is made"),
    ROW(watch, SETTING_BOOL, "watch", .group = "Certificate",
        .help = "Read them again when they change, too"),
    ROW(acme_listen, SETTING_LIST, "acme-listen", .group = "Certificate", .value_name = "ADDR",
        .help = "Addresses, :80 say, where challenges of ACME are answered in the clear, and all "
                "else is sent to https"),
    ROW(acme_webroot, SETTING_TEXT, "acme-webroot", .group = "Certificate", .value_name = "FOLDER",
        .help = "Where the ACME client puts them: FOLDER/.well-known/acme-challenge/TOKEN"),
    ROW(provider, SETTING_TEXT, "provider", .group = "Quotes", .fallback = "dstack",
        .value_name = "SPEC",
        .help = "Where quotes come from: dstack, dstack:PATH, dstack:http://HOST:PORT, tsm or "
                "tsm:FOLDER"),
    ROW(ccel, SETTING_TEXT, "ccel", .group = "Quotes", .value_name = "FILE",
        .help = "With tsm: the firmware's event log (/sys/firmware/acpi/tables/data/CCEL)"),
    ROW(event_log, SETTING_TEXT, "event-log", .group = "Quotes", .value_name = "FILE",
        .help = "With tsm: runtime events since the machine started, lost when it stops "
                "(/run/atlas-tee/events)"),
    ROW(no_staple, SETTING_BOOL, "without-collateral", .group = "Quotes",
        .help = "Do not send Intel's statements along with quotes: clients fetch them"),
    ROW(pccs_url, SETTING_TEXT, "pccs-url", .group = "Quotes",
        .fallback = "https://api.trustedservices.intel.com", .value_name = "URL",
        .help = "Where those statements come from"),
    ROW(cache, SETTING_TEXT, "cache", .group = "Quotes", .value_name = "FOLDER",
        .help = "Where they are kept on disk; without it, in memory"),
    ROW(quotes_waiting, SETTING_U32, "max-quotes-waiting", .group = "Quotes", .fallback = "64",
        .least = 1, .help = "Requests for a quote beyond this many are told to try later"),
    ROW(quotes_per_minute, SETTING_U32, "quotes-per-minute", .group = "Quotes", .fallback = "30",
        .help = "Of one connection; 0: no limit"),
    ROW(quote_timeout_ms, SETTING_DURATION, "quote-timeout", .group = "Quotes", .fallback = "15s",
        .least = 1, .help = "Longest time of the provider"),
    ROW(cors_origins, SETTING_LIST, "cors-origins", .group = "Access", .value_name = "LIST",
        .help = "Pages that may read answers: https://app.example.com, or *.example.com for all "
                "below, whatever their port"),
    ROW(auth_token_file, SETTING_TEXT, "auth-token-file", .group = "Access", .value_name = "FILE",
        .help = "The application is for bearers of the token in FILE (32 bytes at least); the "
                "variable AUTH_SERVICE_TOKEN is taken, too"),
    ROW(auth_paths, SETTING_LIST, "auth-paths", .group = "Access", .value_name = "LIST",
        .help = "The token is needed for these paths and all below them: /metrics,/admin; without "
                "it, for "
                "all"),
    ROW(metrics_token_file, SETTING_TEXT, "metrics-token-file", .group = "Access",
        .value_name = "FILE",
        .help = "/metrics is for bearers of the token in FILE; without it, "
                "for nobody"),
    ROW(admin, SETTING_LIST, "admin", .group = "Access", .value_name = "ADDR",
        .help = "Listener in the clear for /metrics, /healthz and /readyz; for monitoring alone"),
    ROW(workers, SETTING_U32, "workers", .group = "Limits", .fallback = "0",
        .help = "Threads; 0: one for each CPU"),
    ROW(connections_max, SETTING_U32, "max-connections", .group = "Limits", .fallback = "4096",
        .least = 1, .help = "Of all workers together"),
    ROW(body_max, SETTING_SIZE, "max-body", .group = "Limits", .fallback = "64MiB",
        .help = "Of a request; 0: no limit"),
    ROW(handshake_timeout_ms, SETTING_DURATION, "handshake-timeout", .group = "Limits",
        .fallback = "10s", .help = "Longest TLS handshake"),
    ROW(head_timeout_ms, SETTING_DURATION, "header-timeout", .group = "Limits", .fallback = "10s",
        .help = "From the first byte of a request to the end of its header"),
    ROW(idle_timeout_ms, SETTING_DURATION, "idle-timeout", .group = "Limits", .fallback = "60s",
        .help = "Between requests"),
    ROW(connect_timeout_ms, SETTING_DURATION, "connect-timeout", .group = "Limits",
        .fallback = "5s", .help = "Connecting to the application"),
    ROW(answer_timeout_ms, SETTING_DURATION, "answer-timeout", .group = "Limits", .fallback = "5m",
        .help = "Longest silence of the application, or of a client within a body"),
    ROW(drain_timeout_ms, SETTING_DURATION, "drain-timeout", .group = "Limits", .fallback = "30s",
        .help = "After SIGTERM, for answers under way"),
    ROW(user, SETTING_TEXT, "user", .group = "Rights", .value_name = "USER[:GROUP]",
        .help = "Become this user once the sockets are open"),
    ROW(seccomp, SETTING_CHOICE, "seccomp", .group = "Rights", .choices = "off|on|log|required",
        .fallback = "on", .help = "System call filter"),
    ROW(landlock, SETTING_CHOICE, "landlock", .group = "Rights", .choices = "off|on|log|required",
        .fallback = "on", .help = "File system and port restrictions"),
    ROW(access_log, SETTING_BOOL, "access-log", .group = "Log", .fallback = "true",
        .help = "A line for each request, without its query"),
    ROW(log_format, SETTING_CHOICE, "log-format", .group = "Log", .choices = "auto|text|json",
        .fallback = "auto", .help = "auto: text on a terminal, JSON lines elsewhere"),
    ROW(log_level, SETTING_CHOICE, "log-level", .group = "Log", .choices = "error|warn|info|debug",
        .fallback = "info", .help = "Least important events that are logged"),
};

const struct settings_program tee_program = {
    .name = "atlas-tee",
    .prefix = "ATLAS_TEE_",
    .summary = "The endpoint inside a trusted execution environment: TLS 1.3 with a key that is "
               "measured, quotes for the session that asks (POST /tdx_quote), and everything else "
               "to the application behind it.",
    .usage = "atlas-tee [OPTION]...",
    .epilogue = "Exit status: 0 stopped as asked; 2 configuration; 74 the quote provider does not "
                "answer; others after sysexits.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};
