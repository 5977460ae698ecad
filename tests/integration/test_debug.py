"""ATLS_DEBUG: the steps of a connection on standard error, and nothing there that is a secret."""

import base64
import json
import os
import subprocess

import pytest


from harness.base import BIN
from harness.tee import Tee

TOKEN, FIELD, QUERY, BODY, ANSWER, NAME = (f"secret-{word}-4711" for word in ("token", "field", "query", "body", "answer", "path"))


def run(world, *words, env, port=None, expect=0, data=None):
    done = subprocess.run([BIN / "atls", words[0], f"https://localhost:{port or world.port}/{NAME}?q={QUERY}", f"Authorization: Bearer {TOKEN}",
                           f"X-Other: {FIELD}", "--policy", world.sim / "policy.json", "--cacert", world.sim / "tls-ca.pem",
                           "--cache", world.folder / "cache", *words[1:]],
                          capture_output=True, timeout=60, input=data, check=False, env={**os.environ, **env})
    assert done.returncode == expect, done.stderr
    return done


def events(done):
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_the_steps_are_told(world):
    world.start_tee("--without-collateral")
    done = run(world, "get", env={"ATLS_DEBUG": "json"})
    told = events(done)
    assert [e["event"] for e in told] == ["connection.dialling", "connection.open", "quote.asked", "quote.came", "collateral.fetching",
                                          "collateral.fetched", "attested", "request.sending", "answer.begun", "answer.ended",
                                          "connection.closed"]
    by_name = {e["event"]: e for e in told}
    assert all(e["level"] == "debug" for e in told)
    assert by_name["quote.asked"]["cipher"].startswith("TLS_") and len(by_name["quote.asked"]["nonce"]) == 64
    assert by_name["quote.came"]["quote_bytes"] > 1000 and by_name["quote.came"]["collateral"] == "wanted"
    assert by_name["collateral.fetching"]["service"] == f"127.0.0.1:{world.pccs}" and not by_name["collateral.fetching"]["anew"]
    assert by_name["attested"]["status"] == "UpToDate" and by_name["attested"]["tcb_info_edition"] == 17
    assert by_name["connection.closed"]["bytes_received"] > by_name["quote.came"]["quote_bytes"]
    for secret in (TOKEN, FIELD, QUERY, NAME):
        assert secret.encode() not in done.stderr


@pytest.mark.parametrize("env, lines", [({"ATLS_DEBUG": "1"}, True), ({"DEBUG_ATLS": "true"}, True), ({"DEBUG_ATLS": "1", "ATLS_DEBUG": ""}, True),
                                        ({"ATLS_DEBUG": "0"}, False), ({"ATLS_DEBUG": "off", "DEBUG_ATLS": "1"}, False), ({}, False)])
def test_who_asks_for_it(world, env, lines):
    world.start_tee()
    done = run(world, "get", env={"ATLS_DEBUG": "", "DEBUG_ATLS": "", **env})
    assert (b"DEBUG" in done.stderr) == lines and done.stdout.startswith(b"path /")


def test_nothing_secret_is_told(world, stack):
    """The other end knows all keys of the session, and looks for them."""
    def serve(connection):
        while request := connection.request():
            if "tdx_quote" in request[0]:
                connection.quote(request[1])
            else:
                assert BODY.encode() in request[1]
                connection.answer(ANSWER.encode(), f"X-Answer: {FIELD}")

    tee = Tee(world.sim, world.folder, serve)
    stack.callback(tee.close)
    for how in ("1", "json"):
        done = run(world, "post", env={"ATLS_DEBUG": how}, port=tee.port, data=f"{BODY} and more".encode())
        assert ANSWER.encode() in done.stdout and b"attested" in done.stderr
        secrets = [line.split()[2] for line in tee.keylog.read_text().splitlines() if not line.startswith("#")]
        assert len(secrets) >= 5
        secrets = [bytes.fromhex(s) for s in secrets] + [one.exporter for one in tee.connections]
        forms = [form(s) for s in secrets for form in (bytes, lambda s: s.hex().encode(), lambda s: s.hex().upper().encode(), base64.b64encode)]
        forms += [word.encode() for word in (TOKEN, FIELD, QUERY, BODY, ANSWER, NAME)]
        forms += [base64.b64encode(word.encode()) for word in (TOKEN, BODY)]
        assert not [form for form in forms if form in done.stderr]


def test_failures_tell_no_secret_either(world):
    done = run(world, "get", "--proxy", f"ws://user:{TOKEN}@127.0.0.1:1/?token={TOKEN}", env={"ATLS_DEBUG": "json"}, expect=2)
    assert TOKEN.encode() not in done.stderr and b"--proxy" in done.stderr and b'"bridge":"127.0.0.1:1"' in done.stderr
    done = run(world, "get", "--proxy", f"ws://127.0.0.1:1/?token={TOKEN}", env={"ATLS_DEBUG": "json"}, expect=10)
    assert TOKEN.encode() not in done.stderr and b'"event":"connection.failed"' in done.stderr
    world.start_tee("--without-collateral")
    done = run(world, "get", "--pccs-url", f"http://user:{TOKEN}@127.0.0.1:1", env={"ATLS_DEBUG": "json"}, expect=10)
    assert TOKEN.encode() not in done.stderr and b"collateral_fetch" in done.stderr and b"without user and password" in done.stderr
