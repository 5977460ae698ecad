"""atlas-tee: its listeners in the clear: challenges of ACME, and monitoring."""

import contextlib
import http.client
import shutil
import signal

from harness.base import PATIENCE, free_port
from harness.endpoint import CONFINED, leaf_of


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
