"""Corners: settings that meet, ends that meet, and recoveries that nobody else triggers."""

import contextlib
import os
import resource
import signal
import socket
import threading
import time

import pytest

from harness.base import PATIENCE, SANITIZER, SLOW, eventually, free_port, run
from harness.targets import Target, echo, fin_after, full_backlog
from harness.wire import Client, Gone, Stream, dial, read_answer, request

MIB = 1 << 20


def answers(bridge, there):
    try:
        with Client(bridge.address, there.query, timeout=2 * SLOW) as client:
            client.send_data(b"x")
            return client.data(1) == b"x"
    except (AssertionError, Gone, OSError):
        return False


# --- recoveries ---------------------------------------------------------------------------------


def test_an_idle_bridge_recovers_when_descriptors_come_back(bridge, target):
    """Accepting was paused while there was no tunnel whose end could resume it."""
    there = target(echo)
    one = bridge(there, workers=1)
    assert answers(one, there)
    one.wait_tunnels(0)
    before = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with Stream(dial(one.address)) as stream:
        stream.send(request(there.query))
        one.wait_event("descriptors.exhausted")
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, before)
        eventually(lambda: answers(one, there), "the recovery", timeout=PATIENCE * 2, pause=0.2)


def test_the_watchdog_is_fed_while_one_worker_still_drains(bridge, target, tmp_path):
    """A worker that has drained turns no more, and that is no fault."""
    there = target(echo)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(PATIENCE)
        one = bridge(there, workers=2, drain_timeout=f"{int(6 * SLOW)}s",
                     env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
        with Client(one.address, there.query) as client:
            client.send_data(b"x")
            assert client.data(1) == b"x"
            one.signal(signal.SIGTERM)
            one.wait_event("draining")
            time.sleep(1.5 * SLOW)
            notify.setblocking(False)
            try:
                while notify.recv(4096):
                    pass
            except BlockingIOError:
                pass
            notify.settimeout(PATIENCE)
            while b"WATCHDOG=1" not in notify.recv(4096):
                pass
            assert "worker.stuck" not in one.log
            client.shut()
        assert one.wait_exit() == 0


# --- times --------------------------------------------------------------------------------------


def test_a_late_handshake_is_told_and_shut_at_once(bridge, target):
    """Behind 408 comes our FIN: a client that waits for the end does not wait for our patience."""
    one = bridge(target(echo), handshake_timeout="500ms")
    with Stream(dial(one.address)) as stream:
        stream.send(request()[:40])
        assert read_answer(stream).status == 408
        began = time.monotonic()
        assert stream.rest() == (b"", "fin")
        assert time.monotonic() - began < 0.7 * SLOW


def test_connect_timeout_off_waits_for_as_long_as_it_takes(bridge):
    """0 turns the time-out off; it does not let every connection time out."""
    listener, fillers = full_backlog()
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    one = bridge(name, connect_timeout="0", first_data_timeout="0")
    with Client(one.address, "/?target=" + name) as client:
        client.send_data(b"x")
        time.sleep(0.5)
        assert one.metrics().total("atlas_proxy_tunnels", state="dialling") == 1, one.log
    for sock in (listener, *fillers):
        sock.close()


def test_close_timeout_off_waits_for_the_answer(bridge, target):
    """0 turns the time-out off; it does not reset whoever does not answer in the same moment."""
    there = target(fin_after(b"last words"))
    one = bridge(there, close_timeout="0")
    with Client(one.address, there.query) as client:
        data, code, _ = client.until_close()
        assert (data, code) == (b"last words", 1000)
        time.sleep(0.3)
        client.send_close(1000)
        assert client.rest() == (b"", "fin")
    assert one.closed(reason="target-closed")["close_received"] == 1000


@pytest.mark.parametrize("rate", ["100000", "50000"])
def test_a_bounded_rate_goes_on_behind_the_clients_close(bridge, target, rate):
    """--linger-down with --max-rate-down: the answer to the FIN arrives whole, though it has to wait for its rate."""
    size = 3 * int(rate)

    def serve(peer):
        peer.drain()
        peer.sock.sendall(b"a" * size)
    there = target(serve)
    one = bridge(there, linger_down="20s", max_rate_down=rate)
    with Client(one.address, there.query) as client:
        client.send_data(b"question")
        client.send_close(1000)
        data, code, _ = client.until_close()
        assert (len(data), code) == (size, 1000)


def test_a_very_low_rate_is_still_a_rate(bridge, target):
    """What a short time earns is less than a byte; it adds up."""
    there = target(echo)
    one = bridge(there, max_rate_up="10", max_rate_down="10", workers=1)
    with Client(one.address, there.query, timeout=PATIENCE * 2) as client:
        client.send_data(b"0123456789" + b"0123456789")
        assert client.data(20) == b"0123456789" * 2


# --- bounds -------------------------------------------------------------------------------------


def test_what_leaves_the_pipes_of_stalled_readers_is_bounded(bridge, stack, netns):
    """Small socket buffers leave most of a pipe with us: --buffer-memory counts that too."""
    block, gate = os.urandom(MIB), threading.Semaphore(0)

    def serve(peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, 32, 4 * MIB)  # SO_SNDBUFFORCE
        peer.sock.sendall(b"!")
        gate.acquire(timeout=PATIENCE)
        peer.sock.settimeout(None)
        with contextlib.suppress(OSError):
            while True:
                peer.sock.sendall(block)
    with netns():
        run("sysctl", "-q", "-w", "net.ipv4.tcp_wmem=4096 16384 65536")
        run("sysctl", "-q", "-w", "net.ipv4.tcp_rmem=4096 4194304 6291456")
        with Target(serve) as there:
            one = bridge(there, splice="on", buffer_memory="4MiB", workers=1)
            clients = [stack.enter_context(Client(one.address, there.query, receive_buffer=4096)) for _ in range(60)]
            for client in clients:
                assert client.data(1) == b"!"
            for _ in range(5):  # a dozen at a time, each of which finds a pipe
                one.signal(signal.SIGSTOP)
                gate.release(12)
                time.sleep(0.4)
                one.signal(signal.SIGCONT)
                time.sleep(0.4)
            most = one.metrics().total("atlas_proxy_buffer_bytes")
            gate.release(60)
    # The pipes that were out when the limit was reached come on top.
    assert most <= (4 + 16) * MIB, most


# --- the way to ourselves -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "[::ffff:0.0.0.0]", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "[::]"])
def test_every_address_that_leads_to_ourselves_is_denied(bridge, listen, host):
    """Also the unspecified one, which the kernel takes for loopback."""
    port = free_port()
    name = f"{host}:{port}"
    v4_only, v4 = listen != "[::]", host in ("0.0.0.0", "127.0.0.1", "[::ffff:0.0.0.0]")
    if v4_only and not v4:
        pytest.skip("leads to nobody")
    one = bridge(name, listen=f"{listen}:{port}")
    with Client(one.address, "/?target=" + name) as client:
        client.expect_close(1014, "address-denied")


@pytest.mark.skipif(bool(SANITIZER), reason="the sandbox is off under a sanitizer")
def test_a_reload_may_bring_a_port_by_the_configuration_file(bridge, target, tmp_path):
    """What the sandbox closes stays closed: it leaves ports open when the list may change."""
    first, second = target(echo), target(echo)
    file = tmp_path / "postern.conf"
    file.write_text(f"allowlist = {first.name}\n")
    one = bridge(config=str(file), landlock="required")
    assert answers(one, first)
    file.write_text(f"allowlist = {first.name},{second.name}\n")
    one.reload()
    assert answers(one, second)


# --- revocation ---------------------------------------------------------------------------------


def test_a_revoked_target_is_not_reached_by_a_connect_under_way(bridge, target, tmp_path):
    """--connect-first: the tunnel that opens after the reload was admitted before it."""
    listener, fillers = full_backlog()
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    there = target(echo)
    file = tmp_path / "list"
    file.write_text(f"{name}\n{there.name}\n")
    one = bridge(allowlist_file=str(file), connect_first=True, connect_timeout="20s", workers=1)
    with Stream(dial(one.address)) as stream:
        stream.send(request("/?target=" + name))
        eventually(lambda: one.metrics().total("atlas_proxy_tunnels", state="dialling") == 1, "the connect")
        file.write_text(f"{there.name}\n")
        one.reload()
        assert read_answer(stream).status == 403
    for sock in (listener, *fillers):
        sock.close()
