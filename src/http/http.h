/* http: the HTTP/1.1 message syntax of RFC 9112, sans-IO and strict.
 *
 *   bytes ──► http_request_parse ──► struct http_head (views into the bytes) ──► who asks for what
 *   struct http_head ──► http_body_plan ──► struct http_body ──► http_body_feed ──► body bytes, at
 * their exact end http_write_* ──► bytes of an answer or a request
 *
 * Strict means: lines end in CRLF and nothing else; no obs-fold; no blank before the colon; no
 * control characters; one Host in HTTP/1.1; Content-Length is digits, once or identical, never
 * beside Transfer-Encoding; Transfer-Encoding is exactly "chunked". What two parsers could read in
 * two ways is refused: that is what request smuggling lives on.
 *
 * Memory   nothing is allocated or copied; a head lends views into the bytes that were parsed.
 * Splits   any split of the input gives the same events; the parser remembers how far it has
 * looked, so that a slow sender costs O(bytes) in all. Limits   base/limits.h: HTTP_HEAD_BYTES_MAX
 * (431), HTTP_LINE_BYTES_MAX (414 for the request line, 431 for a field), HTTP_FIELDS_MAX (431).
 * Read in order   head.c header.c url.c absolute.c body.c write.c */
#pragma once

#include "base/buf.h"
#include "base/limits.h"

struct http_field {
    struct view name, value; /* value without the blanks around it */
};

struct http_head {
    struct view method, target; /* of a request */
    int status;                 /* of a response */
    struct view reason;
    int minor;    /* version: HTTP/1.minor, 0 or 1 */
    size_t bytes; /* of the head, with the blank line: the body starts there */
    size_t count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

enum http_result {
    HTTP_MORE, /* the head is not complete; call again with the same bytes and more behind them */
    HTTP_DONE,
    HTTP_FAILED, /* parser->status is the answer to give, parser->err says what and on which line */
};

struct http_parser {
    size_t scanned;    /* bytes already judged, each of them once */
    size_t line_start; /* of the line that is being read … */
    size_t part_start; /* … and of the part of it: method, target, version, name, value */
    unsigned lines;    /* complete ones, the empty one before a request not counted */
    unsigned hosts;    /* Host fields so far */
    uint8_t state;
    uint8_t minor; /* of the version, as soon as it was read */
    int status;    /* 400, 414, 431, 501, 505; 0 for an HTTP/2 preface: close without an answer */
    struct err err;
};
void http_parser_init(struct http_parser *p);

/* bytes: everything received of this message so far, from its first byte. One empty line before the
 * request line is skipped (RFC 9112, 2.2). out is written only with HTTP_DONE and lends bytes.
 * Accepts HTTP/1.1 with exactly one well-formed Host and, for requests of probes, HTTP/1.0.
 * Fails at the first wrong byte, not only at the end of the head: 400, or 414 and 431 for what is
 * too long, 501 for a method of more than 32 bytes, 505 for another version. A failure is final. */
MUST_USE enum http_result http_request_parse(struct http_parser *p, struct view bytes,
                                             struct http_head *out);
/* As above for a status line (clients: tests, load generator, later gateways). */
MUST_USE enum http_result http_response_parse(struct http_parser *p, struct view bytes,
                                              struct http_head *out);

/* header.c: looking things up. Names compare without case. */
unsigned http_field_count(const struct http_head *h, struct view name);
/* The only field of that name; false when there is none or more than one. */
MUST_USE bool http_field(const struct http_head *h, struct view name, struct view *value);
/* Some field of that name holds the token in its comma-separated list, without case. */
bool http_field_has_token(const struct http_head *h, struct view name, struct view token);
/* The same for one value. */
bool http_list_has_token(struct view list, struct view token);
/* Steps over the elements of all fields of that name, in order, split at commas, empty ones left
 * out. Start with *cursor = 0 pairs: {0}. */
struct http_list {
    size_t field;
    struct view rest;
    bool started;
};
bool http_list_next(const struct http_head *h, struct view name, struct http_list *cursor,
                    struct view *element);
bool http_is_token(struct view v); /* RFC 9110, 5.6.2; not empty */
bool http_is_value(
    struct view v); /* of a field (RFC 9110, 5.5): no control character but the tab */

/* url.c */
/* "host", "host:port" or "[v6]:port": the host without brackets, lent. *port stays as it is where none is written.
 * False: it is none of them. */
MUST_USE bool http_authority_split(struct view authority, struct view *host, uint16_t *port);
struct http_target {
    enum { HTTP_ORIGIN_FORM, HTTP_ABSOLUTE_FORM, HTTP_AUTHORITY_FORM, HTTP_ASTERISK_FORM } form;
    struct view authority; /* of the absolute form */
    struct view path;      /* "/…", as sent; "/" for an absolute form without one */
    struct view query;     /* after the first '?'; .at NULL when there was none */
};
/* Splits a request target (RFC 9112, 3.2). A '#' is refused. */
MUST_USE bool http_target_split(struct view target, struct http_target *out, struct err *err);
/* application/x-www-form-urlencoded, the first pair whose decoded name is name: its decoded value
 * is written to out (room bytes). '+' is a blank, a malformed '%' stays as it is, bytes that are
 * not UTF-8 become U+FFFD. Returns false when there is no such pair. *len: the full decoded length,
 * which may pass room: out then holds the first room bytes. */
MUST_USE bool http_query_first(struct view query, struct view name, uint8_t *out, size_t room,
                               size_t *len);

/* absolute.c: the URLs that a client asks for. Nothing of a URL is ever in an error but its scheme. */
struct http_url {
    bool https;
    struct view user_info; /* before '@', as written; .at NULL: there is none */
    struct view
        host; /* a name of letters, digits, '-', '_' and '.'; an IPv6 literal without brackets */
    bool brackets;
    uint16_t port;         /* 80 or 443 where none is written */
    struct view authority; /* host and port as written, without user info */
    struct view target; /* behind the authority: path and query; may be empty, may begin with '?' */
    struct view path, query; /* the parts of it; query with its '?' */
};
/* "http://…" or "https://…", of visible ASCII; a fragment is left out. Lends url. */
MUST_USE bool http_url_split(struct view url, struct http_url *out, struct err *err);
/* Visible ASCII and nothing else: what http_url_split wants. */
bool http_url_is_plain(struct view url);
/* As people and servers write it: blanks and bytes beyond ASCII are percent-encoded, blanks around it and a fragment left out.
 * ERR_SYNTAX: a control character. Appended. */
MUST_USE bool http_url_clean(struct view url, struct buf *out, struct err *err);
/* What a Location says (RFC 3986, 5.2): an absolute URL, appended; not judged: http_url_split does. base: its user info is left out. */
MUST_USE bool http_url_resolve(const struct http_url *base, struct view reference, struct buf *out,
                               struct err *err);

/* body.c: where a message ends. */
struct http_body {
    enum { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_CLOSE } kind;
    uint64_t left;  /* bytes of the body (LENGTH) or of the chunk (CHUNKED) still to come */
    unsigned state; /* of the chunk decoder */
    unsigned line;  /* bytes of the chunk-size line, or of all trailers, so far */
    unsigned trailers;
    bool done;
};
/* Decides by RFC 9112, 6.3. request_method: of the request that a response answers; empty for a
 * request head. Refuses every contradiction. */
MUST_USE bool http_body_plan(const struct http_head *h, bool response, struct view request_method,
                             struct http_body *out, struct err *err);
/* Takes the next piece of body data out of *in. *piece: a part of *in, empty when only syntax was
 * consumed. False: the peer broke the syntax (ERR_SYNTAX). b->done tells the end; what is left in
 * *in then belongs to the next message. */
MUST_USE bool http_body_feed(struct http_body *b, struct view *in, struct view *piece,
                             struct err *err);

/* write.c */
const char *http_reason(int status);
/* "HTTP/1.1 403 Forbidden\r\n"; then fields; then http_write_end, which adds the blank line. Field
 * values with CR, LF or NUL are refused (ERR_INTERNAL): nothing a peer sends can split an answer.
 */
MUST_USE bool http_write_status(struct buf *out, int status, struct err *err);
MUST_USE bool http_write_request(struct buf *out, struct view method, struct view target,
                                 struct err *err);
MUST_USE bool http_write_field(struct buf *out, const char *name, struct view value,
                               struct err *err);
MUST_USE bool http_write_field_u64(struct buf *out, const char *name, uint64_t value,
                                   struct err *err);
MUST_USE bool http_write_end(struct buf *out, struct err *err);
/* A whole small answer: status, Content-Type, Content-Length, Connection (close or keep-alive),
 * Cache-Control: no-store, X-Content-Type-Options: nosniff, extra (complete lines with CRLF, ours),
 * blank line, body (left out when head_only, its length kept). */
MUST_USE bool http_write_answer(struct buf *out, int status, const char *content_type,
                                const char *extra, struct view body, bool close, bool head_only,
                                struct err *err);
