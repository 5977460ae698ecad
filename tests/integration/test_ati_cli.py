"""Programs as tools, through the gateway: what they see, what they leave, and how they end."""

import base64
import contextlib
import json
import os
import pathlib
import signal
import socket
import threading

import pytest

from harness.ati import Folder, Proxy
from harness.base import PATIENCE, eventually

KEY = "canary-cli-7Qz81-tail"
OTHER = "canary-never-given"
KEYS = {"key": KEY, "other": OTHER}

MANIFEST = """
[provider]
name = "c"
description = "d"
handler = "cli"
cli_command = "sh"
cli_default_args = ["-c", '''{script}''', "sh"]
{more}
[[tools]]
name = "c:t"
description = "d"
"""


def manifest(script, more=""):
    return MANIFEST.format(script=script, more=more)


@pytest.fixture
def gateway(stack, tmp_path):
    started = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def start(text, *words, folder=None, **environ):
        folder = folder or Folder(tmp_path / f"ati{len(started)}", {"c": text}, KEYS)
        proxy = stack.enter_context(Proxy(folder, *words, TMPDIR=scratch, UNTOLD="x", **environ))
        proxy.scratch = scratch
        started.append(proxy)
        return proxy

    yield start
    for proxy in started:
        text = "\n".join(proxy.seen) + json.dumps(proxy.audit())
        assert KEY not in text and OTHER not in text


def left(proxy):
    return sorted(path.name for path in proxy.scratch.iterdir() if path.name.startswith(".ati-"))


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pid_in(path):
    return int(eventually(lambda: path.exists() and path.read_text().strip(), f"a pid in {path}"))


def test_a_child_sees_just_what_it_is_given(gateway, tmp_path):
    """Asked of the kernel, not of the child."""
    note = tmp_path / "pid"
    more = f"""[provider.cli_env]\nTOKEN = "t:${{key}}"\nFILE = "@{{key}}"\nNOTE = "{note}"\n"""
    proxy = gateway(manifest('echo $$ >"$NOTE.new"; mv "$NOTE.new" "$NOTE"; read line <"$NOTE.go"; cat "$FILE"; rm "$NOTE"', more), LANG="C.UTF-8")
    os.mkfifo(f"{note}.go")
    body = json.dumps({"tool_name": "c:t", "raw_args": ["x"]}).encode()
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock:
        sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        pid = pid_in(note)
        environ = dict(item.split("=", 1) for item in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if item)
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        descriptors = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        pathlib.Path(f"{note}.go").write_text("go\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    file = proxy.folder.path / ".creds" / "key"
    assert environ.pop("TOKEN") == "t:" + KEY and environ.pop("FILE") == str(file) and environ.pop("NOTE") == str(note)
    assert set(environ) <= {"PATH", "HOME", "TMPDIR", "LANG", "USER", "TERM"} and environ["LANG"] == "C.UTF-8"
    assert KEY not in words and words.endswith("sh\0x\0") and {n for n in descriptors if n > 2} <= {10}  # a shell's own
    assert file.read_text() == KEY and file.stat().st_mode & 0o777 == 0o600
    assert b"[redacted]" in answer and KEY.encode() not in answer


def test_words_are_made_of_arguments(gateway):
    proxy = gateway(manifest('for a; do printf "[%s]" "$a"; done'))
    assert proxy.call("c:t", {"b": "x y", "a": True, "n": [1, "z"]})[1] == {"result": '[--a][--b][x y][--n][[1,"z"]]'}
    assert proxy.call("c:t", {"_positional": ["p", 2]})[1] == {"result": "[p][2]"}
    assert proxy.call("c:t", {"a": 1}, raw_args=["raw", "--x=y", "$HOME;`id`"])[1] == {"result": "[raw][--x=y][$HOME;`id`]"}
    assert proxy.call("c:t", ["l", 1])[1] == {"result": "[l][1]"}
    assert proxy.call("c:t", "two words")[1] == {"result": "[two][words]"}


def test_output_is_json_or_text(gateway):
    proxy = gateway(manifest('printf %s "$1"'))
    assert proxy.ask("POST", "/call", {"tool_name": "c:t", "raw_args": [' {"a": 1.50} ']})[2] == b'{"result":{"a":1.50}}'
    assert proxy.call("c:t", raw_args=[" text\n\n"])[1] == {"result": "text"}
    assert proxy.call("c:t", raw_args=[""])[1] == {"result": ""}


def test_failures_say_what_happened_and_no_key(gateway):
    more = '[provider.cli_env]\nK = "${key}"\n'
    proxy = gateway(manifest('echo "no $K" >&2; exit 3', more))
    assert proxy.call("c:t") == (502, {"result": None, "error": "CLI error: CLI exited with code 3: no [redacted]\n"})
    result = proxy.rpc("tools/call", {"name": "c:t", "arguments": {}})["result"]
    assert result["isError"] and KEY not in json.dumps(result)
    assert eventually(proxy.audit, "a line of the audit")[0]["exit_code"] == 3
    missing = gateway(manifest("exit 0", '[provider.cli_env]\nK = "${nobody}"\n'))
    assert missing.call("c:t")[1]["error"] == "CLI error: Missing keyring key: nobody"
    escape = gateway(manifest("exit 0", '[provider.cli_env]\nK = "@{../credentials}"\n'))
    assert escape.call("c:t")[1]["error"] == "CLI error: keyring key '../credentials' cannot be the name of a file"


@pytest.mark.parametrize("kept", [1, 7, len(KEY) - 1])
def test_of_a_long_error_no_part_of_a_key_is_told(gateway, kept):
    """Of standard error the end is kept: 64 KiB."""
    script = f'printf %s "$K" >&2; head -c {65536 - kept} /dev/zero | tr "\\0" - >&2; exit 1'
    proxy = gateway(manifest(script, '[provider.cli_env]\nK = "${key}"\n'))
    status, answer = proxy.call("c:t")
    error = answer["error"].removeprefix("CLI error: CLI exited with code 1: ")
    assert status == 502 and len(error) > 60_000 and error.strip("-") == "", answer["error"][:100]


def test_a_time_out_ends_the_whole_group(gateway, tmp_path):
    note = tmp_path / "pid"
    proxy = gateway(manifest(f"trap '' TERM; sleep 1000 & echo $! >{note}; wait; sleep 1000", "cli_timeout_secs = 1"))
    assert proxy.call("c:t") == (502, {"result": None, "error": "CLI error: CLI timed out after 1s"})
    pid = pid_in(note)
    eventually(lambda: not alive(pid), "the end of the grandchild")


def test_a_caller_who_leaves_ends_the_program(gateway, tmp_path):
    note = tmp_path / "pid"
    proxy = gateway(manifest(f'echo >"$2"; sleep 1000 & echo $! >{note}; wait', 'cli_output_args = ["-o"]'))
    body = json.dumps({"tool_name": "c:t", "raw_args": ["-o", "x.txt"]}).encode()
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock:
        sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        pid = pid_in(note)
        assert left(proxy)
    eventually(lambda: not alive(pid), "the end of the program")
    eventually(lambda: not left(proxy), "the removal of its output")


WRITES = 'for a; do case "$a" in */.ati-cli-out-*) printf "%s" "$a" >"${a#--out=}";; esac; done; echo " done "'
OUTPUTS = 'cli_output_args = ["--out", "-o"]\n[provider.cli_output_positional]\n"shot" = 0\n'


@pytest.mark.parametrize("words, original, kind", [
    (["--out", "/a/b.txt"], "/a/b.txt", "text/plain"),
    (["--OUT", "c.png"], "c.png", "image/png"),
    (["--out=d.json"], "d.json", "application/json"),
    (["shot", "e.pdf"], "e.pdf", "application/pdf"),
    (["--flag", "shot", "-o", "f", "g.csv"], "g.csv", "text/csv"),
])
def test_captured_outputs_come_back(gateway, words, original, kind):
    proxy = gateway(manifest(WRITES, OUTPUTS))
    status, answer = proxy.call("c:t", raw_args=words)
    assert status == 200 and answer["result"]["stdout"] == "done"
    one = answer["result"]["outputs"][original]
    path = base64.b64decode(one["content_base64"]).decode()
    assert one["content_type"] == kind and one["size_bytes"] == len(path.encode())
    assert pathlib.Path(path.removeprefix("--out=")).name.startswith(".ati-cli-out-")
    assert not left(proxy)


def test_captures_have_limits_and_leave_nothing(gateway):
    proxy = gateway(manifest('eval "$3"', OUTPUTS), ATI_CLI_MAX_OUTPUT_BYTES="1000")
    for script, error in (
        ('head -c 1001 /dev/zero >"$2"', "Captured output 'o' exceeds ATI_CLI_MAX_OUTPUT_BYTES (1000 bytes)"),
        ("true", "Captured output 'o' was not produced by the CLI"),
        ('ln -s /etc/passwd "$2"', "Captured output 'o' was not produced by the CLI"),
        ('echo x >"$2"; exit 4', "CLI exited with code 4: "),
    ):
        assert proxy.call("c:t", raw_args=["-o", "o", script]) == (502, {"result": None, "error": "CLI error: " + error})
        assert not left(proxy)
    assert proxy.call("c:t", raw_args=["-o", "o", 'head -c 1000 /dev/zero >"$2"'])[1]["result"]["outputs"]["o"]["size_bytes"] == 1000


def test_a_large_capture_is_whole(gateway):
    """It is read and encoded in pieces."""
    size = 60_000_000
    proxy = gateway(manifest('[ -z "$2" ] || head -c "$3" /dev/zero >"$2"', OUTPUTS))
    status, answer = proxy.call("c:t", raw_args=["-o", "o", str(size)])
    assert status == 200 and answer["result"]["outputs"]["o"]["size_bytes"] == size
    assert len(answer["result"]["outputs"]["o"]["content_base64"]) == (size + 2) // 3 * 4
    assert not left(proxy)


def test_what_a_killed_gateway_left_is_swept_by_the_next(stack, tmp_path):
    note, scratch = tmp_path / "pid", tmp_path / "scratch"
    scratch.mkdir()
    folder = Folder(tmp_path / "ati", {"c": manifest(f'echo x >"$2"; echo $$ >{note}; sleep 1000', OUTPUTS)}, KEYS)
    proxy = Proxy(folder, TMPDIR=scratch)
    proxy.scratch = scratch
    body = json.dumps({"tool_name": "c:t", "raw_args": ["-o", "x"]}).encode()
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock:
        sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        pid = pid_in(note)
        proxy.kill()
    try:
        assert left(proxy)
        with Proxy(folder, TMPDIR=scratch):
            assert not left(proxy)
    finally:
        if alive(pid):
            os.killpg(pid, signal.SIGKILL)


def sealed(folder, entries, key):
    """keyring.enc of this key."""
    aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")
    nonce = os.urandom(12)
    (folder.path / "keyring.enc").write_bytes(nonce + aead.AESGCM(key).encrypt(nonce, json.dumps(entries).encode(), None))


def test_files_of_a_one_time_keyring_go_with_their_call(gateway, tmp_path):
    key, sealed_key = os.urandom(32), tmp_path / "key"
    folder = Folder(tmp_path / "ati-sealed", {"c": manifest('ls -l "$F"; wc -c <"$F"', '[provider.cli_env]\nF = "@{key}"\n')})
    sealed(folder, KEYS, key)
    sealed_key.write_text(base64.b64encode(key).decode())
    proxy = gateway(None, folder=folder, ATI_KEY_FILE=sealed_key)
    assert proxy.start["keyring"] == "keyring.enc (sealed key)" and not sealed_key.exists()
    for _ in range(2):
        status, answer = proxy.call("c:t")
        assert status == 200 and answer["result"].startswith("-rw-------") and answer["result"].endswith(f"\n{len(KEY)}"), answer
        assert "/.creds/key_" in answer["result"]
    assert not list((folder.path / ".creds").iterdir())


def test_files_of_a_one_time_keyring_that_a_killed_gateway_has_left(gateway, tmp_path):
    """The next start removes them; those of a gateway that lives stay."""
    key, gate = os.urandom(32), tmp_path / "gate"
    os.mkfifo(gate)
    folder = Folder(tmp_path / "ati-sealed", {"c": manifest(f'cat {gate}; wc -c <"$F"', '[provider.cli_env]\nF = "@{key}"\n')})
    sealed(folder, KEYS, key)

    def begin(start):
        (tmp_path / "key").write_text(base64.b64encode(key).decode())
        proxy, answers = start(folder, ATI_KEY_FILE=tmp_path / "key"), []
        thread = threading.Thread(target=lambda: answers.append(suppressed(proxy)))
        before = set(files())
        thread.start()
        return proxy, thread, answers, eventually(lambda: set(files()) - before, "a file").pop()

    def suppressed(proxy):
        with contextlib.suppress(OSError):
            return proxy.call("c:t")

    def files():
        return list((folder.path / ".creds").iterdir()) if (folder.path / ".creds").exists() else []

    killed, waiting, _, left = begin(Proxy)
    killed.kill()
    waiting.join(PATIENCE)
    assert left.read_text() == KEY
    lives, waiting, answers, own = begin(lambda folder, **environ: gateway(None, folder=folder, **environ))
    assert files() == [own]
    gateway(None, folder=folder, ATI_KEY_FILE=tmp_path / "none").close()
    assert files() == [own] and own.read_text() == KEY
    gate.write_text("")
    waiting.join(PATIENCE)
    assert answers == [(200, {"result": len(KEY)})] and not files()
    lives.close()


def test_the_command_line_calls_the_same_way(tmp_path):
    folder = Folder(tmp_path / "ati", {"c": manifest('printf "%s|" "$@"; printf hello >"$2"', 'cli_output_args = ["-o"]\n')}, KEYS)
    target = tmp_path / "new" / "deep" / "out.txt"
    done = folder.run("run", "c:t", "-o", target)
    assert done.returncode == 0, done.stderr
    assert target.read_text() == "hello"
    assert json.loads(done.stdout)["outputs"][str(target)] == {"content_type": "text/plain", "path": str(target), "size_bytes": 5}
