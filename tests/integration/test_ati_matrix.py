"""Who may do what: every route × every kind of credential × every shape of scope, each cell with the status that it must have.

The cells are made from three tables, not written by hand. What is expected is said once for each route, by what the credential is worth there: nothing, an
identity, or one whose scope opens the tool."""

import base64
import hashlib
import hmac
import itertools
import json
import socket
import time

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE

MANIFEST = """
[provider]
name = "shop"
description = "a shop"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "shop_key"

[[tools]]
name = "shop:list"
description = "what there is"
endpoint = "/list"

[[tools]]
name = "shop:buy"
description = "buys"
endpoint = "/buy"
method = "POST"

[[tools]]
name = "shop:admin:drop"
description = "drops everything"
endpoint = "/drop"
method = "DELETE"
scope = "admin:shop"
"""
TOOLS = {"shop:list": "tool:shop:list", "shop:buy": "tool:shop:buy", "shop:admin:drop": "admin:shop"}
BUILT_IN = {f"file_manager:{what}": f"tool:file_manager:{what}" for what in ("download", "upload")}


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def jwt(claims, secret=SECRET, header=None, algorithm=hashlib.sha256):
    signed = f"{b64(header or {'typ': 'JWT', 'alg': 'HS256'})}.{b64(claims)}"
    return f"{signed}.{b64(hmac.new(bytes.fromhex(secret), signed.encode(), algorithm).digest())}"


def claims(scope, **other):
    now = int(time.time())
    told = {"sub": "agent", "aud": "ati-proxy", "iat": now, "exp": now + 3600, "scope": scope, "ati": {"v": 1}, **other}
    return {name: value for name, value in told.items() if value is not None}


def allowed(scope, required):
    """The grammar of scopes, once more and slowly."""
    words = scope.split()
    spellings = [required]
    if required.startswith("tool:") and ":" in required[5:]:
        first, rest = required[5:].split(":", 1)
        spellings.append(f"tool:{first}_{rest}")
    return any(word == "*" or word == one or (word.endswith("*") and one.startswith(word[:-1])) for word in words for one in spellings)


# What a token may say, and nothing else changes.
SCOPES = ["*", "", "help", "tool:*", "tool:shop:*", "tool:shop:list", "tool:shop:buy", "tool:shop_list", "tool:shop_*", "tool:shop", "tool:SHOP:LIST",
          "tool:shop:list tool:shop:buy", "admin:shop", "admin:*", "tool:shop:admin:drop", "skill:shop", "category:shop", "tool:other:*", "shop:list",
          "tool:shop:lis*", "tool:shop:list*", "tool:*:list", "**", "tool:shop:list,tool:shop:buy", "help tool:shop:buy"]
GOOD = {
    "token": lambda scope: f"Bearer {jwt(claims(scope))}",
    "expired a moment ago": lambda scope: f"Bearer {jwt(claims(scope, exp=int(time.time()) - 20))}",
    "audience in a list": lambda scope: f"Bearer {jwt(claims(scope, aud=['x', 'ati-proxy']))}",
    "more claims": lambda scope: f"Bearer {jwt(claims(scope, jti='1', job_id='j', sandbox_id='s', nbf=0, kid='k'))}",
}
# Authenticates, and opens nothing: exp has no leeway where scopes are judged.
POWERLESS = {"expired a moment ago"}
BAD = {
    "none": lambda scope: None,
    "empty": lambda scope: "",
    "scheme alone": lambda scope: "Bearer",
    "scheme and a blank": lambda scope: "Bearer ",
    "basic": lambda scope: "Basic YWRtaW46YWRtaW4=",
    "lower-case scheme": lambda scope: f"bearer {jwt(claims(scope))}",
    "two blanks": lambda scope: f"Bearer  {jwt(claims(scope))}",
    "no scheme": lambda scope: jwt(claims(scope)),
    "junk": lambda scope: "Bearer a.b.c",
    "one part": lambda scope: "Bearer abc",
    "four parts": lambda scope: f"Bearer {jwt(claims(scope))}.x",
    "padded": lambda scope: f"Bearer {jwt(claims(scope))}=",
    "no signature": lambda scope: f"Bearer {jwt(claims(scope)).rpartition('.')[0]}.",
    "cut signature": lambda scope: f"Bearer {jwt(claims(scope))[:-4]}",
    "foreign key": lambda scope: f"Bearer {jwt(claims(scope), secret='66' * 32)}",
    "alg none": lambda scope: f"Bearer {jwt(claims(scope), header={'alg': 'none'}).rpartition('.')[0]}.",
    "alg none, signed": lambda scope: f"Bearer {jwt(claims(scope), header={'alg': 'none'})}",
    "alg HS512": lambda scope: f"Bearer {jwt(claims(scope), header={'alg': 'HS512'}, algorithm=hashlib.sha512)}",
    "alg ES256": lambda scope: f"Bearer {jwt(claims(scope), header={'alg': 'ES256'})}",
    "crit": lambda scope: f"Bearer {jwt(claims(scope), header={'alg': 'HS256', 'crit': ['x'], 'x': 1})}",
    "long expired": lambda scope: f"Bearer {jwt(claims(scope, exp=int(time.time()) - 600))}",
    "other audience": lambda scope: f"Bearer {jwt(claims(scope, aud='somebody'))}",
    "no audience": lambda scope: f"Bearer {jwt(claims(scope, aud=None))}",
    "no subject": lambda scope: f"Bearer {jwt(claims(scope, sub=None))}",
    "no expiry": lambda scope: f"Bearer {jwt(claims(scope, exp=None))}",
    "no iat": lambda scope: f"Bearer {jwt(claims(scope, iat=None))}",
    "no scope": lambda scope: f"Bearer {jwt(claims(None))}",
    "scope in a list": lambda scope: f"Bearer {jwt(claims(scope.split()))}",
    "expiry in words": lambda scope: f"Bearer {jwt(claims(scope, exp='tomorrow'))}",
}


def call(tool):
    return "POST", "/call", {"tool_name": tool, "args": {}}


def mcp(method, **params):
    return "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}



# route → (request, what an identity of this scope must get: a status, or a check of (status, body))
def routes(scope, powerless):
    def may(tool):
        return not powerless and allowed(scope, TOOLS[tool])

    told = sorted(tool for tool, required in (TOOLS | BUILT_IN).items() if not powerless and allowed(scope, required))
    of_shop = [tool for tool in told if tool in TOOLS]

    def listing(expected):
        return lambda status, body: status == 200 and sorted(tool["name"] for tool in body) == expected

    def mcp_listing(status, body):
        return status == 200 and sorted(tool["name"] for tool in body["result"]["tools"]) == told

    for tool in TOOLS:
        opened = 200 if may(tool) else 403
        yield f"/call {tool}", call(tool), opened
        yield f"/call {tool} by its older name", call(tool.replace(":", "_", 1)), opened
        yield f"/mcp {tool}", mcp("tools/call", name=tool, arguments={}), (
            (lambda status, body: status == 200 and body["result"]["isError"] is False) if may(tool) else
            (lambda status, body: status == 200 and body["error"]["code"] == -32001))
        yield f"/tools/{tool}", ("GET", f"/tools/{tool}", None), 200 if may(tool) else 404
    yield "/call of nothing", call("shop:nothing"), 404
    yield "/mcp of nothing", mcp("tools/call", name="shop:nothing"), lambda status, body: status == 200 and body["error"]["code"] == -32602
    yield "/mcp initialize", mcp("initialize", protocolVersion="2025-06-18"), 200
    yield "/mcp ping", mcp("ping"), 200
    yield "/mcp tools/list", mcp("tools/list"), mcp_listing
    yield "/tools", ("GET", "/tools", None), listing(told)
    yield "/tools of a provider", ("GET", "/tools?provider=shop", None), listing(of_shop)
    yield "/tools/nothing", ("GET", "/tools/nothing", None), 404
    yield "/help", ("POST", "/help", {"query": "what can I buy?"}), 503 if not powerless and ("*" in scope.split() or "help" in scope.split()) else 403
    yield "elsewhere", ("GET", "/nowhere", None), 404
    yield "upwards", ("GET", "/tools/../health", None), 404
    yield "twice", ("GET", "//tools", None), 404
    yield "encoded", ("POST", "/%63all", {"tool_name": "shop:list", "args": {}}), 404


# What needs no identity, and a credential does not change.
OPEN = [("/health", ("GET", "/health", None), 200), ("/.well-known/jwks.json", ("GET", "/.well-known/jwks.json", None), 404)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Upstream() as upstream:
        folder = Folder(tmp_path_factory.mktemp("ati"), {"shop": MANIFEST.format(url=upstream.url)}, {"shop_key": "k"}, ATI_JWT_SECRET=SECRET)
        with Proxy(folder, ATI_MAX_CALL_MEMORY="8GiB") as proxy:
            proxy.upstream = upstream
            yield proxy


def judge(gateway, title, request, header, wanted):
    """None, or what is wrong with this cell."""
    method, path, body = request
    status, headers, answer = gateway.ask(method, path, body, headers=None if header is None else {"Authorization": header})
    if callable(wanted):
        good = wanted(status, json.loads(answer))
    else:
        good = status == wanted
    if status == 401:
        good = good and answer == b"" and headers.get("WWW-Authenticate")
    return None if good else f"{title}: {status} {answer[:200]!r}"


def judge_all(gateway, cells):
    wrong = [fault for cell in cells if (fault := judge(gateway, *cell))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("credential", GOOD)
def test_identities(gateway, credential):
    """What a token opens is what its scope says, on every route."""
    judge_all(gateway, ((f"{credential}, {scope!r}: {name}", request, GOOD[credential](scope), wanted)
                        for scope in SCOPES for name, request, wanted in routes(scope, credential in POWERLESS)))


@pytest.mark.parametrize("credential", BAD)
def test_no_identity(gateway, credential):
    """Whatever it says: 401 with nothing in it, and nothing reaches an upstream."""
    before = len(gateway.upstream.asked)
    judge_all(gateway, ((f"{credential}: {name}", request, BAD[credential](scope), 401)
                        for scope in ("*", "tool:shop:list") for name, request, _ in routes(scope, False)))
    assert len(gateway.upstream.asked) == before


def test_virtual_keys_have_no_store(gateway):
    """503 rather than an identity that nobody has checked; before tokens, and also without any configuration."""
    judge_all(gateway, ((name, request, f"Ati-Key {key}", 503)
                        for key in ("", "ati-key_AAAAAAAAAAAAAAAAAAAAAA", jwt(claims("*"))) for name, request, _ in routes("*", False)))


def test_open_routes(gateway):
    judge_all(gateway, ((f"{credential}: {name}", request, make("*"), wanted)
                        for (credential, make), (name, request, wanted) in itertools.product((GOOD | BAD).items(), OPEN)))


def test_there_are_enough_cells():
    """Two thousand at least: a table that shrinks is noticed."""
    each = len(list(routes("*", False)))
    assert len(GOOD) * len(SCOPES) * each + len(BAD) * 2 * each + 3 * each + len(GOOD | BAD) * len(OPEN) >= 2000


@pytest.mark.parametrize("scope, first_line", [("tool:shop:*", b"HTTP/1.1 400 Bad Request"), ("tool:file_manager:download", b"HTTP/1.1 400 Bad Request"),
                                               ("tool:file_manager:upload", b"HTTP/1.1 100 Continue"), ("*", b"HTTP/1.1 100 Continue")])
def test_a_gigabyte_is_for_uploads(gateway, scope, first_line):
    """Said by the head alone: the gateway holds no such body for who may not upload."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as sock:
        head = f"POST /call HTTP/1.1\r\nHost: localhost\r\nAuthorization: {GOOD['token'](scope)}\r\nContent-Length: {64 << 20 | 1}\r\nExpect: 100-continue\r\n\r\n"
        sock.sendall(head.encode())
        assert sock.makefile("rb").readline().strip() == first_line
