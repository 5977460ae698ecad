/* scan: looks for bytes in all of this process's memory, through /proc/self/mem. What is looked for is kept masked, so that it is
 * not found where the test itself has it. */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secret.h"

enum { SCAN_BYTES = 24, SCAN_MASK = 0x55, SCAN_PIECE = 1 << 20 };

struct scan {
    size_t hits;
    bool all_locked;    /* every hit lies in pages that are in no dump and in no child */
    bool all_read_only; /* and that nobody can write to */
};

/* Letters and digits, as credentials have them; only its masked form is left. */
static inline void scan_make(uint8_t masked[static SCAN_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    random_bytes(masked, SCAN_BYTES);
    for (size_t i = 0; i < SCAN_BYTES; i++)
        masked[i] = (uint8_t)letters[masked[i] % (sizeof letters - 1)] ^ SCAN_MASK;
}

static inline void scan_unmask(const uint8_t masked[static SCAN_BYTES],
                               char out[static SCAN_BYTES + 1])
{
    for (size_t i = 0; i < SCAN_BYTES; i++)
        out[i] = (char)(masked[i] ^ SCAN_MASK);
    out[SCAN_BYTES] = '\0';
}

/* work happens in a process of its own, whose memory is gone afterwards. */
static inline void scan_elsewhere(void (*work)(const uint8_t *masked), const uint8_t *masked)
{
    pid_t pid = fork();
    int status = -1;

    assert_true(pid >= 0);
    if (pid == 0) {
        work(masked);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static inline bool scan_at(const uint8_t *at, const uint8_t *masked)
{
    for (size_t i = 0; i < SCAN_BYTES; i++)
        if ((at[i] ^ SCAN_MASK) != masked[i])
            return false;
    return true;
}

/* piece: SCAN_PIECE bytes to read into, and behind them the needle in the clear. */
static inline size_t scan_range(int memory, uint8_t *piece, uintptr_t from, uintptr_t to)
{
    size_t hits = 0;

    while (from < to) {
        size_t want = to - from < SCAN_PIECE ? to - from : SCAN_PIECE;
        ssize_t n = pread(memory, piece, want, (off_t)from);
        const uint8_t *at = piece;

        if (n <= 0)
            break;
        for (;; at++, hits++) {
            at = memmem(at, (size_t)(piece + n - at), piece + SCAN_PIECE, SCAN_BYTES);
            if (!at)
                break;
        }
        from += (size_t)n < want || from + want == to ? (size_t)n : (size_t)n - SCAN_BYTES + 1;
    }
    return hits;
}

static inline struct scan scan_for(const uint8_t masked[static SCAN_BYTES])
{
    uint8_t *piece =
        mmap(NULL, SCAN_PIECE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/smaps", "re");
    struct scan s = {.all_locked = true, .all_read_only = true};
    size_t here = 0;
    bool writable = false;
    char line[512];

    assert_true(piece != MAP_FAILED && memory >= 0 && maps);
    for (size_t i = 0; i < SCAN_BYTES; i++)
        piece[SCAN_PIECE + i] = masked[i] ^ SCAN_MASK;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[5];

        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3) {
            /* Terabytes are shadows of a sanitizer. */
            here = ((uintptr_t)piece >= from && (uintptr_t)piece < to) || rights[0] != 'r' ||
                           to - from > 1ul << 36
                       ? 0
                       : scan_range(memory, piece, from, to);
            writable = rights[1] == 'w';
            s.hits += here;
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            s.all_locked = s.all_locked && strstr(line, " dd") && strstr(line, " dc");
            s.all_read_only = s.all_read_only && !writable;
        }
    }
    (void)fclose(maps);
    close(memory);
    (void)munmap(piece, SCAN_PIECE + 4096);
    return s;
}
