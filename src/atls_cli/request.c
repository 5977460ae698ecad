/* atls get, atls post: HTTP requests on an attested connection, one behind the other; the answers' bodies go to standard output as
 * they come. Between requests the connection proves itself again when the policy's reattest_after is over. */
#include <poll.h>
#include <stdio.h>

#include "atls_cli/commands.h"
#include "atls_cli/endpoint.h"
#include "atls_cli/input.h"
#include "atls_cli/output.h"
#include "base/command.h"
#include "base/version.h"
#include "http/exchange.h"

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

#define STATUSES                                                                              \
    "Exit status: 0 answered; 2 usage or policy; 10 network; 11 TLS; 12 quote; 13 TCB; 14\n"  \
    "measurements; 15 event log; 16 the quote is not for this session; 17 no receipt could\n" \
    "be made; 22 --fail.\n"
#define FIELDS "Words behind the URL are header fields: 'Authorization: Bearer …'.\n"

static const struct settings_program get_program = {
    .name = "atls get",
    .prefix = "ATLS_GET_",
    .summary = "Gets URL from a trusted execution environment, after it has proved to be what the "
               "policy asks for. Nothing is sent before.",
    .usage = "atls get https://HOST[:PORT]/PATH [URL]... [FIELD: VALUE]... --policy FILE",
    .epilogue = FIELDS
    "More URLs of the same server are got on the same connection. Between two requests it\n"
    "proves itself again when the policy's reattest_after is over; an answer under way is\n"
    "not interrupted.\n" STATUSES,
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
    .epilogue = FIELDS STATUSES,
    .rows = post_rows,
    .count = sizeof post_rows / sizeof *post_rows,
    .word = "URL",
    .words_least = 1,
    .words_most = WORDS_MAX,
};

struct request {
    const char *command;
    const struct config *config;
    const struct policy *policy;
    struct endpoint endpoint; /* path: of the request under way */
    const char *const *words; /* URLs and fields */
    unsigned word_count;
    bool post, last; /* last: no other request follows */
    struct buf body, head;
    struct attested *connection;   /* NULL: none */
    struct http_exchange exchange; /* the one under way */
    struct buf in;                 /* received, not yet looked at */
    bool end;                      /* nothing more comes */
    bool failed;                   /* an answer was 400 or more */
};

static bool is_url(const char *word)
{
    return strncmp(word, "https://", sizeof "https://" - 1) == 0;
}

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
    if (http_exchange_framing(name))
        return err_set(err, ERR_USAGE, "\"%s\": where the request ends is for atls to say", word);
    memcpy(copy, name.at, name.len);
    copy[name.len] = '\0';
    return http_write_field(&r->head, copy, view_trim_ows(view_skip(v, name.len + 1)), err);
}

static bool write_head(struct request *r, struct err *err)
{
    char host[300];
    bool v6 = strchr(r->endpoint.host, ':') != NULL, good;

    buf_reset(&r->head);
    (void)snprintf(host, sizeof host, v6 ? "[%s]" : "%s", r->endpoint.host);
    if (r->endpoint.port != 443)
        (void)snprintf(host + strlen(host), sizeof host - strlen(host), ":%u", r->endpoint.port);
    good =
        http_exchange_begin(
            &r->exchange, r->post ? VIEW("POST") : VIEW("GET"), view_str(r->endpoint.path),
            r->post ? HTTP_UPLOAD_LENGTH : HTTP_UPLOAD_NONE, buf_len(&r->body), &r->head, err) &&
        (own_field(r, "Host") || http_write_field(&r->head, "Host", view_str(host), err)) &&
        (own_field(r, "User-Agent") ||
         http_write_field(&r->head, "User-Agent", VIEW("atls/" POSTERN_VERSION), err)) &&
        (own_field(r, "Accept") || http_write_field(&r->head, "Accept", VIEW("*/*"), err)) &&
        http_write_field(&r->head, "Connection", r->last ? VIEW("close") : VIEW("keep-alive"), err);
    if (good && r->post)
        good = own_field(r, "Content-Type") ||
               http_write_field(&r->head, "Content-Type", VIEW("application/json"), err);
    for (unsigned i = 1; good && i < r->word_count; i++)
        good = is_url(r->words[i]) || put_field(r, r->words[i], err);
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

static int usage(const struct request *r, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", r->command, err->text);
    return 2;
}

/* --- one answer --- */

static bool broken(const struct err *why, struct attest_err *err)
{
    return why->code == ERR_IO
               ? attest_fail(err, ATTEST_CLOSED, "%s", why->text)
               : attest_fail(err, ATTEST_HTTP, "Invalid HTTP response: %s", why->text);
}

/* Waits for more of it. */
static bool hear(struct request *r, struct attest_err *err)
{
    return attested_read(r->connection, &r->in, &r->end, r->config->max_time_ms, err);
}

static bool read_head(struct request *r, struct http_head *head, struct attest_err *err)
{
    struct err why;

    for (;;) {
        switch (http_exchange_head(&r->exchange, &r->in, r->end, head, &why)) {
        case HTTP_MORE:
            if (!hear(r, err))
                return false;
            break;
        case HTTP_FAILED:
            return broken(&why, err);
        case HTTP_DONE:
            return true;
        }
    }
}

/* What follows the body stays in r->in. */
static bool read_body_of_answer(struct request *r, struct attest_err *err)
{
    struct err why;

    for (;;) {
        struct view rest = buf_view(&r->in), piece;
        enum http_result result = http_exchange_body(&r->exchange, &rest, r->end, &piece, &why);
        bool empty = !piece.len;

        if (result == HTTP_FAILED)
            return broken(&why, err);
        if (!output_write(piece, err))
            return false;
        buf_eat(&r->in, buf_len(&r->in) - rest.len);
        if (result == HTTP_DONE)
            return true;
        if (empty && !hear(r, err))
            return false;
    }
}

/* *keeps: the connection is good for another request. */
static bool answer(struct request *r, bool *keeps, struct attest_err *err)
{
    struct http_head head; /* lends from r->in */

    if (!read_head(r, &head, err))
        return false;
    r->failed = r->failed || head.status >= 400;
    log_event(attested_log(r->connection), LOG_DEBUG, "answer.begun", "answer begun",
              F_U64("status", (uint64_t)head.status), F_U64("head_bytes", head.bytes));
    if (r->config->include && !output_write(view_first(buf_view(&r->in), head.bytes), err))
        return false;
    buf_eat(&r->in, head.bytes);
    if (!read_body_of_answer(r, err))
        return false;
    *keeps = http_exchange_keeps(&r->exchange, buf_len(&r->in), r->end);
    log_event(attested_log(r->connection), LOG_DEBUG, "answer.ended", "answer is whole",
              F_BOOL("connection_kept", *keeps));
    return true;
}

/* --- one request --- */

static void hang_up(struct request *r)
{
    attested_free(r->connection);
    r->connection = NULL;
    buf_reset(&r->in);
    r->end = false;
}

/* Nothing is asked for, and something is there: its end, or what would be taken for the next answer. */
static bool speaks_unasked(const struct attested *c)
{
    struct pollfd p = {.fd = attested_fd(c), .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* A connection that has proved itself, and lately enough. A live one that cannot prove itself again for want of a network, or because
 * its certificate was changed, is exchanged; one that is refused is not. */
static bool connected(struct request *r, int *status)
{
    const struct endpoint_config *c = &r->config->endpoint;
    struct attest_err why = {.code = ATTEST_OK};

    if (r->connection && speaks_unasked(r->connection))
        hang_up(r);
    if (r->connection && attested_due_in_ms(r->connection) == 0 &&
        !endpoint_renew(r->command, c, &r->endpoint, r->policy, r->connection, &why)) {
        hang_up(r);
        if (!attest_retryable(why.code)) {
            *status = endpoint_failed(r->command, c->json, &why);
            return false;
        }
    }
    return r->connection ||
           endpoint_open(r->command, c, &r->endpoint, r->policy, &r->connection, status);
}

static bool send(struct request *r, struct attest_err *err)
{
    struct err why;

    log_event(attested_log(r->connection), LOG_DEBUG, "request.sending", "sending a request",
              F_STR("method", r->post ? "POST" : "GET"), F_U64("head_bytes", buf_len(&r->head)),
              F_U64("body_bytes", buf_len(&r->body)));
    if (!http_exchange_pass(&r->exchange, buf_len(&r->body), &why) ||
        !http_exchange_sent(&r->exchange, &r->head, &why))
        return attest_fail(err, ATTEST_IO, "%s", why.text);
    return attested_write(r->connection, buf_view(&r->head), err) &&
           attested_write(r->connection, buf_view(&r->body), err);
}

/* A server may close a connection that it kept, just when a request is on its way: such a GET is sent once more. */
static bool perform_one(struct request *r, int *status)
{
    struct attest_err why = {.code = ATTEST_OK};
    bool keeps = false, kept;
    struct err err;

    do {
        kept = r->connection != NULL;
        if (!write_head(r, &err)) {
            *status = usage(r, &err);
            return false;
        }
        if (!connected(r, status))
            return false;
        if (send(r, &why) && answer(r, &keeps, &why)) {
            if (!keeps)
                hang_up(r);
            return true;
        }
        hang_up(r);
    } while (kept && !r->post && !r->exchange.begun && attest_retryable(why.code) &&
             why.code != ATTEST_TIMEOUT);
    *status = endpoint_failed(r->command, r->config->endpoint.json, &why);
    return false;
}

/* --- */

static bool same_server(const struct endpoint *a, const struct endpoint *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

/* Words that are URLs, all of one server; the first of them is r->endpoint. */
static bool parse_urls(struct request *r, struct err *err)
{
    struct endpoint other;

    if (!endpoint_parse(r->words[0], true, &r->endpoint, err))
        return false;
    for (unsigned i = 1; i < r->word_count; i++) {
        if (!is_url(r->words[i]))
            continue;
        if (r->post)
            return err_set(err, ERR_USAGE, "one URL at a time");
        if (!endpoint_parse(r->words[i], true, &other, err))
            return false;
        if (!same_server(&r->endpoint, &other))
            return err_set(err, ERR_USAGE, "%s is not on the server of the first URL", r->words[i]);
    }
    return true;
}

static unsigned next_url(const struct request *r, unsigned i)
{
    while (i < r->word_count && !is_url(r->words[i]))
        i++;
    return i;
}

static int perform(struct request *r)
{
    CLEANUP(policy_free_cleanup) struct policy *policy = NULL;
    bool good = true;
    int status = 0;
    struct err err;

    if (!endpoint_policy(r->command, &r->config->endpoint, &policy, &status))
        return status;
    r->policy = policy;
    if (!parse_urls(r, &err) || !read_body(r, &err))
        return usage(r, &err);
    for (unsigned i = 0; good && i < r->word_count; i = next_url(r, i + 1)) {
        r->last = next_url(r, i + 1) == r->word_count;
        if (!endpoint_parse(r->words[i], true, &r->endpoint, &err))
            return usage(r, &err);
        good = perform_one(r, &status);
    }
    hang_up(r);
    return !good ? status : r->config->fail && r->failed ? STATUS_FAILED : 0;
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
    buf_init(&r.in, RECEIVED_MAX, "answer");
    status = perform(&r);
    buf_done(&r.head);
    buf_done(&r.body);
    buf_done(&r.in);
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
