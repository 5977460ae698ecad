"""A network of our own: fixed ports cannot clash, and any address may be ours."""

import ctypes
import os
import subprocess
import threading

from .base import eventually

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def permitted():
    try:
        return subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class NetNs:
    """with net: …  everything this thread opens or starts inside is in the namespace."""

    def __init__(self, *addresses):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
                                       stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"up\n"
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.local = threading.local()
        with self:
            for address in addresses:
                subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
            # A tentative IPv6 address cannot be bound yet.
            eventually(lambda: b"tentative" not in subprocess.run(["ip", "addr"], capture_output=True).stdout, "addresses")

    def _enter(self, fd):
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def __enter__(self):
        self.local.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._enter(self.fd)
        return self

    def __exit__(self, *_):
        self._enter(self.local.home)
        os.close(self.local.home)

    def close(self):
        os.close(self.fd)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
