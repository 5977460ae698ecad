#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mode_names[] = {"up",    "down",   "echo", "conn", "idle",
                                         "churn", "tokens", "mix",  "start"};

static const char help[] =
    "usage: wsload MODE [OPTION …]\n"
    "  up, down   bulk, client to target or target to client\n"
    "  echo       one message under way in each tunnel, or --rate of them a second in all\n"
    "  conn       N at a time: connect, upgrade, connect to the target, one echo, close\n"
    "  churn      as conn, for --count tunnels that end in turn by Close, FIN and RST\n"
    "  idle       opens N tunnels, prints \"ready N\", waits --seconds or for a line on stdin\n"
    "  tokens     N tunnels receive the target's token streams; latency counts from when due\n"
    "  mix        --bulk tunnels of down beside N of echo; latency is the echo's\n"
    "  start      wsload start --connect A -- COMMAND …: milliseconds until A accepts\n"
    "options:\n"
    "  --url ws://HOST:PORT/PATH | --connect HOST:PORT   the system; 127.0.0.0/8 only\n"
    "  --target HOST:PORT    adds ?target=… to the path\n"
    "  --raw                 plain TCP, no WebSocket (yardsticks)\n"
    "  --header 'NAME: VALUE'   in the upgrade request; may be repeated\n"
    "  --any                 the target is `wstarget any`: ask it for the mode's service\n"
    "  --tunnels N (4)  --size BYTES (65536)  --seconds S (3)  --warmup S (1)\n"
    "  --rate N              messages a second, all tunnels; latency from when each was due\n"
    "  --bulk N (4)  --count N  --pending N (64): connections opening at a time\n"
    "  --source-addrs N (1)  spread over 127.0.0.2 … 127.0.0.(N+1)\n"
    "  --verify              up, down, echo: check every byte of --bytes N a tunnel (16 MiB)\n"
    "  --json                the last line of output is JSON\n";

enum {
    OPT_URL = 256,
    OPT_CONNECT,
    OPT_TARGET,
    OPT_RAW,
    OPT_HEADER,
    OPT_ANY,
    OPT_TUNNELS,
    OPT_SIZE,
    OPT_SECONDS,
    OPT_WARMUP,
    OPT_RATE,
    OPT_BULK,
    OPT_COUNT,
    OPT_PENDING,
    OPT_SOURCES,
    OPT_VERIFY,
    OPT_BYTES,
    OPT_JSON,
    OPT_HELP,
};

static const struct option table[] = {
    {"url", required_argument, NULL, OPT_URL},
    {"connect", required_argument, NULL, OPT_CONNECT},
    {"target", required_argument, NULL, OPT_TARGET},
    {"raw", no_argument, NULL, OPT_RAW},
    {"header", required_argument, NULL, OPT_HEADER},
    {"any", no_argument, NULL, OPT_ANY},
    {"tunnels", required_argument, NULL, OPT_TUNNELS},
    {"size", required_argument, NULL, OPT_SIZE},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"rate", required_argument, NULL, OPT_RATE},
    {"bulk", required_argument, NULL, OPT_BULK},
    {"count", required_argument, NULL, OPT_COUNT},
    {"pending", required_argument, NULL, OPT_PENDING},
    {"source-addrs", required_argument, NULL, OPT_SOURCES},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"bytes", required_argument, NULL, OPT_BYTES},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void read_address(struct options *o, const char *text)
{
    o->connect = bench_address(text);
    snprintf(o->host, sizeof o->host, "%s", text);
}

static void read_url(struct options *o, const char *url)
{
    char address[64];
    size_t n;

    if (strncmp(url, "ws://", 5) != 0)
        bench_die("\"%s\": only ws:// is spoken", url);
    url += 5;
    n = strcspn(url, "/?");
    if (n >= sizeof address)
        bench_die("\"%s\" is too long for an address", url);
    memcpy(address, url, n);
    address[n] = '\0';
    read_address(o, address);
    snprintf(o->path, sizeof o->path, "%s%s", url[n] == '/' ? "" : "/", url + n);
}

static void add_target(struct options *o, const char *target)
{
    size_t n = strlen(o->path);

    snprintf(o->path + n, sizeof o->path - n, "%ctarget=%s", strchr(o->path, '?') ? '&' : '?',
             target);
}

static void add_header(struct options *o, const char *line)
{
    size_t n = strlen(o->header);

    if (n + strlen(line) + 3 > sizeof o->header)
        bench_die("too many --header bytes");
    snprintf(o->header + n, sizeof o->header - n, "%s\r\n", line);
}

static double read_seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (*end || !(value >= 0 && value < 1e6))
        bench_die("\"%s\" is not a number of seconds", text);
    return value;
}

static uint32_t read_count(const char *text, const char *what, uint32_t most)
{
    uint64_t value = bench_number(text, what);

    if (value > most)
        bench_die("%s: at most %u", what, most);
    return (uint32_t)value;
}

static void read_option(struct options *o, int option, const char *value)
{
    switch (option) {
    case OPT_URL:
        read_url(o, value);
        break;
    case OPT_CONNECT:
        read_address(o, value);
        break;
    case OPT_TARGET:
        add_target(o, value);
        break;
    case OPT_RAW:
        o->raw = true;
        break;
    case OPT_HEADER:
        add_header(o, value);
        break;
    case OPT_ANY:
        o->any = true;
        break;
    case OPT_TUNNELS:
        o->tunnels = read_count(value, "--tunnels", 100000);
        break;
    case OPT_SIZE:
        o->size = read_count(value, "--size", 1u << 26);
        break;
    case OPT_SECONDS:
        o->seconds = read_seconds(value);
        break;
    case OPT_WARMUP:
        o->warmup = read_seconds(value);
        break;
    case OPT_RATE:
        o->rate = bench_number(value, "--rate");
        break;
    case OPT_BULK:
        o->bulk = read_count(value, "--bulk", 10000);
        break;
    case OPT_COUNT:
        o->count = bench_number(value, "--count");
        break;
    case OPT_PENDING:
        o->pending = read_count(value, "--pending", 4096);
        break;
    case OPT_SOURCES:
        o->source_addresses = read_count(value, "--source-addrs", 250);
        break;
    case OPT_VERIFY:
        o->verify = true;
        break;
    case OPT_BYTES:
        o->bytes = bench_number(value, "--bytes");
        break;
    case OPT_JSON:
        o->json = true;
        break;
    case OPT_HELP:
        fputs(help, stdout);
        exit(0);
    default:
        fputs("wsload --help lists what there is\n", stderr);
        exit(2);
    }
}

static enum mode read_mode(const char *name)
{
    for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
        if (strcmp(name, mode_names[i]) == 0)
            return (enum mode)i;
    fputs(help, stderr);
    exit(2);
}

void options_read(int argc, char **argv, struct options *o)
{
    *o = (struct options){.path = "/",
                          .tunnels = 4,
                          .bulk = 4,
                          .pending = 64,
                          .source_addresses = 1,
                          .size = 65536,
                          .seconds = -1,
                          .warmup = 1,
                          .bytes = 16 << 20};
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(help, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : 0);
    }
    o->mode = read_mode(argv[1]);
    o->mode_name = mode_names[o->mode];
    for (int n; (n = getopt_long(argc - 1, argv + 1, "+", table, NULL)) != -1;)
        read_option(o, n, optarg);
    if (o->seconds < 0)
        o->seconds = o->mode == MODE_IDLE ? 0 : 3;
    o->command = argv + 1 + optind;
    if (o->connect.sin_family == 0)
        bench_die("say where: --url or --connect");
    if (o->tunnels == 0 || o->size == 0 || o->source_addresses == 0 || o->pending == 0)
        bench_die("--tunnels, --size, --source-addrs and --pending are at least 1");
    if (o->verify && o->mode != MODE_UP && o->mode != MODE_DOWN && o->mode != MODE_ECHO)
        bench_die("--verify works with up, down and echo");
    if (o->mode == MODE_START && !*o->command)
        bench_die("start needs a command behind --");
    if (o->mode != MODE_START && *o->command)
        bench_die("\"%s\" is not understood", *o->command);
}
