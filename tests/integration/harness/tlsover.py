"""TLS 1.3 through a byte channel of ours: what a page does inside the tunnel."""

import ssl

from .wire import BINARY, Client


class TlsThrough:
    """A TLS client session whose records travel as WebSocket messages."""

    def __init__(self, client: Client, cafile, server_name="localhost", chunk=None):
        self.client, self.chunk = client, chunk
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(cafile))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)
        self._drive(self.tls.do_handshake)

    def _flush(self):
        raw = self.outgoing.read()
        step = self.chunk or len(raw) or 1
        for at in range(0, len(raw), step):
            self.client.send_data(raw[at:at + step])

    def _drive(self, operation, *args):
        while True:
            try:
                result = operation(*args)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                got = self.client.frame()
                if got.opcode == BINARY:
                    self.incoming.write(got.payload)
                elif got.opcode == 8:
                    self.incoming.write_eof()

    def send(self, data):
        while data:
            data = data[self._drive(self.tls.write, data):]

    def recv(self, most=65536):
        try:
            return self._drive(self.tls.read, most)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def until(self, mark):
        got = b""
        while mark not in got:
            piece = self.recv()
            assert piece, f"the end came before {mark!r}: {got[-100:]!r}"
            got += piece
        return got

    def read_all(self):
        parts = []
        while piece := self.recv():
            parts.append(piece)
        return b"".join(parts)
