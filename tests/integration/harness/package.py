"""The npm package as a client: one POST, from Node.js."""

import json
import subprocess

import pytest

from . import peers
from .base import ROOT, SLOW

POST = ROOT / "tests/wasm/post.mjs"
BUILT = ROOT / "packages/atlas-wasm/dist/index.js"


def post(world, bridge, policy="policy.json", roots="tls-ca.pem", name="localhost", port=None, body="secret", seconds=20):
    """What came of it: {"body"} or {"error": {code, category, number, message}}. bridge: its URL, without a target."""
    node = peers.need("node")
    if not BUILT.is_file():
        pytest.skip("the npm package is not built: make package")
    job = {"url": f"{bridge}/?target={name}:{port or world.port}", "name": name, "policy": (world.sim / policy).read_text(), "body": body,
           "roots": (world.sim / roots).read_text() if roots else "", "seconds": seconds}
    done = subprocess.run([node, POST, json.dumps(job)], capture_output=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
