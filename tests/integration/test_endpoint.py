"""atlas-tee by itself: its rights, its certificate, its routes, its limits."""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import tempfile
import threading

import pytest

from harness import certs, procfs
from harness.attested import Agent, Application, World
from harness.base import SANITIZER
from harness.dns import Dns, addresses

# Every part of the sandbox must be there. What a sanitizer's run-time needs is let pass by the filter.
CONFINED = ("--seccomp", "required", "--landlock", "required")


@pytest.fixture
def world(tmp_path, stack):
    return World(tmp_path, stack)


def leaf_of(path):
    """SHA-256 of the first certificate of a PEM file."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text().partition("-----END CERTIFICATE-----")[0]
                                                   + "-----END CERTIFICATE-----\n")).hexdigest()


def measured(answer):
    """The certificates that the event log of an answer to /tdx_quote names."""
    assert answer.status == 200, answer.body
    log = json.loads(json.loads(answer.body)["quote"]["event_log"])
    return [bytes.fromhex(e["event_payload"]).decode() for e in log if e["event"] == "New TLS Certificate"]


# --- rights -------------------------------------------------------------------------------------


class UnixServer(http.server.ThreadingHTTPServer):
    """The application, on a Unix socket."""

    address_family = socket.AF_UNIX
    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), Application)

    def server_bind(self):
        self.socket.bind(self.server_address)

    def finish_request(self, request, client_address):
        self.RequestHandlerClass(request, ("unix", 0), self)


@pytest.mark.parametrize("upstream", ["tcp", "unix"])
def test_confined_with_the_guest_agent(world, stack, upstream):
    """Quotes, certificates that are replaced, collateral by name and on disk, and the application: all from inside the sandbox."""
    options = []
    if upstream == "unix":
        server = UnixServer(world.folder / "app.sock")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        options = ["--upstream", f"unix:{world.folder}/app.sock"]
    cache = world.folder / "var" / "cache"
    cache.parent.mkdir()
    tee = world.start_tee(*CONFINED, *options, "--cache", cache, "--pccs-url", f"http://localhost:{world.pccs}")
    text = tee.wait("sandbox")["message"]
    assert "landlock" in text and "seccomp" in text and "failed" not in text, text
    report = json.loads(world.atls("get", "/x", "--json").stderr)
    assert report["verified"] and report["collateral_stapled"]
    assert [path.stat().st_mode & 0o777 for path in cache.glob("*.json")] == [0o600]
    assert world.atls("get", "/hello").stdout == b"path /hello"
    first = leaf_of(world.sim / "tls-cert.pem")
    world.new_certificate()
    tee.hang_up()
    assert world.atls("get", "/again").stdout == b"path /again"
    with world.session() as session:
        assert measured(session.quote()) == [first, leaf_of(world.sim / "tls-cert.pem")]


def test_confined_with_configfs(world):
    """The same where quotes come from files of the kernel, and events go to a file."""
    tee = world.start_tee(*CONFINED, provider=f"tsm:{world.start_kernel()}")
    assert json.loads(world.atls("get", "/x", "--json").stderr)["verified"]
    first = leaf_of(world.sim / "tls-cert.pem")
    world.new_certificate()
    tee.hang_up()
    assert world.atls("get", "/again").stdout == b"path /again"
    with world.session() as session:
        assert measured(session.quote()) == [first, leaf_of(world.sim / "tls-cert.pem")]


def as_certbot_does(folder, source, serial):
    """live/NAME/*.pem are links to archive/NAME/*N.pem; a renewal makes new files and moves the links."""
    live, archive = folder / "live/localhost", folder / "archive/localhost"
    live.mkdir(parents=True, exist_ok=True)
    archive.mkdir(parents=True, exist_ok=True)
    for name, origin in (("privkey", "tls-key.pem"), ("fullchain", "tls-cert.pem")):
        shutil.copyfile(source / origin, archive / f"{name}{serial}.pem")
        link = live / f"{name}.pem"
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../archive/localhost/{name}{serial}.pem")
    return "--cert", live / "fullchain.pem", "--key", live / "privkey.pem"


def test_confined_a_renewal_by_certbot_is_seen(world):
    """Both folders stay readable, and --watch needs no signal."""
    pair = as_certbot_does(world.folder / "letsencrypt", world.sim, 1)
    tee = world.start_tee(*CONFINED, *pair, "--watch", files=False)
    world.new_certificate()
    as_certbot_does(world.folder / "letsencrypt", world.sim, 2)
    tee.wait("certificate.measured", sha256=leaf_of(world.sim / "tls-cert.pem"))
    assert world.atls("get", "/renewed").stdout == b"path /renewed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_confined_as_another_user(stack):
    """Nothing of root is left, no core dump is written, and it still quotes and serves."""
    folder = pathlib.Path(tempfile.mkdtemp())
    stack.callback(shutil.rmtree, folder)
    folder.chmod(0o755)
    world = World(folder, stack)
    for path in world.sim.iterdir():
        path.chmod(0o777 if stat.S_ISSOCK(path.stat().st_mode) else 0o644)
    world.sim.chmod(0o755)
    key = world.sim / "tls-key.pem"
    key.chmod(0o600)
    tee = world.start_tee(*CONFINED, "--user", "nobody")
    status = procfs.status(tee.process.pid)
    assert status["Uid"].split() == [status["Uid"].split()[0]] * 4 != ["0"] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    limits = pathlib.Path(f"/proc/{tee.process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert world.atls("get", "/x").stdout == b"path /x"
    assert tee.wait("certificate.unreadable")["file"] == str(key)
    tee.hang_up("reload.failed")
    assert world.atls("get", "/still").stdout == b"path /still"


@pytest.mark.skipif(bool(SANITIZER), reason="what a sanitizer needs is let pass")
def test_without_a_sandbox_when_it_is_off(world):
    tee = world.start_tee("--seccomp", "off", "--landlock", "off")
    status = procfs.status(tee.process.pid)
    assert status["Seccomp"] == "0" and "off" in tee.wait("sandbox")["message"]


def name_server():
    """The first that this machine asks."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/etc/resolv.conf").read_text().splitlines():
            if match := re.match(r"nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$", line):
                return match.group(1)
    return None


def test_confined_collateral_is_looked_for_by_dns(tmp_path, stack, netns):
    """Resolver threads, TCP, TLS and the bundle of CAs: a service with a certificate of nobody is found, and refused."""
    server = name_server()
    if not server:
        pytest.skip("no name server in /etc/resolv.conf that a test could take the place of")
    with netns(f"{server}/32") as here:
        stack.enter_context(Dns({"pccs.test": addresses("127.0.0.1")}, host=server, port=53))
        pair = certs.self_signed(tmp_path, "nobody", sans=("DNS:pccs.test",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def refuse():
            with here, contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        context.wrap_socket(client, server_side=True)

        threading.Thread(target=refuse, daemon=True).start()
        world = World(tmp_path, stack)
        tee = world.start_tee(*CONFINED, "--pccs-url", f"https://pccs.test:{listener.getsockname()[1]}")
        assert "peer certificate" in tee.wait("collateral.failed")["error"]
        with world.session() as session:
            assert session.ask("GET", "/x").body == b"path /x"


def test_check_judges_without_opening(world):
    """--check needs no provider and no port; what it cannot use it names."""
    good = ("--check", "--cert", world.sim / "tls-cert.pem", "--key", world.sim / "tls-key.pem")
    assert b"configuration is good" in world.run("atlas-tee", *good).stdout
    for options, word in ((("--upstream", "nowhere"), b"--upstream"), (("--listen", "nowhere"), b"nowhere"),
                          (("--key", world.sim / "tls-ca.pem"), b"tls-cert.pem"), (("--landlock", "perhaps"), b"landlock")):
        assert word in world.run("atlas-tee", *good, *options, expect=2).stderr
    assert b"belong together" in world.run("atlas-tee", "--check", "--cert", world.sim / "tls-cert.pem", expect=2).stderr


# --- the certificate ----------------------------------------------------------------------------


def test_sessions_may_be_attested_again(world):
    """A new nonce and the same exporter value make another quote; the application goes on in between."""
    world.start_tee()
    with world.session() as session:
        quotes = []
        for nonce in ("00", "11"):
            quotes.append(json.loads(session.quote(nonce * 32).body)["quote"])
            assert session.ask("GET", "/between").body == b"path /between"
    assert quotes[0]["report_data"] != quotes[1]["report_data"] and quotes[0]["event_log"] == quotes[1]["event_log"]


def test_a_replaced_certificate_ends_attestation_and_nothing_else(world):
    """A session on the old leaf goes on; asked for a quote it says 409, and closes so that the client connects again."""
    tee = world.start_tee()
    first = leaf_of(world.sim / "tls-cert.pem")
    with world.session() as old, world.session() as asked:
        assert measured(old.quote()) == [first]
        tee.hang_up()  # nothing has changed
        assert measured(old.quote()) == [first]
        world.new_certificate()
        tee.hang_up(count=2)
        for _ in range(3):
            assert old.ask("GET", "/old").body == b"path /old"
        assert asked.ask("POST", "/digest", body=b"abc").body == hashlib.sha256(b"abc").hexdigest().encode()
        refused = asked.quote()
        assert refused.status == 409 and refused.headers["Connection"] == "close" and b"connect again" in refused.body
        assert asked.closed()
        assert old.ask("GET", "/still").body == b"path /still"
        assert old.quote().status == 409 and old.closed()
    with world.session() as new:
        assert measured(new.quote()) == [first, leaf_of(world.sim / "tls-cert.pem")]
    assert world.atls("get", "/new").stdout == b"path /new"
    (world.sim / "tls-cert.pem").write_text("broken")
    tee.hang_up("reload.failed")
    assert world.atls("get", "/as-before").stdout == b"path /as-before"


def test_another_chain_of_the_same_leaf_is_served_at_once(world):
    """It is the leaf that is measured."""
    tee = world.start_tee()
    cert = world.sim / "tls-cert.pem"
    with world.session() as session:
        cert.write_text(cert.read_text() + (world.sim / "tls-ca.pem").read_text())
        tee.hang_up()
        assert measured(session.quote()) == [leaf_of(cert)]
    with world.session() as session:
        assert measured(session.quote()) == [leaf_of(cert)]


def test_no_quote_names_another_certificate_than_the_session_has(world, stack):
    """The certificate is replaced while one quote is made and another is waited for."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee("--provider", f"dstack:{agent.path}")
    first, answers = leaf_of(world.sim / "tls-cert.pem"), []
    agent.hold("GetQuote")
    threads = [threading.Thread(target=lambda s: answers.append(s.quote()), args=(stack.enter_context(world.session()),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    agent.wait("GetQuote", 2)  # the first is the endpoint's own, at the start
    world.new_certificate()
    tee.process.send_signal(signal.SIGHUP)
    agent.release("GetQuote")
    for thread in threads:
        thread.join()
    tee.wait("reloaded")
    assert len(answers) == 3
    assert all(a.status == 409 or measured(a)[-1] == first for a in answers)
    with world.session() as session:
        assert measured(session.quote())[-1] == leaf_of(world.sim / "tls-cert.pem")


# --- the log ------------------------------------------------------------------------------------

# Nothing of these may ever be in a log.
SECRETS = ("s3cret-token-" + "x" * 40, "s3cret-query", "s3cret-body", "s3cret-cookie")


def test_each_request_has_a_line(world):
    """Method, path, status, bytes, time, and whether the session was attested; probes only when all is told."""
    token, query, body, cookie = SECRETS
    tee = world.start_tee("--max-body", "1000")
    with world.session() as session:
        session.ask("GET", f"/bytes/1000?key={query}", f"Authorization: Bearer {token}", f"Cookie: a={cookie}")
        session.ask("HEAD", "/health")
        session.quote()
        session.ask("POST", "/digest?" + query, body=body.encode())
        session.ask("POST", "/long", body=b"x" * 1001)
    one, two, three, four = tee.wait("request.answered", 4) and tee.events("request.answered")
    assert one == {**one, "level": "info", "message": "request answered", "client": "127.0.0.1", "method": "GET", "path": "/bytes/1000",
                   "status": 200, "bytes_up": 0, "bytes_down": 1000, "attested": False, "complete": True}
    assert one["duration"] >= 0
    assert two["path"] == "/tdx_quote" and two["status"] == 200 and not two["attested"]
    assert three == {**three, "path": "/digest", "bytes_up": len(body), "bytes_down": 64, "attested": True}
    assert four == {**four, "path": "/long", "status": 413, "attested": True}
    assert not [secret for secret in SECRETS if secret in tee.text()]


def test_requests_that_fail_have_a_line(world):
    """What is no request, what the application breaks off, and what the client does not wait for."""
    tee = world.start_tee()
    world.https(b"NONSENSE\r\n\r\n")
    assert tee.wait("request.answered", status=400)["complete"] is True
    world.https(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
    cut = tee.wait("request.answered", path="/half")
    assert cut == {**cut, "message": "request cut short", "status": 200, "bytes_down": 4, "complete": False}
    with world.session() as session:
        session.tls.sendall(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert session.tls.recv(100).startswith(b"HTTP/1.1 200 ")
    assert tee.wait("request.answered", path="/stream")["complete"] is False
    world.server.go_on.set()
    world.https(b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (b"long" * 1000))
    assert len(tee.wait("request.answered", status=200, complete=True)["path"]) < 600


def test_what_clients_chose_is_one_line(world):
    tee = world.start_tee("--log-format", "text")
    world.https(b"GET /a\"b\\c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    line = eventually(lambda: [text for text in tee.text().splitlines() if "request answered" in text])[0]
    assert "status=200" in line and "method=GET" in line


def test_the_access_log_can_be_off(world):
    tee = world.start_tee("--no-access-log")
    with world.session() as session:
        session.ask("GET", "/x")
    tee.stop()
    assert not tee.events("request.answered") and tee.events("stopped")
