"""Bodies, connections and clients that are slow, large, in a hurry or gone."""

import json
import socket
import threading

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually

TOOLS = """
[provider]
name = "up"
description = "d"
base_url = "{url}"

[[tools]]
name = "up:get"
description = "d"
endpoint = "/get"
method = "POST"

[[tools]]
name = "up:wait"
description = "answers when it is told to"
endpoint = "/wait"
"""


@pytest.fixture
def place(tmp_path):
    """A proxy whose upstream holds answers back until it is let go."""
    let_go = threading.Event()

    def answer(request):
        if request["path"].startswith("/wait"):
            let_go.wait(PATIENCE)
            return 200, {}, b'"waited"'
        return 200, {}, json.dumps(len(request["body"])).encode()

    with Upstream(answer) as up:
        up.let_go = let_go
        with Proxy(Folder(tmp_path, {"up": TOOLS.format(url=up.url)})) as proxy:
            yield proxy, up
            let_go.set()


def connect(proxy):
    sock = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    sock.settimeout(PATIENCE)
    return sock


def request(body, path="/call", *fields, method="POST"):
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


def call(tool, **args):
    return json.dumps({"tool_name": tool, "args": args}).encode()


def read_answer(file):
    """(status, headers, body) of one answer."""
    status = int(file.readline().split()[1])
    headers = {}
    while (line := file.readline().strip()):
        name, value = line.decode().split(":", 1)
        headers[name.lower()] = value.strip()
    return status, headers, file.read(int(headers.get("content-length", 0)))


def test_pipelined_requests_are_answered_in_order(place):
    proxy, _ = place
    sock = connect(proxy)
    sock.sendall(b"".join(request(call("up:get", n="x" * n)) for n in range(50)))
    file = sock.makefile("rb")
    sizes = [json.loads(read_answer(file)[2])["result"] for _ in range(50)]
    assert sizes == [sizes[0] + n for n in range(50)]


def test_slow_clients_are_served_beside_others(place):
    proxy, _ = place
    whole = request(call("up:get", x="y" * 100))
    slow = [connect(proxy) for _ in range(20)]
    for at in range(len(whole)):
        for sock in slow:
            sock.sendall(whole[at:at + 1])
        if at % 64 == 0:
            assert proxy.call("up:get")[0] == 200
    for sock in slow:
        assert read_answer(sock.makefile("rb"))[0] == 200
        sock.close()


def test_large_bodies_are_taken_by_call_alone(place):
    proxy, up = place
    large = "x" * (20 << 20)
    status, answer = proxy.call("up:get", {"content": large})
    assert status == 200 and answer["result"] > len(large)
    for path in ("/mcp", "/help"):
        sock = connect(proxy)
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {5 << 20}\r\n\r\n".encode())
        assert read_answer(sock.makefile("rb"))[0] == 413
        sock.close()


def test_a_body_beyond_the_limit_of_call(place):
    proxy, _ = place
    sock = connect(proxy)
    sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1431663958\r\n\r\n")
    status, headers, body = read_answer(sock.makefile("rb"))
    assert status == 400 and json.loads(body) == {"result": None, "error": "Failed to read request body: length limit exceeded"}
    assert headers["connection"] == "close"


def test_chunked_bodies(place):
    proxy, _ = place
    body = call("up:get", a="b" * 3000)
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:1], body[1:700], body[700:])) + b"0\r\n\r\n"
    sock = connect(proxy)
    sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + request(call("up:get")))
    file = sock.makefile("rb")
    assert json.loads(read_answer(file)[2])["result"] > 3000
    assert read_answer(file)[0] == 200


def test_unclear_framing_is_refused(place):
    proxy, up = place
    for head in ("Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: +5", "Content-Length: 5,5",
                 "Transfer-Encoding: gzip, chunked", "Content-Length : 5", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"):
        sock = connect(proxy)
        sock.sendall(f"POST /call HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        data = sock.makefile("rb").read()
        assert data.startswith(b"HTTP/1.1 400 ") and data.count(b"HTTP/1.1 ") == 1, head
        sock.close()
    assert not up.asked


def test_nobody_unauthorised_sends_a_body(tmp_path):
    folder = Folder(tmp_path, {"up": TOOLS.format(url="http://127.0.0.1:1")}, ATI_JWT_SECRET=SECRET)
    with Proxy(folder) as proxy:
        for more in ("", "Expect: 100-continue\r\n"):
            sock = connect(proxy)
            sock.sendall(f"POST /call HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: 1000000000\r\n\r\n".encode())
            data = sock.makefile("rb").read()  # until it closes: no byte of the body was asked for
            assert data.startswith(b"HTTP/1.1 401 ") and b"100 Continue" not in data
            sock.close()
        # A short one is read over, and the connection goes on.
        sock = connect(proxy)
        sock.sendall(request(b"x" * 1000) + request(b"", "/health", method="GET"))
        file = sock.makefile("rb")
        assert [read_answer(file)[0] for _ in range(2)] == [401, 200]
        # Who may, is asked for its body.
        sock = connect(proxy)
        body = call("up:nope")
        sock.sendall(request(body, "/call", f"Authorization: Bearer {folder.token('*')}", "Expect: 100-continue")[:-len(body)])
        file = sock.makefile("rb")
        assert file.readline() == b"HTTP/1.1 100 Continue\r\n" and file.readline() == b"\r\n"
        sock.sendall(body)
        assert read_answer(file)[0] == 404


def test_a_client_that_leaves_ends_its_call(place):
    proxy, up = place
    sock = connect(proxy)
    sock.sendall(request(call("up:wait")))
    up.until_asked(1)
    sock.close()
    eventually(lambda: any("cancelled" in row.get("error", "") for row in proxy.audit()), "the call's end in the audit")


def test_a_client_that_leaves_ends_its_program(tmp_path):
    marker = tmp_path / "marker"
    script = tmp_path / "slow.sh"
    script.write_text(f"#!/bin/sh\necho $$ >{marker}.pid\nsleep 600 &\necho $! >>{marker}.pid\nmv {marker}.pid {marker}\nwait\n")
    script.chmod(0o755)
    manifest = f'[provider]\nname = "slow"\ndescription = "d"\nhandler = "cli"\ncli_command = "{script}"\n'
    with Proxy(Folder(tmp_path, {"slow": manifest})) as proxy:
        sock = connect(proxy)
        sock.sendall(request(call("slow")))
        eventually(marker.exists, "the program's start")
        pids = [int(word) for word in marker.read_text().split()]
        sock.close()
        for pid in pids:
            eventually(lambda pid=pid: not alive(pid), f"the end of process {pid}")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_hundreds_of_calls_wait_at_once(place):
    proxy, up = place
    socks = []
    for _ in range(300):
        sock = connect(proxy)
        sock.sendall(request(call("up:wait")))
        socks.append(sock)
    up.until_asked(200)  # more than there are threads by far
    assert proxy.call("up:get")[0] == 200  # and nobody else waits for them
    up.let_go.set()
    for sock in socks:
        assert read_answer(sock.makefile("rb"))[2] == b'{"result":"waited"}'
        sock.close()


def test_a_long_answer_arrives_whole(tmp_path):
    text = "y" * (30 << 20)
    with Upstream(lambda request: (200, {}, json.dumps(text).encode())) as up, Proxy(Folder(tmp_path, {"up": TOOLS.format(url=up.url)})) as proxy:
        sock = connect(proxy)
        sock.sendall(request(call("up:get")))
        up.until_asked(1)
        assert proxy.call("up:get", {"beside": 1})[0] == 200
        status, _, body = read_answer(sock.makefile("rb"))
        assert status == 200 and json.loads(body)["result"] == text


def test_malformed_heads_do_not_pass(place):
    proxy, _ = place
    for head in (b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n b: c\r\n\r\n",
                 b"NONSENSE\r\n\r\n"):
        sock = connect(proxy)
        sock.sendall(head)
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 400 "), head
        sock.close()
    sock = connect(proxy)
    sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20000 + b"\r\n\r\n")
    assert sock.makefile("rb").read().startswith(b"HTTP/1.1 431 ")
    assert proxy.ask("GET", "/health")[0] == 200
