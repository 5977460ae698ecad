"""A clock that a test puts forward: what waits for minutes in a program is over when the test says so."""

import os
import pathlib
import struct
import subprocess

from .base import PATIENCE, SANITIZER
from .peers import need

# Time that passes counts as well; the wall clock stays as it is.
SOURCE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_AHEAD");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (at != MAP_FAILED)
        ahead = at;
    if (fd >= 0)
        close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int result = (int)syscall(SYS_clock_gettime, id, ts);

    if (result == 0 && id == CLOCK_MONOTONIC && ahead)
        ts->tv_sec += *ahead;
    return result;
}
"""


class Clock:
    """environ: variables of a program that goes by it. A program that sleeps looks at it when it is woken."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        library, self.file, self.ahead = folder / "clock.so", folder / "ahead", 0
        (folder / "clock.c").write_text(SOURCE)
        subprocess.run([need("cc"), "-shared", "-fPIC", "-O1", "-o", library, folder / "clock.c"], check=True, timeout=PATIENCE * 3)
        self.file.write_bytes(struct.pack("=q", 0))
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(self.file)}
        if SANITIZER == "address":
            self.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))

    def skip(self, seconds):
        self.ahead += seconds
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", self.ahead))
