"""atlas-tee by itself: its rights, its certificate, its routes, its limits."""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time

import pytest

from harness import certs, procfs
from harness.attested import Agent, Application, World
from harness.base import PATIENCE, SANITIZER, eventually, free_port
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


def token_file(world):
    path = world.folder / "token"
    path.write_text("m" * 40)
    return path


def metric(world, name):
    """Of the endpoint whose token is that of token_file."""
    with world.session() as session:
        page = session.ask("GET", "/metrics", "Authorization: Bearer " + "m" * 40).body.decode()
    return float(re.search(rf"^{name} (\S+)$", page, re.MULTILINE).group(1))


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


def test_confined_with_a_guest_agent_over_http(world, stack):
    """As simulators have it, by name: its port stays open, also for the certificate that comes later."""
    agent = Agent(None, world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee(*CONFINED, "--without-collateral", provider=f"dstack:http://localhost:{agent.server_address[1]}")
    first = leaf_of(world.sim / "tls-cert.pem")
    world.new_certificate()
    tee.hang_up()
    with world.session() as session:
        assert measured(session.quote()) == [first, leaf_of(world.sim / "tls-cert.pem")]
        assert session.ask("GET", "/x").body == b"path /x"


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


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True).stdout


def public_key(*words):
    return openssl(*words, "-noout", "-pubkey")


def served(world):
    """The leaf that the endpoint shows, in PEM."""
    return ssl.get_server_certificate(("127.0.0.1", world.port)).encode()


def test_a_derived_key_is_the_same_after_each_start(world):
    """It is of P-256, follows from the name, and is in the request and in the certificate; nothing is on disk but the request."""
    pccs = f"http://127.0.0.1:{world.pccs}"
    keys = []
    for name in ("tee.example", "tee.example", "other.example"):
        tee = world.start_tee("--derived-key", "--name", name, "--csr", world.folder / "csr", "--pccs-url", pccs, files=False)
        leaf = world.folder / "leaf.pem"
        leaf.write_bytes(served(world))
        assert public_key("x509", "-in", leaf) == public_key("req", "-in", world.folder / "csr")
        text = openssl("req", "-in", world.folder / "csr", "-noout", "-text", "-verify").decode()
        assert f"DNS:{name}" in text and f"CN = {name}" in text and "ecdsa-with-SHA256" in text and "P-256" in text
        keys.append(public_key("x509", "-in", leaf))
        tee.stop()
    assert keys[0] == keys[1] != keys[2]
    assert not [p for p in world.folder.rglob("*") if p.is_file() and p.parent != world.sim and b"PRIVATE KEY" in p.read_bytes()]


def test_a_derived_key_with_a_certificate_of_an_authority(world):
    """What was issued for the request is served once it is there: the key never was in a file."""
    ca = certs.authority(world.folder)
    options = ("--derived-key", "--csr", world.folder / "csr", "--cert", world.folder / "chain.pem", "--acme-listen", "127.0.0.1:0")
    tee = world.start_tee(*options, files=False)
    assert tee.wait("certificate.awaited")["file"] == str(world.folder / "chain.pem")
    (world.folder / "chain.pem").write_bytes(
        openssl("x509", "-req", "-in", world.folder / "csr", "-CA", ca.cert, "-CAkey", ca.key, "-days", 30, "-copy_extensions", "copy"))
    tee.hang_up()
    shutil.copyfile(ca.cert, world.sim / "tls-ca.pem")
    with world.session() as session:  # judged by that authority, for the name in the request
        assert measured(session.quote())[-1] == leaf_of(world.folder / "chain.pem")
    tee.stop()
    other = world.folder / "other.pem"
    other.write_bytes((world.sim / "tls-cert.pem").read_bytes())
    done = world.run("atlas-tee", *options[:-2], "--cert", other, "--listen", "127.0.0.1:0", "--provider", f"dstack:{world.sim}/dstack.sock",
                     expect=2)
    assert b"not the certificate's" in done.stderr


@pytest.mark.parametrize("key, status", [("00" * 32, 2), ("ff" * 32, 2), ("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 2),
                                         ("00" * 31, 65), ("not hex", 65)])
def test_what_is_no_key_is_refused(world, stack, key, status):
    """0, the order and beyond it, and answers that are no 32 bytes; none of them is shown."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    agent.scripted["GetKey"] = (200, json.dumps({"key": key, "signature_chain": []}).encode())
    done = world.run("atlas-tee", "--derived-key", "--name", "tee.example", "--provider", f"dstack:{agent.path}", "--listen", "127.0.0.1:0",
                     "--without-collateral", expect=status)
    assert b"GetKey" in done.stderr and key.encode() not in done.stderr
    assert json.loads(agent.bodies[0]) == {"path": "cert/letsencrypt/tee.example/v1", "purpose": ""}


def test_keys_that_exclude_each_other(world):
    for options, word in ((("--derived-key", "--cert", "x", "--key", "y"), b"takes the place of --key"), (("--csr", "x"), b"--derived-key"),
                          (("--acme-webroot", "/tmp"), b"--acme-listen"), (("--name", "a" * 256), b"--name")):
        assert word in world.run("atlas-tee", "--check", *options, expect=2).stderr
    done = world.run("atlas-tee", "--derived-key", "--provider", f"tsm:{world.start_kernel()}", "--without-collateral", expect=2)
    assert b"has no keys" in done.stderr


# --- the plain ports ----------------------------------------------------------------------------


def test_acme_from_the_first_certificate_to_its_renewal(world):
    """As an ACME client does it with a webroot, against a confined endpoint that starts without a certificate."""
    webroot, live = world.folder / "webroot", world.folder / "live"
    webroot.mkdir()
    live.mkdir()
    port = free_port()
    tee = world.start_tee(*CONFINED, "--cert", live / "cert.pem", "--key", live / "key.pem", "--watch", "--acme-listen", f"127.0.0.1:{port}",
                          "--acme-webroot", webroot, files=False)
    assert tee.wait("certificate.awaited") and tee.wait("listening.plain")["for"] == "acme"

    def plain(method, path):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request(method, path, headers={"Host": "tee.example:80"})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def issue():
        challenges = webroot / ".well-known/acme-challenge"
        challenges.mkdir(parents=True)
        (challenges / "token_1-x").write_text("token_1-x.thumbprint")
        status, headers, body = plain("GET", "/.well-known/acme-challenge/token_1-x")
        assert (status, headers["Content-Type"], body) == (200, "application/octet-stream", b"token_1-x.thumbprint")
        shutil.rmtree(webroot / ".well-known")
        assert plain("GET", "/.well-known/acme-challenge/token_1-x")[0] == 404
        for name, origin in (("key.pem", "tls-key.pem"), ("cert.pem", "tls-cert.pem")):
            shutil.copyfile(world.sim / origin, live / name)

    issue()
    tee.wait("certificate.measured", sha256=leaf_of(live / "cert.pem"))
    assert world.atls("get", "/first").stdout == b"path /first"
    world.new_certificate()
    issue()
    tee.wait("certificate.measured", sha256=leaf_of(live / "cert.pem"))
    assert world.atls("get", "/renewed").stdout == b"path /renewed"
    (webroot / ".well-known/acme-challenge").mkdir(parents=True)
    (webroot / ".well-known/acme-challenge/key").symlink_to(live / "key.pem")
    for path in ("/.well-known/acme-challenge/key", "/.well-known/acme-challenge/../../../live/key.pem", "/.well-known/acme-challenge/"):
        status, _, body = plain("GET", path)
        assert status == 404 and b"PRIVATE" not in body
    for method, path in (("GET", "/v1/models?a=b"), ("POST", "/"), ("GET", "/.well-known/other")):
        status, headers, _ = plain(method, path)
        assert status == 301 and headers["Location"] == f"https://tee.example{path}"


def test_the_admin_listener(world, stack):
    """Metrics and probes for monitoring, in the clear, and nothing of the application."""
    port = free_port()
    tee = world.start_tee("--admin", f"127.0.0.1:{port}")

    def get(path):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    assert "atlas_tee_certificate_events_total 1\n" in get("/metrics")[1]
    assert get("/healthz") == (200, '{"status":"ok"}\n') and get("/readyz") == (200, '{"status":"ready"}\n')
    assert get("/x")[0] == 404
    assert world.atls("get", "/metrics").stdout == b"path /metrics"
    with world.session() as session:
        session.tls.sendall(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert session.tls.recv(100)
        tee.process.send_signal(signal.SIGTERM)
        tee.wait("draining")
        assert get("/readyz") == (503, '{"status":"draining"}\n')
        world.server.go_on.set()


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


# --- requests -----------------------------------------------------------------------------------


class Raw:
    """An application that keeps every byte it gets on its connections, and answers each head it can read with 200 and nothing."""

    def __init__(self, stack):
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.news = threading.Condition()
        self.got = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._one, args=(self.listener.accept()[0],), daemon=True).start()

    def _one(self, sock):
        seen = b""
        with sock, contextlib.suppress(OSError):
            while piece := sock.recv(65536):
                heads = seen.count(b"\r\n\r\n")
                seen += piece
                with self.news:
                    self.got += piece
                    self.news.notify_all()
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * (seen.count(b"\r\n\r\n") - heads))

    def wait(self, mark):
        with self.news:
            assert self.news.wait_for(lambda: mark in self.got, PATIENCE), self.got


@pytest.mark.parametrize("named", ["Content-Length", "content-length, host", "close, CONTENT-LENGTH"])
def test_a_body_never_becomes_a_request(world, stack, named):
    """Connection names fields that end here; that of the body's length is not one of them, whoever says so."""
    raw = Raw(stack)
    world.start_tee("--upstream", f"127.0.0.1:{raw.port}")
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    world.https(b"POST /a HTTP/1.1\r\nHost: y\r\nConnection: close\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (named.encode(), len(smuggled), smuggled))
    raw.wait(smuggled)
    head = raw.got.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\ncontent-length: %d" % len(smuggled) in head and b"\r\nhost: y" in head and b"\r\nconnection:" not in head


def test_http_1_0_is_understood(world):
    """Without a Host, and answered until the end of the connection."""
    world.start_tee()
    assert world.https(b"GET /old HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\npath /old")
    streamed = world.https(b"GET /until-close HTTP/1.0\r\n\r\n")
    assert streamed.endswith(b"\r\n\r\n" + b"x" * 300000) and b"chunked" not in streamed


def test_errors_are_json(world):
    """Also where a person's words hold quotes, and in the shape that clients of each path look for."""
    world.start_tee()
    for request, status, key in ((b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"400", "error"),
                                 (b"GET / HTTP/1.1\r\nHost: x\r\nX \"y: z\r\n\r\n", b"400", "error"),
                                 (b"GET /tdx_quote HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405", "detail")):
        answer = world.https(request)
        assert answer[9:12] == status and list(json.loads(answer.partition(b"\r\n\r\n")[2])) == [key]


def test_bearer_tokens(world):
    """The scheme in its own case, blanks, the token; 401 says what is wanted, and the session goes on."""
    token = "t" * 32
    tee = world.start_tee(env={"AUTH_SERVICE_TOKEN": token})
    with world.session() as session:
        for value, status in ((None, 401), (f"Bearer {token}", 200), (f"Bearer \t {token}", 200), (f"bearer {token}", 401),
                              (f"Bearer {token}x", 401), (f"Basic {token}", 401), ("Bearer", 401)):
            answer = session.ask("GET", "/x", *([f"Authorization: {value}"] if value else []))
            assert answer.status == status, value
            assert status == 200 or answer.headers["WWW-Authenticate"] == "Bearer"
        assert session.ask("GET", "/health").status == 200
        assert session.quote().status == 200
        assert session.ask("POST", "/digest", body=b"secret").status == 401
        assert session.closed()  # with a body that nobody wants to read
    assert token not in tee.text()
    tee.stop()
    done = world.run("atlas-tee", "--check", "--auth-paths", "metrics", expect=2)
    assert b"does not begin with a slash" in done.stderr


def test_some_paths_need_a_token(world):
    """As nginx did it: /metrics of the application, however it is written, and nothing else."""
    (world.folder / "token").write_text("t" * 40)
    world.start_tee("--auth-token-file", world.folder / "token", "--auth-paths", "/metrics,/admin")
    with world.session() as session:
        assert session.ask("GET", "/v1/models").body == b"path /v1/models"
        for path in ("/metrics", "/metrics?x", "//metrics", "/a/../metrics", "/%6Detrics", "/admin/users"):
            assert session.ask("GET", path).status == 401, path
        assert session.ask("GET", "/metrics", "Authorization: Bearer " + "t" * 40).body == b"path /metrics"


def test_pages_may_ask(world):
    """Suffixes with any port; a preflight is answered here, and the answer itself tells of the page."""
    world.start_tee("--cors-origins", "https://app.example,*.example.org")
    ask = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
    with world.session() as session:
        for origin in ("https://app.example", "https://a.example.org:8443", "http://b.a.example.org"):
            for path in ("/v1", "/tdx_quote"):
                answer = session.ask("OPTIONS", path, f"Origin: {origin}", *ask)
                assert answer.status == 204 and answer.body == b"" and answer.headers["Vary"] == "Origin"
                assert answer.headers["Access-Control-Allow-Origin"] == origin
                assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
                assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"].split(",")
                assert answer.headers["Access-Control-Max-Age"] == "1728000"
            answer = session.ask("GET", "/x", f"Origin: {origin}")
            assert answer.headers["Access-Control-Allow-Origin"] == origin and answer.body == b"path /x"
            assert answer.headers["Access-Control-Expose-Headers"] == "Content-Length,Content-Range"
        for origin in ("https://example.org.evil", "https://evilexample.org", "https://app.example:1", "ftp://a.example.org", "null"):
            answer = session.ask("GET", "/x", f"Origin: {origin}")
            assert "Access-Control-Allow-Origin" not in answer.headers and answer.headers["Vary"] == "Origin"
        answer = session.ask("OPTIONS", "/tdx_quote")
        assert answer.status == 204 and answer.headers["Allow"] == "POST, OPTIONS"
    assert b"--cors-origins" in world.run("atlas-tee", "--check", "--cors-origins", "app.example", expect=2).stderr


def test_headers_of_this_hop_and_of_proxies(world):
    """What only a proxy may say is said by us; what Connection names goes no further."""
    world.start_tee()
    with world.session() as session:
        got = json.loads(session.ask("GET", "/headers", "X-TLS-EKM-Channel-Binding: forged", "x-tls-ekm-channel-binding: twice",
                                     "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: http", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6",
                                     "Connection: keep-alive, X-Hop", "X-Hop: here", "TE: trailers", "Keep-Alive: 5", "X-Kept: yes").body)
    assert {name.lower(): value for name, value in got} == {
        "host": "localhost", "x-kept": "yes", "x-forwarded-host": "localhost", "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1",
        "x-forwarded-proto": "https"}


# --- WebSockets ---------------------------------------------------------------------------------

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n"


class Chat:
    """An application on a socket of its own: it answers one head as told, and then talks as told."""

    def __init__(self, stack, talk, answer=SWITCH):
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.talk, self.answer, self.head, self.fault = talk, answer, b"", None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        sock, _ = self.listener.accept()
        with sock:
            try:
                while not self.head.endswith(b"\r\n\r\n"):
                    self.head += sock.recv(1)
                sock.sendall(self.answer)
                self.talk(sock)
            except Exception as fault:  # pylint: disable=broad-except
                self.fault = fault

    def done(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive() and self.fault is None, self.fault


def echo_until_end(sock):
    while piece := sock.recv(65536):
        sock.sendall(piece)


def switched(session):
    session.tls.sendall(UPGRADE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += session.tls.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ") and b"\r\nUpgrade: websocket\r\n" in head and b"Sec-WebSocket-Accept: a" in head, head


def received(tls, count):
    got = b""
    while len(got) < count and (piece := tls.recv(65536)):
        got += piece
    return got


def exchanged(tls, data):
    """Says all of data and hears as much, in one thread: a session is no thing for two."""
    got, left, end = [], memoryview(data), time.monotonic() + PATIENCE
    tls.setblocking(False)
    while sum(map(len, got)) < len(data):
        assert time.monotonic() < end
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while left:
                left = left[tls.send(left[:16384]):]
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while piece := tls.recv(65536):
                got.append(piece)
            break
        select.select([tls], [tls] if left else [], [], 1)
    tls.settimeout(PATIENCE)
    return b"".join(got)


def test_a_websocket_carries_bytes_both_ways(world, stack):
    """In the attested session, as they come, megabytes at once; one line of the log tells of it when it is over."""
    chat = Chat(stack, echo_until_end)
    tee = world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        assert session.quote().status == 200
        switched(session)
        for word in (b"one", b"two"):
            session.tls.sendall(word)
            assert received(session.tls, 3) == word
        data = os.urandom(8_000_000)
        assert exchanged(session.tls, data) == data
        with contextlib.suppress(OSError):
            session.tls.unwrap()
    chat.done()
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in chat.head and b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in chat.head
    line = tee.wait("request.answered", path="/chat")
    assert line == {**line, "status": 101, "bytes_up": 8_000_006, "bytes_down": 8_000_006, "attested": True, "complete": True}


def test_what_the_application_said_last_arrives(world, stack):
    """It closes; everything before is delivered, and then the client is told of the end."""
    data = os.urandom(3_000_000)
    chat = Chat(stack, lambda sock: sock.sendall(data))
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        switched(session)
        assert received(session.tls, len(data) + 1) == data and session.closed()
    chat.done()


def test_what_the_client_said_last_arrives(world, stack):
    """It closes; the application gets everything, and then the end."""
    data, got = os.urandom(3_000_000), []

    def collect(sock):
        while piece := sock.recv(65536):
            got.append(piece)

    chat = Chat(stack, collect)
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        switched(session)
        session.tls.sendall(data)
        with contextlib.suppress(OSError):
            session.tls.unwrap()
    chat.done()
    assert b"".join(got) == data


def test_frames_behind_the_upgrade_are_not_lost(world, stack):
    """What the application sends along with its 101, and what the client sends along with its request."""
    got = []
    chat = Chat(stack, lambda sock: got.append(sock.recv(5, socket.MSG_WAITALL)), answer=SWITCH + b"hello")
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        session.tls.sendall(UPGRADE + b"early")
        assert received(session.tls, 10_000).endswith(b"\r\n\r\nhello")
    chat.done()
    assert got == [b"early"]


@pytest.mark.parametrize("answer, status", [
    (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno", 426),
    (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 502),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 502),
])
def test_an_upgrade_that_is_not_taken(world, stack, answer, status):
    """The application's word goes; what is no WebSocket does not begin."""
    chat = Chat(stack, lambda sock: None, answer=answer)
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}")
    with world.session() as session:
        session.tls.sendall(UPGRADE)
        assert session.answer().status == status
        assert session.ask("GET", "/health").body == b"healthy\n"
    chat.done()


def test_nobody_switches_unasked(world, stack):
    """A 101 that nobody asked for, and upgrades to what is no WebSocket, or when those are off."""
    chat = Chat(stack, lambda sock: None)
    world.start_tee("--upstream", f"127.0.0.1:{chat.port}", "--no-websockets")
    with world.session() as session:
        session.tls.sendall(UPGRADE)
        assert session.answer().status == 502
    chat.done()
    assert b"upgrade" not in chat.head.lower()


# --- limits of quotes ---------------------------------------------------------------------------


def test_quotes_of_one_connection_are_counted(world):
    """So many a minute; the session goes on, and another one has a count of its own."""
    world.start_tee("--quotes-per-minute", "2")
    with world.session() as session, world.session() as other:
        assert [session.quote().status for _ in range(2)] == [200, 200]
        refused = session.quote()
        assert refused.status == 503 and 0 < int(refused.headers["Retry-After"]) <= 60 and "detail" in json.loads(refused.body)
        assert session.ask("GET", "/x").body == b"path /x"
        assert other.quote().status == 200


def test_quotes_that_wait_are_bounded(world, stack):
    """One is made, one waits, the third is told to come again; nobody who was let in is forgotten."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee("--provider", f"dstack:{agent.path}", "--max-quotes-waiting", "1", "--metrics-token-file", token_file(world))
    agent.hold("GetQuote")
    answers, sessions = [], [stack.enter_context(world.session()) for _ in range(2)]
    threads = [threading.Thread(target=lambda s: answers.append(s.quote().status), args=(s,)) for s in sessions]
    threads[0].start()
    agent.wait("GetQuote", 2)  # the first was the endpoint's own
    threads[1].start()
    eventually(lambda: metric(world, "atlas_tee_quotes_waiting") == 1, "one that waits")
    with world.session() as session:
        refused = session.quote()
        assert refused.status == 503 and int(refused.headers["Retry-After"]) > 0
        assert session.ask("GET", "/x").body == b"path /x"
    agent.release("GetQuote")
    for thread in threads:
        thread.join()
    assert answers == [200, 200] and metric(world, "atlas_tee_quotes_refused_total") == 1
    assert not tee.events("quote.failed")


def test_one_quote_at_a_time_on_a_connection(world, stack):
    """A second request waits for the answer to the first, as HTTP/1.1 has it."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    world.start_tee("--provider", f"dstack:{agent.path}")
    body = b'{"nonce_hex":"%s"}' % (b"ab" * 32)
    request = b"POST /tdx_quote HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    agent.hold("GetQuote")
    with world.session() as session, world.session() as other:
        session.tls.sendall(request + request + b"GET /behind HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        agent.wait("GetQuote", 2)
        assert other.ask("GET", "/x").body == b"path /x"  # a turn of the loop, at least
        assert agent.calls.count("GetQuote") == 2
        agent.release("GetQuote")
        with session.tls.makefile("rb") as stream:
            whole = stream.read()
    assert whole.count(b"HTTP/1.1 200 OK") == 3 and whole.endswith(b"path /behind") and agent.calls.count("GetQuote") == 3


def test_an_agent_that_fails_is_told_as_such(world, stack):
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee("--provider", f"dstack:{agent.path}")
    agent.scripted["GetQuote"] = (500, b'{"error":"no quoting enclave"}')
    with world.session() as session:
        refused = session.quote()
        assert refused.status == 500
        assert json.loads(refused.body) == {"success": False, "error": "Failed to obtain TDX quote or TCB info", "quote_type": "tdx"}
        del agent.scripted["GetQuote"]
        assert session.quote().status == 200
    assert "no quoting enclave" in tee.wait("quote.failed")["error"]


@pytest.mark.parametrize("method, status", [("GetQuote", 66), ("EmitEvent", 2)])
def test_an_agent_without_what_is_needed_ends_the_start(world, stack, method, status):
    """An agent that cannot measure is found before anybody is served."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    agent.scripted[method] = (404, b'{"error":"no such method"}')
    done = world.run("atlas-tee", "--provider", f"dstack:{agent.path}", "--listen", "127.0.0.1:0", "--without-collateral", expect=status)
    assert method.encode() in done.stderr
