"""A DNS server that reads from a script."""

import collections
import ipaddress
import socket
import struct
import threading
import time

A, CNAME, AAAA = 1, 5, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5

Query = collections.namedtuple("Query", "name type over when")


class Reply:
    """What to say to one question."""

    def __init__(self, addresses=(), code=NOERROR, ttl=60, delay=0, silent=False, cname=None):
        self.addresses = [ipaddress.ip_address(a) for a in addresses]
        self.code = code
        self.ttl = ttl
        self.delay = delay
        self.silent = silent
        self.cname = cname


def addresses(*texts, **how):
    return Reply(texts, **how)


def _read_name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels), at + 1


def _write_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class Dns:
    """names: {"tee.test": Reply | [Reply, Reply, …] | callable(type) → Reply}; a list is used up to its last."""

    def __init__(self, names=None, host="127.0.0.1", port=0):
        self.names = dict(names or {})
        self.queries = []
        self.lock = threading.Lock()
        self.udp, self.tcp = self._pair(host, port)
        self.port = self.udp.getsockname()[1]
        self.host = host
        for body in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=body, daemon=True).start()

    @staticmethod
    def _pair(host, port):
        """UDP and TCP on one port."""
        for _ in range(50):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((host, port))
            tcp = socket.socket()
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                udp.close()
                tcp.close()
                continue
            tcp.listen(64)
            return udp, tcp
        raise OSError("no port that is free for both")

    @property
    def server(self):
        return f"{self.host}:{self.port}"

    def asked(self, name=None):
        with self.lock:
            return [q for q in self.queries if name is None or q.name == name]

    def _reply_for(self, name, kind):
        with self.lock:
            script = self.names.get(name)
            if callable(script):
                return script(kind)
            if isinstance(script, dict):
                script = script.get(kind, Reply())
            if isinstance(script, list):
                # One step of the script is one question of A; AAAA goes along with the present step.
                if kind == A and len(script) > 1:
                    return script.pop(0)
                script = script[0]
            return script or Reply(code=NXDOMAIN)

    def _answer(self, packet, over, room):
        ident, _, questions = struct.unpack("!HHH", packet[:6])
        name, at = _read_name(packet, 12)
        kind, _ = struct.unpack("!HH", packet[at:at + 4])
        question = packet[12:at + 4]
        name = name.lower()
        with self.lock:
            self.queries.append(Query(name, kind, over, time.monotonic()))
        reply = self._reply_for(name, kind)
        if reply.silent:
            return None, 0
        records = []
        owner = name
        if reply.cname:
            target = _write_name(reply.cname)
            records.append(_write_name(owner) + struct.pack("!HHIH", CNAME, 1, reply.ttl, len(target)) + target)
            owner = reply.cname
        for address in reply.addresses:
            if (kind, address.version) in ((A, 4), (AAAA, 6)):
                records.append(_write_name(owner) + struct.pack("!HHIH", kind, 1, reply.ttl, len(address.packed)) + address.packed)
        flags = 0x8580 | reply.code
        body = b"".join(records)
        if 12 + len(question) + len(body) > room:
            flags, records, body = flags | 0x0200, [], b""
        return struct.pack("!HHHHHH", ident, flags, 1, len(records), 0, 0) + question + body, reply.delay

    def _serve_udp(self):
        while True:
            try:
                packet, source = self.udp.recvfrom(4096)
                if not source:
                    return  # it was shut down
            except OSError:
                return
            if len(packet) < 12:
                continue
            threading.Thread(target=self._one_udp, args=(packet, source), daemon=True).start()

    def _one_udp(self, packet, source):
        answer, delay = self._answer(packet, "udp", 512)
        if answer:
            time.sleep(delay)
            try:
                self.udp.sendto(answer, source)
            except OSError:
                pass

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._one_tcp, args=(sock,), daemon=True).start()

    def _one_tcp(self, sock):
        with sock, sock.makefile("rb") as reader:
            while len(size := reader.read(2)) == 2:
                packet = reader.read(struct.unpack("!H", size)[0])
                answer, delay = self._answer(packet, "tcp", 65535)
                if not answer:
                    return
                time.sleep(delay)
                sock.sendall(struct.pack("!H", len(answer)) + answer)

    def close(self):
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
