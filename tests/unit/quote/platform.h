/* platform: one simulated platform for all tests of a program: keys take their time. */
#pragma once

#include "base/clock.h"
#include "sim/platform.h"

static struct sim_platform *platform;

static inline int platform_make(void **state)
{
    struct sim_recipe recipe;

    (void)state;
    sim_recipe_default(&recipe, clock_wall_ms(&clock_system) / 1000);
    return sim_platform_new(&recipe, &platform, NULL) ? 0 : -1;
}

static inline int platform_free(void **state)
{
    (void)state;
    sim_platform_free(platform);
    return 0;
}
