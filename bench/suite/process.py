"""Processes: starting them on given CPUs, and what /proc tells of them."""

import os
import resource
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def raise_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def spawn(command, cpus, log=None, **keywords):
    """Starts a command in a session of its own, so that its children can be found and ended."""

    def pin():
        os.sched_setaffinity(0, cpus)

    output = log or subprocess.DEVNULL
    keywords.setdefault("stdin", subprocess.DEVNULL)
    keywords.setdefault("stdout", output)
    keywords.setdefault("stderr", output)
    return subprocess.Popen(command, preexec_fn=pin, start_new_session=True, **keywords)


def stop(process):
    """Ends a session that spawn started: politely, then not."""
    for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        if not session(process.pid):
            return


def wait_listening(address, process, seconds=10):
    host, port = address.rsplit(":", 1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        try:
            socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


def _stat(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        return f.read().rsplit(")", 1)[1].split()


def session(leader):
    """The living processes of the session; zombies do not count."""
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = _stat(name)
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            pids.append(int(name))
    return pids


def cpu_seconds(leader):
    """CPU time of the session so far: of its living threads to the nanosecond, of children that
    ended to the tick."""
    total = 0.0
    for pid in session(leader):
        try:
            fields = _stat(pid)
            total += (int(fields[13]) + int(fields[14])) / TICK
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                    total += int(f.read().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total


def switches(leader):
    total = 0
    for pid in session(leader):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status", encoding="latin-1") as f:
                    total += sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def _smaps(leader, name):
    total = 0
    for pid in session(leader):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith(name + ":"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total * 1024


def pss_bytes(leader):
    return _smaps(leader, "Pss")


def rss_bytes(leader):
    return _smaps(leader, "Rss")


def socket_bytes():
    """Memory that the kernel charges to TCP buffers, of the whole machine."""
    with open("/proc/net/sockstat", encoding="ascii") as f:
        for line in f:
            if line.startswith("TCP:"):
                words = line.split()
                return int(words[words.index("mem") + 1]) * PAGE
    return 0


def slab_bytes():
    """Memory of the kernel's small objects (sockets, epoll items …), of the whole machine."""
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            if line.startswith("Slab:"):
                return int(line.split()[1]) * 1024
    return 0
