"""What the kernel knows about the process under test."""

import os
import pathlib

from .base import eventually


def readable(pid):
    """The bridge is not dumpable: only root may look."""
    try:
        os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        return False
    return True


def descriptors(pid):
    """What the open descriptors are: {"socket": 4, "pipe": 2, …}."""
    kinds = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            link = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        kind = link.split(":", 1)[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def descriptor_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory(pid, field="Pss"):
    """Bytes, by /proc/PID/smaps_rollup."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def status(pid):
    out = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        out[name] = value.strip()
    return out


def threads(pid):
    return sorted(int(t) for t in os.listdir(f"/proc/{pid}/task"))


def settled(read, what, pause=0.1):
    """The value of read() once two looks in a row agree."""
    last = [None]

    def same():
        value = read()
        agree = value == last[0]
        last[0] = value
        return agree

    eventually(same, what, pause=pause)
    return last[0]
