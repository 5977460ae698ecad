"""The gateway gives up rights when it serves; the programs that it has started keep theirs, and go when it goes."""

import ctypes
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import threading

import pytest

from harness import certs, procfs
from harness.ati import ATI, Folder, Proxy, Upstream, environment
from harness.base import PATIENCE, SANITIZER, eventually
from harness.mcp import SCRIPT as SERVER

CONFINED = ("--seccomp", "required", "--landlock", "required")
LANDLOCK_ABI = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)
HTTP = """
[provider]
name = "api"
description = "an API"
base_url = "{url}"
{auth}

[[tools]]
name = "api:echo"
description = "says what it was asked"
endpoint = "/echo"
method = "GET"
"""
SH = """
[provider]
name = "{name}"
description = "a shell"
handler = "cli"
cli_command = "sh"
cli_timeout_secs = 30
cli_output_args = ["--out"]
cli_env = {{ KEY_PATH = "@{{file_key}}" }}
"""
MCP = f"""
[provider]
name = "mcp"
description = "a server"
handler = "mcp"
mcp_command = "{sys.executable}"
mcp_args = ["{SERVER}", "good"]
"""
GENERATED = """auth_type = "bearer"
[provider.auth_generator]
type = "script"
interpreter = "sh"
script = "printf made-by-a-script"
"""
OPENAPI = """
[provider]
name = "{name}"
description = "by a document"
handler = "openapi"
base_url = "{url}"
openapi_spec = "{spec}"
"""
SPEC = json.dumps({"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/thing": {"get": {"operationId": "thing", "responses": {"200": {"description": "ok"}}}}}})

pytestmark = pytest.mark.skipif(LANDLOCK_ABI < 1, reason="this kernel has no Landlock")


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def helper_of(proxy):
    """What the gateway has started itself: that alone."""
    (helper,) = children(proxy.process.pid)
    return helper


def alive(pid):
    try:
        return procfs.status(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sh(proxy, script, *words, name="sh"):
    """(status, answer) of a script."""
    return proxy.call(name, raw_args=["-c", script, "sh", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ati")
    (path / "elsewhere").mkdir()
    (path / "tmp").mkdir()  # what is there is read, and everything here would be under /tmp
    (path / "elsewhere" / "spec.json").write_text(SPEC)
    (path / "secrets").mkdir()
    (path / "secrets" / "one").write_text("kept in a file")
    folder = Folder(path / "ati", {"sh": SH.format(name="sh"), "mcp": MCP},
                    {"file_key": "value-of-file-key", "one": f"@file:{path}/secrets/one"}, TMPDIR=str(path / "tmp"))
    (folder.path / "cache" / "providers").mkdir(parents=True)
    (path / "manifest.toml").write_text(OPENAPI.format(name="doc", url="http://127.0.0.1:9", spec=path / "elsewhere" / "spec.json"))
    (folder.path / "manifests" / "doc.toml").symlink_to(path / "manifest.toml")
    return folder


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as one:
        yield one


@pytest.fixture(scope="module")
def proxy(folder, upstream):
    folder.manifest("api", HTTP.format(url=upstream.url, auth=GENERATED))
    with Proxy(folder, *CONFINED) as one:
        yield one


def test_says_what_is_in_force(proxy):
    parts = next(json.loads(line)["parts"] for line in proxy.seen if '"message":"sandbox"' in line)
    assert parts.startswith("no_new_privs, landlock ") and ", seccomp" in parts and "failed" not in parts, parts


def test_every_thread_is_confined_and_no_program_is(proxy):
    gateway = proxy.process.pid
    for thread in procfs.threads(gateway):
        status = procfs.status(f"{gateway}/task/{thread}")
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1"), status["Name"]
        if not SANITIZER:  # whose own thread was there before
            assert int(status["CapEff"], 16) & ~0x4006 == 0, status["Name"]
    helper = helper_of(proxy)
    status = procfs.status(helper)
    assert (status["Name"], status["Seccomp"], status["NoNewPrivs"]) == ("ati-children", "0", "0")
    code, answer = sh(proxy, "echo $PPID; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status")
    assert (code, answer["result"].split()) == (200, [str(helper), "NoNewPrivs:", "1", "Seccomp:", "0"])


def test_the_helper_is_small_and_holds_nothing_open(proxy):
    helper = helper_of(proxy)
    assert sorted(os.listdir(f"/proc/{helper}/fd"), key=int)[:4] == ["0", "1", "2", "3"]
    assert procfs.settled(lambda: procfs.descriptors(helper).get("anon_inode"), "it keeps no process's descriptor") is None
    if not SANITIZER:
        assert procfs.memory(helper, "Rss") < 4 << 20, "resident"


def test_programs_write_files_and_start_others(proxy, tmp_path):
    made = tmp_path / "made"
    code, answer = sh(proxy, 'sh -c "echo inner" > "$1" && cat "$1" && cat "$KEY_PATH" && sort /etc/passwd | head -c 0', made)
    assert (code, answer["result"], made.read_text()) == (200, "inner\n[redacted]", "inner\n")


def test_captured_output_comes_back(proxy, tmp_path):
    code, answer = sh(proxy, 'printf whole > "$2"', "--out", tmp_path / "x.txt")
    assert code == 200, answer
    assert answer["result"]["outputs"][str(tmp_path / "x.txt")]["content_base64"] == "d2hvbGU="


def test_a_script_makes_a_credential(proxy, upstream):
    assert proxy.call("api:echo")[0] == 200
    assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer made-by-a-script"


def test_a_server_on_standard_streams_is_a_child_of_the_helper(proxy):
    code, answer = proxy.call("mcp:text", {"text": "hello"})
    assert (code, answer["result"]) == (200, "hello")
    assert children(helper_of(proxy))


def test_failures_read_as_ever(folder, proxy):
    for name, command, told in (("none", "no-such-program", "No such file or directory"), ("text", "/etc/passwd", "Permission denied")):
        folder.manifest(name, SH.format(name=name).replace('cli_command = "sh"', f'cli_command = "{command}"'))
        proxy.reload()
        proxy.log("reloaded")
        assert proxy.call(name) == (502, {"result": None, "error": f"CLI error: Failed to spawn CLI process: {command}: {told}"})
        (folder.path / "manifests" / f"{name}.toml").unlink()


def test_many_calls_at_once(proxy):
    answers = [None] * 60

    def one(i):
        answers[i] = sh(proxy, f"echo {i}")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [answer["result"] for _, answer in answers] == list(range(len(answers)))


def test_a_reload_reads_everything_again(folder, proxy, upstream):
    """What is new under the folder, in a folder of its own, too; and a link's target."""
    (folder.path / "specs" / "new").mkdir(parents=True, exist_ok=True)
    (folder.path / "specs" / "new" / "spec.json").write_text(SPEC)
    folder.manifest("fresh", OPENAPI.format(name="fresh", url=upstream.url, spec="new/spec.json"))
    (folder.path.parent / "secrets" / "one").write_text("another")
    (folder.path.parent / "manifest.toml").write_text(OPENAPI.format(name="doc", url=upstream.url, spec=folder.path.parent / "elsewhere" / "spec.json"))
    proxy.reload()
    proxy.log("reloaded")
    for tool in ("fresh:thing", "doc:thing"):
        assert proxy.call(tool)[0] == 200, tool


def test_a_file_elsewhere_stays_out_of_reach(folder, proxy, tmp_path):
    """A folder that nothing named at the start: the reload says so, and all stays as it was."""
    (tmp_path / "secret").write_text("out of reach")
    before = (folder.path / "credentials").read_text()
    folder.credentials({**json.loads(before), "two": f"@file:{tmp_path}/secret"})
    proxy.reload()
    error = proxy.log("reload failed, everything stays as it was")["error"]
    assert str(tmp_path / "secret") in error and "Permission denied" in error, error
    folder.credentials(json.loads(before))
    proxy.reload()
    proxy.log("reloaded")
    assert sh(proxy, "echo still")[1]["result"] == "still"


def test_an_expired_provider_is_removed(folder, proxy):
    late = folder.path / "cache" / "providers" / "late.json"
    late.write_text(json.dumps({"name": "late", "provider_type": "mcp", "mcp_transport": "stdio", "mcp_command": "true", "created_at": "2020-01-01T00:00:00+00:00",
                                "ttl_seconds": 1}))
    proxy.reload()
    proxy.log("reloaded")
    assert not late.exists()


def test_the_audit_is_rotated(folder, tmp_path):
    place = tmp_path / "log"
    place.mkdir()
    with Proxy(folder, *CONFINED, "--audit-rotate", "1", "--audit-keep", "2", ATI_AUDIT_FILE=str(place / "audit.jsonl")) as proxy:
        for i in range(3):
            assert sh(proxy, f"echo {i}")[0] == 200
            eventually(lambda n=i: len(list(place.iterdir())) >= min(n + 2, 3), "another file")


def holding(proxy, path):
    """A call under way: a program with a child of its own. (the thread, program, inner one)"""
    answer = []
    script = 'sleep 1000 >/dev/null 2>&1 & echo $! > "$1.inner"; echo $$ > "$1.outer"; while [ ! -e "$1.go" ]; do sleep 0.02; done; echo done'
    thread = threading.Thread(target=lambda: answer.append(sh(proxy, script, path)), daemon=True)
    thread.start()
    outer = pathlib.Path(f"{path}.outer")
    eventually(lambda: outer.exists() and outer.read_text().endswith("\n"), "the program runs")
    return thread, answer, int(outer.read_text()), int(pathlib.Path(f"{path}.inner").read_text())


def test_all_are_gone_when_the_gateway_is_killed(folder, tmp_path):
    proxy = Proxy(folder, *CONFINED)
    assert proxy.call("mcp:text", {"text": "x"})[0] == 200
    *_, outer, inner = holding_quietly(proxy, tmp_path / "call")
    helper = helper_of(proxy)
    all_of_them = [helper, inner, outer, *children(helper)]
    assert all(map(alive, all_of_them))
    proxy.kill()
    eventually(lambda: not any(map(alive, all_of_them)), "all are gone")


def holding_quietly(proxy, path):
    """As holding, of a call that will not be answered."""
    script = 'sleep 1000 >/dev/null 2>&1 & echo $! > "$1.inner"; echo $$ > "$1.outer"; trap "" TERM; while :; do sleep 1000; done'

    def ask():
        try:
            sh(proxy, script, path)
        except OSError:
            pass

    threading.Thread(target=ask, daemon=True).start()
    outer = pathlib.Path(f"{path}.outer")
    eventually(lambda: outer.exists() and outer.read_text().endswith("\n"), "the program runs")
    return int(outer.read_text()), int(pathlib.Path(f"{path}.inner").read_text())


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_lets_calls_finish(folder, tmp_path, signo):
    """As Ctrl-C at a terminal, and as service managers do: the helper waits for the gateway."""
    proxy = Proxy(folder, *CONFINED)
    thread, answer, outer, inner = holding(proxy, tmp_path / "call")
    helper = helper_of(proxy)
    os.kill(helper, signo)
    proxy.process.send_signal(signo)
    proxy.log("draining")
    (tmp_path / "call.go").touch()
    thread.join(PATIENCE)
    assert answer == [(200, {"result": "done"})]
    assert proxy.process.wait(PATIENCE) == 0
    eventually(lambda: not any(map(alive, (helper, outer, inner))), "all are gone")


def groups_can_be_killed():
    """By a process's descriptor: since Linux 6.9."""
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups())) >= (6, 9)


def lets_in(proxy):
    try:
        proxy.ask("GET", "/health")
    except OSError:
        return False
    return True


def test_without_its_helper_it_drains_and_leaves(folder, tmp_path):
    """Nobody else could start programs: what runs ends, other calls finish, and a service manager sees a failure."""
    let_go, asked = threading.Event(), threading.Event()

    def answer(_):
        asked.set()
        let_go.wait(PATIENCE)
        return 200, {}, b'"whole"'

    with Upstream(answer) as slow:
        folder.manifest("slow", HTTP.format(url=slow.url, auth="").replace("api", "slow"))
        proxy = Proxy(folder, *CONFINED)
        (folder.path / "manifests" / "slow.toml").unlink()
        assert proxy.call("mcp:text", {"text": "x"})[0] == 200
        finished = []
        call = threading.Thread(target=lambda: finished.append(proxy.call("slow:echo")))
        call.start()
        assert asked.wait(PATIENCE)
        thread, cut, outer, inner = holding(proxy, tmp_path / "call")
        helper = helper_of(proxy)
        rest = [helper, outer, *children(helper)]
        os.kill(helper, signal.SIGKILL)
        told = proxy.log("ati-children, the process that starts programs, has ended, and the programs that ran with it: draining, to be started anew")
        assert (told["level"], told["how"]) == ("ERROR", "Killed")
        thread.join(PATIENCE)
        assert cut[0][0] == 502, cut
        eventually(lambda: not any(map(alive, rest + ([inner] if groups_can_be_killed() else []))), "programs are gone")
        eventually(lambda: not lets_in(proxy), "nobody is let in any more")
        let_go.set()
        call.join(PATIENCE)
        assert finished == [(200, {"result": "whole"})]
        assert proxy.process.wait(PATIENCE) == 1
        proxy.reader.join(PATIENCE)
        assert json.loads(proxy.seen[-1])["error"] == "ati-children, the process that starts programs, has ended"
    if not groups_can_be_killed():
        os.kill(inner, signal.SIGKILL)


@pytest.mark.patient
def test_a_helper_that_hangs_is_not_waited_for(folder, tmp_path):
    """As one does whose exec is on a disk that does not answer: calls end when they are late, and so does the gateway."""
    folder.manifest("late", SH.format(name="late").replace("timeout_secs = 30", "timeout_secs = 2"))
    proxy = Proxy(folder, *CONFINED, "--drain-seconds", "1")
    (folder.path / "manifests" / "late.toml").unlink()
    assert proxy.call("mcp:text", {"text": "x"})[0] == 200
    helper, answers, mark = helper_of(proxy), [], tmp_path / "mark"
    running = threading.Thread(target=lambda: answers.append(sh(proxy, 'echo $$ > "$1"; exec sleep 1000', mark, name="late")))
    running.start()
    eventually(lambda: mark.exists() and mark.read_text().endswith("\n"), "the program runs")
    os.kill(helper, signal.SIGSTOP)
    answers.append(sh(proxy, "echo x", name="late"))
    running.join(PATIENCE)
    assert [(code, "timed out" in answer["error"]) for code, answer in answers] == [(answers[0][0], True)] * 2, answers
    eventually(lambda: not alive(int(mark.read_text())), "the program is gone")
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(PATIENCE) == 0
    assert not alive(helper)


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may look into it")
def test_the_line_to_the_helper_is_not_inherited(proxy):
    flags = next(line.split()[1] for line in pathlib.Path(f"/proc/{helper_of(proxy)}/fdinfo/3").read_text().splitlines() if line.startswith("flags:"))
    assert int(flags, 8) & os.O_CLOEXEC


@pytest.mark.skipif(bool(SANITIZER), reason="what a sanitizer needs is let pass")
def test_off_is_off(folder):
    with Proxy(folder, "--seccomp", "off", "--landlock", "off") as proxy:
        assert procfs.status(proxy.process.pid)["Seccomp"] == "0"
        assert not [pid for pid in children(proxy.process.pid) if procfs.status(pid)["Name"] == "ati-children"]
        assert sh(proxy, "echo $PPID")[1] == {"result": proxy.process.pid}


class Secure(Upstream):
    """The same over TLS."""

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.cert, certificate.key)
        super().__init__()
        self.url = f"https://localhost:{self.server_port}"

    def get_request(self):
        client, address = super().get_request()
        return self.context.wrap_socket(client, server_side=True), address


@pytest.mark.parametrize("settings", ["", "[modules]\ndefault = on\nlegacy = on\n[on]\nactivate = 1\n"], ids=["no modules", "modules"])
def test_tls_has_the_settings_of_the_system(tmp_path, settings):
    """A module of OpenSSL is a library: it is loaded while that is possible."""
    certificate = certs.self_signed(tmp_path, "localhost")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "openssl.cnf").write_text("openssl_conf = all\n[all]\n" + ("providers = modules\n" + settings if settings else ""))
    with Secure(certificate) as upstream:
        folder = Folder(tmp_path / "ati", {"api": HTTP.format(url=upstream.url, auth="")}, {})
        with Proxy(folder, *CONFINED, SSL_CERT_FILE=str(certificate.cert), OPENSSL_CONF=str(tmp_path / "openssl.cnf"), TMPDIR=str(tmp_path / "tmp")) as proxy:
            assert proxy.call("api:echo")[0] == 200
            if settings and not SANITIZER:
                assert "legacy" in pathlib.Path(f"/proc/{proxy.process.pid}/maps").read_text()


def test_a_word_that_is_none_of_them(folder):
    for flag in ("--seccomp", "--landlock"):
        done = subprocess.run([ATI, "proxy", "--port", "0", flag, "perhaps"], env=environment(folder.path), capture_output=True, text=True, check=False,
                              timeout=PATIENCE)
        assert done.returncode == 2 and flag in done.stderr and "required" in done.stderr, done.stderr
