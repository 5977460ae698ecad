"""`ati`, row by row: every format of every kind of value, every code of a failure, every word, every variable. How its parts work together is in test_ati_cli_shell.py."""

import base64
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import struct
import subprocess
import termios
import threading

import pytest

from harness.ati import ATI, Folder, Proxy, Upstream, environment
from harness.base import PATIENCE
from harness.clock import Clock
from harness.targets import Target

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z"
NOWHERE = "http://127.0.0.1:9"  # nobody answers there

WEATHER = """
[provider]
name = "weather"
description = "Forecasts"
base_url = "{url}/"
category = "science"

[[tools]]
name = "weather:now"
description = "The weather now"
endpoint = "/now"
tags = ["sky", "air"]
hint = "Ask for a city"
examples = ["ati run weather:now --city Rome"]
[tools.input_schema]
type = "object"
[tools.input_schema.properties.city]
type = "string"
[tools.input_schema.properties.unit]
type = "string"
default = "C"
[tools.input_schema.properties.days]
type = "integer"
example = 3

[[tools]]
name = "weather:past"
description = "Old weather"
endpoint = "/past"
"""


class Stage(Upstream):
    """A proxy that answers every call with `result` (or `status` and `text`), and tools with what they were asked."""

    def __init__(self, path):
        super().__init__(self.play)
        self.result = self.status = self.text = None
        self.folder = Folder(path, {"weather": WEATHER.format(url=self.url)})

    def play(self, request):
        if self.status:
            return self.status, {}, self.text.encode()
        if request["path"] == "/call":
            return 200, {}, json.dumps({"result": self.result}, ensure_ascii=False).encode()
        return self.echo(request)

    def ask(self, *words, **environ):
        """`ati words…` through this proxy."""
        return self.folder.run(*words, ATI_PROXY_URL=self.url, **environ)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("stage") / "ati") as stage:
        yield stage


@pytest.fixture
def stage(made):
    made.result = made.status = made.text = None
    made.asked.clear()
    return made


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "ati")


def error_of(done):
    return json.loads(done.stderr.splitlines()[-1])["error"]


DOCUMENT = '{"openapi":"3.0.3","info":{"title":"p","version":"1"},"servers":[{"url":"https://pets.example"}],"paths":{}}'


# --- words, streams, exit statuses -----------------------------------------------------------------


@pytest.mark.parametrize("words", [
    ["--output", "text", "version"], ["version", "--output", "text"], ["--format", "text", "version"], ["version", "--format=text"],
    ["--output=text", "version"],
])
def test_global_flags_stand_before_and_behind_the_command(stage, words):
    assert re.match(r"ati \d+\.\d+\.\d+\S*\n", stage.folder.run(*words).stdout)


def test_json_and_verbose_stand_anywhere(stage):
    for words in (["-J", "version"], ["version", "-J"], ["--json", "version"], ["version", "--json"], ["--output", "text", "version", "--json"],
                  ["--json", "version", "--output", "table"]):
        assert json.loads(stage.folder.run(*words, ATI_OUTPUT="text").stdout)["name"] == "ati", words
    for words in (["--verbose", "tool", "list"], ["tool", "--verbose", "list"], ["tool", "list", "--verbose"]):
        done = stage.folder.run(*words)
        assert re.search(rf"^{TIME} DEBUG mode: local", done.stderr, re.M) and json.loads(done.stdout), words


@pytest.mark.parametrize("words", [["--odd"], ["odd"], ["run"], ["tool", "info"], ["tool", "list", "--odd"], ["--output", "xml", "version"],
                                   ["provider", "add-mcp", "it"], ["token", "issue", "--sub"]])
def test_a_mistake_of_use_shows_the_usage_on_standard_error(stage, words):
    done = stage.folder.run(*words)
    assert done.returncode == 2 and not done.stdout and re.search(r"^Usage: ati\b", done.stderr, re.M)


# A proxy's words, in their order of precedence: (its text, code, exit status).
FAILURES = [
    ("Unknown Tool: 'x'", "tool.not_found", 1), ("the tool was not found", "tool.not_found", 1),
    ("tool not found in your scope", "tool.not_found", 1),
    ("not in your scope", "auth.scope_denied", 3), ("ACCESS DENIED", "auth.scope_denied", 3), ("the scope has expired", "auth.scope_denied", 3),
    ("it has expired", "auth.expired", 3), ("expired: key not found", "auth.expired", 3),
    ("API key not found", "auth.missing_key", 3), ("Missing key: x", "auth.missing_key", 3), ("no keys found", "auth.missing_key", 3),
    ("missing key after a timeout", "auth.missing_key", 3),
    ("Timeout", "provider.timeout", 4), ("timeout of the upstream", "provider.timeout", 4),
    ("Upstream said no", "provider.upstream_error", 4), ("Bad Gateway", "provider.upstream_error", 4), ("MCP error: gone", "provider.upstream_error", 4),
    ("upstream provider not found", "provider.upstream_error", 4),
    ("Provider 'x' not found", "provider.not_found", 4), ("provider not found, or missing", "provider.not_found", 4),
    ("something is missing", "input.missing_arg", 2), ("--url is required", "input.missing_arg", 2), ("required, but invalid", "input.missing_arg", 2),
    ("Invalid value", "input.invalid_value", 2), ("cannot parse it", "input.invalid_value", 2), ("invalid rate limit", "input.invalid_value", 2),
    ("Rate limit reached", "rate.exceeded", 5), ("rate.exceeded", "rate.exceeded", 5),
    ("not found", "tool.execution_failed", 1), ("boom", "tool.execution_failed", 1), ("", "tool.execution_failed", 1),
]


@pytest.mark.parametrize(("text", "code", "status"), FAILURES)
def test_what_a_failure_says_is_its_code_and_status(stage, text, code, status):
    stage.status, stage.text = 500, text
    done = stage.ask("run", "x")
    assert (done.returncode, done.stdout) == (status, "")
    assert error_of(done) == {"code": code, "exit_code": status, "message": "Proxy error (500): " + text}


def test_causes_are_told_where_there_are_some(stage):
    """With --verbose, of requests that came to nothing; other failures have no chain."""
    error = error_of(stage.folder.run("--verbose", "run", "x", ATI_PROXY_URL=NOWHERE))
    assert list(error) == ["chain", "code", "exit_code", "message"]
    assert error["message"] == "Proxy request failed: " + error["chain"][0] and error["chain"][-1] == "Connection refused"
    assert "chain" not in error_of(stage.folder.run("run", "x", ATI_PROXY_URL=NOWHERE))
    stage.status, stage.text = 500, "one: two: three"
    for done in (stage.ask("--verbose", "run", "x"), stage.folder.run("--verbose", "run", "weather:x"), stage.folder.run("--verbose", "key", "remove", "x"),
                 stage.folder.run("--verbose", "run", "weather:now")):
        assert list(error_of(done)) == ["code", "exit_code", "message"], done.stderr


def test_lines_of_the_log(stage):
    """{time} {level} {message} {k=v …}, the level to the right in five columns; an error as it reads."""
    assert re.fullmatch(rf"{TIME}  INFO saved key name=logged\n", stage.folder.run("key", "set", "logged", "x").stderr)
    assert re.fullmatch(rf"{TIME}  INFO removed key name=logged\n", stage.folder.run("key", "remove", "logged").stderr)
    assert re.fullmatch(rf"{TIME}  WARN no tools match 'zzzzz' — try a different search term\n", stage.folder.run("tool", "search", "zzzzz").stderr)
    done = stage.folder.run("--output", "text", "key", "remove", "x")
    assert re.fullmatch(rf"{TIME} ERROR ati command failed error=Key 'x' not found\.\n", done.stderr) and done.returncode == 1
    done = stage.folder.run("--output", "text", "run", "weather:x")
    assert re.fullmatch(rf"{TIME} ERROR ati command failed error=Unknown tool: 'weather:x'\. Did you mean one of:\n  - weather:now\n"
                        r"  - weather:past\nRun 'ati tool info <name>' to see parameters\.\n", done.stderr)
    stage.status, stage.text = 500, "\033[2Jone\r\ntwo"
    assert stage.ask("--output", "text", "run", "x").stderr.endswith("error=Proxy error (500): \ufffd[2Jone\ufffd\ntwo\n")


def test_where_keys_are_from_is_told_with_verbose(folder):
    folder.credentials({"k": "v"})
    assert re.search(rf"^{TIME} DEBUG keyring: credentials \(plaintext\)", folder.run("--verbose", "tool", "list").stderr, re.M)
    assert "keyring" not in folder.run("tool", "list").stderr


# --- formats -----------------------------------------------------------------------------------------

OBJECT = {"n": None, "s": "two\nlines", "b": False, "a": [1, {"k": "v"}], "o": {}}
OBJECTS = [{"b": "x", "a": 1}, {"c": None, "a": [True]}]
FORMATS = [
    ("one\n\"two\"", '"one\\n\\"two\\""', 'one\n"two"', None),
    (OBJECT, '{\n  "a": [\n    1,\n    {\n      "k": "v"\n    }\n  ],\n  "b": false,\n  "n": null,\n  "o": {},\n  "s": "two\\nlines"\n}',
     'a: [1,{"k":"v"}]\nb: false\nn: null\no: {}\ns: two\nlines',
     '┌─────┬───────────────┐\n│ Key ┆ Value         │\n╞═════╪═══════════════╡\n│ a   ┆ [1,{"k":"v"}] │\n│ b   ┆ false         │\n│ n   ┆ null          │\n'
     '│ o   ┆ {}            │\n│ s   ┆ two           │\n│     ┆ lines         │\n└─────┴───────────────┘'),
    (OBJECTS, '[\n  {\n    "a": 1,\n    "b": "x"\n  },\n  {\n    "a": [\n      true\n    ],\n    "c": null\n  }\n]', '{"a":1,"b":"x"}\n{"a":[true],"c":null}',
     '┌────────┬───┬───┐\n│ a      ┆ b ┆ c │\n╞════════╪═══╪═══╡\n│ 1      ┆ x ┆   │\n│ [true] ┆   ┆   │\n└────────┴───┴───┘'),
    (["one", {"b": 1, "a": 2}, None], '[\n  "one",\n  {\n    "a": 2,\n    "b": 1\n  },\n  null\n]', 'one\n{"a":2,"b":1}\nnull', None),
    (None, "null", "null", None), (True, "true", "true", None), (False, "false", "false", None), (-7, "-7", "-7", None), (2.5, "2.5", "2.5", None),
]


@pytest.mark.parametrize(("value", "as_json", "as_text", "as_table"), FORMATS)
def test_each_kind_of_value_in_each_format(stage, value, as_json, as_text, as_table):
    """as_table None: there it is as JSON."""
    stage.result = value
    for form, expected in (("json", as_json), ("text", as_text), ("table", as_table or as_json)):
        done = stage.ask("--output", form, "run", "x")
        assert (done.stdout, done.stderr, done.returncode) == (expected + "\n", "", 0), form


def at_terminal(columns, words, env):
    """What the program prints there."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([ATI, *words], env=env, stdin=subprocess.DEVNULL, stdout=side, stderr=subprocess.DEVNULL) as process:
        os.close(side)
        seen = b""
        while True:
            try:
                piece = os.read(main, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            seen += piece
        assert process.wait(PATIENCE) == 0
    os.close(main)
    return seen.decode().replace("\r\n", "\n")


def test_tables_fit_the_terminal(stage):
    stage.result = [{"name": "first", "text": "one two three four five six seven eight nine ten"}, {"name": "second one", "text": "x" * 30}]
    env = environment(stage.folder.path, {"ATI_PROXY_URL": stage.url})
    assert at_terminal(40, ["--output", "table", "run", "x"], env) == """\
┌────────────┬─────────────────────────┐
│ name       ┆ text                    │
╞════════════╪═════════════════════════╡
│ first      ┆ one two three four five │
│            ┆ six seven eight nine    │
│            ┆ ten                     │
│ second one ┆ xxxxxxxxxxxxxxxxxxxxxxx │
│            ┆ xxxxxxx                 │
└────────────┴─────────────────────────┘
"""
    wide = at_terminal(200, ["--output", "table", "run", "x"], env)
    assert wide == stage.ask("--output", "table", "run", "x").stdout and "eight nine ten │" in wide


# --- run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "args"), [
    (["--a", "null", "--b", "true", "--c", "[1,{}]", "--d", '{"e":1.50}', "--f", "-5", "--g", "10"],
     {"a": None, "b": True, "c": [1, {}], "d": {"e": 1.5}, "f": -5, "g": 10}),
    (["--a", "007", "--b", "1.2.3", "--c", "", "--d", "'x'", "--e", '"7"'], {"a": "007", "b": "1.2.3", "c": "", "d": "'x'", "e": "7"}),
    (["--a", "1", "--a", "2"], {"a": 2}),
    (["--a", "-b", "--c"], {"a": "-b", "c": True}),
    (["--a", "1", "-J", "--json", "--verbose"], {"a": 1}),
    (["--a", "1", "--format", "table", "--output", "text", "--b", "2"], {"a": 1, "b": 2}),
    (["one", "-x", "--a", "1", "two"], {"a": 1}),
    (["--a=1", "--b=2", "3"], {"a=1": True, "b=2": 3}),
    (["--a", "1", "--help"], {"a": 1, "help": True}),
    (["--version"], {"version": True}),
])
def test_what_words_mean(stage, words, args):
    """As a map, and raw beside it."""
    assert stage.ask("run", "x", *words).returncode == 0
    (asked,) = stage.asked
    assert json.loads(asked["body"]) == {"tool_name": "x", "args": args, "raw_args": words}
    assert (asked["method"], asked["path"]) == ("POST", "/call")


def test_the_first_two_dashes_are_ours_and_no_words_are_not_sent(stage):
    """Nor are global flags between the tool and its words."""
    for words, raw in (([], None), (["--"], None), (["--", "--a", "1"], ["--a", "1"]), (["-J", "--output", "text", "--a", "1"], ["--a", "1"]),
                       (["b", "--", "c"], None)):
        stage.asked.clear()
        done = stage.ask("run", "x", *words)
        if words[:1] == ["b"]:
            assert error_of(done)["message"] == "Empty argument key" and not stage.asked
        else:
            assert json.loads(stage.asked[0]["body"]).get("raw_args") == raw


def test_keys_are_normalised_in_this_process_alone(stage):
    assert stage.folder.run("run", "weather:now", "--C_i-T-y", "Rome").stdout.find('"path": "/now?city=Rome&unit=C"') > 0
    stage.asked.clear()
    assert stage.ask("run", "weather:now", "--C_i-T-y", "Rome").returncode == 0
    assert json.loads(stage.asked[0]["body"])["args"] == {"C_i-T-y": "Rome"}


def test_a_property_of_the_very_name_goes_first(folder, stage):
    folder.manifest("twins", f"""
[provider]
name = "twins"
description = "d"
base_url = "{stage.url}"
[[tools]]
name = "twins:t"
description = "d"
endpoint = "/t"
[tools.input_schema]
type = "object"
[tools.input_schema.properties.repo_name]
type = "integer"
[tools.input_schema.properties.repo-name]
type = "integer"
""")
    assert json.loads(folder.run("run", "twins:t", "--repo-name", "1", "--repo_name", "2").stdout)["path"] == "/t?repo-name=1&repo_name=2"


def test_the_scope_is_asked_before_the_rate_and_only_calls_are_recorded(folder, stage):
    folder.manifest("weather", WEATHER.format(url=stage.url))
    token = folder.token("tool:weather:now", "--rate", "tool:weather:*=1/day")
    strict = {"ATI_JWT_SECRET": "5e" * 32, "ATI_SESSION_TOKEN": token}
    codes = [error_of(done)["code"] if done.returncode else None
             for done in (folder.run("run", tool, **strict) for tool in ("weather:past", "weather:past", "weather:nothing", "weather:now", "weather:now"))]
    assert codes == ["auth.scope_denied", "auth.scope_denied", "tool.not_found", None, "rate.exceeded"]
    assert [json.loads(line)["tool"] for line in (folder.path / "audit.jsonl").read_text().splitlines()] == ["weather:now"]


def test_a_providers_name_is_no_tool_but_a_hint(stage):
    for name in ("weather", "weather:", "weather:tomorrow"):
        assert error_of(stage.folder.run("run", name))["message"] == (
            f"Unknown tool: '{name}'. Did you mean one of:\n  - weather:now\n  - weather:past\nRun 'ati tool info <name>' to see parameters.")
    for name in ("whether", "x:y", ":"):
        assert error_of(stage.folder.run("run", name))["message"] == f"Unknown tool: '{name}'. Run 'ati tool list' to see available tools."


def test_a_server_that_is_not_there_is_the_error(folder):
    folder.manifest("gone", '[provider]\nname = "gone"\ndescription = "d"\nhandler = "mcp"\nmcp_command = "/nonexistent/server"\n')
    for words in (["run", "gone:x"], ["tool", "info", "gone:x"]):
        done = folder.run(*words)
        assert done.returncode == 1 and not done.stdout
        assert error_of(done)["message"].startswith("MCP transport error: Failed to spawn MCP server '/nonexistent/server': No such file or directory")


# --- tools -------------------------------------------------------------------------------------------


def test_a_tool_in_text(stage):
    assert stage.folder.run("--output", "text", "tool", "info", "weather:now").stdout == f"""\
Tool:        weather:now
Provider:    weather (Forecasts)
Handler:     http
Endpoint:    GET {stage.url}/now
Description: The weather now
Scope:       tool:weather:now
Category:    science
Tags:        sky, air
Hint:        Ask for a city

Input Schema:
{{
  "properties": {{
    "city": {{
      "type": "string"
    }},
    "days": {{
      "example": 3,
      "type": "integer"
    }},
    "unit": {{
      "default": "C",
      "type": "string"
    }}
  }},
  "type": "object"
}}

Examples:
  ati run weather:now --city Rome

Usage:
  ati run weather:now --city <city> --days 3 --unit "C"
"""


FINDABLE = """
[provider]
name = "{name}"
description = "none"
category = "{category}"
base_url = "http://127.0.0.1:9"
"""
TOOL = '[[tools]]\nname = "{name}"\ndescription = "{description}"\nendpoint = "/"\n{more}\n'


@pytest.fixture(scope="module")
def findable(tmp_path_factory):
    """Tools of which each is found by one of its fields."""
    one = FINDABLE.format(name="one", category="misc") + "".join(TOOL.format(name=name, description=text, more=more) for name, text, more in (
        ("one:hinted", "of some use", 'hint = "like a zebra"'), ("one:told", "a zebra", ""), ("one:tagged", "of some use", 'tags = ["zebra"]'),
        ("one:like_a_zebra_it_is", "of some use", ""), ("zebra", "of some use", ""), ("one:fuzzy", "the zebar", ""), ("one:both", "a zebra", 'hint = "zebra"'),
        ("one:giraffe", "and a lion", ""), ("one:lion_only", "of some use", ""), ("one:quagga", "a lion, an okapi and a giraffe", "")))
    return Folder(tmp_path_factory.mktemp("findable") / "ati", {
        "one": one, "zebra": FINDABLE.format(name="zebra_house", category="misc") + TOOL.format(name="by_provider", description="of some use", more=""),
        "zoo": FINDABLE.format(name="zoo", category="zebra") + TOOL.format(name="by_category", description="of some use", more=""),
        "many": FINDABLE.format(name="many", category="misc") + "".join(TOOL.format(name=f"many:{i}", description="a walrus", more="") for i in range(30))})


def found(folder, *words):
    return [tool["tool"] for tool in json.loads(folder.run("tool", "search", *words).stdout)]


def test_where_a_word_is_found_says_how_much_it_counts(findable):
    """Its name, a part of it, a tag, provider and category, description, hint; then what sounds like it."""
    assert found(findable, "zebra") == ["zebra", "one:like_a_zebra_it_is", "one:tagged", "one:both", "by_provider", "by_category", "one:told", "one:fuzzy",
                                        "one:hinted"]


def test_half_of_the_words_must_be_found(findable):
    assert found(findable, "lion okapi giraffe") == ["one:quagga", "one:giraffe"]  # 3 × 2, then (5 + 2) × ⅔
    assert found(findable, "lion", "okapi") == ["one:quagga", "one:lion_only", "one:giraffe"]  # all of two, then half
    assert found(findable, "okapi nothing1 nothing2") == []
    assert found(findable, "LION how do i use the for of a") == ["one:lion_only", "one:giraffe", "one:quagga"]  # common words do not count
    assert found(findable, "x") == found(findable, "the") == []


def test_twenty_are_found_and_ten_suggested_at_most(findable):
    assert found(findable, "walrus") == [f"many:{i}" for i in range(20)]
    told = error_of(findable.run("run", "many:2x"))["message"].splitlines()[1:-1]
    assert len(told) == 10 and "  - many:2" in told and "  - many:20" in told  # those that sound most like it


def test_nothing_found_is_an_empty_list(findable):
    for words in (["tool", "search", "zzzzz"], ["tool", "list", "--provider", "nobody"]):
        done = findable.run(*words)
        assert (done.returncode, done.stdout) == (0, "[]\n") and " WARN no tools " in done.stderr
        assert findable.run("--output", "table", *words).stdout == ""


def test_nothing_of_a_proxy_is_an_empty_list_too(stage):
    stage.status, stage.text = 200, "[]"
    for words, said in ((["tool", "list"], "no tools available from proxy"), (["tool", "search", "x", "y"], 'no tools match search query="x y"')):
        done = stage.ask(*words)
        assert (done.returncode, done.stdout) == (0, "[]\n") and done.stderr.endswith(f"  WARN {said}\n")
        assert stage.ask("--output", "text", *words).stdout == ""


@pytest.mark.parametrize(("schema", "lines"), [
    ("null", ""), ('{"type":"object"}', "\nParameters:\n  none\n"),
    ('{"properties":{"q":{"type":"string","description":"what"},"n":{}}}', "\nParameters:\n  --q                    (string) what\n  --n                    (any)\n"),
])
def test_a_tool_of_a_proxy_in_text(stage, schema, lines):
    stage.status, stage.text = 200, '{"name":"x","provider":"p","description":"d","method":"GET","tags":["a","b"],"skills":["s"],"input_schema":%s}' % schema
    assert stage.ask("--output", "text", "tool", "info", "x").stdout == (
        "Tool:        x\nProvider:    p\nDescription: d\nMethod:      GET\nTags:        a, b\nSkills:      s\n" + lines)


def test_help_may_be_off_and_scopes_may_be_none(folder):
    claims = {"sub": "a", "aud": "x", "exp": 4102444800, "iat": 1, "scope": ""}
    token = "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".AA"
    text = folder.run("--output", "text", "auth", "status", ATI_SESSION_TOKEN=token).stdout
    assert "Scopes:   0 tools, 0 skills, help disabled\n" in text
    shown = json.loads(folder.run("auth", "status", ATI_SESSION_TOKEN=token).stdout)
    assert shown["help_enabled"] is False and shown["scopes"] == []
    assert list(shown) == sorted(["sub", "iss", "aud", "scope", "scopes", "tool_scopes", "skill_scopes", "help_enabled", "exp", "iat", "jti", "job_id",
                                  "sandbox_id", "time_remaining_secs", "expired", "signature_verified"])


# --- where a command works ---------------------------------------------------------------------------


def test_commands_of_this_machine_ask_no_proxy(stage, folder, tmp_path):
    spec = tmp_path / "pets.json"
    spec.write_text(DOCUMENT)
    for words in (["provider", "list"], ["provider", "add-cli", "c", "--command", "true"], ["provider", "info", "c"], ["provider", "remove", "c"],
                  ["provider", "add-mcp", "m", "--transport", "http", "--url", NOWHERE], ["provider", "inspect-openapi", spec],
                  ["provider", "import-openapi", spec], ["provider", "load", spec, "--name", "l"], ["provider", "unload", "l"], ["auth", "status"],
                  ["token", "keygen", "HS256"], ["token", "issue", "--sub", "a", "--scope", "x", "--secret", "5e" * 32], ["init"], ["key", "set", "a", "b"],
                  ["key", "list"], ["key", "remove", "a"], ["audit", "tail"], ["audit", "search"], ["version"], ["completion", "bash"]):
        done = folder.run(*words, ATI_PROXY_URL=stage.url)
        assert done.returncode == 0, (words, done.stderr)
    assert not stage.asked
    for words in (["run", "x"], ["tool", "list"], ["tool", "info", "x"], ["tool", "search", "x"]):
        stage.asked.clear()
        folder.run(*words, ATI_PROXY_URL=stage.url)
        assert len(stage.asked) == 1, words


class Slow:
    """Answers the one who asks half, waits until it is told, then answers all (or one byte more, and nothing again)."""

    def __init__(self, stack, text):
        self.asked, self.go = threading.Event(), threading.Event()
        self.whole, self.answer = True, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
        self.url = f"http://127.0.0.1:{stack.enter_context(Target(self.serve)).port}"

    def serve(self, peer):
        while b"\r\n\r\n" not in peer.received:
            peer.recv()
        self.asked.set()
        assert self.go.wait(PATIENCE)
        peer.sock.sendall(self.answer if self.whole else self.answer[:1])
        peer.drain()


def answered_after(seconds, slow, clock, folder, *words, **environ):
    """`ati words…`, which has its answer so much later; what goes beyond its time gets a byte of it."""
    for event in (slow.asked, slow.go):
        event.clear()
    with subprocess.Popen([ATI, *words], env=environment(folder.path, {**environ, **clock.environ}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert slow.asked.wait(PATIENCE)
        clock.skip(seconds)
        slow.go.set()
        out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


def test_a_proxy_has_two_minutes(folder, stack, clock):
    slow = Slow(stack, b'{"result":7}')
    words = ["run", "x"]
    assert answered_after(118, slow, clock, folder, *words, ATI_PROXY_URL=slow.url).stdout == "7\n"
    slow.whole = False
    done = answered_after(121, slow, clock, folder, *words, ATI_PROXY_URL=slow.url)
    assert done.returncode == 4 and error_of(done)["code"] == "provider.timeout"
    assert re.fullmatch(r"Proxy request failed: timeout: .*: no answer within 120000 ms", error_of(done)["message"])


def test_a_document_has_half_a_minute(folder, stack, clock):
    slow = Slow(stack, DOCUMENT.encode())
    words = ["provider", "inspect-openapi", slow.url]
    assert "Operations (0):" in answered_after(28, slow, clock, folder, *words).stdout
    slow.whole = False
    done = answered_after(31, slow, clock, folder, *words)
    assert (done.returncode, error_of(done)["message"]) == (4, f"timeout after 30 s while downloading {slow.url}")


def test_the_help_of_a_program_has_five_seconds(folder, tmp_path, clock):
    program, gate = tmp_path / "slow", tmp_path / "gate"
    program.write_text(f'#!/bin/sh\n[ "$1" = --help ] || exit 1\nread word <{gate}\necho "$word"\n[ "$word" = whole ] || sleep 5\necho end\n')
    program.chmod(0o755)
    folder.manifest("c", f'[provider]\nname = "c"\ndescription = "d"\nhandler = "cli"\ncli_command = "{program}"\n')
    os.mkfifo(gate)
    for seconds, word in ((4, "whole"), (5, "half")):  # the other half would come five seconds later
        with subprocess.Popen([ATI, "tool", "info", "c"], env=environment(folder.path, clock.environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            with open(gate, "w", encoding="ascii") as told:  # returns when the program reads
                clock.skip(seconds)
                told.write(word + "\n")
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, err
            assert json.loads(out).get("help_text") == ("whole\nend" if word == "whole" else None)


# --- init, key ---------------------------------------------------------------------------------------


def test_a_running_proxy_reads_no_config(folder):
    assert folder.run("init", "--proxy").returncode == 0
    config = folder.path / "config.toml"
    config.write_text(config.read_text().replace('bind = "127.0.0.1"', 'bind = "192.0.2.1"') + "\n[broken\n")
    with Proxy(folder) as proxy:
        assert proxy.start["addr"].startswith("127.0.0.1:") and proxy.start["auth"].startswith("DISABLED")


def test_what_init_says(folder):
    done = folder.run("init")
    assert done.stdout == "" and f"  INFO initialized ATI directory dir={folder.path}\n" in done.stderr
    for name in ("manifests/", "specs/", "skills/", "config.toml"):
        assert f"  INFO   {name}\n" in done.stderr
    assert "ati key set <name> <value>" in done.stderr
    assert "jwt-private.pem  (keep secret)" in folder.run("init", "--proxy", "--es256").stderr
    pair = [(folder.path / f"jwt-{half}.pem").read_bytes() for half in ("private", "public")]
    again = folder.run("init", "--proxy", "--es256")
    assert again.returncode == 0 and "jwt-private.pem  (was there, and stays: move it away for a new pair)" in again.stderr
    assert [(folder.path / f"jwt-{half}.pem").read_bytes() for half in ("private", "public")] == pair
    public = (folder.path / "jwt-public.pem").read_text()
    assert public.startswith("-----BEGIN PUBLIC KEY-----\n") and (folder.path / "jwt-private.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")


def test_masks_count_bytes(folder):
    folder.credentials({"a": "ää", "b": "äbcdö", "c": "äbcdefghiö", "d": "äbcdefghijklö"})
    assert [line.split()[1] for line in folder.run("key", "list").stdout.splitlines()] == ["****", "ä...ö", "äbc...hiö", "äbc...klö"]


# --- documents that are imported ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    """A forward proxy behind which every host has a document."""
    with Upstream(lambda request: (200, {}, DOCUMENT.encode())) as one:
        yield one


@pytest.mark.parametrize(("address", "name"), [
    ("api.github.com/v3.json", "github"), ("www.foo.co.uk/x", "foo_co_uk"), ("mcp.linear.app/", "linear_app"), ("rest.x.io/", "x"),
    ("petstore.swagger.io:8080/v2", "petstore_swagger"), ("my-site.net/", "my_site"), ("api.www.x.org/", "www_x"), ("a.b.c.dev/", "a_b_c"), ("x.ai/", "x"),
    ("x.co/", "x"), ("x.gov/", "x"), ("x.edu/", "x"), ("localhost/", "localhost"), ("API.Big.COM/", "big"),
])
def test_a_host_gives_a_provider_its_name(folder, world, address, name):
    done = folder.run("provider", "import-openapi", "http://" + address, "--dry-run", http_proxy=world.url)
    assert done.stdout.startswith(f'--- Generated manifest ({name}.toml) ---\n[provider]\nname = "{name}"\n'), done.stderr


@pytest.mark.parametrize(("file", "name"), [("My-Pets API.v2.json", "my_pets_api_v2"), ("UPPER.JSON", "upper"), ("-odd-.yaml", "odd"), ("bare", "bare")])
def test_a_file_gives_a_provider_its_name(folder, tmp_path, file, name):
    (tmp_path / file).write_text(DOCUMENT)
    assert folder.run("provider", "import-openapi", tmp_path / file).returncode == 0
    assert (folder.path / "manifests" / f"{name}.toml").exists() and (folder.path / "specs" / f"{name}.json").exists()


# --- variables ---------------------------------------------------------------------------------------


def test_where_the_directory_is(tmp_path):
    """ATI_DIR, else .ati in the home directory, else .ati here."""
    for number, (environ, place) in enumerate((({"ATI_DIR": "{0}/named", "HOME": "{0}/home"}, "named"), ({"HOME": "{0}/home"}, "home/.ati"), ({}, "here/.ati"),
                                               ({"ATI_DIR": "", "HOME": "{0}/home"}, "home/.ati"))):
        root = tmp_path / str(number)
        (root / "here").mkdir(parents=True)
        (root / "home").mkdir()
        env = {name: value for name, value in environment(root).items() if name not in ("HOME", "ATI_DIR")}
        env |= {name: value.format(root) for name, value in environ.items()}
        done = subprocess.run([ATI, "key", "set", "k", "v"], env=env, cwd=root / "here", capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert [str(path.relative_to(root)) for path in root.rglob("credentials")] == [f"{place}/credentials"]


def test_the_first_use_is_of_ati_dir_alone(tmp_path):
    folder = Folder(tmp_path / "ati")
    shutil.rmtree(folder.path)
    done = folder.run("proxy", "--port", "0", "--ati-dir", tmp_path / "named")
    assert done.returncode != 0 and f"No manifests directory found at {tmp_path}/named/manifests" in done.stderr
    assert not (tmp_path / "named").exists()
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.path.iterdir() if path.is_dir()} == dict.fromkeys(("manifests", "specs", "skills"), "0o700")


def test_the_usual_place_of_the_token(folder):
    """In a /run of its own."""
    script = f"""mount -t tmpfs none /run && mkdir /run/ati && echo {folder.token("x", sub="of-the-usual-file")} >/run/ati/session_token || exit 77
exec {ATI} auth status"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=environment(folder.path), capture_output=True, text=True, timeout=PATIENCE, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode in (1, 77):
        pytest.skip("mounts are not permitted here: " + done.stderr)
    assert json.loads(done.stdout)["sub"] == "of-the-usual-file"


@pytest.fixture(scope="module")
def secure():
    """Somebody who was told to CONNECT, and hangs up; and what he was told."""
    told = []

    def play(request):
        told.append(request)
        return 502, {}, b""

    class Refuses(Upstream.Handler):
        def do_CONNECT(self):
            self.serve()

    class Server(Upstream):
        def finish_request(self, request, client_address):
            Refuses(request, client_address, self)

    with Server(play) as server:
        server.told = told
        yield server


PROXIES = [
    ("http", ["http_proxy"], True), ("http", ["HTTP_PROXY"], True), ("http", ["ALL_PROXY"], True), ("http", ["all_proxy"], True), ("http", ["HTTPS_PROXY"], False),
    ("https", ["HTTPS_PROXY"], True), ("https", ["https_proxy"], True), ("https", ["ALL_PROXY"], True), ("https", ["http_proxy"], False),
    ("http", ["HTTP_PROXY", "REQUEST_METHOD"], False), ("http", ["http_proxy", "NO_PROXY"], False), ("https", ["https_proxy", "no_proxy"], False),
]


@pytest.mark.parametrize(("scheme", "names", "through"), PROXIES)
def test_forward_proxies_are_used(stage, secure, scheme, names, through):
    """By all that goes out: calls of a tool, calls through a proxy, downloads."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    target = f"{scheme}://{closed}"
    environ = {name: "127.0.0.1" if name.lower() == "no_proxy" else secure.url for name in names}
    stage.folder.manifest("far", f'[provider]\nname = "far"\ndescription = "d"\nbase_url = "{target}"\n[[tools]]\nname = "far:t"\ndescription = "d"\nendpoint = "/x"\n')
    wanted = f"{target}/" if scheme == "http" else closed
    try:
        for words, more in ((["run", "far:t"], {}), (["run", "x"], {"ATI_PROXY_URL": target}), (["provider", "inspect-openapi", target + "/x"], {})):
            secure.told.clear()
            assert stage.folder.run(*words, **environ, **more).returncode != 0
            assert [request["path"].startswith(wanted) for request in secure.told] == ([True] if through else []), (words, secure.told)
    finally:
        (stage.folder.path / "manifests" / "far.toml").unlink()


@pytest.mark.parametrize("value", ["", "0", "false", "yes", "on"])
def test_addresses_are_not_judged_unless_it_is_asked_for(stage, value):
    done = stage.folder.run("run", "weather:now", ATI_SSRF_PROTECTION=value)
    assert done.returncode == 0 and not done.stderr


@pytest.mark.parametrize(("value", "status"), [("1", 1), ("true", 1), ("True", 1), ("warn", 0), ("WARN", 0)])
def test_addresses_are_judged_where_it_is_asked_for(stage, value, status):
    done = stage.folder.run("run", "weather:now", ATI_SSRF_PROTECTION=value)
    assert done.returncode == status and len(stage.asked) == 1 - status
    if status:
        assert error_of(done)["message"].startswith("SSRF protection: URL '")
    else:
        assert " WARN " in done.stderr


def test_a_private_key_signs_beside_its_public_one(folder):
    assert folder.run("init", "--proxy", "--es256").returncode == 0
    words = ["token", "issue", "--sub", "a", "--scope", "x"]
    private, public = ({f"ATI_JWT_{kind}_KEY": str(folder.path / f"jwt-{kind.lower()}.pem")} for kind in ("PRIVATE", "PUBLIC"))
    for more, algorithm in (({"ATI_JWT_SECRET": "5e" * 32}, "HS256"), ({"ATI_JWT_SECRET": "5e" * 32, **public}, "ES256"), (public, "ES256")):
        head = folder.run(*words, **private, **more).stdout.partition(".")[0]
        assert json.loads(base64.urlsafe_b64decode(head + "==="))["alg"] == algorithm


def test_blank_variables_are_unset(folder):
    with Proxy(folder, ATI_DB_URL="  ", ATI_JWT_SECRET="", ATI_JWT_PUBLIC_KEY="", OTEL_EXPORTER_OTLP_ENDPOINT=" ", ATI_OTEL_DEBUG="1") as proxy:
        health = json.loads(proxy.ask("GET", "/health")[2])
        assert (health["db"], health["auth"]) == ("disabled", "disabled")


CAPTURES = """
[provider]
name = "c"
description = "d"
handler = "cli"
cli_command = "sh"
cli_default_args = ["-c", '{script} "$2"', "sh"]
cli_output_args = ["-o"]
"""


def test_the_bound_of_captures_is_500_mebibytes(folder, tmp_path):
    """Asked with a file that is nothing but long."""
    folder.manifest("c", CAPTURES.format(script="truncate -s 524288001"))
    done = folder.run("run", "c", "-o", tmp_path / "out")
    assert done.returncode != 0 and error_of(done)["message"].endswith("exceeds ATI_CLI_MAX_OUTPUT_BYTES (524288000 bytes)")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_a_bound_for_captures_that_is_none_is_passed_over(folder, tmp_path, value):
    folder.manifest("c", CAPTURES.format(script="printf hello >"))
    done = folder.run("run", "c", "-o", tmp_path / "out", ATI_CLI_MAX_OUTPUT_BYTES=value)
    assert done.returncode == 0 and pathlib.Path(tmp_path / "out").read_text() == "hello", done.stderr
