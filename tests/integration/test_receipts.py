"""Receipts: an attestation in a file, verified again without any network, by somebody who was not there."""

import hashlib
import json
import subprocess

import pytest

from harness.attested import World
from harness.base import BIN, ROOT

PAST = ROOT / "tests/fuzz/corpus/receipt/strict"


@pytest.fixture
def world(tmp_path, stack):
    one = World(tmp_path, stack)
    one.start_tee()
    return one


def issue(world, path="/x", **how):
    """A receipt of a connection: its file."""
    file = world.folder / "receipt.json"
    world.atls("get", path, "--receipt", file, **how)
    return file


def verify(world, file, *words, **how):
    return world.run("atls", "receipt", "verify", file, *words, **how)


def canonical(document):
    """As jq -cj 'del(.sha256)' writes it."""
    return json.dumps({k: v for k, v in document.items() if k != "sha256"}, separators=(",", ":"), ensure_ascii=False).encode()


def edited(world, file, change, sealed):
    document = json.loads(file.read_text())
    change(document)
    if sealed:
        document["sha256"] = hashlib.sha256(canonical(document)).hexdigest()
    other = world.folder / "edited.json"
    other.write_text(json.dumps(document))
    return other


def test_a_receipt_verifies_when_nobody_is_there(world):
    file = issue(world)
    assert file.stat().st_mode & 0o777 == 0o600
    world.simulator.stop()
    world.tee.stop()
    document = json.loads(file.read_text())
    assert document["receipt"] == "postern-attestation/1" and document["evidence"]["type"] == "tdx"
    assert document["session"]["binder"] == "tls-exporter" and document["session"]["server_name"] == "localhost"
    assert document["sha256"] == hashlib.sha256(canonical(document)).hexdigest()
    assert document["policy"]["text"] == (world.sim / "policy.json").read_text()
    certificate = bytes.fromhex(document["session"]["certificate"])
    assert hashlib.sha256(certificate).hexdigest() == document["session"]["certificate_sha256"]
    assert document["session"]["report_data"] in document["evidence"]["quote"]
    done = verify(world, file, "--root", world.sim / "root-cert.pem").stdout.decode()
    assert "SIMULATED" in done and "by the word of the client alone" in done and "localhost" in done
    told = json.loads(verify(world, file, "--policy", world.sim / "policy.json", "--json").stdout)
    assert told["verified"] and told["judged_by"] == "policy" and told["session"] == document["session"]
    assert told["report"]["compose_hash"] == document["summary"]["compose_hash"]
    assert told["report"]["verified_at"] == document["session"]["verified_at"]


def test_its_parts_are_what_the_other_commands_read(world):
    document = json.loads(issue(world).read_text())
    for name in ("quote", "event_log"):
        (world.folder / name).write_text(document["evidence"][name])
    (world.folder / "collateral").write_text(json.dumps(document["evidence"]["collateral"]))
    world.run("atls", "verify", world.folder / "quote", "--collateral", world.folder / "collateral", "--event-log", world.folder / "event_log",
              "--policy", world.sim / "policy.json", "--report-data", document["session"]["report_data"], "--certificate-sha256",
              document["session"]["certificate_sha256"], "--at", document["session"]["verified_at"])


def test_a_root_of_its_own_counts_for_nobody_who_did_not_name_it(world):
    file = issue(world)
    refused = verify(world, file, expect=1)
    assert b"trust_root" in refused.stderr and refused.stdout == b""


@pytest.mark.parametrize("change, code, name", [
    (lambda d: d["summary"].update(status="OutOfDate"), "receipt_field", "summary.status"),
    (lambda d: d["summary"].update(simulated=False), "receipt_field", "summary.simulated"),
    (lambda d: d["summary"].update(trust_root="intel"), "receipt_field", "summary.trust_root"),
    (lambda d: d["summary"].update(compose_hash="00" * 32), "receipt_field", "summary.compose_hash"),
    (lambda d: d["summary"]["events"].pop(), "receipt_field", "summary.events"),
    (lambda d: d["summary"].pop("fmspc"), "receipt_field", "summary.fmspc"),
    (lambda d: d["summary"].update(tcb_evaluation_data_number=99), "receipt_field", "summary.tcb_evaluation_data_number"),
    (lambda d: d["policy"].update(text=d["policy"]["text"].replace("UpToDate", "OutOfDate")), "receipt_field", "policy.sha256"),
    (lambda d: d["session"].update(server_name="bank.example"), "receipt_field", "session.server_name"),
    (lambda d: d["session"].update(verified_at="2024-01-01T00:00:00Z"), "receipt_field", "session.verified_at"),
    (lambda d: d["session"].update(report_data="00" * 64), "report_data_mismatch", "report data"),
    (lambda d: d["session"].update(password="x"), "receipt_syntax", "session.password"),
    (lambda d: d.update(receipt="postern-attestation/9"), "receipt_syntax", "postern-attestation/9"),
    (lambda d: d["evidence"].update(type="sev-snp"), "receipt_syntax", "sev-snp"),
    (lambda d: d["evidence"].update(event_log="[]"), "certificate_not_in_event_log", "event log"),
])
@pytest.mark.parametrize("sealed", [False, True], ids=["careless", "sealed"])
def test_an_edited_receipt_is_refused(world, change, code, name, sealed):
    other = edited(world, issue(world), change, sealed)
    told = json.loads(verify(world, other, "--root", world.sim / "root-cert.pem", "--json", expect=1).stdout)
    assert not told["verified"] and told["error"]["code"] == code and name in told["error"]["message"]
    assert told["report"] is None


def test_what_nobody_signed_is_found_unless_it_is_sealed_anew(world):
    file = issue(world)
    root = ("--root", world.sim / "root-cert.pem")

    def change(document):
        document["session"]["nonce"] = "00" * 32

    assert b"receipt_digest" in verify(world, edited(world, file, change, False), *root, expect=1).stderr
    verify(world, edited(world, file, change, True), *root)  # the client's word, as the manual says


def test_another_policy_and_another_time(world):
    file = issue(world, policy="policy-dev.json")
    verify(world, file, "--policy", world.sim / "policy.json")
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["app_compose"] = "{}"
    policy.pop("app_compose_hash", None)
    (world.sim / "other.json").write_text(json.dumps(policy))
    assert b"app_compose_hash_mismatch" in verify(world, file, "--policy", world.sim / "other.json", expect=1).stderr
    late = verify(world, file, "--policy", world.sim / "policy.json", "--at", "2041-01-01T00:00:00Z", expect=1)
    assert b"crl_time" in late.stderr
    assert b"--at" in verify(world, file, "--at", "tomorrow", expect=2).stderr


def test_show_verifies_nothing(world):
    file = issue(world)
    other = edited(world, file, lambda d: d["summary"].update(status="Shiny\x1b[31m\u202e"), False)
    shown = world.run("atls", "receipt", "show", other).stdout.decode()
    assert "nothing is verified" in shown and "Shiny" in shown and "New TLS Certificate" in shown
    assert "\x1b" not in shown and "\u202e" not in shown
    assert json.loads(world.run("atls", "receipt", "show", file, "--json").stdout) == json.loads(file.read_text())
    for bad in (b"", b"{}", b"[]", b"\xff", b'{"receipt":1}'):
        other.write_bytes(bad)
        assert b"receipt_syntax" in world.run("atls", "receipt", "show", other, expect=1).stderr
    world.run("atls", "receipt", "show", world.folder / "none", expect=2)
    world.run("atls", "receipt", "burn", file, expect=2)


def test_a_hostile_quote_does_not_paint_the_terminal(world):
    """The chain in a quote is text of whoever made it."""
    quote = bytearray(world.run("atlas-sim", "quote", world.sim).stdout)
    at = quote.index(b"-----BEGIN CERTIFICATE-----")
    quote[at:at + 12] = b"\x1b[2J\xe2\x80\xae\x9b\x07abc"
    (world.folder / "quote").write_bytes(quote)
    shown = world.run("atls", "inspect", world.folder / "quote").stdout
    assert b"?[2J?" in shown and b"ab" in shown and b"-----END CERTIFICATE-----\n" in shown
    assert not [bad for bad in (b"\x1b", b"\xe2\x80\xae", b"\x9b", b"\x07") if bad in shown]


def test_standard_input(world):
    file = issue(world)
    world.run("atls", "receipt", "verify", "-", "--root", world.sim / "root-cert.pem", data=file.read_bytes())


def test_post_and_connect_write_one_too(world):
    for words, data in ((("post", f"https://localhost:{world.port}/digest"), b"body"),
                        (("connect", f"localhost:{world.port}"), b"GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")):
        file = world.folder / f"{words[0]}.json"
        world.run("atls", *words, "--policy", world.sim / "policy.json", "--cacert", world.sim / "tls-ca.pem", "--receipt", file, data=data)
        verify(world, file, "--root", world.sim / "root-cert.pem")


def test_where_no_receipt_can_be_written_nothing_is_sent(world):
    done = world.atls("post", "/digest", "--receipt", world.folder / "none/receipt.json", "--data", "@secret", expect=10)
    assert b"--receipt" in done.stderr and done.stdout == b""


def test_nothing_is_written_for_a_refused_endpoint(world):
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["os_image_hash"] = "00" * 32
    (world.sim / "other.json").write_text(json.dumps(policy))
    file = world.folder / "receipt.json"
    world.atls("get", "/x", "--receipt", file, policy="other.json", expect=14)
    assert not file.exists()


def test_a_receipt_of_the_past(tmp_path):
    """One that was kept in the tree: its platform is gone, its collateral expired, and it verifies as it did then."""
    (tmp_path / "policy.json").write_text(json.loads(PAST.read_text())["policy"]["text"])
    done = subprocess.run([BIN / "atls", "receipt", "verify", PAST, "--policy", tmp_path / "policy.json", "--json"],
                          capture_output=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert told["verified"] and told["report"]["status"] == "UpToDate" and told["report"]["runtime_verified"]
