"""Tokens in both directions with a JOSE library that is not ours: jose, from npm."""

import json
import pathlib
import subprocess
import time

import pytest

from harness import peers
from harness.ati import SECRET, Folder, Proxy
from harness.base import PATIENCE

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "browser/jose.mjs"


def jose(**job):
    node = peers.need("node")
    if not (SCRIPT.parent / "node_modules/jose").is_dir():
        pytest.skip("jose is not installed: scripts/bootstrap")
    done = subprocess.run([node, SCRIPT, json.dumps(job)], capture_output=True, text=True, timeout=PATIENCE * 3, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A private key as PKCS #8, and its public half, as PEMs of openssl."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "private.pem", folder / "public.pem"
    for words in (["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private], ["pkey", "-in", private, "-pubout", "-out", public]):
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=PATIENCE)
    return private, public


def claims(**more):
    now = int(time.time())
    return {"sub": "agent-jose", "aud": "ati-proxy", "iat": now, "exp": now + 600, "scope": "tool:*", **more}


def test_our_tokens_verify_by_our_key_set(tmp_path, keys):
    private, public = keys
    folder = Folder(tmp_path, ATI_JWT_PUBLIC_KEY=str(public))
    with Proxy(folder) as proxy:
        status, headers, body = proxy.ask("GET", "/.well-known/jwks.json")
        assert status == 200 and headers["Content-Type"] == "application/json"
        document = json.loads(body)
        key = document["keys"][0]
        assert len(document["keys"]) == 1
        assert {name: key[name] for name in ("alg", "kid", "kty", "use", "crv")} == {
            "alg": "ES256", "kid": "ati-proxy-1", "kty": "EC", "use": "sig", "crv": "P-256"}
        assert key["x5c"] == ["".join(public.read_text().splitlines()[1:-1])]
        token = folder.run("token", "issue", "--sub", "agent-1", "--scope", "tool:a help", "--key", private)
        assert token.returncode == 0, token.stderr
        token = token.stdout.strip()
        found = jose(verify={"token": token, "jwks": document, "audience": "ati-proxy"})
        assert found["claims"]["sub"] == "agent-1" and found["claims"]["scope"] == "tool:a help"
        assert found["header"]["alg"] == "ES256"
        assert jose(verify={"token": token[:-8] + "AAAAAAAA", "jwks": document, "audience": "ati-proxy"}) == {"error": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
        assert proxy.ask("GET", "/tools", token=token)[0] == 200


def test_tokens_of_jose_are_ours(tmp_path, keys):
    private, public = keys
    pem = private.read_text()
    with Proxy(Folder(tmp_path / "es", ATI_JWT_PUBLIC_KEY=str(public))) as proxy:
        good = jose(sign={"alg": "ES256", "pem": pem, "claims": claims(), "header": {"kid": "whatever"}})["token"]
        assert proxy.ask("GET", "/tools", token=good)[0] == 200
        for bad in ({"aud": "else"}, {"exp": 1}, {"scope": None}, {"sub": None}):
            told = {name: value for name, value in claims(**bad).items() if value is not None}
            assert proxy.ask("GET", "/tools", token=jose(sign={"alg": "ES256", "pem": pem, "claims": told})["token"])[0] == 401, bad
        # The public key as a shared secret: the oldest trick there is.
        confused = jose(sign={"alg": "HS256", "secret": public.read_bytes().hex(), "claims": claims()})["token"]
        assert proxy.ask("GET", "/tools", token=confused)[0] == 401
    with Proxy(Folder(tmp_path / "hs", ATI_JWT_SECRET=SECRET)) as proxy:
        assert proxy.ask("GET", "/tools", token=jose(sign={"alg": "HS256", "secret": SECRET, "claims": claims()})["token"])[0] == 200
        assert proxy.ask("GET", "/tools", token=good)[0] == 401
        ours = proxy.folder.token("tool:x")
        assert jose(verify={"token": ours, "secret": SECRET, "audience": "ati-proxy"})["claims"]["scope"] == "tool:x"
