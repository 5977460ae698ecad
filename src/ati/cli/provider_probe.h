/* Private to `ati provider load`: asks an MCP server for its tools, once. */
#pragma once

#include "ati/cli/cli.h"
#include "ati/keyring/keyring.h"
#include "ati/manifest/manifest.h"

struct provider_probe {
    bool good;
    struct buf error; /* why not */
    struct tool *tools;
    size_t count;
};
/* False: it could not be asked at all, or somebody broke it off. */
MUST_USE bool provider_probe(const struct cli *cli, struct tool_provider *provider,
                             struct keyring *keyring, struct provider_probe *out, struct err *err);
void provider_probe_done(struct provider_probe *p);
