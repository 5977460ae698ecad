"""Quotes without their PCK certificate (certification data of type 2 and 3): it is asked for, and must be the one that was named."""

import contextlib
import http.client
import http.server
import json
import threading

import pytest

from harness.attested import World, listening
from harness.base import BIN, eventually


@pytest.fixture(params=["2", "3"])
def world(request, tmp_path, stack):
    one = World(tmp_path, stack)
    one.simulator.stop()
    one.kind = request.param
    one.simulator = one.start("simulator-2", BIN / "atlas-sim", "serve", one.sim, "--listen", f"127.0.0.1:{one.pccs}", "--certification", one.kind)
    eventually(lambda: listening(one.pccs))
    return one


class Service(http.server.ThreadingHTTPServer):
    """The world's PCCS, with one answer spoilt."""

    daemon_threads = True

    def __init__(self, port, spoil):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as behind:
                    behind.request("GET", self.path)
                    answer = behind.getresponse()
                    fields, body = dict(answer.getheaders()), answer.read()
                if "pckcert" in self.path:
                    self.server.asked.append(self.path)
                    body = spoil(fields, body) or body
                self.send_response(answer.status)
                for name, value in fields.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_the_certificate_is_fetched(world):
    world.start_tee("--without-collateral")
    report = json.loads(world.atls("get", "/x", "--json").stderr)
    assert report["verified"] and not report["collateral_stapled"]
    kept, = (world.folder / "cache/postern").glob("*-tdx-*.json")
    assert "pck_certificate_chain" not in json.loads(kept.read_text())  # that is one machine's
    file = world.folder / "receipt.json"
    world.atls("get", "/x", "--receipt", file)  # from what is kept, and the certificate anew
    assert "pck_certificate_chain" in json.loads(file.read_text())["evidence"]["collateral"]
    world.run("atls", "receipt", "verify", file, "--root", world.sim / "root-cert.pem")


def test_an_endpoint_staples_it(world):
    world.start_tee()
    report = json.loads(world.atls("get", "/x", "--json").stderr)
    assert report["verified"] and report["collateral_stapled"]


def test_offline(world):
    quote, collateral = world.folder / "quote", world.folder / "collateral"
    quote.write_bytes(world.run("atlas-sim", "quote", world.sim, "--certification", world.kind).stdout)
    assert json.loads(world.run("atls", "inspect", quote, "--json").stdout)["certification_type"] == int(world.kind)
    world.run("atls", "collateral", "fetch", quote, "--pccs-url", f"http://127.0.0.1:{world.pccs}", "--output", collateral)
    verify = ("atls", "verify", quote, "--root", world.sim / "root-cert.pem", "--collateral")
    world.run(*verify, collateral)
    parts = json.loads(collateral.read_text())
    parts.pop("pck_certificate_chain")
    collateral.write_text(json.dumps(parts))
    assert b"quote_certification_type" in world.run(*verify, collateral, expect=1).stderr


@pytest.mark.parametrize("spoil, status, why", [
    (lambda fields, body: fields.update({"SGX-TCBm": "00" * 18}), 10, b"SGX-TCBm"),
    (lambda fields, body: fields.pop("SGX-TCBm") and None, 10, b"SGX-TCBm"),
    (lambda fields, body: fields.pop("SGX-PCK-Certificate-Issuer-Chain") and None, 12, b"Failed to get CA"),
    (lambda fields, body: b"no certificate", 12, b"PCK certificate"),
], ids=["another TCB", "no TCB", "no issuer", "no certificate"])
def test_another_answer_is_refused(world, stack, spoil, status, why):
    world.start_tee("--without-collateral")
    service = Service(world.pccs, spoil)
    stack.callback(service.shutdown)
    done = world.atls("get", "/x", "--pccs-url", f"http://127.0.0.1:{service.server_port}", "--fetch-anew", expect=status)
    assert done.stdout == b"" and why in done.stderr
    assert len(service.asked) == 1 and "encrypted_ppid=" in service.asked[0]
    assert service.asked[0].split("encrypted_ppid=")[1][:64].encode() not in done.stderr
