#include "sim_cli/state.h"

#include "base/file.h"

#include "base/poison.h"

enum { COMPOSE_MAX = 4 * 1024 * 1024 };

static bool path_of(char out[static STATE_PATH_BYTES], const char *folder, const char *name,
                    struct err *err)
{
    return snprintf(out, STATE_PATH_BYTES, "%s/%s", folder, name) < STATE_PATH_BYTES ||
           err_set(err, ERR_LIMIT, "%s: the path is too long", folder);
}

bool sim_state_write(const char *folder, const char *name, struct view content, unsigned mode,
                     struct err *err)
{
    char path[STATE_PATH_BYTES];

    return path_of(path, folder, name, err) && file_write(path, content, mode, err);
}

bool sim_state_load(const char *folder, int64_t now_s, struct sim_state *out, struct err *err)
{
    struct sim_state s = {.guest = NULL};
    struct sim_recipe recipe;
    char path[STATE_PATH_BYTES];
    struct buf compose;
    bool good;

    sim_recipe_default(&recipe, now_s);
    if (!sim_platform_load(folder, &recipe, &s.platform, err))
        return err_in(err, "no simulated platform; \"atlas-sim init %s\" makes one", folder);
    buf_init(&compose, COMPOSE_MAX, "app-compose.json");
    good = path_of(path, folder, "app-compose.json", err) && file_read(path, &compose, err) &&
           sim_guest_boot(buf_view(&compose), &s.guest, err);
    buf_done(&compose);
    if (good)
        *out = s;
    else
        sim_state_done(&s);
    return good;
}

uint16_t sim_state_certification(int choice)
{
    static const uint16_t types[] = {CERTIFICATION_PCK_CHAIN, CERTIFICATION_PPID_RSA2048,
                                     CERTIFICATION_PPID_RSA3072};

    return types[choice];
}

void sim_state_done(struct sim_state *s)
{
    sim_guest_free(s->guest);
    sim_platform_free(s->platform);
    s->guest = NULL;
    s->platform = NULL;
}
