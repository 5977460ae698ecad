/* Private to `ati provider`: what its commands share.
 *
 * Read in order   provider.c (the row) provider_show.c (list, info) provider_files.c (where things are, remove, unload) provider_add.c
 *                 provider_spec.c (a document, from a file or the network) provider_openapi.c (import, inspect) provider_load.c provider_probe.c */
#pragma once

#include <stdio.h>

#include "ati/cli/cli.h"
#include "ati/manifest/manifest.h"
#include "ati/openapi/openapi.h"

enum { PROVIDER_PATH_BYTES = 4096, PROVIDER_NAME_BYTES_MAX = 128, PROVIDER_TTL_S = 3600 };

int provider_list(struct cli *cli, const struct cli_words *words);
int provider_info(struct cli *cli, const struct cli_words *words);
int provider_remove(struct cli *cli, const struct cli_words *words);
int provider_unload(struct cli *cli, const struct cli_words *words);
int provider_add_mcp(struct cli *cli, const struct cli_words *words);
int provider_add_cli(struct cli *cli, const struct cli_words *words);
int provider_import_openapi(struct cli *cli, const struct cli_words *words);
int provider_inspect_openapi(struct cli *cli, const struct cli_words *words);
int provider_load(struct cli *cli, const struct cli_words *words);

/* provider_files.c */
/* A name that can be that of a file, and of tools. */
MUST_USE bool provider_name_check(const char *name, struct err *err);
/* "{folder}/{part}/{name}{ending}" */
MUST_USE bool provider_path(const struct cli *cli, const char *part, const char *name,
                            const char *ending, char out[static PROVIDER_PATH_BYTES],
                            struct err *err);
/* Writes manifests/{name}.toml, after reading it as a manifest; path: where. fresh: it must not be there. */
MUST_USE bool provider_save(const struct cli *cli, const char *name, struct view toml, bool fresh,
                            char path[static PROVIDER_PATH_BYTES], struct err *err);
MUST_USE bool provider_write(const struct cli *cli, const char *part, const char *path,
                             struct view content, struct err *err); /* makes the folder part */
/* "1h30m", "58m", "45s" */
void provider_span(uint64_t seconds, char out[static 32]);
/* Tells what is left to do: `ati key set {key} <your-key>`. */
void provider_remind(const struct cli *cli, const char *key);

/* provider_add.c: also of load --save. */
MUST_USE bool provider_write_mcp(const struct cli *cli, const struct cli_words *w, const char *name,
                                 const char *transport, struct err *err);
/* --env K=V, by name; *out is the caller's (provider_env_done). */
MUST_USE bool provider_env_read(const struct cli_words *w, struct text_pairs *out, struct err *err);
void provider_env_done(struct text_pairs *pairs);
/* "${key}" as a whole: the key, lent; else empty. */
struct view provider_reference(const char *value);
/* What --transport needs. */
MUST_USE bool provider_transport_check(const struct cli_words *w, const char *transport,
                                       struct err *err);

/* provider_spec.c: the document at spec, a path or a URL, appended. */
MUST_USE bool provider_read_spec(const struct cli *cli, const char *spec, struct buf *out,
                                 struct err *err);

/* provider_openapi.c: also of load --save. */
struct provider_import {
    const char *spec, *name, *key; /* key: NULL: made of the name */
    struct texts include_tags;
    bool dry_run;
};
MUST_USE bool provider_import(const struct cli *cli, const struct provider_import *import,
                              struct err *err);
