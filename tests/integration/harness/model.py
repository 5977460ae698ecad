"""A model behind OpenAI's interface that says its next word when the test lets it."""

import http.server
import json
import threading

from .base import PATIENCE

NAME = "model-under-test"


class Model(http.server.ThreadingHTTPServer):
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def chunk(self, data):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def event(self, value):
            self.chunk(b"data: " + (value if isinstance(value, str) else json.dumps(value)).encode() + b"\n\n")

        def delta(self, delta, reason=None):
            self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": NAME,
                        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append({"path": self.path, "headers": dict(self.headers), "body": body})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.delta({"role": "assistant", "content": ""})
            for word in self.server.words:
                if not self.server.go.acquire(timeout=PATIENCE * 3):
                    self.close_connection = True
                    return
                self.delta({"content": word})
            self.delta({}, "stop")
            self.event("[DONE]")
            self.chunk(b"")

    def __init__(self, *words):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.words, self.asked, self.go = words, [], threading.Semaphore(0)

    def handle_error(self, request, client_address):
        pass  # clients go as they like here

    def say(self):
        """The next word."""
        self.go.release()
