"""How long the gateway waits for others. The clock is put forward: no test waits."""

import concurrent.futures
import contextlib
import json
import os
import queue
import re
import select
import socket
import ssl
import subprocess
import threading

import pytest

from harness import certs
from harness.ati import Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually, free_port
from harness.clock import Clock
from harness.mcp import Server, manifest, script

HTTP = '[provider]\nname = "up"\ndescription = "d"\nbase_url = "{url}"\n[[tools]]\nname = "up:get"\ndescription = "d"\nendpoint = "/"\n'
LLM = """
[provider]
name = "llm"
description = "a model"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "key"
internal = true

[[tools]]
name = "_chat_completion"
description = "asks the model"
endpoint = "/"
method = "POST"
"""
CLI = '[provider]\nname = "sleeps"\ndescription = "d"\nhandler = "cli"\ncli_command = "sh"\ncli_default_args = ["-c", "echo >{note}; sleep 1000"]\n'
GENERATOR = """
[provider.auth_generator]
type = "script"
interpreter = "sh"
script = "echo >{note}; sleep 1000"
"""
BUCKET = """
[provider]
name = "file_manager"
description = "files"
handler = "file_manager"
upload_default_destination = "bucket"

[provider.upload_destinations.bucket]
kind = "gcs"
bucket = "b-1"
endpoint = "{origin}"
"""
MUTE = '[provider]\nname = "{name}"\ndescription = "d"\nhandler = "mcp"\nmcp_command = "sh"\nmcp_args = ["-c", "echo >{note}; exec sleep 1000"]\n'
OAUTH = """
[provider]
name = "grants"
description = "d"
base_url = "http://127.0.0.1:1"
auth_type = "oauth2"
auth_key_name = "key"
auth_secret_name = "key"
oauth2_token_url = "{url}/token"

[[tools]]
name = "grants:get"
description = "d"
"""


class Silent:
    """Takes connections and says nothing, but what a handshake needs; asked: an item for each request that has begun."""

    def __init__(self, certificate=None):
        self.listener, self.asked, self.kept = socket.create_server(("127.0.0.1", 0)), queue.Queue(), []
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            self.listener = context.wrap_socket(self.listener, server_side=True)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                self.kept.append(self.listener.accept()[0])
                self.asked.put(self.kept[-1].recv(65536))

    def until_asked(self):
        return self.asked.get(timeout=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        for sock in [self.listener, *self.kept]:
            sock.close()


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def silent(stack):
    return stack.enter_context(Silent())


@pytest.fixture
def gateway(stack, tmp_path, clock):
    """gateway({name: manifest}) starts a proxy that goes by the clock."""
    def start(manifests, credentials=None, **environ):
        folder, port = Folder(tmp_path / "ati", manifests, credentials or {"key": "k-1"}), free_port()
        proxy = stack.enter_context(Proxy(folder, "--workers", "1", "--metrics-listen", f"127.0.0.1:{port}", **clock.environ, **environ))
        proxy.page = port
        return proxy
    return start


def looked(proxy):
    """Both of its threads have seen what time it is."""
    for _ in range(2):
        assert proxy.ask("GET", "/health")[0] == 200 and proxy.ask("GET", "/readyz", port=proxy.page)[0] == 200


def waited(proxy, clock, seconds, begun, ask):
    """The answer, which is not there ten seconds before that time, and is there one second behind it."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        begun()
        clock.skip(seconds - 10)
        looked(proxy)
        assert b"\nati_requests_underway 1\n" in proxy.ask("GET", "/metrics", port=proxy.page)[2]
        clock.skip(11)
        looked(proxy)
        return asked.result(8)  # it has been sent; and real seconds count as well


def test_a_body_has_no_more_time_than_it_needs_at_64_kib_a_second(gateway, clock):
    """Beyond half a minute. Each piece in time does not do: a gateway that holds bodies is not to be filled by those that hardly come."""
    proxy, piece = gateway({}), b" " * 65536

    def sent(pieces, seconds):
        sock.sendall(piece * pieces)
        looked(proxy)
        clock.skip(seconds)
        looked(proxy)
        assert not select.select([sock], [], [], 0)[0]

    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (200 * len(piece)))
        sent(20, 25)  # of 50 s
        sent(1, 20)
        sent(9, 10)  # of 60 s
        clock.skip(5)
        looked(proxy)
        assert sock.recv(13) == b"HTTP/1.1 408 "


def noted(note):
    return lambda: eventually(note.exists, "the start of the program")


def test_apis_have_a_minute(gateway, silent, clock):
    proxy = gateway({"up": HTTP.format(url=f"http://{silent.address}")})
    status, told = waited(proxy, clock, 60, silent.until_asked, lambda: proxy.call("up:get"))
    assert (status, told["result"]) == (502, None) and told["error"].startswith("Upstream API error: HTTP request failed: "), told


def test_a_model_has_a_minute(gateway, silent, clock):
    proxy = gateway({"_llm": LLM.format(url=f"http://{silent.address}")})
    status, _, body = waited(proxy, clock, 60, silent.until_asked, lambda: proxy.ask("POST", "/help", {"query": "x"}))
    assert status == 502 and json.loads(body)["error"].startswith("LLM request failed: "), body


def test_downloads_have_two_minutes_or_what_is_said(gateway, silent, clock):
    proxy = gateway({})
    for seconds, more in ((120, {}), (30, {"timeout": 30})):
        arguments = {"url": f"http://{silent.address}/file", **more}
        status, told = waited(proxy, clock, seconds, silent.until_asked, lambda: proxy.call("file_manager:download", arguments))
        assert status == 502 and told["result"] is None, told


def test_programs_have_two_minutes(gateway, tmp_path, clock):
    proxy = gateway({"sleeps": CLI.format(note=tmp_path / "note")})
    told = waited(proxy, clock, 120, noted(tmp_path / "note"), lambda: proxy.call("sleeps"))
    assert told == (502, {"result": None, "error": "CLI error: CLI timed out after 120s"})


@pytest.mark.parametrize("more, seconds", [("", 30), ("timeout_secs = 50\n", 50)])
def test_generators_have_half_a_minute_or_what_is_said(gateway, silent, tmp_path, clock, more, seconds):
    generator = 'auth_type = "bearer"\n' + GENERATOR.format(note=tmp_path / "note") + more
    proxy = gateway({"up": HTTP.format(url=f"http://{silent.address}").replace("[[tools]]", generator + "[[tools]]")})
    status, told = waited(proxy, clock, seconds, noted(tmp_path / "note"), lambda: proxy.call("up:get"))
    assert status == 502 and f"Generator timed out after {seconds}s" in told["error"]


def test_token_servers_have_a_quarter_of_a_minute(gateway, stack, tmp_path, clock):
    certificate = certs.self_signed(tmp_path, "localhost")
    silent = stack.enter_context(Silent(certificate))
    proxy = gateway({"grants": OAUTH.format(url=f"https://{silent.address}")}, SSL_CERT_FILE=certificate.cert)
    status, told = waited(proxy, clock, 15, silent.until_asked, lambda: proxy.call("grants:get"))
    assert status == 502 and told["error"].startswith("Upstream API error: OAuth2 token exchange failed: "), told


def test_mcp_servers_have_five_minutes(gateway, stack, tmp_path, clock):
    let_go = threading.Event()
    stack.callback(let_go.set)
    server = stack.enter_context(Server(lambda exchange, message: let_go.wait(PATIENCE * 3) and (200, {}, b"")))
    manifest(tmp_path / "ati", "web", mcp_transport="http", mcp_url=server.url)
    proxy = gateway({})
    status, told = waited(proxy, clock, 300, lambda: server.until(lambda asked: asked["message"] and asked["message"]["method"] == "tools/call"),
                          lambda: proxy.call("web:t"))
    assert status == 502 and told["result"] is None and told["error"].startswith("MCP error: "), told


def test_ten_mcp_servers_are_asked_at_once(tmp_path, clock):
    """At the start: the others when one of them has answered, or has had its half a minute."""
    notes, page = tmp_path / "notes", free_port()
    notes.mkdir()
    folder = Folder(tmp_path / "ati", {f"s{n:02}": MUTE.format(name=f"s{n:02}", note=notes / str(n)) for n in range(12)})

    def looked_at(proxy, seconds):
        clock.skip(seconds)
        for _ in range(2):
            word = proxy.ask("GET", "/readyz", port=page)[2]
        return json.loads(word)["status"], re.search(r"^ati_children (\d+)$", proxy.ask("GET", "/metrics", port=page)[2].decode(), re.M)[1]

    def begun(proxy):
        eventually(lambda: len(list(notes.iterdir())) == 10, "the start of ten")
        assert looked_at(proxy, 20) == ("discovering", "10")
        assert looked_at(proxy, 11)[0] == "discovering"
        eventually(lambda: len(list(notes.iterdir())) == 12, "the start of the others")
        assert looked_at(proxy, 20)[0] == "discovering"
        assert looked_at(proxy, 11)[0] == "ready"

    with Proxy(folder, "--metrics-listen", f"127.0.0.1:{page}", begun=begun, **clock.environ) as proxy:
        assert len([line for line in proxy.seen if "MCP tool discovery timed out (30s)" in line]) == 12


def test_each_request_of_an_upload_has_a_minute(gateway, silent, stack, tmp_path, clock):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key], check=True, capture_output=True)
    issuer = stack.enter_context(Upstream(lambda _: (200, {}, b'{"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}')))
    account = {"type": "service_account", "client_email": "me@project.test", "private_key": key.read_text(), "token_uri": issuer.url + "/token"}
    proxy = gateway({"files": BUCKET.format(origin=f"http://{silent.address}")}, credentials={"gcp_credentials": json.dumps(account)})
    order = {"filename": "x", "content_base64": "eA==", "content_type": "a/b"}
    status, told = waited(proxy, clock, 60, silent.until_asked, lambda: proxy.call("file_manager:upload", order))
    assert status == 502 and told["error"].startswith("Upload failed: "), told


def test_mcp_servers_on_standard_streams_have_five_minutes(gateway, tmp_path, clock):
    note = tmp_path / "note"
    script(tmp_path / "ati", "local")
    proxy = gateway({})
    os.mkfifo(note)
    kept = []

    def begun():
        """The server reads what says nothing."""
        kept.append(open(note, "wb", buffering=0))

    status, told = waited(proxy, clock, 300, begun, lambda: proxy.call("local:steered", {"pipe": str(note)}))
    kept[0].close()
    assert status == 502 and re.fullmatch(r"MCP error: MCP transport error: \[local\] no answer within 3\d\d s", told["error"]), told
