"""Requests of HTTP tools, promise by promise: what is sent where, which credential goes along, what an answer means. One gateway, many small tools."""

import base64
import contextlib
import gzip
import json
import pathlib
import re
import urllib.parse

import pytest

from harness import certs, netns
from harness.ati import Folder, Proxy, Upstream
from harness.base import free_port
from harness.dns import Dns, Reply
from test_ati_http import Issuer

KEYS = {"key": "key-of-the-tests-7Qz", "id": "client-id-of-tests", "secret": "client-secret-of-tests", "holder": "kept-behind-a-name"}
FAILED = "Upstream API error: "


def provider(name, url, more="", tools=""):
    return f'[provider]\nname = "{name}"\ndescription = "d"\nbase_url = "{url}"\n{more}\n{tools}'


def tool(name, endpoint="/x", method="GET", schema=None, more=""):
    """schema: lines of [tools.input_schema]; of properties, {name: inline table}."""
    lines = [f'[[tools]]\nname = "{name}"\ndescription = "d"\nendpoint = "{endpoint}"\nmethod = "{method}"\n{more}']
    if schema is not None:
        head = {key: value for key, value in schema.items() if not isinstance(value, str) or not value.startswith("{")}
        lines.append('[tools.input_schema]\ntype = "object"\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in head.items()))
        lines.append("[tools.input_schema.properties]\n" + "".join(f'"{key}" = {value}\n' for key, value in schema.items() if key not in head))
    return "".join(lines)


def at(location, more=""):
    return '{ type = "string", x-ati-param-location = "%s"%s }' % (location, more)


REFUSED = ("authorization host cookie set-cookie content-type content-length transfer-encoding connection proxy-authorization x-forwarded-for "
           "x-forwarded-host x-forwarded-proto x-real-ip").split()
FRAMING = "te trailer upgrade keep-alive proxy-connection expect".split()
PLACES = {"id": at("path"), "q": at("query"), "h": at("header"), "b": at("body")}
TOOLS = [
    *(tool(f"plain:{method.lower()}", "/literal/{x}", method) for method in ("GET", "POST", "PUT", "DELETE")),
    *(tool(f"placed:{method.lower()}", "/at/{id}/and/{id}", method, PLACES) for method in ("GET", "POST", "PUT", "DELETE")),
    tool("placed:form", "/form", "POST", {"x-ati-body-encoding": "form", "q": at("query"), "a": at("body"), "list": at("body")}),
    tool("placed:pair", "/pair/{a}{b}", "GET", {"a": at("path"), "b": at("path")}),
    tool("placed:bare", "/bare", "POST", {"q": at("query")}),
    tool("placed:many", "/many", "GET", {
        **{name: '{ type = "array", x-ati-param-location = "query", x-ati-collection-format = "%s" }' % name for name in ("multi", "csv", "ssv", "pipes")},
        "unsaid": '{ type = "array", x-ati-param-location = "query" }'}),
    tool("placed:defaults", "/defaults", "GET", {
        "text": at("query", ', default = "standard"'), "number": '{ x-ati-param-location = "query", default = 7 }',
        "truth": '{ x-ati-param-location = "query", default = false }', "nothing": '{ x-ati-param-location = "query", default = "" }',
        "list": '{ x-ati-param-location = "query", default = [] }', "table": '{ x-ati-param-location = "query", default = {} }'}),
    tool("plain:defaults", "/defaults", "POST", {"text": '{ default = "standard" }', "other": '{ default = 1 }'}),
    *(tool(f"placed:header_{name}", "/h", "GET", {name.title(): at("header")}) for name in (*REFUSED, *FRAMING)),
    tool("placed:fields", "/fields", "GET", {"X-Number": '{ x-ati-param-location = "header" }', "X-List": '{ x-ati-param-location = "header" }',
                                            "X-Truth": '{ x-ati-param-location = "header" }'}),
]


def answer(request):
    """/says?status=…&body=…&type=…, or an echo."""
    url = urllib.parse.urlsplit(request["path"])
    if url.path == "/says":
        asked = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        fields = {"Content-Type": asked.get("type", "application/json"), **({"Location": asked["to"]} if "to" in asked else {})}
        return int(asked.get("status", 200)), fields, asked.get("body", "").encode()
    if url.path == "/hop":
        left = int(urllib.parse.parse_qs(url.query)["left"][0])
        return (302, {"Location": f"/hop?left={left - 1}"}, b"") if left else (200, {}, b'"arrived"')
    if url.path == "/raw":
        return 200, {"Content-Type": "text/plain"}, b"\xff\xfe\x00text"
    if url.path == "/gzip":
        return 200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, gzip.compress(b'{"a": 1}')
    return Upstream.echo(request)


AUTHS = {
    "bearer": 'auth_type = "bearer"\n', "header": 'auth_type = "header"\n', "query": 'auth_type = "query"\n', "basic": 'auth_type = "basic"\n',
    "named": 'auth_type = "header"\nauth_header_name = "X-Own-Key"\nauth_value_prefix = "Key "\n',
}


@pytest.fixture(scope="module")
def upstream():
    with Upstream(answer) as up:
        yield up


@pytest.fixture(scope="module")
def folder(tmp_path_factory, upstream):
    manifests = {name: provider(name, upstream.url + "/base//", "", "".join(one for one in TOOLS if f'"{name}:' in one)) for name in ("plain", "placed")}
    manifests["says"] = provider("says", upstream.url, "", "".join(tool(f"says:{name}", f"/{name}") for name in ("says", "hop", "raw", "gzip")) +
                                 tool("says:post", "/says", "POST", {"status": '{ x-ati-param-location = "query" }', "to": at("query")}))
    manifests["extra"] = provider("extra", upstream.url, '[provider.extra_headers]\nX-Plain = "plain"\nX-Held = "a ${holder} b"\nX-Unknown = "${nobody}"\n'
                                  'User-Agent = "named/1"\n', tool("extra:t", "/x"))
    for name, auth in AUTHS.items():
        manifests[name] = provider(name, upstream.url, auth + 'auth_key_name = "key"\n', tool(f"{name}:t", "/x", "GET", {"X-Own-Key": at("header"), "X-Api-Key": at("header"), "a": at("query"), "api_key": at("query")}))
        manifests[f"{name}_missing"] = provider(f"{name}_missing", upstream.url, auth + 'auth_key_name = "nobody"\n', tool(f"{name}_missing:t", "/x"))
        manifests[f"{name}_unset"] = provider(f"{name}_unset", upstream.url, auth, tool(f"{name}_unset:t", "/x"))
    for name in ("url", "none"):
        manifests[name] = provider(name, upstream.url + "/${key}", f'auth_type = "{name}"\nauth_key_name = "key"\n', tool(f"{name}:t", "/x"))
    return Folder(tmp_path_factory.mktemp("requests"), manifests, KEYS)


@pytest.fixture(scope="module")
def proxy(folder):
    with Proxy(folder) as one:
        yield one


@pytest.fixture
def sent(proxy, upstream):
    """sent(tool, arguments) is what reached the upstream."""
    def call(name, arguments=None):
        before = len(upstream.asked)
        status, told = proxy.call(name, arguments)
        assert status == 200, told
        (request,) = upstream.asked[before:]
        return request

    return call


def refused(proxy, upstream, name, arguments=None):
    """The error of a call that never left."""
    before = len(upstream.asked)
    status, told = proxy.call(name, arguments)
    assert (status, told["result"], len(upstream.asked)) == (502, None, before), told
    return told["error"].removeprefix(FAILED)


def query_of(request):
    return urllib.parse.parse_qsl(urllib.parse.urlsplit(request["path"]).query, keep_blank_values=True)


# --- without locations ----------------------------------------------------------------------------

ODD = {"text": "a b&c=d+ü", "number": 1.50, "big": 12345678901234567890, "yes": True, "no": False, "null": None, "list": [1, "x"], "table": {"k": [True]}}


def test_a_get_without_locations_asks_in_its_query(sent):
    request = sent("plain:get", ODD)
    assert request["method"] == "GET" and urllib.parse.unquote(request["path"].partition("?")[0]) == "/base/literal/{x}"
    assert sorted(query_of(request)) == sorted([("text", "a b&c=d+ü"), ("number", "1.5"), ("big", "12345678901234567890"), ("yes", "true"), ("no", "false"),
                                                ("null", ""), ("list", '[1,"x"]'), ("table", '{"k":[true]}')])
    assert "a+b%26c%3Dd%2B%C3%BC" in request["path"] and not request["body"] and "Content-Type" not in request["headers"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_without_locations_send_json(sent, method):
    request = sent(f"plain:{method.lower()}", ODD)
    assert request["method"] == method and urllib.parse.unquote(request["path"]) == "/base/literal/{x}"
    assert json.loads(request["body"]) == ODD and request["headers"]["Content-Type"] == "application/json"


def test_the_base_url_loses_its_slashes(sent):
    assert sent("placed:bare")["path"] == "/base/bare"


# --- with locations -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_with_locations_each_argument_goes_to_its_place(sent, method):
    request = sent(f"placed:{method.lower()}", {"id": "7", "q": "a b", "h": "of the header", "b": "of the body", "unknown": [1]})
    assert (request["method"], request["path"]) == (method, "/base/at/7/and/7?q=a+b")  # each place of the path
    assert request["headers"]["h"] == "of the header"
    if method in ("POST", "PUT"):
        assert json.loads(request["body"]) == {"b": "of the body", "unknown": [1]} and request["headers"]["Content-Type"] == "application/json"
    else:  # what would be in a body is dropped
        assert not request["body"] and "Content-Type" not in request["headers"]


def test_without_arguments_for_it_there_is_no_body(sent):
    request = sent("placed:bare", {"q": "1"})
    assert request["method"] == "POST" and not request["body"] and "Content-Type" not in request["headers"]


def test_a_body_may_be_a_form(sent):
    request = sent("placed:form", {"q": "x", "a": "1 &2", "list": ["u", "v"], "unknown": True, "null": None})
    assert request["path"] == "/base/form?q=x" and request["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    told = urllib.parse.parse_qsl(request["body"].decode(), keep_blank_values=True)
    assert {name: value for name, value in told if name != "list"} == {"a": "1 &2", "unknown": "true", "null": ""}
    assert b"a=1+%262" in request["body"]


def test_four_ways_to_write_a_list(sent):
    value = ["a b", "c,d", 3, None, True]
    request = sent("placed:many", {name: value for name in ("multi", "csv", "ssv", "pipes", "unsaid")})
    told = query_of(request)
    several = ["a b", "c,d", "3", "", "true"]
    assert [text for name, text in told if name == "multi"] == several == [text for name, text in told if name == "unsaid"]
    assert {name: text for name, text in told if name in ("csv", "ssv", "pipes")} == {
        "csv": ",".join(several), "ssv": " ".join(several), "pipes": "|".join(several)}


def test_what_is_no_list_is_one_text(sent):
    told = dict(query_of(sent("placed:many", {"multi": {"k": [1]}, "csv": {"k": 1, "l": 2}, "ssv": {}, "pipes": "a|b", "unsaid": {"m": None}})))
    assert told == {"multi": '{"k":[1]}', "csv": '{"k":1,"l":2}', "ssv": "{}", "pipes": "a|b", "unsaid": '{"m":null}'}


def test_defaults_stand_for_what_is_left_out(sent):
    assert sorted(query_of(sent("placed:defaults"))) == [("nothing", ""), ("number", "7"), ("text", "standard"), ("truth", "false")]  # not [] and {}
    assert dict(query_of(sent("placed:defaults", {"text": "mine", "number": 0})))["text"] == "mine"
    assert json.loads(sent("plain:defaults", {"other": None})["body"]) == {"text": "standard", "other": None}


def test_values_of_fields(sent):
    request = sent("placed:fields", {"X-Number": 1.25, "X-List": [1, "b"], "X-Truth": True})
    assert request["headers"]["X-Number"] == "1.25" and request["headers"]["X-Truth"] == "true"


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["..", "a..b", "a\\b", "a?b", "a#b", "../etc", "..%2f"])
def test_values_that_lead_elsewhere_are_refused(proxy, upstream, value):
    assert refused(proxy, upstream, "placed:get", {"id": value}) == f"Invalid path parameter 'id': value '{value}' contains forbidden characters"


def test_a_nul_in_a_path_is_refused(proxy, upstream):
    assert "U+0000" in refused(proxy, upstream, "placed:get", {"id": "a\0b"})


def test_values_that_make_a_way_up_or_nothing(proxy, upstream):
    assert refused(proxy, upstream, "placed:get", {"id": ""}) == "Invalid path parameter 'id': it is empty"
    assert refused(proxy, upstream, "placed:get", {"id": "."}) == "Invalid path parameters: they make a segment of dots"
    assert refused(proxy, upstream, "placed:pair", {"a": ".", "b": "."}) == "Invalid path parameters: they make a segment of dots"


def test_paths_are_encoded_byte_by_byte(sent):
    """All but letters, digits and -_.~"""
    every = "".join(chr(c) for c in range(1, 127) if chr(c) not in "\\?#") + "ü€"
    request = sent("placed:get", {"id": every})
    encoded = "".join(c if re.fullmatch(r"[A-Za-z0-9\-_.~]", c) else "".join(f"%{b:02X}" for b in c.encode()) for c in every)
    assert request["path"] == f"/base/at/{encoded}/and/{encoded}"


def test_a_path_lacks_nothing(proxy, upstream):
    assert refused(proxy, upstream, "placed:get", {"q": "1"}) == "Missing path parameter 'id'"


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*REFUSED, *FRAMING])
def test_fields_that_are_not_the_callers(proxy, upstream, name):
    assert refused(proxy, upstream, f"placed:header_{name}", {name.title(): "mine"}) == \
        f"Header '{name.title()}' is not allowed as a user-supplied parameter"


def test_the_providers_own_field_is_not_the_callers(proxy, upstream, sent):
    assert refused(proxy, upstream, "named:t", {"X-Own-Key": "mine"}) == "Header 'X-Own-Key' is not allowed as a user-supplied parameter"
    assert refused(proxy, upstream, "header:t", {"X-Api-Key": "mine"}) == "Header 'X-Api-Key' is not allowed as a user-supplied parameter"
    assert sent("bearer:t", {"X-Own-Key": "mine"})["headers"]["X-Own-Key"] == "mine"


def test_what_every_request_says(sent, folder):
    headers = sent("plain:get")["headers"]
    assert headers["Accept"] == "*/*" and headers["User-Agent"] == folder.run("--version").stdout.strip().replace(" ", "/")
    assert "Accept-Encoding" not in headers and "traceparent" not in headers


def test_fields_of_the_operator(sent):
    headers = sent("extra:t")["headers"]
    assert headers["X-Plain"] == "plain" and headers["X-Held"] == "a kept-behind-a-name b" and headers["X-Unknown"] == "${nobody}"
    assert headers["User-Agent"] == "named/1"


# --- credentials ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name, field, value", [
    ("bearer", "Authorization", f"Bearer {KEYS['key']}"), ("header", "X-Api-Key", KEYS["key"]), ("named", "X-Own-Key", f"Key {KEYS['key']}"),
    ("basic", "Authorization", "Basic " + base64.b64encode(f"{KEYS['key']}:".encode()).decode()), ("query", None, None)])
def test_credentials(sent, name, field, value):
    request = sent(f"{name}:t", {"a": "1"})
    if field:
        assert request["headers"].get_all(field) == [value] and query_of(request) == [("a", "1")]
    else:
        assert query_of(request) == [("a", "1"), ("api_key", KEYS["key"])]
    assert ("Authorization" in request["headers"]) == (field == "Authorization")


def test_nothing_stands_beside_the_credential_of_the_query(sent):
    assert query_of(sent("query:t", {"a": "1", "api_key": "mine"})) == [("a", "1"), ("api_key", KEYS["key"])]


@pytest.mark.parametrize("name", AUTHS)
def test_a_key_that_is_not_there_is_named(proxy, upstream, name):
    assert refused(proxy, upstream, f"{name}_missing:t") == "API key 'nobody' not found in keyring"
    assert refused(proxy, upstream, f"{name}_unset:t") == "API key 'auth_key_name not set' not found in keyring"


@pytest.mark.parametrize("name", ["url", "none"])
def test_two_kinds_send_nothing(sent, name):
    """And a placeholder in the base URL is none."""
    request = sent(f"{name}:t")
    assert "Authorization" not in request["headers"] and "X-Api-Key" not in request["headers"]
    assert KEYS["key"] not in request["path"] and urllib.parse.unquote(request["path"]) == "/${key}/x"


# --- OAuth 2 --------------------------------------------------------------------------------------

OAUTH = 'auth_type = "oauth2"\nauth_key_name = "{id}"\nauth_secret_name = "{secret}"\noauth2_token_url = "{url}"\n'
ANSWERS = {"forgets": b'{"access_token": "%s", "expires_in": 60}', "unsaid": b'{"access_token": "%s"}', "long": b'{"access_token": "%s", "expires_in": 3600}',
           "same": b'{"access_token": "%s", "expires_in": 3600}', "none": b'{"token": "%s"}', "empty": b'{"access_token": ""}', "odd": b"<html>"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory, upstream):
    """(gateway, issuer): a provider for each kind of answer; the client's id is that kind, but "same" has the id of "long"."""
    path = tmp_path_factory.mktemp("oauth")
    certificate = certs.self_signed(path, "localhost")

    def token(number):
        asked = issuer.asked[number - 1][1]["client_id"][0].removesuffix("-client")
        return 200, ANSWERS[asked].replace(b"%s", b"token-of-the-tests-%d" % number)

    with Issuer(certificate, token) as issuer:
        issuer.gate.set()
        url = f"https://127.0.0.1:{issuer.server_port}/token"
        manifests = {name: provider(name, upstream.url, OAUTH.format(id=f"{'long' if name == 'same' else name}_id", secret="secret", url=url), tool(f"{name}:t"))
                     for name in ANSWERS}
        manifests["plain"] = provider("plain", upstream.url, OAUTH.format(id="long_id", secret="secret", url="http://127.0.0.1:1/token"), tool("plain:t"))
        manifests["nokey"] = provider("nokey", upstream.url, OAUTH.format(id="long_id", secret="nobody", url=url), tool("nokey:t"))
        manifests["relative"] = provider("relative", url.removesuffix("/token"), OAUTH.format(id="long_id", secret="secret", url="/token"), tool("relative:t"))
        keys = {f"{name}_id": f"{name}-client" for name in ANSWERS}
        folder = Folder(path / "ati", manifests, {**keys, "secret": KEYS["secret"]}, SSL_CERT_FILE=str(certificate.cert))
        with Proxy(folder) as one:
            yield one, issuer


@pytest.mark.parametrize("name, kept", [("long", True), ("unsaid", True), ("forgets", False)])
def test_a_token_is_kept_while_more_than_a_minute_of_it_is_left(exchange, upstream, name, kept):
    one, issuer = exchange
    before, asked = len(issuer.asked), len(upstream.asked)
    assert [one.call(f"{name}:t")[0] for _ in range(3)] == [200] * 3
    assert len(issuer.asked) - before == (1 if kept else 3)
    tokens = [request["headers"]["Authorization"] for request in upstream.asked[asked:]]
    assert tokens == [f"Bearer token-of-the-tests-{before + 1 + (0 if kept else n)}" for n in range(3)]


def test_each_provider_has_its_token(exchange):
    """Though they are the same client."""
    one, issuer = exchange
    assert one.call("long:t")[0] == 200
    before = len(issuer.asked)
    assert one.call("same:t")[0] == 200 and len(issuer.asked) == before + 1


def test_a_token_url_may_stand_behind_the_base_url(exchange):
    one, issuer = exchange
    before = len(issuer.asked)
    one.call("relative:t")  # its API is the token server, which knows no such path
    assert len(issuer.asked) == before + 1


@pytest.mark.parametrize("name, error", [
    ("none", "OAuth2 token exchange failed: the answer has no access_token"), ("empty", "OAuth2 token exchange failed: the answer has no access_token"),
    ("odd", "OAuth2 token exchange failed: the answer: "), ("plain", "OAuth2 token URL must use HTTPS: 'http://127.0.0.1:1/token'"),
    ("nokey", "API key 'nobody' not found in keyring")])
def test_without_a_token_nothing_is_asked(exchange, upstream, name, error):
    assert refused(exchange[0], upstream, f"{name}:t").startswith(error)


# --- addresses ------------------------------------------------------------------------------------

PRIVATE = ("127.0.0.1 127.255.255.255 10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 169.254.169.254 0.0.0.0 100.64.0.1 100.127.255.255 [::1] [::] "
           "[fc00::1] [fdff::1] [fe80::1] localhost LocalHost metadata.google.internal a.internal printer.local "
           "[::ffff:127.0.0.1] [::ffff:a00:1] [64:ff9b::7f00:1] 0.1.2.3 224.0.0.1 255.255.255.255 240.0.0.1 [ff02::1]").split()
NEITHER = "2130706433 0x7f.1 017700000001 127.1".split()
PUBLIC = "172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 11.0.0.1 9.255.255.255 192.167.255.255 192.169.0.1 169.253.0.1 126.0.0.1 128.0.0.1 8.8.4.4".split()


NAMES = {"inside.test": Reply(["10.1.1.1"]), "mixed.test": Reply(["8.8.4.4", "10.1.1.1"]), "sixth.test": Reply(["::ffff:10.1.1.1", "fd00::1"]),
         "outside.test": Reply(["8.8.4.4"])}


def name_servers():
    """Who is asked for names on this machine: in a network of our own they are ours."""
    with contextlib.suppress(OSError):
        found = re.findall(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)", pathlib.Path("/etc/resolv.conf").read_text(), re.M)
        if found:
            return found
    return ["127.0.0.1"]


class Guarded:
    """A gateway with address rules, in a network where 8.8.4.4 is somebody, all others are nobody, and names are ours."""

    def __init__(self, path, stack, value):
        self.net = netns.NetNs("8.8.4.4/32", *(f"{address}/32" for address in name_servers() if not address.startswith("127.")))
        stack.callback(self.net.close)
        manifests = {f"h{n}": provider(f"h{n}", f"http://{host}:9", "", tool(f"h{n}:t")) for n, host in enumerate((*PRIVATE, *PUBLIC, *NEITHER))}
        manifests |= {name: provider(name, f"http://{name}.test:8080", "", tool(f"{name}:t")) for name in ("inside", "mixed", "sixth", "outside", "unknown")}
        manifests["opted"] = provider("opted", "http://127.0.0.1:9", "private_network = true\n", tool("opted:t"))
        for name, to in (("in", "http://127.0.0.1:9/x"), ("around", "http://[::ffff:10.0.0.1]/"), ("by_name", "http://inside.test/"), ("on", "http://outside.test:8080/x")):
            to = urllib.parse.quote(to, safe="")
            manifests[name] = provider(name, "http://8.8.4.4:8080", "", tool(f"{name}:t", "/says", "GET", {
                "status": '{ x-ati-param-location = "query", default = 302 }', "to": at("query", f', default = "{urllib.parse.unquote(to)}"')}))
        for name, host in (("web_in", "10.0.0.1"), ("web_name", "inside.test")):
            manifests[name] = MCP.format(name=name, url=f"http://{host}/mcp")
        manifests["token"] = provider("token", "http://8.8.4.4:8080", OAUTH.format(id="id", secret="secret", url="https://10.0.0.1/token"), tool("token:t"))
        with self.net:
            for address in name_servers():
                Dns(NAMES, address, 53)
            self.public = stack.enter_context(Upstream(answer, "8.8.4.4", 8080))
            self.proxy = stack.enter_context(Proxy(Folder(path, manifests, KEYS, ATI_SSRF_PROTECTION=value)))

    def call(self, name, tool_name="t"):
        """(status, the error or the result)"""
        with self.net:
            status, told = self.proxy.call(f"{name}:{tool_name}")
        return status, told.get("error") or told["result"]


MCP = """
[provider]
name = "{name}"
description = "d"
handler = "mcp"
mcp_transport = "http"
mcp_url = "{url}"

[[tools]]
name = "{name}:t"
description = "d"
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    if not netns.permitted():
        pytest.skip("network namespaces are not permitted here")
    with contextlib.ExitStack() as stack:
        yield Guarded(tmp_path_factory.mktemp("strict"), stack, "1")


def refusal(host, port=":9"):
    return 502, f"{FAILED}SSRF protection: URL 'http://{host}{port}' targets a private/internal network address"


@pytest.mark.parametrize("host", PRIVATE)
def test_addresses_inside_are_refused(strict, host):
    assert strict.call(f"h{PRIVATE.index(host)}") == refusal(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_addresses_outside_are_not(strict, host):
    assert strict.call(f"h{len(PRIVATE) + PUBLIC.index(host)}")[1].startswith(FAILED + "HTTP request failed: ")


@pytest.mark.parametrize("host", NEITHER)
def test_numbers_that_some_read_as_addresses_are_no_hosts(strict, host):
    assert strict.call(f"h{len(PRIVATE) + len(PUBLIC) + NEITHER.index(host)}") == (
        502, FAILED + "HTTP request failed: the URL's host is neither a name nor an IP address")


def test_names_are_what_they_resolve_to(strict):
    """One address inside is enough; a name that nobody knows is a failure of another kind."""
    for name in ("inside", "mixed", "sixth"):
        assert strict.call(name) == refusal(f"{name}.test", ":8080")
    assert strict.call("outside")[0] == 200
    assert strict.call("unknown")[1].startswith(FAILED + "HTTP request failed: ")


def test_who_opted_in_is_let_through(strict):
    assert strict.call("opted")[1].startswith(FAILED + "HTTP request failed: ")


def test_redirects_lead_nowhere_inside(strict):
    for name in ("in", "around", "by_name"):
        before = len(strict.public.asked)
        status, error = strict.call(name)
        assert status == 502 and error.startswith(FAILED + "SSRF protection: URL '") and "targets a private/internal network address" in error
        assert len(strict.public.asked) == before + 1
    assert strict.call("on")[0] == 200


def test_mcp_servers_and_token_servers_are_judged_alike(strict):
    for name in ("web_in", "web_name"):
        status, error = strict.call(name)
        assert status == 502 and error.startswith(f"MCP error: MCP transport error: [{name}] ") and re.search("not a public address|is not public", error), error
    status, error = strict.call("token")
    assert status == 502 and error.startswith(FAILED) and "10.0.0.1" in error and not [one for one in strict.public.asked if "Authorization" in one["headers"]]


@pytest.mark.parametrize("value, refuses", [("1", True), ("true", True), ("TRUE", True), ("0", False), ("", False), ("false", False), ("warn", False)])
def test_the_rule_is_on_when_it_is_switched_on(tmp_path, upstream, value, refuses):
    folder = Folder(tmp_path, {"p": provider("p", upstream.url, "", tool("p:t"))}, ATI_SSRF_PROTECTION=value)
    before = len(upstream.asked)
    done = folder.run("run", "p:t", "--verbose")
    assert (done.returncode != 0) == refuses and (len(upstream.asked) == before) == refuses
    assert ("SSRF protection: URL '" in done.stderr) == refuses
    if value == "warn":
        assert "WARN" in done.stderr and "127.0.0.1" in done.stderr


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, result", [
    ('{"b": 1.50, "a": [12345678901234567890]}', '{"b":1.50,"a":[12345678901234567890]}'), ("[1, 2]", "[1,2]"), ("null", "null"), ('"text"', '"text"'),
    ("", '""'), ("just text\n", '"just text\\n"'), ("{broken", '"{broken"'), ("1 2", '"1 2"'), (" 7 ", "7")])
def test_what_is_json_is_taken_as_it_is(proxy, body, result):
    for kind in ("application/json", "text/plain"):
        assert proxy.ask("POST", "/call", {"tool_name": "says:says", "args": {"body": body, "type": kind}})[::2] == (200, f'{{"result":{result}}}'.encode())


def test_every_status_of_two_hundred_is_a_success(proxy):
    assert proxy.call("says:says", {"status": "201", "body": "{}"}) == (200, {"result": {}})
    assert proxy.call("says:says", {"status": "299", "body": "x"}) == (200, {"result": "x"})
    assert proxy.call("says:says", {"status": "204"}) == (200, {"result": ""})


def test_octets_that_are_no_text(proxy):
    status, told = proxy.call("says:raw")
    assert status == 200 and told["result"].endswith("\0text") and "\ufffd" in told["result"]
    assert proxy.call("says:gzip")[0] == 200 and proxy.call("says:gzip")[1]["result"] != {"a": 1}  # nothing is unpacked: nothing packed is asked for


@pytest.mark.parametrize("status, body", [(400, "bad"), (401, '{"error": "who?"}'), (404, "nowhere"), (429, "slow down"), (500, ""), (503, "<html>"), (304, "")])
def test_errors_tell_status_and_body(proxy, status, body):
    body_sent = "" if status == 304 else body
    assert proxy.call("says:says", {"status": str(status), "body": body_sent}) == (502, {"result": None, "error": f"{FAILED}API error ({status}): {body_sent}"})


NONE = [
    {"error": {"message": "No records found"}}, {"error": "No records were found for x"}, {"message": "no companies found"}, {"message": "PERSONS FOUND"},
    {"message": "No results were found."}, {"error": {"message": "no matches found"}}, {"error": {"type": "not_found", "message": "Not found"}},
    {"type": "not_found", "message": ""}, {"error_type": "not_found", "message": "  "}, {"message": "  No records found "},
]
SOME = [
    {"error": {"message": "No route found"}}, {"type": "not_found"}, {"error": {"type": "not_found"}}, {"message": "records are gone"}, {"message": "There are no records found"}, {"type": "not_found", "message": "User not found"},
    {"error": {"type": "gone", "message": "not found"}}, {"message": "no records"}, [], {"message": 7}, {}, {"error": {"message": "x", "note": "no records found"}},
]


@pytest.mark.parametrize("body", NONE, ids=json.dumps)
def test_a_404_that_means_no_records(proxy, folder, body):
    assert proxy.call("says:says", {"status": "404", "body": json.dumps(body)}) == (200, {"result": {"records": []}})
    assert proxy.call("says:says", {"status": "400", "body": json.dumps(body)})[0] == 502


@pytest.mark.parametrize("body", SOME, ids=json.dumps)
def test_other_404s_are_errors(proxy, body):
    assert proxy.call("says:says", {"status": "404", "body": json.dumps(body)}) == (
        502, {"result": None, "error": f"{FAILED}API error (404): {json.dumps(body)}"})


def test_no_records_at_the_command_line(folder):
    done = folder.run("run", "says:says", "--status", "404", "--body", '{"message": "No records found"}')
    assert (done.returncode, done.stdout) != (0, "") and json.loads(done.stderr.splitlines()[-1])["error"]["message"].endswith("No records found (404)")


def test_a_status_beyond_all_is_no_answer(proxy):
    for status in ("600", "999"):
        code, told = proxy.call("says:says", {"status": status})
        assert code == 502 and told["error"].startswith(FAILED + "HTTP request failed: ")


def test_nothing_is_asked_twice(proxy, upstream):
    for status in ("500", "503", "429", "408"):
        before = len(upstream.asked)
        assert proxy.call("says:says", {"status": status})[0] == 502
        assert len(upstream.asked) == before + 1


def test_ten_redirects_are_followed(proxy, upstream):
    before = len(upstream.asked)
    assert proxy.call("says:hop", {"left": 10}) == (200, {"result": "arrived"})
    assert len(upstream.asked) == before + 11
    status, told = proxy.call("says:hop", {"left": 11})
    assert status == 502 and told["error"].startswith(FAILED + "HTTP request failed: ") and "redirects" in told["error"]


def test_a_redirect_of_a_post(proxy, upstream):
    assert proxy.call("says:post", {"status": 302, "to": "/x"})[1]["result"]["method"] == "GET"
    assert proxy.call("says:post", {"status": 307, "to": "/x"})[1]["result"]["method"] == "POST"


def test_a_credential_stays_where_it_was_sent(tmp_path, upstream):
    """A redirect within an origin takes it along, one to another does not; nor the operator's own fields."""
    with Upstream() as elsewhere:
        def manifest_of(name, auth):
            to = [f"{upstream.url}/x", f"{elsewhere.url}/x"]
            return provider(name, upstream.url, auth + 'auth_key_name = "key"\n[provider.extra_headers]\nX-Own = "${holder}"\n', "".join(
                tool(f"{name}:{which}", "/says", "GET", {"status": '{ x-ati-param-location = "query", default = 302 }', "to": at("query", f', default = "{url}"')})
                for which, url in zip(("same", "other"), to)))

        with Proxy(Folder(tmp_path, {name: manifest_of(name, AUTHS[name]) for name in ("bearer", "named", "basic")}, KEYS)) as one:
            for name, field in (("bearer", "Authorization"), ("named", "X-Own-Key"), ("basic", "Authorization")):
                assert one.call(f"{name}:same")[0] == 200 and upstream.asked[-1]["path"] == "/x"
                assert field in upstream.asked[-1]["headers"] and upstream.asked[-1]["headers"]["X-Own"] == KEYS["holder"]
                assert one.call(f"{name}:other")[0] == 200
                assert field not in elsewhere.asked[-1]["headers"] and "X-Own" not in elsewhere.asked[-1]["headers"]


def test_nobody_is_there(tmp_path):
    folder = Folder(tmp_path, {"gone": provider("gone", f"http://127.0.0.1:{free_port()}", "", tool("gone:t"))})
    done = folder.run("run", "gone:t")
    assert done.returncode == 1 and json.loads(done.stderr.splitlines()[-1])["error"]["message"].startswith("HTTP request failed: ")
