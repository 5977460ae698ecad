"""The attested path from end to end: simulator, atlas-tee, the bridge, and atls as a user has it."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.attested import listening
from harness.base import BIN, eventually, free_port
from harness.bridge import http_get


def test_get_and_post(world):
    world.start_tee()
    done = world.atls("get", "/hello?a=b", "--verbose")
    assert done.stdout == b"path /hello?a=b"
    assert b"TDX, TCB UpToDate" in done.stderr and b"stapled" in done.stderr and b"SIMULATED" in done.stderr
    body = os.urandom(3_000_000)
    assert world.atls("post", "/digest", data=body).stdout == hashlib.sha256(body).hexdigest().encode()
    report = json.loads(world.atls("get", "/x", "--json").stderr)
    assert report["verified"] and report["report"]["status"] == "UpToDate" and report["report"]["simulated"]
    assert report["collateral_stapled"] and report["report"]["runtime_verified"]


def test_through_the_bridge(world, bridge):
    world.start_tee()
    one = bridge(f"localhost:{world.port}")
    for url in ("ws://%s:%d" % one.address, "ws://%s:%d/?target=localhost:%d" % (*one.address, world.port)):
        assert world.atls("get", "/over", "--proxy", url).stdout == b"path /over"
    assert len(world.atls("get", "/bytes/5000000", "--proxy", "ws://%s:%d" % one.address).stdout) == 5_000_000
    refused = world.atls("get", "/over", "--proxy", "ws://%s:%d/?target=elsewhere:1" % one.address, expect=10)
    assert b"403" in refused.stderr


def test_answers_stream(world):
    """The first event is there while the application still waits for us."""
    world.start_tee()
    process = subprocess.Popen([BIN / "atls", "post", f"https://localhost:{world.port}/stream", "--policy", world.sim / "policy.json",
                                "--cacert", world.sim / "tls-ca.pem", "--data", "@{}"], stdout=subprocess.PIPE)
    first = os.read(process.stdout.fileno(), 100)
    world.server.go_on.set()
    rest = process.stdout.read()
    assert process.wait(20) == 0
    assert first == b"data: one\n\n" and rest == b"data: two\n\ndata: three\n\n"


def test_a_client_that_says_no_more_gets_its_answer(world):
    """Closing with unread bytes would be a reset, and take the end of the answer with it."""
    world.start_tee()
    context = ssl.create_default_context(cafile=world.sim / "tls-ca.pem")
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", world.port), 10) as tcp:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                tcp.sendall(out.read())
                into.write(tcp.recv(65536))
        tls.write(b"GET /bytes/20000000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        tcp.sendall(out.read())
        tcp.recv(1, socket.MSG_PEEK)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()
        tcp.sendall(out.read())
        answer = b""
        while piece := tcp.recv(65536):
            into.write(piece)
            with contextlib.suppress(OSError):
                tcp.send(b"x")  # behind the end: nobody will use it
        with contextlib.suppress(ssl.SSLError):
            while piece := tls.read(65536):
                answer += piece
    assert len(answer.partition(b"\r\n\r\n")[2]) == 20_000_000


def test_collateral_is_fetched_and_kept_when_none_is_stapled(world):
    world.start_tee("--without-collateral")
    report = json.loads(world.atls("get", "/x", "--json").stderr)
    assert not report["collateral_stapled"]
    kept = list((world.folder / "cache/postern").glob("*-tdx-*.json"))
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o777 == 0o600
    world.simulator.stop()
    done = world.run("atls", "get", f"https://localhost:{world.port}/x", "--policy", world.sim / "policy.json", "--cacert",
                     world.sim / "tls-ca.pem", "--fetch-anew", expect=10)
    assert b"io]" in done.stderr or b"http_status]" in done.stderr or b"collateral_fetch]" in done.stderr


@pytest.mark.parametrize("path, chain", [
    ("/sgx/certification/v4/pckcrl?ca=platform&encoding=der", "SGX-PCK-CRL-Issuer-Chain"),
    ("/sgx/certification/v4/rootcacrl", None),
    ("/tdx/certification/v4/tcb?fmspc={fmspc}", "TCB-Info-Issuer-Chain"),
    ("/tdx/certification/v4/qe/identity?update=standard", "SGX-Enclave-Identity-Issuer-Chain"),
    ("/collateral.json", None),
])
def test_pages_may_read_what_the_simulator_says_for_intel(world, path, chain):
    """CORS: the answer, and the fields in which its issuers come."""
    fmspc = json.loads(json.loads((world.sim / "collateral.json").read_text())["tcb_info"])["fmspc"]
    status, headers, body = http_get(("127.0.0.1", world.pccs), path.format(fmspc=fmspc), ["Origin: https://app.test"])
    assert status == 200 and body and headers.get_all("Access-Control-Allow-Origin") == ["*"]
    exposed, = headers.get_all("Access-Control-Expose-Headers")
    assert chain is None or (chain in exposed.split(", ") and headers[chain].startswith("-----BEGIN%20CERTIFICATE-----%0A"))


@pytest.mark.parametrize("change, status, code", [
    (lambda p: p.update(os_image_hash="00" * 32), 14, b"os_image_hash_mismatch"),
    (lambda p: p.update(app_compose="{}"), 14, b"app_compose_hash_mismatch"),
    (lambda p: p["expected_bootchain"].update(mrtd="00" * 48), 14, b"bootchain_mismatch"),
    (lambda p: p.update(allowed_tcb_status=["OutOfDate"]), 13, b"tcb_status_not_allowed"),
    (lambda p: [p.pop("trusted_roots"), p.pop("allow_simulated")], 12, b"crl_signature"),
    (lambda p: p.update(mistake=1), 2, b"unknown field"),
    (lambda p: p.pop("app_compose"), 2, b"app_compose must be provided"),
])
def test_a_policy_that_is_not_met_sends_nothing(world, change, status, code):
    world.start_tee()
    policy = json.loads((world.sim / "policy.json").read_text())
    change(policy)
    (world.sim / "other.json").write_text(json.dumps(policy))
    done = world.atls("post", "/digest", "--data", "@secret", policy="other.json", expect=status)
    assert code in done.stderr and done.stdout == b""


def test_a_certificate_of_nobody_is_refused(world):
    world.start_tee()
    done = world.run("atls", "get", f"https://localhost:{world.port}/", "--policy", world.sim / "policy.json", expect=11)
    assert b"tls_handshake" in done.stderr


def test_a_relay_with_a_certificate_of_its_own_is_found(world):
    """Another server with a good certificate that passes the quote of the real one on."""
    world.start_tee()
    other = free_port()
    # Its certificate is measured, too, but the quote names the last one: the first server's no longer is.
    world.start_tee("--name", "localhost", port=other)
    world.https(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", port=other)
    context = ssl.create_default_context(cafile=world.sim / "tls-ca.pem")
    relay = free_port()
    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inner.load_cert_chain(world.sim / "tls-cert.pem", world.sim / "tls-key.pem")  # stolen: the same certificate
    listener = socket.create_server(("127.0.0.1", relay))

    def pass_on():
        client, _ = listener.accept()
        with inner.wrap_socket(client, server_side=True) as a, \
                context.wrap_socket(socket.create_connection(("127.0.0.1", world.port)), server_hostname="localhost") as b:
            request = b""
            while b"nonce_hex" not in request or not request.endswith(b"}"):
                request += a.recv(65536)
            b.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += b.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int([line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")][0].split(b":")[1])
            while len(body) < length:
                body += b.recv(65536)
            with contextlib.suppress(OSError):
                a.sendall(head + b"\r\n\r\n" + body)
                a.recv(1)

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    done = world.run("atls", "get", f"https://localhost:{relay}/", "--policy", world.sim / "policy.json", "--cacert",
                     world.sim / "tls-ca.pem", expect=16)
    assert b"report_data_mismatch" in done.stderr
    listener.close()
    thread.join(10)


def test_own_routes(world):
    world.start_tee()
    get = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert world.https(get % (b"GET", b"/health")).endswith(b"\r\n\r\nhealthy\n")
    assert b" 405 " in world.https(get % (b"GET", b"/tdx_quote"))[:20]
    post = b"POST /tdx_quote HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    for body, status in ((b"{}", b"422"), (b"nonsense", b"422"), (b'{"nonce_hex":"00"}', b"422"), (b" " * 5000, b"413"),
                         (b'{"nonce_hex":"%s","report_data":"00"}' % (b"ab" * 32), b"200")):
        assert world.https(post % (len(body), body))[9:12] == status, body
    answer = world.https(post % (len(body), body)).partition(b"\r\n\r\n")[2]
    fields = json.loads(answer)
    assert list(fields)[:6] == ["success", "quote", "tcb_info", "timestamp", "quote_type", "error"]
    assert all(e["digest"] for e in json.loads(fields["quote"]["event_log"]))


def test_faults_of_the_application(world):
    world.start_tee("--answer-timeout", "30s")
    assert len(world.atls("get", "/until-close").stdout) == 300000
    world.atls("get", "/half", expect=10)
    world.server.shutdown()
    world.server.server_close()
    assert world.atls("get", "/x", "--include").stdout.startswith(b"HTTP/1.1 502 ")


def test_a_token_guards_the_application_and_metrics(world):
    token = "t" * 40
    (world.folder / "token").write_text(token + "\n")
    world.start_tee("--auth-token-file", world.folder / "token", "--metrics-token-file", world.folder / "token")
    assert world.atls("get", "/x", "--include").stdout.startswith(b"HTTP/1.1 401 ")
    assert world.atls("get", "/x", f"Authorization: Bearer {token}").stdout == b"path /x"
    assert world.atls("get", "/metrics", "--include").stdout.startswith(b"HTTP/1.1 401 ")
    page = world.atls("get", "/metrics", f"Authorization: Bearer {token}").stdout.decode()
    assert "atlas_tee_quotes_total" in page and "atlas_tee_certificate_events_total 1" in page


def test_short_tokens_are_refused(world):
    (world.folder / "token").write_text("hunter2")
    done = world.run("atlas-tee", "--auth-token-file", world.folder / "token", expect=2)
    assert b"at least 32 bytes" in done.stderr and b"hunter2" not in done.stderr


def test_quotes_tell_of_the_log_as_it_is_now(world):
    tee = world.start_tee()
    body = b'{"nonce_hex":"%s"}' % (b"ab" * 32)
    post = b"POST /tdx_quote HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def told():
        answer = json.loads(world.https(post).partition(b"\r\n\r\n")[2])
        return json.loads(answer["quote"]["event_log"]), answer["tcb_info"]

    log, info = told()
    assert told() == (log, info) and len(json.loads(info["event_log"]) if isinstance(info["event_log"], str) else info["event_log"]) == len(log)
    world.run("atlas-sim", "init", world.folder / "second")
    for name in ("tls-cert.pem", "tls-key.pem", "tls-ca.pem"):
        (world.sim / name).write_bytes((world.folder / "second" / name).read_bytes())
    tee.process.send_signal(signal.SIGHUP)
    eventually(lambda: '"event":"reloaded"' in tee.text())
    longer, later = told()
    assert longer[:-1] == log and longer[-1]["event"] == "New TLS Certificate"
    assert later["rtmr3"] != info["rtmr3"] and later["rtmr0"] == info["rtmr0"]
    assert told() == (longer, later)


def test_a_key_that_never_leaves_memory(world):
    """No files: the certificate vouches for nobody, and the quote is the only pin."""
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["tls_trust"] = "attestation"
    (world.sim / "pinned.json").write_text(json.dumps(policy))
    world.start("tee", BIN / "atlas-tee", "--listen", f"127.0.0.1:{world.port}", "--upstream", f"127.0.0.1:{world.server.server_port}",
                "--provider", f"dstack:{world.sim}/dstack.sock", "--pccs-url", f"http://127.0.0.1:{world.pccs}")
    eventually(lambda: listening(world.port))
    done = world.run("atls", "get", f"https://localhost:{world.port}/x", "--policy", world.sim / "pinned.json")
    assert done.stdout == b"path /x"
    world.atls("get", "/x", expect=11)


def test_a_provider_that_does_not_answer_ends_the_start(world):
    done = world.run("atlas-tee", "--provider", "dstack:/nonexistent.sock", expect=74)
    assert b"the guest agent does not answer" in done.stderr
    done = world.run("atlas-tee", "--provider", "paper", expect=2)
    assert b"is no quote provider" in done.stderr


def test_a_machine_without_a_guest_agent(world):
    """configfs-tsm: the firmware's log and the runtime events together replay all registers, also after a new start."""
    provider = f"tsm:{world.start_kernel()}"
    for times in (1, 2):
        tee = world.start_tee(provider=provider)
        report = json.loads(world.atls("get", "/x", "--json").stderr)
        assert report["verified"] and report["report"]["runtime_verified"]
        tee.stop()
        events = (world.folder / "tsm/events").read_text().splitlines()
        assert [json.loads(e)["event"] for e in events].count("New TLS Certificate") == times
    world.start_tee(provider=provider)
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["expected_bootchain"]["rtmr1"] = "00" * 48
    (world.sim / "other.json").write_text(json.dumps(policy))
    assert b"bootchain_mismatch" in world.atls("get", "/x", policy="other.json", expect=14).stderr


@pytest.mark.parametrize("name, spoil, why", [
    ("ccel", lambda b: b.replace(bytes.fromhex("0b000080"), bytes.fromhex("03000000"), 1), b"does not replay to RTMR0"),
    ("events", lambda b: b"".join(b.splitlines(True)[:-1]), b"does not replay to RTMR3"),
    ("events", lambda b: b + b"{", b"the provider's event log: failed to parse event log"),
    ("ccel", lambda b: b[:200], b"ccel: record 3 of the firmware's event log"),
])
def test_a_log_that_does_not_replay_ends_the_start(world, name, spoil, why):
    folder = world.start_kernel()
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    done = subprocess.run([BIN / "atlas-tee", "--listen", f"127.0.0.1:{world.port}", "--provider", f"tsm:{folder}"],
                          capture_output=True, timeout=60, check=False)
    assert done.returncode not in (0, 1) and why in done.stderr


def test_connect(world):
    world.start_tee()
    request = b"GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    done = world.run("atls", "connect", f"localhost:{world.port}", "--policy", world.sim / "policy.json", "--cacert",
                     world.sim / "tls-ca.pem", data=request)
    assert done.stdout.endswith(b"path /raw")


def test_a_policy_from_an_endpoint_holds_it(world):
    world.start_tee()
    done = world.run("atls", "policy", "from-endpoint", f"https://localhost:{world.port}", "--cacert", world.sim / "tls-ca.pem", "--root",
                     world.sim / "root-cert.pem")
    (world.sim / "seen.json").write_bytes(done.stdout)
    assert world.atls("get", "/seen", policy="seen.json").stdout == b"path /seen"
    assert b"1 boot chain, 1 application, 1 image" in world.run("atls", "policy", "check", world.sim / "seen.json").stdout


def test_offline(world):
    """Collateral from the service, a quote from the platform, no connection."""
    quote = world.folder / "quote"
    quote.write_bytes(world.run("atlas-sim", "quote", world.sim).stdout)
    world.run("atls", "collateral", "fetch", quote, "--pccs-url", f"http://127.0.0.1:{world.pccs}", "--output", world.folder / "c.json")
    verify = ("atls", "verify", quote, "--collateral", world.folder / "c.json")
    assert b"SIMULATED" in world.run(*verify, "--root", world.sim / "root-cert.pem").stdout
    assert b"crl_signature" in world.run(*verify, expect=1).stderr
    told = json.loads(world.run(*verify, "--root", world.sim / "root-cert.pem", "--json", "--at", "2031-01-01T00:00:00Z", expect=1).stdout)
    assert not told["verified"] and told["error"]["code"] == "crl_time" and told["report"] is None
    fields = json.loads(world.run("atls", "inspect", quote, "--json").stdout)
    assert fields["version"] == 4 and fields["tee"] == "TDX"
    quote.write_bytes(b"no quote at all")
    world.run("atls", "inspect", quote, expect=1)


def series(told, name, count):
    """The figures of a series are whole and in order; how large they are is nobody's business here."""
    figures = told[name]
    assert list(figures) == ["count", "median_ns", "p99_ns", "mean_ns"] and figures["count"] == count
    assert all(isinstance(n, int) for n in figures.values()) and figures["median_ns"] <= figures["p99_ns"]
    return figures["median_ns"]


def test_bench_verify(world):
    quote, answer = world.folder / "quote", world.folder / "answer.json"
    quote.write_bytes(world.run("atlas-sim", "quote", world.sim).stdout)
    answer.write_bytes(world.run("atlas-sim", "quote", world.sim, "--json").stdout)
    bench = ("atls", "bench", "verify", quote, "--collateral", world.sim / "collateral.json", "--count", 7)
    told = json.loads(world.run(*bench, "--root", world.sim / "root-cert.pem", "--json").stdout)
    assert told["status"] == "UpToDate" and told["simulated"]
    for kind, signatures in (("verification", 9), ("verification_known", 2), ("bare_signatures", 9)):
        assert told[kind]["signatures"] == signatures and told[kind]["per_second"] > 0 and told[kind]["ratio"] > 0
        assert series(told[kind], "time", 7) > 0
    assert told["bare_signatures"]["ratio"] == 1
    words = world.run(*bench, "--policy", world.sim / "policy.json", "--event-log", answer).stdout.decode()
    assert "SIMULATED" in words and all(f"  {kind} " in words for kind in ("from the start", "known before", "9 signatures"))
    assert b"refused: " in world.run(*bench, expect=1).stderr
    collateral = json.loads((world.sim / "collateral.json").read_text())
    collateral["qe_identity_issuer_chain"] = collateral["qe_identity_issuer_chain"].strip()
    collateral["tcb_info_issuer_chain"] = collateral["tcb_info_issuer_chain"].strip() + "\n"
    (world.folder / "c.json").write_text(json.dumps(collateral))
    told = world.run("atls", "bench", "verify", quote, "--collateral", world.folder / "c.json", "--root", world.sim / "root-cert.pem",
                     "--seconds", "20ms", "--json").stdout
    assert json.loads(told)["verification"]["signatures"] == 10  # the chains are not the same text


def test_bench_connect(world, bridge):
    world.start_tee()
    parts = ("total", "tcp", "tls", "quote", "collateral", "verification")
    bench = ("atls", "bench", "connect", f"https://localhost:{world.port}", "--cacert", world.sim / "tls-ca.pem", "--count", 3)
    one = bridge(f"localhost:{world.port}")
    for words in ((), ("--known",), ("--proxy", "ws://%s:%d" % one.address)):
        told = json.loads(world.run(*bench, "--policy", world.sim / "policy.json", "--json", *words).stdout)
        assert told["collateral_stapled"] == 3 and told["connections_per_second"] > 0
        medians = {part: series(told, part, 3) for part in parts}
        assert not medians.pop("collateral") and all(medians.values())
    world.tee.stop()
    world.start_tee("--without-collateral")
    told = json.loads(world.run(*bench, "--policy", world.sim / "policy.json", "--fetch-anew", "--json").stdout)
    assert told["collateral_stapled"] == 0 and series(told, "collateral", 3) > 0
    words = world.run(*bench, "--policy", world.sim / "policy.json").stdout.decode()
    assert f"localhost:{world.port}: 3 attested connections" in words and all(f"  {part} " in words for part in parts)
    assert b"--policy is missing" in world.run(*bench, expect=2).stderr
    world.tee.stop()
    assert json.loads(world.run(*bench, "--policy", world.sim / "policy.json", "--json", expect=10).stderr)["error"]["class"] == "io"


def test_many_at_once(world):
    world.start_tee("--quotes-per-minute", "0")
    failed = []

    def visit(n):
        try:
            assert world.atls("get", f"/n{n}").stdout == f"path /n{n}".encode()
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_draining_lets_an_answer_finish(world):
    tee = world.start_tee()
    process = subprocess.Popen([BIN / "atls", "post", f"https://localhost:{world.port}/stream", "--policy", world.sim / "policy.json",
                                "--cacert", world.sim / "tls-ca.pem", "--data", "@{}"], stdout=subprocess.PIPE)
    assert os.read(process.stdout.fileno(), 100) == b"data: one\n\n"
    tee.process.send_signal(signal.SIGTERM)
    eventually(lambda: '"event":"draining"' in tee.text())
    world.server.go_on.set()
    assert process.stdout.read() == b"data: two\n\ndata: three\n\n"
    assert process.wait(20) == 0
    assert time.monotonic() > 0 and tee.process.wait(20) == 0
