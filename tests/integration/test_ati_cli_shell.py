"""`ati` at a terminal and in a pipe: words, outputs, exit statuses; through a proxy and without one."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
from harness.ati import ATI, Folder, Proxy, Upstream, environment
from harness.base import PATIENCE, eventually

# No address here answers: whoever asks it has been told to.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "ati")


class FakeProxy(Upstream):
    """What a proxy answers, by (method, path without query): (status, text)."""

    def __init__(self, answers):
        super().__init__(self.by_path)
        self.answers = answers

    def by_path(self, request):
        status, text = self.answers.get((request["method"], request["path"].partition("?")[0]), (404, '{"error":"no such route"}'))
        return status, {"Content-Type": "application/json"}, text.encode()

    def calls(self):
        return [json.loads(request["body"]) for request in self.asked if request["path"] == "/call"]


@pytest.fixture
def proxy(stack):
    def start(result=None, **answers):
        listed = {("POST", "/call"): (200, json.dumps({"result": result}))}
        for route, answer in answers.items():
            method, _, name = route.partition("_")
            listed[method.upper(), "/" + name.replace("__", "/")] = answer
        return stack.enter_context(FakeProxy(listed))
    return start


def lines(done):
    return done.stderr.splitlines()


def error_of(done):
    """The error line: the last one on standard error, compact."""
    last = lines(done)[-1]
    assert last.startswith('{"error":{'), done.stderr
    error = json.loads(last)["error"]
    assert json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False) == last
    return error


# --- words -------------------------------------------------------------------------------------------


def commands(folder):
    """Every command's words, from its own --help."""
    found, left = [], [()]
    while left:
        words = left.pop()
        found.append(words)
        text = folder.run(*words, "--help").stdout
        block = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
        if block:
            left += [(*words, name) for name in re.findall(r"^  ([a-z][a-z0-9-]*)", block.group(1), re.MULTILINE)]
    return found


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


# --- first use ---------------------------------------------------------------------------------------


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


# --- outputs -----------------------------------------------------------------------------------------

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


# --- failures ----------------------------------------------------------------------------------------


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


# --- logs --------------------------------------------------------------------------------------------


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


# --- through a proxy ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "args"), [
    (("--n", "10", "--on", "true", "--list", "[1]", "--neg", "-5", "--text", "a b"), {"n": 10, "on": True, "list": [1], "neg": -5, "text": "a b"}),
    (("--flag", "--other"), {"flag": True, "other": True}),
    (("--", "--a", "1"), {"a": 1}),
    (("bare", "--a=1", "--json", "--b", "x"), {"a=1": True, "b": "x"}),
    (("--help",), {"help": True}),
    (("--a", "1", "--output", "text", "--verbose"), {"a": 1}),
    (("--output", "yaml"), {}),
    ((), {}),
])
def test_arguments_are_sent_as_they_mean_and_as_they_are(folder, proxy, words, args):
    there = proxy("done")
    done = folder.run("run", "some:tool", *words, ATI_PROXY_URL=there.url + "///")
    assert (done.returncode, done.stdout, done.stderr) == (0, '"done"\n', "")
    raw = [word for index, word in enumerate(words) if (index, word) != (0, "--")]
    expected = {"tool_name": "some:tool", "args": args, **({"raw_args": raw} if raw else {})}
    assert there.calls() == [expected]
    assert there.asked[0]["headers"]["Content-Type"] == "application/json"


def test_an_empty_key_is_refused(folder, proxy):
    there = proxy(5)
    done = folder.run("run", "x", "--a", "1", "--", ATI_PROXY_URL=there.url)
    assert error_of(done)["message"] == "Empty argument key" and done.returncode == 1 and not there.asked


def test_without_a_proxy_nobody_is_asked(folder, proxy):
    there = proxy(5)
    done = folder.run("run", "nobodys:tool", ATI_PROXY_URL="")
    assert done.returncode == 1 and error_of(done)["code"] == "tool.not_found"
    assert folder.run("tool", "list").returncode == 0
    assert not there.asked


def test_the_token_goes_along(folder, proxy, tmp_path):
    there, file = proxy(5, get_tools=(200, "[]"), get_tools__x=(200, "{}")), tmp_path / "token"

    def sent(*words, **more):
        assert folder.run(*words, ATI_PROXY_URL=there.url, **more).returncode == 0
        return there.asked[-1]["headers"].get("Authorization")

    nothing = {"ATI_SESSION_TOKEN_FILE": str(tmp_path / "missing")}
    assert sent("run", "x", **nothing) is None
    for words in (("run", "x"), ("tool", "list"), ("tool", "search", "y"), ("tool", "info", "x")):
        assert sent(*words, ATI_SESSION_TOKEN=" one.two.three\n", **nothing) == "Bearer one.two.three"
    file.write_text("from.the.file\n")
    by_file = {"ATI_SESSION_TOKEN_FILE": str(file)}
    assert sent("run", "x", **by_file) == "Bearer from.the.file"
    file.write_text("from.another.file")
    assert sent("run", "x", **by_file) == "Bearer from.another.file"
    assert sent("run", "x", ATI_SESSION_TOKEN="", **by_file) == "Bearer from.another.file"
    assert sent("run", "x", ATI_SESSION_TOKEN="env.goes.first", **by_file) == "Bearer env.goes.first"
    file.write_text(" \n")
    assert sent("run", "x", **by_file) is None
    done = folder.run("run", "x", ATI_PROXY_URL=there.url, ATI_SESSION_TOKEN_FILE=str(tmp_path))
    assert error_of(done)["message"].startswith(f"Cannot read {tmp_path}: ")


def test_who_is_not_let_in_is_told_what_to_do(folder, proxy):
    there = proxy(post_call=(401, ""))
    done = folder.run("run", "x", ATI_PROXY_URL=there.url, ATI_SESSION_TOKEN_FILE=str(folder.path / "missing"))
    assert error_of(done)["message"] == "Proxy error (401): " and "set ATI_SESSION_TOKEN" in done.stderr
    done = folder.run("run", "x", ATI_PROXY_URL=there.url, ATI_SESSION_TOKEN="a.b.c")
    assert error_of(done)["message"] == "Proxy error (401): " and "ati auth status" in done.stderr


def test_the_token_is_told_to_nobody(folder, proxy):
    token = "secret-canary-in-a-token"
    for url in (proxy(post_call=(500, "no")).url, NOWHERE):
        done = folder.run("--verbose", "run", "x", ATI_PROXY_URL=url, ATI_SESSION_TOKEN=token)
        assert token not in done.stderr + done.stdout and done.returncode == 1
    assert token not in "".join(path.read_text() for path in folder.path.rglob("*") if path.is_file())


TOOLS = [{"name": "github:search", "provider": "github", "description": "d" * 100, "method": "Get"},
         {"name": "x", "provider": "y", "description": "two\nlines", "method": "Post"}]


def test_tools_of_a_proxy(folder, proxy):
    there = proxy(get_tools=(200, json.dumps(TOOLS)), get_tools__x=(200, json.dumps(
        {**TOOLS[1], "tags": ["a", "b"], "input_schema": {"properties": {"q": {"type": "string", "description": "what"}, "n": {}}}})))
    url = {"ATI_PROXY_URL": there.url}
    assert json.loads(folder.run("tool", "list", **url).stdout) == TOOLS
    for form in ("text", "table"):
        assert folder.run("--output", form, "tool", "search", "git", "hub", **url).stdout == (
            f"{'github:search':<40} {'github':<15} {'d' * 80}\n{'x':<40} {'y':<15} two lines\n")
    assert there.asked[-1]["path"] == "/tools?search=git%20hub"
    assert json.loads(folder.run("tool", "info", "x", **url).stdout)["tags"] == ["a", "b"]
    text = folder.run("--output", "text", "tool", "info", "x", **url).stdout
    assert "Tool:        x\nProvider:    y\n" in text and "Tags:        a, b\n" in text
    assert "Parameters:\n  --q                    (string) what\n  --n                    (any)\n" in text
    done = folder.run("tool", "info", "a/b?c", **url)
    assert there.asked[-1]["path"] == "/tools/a%2Fb%3Fc"
    assert done.returncode == 1 and error_of(done)["message"] == 'Proxy error (404): {"error":"no such route"}'


def test_files_of_a_result_are_written_where_the_caller_said(folder, proxy, tmp_path):
    mine, other = tmp_path / "new" / "a.txt", tmp_path / "other.txt"
    files = {str(path): {"content_base64": "aGk=", "content_type": "text/plain", "size_bytes": 2} for path in (mine, other)}
    there = proxy({"stdout": "ok", "outputs": files})
    done = folder.run("run", "x", "render", f"--out={mine}", ATI_PROXY_URL=there.url)
    assert done.returncode == 0 and mine.read_bytes() == b"hi" and not other.exists()
    outputs = json.loads(done.stdout)["outputs"]
    assert outputs[str(mine)] == {"content_type": "text/plain", "path": str(mine), "size_bytes": 2}
    assert outputs[str(other)] == files[str(other)]
    assert str(other) in done.stderr and "not written" in done.stderr


def test_downloads_and_uploads(folder, proxy, tmp_path):
    target, source = tmp_path / "new" / "f.bin", tmp_path / "s.PNG"
    source.write_bytes(b"\x00\xff")
    there = proxy({"success": True, "size_bytes": 2, "content_type": "x/y", "source_url": "http://u/", "content_base64": "AP8="})
    url = {"ATI_PROXY_URL": there.url}
    done = folder.run("run", "file_manager:download", "--url", "http://u/", "--out", target, "--max_bytes", "9", **url)
    assert target.read_bytes() == b"\x00\xff"
    assert json.loads(done.stdout) == {"success": True, "size_bytes": 2, "content_type": "x/y", "source_url": "http://u/", "path": str(target)}
    assert there.calls()[-1] == {"tool_name": "file_manager:download", "args": {"url": "http://u/", "max_bytes": 9}}
    done = folder.run("run", "file_manager:download", "--url", "http://u/", "--inline", **url)
    assert json.loads(done.stdout)["content_base64"] == "AP8="
    assert folder.run("run", "file_manager:upload", "--path", source, "--destination", "d", **url).returncode == 0
    assert there.calls()[-1]["args"] == {"filename": "s.PNG", "content_type": "image/png", "content_base64": "AP8=", "destination": "d"}
    before = len(there.asked)
    assert error_of(folder.run("run", "file_manager:upload", **url))["message"] == "missing required --path"
    assert error_of(folder.run("run", "file_manager:upload", "--path", "/nowhere", **url))["message"].startswith("failed to read /nowhere: ")
    assert len(there.asked) == before


def test_a_call_through_the_proxy_is_audited(folder, proxy):
    there = proxy(5)
    claims = "eyJzdWIiOiJhZ2VudC03Iiwiam9iX2lkIjoiai0xIn0"  # {"sub":"agent-7","job_id":"j-1"}
    assert folder.run("run", "a:b", "--password", "p", "--n", "1", ATI_PROXY_URL=there.url, ATI_SESSION_TOKEN=f"e30.{claims}.c2ln").returncode == 0
    assert folder.run("run", "a:b", ATI_PROXY_URL=NOWHERE).returncode == 1
    first, second = [json.loads(line) for line in (folder.path / "audit.jsonl").read_text().splitlines()]
    assert (first["tool"], first["status"], first["agent_sub"], first["job_id"]) == ("a:b", "ok", "agent-7", "j-1")
    assert first["args"] == {"password": "[REDACTED]", "n": 1}
    assert (second["status"], second["agent_sub"]) == ("error", "dev") and second["error"].startswith("Proxy request failed: ")
    elsewhere = folder.path / "elsewhere.jsonl"
    assert folder.run("run", "a:b", ATI_PROXY_URL=there.url, ATI_AUDIT_FILE=str(elsewhere)).returncode == 0
    assert json.loads(elsewhere.read_text())["tool"] == "a:b"


# --- without a proxy ---------------------------------------------------------------------------------

ECHO = """\
[provider]
name = "echo"
description = "answers with what it was asked"
base_url = "{url}"
category = "tests"
skills = ["echoing"]

[[tools]]
name = "echo:get"
description = "gets"
endpoint = "/get"
tags = ["reading"]
hint = "try it"
examples = ["ati run echo:get --q 1"]
[tools.input_schema]
type = "object"
[tools.input_schema.properties.repo_name]
type = "string"
description = "which one"
[tools.input_schema.properties.perPage]
type = "integer"

[[tools]]
name = "echo:post"
description = "posts"
endpoint = "/post"
method = "post"
"""

LISTER = """\
[provider]
name = "lister"
description = "lists"
handler = "cli"
cli_command = "{command}"
"""


@pytest.fixture
def upstream(stack, folder):
    there = stack.enter_context(Upstream())
    folder.manifest("echo", ECHO.format(url=there.url))
    return there


def test_keys_are_normalised_for_local_tools(folder, upstream):
    for spelling in ("repo-name", "repo_name", "repoName", "REPO_NAME"):
        done = folder.run("run", "echo:get", f"--{spelling}", "x", "--per-page", "5", "--other-key", "1")
        assert done.returncode == 0, done.stderr
        query = json.loads(done.stdout)["path"].partition("?")[2].split("&")
        assert sorted(query) == ["other-key=1", "perPage=5", "repo_name=x"]


def test_a_local_call_is_silent_and_audited(folder, upstream):
    done = folder.run("run", "echo:post", "--a", "1")
    assert done.returncode == 0 and not done.stderr
    assert json.loads(json.loads(done.stdout)["body"]) == {"a": 1}
    (line,) = [json.loads(text) for text in (folder.path / "audit.jsonl").read_text().splitlines()]
    assert (line["tool"], line["args"], line["status"], line["agent_sub"]) == ("echo:post", {"a": 1}, "ok", "dev")


def test_unknown_tools_come_with_suggestions(folder, upstream):
    done = folder.run("run", "nobody")
    assert error_of(done) == {"code": "tool.not_found", "exit_code": 1,
                              "message": "Unknown tool: 'nobody'. Run 'ati tool list' to see available tools."}
    for words in (("run", "echo:gte"), ("tool", "info", "echo:gte")):
        done = folder.run(*words)
        message = error_of(done)["message"]
        assert done.returncode == 1 and message.startswith("Unknown tool: 'echo:gte'. Did you mean one of:\n")
        assert "\n  - echo:get\n" in message and message.endswith("\nRun 'ati tool info <name>' to see parameters.")
    assert not upstream.asked


def test_local_tools_are_listed_and_searched(folder, upstream):
    listed = json.loads(folder.run("tool", "list").stdout)
    assert {"description": "gets", "method": "GET", "provider": "echo", "scope": "tool:echo:get", "tool": "echo:get"} in listed
    assert {"echo:get", "echo:post", "file_manager:download", "file_manager:upload"} == {tool["tool"] for tool in listed}
    assert [tool["tool"] for tool in json.loads(folder.run("tools", "list", "--provider", "echo").stdout)] == ["echo:get", "echo:post"]
    for form in ("text", "table"):
        assert folder.run("--output", form, "tool", "list", "--provider", "echo").stdout == (
            "┌─────────────┬──────────┬───────────┐\n│ DESCRIPTION ┆ PROVIDER ┆ TOOL      │\n╞═════════════╪══════════╪═══════════╡\n"
            "│ gets        ┆ echo     ┆ echo:get  │\n│ posts       ┆ echo     ┆ echo:post │\n└─────────────┴──────────┴───────────┘\n")
    found = json.loads(folder.run("tool", "search", "reading", "echo").stdout)
    assert found[0] == {"category": "tests", "description": "gets", "handler": "http", "provider": "echo", "tags": ["reading"],
                        "tool": "echo:get"}
    done = folder.run("tool", "search", "zzzzzz")
    assert done.returncode == 0 and json.loads(done.stdout) == [] and "no tools match" in done.stderr


def test_what_a_local_tool_takes(folder, upstream):
    info = json.loads(folder.run("tool", "info", "echo:get").stdout)
    assert set(info) == {"name", "description", "provider", "base_url", "method", "endpoint", "scope", "skills", "input_schema"}
    assert info["base_url"] == upstream.url and info["skills"] == ["echoing"]
    text = folder.run("--output", "text", "tool", "info", "echo:get").stdout
    for line in ("Tool:        echo:get", "Provider:    echo (answers with what it was asked)", "Handler:     http",
                 f"Endpoint:    GET {upstream.url}/get", "Description: gets", "Scope:       tool:echo:get", "Category:    tests",
                 "Tags:        reading", "Hint:        try it", "Skills:      echoing", "Input Schema:", "  ati run echo:get --q 1",
                 "  ati run echo:get --perPage <perPage> --repo_name <repo_name>"):
        assert line in text.splitlines(), text


def program(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_the_help_of_a_program_is_part_of_its_tool(folder, tmp_path):
    command = program(tmp_path / "lister", 'case $1 in --help) echo "no such word" >&2; exit 2;; help) printf "%04000d" 5;; esac\n')
    folder.manifest("lister", LISTER.format(command=command))
    info = json.loads(folder.run("tool", "info", "lister").stdout)
    assert info["help_text"] == "0" * 3000 + "\n[... truncated]"
    program(command, 'test "$1" = --help && echo "  lists things  "\n')
    assert json.loads(folder.run("tool", "info", "lister").stdout)["help_text"] == "lists things"
    text = folder.run("--output", "text", "tool", "info", "lister").stdout
    assert f"Command:     {command}\n" in text and "CLI Usage (from --help):\nlists things\n" in text
    assert f"  ati run lister -- <args>  (passthrough to `{command}`)\n" in text
    program(command, "exit 1\n")
    assert "help_text" not in json.loads(folder.run("tool", "info", "lister").stdout)


SERVER = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    if asked["method"] == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": "add", "description": "adds", "inputSchema": {"type": "object", "properties": {"firstNumber": {}, "b": {}}}}]}
    else:
        arguments = asked["params"]["arguments"]
        result = {"content": [{"type": "text", "text": json.dumps(arguments["firstNumber"] + arguments["b"])}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
open(sys.argv[1], "w").write("ended by itself")
"""


def test_tools_of_mcp_servers_are_found_when_they_are_named(folder, tmp_path):
    script, mark = tmp_path / "server.py", tmp_path / "mark"
    script.write_text(SERVER)
    folder.manifest("sums", f"""\
[provider]
name = "sums"
description = "an MCP server"
handler = "mcp"
mcp_transport = "stdio"
mcp_command = "/usr/bin/python3"
mcp_args = ["{script}", "{mark}"]
""")
    done = folder.run("run", "sums:add", "--first-number", "40", "--b", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")
    assert mark.read_text() == "ended by itself"
    listed = json.loads(folder.run("tool", "list", "--provider", "sums").stdout)
    assert listed == [{"description": "adds", "method": "POST", "provider": "sums", "scope": "tool:sums:add", "tool": "sums:add"}]
    assert "Transport:   MCP (stdio)\n" in folder.run("--output", "text", "tool", "info", "sums:add").stdout
    done = folder.run("run", "sums:odd")
    assert "  - sums:add\n" in error_of(done)["message"]


def test_a_server_that_does_not_answer_is_a_warning(folder, upstream):
    folder.manifest("gone", """\
[provider]
name = "gone"
description = "nobody"
handler = "mcp"
mcp_command = "/nonexistent/server"
""")
    done = folder.run("tool", "list", "--provider", "echo")
    assert done.returncode == 0 and len(json.loads(done.stdout)) == 2
    assert "MCP tool discovery failed" in done.stderr and "provider=gone" in done.stderr
    assert not folder.run("run", "echo:get").stderr


SECRET = "5e" * 32


def test_scopes_count_where_tokens_can_be_judged(folder, upstream):
    strict = {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN_FILE": str(folder.path / "no-token")}
    for words in (("run", "echo:get"), ("tool", "list"), ("tool", "info", "echo:get"), ("tool", "search", "get")):
        done = folder.run(*words, **strict)
        message = error_of(done)["message"]
        assert done.returncode != 0 and not done.stdout
        for source in ("ATI_SESSION_TOKEN is required", "ATI_SESSION_TOKEN_FILE", "/run/ati/session_token"):
            assert source in message
    strict["ATI_SESSION_TOKEN"] = "no.such.token"
    assert error_of(folder.run("run", "echo:get", **strict))["message"].startswith("Invalid ATI_SESSION_TOKEN: ")
    strict["ATI_SESSION_TOKEN"] = folder.token("tool:echo:get")
    assert folder.run("run", "echo:get", **strict).returncode == 0
    done = folder.run("run", "echo:post", **strict)
    assert error_of(done) == {"code": "auth.scope_denied", "exit_code": 3, "message": "Access denied: 'echo:post' is not in your scopes"}
    assert [tool["tool"] for tool in json.loads(folder.run("tool", "list", **strict).stdout)] == ["echo:get"]
    done = folder.run("tool", "info", "echo:post", **strict)
    assert error_of(done)["code"] == "tool.not_found" and "  - echo:post" not in done.stderr
    assert len(upstream.asked) == 1


def test_limits_outlive_the_process(folder, upstream):
    strict = {"ATI_JWT_SECRET": SECRET, "ATI_SESSION_TOKEN": folder.token("tool:*", "--rate", "tool:echo:*=2/day")}
    assert [folder.run("run", "echo:get", **strict).returncode for _ in range(3)] == [0, 0, 5]
    done = folder.run("run", "echo:get", **strict)
    assert error_of(done)["code"] == "rate.exceeded" and "Rate limit exceeded for 'tool:echo:*': 2/day (limit: 2/day)" in done.stderr
    assert len(upstream.asked) == 2


def test_broken_manifests_say_where(folder):
    folder.manifest("bad", "[provider]\nname = 5\n")
    for words in (("run", "x"), ("tool", "list")):
        done = folder.run(*words)
        assert done.returncode != 0 and "bad.toml" in error_of(done)["message"]


# --- a person in front of it -------------------------------------------------------------------------


def test_ctrl_c_ends_the_call_and_its_children(folder, tmp_path):
    mark = tmp_path / "child"
    command = program(tmp_path / "slow", f"echo $$ >{mark}.new; mv {mark}.new {mark}; exec sleep 600\n")
    folder.manifest("slow", LISTER.format(command=command))
    with subprocess.Popen([ATI, "run", "lister"], env=environment(folder.path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, start_new_session=True) as running:
        eventually(mark.exists, "the child")
        child = int(mark.read_text())
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 130 and not out and "Sanitizer" not in err
        eventually(lambda: not pathlib.Path(f"/proc/{child}").exists(), "the child's end")
    (line,) = [json.loads(text) for text in (folder.path / "audit.jsonl").read_text().splitlines()]
    assert (line["status"], line["error"]) == ("error", "interrupted")


def test_who_holds_keys_leaves_no_core(folder, tmp_path):
    mark = tmp_path / "child"
    command = program(tmp_path / "slow", f"ulimit -c >{mark}.new; echo $PPID >>{mark}.new; mv {mark}.new {mark}; exec sleep 600\n")
    folder.manifest("slow", LISTER.format(command=command))
    with subprocess.Popen([ATI, "run", "lister"], env=environment(folder.path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        eventually(mark.exists, "the child")
        limit, parent = mark.read_text().split()
        assert limit == "0" and int(parent) == running.pid
        assert "Max core file size        0                    0" in pathlib.Path(f"/proc/{running.pid}/limits").read_text()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE)


def test_ctrl_c_leaves_the_proxy(folder, stack):
    def never(_):
        time.sleep(PATIENCE)
        return 200, {}, b"{}"

    there = stack.enter_context(Upstream(never))
    with subprocess.Popen([ATI, "run", "x"], env=environment(folder.path, {"ATI_PROXY_URL": there.url}), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as running:
        there.until_asked(1)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 143 and not out and not err


def on_terminal(words, env, until):
    """What a terminal shows; until(text) says when it is enough, then the program is interrupted."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(ATI, [str(ATI), *words], env)
    seen, end = b"", time.monotonic() + PATIENCE
    while time.monotonic() < end and not until(seen):
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
    os.kill(pid, signal.SIGINT)
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        seen += piece
        if not piece:
            break
    os.close(terminal)
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_is_told_that_it_takes_long(folder, tmp_path):
    folder.manifest("slow", LISTER.format(command=program(tmp_path / "slow", "exec sleep 600\n")))
    seen, status = on_terminal(["run", "lister"], environment(folder.path), lambda seen: b"lister \xe2\x80\xa6 1 s" in seen)
    assert "lister … 1 s" in seen and status == 130
    assert seen.endswith("\r\033[K")


def test_a_terminal_has_colours_unless_it_says_no(folder):
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        seen, status = on_terminal(["run", "nobody"], environment(folder.path, {"ATI_PROXY_URL": NOWHERE, **more}),
                                   lambda seen: b'{"error"' in seen)
        assert ("\033[31mERROR" in seen) == coloured and status == 1


def test_what_a_tool_says_does_not_move_the_cursor(folder, proxy):
    there = proxy("a\033]0;t\a\u009b2Jb\x7f\tä\n")
    seen, status = on_terminal(["--output", "text", "run", "x"], environment(folder.path, {"ATI_PROXY_URL": there.url}), lambda seen: b"\n" in seen)
    assert "a\ufffd]0;t\ufffd\ufffd2Jb\ufffd\tä\r\n" in seen.replace("        ", "\t") and "\a" not in seen
    raw = folder.run("--output", "text", "run", "x", ATI_PROXY_URL=there.url).stdout
    assert raw == "a\033]0;t\a\u009b2Jb\x7f\tä\n\n"


# --- the whole way -----------------------------------------------------------------------------------


def test_through_a_real_proxy_with_a_token(folder, upstream, stack, tmp_path):
    there = stack.enter_context(Proxy(folder, ATI_JWT_SECRET=SECRET))
    sandbox = Folder(tmp_path / "sandbox", ATI_PROXY_URL=there.url, ATI_SESSION_TOKEN=folder.token("tool:echo:get"))
    done = sandbox.run("run", "echo:get", "--repo_name", "x")
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["path"] == "/get?repo_name=x"
    assert [tool["name"] for tool in json.loads(sandbox.run("tool", "list").stdout)] == ["echo:get"]
    assert "--repo_name            (string) which one" in sandbox.run("--output", "text", "tool", "info", "echo:get").stdout
    done = sandbox.run("run", "echo:post")
    assert done.returncode == 3 and error_of(done)["code"] == "auth.scope_denied"
    assert sandbox.run("tool", "info", "echo:post").returncode == 1
    done = sandbox.run("run", "echo:get", ATI_SESSION_TOKEN="no.such.token")
    assert error_of(done)["message"] == "Proxy error (401): " and done.returncode == 1
    assert sandbox.run("run", "nobody").returncode == 1
    assert len(upstream.asked) == 1


# --- completion --------------------------------------------------------------------------------------


def complete(folder, script, line, **more):
    """bash's replies at the end of line."""
    code = (f"source {script}; COMP_LINE=$1 COMP_POINT=${{#1}}; COMP_WORDS=(); _ati; "
            'for reply in "${COMPREPLY[@]}"; do printf "%s\\n" "$reply"; done')
    env = environment(folder.path, {**more, "PATH": f"{ATI.parent}:{os.environ['PATH']}"})
    done = subprocess.run(["bash", "--norc", "-c", code, "bash", line], env=env, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


def test_bash_completes_commands_flags_choices_and_tools(folder, proxy, tmp_path):
    script = tmp_path / "ati.bash"
    script.write_text(folder.run("completion", "bash").stdout)
    for words in commands(folder):
        text = folder.run(*words, "--help").stdout
        line = " ".join(("ati", *words))
        flags = set(re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.MULTILINE))
        assert flags == {flag for flag in complete(folder, script, line + " -") if flag.startswith("--")}, line
    assert "tool" in complete(folder, script, "ati to") and "tools" in complete(folder, script, "ati to")
    assert complete(folder, script, "ati --output text tools sea") == ["search"]
    assert complete(folder, script, "ati --output t") == ["table", "text"]
    assert complete(folder, script, "ati tool --format=") == ["json", "table", "text"]
    assert complete(folder, script, "ati proxy --sig-verify-mode ") == ["log", "warn", "enforce"]
    there = proxy(get_tools=(200, json.dumps(TOOLS)))
    assert complete(folder, script, "ati run ", ATI_PROXY_URL=there.url) == ["github:search", "x"]
    # Behind a ':' readline wants the rest of the word alone.
    assert complete(folder, script, "ati tool info github:", ATI_PROXY_URL=there.url) == ["search"]
    assert complete(folder, script, "ati run x -", ATI_PROXY_URL=there.url)


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_scripts_are_sound(folder, tmp_path, shell, check):
    done = folder.run("completion", shell)
    assert done.returncode == 0 and not done.stderr and done.stdout
    assert not (folder.path / "config.toml").exists()
    script = tmp_path / "script"
    script.write_text(done.stdout)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not here")
    subprocess.run([*check, script], check=True, capture_output=True, text=True, timeout=PATIENCE)


def test_fish_completes(folder, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not here")
    script = tmp_path / "ati.fish"
    script.write_text(folder.run("completion", "fish").stdout)
    env = environment(folder.path, {"PATH": f"{ATI.parent}:{os.environ['PATH']}"})

    def replies(line):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], env=env, capture_output=True,
                              text=True, timeout=PATIENCE, check=True)
        return [reply.partition("\t")[0] for reply in done.stdout.splitlines()]

    assert replies("ati too") == ["tool", "tools"]
    assert replies("ati tools se") == ["search"]
    assert replies("ati --output json tool list --prov") == ["--provider"]
    assert replies("ati proxy --sig-verify-mode w") == ["warn"]


def test_zsh_completes(folder, tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not here")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_ati").write_text(folder.run("completion", "zsh").stdout)
    env = environment(folder.path, {"PATH": f"{ATI.parent}:{os.environ['PATH']}", "TERM": "dumb"})
    start = f"fpath=({tmp_path}/functions $fpath); autoload -U compinit; compinit -u -D; unsetopt beep; PROMPT='ready> '\n"
    steps = [(start, "\rready> "), ("ati tools se\t", "ati tools search"), ("\x15ati proxy --sig-verify-mode e\t", "mode enforce"),
             ("\x15ati --output=te\t", "--output=text"), ("\x15ati tool list --prov\t", "--provider"), ("\x15exit\n", "")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], env)
    try:
        for typed, expected in steps:
            os.write(terminal, typed.encode())
            seen, end = b"", time.monotonic() + PATIENCE
            while expected not in seen.decode("utf-8", "replace"):
                assert time.monotonic() < end, (typed, seen)
                if select.select([terminal], [], [], 0.1)[0]:
                    seen += os.read(terminal, 4096)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
