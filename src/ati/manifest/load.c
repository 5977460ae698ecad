#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ati/manifest/manifest_priv.h"
#include "base/file.h"

#include "base/poison.h"

enum { CACHED_BYTES_MAX = 80 * 1024 * 1024 }; /* a document of OpenAPI as a JSON string */

struct load {
    int64_t now_s;
    manifest_warning *warn;
    void *context;
    struct manifest_set set;
    struct err *err;
};

static bool add(struct load *l, struct tool_provider *p)
{
    struct tool_provider **more =
        realloc(l->set.providers, (l->set.count + 1) * sizeof(struct tool_provider *));

    if (!more) {
        tool_provider_unref(p);
        return err_set(l->err, ERR_MEMORY, "no memory for a manifest");
    }
    l->set.providers = more;
    l->set.providers[l->set.count++] = p;
    return true;
}

static const struct tool_provider *named(const struct load *l, const char *name)
{
    for (size_t i = 0; i < l->set.count; i++)
        if (strcmp(l->set.providers[i]->name, name) == 0)
            return l->set.providers[i];
    return NULL;
}

static void warn(struct load *l, enum err_code code, const char *path, const char *why)
{
    struct err all;

    if (!l->warn)
        return;
    (void)err_set(&all, code, "%s: %s", path, why);
    l->warn(l->context, all.text);
}

/* --- folders --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of the files in folder that end so, sorted. A folder that is not there is empty when it may be missing. */
static bool list(const char *folder, const char *ending, bool may_be_missing, struct texts *out,
                 struct err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool good = true;
    char path[4096];

    if (!dir && errno == ENOENT && may_be_missing)
        return true;
    if (!dir && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_CONFIG, "No manifests directory found at %s", folder);
    if (!dir)
        return err_system(err, ERR_IO, errno, "%s", folder);
    while (good && (entry = readdir(dir))) {
        if (!view_ends(view_str(entry->d_name), view_str(ending)) || entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            good = texts_add(out, view_str(path), err);
        else
            good = err_set(err, ERR_LIMIT, "%s: the path is too long", folder);
    }
    (void)closedir(dir);
    if (good && out->count)
        qsort(out->at, out->count, sizeof *out->at, by_name);
    return good;
}

static bool read_file(const char *path, size_t max, const char *what, struct buf *out,
                      struct err *err)
{
    size_t n = strlen(path);

    buf_init(out, max, what);
    if (file_read(path, out, err))
        return true;
    /* its error begins with the path, and so will ours */
    if (err && strncmp(err->text, path, n) == 0 && strncmp(err->text + n, ": ", 2) == 0)
        memmove(err->text, err->text + n + 2, strlen(err->text + n + 2) + 1);
    buf_done(out);
    return false;
}

/* --- manifests/ --- */

static bool load_manifest(struct load *l, const char *path)
{
    struct tool_provider *p = NULL;
    const struct tool_provider *twin;
    struct buf text;
    bool good;

    if (!read_file(path, MANIFEST_BYTES_MAX, "manifest", &text, l->err))
        return err_in(l->err, "Failed to read manifest file %s", path);
    good = manifest_parse(buf_view(&text), path, l->warn, l->context, &p, l->err);
    buf_done(&text);
    if (!good)
        return false;
    twin = named(l, p->name);
    if (twin) {
        char why[400];

        (void)snprintf(why, sizeof why, "provider \"%.80s\" is also that of %s", p->name,
                       twin->path);
        warn(l, ERR_CONFIG, path, why);
    }
    return add(l, p);
}

/* --- cache/providers/ --- */

static bool load_cached(struct load *l, const char *path)
{
    struct tool_provider *p = NULL;
    struct err why;
    struct buf text;
    bool good;

    if (!read_file(path, CACHED_BYTES_MAX, "cached provider", &text, &why)) {
        warn(l, why.code, path, why.text);
        return why.code != ERR_MEMORY || err_set(l->err, ERR_MEMORY, "%s", why.text);
    }
    good = manifest_parse_cached(buf_view(&text), path, &p, &why);
    buf_done(&text);
    if (!good) {
        warn(l, why.code, "skipped", why.text);
        return why.code != ERR_MEMORY || err_set(l->err, ERR_MEMORY, "%s", why.text);
    }
    if (p->expires_s < l->now_s) {
        if (unlink(path) != 0)
            warn(l, ERR_IO, path, "has expired, but cannot be removed");
        tool_provider_unref(p);
        return true;
    }
    if (named(l, p->name)) { /* permanent ones win */
        tool_provider_unref(p);
        return true;
    }
    return add(l, p);
}

/* --- all --- */

static bool load_folder(struct load *l, const char *folder, const char *sub, const char *ending,
                        bool may_be_missing, bool (*each)(struct load *l, const char *path))
{
    struct texts paths = {0};
    char path[4096];
    bool good;

    if (snprintf(path, sizeof path, "%s/%s", folder, sub) >= (int)sizeof path)
        return err_set(l->err, ERR_LIMIT, "%s: the path is too long", folder);
    good = list(path, ending, may_be_missing, &paths, l->err);
    for (size_t i = 0; good && i < paths.count; i++)
        good = each(l, paths.at[i]);
    texts_done(&paths);
    return good;
}

static bool has_files(const struct load *l)
{
    for (size_t i = 0; i < l->set.count; i++)
        if (l->set.providers[i]->handler == HANDLER_FILES)
            return true;
    return false;
}

static bool add_builtin(struct load *l)
{
    struct tool_provider *p = NULL;

    return has_files(l) || (manifest_builtin(&p, l->err) && add(l, p));
}

bool manifest_load(const char *folder, int64_t now_s, manifest_warning *warn_with, void *context,
                   struct manifest_set *out, struct err *err)
{
    struct load l = {.now_s = now_s, .warn = warn_with, .context = context, .err = err};

    if (!load_folder(&l, folder, "manifests", ".toml", false, load_manifest) ||
        !load_folder(&l, folder, "cache/providers", ".json", true, load_cached) ||
        !add_builtin(&l)) {
        manifest_set_free(&l.set);
        return false;
    }
    *out = l.set;
    return true;
}
