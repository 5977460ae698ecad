"""Which target a request names, and whether it may have it."""

import pytest

from harness.bridge import Bridge
from harness.targets import Target, fin_after
from harness.wire import Client, Stream, dial, read_answer, request

REFUSED = None
NO = "no"  # refused as a target or already as a request


@pytest.fixture(scope="module")
def world():
    """Three targets that say who they are: '{d}' is the default, '{a}' and '{b}' are others; '{c}' is not listed."""
    made = {name: Target(fin_after(name.encode())) for name in "abdc"}
    six = Target(fin_after(b"6"), host="::1")
    places = {name: t.name for name, t in made.items()} | {"6": six.name, "6port": six.port}
    places |= {"aport": made["a"].port, "dport": made["d"].port}
    places["l"] = f"localhost:{made['b'].port}"
    allow = [places[k] for k in ("a", "d", "6", "l")] + [f"Example.TEST.:{made['b'].port}"]
    bridge = Bridge(allow=allow, target=places["d"])
    yield bridge, places
    bridge.stop()
    for one in [*made.values(), six]:
        one.close()


def outcome(bridge, path, **fields):
    """The letter of the target that answered, or None for a refusal."""
    with Stream(dial(bridge.address)) as stream:
        stream.send(request(path, **fields))
        answer = read_answer(stream)
    if answer.status == 403:
        return REFUSED
    assert answer.status == 101, (path, answer)
    with Client(bridge.address, path, **fields) as client:
        return client.expect_close(1000, "target-closed").decode()


# What stands behind the '?', and who must answer. {a} is 127.0.0.1:PORT of target a, and so on.
QUERIES = [
    # plain
    ("target={a}", "a"), ("target={d}", "d"), ("target={l}", "b"), ("target={c}", REFUSED), ("target={6}", "6"),
    ("", "d"), ("x=1", "d"), ("x=1&target={a}", "a"), ("target={a}&x=1", "a"), ("&&target={a}&&", "a"), ("&", "d"), ("=", "d"),
    ("=target", "d"), ("x", "d"), ("x&target={a}", "a"), ("token=t&target={a}&y=", "a"),
    # present but empty is not absent
    ("target=", REFUSED), ("target", REFUSED), ("target=&target={a}", REFUSED), ("target&target={a}", REFUSED), ("x&target", REFUSED),
    # the first one counts
    ("target={a}&target={d}", "a"), ("target={d}&target={a}", "d"), ("target={c}&target={a}", REFUSED),
    ("target={a}&target={c}", "a"), ("%74arget={c}&target={a}", REFUSED), ("target={a}&%74arget={c}", "a"),
    # the name is decoded, and its case matters
    ("%74arget={a}", "a"), ("%74%61%72%67%65%74={a}", "a"), ("t%61rget={a}", "a"), ("Target={a}", "d"), ("TARGET={c}", "d"),
    ("target%20={a}", "d"), ("+target={a}", "d"), ("target+={a}", "d"), ("targe={a}", "d"), ("targets={a}", "d"), ("xtarget={a}", "d"),
    ("target[]={a}", "d"), ("target%00={a}", "d"), ("%2574arget={a}", "d"), ("target%3D={a}", "d"),
    # the value is decoded once
    ("target=127.0.0.1%3A{aport}", "a"), ("target=127.0.0.1%3a{aport}", "a"), ("target=%31%32%37.0.0.1:{aport}", "a"),
    ("target=127%2e0%2E0.1:{aport}", "a"), ("target=127.0.0.1%253A{aport}", REFUSED), ("target=%6c%6Fcalhost:{bport}", "b"),
    ("target=%5B::1%5D:{6port}", "6"), ("target=[::1]%3A{6port}", "6"), ("target=127.0.0.1:{aport}%", REFUSED),
    ("target=127.0.0.1:{aport}%4", REFUSED), ("target=127.0.0.1:{aport}%zz", REFUSED), ("target=%ff{a}", REFUSED), ("target={a}%ff", REFUSED),
    ("target={a}%00", REFUSED), ("target=%00{a}", REFUSED), ("target={a}%0d%0a", REFUSED), ("target=%E2%80%8B{a}", REFUSED),
    ("target=%EF%BC%91%32%37.0.0.1:{aport}", REFUSED), ("target=127%E3%80%820%E3%80%820.1:{aport}", REFUSED),
    # nothing is trimmed
    ("target=+{a}", REFUSED), ("target={a}+", REFUSED), ("target=%20{a}", REFUSED), ("target={a}%20", REFUSED), ("target=%09{a}", REFUSED),
    ("target={a}%c2%a0", REFUSED),
    # separators
    ("target={a};x=1", REFUSED), ("x=1;target={a}", "d"), ("target=={a}", REFUSED), ("target={a}=", REFUSED), ("target={a}=x", REFUSED),
    ("target={a},{d}", REFUSED), ("target={a}?x", REFUSED), ("?target={a}", "d"), ("x=?&target={a}", "a"), ("target={a}/", REFUSED),
    ("target=//{a}", REFUSED), ("target=tcp://{a}", REFUSED), ("target=user@{a}", REFUSED), ("target={a}@{c}", REFUSED), ("target={a}%23", REFUSED),
    ("target={a}\\x", NO), ("target={a}%5c", REFUSED),
    # other spellings of the same endpoint
    ("target=127.0.0.1:0{aport}", "a"), ("target=LOCALHOST:{bport}", "b"), ("target=LocalHost.:{bport}", "b"), ("target=[0:0:0:0:0:0:0:1]:{6port}", "6"),
    ("target=[::0001]:{6port}", "6"),
    # spellings of an address that nobody should guess at
    ("target=2130706433:{aport}", REFUSED), ("target=0x7f000001:{aport}", REFUSED), ("target=0x7f.1:{aport}", REFUSED), ("target=127.1:{aport}", REFUSED),
    ("target=017700000001:{aport}", REFUSED), ("target=0177.0.0.1:{aport}", REFUSED), ("target=127.0.0.01:{aport}", REFUSED),
    ("target=127.0.0.1.:{aport}", REFUSED), ("target=[127.0.0.1]:{aport}", REFUSED),
    ("target=[::1%25lo]:{6port}", REFUSED), ("target=::1:{6port}", REFUSED), ("target=[::1]{6port}", REFUSED), ("target=[::1", REFUSED),
    ("target=[::127.0.0.1]:{aport}", REFUSED), ("target=0:{aport}", REFUSED), ("target=:{aport}", REFUSED),
    # ports
    ("target=127.0.0.1", REFUSED), ("target=127.0.0.1:", REFUSED), ("target=127.0.0.1:0", REFUSED), ("target=127.0.0.1:65536", REFUSED),
    ("target=127.0.0.1:%2B{aport}", REFUSED), ("target=127.0.0.1:-1", REFUSED), ("target=127.0.0.1:{aport}x", REFUSED),
    ("target=127.0.0.1:{aport}.0", REFUSED), ("target=127.0.0.1:0x1f90", REFUSED), ("target=127.0.0.1:{aport}:{aport}", REFUSED),
    ("target=127.0.0.1:99999999999999999999{aport}", REFUSED), ("target=127.0.0.1:http", REFUSED),
    # names that only look like a listed one
    ("target=localhost.evil.test:{bport}", REFUSED), ("target=xlocalhost:{bport}", REFUSED), ("target=localhost..:{bport}", REFUSED),
    ("target=.localhost:{bport}", REFUSED), ("target=localhos%74:{bport}", "b"), ("target=local host:{bport}", 400), ("target=ip6-localhost:{bport}", REFUSED),
    # length
    ("target=" + "a" * 250 + ".test:443", REFUSED), ("target=" + "a" * 300, REFUSED), ("target=" + "%61" * 300, REFUSED), ("x=" + "y" * 4000 + "&target={a}", "a"),
    ("target=" + "a" * 5000, REFUSED), ("&" * 3000 + "target={a}", "a"), ("target=" + "0" * 200 + "127.0.0.1:{aport}", REFUSED),
    ("target=127.0.0.1:" + "0" * 260 + "{aport}", REFUSED),
]


@pytest.mark.parametrize("query, expected", QUERIES, ids=[f"{i:03d}-{q[:40]}" for i, (q, _) in enumerate(QUERIES)])
def test_the_query_names_the_target(world, query, expected):
    """One decoding, the first target, byte or canonical equality with a listed one; everything else is refused."""
    bridge, places = world
    path = "/?" + query
    places = places | {"bport": places["l"].rpartition(":")[2]}
    for name, value in places.items():
        path = path.replace("{%s}" % name, str(value))
    if expected in (400, NO):
        with Stream(dial(bridge.address)) as stream:
            stream.send(request(path))
            assert read_answer(stream).status in ((400,) if expected == 400 else (400, 403))
        return
    assert outcome(bridge, path) == expected


@pytest.mark.parametrize("path", ["/", "/tunnel", "/any/thing", "/a%2fb", "//", "/..;/x", "/healthz/x"])
def test_the_path_does_not_matter(world, path):
    """Only the query is looked at."""
    bridge, places = world
    assert outcome(bridge, f"{path}?target={places['a']}") == "a"
    assert outcome(bridge, path) == "d"


def test_an_absolute_form_request_target_is_used_the_same_way(world):
    """GET http://host/path?query is legal, and its query counts."""
    bridge, places = world
    assert outcome(bridge, f"http://bridge.test/?target={places['a']}") == "a"
    assert outcome(bridge, f"http://bridge.test?target={places['a']}") == "a"
    assert outcome(bridge, "http://bridge.test/") == "d"


@pytest.mark.parametrize("path", ["/?target={a}#x", "/#?target={a}", "*", "target={a}", "", "/?target={a} x", "/?target=\x01{a}", "/?target={a}\x7f"])
def test_a_request_target_that_is_none_is_a_bad_request(world, path):
    """A fragment, a blank, a control character, or no path: 400."""
    bridge, places = world
    with Stream(dial(bridge.address)) as stream:
        stream.send(request(path.replace("{a}", places["a"])))
        assert read_answer(stream).status == 400


def test_bytes_above_ascii_in_the_query_never_match(world):
    """Raw UTF-8 or Latin-1 in the request target is refused, as a request or as a target."""
    bridge, places = world
    for raw in (b"\xc3\xa9", b"\xff", b"\xef\xbc\x91"):
        with Stream(dial(bridge.address)) as stream:
            stream.send(request("/?target=" + places["a"] + raw.decode("latin-1")))
            assert read_answer(stream).status in (400, 403)


PATTERNS = [
    ("*.example.test:443", "a.example.test:443", True), ("*.example.test:443", "example.test:443", False),
    ("*.example.test:443", "a.b.example.test:443", False), ("*.example.test:443", "a.example.test:444", False),
    ("*.example.test:443", "a.example.test.evil.test:443", False), ("*.example.test:443", ".example.test:443", False),
    ("*.example.test:443", "A.EXAMPLE.test:443", True), ("127.0.0.0/8:8443", "127.9.9.9:8443", True),
    ("127.0.0.0/8:8443", "128.0.0.1:8443", False), ("127.0.0.0/8:8443", "127.0.0.1:8444", False),
    ("127.0.0.0/8:8443", "localhost:8443", False), ("127.0.0.0/8:8443", "127.1:8443", False),
    ("[fd00::]/8:443", "[fd12::1]:443", True), ("[fd00::]/8:443", "[fe00::1]:443", False),
    ("127.0.0.1:8000-8010", "127.0.0.1:8000", True), ("127.0.0.1:8000-8010", "127.0.0.1:8010", True),
    ("127.0.0.1:8000-8010", "127.0.0.1:8011", False), ("127.0.0.1:8000-8010", "127.0.0.1:7999", False),
    ("127.0.0.0/8:8443", "[::ffff:127.0.0.1]:8443", None),
]


@pytest.mark.parametrize("entry, wanted, allowed", PATTERNS)
def test_patterns_match_what_they_say(bridge, dns, entry, wanted, allowed):
    """With --allow-patterns, a label, a network or a range of ports may stand for many targets."""
    one = bridge(allow=[entry], allow_patterns=True, dns_servers=dns({}).server, connect_timeout="500ms")
    with Stream(dial(one.address)) as stream:
        stream.send(request("/?target=" + wanted))
        status = read_answer(stream).status
    if allowed is None:
        # A v4-mapped address may count as the v4 address it is, never as anything else.
        assert status in (101, 403)
    else:
        assert status == (101 if allowed else 403)


@pytest.mark.parametrize("entry", ["*.test:443", "*:443", "*.*.test:443", "a*.example.test:443", "10.0.0.0/33:80", "10.0.0.1/8:", "[::]/129:1",
                                   "a.test:9-8", "a.test:0-5", "a.test:1-65536"])
def test_patterns_that_reach_too_far_or_make_no_sense_are_refused(entry):
    """A star for a whole top-level domain, a wrong prefix, a backward range: not even with --allow-patterns."""
    from harness.bridge import run_to_end
    assert run_to_end("--check", "--allow-patterns", "--allowlist", entry).returncode == 2
