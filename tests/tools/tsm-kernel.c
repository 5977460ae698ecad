/* tsm-kernel: a folder that behaves as the kernel of a trust domain does, for "atlas-tee --provider tsm:FOLDER".
 *
 *   tsm-kernel PLATFORM FOLDER      PLATFORM: as "atlas-sim init" made it; FOLDER: there and empty
 *
 * Says "ready" on standard output, and ends when standard input does. */
#include <stdio.h>
#include <time.h>

#include "sim_cli/state.h"
#include "support/tsm_kernel.h"

int main(int argc, char **argv)
{
    struct tsm_kernel kernel;
    struct sim_state state;
    struct err err;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: tsm-kernel PLATFORM FOLDER\n");
        return 2;
    }
    if (!sim_state_load(argv[1], time(NULL), &state, &err)) {
        (void)fprintf(stderr, "tsm-kernel: %s\n", err.text);
        return 1;
    }
    tsm_kernel_open(&kernel, argv[2], "tdx_guest\n", state.platform, state.guest);
    (void)puts("ready");
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    tsm_kernel_close(&kernel);
    sim_state_done(&state);
    return 0;
}
