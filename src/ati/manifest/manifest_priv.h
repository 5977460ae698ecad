/* What the files of manifest/ share: tables of fields, and the reader that goes through a table of a manifest with one. */
#pragma once

#include "ati/manifest/manifest.h"
#include "base/json.h"

enum { MANIFEST_VALUES_MAX = 1024 * 1024 };

/* Handlers as a set: for whom a field means something. */
enum {
    FOR_HTTP = 1 << HANDLER_HTTP,
    FOR_MCP = 1 << HANDLER_MCP,
    FOR_OPENAPI = 1 << HANDLER_OPENAPI,
    FOR_CLI = 1 << HANDLER_CLI,
    FOR_FILES = 1 << HANDLER_FILES,
    FOR_PASSTHROUGH = 1 << HANDLER_PASSTHROUGH,
    FOR_ALL = (1 << (HANDLER_PASSTHROUGH + 1)) - 1,
    FOR_WEB = FOR_HTTP | FOR_OPENAPI | FOR_PASSTHROUGH,
    FOR_CREDENTIALS = FOR_WEB | FOR_MCP,
};

enum field_kind {
    FIELD_TEXT,
    FIELD_BOOL,
    FIELD_COUNT, /* a whole number that is not negative */
    FIELD_TEXTS,
    FIELD_PAIRS, /* a table of texts */
    FIELD_OWN,   /* read says how */
};

struct manifest_reader;
struct manifest_field {
    const char *name;
    enum field_kind kind;
    size_t offset;     /* in what is read */
    unsigned handlers; /* 0: all */
    uint64_t initial;  /* of a bool or a count that is not said */
    const char *text;  /* of a text that is not said; NULL: NULL */
    bool (*read)(struct manifest_reader *r, uint32_t token, void *into);
};

#define FIELD(field, type, at, ...)                                    \
    {                                                                  \
        .name = field, .kind = FIELD_##type, .offset = at, __VA_ARGS__ \
    }

extern const struct manifest_field manifest_provider_fields[], manifest_tool_fields[],
    manifest_response_fields[], manifest_generator_fields[], manifest_inject_fields[],
    manifest_destination_fields[], manifest_override_fields[]; /* each ends with a name of NULL */

struct manifest_reader {
    const struct json_doc *doc;
    const uint32_t *lines; /* of tokens; NULL: none (a cached provider) */
    const char *file;
    struct tool_provider *provider;
    manifest_warning *warn; /* NULL: silent */
    void *context;
    struct err *err;
    char where[200]; /* "tools[2].response." */
};

/* Goes through the table at token: values of known fields into `into`, others are warnings. Null is as if it were not there. */
MUST_USE bool manifest_read(struct manifest_reader *r, uint32_t token,
                            const struct manifest_field *fields, void *into);
/* As manifest_read, below name ("response"). */
MUST_USE bool manifest_read_in(struct manifest_reader *r, const char *name, uint32_t token,
                               const struct manifest_field *fields, void *into);
/* Calls each for the members of the table at token, with where grown by name and the key. */
MUST_USE bool manifest_each(struct manifest_reader *r, const char *name, uint32_t token,
                            bool (*each)(struct manifest_reader *r, const char *key, uint32_t value,
                                         void *context),
                            void *context);
/* Both name the file, the line of token, and the field: where, and name behind it. Returns false. */
bool manifest_refuse(struct manifest_reader *r, uint32_t token, const char *name, const char *fmt,
                     ...) PRINTF(4, 5);
void manifest_warn(struct manifest_reader *r, uint32_t token, const char *name, const char *fmt,
                   ...) PRINTF(4, 5);
/* The text at token into *out, or an error. */
MUST_USE bool manifest_text(struct manifest_reader *r, uint32_t token, const char *name,
                            char **out);
MUST_USE bool manifest_texts(struct manifest_reader *r, uint32_t token, const char *name,
                             struct texts *out);
/* One of the names (NULL ends them): its index, or -1. given: what stands there, for a message. */
int manifest_choice(struct manifest_reader *r, uint32_t token, const char *const *names,
                    char given[static 80]);
/* The known one that name was meant to be, or NULL. */
const char *manifest_nearest(struct view name, const char *const *known);

/* provider.c: the parts of provider that want more than a table. */
MUST_USE bool manifest_generator(struct manifest_reader *r, uint32_t token, void *into);
MUST_USE bool manifest_destinations(struct manifest_reader *r, uint32_t token, void *into);
MUST_USE bool manifest_overrides(struct manifest_reader *r, uint32_t token, void *into);
/* tool.c: the array of tables at token (0: there is none) as the tools of r->provider. */
MUST_USE bool manifest_tools(struct manifest_reader *r, uint32_t token);
/* What every provider is, whatever it was read from: trailing slashes, tools that are implied. */
MUST_USE bool manifest_complete(struct tool_provider *p, struct err *err);
/* builtin.c: gives p the two tools for files. */
MUST_USE bool manifest_file_tools(struct tool_provider *p, struct err *err);
MUST_USE bool manifest_builtin(struct tool_provider **out, struct err *err);

MUST_USE bool manifest_copy(struct view text, char **out, struct err *err);
MUST_USE bool manifest_provider_new(struct tool_provider **out, struct err *err);
CLEANUP_DEFINE(struct tool_provider, tool_provider_unref)
