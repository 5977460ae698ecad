"""A caller of MCP servers (mcp-ask), and servers to be called: a script on standard streams, and one over HTTP that tells what it was asked."""

import http.server
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading

from harness.base import PATIENCE, ROOT, TOOLS, Late

SCRIPT = pathlib.Path(__file__).with_name("mcp_script.py")
MODULES = ROOT / "tests/mcp/node_modules"
SECRET = "5up3r-s3cr3t/with+signs"  # of ATI_KEY_MY_KEY

# An API behind a key, as a manifest: with a tool that fails, one that is slow, and one for others.
SHOP = """
[provider]
name = "shop"
description = "a shop"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "shop_key"

[[tools]]
name = "shop:list"
description = "what there is"
endpoint = "/list"
[tools.input_schema]
type = "object"
required = ["kind"]
[tools.input_schema.properties.kind]
type = "string"

[[tools]]
name = "shop:fail"
description = "is out of order"
endpoint = "/fail"

[[tools]]
name = "shop:slow"
description = "takes its time"
endpoint = "/slow"

[[tools]]
name = "shop:secret"
description = "for others"
endpoint = "/secret"
scope = "admin:shop"
"""


def quoted(value):
    """As TOML wants texts, lists of them and tables of them."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {json.dumps(text)}" for name, text in value.items()) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)


def manifest(folder, name, **fields):
    """An MCP provider. Fields as in [provider]."""
    lines = [f"{field} = {quoted(value)}" for field, value in {"name": name, "description": name, "handler": "mcp", **fields}.items()]
    (folder / "manifests").mkdir(parents=True, exist_ok=True)
    (folder / "manifests" / f"{name}.toml").write_text("[provider]\n" + "\n".join(lines) + "\n")


def script(folder, name="script", mode="good", **fields):
    """A provider whose server is mcp_script.py; its starts are counted in a file."""
    manifest(folder, name, mcp_command=sys.executable, mcp_args=[str(SCRIPT), mode, str(folder / f"{name}.starts")], **fields)


def starts(folder, name="script"):
    file = folder / f"{name}.starts"
    return file.read_text().split() if file.exists() else []


class Ask:
    """mcp-ask of a folder. ask(…) returns the answer, begin(…) the id for wait(id)."""

    def __init__(self, folder, *words, **environ):
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or name.endswith("SAN_OPTIONS")}
        self.answers, self.arrived, self.log, self.last = {}, threading.Condition(), [], 0
        self.process = subprocess.Popen([TOOLS / "mcp-ask", *words, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={**kept, "HOME": str(folder), "OTHER": "unseen", **environ})
        self.readers = [threading.Thread(target=read, daemon=True) for read in (self._answers, self._log)]
        for reader in self.readers:
            reader.start()

    def _answers(self):
        for line in self.process.stdout:
            answer = {**json.loads(line), "line": line}
            with self.arrived:
                self.answers[answer["id"]] = answer
                self.arrived.notify_all()
        with self.arrived:
            self.answers[None] = True
            self.arrived.notify_all()

    def _log(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip("\n"))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def begin(self, command, *words):
        self.last += 1
        self.tell(" ".join([command, str(self.last), *words]))
        return str(self.last)

    def wait(self, number, timeout=PATIENCE * 2):
        with self.arrived:
            if not self.arrived.wait_for(lambda: number in self.answers or None in self.answers, timeout) or number not in self.answers:
                raise Late(f"no answer to {number}; the log:\n" + "\n".join(self.log[-30:]))
            return self.answers.pop(number)

    def list(self, provider="script"):
        return self.wait(self.begin("list", provider))

    def start(self, tool, arguments=None, provider="script"):
        return self.begin("call", provider, tool, json.dumps(arguments or {}))

    def call(self, tool, arguments=None, provider="script"):
        return self.wait(self.start(tool, arguments, provider))

    def call_with(self, token, tool, arguments=None, provider="script"):
        return self.wait(self.begin("call+", provider, token, tool, json.dumps(arguments or {})))

    def value(self, tool, arguments=None, provider="script"):
        answer = self.call(tool, arguments, provider)
        assert not answer["failed"], answer
        return answer["value"]

    def error(self, tool, arguments=None, provider="script"):
        answer = self.call(tool, arguments, provider)
        assert answer["failed"], answer
        return answer["error"]

    def close(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for reader in self.readers:
            reader.join(PATIENCE)
        assert not [line for line in self.log if re.search(r"Sanitizer|runtime error", line)], "\n".join(self.log[-100:])
        assert status == 0, "\n".join(self.log[-50:])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
            self.process.wait()
            print("\n".join(self.log[-60:]))
        else:
            self.close()


class Server(http.server.ThreadingHTTPServer):
    """Streamable HTTP, told how to behave by attributes. asked: every request, as a dict.

    answer(exchange, message) may write the whole answer itself and return None, or return (status, fields, body).
    """

    daemon_threads = True
    request_queue_size = 128

    class Exchange(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, *_):
            pass

        def read(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = {"method": self.command, "path": self.path, "headers": headers, "message": json.loads(body) if body else None,
                     "connection": self.client_address}
            self.server.asked.append(asked)
            self.server.news.put(asked)
            return asked

        def send(self, status, fields, body):
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            if "Transfer-Encoding" not in fields:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def chunk(self, data):
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def stream(self, *pieces, end=True):
            """An event stream of these pieces, each a chunk."""
            self.send(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **self.server.session_field(self)}, b"")
            for data in pieces:
                self.chunk(data)
            if end:
                self.wfile.write(b"0\r\n\r\n")

        def serve(self):
            asked = self.read()
            answer = self.server.answer(self, asked["message"]) if asked["method"] == "POST" else self.server.other(self, asked)
            if answer is not None:
                self.send(*answer)

        do_GET = do_POST = do_DELETE = serve

    def __init__(self, call=None):
        super().__init__(("127.0.0.1", 0), Server.Exchange)
        self.asked, self.news, self.session, self.version = [], queue.Queue(), "session-1", None
        self.sessions = set()
        self.call = call or (lambda exchange, message: self.json({"content": [{"type": "text", "text": "done"}]}, message))
        self.url = f"http://127.0.0.1:{self.server_port}/mcp"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)  # a poll ends it
        self.thread.start()

    def session_field(self, exchange):
        new = self.session and "mcp-session-id" not in {name.lower() for name in exchange.headers}
        return {"Mcp-Session-Id": self.session} if new else {}

    @staticmethod
    def body(result, message):
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()

    def json(self, result, message):
        return 200, {"Content-Type": "application/json"}, self.body(result, message)

    def event(self, result, message):
        return b"event: message\ndata: " + self.body(result, message) + b"\n\n"

    def hello(self, exchange, message):
        self.sessions.add(self.session)
        found = {"protocolVersion": self.version or message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {}}
        status, fields, body = self.json(found, message)
        return status, {**fields, **self.session_field(exchange)}, body

    def answer(self, exchange, message):
        if not isinstance(message, dict) or "id" not in message or "method" not in message:
            return 202, {}, b""
        if message["method"] == "initialize":
            return self.hello(exchange, message)
        session = exchange.headers.get("Mcp-Session-Id")
        if self.session and session not in self.sessions:
            return self.forgotten(message)
        if message["method"] == "tools/list":
            return self.json({"tools": [{"name": "t", "inputSchema": {}}]}, message)
        return self.call(exchange, message)

    @staticmethod
    def forgotten(message):
        return 404, {"Content-Type": "application/json"}, json.dumps(
            {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}}).encode()

    @staticmethod
    def other(exchange, asked):
        return (200 if asked["method"] == "DELETE" else 405), {}, b""

    def handle_error(self, request, client_address):
        pass  # clients go as they like here

    def messages(self, method=None):
        """The requests with messages, or those of one method."""
        return [asked for asked in self.asked if asked["message"] and (method is None or asked["message"].get("method") == method)]

    def until(self, wanted):
        """The next request that wanted(asked) is true of."""
        while True:
            try:
                asked = self.news.get(timeout=PATIENCE)
            except queue.Empty:
                raise Late("that was not asked") from None
            if wanted(asked):
                return asked

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.thread.join(PATIENCE)
