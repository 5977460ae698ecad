/* confine: rights that are given up, and what has to stay: what a reload reads again, and where calls leave files. */
#include <dirent.h>
#include <linux/capability.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ati/gateway/gateway_priv.h"
#include "base/file.h"
#include "base/text.h"
#include "net/confine.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, TLS_SETTINGS_BYTES_MAX = 1024 * 1024 };

/* The folder and what it holds may be somebody else's, and root reads it all the same; pages of keys are locked. */
#define CAPABILITY(number) (UINT64_C(1) << (number))
static const uint64_t capabilities =
    CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH) | CAPABILITY(CAP_IPC_LOCK);

/* Keys are read into locked pages; programs are asked for, who starts them is waited for at the end, and where he fails they are killed:
 * those that he gave us descriptors of, since we cannot make one. */
static const char *const calls[] = {"mlock", "munlock",           "memfd_create",
                                    "wait4", "pidfd_send_signal", NULL};

bool confine_begin(struct gateway *g, struct err *err)
{
    if (g->config->seccomp == SANDBOX_OFF && g->config->landlock == SANDBOX_OFF)
        return true;
    g->confinement = calloc(1, sizeof *g->confinement);
    return g->confinement || err_set(err, ERR_MEMORY, "no memory for the sandbox");
}

void confine_reads(void *context, const char *path)
{
    struct gateway *g = context;

    if (g->confinement)
        confine_folder_of(&g->confinement->read, path);
}

/* Once as it is named, once as what it leads to: a rule is of the folder that is there now. */
static void read_folder(struct gateway *g, const char *name)
{
    struct confine_paths *read = &g->confinement->read;
    char path[PATH_BYTES], entry_path[2 * PATH_BYTES];
    struct dirent *entry;
    struct stat st;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%s", g->config->folder, name);
    confine_path(read, path);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        (void)snprintf(entry_path, sizeof entry_path, "%s/%s", path, entry->d_name);
        if (lstat(entry_path, &st) == 0 && S_ISLNK(st.st_mode))
            confine_folder_of(read, entry_path);
    }
    if (dir)
        (void)closedir(dir);
}

/* Documents may lie anywhere. */
static void read_documents(struct gateway *g)
{
    const struct catalog *c = g->snapshot->catalog;

    for (size_t i = 0; i < catalog_provider_count(c); i++) {
        const char *spec = catalog_provider_at(c, i)->openapi_spec;
        char path[2 * PATH_BYTES];

        if (!spec)
            continue;
        (void)snprintf(path, sizeof path, "%s/specs/%s", g->config->folder, spec);
        confine_folder_of(&g->confinement->read, *spec == '/' ? spec : path);
    }
}

static void collect_reading(struct gateway *g)
{
    static const char *const folders[] = {".", "manifests", "specs"};
    const struct token_config tokens = token_config_from(g->config->environment);

    confine_path(&g->confinement->read, g->config->folder);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        read_folder(g, folders[i]);
    read_documents(g);
    confine_folder_of(&g->confinement->read, tokens.public_key_file);
}

/* Folders that are made when they are needed have to be there now. */
static void collect_writing(struct gateway *g)
{
    const char *folder = g->config->folder;
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof path, "%s/.creds", folder);
    (void)mkdir(path, S_IRWXU); /* where that is not possible, who needs it says so */
    confine_path(&g->confinement->write, path);
    (void)snprintf(path, sizeof path, "%s/cache/providers", folder);
    confine_path(&g->confinement->remove, path);
    confine_folder_of(&g->confinement->remove, keyring_sealed_file(g->config->environment));
    (void)snprintf(path, sizeof path, "%s/audit.jsonl", folder);
    confine_folder_of(&g->confinement->write, g->config->audit_file ? g->config->audit_file : path);
    confine_path(&g->confinement->write, exec_temporary_folder(g->config->environment));
}

/* A library, or another file, that nobody may load any more when the first request wants TLS. */
static bool loads_more(struct view settings)
{
    static const char *const words[] = {"activate", "module", "engine", "dynamic_path", ".include"};
    struct view line;

    while (view_next(&settings, '\n', &line)) {
        line = view_first(line, view_find(line, '#'));
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (view_find_text(line, view_str(words[i])))
                return true;
    }
    return false;
}

/* OpenSSL reads its file when TLS is first wanted. To do so now takes 1.5 MiB: only where it has to be. */
static void read_settings_of_tls(struct gateway *g)
{
    char *path = CONF_get1_default_config_file();
    struct buf text;

    if (!path)
        return;
    buf_init(&text, TLS_SETTINGS_BYTES_MAX, "openssl.cnf");
    if (file_read(path, &text, NULL) && loads_more(buf_view(&text)))
        (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    confine_path(&g->confinement->read, path);
    buf_done(&text);
    OPENSSL_free(path);
}

/* Without the right to lock any amount it is what we were given. */
static void raise_locked(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

bool gateway_confine(struct gateway *g, struct err *err)
{
    struct confinement *c = g->confinement;
    struct sandbox_report report;
    bool good;

    if (!c) {
        log_event(g->log, LOG_INFO, "sandbox", "sandbox",
                  F_STR("parts", "landlock off, seccomp off"));
        return true;
    }
    c->seccomp = g->config->seccomp;
    c->landlock = g->config->landlock;
    c->capabilities = capabilities;
    c->calls = calls;
    raise_locked();
    read_settings_of_tls(g);
    collect_reading(g);
    collect_writing(g);
    good = confine(c, &report, err);
    free(c);
    g->confinement = NULL;
    if (good)
        log_event(g->log, LOG_INFO, "sandbox", "sandbox", F_STR("parts", report.text));
    return good;
}
