"""atlas-tee: its certificate: measured, replaced, derived."""

import hashlib
import json
import shutil
import signal
import subprocess
import threading

import pytest

from harness import certs
from harness.attested import Agent
from harness.endpoint import leaf_of, measured, served


def test_sessions_may_be_attested_again(world):
    """A new nonce and the same exporter value make another quote; the application goes on in between."""
    world.start_tee()
    with world.session() as session:
        quotes = []
        for nonce in ("00", "11"):
            quotes.append(json.loads(session.quote(nonce * 32).body)["quote"])
            assert session.ask("GET", "/between").body == b"path /between"
    assert quotes[0]["report_data"] != quotes[1]["report_data"] and quotes[0]["event_log"] == quotes[1]["event_log"]


def test_a_replaced_certificate_ends_attestation_and_nothing_else(world):
    """A session on the old leaf goes on; asked for a quote it says 409, and closes so that the client connects again."""
    tee = world.start_tee()
    first = leaf_of(world.sim / "tls-cert.pem")
    with world.session() as old, world.session() as asked:
        assert measured(old.quote()) == [first]
        tee.hang_up()  # nothing has changed
        assert measured(old.quote()) == [first]
        world.new_certificate()
        tee.hang_up(count=2)
        for _ in range(3):
            assert old.ask("GET", "/old").body == b"path /old"
        assert asked.ask("POST", "/digest", body=b"abc").body == hashlib.sha256(b"abc").hexdigest().encode()
        refused = asked.quote()
        assert refused.status == 409 and refused.headers["Connection"] == "close" and b"connect again" in refused.body
        assert asked.closed()
        assert old.ask("GET", "/still").body == b"path /still"
        assert old.quote().status == 409 and old.closed()
    with world.session() as new:
        assert measured(new.quote()) == [first, leaf_of(world.sim / "tls-cert.pem")]
    assert world.atls("get", "/new").stdout == b"path /new"
    (world.sim / "tls-cert.pem").write_text("broken")
    tee.hang_up("reload.failed")
    assert world.atls("get", "/as-before").stdout == b"path /as-before"


def test_another_chain_of_the_same_leaf_is_served_at_once(world):
    """It is the leaf that is measured."""
    tee = world.start_tee()
    cert = world.sim / "tls-cert.pem"
    with world.session() as session:
        cert.write_text(cert.read_text() + (world.sim / "tls-ca.pem").read_text())
        tee.hang_up()
        assert measured(session.quote()) == [leaf_of(cert)]
    with world.session() as session:
        assert measured(session.quote()) == [leaf_of(cert)]


def test_no_quote_names_another_certificate_than_the_session_has(world, stack):
    """The certificate is replaced while one quote is made and another is waited for."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee("--provider", f"dstack:{agent.path}")
    first, answers = leaf_of(world.sim / "tls-cert.pem"), []
    agent.hold("GetQuote")
    threads = [threading.Thread(target=lambda s: answers.append(s.quote()), args=(stack.enter_context(world.session()),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    agent.wait("GetQuote", 2)  # the first is the endpoint's own, at the start
    world.new_certificate()
    tee.process.send_signal(signal.SIGHUP)
    agent.release("GetQuote")
    for thread in threads:
        thread.join()
    tee.wait("reloaded")
    assert len(answers) == 3
    assert all(a.status == 409 or measured(a)[-1] == first for a in answers)
    with world.session() as session:
        assert measured(session.quote())[-1] == leaf_of(world.sim / "tls-cert.pem")


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True).stdout


def public_key(*words):
    return openssl(*words, "-noout", "-pubkey")


def test_a_derived_key_is_the_same_after_each_start(world):
    """It is of P-256, follows from the name, and is in the request and in the certificate; nothing is on disk but the request."""
    pccs = f"http://127.0.0.1:{world.pccs}"
    keys = []
    for name in ("tee.example", "tee.example", "other.example"):
        tee = world.start_tee("--derived-key", "--name", name, "--csr", world.folder / "csr", "--pccs-url", pccs, files=False)
        leaf = world.folder / "leaf.pem"
        leaf.write_bytes(served(world))
        assert public_key("x509", "-in", leaf) == public_key("req", "-in", world.folder / "csr")
        text = openssl("req", "-in", world.folder / "csr", "-noout", "-text", "-verify").decode()
        assert f"DNS:{name}" in text and f"CN = {name}" in text and "ecdsa-with-SHA256" in text and "P-256" in text
        keys.append(public_key("x509", "-in", leaf))
        tee.stop()
    assert keys[0] == keys[1] != keys[2]
    assert not [p for p in world.folder.rglob("*") if p.is_file() and p.parent != world.sim and b"PRIVATE KEY" in p.read_bytes()]


def test_a_derived_key_with_a_certificate_of_an_authority(world):
    """What was issued for the request is served once it is there: the key never was in a file."""
    ca = certs.authority(world.folder)
    options = ("--derived-key", "--csr", world.folder / "csr", "--cert", world.folder / "chain.pem", "--acme-listen", "127.0.0.1:0")
    tee = world.start_tee(*options, files=False)
    assert tee.wait("certificate.awaited")["file"] == str(world.folder / "chain.pem")
    (world.folder / "chain.pem").write_bytes(
        openssl("x509", "-req", "-in", world.folder / "csr", "-CA", ca.cert, "-CAkey", ca.key, "-days", 30, "-copy_extensions", "copy"))
    tee.hang_up()
    shutil.copyfile(ca.cert, world.sim / "tls-ca.pem")
    with world.session() as session:  # judged by that authority, for the name in the request
        assert measured(session.quote())[-1] == leaf_of(world.folder / "chain.pem")
    tee.stop()
    other = world.folder / "other.pem"
    other.write_bytes((world.sim / "tls-cert.pem").read_bytes())
    done = world.run("atlas-tee", *options[:-2], "--cert", other, "--listen", "127.0.0.1:0", "--provider", f"dstack:{world.sim}/dstack.sock",
                     expect=2)
    assert b"not the certificate's" in done.stderr


@pytest.mark.parametrize("key, status", [("00" * 32, 2), ("ff" * 32, 2), ("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 2),
                                         ("00" * 31, 65), ("not hex", 65)])
def test_what_is_no_key_is_refused(world, stack, key, status):
    """0, the order and beyond it, and answers that are no 32 bytes; none of them is shown."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    agent.scripted["GetKey"] = (200, json.dumps({"key": key, "signature_chain": []}).encode())
    done = world.run("atlas-tee", "--derived-key", "--name", "tee.example", "--provider", f"dstack:{agent.path}", "--listen", "127.0.0.1:0",
                     "--without-collateral", expect=status)
    assert b"GetKey" in done.stderr and key.encode() not in done.stderr
    assert json.loads(agent.bodies[0]) == {"path": "cert/letsencrypt/tee.example/v1", "purpose": ""}


def test_keys_that_exclude_each_other(world):
    for options, word in ((("--derived-key", "--cert", "x", "--key", "y"), b"takes the place of --key"), (("--csr", "x"), b"--derived-key"),
                          (("--acme-webroot", "/tmp"), b"--acme-listen"), (("--name", "a" * 256), b"--name")):
        assert word in world.run("atlas-tee", "--check", *options, expect=2).stderr
    done = world.run("atlas-tee", "--derived-key", "--provider", f"tsm:{world.start_kernel()}", "--without-collateral", expect=2)
    assert b"has no keys" in done.stderr
