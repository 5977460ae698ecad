"""The Python package over the installed library: bare connections, httpx, and what is refused."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from harness.attested import World
from harness.base import PROGRAM

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif("release" not in str(PROGRAM), reason="the library is looked at once, beside the release")


@pytest.fixture
def world(tmp_path, stack):
    world = World(tmp_path, stack)
    world.start_tee()
    return world


@pytest.fixture
def python(world, installed):
    """Runs a script in a process of its own, which knows the world's port, policy and CA."""
    def run(script):
        values = {"port": world.port, "policy": json.loads((world.sim / "policy.json").read_text()), "ca": str(world.sim / "tls-ca.pem")}
        done = subprocess.run([sys.executable, "-c", f"import atlas\nport, policy, ca = {tuple(values.values())!r}\n{script}"],
                              capture_output=True, text=True, timeout=60, check=False,
                              env=os.environ | {"PYTHONPATH": str(ROOT / "python"), "ATLS_LIBRARY": str(installed / "lib/libatls.so.1")})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


def test_a_bare_connection(python):
    out = python("""
with atlas.connect("127.0.0.1", port, policy=policy, server_name="localhost", ca_file=ca) as c:
    assert c.write(b"GET /hello HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n") == 59
    whole = b""
    while piece := c.read(100):
        assert len(piece) <= 100
        whole += piece
    assert whole.endswith(b"path /hello"), whole
    assert c.attestation["trusted"] and c.attestation["tee_type"] == "tdx" and c.attestation["tcb_status"] == "UpToDate"
    assert len(c.attestation["measurement"]) == 96 and c.attestation["advisory_ids"] == [] and c.attestation["simulated"]
    assert c.report()["runtime_verified"]
try:
    c.read()
except OSError as why:
    print(why)
""")
    assert out == "connection closed\n"


def test_httpx(python, world):
    out = python("""
import atlas.httpx, httpx
with atlas.httpx.Client(atls_policy_per_hostname={"localhost": policy}, atls_ca_file=ca) as client:
    for i in range(3):
        answer = client.get(f"https://localhost:{port}/number/{i}")
        assert answer.text == f"path /number/{i}", answer.text
        assert answer.extensions["attestation"]["tcb_status"] == "UpToDate"
    assert client.get(f"https://localhost:{port}/bytes/3000000").content == b"y" * 3000000
    with client.stream("GET", f"https://localhost:{port}/bytes/100000") as answer:
        assert sum(len(piece) for piece in answer.iter_bytes()) == 100000
    plain = client.get(f"http://127.0.0.1:%d/other")
    assert plain.text == "path /other" and "attestation" not in plain.extensions
    try:
        client.get(f"http://localhost:{port}/")
    except httpx.UnsupportedProtocol as why:
        print(why)
try:
    atlas.httpx.Client(atls_policy_per_hostname={"localhost": policy}, transport=httpx.HTTPTransport())
except ValueError as why:
    print(why)
""" % world.server.server_port)
    assert out.splitlines() == ["localhost has a policy: it is reached over https alone", "transport cannot be given: the client has its own"]


def test_a_proof_that_has_grown_old(python):
    out = python("""
import time, atlas.httpx
short = {**policy, "reattest_after": 1}
with atlas.connect("127.0.0.1", port, policy=short, server_name="localhost", ca_file=ca) as c, \\
        atlas.httpx.Client(atls_policy_per_hostname={"localhost": short}, atls_ca_file=ca) as client:
    first = client.get(f"https://localhost:{port}/one")
    time.sleep(1.1)
    assert client.get(f"https://localhost:{port}/two").text == "path /two"  # on another connection
    assert c.due
    try:
        c.write(b"GET / HTTP/1.1")
    except OSError as why:
        print(why)
""")
    assert out.startswith("write error: the proof is older than the policy's reattest_after")


def test_refusals_are_told_apart(python, stack):
    nobody = stack.enter_context(socket.socket())
    nobody.bind(("127.0.0.1", 0))  # and never listens
    out = python("""
import atlas.httpx, httpx
def told(kind, call):
    try:
        call()
    except kind as why:
        print(type(why).__name__, getattr(why, "code", ""), str(why)[:60])
other = {**policy, "os_image_hash": "00" * 32}
told(atlas.AtlsVerificationError, lambda: atlas.connect("localhost", port, policy=other, ca_file=ca))
told(ConnectionError, lambda: atlas.connect("127.0.0.1", %d, policy=policy))
told(ValueError, lambda: atlas.connect("localhost", port, policy={**policy, "mistake": 1}))
told(ValueError, lambda: atlas.connect("localhost", port, policy="{"))
told(atlas.AtlsVerificationError, lambda: atlas.connect("localhost", port, policy=policy))
with atlas.httpx.Client(atls_policy_per_hostname={"LOCALHOST": other}, atls_ca_file=ca) as client:
    told(atlas.AtlsVerificationError, lambda: client.post(f"https://localhost:{port}/digest", content=b"secret"))
""" % nobody.getsockname()[1]).splitlines()
    assert [line.split(" ")[:2] for line in out] == [
        ["AtlsVerificationError", "os_image_hash_mismatch"], ["ConnectionError", ""], ["ValueError", ""], ["ValueError", ""],
        ["AtlsVerificationError", "tls_handshake"], ["AtlsVerificationError", "os_image_hash_mismatch"]]
    assert "atls handshake failed: " in out[0] and "tcp connect failed: " in out[1] and "invalid policy JSON: " in out[2]
    assert "aTLS connection to localhost:" in out[5]


def test_policies(python):
    out = python("""
import json
assert atlas.dev_policy() == {"type": "dstack_tdx", "allowed_tcb_status": ["UpToDate", "SWHardeningNeeded", "OutOfDate"],
                              "disable_runtime_verification": True}
made = atlas.dstack_tdx_policy({"runner": "docker-compose"}, {"mrtd": "00"}, "11", app_compose_allowed_envs=["A"], pccs_url="", max_quote_age=60)
print(json.dumps(made))
for wrong in (lambda: atlas.dstack_tdx_policy(os_image_hash="11"), lambda: atlas.dstack_tdx_policy("{}", app_compose_allowed_envs=[]),
              lambda: atlas.merge_with_default_app_compose({})):
    try:
        wrong()
        print("taken")
    except ValueError:
        pass
merged = atlas.merge_with_default_app_compose({"name": "mine", "added": 1}, {"features": [], "name": "", "runner": "x"})
print(json.dumps(merged))
""").splitlines()
    assert json.loads(out[0]) == {"type": "dstack_tdx", "app_compose": {"runner": "docker-compose", "allowed_envs": ["A"]},
                                  "expected_bootchain": {"mrtd": "00"}, "os_image_hash": "11", "pccs_url": "", "max_quote_age": 60}
    assert out[1:] == ['{"features": [], "name": "mine", "runner": "x", "added": 1}']
