/* atls inspect: every field of a quote, as it stands there. Nothing is verified. */
#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/input.h"
#include "attest/report.h"
#include "base/codec.h"
#include "base/command.h"
#include "base/text.h"

#include "base/poison.h"

struct config {
    bool json;
};

static const struct setting rows[] = {
    {.name = "json",
     .group = "Output",
     .kind = SETTING_BOOL,
     .offset = offsetof(struct config, json),
     .help = "Print one JSON object"},
};

static const struct settings_program program = {
    .name = "atls inspect",
    .prefix = "ATLS_INSPECT_",
    .summary =
        "Shows every field of an Intel TDX or SGX quote. Nothing is verified: a forged quote "
        "shows as well as a genuine one.",
    .usage = "atls inspect QUOTE [--json]",
    .epilogue = "Exit status: 0 shown; 1 not a quote; 2 usage.\n",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "QUOTE",
    .words_least = 1,
    .words_most = 1,
};

/* What the quote's maker wrote there goes to a terminal: what would not show, or change how others show, is a '?'; lines stay. */
static void print_plain(struct view text)
{
    while (text.len) {
        uint32_t code = 0;
        size_t n = utf8_first(text, &code);
        bool shows = n && (code == '\n' || !text_hidden(text, n));

        (void)printf("%.*s", shows ? (int)n : 1, shows ? (const char *)text.at : "?");
        text = view_skip(text, n ? n : 1);
    }
    (void)printf("\n");
}

/* A value of JSON as lines "key  value"; objects within are indented, no deeper than our own writer goes. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void print_lines(const struct json_doc *doc, uint32_t object, int depth)
{
    uint32_t key = json_first(object);

    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        uint32_t value = doc->tokens[key].next;
        struct view name = json_span(doc, key), text = json_span(doc, value);

        if (doc->tokens[value].kind == JSON_OBJECT) {
            (void)printf("%*s%.*s\n", 2 * depth, "", VIEW_ARG(name));
            print_lines(doc, value, depth + 1);
        } else {
            static char plain[64 * 1024]; /* recursion would multiply it */

            if (json_string(doc, value, plain, sizeof plain))
                text = view_str(plain);
            (void)printf("%*s%-*.*s ", 2 * depth, "", 24 - 2 * depth, VIEW_ARG(name));
            print_plain(text);
        }
        key = doc->tokens[value].next;
    }
}

static int show(const struct quote *q, bool as_json)
{
    struct json_tree tree;
    struct json_writer w;
    struct buf out;
    struct err err;
    bool good;

    buf_init(&out, 4 * (size_t)QUOTE_BYTES_MAX, "quote");
    json_begin(&w, &out);
    report_write_quote(q, &w);
    good = json_end(&w, &err);
    if (good && as_json) {
        (void)printf("%.*s\n", VIEW_ARG(buf_view(&out)));
    } else if (good && (good = json_load(buf_view(&out), 1024, &tree, &err))) {
        print_lines(&tree.doc, 0, 0);
        json_unload(&tree);
    }
    buf_done(&out);
    if (!good)
        (void)fprintf(stderr, "atls inspect: %s\n", err.text);
    return good ? 0 : 70;
}

int cli_inspect(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    struct attest_err why;
    struct config config;
    struct quote quote;
    struct buf bytes;
    struct err err;
    unsigned words;
    int status;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    if (!input_quote(settings_words(settings, &words)[0], &bytes, &err)) {
        (void)fprintf(stderr, "atls inspect: %s\n", err.text);
        return 2;
    }
    if (quote_parse(buf_view(&bytes), &quote, &why)) {
        status = show(&quote, config.json);
    } else {
        (void)fprintf(stderr, "atls inspect: %s [%s]\n", why.text, attest_code_name(why.code));
        status = 1;
    }
    buf_done(&bytes);
    return status;
}
