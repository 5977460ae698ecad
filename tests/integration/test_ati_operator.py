"""What an operator types, to the letter: first start, credentials, tokens, probes, the sandbox's side. In a network of its own, because the commands name ports."""

import json
import os
import subprocess
import threading

import pytest

from harness.ati import Upstream
from harness.base import BIN, PATIENCE, eventually

FINNHUB = """
[provider]
name = "finnhub"
description = "Quotes of stocks"
base_url = "{url}"
auth_type = "header"
auth_key_name = "finnhub_api_key"
auth_header_name = "X-Finnhub-Token"

[[tools]]
name = "finnhub:quote"
description = "The price of a share now"
endpoint = "/quote"
"""
GITHUB = """
[provider]
name = "github"
description = "GitHub"
base_url = "{url}"

[[tools]]
name = "github:search_repositories"
description = "Finds repositories"
endpoint = "/search/repositories"

[[tools]]
name = "github:delete_repository"
description = "Deletes one"
endpoint = "/repos"
method = "DELETE"
"""


class Host:
    """A shell on the host of the keys (or, with other variables, in the sandbox)."""

    def __init__(self, net, home):
        self.net, self.home, self.proxies = net, home, []

    def environment(self, more):
        kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        return {**kept, "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", **more}

    def sh(self, script, status=0, **more):
        """Its standard output."""
        with self.net:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=self.environment(more), capture_output=True, text=True,
                                  timeout=PATIENCE * 3, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout

    def start(self, command, address="127.0.0.1:8090", **more):
        with self.net:
            process = subprocess.Popen(["bash", "-c", f"exec {command}"], env=self.environment(more), stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        process.log = []
        process.reader = threading.Thread(target=lambda: process.log.extend(process.stderr), daemon=True)
        process.reader.start()
        self.proxies.append(process)
        eventually(lambda: any("ATI proxy server starting" in line for line in process.log) or process.poll() is not None, "the start-up line")
        process.line = next((json.loads(line) for line in process.log if "ATI proxy server starting" in line), None)
        assert process.line is None or process.line["addr"] == address
        return process

    def stop(self, process):
        process.terminate()
        assert process.wait(PATIENCE * 2) == 0
        process.reader.join(PATIENCE)

    def close(self):
        for process in self.proxies:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
            process.reader.join(PATIENCE)
            process.stderr.close()


@pytest.fixture
def host(netns, stack, tmp_path):
    one = Host(netns("10.20.30.40/32"), tmp_path)
    stack.callback(one.close)
    return one


@pytest.fixture
def upstream(host, stack):
    with host.net:
        return stack.enter_context(Upstream())


def test_first_smoke_test(host):
    host.sh("ati init --proxy")
    proxy = host.start("ati proxy --port 8090 --ati-dir ~/.ati")
    health = json.loads(host.sh("curl -fsS http://127.0.0.1:8090/health"))
    assert list(health) == ["status", "version", "tools", "providers", "skills", "auth", "db"]
    assert health | {"version": 0} == {"status": "ok", "version": 0, "tools": 2, "providers": 1, "skills": 0, "auth": "disabled", "db": "disabled"}
    assert health["version"] == host.sh("ati --version").split()[1]
    assert json.loads(host.sh("curl -sS http://127.0.0.1:8090/.well-known/jwks.json")) == {"error": "JWKS not configured"}
    host.sh("curl -fsS http://127.0.0.1:8090/.well-known/jwks.json", status=22)  # 404
    host.stop(proxy)


def test_loopback_is_the_default(host):
    """8090 on 127.0.0.1, and from nowhere else."""
    host.sh("ati init --proxy")
    host.start("ati proxy")
    host.sh("curl -fsS http://127.0.0.1:8090/health")
    host.sh("curl -fsS http://10.20.30.40:8090/health", status=7)


def test_no_page_uses_an_open_gateway(host):
    """Without authentication: not by its origin, and not by a name that was made to lead here."""
    host.sh("ati init --proxy")
    host.start("ati proxy")
    ask = "curl -s -o /dev/null -w '%{http_code}' 127.0.0.1:8090"
    call = """/call -d '{"tool_name": "file_manager:download", "args": {}}' -H 'Content-Type: text/plain'"""
    for pretence in ("-H 'Origin: https://evil.example'", "-H 'Host: rebind.example:8090'", "-H 'Origin: http://rebind.example:8090' -H 'Host: rebind.example:8090'",
                     "-H 'Origin: null'"):
        assert host.sh(f"{ask}{call} {pretence}") == "403"
        assert host.sh(f"{ask}/tools {pretence}") == "403"
        assert host.sh(f"{ask}/health {pretence}") == "200"
    for good in ("", "-H 'Origin: http://localhost:3000'", "-H 'Host: localhost:8090'"):
        assert host.sh(f"{ask}/tools {good}") == "200"


def test_environment_keys(host, upstream):
    host.sh("ati init --proxy")
    (host.home / ".ati/manifests/finnhub.toml").write_text(FINNHUB.format(url=upstream.url))
    (host.home / ".ati/credentials").write_text('{"finnhub_api_key": "of the file"}')
    script = """
        export ATI_KEY_FINNHUB_API_KEY="of-the-environment-1"
        export ATI_KEY_SANDBOX_SIGNING_SHARED_SECRET="signing-secret"
        exec ati proxy --env-keys --port 8090"""
    proxy = host.start(f"bash -c '{script}'")
    assert proxy.line["keyring"] == "env-vars (ATI_KEY_*)" and proxy.line["sig_verify_secret"] is True
    host.sh("""curl -fsS http://127.0.0.1:8090/call -d '{"tool_name": "finnhub:quote", "args": {"symbol": "AAPL"}}'""")
    assert upstream.asked[0]["headers"]["X-Finnhub-Token"] == "of-the-environment-1"
    assert not any(secret in line for line in proxy.log for secret in ("of-the-environment-1", "signing-secret"))
    host.stop(proxy)


def test_key_file(host, upstream):
    """`ati key set` on the host, and a SIGHUP."""
    host.sh("ati init --proxy")
    (host.home / ".ati/manifests/finnhub.toml").write_text(FINNHUB.format(url=upstream.url))
    proxy = host.start("ati proxy --port 8090 --ati-dir ~/.ati")
    ask = """curl -sS http://127.0.0.1:8090/call -d '{"tool_name": "finnhub:quote"}'"""
    assert json.loads(host.sh(ask))["error"] == "Upstream API error: API key 'finnhub_api_key' not found in keyring"
    host.sh("ati key set finnhub_api_key key-of-the-file-7")
    proxy.send_signal(1)
    eventually(lambda: json.loads(host.sh(ask)).get("error") is None, "the new key")
    assert upstream.asked[-1]["headers"]["X-Finnhub-Token"] == "key-of-the-file-7"
    assert (host.home / ".ati/credentials").stat().st_mode & 0o777 == 0o600
    assert "key-of-the-file-7" not in host.sh("ati key list")
    host.stop(proxy)


@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
def test_tokens_and_a_sandbox(host, upstream, algorithm):
    host.sh("ati init --proxy" + (" --es256" if algorithm == "ES256" else ""))
    (host.home / ".ati/manifests/github.toml").write_text(GITHUB.format(url=upstream.url))
    if algorithm == "ES256":
        keys = {"ATI_JWT_PUBLIC_KEY": f"{host.home}/.ati/jwt-public.pem", "ATI_JWT_PRIVATE_KEY": f"{host.home}/.ati/jwt-private.pem"}
    else:
        keys = {"ATI_JWT_SECRET": host.sh("ati token keygen HS256").strip()}
    proxy = host.start("ati proxy --bind 0.0.0.0 --port 8090", address="0.0.0.0:8090", **keys)
    assert proxy.line["auth"] == "JWT enabled" and json.loads(host.sh("curl -fsS http://10.20.30.40:8090/health"))["auth"] == "jwt"
    if algorithm == "ES256":
        key = json.loads(host.sh("curl -fsS http://10.20.30.40:8090/.well-known/jwks.json"))["keys"][0]
        assert (key["kid"], key["alg"], key["kty"], key["crv"]) == ("ati-proxy-1", "ES256", "EC", "P-256")
    token = host.sh('ati token issue --sub sandbox-17 --scope "tool:github:search_repositories"', **keys).strip()

    sandbox = host.home / "sandbox"
    sandbox.mkdir()
    script = """
        export ATI_PROXY_URL="http://10.20.30.40:8090"
        export ATI_SESSION_TOKEN="$TOKEN"
        """
    told = {"HOME": str(sandbox), "TOKEN": token}
    answer = json.loads(host.sh(script + 'ati run github:search_repositories --query "ati"', **told))
    assert answer["path"] == "/search/repositories?query=ati"
    assert [tool["name"] for tool in json.loads(host.sh(script + "ati tool list", **told))] == ["github:search_repositories"]
    host.sh(script + "ati run github:delete_repository", status=3, **told)  # auth.scope_denied
    host.sh("ati run github:search_repositories", status=1, ATI_PROXY_URL="http://10.20.30.40:8090", HOME=str(sandbox))  # no token
    assert [one["method"] for one in upstream.asked] == ["GET"]
    host.stop(proxy)


@pytest.mark.parametrize("words, environ, told", [
    ("ati proxy --bind 0.0.0.0", {}, "--allow-open"),
    ("ati proxy --bind localhost", {}, "--bind"),
    ("ati proxy", {"ATI_JWT_SECRET": "no hex"}, "ATI_JWT_SECRET is not valid hex"),
    ("ati proxy", {"ATI_JWT_PUBLIC_KEY": "/nowhere/key.pem"}, "/nowhere/key.pem"),
    ("ati proxy --sig-verify-mode enforce", {}, "sandbox_signing_shared_secret"),
    ("ati proxy --enable-passthrough", {}, "passthrough"),
    ("ati proxy", {"ATI_DB_URL": "postgres://127.0.0.1/x"}, "ATI_DB_URL"),
    ("ati proxy --ati-dir /nowhere", {}, "No manifests directory found at /nowhere"),
])
def test_what_stops_the_start(host, words, environ, told):
    """Rather than serving open, or something else than was asked for."""
    host.sh("ati init --proxy")
    proxy = host.start(words, **environ)
    assert proxy.line is None and proxy.wait(PATIENCE) != 0
    proxy.reader.join(PATIENCE)
    assert told in "".join(proxy.log)
