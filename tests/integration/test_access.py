"""Who may use the bridge: origins, hosts, tokens, addresses."""

import base64
import hashlib
import json
import time

import pytest

from harness.certs import Signer, b64url
from harness.targets import echo
from harness.wire import Client, Stream, ask, dial, read_answer, request

TOKEN = "correct horse battery staple"


def status(bridge, path="/", **fields):
    with Stream(dial(bridge.address)) as stream:
        stream.send(request(path, **fields))
        return read_answer(stream)


@pytest.fixture
def there(target):
    return target(echo)


# --- origins and hosts --------------------------------------------------------------------------


@pytest.mark.parametrize("origin, good", [
    ("https://app.test", True), ("HTTPS://APP.test", True), ("https://app.test:443", True), ("http://app.test", False), ("https://app.test:444", False),
    ("https://evil-app.test", False), ("https://app.test.evil.test", False), ("https://xapp.test", False), ("https://app.tes", False),
    ("https://app.test/", False), ("https://app.test@evil.test", False), ("https://evil.test#https://app.test", False), ("null", False),
    ("", False), ("file://", False), ("https://app.test evil", False), ("https://app.test,https://app.test", False),
    ("https://other.test:8443", True), ("https://other.test", False), (None, True),
])
def test_only_listed_origins_may_connect(bridge, there, origin, good):
    """Scheme and host without case, the port significant, nothing by suffix; programs without an Origin are not meant."""
    one = bridge(there, origins="https://app.test,https://other.test:8443")
    assert status(one, there.query, origin=origin).status in ((101,) if good else (400, 403))


def test_null_and_same_host_must_be_asked_for(bridge, there):
    """--origins null,same-host."""
    one = bridge(there, origins="null,same-host")
    assert status(one, there.query, origin="null").status == 101
    assert status(one, there.query, origin="http://bridge.test:9000", host="bridge.test:9000").status == 101
    assert status(one, there.query, origin="https://evil.test", host="bridge.test:9000").status == 403
    assert status(one, there.query, origin="https://bridge.test.evil.test", host="bridge.test").status == 403


def test_two_origins_are_none(bridge, there):
    """Nobody chooses for the client which of two counts."""
    one = bridge(there, origins="https://app.test")
    for pair in (("https://app.test", "https://evil.test"), ("https://evil.test", "https://app.test")):
        assert status(one, there.query, origin=pair[0], headers=[f"Origin: {pair[1]}"]).status in (400, 403)


def test_without_origins_any_page_may_connect_and_is_warned_of(bridge, there):
    """On loopback the default stays open, and the log says so once for each origin."""
    one = bridge(there)
    for _ in range(3):
        with Client(one.address, there.query, origin="https://some.page.test") as client:
            client.shut()
    one.wait_line("(?i)warn.*some.page.test|some.page.test.*(?i:warn)")
    warnings = [e for e in one.events if e.get("level") == "warn" and "some.page.test" in json.dumps(e)]
    assert len(warnings) == 1


@pytest.mark.parametrize("host, good", [
    ("bridge.test", True), ("BRIDGE.test", True), ("bridge.test:9000", True), ("evil.test", False), ("bridge.test.evil.test", False),
    ("127.0.0.1", False), ("", False), ("bridge.test.", True), ("xbridge.test", False),
])
def test_hosts_stop_a_rebound_name(bridge, there, host, good):
    """--hosts: the Host header must be one of ours."""
    one = bridge(there, hosts="bridge.test")
    assert status(one, there.query, host=host).status in ((101,) if good else (400, 403))


@pytest.mark.parametrize("source, good", [("127.0.0.1", False), ("127.0.3.1", True), ("127.0.3.255", True), ("127.0.4.1", False)])
def test_allow_from(bridge, there, source, good):
    """Only clients of these networks."""
    one = bridge(there, allow_from="127.0.3.0/24,::1/128")
    answer = ask(one.address, request(there.query), source=source)
    assert answer.status == (101 if good else 403)


# --- tokens -------------------------------------------------------------------------------------


@pytest.fixture
def guarded(bridge, there, tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# hashes\n" + hashlib.sha256(b"another").hexdigest() + "\n" + hashlib.sha256(TOKEN.encode()).hexdigest() + "\n")

    def start(**options):
        one = bridge(there, auth_token_file=file, **options)
        one.file = file
        return one
    return start


def bearer(token=TOKEN):
    return [f"Authorization: Bearer {token}"]


def test_a_token_in_the_authorization_header(guarded, there):
    """Missing or wrong: 401 with WWW-Authenticate; right: admitted."""
    one = guarded()
    for headers in ([], bearer("wrong"), bearer(""), bearer(TOKEN + "x"), bearer(TOKEN[:-1]), ["Authorization: Basic eDp5"],
                    [f"Authorization: {TOKEN}"], bearer(hashlib.sha256(TOKEN.encode()).hexdigest()), bearer(TOKEN) + bearer("wrong")):
        answer = status(one, there.query, headers=headers)
        assert answer.status == 401 or (len(headers) == 2 and answer.status == 400), headers
        if answer.status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert status(one, there.query, headers=bearer()).status == 101
    assert status(one, there.query, headers=["authorization: bearer " + TOKEN]).status == 101
    assert status(one, there.query, headers=bearer("another")).status == 101
    assert not there.peers or len(there.peers) <= 3


def test_a_token_as_subprotocol(guarded, there):
    """bearer.<base64url> beside another offer: the other one is selected, the token never comes back."""
    one = guarded()
    offer = "bearer." + b64url(TOKEN)
    for protocols in (f"binary, {offer}", f"{offer}, binary"):
        answer = status(one, there.query, protocols=protocols, origin="https://page.test")
        assert answer.status == 101
        assert answer.headers["sec-websocket-protocol"] == "binary"
    answer = status(one, there.query, protocols=offer)
    assert answer.status in (101, 400)
    assert offer not in json.dumps(answer.headers)
    for protocols in ("binary", "binary, bearer." + b64url("wrong"), "bearer.", "bearer.!!", "binary, bearer." + base64.b64encode(TOKEN.encode()).decode().replace("=", "") + "="):
        assert status(one, there.query, protocols=protocols).status in (400, 401), protocols


def test_a_token_in_the_query_only_when_permitted(guarded, there):
    """--auth-query: ?token=; without it such a token is nothing."""
    encoded = TOKEN.replace(" ", "%20")
    assert status(guarded(), f"{there.query}&token={encoded}").status == 401
    one = guarded(auth_query=True)
    assert status(one, f"{there.query}&token={encoded}").status == 101
    assert status(one, f"/?token=wrong&target={there.name}").status == 401
    assert "horse" not in one.log


def test_tokens_never_reach_the_log_or_the_admin_side(guarded, there):
    """Right ones and wrong ones, in every place, at every level."""
    one = guarded(auth_query=True, log_level="debug")
    secret = "S3CRET-" + "x" * 20
    for token in (TOKEN.replace(" ", "%20"), secret):
        status(one, f"{there.query}&token={token}")
        status(one, f"/?target=evil.test:1&token={token}")
        status(one, there.query, headers=bearer(token))
        status(one, there.query, protocols="binary, bearer." + b64url(token))
    with Client(one.address, there.query, headers=bearer()) as client:
        _, tunnels = one.admin_get("/debug/tunnels")
        client.shut()
    one.closed(reason="client-closed")
    for place in (one.log, tunnels, one.admin_get("/metrics")[1]):
        for piece in ("S3CRET", "horse", b64url(secret), b64url(TOKEN)):
            assert piece not in place
    assert one.metrics().total("atlas_proxy_rejected_total", reason="unauthorized") >= 3


def test_the_credential_comes_before_the_target(guarded, there):
    """Without a credential nobody learns what is listed."""
    one = guarded()
    answers = {(a.status, a.body) for a in (status(one, path) for path in (there.query, "/?target=evil.test:1", "/"))}
    assert len(answers) == 1 and answers.pop()[0] == 401


def test_a_page_without_credential_gets_401_too(guarded, there):
    """No 101 for it, whatever --reject says."""
    for mode in ("auto", "close"):
        assert status(guarded(reject=mode), there.query, origin="https://page.test").status == 401


def test_tokens_are_read_again_on_reload(guarded, there):
    """A token that is struck out no longer opens."""
    one = guarded()
    one.file.write_text(hashlib.sha256(b"fresh").hexdigest() + "\n")
    one.reload()
    assert status(one, there.query, headers=bearer()).status == 401
    assert status(one, there.query, headers=bearer("fresh")).status == 101


@pytest.mark.parametrize("content", ["", "# nothing\n", "nonsense\n", "abcd\n", TOKEN + "\n"])
def test_a_token_file_that_is_none_stops_the_start(there, tmp_path, content):
    """Nobody gets in by an empty list, and a token in clear is not taken for a hash."""
    from harness.bridge import run_to_end
    file = tmp_path / "bad"
    file.write_text(content)
    done = run_to_end("--check", "--auth-token-file", file, "--allowlist", there.name)
    assert done.returncode == 2
    assert TOKEN not in done.stderr


# --- JSON Web Tokens ----------------------------------------------------------------------------


@pytest.fixture(params=["ES256", "EdDSA"])
def signed(request, bridge, there, tmp_path):
    signer = Signer(tmp_path, request.param)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(signer.jwks())
    one = bridge(there, "other.test:443", auth_jwt_jwks=jwks, auth_jwt_audience="bridge", auth_jwt_issuer="https://issuer.test")
    one.signer, one.jwks = signer, jwks
    one.good = dict(aud="bridge", iss="https://issuer.test")
    return one


def test_a_signed_token_opens(signed, there):
    """With the right audience, issuer and time; as header or subprotocol; aud may be a list."""
    token = signed.signer.token(**signed.good)
    assert status(signed, there.query, headers=bearer(token)).status == 101
    answer = status(signed, there.query, protocols="binary, bearer." + b64url(token))
    assert answer.status == 101 and answer.headers["sec-websocket-protocol"] == "binary"
    many = signed.signer.token(aud=["x", "bridge"], iss="https://issuer.test")
    assert status(signed, there.query, headers=bearer(many)).status == 101


def test_a_token_that_is_not_good_does_not(signed, there, tmp_path):
    """Expired, not yet valid, for others, from others, unsigned, altered, by another key: 401."""
    make, good = signed.signer.token, signed.good
    (tmp_path / "other").mkdir()
    stranger = Signer(tmp_path / "other", signed.signer.algorithm, kid=signed.signer.kid)
    right = make(**good)
    head, claims, signature = right.split(".")
    forged = b64url(json.dumps(good | {"exp": int(time.time()) + 999, "sub": "admin"}))
    none = b64url('{"alg":"none","typ":"JWT"}')
    public = json.dumps(signed.signer.jwk()).encode()
    import hmac
    confused_head = b64url('{"alg":"HS256","typ":"JWT","kid":"k1"}')
    confused = f"{confused_head}.{claims}." + b64url(hmac.new(public, f"{confused_head}.{claims}".encode(), hashlib.sha256).digest())
    bad = {
        "expired": make(lifetime=-600, **good),
        "no exp": make(exp=None, **good),
        "not yet": make(nbf=int(time.time()) + 600, **good),
        "wrong audience": make(aud="other", iss=good["iss"]),
        "no audience": make(iss=good["iss"]),
        "wrong issuer": make(aud="bridge", iss="https://issuer.test.evil"),
        "no issuer": make(aud="bridge"),
        "stranger": stranger.token(**good),
        "altered": f"{head}.{forged}.{signature}",
        "unsigned": f"{none}.{claims}.",
        "no signature": f"{head}.{claims}.",
        "two parts": f"{head}.{claims}",
        "four parts": right + ".x",
        "short signature": right[:-4],
        "algorithm confusion": confused,
        "critical": make(header={"crit": ["x"], "x": 1}, **good),
        "unknown kid": make(header={"kid": "nobody"}, **good),
        "exp is text": make(exp="tomorrow", **good),
        "empty": "", "dots": "..", "long": "a" * 7000,
    }
    wrong = {name for name, token in bad.items() if status(signed, there.query, headers=bearer(token)).status not in (401, 431)}
    assert not wrong
    assert status(signed, there.query, headers=bearer(right)).status == 101


def test_a_token_may_list_its_targets(signed, there):
    """tgt: this user may reach these, and only if the allowlist has them too."""
    token = signed.signer.token(tgt=[there.name], **signed.good)
    assert status(signed, there.query, headers=bearer(token)).status == 101
    assert status(signed, "/?target=other.test:443", headers=bearer(token)).status == 403
    other = signed.signer.token(tgt=["other.test:443", "unlisted.test:1"], **signed.good)
    assert status(signed, there.query, headers=bearer(other)).status == 403
    assert status(signed, "/?target=unlisted.test:1", headers=bearer(other)).status == 403
    nobody = signed.signer.token(tgt=[], **signed.good)
    assert status(signed, there.query, headers=bearer(nobody)).status == 403


def test_keys_are_read_again_on_reload(signed, there, tmp_path):
    """Rotation: the old key no longer opens, the new one does; a broken file keeps the old keys."""
    old = signed.signer.token(**signed.good)
    (tmp_path / "next").mkdir()
    fresh = Signer(tmp_path / "next", signed.signer.algorithm, kid="k2")
    signed.jwks.write_text("{broken")
    signed.reload()
    assert status(signed, there.query, headers=bearer(old)).status == 101
    signed.jwks.write_text(fresh.jwks())
    signed.reload()
    assert status(signed, there.query, headers=bearer(old)).status == 401
    assert status(signed, there.query, headers=bearer(fresh.token(**signed.good))).status == 101


# --- who the client is --------------------------------------------------------------------------


def client_of(bridge, there, headers, source="127.0.0.1"):
    """The address under which a tunnel is logged."""
    count = len(bridge.closed_events()) + 1
    with Client(bridge.address, there.query, source=source, headers=headers) as client:
        client.shut()
    address = bridge.closed(count=count)["client"]
    return address.rpartition(":")[0] if address.count(":") == 1 or address.startswith("[") else address


WALKS = [
    (["X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
    (["X-Forwarded-For: 203.0.113.9, 198.51.100.7"], "198.51.100.7"),
    (["X-Forwarded-For: 203.0.113.9, 198.51.100.7, 127.0.0.50"], "198.51.100.7"),
    (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
    (["X-Forwarded-For: 203.0.113.9,198.51.100.7:1234"], "198.51.100.7"),
    (["X-Forwarded-For: 2001:db8::7"], "2001:db8::7"),
    (["X-Forwarded-For: [2001:db8::7]:443"], "2001:db8::7"),
    (["X-Forwarded-For: 203.0.113.9, garbage"], "127.0.0.1"),
    (["X-Forwarded-For: 198.51.100.7, 127.0.0.50, unknown, 127.0.0.51"], "127.0.0.51"),
    (["X-Forwarded-For: "], "127.0.0.1"),
    (["X-Forwarded-For: 127.0.0.50, 127.0.0.51"], "127.0.0.50"),
    (["X-Real-IP: 198.51.100.7"], "127.0.0.1"),
    (["Forwarded: for=198.51.100.7"], "198.51.100.7"),
    (['Forwarded: for="[2001:db8::7]:4711";proto=https'], "2001:db8::7"),
    (["Forwarded: for=203.0.113.9, for=198.51.100.7;by=127.0.0.1"], "198.51.100.7"),
    (["Forwarded: for=_hidden"], "127.0.0.1"),
    (["Forwarded: for=unknown"], "127.0.0.1"),
]


@pytest.mark.parametrize("headers, expected", WALKS)
def test_forwarded_headers_of_a_trusted_proxy_are_walked_from_the_right(bridge, there, headers, expected):
    """The first address that is no trusted proxy is the client; a malformed element stops the walk."""
    one = bridge(there, trusted_proxies="127.0.0.0/24")
    assert client_of(one, there, headers).strip("[]") == expected


def test_forwarded_headers_of_anybody_else_are_ignored(bridge, there):
    """Without --trusted-proxies, or from outside of it."""
    forged = ["X-Forwarded-For: 198.51.100.7", "Forwarded: for=198.51.100.7", "X-Real-IP: 198.51.100.7"]
    assert client_of(bridge(there), there, forged) == "127.0.0.1"
    assert client_of(bridge(there, trusted_proxies="127.0.0.9/32"), there, forged) == "127.0.0.1"


def test_limits_go_by_the_forwarded_client(bridge, there):
    """Behind a proxy each client has its own allowance, and cannot escape it."""
    one = bridge(there, trusted_proxies="127.0.0.1", max_per_ip="1", allow_from="198.51.100.0/24,203.0.113.0/24")
    with Client(one.address, there.query, headers=["X-Forwarded-For: 198.51.100.7"]):
        assert status(one, there.query, headers=["X-Forwarded-For: 198.51.100.7"]).status == 429
        assert status(one, there.query, headers=["X-Forwarded-For: 203.0.113.1, 198.51.100.7"]).status == 429
        assert status(one, there.query, headers=["X-Forwarded-For: 198.51.100.8"]).status == 101
        assert status(one, there.query, headers=["X-Forwarded-For: 192.0.2.1"]).status == 403


def test_a_v6_client_is_limited_by_its_network(bridge, there):
    """One /64 is one client."""
    one = bridge(there, trusted_proxies="127.0.0.1", max_per_ip="1")
    with Client(one.address, there.query, headers=["X-Forwarded-For: 2001:db8:0:1::1"]):
        assert status(one, there.query, headers=["X-Forwarded-For: 2001:db8:0:1:ffff::2"]).status == 429
        assert status(one, there.query, headers=["X-Forwarded-For: 2001:db8:0:2::1"]).status == 101
