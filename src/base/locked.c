#include "base/locked.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/secret.h"

#include "base/poison.h"

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t pages(size_t size)
{
    size_t page = page_bytes();

    return size ? (size + page - 1) / page * page : page;
}

bool locked_new(size_t size, struct locked *out, struct err *err)
{
    size_t page = page_bytes(), room;
    uint8_t *all, *at;

    if (size > SIZE_MAX / 2)
        return err_set(err, ERR_MEMORY, "no memory for %zu bytes of secrets", size);
    room = pages(size);
    all = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return err_set(err, ERR_MEMORY, "no memory for %zu bytes of secrets", size);
    at = all + page;
    if (mprotect(at, room, PROT_READ | PROT_WRITE) != 0) {
        (void)munmap(all, room + 2 * page);
        return err_set(err, ERR_MEMORY, "no memory for %zu bytes of secrets", size);
    }
    *out = (struct locked){.at = at, .size = size};
    if (mlock(at, room) != 0)
        out->locked_errno = errno;
    (void)madvise(at, room, MADV_DONTDUMP);
    /* A child that runs on without exec finds zeros where it finds anything. */
    (void)madvise(at, room, MADV_WIPEONFORK);
    (void)madvise(at, room, MADV_DONTFORK);
    return true;
}

void locked_seal(const struct locked *l)
{
    if (l->at)
        (void)mprotect(l->at, pages(l->size), PROT_READ);
}

/* Copies of zeros, by the same function of the C library that copied the secrets: each of these sizes takes a way of its own
 * through it, and other registers. */
void locked_registers_clear(void)
{
    static const volatile size_t sizes[] = {16, 32, 64, 128, 256, 512, 1024, 4096};
    static const uint8_t zeros[4096];
    uint8_t out[sizeof zeros];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];

        memmove(out, zeros, size);
        __asm__ volatile("" : : "r"(out) : "memory"); /* it is not left out */
    }
}

void locked_done(struct locked *l)
{
    size_t page = page_bytes(), room = pages(l->size);

    if (!l->at)
        return;
    if (mprotect(l->at, room, PROT_READ | PROT_WRITE) == 0)
        secret_wipe(l->at, room);
    (void)munmap(l->at - page, room + 2 * page);
    *l = (struct locked){.at = NULL};
}
