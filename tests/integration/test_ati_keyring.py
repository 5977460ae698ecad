"""The keyring's files, asked of running programs: what opens, what does not and how that is told, keys of one use, memory, names."""

import base64
import json
import os
import pathlib
import re
import secrets
import subprocess
import threading

import pytest

from harness.ati import ATI, Folder, Proxy, Upstream, environment
from harness.base import PATIENCE, SANITIZER, eventually
from test_ati_canaries import memory

aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")

API = """
[provider]
name = "api"
description = "an API"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "{key}"

[[tools]]
name = "api:get"
description = "asks it"
endpoint = "/thing"
"""


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture
def folder(tmp_path, upstream):
    return Folder(tmp_path / "ati", {"api": API.format(url=upstream.url, key="api_key")}, ATI_KEY_FILE=str(tmp_path / "sealed"))


def sealed(text, key):
    """As keyring.enc holds it: nonce, ciphertext, tag."""
    nonce = os.urandom(12)
    return nonce + aead.AESGCM(key).encrypt(nonce, text.encode(), None)


def seal(folder, entries, key=None):
    """keyring.enc; the key that opens it, in base64."""
    key = key or os.urandom(32)
    (folder.path / "keyring.enc").write_bytes(sealed(json.dumps(entries), key))
    return base64.b64encode(key).decode()


def shown(proxy, upstream):
    """The credential that the upstream sees, or the error of a call."""
    before = len(upstream.asked)
    status, answer = proxy.call("api:get")
    return upstream.asked[-1]["headers"].get("Authorization") if len(upstream.asked) > before else (status, answer["error"])


def keyless(name):
    return 502, f"Upstream API error: API key '{name}' not found in keyring"


def warnings(proxy):
    """What it said of its keyring before it started."""
    lines = [json.loads(line) for line in proxy.seen if line.startswith("{")]
    return [line["message"] for line in lines if line["level"] == "WARN" and line["target"].endswith("keyring")]


# --- what opens, and what does not ----------------------------------------------------------------

SMALL = "{enc}: Keyring file too small (need at least nonce + tag)"
CLOSED = "{enc}: Decryption failed — wrong key or corrupted keyring"
SHAPE = "{enc}: Invalid keyring format — expected JSON object: "
NO_KEY = "{enc}: {key}: not base64 of 32 bytes"


def broken_files(key):
    """(what it is, keyring.enc, .keyring-key, what the error begins with)"""
    good, text = sealed('{"api_key": "new"}', key), base64.b64encode(key).decode()
    for size in (0, 1, 27):
        yield f"{size} bytes", good[:size], text, SMALL
    for size in (28, len(good) - 1):
        yield f"the first {size} bytes", good[:size], text, CLOSED
    for at in (0, 11, 12, len(good) - 17, len(good) - 16, len(good) - 1):
        yield f"a flipped bit in byte {at}", good[:at] + bytes([good[at] ^ 0x80]) + good[at + 1:], text, CLOSED
    yield "a byte more", good + b"\0", text, CLOSED
    yield "the nonce behind", good[12:] + good[:12], text, CLOSED
    yield "another key", good, base64.b64encode(os.urandom(32)).decode(), CLOSED
    for plain in ("", "nonsense", "[]", "7", "null", '{"api_key": 7}', '{"api_key": null}', '{"api_key": {"a": "b"}}', '{"api_key": "x"', '{"a": "b"} x'):
        yield f"sealed {plain}", sealed(plain, key), text, SHAPE
    for wrong in ("", "AAAA", base64.b64encode(key[:31]).decode(), base64.b64encode(key + b"x").decode(), text[:-1], "-" + text[1:], key.hex()):
        yield f"key {len(wrong)}", good, wrong, NO_KEY


def test_what_cannot_be_opened_is_told_and_changes_nothing(folder, upstream):
    enc, kept, key = folder.path / "keyring.enc", folder.path / ".keyring-key", os.urandom(32)
    enc.write_bytes(sealed('{"api_key": "first"}', key))
    kept.write_text(f" \t{base64.b64encode(key).decode()}\r\n\n")
    with Proxy(folder) as proxy:
        assert proxy.start["keyring"] == "keyring.enc (persistent key)" and shown(proxy, upstream) == "Bearer first"
        for what, content, text, error in broken_files(key):
            enc.write_bytes(content)
            kept.write_text(text)
            proxy.reload()
            line = proxy.log("reload failed, everything stays as it was")
            assert line["level"] == "ERROR" and line["error"].startswith(error.format(enc=enc, key=kept)), what
        assert shown(proxy, upstream) == "Bearer first"
        kept.write_text(base64.b64encode(key).decode())  # repaired
        enc.write_bytes(sealed('{"api_key": "last", "other": "ключ 🔑\\n", "": "x"}', key))
        proxy.reload()
        assert proxy.log("reloaded")["keyring"] == "keyring.enc (persistent key)"
        assert shown(proxy, upstream) == "Bearer last"


def test_of_a_keyring_without_any_key_the_proxy_says_what_to_do(folder):
    seal(folder, {"api_key": "sealed"})
    with Proxy(folder) as proxy:
        assert proxy.start["keyring"] == "empty (decryption failed)"
        assert warnings(proxy) == [
            f"{folder.path / 'keyring.enc'}: no .keyring-key beside it: put that back, or remove keyring.enc and set its keys again with `ati key set`"]


def test_of_a_keyring_that_does_not_open_the_proxy_says_so_and_starts(folder, upstream):
    """Without the plain file: who sealed the keys did not mean those. The command line goes on with it."""
    folder.credentials({"api_key": "plain"})
    seal(folder, {"api_key": "sealed"})
    (folder.path / ".keyring-key").write_text(base64.b64encode(os.urandom(32)).decode())
    with Proxy(folder) as proxy:
        assert proxy.start["keyring"] == "empty (decryption failed)"
        assert warnings(proxy) == [CLOSED.format(enc=folder.path / "keyring.enc")]
        assert shown(proxy, upstream) == keyless("api_key")
    done = folder.run("--verbose", "run", "api:get")
    assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer plain" and "keyring: credentials (plaintext)" in done.stderr


def test_without_any_keys_two_warnings(folder, upstream):
    with Proxy(folder) as proxy:
        assert proxy.start["keyring"] == "empty (no auth)" and len(warnings(proxy)) == 2
        assert str(folder.path) in warnings(proxy)[0] and "ati key set" in warnings(proxy)[1] and "--env-keys" in warnings(proxy)[1]
        assert shown(proxy, upstream) == keyless("api_key")


@pytest.mark.parametrize("text, told", [
    ("{", "expected JSON object"), ('["a"]', "expected JSON object"), ('{"api_key": 7}', "values are strings"),
    ('{"api_key": "@file:/nowhere/at/all"}', "/nowhere/at/all: No such file or directory"),
])
def test_credentials_that_cannot_be_read(folder, upstream, text, told):
    (folder.path / "credentials").touch(0o600)  # that others can read them is another warning
    (folder.path / "credentials").write_text(text)
    (folder.path / "credentials").chmod(0o600)
    with Proxy(folder) as proxy:
        assert proxy.start["keyring"] == "empty (credentials error)"
        (warning,) = warnings(proxy)
        assert warning.startswith(f"{folder.path}/credentials: ") and told in warning
        assert shown(proxy, upstream) == keyless("api_key")
        folder.credentials({"api_key": "mended"})
        proxy.reload()
        assert proxy.log("reloaded")["keyring"] == "credentials (plaintext)" and shown(proxy, upstream) == "Bearer mended"
        (folder.path / "credentials").write_text(text)
        proxy.reload()
        assert told in proxy.log("reload failed, everything stays as it was")["error"] and shown(proxy, upstream) == "Bearer mended"


def test_files_that_are_gone_leave_nothing(folder, upstream):
    """That is no failure: a reload takes it."""
    folder.credentials({"api_key": "plain"})
    with Proxy(folder) as proxy:
        assert shown(proxy, upstream) == "Bearer plain"
        (folder.path / "credentials").unlink()
        proxy.reload()
        assert proxy.log("reloaded")["keyring"] == "empty (no auth)" and shown(proxy, upstream) == keyless("api_key")


# --- the key of one use ---------------------------------------------------------------------------


def test_the_key_of_one_use_is_unlinked_before_it_is_read(folder, tmp_path):
    """A named pipe shows the order: it is opened, then it is gone, then somebody writes the key."""
    key, pipe = seal(folder, {"api_key": "of-the-pipe"}), tmp_path / "sealed"
    os.mkfifo(pipe)
    started = []
    thread = threading.Thread(target=lambda: started.append(Proxy(folder)))
    thread.start()
    with open(pipe, "w", encoding="ascii") as file:
        eventually(lambda: not pipe.exists(), "the end of its name")
        file.write(key)
    thread.join(PATIENCE)
    with started[0] as proxy:
        assert proxy.start["keyring"] == "keyring.enc (sealed key)" and warnings(proxy) == []


def test_a_key_that_cannot_be_unlinked_is_a_warning(folder, upstream, tmp_path):
    """Names in /proc cannot be removed by anybody."""
    (tmp_path / "key").write_text(seal(folder, {"api_key": "again"}))
    for _ in range(2):
        with open(tmp_path / "key", "rb") as key:
            done = subprocess.run([ATI, "--verbose", "run", "api:get"], env=environment(folder.path, {"ATI_KEY_FILE": "/proc/self/fd/0"}), stdin=key,
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0 and upstream.asked[-1]["headers"]["Authorization"] == "Bearer again"
        assert "/proc/self/fd/0: the key of one use cannot be removed" in done.stderr


def test_who_comes_second_needs_another_key(folder, upstream, tmp_path):
    kept, once = os.urandom(32), tmp_path / "sealed"
    folder.credentials({"api_key": "plain"})
    once.write_text(base64.b64encode(kept).decode())
    with Proxy(folder) as proxy:  # nothing to open: it waits
        assert proxy.start["keyring"] == "credentials (plaintext)" and once.exists()
    key = seal(folder, {"api_key": "sealed"}, kept)
    for place, source in ((once, "keyring.enc (sealed key)"), (folder.path / ".keyring-key", "keyring.enc (persistent key)")):
        place.write_text(key)
        with Proxy(folder) as proxy:
            assert proxy.start["keyring"] == source and not once.exists() and shown(proxy, upstream) == "Bearer sealed"
    # One that opens nothing is used up, too, and the other key takes its place.
    for wrong in (base64.b64encode(os.urandom(32)).decode(), "no key"):
        once.write_text(wrong)
        with Proxy(folder) as proxy:
            assert proxy.start["keyring"] == "keyring.enc (persistent key)" and not once.exists() and shown(proxy, upstream) == "Bearer sealed"
            assert len(warnings(proxy)) == 1 and warnings(proxy)[0].startswith("sealed key: ")
    # Also for a file that nobody can open.
    (folder.path / "keyring.enc").write_bytes(b"x" * 60)
    once.write_text(key)
    with Proxy(folder) as proxy:
        assert proxy.start["keyring"] == "empty (decryption failed)" and not once.exists()


def namespaces():
    return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True, check=False).returncode == 0


def test_the_usual_place_of_the_key_of_one_use(folder, upstream, tmp_path):
    """/run/ati/.key, in a /run of its own."""
    if not namespaces():
        pytest.skip("mount namespaces are not permitted here")
    (tmp_path / "key").write_text(seal(folder, {"api_key": "of-run"}))
    script = 'mount -t tmpfs none /run && mkdir /run/ati && cp "$1" /run/ati/.key && "$2" run api:get && ls -A /run/ati'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", tmp_path / "key", ATI], env=environment(folder.path), capture_output=True,
                          text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and done.stdout.endswith("}\n"), done  # ls had nothing to say
    assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer of-run"


CLI = """
[provider]
name = "c"
description = "d"
handler = "cli"
cli_command = "sh"
cli_default_args = ["-c", 'ln "$F" "$1"; cat "$F" | wc -c', "sh"]
[provider.cli_env]
F = "@{api_key}"
"""


@pytest.mark.parametrize("once", [True, False])
def test_files_made_of_it_are_zeroed_and_removed(folder, tmp_path, once):
    """A second name of the file shows what is left in it."""
    value = secrets.token_hex(20)
    (tmp_path / "sealed" if once else folder.path / ".keyring-key").write_text(seal(folder, {"api_key": value}))
    folder.manifest("c", CLI)
    with Proxy(folder) as proxy:
        assert proxy.call("c", raw_args=[str(tmp_path / "twin")]) == (200, {"result": len(value)})
    left = (tmp_path / "twin").read_bytes()
    files = [path.name for path in (folder.path / ".creds").iterdir()]
    assert (left, files) == ((b"\0" * len(value), []) if once else (value.encode(), ["api_key"]))


# --- names ----------------------------------------------------------------------------------------


def test_keys_of_the_environment(folder, upstream, tmp_path):
    """Their names in lower case; ATI_KEY_FILE is none, and no file is opened."""
    for name in ("file", "", "empty"):
        folder.manifest(f"x{name}", API.format(url=upstream.url, key=name or "ati_key_").replace("api", f"x{name}"))
    folder.credentials({"api_key": "plain", "file": "plain", "empty": "plain"})
    (tmp_path / "sealed").write_text(seal(folder, {"api_key": "sealed"}))
    more = {"ATI_KEY_API_KEY": "environment", "ATI_KEY_": "nameless", "ATI_KEY_EMPTY": "", "ATI_KEYRING": "x"}
    with Proxy(folder, "--env-keys", **more) as proxy:
        assert proxy.start["keyring"] == "env-vars (ATI_KEY_*)" and (tmp_path / "sealed").exists()
        assert any('"loaded API keys from ATI_KEY_* env vars","count":1' in line for line in proxy.seen)
        assert shown(proxy, upstream) == "Bearer environment"
        for name in ("file", "empty"):
            assert proxy.call(f"x{name}:get") == (502, {"result": None, "error": keyless(name)[1]})
        proxy.reload()
        assert proxy.log("reloaded")["keys"] == 1 and (tmp_path / "sealed").exists()


@pytest.mark.parametrize("entries, name, value", [
    ({"api_key": "small"}, "API_Key", "small"), ({"api_key": "small", "API_KEY": "large"}, "API_KEY", "large"),
    ({"api_key": "small", "API_KEY": "large"}, "api_key", "small"), ({"API_KEY": "large"}, "api_key", None), ({"api_key": ""}, "api_key", None),
])
def test_an_entry_is_found_as_written_else_in_lower_case(folder, upstream, entries, name, value):
    """And what is empty is not there: nobody sends `Bearer ` alone."""
    folder.manifest("api", API.format(url=upstream.url, key=name))
    folder.credentials(entries)
    before = len(upstream.asked)
    done = folder.run("run", "api:get")
    sent = [request["headers"]["Authorization"] for request in upstream.asked[before:]]
    assert sent == ([f"Bearer {value}"] if value else [])
    assert value or f"API key '{name}' not found in keyring" in done.stderr


# --- memory ---------------------------------------------------------------------------------------


def flags_of(pid, value):
    """VmFlags of the mappings that hold these bytes."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for text in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path(f"/proc/{pid}/smaps").read_text())[1:]:
            start, end = (int(part, 16) for part in text.split()[0].split("-"))
            if " r" in text.split("\n")[0] and end - start < 1 << 30 and not text.split("\n")[0].endswith(("[vvar]", "[vsyscall]")):
                mem.seek(start)
                try:
                    if value in mem.read(end - start):
                        found.append(set(re.search(r"^VmFlags: (.*)$", text, re.M)[1].split()))
                except OSError:
                    pass
    return found


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer keeps what was on the stack and what was freed")
@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may look into a process that is not dumpable")
@pytest.mark.parametrize("plain", [True, False])
def test_keys_are_locked_and_wiped(folder, stack, plain):
    """In pages that are not swapped, not dumped and read-only; of those that a reload has replaced nothing is left."""
    upstream = stack.enter_context(Upstream(lambda request: (200, {}, b"{}")))  # which repeats nothing
    folder.manifest("api", API.format(url=upstream.url, key="api_key"))
    first, second = (f"canary-{secrets.token_hex(16)}" for _ in range(2))

    def put(value):
        if plain:
            folder.credentials({"api_key": value, "other": "x" * 3000})
        else:
            (folder.path / ".keyring-key").write_text(seal(folder, {"api_key": value, "other": "x" * 3000}))

    put(first)
    with Proxy(folder) as proxy:
        pid = proxy.process.pid
        (flags,) = flags_of(pid, first.encode())
        assert {"lo", "dd", "dc"} <= flags and "wr" not in flags
        assert shown(proxy, upstream) == f"Bearer {first}"
        put(second)
        proxy.reload()
        proxy.log("reloaded")
        assert shown(proxy, upstream) == f"Bearer {second}"
        (flags,) = flags_of(pid, second.encode())
        assert {"lo", "dd"} <= flags
        for dumped in (True, False):
            assert not any(first.encode() in piece for piece in memory(pid, dumped))


@pytest.mark.skipif(SANITIZER is not None, reason="a sanitizer locks nothing, and says that it did")
def test_pages_that_cannot_be_locked_are_a_warning(folder, upstream):
    """With a limit of nothing, and without the right to pass over it."""
    folder.credentials({"api_key": "plain"})
    words = ["prlimit", "--memlock=0:0", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("capabilities cannot be given up here")
    done = subprocess.run([*words, ATI, "--verbose", "run", "api:get"], env=environment(folder.path), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert re.search(r"mlock failed \(errno \d+\): secrets may be swappable", done.stderr), done.stderr
    assert done.returncode == 0 and upstream.asked[-1]["headers"]["Authorization"] == "Bearer plain"
