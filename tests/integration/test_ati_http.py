"""Tools over HTTP through the gateway: where arguments and credentials go, what answers mean, upstreams that fail, and where no key appears."""

import base64
import contextlib
import http.server
import json
import socket
import ssl
import threading
import urllib.parse

import pytest

from harness import certs, peers, procfs
from harness.ati import Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually, free_port

KEY = "canary-7Qz/81+aX0=tail"  # long enough to be looked for in answers
KEYS = {"key": KEY, "id": "client-one-canary", "secret": "s3cret-canary-&=%"}

HEAD = '[provider]\nname = "p"\ndescription = "d"\nbase_url = "{url}/base/"\n'
TOOL = '[[tools]]\nname = "p:{name}"\ndescription = "d"\nendpoint = "{endpoint}"\nmethod = "{method}"\n'


def tool(name="t", endpoint="/x", method="GET", more=""):
    return TOOL.format(name=name, endpoint=endpoint, method=method) + more


@pytest.fixture
def upstream(stack):
    return stack.enter_context(Upstream())


@pytest.fixture
def gateway(stack, tmp_path):
    """gateway(manifest, words…, VARIABLE=value) starts a proxy with one provider. It ends with exit status 0, and no key stands in its log."""
    started = []

    def start(manifest, *words, **environ):
        folder = Folder(tmp_path / f"ati{len(started)}", {"p": manifest}, KEYS)
        proxy = stack.enter_context(Proxy(folder, *words, **environ))
        started.append(proxy)
        return proxy

    yield start
    for proxy in started:
        text = "\n".join(proxy.seen) + json.dumps(proxy.audit())
        for value in KEYS.values():
            assert value not in text


LOCATED = """
[tools.input_schema]
type = "object"
[tools.input_schema.properties]
id = {{ type = "string", x-ati-param-location = "path" }}
q = {{ type = "array", x-ati-param-location = "query" }}
c = {{ type = "array", x-ati-param-location = "query", x-ati-collection-format = "csv" }}
s = {{ type = "array", x-ati-param-location = "query", x-ati-collection-format = "ssv" }}
p = {{ type = "array", x-ati-param-location = "query", x-ati-collection-format = "pipes" }}
X-Own = {{ type = "string", x-ati-param-location = "header" }}
Cookie = {{ type = "string", x-ati-param-location = "header" }}
b = {{ type = "string", x-ati-param-location = "body", default = "standard" }}
n = {{ type = "array", default = [] }}
"""


def test_arguments_go_where_the_schema_says(gateway, upstream):
    proxy = gateway(HEAD.format(url=upstream.url) + tool("loc", "/a/{id}/b", "POST", LOCATED.replace("{{", "{").replace("}}", "}")))
    status, _ = proxy.call("p:loc", {"id": "x/y z", "q": [1, "2 3"], "c": ["a,b", "c"], "s": ["a", "b"], "p": ["a", "b"], "X-Own": "mine", "u": 1.5})
    assert status == 200
    asked = upstream.asked[-1]
    path, query = asked["path"].split("?")
    assert (asked["method"], path) == ("POST", "/base/a/x%2Fy%20z/b")
    assert urllib.parse.parse_qsl(query) == [("q", "1"), ("q", "2 3"), ("c", "a,b,c"), ("s", "a b"), ("p", "a|b")]
    assert "2+3" in query
    assert asked["headers"]["X-Own"] == "mine" and asked["headers"]["Content-Type"] == "application/json"
    assert json.loads(asked["body"]) == {"u": 1.5, "b": "standard"}
    for bad in ("..", "a?b", "a#b", "a\\b", "a\0b"):
        status, answer = proxy.call("p:loc", {"id": bad})
        assert status == 502 and answer["error"].startswith("Upstream API error: Invalid "), answer
    assert proxy.call("p:loc", {})[1]["error"] == "Upstream API error: Missing path parameter 'id'"
    assert proxy.call("p:loc", {"id": 1, "Cookie": "a=b"})[1]["error"] == \
        "Upstream API error: Header 'Cookie' is not allowed as a user-supplied parameter"
    assert len(upstream.asked) == 1


def test_without_locations_the_method_decides(gateway, upstream):
    proxy = gateway(HEAD.format(url=upstream.url) + tool("get") + tool("post", method="POST") + tool("delete", method="DELETE"))
    sent = {"a": 12345678901234567890, "b": [1, "x"], "c": None, "d": True}
    for name in ("get", "post", "delete"):
        assert proxy.call(f"p:{name}", sent)[0] == 200
    get, post, delete = upstream.asked
    assert dict(urllib.parse.parse_qsl(get["path"].split("?")[1], keep_blank_values=True)) == {
        "a": "12345678901234567890", "b": '[1,"x"]', "c": "", "d": "true"}
    assert get["headers"]["User-Agent"].startswith("ati/") and get["headers"]["Accept"] == "*/*" and "Accept-Encoding" not in get["headers"]
    assert json.loads(post["body"]) == sent == json.loads(delete["body"])
    assert post["path"] == "/base/x" == delete["path"]


@pytest.mark.parametrize("auth, name, value", [
    ('auth_type = "bearer"\nauth_key_name = "key"\n', "Authorization", "Bearer " + KEY),
    ('auth_type = "bearer"\nauth_key_name = "KEY"\n', "Authorization", "Bearer " + KEY),
    ('auth_type = "header"\nauth_key_name = "key"\n', "X-Api-Key", KEY),
    ('auth_type = "header"\nauth_key_name = "key"\nauth_header_name = "X-K"\nauth_value_prefix = "Key "\n', "X-K", "Key " + KEY),
    ('auth_type = "basic"\nauth_key_name = "key"\n', "Authorization", "Basic " + base64.b64encode(KEY.encode() + b":").decode()),
    ('auth_type = "query"\nauth_key_name = "key"\n', None, "api_key"),
    ('auth_type = "query"\nauth_key_name = "key"\nauth_query_name = "tok"\n', None, "tok"),
], ids=lambda v: None)
def test_credentials_are_injected_and_never_come_back(gateway, upstream, auth, name, value):
    """The upstream echoes all that it was asked, the credential included."""
    proxy = gateway(HEAD.format(url=upstream.url) + auth + tool())
    status, answer = proxy.call("p:t", {"a": 1})
    asked = upstream.asked[-1]
    if name:
        assert asked["headers"][name] == value
    else:
        assert dict(urllib.parse.parse_qsl(asked["path"].split("?")[1])) == {"a": "1", value: KEY}
    told = json.dumps(answer)
    assert status == 200 and answer["result"]["method"] == "GET"
    for form in (KEY, urllib.parse.quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode().rstrip("=")[:-1]):
        assert form not in told
    assert "[redacted]" in told
    text = proxy.rpc("tools/call", {"name": "p:t", "arguments": {}})["result"]["content"][0]["text"]
    assert KEY not in text and "[redacted]" in text


def test_a_missing_key_is_named_and_nothing_is_sent(gateway, upstream):
    proxy = gateway(HEAD.format(url=upstream.url) + 'auth_type = "bearer"\nauth_key_name = "nobody"\n' + tool())
    assert proxy.call("p:t") == (502, {"result": None, "error": "Upstream API error: API key 'nobody' not found in keyring"})
    assert not upstream.asked


def test_what_an_answer_means(gateway, stack):
    answers = {
        "/base/json": (200, b' {"b": 1.50, "a": [ ]} '), "/base/text": (200, b"plain \xff"), "/base/none": (204, b""),
        "/base/lost": (404, b'{"error": {"message": "No records were found"}}'), "/base/gone": (404, b'{"error": "gone"}'),
        "/base/broken": (500, b"no " + KEY.encode()), "/base/list": (200, b'{"items": [{"n": 1}, {"n": 2}]}'), "/base/bad": (200, b'{"a": 1}'),
    }
    up = stack.enter_context(Upstream(lambda request: (answers[request["path"]][0], {}, answers[request["path"]][1])))
    tools = [tool(name, f"/{name}") for name in ("json", "text", "none", "lost", "gone", "broken")]
    tools.append(tool("list", "/list", more='[tools.response]\nextract = "$.items[*].n"\n'))
    tools.append(tool("bad", "/bad", more='[tools.response]\nextract = "$[?"\n'))
    proxy = gateway(HEAD.format(url=up.url) + 'auth_type = "bearer"\nauth_key_name = "key"\n' + "".join(tools))

    def raw(name):
        status, _, body = proxy.ask("POST", "/call", {"tool_name": f"p:{name}"})
        return status, body.decode()

    assert raw("json") == (200, '{"result":{"b":1.50,"a":[]}}')
    assert raw("text") == (200, '{"result":"plain \N{REPLACEMENT CHARACTER}"}')
    assert raw("none") == (200, '{"result":""}')
    assert raw("lost") == (200, '{"result":{"records":[]}}')
    assert proxy.call("p:gone") == (502, {"result": None, "error": 'Upstream API error: API error (404): {"error": "gone"}'})
    assert proxy.call("p:broken") == (502, {"result": None, "error": "Upstream API error: API error (500): no [redacted]"})
    assert raw("list") == (200, '{"result":[1,2]}')
    status, answer = proxy.call("p:bad")
    assert status == 500 and answer["result"] == {"a": 1}
    assert answer["error"].startswith("Response processing error: JSONPath extraction failed: Invalid JSONPath '$[?': ")


class Issuer(http.server.ThreadingHTTPServer):
    """An authorisation server over TLS: client credentials in, a token out."""

    daemon_threads = True
    request_queue_size = 256

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.server.asked.append((self.headers.get("Authorization"), form))
            self.server.gate.wait(PATIENCE)
            status, body = self.server.answer(len(self.server.asked))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def __init__(self, certificate, answer):
        super().__init__(("127.0.0.1", 0), Issuer.Handler)
        self.asked, self.answer, self.gate = [], answer, threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)  # a poll ends it
        self.thread.start()

    def handle_error(self, request, client_address):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gate.set()
        self.shutdown()
        self.server_close()
        self.thread.join(PATIENCE)


OAUTH = 'auth_type = "oauth2"\nauth_key_name = "id"\nauth_secret_name = "secret"\noauth2_token_url = "{url}"\n'


@pytest.mark.parametrize("basic", [False, True], ids=["form", "basic"])
def test_a_storm_of_calls_makes_one_token_request(gateway, upstream, stack, tmp_path, basic):
    certificate = certs.self_signed(tmp_path, "localhost")
    issuer = stack.enter_context(Issuer(certificate, lambda n: (200, b'{"access_token": "token-%d", "expires_in": 3600}' % n)))
    manifest = HEAD.format(url=upstream.url) + OAUTH.format(url=f"https://127.0.0.1:{issuer.server_port}/token")
    proxy = gateway(manifest + ("oauth2_basic_auth = true\n" if basic else "") + tool(), SSL_CERT_FILE=certificate.cert)
    results = []
    threads = [threading.Thread(target=lambda: results.append(proxy.call("p:t")[0])) for _ in range(40)]
    for thread in threads:
        thread.start()
    eventually(lambda: issuer.asked, "a token request")
    issuer.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [200] * 40 and proxy.call("p:t")[0] == 200
    pair = base64.b64encode(f"{KEYS['id']}:{KEYS['secret']}".encode()).decode()
    form = {"grant_type": ["client_credentials"]}
    assert issuer.asked == [("Basic " + pair, form) if basic else
                            (None, {**form, "client_id": [KEYS["id"]], "client_secret": [KEYS["secret"]]})]
    assert {request["headers"]["Authorization"] for request in upstream.asked} == {"Bearer token-1"}


@pytest.mark.parametrize("basic", [False, True], ids=["form", "basic"])
def test_access_tokens_never_come_back(gateway, upstream, stack, tmp_path, basic):
    token = "canary-access/token+1="
    pair = base64.b64encode(f"{KEYS['id']}:{KEYS['secret']}".encode()).decode()
    certificate = certs.self_signed(tmp_path, "localhost")
    issuer = stack.enter_context(Issuer(certificate, lambda n: (200, json.dumps({"access_token": token, "expires_in": 3600}).encode())))
    issuer.gate.set()
    manifest = HEAD.format(url=upstream.url) + OAUTH.format(url=f"https://127.0.0.1:{issuer.server_port}/token")
    proxy = gateway(manifest + ("oauth2_basic_auth = true\n" if basic else "") + tool(), SSL_CERT_FILE=certificate.cert)
    for _ in range(2):  # fetched, and kept
        status, answer = proxy.call("p:t", {"pair": pair, "secret": KEYS["secret"]})
        assert status == 200 and answer["result"]["headers"]["authorization"] == "Bearer [redacted]"
        assert upstream.asked[-1]["headers"]["Authorization"] == f"Bearer {token}"
        assert token not in json.dumps(answer) and KEYS["secret"] not in json.dumps(answer) and pair[12:-8] not in json.dumps(answer)
    text = proxy.rpc("tools/call", {"name": "p:t", "arguments": {}})["result"]["content"][0]["text"]
    assert token not in text and "Bearer [redacted]" in text


def test_a_token_servers_error_is_masked_before_it_is_cut(gateway, upstream, stack, tmp_path):
    certificate, said = certs.self_signed(tmp_path, "localhost"), []
    issuer = stack.enter_context(Issuer(certificate, lambda n: (401, said[-1])))
    issuer.gate.set()
    manifest = HEAD.format(url=upstream.url) + OAUTH.format(url=f"https://127.0.0.1:{issuer.server_port}/token")
    proxy = gateway(manifest + tool(), SSL_CERT_FILE=certificate.cert)
    for kept in (1, 7, len(KEYS["secret"]) - 1):
        said.append(b"-" * (200 - kept) + KEYS["secret"].encode())
        error = proxy.call("p:t")[1]["error"].partition("HTTP 401: ")[2]
        assert error.startswith("---") and error.strip("-") in ("[redacted]"[:kept] + "…", "[redacted]"), error


AUTH = 'auth_type = "bearer"\nauth_key_name = "key"\n'


def test_answers_of_any_size_are_masked(gateway, stack):
    """Who calls says how long an echo is."""
    upstream = stack.enter_context(Upstream())
    extract = '[tools.response]\nextract = "$.headers.authorization"\n'
    proxy = gateway(HEAD.format(url=upstream.url) + AUTH + tool(method="POST") + tool("e", method="POST", more=extract))
    pad = {"a": "x" * (17 << 20)}
    status, answer = proxy.call("p:t", pad)
    assert status == 200 and answer["result"]["headers"]["authorization"] == "Bearer [redacted]"
    assert len(answer["result"]["body"]) > 17 << 20 and KEY not in json.dumps(answer)
    assert proxy.call("p:e", pad) == (200, {"result": "Bearer [redacted]"})


def test_while_a_large_answer_is_looked_through_others_are_answered(gateway, stack):
    body = json.dumps(["y" * 1000] * 40_000 + [KEY]).encode()
    upstream = stack.enter_context(Upstream(lambda request: (200, {"Content-Type": "application/json"}, body)))
    proxy = gateway(HEAD.format(url=upstream.url) + AUTH + tool(), "--workers", "1")
    results = []
    threads = [threading.Thread(target=lambda: results.append(proxy.call("p:t"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    upstream.until_asked(1)
    assert proxy.ask("GET", "/health")[0] == 200
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert [(status, answer["result"][-1]) for status, answer in results] == [(200, "[redacted]")] * 3


def test_errors_are_masked_before_they_are_cut(gateway, stack):
    said = []
    upstream = stack.enter_context(Upstream(lambda request: (400, {"Content-Type": "text/plain"}, said[-1])))
    proxy = gateway(HEAD.format(url=upstream.url) + AUTH + tool())
    for kept in (1, 8, len(KEY) - 1, len(KEY)):
        for form in (KEY, base64.b64encode(KEY.encode()).decode(), urllib.parse.quote(KEY, safe="")):
            # a key in front makes the text shorter: what stands at the cut moves
            said.append(KEY.encode() + b"-" * ((1 << 20) - len(KEY) - kept) + form.encode() + b"-")
            error = proxy.call("p:t")[1]["error"].partition("(400): ")[2]
            assert error.startswith("[redacted]---") and error[10:].replace("[redacted]", "").strip("-") in ("", *cuts("[redacted]")), error[-50:]


def cuts(word):
    return [word[:n] for n in range(len(word))]


def test_whoever_writes_json_as_he_likes_tells_no_key(gateway, stack):
    number = "12345678901234"
    escaped = "".join(f"\\u{ord(c):04X}" for c in KEY)
    body = f'{{"{KEY}":1,"a":"{escaped}","n":{number},"m":[-{number}.5],"slash":"{KEY.replace("/", chr(92) + "/")}"}}'.encode()
    upstream = stack.enter_context(Upstream(lambda request: (200, {"Content-Type": "application/json"}, body)))
    proxy = gateway(HEAD.format(url=upstream.url) + AUTH + '[provider.extra_headers]\nX-Number = "${number}"\n' + tool() +
                    tool("e", more='[tools.response]\nextract = "$.a"\n'))
    (proxy.folder.path / "credentials").write_text(json.dumps({**KEYS, "number": number}))
    proxy.reload()
    proxy.log("reloaded")
    hidden = "[redacted]"
    assert proxy.call("p:t") == (200, {"result": {hidden: 1, "a": hidden, "n": hidden, "m": [hidden], "slash": hidden}})
    assert proxy.call("p:e") == (200, {"result": hidden})


def test_a_generators_error_is_masked_before_it_is_cut(gateway, upstream):
    """Of its standard error the end is kept: 64 KiB."""
    generator = """
[provider.auth_generator]
type = "command"
command = "sh"
args = ["-c", "printf %s \\"$K\\" >&2; head -c BEHIND /dev/zero | tr '\\\\0' - >&2; exit 1"]
[provider.auth_generator.env]
K = "${key}"
"""
    for behind in (65536 - 1, 65536 - len(KEY) + 1):
        proxy = gateway(HEAD.format(url=upstream.url) + 'auth_type = "bearer"\n' + generator.replace("BEHIND", str(behind)) + tool())
        status, answer = proxy.call("p:t")
        error = answer["error"].partition("code 1: ")[2]
        assert status == 502 and error.startswith("---"), answer["error"][:200]


def test_a_token_server_that_refuses_is_told_without_secrets(gateway, upstream, stack, tmp_path):
    certificate = certs.self_signed(tmp_path, "localhost")
    issuer = stack.enter_context(Issuer(certificate, lambda n: (401, b"bad secret " + KEYS["secret"].encode())))
    issuer.gate.set()
    manifest = HEAD.format(url=upstream.url) + OAUTH.format(url=f"https://127.0.0.1:{issuer.server_port}/token")
    proxy = gateway(manifest + tool(), SSL_CERT_FILE=certificate.cert)
    for count in (1, 2):  # a failure is not kept
        status, answer = proxy.call("p:t")
        assert status == 502 and answer["error"] == "Upstream API error: OAuth2 token exchange failed: HTTP 401: bad secret [redacted]"
        assert len(issuer.asked) == count
    plain = gateway(HEAD.format(url=upstream.url) + OAUTH.format(url="/token") + tool())
    assert plain.call("p:t")[1]["error"] == f"Upstream API error: OAuth2 token URL must use HTTPS: '{upstream.url}/base/token'"
    assert not upstream.asked


def test_private_addresses_are_reached_only_by_those_who_may(gateway, upstream):
    manifest = HEAD.format(url=upstream.url) + tool()
    proxy = gateway(manifest, ATI_SSRF_PROTECTION="1")
    assert proxy.call("p:t") == (502, {"result": None, "error": f"Upstream API error: SSRF protection: URL '{upstream.url}/base' "
                                                                "targets a private/internal network address"})
    assert not upstream.asked
    assert gateway(HEAD.format(url=upstream.url) + "private_network = true\n" + tool(), ATI_SSRF_PROTECTION="true").call("p:t")[0] == 200
    assert gateway(manifest, ATI_SSRF_PROTECTION="warn").call("p:t")[0] == 200
    assert gateway(manifest).call("p:t")[0] == 200


GENERATOR = """
[provider.auth_generator]
type = "script"
interpreter = "sh"
script = "echo x >>$RUNS; echo gen-$SUB-$(env | cut -d= -f1 | sort | tr '\\n' ' ')"
cache_ttl_secs = 3600
[provider.auth_generator.env]
RUNS = "{runs}"
SUB = "${{JWT_SUB}}"
"""


def test_a_generator_runs_once_for_each_subject(gateway, upstream, tmp_path):
    runs = tmp_path / "runs"
    proxy = gateway(HEAD.format(url=upstream.url) + 'auth_type = "bearer"\n' + GENERATOR.format(runs=runs) + tool())
    assert [proxy.call("p:t")[0] for _ in range(3)] == [200] * 3
    assert runs.read_text() == "x\n"
    value = upstream.asked[-1]["headers"]["Authorization"]
    assert value.startswith("Bearer gen-dev-") and "ATI_DIR" not in value and "HOME" in value


FAULTS = """
server {{
    listen 127.0.0.1:{port};
    root {folder};
    default_type application/json;
    location /base/slow {{ limit_rate 1000; }}
    location /base/reset {{ return 444; }}
    location /base/missing {{ return 503 "busy"; }}
}}
"""


@pytest.fixture
def faulty(stack, tmp_path):
    """nginx with a small file, a slow one, and one of 10 GB that takes no room."""
    folder = tmp_path / "www"
    (folder / "base").mkdir(parents=True)
    (folder / "base" / "small").write_text('{"small": true}')
    (folder / "base" / "slow").write_text(json.dumps("s" * 3000))
    with open(folder / "base" / "huge", "wb") as file:
        file.truncate(10 * 1024**3)
    port = free_port()
    stack.enter_context(peers.nginx(tmp_path, port, http=FAULTS.format(port=port, folder=folder)))
    return f"http://127.0.0.1:{port}"


def test_nginx_with_faults(gateway, faulty):
    names = ("small", "slow", "reset", "missing", "huge")
    proxy = gateway(HEAD.format(url=faulty) + "".join(tool(name, f"/{name}") for name in names))
    assert proxy.call("p:small") == (200, {"result": {"small": True}})
    before = procfs.memory(proxy.process.pid)
    status, answer = proxy.call("p:huge")
    assert status == 502 and "longer than 268435456 bytes" in answer["error"]
    assert procfs.memory(proxy.process.pid) < before + 64 * 1024**2
    status, answer = proxy.call("p:reset")
    assert status == 502 and answer["error"].startswith("Upstream API error: HTTP request failed: ")
    assert proxy.call("p:missing") == (502, {"result": None, "error": "Upstream API error: API error (503): busy"})
    assert proxy.call("p:slow") == (200, {"result": "s" * 3000})


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nX: y", b"", b"SSH-2.0-x\r\n",
], ids=["cut", "cut chunk", "two lengths", "half a head", "nothing", "no HTTP"])
def test_answers_that_break_off_are_failures(gateway, answer):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                with listener.accept()[0] as sock:
                    sock.recv(65536)
                    sock.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    proxy = gateway(HEAD.format(url=f"http://127.0.0.1:{listener.getsockname()[1]}") + 'auth_type = "query"\nauth_key_name = "key"\n' + tool())
    status, told = proxy.call("p:t")
    listener.close()
    assert status == 502 and told["error"].startswith("Upstream API error: HTTP request failed: "), told
    assert "canary" not in told["error"]


def test_a_body_without_an_end_is_refused_at_the_bound(gateway, stack):
    """Chunks of zeros for ever: what is taken is bounded, and given back."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve():
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"100000\r\n" + b"0" * 0x100000 + b"\r\n"
            try:
                while True:
                    sock.sendall(piece)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    proxy = gateway(HEAD.format(url=f"http://127.0.0.1:{listener.getsockname()[1]}") + tool())
    status, answer = proxy.call("p:t")
    assert status == 502 and "longer than 268435456 bytes" in answer["error"]


def test_the_command_line_calls_the_same_way(upstream, tmp_path):
    folder = Folder(tmp_path / "ati", {"p": HEAD.format(url=upstream.url) + 'auth_type = "bearer"\nauth_key_name = "key"\n' + tool()}, KEYS)
    done = folder.run("run", "p:t", "--a", "x y")
    assert done.returncode == 0, done.stderr
    assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer " + KEY and upstream.asked[-1]["path"] == "/base/x?a=x+y"
    assert json.loads(done.stdout)["method"] == "GET" and KEY not in done.stdout + done.stderr
