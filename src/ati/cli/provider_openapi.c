/* import-openapi and inspect-openapi. */
#include <stdlib.h>

#include "ati/cli/provider.h"
#include "base/json.h"

#include "base/poison.h"

enum { DESCRIPTION_SHOWN = 120, PRETTY_BYTES_MAX = 512 * 1024 * 1024 };

static void odd(void *context, const char *text)
{
    log_event((struct log *)context, LOG_WARN, "openapi.odd", text);
}

/* The document at spec. text: where its bytes are kept as long as they are needed. */
static bool open_spec(const struct cli *cli, const char *spec, struct openapi **out,
                      struct err *err)
{
    struct buf text;
    bool good;

    buf_init(&text, OPENAPI_BYTES_MAX, "OpenAPI document");
    good =
        provider_read_spec(cli, spec, &text, err) && openapi_parse(buf_view(&text), spec, out, err);
    buf_done(&text);
    return good;
}

/* Lends what the words say. */
static struct texts tags_of(const struct cli_words *w)
{
    struct texts tags = {0};
    const char *const *given = cli_values(w, "include-tags", &tags.count);

    tags.at = calloc(tags.count + 1, sizeof *tags.at);
    for (size_t i = 0; tags.at && i < tags.count; i++)
        memcpy(&tags.at[i], &given[i], sizeof given[i]);
    if (!tags.at)
        tags.count = 0;
    return tags;
}

/* --- import-openapi ---------------------------------------------------------------------------- */

static bool needs_key(const struct openapi *o, struct err *err)
{
    struct openapi_auth auth;
    bool needed = openapi_auth(o, &auth, err) && auth.type != AUTH_NONE;

    openapi_auth_done(&auth);
    return needed;
}

/* The document as it is kept: JSON that a person can read. */
static bool write_spec(const struct cli *cli, const struct openapi *o, const char *path,
                       struct err *err)
{
    struct json_tree tree;
    struct buf pretty;
    bool good;

    if (!json_load_loose(openapi_json(o), OPENAPI_VALUES_MAX, &tree, err))
        return false;
    buf_init(&pretty, PRETTY_BYTES_MAX, "OpenAPI document");
    good = json_render(&tree.doc, 0, JSON_PRETTY, false, &pretty, err) &&
           provider_write(cli, "specs", path, buf_view(&pretty), err);
    buf_done(&pretty);
    json_unload(&tree);
    return good;
}

static bool save(const struct cli *cli, const struct provider_import *import,
                 const struct openapi *o, struct view toml, size_t operations, struct err *err)
{
    char spec[PROVIDER_PATH_BYTES], manifest[PROVIDER_PATH_BYTES];
    char key[PROVIDER_NAME_BYTES_MAX + 16];
    struct openapi_about about = openapi_about(o);

    if (!provider_path(cli, "specs", import->name, ".json", spec, err) ||
        !write_spec(cli, o, spec, err))
        return false;
    log_event(cli->log, LOG_INFO, "provider.saved", "saved spec", F_STR("path", spec));
    if (!provider_save(cli, import->name, toml, false, manifest, err))
        return false;
    log_event(cli->log, LOG_INFO, "provider.saved", "saved manifest", F_STR("path", manifest));
    log_event(cli->log, LOG_INFO, "provider.imported", "imported OpenAPI operations",
              F_U64("operations", operations), F_STR("title", about.title));
    (void)snprintf(key, sizeof key, "%s_api_key", import->name);
    if (needs_key(o, NULL))
        provider_remind(cli, import->key ? import->key : key);
    if (!strstr(about.base_url, "://"))
        log_event(cli->log, LOG_WARN, "provider.no_base_url",
                  "the document names no server that can be reached: set base_url in the manifest",
                  F_STR("path", manifest));
    return true;
}

static bool preview(const struct cli *cli, const struct provider_import *import,
                    const struct openapi *o, struct view toml, size_t operations, struct err *err)
{
    char path[PROVIDER_PATH_BYTES];

    (void)printf("--- Generated manifest (%s.toml) ---\n%.*s\n", import->name, VIEW_ARG(toml));
    (void)printf("--- Spec: %s (%zu operations) ---\n", openapi_about(o).title, operations);
    if (!provider_path(cli, "specs", import->name, ".json", path, err))
        return false;
    (void)printf("Would save spec to: %s\n", path);
    if (!provider_path(cli, "manifests", import->name, ".toml", path, err))
        return false;
    (void)printf("Would save manifest to: %s\n", path);
    return true;
}

static bool import_document(const struct cli *cli, const struct provider_import *import,
                            const struct openapi *o, struct err *err)
{
    const struct openapi_filter filter = {.include_tags = &import->include_tags};
    struct tool_provider *read;
    struct tool *tools = NULL;
    struct buf toml;
    size_t count = 0;
    bool good;

    buf_init(&toml, OPENAPI_BYTES_MAX, "manifest");
    good = openapi_tools(o, import->name, &filter, odd, cli->log, &tools, &count, err) &&
           openapi_manifest(o, import->name, import->key, &import->include_tags, &toml, err) &&
           manifest_parse(buf_view(&toml), import->name, NULL, NULL, &read, err);
    tools_free(tools, count);
    if (good) {
        tool_provider_unref(read);
        good = (import->dry_run ? preview : save)(cli, import, o, buf_view(&toml), count, err);
    }
    buf_done(&toml);
    return good;
}

/* The name that was given, or one made of where the document is. */
static bool choose_name(const struct provider_import *import, struct buf *out, struct err *err)
{
    if (import->name)
        return provider_name_check(import->name, err) && buf_append_str(out, import->name, err) &&
               buf_append_byte(out, '\0', err);
    if (!openapi_name(view_str(import->spec), out, err))
        return false;
    if (!buf_len(out))
        return err_set(err, ERR_USAGE, "--name is required: '%.80s' says none", import->spec);
    return buf_append_byte(out, '\0', err) &&
           provider_name_check((const char *)buf_view(out).at, err);
}

bool provider_import(const struct cli *cli, const struct provider_import *import, struct err *err)
{
    CLEANUP(openapi_free_cleanup) struct openapi *o = NULL;
    struct provider_import named = *import;
    struct buf name;
    bool good;

    buf_init(&name, (size_t)2 * PROVIDER_NAME_BYTES_MAX, "provider's name");
    good = choose_name(import, &name, err) && open_spec(cli, import->spec, &o, err);
    if (good) {
        named.name = (const char *)buf_view(&name).at;
        good = import_document(cli, &named, o, err);
    }
    buf_done(&name);
    return good;
}

int provider_import_openapi(struct cli *cli, const struct cli_words *words)
{
    struct provider_import import = {.spec = words->words[0],
                                     .name = cli_value(words, "name"),
                                     .key = cli_value(words, "auth-key"),
                                     .include_tags = tags_of(words),
                                     .dry_run = cli_given(words, "dry-run")};
    struct err err;
    bool good = provider_import(cli, &import, &err);

    free(import.include_tags.at);
    return good ? 0 : cli_fail_err(cli, &err);
}

/* --- inspect-openapi --------------------------------------------------------------------------- */

static void print_auth(const struct openapi *o)
{
    struct openapi_auth auth;

    if (!openapi_auth(o, &auth, NULL))
        return;
    (void)printf("Auth: %s", manifest_auth_name(auth.type));
    if (auth.header_name)
        (void)printf(" (auth_header_name=%s)", auth.header_name);
    if (auth.query_name)
        (void)printf(" (auth_query_name=%s)", auth.query_name);
    if (auth.token_url)
        (void)printf(" (oauth2_token_url=%s)", auth.token_url);
    (void)putchar('\n');
    openapi_auth_done(&auth);
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

/* On one line; what is longer than DESCRIPTION_SHOWN characters ends in dots. */
static void print_description(const char *text)
{
    static const char dots[] = "...";
    size_t characters = 0, room = DESCRIPTION_SHOWN;

    for (const char *at = text; *at; at++)
        characters += begins_character(*at);
    if (characters > DESCRIPTION_SHOWN)
        room -= strlen(dots);
    (void)fputs("  ", stdout);
    for (; *text; text++) {
        if (begins_character(*text) && !room--)
            break;
        (void)putchar(*text == '\n' || *text == '\r' ? ' ' : *text);
    }
    (void)puts(*text ? dots : "");
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_tag(const struct tool *t, const char *tag)
{
    if (!*tag)
        return !t->tags.count;
    for (size_t i = 0; i < t->tags.count; i++)
        if (strcmp(t->tags.at[i], tag) == 0)
            return true;
    return false;
}

static void print_group(const struct tool *tools, size_t count, const char *tag)
{
    size_t members = 0;

    for (size_t i = 0; i < count; i++)
        members += has_tag(&tools[i], tag);
    (void)printf("  TAG: %s (%zu operations)\n", *tag ? tag : "(untagged)", members);
    for (size_t i = 0; i < count; i++)
        if (has_tag(&tools[i], tag))
            (void)printf("    %-24s %-7s %-30s %s\n", tools[i].name + 1,
                         tool_method_name(tools[i].method), tools[i].endpoint,
                         tools[i].description);
}

/* Groups in the order of their tags' bytes; an operation stands in each of its own. */
static bool print_operations(const struct tool *tools, size_t count, struct err *err)
{
    size_t room = 1, n = 0;
    const char **tags;

    for (size_t i = 0; i < count; i++)
        room += tools[i].tags.count;
    tags = calloc(room, sizeof *tags);
    if (!tags)
        return err_set(err, ERR_MEMORY, "no memory for tags");
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < tools[i].tags.count; t++)
            tags[n++] = tools[i].tags.at[t];
    for (size_t i = 0; i < count && (!n || *tags[n - 1]); i++)
        if (!tools[i].tags.count)
            tags[n++] = "";
    qsort(tags, n, sizeof *tags, by_bytes);
    (void)printf("\nOperations (%zu):\n", count);
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(tags[i - 1], tags[i]) != 0)
            print_group(tools, count, tags[i]);
    free(tags);
    return true;
}

static bool inspect(const struct cli *cli, const char *spec, const struct openapi_filter *filter,
                    struct err *err)
{
    CLEANUP(openapi_free_cleanup) struct openapi *o = NULL;
    struct openapi_about about;
    struct tool *tools = NULL;
    size_t count = 0;
    bool good;

    if (!open_spec(cli, spec, &o, err) ||
        !openapi_tools(o, "", filter, odd, cli->log, &tools, &count, err))
        return false;
    about = openapi_about(o);
    (void)printf("OpenAPI: %s v%s\n", about.title, about.version);
    if (*about.description)
        print_description(about.description);
    if (*about.base_url)
        (void)printf("Base URL: %s\n", about.base_url);
    print_auth(o);
    good = print_operations(tools, count, err);
    tools_free(tools, count);
    return good;
}

int provider_inspect_openapi(struct cli *cli, const struct cli_words *words)
{
    struct texts tags = tags_of(words);
    const struct openapi_filter filter = {.include_tags = &tags};
    struct err err;
    bool good = inspect(cli, words->words[0], &filter, &err);

    free(tags.at);
    return good ? 0 : cli_fail_err(cli, &err);
}
