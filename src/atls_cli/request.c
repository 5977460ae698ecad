/* atls get, atls post: one HTTP request on an attested connection; the answer's body goes to standard output as it comes. */
#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/endpoint.h"
#include "atls_cli/input.h"
#include "atls_cli/output.h"
#include "base/command.h"
#include "base/version.h"

#include "base/poison.h"

enum {
    WORDS_MAX = 33,
    BODY_MAX = 256 * 1024 * 1024,
    RECEIVED_MAX = 1024 * 1024,
    STATUS_FAILED = 22
};

struct config {
    struct endpoint_config endpoint;
    const char *data;
    bool include, fail;
    uint64_t max_time_ms;
};

#define ROW(field, k, text, ...)                                                       \
    {                                                                                  \
        .name = text, .kind = k, .offset = offsetof(struct config, field), __VA_ARGS__ \
    }
#define COMMON_ROWS                                                                  \
    ENDPOINT_ROWS,                                                                   \
        ROW(include, SETTING_BOOL, "include", .group = "Output",                     \
            .help = "Print the answer's status and fields, too"),                    \
        ROW(fail, SETTING_BOOL, "fail", .group = "Output",                           \
            .help = "End with status 22 when the answer is 400 or more"),            \
        ROW(max_time_ms, SETTING_DURATION, "read-timeout", .group = "The way there", \
            .fallback = "5m", .help = "Longest silence of the answer; 0: none")

static const struct setting get_rows[] = {COMMON_ROWS};
static const struct setting post_rows[] = {
    COMMON_ROWS,
    ROW(data, SETTING_TEXT, "data", .group = "The request", .fallback = "-", .value_name = "FILE",
        .help = "The body: a file; - is standard input; @TEXT is TEXT itself"),
};

#define EPILOGUE                                                                              \
    "Words behind the URL are header fields: 'Authorization: Bearer …'.\n"                  \
    "Exit status: 0 answered; 2 usage or policy; 10 network; 11 TLS; 12 quote; 13 TCB; 14\n"  \
    "measurements; 15 event log; 16 the quote is not for this session; 17 no receipt could\n" \
    "be made; 22 --fail.\n"

static const struct settings_program get_program = {
    .name = "atls get",
    .prefix = "ATLS_GET_",
    .summary = "Gets URL from a trusted execution environment, after it has proved to be what the "
               "policy asks for. Nothing is sent before.",
    .usage = "atls get https://HOST[:PORT]/PATH [FIELD: VALUE]... --policy FILE",
    .epilogue = EPILOGUE,
    .rows = get_rows,
    .count = sizeof get_rows / sizeof *get_rows,
    .word = "URL",
    .words_least = 1,
    .words_most = WORDS_MAX,
};

static const struct settings_program post_program = {
    .name = "atls post",
    .prefix = "ATLS_POST_",
    .summary =
        "Posts to URL in a trusted execution environment, after it has proved to be what the "
        "policy asks for. Nothing is sent before.",
    .usage = "atls post https://HOST[:PORT]/PATH [FIELD: VALUE]... --policy FILE [--data FILE]",
    .epilogue = EPILOGUE,
    .rows = post_rows,
    .count = sizeof post_rows / sizeof *post_rows,
    .word = "URL",
    .words_least = 1,
    .words_most = WORDS_MAX,
};

struct request {
    const char *command;
    const struct config *config;
    struct endpoint endpoint;
    const char *const *words; /* fields from 1 on */
    unsigned word_count;
    bool post;
    struct buf body, head;
};

static bool own_field(const struct request *r, const char *name)
{
    for (unsigned i = 1; i < r->word_count; i++) {
        struct view v = view_str(r->words[i]);

        if (view_eq_nocase(view_first(v, view_find(v, ':')), view_str(name)))
            return true;
    }
    return false;
}

static bool put_field(struct request *r, const char *word, struct err *err)
{
    struct view v = view_str(word), name = view_first(v, view_find(v, ':'));
    char copy[256];

    if (name.len == v.len || !http_is_token(name) || name.len >= sizeof copy)
        return err_set(err, ERR_USAGE, "\"%s\" is no header field; write 'Name: value'", word);
    memcpy(copy, name.at, name.len);
    copy[name.len] = '\0';
    return http_write_field(&r->head, copy, view_trim_ows(view_skip(v, name.len + 1)), err);
}

static bool write_head(struct request *r, struct err *err)
{
    char host[300];
    bool v6 = strchr(r->endpoint.host, ':') != NULL, good;

    (void)snprintf(host, sizeof host, v6 ? "[%s]" : "%s", r->endpoint.host);
    if (r->endpoint.port != 443)
        (void)snprintf(host + strlen(host), sizeof host - strlen(host), ":%u", r->endpoint.port);
    good = http_write_request(&r->head, r->post ? VIEW("POST") : VIEW("GET"),
                              view_str(r->endpoint.path), err) &&
           (own_field(r, "Host") || http_write_field(&r->head, "Host", view_str(host), err)) &&
           (own_field(r, "User-Agent") ||
            http_write_field(&r->head, "User-Agent", VIEW("atls/" POSTERN_VERSION), err)) &&
           (own_field(r, "Accept") || http_write_field(&r->head, "Accept", VIEW("*/*"), err)) &&
           http_write_field(&r->head, "Connection", VIEW("close"), err);
    if (good && r->post)
        good = (own_field(r, "Content-Type") ||
                http_write_field(&r->head, "Content-Type", VIEW("application/json"), err)) &&
               http_write_field_u64(&r->head, "Content-Length", buf_len(&r->body), err);
    for (unsigned i = 1; good && i < r->word_count; i++)
        good = put_field(r, r->words[i], err);
    return good && http_write_end(&r->head, err);
}

static bool read_body(struct request *r, struct err *err)
{
    const char *data = r->config->data;

    buf_init(&r->body, BODY_MAX, "body");
    if (!r->post)
        return true;
    if (data[0] == '@')
        return buf_append_str(&r->body, data + 1, err);
    return input_file(data, BODY_MAX, "body", &r->body, err);
}

/* Reads until the head is whole; informational ones are passed over. */
static bool read_head(struct request *r, struct attested *c, struct buf *in, bool *end,
                      struct http_head *head, struct attest_err *err)
{
    struct http_parser parser;

    http_parser_init(&parser);
    for (;;) {
        switch (http_response_parse(&parser, buf_view(in), head)) {
        case HTTP_MORE:
            if (*end)
                return attest_fail(err, ATTEST_CLOSED,
                                   "the server ended the connection within "
                                   "its answer");
            if (!attested_read(c, in, end, r->config->max_time_ms, err))
                return false;
            break;
        case HTTP_FAILED:
            return attest_fail(err, ATTEST_HTTP, "Invalid HTTP response: %s", parser.err.text);
        case HTTP_DONE:
            if (head->status >= 200)
                return true;
            buf_eat(in, head->bytes);
            http_parser_init(&parser);
            break;
        }
    }
}

static bool read_rest(struct request *r, struct attested *c, struct buf *in, bool end,
                      struct http_body *plan, struct attest_err *err)
{
    struct err why;

    while (!plan->done && plan->kind != HTTP_BODY_NONE) {
        struct view rest = buf_view(in), piece;

        while (rest.len && !plan->done) {
            if (!http_body_feed(plan, &rest, &piece, &why))
                return attest_fail(err, ATTEST_HTTP, "Invalid HTTP response: %s", why.text);
            if (!output_write(piece, err))
                return false;
        }
        buf_reset(in);
        if (plan->done)
            return true;
        if (end)
            return plan->kind == HTTP_BODY_UNTIL_CLOSE ||
                   attest_fail(err, ATTEST_CLOSED,
                               "the server ended the connection within its answer");
        if (!attested_read(c, in, &end, r->config->max_time_ms, err))
            return false;
    }
    return true;
}

static bool answer(struct request *r, struct attested *c, int *http_status, struct attest_err *err)
{
    struct http_head head;
    struct http_body plan;
    struct buf in;
    struct err why;
    bool end = false, good;

    buf_init(&in, RECEIVED_MAX, "answer");
    good = read_head(r, c, &in, &end, &head, err);
    if (good) {
        *http_status = head.status;
        good = (!r->config->include || output_write(view_first(buf_view(&in), head.bytes), err)) &&
               (http_body_plan(&head, true, r->post ? VIEW("POST") : VIEW("GET"), &plan, &why) ||
                attest_fail(err, ATTEST_HTTP, "Invalid HTTP response: %s", why.text));
        buf_eat(&in, head.bytes);
        good = good && read_rest(r, c, &in, end, &plan, err);
    }
    buf_done(&in);
    return good;
}

static int perform(struct request *r)
{
    CLEANUP(policy_free_cleanup) struct policy *policy = NULL;
    CLEANUP(attested_free_cleanup) struct attested *c = NULL;
    struct attest_err why = {.code = ATTEST_OK};
    int status, http_status = 0;
    struct err err;

    if (!endpoint_policy(r->command, &r->config->endpoint, &policy, &status))
        return status;
    if (!endpoint_parse(r->words[0], true, &r->endpoint, &err) || !read_body(r, &err) ||
        !write_head(r, &err)) {
        (void)fprintf(stderr, "%s: %s\n", r->command, err.text);
        return 2;
    }
    if (!endpoint_open(r->command, &r->config->endpoint, &r->endpoint, policy, &c, &status))
        return status;
    if (!attested_write(c, buf_view(&r->head), &why) ||
        !attested_write(c, buf_view(&r->body), &why) || !answer(r, c, &http_status, &why))
        return endpoint_failed(r->command, r->config->endpoint.json, &why);
    return r->config->fail && http_status >= 400 ? STATUS_FAILED : 0;
}

static int request(const struct settings_program *program, bool post, int argc, char **argv,
                   char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    struct request r = {.command = program->name, .post = post};
    struct config config;
    int status;

    if (!command_start(program, argc, argv, environment, &config, &settings, &status))
        return status;
    r.config = &config;
    r.words = settings_words(settings, &r.word_count);
    buf_init(&r.head, HTTP_HEAD_BYTES_MAX, "request");
    status = perform(&r);
    buf_done(&r.head);
    buf_done(&r.body);
    return status;
}

int cli_get(int argc, char **argv, char **environment)
{
    return request(&get_program, false, argc, argv, environment);
}

int cli_post(int argc, char **argv, char **environment)
{
    return request(&post_program, true, argc, argv, environment);
}
