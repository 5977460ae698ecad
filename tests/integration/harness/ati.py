"""The gateway: an ATI directory, `ati` in it, and `ati proxy` on a free port; and an upstream that tells what it was asked."""

import contextlib
import http.client
import http.server
import json
import os
import queue
import re
import signal
import subprocess
import threading

from harness.base import BIN, PATIENCE, Late, eventually

ATI = BIN / "ati"
SECRET = "5e" * 32  # of HS256


def environment(folder, more=None):
    """Nothing of ours but what finds programs; sanitizers are told as everywhere."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR") or name.endswith("SAN_OPTIONS")}
    return {**kept, "HOME": str(folder), "ATI_DIR": str(folder), **(more or {})}


class Folder:
    """An ATI directory."""

    def __init__(self, path, manifests=None, credentials=None, **environ):
        self.path, self.environ = path, environ
        (path / "manifests").mkdir(parents=True, exist_ok=True)
        for name, text in (manifests or {}).items():
            self.manifest(name, text)
        if credentials is not None:
            self.credentials(credentials)

    def manifest(self, name, text):
        (self.path / "manifests" / f"{name}.toml").write_text(text)

    def credentials(self, entries):
        file = self.path / "credentials"
        file.write_text(json.dumps(entries))
        file.chmod(0o600)

    def run(self, *words, timeout=PATIENCE, **environ):
        """`ati words…`: the finished process, with text."""
        return subprocess.run([ATI, *map(str, words)], env=environment(self.path, {**self.environ, **environ}), capture_output=True,
                              text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)

    def token(self, scope, *words, secret=SECRET, sub="agent-7"):
        done = self.run("token", "issue", "--sub", sub, "--scope", scope, "--secret", secret, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class Proxy:
    """`ati proxy` of a folder; its log is read line by line. begun: called with it before its start-up line is waited for."""

    def __init__(self, folder, *words, begun=None, **environ):
        self.folder, self.lines, self.seen = folder, queue.Queue(), []
        self.process = subprocess.Popen([ATI, "proxy", "--port", "0", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment(folder.path, {**folder.environ, **environ}))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            if begun:
                begun(self)
            self.start = self.log("ATI proxy server starting")
        except Exception as fault:
            self.kill()
            raise AssertionError(f"ati proxy did not start: {fault}\n" + "\n".join(self.seen)) from fault
        self.port = int(self.start["addr"].rsplit(":", 1)[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self):
        for line in self.process.stderr:
            self.seen.append(line.rstrip("\n"))
            self.lines.put(line)
        self.lines.put(None)

    def log(self, message):
        """The next line of the log with this message, as its fields."""
        while True:
            try:
                line = self.lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise Late(f"no line of the log says {message!r}") from None
            if line is None:
                self.lines.put(None)
                raise Late(f"the log ended before it said {message!r}")
            with contextlib.suppress(ValueError):
                fields = json.loads(line)
                if fields.get("message") == message:
                    return fields

    def ask(self, method, path, body=None, token=None, headers=None, port=None):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            fields = dict(headers or {})
            if token:
                fields.setdefault("Authorization", f"Bearer {token}")
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                fields.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def call(self, tool, args=None, token=None, **more):
        """(status, answer) of POST /call."""
        status, _, body = self.ask("POST", "/call", {"tool_name": tool, "args": args or {}, **more}, token)
        return status, json.loads(body)

    def rpc(self, method, params=None, token=None, number=1):
        """The answer of POST /mcp to one request."""
        message = {"jsonrpc": "2.0", "id": number, "method": method, **({} if params is None else {"params": params})}
        status, _, body = self.ask("POST", "/mcp", message, token, {"Accept": "application/json, text/event-stream"})
        assert status == 200, (status, body)
        return json.loads(body)

    def audit(self):
        path = self.folder.path / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def close(self):
        """SIGTERM, a drain, exit status 0, and no sanitizer's report."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE * 3)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.reader.join(PATIENCE)
        reports = [line for line in self.seen if re.search(r"Sanitizer|runtime error", line)]
        assert not reports, "\n".join(line for line in self.seen[-400:] if not line.startswith("{"))
        assert status == 0, f"{status}\n" + "\n".join(line for line in self.seen[-400:] if not line.startswith("{") or "\"INFO\"" not in line)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
            print("\n".join(self.seen[-100:]))
        else:
            self.close()


class Upstream(http.server.ThreadingHTTPServer):
    """Somebody's API: answers every request with what it was asked, or by answer(request) → (status, fields, body)."""

    daemon_threads = True
    request_queue_size = 256

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = {"method": self.command, "path": self.path, "headers": self.headers, "body": body}
            self.server.asked.append(request)
            status, fields, answer = self.server.answer(request)
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve

    def __init__(self, answer=None, host="127.0.0.1", port=0):
        super().__init__((host, port), Upstream.Handler)
        self.asked, self.answer = [], answer or self.echo
        self.url = f"http://{host}:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)  # a poll ends it
        self.thread.start()

    @staticmethod
    def echo(request):
        headers = {name.lower(): value for name, value in request["headers"].items()}
        told = {"method": request["method"], "path": request["path"], "headers": headers, "body": request["body"].decode("latin-1")}
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    def handle_error(self, request, client_address):
        pass  # clients go as they like here

    def until_asked(self, count):
        eventually(lambda: len(self.asked) >= count, f"{count} requests at the upstream")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.thread.join(PATIENCE)
