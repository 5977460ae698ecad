"""Reload, drain, stop: the life of the process between its start and its end."""

import os
import signal
import threading
import time

import pytest

from harness.base import PATIENCE, eventually
from harness.targets import echo, fin_after
from harness.wire import BINARY, CLOSE, Client, Stream, ask, close_payload, dial, frame, request


def reloads(bridge, result=None):
    labels = {} if result is None else {"result": result}
    return bridge.metrics().total("atlas_proxy_reloads_total", **labels)


# --- drain --------------------------------------------------------------------------------------


def test_sigterm_without_tunnels_ends_at_once(bridge, target):
    """Exit status 0, long before the drain time-out."""
    one = bridge(target(echo), drain_timeout="60s")
    began = time.monotonic()
    one.signal(signal.SIGTERM)
    assert one.wait_exit() == 0
    assert time.monotonic() - began < PATIENCE


def refused(bridge):
    try:
        dial(bridge.address).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_closes_what_is_left_with_1001(bridge, target, signo):
    """readyz says no at once, new connections are refused, tunnels go on, then Close 1001 draining, then exit 0."""
    there = target(echo)
    one = bridge(there, drain_timeout="1500ms")
    clients = [Client(one.address, there.query) for _ in range(20)]
    assert one.admin_get("/readyz")[0] == 200
    one.signal(signo)
    eventually(lambda: one.admin_get("/readyz")[0] == 503, "readyz to say no")
    assert one.admin_get("/healthz")[0] == 200
    eventually(lambda: refused(one), "new connections to be refused")
    for client in clients:
        client.send_data(b"still works")
        assert client.data(11) == b"still works"
    for client in clients:
        client.expect_close(1001, "draining")
        client.close()
    assert one.wait_exit() == 0
    assert len([e for e in one.closed_events() if e["reason"] == "draining"]) == 20


def test_a_drain_ends_when_the_last_tunnel_does(bridge, target):
    """No longer than needed."""
    there = target(echo)
    one = bridge(there, drain_timeout="60s")
    client = Client(one.address, there.query)
    one.signal(signal.SIGTERM)
    eventually(lambda: one.admin_get("/readyz")[0] == 503, "the drain")
    client.send_data(b"x")
    assert client.data(1) == b"x"
    client.shut()
    assert one.wait_exit() == 0


def test_a_drain_loses_no_bytes(bridge, target, splice):
    """A download under way is finished when it fits into the time; all of it arrives."""
    block = os.urandom(1 << 20)

    def serve(peer):
        peer.read(1)
        for _ in range(64):
            peer.sock.sendall(block)
    there = target(serve)
    one = bridge(there, splice=splice, drain_timeout="30s")
    with Client(one.address, there.query) as client:
        client.send_data(b"g")
        first = client.frame().payload
        one.signal(signal.SIGTERM)
        rest, code, reason = client.until_close(keep=False)
        assert len(first) + rest == 64 << 20 and (code, reason) == (1000, "target-closed")
        client.finish(1000)
    assert one.wait_exit() == 0


def test_a_drain_in_the_middle_of_a_frame_keeps_the_stream_whole(bridge, target, splice):
    """1001 stands at a frame border, though the client is slow and the target endless."""
    def serve(peer):
        while True:
            peer.sock.sendall(b"z" * 65536)
    there = target(serve)
    one = bridge(there, splice=splice, drain_timeout="1s")
    with Client(one.address, there.query, receive_buffer=1 << 14) as client:
        client.frame()
        one.signal(signal.SIGTERM)
        got, code, _ = client.until_close()
        assert code == 1001 and set(got) <= {ord("z")}
        client.finish(1001)
    assert one.wait_exit() == 0


def test_a_second_sigterm_ends_at_once(bridge, target):
    """Whoever asks twice does not want to wait."""
    there = target(echo)
    one = bridge(there, drain_timeout="120s")
    with Client(one.address, there.query) as client:
        one.signal(signal.SIGTERM)
        eventually(lambda: one.admin_get("/readyz")[0] == 503, "the drain")
        one.signal(signal.SIGTERM)
        assert one.wait_exit() == 0
        client.sock.close()


def test_drain_grace_goes_on_accepting(bridge, target):
    """--drain-grace: readyz says no, but who comes is served until the balancer has noticed."""
    there = target(echo)
    one = bridge(there, drain_grace="3s", drain_timeout="10s")
    one.signal(signal.SIGTERM)
    eventually(lambda: one.admin_get("/readyz")[0] == 503, "readyz to say no")
    with Client(one.address, there.query) as client:
        client.send_data(b"late guest")
        assert client.data(10) == b"late guest"
        client.shut()
    assert one.wait_exit() == 0


def test_connections_in_the_accept_queue_are_not_reset_by_a_drain(bridge, target):
    """What the kernel had accepted before the signal gets an answer: a tunnel or a 503, no RST."""
    there = target(echo)
    for _ in range(5):
        one = bridge(there, drain_timeout="2s")
        streams = []
        raw = request(there.query)
        for _ in range(60):
            stream = Stream(dial(one.address))
            stream.send(raw)
            streams.append(stream)
        one.signal(signal.SIGTERM)
        for stream in streams:
            assert stream.until(b"\r\n\r\n").startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 503 "))
            stream.close()
        assert one.wait_exit() == 0


def test_sigterm_while_connects_are_under_way(bridge):
    """Connects that hang are cancelled; the drain does not wait for them beyond its time."""
    from harness.targets import full_backlog
    listener, fillers = full_backlog()
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    one = bridge(name, connect_timeout="60s", drain_timeout="600ms")
    clients = [Client(one.address, "/?target=" + name) for _ in range(10)]
    one.signal(signal.SIGTERM)
    assert one.wait_exit() == 0
    for sock in (*clients, listener, *fillers):
        sock.close()


def test_a_client_that_ignores_the_drain_does_not_hold_it(bridge, target):
    """1001 unanswered: exit 0 all the same."""
    there = target(echo)
    one = bridge(there, drain_timeout="600ms", close_timeout="300ms")
    with Client(one.address, there.query, receive_buffer=1 << 12):
        one.signal(signal.SIGTERM)
        assert one.wait_exit() == 0


# --- reload -------------------------------------------------------------------------------------


@pytest.fixture
def listed(bridge, target, tmp_path):
    """A bridge whose allowlist is a file; .allow(…) writes it."""
    def start(**options):
        a, b = target(echo), target(echo)
        file = tmp_path / "allowlist"

        def allow(*names, more=""):
            file.write_text("# who may be reached\n" + "".join(f"{name}  # a target\n\n" for name in names) + more)
        allow(a.name)
        one = bridge(allowlist_file=file, on_revoke=options.pop("on_revoke", "close"), **options)
        one.a, one.b, one.allow, one.file = a, b, allow, file
        return one
    return start


def admitted(bridge, there):
    return ask(bridge.address, request(there.query)).status == 101


def test_sighup_reads_the_allowlist_again(listed):
    """What is added is allowed, what is removed is not, without a restart."""
    one = listed()
    assert admitted(one, one.a) and not admitted(one, one.b)
    one.allow(one.a.name, one.b.name)
    one.reload()
    assert admitted(one, one.a) and admitted(one, one.b)
    one.allow(one.b.name)
    one.reload()
    assert not admitted(one, one.a) and admitted(one, one.b)
    assert reloads(one) == 2


def test_a_tunnel_to_a_removed_target_is_closed_with_1008(listed):
    """Revocation means something: 1008 allowlist-changed within seconds; others are left alone."""
    one = listed()
    one.allow(one.a.name, one.b.name)
    one.reload()
    with Client(one.address, one.a.query) as revoked, Client(one.address, one.b.query) as kept:
        for client in (revoked, kept):
            client.send_data(b"x")
            client.data(1)
        one.allow(one.b.name)
        one.reload()
        revoked.expect_close(1008, "allowlist-changed")
        kept.send_data(b"y")
        assert kept.data(1) == b"y"
        kept.shut()
    assert one.closed(reason="allowlist-changed")["target"] == one.a.name


def test_on_revoke_keep_lets_tunnels_live(listed):
    """--on-revoke keep: only new ones are refused."""
    one = listed(on_revoke="keep")
    with Client(one.address, one.a.query) as client:
        one.allow(one.b.name)
        one.reload()
        assert not admitted(one, one.a)
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.sock.settimeout(6.5)  # beyond the spread of revocations
        with pytest.raises(AssertionError, match="no byte came"):
            client.fill()
        client.sock.settimeout(PATIENCE)
        client.shut()


@pytest.mark.parametrize("broken", ["nonsense without port\n", "", "# only a comment\n", "a.test:99999\n", None])
def test_a_broken_allowlist_keeps_the_old_one(listed, broken):
    """A bad entry, an empty file, no file: the reload fails, is counted, and changes nothing."""
    one = listed()
    with Client(one.address, one.a.query) as client:
        if broken is None:
            one.file.unlink()
        else:
            one.file.write_text(broken)
        one.signal(signal.SIGHUP)
        eventually(lambda: reloads(one) == 1, "the reload")
        page = one.metrics()
        results = page.labels("atlas_proxy_reloads_total", "result")
        assert len(results) >= 2, results
        assert admitted(one, one.a) and not admitted(one, one.b)
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()
    one.allow(one.b.name)
    one.reload()
    assert admitted(one, one.b)


def test_allow_empty_permits_an_empty_reload(listed):
    """With --allow-empty an emptied file refuses everything."""
    one = listed(allow_empty=True)
    one.file.write_text("")
    one.reload()
    assert not admitted(one, one.a)


def test_environment_and_file_are_united(bridge, target, tmp_path):
    """ATLS_PROXY_ALLOWLIST and --allowlist-file both count; commas and lines both separate."""
    a, b, c = target(echo), target(echo), target(echo)
    file = tmp_path / "list"
    file.write_text(f"{b.name}, {c.name} # two on a line\r\n")
    one = bridge(env={"ATLS_PROXY_ALLOWLIST": a.name}, allowlist_file=file)
    assert all(admitted(one, t) for t in (a, b, c))


def test_a_storm_of_sighups_is_harmless(listed):
    """Hundreds at once are a few reloads; tunnels and admissions go on."""
    one = listed()
    with Client(one.address, one.a.query) as client:
        for i in range(300):
            one.signal(signal.SIGHUP)
            if i % 30 == 0:
                client.send_data(b"x")
                assert client.data(1) == b"x"
                assert admitted(one, one.a)
        one.allow(one.b.name)
        one.signal(signal.SIGHUP)
        eventually(lambda: admitted(one, one.b), "the last state of the file")
        client.expect_close(1008, "allowlist-changed")


@pytest.mark.parametrize("how", ["write", "rename"])
def test_watch_needs_no_signal(listed, how):
    """--watch: a changed file is read by itself, also when it is replaced by another."""
    one = listed(watch=True)
    if how == "write":
        one.allow(one.b.name)
    else:
        fresh = one.file.with_suffix(".new")
        fresh.write_text(one.b.name + "\n")
        os.replace(fresh, one.file)
    eventually(lambda: admitted(one, one.b), "the new list", pause=0.1)
    assert not admitted(one, one.a)


def test_reload_under_load(listed):
    """Swapping the policy while connections come and go loses none of them."""
    one = listed()
    one.allow(one.a.name, one.b.name)
    one.reload()
    faults, stop = [], threading.Event()

    def visit():
        while not stop.is_set():
            try:
                with Client(one.address, one.b.query) as client:
                    client.send_data(b"x")
                    assert client.data(1) == b"x"
                    client.shut()
            except BaseException as fault:
                faults.append(fault)
                return
    threads = [threading.Thread(target=visit, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(25):
        one.allow(*([one.a.name, one.b.name] if i % 2 else [one.b.name]))
        one.reload()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not faults, faults[0]


def test_sigusr1_says_how_things_are(bridge, target):
    """A summary in the log; nothing else changes."""
    there = target(echo)
    one = bridge(there)
    with Client(one.address, there.query) as client:
        before = len(one.lines)
        one.signal(signal.SIGUSR1)
        eventually(lambda: len(one.lines) > before, "the summary")
        client.send_data(b"x")
        assert client.data(1) == b"x"
        client.shut()


def test_sigpipe_is_nobodys_end(bridge, target):
    """Writing to those who have left, many times, both ways."""
    there = target(fin_after(b"x" * 500_000))
    one = bridge(there)
    one.signal(signal.SIGPIPE)
    for _ in range(50):
        client = Client(one.address, there.query)
        client.reset()
    with Client(one.address, there.query) as client:
        assert len(client.expect_close(1000)) == 500_000


def test_stopping_while_busy_in_every_way(bridge, target, splice):
    """SIGTERM twice in the middle of downloads, uploads, closes and handshakes: exit 0, nothing leaks (under a sanitizer: proven)."""
    block = os.urandom(1 << 18)

    def serve(peer):
        reader = threading.Thread(target=peer.drain, args=(False,), daemon=True)
        reader.start()
        while True:
            peer.sock.sendall(block)
    there = target(serve)
    one = bridge(there, splice=splice, drain_timeout="60s")
    clients = []
    for i in range(30):
        client = Client(one.address, there.query, receive_buffer=1 << 14)
        client.sock.setblocking(False)
        try:
            client.sock.send(frame(BINARY, block))
            if i % 3 == 0:
                client.sock.send(frame(CLOSE, close_payload(1000)))
        except BlockingIOError:
            pass
        clients.append(client)
    half = Stream(dial(one.address))
    half.send(b"GET / HTTP/1.1\r\n")
    one.signal(signal.SIGTERM)
    one.wait_line("drain")
    one.signal(signal.SIGTERM)
    assert one.wait_exit() == 0
    for stream in (*clients, half):
        stream.close()
