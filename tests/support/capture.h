/* capture: what code prints to standard output and standard error, for the time between begin and end. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

enum { CAPTURE_BYTES = 64 * 1024 };

struct capture {
    int was[2], into[2];                         /* standard output, standard error */
    char out[CAPTURE_BYTES], err[CAPTURE_BYTES]; /* after end; terminated, what is more is cut */
    size_t out_len;
};

static inline void capture_begin(struct capture *c)
{
    (void)fflush(NULL);
    for (int i = 0; i < 2; i++) {
        char path[] = "/tmp/capture-XXXXXX";

        c->was[i] = dup(STDOUT_FILENO + i);
        c->into[i] = mkostemp(path, O_CLOEXEC);
        CHECK(c->was[i] >= 0 && c->into[i] >= 0 && unlink(path) == 0 &&
              dup2(c->into[i], STDOUT_FILENO + i) >= 0);
    }
}

static inline void capture_end(struct capture *c)
{
    (void)fflush(NULL);
    for (int i = 0; i < 2; i++) {
        char *to = i ? c->err : c->out;
        ssize_t n = pread(c->into[i], to, CAPTURE_BYTES - 1, 0);

        CHECK(n >= 0 && dup2(c->was[i], STDOUT_FILENO + i) >= 0);
        to[n] = '\0';
        if (!i)
            c->out_len = (size_t)n;
        close(c->was[i]);
        close(c->into[i]);
    }
}
