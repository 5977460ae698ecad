"""Where the bridge listens, and how it lives with systemd."""

import os
import pathlib
import pwd
import re
import signal
import socket
import stat
import sys
import time

import pytest

from harness import launch
from harness.base import PATIENCE, SANITIZER, eventually, free_port
from harness.bridge import Bridge, http_get, run_to_end
from harness.targets import echo
from harness.wire import Client, dial


def works(address, there):
    with Client(address, there.query, host="bridge.test") as client:
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()


@pytest.fixture
def there(target):
    return target(echo)


def test_several_addresses_at_once(bridge, there, tmp_path):
    """A list: two ports, IPv6, a Unix socket."""
    a, b, c = free_port(), free_port(), free_port()
    path = f"{tmp_path}/s"
    one = bridge(there, listen=f"127.0.0.1:{a},127.0.0.1:{b},[::1]:{c},unix:{path}")
    for address in (("127.0.0.1", a), ("127.0.0.1", b), ("::1", c), path):
        works(address, there)
    assert http_get(("127.0.0.1", a), "/healthz")[0] == 200
    assert one.process.poll() is None


def test_a_unix_socket_with_a_mode(bridge, there, tmp_path):
    """unix:PATH;mode=0660, removed at the end."""
    path = tmp_path / "bridge.sock"
    one = bridge(there, listen=f"unix:{path};mode=0660")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    works(str(path), there)
    one.stop()
    assert not path.exists()


def test_an_abstract_unix_socket(bridge, there):
    """unix:@NAME leaves nothing in the file system."""
    name = f"postern-test-{os.getpid()}-{free_port()}"
    bridge(there, listen=f"unix:@{name}")
    works(b"\0" + name.encode(), there)


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(bridge, there, tmp_path):
    """The file of a dead process goes; that of a living one, or a file that is no socket, stays."""
    path = tmp_path / "s"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    bridge(there, listen=f"unix:{path}")
    works(str(path), there)
    again = run_to_end("--listen", f"unix:{path}", "--admin", "off", "--allowlist", there.name)
    assert again.returncode not in (0, 2) and str(path) in again.stderr
    works(str(path), there)
    plain = tmp_path / "plain"
    plain.write_text("precious")
    refused = run_to_end("--listen", f"unix:{plain}", "--admin", "off", "--allowlist", there.name)
    assert refused.returncode > 0 and plain.read_text() == "precious"


def test_a_unix_socket_as_target(bridge, target, tmp_path):
    """unix:PATH on the allowlist."""
    there = target(echo, path=f"{tmp_path}/target.sock")
    works(bridge(there).address, there)


def test_ipv6_and_dual_stack(bridge, there):
    """[::1]:0 is IPv6; :PORT takes both."""
    six = bridge(there, listen="[::1]:0")
    assert re.match(r"\[::1\]:\d+$", six.listening)
    works(six.address, there)
    port = free_port()
    bridge(there, listen=f":{port}")
    works(("127.0.0.1", port), there)
    works(("::1", port), there)


def test_a_v4_client_on_a_dual_stack_socket_is_a_v4_client(bridge, there):
    """Its address is written as IPv4 in the log, and IPv4 networks cover it."""
    port = free_port()
    one = bridge(there, listen=f":{port}", allow_from="127.0.0.0/8")
    works(("127.0.0.1", port), there)
    assert one.closed()["client"].startswith("127.0.0.1")


def test_a_v6_target(bridge, target):
    """[::1]:port on the allowlist."""
    there = target(echo, host="::1")
    works(bridge(there).address, there)


def test_a_name_to_listen_on(bridge, there):
    """localhost:PORT binds what it resolves to."""
    port = free_port()
    bridge(there, listen=f"localhost:{port}")
    works(("127.0.0.1", port), there)


def test_an_inherited_descriptor(bridge, there):
    """fd:N."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        one = bridge(there, listen=f"fd:{fd}", pass_fds=(fd,), wait=False)
        port = listener.getsockname()[1]
        one.wait_line("listening on")
        works(("127.0.0.1", port), there)


def activated(sockets, names="", *args, **how):
    """A bridge that systemd would have started with these sockets."""
    fds = [s.fileno() for s in sockets]
    prefix = [sys.executable, launch.__file__, names, *fds, "--"]
    return Bridge(*args, prefix=prefix, pass_fds=fds, wait=False, **how)


@pytest.mark.parametrize("workers", [1, 2])
def test_socket_activation(there, workers):
    """--listen systemd takes the sockets it is given, and every worker serves them."""
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        with activated([a, b], allow=[there.name], listen="systemd", workers=workers) as one:
            one.wait_line("listening on")
            for listener in (a, b):
                for _ in range(10):
                    works(listener.getsockname(), there)


def test_socket_activation_by_name(there):
    """systemd:NAME picks by LISTEN_FDNAMES, for the public side and for the admin side."""
    with socket.create_server(("127.0.0.1", 0)) as public, socket.create_server(("127.0.0.1", 0)) as metrics:
        with activated([metrics, public], "metrics:http", allow=[there.name], listen="systemd:http", admin="systemd:metrics") as one:
            one.wait_line("listening on")
            works(public.getsockname(), there)
            assert http_get(metrics.getsockname(), "/metrics")[0] == 200
            assert http_get(public.getsockname(), "/metrics")[0] in (404, 426)


def test_connections_made_before_activation_are_served(there):
    """What queued up while the bridge was not running yet is not lost."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        early = dial(listener.getsockname())
        with activated([listener], allow=[there.name], listen="systemd") as one:
            with Client(None, there.query, sock=early) as client:
                client.shut()
            assert one.process.poll() is None


def test_without_sockets_systemd_is_an_error(there):
    """--listen systemd outside of systemd."""
    done = run_to_end("--listen", "systemd", "--admin", "off", "--allowlist", there.name)
    assert done.returncode > 0 and "systemd" in done.stderr and "listening on" not in done.stderr


# --- notification -------------------------------------------------------------------------------


class Notify:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder, abstract=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.path = f"@postern-notify-{os.getpid()}-{free_port()}" if abstract else f"{folder}/notify"
        self.socket.bind(self.path.replace("@", "\0") if abstract else self.path)
        self.socket.settimeout(PATIENCE)
        self.env = {"NOTIFY_SOCKET": self.path}

    def next(self):
        return dict(line.partition("=")[::2] for line in self.socket.recv(4096).decode().splitlines())

    def until(self, key):
        while True:
            got = self.next()
            if key in got:
                return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_of_every_change(bridge, there, tmp_path, abstract):
    """READY when it listens, RELOADING with its time and READY again, STOPPING at the end, STATUS for people."""
    with Notify(tmp_path, abstract) as notify:
        one = bridge(there, env=notify.env)
        ready = notify.until("READY")
        assert ready["READY"] == "1" and ready.get("STATUS")
        works(one.address, there)
        one.reload()
        reloading = notify.until("RELOADING")
        assert reloading["RELOADING"] == "1"
        assert 0 < int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert notify.until("READY")["READY"] == "1"
        one.stop()
        assert notify.until("STOPPING")["STOPPING"] == "1"


def test_the_watchdog_is_fed_while_all_workers_turn(bridge, there, tmp_path):
    """WATCHDOG=1 comes at about half of WATCHDOG_USEC."""
    with Notify(tmp_path) as notify:
        one = bridge(there, workers=2, env=notify.env | {"WATCHDOG_USEC": "400000"})
        notify.until("READY")
        began = time.monotonic()
        for _ in range(6):
            assert notify.until("WATCHDOG")["WATCHDOG"] == "1"
        assert 0.5 < time.monotonic() - began < PATIENCE
        works(one.address, there)


def test_the_watchdog_of_another_process_is_not_ours(bridge, there, tmp_path):
    """WATCHDOG_PID names somebody else."""
    with Notify(tmp_path) as notify:
        one = bridge(there, env=notify.env | {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
        notify.until("READY")
        notify.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            notify.until("WATCHDOG")
        assert one.process.poll() is None


def test_a_stopped_process_does_not_feed_the_watchdog(bridge, there, tmp_path):
    """What is stuck is silent."""
    with Notify(tmp_path) as notify:
        one = bridge(there, env=notify.env | {"WATCHDOG_USEC": "300000"})
        notify.until("WATCHDOG")
        one.signal(signal.SIGSTOP)
        notify.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while True:  # what was under way
                notify.next()
        one.signal(signal.SIGCONT)
        notify.socket.settimeout(PATIENCE)
        notify.until("WATCHDOG")


def test_a_missing_notify_socket_is_no_reason_to_stop(bridge, there):
    """The path names nothing."""
    works(bridge(there, env={"NOTIFY_SOCKET": "/nonexistent/notify"}).address, there)


# --- workers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_serves(bridge, there, workers):
    """Connections on all of them, and a stop that ends all of them."""
    one = bridge(there, workers=workers)
    for _ in range(20):
        works(one.address, there)
    one.closed(count=20)


def test_pinned_workers_serve(bridge, there):
    """--pin, on the processors we may use."""
    works(bridge(there, pin=True, workers=2).address, there)


def test_bulk_tunnels_are_spread_over_the_workers(bridge, target):
    """Thirty tunnels on two workers: neither has them all, whatever the kernel's hash says."""
    there = target(echo)
    one = bridge(there, workers=2)
    clients = [Client(one.address, there.query) for _ in range(30)]
    entries = one.debug_tunnels()
    share = [sum(e["worker"] == w for e in entries) for w in (0, 1)]
    assert sum(share) == 30 and min(share) >= 10, share
    for client in clients:
        client.close()


# --- what it may do -----------------------------------------------------------------------------


def _status(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.partition(":\t")[::2] for line in text.splitlines())


def test_the_sandbox_is_on_by_default(bridge, there):
    """seccomp filter and no new privileges, in every thread."""
    if SANITIZER:
        pytest.skip("the sandbox and a sanitizer do not go together")
    one = bridge(there, workers=2)
    works(one.address, there)
    for thread in os.listdir(f"/proc/{one.pid}/task"):
        fields = _status(f"{one.pid}/task/{thread}")
        assert fields["Seccomp"] == "2", thread
        assert fields["NoNewPrivs"] == "1", thread


def test_the_sandbox_can_be_required(bridge, there):
    """--seccomp required --landlock required: starts where the kernel has them, and works."""
    if SANITIZER:
        pytest.skip("the sandbox and a sanitizer do not go together")
    one = bridge(there, seccomp="required", landlock="required", wait=False)
    eventually(lambda: one.process.poll() is not None or "listening on" in one.log, "a decision")
    if one.process.poll() is not None:
        one.exit_status = one.process.poll()
        assert re.search("(?i)landlock|seccomp", one.log)
        pytest.skip("this kernel cannot")
    one.wait_listening()
    works(one.address, there)


def test_root_is_given_up(bridge, there):
    """--user nobody: all ids, no capability, and everything still works, reload included."""
    if os.geteuid() != 0:
        pytest.skip("only root can give root up")
    one = bridge(there, user="nobody")
    works(one.address, there)
    fields = _status(one.pid)
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    assert fields["Uid"].split() == [nobody] * 4
    assert "0" not in fields["Gid"].split() and fields["Groups"].split() in ([], fields["Gid"].split()[:1])
    for kind in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(fields[kind], 16) == 0
    works(one.address, there)
    one.reload()
    works(one.address, there)


def test_the_process_cannot_be_dumped(bridge, there):
    """Its memory belongs to nobody else: /proc/PID is root's even when it runs as another user."""
    if os.geteuid() != 0:
        pytest.skip("needs another user to run as")
    one = bridge(there, user="nobody")
    works(one.address, there)
    assert os.stat(f"/proc/{one.pid}/mem").st_uid == 0
