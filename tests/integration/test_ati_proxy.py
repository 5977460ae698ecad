"""`ati proxy` from outside: its routes, statuses, texts and shapes."""

import json
import subprocess
import time

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually
from test_ati_matrix import claims, jwt

SHOP = """
[provider]
name = "shop"
description = "a shop"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "shop_key"
category = "retail"
skills = ["shopping"]

[[tools]]
name = "shop:list"
description = "lists what there is"
endpoint = "/list"
tags = ["Goods"]
hint = "ask first"
[tools.input_schema]
type = "object"
required = ["q"]
[tools.input_schema.properties.q]
type = "string"
description = "what to look for"

[[tools]]
name = "shop:buy_now"
description = "buys"
endpoint = "/buy"
method = "POST"

[[tools]]
name = "a:b_c:d"
description = "named oddly"
endpoint = "/odd"

[[tools]]
name = "shop:pick"
description = "picks"
endpoint = "/pick"
[tools.response]
extract = "$.headers.host"

[[tools]]
name = "shop:bad_pick"
description = "picks badly"
endpoint = "/pick"
[tools.response]
extract = "$["
"""
KEYLESS = """
[provider]
name = "keyless"
description = "whose key is not there"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "nowhere_key"

[[tools]]
name = "keyless:get"
description = "gets"
endpoint = "/get"
"""
INTERNAL = """
[provider]
name = "inner"
description = "not for listings"
base_url = "{url}"
internal = true

[[tools]]
name = "inner:get"
description = "a secret tool"
endpoint = "/inner"
"""
ECHO = """
[provider]
name = "say"
description = "prints its words"
handler = "cli"
cli_command = "/usr/bin/printf"
cli_default_args = ["%s|"]
"""


@pytest.fixture(scope="module")
def upstream():
    def answer(request):
        path = request["path"]
        if path.startswith("/pick"):
            return 200, {}, json.dumps({"headers": {"host": "h"}}).encode()
        return Upstream.echo(request)

    with Upstream(answer) as up:
        yield up


def folder_of(path, upstream):
    return Folder(path, {name: text.format(url=upstream.url) for name, text in
                         {"shop": SHOP, "keyless": KEYLESS, "inner": INTERNAL, "say": ECHO.replace("{", "{{").replace("}", "}}")}.items()},
                  credentials={"shop_key": "sk-shop-7", "other": "x"})


@pytest.fixture(scope="module")
def dev(tmp_path_factory, upstream):
    with Proxy(folder_of(tmp_path_factory.mktemp("dev"), upstream)) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, upstream):
    folder = folder_of(tmp_path_factory.mktemp("guarded"), upstream)
    folder.environ["ATI_JWT_SECRET"] = SECRET
    with Proxy(folder) as proxy:
        yield proxy


def in_order(body):
    return list(json.loads(body, object_pairs_hook=lambda pairs: dict(pairs)))


# --- the command ----------------------------------------------------------------------------------


def test_help_tells_of_the_server_and_its_flags(tmp_path):
    done = Folder(tmp_path).run("proxy", "--help")
    assert done.returncode == 0
    assert "proxy server" in done.stdout
    for flag in ("--port", "--bind", "--ati-dir", "--env-keys", "--migrate", "--enable-passthrough", "--sig-verify-mode", "--sig-drift-seconds",
                 "--sig-exempt-paths", "--allow-open"):
        assert flag in done.stdout, flag


@pytest.mark.parametrize("words", [["--no-such-flag"], ["--port", "x"], ["--port", "65536"], ["--bind", "localhost"], ["--sig-verify-mode", "maybe"],
                                   ["--workers", "-1"], ["--drain-seconds", "soon"], ["--audit-rotate", "much"]])
def test_what_cannot_be_meant_is_a_usage_error(tmp_path, words):
    done = Folder(tmp_path).run("proxy", *words)
    assert done.returncode == 2
    assert words[0].lstrip("-") in done.stderr


# --- health and keys ------------------------------------------------------------------------------


def test_health_in_its_order(dev, guarded):
    status, headers, body = dev.ask("GET", "/health")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert in_order(body) == ["status", "version", "tools", "providers", "skills", "auth", "db"]
    told = json.loads(body)
    # Two built-in tools count, an internal one does not; its provider does.
    assert told == {"status": "ok", "version": told["version"], "tools": 5 + 1 + 1 + 2, "providers": 5, "skills": 0, "auth": "disabled", "db": "disabled"}
    assert dev.folder.run("--version").stdout == f"ati {told['version']}\n"
    assert json.loads(guarded.ask("GET", "/health")[2])["auth"] == "jwt"


def test_head_is_get_without_a_body(dev):
    status, headers, body = dev.ask("HEAD", "/health")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(dev.ask("GET", "/health")[2])


def test_there_are_no_public_keys_of_a_shared_secret(dev, guarded):
    for proxy in (dev, guarded):
        assert proxy.ask("GET", "/.well-known/jwks.json")[0::2] == (404, b'{"error":"JWKS not configured"}')


def test_start_up_line(dev, guarded):
    for proxy, auth in ((dev, "DISABLED (no JWT keys configured)"), (guarded, "JWT enabled")):
        line = proxy.start
        assert {name: line[name] for name in ("level", "message", "addr", "auth", "ati_dir", "keyring", "db", "passthrough", "mcp", "openapi", "skills",
                                              "tools", "providers", "sig_verify_mode", "sig_verify_secret")} == {
            "level": "INFO", "message": "ATI proxy server starting", "addr": f"127.0.0.1:{proxy.port}", "auth": auth, "ati_dir": str(proxy.folder.path),
            "keyring": "credentials (plaintext)", "db": "disabled", "passthrough": 0, "mcp": 0, "openapi": 0, "skills": 0, "tools": 9, "providers": 5,
            "sig_verify_mode": "Log", "sig_verify_secret": False}
        assert line["target"].startswith("ati::proxy") and line["timestamp"].endswith("Z")


# --- who may ask ----------------------------------------------------------------------------------


def test_nobody_unknown_gets_in(guarded):
    for method, path in (("POST", "/call"), ("GET", "/call"), ("POST", "/mcp"), ("GET", "/tools"), ("GET", "/tools/shop:list"), ("POST", "/help"),
                         ("GET", "/nowhere"), ("OPTIONS", "/call"), ("GET", "//health"), ("GET", "/health/"), ("GET", "/%68ealth")):
        status, headers, body = guarded.ask(method, path, headers={"Content-Type": "application/json"})
        assert (status, body) == (401, b""), (method, path)
        assert headers["WWW-Authenticate"] == "Bearer"
    assert guarded.ask("GET", "/health")[0] == 200


def test_virtual_keys_have_no_store(dev, guarded):
    for proxy in (dev, guarded):
        for value in ("Ati-Key sk-1", "ati-key sk-1", "Ati-Key"):
            assert proxy.ask("GET", "/tools", headers={"Authorization": value})[0::2] == (503, b"")
        assert proxy.ask("GET", "/health", headers={"Authorization": "Ati-Key sk-1"})[0] == 200


def test_two_credentials_are_none(guarded):
    token = guarded.folder.token("*")
    done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}", "-H",
                           f"authorization: Bearer {token}", guarded.url + "/tools"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "401"
    assert guarded.ask("GET", "/tools", token=token)[0] == 200


def test_unknown_paths_and_methods(dev, guarded):
    token = guarded.folder.token("")
    for proxy, token in ((dev, None), (guarded, token)):
        for path in ("/nowhere", "/tools/", "/tools/a/b", "/call/", "/openapi", "/admin/keys", "/skills", "/%2Fcall", "/"):
            status, _, body = proxy.ask("GET", path, token=token)
            assert (status, body) == (404, b"not found: passthrough disabled"), path
        for method, path, allow in (("GET", "/call", "POST"), ("PUT", "/call", "POST"), ("POST", "/health", "GET, HEAD"), ("DELETE", "/tools", "GET, HEAD"),
                                    ("POST", "/tools/x", "GET, HEAD"), ("GET", "/mcp", "POST, DELETE"), ("GET", "/help", "POST")):
            status, headers, body = proxy.ask(method, path, token=token)
            assert (status, headers["Allow"], body) == (405, allow, b""), (method, path)


def test_requests_have_ids(dev):
    first, second = (dev.ask("GET", "/health")[1]["X-Request-Id"] for _ in range(2))
    assert first and first != second
    assert dev.ask("GET", "/health", headers={"X-Request-Id": "mine-1"})[1]["X-Request-Id"] == "mine-1"
    assert dev.ask("GET", "/health", headers={"X-Request-Id": "x" * 500})[1]["X-Request-Id"] != "x" * 500


# --- /call ----------------------------------------------------------------------------------------


def test_a_call_carries_the_key_and_not_the_caller(guarded, upstream):
    status, answer = guarded.call("shop:list", {"q": "tea pot"}, guarded.folder.token("tool:shop:*"))
    assert status == 200 and list(answer) == ["result"]
    assert (answer["result"]["method"], answer["result"]["path"]) == ("GET", "/list?q=tea+pot")
    assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer sk-shop-7"
    status, answer = guarded.call("shop:buy_now", {"n": 2, "big": 12345678901234567890}, guarded.folder.token("tool:shop:buy_now"))
    assert status == 200 and json.loads(answer["result"]["body"]) == {"n": 2, "big": 12345678901234567890}


def test_call_takes_any_content_type(dev):
    for kind in ("text/plain", "application/json", "application/octet-stream", ""):
        status, _, body = dev.ask("POST", "/call", json.dumps({"tool_name": "shop:list"}), headers={"Content-Type": kind})
        assert status == 200 and json.loads(body)["result"]["path"] == "/list"


def test_underscores_are_read_as_colons(dev):
    for name, path in (("shop_list", "/list"), ("shop:buy_now", "/buy"), ("shop_buy_now", "/buy"), ("a_b_c:d", "/odd"), ("a:b_c_d", "/odd")):
        status, answer = dev.call(name)
        assert (status, answer["result"]["path"]) == (200, path), name
    for name in ("a_b_c_d", "shop-list", "SHOP:LIST"):  # one underscore at a time
        assert dev.call(name) == (404, {"result": None, "error": f"Unknown tool: '{name}'"})


def test_what_is_no_call(dev):
    for body, told in ((b"", "Invalid request: "), (b"{", "Invalid request: "), (b"[]", "Invalid request: "), (b'{"args":{}}', "tool_name"),
                       (b'{"tool_name":1}', "tool_name"), (b'{"tool_name":"x","raw_args":"y"}', "raw_args"),
                       (b'{"tool_name":"x","raw_args":[1]}', "raw_args"), (b'{"tool_name":"\xff"}', "UTF-8"), (b'{"tool_name":"x"} y', "Invalid request: ")):
        status, headers, answer = dev.ask("POST", "/call", body)
        answer = json.loads(answer)
        assert status == 422 and headers["Content-Type"] == "application/json", body
        assert list(answer) == ["result", "error"] and answer["result"] is None
        assert answer["error"].startswith("Invalid request: ") and told in answer["error"]


def test_what_goes_wrong_upstream(tmp_path, upstream):
    def answer(request):
        if request["path"] == "/none":
            return 404, {}, b'{"error":{"message":"No records found"}}'
        if request["path"] == "/gone":
            return 404, {}, b'{"error":"gone for good"}'
        return 503, {}, b"overloaded"

    tools = "".join(f'\n[[tools]]\nname = "up:{name}"\ndescription = "d"\nendpoint = "/{name}"\n' for name in ("none", "gone", "busy"))
    with Upstream(answer) as up:
        manifest = f'[provider]\nname = "up"\ndescription = "d"\nbase_url = "{up.url}"\n' + tools
        dead = '[provider]\nname = "dead"\ndescription = "d"\nbase_url = "http://127.0.0.1:1"\n[[tools]]\nname = "dead:get"\ndescription = "d"\n'
        with Proxy(Folder(tmp_path, {"up": manifest, "dead": dead, "keyless": KEYLESS.format(url=up.url)})) as proxy:
            assert proxy.call("up:none") == (200, {"result": {"records": []}})
            status, told = proxy.call("up:gone")
            assert (status, told["result"]) == (502, None) and told["error"] == 'Upstream API error: API error (404): {"error":"gone for good"}'
            status, told = proxy.call("up:busy")
            assert (status, told["error"]) == (502, "Upstream API error: API error (503): overloaded")
            status, told = proxy.call("keyless:get")
            assert (status, told["error"]) == (502, "Upstream API error: API key 'nowhere_key' not found in keyring")
            status, told = proxy.call("dead:get")
            assert status == 502 and told["error"].startswith("Upstream API error: ")


def test_extraction(dev):
    assert dev.call("shop:pick") == (200, {"result": "h"})
    status, told = dev.call("shop:bad_pick")
    assert status == 500 and list(told) == ["result", "error"]
    assert told["result"] == {"headers": {"host": "h"}}
    assert told["error"].startswith("Response processing error: ")


@pytest.mark.parametrize("order, words", [
    ({"raw_args": ["a", "b c"]}, ["a", "b c"]),
    ({"args": {"x": 1}, "raw_args": ["r"]}, ["r"]),
    ({"args": ["a", 2, None, True, {"k": [1, 2]}]}, ["a", "2", "null", "true", '{"k":[1,2]}']),
    ({"args": " one  two\tthree\n"}, ["one", "two", "three"]),
    ({"args": {"_positional": ["p", "q"], "x": 1}}, ["p", "q"]),
    ({"args": {"b": "text", "a": True, "c": [1]}}, ["--a", "--b", "text", "--c", "[1]"]),
    ({"args": 7}, []),
    ({}, []),
])
def test_words_for_programs(dev, order, words):
    status, _, body = dev.ask("POST", "/call", {"tool_name": "say", **order})
    assert status == 200, body
    assert json.loads(body)["result"] == "".join(f"{word}|" for word in words) if words else "|"


def test_calls_outside_the_scope(guarded, upstream):
    asked = len(upstream.asked)
    for name in ("shop:buy_now", "shop_buy_now"):
        status, told = guarded.call(name, {}, guarded.folder.token("tool:shop:list help"))
        assert (status, told) == (403, {"result": None, "error": "Access denied: 'shop:buy_now' is not in your scopes"})
    assert len(upstream.asked) == asked
    # An internal tool asks for no scope, and is in no list.
    token = guarded.folder.token("")
    assert guarded.call("inner:get", {}, token)[0] == 200
    assert guarded.ask("GET", "/tools/inner:get", token=token)[0] == 404


def test_rates_count_for_call_and_mcp_alike(guarded):
    token = guarded.folder.token("tool:shop:*", "--rate", "tool:shop:*=3/hour", sub="agent-rated")
    other = guarded.folder.token("tool:shop:*", "--rate", "tool:shop:*=3/hour", sub="agent-other")
    assert guarded.call("shop:list", {}, token)[0] == 200
    assert guarded.call("shop_list", {}, token)[0] == 200
    assert guarded.rpc("tools/call", {"name": "shop:list"}, token)["result"]["isError"] is False
    status, headers, body = guarded.ask("POST", "/call", {"tool_name": "shop_list"}, token)
    assert status == 429 and 1 <= int(headers["Retry-After"]) <= 3600
    assert json.loads(body) == {"result": None, "error": "Rate limit exceeded for 'tool:shop:*': 3/hour (limit: 3/hour)"}
    refused = guarded.rpc("tools/call", {"name": "shop:list"}, token)["result"]
    assert refused["isError"] is True and "Rate limit exceeded" in refused["content"][0]["text"]
    assert guarded.call("shop:list", {}, other)[0] == 200  # each for itself


def test_calls_are_logged_and_audited(guarded):
    token = guarded.folder.token("tool:shop:*", sub="agent-seen")
    guarded.call("shop_list", {"q": "a", "api_token": "hide-me", "long": "x" * 500}, token)
    line = guarded.log("tool call")
    while line["agent"] != "agent-seen":
        line = guarded.log("tool call")
    assert (line["tool"], line["level"]) == ("shop:list", "INFO") and line["request_id"]
    guarded.call("keyless:get", {}, guarded.folder.token("*", sub="agent-seen"))
    ok, bad = settled(guarded, "agent-seen", 2)
    assert list(ok) == ["ts", "tool", "args", "status", "duration_ms", "agent_sub"]
    assert (ok["tool"], ok["status"]) == ("shop_list", "ok")
    assert ok["args"]["api_token"] == "[REDACTED]" and ok["args"]["long"].endswith("...[truncated]")
    assert bad["status"] == "error" and "nowhere_key" in bad["error"]


def settled(proxy, subject, count):
    eventually(lambda: len([row for row in proxy.audit() if row["agent_sub"] == subject]) >= count, "the audit's lines")
    return [row for row in proxy.audit() if row["agent_sub"] == subject]


def test_no_secret_is_ever_told(dev, guarded):
    for proxy in (dev, guarded):
        told = "\n".join(proxy.seen) + json.dumps(proxy.audit())
        assert "sk-shop-7" not in told and "hide-me" not in told


# --- /tools ---------------------------------------------------------------------------------------


def names(proxy, query="", token=None):
    status, _, body = proxy.ask("GET", "/tools" + query, token=token)
    assert status == 200
    return [tool["name"] for tool in json.loads(body)]


def test_tools_and_their_filters(dev):
    every = names(dev)
    assert set(every) >= {"say", "shop:list", "shop:buy_now", "a:b_c:d", "shop:pick", "file_manager:download"}
    assert "inner:get" not in every
    assert names(dev, "?provider=shop") == ["shop:list", "shop:buy_now", "a:b_c:d", "shop:pick", "shop:bad_pick"]
    assert names(dev, "?search=GOODS") == ["shop:list"] and names(dev, "?search=oddl") == ["a:b_c:d"]
    assert names(dev, "?provider=shop&search=BUYS") == ["shop:buy_now"]
    assert names(dev, "?provider=shop%20") == [] and names(dev, "?search=" + "x" * 900) == []
    tool = [tool for tool in json.loads(dev.ask("GET", "/tools?search=goods")[2])][0]
    assert list(tool) == ["description", "input_schema", "method", "name", "provider", "skills", "tags"]
    assert tool == {"description": "lists what there is", "method": "Get", "name": "shop:list", "provider": "shop", "skills": ["shopping"], "tags": ["Goods"],
                    "input_schema": {"type": "object", "required": ["q"], "properties": {"q": {"type": "string", "description": "what to look for"}}}}


def test_one_tool(dev):
    for path in ("/tools/shop:list", "/tools/shop%3Alist", "/tools/%73hop:list"):
        told = json.loads(dev.ask("GET", path)[2])
        assert list(told) == ["description", "endpoint", "hint", "input_schema", "method", "name", "provider", "scope", "skills", "tags"]
        assert (told["endpoint"], told["hint"], told["scope"], told["method"]) == ("/list", "ask first", "tool:shop:list", "Get")
    assert json.loads(dev.ask("GET", "/tools/shop:buy_now")[2])["hint"] is None
    for path, name in (("/tools/nope", "nope"), ("/tools/shop_list", "shop_list"), ("/tools/inner:get", "inner:get"), ("/tools/a%2Fb", "a/b")):
        assert dev.ask("GET", path)[0::2] == (404, json.dumps({"error": f"Tool '{name}' not found"}, separators=(",", ":")).encode())


def test_listings_hold_what_the_scope_opens(guarded):
    token = guarded.folder.token("tool:shop:list tool:say")
    assert sorted(names(guarded, token=token)) == ["say", "shop:list"]
    assert [tool["name"] for tool in guarded.rpc("tools/list", token=token)["result"]["tools"]] == names(guarded, token=token)
    assert guarded.ask("GET", "/tools/shop:buy_now", token=token)[0] == 404
    assert guarded.ask("GET", "/tools/shop:list", token=token)[0] == 200
    assert names(guarded, token=guarded.folder.token("help")) == []


def test_a_token_in_its_leeway_opens_nothing(guarded):
    token = jwt(claims("*", exp=int(time.time()) - 20))
    assert names(guarded, token=token) == []
    assert guarded.call("shop:list", {}, token)[0] == 403


# --- /mcp, as far as it is ours -------------------------------------------------------------------


def test_mcp_in_the_old_shapes(dev):
    status, headers, body = dev.ask("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
    assert status == 200 and headers["Content-Type"] == "application/json"
    told = json.loads(body)["result"]
    assert told["protocolVersion"] == "2025-03-26" and told["serverInfo"]["name"] == "ati-proxy"
    assert told["capabilities"]["tools"] == {"listChanged": False}
    assert dev.ask("POST", "/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"})[0] == 202
    assert dev.rpc("nope")["error"]["code"] == -32601
    assert dev.rpc("tools/call", {"name": "nope"})["error"] == {"code": -32602, "message": "Unknown tool: 'nope'"}
    assert dev.rpc("tools/call", {"name": "shop_list"})["error"]["code"] == -32602  # as it is called, or not at all
    assert dev.rpc("tools/call", {})["error"]["code"] == -32602
    result = dev.rpc("tools/call", {"name": "shop:list", "arguments": {"q": "z"}})["result"]
    assert result["isError"] is False and json.loads(result["content"][0]["text"])["path"] == "/list?q=z"
    assert result["content"][0]["text"].startswith('{\n  "')
    failed = dev.rpc("tools/call", {"name": "keyless:get"})["result"]
    assert failed["isError"] is True and failed["content"][0]["text"].startswith("Error: ") and "nowhere_key" in failed["content"][0]["text"]
    assert dev.rpc("tools/call", {"name": "shop:pick"})["result"]["content"][0]["text"] == "h"  # extracted, as by /call


def test_mcp_denies_outside_the_scope(guarded):
    told = guarded.rpc("tools/call", {"name": "shop:buy_now"}, guarded.folder.token("tool:shop:list"))
    assert told["error"] == {"code": -32001, "message": "Access denied: 'shop:buy_now' is not in your scopes"}


def test_mcp_batches(dev):
    batch = [{"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "shop:list", "arguments": {"q": str(n)}}} for n in range(5)]
    status, _, body = dev.ask("POST", "/mcp", batch + [{"jsonrpc": "2.0", "method": "notifications/initialized"}, {"jsonrpc": "2.0", "id": "p", "method": "ping"}])
    assert status == 200
    answers = {answer["id"]: answer for answer in json.loads(body)}
    assert set(answers) == {0, 1, 2, 3, 4, "p"}
    for n in range(5):
        assert f"/list?q={n}" in answers[n]["result"]["content"][0]["text"]
    for bad in ([], [batch[0]] * 65, "text", 5):
        assert dev.ask("POST", "/mcp", json.dumps(bad), headers={"Content-Type": "application/json"})[0] == 422


def test_mcp_sessions_and_origins(dev):
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}}}
    session = dev.ask("POST", "/mcp", message)[1]["Mcp-Session-Id"]
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert dev.ask("POST", "/mcp", ping, headers={"Mcp-Session-Id": session})[0] == 200
    assert dev.ask("POST", "/mcp", ping, headers={"Mcp-Session-Id": "../x"})[0] == 404
    assert dev.ask("DELETE", "/mcp")[0] == 400
    assert dev.ask("DELETE", "/mcp", headers={"Mcp-Session-Id": session})[0] == 200
    assert dev.ask("POST", "/mcp", ping, headers={"Mcp-Session-Id": session})[0] == 404
    assert dev.ask("POST", "/mcp", ping, headers={"Origin": "https://evil.example"})[0] == 403
    assert dev.ask("POST", "/mcp", ping, headers={"Origin": dev.url})[0] == 200


# --- bodies that must be JSON ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/mcp", "/help"])
def test_json_routes_want_json(dev, path):
    for kind in ("text/plain", "", "application/xml", "text/json", "application/jsonx", "application/octet-stream", "text/vnd.something+json", "application/json+x"):
        assert dev.ask("POST", path, b"{}", headers={"Content-Type": kind})[0::2] == (415, b"Expected request with `Content-Type: application/json`")
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"):
        status, _, body = dev.ask("POST", path, b"{", headers={"Content-Type": kind})
        assert status == 400 and body.startswith(b"Failed to parse the request body as JSON: "), kind
    status, _, body = dev.ask("POST", path, b"7", headers={"Content-Type": "application/json"})
    assert status == 422 and body.startswith(b"Failed to deserialize the JSON body into the target type: ")
