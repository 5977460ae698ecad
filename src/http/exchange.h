/* exchange: one HTTP/1.1 request and its answer, at the client's end, without I/O.
 *
 *   http_exchange_begin ──► head ──► http_exchange_send … ──► http_exchange_sent     the request, into a buf
 *   bytes received ──► http_exchange_head ──► http_exchange_body …                   the answer, out of what came
 *
 * Both ways may run side by side: an answer may come before the request is whole (it then ends the connection's use). Informational
 * answers are passed over. What follows the answer unasked makes the connection useless: it would be taken for the next one.
 *
 * Memory   nothing is allocated; heads and pieces lend what the caller holds.
 * Limits   those of http.h; HTTP_INFORMATIONAL_MAX informational answers. */
#pragma once

#include "http/http.h"

enum { HTTP_INFORMATIONAL_MAX = 8 };

enum http_upload { HTTP_UPLOAD_NONE, HTTP_UPLOAD_LENGTH, HTTP_UPLOAD_CHUNKED };

struct http_exchange {
    enum http_upload upload;
    uint64_t upload_left;
    bool sent; /* the request is whole */
    bool head_only;
    struct http_parser parser;
    unsigned informational;
    bool begun; /* something of the answer came */
    bool answered, keeps;
    struct http_body plan;
};

/* The request line, the fields that say where the body ends, and nothing else yet: the caller appends its own fields (none of
 * those: http_exchange_framing) and http_write_end. length: of the body, with HTTP_UPLOAD_LENGTH. */
MUST_USE bool http_exchange_begin(struct http_exchange *x, struct view method, struct view target,
                                  enum http_upload upload, uint64_t length, struct buf *out,
                                  struct err *err);
/* Fields that a caller must not write: two that differ would make two requests of one (RFC 9112, 6 and 9). */
bool http_exchange_framing(struct view name);
/* A piece of the body. Fails when it is more than was announced. */
MUST_USE bool http_exchange_send(struct http_exchange *x, struct view piece, struct buf *out,
                                 struct err *err);
/* The same for n bytes of a body of known length that the caller sends as they are. */
MUST_USE bool http_exchange_pass(struct http_exchange *x, uint64_t n, struct err *err);
/* The body is whole. Fails when it is less than was announced. */
MUST_USE bool http_exchange_sent(struct http_exchange *x, struct buf *out, struct err *err);

/* received: all that came and was not eaten yet; end: nothing more will. HTTP_DONE: *head lends from received; its head->bytes
 * are the caller's to eat when it has done with it. */
MUST_USE enum http_result http_exchange_head(struct http_exchange *x, struct buf *received,
                                             bool end, struct http_head *head, struct err *err);
/* HTTP_MORE: *piece is of the body; empty: give more. HTTP_DONE: the body is whole, and what is left in *in is not its. */
MUST_USE enum http_result http_exchange_body(struct http_exchange *x, struct view *in, bool end,
                                             struct view *piece, struct err *err);
/* So many bytes of the body come next as they are: they may be read past http_exchange_body, which is then told. */
uint64_t http_exchange_plain(const struct http_exchange *x);
void http_exchange_took(struct http_exchange *x, uint64_t n);
/* After HTTP_DONE: whether another request may follow. rest: bytes there are behind the answer; end: nothing more will come. */
bool http_exchange_keeps(const struct http_exchange *x, size_t rest, bool end);
