/* tsm_kernel: a folder that behaves as a trust domain's kernel does, with a simulated platform behind it. For "tsm:FOLDER":
 *
 *   postern/   configfs' entry: what was written to inblob counts when it is closed; then generation advances and outblob is the
 *              platform's quote
 *   rtmr3      each 48 bytes written extend the register (a FIFO, so that none is lost)
 *   ccel       the firmware's log of the guest
 *   events     what the guest's system measured before we came
 *
 * A thread of its own does it. Ends the process where a test would have no sense. */
#pragma once

#include <pthread.h>

#include "sim/guest.h"

enum { TSM_FOLDER_BYTES = 512 };

struct tsm_kernel {
    char folder[TSM_FOLDER_BYTES];
    const struct sim_platform *platform;
    struct sim_guest *guest; /* RTMR3 of its TD is the register */
    pthread_t thread;
    int watch, fifo, stop;
    unsigned generation;
    _Atomic unsigned others; /* somebody else's writes in between, each time */
};

/* Platform and guest are lent; the folder is there and empty. provider: what the entry says it is. */
void tsm_kernel_open(struct tsm_kernel *k, const char *folder, const char *provider,
                     const struct sim_platform *platform, struct sim_guest *guest);
void tsm_kernel_close(struct tsm_kernel *k); /* the folder stays */
