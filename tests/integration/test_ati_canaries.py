"""Planted secrets: where credentials are used, they are seen there and nowhere else."""

import base64
import contextlib
import json
import os
import pathlib
import re
import resource
import secrets
import signal
import sys
import urllib.parse

import pytest

from harness.ati import Folder, Proxy, Upstream
from harness.base import SANITIZER
from harness.mcp import SCRIPT as SERVER

PROVIDER = """
[provider]
name = "{name}"
description = "an API"
base_url = "{url}"
{auth}

[[tools]]
name = "{name}:echo"
description = "says what it was asked"
endpoint = "/echo"
method = "GET"

[[tools]]
name = "{name}:fail"
description = "fails, and says what it was asked"
endpoint = "/fail"
method = "POST"

[[tools]]
name = "{name}:cut"
description = "breaks off"
endpoint = "/cut"
method = "GET"
"""
AUTHS = {
    "bearer": 'auth_type = "bearer"\nauth_key_name = "bearer_key"',
    "header": 'auth_type = "header"\nauth_key_name = "header_key"\nauth_header_name = "X-Secret"\nauth_value_prefix = "Key "',
    "query": 'auth_type = "query"\nauth_key_name = "query_key"\nauth_query_name = "apikey"',
    "basic": 'auth_type = "basic"\nauth_key_name = "basic_key"',
}
CLI = """
[provider]
name = "{name}"
description = "a program"
handler = "cli"
cli_command = "{script}"
{more}
"""
MCP = """
[provider]
name = "mcp"
description = "a server"
handler = "mcp"
mcp_command = "{python}"
mcp_args = ["{server}", "good"]
[provider.mcp_env]
SECRET = "${{mcp_key}}"
"""
GENERATED = 'auth_type = "bearer"\n[provider.auth_generator]\ntype = "command"\ncommand = "sh"\nargs = ["-c", "printf %s \\"$1\\" | tee /dev/stderr", "sh", "made-of-${generator_key}"]\n'
# Writes its environment and what its file holds to a place of the test's own, and says both, too.
SCRIPT = """#!/bin/sh
tr '\\0' '\\n' < /proc/self/environ > "$1.environ"
cat /proc/$$/environ | tr '\\0' '\\n' > "$1.shell"
if [ -n "$KEY_PATH" ]; then cat "$KEY_PATH" > "$1.file"; cat "$KEY_PATH"; fi
cat "$1.environ"
cat "$1.environ" >&2
exit ${2:-0}
"""


def answer(request):
    status, fields, body = Upstream.echo(request)
    if request["path"].startswith("/fail"):
        return 500, {**fields, "X-Told": json.dumps(dict(request["headers"].items()))}, body
    if request["path"].startswith("/cut"):
        return 200, {**fields, "Content-Encoding": "gzip"}, body[:20]
    return status, fields, body


def modest(request):
    """Says nothing of what it was asked."""
    status = 500 if request["path"].startswith("/fail") else 200
    return status, {"Content-Type": "application/json"}, b'{"ok": true}'


def canary(kind):
    return f"{kind}-{secrets.token_hex(12)}"


class World:
    """A proxy with planted secrets, and everything that it has said."""

    def __init__(self, path, stack, echoes=True):
        self.upstream = stack.enter_context(Upstream(answer if echoes else modest))
        self.keys = {f"{name}_key": canary(name) for name in ("bearer", "header", "query", "env", "file", "mcp", "generator", "unused")}
        self.keys["basic_key"] = f"{canary('user')}:{canary('pass')}"
        self.keys["sandbox_signing_shared_secret"] = canary("signing")
        self.jwt_secret = secrets.token_hex(32)
        self.said = []
        script = path / "script"
        script.write_text(SCRIPT if echoes else "#!/bin/sh\nexit ${2:-0}\n")
        script.chmod(0o755)
        manifests = {name: PROVIDER.format(name=name, url=self.upstream.url, auth=auth) for name, auth in AUTHS.items()}
        manifests |= {f"gone_{name}": PROVIDER.format(name=f"gone_{name}", url="http://127.0.0.1:9", auth=auth) for name, auth in AUTHS.items()}
        manifests["generated"] = PROVIDER.format(name="generated", url=self.upstream.url, auth=GENERATED)
        if echoes:
            manifests["mcp"] = MCP.format(python=sys.executable, server=SERVER)
        manifests["env"] = CLI.format(name="env", script=script, more='cli_env = { SECRET = "${env_key}", BOTH = "x-${env_key}-y" }')
        manifests["file"] = CLI.format(name="file", script=script, more='cli_env = { KEY_PATH = "@{file_key}" }')
        manifests["plain"] = CLI.format(name="plain", script=script, more="")
        self.out = path / "out"
        self.out.mkdir()
        self.folder = Folder(path / "ati", manifests, self.keys)
        self.token = self.folder.token("tool:*", "--rate", "tool:bearer:cut=1/day", secret=self.jwt_secret)
        self.proxy = stack.enter_context(contextlib.closing(Proxy(self.folder, "--verbose", ATI_JWT_SECRET=self.jwt_secret, RUST_LOG="debug")))

    def planted(self):
        """What must not be seen, by name, in the forms it could have."""
        found = {name: value for name, value in self.keys.items() if name != "basic_key"}
        found |= {f"basic {i}": part for i, part in enumerate(self.keys["basic_key"].split(":"))}
        found["basic"] = base64.b64encode(self.keys["basic_key"].encode()).decode().rstrip("=")[:-1]  # the last one depends on what follows
        found["jwt secret"] = self.jwt_secret
        found["session token"] = self.token.rpartition(".")[2]
        forms = {}
        for name, value in found.items():
            forms[name] = value.encode()
            forms[f"{name} in base64"] = base64.b64encode(value.encode()).rstrip(b"=")
            forms[f"{name} in hex"] = value.encode().hex().encode()
            forms[f"{name} in a URL"] = urllib.parse.quote(value, safe="").encode()
        return forms

    def ask(self, *words, **named):
        status, fields, body = self.proxy.ask(*words, **named)
        self.said.append(str(fields).encode() + body)
        return status, body

    def call(self, tool, args=None, **more):
        body = json.dumps({"tool_name": tool, "args": args or {}, **more})
        return self.ask("POST", "/call", body, self.token)

    def use_everything(self):
        for name in AUTHS:
            assert self.call(f"{name}:echo", {"q": "x"})[0] == 200
            assert self.call(f"{name}:fail", {"q": "x"})[0] == 502
            self.call(f"{name}:cut")
            assert self.call(f"gone_{name}:echo")[0] == 502
            for tool in ("echo", "fail", "cut"):
                message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": f"{name}:{tool}", "arguments": {"a": 1}}}
                self.ask("POST", "/mcp", message, self.token, {"Accept": "application/json, text/event-stream"})
        assert self.call("bearer:cut")[0] == 429
        for size in (1 << 20, 17 << 20):  # long enough to be cut in errors, and not to be looked through at a glance
            assert self.call("header:fail", {"q": "x" * size})[0] == 502
        assert self.call("generated:echo")[0] == 200 and self.call("generated:fail")[0] == 502
        for name in ("env", "file", "plain"):
            assert self.call(name, raw_args=[str(self.out / name)])[0] == 200
            assert self.call(name, raw_args=[str(self.out / name), "3"])[0] == 502
        for path in ("/health", "/metrics", "/tools", "/tools/bearer:echo", "/.well-known/jwks.json", "/nothing", "/skills"):
            self.ask("GET", path, None, self.token)
        for body in ("{", "[]", '{"tool_name": 7}', '{"tool_name": "none:such"}', '{"tool_name": "bearer:echo", "args": {"Authorization": "x"}}'):
            self.ask("POST", "/call", body, self.token)
        for token in (None, "nonsense", self.token[:-3], self.token + "x"):
            assert self.ask("GET", "/tools", None, token)[0] == 401
        self.ask("POST", "/call", {"tool_name": "bearer:echo", "args": {}}, self.token, {"X-Note": "hello"})


@pytest.fixture
def world(tmp_path, stack):
    return World(tmp_path, stack)


def seen_in(text, planted, but=()):
    return sorted(name for name, value in planted.items() if value in text and not any(name.startswith(word) for word in but))


def test_nothing_that_is_said_holds_a_secret(world):
    world.use_everything()
    status, said = world.call("mcp:environ")
    assert status == 200 and b'"SECRET":"[redacted]"' in said
    key = "".join(f"\\u{ord(c):04x}" for c in world.keys["mcp_key"])
    status, said = world.call("mcp:text", {"text": f'{{"k": "{key}"}}'})
    assert (status, said) == (200, b'{"result":{"k":"[redacted]"}}')
    world.proxy.reload()
    world.proxy.log("SIGHUP received — reloading keyring and sig-verify secret")
    (world.folder.path / "credentials").write_text(json.dumps(world.keys)[:-3])
    world.proxy.reload()
    world.proxy.log("SIGHUP received — reloading keyring and sig-verify secret")
    planted = world.planted()
    # what is planted is what is used
    shown = json.dumps([[request["path"], dict(request["headers"].items())] for request in world.upstream.asked])
    assert {"bearer_key", "header_key", "query_key", "generator_key", "basic"} <= set(seen_in(shown.encode(), planted))
    for said in world.said:
        assert not seen_in(said, planted), said[:2000]
    world.proxy.close()
    for line in world.proxy.seen:
        assert not seen_in(line.encode(), planted), line[:2000]
    assert len(world.proxy.audit()) > 20
    for file in world.folder.path.rglob("*"):
        if file.is_file() and file.parent.name == ".creds":  # "@{file_key}" is such a file
            assert file.stat().st_mode & 0o777 == 0o600 and seen_in(file.read_bytes(), planted, ["file_key"]) == []
        elif file.is_file() and file.name != "credentials":
            assert not seen_in(file.read_bytes(), planted), file


def test_a_child_sees_what_it_is_given(world):
    world.use_everything()
    planted = world.planted()
    for name, but in (("env", ["env_key"]), ("file", []), ("plain", [])):
        for part in ("environ", "shell"):
            given = (world.out / f"{name}.{part}").read_bytes()
            assert b"PATH=" in given and not seen_in(given, planted, but), given
            assert not re.search(rb"^ATI_", given, re.M), given
    environ = (world.out / "env.environ").read_text()
    assert f"SECRET={world.keys['env_key']}\n" in environ and f"BOTH=x-{world.keys['env_key']}-y\n" in environ
    assert (world.out / "file.file").read_text() == world.keys["file_key"]


def mappings(pid):
    """(from, to, flags) of what a core image would hold."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line):
            found.append([int(head[1], 16), int(head[2], 16), head[3], ""])
        elif line.startswith("VmFlags:"):
            found[-1][3] = line
    return [m for m in found if m[2].startswith("r") and m[1] - m[0] < 1 << 33]


def memory(pid, dumped):
    """Pieces of the memory of pid: what goes into a core image, or what does not."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end, _, flags in mappings(pid):
            if (" dd" in flags) == dumped:
                continue
            with contextlib.suppress(OSError, OverflowError, ValueError):
                mem.seek(start)
                left, tail = end - start, b""
                while left and (piece := mem.read(min(left, 1 << 24))):
                    left -= len(piece)
                    yield tail + piece
                    tail = piece[-256:]


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer keeps what was on the stack and what was freed")
@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may look into a process that is not dumpable")
@pytest.mark.parametrize("from_environment", [False, True])
def test_a_core_image_holds_no_secret(tmp_path, stack, from_environment):
    """What upstreams and programs echo is in their answers, and a sandbox's token in its requests: neither is looked for."""
    world = World(tmp_path, stack, echoes=False)
    if from_environment:
        world.proxy.close()
        variables = {f"ATI_KEY_{name.upper()}": value for name, value in world.keys.items()}
        world.proxy = stack.enter_context(contextlib.closing(Proxy(world.folder, "--env-keys", ATI_JWT_SECRET=world.jwt_secret, **variables)))
    world.use_everything()
    world.proxy.reload()
    world.proxy.log("reloaded")
    assert world.call("header:echo")[0] == 200
    planted = {name: value for name, value in world.planted().items() if not name.startswith("session token")}
    planted["jwt secret as it is"] = bytes.fromhex(world.jwt_secret)
    pid = world.proxy.process.pid
    kept = set()
    for piece in memory(pid, dumped=False):
        kept |= set(seen_in(piece, planted))
    # the scan finds what is there
    assert {*world.keys, "jwt secret", "jwt secret as it is"} - {"basic_key"} <= kept
    for piece in memory(pid, dumped=True):
        assert not seen_in(piece, planted)
    environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    assert b"ATI_DIR=" in environ and not seen_in(environ, planted)
    # who starts programs has seen some of them, and forgets
    (helper,) = map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    for dumped in (False, True):
        for piece in memory(helper, dumped=dumped):
            assert not seen_in(piece, planted)
    assert not pathlib.Path(f"/proc/{helper}/environ").read_bytes().strip(b"\0")
    assert re.search(r"^Max core file size +0 +0", pathlib.Path(f"/proc/{helper}/limits").read_text(), re.M)


def test_no_core_is_dumped(world, tmp_path):
    place = tmp_path / "cores"
    place.mkdir()
    before, limit = os.getcwd(), resource.getrlimit(resource.RLIMIT_CORE)
    os.chdir(place)
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
    try:
        proxy = Proxy(world.folder, ATI_JWT_SECRET=world.jwt_secret)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limit)
        os.chdir(before)
    assert re.search(r"^Max core file size +0 +0", pathlib.Path(f"/proc/{proxy.process.pid}/limits").read_text(), re.M)
    proxy.process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(proxy.process.pid, 0)
    proxy.process.returncode = -signal.SIGABRT
    assert os.WIFSIGNALED(status) and not os.WCOREDUMP(status)
    assert not list(place.iterdir())
