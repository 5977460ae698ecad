"""Hours instead of seconds: what grows slowly shows here.

POSTERN_SOAK_SECONDS says how long each test runs (default 120). Run with:
    /usr/bin/python3 -m pytest tests/soak
"""

import os
import random
import threading
import time

import pytest

from harness import procfs
from harness.base import PATIENCE, SANITIZER
from harness.mass import Mass
from harness.targets import echo, fin_after, reset_after, sink
from harness.wire import BINARY, CLOSE, Client, Gone, Stream, ask, close_payload, dial, frame, request

SECONDS = float(os.environ.get("POSTERN_SOAK_SECONDS") or 120)
pytestmark = pytest.mark.timeout(SECONDS * 4 + 120)
BLOCK = os.urandom(1 << 18)


def visit(bridge, there, dice):
    """One client of some kind, well-behaved or not; returns the kind."""
    kind = dice.choice(["echo", "echo", "fin", "rst", "abort", "half", "refused", "violation", "sink", "bulk"])
    if kind == "echo":
        with Client(bridge.address, there["echo"].query) as client:
            for _ in range(dice.randrange(1, 20)):
                size = dice.choice([1, 100, 5000])
                client.send_data(BLOCK[:size])
                assert client.data(size) == BLOCK[:size]
            client.shut()
    elif kind == "fin":
        assert Client(bridge.address, there["fin"].query).expect_close(1000) == BLOCK
    elif kind == "rst":
        Client(bridge.address, there["rst"].query).until_close()
    elif kind == "abort":
        client = Client(bridge.address, there["fin"].query, receive_buffer=1 << 13)
        client.reset()
    elif kind == "half":
        with Stream(dial(bridge.address)) as stream:
            stream.send(request()[:dice.randrange(1, 60)])
    elif kind == "refused":
        assert ask(bridge.address, request("/?target=a.test:1")).status == 403
    elif kind == "violation":
        with Client(bridge.address, there["echo"].query) as client:
            client.send(frame(dice.choice([3, 4, 5, 11]), b"x"))
            client.until_close()
    elif kind == "sink":
        with Client(bridge.address, there["sink"].query) as client:
            client.send(frame(BINARY, BLOCK) + frame(CLOSE, close_payload(1000)))
            assert client.until_close()[1] == 1000
    else:
        with Client(bridge.address, there["fin"].query) as client:
            client.sock.settimeout(PATIENCE)
            client.expect_close(1000)
    return kind


def crew(count, body):
    """Runs body(dice) in threads until the time is over; raises what one of them raised."""
    faults, done, end = [], [0], time.monotonic() + SECONDS

    def work(seed):
        dice = random.Random(seed)
        while time.monotonic() < end and not faults:
            try:
                body(dice)
                done[0] += 1
            except (Gone, BrokenPipeError, ConnectionResetError):
                done[0] += 1
            except BaseException as fault:
                faults.append(fault)
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS * 3 + 60)
    if faults:
        raise faults[0]
    return done[0]


def footprint(bridge):
    bridge.wait_tunnels(0, timeout=PATIENCE * 3)
    # Names of the allowlist may still be looked up: their sockets go with the answers.
    return procfs.settled(lambda: procfs.descriptors(bridge.pid), "descriptors", pause=1), procfs.memory(bridge.pid)


def test_churn_leaves_nothing(bridge, target):
    """Tunnels of all kinds come and go: descriptors are the same afterwards, and memory within 256 KiB."""
    there = {"echo": target(echo), "sink": target(sink), "fin": target(fin_after(BLOCK)), "rst": target(reset_after(BLOCK, gated=False))}
    one = bridge(*there.values(), handshake_timeout="1s")
    dice = random.Random(0)
    for _ in range(6000):
        try:
            visit(one, there, dice)
        except (Gone, BrokenPipeError, ConnectionResetError):
            pass
    before = footprint(one)
    count = crew(4, lambda dice: visit(one, there, dice))
    for one_target in there.values():
        one_target.peers.clear()
    after = footprint(one)
    print(f"{count} tunnels; {(after[1] - before[1]) >> 10} KiB more")
    assert after[0] == before[0]
    if not SANITIZER:
        assert after[1] - before[1] <= 256 << 10


def test_reloads_leave_nothing(bridge, target, tmp_path):
    """Thousands of reloads under traffic: old snapshots are given back."""
    there = target(echo)
    file = tmp_path / "list"
    file.write_text(there.name + "\n")
    one = bridge(allowlist_file=file)

    def traffic(dice):
        with Client(one.address, there.query) as client:
            client.send_data(b"x")
            assert client.data(1) == b"x"
            client.shut()
        if dice.random() < 0.3:
            fresh = tmp_path / f"list-{threading.get_ident()}"
            fresh.write_text(there.name + "\n" + "\n".join(f"192.0.2.{i % 250}:{dice.randrange(1, 60000)}" for i in range(dice.randrange(500))) + "\n")
            os.replace(fresh, file)
            one.signal(1)
    warm = random.Random(1)
    for _ in range(2000):
        traffic(warm)
    before = footprint(one)
    count = crew(2, traffic)
    after = footprint(one)
    print(f"{count} tunnels; {(after[1] - before[1]) >> 10} KiB more")
    assert after[0] == before[0]
    if not SANITIZER:
        assert after[1] - before[1] <= 1 << 20


def test_idle_tunnels_stay(bridge, stack):
    """Two thousand quiet tunnels that answer Pings are all there at the end, and cost next to no time."""
    mass = stack.enter_context(Mass("echo"))
    one = bridge(mass, ping_interval="5s", ping_timeout="20s", first_data_timeout="0")
    clients = [Client(one.address, mass.query) for _ in range(2000)]
    stack.callback(lambda: [c.close() for c in clients])
    ticks, end = procfs.cpu_ticks(one.pid), time.monotonic() + SECONDS
    while time.monotonic() < end:
        for client in clients:
            client.sock.setblocking(False)
            try:
                while True:
                    client.buffer += client.sock.recv(4096)
            except BlockingIOError:
                pass
            client.sock.settimeout(PATIENCE)
            while len(client.buffer) >= 2:
                opcode, length = client.head()
                payload = client.read(length)
                assert opcode == 9
                client.send_frame(10, payload)
        time.sleep(0.2)
    assert one.tunnels() == 2000
    used = (procfs.cpu_ticks(one.pid) - ticks) / os.sysconf("SC_CLK_TCK")
    print(f"{used / SECONDS:.2%} of a processor")
