"""atlas-tee: how many quotes it makes, and what it says when it cannot."""

import json
import re
import threading

import pytest

from harness.attested import Agent
from harness.base import eventually


def token_file(world):
    path = world.folder / "token"
    path.write_text("m" * 40)
    return path


def metric(world, name):
    """Of the endpoint whose token is that of token_file."""
    with world.session() as session:
        page = session.ask("GET", "/metrics", "Authorization: Bearer " + "m" * 40).body.decode()
    return float(re.search(rf"^{name} (\S+)$", page, re.MULTILINE).group(1))


def test_quotes_of_one_connection_are_counted(world):
    """So many a minute; the session goes on, and another one has a count of its own."""
    world.start_tee("--quotes-per-minute", "2")
    with world.session() as session, world.session() as other:
        assert [session.quote().status for _ in range(2)] == [200, 200]
        refused = session.quote()
        assert refused.status == 503 and 0 < int(refused.headers["Retry-After"]) <= 60 and "detail" in json.loads(refused.body)
        assert session.ask("GET", "/x").body == b"path /x"
        assert other.quote().status == 200


def test_quotes_that_wait_are_bounded(world, stack):
    """One is made, one waits, the third is told to come again; nobody who was let in is forgotten."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee("--provider", f"dstack:{agent.path}", "--max-quotes-waiting", "1", "--metrics-token-file", token_file(world))
    agent.hold("GetQuote")
    answers, sessions = [], [stack.enter_context(world.session()) for _ in range(2)]
    threads = [threading.Thread(target=lambda s: answers.append(s.quote().status), args=(s,)) for s in sessions]
    threads[0].start()
    agent.wait("GetQuote", 2)  # the first was the endpoint's own
    threads[1].start()
    eventually(lambda: metric(world, "atlas_tee_quotes_waiting") == 1, "one that waits")
    with world.session() as session:
        refused = session.quote()
        assert refused.status == 503 and int(refused.headers["Retry-After"]) > 0
        assert session.ask("GET", "/x").body == b"path /x"
    agent.release("GetQuote")
    for thread in threads:
        thread.join()
    assert answers == [200, 200] and metric(world, "atlas_tee_quotes_refused_total") == 1
    assert not tee.events("quote.failed")


def test_one_quote_at_a_time_on_a_connection(world, stack):
    """A second request waits for the answer to the first, as HTTP/1.1 has it."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    world.start_tee("--provider", f"dstack:{agent.path}")
    body = b'{"nonce_hex":"%s"}' % (b"ab" * 32)
    request = b"POST /tdx_quote HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    agent.hold("GetQuote")
    with world.session() as session, world.session() as other:
        session.tls.sendall(request + request + b"GET /behind HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        agent.wait("GetQuote", 2)
        assert other.ask("GET", "/x").body == b"path /x"  # a turn of the loop, at least
        assert agent.calls.count("GetQuote") == 2
        agent.release("GetQuote")
        with session.tls.makefile("rb") as stream:
            whole = stream.read()
    assert whole.count(b"HTTP/1.1 200 OK") == 3 and whole.endswith(b"path /behind") and agent.calls.count("GetQuote") == 3


def test_an_agent_that_fails_is_told_as_such(world, stack):
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    tee = world.start_tee("--provider", f"dstack:{agent.path}")
    agent.scripted["GetQuote"] = (500, b'{"error":"no quoting enclave"}')
    with world.session() as session:
        refused = session.quote()
        assert refused.status == 500
        assert json.loads(refused.body) == {"success": False, "error": "Failed to obtain TDX quote or TCB info", "quote_type": "tdx"}
        del agent.scripted["GetQuote"]
        assert session.quote().status == 200
    assert "no quoting enclave" in tee.wait("quote.failed")["error"]


@pytest.mark.parametrize("method, status", [("GetQuote", 66), ("EmitEvent", 2)])
def test_an_agent_without_what_is_needed_ends_the_start(world, stack, method, status):
    """An agent that cannot measure is found before anybody is served."""
    agent = Agent(world.folder / "agent.sock", world.sim / "dstack.sock")
    stack.callback(agent.close)
    agent.scripted[method] = (404, b'{"error":"no such method"}')
    done = world.run("atlas-tee", "--provider", f"dstack:{agent.path}", "--listen", "127.0.0.1:0", "--without-collateral", expect=status)
    assert method.encode() in done.stderr
