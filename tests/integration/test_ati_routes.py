"""The routes of `ati proxy`, to the letter: what clients match of statuses, headers, texts and the order of members."""

import base64
import json
import socket
import subprocess
import time

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, SANITIZER, eventually
from test_ati_matrix import claims, jwt

API = """
[provider]
name = "api"
description = "an API"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "api_key"

[[tools]]
name = "api:get"
description = "gets"
endpoint = "/get"

[[tools]]
name = "api:put"
description = "puts"
endpoint = "/put"
method = "put"

[[tools]]
name = "api:post"
description = "posts"
endpoint = "/post"
method = "Post"

[[tools]]
name = "api:delete"
description = "deletes"
endpoint = "/delete"
method = "DELETE"

[[tools]]
name = "api:text"
description = "answers with text"
endpoint = "/text"

[[tools]]
name = "api:fail"
description = "is out of order"
endpoint = "/fail"

[[tools]]
name = "api:none"
description = "finds nothing"
endpoint = "/none"

[[tools]]
name = "api:odd"
description = "does not find what it looks for"
endpoint = "/get"
[tools.response]
extract = "$["

[[tools]]
name = "p:q_r"
description = "left"
endpoint = "/left"

[[tools]]
name = "p_q:r"
description = "right"
endpoint = "/right"

[[tools]]
name = "same_name"
description = "as it is written"
endpoint = "/written"

[[tools]]
name = "same:name"
description = "with a colon"
endpoint = "/colon"

[[tools]]
name = "deep:er:still"
description = "of two colons"
endpoint = "/deep"
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
"""
INNER = """
[provider]
name = "inner"
description = "not for listings"
base_url = "{url}"
internal = true

[[tools]]
name = "inner:get"
description = "asks for no scope"
endpoint = "/inner"
"""
SAY = """
[provider]
name = "say"
description = "prints its words"
handler = "cli"
cli_command = "/usr/bin/printf"
cli_default_args = ["%s|"]
"""
DIES = """
[provider]
name = "dies"
description = "fails"
handler = "cli"
cli_command = "sh"
cli_default_args = ["-c", "echo no >&2; exit 3"]
"""


def answer(request):
    path = request["path"].partition("?")[0]
    if path == "/text":
        return 200, {}, '"größer\\n"'.encode()
    if path == "/fail":
        return 503, {}, b"overloaded"
    if path == "/none":
        return 404, {}, b'{"error":{"message":"No records found"}}'
    return 200, {}, json.dumps({"path": request["path"], "body": request["body"].decode(), "asked": {"z": 1.50, "a": [None, True]}}).encode()


@pytest.fixture(scope="module")
def upstream():
    with Upstream(answer) as up:
        yield up


def folder_of(path, upstream, **environ):
    manifests = {name: text.replace("{url}", upstream.url) for name, text in
                 {"api": API, "keyless": KEYLESS, "inner": INNER, "say": SAY, "dies": DIES}.items()}
    return Folder(path, manifests, {"api_key": "k-1"}, **environ)


@pytest.fixture(scope="module")
def dev(tmp_path_factory, upstream):
    with Proxy(folder_of(tmp_path_factory.mktemp("dev"), upstream, ATI_MAX_CALL_MEMORY="8GiB")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, upstream):
    with Proxy(folder_of(tmp_path_factory.mktemp("guarded"), upstream, ATI_JWT_SECRET=SECRET)) as proxy:
        yield proxy


def spoken(proxy, data):
    """All that comes back, until the gateway closes."""
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def pairs(body):
    """JSON whose objects are lists of (name, value): order counts."""
    return json.loads(body, object_pairs_hook=list)


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data, first", [
    (b"GET /health HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    (b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    (b"GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 505 HTTP Version Not Supported\r\n"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HTTP/1.1 400 Bad Request\r\n"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
], ids=["1.0", "1.1", "2.0", "TLS", "HTTP/2"])
def test_http_1_is_spoken(dev, data, first):
    """Who begins with HTTP/2 is not answered, as its protocol has it; TLS is for front ends."""
    assert spoken(dev, data)[:len(first) or None] == first


@pytest.mark.parametrize("bind", ["::1", "[::1]"])
def test_ipv6_is_bound(tmp_path, bind):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
    with Proxy(Folder(tmp_path), "--bind", bind) as proxy:
        assert proxy.start["addr"] == f"[::1]:{proxy.port}"
        done = subprocess.run(["curl", "-sg", f"http://[::1]:{proxy.port}/health"], capture_output=True, timeout=PATIENCE, check=True)
        assert json.loads(done.stdout)["status"] == "ok"


@pytest.mark.parametrize("bind", ["localhost", "example.org", "127.0.0.1:80", "127.0.0", "[::1", "", "*"])
def test_what_is_no_address_is_not_bound(tmp_path, bind):
    done = Folder(tmp_path).run("proxy", "--port", "0", "--bind", bind)
    assert done.returncode == 2 and "--bind" in done.stderr


@pytest.mark.parametrize("path", ["/health", "/.well-known/jwks.json", "/tools", "/tools?search=gets", "/tools/api:get", "/tools/nothing"])
def test_head_is_get_without_a_body(dev, path):
    got, head = dev.ask("GET", path), dev.ask("HEAD", path)
    assert (head[0], head[2]) == (got[0], b"")
    assert {name: head[1][name] for name in ("Content-Type", "Content-Length")} == {name: got[1][name] for name in ("Content-Type", "Content-Length")}
    assert int(head[1]["Content-Length"]) == len(got[2]) > 0


@pytest.mark.parametrize("method, path, allow", [("HEAD", "/call", "POST"), ("PATCH", "/help", "POST"), ("OPTIONS", "/tools", "GET, HEAD"),
                                                 ("POST", "/.well-known/jwks.json", "GET, HEAD"), ("DELETE", "/tools/api:get", "GET, HEAD"),
                                                 ("PUT", "/mcp", "POST, DELETE")])
def test_other_methods_are_told_which_there_are(guarded, method, path, allow):
    status, headers, body = guarded.ask(method, path, token=guarded.folder.token(""))
    assert (status, headers["Allow"], body) == (405, allow, b"")


def test_texts_are_marked_as_what_they_are(dev):
    for method, path, status, kind in (("GET", "/health", 200, "application/json"), ("GET", "/tools", 200, "application/json"),
                                       ("GET", "/tools/nothing", 404, "application/json"), ("POST", "/call", 422, "application/json"),
                                       ("GET", "/nowhere", 404, "text/plain; charset=utf-8"), ("POST", "/mcp", 415, "text/plain; charset=utf-8"),
                                       ("GET", "/tools?search=a&search=b", 400, "text/plain; charset=utf-8")):
        got, headers, _ = dev.ask(method, path)
        assert (got, headers["Content-Type"]) == (status, kind), path


# --- who asks ---------------------------------------------------------------------------------------------------------


def test_without_tokens_everybody_is_dev(dev):
    for header in ("Bearer junk", "junk", "Basic eDp5"):  # nobody looks
        assert dev.ask("GET", "/tools", headers={"Authorization": header})[0] == 200
    assert dev.call("api:get", {"who": "dev"})[0] == 200
    line = dev.log("tool call")
    assert (line["tool"], line["agent"]) == ("api:get", "dev") and not line.get("job_id") and not line.get("sandbox_id")
    (row,) = eventually(lambda: [row for row in dev.audit() if row["args"] == {"who": "dev"}], "a line of the audit")
    assert row["agent_sub"] == "dev" and "job_id" not in row and "sandbox_id" not in row


def test_jobs_and_sandboxes_are_in_the_log_and_the_audit(guarded):
    token = jwt(claims("*", sub="agent-of-job", job_id="job-17", sandbox_id="box-3"))
    assert guarded.call("dies", {}, token)[0] == 502
    line = guarded.log("tool call")
    while line["agent"] != "agent-of-job":
        line = guarded.log("tool call")
    assert (line["tool"], line["job_id"], line["sandbox_id"]) == ("dies", "job-17", "box-3")
    assert "error" in guarded.rpc("nothing/known", token=token)
    line = guarded.log("mcp call")
    while line["agent"] != "agent-of-job":
        line = guarded.log("mcp call")
    assert (line["method"], line["job_id"], line["sandbox_id"]) == ("nothing/known", "job-17", "box-3")
    (row,) = eventually(lambda: [row for row in guarded.audit() if row["agent_sub"] == "agent-of-job"], "a line of the audit")
    assert list(row) == ["ts", "tool", "args", "status", "duration_ms", "agent_sub", "job_id", "sandbox_id", "error", "exit_code"]
    assert (row["job_id"], row["sandbox_id"], row["status"], row["exit_code"]) == ("job-17", "box-3", "error", 3)


def test_a_token_may_be_used_again(guarded):
    """There is no store of ids: until it is over it is good."""
    token = jwt(claims("tool:api:get", jti="once"))
    assert [guarded.call("api:get", {}, token)[0] for _ in range(3)] == [200] * 3


def test_issuer_and_audience_as_they_are_configured(tmp_path, upstream):
    with Proxy(folder_of(tmp_path, upstream, ATI_JWT_SECRET=SECRET.upper(), ATI_JWT_ISSUER="https://me", ATI_JWT_AUDIENCE="mine")) as proxy:
        for good in ({}, {"aud": ["other", "mine"]}):
            assert proxy.call("api:get", {}, jwt(claims("*", **{"iss": "https://me", "aud": "mine", **good})))[0] == 200
        for bad in ({"iss": None}, {"iss": "https://you"}, {"iss": "https://me/"}, {"iss": ["https://me"]}, {"aud": "ati-proxy"}, {"aud": ["other"]}):
            status, _, body = proxy.ask("POST", "/call", {"tool_name": "api:get"}, jwt(claims("*", **{"iss": "https://me", "aud": "mine", **bad})))
            assert (status, body) == (401, b""), bad


def test_a_public_key_goes_before_a_secret(tmp_path):
    folder = Folder(tmp_path)
    assert folder.run("init", "--proxy", "--es256").returncode == 0
    environ = {"ATI_JWT_PUBLIC_KEY": str(tmp_path / "jwt-public.pem"), "ATI_JWT_SECRET": SECRET}
    token = folder.run("token", "issue", "--sub", "a", "--scope", "*", "--key", tmp_path / "jwt-private.pem").stdout.strip()
    with Proxy(folder, **environ) as proxy:
        assert proxy.ask("GET", "/tools", token=token)[0] == 200
        assert proxy.ask("GET", "/tools", token=jwt(claims("*")))[0] == 401
        status, headers, body = proxy.ask("GET", "/.well-known/jwks.json")
        key = json.loads(body)["keys"][0]
        assert status == 200 and headers["Content-Type"] == "application/json" and list(json.loads(body)) == ["keys"]
        assert {name: key[name] for name in ("alg", "kid", "kty", "use")} == {"alg": "ES256", "kid": "ati-proxy-1", "kty": "EC", "use": "sig"}
        assert key["x5c"] == ["".join((tmp_path / "jwt-public.pem").read_text().splitlines()[1:-1])]
        x, y = (base64.urlsafe_b64decode(key[name] + "=") for name in "xy")
        assert key["crv"] == "P-256" and b"\x04" + x + y == base64.b64decode(key["x5c"][0])[-65:]


@pytest.mark.parametrize("scope, opened", [("tool:deep:er:still", True), ("tool:deep_er:still", True), ("tool:deep_*", True), ("tool:deep_er:*", True),
                                           ("tool:deep_er_still", False), ("tool:deep:er_still", False), ("tool:deep", False), ("tool:deep:er", False)])
def test_older_scopes_write_the_first_colon_otherwise(guarded, scope, opened):
    token = jwt(claims(scope))
    status, told = guarded.call("deep:er:still", {}, token)
    assert (status, told.get("error")) == ((200, None) if opened else (403, "Access denied: 'deep:er:still' is not in your scopes"))
    assert [tool["name"] for tool in json.loads(guarded.ask("GET", "/tools", token=token)[2])] == (["deep:er:still"] if opened else [])


def test_a_token_in_its_leeway_is_known_and_opens_nothing(guarded):
    """Not even what asks for no scope."""
    token = jwt(claims("*", exp=int(time.time()) - 20))
    for name in ("api:get", "say", "inner:get", "file_manager:download"):
        assert guarded.call(name, {}, token) == (403, {"result": None, "error": f"Access denied: '{name}' is not in your scopes"})
    assert guarded.rpc("tools/list", token=token)["result"] == {"tools": []}
    assert guarded.rpc("tools/call", {"name": "api:get"}, token)["error"] == {"code": -32001, "message": "Access denied: 'api:get' is not in your scopes"}
    status, _, body = guarded.ask("POST", "/help", {"query": "x"}, token)
    assert status == 403 and pairs(body) == [("content", ""), ("error", "Access denied: 'help' is not in your scopes")]


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/mcp", "/help"])
def test_json_is_asked_for_and_bounded(dev, path):
    told = spoken(dev, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode())  # of no type at all
    assert told.startswith(b"HTTP/1.1 415 ") and told.endswith(b"\r\n\r\nExpected request with `Content-Type: application/json`")
    told = spoken(dev, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {5 << 20}\r\n\r\n".encode())
    assert told.startswith(b"HTTP/1.1 413 ") and told.endswith(b"\r\n\r\nlength limit exceeded")
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    told = spoken(dev, head.encode() + b"%x\r\n" % (5 << 20) + b" " * (4 << 20 | 1))
    assert told.startswith(b"HTTP/1.1 413 ") and told.endswith(b"\r\n\r\nlength limit exceeded")


@pytest.mark.parametrize("framing", ["length", pytest.param("chunked", marks=pytest.mark.skipif(SANITIZER is not None, reason="its bytes are many"))])
def test_who_may_not_upload_sends_no_gigabyte(guarded, framing):
    head = f"POST /call HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {jwt(claims('tool:api:*'))}\r\n".encode()
    if framing == "length":
        told = spoken(guarded, head + b"Content-Length: %d\r\n\r\n" % (64 << 20 | 1))
    else:
        told = spoken(guarded, head + b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n" + bytes(64 << 20 | 1))
    assert told.startswith(b"HTTP/1.1 400 ")
    assert pairs(told.partition(b"\r\n\r\n")[2]) == [("result", None), ("error", "Failed to read request body: length limit exceeded")]


@pytest.mark.parametrize("length, first", [(1431663957, b"HTTP/1.1 100 Continue\r\n"), (1431663958, b"HTTP/1.1 400 Bad Request\r\n")])
def test_call_takes_a_gigabyte_in_base64(dev, length, first):
    """And eight KiB around it: what is said before a byte of it is sent."""
    with socket.create_connection(("127.0.0.1", dev.port), PATIENCE) as sock:
        sock.sendall(b"POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % length)
        assert sock.makefile("rb").readline() == first


def test_bodies_that_cannot_be_read(dev):
    head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    told = spoken(dev, head.format("/call").encode())
    assert told.startswith(b"HTTP/1.1 400 ")
    (result, error) = pairs(told.partition(b"\r\n\r\n")[2])
    assert result == ("result", None) and error[0] == "error" and error[1].startswith("Failed to read request body: expected a chunk size")
    for path in ("/mcp", "/help"):
        told = spoken(dev, head.format(path).encode())
        assert told.startswith(b"HTTP/1.1 400 ") and b"\r\n\r\nexpected a chunk size" in told


def test_a_question_of_two_minds_is_refused(dev):
    for query, name in (("provider=api&provider=say", "provider"), ("search=a&provider=api&search=a", "search"), ("provider=api&%70rovider=api", "provider")):
        assert dev.ask("GET", f"/tools?{query}")[0::2] == (400, f"Failed to deserialize query string: duplicate field `{name}`".encode())
    for query in ("other=1&other=2&provider=dies", "provider=dies&provide=x", "provider=dies&", "provider=dies&search="):
        assert [tool["name"] for tool in json.loads(dev.ask("GET", f"/tools?{query}")[2])] == ["dies"], query
    assert dev.ask("GET", "/tools?provider=")[2] == b"[]"


# --- /call ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [{}, {"args": {}}, {"args": [1]}, {"args": "a=b"}, {"args": 7}, {"args": None}, {"args": True}, {"raw_args": None},
                                   {"raw_args": ["--a", "b"]}, {"args": {}, "other": [1]}])
def test_arguments_that_are_no_object_are_none(dev, order):
    status, _, body = dev.ask("POST", "/call", {"tool_name": "api:get", **order})
    assert status == 200 and json.loads(body)["result"]["path"] == "/get"
    status, _, body = dev.ask("POST", "/call", {"tool_name": "file_manager:download", **order})
    assert (status, body) == (400, b'{"result":null,"error":"Missing required argument: url"}')


@pytest.mark.parametrize("order, words", [
    ({"args": {"b": False, "a": None, "c": 1.50, "d": True, "e": {"y": [1, "x"]}, "f": ""}}, '--a|null|--b|false|--c|1.5|--d|--e|{"y":[1,"x"]}|--f||'),
    ({"args": {"_positional": "p", "x": "y"}}, "--_positional|p|--x|y|"),
    ({"args": {"_positional": [1.50, None, "a b"]}}, "1.5|null|a b|"),
    ({"args": ["a"], "raw_args": []}, "|"), ({"args": ["a"], "raw_args": None}, "a|"), ({"args": None}, "|"), ({"args": False}, "|"), ({"args": ""}, "|"),
])
def test_words_of_all_kinds_of_arguments(dev, order, words):
    assert dev.ask("POST", "/call", {"tool_name": "say", **order})[0::2] == (200, b'{"result":%s}' % json.dumps(words).encode())


def test_answers_have_two_members_in_their_order(dev):
    for name, status, told in (("api:fail", 502, "Upstream API error: API error (503): overloaded"),
                               ("keyless:get", 502, "Upstream API error: API key 'nowhere_key' not found in keyring"),
                               ("dies", 502, "CLI error: CLI exited with code 3: no\n"), ("nothing", 404, "Unknown tool: 'nothing'"),
                               ("", 404, "Unknown tool: ''"), ("file_manager:download", 400, "Missing required argument: url")):
        got, headers, body = dev.ask("POST", "/call", {"tool_name": name})
        assert (got, headers["Content-Type"], pairs(body)) == (status, "application/json", [("result", None), ("error", told)]), name
    got, _, body = dev.ask("POST", "/call", {"tool_name": "api:odd"})
    assert got == 500 and [name for name, _ in pairs(body)] == ["result", "error"] and json.loads(body)["result"]["path"] == "/get"
    for name, told in (("api:none", b'{"result":{"records":[]}}'), ("api:text", '{"result":"größer\\n"}'.encode())):
        assert dev.ask("POST", "/call", {"tool_name": name})[0::2] == (200, told)


@pytest.mark.parametrize("name, path", [("p_q_r", "/left"), ("p:q_r", "/left"), ("p_q:r", "/right"), ("same_name", "/written"), ("same:name", "/colon"),
                                        ("api_get", "/get")])
def test_the_name_as_it_is_then_the_first_underscore(dev, name, path):
    assert dev.call(name)[1]["result"]["path"] == path


def test_a_file_manager_is_called_by_its_older_name_too(dev):
    assert dev.call("file_manager_download") == (400, {"result": None, "error": "Missing required argument: url"})


# --- /mcp -------------------------------------------------------------------------------------------------------------


def posted(proxy, message, **headers):
    return proxy.ask("POST", "/mcp", message, headers=headers)


def test_mcp_says_who_it_is(dev):
    version = dev.folder.run("--version").stdout.split()[1]
    told = {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-03-26", "capabilities": {"tools": {"listChanged": False}},
                                                  "serverInfo": {"name": "ati-proxy", "version": version}}}
    for params in ({}, {"params": {}}, {"params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}}):
        status, headers, body = posted(dev, {"jsonrpc": "2.0", "id": 1, "method": "initialize", **params})
        assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/json", told)


@pytest.mark.parametrize("number", [0, 1, -7, 1.5, "", "a/b", 12345678901234567890, None])
def test_mcp_answers_under_the_id_that_was_given(dev, number):
    for message in ({"jsonrpc": "2.0"}, {}):  # some clients leave the version out
        status, _, body = posted(dev, {**message, "id": number, "method": "what/ever"})
        assert status == 200 and json.loads(body) == {"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "Method not found: 'what/ever'"}}


def test_mcp_lists_tools_without_pages(dev):
    result = dev.rpc("tools/list")["result"]
    assert list(result) == ["tools"]
    tools = {tool["name"]: tool for tool in result["tools"]}
    assert tools["api:get"] == {"name": "api:get", "description": "gets", "inputSchema": {"type": "object", "properties": {}}}
    assert "file_manager:upload" in tools and "inner:get" not in tools
    assert list(tools) == [tool["name"] for tool in json.loads(dev.ask("GET", "/tools")[2])]


@pytest.mark.parametrize("params, told", [
    ({}, "Missing tool name in params.name"), (None, "Missing tool name in params.name"), ({"name": ""}, "Missing tool name in params.name"),
    ({"name": 5}, "Missing tool name in params.name"), (["api:get"], "Missing tool name in params.name"),
    ({"name": "nothing"}, "Unknown tool: 'nothing'"), ({"name": "api_get"}, "Unknown tool: 'api_get'"), ({"name": "Api:get"}, "Unknown tool: 'Api:get'")])
def test_mcp_says_which_tool_it_does_not_know(dev, params, told):
    assert dev.rpc("tools/call", params)["error"] == {"code": -32602, "message": told}


@pytest.mark.parametrize("name, arguments, text", [
    ("api:text", {}, "größer\n"),
    ("api:get", {"q": "a b"}, '{\n  "asked": {\n    "a": [\n      null,\n      true\n    ],\n    "z": 1.5\n  },\n  "body": "",\n  "path": "/get?q=a+b"\n}'),
    ("api:none", {}, '{\n  "records": []\n}'),
    ("say", {"b": "x y", "a": True, "c": 2}, "--a|--b|x y|--c|2|"),
    ("say", {"_positional": ["p"]}, "p|"),
    ("inner:get", None, '{\n  "asked": {\n    "a": [\n      null,\n      true\n    ],\n    "z": 1.5\n  },\n  "body": "",\n  "path": "/inner"\n}'),
])
def test_mcp_results_are_text(dev, name, arguments, text):
    told = dev.rpc("tools/call", {"name": name, "arguments": arguments})
    assert told == {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}], "isError": False}}


@pytest.mark.parametrize("name, text", [
    ("api:fail", "Error: MCP transport error: API error (503): overloaded"),
    ("keyless:get", "Error: MCP transport error: API key 'nowhere_key' not found in keyring"),
    ("dies", "Error: MCP transport error: CLI exited with code 3: no\n"),
    ("file_manager:download", "Error: Missing required argument: url")])
def test_mcp_failures_are_results(dev, name, text):
    assert dev.rpc("tools/call", {"name": name})["result"] == {"content": [{"type": "text", "text": text}], "isError": True}


@pytest.mark.parametrize("message, number, code", [
    ({}, None, -32600), ({"jsonrpc": "2.0", "id": 1}, 1, -32600), ({"jsonrpc": "2.0", "id": 1, "method": 5}, 1, -32600),
    ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, 1, -32600), ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, None, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "api:get", "arguments": [1]}}, 1, -32602)])
def test_mcp_guesses_nothing(dev, upstream, message, number, code):
    asked = len(upstream.asked)
    status, headers, body = posted(dev, message)
    told = json.loads(body)
    assert (status, headers["Content-Type"], list(told)) == (200, "application/json", ["jsonrpc", "id", "error"])
    assert (told["jsonrpc"], told["id"], told["error"]["code"]) == ("2.0", number, code) and told["error"]["message"]
    assert len(upstream.asked) == asked


def test_mcp_takes_notifications_in_silence(dev):
    for method in ("notifications/initialized", "notifications/other", "tools/list"):  # without an id nothing is asked
        assert posted(dev, {"jsonrpc": "2.0", "method": method})[0::2] == (202, b"")


# --- /tools -----------------------------------------------------------------------------------------------------------


def test_tools_in_their_order(dev):
    """Of their file; methods with a capital."""
    tools = json.loads(dev.ask("GET", "/tools?provider=api")[2])
    assert [(tool["name"], tool["method"]) for tool in tools[:5]] == [("api:get", "Get"), ("api:put", "Put"), ("api:post", "Post"), ("api:delete", "Delete"),
                                                                     ("api:text", "Get")]
    assert pairs(dev.ask("GET", "/tools?provider=api&search=PUTS")[2]) == [[
        ("description", "puts"), ("input_schema", None), ("method", "Put"), ("name", "api:put"), ("provider", "api"), ("skills", []), ("tags", [])]]
    assert pairs(dev.ask("GET", "/tools/api:put")[2]) == [
        ("description", "puts"), ("endpoint", "/put"), ("hint", None), ("input_schema", None), ("method", "Put"), ("name", "api:put"), ("provider", "api"),
        ("scope", "tool:api:put"), ("skills", []), ("tags", [])]


def test_what_may_not_be_called_is_not_there(guarded):
    for scope, name in (("tool:api:get", "api:put"), ("", "api:get"), ("*", "inner:get"), ("*", "nothing"), ("help", "say")):
        assert guarded.ask("GET", f"/tools/{name}", token=jwt(claims(scope)))[0::2] == (404, b'{"error":"Tool \'%s\' not found"}' % name.encode())
