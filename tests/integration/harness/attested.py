"""A simulated machine, what runs on it, and what runs in front of it: for tests of the attested path."""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading

from .base import BIN, PATIENCE, TOOLS, eventually, free_port
from .bridge import SANITIZER_REPORTS


class Application(http.server.BaseHTTPRequestHandler):
    """What stands behind atlas-tee: it tells what came, digests what is posted, and streams."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while True:
            size = int(self.rfile.readline(), 16)
            whole += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return whole

    def answer(self, body, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/headers":
            self.answer(json.dumps(self.headers.items()).encode())
        elif self.path == "/until-close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"x" * 300000)
            self.close_connection = True
        elif self.path.startswith("/bytes/"):
            self.answer(b"y" * int(self.path[7:].partition("?")[0]))
        elif self.path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        else:
            self.answer(f"path {self.path}".encode())

    def do_POST(self):
        body = self.body()
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for word in ("one", "two", "three"):
                piece = f"data: {word}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
                if word == "one" and not self.server.go_on.wait(30):
                    return
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.answer(hashlib.sha256(body).hexdigest().encode())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Application)
        self.go_on = threading.Event()


class Program:
    """One of ours, until it is told to stop; its log must hold no sanitizer's report."""

    def __init__(self, log, *words, env=None):
        self.log, self.killed = log, False
        with open(log, "wb") as out:
            self.process = subprocess.Popen([str(w) for w in words], stdout=out, stderr=out,
                                            env={**os.environ, **(env or {})})

    def text(self):
        return pathlib.Path(self.log).read_text(encoding="utf-8", errors="replace")

    def events(self, name, **fields):
        """What its log has of an event by now."""
        seen = [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [e for e in seen if e.get("event") == name and all(e.get(k) == v for k, v in fields.items())]

    def wait(self, name, count=1, **fields):
        """The count-th event of that name whose fields are as given."""
        return eventually(lambda: self.events(name, **fields)[count - 1:count], f"event {name} {fields} of\n{self.text()}")[0]

    def hang_up(self, expect="reloaded", count=1):
        self.process.send_signal(signal.SIGHUP)
        return self.wait(expect, count)

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()

    def stop(self, expect=0):
        if self.killed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        text = self.text()
        assert not [r for r in SANITIZER_REPORTS if r in text], text
        assert status == expect, text


def listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Session:
    """One TLS connection to an endpoint, for requests one after the other."""

    def __init__(self, tls):
        self.tls = tls

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()

    def ask(self, method, path, *fields, body=None, version="HTTP/1.1"):
        """The answer: .status, .headers, .body."""
        fields = ["Host: localhost", *fields]
        if body is not None:
            fields.append(f"Content-Length: {len(body)}")
        self.tls.sendall("\r\n".join([f"{method} {path} {version}", *fields, "", ""]).encode() + (body or b""))
        return self.answer(method)

    def answer(self, method="GET"):
        answer = http.client.HTTPResponse(self.tls, method=method)
        answer.begin()
        answer.body = answer.read()
        return answer

    def quote(self, nonce="ab" * 32):
        return self.ask("POST", "/tdx_quote", "Content-Type: application/json", body=b'{"nonce_hex":"%s"}' % nonce.encode())

    def closed(self):
        """The server ends the connection, and says so."""
        return self.tls.recv(1) == b""


class Agent(http.server.ThreadingHTTPServer):
    """Stands between atlas-tee and the simulated guest agent, and holds calls back until they may go on."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            method = self.path[1:]
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with self.server.news:
                self.server.calls.append(method)
                self.server.bodies.append(body)
                self.server.news.notify_all()
                self.server.news.wait_for(lambda: method not in self.server.held, PATIENCE)
            status, answer = self.server.scripted.get(method) or self.server.pass_on(self.path, body)
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

    def __init__(self, path, real):
        """path: of its socket; None: it listens on 127.0.0.1."""
        self.address_family = socket.AF_UNIX if path else socket.AF_INET
        super().__init__(str(path) if path else ("127.0.0.1", 0), self.Handler)
        self.path, self.real = path, str(real)
        self.news = threading.Condition()
        self.calls, self.bodies, self.held, self.scripted = [], [], set(), {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def finish_request(self, request, client_address):
        self.RequestHandlerClass(request, ("agent", 0), self)

    def pass_on(self, path, body):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.real)
            sock.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            return answer.status, answer.read()

    def hold(self, *methods):
        with self.news:
            self.held |= set(methods)

    def release(self, *methods):
        with self.news:
            self.held -= set(methods)
            self.news.notify_all()

    def wait(self, method, count=1):
        """Until it has been called so often, held back or not."""
        with self.news:
            assert self.news.wait_for(lambda: self.calls.count(method) >= count, PATIENCE), self.calls

    def close(self):
        self.release(*self.held)
        self.shutdown()
        self.server_close()


class World:
    """A simulated machine with everything that runs on it and in front of it."""

    def __init__(self, folder, stack, server=None):
        self.folder, self.stack = folder, stack
        self.pccs, self.port = free_port(), free_port()
        self.sim = folder / "platform"
        self.run("atlas-sim", "init", self.sim, "--pccs-url", f"http://127.0.0.1:{self.pccs}")
        self.server = server or Server()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        stack.callback(self.server.shutdown)
        self.simulator = self.start("simulator", BIN / "atlas-sim", "serve", self.sim, "--listen", f"127.0.0.1:{self.pccs}")
        eventually(lambda: listening(self.pccs))
        self.tee = None

    def start(self, name, *words, env=None):
        program = Program(self.folder / f"{name}.log", *words, env=env)
        self.stack.callback(program.stop)
        return program

    def start_kernel(self):
        """A kernel of the same machine, for providers that have no guest agent; its folder."""
        folder = self.folder / "tsm"
        folder.mkdir()
        # Ends when its standard input does.
        kernel = subprocess.Popen([TOOLS / "tsm-kernel", self.sim, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def stop():
            kernel.communicate(timeout=30)
            assert kernel.returncode == 0

        self.stack.callback(stop)
        assert kernel.stdout.readline() == b"ready\n"
        return folder

    def start_tee(self, *options, port=None, env=None, files=True, provider=None):
        port = port or self.port
        pair = ("--cert", self.sim / "tls-cert.pem", "--key", self.sim / "tls-key.pem") if files else ()
        tee = self.start(f"tee-{port}", BIN / "atlas-tee", "--listen", f"127.0.0.1:{port}", "--upstream",
                         f"127.0.0.1:{self.server.server_port}", "--provider", provider or f"dstack:{self.sim}/dstack.sock",
                         "--pccs-url", f"http://127.0.0.1:{self.pccs}", *pair, *options, env=env)
        eventually(lambda: "atlas-tee listening" in tee.text() or tee.process.poll() is not None)
        assert tee.process.poll() is None, tee.text()
        self.tee = tee
        return tee

    def new_certificate(self):
        """Another certificate, by another authority, in the place of the first."""
        self.run("atlas-sim", "init", self.folder / "second")
        for name in ("tls-ca.pem", "tls-cert.pem", "tls-key.pem"):
            (self.folder / "second" / name).replace(self.sim / name)

    def run(self, program, *words, expect=0, data=None):
        done = subprocess.run([BIN / program, *[str(w) for w in words]], capture_output=True, timeout=60, input=data, check=False,
                              env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")})
        assert done.returncode == expect, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
        assert not [r for r in SANITIZER_REPORTS if r in done.stderr.decode(errors="replace")], done.stderr
        return done

    def atls(self, command, path, *words, policy="policy.json", **how):
        return self.run("atls", command, f"https://localhost:{self.port}{path}", "--policy", self.sim / policy, "--cacert",
                        self.sim / "tls-ca.pem", *words, **how)

    def session(self, port=None):
        context = ssl.create_default_context(cafile=self.sim / "tls-ca.pem")
        tcp = socket.create_connection(("127.0.0.1", port or self.port), PATIENCE)
        return Session(context.wrap_socket(tcp, server_hostname="localhost"))

    def https(self, request, port=None):
        """One request as bytes over plain TLS; everything that comes back."""
        with self.session(port) as session:
            session.tls.sendall(request)
            whole = b""
            with contextlib.suppress(ssl.SSLError):
                while piece := session.tls.recv(65536):
                    whole += piece
            return whole
