"""Fixtures: bridges, targets and tools that are gone when the test is."""

import collections
import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import netns as namespaces  # noqa: E402
from harness.ati import Folder  # noqa: E402
from harness.attested import World  # noqa: E402
from harness.base import PROGRAM, raise_descriptor_limit  # noqa: E402
from harness.bridge import Bridge  # noqa: E402
from harness.cli import FakeProxy  # noqa: E402
from harness.dns import Dns  # noqa: E402
from harness.mcp import SECRET, Ask, Server, manifest, script  # noqa: E402
from harness.targets import Target, echo  # noqa: E402


def pytest_configure(config):
    raise_descriptor_limit()
    if not os.access(PROGRAM, os.X_OK):
        raise pytest.UsageError(f"{PROGRAM} is not there: build it, or set POSTERN_BIN to the folder that holds it")


@pytest.fixture
def stack():
    """Closes what was entered, last first, also when the test fails."""
    with contextlib.ExitStack() as all_of_them:
        yield all_of_them


@pytest.fixture
def target(stack):
    """target(serve) starts a TCP server that goes with the test."""
    def start(serve=echo, **how):
        return stack.enter_context(Target(serve, **how))
    return start


@pytest.fixture
def dns(stack):
    def start(names, **how):
        return stack.enter_context(Dns(names, **how))
    return start


@pytest.fixture
def bridge(request):
    """bridge(target, …, option=value) starts a bridge that may reach these targets.

    It ends before the targets do, with SIGTERM and exit status 0, and without a sanitizer's report. When
    the test has failed already, its log is printed instead of judged.
    """
    running = []

    def start(*targets, **options):
        if targets and "allow" not in options:
            options["allow"] = [t if isinstance(t, str) else t.name for t in targets]
        one = Bridge(**options)
        running.append(one)
        return one

    yield start
    failed = getattr(request.node, "call_failed", False)
    faults = []
    for one in reversed(running):
        try:
            if failed:
                if one.process.poll() is not None:
                    print(f"the bridge had ended with {one.process.returncode}")
                print("\n".join(one.lines[-60:]))
                print("events:", dict(collections.Counter((e.get("event"), e.get("reason")) for e in one.events)))
                one.kill()
            else:
                one.stop()
        except AssertionError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.call_failed = True


@pytest.fixture
def world(tmp_path, stack):
    """A simulated machine, an application on it, and no endpoint yet: world.start_tee()."""
    return World(tmp_path, stack)


@pytest.fixture
def netns():
    """netns("10.77.0.1/32") is a network namespace with loopback and these addresses."""
    if not namespaces.permitted():
        pytest.skip("network namespaces are not permitted here")
    made = []

    def start(*addresses):
        made.append(namespaces.NetNs(*addresses))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture(params=["off", "on"], ids=["copy", "splice"])
def splice(request):
    """Both ways in which bytes go from target to client."""
    return request.param


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder for certificates that many tests share."""
    return tmp_path_factory.mktemp("certs")


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """libatls, installed into a folder of its own."""
    prefix, root = tmp_path_factory.mktemp("installed"), pathlib.Path(__file__).resolve().parents[2]
    # Each worker of pytest has a session: they must not build at the same time.
    subprocess.run(["flock", root / "build", "make", "install-library", f"PREFIX={prefix}"], cwd=root, check=True, capture_output=True, timeout=600,
                   env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")})
    return prefix


@pytest.fixture
def folder(tmp_path):
    """An ATI directory with nothing in it."""
    return Folder(tmp_path / "ati")


@pytest.fixture
def proxy(stack):
    """proxy(result, get_tools=(200, "[]"), …): one that answers so, for `ati`."""
    def start(result=None, **answers):
        listed = {("POST", "/call"): (200, json.dumps({"result": result}))}
        for route, answer in answers.items():
            method, _, name = route.partition("_")
            listed[method.upper(), "/" + name.replace("__", "/")] = answer
        return stack.enter_context(FakeProxy(listed))
    return start


@pytest.fixture
def ask(stack):
    """A caller of the MCP servers of a folder."""
    def start(folder, *words, **environ):
        return stack.enter_context(Ask(folder, *words, **environ))
    return start


@pytest.fixture
def scripted(tmp_path, ask):
    """A caller of the script in this mode."""
    def start(mode="good", **fields):
        script(tmp_path, mode=mode, **fields)
        return ask(tmp_path, ATI_KEY_MY_KEY=SECRET)
    return start


@pytest.fixture
def served(tmp_path, ask, stack):
    """(caller, server) over HTTP."""
    def start(call=None, **fields):
        server = stack.enter_context(Server(call))
        manifest(tmp_path, "script", **{"mcp_transport": "http", "mcp_url": server.url, **fields})
        return ask(tmp_path, ATI_KEY_MY_KEY=SECRET), server
    return start
