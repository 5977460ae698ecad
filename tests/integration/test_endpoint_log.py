"""atlas-tee: a line for each request."""

from harness.base import eventually


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
