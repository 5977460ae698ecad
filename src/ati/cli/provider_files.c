/* Where providers stand on disk. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/cli/provider.h"
#include "base/file.h"
#include "base/text.h"

#include "base/poison.h"

enum { MANIFEST_MODE = 0644, MINUTE_S = 60, HOUR_S = 3600 };

bool provider_name_check(const char *name, struct err *err)
{
    struct view rest = view_str(name);
    char shown[PROVIDER_NAME_BYTES_MAX];

    (void)text_escape(rest, sizeof shown - 8, shown, sizeof shown);
    if (!rest.len || rest.len > PROVIDER_NAME_BYTES_MAX)
        return err_set(err, ERR_USAGE, "Invalid provider name '%s': 1 to %d bytes are possible",
                       shown, PROVIDER_NAME_BYTES_MAX);
    if (name[0] == '.' || name[0] == '-' || strpbrk(name, "/\\:"))
        return err_set(err, ERR_USAGE,
                       "Invalid provider name '%s': it is the name of a file and the prefix of "
                       "tools: no '/', '\\' or ':', and neither '.' nor '-' in front",
                       shown);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            return err_set(err, ERR_USAGE,
                           "Invalid provider name '%s': it holds a control character", shown);
    return true;
}

bool provider_path(const struct cli *cli, const char *part, const char *name, const char *ending,
                   char out[static PROVIDER_PATH_BYTES], struct err *err)
{
    int n = snprintf(out, PROVIDER_PATH_BYTES, "%s/%s/%s%s", cli->folder, part, name, ending);

    return (n > 0 && n < PROVIDER_PATH_BYTES) ||
           err_set(err, ERR_LIMIT, "the path of %s is too long", part);
}

bool provider_write(const struct cli *cli, const char *part, const char *path, struct view content,
                    struct err *err)
{
    char folder[PROVIDER_PATH_BYTES];

    return (snprintf(folder, sizeof folder, "%s/%s", cli->folder, part) < (int)sizeof folder ||
            err_set(err, ERR_LIMIT, "the path of %s is too long", part)) &&
           folders_make(folder, S_IRWXU, err) && file_write(path, content, MANIFEST_MODE, err);
}

bool provider_save(const struct cli *cli, const char *name, struct view toml, bool fresh,
                   char path[static PROVIDER_PATH_BYTES], struct err *err)
{
    struct tool_provider *read;

    if (!provider_path(cli, "manifests", name, ".toml", path, err))
        return false;
    if (fresh && access(path, F_OK) == 0)
        return err_set(err, ERR_USAGE, "Manifest already exists: %s", path);
    if (!manifest_parse(toml, path, NULL, NULL, &read, err))
        return false;
    tool_provider_unref(read);
    return provider_write(cli, "manifests", path, toml, err);
}

int provider_remove(struct cli *cli, const struct cli_words *words)
{
    const char *name = words->words[0];
    char path[PROVIDER_PATH_BYTES];
    struct err err;

    if (!provider_name_check(name, &err) ||
        !provider_path(cli, "manifests", name, ".toml", path, &err))
        return cli_fail_err(cli, &err);
    if (unlink(path) != 0) {
        if (errno == ENOENT)
            (void)err_set(&err, ERR_NOT_FOUND, "Manifest not found: %s", path);
        else
            (void)err_system(&err, ERR_IO, errno, "cannot remove %s", path);
        return cli_fail_err(cli, &err);
    }
    log_event(cli->log, LOG_INFO, "provider.removed", "removed provider manifest",
              F_STR("path", path));
    return 0;
}

int provider_unload(struct cli *cli, const struct cli_words *words)
{
    const char *name = words->words[0];
    char path[PROVIDER_PATH_BYTES];
    struct err err;

    if (!provider_name_check(name, &err) ||
        !provider_path(cli, "cache/providers", name, ".json", path, &err))
        return cli_fail_err(cli, &err);
    if (unlink(path) != 0) {
        if (errno == ENOENT)
            (void)err_set(&err, ERR_NOT_FOUND, "No cached provider '%s' found.", name);
        else
            (void)err_system(&err, ERR_IO, errno, "cannot remove %s", path);
        return cli_fail_err(cli, &err);
    }
    log_event(cli->log, LOG_INFO, "provider.unloaded", "unloaded cached provider",
              F_STR("provider", name));
    return 0;
}

void provider_span(uint64_t seconds, char out[static 32])
{
    unsigned long hours = seconds / HOUR_S, minutes = seconds % HOUR_S / MINUTE_S;

    if (hours && minutes)
        (void)snprintf(out, 32, "%luh%lum", hours, minutes);
    else if (hours || minutes)
        (void)snprintf(out, 32, "%lu%c", hours ? hours : minutes, hours ? 'h' : 'm');
    else
        (void)snprintf(out, 32, "%lus", (unsigned long)seconds);
}

void provider_remind(const struct cli *cli, const char *key)
{
    char text[PROVIDER_NAME_BYTES_MAX + 128];

    (void)snprintf(text, sizeof text, "remember to add your API key: ati key set %s <your-key>",
                   key);
    log_event(cli->log, LOG_INFO, "provider.key_wanted", text, F_STR("key", key));
}
