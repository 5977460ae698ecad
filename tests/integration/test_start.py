"""How the program starts, or refuses to."""

import re
import socket

import pytest

from harness.base import free_port
from harness.bridge import Bridge, run_to_end
from harness.targets import echo, fin_after
from harness.wire import Client, Stream, ask, dial, request

# The examples of the documentation, word for word.
EXAMPLES = {
    "quick start": {
        "ATLS_PROXY_ALLOWLIST": "vllm.example.com:443,tee2.example.com:8443",
        "ATLS_PROXY_LISTEN": "127.0.0.1:9000",
    },
    "development": {
        "ATLS_PROXY_ALLOWLIST": "localhost:8443,vllm.concrete-security.com:443",
        "ATLS_PROXY_LISTEN": "127.0.0.1:9000",
    },
    "production": {
        "ATLS_PROXY_ALLOWLIST": "tee1.example.com:443,tee2.example.com:443",
        "ATLS_PROXY_LISTEN": "0.0.0.0:9000",
    },
    "multiple endpoints": {
        "ATLS_PROXY_ALLOWLIST": "tee1.example.com:443,tee1.example.com:8443,tee2.example.com:443",
        "ATLS_PROXY_LISTEN": "0.0.0.0:9000",
    },
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_examples_start_as_they_stand(name, netns):
    """With nothing but the example's variables the bridge listens on port 9000 and refuses what is not listed."""
    with netns(), Bridge(env=EXAMPLES[name], defaults=False) as bridge:
        assert bridge.listening == EXAMPLES[name]["ATLS_PROXY_LISTEN"]
        assert bridge.address == ("127.0.0.1", 9000)
        assert ask(bridge.address, request("/")).status == 403
        assert ask(bridge.address, request("/?target=127.0.0.1:8443")).status == 403
        Stream(dial(("127.0.0.1", 9001))).close()  # the admin listener's default


def test_the_development_example_reaches_its_local_target(netns):
    """localhost:8443 of the example is reached through ?target=."""
    from harness.targets import Target
    with netns(), Target(echo, port=8443) as target:
        with Bridge(env=EXAMPLES["development"], defaults=False) as bridge:
            with Client(bridge.address, "/?target=localhost:8443") as client:
                client.send_data(b"hello")
                assert client.data(5) == b"hello"
                client.shut()
            assert target.peer()


def test_the_built_in_default_target_is_used_when_it_is_listed(netns):
    """With 127.0.0.1:8443 on the list, a request that names no target goes there."""
    from harness.targets import Target
    with netns(), Target(fin_after(b"default"), port=8443):
        with Bridge(env={"ATLS_PROXY_ALLOWLIST": "127.0.0.1:8443"}, defaults=False) as bridge:
            with Client(bridge.address) as client:
                assert client.expect_close(1000, "target-closed") == b"default"


@pytest.mark.parametrize("value", [None, "", ",", " , ,", "\t,\u00a0,"])
def test_an_empty_allowlist_stops_the_start(value):
    """Unset, empty, or only separators: exit status 2, and the complaint names the variable and shows an example."""
    env = {} if value is None else {"ATLS_PROXY_ALLOWLIST": value}
    port = free_port()
    done = run_to_end("--listen", f"127.0.0.1:{port}", "--admin", "off", env=env)
    assert done.returncode == 2, done.stderr
    assert "ATLS_PROXY_ALLOWLIST" in done.stderr
    assert re.search(r"[\w.-]+:\d+", done.stderr), "no example in " + done.stderr
    assert "listening on" not in done.stderr


def test_nothing_listens_when_the_configuration_is_bad(bridge):
    """The port is still free after a failed start."""
    port = free_port()
    assert run_to_end("--listen", f"127.0.0.1:{port}", "--admin", "off").returncode == 2
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


def test_allow_empty_starts_and_refuses_everything(bridge):
    """--allow-empty is for those whose list comes later."""
    one = bridge(allow_empty=True)
    assert ask(one.address, request("/?target=a.test:1")).status == 403
    assert ask(one.address, request("/")).status == 403


@pytest.mark.parametrize("entry, hint", [
    ("tee.test", "tee.test:443"), ("tee.test:0", None), ("tee.test:65536", None), ("tee.test:", None), (":443", None),
    ("a b:443", None), ("http://tee.test:443", None), ("tee.test/x:443", None), ("u@tee.test:443", None), ("a?b:1", None),
    ("a#b:1", None), ("a%41:1", None), ("tee.test:44x", None), ("tee.test:-1", None), ("::1:443", None), ("[::1]", None),
    ("[::1:443", None), ("[fe80::1%25lo]:443", None), ("256.1.1.1:80", None), ("2130706433:80", None), ("0x7f.1:80", None),
    ("127.1:80", None), ("tee..test:443", None), ("-tee.test:443", None), ("tee_\x01.test:443", None), ("a" * 64 + ".test:443", None),
    ("*.test.example:443", None), ("10.0.0.0/8:80", None), ("tee.test:80-90", None),
])
def test_an_allowlist_entry_that_cannot_match_stops_the_start(entry, hint):
    """Exit status 2, and the complaint quotes the entry (and says what to write)."""
    done = run_to_end("--listen", "127.0.0.1:0", "--admin", "off", env={"ATLS_PROXY_ALLOWLIST": "good.test:443," + entry})
    assert done.returncode == 2, done.stderr
    assert entry.split("\x01")[0].split(":")[0][:20] in done.stderr
    assert not hint or hint in done.stderr


@pytest.mark.parametrize("allowlist", [
    "a.test:1", "a.test:1,", ",a.test:1", " a.test:1 , b.test:2 ", "a.test:1,,b.test:2", "a.test:1,a.test:1", "\ta.test:1\n,\r\nb.test:2",
    "\u00a0a.test:1\u2003", "\u3000a.test:1", "A.TEST:1", "a.test.:1", "a.test:00443", "[::1]:1", "[2001:db8::1]:443", "127.0.0.1:1",
    "localhost:1", "xn--bcher-kva.example:443", "a-b.test:65535", "a_b.test:1", "1a.test:1",
])
def test_an_allowlist_in_any_good_spelling_is_accepted(allowlist):
    """White space, empty pieces, case and repetition do not matter."""
    done = run_to_end("--check", env={"ATLS_PROXY_ALLOWLIST": allowlist})
    assert done.returncode == 0, done.stderr


def test_lax_allowlist_warns_and_leaves_the_entry_out(bridge, target):
    """--lax-allowlist turns the refusal into a warning; the good entries work."""
    one = bridge(allow=[target(echo).name, "nonsense"], lax_allowlist=True)
    one.wait_line("nonsense")
    assert ask(one.address, request("/?target=nonsense")).status == 403


def test_an_explicit_default_target_must_be_listed():
    """A default target that was set and is not allowed is a mistake worth stopping for."""
    done = run_to_end("--check", env={"ATLS_PROXY_ALLOWLIST": "a.test:1", "ATLS_PROXY_TARGET": "b.test:1"})
    assert done.returncode == 2
    assert "b.test:1" in done.stderr and "allowlist" in done.stderr.lower()


def test_a_built_in_default_that_is_not_listed_means_no_default(bridge):
    """The bridge starts, says so, and refuses requests that name no target."""
    one = bridge(allow=["a.test:1"])
    assert "default target" in one.log
    answer = ask(one.address, request("/"))
    assert answer.status == 403
    with Client(one.address, origin="https://page.test") as client:
        client.expect_close(1008, "no-target")


def test_strict_default_demands_the_built_in_default(bridge):
    """--strict-default: the built-in default must be listed too."""
    assert run_to_end("--check", "--strict-default", env={"ATLS_PROXY_ALLOWLIST": "a.test:1"}).returncode == 2
    good = run_to_end("--check", "--strict-default", env={"ATLS_PROXY_ALLOWLIST": "a.test:1,127.0.0.1:8443"})
    assert good.returncode == 0, good.stderr


def test_an_explicit_default_target_is_used_without_a_query(bridge, target):
    """ATLS_PROXY_TARGET serves requests without ?target=, and only those."""
    default, other = target(fin_after(b"default")), target(fin_after(b"other"))
    one = bridge(default, other, env={"ATLS_PROXY_TARGET": default.name})
    for path, expected in (("/", b"default"), ("/x/y?z=1", b"default"), (other.query, b"other")):
        with Client(one.address, path) as client:
            assert client.expect_close(1000, "target-closed") == expected
    assert ask(one.address, request("/?target=")).status == 403


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    """Every setting has three names, and one order among them."""
    file = tmp_path / "proxy.conf"
    file.write_text('# a comment\nallowlist = "file.test:1"\nidle-timeout = "7s"\nping-interval = 9\nmax-per-ip = 5\n')
    env = {"ATLS_PROXY_CONFIG": str(file), "ATLS_PROXY_IDLE_TIMEOUT": "8s", "ATLS_PROXY_MAX_PER_IP": "6"}
    shown = run_to_end("--print-config", "--max-per-ip", "7", env=env)
    assert shown.returncode == 0, shown.stderr
    rows = dict(re.findall(r"^([a-z0-9-]+) *= *(.*?)\s*$", shown.stdout, re.M))
    assert "file.test:1" in rows["allowlist"] and "file" in rows["allowlist"].split("#")[1]
    assert re.match(r'"?8(s|000ms)?"?\s+#.*env', rows["idle-timeout"]), rows["idle-timeout"]
    assert re.match(r'"?9(s|000ms)?"?\s+#.*file', rows["ping-interval"]), rows["ping-interval"]
    assert re.match(r"7\s+#.*flag", rows["max-per-ip"]), rows["max-per-ip"]
    assert re.search(r"#.*default", rows["close-timeout"]), rows["close-timeout"]


def test_what_print_config_says_can_be_read_back(tmp_path):
    """--print-config writes a file that --config reads, with the same effect."""
    env = {"ATLS_PROXY_ALLOWLIST": "a.test:1,[::1]:2", "ATLS_PROXY_ORIGINS": "https://a.test"}
    first = run_to_end("--print-config", "--idle-timeout", "1500ms", env=env)
    file = tmp_path / "again.conf"
    file.write_text(first.stdout)
    again = run_to_end("--print-config", "--config", file)
    assert again.returncode == 0, again.stderr

    def values(text):
        return {line.split("#")[0].strip() for line in text.splitlines() if "=" in line}
    assert values(first.stdout) == values(again.stdout)


@pytest.mark.parametrize("args, env, near", [
    (["--idle-timout", "5"], {}, "idle-timeout"),
    ([], {"ATLS_PROXY_ALOWLIST": "a:1"}, "ALLOWLIST"),
    (["--ping-interval", "soon"], {}, "ping-interval"),
    (["--workers", "-1"], {}, "workers"),
    (["--max-connections", "99999999999"], {}, "max-connections"),
    (["--splice", "maybe"], {}, "auto|on|off"),
    (["--listen", "nonsense"], {}, "nonsense"),
    (["--listen", "127.0.0.1:99999"], {}, "99999"),
    (["--allow-from", "10.0.0.0/33"], {}, "10.0.0.0/33"),
    (["--trusted-proxies", "fishes"], {}, "fishes"),
    (["--origins", "app.example.com"], {}, "app.example.com"),
    (["--allowlist-file", "/nonexistent/list"], {}, "/nonexistent/list"),
    (["--auth-token-file", "/nonexistent/tokens"], {}, "/nonexistent/tokens"),
    (["--tls-cert", "/nonexistent/c.pem:/nonexistent/k.pem"], {}, "/nonexistent"),
    (["--config", "/nonexistent/conf"], {}, "/nonexistent/conf"),
    (["stray"], {}, "stray"),
    (["--idle-timeout"], {}, "idle-timeout"),
])
def test_a_setting_that_makes_no_sense_stops_the_start(args, env, near):
    """Exit status 2 and a complaint that names what is wrong, or what was probably meant."""
    done = run_to_end("--check", *args, env={"ATLS_PROXY_ALLOWLIST": "a.test:1"} | env)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert near in done.stderr
    assert len(done.stderr) < 4000


def test_all_mistakes_are_told_at_once():
    """Nobody has to start five times to find five mistakes."""
    done = run_to_end("--check", "--splice", "x", "--workers", "y", "--nonsense", env={"ATLS_PROXY_ALLOWLIST": "a.test:1"})
    assert done.returncode == 2
    for part in ("splice", "workers", "nonsense"):
        assert part in done.stderr


def test_check_prints_what_would_run_and_opens_nothing(tmp_path):
    """--check ends with 0 and shows the effective settings; the port stays free for others."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_to_end("--check", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", env={"ATLS_PROXY_ALLOWLIST": "a.test:1"})
    assert done.returncode == 0, done.stderr
    assert "a.test:1" in done.stdout + done.stderr


def test_help_and_version_answer_on_standard_output():
    """Both need no configuration and end with 0."""
    text = run_to_end("--help")
    assert text.returncode == 0 and not text.stderr
    for flag in ("--listen", "--target", "--allowlist", "--idle-timeout", "--check", "--print-config"):
        assert flag in text.stdout
    version = run_to_end("--version")
    assert version.returncode == 0 and re.search(r"\d+\.\d+", version.stdout)


def test_the_production_profile_refuses_what_development_warns_of():
    """--profile prod makes errors of warnings: no origins, for one."""
    env = {"ATLS_PROXY_ALLOWLIST": "a.test:1"}
    assert run_to_end("--check", env=env).returncode == 0
    done = run_to_end("--check", "--profile", "prod", env=env)
    assert done.returncode == 2 and "origins" in done.stderr


def test_a_port_that_is_taken_is_named(bridge):
    """Failing to bind ends the start with the address in the complaint."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_to_end("--listen", address, "--admin", "off", env={"ATLS_PROXY_ALLOWLIST": "a.test:1"})
    assert done.returncode not in (0, 2) and done.returncode > 0
    assert address in done.stderr


def test_the_first_line_tells_the_real_port_and_the_default_target(bridge, target):
    """Scripts wait for 'listening on ADDR' and 'default target'; port 0 is replaced by the port taken."""
    there = target(echo)
    one = bridge(there, target=there.name)
    line = next(line for line in one.lines if "listening on" in line)
    assert "default target" in line and there.name in line
    assert one.port not in (0, None)
    with Client(one.address) as client:
        client.shut()


def test_text_logs_are_lines_for_people(bridge, target):
    """--log text writes no JSON, and the wording scripts wait for stands in it too."""
    there = target(echo)
    one = bridge(there, log="text")
    assert re.search(r"listening on 127\.0\.0\.1:\d+", one.log)
    with Client(one.address, there.query) as client:
        client.shut()
    one.wait_line(re.escape(there.name))
    assert not one.events


def test_defaults_of_the_environment_are_literal(netns):
    """ATLS_PROXY_LISTEN defaults to 127.0.0.1:9000 and to nothing wider."""
    with netns("10.77.0.1/32"), Bridge(env={"ATLS_PROXY_ALLOWLIST": "a.test:1"}, defaults=False) as bridge:
        assert bridge.listening == "127.0.0.1:9000"
        with pytest.raises(ConnectionRefusedError):
            dial(("10.77.0.1", 9000))
        with pytest.raises(ConnectionRefusedError):
            dial(("10.77.0.1", 9001))


def test_listening_wide_is_warned_of(bridge):
    """0.0.0.0 without TLS and without trusted proxies deserves a warning."""
    one = bridge(allow=["a.test:1"], listen="0.0.0.0:0")
    one.wait_line("clear|TLS|tls-cert")


