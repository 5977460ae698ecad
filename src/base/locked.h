/* locked: pages for secrets alone: not swapped (mlock), not in core dumps, not in children, between two guard pages, wiped before
 * they are given back. What the kernel refuses is done without: locked_errno tells of mlock. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct locked {
    uint8_t *at; /* zeros at first; NULL: none */
    size_t size; /* asked for; whole pages are there */
    int locked_errno;
};
/* size 0 is fine. */
MUST_USE bool locked_new(size_t size, struct locked *out, struct err *err);
void locked_seal(const struct locked *l); /* read only from now on */
void locked_done(struct locked *l);       /* wipes and unmaps; none is left */
/* After secrets were copied: vector registers hold the end of it, and the next signal would save them on the stack. */
void locked_registers_clear(void);
