/* What the files of mask share. */
#pragma once

#include "ati/keyring/mask.h"

struct mask_form {
    uint8_t *at;
    size_t len;
    size_t secret; /* the length of what it is a form of */
    bool number;   /* could be one of JSON */
    size_t next;   /* in the window: where it is found next; SIZE_MAX: nowhere */
};

struct mask {
    struct mask_form *forms;
    size_t count, longest, edge;

    /* The pass. */
    struct buf *text, out;
    struct view in;
    bool json, escapes;     /* escapes: they are undone */
    size_t least, shortest; /* of secrets that are looked for; of their forms */
    size_t copied;          /* of in, to out */
    bool hit;               /* out is in use */
    bool again;             /* escapes come next */

    /* The window: what in means from `at` to `read`. */
    bool inside, ended; /* a string of JSON, and its end has been read */
    uint8_t *window;
    size_t room, len, at, read;
    size_t used; /* the most that len has been */
    bool bent;   /* an escape was undone: places in it and in the text differ */
};

/* May stand in a number of JSON. */
static inline bool mask_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || (c | 0x20) == 'e';
}

/* mask_forms.c */
MUST_USE bool mask_add(struct mask *m, struct view secret, struct err *err);
