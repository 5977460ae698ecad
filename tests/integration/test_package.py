"""packages/atlas-wasm, as npm would install it, against bridge and endpoint: in Node.js, in a page in Chromium, in a worker of it.

The cases are in tests/browser/package/cases; here is the world that they run in. One failed case does not spoil the next.
Some of them: -k "browser: and pool". After a change of the package: make package.
"""

import contextlib
import functools
import json
import os
import pathlib
import subprocess
import tarfile

import pytest

from harness import peers
from harness.base import BROWSER, ROOT, SANITIZER
from harness.acceptance import driver
from harness.acceptance.world import PackageWorld

# One build is enough: what is tried out here is not in the sanitized programs.
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(120)]
PACKAGE = ROOT / "packages/atlas-wasm"
NAME = "@concrete-security/atlas-wasm"

# How a runtime's fetchers differ, and which cases are for it.
RUNTIMES = {
    "node": ("node", {}, lambda case: case.get("only") != "browser"),
    "browser": ("chromium", {}, lambda case: case.get("only") != "node"),
    "browser-websocket": ("chromium", {"transport": "websocket"}, lambda case: case.get("only") != "node" and case.get("essential")),
    "browser-worker": ("chromium", {"worker": True}, lambda case: case.get("only") != "node" and case.get("worker", True)),
}


@functools.cache
def cases():
    try:
        return driver.listed()
    except (OSError, pytest.skip.Exception):
        return []


def pytest_generate_tests(metafunc):
    if "case" not in metafunc.fixturenames:
        return
    every = [(runtime, case) for runtime, (*_, wanted) in RUNTIMES.items() for case in cases() if wanted(case)]
    metafunc.parametrize("runtime, case", every, ids=[f"{runtime}:{case['name']}" for runtime, case in every])


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder of a program that depends on it."""
    npm = peers.need("npm")
    for needed in (BROWSER / "node_modules/ws", PACKAGE / "dist/index.js", PACKAGE / "dist/atlas.wasm", PACKAGE / "dist/roots.bin"):
        if not needed.exists():
            pytest.skip(f"{needed.relative_to(ROOT)} is not there: make package")
    folder = tmp_path_factory.mktemp("program")
    place = folder / "node_modules" / NAME
    place.mkdir(parents=True)
    made = subprocess.run([npm, "pack", "--json", "--ignore-scripts", "--pack-destination", folder], cwd=PACKAGE, capture_output=True, timeout=60, check=True,
                          env={**os.environ, "npm_config_update_notifier": "false"})
    with tarfile.open(folder / json.loads(made.stdout)[0]["filename"].replace("@", "").replace("/", "-")) as archive:
        for member in archive.getmembers():
            member.name = str(pathlib.PurePosixPath(member.name).relative_to("package"))
            archive.extract(member, place)
    (folder / "entry.mjs").write_text(f"export * from '{NAME}';\nexport {{ default }} from '{NAME}';\n")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield PackageWorld(tmp_path_factory.mktemp("world"), stack)


@pytest.fixture(scope="module")
def drivers(package, world):
    """drivers(runtime): the process that runs cases there."""
    running = {}

    def get(runtime):
        if runtime not in running or running[runtime].process.poll() is not None:
            running[runtime] = driver.Driver(runtime, package, world.controls)
        return running[runtime]

    yield get
    for one in running.values():
        one.close()


@pytest.mark.skipif(SANITIZER is not None, reason="for the released programs")
def test_package(runtime, case, world, drivers):
    process, variation, _ = RUNTIMES[runtime]
    one = drivers(process)
    world.controls.begin()
    failure = "it did not come to an end"
    try:
        failure = one.run(case["name"], variation=variation, **{k: case[k] for k in ("fresh", "loads", "page", "violates") if case.get(k)})
    finally:
        if failure:
            one.close()
        world.controls.settle()
    if failure:
        pytest.fail(failure + ("\n" + "".join(one.errors[-20:]) if one.errors else ""), pytrace=False)
