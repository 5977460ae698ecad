/* What the files of openapi share: tokens of the document, and an operation's arguments on their way into a schema. */
#pragma once

#include <stdlib.h>

#include "ati/openapi/openapi.h"

static inline void text_free(char *text)
{
    free(text);
}
CLEANUP_DEFINE(char, text_free)

struct reference { /* a member of one of the groups that references point into */
    uint32_t group, value;
    struct view name;
    char *decoded; /* what name points at, when it is not the text */
};

struct openapi {
    struct buf json;
    struct json_tree tree;
    char *title, *version, *description, *base_url;
    bool siblings; /* 3.1: what stands beside a $ref counts */
    uint32_t paths;
    struct reference *references; /* by group and name */
    size_t reference_count;
};

/* Of the document itself, and of an object in it; 0: none. */
static inline uint32_t top_member(const struct openapi *o, const char *name)
{
    return json_member(&o->tree.doc, 0, name);
}
static inline uint32_t member_of(const struct openapi *o, uint32_t object, const char *name)
{
    return object ? json_member(&o->tree.doc, object, name) : 0;
}
static inline enum json_kind kind_of(const struct openapi *o, uint32_t token)
{
    return o->tree.doc.tokens[token].kind;
}
static inline uint32_t next_of(const struct openapi *o, uint32_t token)
{
    return o->tree.doc.tokens[token].next;
}
static inline uint32_t count_of(const struct openapi *o, uint32_t token)
{
    return o->tree.doc.tokens[token].count;
}
static inline struct view span_of(const struct openapi *o, uint32_t token)
{
    return json_span(&o->tree.doc, token);
}

/* document.c */
char *openapi_text(const struct openapi *o, uint32_t token); /* NULL: no string, or no memory */
bool openapi_true(const struct openapi *o, uint32_t object, const char *member);

/* server.c: the first of servers (an array's token), variables by their defaults, resolved against origin. */
MUST_USE bool openapi_server(const struct openapi *o, uint32_t servers, const char *origin,
                             char **out, struct err *err);

/* scalar.c: a plain scalar by YAML's core schema. False: it is a string. Else *out (room: text.len + 24) is JSON. */
bool yaml_scalar(struct view text, char *out, size_t *len);

/* reference.c */
MUST_USE bool openapi_index(struct openapi *o, struct err *err);
uint32_t openapi_group_member(const struct openapi *o, uint32_t group,
                              struct view name); /* of an indexed group; 0: none */
/* The object that stands at token, behind any $ref. 0: err says why. */
uint32_t openapi_resolve(const struct openapi *o, uint32_t token, struct err *err);

/* operation.c */
struct operation {
    enum tool_method method;
    char *path, *name;
    uint32_t item, token; /* the path item and the operation */
};
typedef bool operation_seen(void *context, const struct operation *op, struct err *err);
MUST_USE bool openapi_operations(const struct openapi *o, const struct openapi_filter *filter,
                                 manifest_warning *warn, void *warn_context, operation_seen *seen,
                                 void *context, struct err *err);

/* arguments.c */
enum place { PLACE_PATH, PLACE_QUERY, PLACE_HEADER, PLACE_COOKIE, PLACE_BODY };
enum style {
    STYLE_NONE, /* JSON */
    STYLE_SIMPLE,
    STYLE_LABEL,
    STYLE_MATRIX,
    STYLE_FORM,
    STYLE_SPACE,
    STYLE_PIPE,
    STYLE_DEEP
};
struct argument {
    char *name, *wire; /* wire: the name that is sent; NULL: name */
    enum place place;
    enum style style;
    bool explode, reserved, as_json, required;
    uint32_t
        described; /* the parameter, whose description and example go before those of the schema; 0: none */
    uint32_t schema; /* 0: none */
};
struct arguments {
    struct argument *at;
    size_t count, room;
    bool form, sent;           /* of the body: its encoding; also with GET and DELETE */
    const char *body_argument; /* the whole body; NULL: an object of the arguments */
    char *body_type;           /* NULL: application/json or a form */
};
void arguments_done(struct arguments *a);
/* Takes a->name; when that is in use, the new one gets another. */
MUST_USE bool arguments_add(struct arguments *list, struct argument *a, struct err *err);

/* parameters.c, body.c: what goes wrong with one of them is told to warn, and it is left out. */
struct teller {
    manifest_warning *warn;
    void *context;
    const struct operation *op;
};
void openapi_tell(const struct teller *t, const char *what, const struct err *err);
MUST_USE bool openapi_parameters(const struct openapi *o, const struct operation *op,
                                 const struct teller *t, struct arguments *out, struct err *err);
MUST_USE bool openapi_body(const struct openapi *o, const struct operation *op,
                           const struct teller *t, struct arguments *out, struct err *err);
/* style, explode and allowReserved of a parameter or an encoding, for a->place; a->style: when none is said. */
void openapi_style(const struct openapi *o, uint32_t object, struct argument *a);
bool openapi_multipart(const struct openapi *o, uint32_t operation);

/* layers.c: a schema and what it is made of (the target of $ref, parts of allOf, alternatives), nearest first. */
enum { LAYERS_MAX = 64 };
enum schema_type {
    TYPE_NONE,
    TYPE_STRING,
    TYPE_NUMBER,
    TYPE_INTEGER,
    TYPE_BOOLEAN,
    TYPE_ARRAY,
    TYPE_OBJECT
};
struct layers {
    uint32_t at[LAYERS_MAX];
    bool soft[LAYERS_MAX]; /* one of several alternatives */
    unsigned count;
    bool endless; /* references in a circle */
    bool mixed;   /* alternatives of different types */
    enum schema_type type;
};
void layers_collect(const struct openapi *o, uint32_t schema, struct layers *out);
/* Some layer is of that type, be it one of mixed alternatives. */
bool layers_hold(const struct openapi *o, const struct layers *l, enum schema_type type);
uint32_t layers_find(const struct openapi *o, const struct layers *l, const char *member); /* 0 */
struct property {
    char *name;
    uint32_t schema;
    unsigned layer;
    bool required;
};
/* Those that may be sent (not readOnly), by name; *out is the caller's (properties_free). */
MUST_USE bool layers_properties(const struct openapi *o, const struct layers *l,
                                struct property **out, size_t *count, struct err *err);
void properties_free(struct property *list, size_t count);

/* schema.c: a tool's input schema. */
MUST_USE bool openapi_schema(const struct openapi *o, const struct arguments *a, struct buf *out,
                             struct err *err);
