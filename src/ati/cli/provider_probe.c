#include "ati/cli/provider_probe.h"

#include <stdlib.h>

#include "ati/cli/work.h"
#include "ati/exec/exec.h"
#include "ati/mcp/mcp.h"
#include "base/version.h"
#include "child/child.h"

#include "base/poison.h"

enum { ERROR_BYTES_MAX = 64 * 1024 };

struct asking {
    struct cli_work work;
    struct mcp_hub *hub;
    struct snapshot *snapshot;
    struct mcp_ask *ask;
    struct provider_probe *out;
};

static void answered(void *context, struct mcp_answer *answer)
{
    struct asking *a = context;

    a->ask = NULL;
    a->out->good = !answer->failed;
    if (answer->failed) {
        (void)!buf_append(&a->out->error, view_first(buf_view(&answer->error), ERROR_BYTES_MAX),
                          NULL);
    } else {
        a->out->tools = answer->tools;
        a->out->count = answer->tool_count;
        answer->tools = NULL;
        answer->tool_count = 0;
    }
    cli_work_finish(&a->work);
}

/* A world of one provider. */
static bool open_snapshot(struct asking *a, struct tool_provider *provider, struct keyring *keyring,
                          struct err *err)
{
    struct manifest_set set = {.providers = malloc(sizeof(struct tool_provider *)), .count = 1};
    CLEANUP(catalog_unref_cleanup) struct catalog *catalog = NULL;

    if (!set.providers)
        return err_set(err, ERR_MEMORY, "no memory for a provider");
    set.providers[0] = provider;
    if (!catalog_new(&set, &catalog, err)) {
        manifest_set_free(&set);
        return false;
    }
    return snapshot_new(catalog, keyring, NULL, &a->snapshot, err);
}

static bool ask(struct asking *a, const struct cli *cli, const struct tool_provider *provider,
                struct err *err)
{
    const struct mcp_hub_options options = {.environment = cli->environment,
                                            .reach = exec_reach_from(cli->environment),
                                            .version = POSTERN_VERSION};
    struct err why = {0};

    if (!cli_work_open(&a->work, cli, "asking the server for its tools", err) ||
        !mcp_hub_new(a->work.loop, a->work.client, &options, &a->hub, err))
        return false;
    if (!mcp_list(a->hub, a->work.loop, a->snapshot, provider, NULL, answered, a, &a->ask, &why))
        return buf_append_str(&a->out->error, why.text, err);
    if (cli_work_run(&a->work, err))
        return true;
    if (a->work.signo)
        (void)err_set(err, ERR_IO, "interrupted");
    return false;
}

bool provider_probe(const struct cli *cli, struct tool_provider *provider, struct keyring *keyring,
                    struct provider_probe *out, struct err *err)
{
    struct asking a = {.out = out};
    bool good;

    *out = (struct provider_probe){0};
    buf_init(&out->error, ERROR_BYTES_MAX, "error of a server");
    good = open_snapshot(&a, provider, keyring, err) && ask(&a, cli, provider, err);
    if (a.ask)
        mcp_cancel(a.ask);
    if (a.hub)
        mcp_hub_free(a.hub);
    if (a.work.loop)
        child_end_all(a.work.loop);
    cli_work_close(&a.work);
    snapshot_unref(a.snapshot);
    return good;
}

void provider_probe_done(struct provider_probe *p)
{
    tools_free(p->tools, p->count);
    buf_done(&p->error);
    *p = (struct provider_probe){0};
}
