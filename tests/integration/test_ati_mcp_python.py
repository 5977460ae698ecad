"""The official Python SDK at /mcp, unmodified."""

import json
import subprocess

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, ROOT
from harness.mcp import SHOP, script

PYTHON = ROOT / "build/mcp-python/bin/python"


def client(kind, gateway, token, *steps):
    """(exit status, what it said to each step, the greeting first)."""
    if not PYTHON.exists():
        pytest.skip("the MCP SDK for Python is not installed: scripts/bootstrap test")
    done = subprocess.run([PYTHON, ROOT / "tests/mcp/client.py", kind, f"{gateway.url}/mcp", *token],
                          input="".join(json.dumps(step) + "\n" for step in steps),
                          capture_output=True, text=True, timeout=PATIENCE * 3, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 1 + len(steps) * (done.returncode == 0), done.stderr
    return done.returncode, said


@pytest.fixture
def gateway(stack, tmp_path):
    shop = stack.enter_context(Upstream(lambda request: (500, {}, b"broken") if request["path"] == "/fail" else Upstream.echo(request)))
    script(tmp_path)
    folder = Folder(tmp_path, {"shop": SHOP.format(url=shop.url)}, {"shop_key": "key-of-the-shop"}, ATI_JWT_SECRET=SECRET)
    proxy = stack.enter_context(Proxy(folder))
    proxy.agent, proxy.shop = folder.token("tool:shop:* tool:script:progress"), shop
    return proxy


@pytest.mark.parametrize("kind", ["session", "client"])
def test_initialize_list_call_and_errors(gateway, kind):
    status, said = client(
        kind, gateway, [gateway.agent], ["list"], ["call", "shop:list", {"kind": "tea & cake"}], ["call", "shop:fail", {}], ["call", "shop:nothing", {}],
        ["call", "shop:secret", {}], ["progress", "script:progress", {"times": 3, "pause": 0}], ["ping"],
        ["together", *[["shop:list", {"kind": str(n)}] for n in range(20)]])
    hello, tools, listed, failed, unknown, denied, progress, pong, together = said
    assert status == 0
    assert hello["serverInfo"]["name"] == "ati-proxy" and hello["capabilities"] == {"tools": {"listChanged": False}}
    tools = {tool["name"]: tool for tool in tools}
    assert set(tools) == {"shop:list", "shop:fail", "shop:slow", "script:progress"}
    assert tools["shop:list"]["inputSchema"] == {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}
    assert listed["isError"] is False and json.loads(listed["content"][0]["text"])["path"] == "/list?kind=tea+%26+cake"
    assert failed["isError"] is True and failed["content"][0]["text"] == "Error: MCP transport error: API error (500): broken"
    assert unknown["code"] == -32602
    assert denied["code"] == -32001 and "Access denied: 'shop:secret' is not in your scopes" in denied["error"]
    assert [at[0] for at in progress["seen"]] == [0, 1, 2] and progress["result"]["content"] == [{"type": "text", "text": "arrived"}]
    assert pong == {}
    assert [json.loads(one["content"][0]["text"])["path"] for one in together] == [f"/list?kind={n}" for n in range(20)]
    assert {asked["headers"]["Authorization"] for asked in gateway.shop.asked} == {"Bearer key-of-the-shop"}
    assert "/secret" not in {asked["path"] for asked in gateway.shop.asked}


def test_it_is_refused_without_a_token(gateway):
    status, (told,) = client("session", gateway, [], ["list"])
    assert status == 1 and "error" in told and not gateway.shop.asked
