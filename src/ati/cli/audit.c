#include "ati/audit/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/cli/cli.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, VALUES_MAX = 65536, LINES_MAX = 1000000 };

struct printer {
    const struct cli *cli;
    size_t count;
};

static char *text_of(const struct json_doc *doc, const char *name)
{
    uint32_t at = json_member(doc, 0, name);
    char *text;
    size_t len;

    return at && json_string_new(doc, at, &text, &len) ? text : NULL;
}

/* What a caller has chosen moves no cursor. */
static void print_escaped(const char *text)
{
    char shown[2048];

    (void)text_escape(view_str(text), sizeof shown / 4, shown, sizeof shown);
    (void)fputs(shown, stdout);
}

/* {ts} [OK] {tool} ({ms}ms) agent={sub} {error} */
static void print_line(const struct json_doc *doc)
{
    char *ts = text_of(doc, "ts"), *tool = text_of(doc, "tool"), *status = text_of(doc, "status"),
         *agent = text_of(doc, "agent_sub"), *error = text_of(doc, "error");
    uint32_t duration = json_member(doc, 0, "duration_ms");
    int64_t ms = 0;

    if (duration && !json_integer(doc, duration, &ms))
        ms = 0;
    print_escaped(ts ? ts : "");
    (void)printf(" [%s] ", status && strcmp(status, "ok") == 0 ? "OK" : "ERR");
    print_escaped(tool ? tool : "");
    (void)printf(" (%" PRId64 "ms) agent=", ms);
    print_escaped(agent ? agent : "");
    (void)putchar(' ');
    print_escaped(error ? error : "");
    (void)putchar('\n');
    free(ts);
    free(tool);
    free(status);
    free(agent);
    free(error);
}

static void print(void *context, struct view line)
{
    struct printer *p = context;
    struct json_tree tree;

    if (p->cli->format == CLI_JSON) {
        (void)fputs(p->count ? "," : "[", stdout);
        (void)fwrite(line.at, 1, line.len, stdout);
    } else if (json_load_loose(line, VALUES_MAX, &tree, NULL)) {
        print_line(&tree.doc);
        json_unload(&tree);
    }
    p->count++;
}

static int show(const struct cli *cli, const struct audit_query *query, const char *none)
{
    const char *named = cli_environment(cli, "ATI_AUDIT_FILE");
    struct printer printer = {.cli = cli};
    char path[PATH_BYTES];
    struct err err;
    bool good;

    (void)snprintf(path, sizeof path, "%s%s", named ? named : cli->folder,
                   named ? "" : "/audit.jsonl");
    good = audit_search(path, query, print, &printer, &err);
    if (printer.count && cli->format == CLI_JSON)
        (void)fputs("]\n", stdout);
    if (!good)
        return cli_fail_err(cli, &err);
    if (!printer.count)
        log_event(cli->log, LOG_INFO, "audit.none", none);
    return 0;
}

static int tail(struct cli *cli, const struct cli_words *words)
{
    struct audit_query query = {.last = 0};
    uint64_t count;
    struct err err;

    if (!text_u64(view_str(cli_value(words, "n")), LINES_MAX, true, &count)) {
        (void)err_set(&err, ERR_USAGE, "Invalid -n '%s': a number from 0 to %d",
                      cli_value(words, "n"), LINES_MAX);
        return cli_fail_err(cli, &err);
    }
    query.last = count;
    if (!count) /* 0 would mean all of them */
        return 0;
    return show(cli, &query, "no audit entries found");
}

/* "30m", "7d": units as in rates. */
static bool since_parse(const char *text, int64_t *out, struct err *err)
{
    struct view v = view_str(text);
    uint64_t n, unit_s, ago_s;
    size_t digits = 0;

    while (digits < v.len && v.at[digits] >= '0' && v.at[digits] <= '9')
        digits++;
    if (!text_u64(view_first(v, digits), INT64_MAX, true, &n) ||
        !caller_unit_parse(view_skip(v, digits), &unit_s) ||
        __builtin_mul_overflow(n, unit_s, &ago_s) || ago_s > INT64_MAX)
        return err_set(err, ERR_USAGE,
                       "Invalid --since '%s': a number and a unit, as in 30m (s, m, h, d)", text);
    *out = clock_wall_ms(&clock_system) / 1000 - (int64_t)ago_s;
    if (*out < 1) /* 0 would mean any time, which is the same */
        *out = 1;
    return true;
}

static int search(struct cli *cli, const struct cli_words *words)
{
    const char *since = cli_value(words, "since");
    struct audit_query query = {.tool = view_str(cli_value(words, "tool"))};
    struct err err;

    if (since && !since_parse(since, &query.since_s, &err))
        return cli_fail_err(cli, &err);
    return show(cli, &query, "no matching audit entries found");
}

static const struct cli_option tail_options[] = {
    {.name = "n",
     .letter = 'n',
     .value = "COUNT",
     .help = "how many of the latest calls",
     .fallback = "20"},
};
static const struct cli_option search_options[] = {
    {.name = "tool",
     .value = "PATTERN",
     .help = "calls of this tool; github:* of all that begin so"},
    {.name = "since", .value = "AGO", .help = "calls since then: 30m, 12h, 7d"},
};

static const struct cli_command commands[] = {
    {.name = "tail",
     .summary = "show the latest calls",
     .options = tail_options,
     .option_count = sizeof tail_options / sizeof *tail_options,
     .run = tail},
    {.name = "search",
     .summary = "find calls by tool and time",
     .options = search_options,
     .option_count = sizeof search_options / sizeof *search_options,
     .about = "Example:\n  ati audit search --tool 'github:*' --since 12h\n",
     .run = search},
};

const struct cli_command cli_audit = {
    .name = "audit",
    .summary = "what was called, by whom, and how it went",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};
