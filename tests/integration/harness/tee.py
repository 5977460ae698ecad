"""A TEE endpoint that is none of ours but for its quotes: Python's TLS, and the exporter value computed from its key log."""

import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import struct
import subprocess
import threading

from harness.base import BIN

LABEL = b"EXPORTER-Channel-Binding"


def expand(secret, label, context, length, algorithm):
    """HKDF-Expand-Label (RFC 8446, 7.1)."""
    label = b"tls13 " + label
    info = struct.pack(">HB", length, len(label)) + label + bytes([len(context)]) + context
    whole, block, n = b"", b"", 1
    while len(whole) < length:
        block = hmac.new(secret, block + info + bytes([n]), algorithm).digest()
        whole += block
        n += 1
    return whole[:length]


def exporter(secret, algorithm):
    """32 bytes for LABEL without a context (RFC 8446, 7.5; RFC 9266)."""
    nothing = hashlib.new(algorithm, b"").digest()
    return expand(expand(secret, LABEL, nothing, len(nothing), algorithm), b"exporter", nothing, 32, algorithm)


class Connection:
    """One client. Requests are read whole; what to answer is the test's."""

    def __init__(self, tee, tls):
        self.tee, self.tls, self.rest = tee, tls, b""
        line = [line for line in tee.keylog.read_text().splitlines() if line.startswith("EXPORTER_SECRET ")][-1]
        self.secret = bytes.fromhex(line.split()[2])
        self.exporter = exporter(self.secret, "sha384" if tls.cipher()[0].endswith("SHA384") else "sha256")

    def request(self):
        """(request line, body), or None at the end."""
        while b"\r\n\r\n" not in self.rest:
            piece = self.tls.recv(65536)
            if not piece:
                return None
            self.rest += piece
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while lengths and len(self.rest) < lengths[0]:
            self.rest += self.tls.recv(65536)
        body, self.rest = (self.rest[:lengths[0]], self.rest[lengths[0]:]) if lengths else (b"", self.rest)
        return head.split(b"\r\n")[0].decode(), body

    def answer(self, body, *fields, status="200 OK"):
        head = "".join(f"{field}\r\n" for field in fields)
        self.tls.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body)

    def report_data(self, body):
        """What the quote for a request with that body must carry."""
        return hashlib.sha512(bytes.fromhex(json.loads(body)["nonce_hex"]) + self.exporter).hexdigest()

    def quote(self, body):
        """The protocol's answer to it."""
        made = self.tee.make_quote(self.report_data(body))
        self.answer(json.dumps({"success": True, "quote": made, "tcb_info": None, "timestamp": "1", "quote_type": "tdx", "error": None,
                                "collateral": self.tee.collateral}).encode())


class Tee:
    """serve(connection) runs for each client, one behind the other; it is told of quotes like of any request."""

    def __init__(self, sim, folder, serve):
        self.sim, self.serve, self.connections = sim, serve, []
        self.keylog = folder / "tee-keys.log"
        self.collateral = json.loads((sim / "collateral.json").read_text())
        pem = (sim / "tls-cert.pem").read_text()
        self.leaf = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[:pem.index("-----END") + 26])).hexdigest()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(sim / "tls-cert.pem", sim / "tls-key.pem")
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.keylog_filename = str(self.keylog)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def make_quote(self, report_data):
        done = subprocess.run([BIN / "atlas-sim", "quote", self.sim, "--json", "--report-data", report_data, "--certificate-sha256", self.leaf],
                              capture_output=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                tcp, _ = self.listener.accept()
                with contextlib.suppress(OSError), tcp, self.context.wrap_socket(tcp, server_side=True) as tls:
                    one = Connection(self, tls)
                    self.connections.append(one)
                    self.serve(one)
                    tls.unwrap()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
