/* catalog: finding a tool: an immutable index over providers and what was discovered of MCP servers.
 *
 * Of tools with the same name the last one counts. Tools of internal providers are found by name and listed nowhere. A discovery
 * makes a new catalog that shares what the old one holds; calls under way keep the old one. Counted atomically.
 *
 * Read in order   load.c catalog.c search.c sound.c */
#pragma once

#include "ati/caller/caller.h"
#include "ati/manifest/manifest.h"

enum {
    CATALOG_NAME_BYTES_MAX = 512
}; /* of a tool, with its provider; longer ones are found as they are */

struct catalog;
/* load.c: manifest_load, and for openapi providers the tools of their documents: one that cannot be read is a warning, and the provider has
 * no tools. */
MUST_USE bool catalog_load(const char *folder, int64_t now_s, manifest_warning *warn, void *context,
                           struct catalog **out, struct err *err);
/* Takes what set points at, on success. */
MUST_USE bool catalog_new(struct manifest_set *set, struct catalog **out, struct err *err);
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c); /* NULL is fine */
CLEANUP_DEFINE(struct catalog, catalog_unref)
/* A new catalog, with these tools of provider (which must be in c) in the place of those discovered before. Takes tools on success
 * (their provider field is set here; names are whole: "{provider}:{name}"). */
MUST_USE bool catalog_discovered(const struct catalog *c, const struct tool_provider *provider,
                                 struct tool *tools, size_t count, struct catalog **out,
                                 struct err *err);

size_t catalog_provider_count(const struct catalog *c);
const struct tool_provider *catalog_provider_at(const struct catalog *c, size_t index);
const struct tool_provider *catalog_provider(const struct catalog *c,
                                             struct view name); /* the first; NULL: none */
/* Public tools, in load order; a name once. */
size_t catalog_tool_count(const struct catalog *c);
const struct tool *catalog_tool_at(const struct catalog *c, size_t index);
/* NULL: none. */
const struct tool *catalog_find(const struct catalog *c, struct view name);
/* For a name that is none's: public tools of the provider that stands before its first ':' (or is all of it), as far as the caller may call them; into
 * out. Those that sound most like it when there are more than max; all in load order otherwise. Returns how many. */
size_t catalog_suggest(const struct catalog *c, const struct caller *caller, int64_t now_s,
                       struct view name, const struct tool **out, size_t max);
/* As catalog_find; else with each '_' from the left, one at a time, read as ':'. */
const struct tool *catalog_resolve(const struct catalog *c, struct view name);

/* search.c: the best max public tools for a query that the caller may call, best first; into out. Returns how many. */
size_t catalog_search(const struct catalog *c, const struct caller *caller, int64_t now_s,
                      struct view query, const struct tool **out, size_t max);
