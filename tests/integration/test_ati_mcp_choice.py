"""MCP servers that callers choose: mcp_url_env, X-Ati-Upstream-Url, and the list of what is allowed."""

import json
import urllib.parse

import pytest

from harness.ati import SECRET, Folder, Proxy
from harness.mcp import Server, manifest

TOOL = '\n[[tools]]\nname = "{name}:t"\ndescription = "t"\n'
KEYS = {"key": "key-of-the-provider-1", "other": "key-that-nobody-asked-for-1"}


def add(path, name, **fields):
    manifest(path, name, mcp_transport="http", **fields)
    file = path / "manifests" / f"{name}.toml"
    file.write_text(file.read_text() + TOOL.format(name=name))


@pytest.fixture(scope="module")
def servers():
    with Server() as usual, Server() as chosen:
        yield usual, chosen


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, servers):
    """free: callers may choose; fixed: they may not; alone: they must; unlisted, wrong: there is no list that can be used."""
    path = tmp_path_factory.mktemp("choice")
    usual, chosen = servers
    port = urllib.parse.urlsplit(chosen.url).port
    keys = {
        **KEYS, "free_allowed_urls": f"https://tools-*.example.com/mcp , http://127.0.0.*:{port}/mcp,,http://one/mcp, https://127.*.0.*/mcp, http://12*7.7.0.9:1/mcp",
        "alone_allowed_urls": f"http://localhost:{port}/mcp", "wrong_allowed_urls": f"http://127.0.0.1:{port}/mcp, https://**/mcp", "fixed_allowed_urls": "http://one/mcp",
    }
    folder = Folder(path, {}, keys, ATI_JWT_SECRET=SECRET)
    for name, fields in (("free", {"mcp_url": usual.url, "mcp_url_env": "U"}), ("fixed", {"mcp_url": usual.url}), ("alone", {"mcp_url_env": "U"}),
                         ("unlisted", {"mcp_url": usual.url, "mcp_url_env": "U"}), ("wrong", {"mcp_url": usual.url, "mcp_url_env": "U"})):
        add(path, name, auth_type="bearer", auth_key_name="key", **fields)
    with Proxy(folder) as one:
        one.token = folder.token("tool:*")
        yield one


def call(proxy, tool, *urls, token=None):
    """(status, the error or the result). Several URLs: as many headers."""
    body = json.dumps({"tool_name": tool, "args": {}})
    headers = {"Content-Type": "application/json", **({"X-Ati-Upstream-Url": urls[0]} if urls else {})}
    for i, url in enumerate(urls[1:]):
        headers["x-ati-upstream-url" if i == 0 else "X-ATI-Upstream-URL"] = url
    status, _, answer = proxy.ask("POST", "/call", body, token or proxy.token, headers)
    answer = json.loads(answer)
    return status, answer.get("error") or answer["result"]


def count(server):
    return len(server.messages("tools/call"))


def test_who_is_asked(proxy, servers):
    usual, chosen = servers
    for urls, asked in (((), usual), ((chosen.url,), chosen), ((" " + chosen.url + "?a=${other} ".strip(),), chosen), (("",), usual), ((), usual), ((chosen.url,), chosen)):
        before = [count(server) for server in servers]
        assert call(proxy, "free:t", *urls) == (200, "done"), urls
        assert [count(server) - was for server, was in zip(servers, before)] == [asked is usual, asked is chosen]
        assert asked.messages("tools/call")[-1]["headers"]["authorization"] == f"Bearer {KEYS['key']}"
    assert KEYS["other"] not in json.dumps([asked["path"] for asked in chosen.asked])  # what a caller writes is no placeholder
    # Both stay connected, and one that only callers know is asked nothing else.
    assert len(chosen.messages("initialize")) == 2 and not chosen.messages("tools/list")
    assert not any("alone" in line and "WARN" in line for line in proxy.seen)
    assert call(proxy, "alone:t", chosen.url.replace("127.0.0.1", "LocalHost")) == (200, "done")
    assert call(proxy, "alone:t") == (502, "MCP error: Missing MCP configuration: mcp_url required for HTTP transport")


NOT_LISTED = "Upstream URL '{url}' not in provider 'free's allowlist"
REFUSED = [  # tool, URL ("PORT" is the chosen server's), status, what is said
    ("fixed:t", "http://one/mcp", 400, "X-Ati-Upstream-Url sent for provider 'fixed' which does not declare mcp_url_env"),
    ("unlisted:t", "http://127.0.0.1:PORT/mcp", 403,
     "Provider 'unlisted' has no upstream URL allowlist configured (set ATI_KEY_UNLISTED_ALLOWED_URLS on the proxy)"),
    ("wrong:t", "http://127.0.0.1:PORT/mcp", 403, "Provider 'wrong' has no upstream URL allowlist configured (set ATI_KEY_WRONG_ALLOWED_URLS on the proxy)"),
    *[("free:t", url, 403, NOT_LISTED) for url in (
        "http://attacker.example/mcp", "http://127.0.0.1:PORT/", "http://127.0.0.1:PORT/mcp/admin", "http://127.0.0.1:PORT/mcp/", "http://127.0.0.1:PORT/mcp/../mcp",
        "http://127.0.0.1:PORT/x/../mcp", "http://127.0.0.1:PORT/%6dcp", "https://127.0.0.1:PORT/mcp", "http://127.0.0.1/mcp", "http://127.0.0.1:1/mcp",
        "http://127.0.0.1.example:PORT/mcp", "http://127.0.1:PORT/mcp", "http://x@127.0.0.1:PORT/mcp", "http://127.0.0.1:PORT@evil.example/mcp",
        "http://tools-a.example.com/mcp", "https://tools-evil.com/mcp#.example.com/mcp", "https://tools-evil.com.example.com/mcp", "https://tools-.evil.example.com/mcp",
        "https://tools.example.com/mcp", "https://tools-a.example.com./mcp", "https://tools-a.example.com:444/mcp", "http://[::1]/mcp", "http://one.two/mcp", "http://on/mcp")],
    *[("free:t", url, 400, "X-Ati-Upstream-Url '{url}' is not a valid URL: ") for url in ("not a url", "/mcp", "file:///etc/passwd", "http://")],
]


@pytest.mark.parametrize("tool, url, status, told", REFUSED)
def test_what_is_not_allowed_is_refused(proxy, servers, tool, url, status, told):
    url = url.replace("PORT", str(urllib.parse.urlsplit(servers[1].url).port))
    before = [len(server.asked) for server in servers]
    got, error = call(proxy, tool, url)
    assert got == status and (error.startswith if told.endswith(": ") else error.__eq__)(told.format(url=url)), error
    assert [len(server.asked) for server in servers] == before


def test_what_the_list_allows(proxy):
    """It gets as far as the connection, which is not there."""
    for url in ("https://127.7.0.9:443/mcp", "HTTPS://127.8.0.1/mcp?x=1", "http://127.7.0.9:1/mcp"):
        status, error = call(proxy, "free:t", url)
        assert status == 502 and error.startswith("MCP error: MCP transport error: [free] HTTP request failed: "), error


def test_who_may_not_call_is_told_no_more(proxy, servers):
    """Scopes come first; and two headers are none that can be meant."""
    token = proxy.folder.token("tool:elsewhere")
    assert call(proxy, "fixed:t", "http://one/mcp", token=token) == (403, "Access denied: 'fixed:t' is not in your scopes")
    assert call(proxy, "free:t", servers[1].url, servers[1].url) == (400, "X-Ati-Upstream-Url sent more than once")


def test_refusals_over_mcp(proxy, servers):
    def rpc(tool, url):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
        return json.loads(proxy.ask("POST", "/mcp", message, proxy.token, {"Accept": "application/json, text/event-stream", "X-Ati-Upstream-Url": url})[2])

    assert rpc("fixed:t", "http://one/mcp")["error"]["code"] == -32602
    assert rpc("free:t", "nowhere")["error"]["code"] == -32602
    assert rpc("free:t", "http://attacker.example/mcp")["error"]["code"] == -32001
    before = count(servers[1])
    assert rpc("free:t", servers[1].url)["result"]["content"] == [{"type": "text", "text": "done"}]
    assert count(servers[1]) == before + 1


def test_addresses_are_judged(tmp_path, servers):
    """The list of the operator is no way around the rules for addresses; private_network is."""
    folder = Folder(tmp_path, {}, {f"{name}_allowed_urls": servers[1].url for name in ("judged", "inside")})
    add(tmp_path, "judged", mcp_url_env="U")
    add(tmp_path, "inside", mcp_url_env="U", private_network=True)
    with Proxy(folder, ATI_SSRF_PROTECTION="1") as proxy:
        proxy.token = None
        before = len(servers[1].asked)
        status, error = call(proxy, "judged:t", servers[1].url)
        assert status == 502 and "127.0.0.1" in error and len(servers[1].asked) == before
        assert call(proxy, "inside:t", servers[1].url) == (200, "done")


def test_the_command_names_the_server(proxy, servers, tmp_path):
    """As the variable says, when the manifest is there, too; a variable that is no URL goes nowhere."""
    sandbox = Folder(tmp_path, ATI_PROXY_URL=proxy.url, ATI_SESSION_TOKEN=proxy.token)
    before = count(servers[0]), count(servers[1])
    assert sandbox.run("run", "free:t", U=servers[1].url).returncode == 0  # no manifest
    assert (count(servers[0]), count(servers[1])) == (before[0] + 1, before[1])
    add(tmp_path, "free", mcp_url_env="U")
    for value, chosen in ((None, 0), ("", 0), (f" {servers[1].url} ", 1)):
        before = count(servers[0]), count(servers[1])
        done = sandbox.run("run", "free:t", **({} if value is None else {"U": value}))
        assert done.returncode == 0, done.stderr
        assert (count(servers[0]) - before[0], count(servers[1]) - before[1]) == (1 - chosen, chosen)
    before = count(servers[0]), count(servers[1])
    done = sandbox.run("run", "free:t", U="secret-of-the-sandbox")
    assert done.returncode != 0 and "U names the MCP server of free:t, and begins with neither http:// nor https://" in done.stderr
    assert "secret-of-the-sandbox" not in done.stderr and (count(servers[0]), count(servers[1])) == before
    done = sandbox.run("run", "free:t", U="http://attacker.example/mcp")
    assert "Proxy error (403)" in done.stderr


@pytest.mark.parametrize("fields, told", [
    ({"mcp_transport": "http", "mcp_url_env": ""}, "mcp_url_env must not be empty when set"),
    ({"mcp_transport": "http", "mcp_url_env": " "}, "mcp_url_env must not be empty when set"),
    ({"mcp_transport": "http", "mcp_url_env": "1A"}, "mcp_url_env '1A' is not a valid POSIX env var name"),
    ({"mcp_transport": "http", "mcp_url_env": "A-B"}, "mcp_url_env 'A-B' is not a valid POSIX env var name"),
    ({"mcp_command": "x", "mcp_url_env": "U"}, 'mcp_url_env requires handler = "mcp" and mcp_transport = "http" (got handler = "mcp", transport = "stdio")'),
])
def test_where_it_means_nothing(tmp_path, fields, told):
    folder = Folder(tmp_path)
    manifest(tmp_path, "m", **fields)
    done = folder.run("provider", "list")
    assert done.returncode != 0 and f"is invalid: {told}" in done.stderr.replace('\\"', '"')
