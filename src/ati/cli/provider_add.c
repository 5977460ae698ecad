/* add-mcp and add-cli: manifests of what the words say. */
#include <stdlib.h>

#include "ati/cli/provider.h"
#include "base/text.h"

#include "base/poison.h"

/* --- --env KEY=VALUE --------------------------------------------------------------------------- */

void provider_env_done(struct text_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->at[i].name);
        free(pairs->at[i].value);
    }
    free(pairs->at);
    *pairs = (struct text_pairs){0};
}

static int by_name(const void *a, const void *b)
{
    const struct text_pair *left = a, *right = b;

    return strcmp(left->name, right->name);
}

static struct text_pair *find(struct text_pairs *pairs, struct view name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (view_eq(view_str(pairs->at[i].name), name))
            return &pairs->at[i];
    return NULL;
}

static bool put(struct text_pairs *pairs, struct view name, const char *value, struct err *err)
{
    struct text_pair *pair = find(pairs, name);
    char *copy = strdup(value);

    if (!pair) {
        pair = &pairs->at[pairs->count];
        pair->name = strndup((const char *)name.at, name.len);
        pairs->count += pair->name != NULL;
    }
    free(pair->value);
    pair->value = copy;
    return (copy && pair->name) || err_set(err, ERR_MEMORY, "no memory for --env");
}

bool provider_env_read(const struct cli_words *w, struct text_pairs *out, struct err *err)
{
    size_t count;
    const char *const *given = cli_values(w, "env", &count);
    struct text_pairs pairs = {.at = calloc(count + 1, sizeof *pairs.at)};
    bool good = true;

    if (!pairs.at)
        return err_set(err, ERR_MEMORY, "no memory for --env");
    for (size_t i = 0; good && i < count; i++) {
        const char *is = strchr(given[i], '=');

        /* The value may be a secret: what has no '=' is told as far as it can be a name. */
        if (!is || is == given[i]) {
            char shown[80];

            (void)text_escape(view_str(given[i]), 64, shown, sizeof shown);
            good = err_set(err, ERR_USAGE, "Invalid --env format: %s (expected KEY=VALUE)", shown);
        } else {
            good = put(&pairs, view_from(given[i], (size_t)(is - given[i])), is + 1, err);
        }
    }
    if (!good) {
        provider_env_done(&pairs);
        return false;
    }
    if (pairs.count)
        qsort(pairs.at, pairs.count, sizeof *pairs.at, by_name);
    *out = pairs;
    return true;
}

struct view provider_reference(const char *value)
{
    struct view v = view_str(value);

    return view_starts(v, VIEW("${")) && view_find(v, '}') == v.len - 1
               ? view_first(view_skip(v, 2), v.len - 3)
               : VIEW("");
}

/* "[provider.{table}]" and its rows; nothing when there are none. Names stand in quotes where TOML wants them. */
static bool write_env(const struct cli_words *w, const char *table, struct buf *out,
                      struct err *err)
{
    struct text_pairs env = {0};
    bool good;

    if (!provider_env_read(w, &env, err))
        return false;
    good = !env.count || buf_appendf(out, err, "\n[provider.%s]\n", table);
    for (size_t i = 0; good && i < env.count; i++) {
        const char *name = env.at[i].name;
        char quoted[4 * PROVIDER_NAME_BYTES_MAX];

        if (name[strspn(name,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")] ==
            '\0') {
            good = manifest_write_text(out, name, view_str(env.at[i].value), err);
            continue;
        }
        (void)text_escape(view_str(name), PROVIDER_NAME_BYTES_MAX, quoted, sizeof quoted);
        good = err_set(err, ERR_USAGE,
                       "Invalid --env format: %s (names are letters, digits and '_')", quoted);
    }
    provider_env_done(&env);
    return good;
}

/* --- fields ------------------------------------------------------------------------------------ */

static bool text(struct buf *out, const char *field, const char *value, struct err *err)
{
    return !value || manifest_write_text(out, field, view_str(value), err);
}

static bool texts(struct buf *out, const char *field, const struct cli_words *w, const char *option,
                  struct err *err)
{
    size_t count;
    const char *const *given = cli_values(w, option, &count);
    struct view *views = calloc(count + 1, sizeof *views);
    bool good;

    if (!views)
        return err_set(err, ERR_MEMORY, "no memory for --%s", option);
    for (size_t i = 0; i < count; i++)
        views[i] = view_str(given[i]);
    good = !count || manifest_write_texts(out, field, views, count, err);
    free(views);
    return good;
}

/* What an option says that `load --save` has not. */
static const char *said(const struct cli_words *w, const char *option)
{
    for (size_t i = 0; i < w->command->option_count; i++)
        if (strcmp(w->command->options[i].name, option) == 0)
            return cli_value(w, option);
    return NULL;
}

/* [provider], its name, description and handler. */
static bool begin(struct buf *out, const char *name, const char *description, const char *kind,
                  const char *handler, struct err *err)
{
    char made[PROVIDER_NAME_BYTES_MAX + 32];
    bool good;

    if (!name) /* the table asks for it: never */
        return err_set(err, ERR_USAGE, "a provider needs a name");
    good = buf_append_str(out, "[provider]\n", err) && text(out, "name", name, err);
    (void)snprintf(made, sizeof made, "%s %s provider", name, kind);
    return good && text(out, "description", description ? description : made, err) &&
           text(out, "handler", handler, err);
}

/* --- add-mcp ----------------------------------------------------------------------------------- */

bool provider_transport_check(const struct cli_words *w, const char *transport, struct err *err)
{
    const char *url = cli_value(w, "url");
    char shown[80];

    if (strcmp(transport, "http") == 0)
        return url ? strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0 ||
                         strncmp(url, "${", 2) == 0 ||
                         err_set(err, ERR_USAGE, "--url begins with neither http:// nor https://")
                   : err_set(err, ERR_USAGE, "--url is required for HTTP transport");
    if (strcmp(transport, "stdio") == 0)
        return cli_given(w, "command") ||
               err_set(err, ERR_USAGE, "--command is required for stdio transport");
    (void)text_escape(view_str(transport), 64, shown, sizeof shown);
    return err_set(err, ERR_USAGE, "Unknown transport: %s (expected http or stdio)", shown);
}

static bool auth_check(const struct cli_words *w, const char *auth, struct err *err)
{
    char shown[80];

    if (strcmp(auth, "none") == 0)
        return true;
    (void)text_escape(view_str(auth), 64, shown, sizeof shown);
    if (strcmp(auth, "bearer") != 0 && strcmp(auth, "header") != 0)
        return err_set(err, ERR_USAGE, "Unknown auth type: %s (expected none, bearer, or header)",
                       shown);
    return cli_given(w, "auth-key") ||
           err_set(err, ERR_USAGE, "--auth-key is required for %s auth", shown);
}

static bool write_mcp(const struct cli_words *w, const char *name, const char *transport,
                      const char *auth, struct buf *out, struct err *err)
{
    bool http = strcmp(transport, "http") == 0, keyed = strcmp(auth, "none") != 0;

    return begin(out, name, said(w, "description"), "MCP", "mcp", err) &&
           text(out, "mcp_transport", transport, err) &&
           text(out, "mcp_url", http ? cli_value(w, "url") : NULL, err) &&
           text(out, "mcp_command", http ? NULL : cli_value(w, "command"), err) &&
           (http || texts(out, "mcp_args", w, "args", err)) && text(out, "auth_type", auth, err) &&
           text(out, "auth_key_name", keyed ? cli_value(w, "auth-key") : NULL, err) &&
           text(out, "auth_header_name", keyed ? cli_value(w, "auth-header") : NULL, err) &&
           text(out, "category", said(w, "category"), err) && write_env(w, "mcp_env", out, err);
}

bool provider_write_mcp(const struct cli *cli, const struct cli_words *w, const char *name,
                        const char *transport, struct err *err)
{
    const char *auth = cli_value(w, "auth");
    char path[PROVIDER_PATH_BYTES];
    struct buf toml;
    bool good;

    auth = auth ? auth : "none";
    if (!provider_name_check(name, err) || !provider_transport_check(w, transport, err) ||
        !auth_check(w, auth, err))
        return false;
    buf_init(&toml, MANIFEST_BYTES_MAX, "manifest");
    good = write_mcp(w, name, transport, auth, &toml, err) &&
           provider_save(cli, name, buf_view(&toml), true, path, err);
    buf_done(&toml);
    if (!good)
        return false;
    log_event(cli->log, LOG_INFO, "provider.saved", "saved manifest", F_STR("path", path));
    if (strcmp(auth, "none") != 0)
        provider_remind(cli, cli_value(w, "auth-key"));
    return true;
}

int provider_add_mcp(struct cli *cli, const struct cli_words *words)
{
    struct err err;

    return provider_write_mcp(cli, words, words->words[0], cli_value(words, "transport"), &err)
               ? 0
               : cli_fail_err(cli, &err);
}

/* --- add-cli ----------------------------------------------------------------------------------- */

static bool write_timeout(const struct cli_words *w, struct buf *out, struct err *err)
{
    const char *given = cli_value(w, "timeout");
    char shown[80];
    uint64_t seconds;

    if (!given)
        return true;
    (void)text_escape(view_str(given), 64, shown, sizeof shown);
    if (!text_u64(view_str(given), UINT32_MAX, false, &seconds) || !seconds)
        return err_set(err, ERR_USAGE, "Invalid --timeout: %s (expected seconds, 1 or more)",
                       shown);
    return buf_appendf(out, err, "cli_timeout_secs = %s\n", given);
}

static bool write_cli(const struct cli_words *w, const char *name, struct buf *out, struct err *err)
{
    return begin(out, name, said(w, "description"), "CLI", "cli", err) &&
           text(out, "cli_command", cli_value(w, "command"), err) &&
           texts(out, "cli_default_args", w, "default-args", err) && write_timeout(w, out, err) &&
           text(out, "auth_type", "none", err) && text(out, "category", said(w, "category"), err) &&
           write_env(w, "cli_env", out, err);
}

/* The keys that the environment of the command refers to. */
static void remind_of_keys(const struct cli *cli, const struct cli_words *w)
{
    struct text_pairs env = {0};
    struct err err;

    if (!provider_env_read(w, &env, &err))
        return;
    for (size_t i = 0; i < env.count; i++) {
        struct view key = provider_reference(env.at[i].value);
        char line[PROVIDER_NAME_BYTES_MAX + 128];

        if (!key.len)
            continue;
        (void)snprintf(line, sizeof line, "remember to add your key: ati key set %.*s <value>",
                       VIEW_ARG(view_first(key, PROVIDER_NAME_BYTES_MAX)));
        log_event(cli->log, LOG_INFO, "provider.key_wanted", line, F_VIEW("key", key));
    }
    provider_env_done(&env);
}

int provider_add_cli(struct cli *cli, const struct cli_words *words)
{
    char path[PROVIDER_PATH_BYTES];
    struct buf toml;
    struct err err;
    bool good;

    buf_init(&toml, MANIFEST_BYTES_MAX, "manifest");
    good = provider_name_check(words->words[0], &err) &&
           write_cli(words, words->words[0], &toml, &err) &&
           provider_save(cli, words->words[0], buf_view(&toml), true, path, &err);
    buf_done(&toml);
    if (!good)
        return cli_fail_err(cli, &err);
    log_event(cli->log, LOG_INFO, "provider.saved", "saved CLI manifest", F_STR("path", path));
    remind_of_keys(cli, words);
    return 0;
}
