"""What a person reads who has something wrong: it names what, where and the remedy; nothing is lost, nothing left half-done."""

import base64
import hmac
import json
import re
import resource

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream

SHOP = """
[provider]
name = "shop"
description = "d"
base_url = "{url}"

[[tools]]
name = "shop:get"
description = "d"
endpoint = "/get"
"""


@pytest.fixture(name="proxy", scope="module")
def a_proxy(tmp_path_factory):
    with Upstream() as up:
        folder = Folder(tmp_path_factory.mktemp("ati"), {"shop": SHOP.format(url=up.url)})
        with Proxy(folder, ATI_JWT_SECRET=SECRET) as proxy:
            yield proxy


def refused(done, exit_status):
    """The error that the last line of standard error tells; it says the status that the process has."""
    told = json.loads(done.stderr.splitlines()[-1])["error"]
    assert done.returncode == exit_status == told["exit_code"], done.stderr
    return told["message"]


# --- the gateway does not start -------------------------------------------------------------------


def test_a_second_gateway_does_not_share_the_port(proxy):
    """Half of the calls would meet other manifests and keys than they should."""
    for workers in (1, 2):
        said = refused(proxy.folder.run("proxy", "--port", proxy.port, "--workers", workers), 1)
        assert f"cannot listen on 127.0.0.1:{proxy.port}: " in said and re.search(r"another program|in use", said), said
    for _ in range(20):
        assert proxy.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize(("words", "environ", "told"), [
    (["--port", "80800"], {}, '--port: "80800" is no whole number from 0 to 65535'),
    (["--bind", "nowhere"], {}, '--bind: "nowhere" is no IP address; write for example 127.0.0.1 or [::1]'),
    ([], {"ATI_JWT_SECRET": "abc"}, "ATI_JWT_SECRET is not valid hex: an odd number of digits (3)"),
    ([], {"ATI_JWT_PUBLIC_KEY": "/nowhere/key.pem"}, "ATI_JWT_PUBLIC_KEY: Cannot read public key /nowhere/key.pem: No such file or directory"),
    (["--ati-dir", "/nowhere"], {}, "No manifests directory found at /nowhere/manifests"),
])
def test_what_cannot_be_used_stops_the_start(tmp_path, words, environ, told):
    assert refused(Folder(tmp_path).run("proxy", *(words or ["--port", "0"]), **environ), 2) == told


def test_what_may_pass_is_another_status(tmp_path):
    """The unit file has 2 stay down, and others tried again."""
    said = refused(Folder(tmp_path).run("proxy", "--port", "0", ATI_AUDIT_FILE="/nowhere/audit"), 1)
    assert said == "the audit log (ATI_AUDIT_FILE names another): /nowhere/audit: No such file or directory"


def test_a_text_that_is_not_closed(tmp_path):
    folder = Folder(tmp_path, {"bad": '[provider]\nname = "bad\ndescription = "d"\n'})
    said = refused(folder.run("tool", "list"), 2)
    assert f"{folder.path}/manifests/bad.toml: line 2: " in said and said.endswith("; is the quote at the end of the text missing?")


def test_without_token_keys_the_remedy_is_told(tmp_path):
    folder = Folder(tmp_path)
    assert folder.run("init", "--proxy").returncode == 0
    with Proxy(folder) as proxy:
        seen = [json.loads(line) for line in proxy.seen]
    warned = [line for line in seen if line["message"].startswith("no JWT keys are configured")]
    assert len(warned) == 1 and "ATI_JWT_SECRET" in warned[0]["remedy"] and "config.toml is not read" in warned[0]["remedy"]


@pytest.mark.parametrize(("fields", "told"), [
    ('base_url = "api.example.com"', "provider.base_url"),
    ('handler = "openapi"\nopenapi_spec = "s.json"\nbase_url = "//api.example.com"', "provider.base_url"),
    ('handler = "mcp"\nmcp_transport = "http"\nmcp_url = "mcp.example.com"', "provider.mcp_url"),
    ('handler = "mcp"\nmcp_transport = "http"\nmcp_url = "${mcp_address}/x"', None),
    ('base_url = "HTTPS://api.example.com"', None),
    ('handler = "cli"\ncli_command = "true"', None),
])
def test_a_url_without_its_scheme(tmp_path, fields, told):
    folder = Folder(tmp_path, {"x": f'[provider]\nname = "x"\ndescription = "d"\n{fields}\n'})
    done = folder.run("tool", "list")
    line = 3 + len(fields.splitlines())
    wanted = f"x.toml: line {line}: {told}: begins with neither http:// nor https://: calls fail"
    assert done.returncode == 0 and (wanted in done.stderr if told else "https://: calls fail" not in done.stderr), done.stderr


def test_an_mcp_server_without_a_scheme_is_not_written(tmp_path):
    folder = Folder(tmp_path)
    assert refused(folder.run("provider", "add-mcp", "docs", "--transport", "http", "--url", "mcp.example.com"), 1) == \
        "--url begins with neither http:// nor https://"
    assert not list((folder.path / "manifests").iterdir())
    assert "--es256 does nothing without --proxy" in folder.run("init", "--es256").stderr


# --- the sandbox gets no answer -------------------------------------------------------------------


def test_a_refused_token_is_explained_to_the_operator_alone(proxy):
    good = proxy.folder.token("tool:shop:get")
    assert proxy.call("shop:get", token=good)[0] == 200
    for token, why in ((None, 'no "Authorization: Bearer"'), (proxy.folder.token("tool:shop:get", secret="6f" * 32), "token: the signature is wrong"),
                       (proxy.folder.token("tool:shop:get", "--aud", "another"), "token: made for another audience")):
        status, headers, body = proxy.ask("POST", "/call", {"tool_name": "shop:get"}, token)
        assert (status, body) == (401, b"")
        line = proxy.log("request refused: no valid token")
        while line["request_id"] != headers["X-Request-Id"]:  # of other tests
            line = proxy.log("request refused: no valid token")
        assert (line["error"], line["path"]) == (why, "/call")
        assert not token or token not in json.dumps(line)


def test_the_command_says_where_to_look(proxy, tmp_path):
    sandbox = Folder(tmp_path)
    done = sandbox.run("run", "shop:get", ATI_PROXY_URL=proxy.url, ATI_SESSION_TOKEN="eyJhbGciOiJIUzI1NiJ9.e30.AAAA")
    assert '"ati auth status" shows what it is' in done.stderr and "\\\"" not in done.stderr.splitlines()[0]
    assert refused(done, 1) == "Proxy error (401): "
    done = sandbox.run("run", "shop:get", ATI_PROXY_URL=proxy.url)
    assert "set ATI_SESSION_TOKEN or ATI_SESSION_TOKEN_FILE" in done.stderr
    done = sandbox.run("run", "shop:get", ATI_PROXY_URL="http://127.0.0.1:9")
    assert 'does "ati proxy" run where ATI_PROXY_URL says?' in done.stderr
    assert refused(done, 1).startswith("Proxy request failed: connecting to 127.0.0.1:9: ")
    done = sandbox.run("run", "shop:get", ATI_PROXY_URL="127.0.0.1:8090")
    assert "ATI_PROXY_URL begins with neither http:// nor https://: write for example http://127.0.0.1:8090" in refused(done, 1)


def test_a_token_that_has_expired_is_told_as_one(proxy, tmp_path):
    """The gateway grants a minute; the hour of this one was long ago."""
    def part(value):
        return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"sub": "agent-7", "aud": "ati-proxy", "iat": 1700000000, "exp": 1700003600, "scope": "tool:shop:get"}
    text = part({"alg": "HS256", "typ": "JWT"}) + "." + part(claims)
    old = text + "." + part(hmac.digest(bytes.fromhex(SECRET), text.encode(), "sha256"))
    done = Folder(tmp_path).run("run", "shop:get", ATI_PROXY_URL=proxy.url, ATI_SESSION_TOKEN=old)
    assert "this session token has expired: " in done.stderr and refused(done, 1) == "Proxy error (401): "


def test_a_missing_key_and_its_remedy(tmp_path):
    folder = Folder(tmp_path, {"shop": SHOP.format(url="http://127.0.0.1:9").replace("[[tools]]", 'auth_type = "bearer"\nauth_key_name = "shop_key"\n\n[[tools]]')})
    done = folder.run("run", "shop:get")
    assert refused(done, 1) == "API key 'shop_key' not found in keyring"
    assert '"ati key set NAME VALUE" adds a key' in done.stderr and f"dir={folder.path}" in done.stderr


# --- files ----------------------------------------------------------------------------------------


def test_a_full_disk_loses_no_line_of_the_audit(tmp_path):
    """Files of the gateway may not grow for a while: writes are cut amid a line, as on a disk that is full."""
    with Upstream() as up:
        folder = Folder(tmp_path, {"shop": SHOP.format(url=up.url)})
        with Proxy(folder) as proxy:
            resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (250, resource.RLIM_INFINITY))
            for _ in range(8):
                assert proxy.call("shop:get")[0] == 200
            assert proxy.log("the audit log cannot be written")["error"] == f"{folder.path}/audit.jsonl: File too large"
            assert len(proxy.audit()) == 2
            resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert proxy.log("the audit log is written again").get("dropped") == 0
            assert proxy.call("shop:get")[0] == 200
        assert len(proxy.audit()) == 9


def test_keys_that_others_can_read_are_told(tmp_path):
    folder = Folder(tmp_path, credentials={"a": "b"})
    for mode, told in ((0o600, False), (0o640, True), (0o604, True)):
        (folder.path / "credentials").chmod(mode)
        with Proxy(folder) as proxy:
            pass
        assert any("credentials may be read by others: chmod 600 it" in line for line in proxy.seen) == told


def test_a_folder_is_made_with_those_that_it_lies_in(tmp_path):
    made = tmp_path / "a" / "b"
    folder = Folder(tmp_path / "home")
    assert folder.run("init", ATI_DIR=str(made)).returncode == 0
    assert sorted(entry.name for entry in made.iterdir()) == ["config.toml", "manifests", "skills", "specs"]
    assert made.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    assert refused(folder.run("init", ATI_DIR=str(tmp_path / "file" / "x")), 1) == f"{tmp_path}/file/x: Not a directory"


def test_init_says_how_the_gateway_gets_its_key(tmp_path):
    folder = Folder(tmp_path)
    for flag, name in (((), "ATI_JWT_SECRET"), (("--es256",), "ATI_JWT_PUBLIC_KEY")):
        done = folder.run("init", "--proxy", *flag)
        assert f"export {name}=" in done.stderr
        note = (folder.path / "config.toml").read_text()
        value = re.search(rf"^#   export {name}=(.*)$", note, re.M)[1]
        command = re.search(r"^#   (ati token issue .*)$", note, re.M)[1]
        with Proxy(folder, **{name: value}) as proxy:
            token = folder.run(*command.replace('"tool:* help"', "tool:*").split()[1:]).stdout.strip()
            assert proxy.ask("GET", "/tools", token=token)[0] == 200 and proxy.ask("GET", "/tools")[0] == 401
