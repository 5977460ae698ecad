"""A proof grows old: reattest_after, for streams and between requests."""

import json
import signal
import subprocess
import time

import pytest

from harness.attested import Application, World
from harness.base import BIN, eventually
from harness.tee import Tee

AFTER_S = 1


class Slow(Application):
    """Its answer to /slow comes when what was proved before the request has grown too old."""

    def do_GET(self):
        if self.path == "/slow":
            over = time.monotonic() + AFTER_S
            while (left := over - time.monotonic()) > 0:
                time.sleep(left)
        if self.path == "/rotate":
            self.server.rotate()
        super().do_GET()


@pytest.fixture
def world(tmp_path, stack):
    one = World(tmp_path, stack)
    one.server.RequestHandlerClass = Slow
    policy = json.loads((one.sim / "policy.json").read_text())
    policy["reattest_after"] = AFTER_S
    (one.sim / "short.json").write_text(json.dumps(policy))
    return one


@pytest.fixture
def tee(world, stack):
    """tee(serve): an endpoint that does as it is told."""
    def start(serve):
        one = Tee(world.sim, world.folder, serve)
        stack.callback(one.close)
        return one
    return start


def get(world, *paths, port=None, policy="short.json", **how):
    return world.run("atls", "get", *[f"https://localhost:{port or world.port}{p}" for p in paths], "--policy", world.sim / policy, "--cacert",
                     world.sim / "tls-ca.pem", "--json", **how)


def reports(done):
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_urls_share_a_connection_and_its_proof(world):
    world.start_tee()
    done = get(world, "/one", "/two", "/three", policy="policy.json")
    assert done.stdout == b"path /onepath /twopath /three" and len(reports(done)) == 1


def test_a_live_connection_proves_itself_again_between_requests(world):
    world.start_tee()
    done = get(world, "/slow", "/then")
    assert done.stdout == b"path /slowpath /then"
    first, second = reports(done)
    assert first["nonce"] != second["nonce"] and first["certificate_sha256"] == second["certificate_sha256"]
    assert second["verified"] and second["report"]["runtime_verified"]


def test_the_second_proof_is_for_the_same_session(world, tee):
    """Seen from the other end: one connection, two quotes, and no byte of the application between them."""
    seen = []

    def serve(connection):
        while request := connection.request():
            seen.append(request[0])
            if "tdx_quote" in request[0]:
                connection.quote(request[1])
            else:
                if "slow" in request[0]:
                    time.sleep(AFTER_S)
                connection.answer(b"answer")

    one = tee(serve)
    file = world.folder / "receipt.json"
    done = world.run("atls", "get", f"https://localhost:{one.port}/slow", f"https://localhost:{one.port}/then", "--receipt", file,
                     "--policy", world.sim / "short.json", "--cacert", world.sim / "tls-ca.pem")
    assert done.stdout == b"answeranswer" and len(one.connections) == 1
    assert seen == ["POST /tdx_quote HTTP/1.1", "GET /slow HTTP/1.1", "POST /tdx_quote HTTP/1.1", "GET /then HTTP/1.1"]
    world.run("atls", "receipt", "verify", file, "--root", world.sim / "root-cert.pem")


def test_an_endpoint_that_fails_the_second_proof_gets_no_second_request(world, tee):
    seen = []

    def serve(connection):
        while request := connection.request():
            seen.append(request[0])
            if "tdx_quote" in request[0]:
                if len(seen) > 1:
                    connection.exporter = bytes(32)  # a quote for another session
                connection.quote(request[1])
            else:
                time.sleep(AFTER_S)
                connection.answer(b"answer")

    one = tee(serve)
    done = get(world, "/slow", "/secret", port=one.port, expect=16)
    assert done.stdout == b"answer" and b"report_data_mismatch" in done.stderr
    assert seen == ["POST /tdx_quote HTTP/1.1", "GET /slow HTTP/1.1", "POST /tdx_quote HTTP/1.1"]


@pytest.mark.parametrize("end", ["409", "close", "garbage"])
def test_one_that_cannot_prove_itself_again_is_exchanged(world, tee, end):
    """After a change of its certificate it says 409; or it has closed the connection."""
    asked = []

    def serve(connection):
        nonlocal asked
        while request := connection.request():
            if "tdx_quote" not in request[0]:
                if "slow" in request[0]:
                    time.sleep(AFTER_S)
                connection.answer(b"answer")
            elif len(asked := [*asked, connection]) != 2:
                connection.quote(request[1])
            elif end == "409":
                return connection.answer(b"the certificate was changed", "Connection: close", status="409 Conflict")
            else:
                return connection.tls.sendall(b"no HTTP at all\r\n\r\n" if end == "garbage" else b"")

    one = tee(serve)
    done = get(world, "/slow", "/then", port=one.port)
    assert done.stdout == b"answeranswer" and len(one.connections) == 2 and len(reports(done)) == 2


def test_a_changed_certificate_means_a_new_connection(world):
    tee = world.start_tee()
    world.run("atlas-sim", "init", world.folder / "second")

    def rotate():
        for name in ("tls-cert.pem", "tls-key.pem"):
            (world.sim / name).write_bytes((world.folder / "second" / name).read_bytes())
        tee.process.send_signal(signal.SIGHUP)
        eventually(lambda: '"event":"reloaded"' in tee.text())
        time.sleep(AFTER_S)

    both = (world.sim / "tls-ca.pem").read_bytes() + (world.folder / "second/tls-ca.pem").read_bytes()
    (world.sim / "tls-ca.pem").write_bytes(both)
    world.server.rotate = rotate
    done = get(world, "/rotate", "/then")
    assert done.stdout == b"path /rotatepath /then"
    first, second = reports(done)
    assert first["certificate_sha256"] != second["certificate_sha256"]


@pytest.mark.parametrize("sent", [True, False], ids=["with the answer", "when the next request comes"])
def test_a_get_is_sent_once_more_when_a_kept_connection_was_closed(world, tee, sent):
    def serve(connection):
        while request := connection.request():
            if "tdx_quote" in request[0]:
                connection.quote(request[1])
            elif len(connection.tee.connections) == 1 and "/two" in request[0]:
                return
            else:
                connection.answer(b"answer")
                if sent and len(connection.tee.connections) == 1:
                    return

    one = tee(serve)
    done = get(world, "/one", "/two", port=one.port, policy="policy.json")
    assert done.stdout == b"answeranswer" and len(one.connections) == 2


def test_an_answer_that_broke_off_is_not_asked_for_again(world, tee):
    def serve(connection):
        while request := connection.request():
            if "tdx_quote" in request[0]:
                connection.quote(request[1])
            elif "/two" in request[0]:
                return connection.tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            else:
                connection.answer(b"answer")

    one = tee(serve)
    done = get(world, "/one", "/two", port=one.port, policy="policy.json", expect=10)
    assert done.stdout == b"answerhalf" and len(one.connections) == 1


def test_bytes_behind_an_answer_are_no_next_answer(world, tee):
    def serve(connection):
        while request := connection.request():
            if "tdx_quote" in request[0]:
                connection.quote(request[1])
            elif len(connection.tee.connections) == 1:
                connection.tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswerHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
            else:
                connection.answer(b"another")

    one = tee(serve)
    done = get(world, "/one", "/two", port=one.port, policy="policy.json")
    assert done.stdout == b"answeranother" and len(one.connections) == 2


def test_urls_of_two_servers_are_refused(world):
    for words in (("get", "https://localhost:1/", "https://localhost:2/"), ("post", "https://localhost:1/", "https://localhost:1/"),
                  ("get", "https://localhost:1/", "https://other:1/")):
        world.run("atls", *words, "--policy", world.sim / "policy.json", "--data=@" if words[0] == "post" else "--json", expect=2)


def test_connect_ends_when_the_proof_is_too_old(world):
    """In the middle of an opaque stream nothing can be asked for: it is over, and says why."""
    world.start_tee()
    started = time.monotonic()
    process = subprocess.Popen([BIN / "atls", "connect", f"localhost:{world.port}", "--policy", world.sim / "short.json", "--cacert",
                                world.sim / "tls-ca.pem"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    process.stdin.flush()
    out, err = process.communicate(timeout=60)  # the application waits for an event that never comes
    assert process.returncode == 16 and time.monotonic() - started >= AFTER_S
    assert b"reattest_due" in err and b"connect again" in err
    assert out == b"" or b"data: one" in out
    world.server.go_on.set()


def test_connect_without_it_stays(world):
    world.start_tee()
    process = subprocess.Popen([BIN / "atls", "connect", f"localhost:{world.port}", "--policy", world.sim / "policy.json", "--cacert",
                                world.sim / "tls-ca.pem"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    process.stdin.flush()
    assert process.communicate(timeout=60)[0].endswith(b"path /slow") and process.returncode == 0
