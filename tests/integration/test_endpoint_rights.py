"""atlas-tee: what it may do: the sandbox around each provider, certificates and collateral, and who it becomes."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
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
from harness.endpoint import CONFINED, leaf_of, measured


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
