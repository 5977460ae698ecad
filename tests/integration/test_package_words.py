"""The npm package and atls refuse the same endpoints through the same bridge, by the same code, number and words.

What a server may say within TLS, and evidence of every kind, is compared by tests/wasm; attacks of a bridge, by test_attacks.
"""

import contextlib
import json
import re
import socket
import ssl
import threading

import pytest

from harness import package
from harness.base import BIN, run


def by_atls(world, bridge, policy, roots, port):
    done = run(BIN / "atls", "post", f"https://localhost:{port}/digest", "--json", "--fetch-anew", "--proxy", bridge, "--policy",
               world.sim / policy, *(("--cacert", world.sim / roots) if roots else ()), "--data", "@secret", check=False)
    assert done.returncode not in (0, 2) and done.stdout == b"", done
    return json.loads(done.stderr)["error"]


def same(world, bridge, policy="policy.json", roots="tls-ca.pem", port=None):
    """What both say, but for the report data of their sessions."""
    port = port or world.port
    one = bridge(f"localhost:{port}")
    url = "ws://%s:%d" % one.address
    said = [by_atls(world, url, policy, roots, port), package.post(world, url, policy, roots, port=port)["error"]]
    words = [(error["code"], error["number"], re.sub(r"\b[0-9a-f]{128}\b", "(64 bytes)", error["message"])) for error in said]
    assert words[0] == words[1]
    return words[0]


def test_what_is_good_is_good_for_both(world, bridge):
    world.start_tee()
    one = bridge(f"localhost:{world.port}")
    digest = world.atls("post", "/digest", data=b"secret").stdout.decode()
    assert package.post(world, "ws://%s:%d" % one.address) == {"body": digest}


@pytest.mark.parametrize("change, code", [
    (lambda p: p.update(os_image_hash="00" * 32), "os_image_hash_mismatch"),
    (lambda p: p.update(app_compose="{}"), "app_compose_hash_mismatch"),
    (lambda p: p["expected_bootchain"].update(mrtd="00" * 48), "bootchain_mismatch"),
    (lambda p: p["expected_bootchain"].update(rtmr2="00" * 48), "bootchain_mismatch"),
    (lambda p: p.update(allowed_tcb_status=["OutOfDate"]), "tcb_status_not_allowed"),
    (lambda p: p.update(min_tcb_evaluation_data_number=99), "tcb_evaluation_data_number"),
    (lambda p: [p.pop("trusted_roots"), p.pop("allow_simulated")], "crl_signature"),
], ids=["image", "compose", "mrtd", "rtmr2", "status", "evaluation", "root"])
def test_a_policy_that_is_not_met(world, bridge, change, code):
    world.start_tee()
    policy = json.loads((world.sim / "policy.json").read_text())
    change(policy)
    (world.sim / "other.json").write_text(json.dumps(policy))
    assert same(world, bridge, policy="other.json")[0] == code


def test_a_certificate_of_nobody(world, bridge):
    world.start_tee()
    assert same(world, bridge, roots=None)[0] == "tls_handshake"


def test_a_certificate_of_another_authority(world, bridge):
    world.start_tee()
    world.run("atlas-sim", "init", world.folder / "second")
    (world.folder / "second/tls-ca.pem").replace(world.sim / "other-ca.pem")
    assert same(world, bridge, roots="other-ca.pem")[0] == "tls_handshake"


# --- servers that are no endpoints ---


@pytest.fixture
def server(stack):
    """server(serve): a port where each connection is served by serve(sock) and then closed, in order."""
    def start(serve):
        listener = socket.create_server(("127.0.0.1", 0))

        def run_all():
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    with sock, contextlib.suppress(OSError):
                        sock.settimeout(30)
                        serve(sock)
                        sock.shutdown(socket.SHUT_WR)
                        while sock.recv(65536):
                            pass

        thread = threading.Thread(target=run_all, daemon=True)
        thread.start()

        def stop():
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(30)

        stack.callback(stop)
        return listener.getsockname()[1]
    return start


def tls(world, version=ssl.TLSVersion.TLSv1_3, answer=b"", ends=False):
    """Serves one request over TLS, and ends the session or waits for the client to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.sim / "tls-cert.pem", world.sim / "tls-key.pem")
    context.minimum_version = context.maximum_version = version

    def serve(sock):
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(sock.dup(), server_side=True) as session:
            asked = b""
            while not asked.endswith(b"}"):
                asked += session.recv(65536)
            session.sendall(answer)
            if ends:
                session.unwrap()
            else:
                session.recv(1)
    return serve


def http(status, body=b"{}", fields=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), fields, body)


@pytest.mark.parametrize("said", [
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b"",
    b"\x16\x03\x03\x7f\xff" + bytes(32767),
], ids=["http", "ssh", "alert", "nothing", "long-record"])
def test_a_server_that_speaks_no_tls(world, bridge, server, said):
    def serve(sock):
        sock.recv(65536)
        sock.sendall(said)

    assert same(world, bridge, port=server(serve))[0] == "tls_handshake"


def test_a_server_of_an_old_tls(world, bridge, server):
    assert same(world, bridge, port=server(tls(world, ssl.TLSVersion.TLSv1_2)))[0] == "tls_handshake"


@pytest.mark.parametrize("answer, code", [
    (http(b"404 Not Found"), "http_status"),
    (http(b"200 OK", b"<html>"), "quote_answer"),
    (http(b"200 OK"), "quote_answer"),
    (http(b"200 OK", b'{"quote":{"quote":"00","event_log":"[]"}}'), "quote_syntax"),
    (http(b"200 OK", b"{", b"Transfer-Encoding: chunked\r\n"), "http_response"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "connection_closed"),
    (b"no http\r\n\r\n", "http_response"),
    (b"", "connection_closed"),
], ids=["status", "html", "empty", "quote", "framing", "cut", "garbage", "silence"])
def test_a_server_that_is_no_endpoint(world, bridge, server, answer, code):
    ends = code == "connection_closed"
    assert same(world, bridge, port=server(tls(world, answer=answer, ends=ends)))[0] == code
