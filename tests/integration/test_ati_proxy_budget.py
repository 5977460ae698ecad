"""What all calls hold together: bytes, and programs that run."""

import contextlib
import http.client
import json
import os
import socket
import sys
import threading

import pytest

from harness import metrics
from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually, free_port

MIB = 1 << 20
BUSY = "the gateway holds as much as it may for calls that run; try again when some have ended"
MANY = "as many programs run as may; try again when others have ended"
TOOLS = """
[provider]
name = "up"
description = "d"
base_url = "{url}"

[[tools]]
name = "up:wait"
description = "answers with the length of what it was sent, when it is told to"
endpoint = "/wait"
method = "POST"

[[tools]]
name = "up:large"
description = "answers with much"
endpoint = "/large"
"""
PROGRAMS = """
[provider]
name = "{name}"
description = "d"
handler = "cli"
cli_command = "{command}"
cli_default_args = {words}
"""
SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {}}
    elif message.get("method") == "tools/list":
        result = {"tools": [{"name": "say", "inputSchema": {}}]}
    elif message.get("method") == "tools/call":
        result = {"content": [{"type": "text", "text": "x" * message["params"]["arguments"]["bytes"]}]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


class Place:
    """A gateway with little room, and an upstream that holds answers back until it is let go."""

    def __init__(self, path, stack, *words, **environ):
        self.let_go = threading.Event()
        self.up = stack.enter_context(Upstream(self.answer))
        folder = Folder(path, {"up": TOOLS.format(url=self.up.url), "small": self.program("small", "echo", ["few"]),
                               "much": self.program("much", sys.executable, ["-c", f"print('y' * {16 * MIB})"])})
        (path / "server.py").write_text(SERVER)
        folder.manifest("mcp", f'[provider]\nname = "mcp"\ndescription = "d"\nhandler = "mcp"\nmcp_command = "{sys.executable}"\n'
                               f'mcp_args = ["{path}/server.py"]\n')
        self.metrics_port = free_port()
        self.proxy = stack.enter_context(Proxy(folder, "--metrics-listen", f"127.0.0.1:{self.metrics_port}", *words, **environ))
        stack.callback(self.let_go.set)

    @staticmethod
    def program(name, command, words):
        return PROGRAMS.format(name=name, command=command, words=json.dumps(words))

    def answer(self, request):
        if request["path"].startswith("/large"):
            return 200, {}, json.dumps("z" * 16 * MIB).encode()
        self.let_go.wait(PATIENCE)
        return 200, {}, json.dumps(len(request["body"])).encode()

    def page(self):
        return metrics.parse(self.proxy.ask("GET", "/metrics", port=self.metrics_port)[2].decode())

    def total(self, name, **labels):
        return self.page().total(name, **labels)

    def free(self):
        eventually(lambda: self.total("ati_call_memory_bytes") == 0, "nothing is held")

    def ask(self, tool, **args):
        status, headers, body = self.proxy.ask("POST", "/call", {"tool_name": tool, "args": args})
        return status, headers, json.loads(body)

    def busy(self, tool, text, **args):
        status, headers, answer = self.ask(tool, **args)
        assert (status, headers["Retry-After"]) == (503, "1"), answer
        assert answer["result"] is None and answer["error"].endswith(text), answer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Place(tmp_path_factory.mktemp("budget"), stack, "--max-call-memory", "8MiB")


class Holding:
    """Calls that wait at the upstream with a body each, as many as there is room for."""

    def __init__(self, place):
        self.place, self.answers, self.threads, before = place, [], [], len(place.up.asked)
        while place.ask("small")[0] == 200:
            assert len(self.threads) < 20
            self.threads.append(threading.Thread(target=lambda: self.answers.append(place.ask("up:wait", n="n" * (MIB // 2)))))
            self.threads[-1].start()
            place.up.until_asked(before + len(self.threads))

    def end(self):
        self.place.let_go.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.place.let_go.clear()
        assert [(status, answer["result"] > MIB // 2) for status, _, answer in self.answers] == [(200, True)] * len(self.threads)
        self.place.free()


def test_nothing_begins_while_others_hold_it_all_and_they_lose_nothing(place):
    holding = Holding(place)
    assert len(holding.threads) >= 1
    place.busy("small", BUSY)
    status, headers, body = place.proxy.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert (status, headers["Retry-After"], headers["Content-Type"]) == (503, "1", "application/json")
    assert json.loads(body) == {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": BUSY}}
    status, headers, body = place.proxy.ask("POST", "/help", {"query": "x"})
    assert (status, headers["Retry-After"], json.loads(body)) == (503, "1", {"error": BUSY})
    for path in ("/health", "/tools"):
        assert place.proxy.ask("GET", path)[0] == 200
    page = place.page()
    assert not page.faults
    assert 6 * MIB < page.total("ati_call_memory_bytes") <= page.total("ati_call_memory_max_bytes") == 8 * MIB
    assert page.total("ati_refusals_total", reason="memory") >= 4
    holding.end()
    assert place.ask("small")[2] == {"result": "few"}


def test_a_body_that_finds_no_room_is_refused_alone(place):
    """It was let in while there was room, and is read no further when there is none."""
    sock = socket.create_connection(("127.0.0.1", place.proxy.port), PATIENCE)
    sock.settimeout(PATIENCE)
    sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    eventually(lambda: place.total("ati_requests_underway") >= 1, "the request")
    holding = Holding(place)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        for _ in range(8 * 16):
            sock.sendall(chunk)
    except OSError:
        pass  # it is not listened to any more
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.read()) == {"result": None, "error": BUSY}
    sock.close()
    holding.end()


def begun(proxy, length, sent=b"", *fields):
    """A call of which no more has come than that."""
    sock = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    sock.settimeout(PATIENCE)
    head = "\r\n".join(["POST /call HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *fields])
    with contextlib.suppress(OSError):  # it may not be listened to
        sock.sendall(head.encode() + b"\r\n\r\n" + sent)
    return sock


def told(sock):
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    with contextlib.closing(sock):
        return answer.status, answer.headers["Retry-After"], json.loads(answer.read())["error"]


SHARE = 8 * MIB // 3  # of a little room; of 16 MiB and more it is a quarter


def test_a_body_that_would_never_fit_is_told_so(place, tmp_path):
    """Whoever sends it."""
    never = (400, None, "Failed to read request body: length limit exceeded")
    assert told(begun(place.proxy, SHARE + 1)) == never
    folder = Folder(tmp_path, ATI_JWT_SECRET=SECRET)
    with Proxy(folder, "--max-call-memory", "8MiB") as proxy:
        for scope in ("tool:up:*", "tool:file_manager:upload"):
            assert told(begun(proxy, SHARE + 1, b"", f"Authorization: Bearer {folder.token(scope)}")) == never


def test_the_largest_body_fits(place):
    around = len(json.dumps({"tool_name": "up:wait", "args": {"n": ""}}))
    place.let_go.set()
    status, _, answer = place.ask("up:wait", n="n" * (SHARE - around))
    assert status == 200 and answer["result"] > SHARE - 100
    place.let_go.clear()
    place.free()


@pytest.mark.parametrize("path", ["/call", "/mcp", "/help"])
def test_json_that_would_never_fit_is_told_so(place, path):
    """Two bytes of it are a value of many more."""
    body = b"[" + b"0," * MIB + b"0]"
    status, headers, answer = place.proxy.ask("POST", path, body, headers={"Content-Type": "application/json"})
    assert (status, headers["Retry-After"]) == (413, None)
    assert "the JSON of the request takes more memory than calls may have" in answer.decode()
    place.free()


def test_who_sends_bodies_and_does_not_end_them_has_a_share(tmp_path, stack):
    """Whatever the token is good for: that is not known before the body is read."""
    place = Place(tmp_path, stack, "--max-call-memory", "16MiB", ATI_JWT_SECRET=SECRET)
    folder = place.proxy.folder
    good, bad = folder.token("*"), folder.token("tool:nothing", sub="other")
    socks = [begun(place.proxy, 3 * MIB, b" " * (3 * MIB - 1), f"Authorization: Bearer {bad}")]
    eventually(lambda: place.total("ati_call_memory_bytes") == 3 * MIB, "it is held")
    for _ in range(4):
        assert told(begun(place.proxy, 3 * MIB, b" " * (3 * MIB - 1), f"Authorization: Bearer {bad}")) == (503, "1", BUSY)
        assert place.proxy.call("small", token=good) == (200, {"result": "few"})
    assert told(begun(place.proxy, 4 * MIB + 1, b"", f"Authorization: Bearer {bad}"))[:2] == (400, None)
    assert place.total("ati_refusals_total", reason="memory") == 4
    assert place.total("ati_call_memory_bytes") == 3 * MIB
    socks[0].sendall(b" ")
    assert told(socks[0])[0] == 422  # it is read, and nonsense
    socks = [begun(place.proxy, 3 * MIB, b" " * MIB, f"Authorization: Bearer {bad}")]
    eventually(lambda: place.total("ati_call_memory_bytes") > 0, "there is room again")
    socks[0].close()
    place.free()


def test_whoever_has_no_token_has_the_share_of_an_address(place):
    first = begun(place.proxy, 2 * MIB, b" " * (2 * MIB - 1))
    eventually(lambda: place.total("ati_call_memory_bytes") == 2 * MIB, "it is held")
    assert told(begun(place.proxy, 2 * MIB, b" " * (2 * MIB - 1))) == (503, "1", BUSY)
    first.close()
    place.free()


@pytest.mark.parametrize(("tool", "args"), [("up:large", {}), ("much", {}), ("mcp:say", {"bytes": 16 * MIB})])
def test_a_result_that_finds_no_room_ends_its_call_alone(place, tool, args):
    """And nobody is told to do it again: it was carried out."""
    text = "no memory was left for the result; the call was carried out all the same"
    status, headers, answer = place.ask(tool, **args)
    assert (status, headers["Retry-After"], answer["result"]) == (502, None, None) and answer["error"].endswith(text), answer
    place.free()
    assert place.ask("mcp:say", bytes=3)[2] == {"result": "xxx"}
    told = place.proxy.rpc("tools/call", {"name": tool, "arguments": args})["result"]
    assert told["isError"] is True and told["content"][0]["text"].endswith(text)
    place.free()


def held(place, path):
    """A program that waits for a line, and for nothing else."""
    place.proxy.folder.manifest("held", place.program("held", "sh", ["-c", f"trap '' TERM; : >{path}/began; cat {path}/gate"]))
    place.proxy.reload()
    place.proxy.log("reloaded")
    place.proxy.log("discovered MCP tools")


def test_programs_are_counted_until_they_have_ended(tmp_path, stack):
    os.mkfifo(tmp_path / "gate")
    place = Place(tmp_path, stack, "--max-children", "1")
    held(place, tmp_path)
    assert place.total("ati_children_max") == 1
    assert place.total("ati_children") == 1  # the MCP server, which goes when others need its place
    answers = []
    thread = threading.Thread(target=lambda: answers.append(place.ask("held")))
    thread.start()
    eventually((tmp_path / "began").exists, "it runs")
    place.busy("small", "echo: " + MANY)
    assert place.proxy.rpc("tools/call", {"name": "small"})["result"]["content"][0]["text"].endswith(MANY)
    place.busy("mcp:say", MANY, bytes=3)
    with open(tmp_path / "gate", "w", encoding="ascii") as gate:
        gate.write("held\n")
    thread.join(PATIENCE)
    assert [(status, answer) for status, _, answer in answers] == [(200, {"result": "held"})]
    assert place.ask("small")[2] == {"result": "few"}
    assert place.ask("mcp:say", bytes=3)[2] == {"result": "xxx"}


GENERATED = """
[provider]
name = "generated"
description = "d"
base_url = "{url}"
auth_type = "bearer"
[provider.auth_generator]
type = "command"
command = "echo"
args = ["token-12345678"]
[[tools]]
name = "generated:wait"
description = "d"
endpoint = "/wait"
"""


def test_idle_mcp_servers_make_room(tmp_path, stack):
    """One place for three servers, programs and a generator, one after the other: the start, too."""
    folder = Folder(tmp_path)
    for name in ("second", "third"):
        folder.manifest(name, f'[provider]\nname = "{name}"\ndescription = "d"\nhandler = "mcp"\nmcp_command = "{sys.executable}"\n'
                              f'mcp_args = ["{tmp_path}/server.py"]\n')
    folder.manifest("generated", GENERATED.format(url=stack.enter_context(Upstream(lambda _: (200, {}, b"1"))).url))
    place = Place(tmp_path, stack, "--max-children", "1")
    for _ in range(2):
        for name in ("mcp", "second", "third"):
            assert place.ask(f"{name}:say", bytes=3)[2] == {"result": "xxx"}
            assert place.ask("small")[2] == {"result": "few"}
            assert place.ask(f"{name}:say", bytes=3)[2] == {"result": "xxx"}
            assert place.ask("generated:wait")[0] == 200
        assert place.total("ati_children") <= 1


def test_a_generator_without_a_place_says_that_and_nothing_of_keys(tmp_path, stack):
    os.mkfifo(tmp_path / "gate")
    place = Place(tmp_path, stack, "--max-children", "1")
    place.proxy.folder.manifest("generated", GENERATED.format(url=place.up.url))
    held(place, tmp_path)
    thread = threading.Thread(target=lambda: place.ask("held"))
    thread.start()
    eventually((tmp_path / "began").exists, "it runs")
    status, headers, answer = place.ask("generated:wait")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert answer["error"] == "Upstream API error: Failed to spawn generator process: echo: " + MANY
    with open(tmp_path / "gate", "w", encoding="ascii") as gate:
        gate.write("held\n")
    thread.join(PATIENCE)


@pytest.mark.patient
def test_a_program_that_does_not_go_when_it_is_asked_to_keeps_its_place(tmp_path, stack):
    os.mkfifo(tmp_path / "gate")
    place = Place(tmp_path, stack, "--max-children", "1")
    held(place, tmp_path)
    sock = socket.create_connection(("127.0.0.1", place.proxy.port), PATIENCE)
    sock.sendall(b'POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"tool_name":"held"}')
    eventually((tmp_path / "began").exists, "it runs")
    sock.close()
    eventually(lambda: place.total("ati_calls_underway") == 0, "its caller has left")
    place.busy("small", MANY)  # it does not end when it is asked to
    eventually(lambda: place.total("ati_children") == 0, "it is killed")
    assert place.ask("small")[2] == {"result": "few"}


def test_the_environment_says_it_too_and_flags_count_more(tmp_path, stack):
    place = Place(tmp_path, stack, "--max-children", "7", ATI_MAX_CALL_MEMORY="10MiB", ATI_MAX_CHILDREN="9")
    assert (place.total("ati_call_memory_max_bytes"), place.total("ati_children_max")) == (10 * MIB, 7)


def test_what_the_machine_has_is_the_default(tmp_path, stack):
    place = Place(tmp_path, stack)
    with open("/proc/meminfo", encoding="ascii") as file:
        total = int(file.readline().split()[1]) * 1024
    assert 64 * MIB <= place.total("ati_call_memory_max_bytes") <= max(64 * MIB, total / 2)
    assert 16 <= place.total("ati_children_max") <= 1024


@pytest.mark.parametrize(("name", "value", "text"), [
    ("ATI_MAX_CALL_MEMORY", "much", "ATI_MAX_CALL_MEMORY: --max-call-memory: "),
    ("ATI_MAX_CHILDREN", "-1", "ATI_MAX_CHILDREN: --max-children: "),
])
def test_values_that_cannot_be_meant_stop_the_start(tmp_path, name, value, text):
    done = Folder(tmp_path).run("proxy", "--port", "0", **{name: value})
    assert done.returncode == 2 and text in done.stderr
