"""Deadlines, ports, and other small things."""

import contextlib
import itertools
import os
import pathlib
import resource
import socket
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("POSTERN_BIN") or ROOT / "build/release/bin").resolve()
TOOLS = pathlib.Path(os.environ.get("POSTERN_TOOLS") or BIN.parent / "tests/tools").resolve()
BROWSER = ROOT / "tests/browser"
PROGRAM = BIN / "atlas-proxy"


def _sanitizer():
    try:
        image = PROGRAM.read_bytes()
    except OSError:
        return None
    for mark, name in ((b"__tsan_init", "thread"), (b"__asan_init", "address")):
        if mark in image:
            return name
    return None


SANITIZER = _sanitizer()
# How much longer than usual everything may take before it counts as stuck.
SLOW = float(os.environ.get("POSTERN_SLOW") or {"thread": 8, "address": 4}.get(SANITIZER, 1))
PATIENCE = 10 * SLOW


class Late(AssertionError):
    """What a test waited for did not happen in time."""


def eventually(probe, what="the condition", timeout=PATIENCE, pause=0.01):
    """Asks probe() again and again until it returns something true; returns that."""
    end = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Late(f"{what}: not within {timeout:.1f} s (last answer: {answer!r})")
        time.sleep(pause)


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _port_range():
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    index = int(worker.removeprefix("gw") or 0) % 8
    first = 20000 + index * 1500
    return itertools.cycle(range(first + os.getpid() % 700, first + 1500))


_ports = _port_range()
_ports_lock = threading.Lock()


def free_port():
    """A port below the ephemeral range, from a part of it that this test process alone uses."""
    with _ports_lock:
        for port in _ports:
            with contextlib.closing(socket.socket()) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port


def run(*argv, **kwargs):
    kwargs.setdefault("check", True)
    kwargs.setdefault("capture_output", True)
    kwargs.setdefault("timeout", 60 * SLOW)
    return subprocess.run([str(a) for a in argv], **kwargs)


def connectable(address, family=socket.AF_INET):
    with contextlib.closing(socket.socket(family)) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def local_connection(address):
    """True when the address is of this machine's loopback (tests never talk to anybody else)."""
    return str(address[0]).startswith("127.") or address[0] in ("::1", "localhost")
