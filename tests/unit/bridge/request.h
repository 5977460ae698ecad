/* request: a parsed request head for the tests of those who judge one. */
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
#define UPGRADE                                                          \
    "Host: bridge.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

struct request {
    struct http_head head;
    char text[HTTP_HEAD_BYTES_MAX];
};

/* fields: whole lines. False: it is no request at all. */
static inline bool request_make(struct request *r, const char *target, const char *fields)
{
    struct http_parser parser;
    int n = snprintf(r->text, sizeof r->text, "GET %s HTTP/1.1\r\n%s\r\n", target, fields);

    assert_true(n > 0 && (size_t)n < sizeof r->text);
    http_parser_init(&parser);
    return http_request_parse(&parser, view_from(r->text, (size_t)n), &r->head) == HTTP_DONE;
}
