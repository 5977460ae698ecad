/* head: start line and fields of a message (RFC 9112, 2 to 5), byte by byte in any split. */
#include "http/http_priv.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

/* What the next byte belongs to. */
enum state {
    START,        /* the first byte of the message */
    EMPTY_LF,     /* LF of the empty line before a request line */
    METHOD,       /* of a request line, up to the blank */
    TARGET,       /* up to the next blank */
    VERSION,      /* of either start line */
    STATUS_CODE,  /* the three digits */
    STATUS_BLANK, /* blank before the reason, or the end of the line */
    REASON,       /* up to CR */
    LINE_LF,      /* LF of a start line */
    FIELD_START,  /* first byte of a field line or of the last, empty line */
    NAME,         /* up to the colon */
    VALUE,        /* up to CR */
    FIELD_LF,     /* LF of a field line */
    END_LF,       /* LF of the last, empty line */
    COMPLETE,
    FAILED,
};

enum { METHOD_BYTES_MAX = 32, STATUS_DIGITS = 3 };

static enum http_result parse(struct http_parser *p, struct view bytes, bool response,
                              struct http_head *out);
static bool limits_ok(struct http_parser *p, uint8_t c);
static bool step(struct http_parser *p, struct view bytes, bool response);
static bool step_start(struct http_parser *p, struct view bytes, bool response);
static bool step_method(struct http_parser *p, struct view bytes);
static bool step_target(struct http_parser *p, struct view bytes);
static bool step_version(struct http_parser *p, struct view bytes, bool response);
static bool step_status_code(struct http_parser *p, struct view bytes);
static bool step_line_rest(struct http_parser *p, struct view bytes);
static bool step_field_start(struct http_parser *p, struct view bytes);
static bool step_name(struct http_parser *p, struct view bytes);
static bool step_value(struct http_parser *p, struct view bytes);
static bool step_lf(struct http_parser *p, struct view bytes, bool response);
static bool field_ok(struct http_parser *p, struct view line, bool response);
static bool host_ok(struct http_parser *p, struct view host);
static void fill(struct view bytes, bool response, struct http_head *out);
static bool fail(struct http_parser *p, int status, const char *fmt, ...) PRINTF(3, 4);

void http_parser_init(struct http_parser *p)
{
    *p = (struct http_parser){.state = START};
}

enum http_result http_request_parse(struct http_parser *p, struct view bytes, struct http_head *out)
{
    return parse(p, bytes, false, out);
}

enum http_result http_response_parse(struct http_parser *p, struct view bytes,
                                     struct http_head *out)
{
    return parse(p, bytes, true, out);
}

static enum http_result parse(struct http_parser *p, struct view bytes, bool response,
                              struct http_head *out)
{
    if (p->state == FAILED)
        return HTTP_FAILED;
    while (p->state != COMPLETE) {
        if (p->scanned >= bytes.len)
            return HTTP_MORE;
        if (!limits_ok(p, bytes.at[p->scanned]) || !step(p, bytes, response))
            return HTTP_FAILED;
    }
    fill(view_first(bytes, p->scanned), response, out);
    return HTTP_DONE;
}

/* No span of bytes passes this without limits_ok. */
static size_t limit(const struct http_parser *p)
{
    size_t line = p->line_start + HTTP_LINE_BYTES_MAX;

    return line < HTTP_HEAD_BYTES_MAX ? line : HTTP_HEAD_BYTES_MAX;
}

static bool limits_ok(struct http_parser *p, uint8_t c)
{
    if (p->scanned >= HTTP_HEAD_BYTES_MAX)
        return fail(p, 431, "head longer than %d bytes", HTTP_HEAD_BYTES_MAX);
    if (p->scanned < p->line_start + HTTP_LINE_BYTES_MAX || c == '\r' || c == '\n')
        return true;
    return fail(p, p->lines == 0 ? 414 : 431, "longer than %d bytes", HTTP_LINE_BYTES_MAX);
}

/* Judges the next byte, or all that follow of the same kind. */
static bool step(struct http_parser *p, struct view bytes, bool response)
{
    switch ((enum state)p->state) {
    case START:
        return step_start(p, bytes, response);
    case METHOD:
        return step_method(p, bytes);
    case TARGET:
        return step_target(p, bytes);
    case VERSION:
        return step_version(p, bytes, response);
    case STATUS_CODE:
        return step_status_code(p, bytes);
    case STATUS_BLANK:
    case REASON:
        return step_line_rest(p, bytes);
    case FIELD_START:
        return step_field_start(p, bytes);
    case NAME:
        return step_name(p, bytes);
    case VALUE:
        return step_value(p, bytes);
    case EMPTY_LF:
    case LINE_LF:
    case FIELD_LF:
    case END_LF:
        return step_lf(p, bytes, response);
    case COMPLETE:
    case FAILED:
        break;
    }
    return false;
}

/* Takes the byte that was just judged; the next one begins a part of its own. Always true. */
static bool next(struct http_parser *p, enum state state)
{
    p->scanned++;
    p->part_start = p->scanned;
    p->state = (uint8_t)state;
    return true;
}

/* A byte as the text of an error shows it. */
static const char *show(uint8_t c, char out[static 8])
{
    if (c > ' ' && c < 0x7f)
        (void)snprintf(out, 8, "'%c'", c);
    else
        (void)snprintf(out, 8, "%s", c == '\r' ? "CR" : c == '\n' ? "LF" : c == ' ' ? "blank" : "");
    if (!out[0])
        (void)snprintf(out, 8, "0x%02x", c);
    return out;
}

/* limits_ok is going to let c pass. */
static bool within_limits(const struct http_parser *p, uint8_t c)
{
    return p->scanned < limit(p) || (p->scanned < HTTP_HEAD_BYTES_MAX && (c == '\r' || c == '\n'));
}

/* Takes all bytes of the classes and lends the one that ends them. False when that one is not there
 * yet, or stands where limits_ok is going to refuse it. */
static bool take_span(struct http_parser *p, struct view bytes, unsigned classes, uint8_t *end)
{
    p->scanned = view_span(view_first(bytes, limit(p)), p->scanned, classes);
    if (p->scanned == bytes.len)
        return false;
    *end = bytes.at[p->scanned];
    return !byte_is(*end, classes) && within_limits(p, *end);
}

static bool step_start(struct http_parser *p, struct view bytes, bool response)
{
    if (response) {
        p->state = VERSION;
        return true;
    }
    if (bytes.at[p->scanned] == '\r')
        return next(p, EMPTY_LF);
    p->state = METHOD;
    return true;
}

static bool step_method(struct http_parser *p, struct view bytes)
{
    char shown[8];
    bool more;
    uint8_t c;

    more = !take_span(p, bytes, BYTE_TOKEN, &c);
    if (p->scanned - p->part_start > METHOD_BYTES_MAX) {
        p->scanned = p->part_start + METHOD_BYTES_MAX;
        return fail(p, 501, "method longer than %d bytes", METHOD_BYTES_MAX);
    }
    if (more)
        return true;
    if (p->scanned == p->part_start)
        return fail(p, 400, "expected a method, got %s", show(c, shown));
    if (c != ' ')
        return fail(p, 400, "expected a blank after the method, got %s", show(c, shown));
    return next(p, TARGET);
}

static bool step_target(struct http_parser *p, struct view bytes)
{
    char shown[8];
    uint8_t c;

    if (!take_span(p, bytes, BYTE_TARGET, &c))
        return true;
    if (p->scanned == p->part_start)
        return fail(p, 400, "expected a request target after the method, got %s", show(c, shown));
    if (c == '\r' || c == '\n')
        return fail(p, 400, "expected HTTP/1.1 after the request target, got the end of the line");
    if (c != ' ')
        return fail(p, 400, "expected visible ASCII in the request target, got %s", show(c, shown));
    return next(p, VERSION);
}

/* "HTTP/1.", the minor version, and what ends it in this kind of start line. */
static bool step_version(struct http_parser *p, struct view bytes, bool response)
{
    static const uint8_t prefix[] = {'H', 'T', 'T', 'P', '/', '1', '.'};
    size_t index = p->scanned - p->part_start;
    uint8_t c = bytes.at[p->scanned];
    bool digit = c >= '0' && c <= '9';
    char shown[8];

    if (index < sizeof prefix ? c == prefix[index]
                              : index == sizeof prefix && (c == '0' || c == '1')) {
        p->scanned++;
        p->minor = c == '1';
        return true;
    }
    if (digit && (index == 5 || index == sizeof prefix)) {
        struct view line = {bytes.at + p->line_start, p->scanned + 1 - p->line_start};

        if (view_eq(line, VIEW("PRI * HTTP/2")))
            return fail(p, 0, "HTTP/2 connection preface");
        return fail(p, 505, "expected version HTTP/1.1");
    }
    if (index <= sizeof prefix)
        return fail(p, 400, "expected HTTP/1.1, got %s", show(c, shown));
    if (response && c == ' ')
        return next(p, STATUS_CODE);
    if (!response && c == '\r')
        return next(p, LINE_LF);
    return fail(p, 400, "expected %s after the version, got %s",
                response ? "a blank" : "the end of the line", show(c, shown));
}

static bool step_status_code(struct http_parser *p, struct view bytes)
{
    size_t index = p->scanned - p->part_start;
    uint8_t c = bytes.at[p->scanned];
    char shown[8];

    if (c < (index ? '0' : '1') || c > (index ? '9' : '5'))
        return fail(p, 400, "expected a status of three digits, 100 to 599, got %s",
                    show(c, shown));
    if (index + 1 == STATUS_DIGITS)
        return next(p, STATUS_BLANK);
    p->scanned++;
    return true;
}

/* The reason of a status line. Many servers leave out the blank before an empty one. */
static bool step_line_rest(struct http_parser *p, struct view bytes)
{
    char shown[8];
    uint8_t c;

    c = bytes.at[p->scanned];
    if (p->state == STATUS_BLANK && c == ' ')
        return next(p, REASON);
    if (p->state == REASON && !take_span(p, bytes, BYTE_VALUE, &c))
        return true;
    if (c != '\r')
        return fail(p, 400, "expected the end of the line or a reason, got %s", show(c, shown));
    return next(p, LINE_LF);
}

static bool step_field_start(struct http_parser *p, struct view bytes)
{
    uint8_t c = bytes.at[p->scanned];
    char shown[8];

    if (c == '\r')
        return next(p, END_LF);
    if (p->lines > HTTP_FIELDS_MAX)
        return fail(p, 431, "more than %d fields", HTTP_FIELDS_MAX);
    if (c == ' ' || c == '\t')
        return fail(p, 400, "expected a field name, got a blank (folded lines are refused)");
    if (!byte_is(c, BYTE_TOKEN))
        return fail(p, 400, "expected a field name, got %s", show(c, shown));
    p->state = NAME;
    return true;
}

/* The start of a line, escaped and cut, for an error. */
static const char *show_name(struct view name, char out[static SHOWN_BYTES])
{
    (void)text_escape(name, SHOWN_BYTES, out, SHOWN_BYTES);
    return out;
}

static bool step_name(struct http_parser *p, struct view bytes)
{
    char shown[8], name[SHOWN_BYTES];
    uint8_t c;

    if (!take_span(p, bytes, BYTE_TOKEN, &c))
        return true;
    if (c == ':')
        return next(p, VALUE);
    show_name((struct view){bytes.at + p->line_start, p->scanned - p->line_start}, name);
    return fail(p, 400, "field \"%s\": expected ':' right after the name, got %s", name,
                show(c, shown));
}

static bool step_value(struct http_parser *p, struct view bytes)
{
    char shown[8], name[SHOWN_BYTES];
    uint8_t c;

    if (!take_span(p, bytes, BYTE_VALUE, &c))
        return true;
    if (c == '\r')
        return next(p, FIELD_LF);
    show_name((struct view){bytes.at + p->line_start, p->part_start - 1 - p->line_start}, name);
    return fail(p, 400, "field \"%s\": expected text and CR LF, got %s%s", name, show(c, shown),
                c == '\n' ? " without CR" : "");
}

/* The LF behind a CR, and what the end of this line means. */
static bool step_lf(struct http_parser *p, struct view bytes, bool response)
{
    uint8_t c = bytes.at[p->scanned];
    char shown[8];

    if (c != '\n')
        return fail(p, 400, "expected LF after CR, got %s", show(c, shown));
    if (p->state == END_LF) {
        if (!response && p->minor == 1 && p->hosts == 0)
            return fail(p, 400, "expected a field \"Host\" before the end of the head");
        return next(p, COMPLETE);
    }
    if (p->state == FIELD_LF &&
        !field_ok(p, (struct view){bytes.at + p->line_start, p->scanned - 1 - p->line_start},
                  response))
        return false;
    if (p->state == EMPTY_LF)
        next(p, METHOD);
    else {
        p->lines++;
        next(p, FIELD_START);
    }
    p->line_start = p->scanned;
    return true;
}

/* line: a whole, well-formed field line without its end. */
static struct http_field field_split(struct view line)
{
    size_t colon = view_find(line, ':');

    return (struct http_field){view_first(line, colon), view_trim_ows(view_skip(line, colon + 1))};
}

/* Fields that two parsers would read in two ways. A tab beside a length or a coding is allowed by
 * RFC 9112, 5, but others take it for a part of the value, and end the message elsewhere. */
static bool field_ok(struct http_parser *p, struct view line, bool response)
{
    struct http_field field = field_split(line);
    char name[SHOWN_BYTES];

    if (view_eq_nocase(field.name, VIEW("Host")) && !response)
        return host_ok(p, field.value);
    if ((view_eq_nocase(field.name, VIEW("Content-Length")) ||
         view_eq_nocase(field.name, VIEW("Transfer-Encoding"))) &&
        view_find(line, '\t') != line.len)
        return fail(p, 400, "field \"%s\": expected no tab", show_name(field.name, name));
    return true;
}

/* Two hosts, or one that is no host, would be routed in two ways (RFC 9112, 3.2). */
static bool host_ok(struct http_parser *p, struct view host)
{
    if (++p->hosts > 1)
        return fail(p, 400, "field \"Host\": expected one, got another");
    if (view_span(host, 0, BYTE_HOST) != host.len)
        return fail(p, 400, "field \"Host\": expected a host and an optional port");
    return true;
}

/* Takes the line before the next CR LF out of *rest. Every CR of a good head has its LF. */
static struct view next_line(struct view *rest)
{
    size_t end = view_find(*rest, '\r');
    struct view line = view_first(*rest, end);

    *rest = view_skip(*rest, end + 2);
    return line;
}

/* bytes: a whole, well-formed head. */
static void fill(struct view bytes, bool response, struct http_head *out)
{
    struct view line, rest = bytes, first = {0}, second = {0};

    *out = (struct http_head){.bytes = bytes.len};
    line = next_line(&rest);
    if (line.len == 0)
        line = next_line(&rest);
    (void)view_next(&line, ' ', &first);
    (void)view_next(&line, ' ', &second);
    /* What the parser has seen is there. NOLINTBEGIN(clang-analyzer-core.NullDereference) */
    if (response) {
        out->minor = first.at[first.len - 1] - '0';
        out->status = (second.at[0] - '0') * 100 + (second.at[1] - '0') * 10 + second.at[2] - '0';
        out->reason = line;
    } else {
        out->method = first;
        out->target = second;
        out->minor = line.at[line.len - 1] - '0';
    }
    /* NOLINTEND(clang-analyzer-core.NullDereference) */
    while ((line = next_line(&rest)).len)
        out->fields[out->count++] = field_split(line);
}

/* Always false. */
static bool fail(struct http_parser *p, int status, const char *fmt, ...)
{
    char what[ERR_TEXT_BYTES];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    p->state = FAILED;
    p->status = status;
    return err_set(&p->err, status == 414 || status == 431 ? ERR_LIMIT : ERR_SYNTAX, "line %u: %s",
                   p->lines + 1, what);
}
