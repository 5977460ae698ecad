/* What every test of base includes, in the order that cmocka wants. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/view.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Bytes in memory of just their size: AddressSanitizer sees what is read behind their end. */
static inline struct view block(struct view v)
{
    uint8_t *bytes = malloc(v.len ? v.len : 1);

    assert_non_null(bytes);
    if (v.len)
        memcpy(bytes, v.at, v.len);
    return view_from(bytes, v.len);
}

static inline void block_free(struct view v)
{
    free((void *)(uintptr_t)v.at);
}

/* The UTF-8 of any number up to 21 bits, good or not. Returns its bytes. */
static inline size_t utf8_of(uint32_t code, uint8_t out[static 4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xC0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xE0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (code & 63));
    return 4;
}
