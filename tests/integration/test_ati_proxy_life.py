"""`ati proxy` as a process: what it refuses to start with, reloads, discovery, draining, and the ends of it."""

import base64
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from harness.ati import ATI, SECRET, Folder, Proxy, Upstream, environment
from harness.base import PATIENCE, eventually

TOOL = """
[provider]
name = "{name}"
description = "d"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "the_key"

[[tools]]
name = "{name}:get"
description = "d"
endpoint = "/get"

[[tools]]
name = "{name}:wait"
description = "d"
endpoint = "/wait"
"""


class Held(Upstream):
    """Holds its answers to /wait back until it is let go."""

    def __init__(self):
        self.let_go = threading.Event()
        super().__init__(self.wait)

    def wait(self, request):
        if request["path"].startswith("/wait"):
            self.let_go.wait(PATIENCE)
        return Upstream.echo(request)


def sent(up, proxy, tool):
    """The credential that the upstream was sent by a call."""
    status, answer = proxy.call(tool)
    assert status == 200, answer
    return up.asked[-1]["headers"]["Authorization"]


def seal(folder, entries):
    """keyring.enc, and the key of one use that opens it."""
    aead = pytest.importorskip("cryptography.hazmat.primitives.ciphers.aead")
    key, nonce = os.urandom(32), os.urandom(12)
    (folder.path / "keyring.enc").write_bytes(nonce + aead.AESGCM(key).encrypt(nonce, json.dumps(entries).encode(), None))
    (folder.path / "sealed").write_text(base64.b64encode(key).decode())


def start_fails(folder, *words, **environ):
    done = folder.run("proxy", "--port", "0", *words, **environ)
    assert done.returncode not in (0, -11, -6), done.stderr
    return done


# --- what does not start --------------------------------------------------------------------------


def test_broken_keys_of_tokens_stop_the_start(tmp_path):
    folder = Folder(tmp_path)
    for environ in ({"ATI_JWT_SECRET": "not hex"}, {"ATI_JWT_SECRET": "abc"}, {"ATI_JWT_PUBLIC_KEY": str(tmp_path / "nowhere.pem")},
                    {"ATI_JWT_PUBLIC_KEY": str(ATI)}):
        done = start_fails(folder, **environ)
        assert "ATI_JWT" in done.stderr, done.stderr
        assert "ATI proxy server starting" not in done.stderr


def test_an_open_gateway_is_for_loopback(tmp_path):
    folder = Folder(tmp_path)
    for bind in ("0.0.0.0", "::", "[::]"):
        done = start_fails(folder, "--bind", bind)
        assert done.returncode == 2
        assert "--allow-open" in done.stderr and "ATI_JWT" in done.stderr
    with Proxy(folder, "--bind", "0.0.0.0", "--allow-open") as proxy:
        assert proxy.start["addr"].startswith("0.0.0.0:") and proxy.ask("GET", "/health")[0] == 200
    with Proxy(folder, "--bind", "0.0.0.0", ATI_JWT_SECRET=SECRET) as proxy:
        assert proxy.ask("GET", "/tools")[0] == 401


def test_manifests_must_be_there_and_good(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = Folder(tmp_path / "other")
    done = start_fails(folder, "--ati-dir", empty)
    assert f"No manifests directory found at {empty}/manifests" in done.stderr
    folder.manifest("bad", '[provider]\nname = "x"\n')
    done = start_fails(folder)
    assert "bad.toml" in done.stderr and "description" in done.stderr


def test_a_taken_port_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = Folder(tmp_path).run("proxy", "--port", port)
        assert done.returncode != 0 and str(port) in done.stderr


def test_what_is_asked_for_and_missing_stops_the_start(tmp_path):
    folder = Folder(tmp_path)
    assert "sandbox_signing_shared_secret" in start_fails(folder, "--sig-verify-mode", "enforce").stderr
    assert "ATI_DB_URL" in start_fails(folder, ATI_DB_URL="postgres://127.0.0.1:1/x").stderr


# --- where keys come from -------------------------------------------------------------------------


def test_keys_of_the_environment(tmp_path):
    with Upstream() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "of-the-file"})
        with Proxy(folder, "--env-keys", ATI_KEY_THE_KEY="of-the-environment", ATI_KEY_EMPTY="") as proxy:
            assert proxy.start["keyring"] == "env-vars (ATI_KEY_*)"
            assert sent(up, proxy, "a:get") == "Bearer of-the-environment"
        with Proxy(folder) as proxy:
            assert sent(up, proxy, "a:get") == "Bearer of-the-file"


def test_everything_is_under_the_folder_that_is_named(tmp_path):
    with Upstream() as up:
        program = '[provider]\nname = "c"\ndescription = "d"\nhandler = "cli"\ncli_command = "true"\ncli_env = { F = "@{the_key}" }\n'
        named = Folder(tmp_path / "named", {"a": TOOL.format(name="a", url=up.url), "c": program}, credentials={"the_key": "k"})
        (tmp_path / "named/cache/providers").mkdir(parents=True)
        old = tmp_path / "named/cache/providers/old.json"
        old.write_text('{"name": "old", "provider_type": "cli", "created_at": "2020-01-01T00:00:00Z", "ttl_seconds": 1}')
        folder = Folder(tmp_path / "other")
        with Proxy(folder, "--ati-dir", tmp_path / "named") as proxy:
            assert proxy.start["ati_dir"] == str(tmp_path / "named")
            assert proxy.call("a:get")[0] == 200 and proxy.call("c")[0] == 200
        assert {"audit.jsonl", ".creds"} <= {entry.name for entry in named.path.iterdir()} and not old.exists()
        assert {entry.name for entry in folder.path.iterdir()} <= {"manifests", "specs", "skills", "config.toml"}


# --- reload ---------------------------------------------------------------------------------------


def test_calls_under_way_outlive_a_reload(tmp_path):
    with Held() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "old-key"})
        with Proxy(folder) as proxy:
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(proxy.call("a:wait"))) for _ in range(50)]
            for thread in threads:
                thread.start()
            up.until_asked(50)
            folder.credentials({"the_key": "new-key"})
            folder.manifest("b", TOOL.format(name="b", url=up.url))
            proxy.reload()
            proxy.log("reloaded")
            assert sent(up, proxy, "b:get") == "Bearer new-key"
            assert sent(up, proxy, "a:get") == "Bearer new-key"
            up.let_go.set()
            for thread in threads:
                thread.join(PATIENCE)
            assert [status for status, _ in answers] == [200] * 50
            waited = [request for request in up.asked if request["path"] == "/wait"]
            assert [request["headers"]["Authorization"] for request in waited] == ["Bearer old-key"] * 50
            (folder.path / "manifests" / "a.toml").unlink()
            proxy.reload()
            proxy.log("reloaded")
            assert proxy.call("a:get")[0] == 404 and proxy.call("b:get")[0] == 200


@pytest.mark.parametrize("break_it, told", [
    (lambda folder: folder.manifest("b", "[provider]\nname = 7\n"), "b.toml"),
    (lambda folder: folder.manifest("b", "[provider\n"), "b.toml"),
    (lambda folder: (folder.path / "credentials").write_text("{"), "credentials"),
    (lambda folder: (folder.path / "keyring.enc").write_bytes(b"x" * 100), "keyring"),
])
def test_a_bad_reload_keeps_everything(tmp_path, break_it, told):
    with Upstream() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "old-key"})
        with Proxy(folder) as proxy:
            folder.credentials({"the_key": "new-key"})
            folder.manifest("c", TOOL.format(name="c", url=up.url))
            break_it(folder)
            proxy.reload()
            assert proxy.log("SIGHUP received — reloading keyring and sig-verify secret")["level"] == "INFO"
            line = proxy.log("reload failed, everything stays as it was")
            assert line["level"] == "ERROR" and told in line["error"]
            assert sent(up, proxy, "a:get") == "Bearer old-key"
            assert proxy.call("c:get")[0] == 404
            for name in ("keyring.enc", "manifests/b.toml"):
                (folder.path / name).unlink(missing_ok=True)
            folder.credentials({"the_key": "new-key"})
            proxy.reload()
            proxy.log("reloaded")
            assert sent(up, proxy, "c:get") == "Bearer new-key"


def test_a_reload_after_the_key_of_one_use_is_gone(tmp_path):
    """Manifests are read anew; the credentials stay as long as their file does."""
    with Upstream() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, ATI_KEY_FILE=str(tmp_path / "sealed"))
        seal(folder, {"the_key": "of-one-use"})
        with Proxy(folder) as proxy:
            assert proxy.start["keyring"] == "keyring.enc (sealed key)" and not (tmp_path / "sealed").exists()
            folder.manifest("b", TOOL.format(name="b", url=up.url))
            proxy.reload()
            line = proxy.log("reloaded")
            assert line["keyring_kept"] is True and line["keyring"] == "keyring.enc (sealed key)" and line["keys"] == 1
            assert sent(up, proxy, "b:get") == "Bearer of-one-use"
            seal(folder, {"the_key": "of-another-use"})
            proxy.reload()
            assert proxy.log("reloaded")["keyring_kept"] is False
            assert sent(up, proxy, "b:get") == "Bearer of-another-use"
            seal(folder, {"the_key": "of-nobody"})
            (tmp_path / "sealed").unlink()
            proxy.reload()
            assert "keyring.enc" in proxy.log("reload failed, everything stays as it was")["error"]
            assert sent(up, proxy, "b:get") == "Bearer of-another-use"


def test_reload_takes_the_keys_of_tokens_anew(tmp_path):
    pems = tmp_path / "pems"
    pems.mkdir()
    for name in ("one", "two"):
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pems / f"{name}.key"], check=True, capture_output=True)
        subprocess.run(["openssl", "ec", "-in", pems / f"{name}.key", "-pubout", "-out", pems / f"{name}.pub"], check=True, capture_output=True)
    (pems / "now.pub").write_bytes((pems / "one.pub").read_bytes())
    folder = Folder(tmp_path / "dir", ATI_JWT_PUBLIC_KEY=str(pems / "now.pub"))

    def token(name):
        done = folder.run("token", "issue", "--sub", "a", "--scope", "*", "--key", pems / f"{name}.key")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    one, two = token("one"), token("two")
    with Proxy(folder) as proxy:
        assert [proxy.ask("GET", "/tools", token=each)[0] for each in (one, one, two)] == [200, 200, 401]
        (pems / "now.pub").write_text("broken")
        proxy.reload()
        proxy.log("reload failed, everything stays as it was")
        assert [proxy.ask("GET", "/tools", token=each)[0] for each in (one, two)] == [200, 401]
        (pems / "now.pub").unlink()  # a key that is gone is no way to dev mode
        proxy.reload()
        proxy.log("reload failed, everything stays as it was")
        assert proxy.ask("GET", "/tools")[0] == 401
        (pems / "now.pub").write_bytes((pems / "two.pub").read_bytes())
        proxy.reload()
        proxy.log("reloaded")
        assert [proxy.ask("GET", "/tools", token=each)[0] for each in (one, two)] == [401, 200]


# --- the end --------------------------------------------------------------------------------------


def test_a_drain_finishes_what_is_under_way(tmp_path):
    with Held() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "k"})
        with Proxy(folder) as proxy:
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(proxy.call("a:wait"))) for _ in range(20)]
            for thread in threads:
                thread.start()
            up.until_asked(20)
            proxy.process.send_signal(signal.SIGTERM)
            proxy.log("draining")
            eventually(lambda: refused(proxy.port), "the closed port")
            assert proxy.process.poll() is None
            up.let_go.set()
            for thread in threads:
                thread.join(PATIENCE)
            assert [status for status, _ in answers] == [200] * 20
            assert proxy.process.wait(PATIENCE) == 0
        assert len(proxy.audit()) == 20


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_drain_has_its_end(tmp_path):
    with Held() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "k"})
        with Proxy(folder, "--drain-seconds", "1") as proxy:
            sock = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
            body = json.dumps({"tool_name": "a:wait"}).encode()
            sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            up.until_asked(1)
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait(PATIENCE) == 0
            assert sock.recv(100) == b""
            up.let_go.set()
        assert "cancelled" in proxy.audit()[0]["error"]


def test_a_second_signal_ends_at_once(tmp_path):
    with Held() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "k"})
        with Proxy(folder, "--drain-seconds", "600") as proxy:
            sock = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
            body = json.dumps({"tool_name": "a:wait"}).encode()
            sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            up.until_asked(1)
            proxy.process.send_signal(signal.SIGTERM)
            proxy.log("draining")
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait(PATIENCE) == 0
            up.let_go.set()


def test_log_lines_are_json_without_blanks(tmp_path):
    with Proxy(Folder(tmp_path)) as proxy:
        proxy.call("nope")
    for line in proxy.seen:
        fields = json.loads(line)
        assert '": ' not in line and ', "' not in line
        assert {"timestamp", "level", "message", "target"} <= set(fields)


def test_metrics_have_a_listener_of_their_own(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Upstream() as up:
        folder = Folder(tmp_path, {"a": TOOL.format(name="a", url=up.url)}, credentials={"the_key": "k"}, ATI_JWT_SECRET=SECRET)
        with Proxy(folder, "--metrics-listen", f"127.0.0.1:{port}") as proxy:
            token = folder.token("tool:a:get")
            assert proxy.ask("GET", "/metrics")[0] == 401 and proxy.ask("GET", "/metrics", token=token)[0] == 404
            assert proxy.call("a:get", {}, token)[0] == 200
            assert proxy.call("a:wait", {}, token)[0] == 403
            proxy.ask("GET", "/secret-path-" + "x" * 50, token=token)
            status, headers, body = proxy.ask("GET", "/metrics", port=port)
            page = body.decode()
            assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
            for line in ('ati_requests_total{route="/call",method="POST",status_class="2xx"} 1',
                         'ati_requests_total{route="/call",method="POST",status_class="4xx"} 1', 'ati_calls_total{outcome="ok"} 1',
                         'ati_refusals_total{reason="unauthorised"} 1', 'ati_refusals_total{reason="scope"} 1', "ati_calls_underway 0",
                         "ati_keyring_entries 1", "ati_upstream_duration_seconds_count 1", "ati_gateway_duration_seconds_count 1"):
                assert line in page, line
            assert "secret-path" not in page and "a:get" not in page
            assert proxy.ask("GET", "/readyz", port=port)[0::2] == (200, b'{"status":"ready"}\n')


def test_environment_of_the_harness_is_clean(tmp_path):
    assert "ATI_PROXY_URL" not in environment(tmp_path)
