"""Starts a program the way systemd does: sockets from descriptor 3 on, LISTEN_PID its own.

Run as a program: launch.py NAMES FD… -- PROGRAM ARG…  (the descriptors were inherited under those numbers)
"""

import os
import sys


def main(argv):
    names, *rest = argv
    split = rest.index("--")
    given, command = [int(fd) for fd in rest[:split]], rest[split + 1:]
    # Out of the way first, so that no number is overwritten before it was moved.
    parked = [os.dup(fd) if fd < 3 + len(given) else fd for fd in given]
    high = [os.dup2(fd, 100 + i) for i, fd in enumerate(parked)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i)
        os.set_inheritable(3 + i, True)
        os.close(fd)
    for fd in given:
        if fd >= 3 + len(given):
            os.close(fd)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(given))
    if names:
        os.environ["LISTEN_FDNAMES"] = names
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
