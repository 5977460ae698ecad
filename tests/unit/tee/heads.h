/* heads: parsed heads for tests of what reads or rewrites them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct message {
    struct http_head head;
    char text[HTTP_HEAD_BYTES_MAX];
};

/* line: "GET /x" (HTTP/1.1 is put behind it), or a whole first line with its version. fields: whole lines, without the blank one.
 * The former gets a Host, too. */
static inline const struct http_head *request_of(struct message *m, const char *line,
                                                 const char *fields)
{
    bool whole = strstr(line, "HTTP/1.") != NULL;
    struct http_parser parser;
    int n = snprintf(m->text, sizeof m->text, "%s%s\r\n%s%s\r\n", line, whole ? "" : " HTTP/1.1",
                     whole ? "" : "Host: tee.test\r\n", fields);

    assert_true(n > 0 && (size_t)n < sizeof m->text);
    http_parser_init(&parser);
    if (http_request_parse(&parser, view_from(m->text, (size_t)n), &m->head) != HTTP_DONE)
        fail_msg("%s: %s", line, parser.err.text);
    return &m->head;
}

static inline const struct http_head *response_of(struct message *m, const char *line,
                                                  const char *fields)
{
    struct http_parser parser;
    int n = snprintf(m->text, sizeof m->text, "%s\r\n%s\r\n", line, fields);

    assert_true(n > 0 && (size_t)n < sizeof m->text);
    http_parser_init(&parser);
    if (http_response_parse(&parser, view_from(m->text, (size_t)n), &m->head) != HTTP_DONE)
        fail_msg("%s: %s", line, parser.err.text);
    return &m->head;
}
