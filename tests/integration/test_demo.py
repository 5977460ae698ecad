"""What make run shows: four proofs, and then a page on which a person can see, and do, all of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile

import pytest

from harness import peers
from harness.base import BIN, BROWSER, PATIENCE, ROOT, SLOW

PACKAGE = ROOT / "packages/atlas-wasm/dist/integrity.json"
SERVED = re.compile(r"http://127\.0\.0\.1:\d+/(?=\n)")
CASES = {
    "application": "app_compose_hash_mismatch", "bootchain": "bootchain_mismatch", "image": "os_image_hash_mismatch",
    "tcb": "tcb_status_not_allowed", "edition": "tcb_evaluation_data_number", "root": "crl_signature", "web": "http_status",
    "relay": "report_data_mismatch", "authority": "tls_handshake", "unlisted": "proxy_refused", "misspelt": "policy",
    "simulator": "simulation_refused",
}


def need_package():
    if not PACKAGE.exists():
        pytest.skip("packages/atlas-wasm is not built: make package")
    if not (BROWSER / "node_modules/playwright-core").is_dir():
        pytest.skip("npm ci has not been run in tests/browser")


@contextlib.contextmanager
def demo():
    """scripts/run-demo, once it serves: (all that it printed, URL of its page)."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # Unix sockets want short paths
        environment = os.environ | {"POSTERN_BIN": str(BIN), "POSTERN_DEMO_FOLDER": folder}
        process = subprocess.Popen([ROOT / "scripts/run-demo"], env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            said = ""
            while not said.endswith("Ctrl-C ends them.\n"):
                line = process.stdout.readline()
                assert line, said + process.communicate()[1]
                said += line
            yield said, SERVED.findall(said)[-1]
            process.send_signal(signal.SIGTERM)
            process.communicate()
            assert process.returncode == 143
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate()


@pytest.mark.timeout(240 * SLOW)
def test_the_demo_in_a_browser(tmp_path):
    """Proofs in Python, C and WebAssembly, and of the gateway; then the page, at two widths and in both schemes: attested, answered, twelve refusals, a receipt."""
    peers.need("node")
    peers.need("chromium")
    need_package()
    with demo() as (said, url):
        assert [line for line in said.splitlines() if re.fullmatch(r"(Proved|Attested|Attested in WebAssembly|Guarded)\.", line)] == [
            "Proved.", "Attested.", "Attested in WebAssembly.", "Guarded."]
        done = subprocess.run(["node", BROWSER / "demo-page.mjs", json.dumps({"url": url})], capture_output=True, text=True,
                              timeout=200 * SLOW, check=False)
        assert done.returncode == 0, done.stderr
        pages = json.loads(done.stdout)
    assert len(pages) == 4
    for seen in pages.values():
        assert seen["faults"] == [] and seen["foreign"] == [] and seen["wider"] <= 0
        assert seen["mute"]  # nothing can be said before the proof
        assert "All twelve checks passed" in seen["verdict"] and set(seen["marks"]) == {"passed"} and len(seen["marks"]) == 12
        assert "simulated" in seen["verdict"] and "simulated" in seen["state"]
        assert seen["answer"].endswith("Is anybody listening?") and re.match(r"\d\d pieces", seen["meta"])
        assert seen["wire"].startswith("0000  17 03 03") and re.match(r"[\d,]+ bytes up", seen["carried"])
        assert {name: visit["code"] for name, visit in seen["visits"].items()} == CASES
        assert all(visit["head"].startswith("Refused: ") for visit in seen["visits"].values())
        assert "All 12 were refused" in seen["tally"] and "Verified again" in seen["again"]
    receipt = tmp_path / "receipt.json"
    receipt.write_text(pages["phone-dark"]["receipt"])
    policy = tmp_path / "policy.json"
    policy.write_text(json.loads(receipt.read_text())["policy"]["text"])
    done = subprocess.run([BIN / "atls", "receipt", "verify", receipt, "--policy", policy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("serve", [False, True])
def test_the_gateway_s_side_of_it(tmp_path, serve):
    """By itself: the API saw the key, the agent did not; and what it tells to try works as it stands."""
    environ = os.environ | {"POSTERN_BIN": str(BIN), "POSTERN_DEMO_FOLDER": str(tmp_path)}
    with subprocess.Popen([ROOT / "scripts/demo-gateway", *(["--serve"] if serve else [])], env=environ, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        said = process.stdout.read()
        assert "\nGuarded.\n" in said, said + process.communicate()[1]
        key = re.search(r"Authorization: Bearer (wk_[0-9a-f]{24})$", said, re.M)[1]
        assert said.count(key) == 1 and '"Bearer [redacted]"' in said
        if serve:
            export, commands = said.splitlines()[-2:]
            done = subprocess.run(["sh", "-c", f"{export}\n{commands}"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
                                  env={"PATH": os.environ["PATH"], "ATI_DIR": str(tmp_path / "agent")})
            assert done.returncode == 3 and '"celsius": 7' in done.stdout and "not in your scopes" in done.stderr
            assert key not in done.stdout + done.stderr
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == (143 if serve else 0)
