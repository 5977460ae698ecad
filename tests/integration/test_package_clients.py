"""Clients that other people wrote, given the package's fetch: examples/ streams from a model in Node.js and in Chromium."""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading

import pytest

from harness import peers
from harness.attested import World
from harness.base import BROWSER, PATIENCE, ROOT, SANITIZER, run
from harness.bridge import Bridge
from harness.model import NAME, Model

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(SANITIZER is not None, reason="for the released programs")]
EXAMPLES = ROOT / "examples"
PACKAGE = ROOT / "packages/atlas-wasm/dist"
QUESTION = "who reads this?"
WORDS = ("Only ", "what ", "was ", "proved; ", "héllo, ", "世界.")
ATTESTED = "ttested: Tdx, UpToDate, simulated"


class Watched:
    """A program whose lines are told as they come: watched(…) starts it, .next() waits for what it says next."""

    def __init__(self, read, *words, cwd=None):
        self.process = subprocess.Popen([str(w) for w in words], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said, self.errors = queue.Queue(), []
        self.readers = [threading.Thread(target=self.listen, args=(read,)), threading.Thread(target=self.listen_errors)]
        for reader in self.readers:
            reader.start()

    def listen(self, read):
        while piece := read(self.process.stdout):
            self.said.put(piece)
        self.said.put(None)

    def listen_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode())

    def next(self):
        """What it says next; None: nothing more."""
        try:
            return self.said.get(timeout=3 * PATIENCE)
        except queue.Empty:
            raise AssertionError(f"it says nothing; on stderr: {''.join(self.errors)}") from None

    def end(self):
        """Its exit status, when it has ended by itself."""
        status = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(params=["openai-client", "vercel-ai-sdk"])
def example(request):
    if int(run(peers.need("node"), "--version", text=True).stdout[1:].partition(".")[0]) < 20:
        pytest.skip("the package and these clients are for Node.js 20 and later")
    for needed in (EXAMPLES / "node_modules", PACKAGE / "index.js", PACKAGE / "atlas.wasm", PACKAGE / "roots.bin"):
        if not needed.exists():
            pytest.skip(f"{needed.relative_to(ROOT)} is not there: make package, npm ci in examples")
    return EXAMPLES / request.param


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        world = World(tmp_path_factory.mktemp("machine"), stack)
        world.server = Model(*WORDS)
        threading.Thread(target=world.server.serve_forever, daemon=True).start()
        stack.callback(world.server.shutdown)
        world.start_tee()
        world.bridge = stack.enter_context(Bridge(allow=[f"localhost:{world.port}"]))
        yield world


@pytest.fixture
def world(machine):
    machine.server.asked.clear()
    return machine


def configured(world, path, **policy):
    """config.json of an example: what leads to the world's machine."""
    path.write_text(json.dumps({
        "proxyUrl": f"ws://127.0.0.1:{world.bridge.port}", "targetHost": f"localhost:{world.port}", "model": NAME,
        "policy": json.loads((world.sim / "policy.json").read_text()) | policy, "extraRoots": (world.sim / "tls-ca.pem").read_text()}))
    return path


def node(example, *words):
    # Pieces as they are written, not lines: an answer is one line.
    return Watched(lambda pipe: os.read(pipe.fileno(), 65536), peers.need("node"), "example.mjs", *words, cwd=example)


def asked_once(world):
    """The one request that reached the model."""
    assert len(world.server.asked) == 1
    request = world.server.asked[0]
    assert request["path"] == "/v1/chat/completions" and request["headers"]["Host"] == f"localhost:{world.port}"
    assert request["body"]["stream"] is True and request["body"]["model"] == NAME
    assert request["body"]["messages"] == [{"role": "user", "content": QUESTION}]


def test_in_node(example, world, tmp_path):
    """Each word is printed before the model says the next one; the program then ends by itself."""
    one = node(example, "--simulation", configured(world, tmp_path / "config.json"), QUESTION)
    try:
        for word in WORDS[:-1]:
            world.server.say()
            assert one.next().decode() == word
        world.server.say()
        # Nothing holds the end back: the last word and the line's end may be one piece or two.
        rest = b""
        while (piece := one.next()) is not None:
            rest += piece
        assert rest.decode() == WORDS[-1] + "\n"
        assert one.end() == 0 and "".join(one.errors) == f"a{ATTESTED}\n"
    finally:
        one.close()
    asked_once(world)


@pytest.mark.parametrize("why, words, policy", [
    ("simulation_refused", (), {}),
    ("bootchain_mismatch", ("--simulation",), {"expected_bootchain": dict.fromkeys(("mrtd", "rtmr0", "rtmr1", "rtmr2"), "ab" * 48)}),
])
def test_refused_in_node(example, world, tmp_path, why, words, policy):
    """Nothing was asked of the model."""
    one = node(example, *words, configured(world, tmp_path / "config.json", **policy), QUESTION)
    try:
        assert one.next() is None
        assert one.end() == 1 and f"code: '{why}'" in "".join(one.errors)
    finally:
        one.close()
    assert not world.server.asked


def built(example, folder):
    """What `npm run build:simulated` makes of the example, elsewhere."""
    npm = peers.need("npm")
    place = folder / "examples" / example.name
    shutil.copytree(example, place, ignore=shutil.ignore_patterns("node_modules", "site"))
    (folder / "examples/node_modules").symlink_to(EXAMPLES / "node_modules")
    (folder / "packages").symlink_to(ROOT / "packages")
    run(npm, "run", "--silent", "build:simulated", cwd=place, env={**os.environ, "npm_config_update_notifier": "false"})
    return place / "site"


def in_chromium(site):
    if not (BROWSER / "node_modules/playwright-core").is_dir():
        pytest.skip("npm ci has not been run in tests/browser")
    peers.need("chromium")
    return Watched(lambda pipe: pipe.readline(), peers.need("node"), BROWSER / "example-page.mjs", site, QUESTION)


def test_in_a_browser(example, world, tmp_path):
    """Each word is on the page before the model says the next one; nothing that a strict Content Security Policy forbids is tried."""
    site = built(example, tmp_path)
    configured(world, site / "config.json")
    page = in_chromium(site)
    try:
        assert json.loads(page.next()) == {"status": f"A{ATTESTED}"}
        shown = ""
        for word in WORDS:
            world.server.say()
            shown += word
            assert json.loads(page.next()) == {"answer": shown}
    finally:
        page.close()
    asked_once(world)


def test_refused_in_a_browser(example, world, tmp_path):
    site = built(example, tmp_path)
    configured(world, site / "config.json", allowed_tcb_status=["Revoked"])
    page = in_chromium(site)
    try:
        status = json.loads(page.next())["status"]
        assert status.startswith("Refused: ") and "UpToDate" in status
    finally:
        page.close()
    assert not world.server.asked
