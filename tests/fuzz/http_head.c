/* Request and response heads: the same answer for every cut, views inside the input, and nothing accepted
 * that would read differently when it is written out again. */
#include <stdlib.h>

#include "base/check.h"
#include "http/http.h"

enum { INPUT_MAX = 20000 };

static void inside(struct view v, struct view all)
{
    CHECK(v.len == 0 || (v.at >= all.at && v.at + v.len <= all.at + all.len));
}

static enum http_result parse(struct http_parser *p, bool response, struct view bytes,
                              struct http_head *head)
{
    return response ? http_response_parse(p, bytes, head) : http_request_parse(p, bytes, head);
}

/* We write a blank behind each colon: what came without may then pass a limit. */
static bool fits_again(const struct http_head *head)
{
    size_t sum = head->method.len + head->target.len + sizeof "  HTTP/1.1\r\n\r\n";

    for (size_t i = 0; i < head->count; i++) {
        size_t line = head->fields[i].name.len + 2 + head->fields[i].value.len;

        sum += line + 2;
        if (line > HTTP_LINE_BYTES_MAX)
            return false;
    }
    return sum <= HTTP_HEAD_BYTES_MAX;
}

/* A field value that is written out and read again is the same. */
static void again(const struct http_head *head)
{
    struct http_head second;
    struct http_parser parser;
    struct buf out;

    buf_init(&out, 2 * HTTP_HEAD_BYTES_MAX, "head");
    CHECK(http_write_request(&out, head->method, head->target, NULL));
    for (size_t i = 0; i < head->count; i++) {
        char name[HTTP_LINE_BYTES_MAX];

        memcpy(name, head->fields[i].name.at, head->fields[i].name.len);
        name[head->fields[i].name.len] = '\0';
        CHECK(http_write_field(&out, name, head->fields[i].value, NULL));
    }
    CHECK(http_write_end(&out, NULL));
    http_parser_init(&parser);
    CHECK(http_request_parse(&parser, buf_view(&out), &second) == HTTP_DONE);
    CHECK(second.count == head->count && view_eq(second.method, head->method) &&
          view_eq(second.target, head->target));
    for (size_t i = 0; i < head->count; i++)
        CHECK(view_eq(second.fields[i].name, head->fields[i].name) &&
              view_eq(second.fields[i].value, head->fields[i].value));
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_parser whole, cut;
    struct http_head a, b;
    enum http_result first, last = HTTP_MORE;
    struct view all;
    bool response;
    size_t step;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    response = data[0] & 1;
    step = (size_t)data[1] % 61 + 1;
    all = view_from(data + 2, size - 2);
    http_parser_init(&whole);
    http_parser_init(&cut);
    first = parse(&whole, response, all, &a);
    for (size_t n = 0; n < all.len && last == HTTP_MORE;) {
        n = all.len - n < step ? all.len : n + step;
        last = parse(&cut, response, view_first(all, n), &b);
    }
    CHECK(first == last || all.len == 0);
    if (first == HTTP_FAILED)
        CHECK(whole.status == cut.status && (whole.status == 0 || whole.err.text[0]));
    if (first != HTTP_DONE)
        return 0;
    CHECK(a.bytes == b.bytes && a.bytes <= HTTP_HEAD_BYTES_MAX && a.count == b.count &&
          a.count <= HTTP_FIELDS_MAX);
    for (size_t i = 0; i < a.count; i++) {
        inside(a.fields[i].name, all);
        inside(a.fields[i].value, all);
        CHECK(http_is_token(a.fields[i].name));
        CHECK(view_find(a.fields[i].value, '\n') == a.fields[i].value.len);
    }
    if (!response && a.minor == 1 && fits_again(&a))
        again(&a);
    return 0;
}
