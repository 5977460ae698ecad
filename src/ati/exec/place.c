#include "ati/exec/place.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/http.h"

#include "base/poison.h"

enum { WORD_MAX = 256, SHOWN_MAX = 160 };

enum place { IN_QUERY, IN_PATH, IN_HEADER, IN_COOKIE, IN_BODY };

/* Where one argument goes, by its property. */
struct destination {
    enum place place;
    struct view wire; /* its name there */
    struct place_how how;
    char name[WORD_MAX];
};

/* An argument, or a default of the schema. */
struct argument {
    const struct json_doc *doc;
    uint32_t key, value;
    uint32_t property; /* of the schema; 0: unknown to it */
};

struct placing {
    const struct tool *tool;
    struct json_tree schema, arguments;
    uint32_t properties; /* of the schema; 0: none */
    bool located, form;
    char body_argument[WORD_MAX];
    char body_type[WORD_MAX];
    bool body_sent;
    struct argument *list;
    size_t count;
    struct placement *out;
    struct place_pairs query, body; /* the latter of a form */
    struct buf query_text, cookie;
    struct err *err;
};

/* As buf_view, in a form that analysers follow: without memory there are no bytes. */
static struct view bytes_of(const struct buf *b)
{
    return b->area ? buf_view(b) : VIEW("");
}

bool place_field_refused(const struct tool_provider *provider, struct view name)
{
    static const char *const refused[] = {"authorization",
                                          "host",
                                          "cookie",
                                          "set-cookie",
                                          "content-type",
                                          "content-length",
                                          "transfer-encoding",
                                          "connection",
                                          "proxy-authorization",
                                          "x-forwarded-for",
                                          "x-forwarded-host",
                                          "x-forwarded-proto",
                                          "x-real-ip",
                                          "te",
                                          "trailer",
                                          "upgrade",
                                          "keep-alive",
                                          "proxy-connection",
                                          "expect"};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (view_eq_nocase(name, view_str(refused[i])))
            return true;
    if (provider->auth_header_name && view_eq_nocase(name, view_str(provider->auth_header_name)))
        return true;
    return provider->auth == AUTH_HEADER && !provider->auth_header_name &&
           view_eq_nocase(name, VIEW("X-Api-Key"));
}

static bool text_of(const struct json_doc *doc, uint32_t object, const char *key, char *out,
                    size_t size)
{
    uint32_t at = json_member(doc, object, key);

    return at && json_string(doc, at, out, size);
}

static bool truth_of(const struct json_doc *doc, uint32_t object, const char *key, bool otherwise)
{
    uint32_t at = json_member(doc, object, key);
    bool truth;

    return at && json_boolean(doc, at, &truth) ? truth : otherwise;
}

static bool sends_body(enum tool_method m)
{
    return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

/* --- the schema ------------------------------------------------------------------------------- */

static bool is_located(const struct placing *p)
{
    const struct json_doc *doc = &p->schema.doc;
    uint32_t at = json_first(p->properties);

    for (uint32_t i = 0; p->properties && i < doc->tokens[p->properties].count; i++) {
        uint32_t property = doc->tokens[at].next;

        if (json_member(doc, property, "x-ati-param-location"))
            return true;
        at = doc->tokens[property].next;
    }
    return false;
}

static bool read_schema(struct placing *p)
{
    const struct json_doc *doc = &p->schema.doc;
    char encoding[WORD_MAX];

    if (!p->tool->schema)
        return true;
    if (!json_load_loose(view_str(p->tool->schema), PLACE_VALUES_MAX, &p->schema, p->err))
        return err_in(p->err, "input_schema of %s", p->tool->name);
    p->properties = json_member(doc, 0, "properties");
    if (p->properties && doc->tokens[p->properties].kind != JSON_OBJECT)
        p->properties = 0;
    p->located = is_located(p);
    p->form = p->located && text_of(doc, 0, "x-ati-body-encoding", encoding, sizeof encoding) &&
              !strcmp(encoding, "form");
    p->body_sent = truth_of(doc, 0, "x-ati-body-sent", false);
    if (!text_of(doc, 0, "x-ati-body-argument", p->body_argument, sizeof p->body_argument))
        p->body_argument[0] = '\0';
    if (!text_of(doc, 0, "x-ati-body-type", p->body_type, sizeof p->body_type))
        p->body_type[0] = '\0';
    return true;
}

/* --- the arguments ---------------------------------------------------------------------------- */

/* The value of a key of one document in an object of another; 0: there is none. */
static uint32_t same_key(const struct json_doc *doc, uint32_t object, const struct json_doc *keys,
                         uint32_t key)
{
    char small[WORD_MAX], *name = small;
    uint32_t found = 0;
    size_t len;

    if (!json_string(keys, key, small, sizeof small) && !json_string_new(keys, key, &name, &len))
        return 0;
    found = json_member(doc, object, name);
    if (name != small)
        free(name);
    return found;
}

static bool empty_default(const struct json_doc *doc, uint32_t token)
{
    enum json_kind kind = doc->tokens[token].kind;

    return kind == JSON_NULL ||
           ((kind == JSON_ARRAY || kind == JSON_OBJECT) && !doc->tokens[token].count);
}

static void add_given(struct placing *p)
{
    const struct json_doc *doc = &p->arguments.doc;
    uint32_t key = json_first(0);

    for (uint32_t i = 0; i < doc->tokens[0].count; i++) {
        uint32_t value = doc->tokens[key].next;

        if (same_key(doc, 0, doc, key) == value || !same_key(doc, 0, doc, key))
            p->list[p->count++] = (struct argument){
                .doc = doc,
                .key = key,
                .value = value,
                .property = p->properties ? same_key(&p->schema.doc, p->properties, doc, key) : 0};
        key = doc->tokens[value].next;
    }
}

static void add_defaults(struct placing *p, bool given)
{
    const struct json_doc *doc = &p->schema.doc;
    uint32_t key = json_first(p->properties);

    for (uint32_t i = 0; p->properties && i < doc->tokens[p->properties].count; i++) {
        uint32_t property = doc->tokens[key].next, value = json_member(doc, property, "default");

        if (value && !empty_default(doc, value) &&
            (!given || !same_key(&p->arguments.doc, 0, doc, key)))
            p->list[p->count++] =
                (struct argument){.doc = doc, .key = key, .value = value, .property = property};
        key = doc->tokens[property].next;
    }
}

static bool read_arguments(struct placing *p, struct view text)
{
    size_t most = p->properties ? p->schema.doc.tokens[p->properties].count : 0;
    bool given;

    if (text.len && !json_load_loose(text, PLACE_VALUES_MAX, &p->arguments, p->err))
        return err_in(p->err, "arguments");
    given = text.len && p->arguments.doc.tokens[0].kind == JSON_OBJECT;
    if (given && p->arguments.doc.tokens[0].count > PLACE_ARGUMENTS_MAX)
        return err_set(p->err, ERR_LIMIT, "more than %d arguments", PLACE_ARGUMENTS_MAX);
    if (given)
        most += p->arguments.doc.tokens[0].count;
    p->list = calloc(most + 1, sizeof *p->list);
    if (!p->list)
        return err_set(p->err, ERR_MEMORY, "no memory for arguments");
    if (given)
        add_given(p);
    add_defaults(p, given);
    return true;
}

/* --- where one goes --------------------------------------------------------------------------- */

static enum place place_of(const struct json_doc *doc, uint32_t property)
{
    char word[WORD_MAX];

    if (text_of(doc, property, "x-ati-param-in", word, sizeof word) && !strcmp(word, "cookie"))
        return IN_COOKIE;
    if (!text_of(doc, property, "x-ati-param-location", word, sizeof word))
        return IN_BODY;
    return !strcmp(word, "query")    ? IN_QUERY
           : !strcmp(word, "path")   ? IN_PATH
           : !strcmp(word, "header") ? IN_HEADER
           : !strcmp(word, "cookie") ? IN_COOKIE
                                     : IN_BODY;
}

struct style_word {
    const char *word;
    enum place_style style;
};

static const struct style_word collections[] = {{"multi", STYLE_MULTI},
                                                {"csv", STYLE_FORM},
                                                {"ssv", STYLE_SPACE},
                                                {"pipes", STYLE_PIPE},
                                                {NULL, STYLE_SIMPLE}};
static const struct style_word styles[] = {
    {"simple", STYLE_SIMPLE},      {"label", STYLE_LABEL},     {"matrix", STYLE_MATRIX},
    {"form", STYLE_FORM},          {"deepObject", STYLE_DEEP}, {"spaceDelimited", STYLE_SPACE},
    {"pipeDelimited", STYLE_PIPE}, {NULL, STYLE_SIMPLE}};

static bool style_word(const struct json_doc *doc, uint32_t property, const char *key,
                       const struct style_word *words, enum place_style *out)
{
    char word[WORD_MAX];

    if (!text_of(doc, property, key, word, sizeof word))
        return false;
    while (words->word && strcmp(words->word, word) != 0)
        words++;
    if (words->word)
        *out = words->style;
    return words->word;
}

/* The older key is for lists alone: an object stays the one text that its readers know. */
static void read_style(const struct json_doc *doc, uint32_t property, bool list,
                       struct place_how *how)
{
    if (list)
        (void)style_word(doc, property, "x-ati-collection-format", collections, &how->style);
    if (style_word(doc, property, "x-ati-param-style", styles, &how->style))
        how->explode = truth_of(doc, property, "x-ati-param-explode", false);
    if (json_member(doc, property, "x-ati-param-content"))
        how->style = STYLE_JSON;
}

static bool find_destination(const struct placing *p, const struct argument *a,
                             struct destination *d, struct buf *name)
{
    const struct json_doc *doc = &p->schema.doc;

    *d = (struct destination){.place = IN_BODY};
    if (!place_text(a->doc, a->key, name, p->err))
        return false;
    d->wire = bytes_of(name);
    if (!p->located) {
        d->place =
            sends_body(p->tool->method) || p->tool->method == METHOD_DELETE ? IN_BODY : IN_QUERY;
    } else if (a->property) {
        d->place = place_of(doc, a->property);
        if (d->place == IN_QUERY)
            d->how.style = STYLE_MULTI;
        read_style(doc, a->property, a->doc->tokens[a->value].kind == JSON_ARRAY, &d->how);
        if (text_of(doc, a->property, "x-ati-param-name", d->name, sizeof d->name))
            d->wire = view_str(d->name);
        if (truth_of(doc, a->property, "x-ati-param-reserved", false))
            d->how.octets = OCTETS_RESERVED;
    }
    return true;
}

/* --- the URL ---------------------------------------------------------------------------------- */

static size_t dot_segments(struct view path)
{
    struct view rest = view_first(path, view_find(path, '?')), segment;
    size_t n = 0;

    while (view_next(&rest, '/', &segment))
        n += view_eq(segment, VIEW(".")) || view_eq(segment, VIEW(".."));
    return n;
}

struct path_value {
    struct view name;
    bool any;
};

static bool check_path(void *context, struct view text, struct err *err)
{
    struct path_value *v = context;
    bool bad = view_find_text(text, VIEW(".."));

    for (size_t i = 0; i < text.len; i++)
        bad = bad || text.at[i] == '\0' || strchr("\\?#", text.at[i]);
    if (bad)
        return err_set(err, ERR_SYNTAX,
                       "Invalid path parameter '%.*s': value '%.*s' contains forbidden characters",
                       VIEW_ARG(view_first(v->name, SHOWN_MAX)),
                       VIEW_ARG(view_first(text, SHOWN_MAX)));
    v->any = v->any || text.len;
    return true;
}

/* The argument for {wire}; NULL: none. */
static bool path_argument(struct placing *p, struct view wire, struct buf *out, bool *found)
{
    struct path_value checked = {.name = wire};
    struct destination d;
    struct buf name;
    bool good = true;

    *found = false;
    buf_init(&name, PLACE_URL_BYTES_MAX, "name of an argument");
    for (size_t i = 0; good && !*found && i < p->count; i++) {
        buf_reset(&name);
        good = find_destination(p, &p->list[i], &d, &name);
        if (!good || d.place != IN_PATH || !view_eq(d.wire, wire))
            continue;
        *found = true;
        d.how.octets = OCTETS_PATH;
        good = place_inline(out, wire, p->list[i].doc, p->list[i].value, &d.how, check_path,
                            &checked, p->err) &&
               (checked.any ||
                err_set(p->err, ERR_SYNTAX, "Invalid path parameter '%.*s': it is empty",
                        VIEW_ARG(view_first(wire, SHOWN_MAX))));
    }
    buf_done(&name);
    return good;
}

/* The endpoint with {name} replaced, once, from left to right. */
static bool write_endpoint(struct placing *p, struct view endpoint, struct buf *out)
{
    size_t dots = dot_segments(endpoint), start = buf_len(out);

    while (endpoint.len) {
        size_t open = p->located ? view_find(endpoint, '{') : endpoint.len;
        size_t close = view_find(view_skip(endpoint, open), '}');
        struct view name = view_first(view_skip(endpoint, open + 1), close ? close - 1 : 0);
        bool found;

        if (!place_encode(out, view_first(endpoint, open), OCTETS_URL, p->err))
            return false;
        endpoint = view_skip(endpoint, open);
        if (close == endpoint.len) { /* nothing more to replace */
            if (!place_encode(out, endpoint, OCTETS_URL, p->err))
                return false;
            break;
        }
        if (!path_argument(p, name, out, &found))
            return false;
        if (!found)
            return err_set(p->err, ERR_SYNTAX, "Missing path parameter '%.*s'",
                           VIEW_ARG(view_first(name, SHOWN_MAX)));
        endpoint = view_skip(endpoint, close + 1);
    }
    /* Two values side by side may make what neither is: a way up. */
    return dot_segments(view_skip(bytes_of(out), start)) == dots ||
           err_set(p->err, ERR_SYNTAX, "Invalid path parameters: they make a segment of dots");
}

/* Something of a path stands behind the authority already: what follows cannot change the host. */
static bool has_path(struct view url)
{
    const uint8_t *mark = url.len > 3 ? memmem(url.at, url.len, "://", 3) : NULL;
    struct view rest = mark ? view_skip(url, (size_t)(mark - url.at) + 3) : url;

    return !mark || view_find(rest, '/') < rest.len || view_find(rest, '?') < rest.len;
}

static bool write_url(struct placing *p)
{
    struct view base = view_str(p->tool->provider->base_url);
    struct view endpoint = view_str(p->tool->endpoint);
    struct buf *url = &p->out->url;

    while (base.len && base.at[base.len - 1] == '/')
        base.len--;
    if (!buf_append(url, base, p->err))
        return false;
    if (base.len && endpoint.len && !strchr("/?:", endpoint.at[0]) && !has_path(base) &&
        !buf_append_byte(url, '/', p->err))
        return false;
    if (!write_endpoint(p, endpoint, url))
        return false;
    p->out->has_query = view_find(bytes_of(url), '?') < buf_len(url);
    if (!p->query.any)
        return true;
    if (!buf_append_byte(url, p->out->has_query ? '&' : '?', p->err) ||
        !buf_append(url, bytes_of(&p->query_text), p->err))
        return false;
    p->out->has_query = true;
    return true;
}

/* --- fields ----------------------------------------------------------------------------------- */

static bool add_field(struct placing *p, struct view name, struct view value)
{
    struct placement *out = p->out;
    struct place_field *list = realloc(out->fields, (out->field_count + 1) * sizeof *list), *f;

    if (!list)
        return err_set(p->err, ERR_MEMORY, "no memory for arguments");
    out->fields = list;
    f = &list[out->field_count];
    f->name = name.len ? strndup((const char *)name.at, name.len) : strdup("");
    f->value = value.len ? strndup((const char *)value.at, value.len) : strdup("");
    if (!f->name || !f->value) {
        free(f->name);
        free(f->value);
        return err_set(p->err, ERR_MEMORY, "no memory for arguments");
    }
    out->field_count++;
    return true;
}

static bool good_value(struct view v)
{
    for (size_t i = 0; v.at && i < v.len; i++)
        if ((v.at[i] < ' ' && v.at[i] != '\t') || v.at[i] == 0x7F)
            return false;
    return true;
}

static bool put_header(struct placing *p, const struct argument *a, struct destination *d)
{
    struct view shown = view_first(d->wire, SHOWN_MAX);
    struct buf value;
    bool good;

    if (!http_is_token(d->wire) || place_field_refused(p->tool->provider, d->wire))
        return err_set(p->err, ERR_DENIED,
                       "Header '%.*s' is not allowed as a user-supplied parameter",
                       VIEW_ARG(shown));
    buf_init(&value, HTTP_LINE_BYTES_MAX, "header parameter");
    d->how.octets = OCTETS_ALL;
    good = place_inline(&value, d->wire, a->doc, a->value, &d->how, NULL, NULL, p->err);
    if (good && !good_value(bytes_of(&value)))
        good = err_set(p->err, ERR_SYNTAX,
                       "Invalid header parameter '%.*s': it holds a control character",
                       VIEW_ARG(shown));
    good = good && add_field(p, d->wire, view_trim_ows(bytes_of(&value)));
    buf_done(&value);
    return good;
}

static bool put_cookie(struct placing *p, const struct argument *a, struct destination *d)
{
    struct place_pairs pairs = {.out = &p->cookie, .between = "; ", .any = buf_len(&p->cookie) > 0};

    if (!http_is_token(d->wire))
        return err_set(p->err, ERR_SYNTAX, "Invalid cookie parameter '%.*s'",
                       VIEW_ARG(view_first(d->wire, SHOWN_MAX)));
    d->how.octets = OCTETS_COOKIE;
    return place_pairs(&pairs, d->wire, a->doc, a->value, &d->how, p->err);
}

/* --- the body --------------------------------------------------------------------------------- */

static bool json_type(const char *type)
{
    struct view v = view_str(type);

    v = view_first(v, view_find(v, ';'));
    v = view_trim_ows(v);
    return !v.len || view_ends(v, VIEW("/json")) || view_ends(v, VIEW("+json"));
}

static bool whole_body(struct placing *p, const struct argument *a)
{
    struct view source = json_source(a->doc, a->value);

    p->out->has_body = true;
    if (!json_type(p->body_type) && a->doc->tokens[a->value].kind == JSON_STRING)
        return place_text(a->doc, a->value, &p->out->body, p->err);
    return buf_append(&p->out->body, source, p->err);
}

/* One more member of the object. */
static bool body_member(struct placing *p, struct view name, const struct argument *a)
{
    struct view source = json_source(a->doc, a->value);
    struct buf *out = &p->out->body;
    struct json_writer w;
    uint8_t *room;

    if (!buf_append_byte(out, p->out->has_body ? ',' : '{', p->err))
        return false;
    p->out->has_body = true;
    json_begin(&w, out);
    json_text(&w, name);
    return json_end(&w, p->err) && buf_append_byte(out, ':', p->err) &&
           buf_room(out, source.len + 1, &room, p->err) && /* with its end: no second copy */
           buf_append(out, source, p->err);
}

static bool put_body(struct placing *p, const struct argument *a, struct destination *d,
                     struct view name)
{
    if (p->located && !sends_body(p->tool->method) && !p->body_sent)
        return true;
    if (p->body_argument[0])
        return !view_eq(name, view_str(p->body_argument)) || whole_body(p, a);
    if (!p->form)
        return body_member(p, d->wire, a);
    p->out->has_body = true;
    return place_pairs(&p->body, d->wire, a->doc, a->value, &d->how, p->err);
}

static bool end_body(struct placing *p)
{
    bool object = !p->form && !p->body_argument[0];
    const char *type = p->form ? "application/x-www-form-urlencoded" : "application/json";

    if (object && p->out->has_body && !buf_append_byte(&p->out->body, '}', p->err))
        return false;
    if (!p->located && !p->out->has_body &&
        (sends_body(p->tool->method) || p->tool->method == METHOD_DELETE)) {
        p->out->has_body = true;
        if (object && !buf_append_str(&p->out->body, "{}", p->err))
            return false;
    }
    p->out->content_type = strdup(p->body_type[0] ? p->body_type : type);
    return p->out->content_type || err_set(p->err, ERR_MEMORY, "no memory for arguments");
}

/* --- all of them ------------------------------------------------------------------------------ */

/* The credential has that place in the query. */
static bool credential_name(const struct tool_provider *provider, struct view name)
{
    const char *own = provider->auth_query_name ? provider->auth_query_name : "api_key";

    return provider->auth == AUTH_QUERY && view_eq(name, view_str(own));
}

static bool put_argument(struct placing *p, const struct argument *a, struct buf *name)
{
    struct destination d;

    buf_reset(name);
    if (!find_destination(p, a, &d, name))
        return false;
    switch (d.place) {
    case IN_PATH: /* write_endpoint looks for it */
        return true;
    case IN_QUERY:
        return credential_name(p->tool->provider, d.wire) ||
               place_pairs(&p->query, d.wire, a->doc, a->value, &d.how, p->err);
    case IN_HEADER:
        return put_header(p, a, &d);
    case IN_COOKIE:
        return put_cookie(p, a, &d);
    case IN_BODY:
        return put_body(p, a, &d, bytes_of(name));
    }
    return true;
}

static bool put_arguments(struct placing *p)
{
    struct buf name;
    bool good = true;

    buf_init(&name, PLACE_URL_BYTES_MAX, "name of an argument");
    for (size_t i = 0; good && i < p->count; i++)
        good = put_argument(p, &p->list[i], &name);
    buf_done(&name);
    return good && end_body(p) && write_url(p) &&
           (!buf_len(&p->cookie) || add_field(p, VIEW("Cookie"), bytes_of(&p->cookie)));
}

bool place_arguments(const struct tool *tool, struct view arguments, struct budget *memory,
                     struct placement *out, struct err *err)
{
    struct placing p = {.tool = tool, .out = out, .err = err};
    bool good;

    *out = (struct placement){.has_query = false};
    buf_init(&out->url, PLACE_URL_BYTES_MAX, "URL");
    buf_init(&out->body, PLACE_BODY_BYTES_MAX, "request body");
    buf_count(&out->body, memory);
    buf_init(&p.query_text, PLACE_URL_BYTES_MAX, "query");
    buf_init(&p.cookie, HTTP_LINE_BYTES_MAX, "cookies");
    p.query = (struct place_pairs){.out = &p.query_text, .between = "&"};
    p.body = (struct place_pairs){.out = &out->body, .between = "&"};
    good = read_schema(&p) && read_arguments(&p, arguments) && put_arguments(&p);
    free(p.list);
    json_unload(&p.schema);
    json_unload(&p.arguments);
    buf_done(&p.query_text);
    buf_done(&p.cookie);
    return good;
}

void placement_done(struct placement *p)
{
    for (size_t i = 0; i < p->field_count; i++) {
        free(p->fields[i].name);
        free(p->fields[i].value);
    }
    free(p->fields);
    free(p->content_type);
    buf_done(&p->url);
    buf_done(&p->body);
    *p = (struct placement){.has_query = false};
}
