"""The program under test: started, watched, stopped."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from . import metrics as metrics_text
from .base import PATIENCE, PROGRAM, SANITIZER, SLOW, Late, eventually, free_port

SANITIZER_REPORTS = (
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "runtime error:",
    "CHECK failed",
    "check_failed",
)
LISTENING = re.compile(r"listening on (?:wss )?((?:\[[^\]\s]+\]|[^\s\",;\[\]:]+):(\d+)|unix:[^\s\",]+)")

# Limits that would get in the way of a test that is not about them, and a name server that nobody runs:
# what a test does not script is not asked for on any network.
DEFAULTS = {
    "dns_servers": "127.0.0.1:9",
    "listen": "127.0.0.1:0",
    "log": "json",
    "max_per_ip": "0",
    "rate_per_ip": "0",
    "drain_timeout": "300ms",
}
# What a sanitizer's run-time needs is not what the program needs.
if SANITIZER:
    DEFAULTS |= {"seccomp": "off", "landlock": "off"}
# To look for the cause of a failure: POSTERN_OPTIONS="seccomp=off workers=1".
DEFAULTS |= dict(pair.split("=", 1) for pair in os.environ.get("POSTERN_OPTIONS", "").split())


def flags_of(options):
    """{"max_per_ip": 3, "allow_empty": True} → ["--max-per-ip", "3", "--allow-empty"]."""
    out = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None:
            continue
        if value is True:
            out.append(flag)
        elif isinstance(value, (list, tuple)):
            out += [flag, ",".join(map(str, value))]
        else:
            out += [flag, str(value)]
    return out


def clean_environment(extra=None):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE"):
        if name in os.environ:
            env[name] = os.environ[name]
    if SANITIZER:
        env.setdefault("TSAN_OPTIONS", "exitcode=66:halt_on_error=0")
    env.update(extra or {})
    return env


def run_to_end(*args, env=None, timeout=PATIENCE, **options):
    """Runs the program for its output and exit status: --check, --help, bad configuration."""
    argv = [str(PROGRAM), *map(str, args), *flags_of(options)]
    done = subprocess.run(
        argv, env=clean_environment(env), capture_output=True, text=True, errors="replace", timeout=timeout
    )
    assert not any(mark in done.stderr for mark in SANITIZER_REPORTS), done.stderr
    return done


class Bridge:
    """One running bridge.

    Bridge(allow=["127.0.0.1:80"], splice="off") passes --allowlist and --splice; a name set to None is
    not passed at all. Use as a context manager: leaving it stops the bridge, and complains about
    anything that is wrong with how it ended.
    """

    def __init__(self, *args, allow=None, env=None, admin=None, prefix=(), pass_fds=(), defaults=True,
                 preexec_fn=None, wait=True, exit_status=0, **options):
        merged = dict(DEFAULTS) if defaults else {}
        if defaults:
            self.admin_port = free_port() if admin is None else None
            merged["admin"] = admin or f"127.0.0.1:{self.admin_port}"
        elif admin:
            merged["admin"] = admin
        if allow is not None:
            merged["allowlist"] = allow
        elif SANITIZER:
            env = {"ATLS_PROXY_SECCOMP": "off", "ATLS_PROXY_LANDLOCK": "off"} | (env or {})
        merged.update(options)
        self.exit_status = exit_status
        self.may_be_internal = False
        self.lines = []
        self.events = []
        self.news = threading.Condition()
        self.cursor = 0
        self.over = False
        self.stopped = False
        self.process = subprocess.Popen(
            [*map(str, prefix), str(PROGRAM), *map(str, args), *flags_of(merged)],
            env=clean_environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=pass_fds, preexec_fn=preexec_fn,
        )
        self.pid = self.process.pid
        self.readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self.readers:
            reader.start()
        if wait:
            try:
                self.wait_listening()
            except BaseException:
                self.kill()
                raise

    # --- what it says -----------------------------------------------------------------------

    def _read(self, stream):
        for raw in stream:
            line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
            event = None
            if line.startswith("{"):
                try:
                    event = json.loads(line)
                except ValueError:
                    event = {"event": "unreadable", "line": line}
            with self.news:
                self.lines.append(line)
                if event is not None:
                    self.events.append(event)
                self.news.notify_all()
        with self.news:
            self.over = self.process.poll() is not None
            self.news.notify_all()

    @property
    def log(self):
        with self.news:
            return "\n".join(self.lines)

    def wait_line(self, pattern, timeout=PATIENCE):
        """The first line of output that matches, past or future."""
        found = re.compile(pattern).search
        end = time.monotonic() + timeout
        with self.news:
            while True:
                for line in self.lines:
                    match = found(line)
                    if match:
                        return match
                if self.process.poll() is not None and not self.readers[1].is_alive():
                    raise Late(f"the bridge ended ({self.process.returncode}) without saying {pattern!r}:\n" + "\n".join(self.lines))
                if not self.news.wait(min(0.2, max(0.0, end - time.monotonic()))) and time.monotonic() > end:
                    raise Late(f"nothing in the log matches {pattern!r}:\n" + "\n".join(self.lines[-40:]))

    def wait_event(self, name, timeout=PATIENCE, count=1, **fields):
        """Waits for the count-th event of that name whose fields are as given; returns it."""
        end = time.monotonic() + timeout
        with self.news:
            while True:
                hits = [e for e in self.events if e.get("event") == name and all(e.get(k) == v for k, v in fields.items())]
                if len(hits) >= count:
                    return hits[count - 1]
                if not self.news.wait(min(0.2, max(0.0, end - time.monotonic()))) and time.monotonic() > end:
                    raise Late(f"no event {name} {fields} ({len(hits)} of {count}):\n" + "\n".join(self.lines[-40:]))

    def closed(self, timeout=PATIENCE, count=1, **fields):
        """The event that ends a tunnel."""
        return self.wait_event("tunnel.closed", timeout, count, **fields)

    def closed_events(self):
        with self.news:
            return [e for e in self.events if e.get("event") == "tunnel.closed"]

    def wait_listening(self):
        match = self.wait_line(LISTENING.pattern + r".*")
        self.listening = match.group(1)
        self.port = int(match.group(2)) if match.group(2) else None

    # --- where it is ------------------------------------------------------------------------

    @property
    def address(self):
        host = self.listening.rpartition(":")[0].strip("[]")
        return ("127.0.0.1" if host in ("0.0.0.0", "", "*") else "::1" if host == "::" else host, self.port)

    def url(self, query="", path="/", scheme="ws"):
        return f"{scheme}://127.0.0.1:{self.port}{path}{query}"

    # --- its admin side ---------------------------------------------------------------------

    def admin_get(self, path, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.admin_port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        status, text = self.admin_get("/metrics")
        assert status == 200, text
        return metrics_text.parse(text)

    def tunnels(self):
        """How many tunnels the metrics say are there, whatever their state."""
        return int(self.metrics().total("atlas_proxy_tunnels"))

    def debug_tunnels(self):
        """What /debug/tunnels lists, each entry with the number of its worker."""
        status, text = self.admin_get("/debug/tunnels")
        assert status == 200, text
        workers = json.loads(text)["workers"]
        return [entry | {"worker": i} for i, entries in enumerate(workers) for entry in entries]

    def wait_tunnels(self, count, timeout=PATIENCE):
        eventually(lambda: self.tunnels() == count, f"{count} tunnels", timeout, pause=0.03)

    # --- its life ---------------------------------------------------------------------------

    def signal(self, signo):
        self.process.send_signal(signo)

    def reload(self, ok=True):
        before = self.metrics().total("atlas_proxy_reloads_total")
        self.signal(signal.SIGHUP)
        eventually(lambda: self.metrics().total("atlas_proxy_reloads_total") > before, "a reload", pause=0.03)

    def wait_exit(self, timeout=PATIENCE):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Late(f"the bridge did not end within {timeout:.1f} s:\n" + "\n".join(self.lines[-40:])) from None
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stopped = True

    def stop(self):
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait_exit()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.check_end(status)

    def check_end(self, status):
        for mark in SANITIZER_REPORTS:
            assert mark not in self.log, self.log
        assert status == self.exit_status, f"exit status {status}:\n{self.log[-4000:]}"
        for event in self.events:
            assert event.get("event") != "unreadable", f"a log line that is no JSON: {event['line']!r}"
            if not self.may_be_internal:
                assert event.get("reason") != "internal", event

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        try:
            self.stop()
        except AssertionError as also:
            print("while stopping:", also)
        print("\n".join(self.lines[-60:]))


def http_get(address, path="/", headers=(), method="GET"):
    """One plain HTTP request; returns (status, headers, body)."""
    with socket.create_connection(address, timeout=PATIENCE) as sock:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Connection: close", *headers]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(sock, method=method)
        answer.begin()
        return answer.status, answer.headers, answer.read()


__all__ = ["Bridge", "SLOW", "clean_environment", "flags_of", "http_get", "run_to_end"]
