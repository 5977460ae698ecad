/* cleanup: what is declared together goes away together.
 *
 *   CLEANUP(allowlist_free_cleanup) struct allowlist *list = …;      freed on every return
 *   *out = take(list);                                               … unless it was given away */
#pragma once

#include <string.h>

#define CLEANUP(fn)       __attribute__((cleanup(fn)))
#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* where: the address of a pointer of any object type. Returns the pointer and leaves NULL. */
static inline void *take_from(void *where)
{
    void *given, *none = NULL;

    memcpy(&given, where, sizeof given);
    memcpy(where, &none, sizeof none);
    return given;
}

#define take(p) ((__typeof__(p))take_from(&(p)))

/* Defines NAME_cleanup for CLEANUP from a free function that accepts NULL. */
#define CLEANUP_DEFINE(type, free_fn)              \
    static inline void free_fn##_cleanup(type **p) \
    {                                              \
        free_fn(*p);                               \
    }
