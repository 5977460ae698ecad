"""The client of other people's servers: nginx, openssl s_server and a forward proxy; servers that fail; addresses that are refused."""

import collections
import hashlib
import json
import os
import re
import subprocess

import pytest

from harness import certs, peers
from harness.base import PATIENCE, SANITIZER, SLOW, TOOLS, eventually, free_port
from harness.dns import A, AAAA, Dns, Reply
from harness.targets import Target

PROGRAM = TOOLS / "client_get"
Answer = collections.namedtuple("Answer", "outcome status bytes connection error")
Got = collections.namedtuple("Got", "answers peak_kib log")

MIB = 1 << 20
NGINX = """
  server {{
    listen 127.0.0.1:{port};
    root {folder};
    default_type application/octet-stream;
    keepalive_requests 1000000;
    location /moved {{ return 302 /small; }}
    location /away {{ return 307 http://127.0.0.1:{port}/small; }}
    location /round {{ return 302 /round; }}
    location /slow {{ limit_rate 100; try_files /small =404; }}
    location /chunked {{ gzip off; ssi on; ssi_types *; try_files /page =404; }}
    location /upload {{ client_max_body_size 1m; proxy_pass http://127.0.0.1:{port}/small; proxy_method GET; proxy_pass_request_body off; }}
  }}
"""


def get(*urls, environ=None, patience=PATIENCE * 3, **options):
    """Asks for the URLs, one after the other. A list is an option that is given several times."""
    words = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            words.append(f"--{name}={each}")
    kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    done = subprocess.run([PROGRAM, *words, *urls], env={**kept, **(environ or {})}, capture_output=True, text=True, timeout=patience,
                          check=False)
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    answers = [Answer(fields[0], int(fields[1]), int(fields[2]), *fields[3:]) for fields in (line.split("\t") for line in lines)]
    assert len(answers) == len(urls), done.stdout
    return Got(answers, int(peak.split("\t")[1]), done.stderr)


def get_one(url, **options):
    return get(url, **options).answers[0]


def says(text, then="fin", requests=1):
    """A server that answers each request with these bytes and ends so."""
    def serve(peer):
        for _ in range(requests):
            while b"\r\n\r\n" not in peer.received:
                if not peer.recv():
                    return
            peer.received.clear()
            peer.sock.sendall(text)
        if then == "rst":
            peer.reset()
        elif then == "wait":
            peer.drain()
    return serve


@pytest.fixture
def server(stack):
    def start(*args, **how):
        return stack.enter_context(Target(says(*args, **how)))
    return start


@pytest.fixture
def nginx(stack, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "small").write_bytes(b"hello\n")
    (folder / "page").write_text('<!--# set var="a" value="b" -->' + "x" * 100_000)
    (folder / "random").write_bytes(os.urandom(3 * MIB + 17))
    port = free_port()
    one = stack.enter_context(peers.nginx(tmp_path, port, http=NGINX.format(port=port, folder=folder)))
    one.folder, one.url = folder, f"http://127.0.0.1:{port}"
    return one


def test_many_requests_over_one_connection(nginx):
    got = get(*[nginx.url + "/small"] * 50)
    assert [answer[:3] for answer in got.answers] == [("ok", 200, 6)] * 50
    assert [answer.connection for answer in got.answers] == ["fresh"] + ["reused"] * 49


@pytest.mark.skipif(SANITIZER is not None, reason="the sanitizer makes calls of its own")
def test_a_kept_connection_costs_three_system_calls(nginx, tmp_path):
    """Send, wait, receive; and nothing else."""
    strace = peers.need("strace")
    trace = tmp_path / "trace"
    count = 200
    done = subprocess.run([strace, "-o", trace, PROGRAM, *[nginx.url + "/small"] * count], env={}, capture_output=True, timeout=PATIENCE * 3,
                          check=False)
    if done.returncode and b"ptrace" in done.stderr:
        pytest.skip("strace is not permitted here")
    assert done.returncode == 0, done.stderr
    calls = collections.Counter(re.match(r"\w+", line).group() for line in trace.read_text().splitlines() if "(" in line)
    assert calls["sendmsg"] + calls["sendto"] == count, calls
    assert calls["recvfrom"] <= count + 2, calls
    assert calls["epoll_wait"] <= count + 5, calls
    assert calls["epoll_ctl"] < 10, calls


@pytest.mark.skipif(SANITIZER is not None, reason="the sanitizer makes calls of its own")
def test_an_answer_in_two_writes_is_acknowledged_at_once(stack, tmp_path):
    """Else its second half waits 40 ms for that, on a server that does not switch Nagle's algorithm off."""
    strace = peers.need("strace")

    def serve(peer):
        while b"\r\n\r\n" in peer.received or peer.recv():
            if b"\r\n\r\n" in peer.received:
                peer.received.clear()
                peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
                peer.gate()
                peer.sock.sendall(b"ok")
    one = stack.enter_context(Target(serve))
    trace = tmp_path / "trace"
    program = stack.enter_context(subprocess.Popen([strace, "-e", "trace=setsockopt", "-o", trace, PROGRAM, f"http://127.0.0.1:{one.port}/"],
                                                   env={}, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    peer = one.peer()
    eventually(lambda: "TCP_QUICKACK, [1]" in trace.read_text() or program.poll() is not None, "the acknowledgement")
    peer.go.set()
    out, err = program.communicate(timeout=PATIENCE)
    if program.returncode and b"ptrace" in err:
        pytest.skip("strace is not permitted here")
    assert out.startswith(b"ok\t200\t2\t"), (out, err)


def test_bodies_arrive_as_they_are(nginx, tmp_path):
    out = tmp_path / "out"
    got = get(nginx.url + "/random", nginx.url + "/chunked", out=out)
    assert [answer[:2] for answer in got.answers] == [("ok", 200)] * 2
    body = out.read_bytes()
    expected = (nginx.folder / "random").read_bytes()
    assert hashlib.sha256(body[:len(expected)]).digest() == hashlib.sha256(expected).digest()
    assert body[len(expected):] == b"x" * 100_000
    assert got.answers[1].connection == "reused"


def test_a_body_is_sent(nginx):
    assert get_one(nginx.url + "/upload", method="POST", data="x" * 100_000)[:3] == ("ok", 200, 6)


@pytest.mark.heavy
@pytest.mark.timeout(240 * SLOW)
@pytest.mark.parametrize("gib", [1, 10])
def test_large_bodies_in_constant_memory(nginx, gib):
    with open(nginx.folder / "large", "wb") as file:
        file.truncate(gib << 30)
    small = get(nginx.url + "/small").peak_kib
    got = get(nginx.url + "/large", patience=200 * SLOW)
    assert got.answers[0][:3] == ("ok", 200, gib << 30)
    assert got.peak_kib < small + 4 * 1024, (small, got.peak_kib)


def test_a_collected_answer_has_its_limit(nginx):
    got = get(nginx.url + "/random", nginx.url + "/chunked", nginx.url + "/small", max=1000)
    assert [answer.outcome for answer in got.answers] == ["too_large", "too_large", "ok"]
    assert "1000 bytes" in got.answers[0].error


def test_a_slow_answer_has_its_time(nginx, server):
    (nginx.folder / "small").write_bytes(b"x" * 100_000)
    assert get_one(nginx.url + "/slow", timeout=300).outcome == "timeout"
    half = server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "wait")
    answer = get_one(f"http://127.0.0.1:{half.port}/", timeout=1000)
    assert (answer.outcome, answer.status, answer.bytes) == ("timeout", 200, 5)


def test_redirects(nginx):
    got = get(nginx.url + "/moved", nginx.url + "/away", nginx.url + "/round", redirects=10)
    assert [answer[:2] for answer in got.answers] == [("ok", 200), ("ok", 200), ("too_many_redirects", 0)]
    assert get_one(nginx.url + "/moved")[:2] == ("ok", 302)


@pytest.mark.parametrize("answer, then", [
    (b"", "fin"), (b"", "rst"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "fin"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "rst"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nshort", "fin"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "fin"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "fin"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "fin"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "wait"),
])
def test_servers_that_fail(server, answer, then):
    one = server(answer, then)
    got = get_one(f"http://127.0.0.1:{one.port}/path?key=hidden", secret="X-Key:hidden")
    assert got.outcome == "broken", got
    assert "hidden" not in got.error and "path" not in got.error and f"127.0.0.1:{one.port}" in got.error


def test_more_than_was_announced_is_not_the_next_answer(server):
    """The rest of an overlong body would be read as an answer to what is asked next."""
    one = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "wait", requests=3)
    got = get(*[f"http://127.0.0.1:{one.port}/"] * 3)
    assert [answer[:3] for answer in got.answers] == [("ok", 200, 2)] * 3
    assert [answer.connection for answer in got.answers] == ["fresh"] * 3


def test_a_connection_that_its_server_closed_meanwhile(server):
    one = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    got = get(*[f"http://127.0.0.1:{one.port}/"] * 5)
    assert [answer[:3] for answer in got.answers] == [("ok", 200, 2)] * 5


# --- TLS ---

@pytest.fixture
def authority(tmp_path):
    return certs.authority(tmp_path)


def tls_server(stack, folder, cert, *words):
    """openssl s_server that serves the files of folder."""
    port = free_port()
    stack.enter_context(peers.Peer([peers.need("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.cert, "-key", cert.key,
                                    "-quiet", "-WWW", *words], port, stdin=subprocess.PIPE, cwd=folder))
    return f"https://127.0.0.1:{port}/file"


@pytest.mark.parametrize("words, good", [
    (["-tls1_3"], True),
    (["-tls1_2"], True),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], True),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], False),
    (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
    (["-alpn", "http/1.1"], True),
    (["-alpn", "h2"], False),
])
def test_versions_of_tls(stack, tmp_path, authority, words, good):
    (tmp_path / "file").write_bytes(b"y" * 50_000)
    url = tls_server(stack, tmp_path, certs.server(tmp_path, authority, "a"), *words)
    answer = get_one(url, roots=authority.cert)
    if good:
        assert answer[:2] == ("ok", 200) and answer.bytes == 50_000, answer
    else:
        assert answer.outcome == "connect" and "TLS" in answer.error, answer


@pytest.mark.parametrize("what, why", [
    ({"days": -1}, "expired"),
    ({"sans": ("DNS:other.test",)}, "mismatch"),
    (None, "unable to get local issuer certificate"),
])
def test_certificates_that_are_not_good(stack, tmp_path, authority, what, why):
    (tmp_path / "file").write_bytes(b"secret")
    url = tls_server(stack, tmp_path, certs.server(tmp_path, authority, "a", **(what or {})))
    answer = get_one(url, **({"roots": authority.cert} if what else {}))
    assert answer.outcome == "connect" and why in answer.error, answer


def test_kept_connections_over_tls(stack, tmp_path, authority):
    """Session tickets come when they like, also between requests."""
    site, port = tmp_path / "site", free_port()
    site.mkdir()
    (site / "file").write_bytes(b"t" * 40_000)
    cert = certs.server(tmp_path, authority, "a")
    stack.enter_context(peers.nginx(tmp_path, port, http=f"""
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {cert.cert};
    ssl_certificate_key {cert.key};
    root {site};
  }}"""))
    got = get(*[f"https://127.0.0.1:{port}/file"] * 10, roots=authority.cert)
    assert [answer[:3] for answer in got.answers] == [("ok", 200, 40_000)] * 10, got
    assert [answer.connection for answer in got.answers] == ["fresh"] + ["reused"] * 9


# --- a forward proxy ---

@pytest.fixture
def forward_proxy(stack, tmp_path):
    """start(user=…): tinyproxy."""
    program = peers.need("tinyproxy")

    def start(more=""):
        port = free_port()
        log = tmp_path / f"tinyproxy-{port}.log"
        config = tmp_path / f"tinyproxy-{port}.conf"
        config.write_text(f'Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogFile "{log}"\nLogLevel Connect\n{more}\n')
        one = stack.enter_context(peers.Peer([program, "-d", "-c", config], port))
        one.url, one.file = f"http://127.0.0.1:{port}", log
        return one
    return start


def test_through_a_forward_proxy(stack, nginx, forward_proxy, tmp_path, authority):
    (tmp_path / "file").write_bytes(b"z" * 100_000)
    secure = tls_server(stack, tmp_path, certs.server(tmp_path, authority, "a"))
    proxy = forward_proxy()
    got = get(nginx.url + "/small", nginx.url + "/random", secure, roots=authority.cert, environ={"ALL_PROXY": proxy.url})
    assert [answer[:2] for answer in got.answers] == [("ok", 200)] * 3, got
    assert got.answers[2].bytes == 100_000
    log = proxy.file.read_text()
    assert "GET http://127.0.0.1" in log and "CONNECT 127.0.0.1" in log
    before = len(log)
    assert get_one(nginx.url + "/small", environ={"ALL_PROXY": proxy.url, "NO_PROXY": "10.0.0.0/8, 127.0.0.0/8"})[:2] == ("ok", 200)
    assert len(proxy.file.read_text()) == before


def test_a_proxy_that_wants_a_password(stack, forward_proxy, tmp_path, authority):
    (tmp_path / "file").write_bytes(b"z")
    secure = tls_server(stack, tmp_path, certs.server(tmp_path, authority, "a"))
    proxy = forward_proxy("BasicAuth user hidden\n")
    good = proxy.url.replace("http://", "http://user:hidden@")
    assert get_one(secure, roots=authority.cert, environ={"HTTPS_PROXY": good})[:2] == ("ok", 200)
    for bad in (proxy.url, good.replace("hidden", "wronghidden")):
        answer = get_one(secure, roots=authority.cert, environ={"HTTPS_PROXY": bad})
        assert answer.outcome == "connect" and re.search("40[17]", answer.error) and "hidden" not in answer.error, answer


# --- addresses ---

@pytest.fixture
def internet(netns, stack):
    """A network where 8.8.4.4 is a server, names are as told, and 127.0.0.1 and 10.1.1.1 hold what nobody may have."""
    net = netns("8.8.4.4/32", "10.1.1.1/32")
    inside = stack.enter_context(_within(net, Target, says(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ninside", "wait"), host="10.1.1.1", port=80))
    names = stack.enter_context(_within(net, Dns))

    class Internet:
        def serve(self, *answer):
            return stack.enter_context(_within(net, Target, says(*answer), host="8.8.4.4", port=80))

        def get(self, url, **options):
            with net:
                return get(url, dns=names.server, **options)
    one = Internet()
    one.names, one.inside = names.names, inside
    return one


def _within(net, kind, *args, **how):
    with net:
        return kind(*args, **how)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_public_addresses_may_be_asked(internet):
    internet.serve(OK)
    internet.names["a.test"] = Reply(["8.8.4.4"])
    assert internet.get("http://a.test/", reach="public").answers[0][:2] == ("ok", 200)
    assert internet.get("http://8.8.4.4/", reach="public").answers[0][:2] == ("ok", 200)


@pytest.mark.parametrize("location", ["http://10.1.1.1/", "http://inside.test/", "//10.1.1.1/", "http://[::ffff:a01:101]/", "http://mixed.test/"])
def test_a_redirect_inside_is_refused(internet, location):
    internet.names.update({"a.test": Reply(["8.8.4.4"]), "inside.test": Reply(["10.1.1.1"]), "mixed.test": Reply(["8.8.4.4", "10.1.1.1"])})
    internet.serve(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
    answer = internet.get("http://a.test/", reach="public", redirects=5).answers[0]
    assert answer.outcome == "denied" and answer.status == 0, answer
    assert not internet.inside.peers
    assert internet.get("http://10.1.1.1/").answers[0][:2] == ("ok", 200)  # where no rule forbids it


def test_a_name_that_changes_its_mind(internet):
    """DNS rebinding: public when it is looked at, private ever after. There is no second look."""
    internet.serve(OK)
    internet.names["a.test"] = {A: [Reply(["8.8.4.4"], ttl=0), Reply(["10.1.1.1"], ttl=0)], AAAA: Reply(ttl=0)}
    first = internet.get("http://a.test/", reach="public").answers[0]
    second = internet.get("http://a.test/", reach="public").answers[0]
    assert first[:2] == ("ok", 200)
    assert second.outcome == "denied" and "10.1.1.1" in second.error
    assert not internet.inside.peers


def test_a_warning_lets_it_pass(internet):
    internet.names["inside.test"] = Reply(["10.1.1.1"])
    got = internet.get("http://inside.test/?key=hidden", reach="warn")
    assert got.answers[0][:2] == ("ok", 200)
    line = json.loads(got.log.splitlines()[0])
    assert (line["event"], line["host"], line["address"]) == ("client.not_public", "inside.test", "10.1.1.1")
    assert "hidden" not in got.log
