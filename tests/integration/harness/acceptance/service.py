"""The simulator's PCCS with something in front of it: it counts, and can lie, hang and be down. What it passes on is passed on as it is."""

import contextlib
import http.client
import http.server
import threading

from ..base import PATIENCE

HOP = ("content-length", "connection", "transfer-encoding", "date", "server")


def flip(body):
    """One place, late: in the signature of a document, which is hex, or in that of a CRL."""
    at = len(body) - 10
    return body[:at] + bytes([body[at] ^ 1 if body[0] != ord("{") else ord("1" if body[at] == ord("0") else "0")]) + body[at + 1:]


LIES = {
    "flip": lambda status, fields, body: (status, fields, flip(body)),
    "flip-early": lambda status, fields, body: (status, fields, body[:100] + bytes([body[100] ^ 1]) + body[101:]),
    "cut": lambda status, fields, body: (status, fields, body[:len(body) // 2]),
    "empty": lambda status, fields, body: (status, fields, b""),
    "words": lambda status, fields, body: (status, fields, b"<html>sign in to the hotel's network</html>"),
    "spaced": lambda status, fields, body: (status, fields, body.replace(b'":', b'": ')),
    "no-chain": lambda status, fields, body: (status, {k: v for k, v in fields.items() if not k.endswith("Issuer-Chain")}, body),
    "flip-chain": lambda status, fields, body: (status, {k: v[:400] + ("B" if v[400] == "A" else "A") + v[401:] if k.endswith("Issuer-Chain") else v
                                                         for k, v in fields.items()}, body),
    "no-cors": lambda status, fields, body: (status, {k: v for k, v in fields.items() if not k.startswith("Access-Control")}, body),
    "404": lambda status, fields, body: (404, fields, b"no such platform"),
    "503": lambda status, fields, body: (503, fields, b"busy"),
    "redirect": lambda status, fields, body: (302, fields | {"Location": "https://elsewhere.test/"}, b""),
    "huge": lambda status, fields, body: (status, fields, body + b" " * (9 << 20)),
}


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            server = self.server
            with server.news:
                server.asked.append({"path": self.path, "origin": self.headers.get("Origin")})
                server.news.notify_all()
                held = server.news.wait_for(lambda: not server.held, PATIENCE * 3)
                lies = [LIES[lie] for part, lie in server.lies if part in self.path]
            if not held or server.down:
                self.close_connection = True
                return
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.real, timeout=PATIENCE)) as behind:
                behind.request("GET", self.path)
                answer = behind.getresponse()
                status, fields, body = answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in HOP}, answer.read()
            for lie in lies:
                status, fields, body = lie(status, fields, body)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    def __init__(self, real):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.real, self.news = real, threading.Condition()
        self.reset()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients go as they like here

    def reset(self):
        with self.news:
            self.asked, self.lies, self.down, self.held = [], [], False, False
            self.news.notify_all()

    def wait(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.asked) >= count, PATIENCE), self.asked
            return list(self.asked)

    def close(self):
        self.reset()
        self.shutdown()
        self.server_close()
