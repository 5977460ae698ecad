"""Session tokens from outside: `ati token`, `ati auth status`, and other people's libraries in both directions."""

import base64
import fcntl
import hashlib
import hmac
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from harness.ati import ATI, SECRET, Folder, Proxy, environment
from harness.base import BROWSER, PATIENCE, eventually

CLAIMS = {"sub": "agent-7", "aud": "ati-proxy", "scope": "tool:a:b tool:c* help"}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "ati")


def jose(**question):
    if not (BROWSER / "node_modules/jose").is_dir():
        pytest.skip("npm ci has not been run in tests/browser")
    done = subprocess.run(["node", BROWSER / "credentials.mjs"], input=json.dumps(question), capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(done.stdout)


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def times(ttl=600):
    now = int(time.time())
    return {"iat": now, "exp": now + ttl}


def hs256(claims, secret=SECRET, header=None):
    """A token by nothing but the standard library."""
    signed = f"{encode(json.dumps({'alg': 'HS256', 'typ': 'JWT'} if header is None else header).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{signed}.{encode(hmac.new(bytes.fromhex(secret), signed.encode(), hashlib.sha256).digest())}"


def openssl(*words, stdin=None):
    return subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=True, timeout=PATIENCE).stdout


@pytest.fixture
def pair(folder):
    """(private, public) files of a pair that ati made."""
    done = folder.run("token", "keygen")
    assert done.returncode == 0, done.stderr
    found = re.findall(r"-----BEGIN .*? KEY-----.*?-----END .*? KEY-----\n", done.stdout, re.S)
    assert len(found) == 2, done.stdout
    files = [folder.path / "private.pem", folder.path / "public.pem"]
    for file, text in zip(files, found):
        file.write_text(text)
    return files


def judged(folder, token, *words, **environ):
    """(is it valid, what was said)"""
    done = folder.run("token", "validate", token, *words, **environ)
    assert done.stdout == ""
    assert done.returncode in (0, 1), done.stderr
    assert ("INVALID" if done.returncode else "VALID") in done.stderr
    return done.returncode == 0, done.stderr


def test_openssl_knows_the_pair(folder, pair):
    private, public = pair
    text = openssl("pkey", "-in", private, "-noout", "-text").decode()
    assert "prime256v1" in text and "256 bit" in text
    assert openssl("pkey", "-in", private, "-pubout").decode() == public.read_text()
    assert private.read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_keygen_takes_the_algorithm_as_word_and_as_flag(folder):
    for words in (["hs256"], ["HS256"], ["--algorithm", "hs256"], ["--algorithm=Hs256"]):
        done = folder.run("token", "keygen", *words)
        assert done.returncode == 0 and re.fullmatch(r"[0-9a-f]{64}\n", done.stdout), done
    for words in (["es256"], ["--algorithm", "ES256"], []):
        done = folder.run("token", "keygen", *words)
        assert done.stdout.index("BEGIN PRIVATE KEY") < done.stdout.index("BEGIN PUBLIC KEY")
    done = folder.run("token", "keygen", "rs256")
    assert done.returncode == 1 and "Unsupported algorithm: rs256. Use ES256 or HS256." in done.stderr


def test_keys_go_to_standard_output_and_what_they_are_to_the_other(folder):
    done = folder.run("token", "keygen")
    assert [line for line in done.stdout.splitlines() if line.startswith("-----")] == [
        f"-----{word} {kind} KEY-----" for kind in ("PRIVATE", "PUBLIC") for word in ("BEGIN", "END")]
    labels = [line for line in done.stderr.splitlines() if line.startswith("===")]
    assert len(labels) == 2 and "Private Key" in labels[0] and "Public Key" in labels[1] and "KEY-----" not in done.stderr
    done = folder.run("token", "keygen", "HS256")
    assert len(done.stdout.splitlines()) == 1 and done.stderr and done.stdout.strip() not in done.stderr


def test_what_is_not_said_has_its_default(folder):
    """Half an hour, for ati-proxy, from nobody in particular, without rates; and each token has an id of its own."""
    ids = set()
    for _ in range(2):
        claims = json.loads(decode(folder.token("").split(".")[1]))
        assert list(claims) == ["sub", "aud", "iat", "exp", "jti", "scope", "ati"]
        assert claims["exp"] - claims["iat"] == 1800
        assert (claims["sub"], claims["aud"], claims["scope"], claims["ati"]) == ("agent-7", "ati-proxy", "", {"v": 1})
        ids.add(claims["jti"])
    assert len(ids) == 2
    for missing in (["--sub", "a"], ["--scope", "x"]):
        done = folder.run("token", "issue", "--secret", SECRET, *missing)
        assert done.returncode == 2 and done.stdout == ""


def test_the_nearest_key_signs(folder, pair):
    """--key before --secret before the environment; there a private key belongs to its public one."""
    private, public = pair
    algorithms = []
    both, secret = {"ATI_JWT_PRIVATE_KEY": str(private), "ATI_JWT_PUBLIC_KEY": str(public)}, {"ATI_JWT_SECRET": SECRET}
    for words, environ in ((["--key", private, "--secret", SECRET], {}), (["--secret", SECRET], both), (["--key", private], secret), ([], {**both, **secret}),
                           ([], {"ATI_JWT_PRIVATE_KEY": str(private), **secret}), ([], {"ATI_JWT_PRIVATE_KEY": str(private)})):
        done = folder.run("token", "issue", "--sub", "a", "--scope", "x", *words, **environ)
        assert done.returncode == 0, done.stderr
        algorithms.append(json.loads(decode(done.stdout.split(".")[0]))["alg"])
    assert algorithms == ["ES256", "HS256", "ES256", "ES256", "HS256", "ES256"]
    # With the public key alone nothing is signed, not even by the secret beside it: nobody would accept that.
    done = folder.run("token", "issue", "--sub", "a", "--scope", "x", ATI_JWT_PUBLIC_KEY=str(public), **secret)
    assert done.returncode != 0 and "No signing key available. " in done.stderr and done.stdout == ""


def test_a_verdict_names_whose_it_is_and_until_when(folder):
    token = folder.token("tool:a tool:b", "--iss", "me")
    exp = json.loads(decode(token.split(".")[1]))["exp"]
    good, said = judged(folder, token, "--secret", SECRET)
    assert good and f'VALID sub=agent-7 scope="tool:a tool:b" exp={exp}' in said
    # Whom a proxy with these variables would refuse is refused here.
    assert judged(folder, token, "--secret", SECRET, ATI_JWT_ISSUER="me", ATI_JWT_AUDIENCE="ati-proxy")[0]
    assert not judged(folder, token, "--secret", SECRET, ATI_JWT_ISSUER="you")[0]
    assert not judged(folder, token, "--secret", SECRET, ATI_JWT_AUDIENCE="other")[0]


def test_a_terminal_is_told_what_to_do_with_a_token(folder):
    master, slave = os.openpty()
    try:
        done = subprocess.run([ATI, "token", "issue", "--sub", "a", "--scope", "x", "--secret", SECRET], env=environment(folder.path), stdout=subprocess.PIPE,
                              stderr=slave, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        hint = os.read(master, 4096).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert len(done.stdout.splitlines()) == 1 and "ATI_SESSION_TOKEN" in hint and done.stdout.decode().strip() not in hint


def test_jose_accepts_what_is_issued(folder, pair):
    private, public = pair
    for words, key, algorithm in ((["--key", private], {"pem": public.read_text()}, "ES256"), (["--secret", SECRET], {"hex": SECRET}, "HS256")):
        done = folder.run("token", "issue", "--sub", "agent-7", "--scope", "tool:a help", "--iss", "https://me", "--ttl", "90", "--rate",
                          "tool:a*=10/hour", "--rate", "*=5/s", *words)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        answer = jose(verify=done.stdout.strip(), options={"audience": "ati-proxy", "issuer": "https://me"}, **key)
        claims = answer["claims"]
        assert answer["header"] == {"typ": "JWT", "alg": algorithm}
        assert claims["exp"] - claims["iat"] == 90 and abs(claims["iat"] - time.time()) < PATIENCE
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", claims["jti"])
        assert list(claims) == ["iss", "sub", "aud", "iat", "exp", "jti", "scope", "ati"]
        assert claims["ati"] == {"v": 1, "rate": {"tool:a*": "10/hour", "*": "5/s"}}


def test_what_jose_signs_is_accepted(folder, pair):
    private, public = pair
    for alg, mine, yours in (("ES256", {"pem": private.read_text()}, ["--key", public]), ("HS256", {"hex": SECRET}, ["--secret", SECRET])):
        token = jose(sign={**CLAIMS, **times()}, alg=alg, **mine)["token"]
        good, said = judged(folder, token, *yours)
        assert good and "sub=agent-7" in said and 'scope="tool:a:b tool:c* help"' in said, said
        other = jose(sign={**CLAIMS, **times(), "aud": "other"}, alg=alg, **mine)["token"]
        assert not judged(folder, other, *yours)[0]
        with_kid = jose(sign={**CLAIMS, **times()}, alg=alg, header={"kid": "whatever", "typ": "at+jwt"}, **mine)["token"]
        assert judged(folder, with_kid, *yours)[0]


def test_an_independent_hmac_agrees(folder):
    token = folder.token("tool:x")
    head, body, mac = token.split(".")
    assert decode(mac) == hmac.new(bytes.fromhex(SECRET), f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert json.loads(decode(head)) == {"typ": "JWT", "alg": "HS256"}
    assert json.loads(decode(body))["scope"] == "tool:x"
    assert judged(folder, hs256({**CLAIMS, **times()}), "--secret", SECRET)[0]
    assert judged(folder, hs256({**CLAIMS, **times()}), "--secret", SECRET.upper())[0]
    assert judged(folder, hs256({**CLAIMS, **times()}, "00"), "--secret", "00")[0]
    assert not judged(folder, hs256({**CLAIMS, **times()}), "--secret", "00")[0]


def der(raw):
    def number(part):
        part = part.lstrip(b"\0") or b"\0"
        part = b"\0" + part if part[0] & 0x80 else part
        return b"\2" + bytes([len(part)]) + part
    body = number(raw[:32]) + number(raw[32:])
    return b"\x30" + bytes([len(body)]) + body


WEAK = "the HS256 secret is shorter than 32 bytes"


@pytest.mark.parametrize(("size", "weak"), [(1, True), (31, True), (32, False), (64, False)])
def test_a_secret_that_may_be_guessed_is_used_with_a_warning(folder, size, weak):
    """On standard error; what is printed, and what is thought of tokens, stays."""
    secret = "5e" * size
    for words, environ in ((["--secret", secret], {}), ([], {"ATI_JWT_SECRET": secret})):
        issued = folder.run("token", "issue", "--sub", "a", "--scope", "x", *words, **environ)
        assert issued.returncode == 0 and re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", issued.stdout) and (WEAK in issued.stderr) == weak, issued.stderr
        judged = folder.run("token", "validate", issued.stdout.strip(), *words, **environ)
        assert judged.returncode == 0 and "VALID" in judged.stderr and (WEAK in judged.stderr) == weak
        assert size == 1 or secret not in issued.stderr + judged.stderr
    with Proxy(folder, ATI_JWT_SECRET=secret) as proxy:
        status, _, _ = proxy.ask("GET", "/tools", token=issued.stdout.strip())
        assert status == 200
    warnings = [line for line in map(json.loads, proxy.seen) if line["message"].startswith(WEAK)]
    assert [(line["level"], line["bytes"]) for line in warnings] == ([("WARN", size)] if weak else [])


def test_a_pair_is_no_short_secret(folder, pair):
    private, public = pair
    issued = folder.run("token", "issue", "--sub", "a", "--scope", "x", "--key", private)
    assert issued.returncode == 0 and WEAK not in issued.stderr
    assert WEAK not in folder.run("token", "validate", issued.stdout.strip(), "--key", public).stderr


def test_openssl_verifies_the_signature(folder, pair, tmp_path):
    private, public = pair
    openssl("ec", "-in", private, "-out", tmp_path / "sec1.pem")
    assert "BEGIN EC PRIVATE KEY" in (tmp_path / "sec1.pem").read_text()
    for key in (private, tmp_path / "sec1.pem"):
        token = folder.run("token", "issue", "--sub", "a", "--scope", "x", "--key", key).stdout.strip()
        signed, _, signature = token.rpartition(".")
        assert len(decode(signature)) == 64
        (tmp_path / "signature").write_bytes(der(decode(signature)))
        said = openssl("dgst", "-sha256", "-verify", public, "-signature", tmp_path / "signature", stdin=signed.encode())
        assert said == b"Verified OK\n"
        assert judged(folder, token, "--key", public)[0]
        in_asn1 = f"{signed}.{encode(der(decode(signature)))}"
        assert not judged(folder, in_asn1, "--key", public)[0]


def test_keys_that_are_none_are_told(folder, pair, tmp_path):
    private, public = pair
    openssl("genpkey", "-algorithm", "ed25519", "-out", tmp_path / "ed.pem")
    openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", tmp_path / "p384.pem")
    openssl("ec", "-in", private, "-aes256", "-passout", "pass:x", "-out", tmp_path / "locked.pem")
    for key, said in ((tmp_path / "ed.pem", "P-256"), (tmp_path / "p384.pem", "P-256"), (tmp_path / "locked.pem", "passphrase"),
                      (public, "private key"), (tmp_path / "none.pem", f"Cannot read private key {tmp_path}/none.pem: No such file")):
        done = folder.run("token", "issue", "--sub", "a", "--scope", "x", "--key", key)
        assert done.returncode != 0 and said in done.stderr and done.stdout == "", done
    done = folder.run("token", "validate", "a.b.c", "--key", private)
    assert done.returncode != 0 and "public key" in done.stderr


def test_what_is_not_quite_a_token_is_refused(folder, pair):
    _, public = pair
    good = {**CLAIMS, **times()}
    token = hs256(good)
    head, body, mac = token.split(".")
    none = encode(b'{"alg":"none"}')
    refused = [
        "", ".", "..", "...", f"{head}.{body}", f"{head}.{body}.", f"{token}.", f".{token}", f"{token}=", f" {token}", f"{token}\n",
        f"{none}.{body}.", f"{none}.{body}.{mac}", hs256(good, header={"alg": "none"}), hs256(good, header={"alg": "HS512"}),
        hs256(good, header={"alg": "hs256"}), hs256(good, header={"alg": ["HS256"]}), hs256(good, header={}),
        hs256(good, header={"alg": "HS256", "crit": ["x"], "x": 1}), f"{head}.{body}.{mac[:-2]}", f"{head}.{body}.{mac}AA",
        f"{head}.{body}.{mac.swapcase()}", hs256({**good, "pad": "x" * 9000}),
        *(hs256({k: v for k, v in good.items() if k != missing}) for missing in good),
        *(hs256({**good, **bad}) for bad in ({"sub": 7}, {"sub": None}, {"aud": "x"}, {"aud": []}, {"aud": ["x"]}, {"aud": [["ati-proxy"]]},
                                             {"exp": "9999999999"}, {"exp": 1e300}, {"exp": 0}, {"exp": good["iat"] - 61}, {"iat": -1},
                                             {"scope": ["x"]}, {"ati": 1}, {"ati": {}}, {"ati": {"v": 256}}, {"ati": {"v": "1"}}, {"ati": {"v": 1, "rate": {"x": "1/week"}}}, {"iss": 1},
                                             {"ati": {"v": 1, "rate": {"x": "1/s", "y": ""}}}, {"job_id": 1}, {"deep": eval("[" * 60 + "]" * 60)})),
    ]
    twice = f'{{"sub":"a",{json.dumps(good)[1:]}'
    signed = f"{head}.{encode(twice.encode())}"
    refused.append(f"{signed}.{encode(hmac.new(bytes.fromhex(SECRET), signed.encode(), hashlib.sha256).digest())}")
    for one in refused:
        done = folder.run("token", "validate", "--secret", SECRET, "--", one)
        assert done.returncode == 1, (refused.index(one), one)
        assert "INVALID — token: " in done.stderr, (one[:300], done)
    # The public key is no secret of HS256.
    for secret in (public.read_bytes(), public.read_bytes().strip()):
        assert not judged(folder, hs256(good, secret.hex()), "--key", public)[0]
    for fine in ({"exp": int(time.time()) - 30}, {"aud": ["x", "ati-proxy"]}, {"nbf": 9999999999}, {"iat": 9999999999}, {"iss": "any"}, {"scope": ""},
                 {"ati": {"v": 255}}, {"ati": None}):
        assert judged(folder, hs256({**good, **fine}), "--secret", SECRET)[0], fine


def test_the_environment_says_who_signs(folder, pair):
    private, public = pair
    signs = {"ATI_JWT_PRIVATE_KEY": str(private), "ATI_JWT_PUBLIC_KEY": str(public)}
    token = folder.run("token", "issue", "--sub", "a", "--scope", "x", **signs).stdout.strip()
    assert json.loads(decode(token.split(".")[0]))["alg"] == "ES256"
    assert judged(folder, token, **signs)[0]
    # ES256 goes before HS256, and is never mixed up with it
    assert judged(folder, token, ATI_JWT_SECRET=SECRET, **signs)[0]
    assert not judged(folder, folder.token("x"), ATI_JWT_SECRET=SECRET, **signs)[0]
    assert judged(folder, folder.token("x"), ATI_JWT_SECRET=SECRET)[0]
    assert judged(folder, folder.token("x"), ATI_JWT_SECRET=SECRET, ATI_JWT_PUBLIC_KEY="", ATI_JWT_ISSUER="", ATI_JWT_AUDIENCE="")[0]
    assert not judged(folder, folder.token("x"), ATI_JWT_SECRET=SECRET, ATI_JWT_ISSUER="me")[0]
    assert judged(folder, folder.token("x", "--iss", "me"), ATI_JWT_SECRET=SECRET, ATI_JWT_ISSUER="me")[0]
    assert not judged(folder, folder.token("x"), ATI_JWT_SECRET=SECRET, ATI_JWT_AUDIENCE="other")[0]
    assert judged(folder, folder.token("x", "--aud", "other"), ATI_JWT_SECRET=SECRET, ATI_JWT_AUDIENCE="other")[0]
    named = folder.run("token", "issue", "--sub", "a", "--scope", "x", ATI_JWT_SECRET=SECRET, ATI_JWT_ISSUER="env").stdout
    assert json.loads(decode(named.split(".")[1]))["iss"] == "env"
    for words, text, status in ((["issue", "--sub", "a", "--scope", "x"], "No signing key available. ", 1),
                                (["validate", token], "No validation key available. ", 1)):
        done = folder.run("token", *words)
        assert done.returncode == status and text in done.stderr and done.stdout == "", done
    done = folder.run("token", "validate", token, ATI_JWT_SECRET="nothex")
    assert done.returncode == 1 and "ATI_JWT_SECRET is not valid hex: " in done.stderr


def test_a_rate_has_a_count_and_one_of_these_units(folder):
    rates = {f"tool:{unit}:{count}": f"{count}/{unit}" for unit in ("s", "sec", "second", "m", "min", "minute", "h", "hr", "hour", "d", "day")
             for count in ("0", "18446744073709551615")}
    token = folder.token("x", *(f"--rate={pattern}={spec}" for pattern, spec in rates.items()))
    assert judged(folder, token, "--secret", SECRET)[0] and json.loads(decode(token.split(".")[1]))["ati"] == {"v": 1, "rate": rates}
    for bad in ("10", "10/", "/hour", "10/week", "10/Hour", "10/hours", "ten/hour", "-1/hour", "1.5/hour", "10/hour/x", "18446744073709551616/s", " 1/s", 10, None, ["1/s"]):
        good, said = judged(folder, hs256({**CLAIMS, **times(), "ati": {"v": 1, "rate": {"tool:y": "1/s", "tool:x": bad}}}), "--secret", SECRET)
        assert not good and "ati.rate" in said, bad


def test_a_rate_that_is_none_makes_no_token(folder):
    for rate in ("bad", "=1/s", "tool:x=1/week", "tool:x=", "tool:x=ten/s", "tool x=1/s"):
        done = folder.run("token", "issue", "--sub", "a", "--scope", "x", "--secret", SECRET, "--rate", rate)
        assert done.returncode != 0 and done.stdout == "", rate
        if " " not in rate:
            assert f"Invalid rate spec '{rate}': expected pattern=count/unit (e.g. tool:github:*=10/hour)" in done.stderr
            assert json.loads(done.stderr.splitlines()[-1])["error"]["code"] == "input.invalid_value"


def test_inspect_shows_claims_without_a_key(folder):
    claims = {**CLAIMS, **times(-5000), "more": 1}
    done = folder.run("token", "inspect", hs256(claims))
    assert done.returncode == 0 and done.stderr == ""
    shown = {"ati": None, "aud": "ati-proxy", "exp": claims["exp"], "iat": claims["iat"], "iss": None, "jti": None, "scope": CLAIMS["scope"],
             "scopes": ["tool:a:b", "tool:c*", "help"], "sub": "agent-7"}
    assert done.stdout == json.dumps(shown, indent=2) + "\n"
    for bad in ("abc", "a.b.c", hs256({"sub": "x"}), "e30.W10.AA"):
        done = folder.run("token", "inspect", bad)
        assert done.returncode == 2 and done.stdout == "" and "Invalid token" in done.stderr


def test_auth_status_without_a_token(folder):
    for words in ([], ["--output", "text"], ["--output", "table"]):
        done = folder.run(*words, "auth", "status", ATI_SESSION_TOKEN="")
        assert done.returncode == 0
        assert done.stdout == ("No session token set (ATI_SESSION_TOKEN not configured)\n"
                               "Running in unrestricted mode — all tools accessible.\n")


def test_auth_status_in_its_formats(folder):
    claims = {**CLAIMS, **times(7300), "iss": "me", "jti": "i", "job_id": "job-1", "sandbox_id": "box-1"}
    token = hs256(claims)
    done = folder.run("auth", "status", ATI_SESSION_TOKEN=token)
    shown = json.loads(done.stdout)
    left = shown.pop("time_remaining_secs")
    assert 7300 - PATIENCE * 2 < left <= 7300
    assert list(shown) == sorted(shown)
    assert shown == {**claims, "expired": False, "help_enabled": True, "scopes": CLAIMS["scope"].split(), "signature_verified": False,
                     "skill_scopes": 0, "tool_scopes": 2}
    verified = folder.run("auth", "status", ATI_SESSION_TOKEN=token, ATI_JWT_SECRET=SECRET)
    assert json.loads(verified.stdout)["signature_verified"] is True
    text = folder.run("--output", "text", "auth", "status", ATI_SESSION_TOKEN=token).stdout.splitlines()
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims["exp"]))
    assert text[:7] == ["Agent:    agent-7", "Issuer:   me", "Audience: ati-proxy", "Job ID:   job-1", "Sandbox:  box-1",
                        "Scopes:   2 tools, 0 skills, help enabled", "  " + CLAIMS["scope"]]
    assert re.fullmatch(rf"Expires:  {when} \(2h [01]m remaining\)", text[7])
    assert text[8:] == ["Verified: NO (public key not available)"]
    for secret, said in ((SECRET, "Verified: YES"), ("00" * 32, "Verified: NO (token: the signature is wrong)")):
        assert folder.run("--output", "text", "auth", "status", ATI_SESSION_TOKEN=token, ATI_JWT_SECRET=secret).stdout.splitlines()[-1] == said


def test_auth_status_of_what_is_over_or_never_is(folder):
    over = hs256({**CLAIMS, **times(-3600)})
    shown = json.loads(folder.run("auth", "status", ATI_SESSION_TOKEN=over).stdout)
    assert shown["expired"] is True and shown["time_remaining_secs"] == 0
    done = folder.run("--output", "text", "auth", "status", ATI_SESSION_TOKEN=over)
    assert "Expires:  EXPIRED\n" in done.stdout and "your session has expired" in done.stderr
    never = hs256({**CLAIMS, "iat": 1, "exp": 0})
    shown = json.loads(folder.run("auth", "status", ATI_SESSION_TOKEN=never).stdout)
    assert shown["expired"] is False and shown["time_remaining_secs"] is None
    assert "Expires:  never\n" in folder.run("--output", "text", "auth", "status", ATI_SESSION_TOKEN=never).stdout
    done = folder.run("auth", "status", ATI_SESSION_TOKEN="nonsense")
    assert done.returncode == 2 and "Cannot decode ATI_SESSION_TOKEN: " in done.stderr and done.stdout == ""


@pytest.mark.parametrize("scope, tools, skills, help_enabled", [
    ("", 0, 0, False), ("*", 0, 0, True), ("help", 0, 0, True), ("tool:* skill:a skill:b\tHELP", 1, 2, False), (" tool:a\n tool:b category:c skills:x tools:y ", 2, 0, False)])
def test_auth_status_counts_scopes(folder, scope, tools, skills, help_enabled):
    token = hs256({**CLAIMS, **times(), "scope": scope})
    shown = json.loads(folder.run("auth", "status", ATI_SESSION_TOKEN=token).stdout)
    assert (shown["tool_scopes"], shown["skill_scopes"], shown["help_enabled"], shown["scopes"]) == (tools, skills, help_enabled, scope.split())
    text = folder.run("--output", "text", "auth", "status", ATI_SESSION_TOKEN=token).stdout
    assert f"Scopes:   {tools} tools, {skills} skills, help {'enabled' if help_enabled else 'disabled'}\n" in text


def test_the_token_file_is_read_each_time(folder):
    file = folder.path / "session"

    def subject(**environ):
        done = folder.run("auth", "status", ATI_SESSION_TOKEN_FILE=str(file), ATI_JWT_SECRET=SECRET, **environ)
        if done.stdout.startswith("No session token set "):
            return None
        shown = json.loads(done.stdout)
        assert shown["signature_verified"] is True  # of all of it, and nothing beside it
        return shown["sub"]

    assert subject() is None
    for name in ("one", "two"):
        file.write_text(f"\n{folder.token('x', sub=name)}\r\n")
        assert subject() == name
    assert subject(ATI_SESSION_TOKEN=f" {folder.token('x', sub='environment')}\n") == "environment"
    assert subject(ATI_SESSION_TOKEN="  ") == "two"
    file.write_text("\n")
    assert subject() is None
    done = folder.run("auth", "status", ATI_SESSION_TOKEN_FILE=str(folder.path))
    assert done.returncode != 0 and f"Cannot read {folder.path}: Is a directory" in done.stderr


SAY = '[provider]\nname = "say"\ndescription = "says it"\nhandler = "cli"\ncli_command = "/bin/echo"\n'


def test_tools_of_this_machine_ask_for_the_token(folder):
    folder.manifest("say", SAY)
    done = folder.run("run", "say", "hello")
    assert done.returncode == 0 and "hello" in done.stdout
    told = ("ATI_SESSION_TOKEN is required because JWT validation is configured locally. Set ATI_SESSION_TOKEN, ATI_SESSION_TOKEN_FILE, or "
            "write the token to /run/ati/session_token.")
    done = folder.run("run", "say", "hello", ATI_JWT_SECRET=SECRET, ATI_SESSION_TOKEN_FILE=str(folder.path / "none"))
    assert done.returncode != 0 and told in done.stderr and done.stdout == ""
    done = folder.run("run", "say", "hello", ATI_JWT_SECRET=SECRET, ATI_SESSION_TOKEN="a.b.c")
    assert done.returncode != 0 and "Invalid ATI_SESSION_TOKEN: " in done.stderr
    for scope, good in (("tool:say", True), ("tool:s*", True), ("*", True), ("tool:other", False), ("", False), ("Tool:say", False)):
        done = folder.run("run", "say", "hello", ATI_JWT_SECRET=SECRET, ATI_SESSION_TOKEN=folder.token(scope))
        assert (done.returncode == 0) == good, (scope, done)
        if not good:
            assert done.returncode == 3 and "Access denied: 'say' is not in your scopes" in done.stderr


def test_a_token_in_its_leeway_calls_nothing_on_this_machine(folder):
    folder.manifest("say", SAY)
    over = {**CLAIMS, **times(-20), "scope": "*"}
    done = folder.run("run", "say", "hello", ATI_JWT_SECRET=SECRET, ATI_SESSION_TOKEN=hs256(over))
    assert done.returncode == 3 and done.stdout == ""
    assert json.loads(done.stderr.splitlines()[-1])["error"] == {
        "code": "auth.scope_denied", "exit_code": 3, "message": f"Scopes have expired (expired at {over['exp']})"}


@pytest.mark.parametrize("environ, told", [({"ATI_JWT_SECRET": "nothex"}, "ATI_JWT_SECRET is not valid hex: "), ({"ATI_JWT_SECRET": "abc"}, "ATI_JWT_SECRET is not valid hex: "),
                                           ({"ATI_JWT_PUBLIC_KEY": "/nowhere.pem"}, "/nowhere.pem")])
def test_a_broken_configuration_opens_no_tool_of_this_machine(folder, environ, told):
    folder.manifest("say", SAY)
    for words in (["run", "say", "hello"], ["tool", "list"], ["tool", "info", "say"], ["tool", "search", "say"]):
        done = folder.run(*words, **environ)
        assert done.returncode != 0 and done.stdout == "" and told in done.stderr, (words, done)


def test_without_a_configuration_a_token_restricts_nothing(folder):
    """And whoever calls is called dev."""
    folder.manifest("say", SAY)
    assert folder.run("run", "say", "hello", ATI_SESSION_TOKEN=folder.token("tool:other")).returncode == 0
    (line,) = [json.loads(text) for text in (folder.path / "audit.jsonl").read_text().splitlines()]
    assert (line["tool"], line["status"], line["agent_sub"]) == ("say", "ok", "dev")


def test_a_rate_holds_from_one_process_to_the_next(folder):
    folder.manifest("say", SAY)
    token = folder.token("*", "--rate", "tool:say=2/day", sub="limited")
    other = folder.token("*", "--rate", "tool:say=2/day", sub="another")
    environ = {"ATI_JWT_SECRET": SECRET}
    assert [folder.run("run", "say", "x", ATI_SESSION_TOKEN=token, **environ).returncode for _ in range(3)] == [0, 0, 5]
    done = folder.run("run", "say", "x", ATI_SESSION_TOKEN=token, **environ)
    assert "Rate limit exceeded for 'tool:say': 2/day (limit: 2/day)" in done.stderr
    assert folder.run("run", "say", "x", ATI_SESSION_TOKEN=other, **environ).returncode == 0
    state = folder.path / "rate-state.json"
    assert state.stat().st_mode & 0o777 == 0o600
    assert {key: len(value) for key, value in json.loads(state.read_text())["calls"].items()} == {"tool:say limited": 2, "tool:say another": 1}
    state.write_text("{nonsense")
    assert folder.run("run", "say", "x", ATI_SESSION_TOKEN=token, **environ).returncode == 0


def test_a_window_slides_over_the_file(folder):
    folder.manifest("say", SAY)
    environ = {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN": folder.token("*", "--rate", "tool:say=2/hour", "--rate", "tool:*=100/day")}
    state = folder.path / "rate-state.json"

    def ran(*ages):
        now = int(time.time())
        state.write_text(json.dumps({"calls": {"tool:say agent-7": [now - age for age in ages]}}))
        return folder.run("run", "say", "x", **environ)

    assert ran(3500, 3400).returncode == 5
    assert ran(3700, 3400).returncode == 0 and ran(7200, 3601).returncode == 0
    calls = json.loads(state.read_text())["calls"]
    assert len(calls["tool:* agent-7"]) == 1 and abs(calls["tool:say agent-7"][-1] - time.time()) < PATIENCE
    assert sorted(path.name for path in folder.path.glob("rate-state*")) == ["rate-state.json"]
    assert "Rate limit exceeded for 'tool:say': 2/hour (limit: 2/hour)" in ran(30, 20).stderr


def test_what_the_scope_does_not_open_is_not_counted(folder):
    folder.manifest("say", SAY)
    environ = {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN": folder.token("tool:other", "--rate", "tool:*=0/day")}
    for name, status in (("say", 3), ("nobody", 1)):
        assert folder.run("run", name, "x", **environ).returncode == status
    assert not (folder.path / "rate-state.json").exists()


def test_processes_at_once_share_a_rate(folder):
    """Each waits for its turn: here all of them do, at a lock that the test holds."""
    folder.manifest("say", SAY)
    environ = environment_of(folder, "*", "--rate", "tool:say=3/day")
    inode = f":{folder.path.stat().st_ino} "

    def waiting():
        return sum(" -> FLOCK " in line and inode in line for line in pathlib.Path("/proc/locks").read_text().splitlines())

    lock = os.open(folder.path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = [subprocess.Popen([ATI, "run", "say", "x"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
                   for _ in range(6)]
        eventually(lambda: waiting() == len(running) or any(one.poll() is not None for one in running), "six who wait")
        assert all(one.poll() is None for one in running)
    finally:
        os.close(lock)
    for one in running:
        one.communicate(timeout=PATIENCE * 2)
    assert sorted(one.returncode for one in running) == [0] * 3 + [5] * 3


def environment_of(folder, *words):
    return environment(folder.path, {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN": folder.token(*words)})


def test_init_makes_keys_that_work(folder):
    done = folder.run("init")
    assert done.returncode == 0 and done.stdout == "" and "initialized ATI directory" in done.stderr
    assert (folder.path / "config.toml").read_text() == "# ATI configuration\n"
    (folder.path / "config.toml").write_text("# mine\n")
    assert folder.run("init").returncode == 0
    assert (folder.path / "config.toml").read_text() == "# mine\n"
    assert folder.run("init", "--proxy").returncode == 0
    text = (folder.path / "config.toml").read_text()
    secret = re.search(r'^secret = "([0-9a-f]{64})"$', text, re.M)[1]
    assert '[proxy]\nport = 8090\nbind = "127.0.0.1"\n' in text and '[proxy.jwt]\nalgorithm = "HS256"\n' in text
    assert (folder.path / "config.toml").stat().st_mode & 0o777 == 0o600
    assert judged(folder, folder.token("x", secret=secret), "--secret", secret)[0]
    assert folder.run("init", "--proxy", "--es256").returncode == 0
    text = (folder.path / "config.toml").read_text()
    assert 'algorithm = "ES256"\nprivate_key = "jwt-private.pem"\npublic_key = "jwt-public.pem"\n' in text and secret not in text
    private, public = folder.path / "jwt-private.pem", folder.path / "jwt-public.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    assert openssl("pkey", "-in", private, "-pubout").decode() == public.read_text()
    token = folder.run("token", "issue", "--sub", "a", "--scope", "x", "--key", private).stdout.strip()
    assert judged(folder, token, "--key", public)[0]
    for name in ("manifests", "specs", "skills"):
        assert (folder.path / name).is_dir()
