"""Credentials from outside: `ati key`, the encrypted keyring, its keys, and what tools get of it."""

import base64
import contextlib
import fcntl
import json
import os
import pty
import secrets
import signal
import subprocess
import termios

import pytest

from harness.ati import ATI, Folder, Proxy, Upstream, environment
from harness.base import BROWSER, PATIENCE, TOOLS, eventually

API = """
[provider]
name = "api"
description = "an API"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "api_key"

[[tools]]
name = "api:get"
description = "asks it"
endpoint = "/thing"
method = "GET"
"""


@pytest.fixture
def upstream(stack):
    return stack.enter_context(Upstream())


@pytest.fixture
def folder(tmp_path, upstream):
    return Folder(tmp_path / "ati", {"api": API.format(url=upstream.url)}, ATI_KEY_FILE=str(tmp_path / "sealed"))


def node(**question):
    if not (BROWSER / "node_modules/jose").is_dir():
        pytest.skip("npm ci has not been run in tests/browser")
    done = subprocess.run(["node", BROWSER / "credentials.mjs"], input=json.dumps(question), capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(done.stdout)


def seal(folder, entries, key=None):
    """keyring.enc by Node.js; the key that opens it, in base64."""
    key = key or base64.b64encode(secrets.token_bytes(32)).decode()
    text = entries if isinstance(entries, str) else json.dumps(entries)
    (folder.path / "keyring.enc").write_bytes(base64.b64decode(node(seal=text, key=key)["sealed"]))
    return key


def sent(folder, upstream, **environ):
    """The credential that the upstream was shown by `ati run`; None: it was not asked."""
    before = len(upstream.asked)
    done = folder.run("run", "api:get", **environ)
    assert (done.returncode == 0) == (len(upstream.asked) > before), done
    return upstream.asked[-1]["headers"].get("Authorization") if len(upstream.asked) > before else None


def test_set_list_and_remove(folder):
    done = folder.run("key", "list")
    assert done.returncode == 0 and done.stdout.startswith("No keys stored. Run ")
    values = {"b": "abcd", "a": "abcde", "c": "abcdefghij", "d": "abcdefghijk", "e": "x", "f": ""}
    masks = {"b": "****", "a": "ab...de", "c": "ab...ij", "d": "abcd...hijk", "e": "*", "f": ""}
    for name, value in values.items():
        done = folder.run("key", "set", name, value)
        assert done.returncode == 0 and done.stdout == "" and f"saved key name={name}" in done.stderr
    for words in ([], ["--output", "json"], ["--output", "text"], ["--output", "table"]):
        done = folder.run(*words, "key", "list")
        assert done.stdout == "".join(f"{name:<30} {masks[name]}\n" for name in sorted(values)), words
    file = folder.path / "credentials"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == json.dumps(dict(sorted(values.items())), indent=2)
    done = folder.run("key", "remove", "nobody")
    assert done.returncode == 1 and "Key 'nobody' not found." in done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["error"]["message"] == "Key 'nobody' not found."
    for name in values:
        done = folder.run("key", "remove", name)
        assert done.returncode == 0 and f"removed key name={name}" in done.stderr
    assert file.read_text() == "{}"


def test_a_value_is_never_told(folder):
    planted = "planted-" + secrets.token_hex(8)
    for words in (["key", "set", "k", planted], ["--verbose", "key", "set", "k", planted], ["--output", "text", "key", "set", "k", planted],
                  ["key", "list"], ["--verbose", "key", "list"], ["key", "set", "", planted], ["--verbose", "key", "remove", "k"]):
        done = folder.run(*words)
        assert planted not in done.stdout + done.stderr, words
    (folder.path / "credentials").write_text(f'{{"k": "{planted}", "broken')
    for words in (["key", "list"], ["key", "set", "a", "b"], ["key", "remove", "k"], ["--verbose", "run", "api:get"]):
        done = folder.run(*words)
        assert done.returncode != 0 and planted not in done.stdout + done.stderr, words


def test_a_value_can_come_from_standard_input(folder):
    done = subprocess.run([ATI, "key", "set", "k", "-"], input="line one\nline two\n", text=True, capture_output=True, timeout=PATIENCE,
                          check=False, env=environment(folder.path))
    assert done.returncode == 0 and "line" not in done.stderr, done
    assert json.loads((folder.path / "credentials").read_text()) == {"k": "line one\nline two"}


def at_a_terminal(folder, keys):
    """`ati key set k -` of a person who types keys: (status, what the screen shows, whether the terminal shows what is typed afterwards)."""
    here, there = pty.openpty()
    try:
        process = subprocess.Popen([ATI, "key", "set", "k", "-"], stdin=there, stdout=there, stderr=there, env=environment(folder.path),
                                   start_new_session=True, preexec_fn=lambda: fcntl.ioctl(there, termios.TIOCSCTTY, 0))
        shown = b""
        while b"ends it): " not in shown:
            shown += os.read(here, 4096)
        os.write(here, keys)
        status = process.wait(PATIENCE)
        echoes = bool(termios.tcgetattr(there)[3] & termios.ECHO)
        os.close(there)
        there = -1
        with contextlib.suppress(OSError):  # nobody is left at the other end
            while piece := os.read(here, 4096):
                shown += piece
        return status, shown.decode(), echoes
    finally:
        os.close(here)
        if there >= 0:
            os.close(there)


def test_a_value_that_is_typed_is_not_shown(folder):
    status, shown, echoes = at_a_terminal(folder, b"typed-secret\n")
    assert status == 0 and shown.startswith("Value of k (it is not shown; Enter ends it): ") and "secret" not in shown and echoes, shown
    assert json.loads((folder.path / "credentials").read_text()) == {"k": "typed-secret"}
    (folder.path / "credentials").unlink()
    status, shown, echoes = at_a_terminal(folder, b"half\x03")
    assert status == -signal.SIGINT and echoes and not (folder.path / "credentials").exists()
    status, shown, echoes = at_a_terminal(folder, b"\n")
    assert status == 2 and "a value is required" in shown and echoes and not (folder.path / "credentials").exists()


def test_a_value_may_stand_in_a_file(folder, upstream, tmp_path):
    (tmp_path / "value").write_text("\n from-a-file \n")
    folder.run("key", "set", "api_key", f"@file:{tmp_path}/value")
    assert sent(folder, upstream) == "Bearer from-a-file"
    (tmp_path / "value").write_text("another")
    assert sent(folder, upstream) == "Bearer another"
    (tmp_path / "value").unlink()
    assert sent(folder, upstream) is None


def test_a_tool_without_its_key_names_it(folder, upstream):
    for credentials in ({}, {"other": "x"}, {"api_key": ""}):
        folder.credentials(credentials)
        done = folder.run("run", "api:get")
        assert done.returncode != 0 and "api_key" in done.stderr and not upstream.asked, done
    folder.credentials({"api_key": "x"})
    assert sent(folder, upstream) == "Bearer x"


def test_opens_what_node_has_sealed(folder, upstream, tmp_path):
    key = seal(folder, {"api_key": "from-node", "other": "ключ 🔑"})
    folder.credentials({"api_key": "plain"})
    assert sent(folder, upstream) == "Bearer plain"  # without a key the command line goes on
    (folder.path / ".keyring-key").write_text(key + "\n")
    assert sent(folder, upstream) == "Bearer from-node"
    (tmp_path / "sealed").write_text(f"  {key}\n")
    (folder.path / ".keyring-key").unlink()
    assert sent(folder, upstream) == "Bearer from-node"
    assert not (tmp_path / "sealed").exists()
    assert sent(folder, upstream) == "Bearer plain"  # the key was of one use


def test_node_opens_what_is_sealed_here(folder, upstream):
    for entries in ({}, {"api_key": "x" * 5000, "b": "ключ 🔑\n"}, {f"k{i}": secrets.token_hex(20) for i in range(500)}):
        text = json.dumps(entries, indent=2)
        done = subprocess.run([TOOLS / "keyring-seal", folder.path], input=text, capture_output=True, text=True, check=True, timeout=PATIENCE)
        sealed = (folder.path / "keyring.enc").read_bytes()
        assert int(done.stdout) == len(sealed) == len(text.encode()) + 28
        key = (folder.path / ".keyring-key").read_text()
        assert len(base64.b64decode(key, validate=True)) == 32
        assert node(open=base64.b64encode(sealed).decode(), key=key) == {"text": text}
        for name in ("keyring.enc", ".keyring-key"):
            assert (folder.path / name).stat().st_mode & 0o777 == 0o600
    folder.credentials({"api_key": "plain"})
    subprocess.run([TOOLS / "keyring-seal", folder.path], input='{"api_key":"ours"}', text=True, check=True, timeout=PATIENCE, capture_output=True)
    assert sent(folder, upstream) == "Bearer ours"


def test_a_keyring_that_was_touched_does_not_open(folder, upstream):
    key = seal(folder, {"api_key": "from-node"})
    (folder.path / ".keyring-key").write_text(key)
    assert sent(folder, upstream) == "Bearer from-node"
    whole = (folder.path / "keyring.enc").read_bytes()
    touched = [whole[:-1], whole[1:], whole + b"\0", whole[:27], b"", whole[:12] + whole[28:]]
    touched += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:] for at in (0, 11, 12, len(whole) - 17, len(whole) - 16, len(whole) - 1)]
    for sealed in touched:
        (folder.path / "keyring.enc").write_bytes(sealed)
        done = folder.run("--verbose", "run", "api:get")
        assert done.returncode != 0 and "from-node" not in done.stderr, done
    for text in ("[]", '{"api_key": 7}', "nonsense", '{"api_key": "x"'):
        seal(folder, text, key)
        assert folder.run("run", "api:get").returncode != 0
    (folder.path / "keyring.enc").write_bytes(whole)
    for wrong in ("", "AAAA", key[:-4], base64.b64encode(secrets.token_bytes(32)).decode(), key + key):
        (folder.path / ".keyring-key").write_text(wrong)
        assert folder.run("run", "api:get").returncode != 0


def proxied(folder, upstream, *words, **environ):
    """(keyring of the start-up line, the credential that the upstream was shown)"""
    with Proxy(folder, *words, **environ) as proxy:
        before = len(upstream.asked)
        status, answer = proxy.call("api:get")
        shown = upstream.asked[-1]["headers"].get("Authorization") if len(upstream.asked) > before else None
        assert (status == 200) == (shown is not None), answer
        if shown is None:
            assert status == 502 and "API key 'api_key' not found in keyring" in answer["error"], answer
        return proxy.start["keyring"], shown


def test_the_proxy_says_where_its_keys_are_from(folder, upstream, tmp_path):
    assert proxied(folder, upstream) == ("empty (no auth)", None)
    folder.credentials({"api_key": "plain"})
    assert proxied(folder, upstream) == ("credentials (plaintext)", "Bearer plain")
    (folder.path / "credentials").write_text("{")
    assert proxied(folder, upstream) == ("empty (credentials error)", None)
    folder.credentials({"api_key": "plain"})
    key = seal(folder, {"api_key": "sealed"})
    assert proxied(folder, upstream) == ("empty (decryption failed)", None)
    (folder.path / ".keyring-key").write_text(key)
    assert proxied(folder, upstream) == ("keyring.enc (persistent key)", "Bearer sealed")
    (tmp_path / "sealed").write_text(key)
    assert proxied(folder, upstream) == ("keyring.enc (sealed key)", "Bearer sealed")
    assert not (tmp_path / "sealed").exists()
    (tmp_path / "sealed").write_text("no key")
    (folder.path / ".keyring-key").unlink()
    assert proxied(folder, upstream) == ("empty (decryption failed)", None)
    assert not (tmp_path / "sealed").exists()


def test_keys_of_the_environment_replace_all_files(folder, upstream, tmp_path):
    (folder.path / ".keyring-key").write_text(seal(folder, {"api_key": "sealed"}))
    folder.credentials({"api_key": "plain"})
    (tmp_path / "sealed").write_text("a key")
    assert proxied(folder, upstream, "--env-keys") == ("env-vars (ATI_KEY_*)", None)
    assert proxied(folder, upstream, "--env-keys", ATI_KEY_API_KEY="environment") == ("env-vars (ATI_KEY_*)", "Bearer environment")
    assert proxied(folder, upstream, "--env-keys", ATI_KEY_API_KEY="") == ("env-vars (ATI_KEY_*)", None)
    assert (tmp_path / "sealed").exists()


def test_a_reload_takes_new_keys_and_keeps_old_ones(folder, upstream):
    folder.credentials({"api_key": "one"})
    with Proxy(folder) as proxy:
        def shown():
            assert proxy.call("api:get")[0] == 200
            return upstream.asked[-1]["headers"]["Authorization"]

        assert shown() == "Bearer one"
        folder.credentials({"api_key": "two"})
        assert shown() == "Bearer one"
        proxy.reload()
        proxy.log("SIGHUP received — reloading keyring and sig-verify secret")
        eventually(lambda: shown() == "Bearer two", "the new key")
        (folder.path / "credentials").write_text("{broken")
        errors = sum('"level":"ERROR"' in line for line in proxy.seen)
        proxy.reload()
        eventually(lambda: sum('"level":"ERROR"' in line for line in proxy.seen) > errors, "an error of the log")
        assert shown() == "Bearer two"
        folder.credentials({"api_key": "three"})
        proxy.reload()
        eventually(lambda: shown() == "Bearer three", "the repaired key")
