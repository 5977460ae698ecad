"""`ati` in a pipe: words, first use, outputs, failures and their statuses."""

import json
import os
import re
import subprocess

import pytest

from harness.ati import ATI, Folder, environment
from harness.base import PATIENCE
from harness.cli import ECHO, NOWHERE, FakeProxy, commands, error_of, lines


# --- words ---------------------------------------------------------------------------------------------------------------------------------


def test_the_version_is_told_in_each_way(folder):
    first = folder.run("--version")
    assert re.fullmatch(r"ati \d+\.\d+\.\d+\S*\n", first.stdout) and first.returncode == 0 and not first.stderr
    assert folder.run("-V").stdout == first.stdout
    assert folder.run("--output", "text", "version").stdout == first.stdout
    version = json.loads(folder.run("version").stdout)
    assert version == {"name": "ati", "version": first.stdout.split()[1]}
    libraries = json.loads(folder.run("version", "--verbose").stdout)["libraries"]
    assert libraries["openssl"].startswith("3.") and {"c-ares", "libyaml"} <= set(libraries)


def test_every_command_tells_of_itself(folder):
    found = commands(folder)
    assert {("run",), ("tool", "list"), ("tool", "info"), ("tool", "search"), ("completion",), ("version",), ("proxy",)} <= set(found)
    for words in found:
        first, second = folder.run(*words, "--help"), folder.run("help", *words)
        assert first.returncode == 0 and not first.stderr, words
        assert first.stdout == second.stdout == folder.run(*words, "-h").stdout
        assert all(len(line) <= 80 for line in first.stdout.splitlines()), words
        for flag in ("--output", "--format", "--json", "--verbose", "--help"):
            assert flag in first.stdout
    assert not (folder.path / "config.toml").exists()


@pytest.mark.parametrize(("command", "flags"), [
    ("tool list", "provider"), ("token keygen", "algorithm"), ("token issue", "sub scope ttl aud iss key secret rate"), ("token validate", "key secret"),
    ("init", "proxy es256"), ("audit tail", "n"), ("audit search", "tool since"),
])
def test_help_names_the_flags_of_a_command(folder, command, flags):
    text = folder.run(*command.split(), "--help").stdout
    assert set(re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)", text, re.MULTILINE)) >= set(flags.split()), text


def test_the_proxys_help_says_what_it_is(folder):
    text = folder.run("proxy", "--help").stdout
    assert "proxy server" in text
    for flag in ("--port", "--bind", "--ati-dir", "--env-keys", "--migrate", "--enable-passthrough", "--sig-verify-mode",
                 "--sig-drift-seconds", "--sig-exempt-paths"):
        assert flag in text
    assert "8090" in text and "127.0.0.1" in text and "log|warn|enforce" in text


@pytest.mark.parametrize("words", [(), ("--odd",), ("odd",), ("tool",), ("tool", "odd"), ("tool", "list", "--odd"), ("tool", "info"),
                                   ("tool", "info", "a", "b"), ("--output", "xml", "tool", "list"), ("tool", "list", "--provider"),
                                   ("run",), ("completion", "tcsh")])
def test_usage_errors_end_with_2(folder, words):
    done = folder.run(*words)
    assert done.returncode == 2 and not done.stdout
    assert "ati" in done.stderr


def test_the_nearest_flag_is_named(folder):
    done = folder.run("tool", "list", "--provder", "x")
    assert "--provder" in done.stderr and "did you mean '--provider'?" in done.stderr
    assert "Usage: ati tool list" in done.stderr
    assert "did you mean 'tool'" in folder.run("tol").stderr


def test_aliases_and_equals_signs(folder, proxy):
    there = proxy(get_tools=(200, "[]"))
    for words in (("tool", "list", "--provider", "a b"), ("tools", "list", "--provider=a b")):
        assert folder.run(*words, ATI_PROXY_URL=there.url).returncode == 0
        assert there.asked[-1]["path"] == "/tools?provider=a%20b"


# --- first use -----------------------------------------------------------------------------------------------------------------------------


def test_the_first_use_makes_the_directory(tmp_path, proxy):
    there, place = proxy(5), tmp_path / "home"
    place.mkdir()
    env = environment(place, {"ATI_PROXY_URL": there.url})
    del env["ATI_DIR"]
    done = subprocess.run([ATI, "run", "x"], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")
    made = place / ".ati"
    assert made.stat().st_mode & 0o777 == 0o700
    assert {"manifests", "specs", "skills", "config.toml"} <= {entry.name for entry in made.iterdir()}
    assert (made / "config.toml").read_text() == "# ATI configuration\n"


def test_a_directory_that_is_there_is_left_alone(tmp_path, proxy):
    place = tmp_path / "ati"
    place.mkdir(mode=0o755)
    (place / "config.toml").write_text("mine")
    there = Folder.__new__(Folder)
    there.path, there.environ = place, {"ATI_PROXY_URL": proxy(5).url}
    assert there.run("run", "x").returncode == 0
    assert (place / "config.toml").read_text() == "mine"
    assert (place / "manifests").is_dir()
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_cannot_be_made_is_no_failure(tmp_path, proxy):
    (tmp_path / "file").write_text("")
    env = environment(tmp_path / "file" / "ati", {"ATI_PROXY_URL": proxy(5).url})
    done = subprocess.run([ATI, "run", "x"], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "5\n")


# --- outputs -------------------------------------------------------------------------------------------------------------------------------


RESULT = {"b": [1, {"y": None}], "a": "zwei Wörter", "c": True}


AS_JSON = '{\n  "a": "zwei Wörter",\n  "b": [\n    1,\n    {\n      "y": null\n    }\n  ],\n  "c": true\n}\n'


AS_TEXT = 'a: zwei Wörter\nb: [1,{"y":null}]\nc: true\n'


AS_TABLE = """\
┌─────┬────────────────┐
│ Key ┆ Value          │
╞═════╪════════════════╡
│ a   ┆ zwei Wörter    │
│ b   ┆ [1,{"y":null}] │
│ c   ┆ true           │
└─────┴────────────────┘
"""


def test_the_flag_goes_before_the_variable(folder, stack):
    there = stack.enter_context(FakeProxy({("POST", "/call"): (200, json.dumps({"result": RESULT}, ensure_ascii=False))}))

    def out(*words, **more):
        done = folder.run(*words, ATI_PROXY_URL=there.url, **more)
        assert done.returncode == 0 and not done.stderr
        return done.stdout

    assert out("run", "x") == AS_JSON
    assert out("--output", "text", "run", "x") == AS_TEXT
    assert out("run", "--format=table", "x") == AS_TABLE
    assert out("run", "x", ATI_OUTPUT="text") == AS_TEXT
    assert out("run", "x", ATI_OUTPUT="") == AS_JSON
    assert out("--output", "table", "run", "x", ATI_OUTPUT="text") == AS_TABLE
    assert out("-J", "run", "x", ATI_OUTPUT="text") == AS_JSON
    assert out("--json", "--output", "json", "run", "x", ATI_OUTPUT="text") == AS_JSON
    assert out("run", "x", "--output", "text", "--q", "1") == AS_TEXT
    assert out("run", "x", "--q", "1", "--output", "text") == AS_JSON
    assert out("--output", "text", "run", "x", "--q", "1", "--json") == AS_JSON
    assert out("--json", "--output", "text", "run", "x") == AS_JSON
    assert out("--output", "text", "run", "x", "--json") == AS_JSON
    assert out("--output", "text", "run", "x", "-J") == AS_JSON
    assert folder.run("run", "x", ATI_OUTPUT="xml", ATI_PROXY_URL=there.url).returncode == 2


@pytest.mark.parametrize(("result", "text", "table"), [
    ("a\nb", "a\nb\n", '"a\\nb"\n'),
    (None, "null\n", "null\n"),
    (1.5, "1.5\n", "1.5\n"),
    ([{"n": 1, "s": "x"}, {"o": {"k": 2}, "s": None}], '{"n":1,"s":"x"}\n{"o":{"k":2},"s":null}\n',
     '┌───┬───┬─────────┐\n│ n ┆ s ┆ o       │\n╞═══╪═══╪═════════╡\n│ 1 ┆ x ┆         │\n│   ┆   ┆ {"k":2} │\n└───┴───┴─────────┘\n'),
    (["one", 2, [3]], "one\n2\n[3]\n", '[\n  "one",\n  2,\n  [\n    3\n  ]\n]\n'),
    ([], "\n", "[]\n"),
])
def test_values_are_shown_by_their_kind(folder, proxy, result, text, table):
    there = proxy(result)
    assert folder.run("--output", "text", "run", "x", ATI_PROXY_URL=there.url).stdout == text
    assert folder.run("--output", "table", "run", "x", ATI_PROXY_URL=there.url).stdout == table
    assert json.loads(folder.run("run", "x", ATI_PROXY_URL=there.url).stdout) == result


def test_numbers_stay_as_they_were_written(folder, stack):
    there = stack.enter_context(FakeProxy({("POST", "/call"): (200, '{"result":{"a":12345678901234567890123,"b":1.00,"c":1E5}}')}))
    assert folder.run("--output", "text", "run", "x", ATI_PROXY_URL=there.url).stdout == "a: 12345678901234567890123\nb: 1.00\nc: 1E5\n"


def test_a_reader_that_leaves_is_no_crash(folder, proxy):
    there = proxy(["x" * 1000] * 1000)
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen([ATI, "run", "x"], env=environment(folder.path, {"ATI_PROXY_URL": there.url}), stdout=writing,
                          stderr=subprocess.PIPE, text=True) as done:
        os.close(writing)
        text = done.communicate(timeout=PATIENCE)[1]
        assert done.returncode == 1 and "Sanitizer" not in text and not text


def test_what_cannot_be_written_is_a_failure(folder, proxy):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([ATI, "run", "x"], env=environment(folder.path, {"ATI_PROXY_URL": proxy(5).url}), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1 and "No space left" in done.stderr


# --- failures ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "answer", "code", "exit_status"), [
    (404, '{"result":null,"error":"Unknown tool: \'x\'"}', "tool.not_found", 1),
    (403, '{"result":null,"error":"Access denied: \'x\' is not in your scopes"}', "auth.scope_denied", 3),
    (401, "token has expired", "auth.expired", 3),
    (502, '{"result":null,"error":"Upstream API error: API error (500): x"}', "provider.upstream_error", 4),
    (504, "timeout", "provider.timeout", 4),
    (422, "Invalid request: x", "input.invalid_value", 2),
    (429, '{"result":null,"error":"Rate limit exceeded for \'x\': 1/hour (limit: 1/hour)"}', "rate.exceeded", 5),
    (500, "boom", "tool.execution_failed", 1),
])
def test_failures_have_a_code_and_a_status(folder, proxy, status, answer, code, exit_status):
    there = proxy(post_call=(status, answer))
    done = folder.run("run", "x", "--a", "1", ATI_PROXY_URL=there.url)
    assert done.returncode == exit_status and not done.stdout
    assert error_of(done) == {"code": code, "exit_code": exit_status, "message": f"Proxy error ({status}): {answer}"}
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ERROR ati command failed error=", lines(done)[-2])
    as_text = folder.run("--output", "text", "run", "x", ATI_PROXY_URL=there.url)
    assert as_text.returncode == exit_status and not as_text.stdout and '{"error":{"code"' not in as_text.stderr
    assert "ati command failed" in as_text.stderr


def test_errors_of_the_proxy_in_its_answers(folder, proxy):
    assert error_of(folder.run("run", "x", ATI_PROXY_URL=proxy(post_call=(200, '{"result":null,"error":"it\\nbroke"}')).url))["message"] == \
        "Proxy error (200): it\nbroke"
    assert error_of(folder.run("run", "x", ATI_PROXY_URL=proxy(post_call=(200, '{"error":{"k":[1, 2]}}')).url))["message"] == \
        'Proxy error (200): {"k":[1,2]}'
    assert folder.run("run", "x", ATI_PROXY_URL=proxy(post_call=(200, '{"result":7,"error":null}')).url).stdout == "7\n"
    for answer in ("<html>", "", '{"answer":5}'):
        done = folder.run("run", "x", ATI_PROXY_URL=proxy(post_call=(200, answer)).url)
        assert error_of(done)["message"].startswith("Proxy returned invalid response: ") and done.returncode == 2
    assert error_of(folder.run("run", "x", ATI_PROXY_URL=NOWHERE))["message"].startswith("Proxy request failed: ")


def test_a_chain_of_causes_with_verbose(folder):
    error = error_of(folder.run("--verbose", "run", "x", ATI_PROXY_URL=NOWHERE))
    assert error["message"].endswith(error["chain"][0]) and error["message"].startswith("Proxy request failed: ")
    assert "refused" in error["chain"][-1]


def test_a_long_error_is_told_whole(folder, proxy):
    text = "Ä" * 20000
    there = proxy(post_call=(500, text))
    assert error_of(folder.run("run", "x", ATI_PROXY_URL=there.url))["message"] == "Proxy error (500): " + text
    assert text in folder.run("--output", "text", "run", "x", ATI_PROXY_URL=there.url).stderr


# --- logs ----------------------------------------------------------------------------------------------------------------------------------


def test_standard_error_is_silent_until_it_is_asked(folder, proxy):
    there = proxy(5)
    assert not folder.run("run", "x", ATI_PROXY_URL=there.url).stderr
    for words, env in ((("--verbose",), {}), (("--verbose",), {"RUST_LOG": ""}), ((), {"RUST_LOG": "debug"}), ((), {"RUST_LOG": "off,ati=debug"})):
        done = folder.run(*words, "run", "x", ATI_PROXY_URL=there.url, **env)
        assert "DEBUG mode: proxy" in done.stderr and done.stdout == "5\n"
        assert "\033" not in done.stderr
    for env in ({"RUST_LOG": "info"}, {"RUST_LOG": "debug,ati=warn"}, {"RUST_LOG": "hyper=debug"}):
        assert not folder.run("--verbose", "run", "x", ATI_PROXY_URL=there.url, **env).stderr


def test_the_mode_is_told(folder, proxy):
    folder.manifest("echo", ECHO.format(url=NOWHERE))
    assert "mode: local" in folder.run("--verbose", "tool", "list").stderr
    assert "mode: proxy" in folder.run("--verbose", "tool", "list", ATI_PROXY_URL=proxy(get_tools=(200, "[]")).url).stderr
