"""Credentials that programs make: how they are run, what is taken of their output, where it goes, for which handlers; and ${placeholders}."""

import json
import os
import pathlib
import stat
import sys
import time
import urllib.parse

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import eventually
from harness.mcp import SCRIPT, Server, starts

KEYS = {"k": "key-of-the-keyring-1", "odd": "odd-${k}-@{k}-%s", "static_key": "key-that-is-not-sent"}


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)


def provider(name, generator=None, tools=("t",), **fields):
    """A manifest. generator: what stands in [provider.auth_generator]."""
    fields = {"name": name, "description": name, **fields, **({"auth_generator": generator} if generator else {})}
    lines = ["[provider]"] + [f"{field} = {toml(value)}" for field, value in fields.items()]
    for tool in tools:
        lines += ["[[tools]]", f'name = "{name}:{tool}"', f'description = "{tool}"', 'endpoint = "/x"']
    return "\n".join(lines) + "\n"


def shell(script, **more):
    return {"type": "command", "command": "sh", "args": ["-c", script, "sh"], **more}


def says(text, **more):
    """One that prints this text."""
    return {"type": "command", "command": "printf", "args": ["%s", text], **more}


DOCUMENT = {"a": {"b": "x", "n": 7.50, "t": True, "o": {"p": [1]}}, "main": "main-value", "second": "second-value", "token": "unused"}


def injects(**paths):
    """type of each path; the name is X-path."""
    return says(json.dumps(DOCUMENT), output_format="json",
                inject={path: {"type": kind, "name": "X-" + path.replace(".", "-")} for path, kind in paths.items()})


BEARER = {"auth_type": "bearer"}
# name: (fields of the provider, the generator, what the upstream sees: a header or "?", and its value; None: it is not sent)
SENT = {
    "text": (BEARER, says(" \t the text\r\n\n"), {"Authorization": "Bearer the text"}),
    "header": ({"auth_type": "header", "auth_header_name": "X-Own", "auth_value_prefix": "Own "}, says("v"), {"X-Own": "Own v", "Authorization": None}),
    "usual": ({"auth_type": "header"}, says("v"), {"X-Api-Key": "v"}),
    "query": ({"auth_type": "query", "auth_query_name": "tok"}, says("a b&c"), {"?": "tok=a+b%26c"}),
    "parameter": ({"auth_type": "query"}, says("v"), {"?": "api_key=v"}),
    "none": ({}, says("v"), {"Authorization": None, "X-Api-Key": None, "?": ""}),
    "basic": ({"auth_type": "basic"}, says("v"), {"Authorization": None}),
    "first": ({**BEARER, "auth_key_name": "static_key"}, says("made"), {"Authorization": "Bearer made"}),
    "token": (BEARER, says('{"access_token": "second", "token": "one"}', output_format="json"), {"Authorization": "Bearer one"}),
    "access": (BEARER, says('{"token": 5, "access_token": "two"}', output_format="json"), {"Authorization": "Bearer two"}),
    "neither": (BEARER, says(' {"a": "b"} ', output_format="json"), {"Authorization": 'Bearer {"a": "b"}'}),
    "string": (BEARER, says('{"token": "t"}'), {"Authorization": 'Bearer {"token": "t"}'}),
    "headers": (BEARER, injects(**{"a.b": "header", "a.n": "header", "a.t": "header", "a.o": "header", "main": "query", "second": "query"}),
                {"X-a-b": "x", "X-a-n": "7.5", "X-a-t": "true", "X-a-o": '{"p": [1]}', "Authorization": "Bearer main-value"}),
    "other": (BEARER, injects(main="elsewhere"), {"Authorization": "Bearer main-value"}),
    "only": (BEARER, injects(main="header"), {"X-main": "main-value", "Authorization": None}),
    "extra": ({}, injects(main="header", second="query"), {"X-main": "main-value", "Authorization": None}),
    "env": (BEARER, injects(main="env", second="query"), {"Authorization": "Bearer second-value", "X-main": None}),
    "words": (BEARER, says("${JWT_SUB} ${JWT_SCOPE} ${TOOL_NAME} ${k}"), {"Authorization": f"Bearer dev * words:t {KEYS['k']}"}),
    "once": (BEARER, says("${odd}"), {"Authorization": f"Bearer {KEYS['odd']}"}),
    "chatty": (BEARER, shell("head -c 1000000 /dev/zero >&2; printf v"), {"Authorization": "Bearer v"}),
    "literal": (BEARER, says("$k $$ ${ $(id) `id` *"), {"Authorization": "Bearer $k $$ ${ $(id) `id` *"}),
    "variables": (BEARER, shell("printf '%s|' \"$A\" \"$B\"", env={"A": "${JWT_SUB}-${TOOL_NAME}", "B": "x${odd}y"}),
                  {"Authorization": f"Bearer dev-variables:t|x{KEYS['odd']}y|"}),
    "script": (BEARER, {"type": "script", "interpreter": "sh", "script": 'printf "%s %s %s" "$#" "$A" "$1"', "args": ["unused"], "env": {"A": "${k}"}},
               {"Authorization": f"Bearer 0 {KEYS['k']}"}),
}
WRAPPED = "Upstream API error: API key 'auth_generator: {}' not found in keyring"
FAILED = {
    "missing": (says("${nobody}"), "Keyring key 'nobody' not found (required by auth_generator)"),
    "variable": (says("x", env={"A": "${nobody}"}), "Keyring key 'nobody' not found (required by auth_generator)"),
    "code": (shell("echo some output; echo because >&2; exit 3"), "Generator exited with code 3: because\n"),
    "signal": (shell("kill -9 $$"), "Generator exited with code -1: "),
    "nowhere": ({"type": "command", "command": "/nowhere/x"}, "Failed to spawn generator process: /nowhere/x: No such file or directory"),
    "interpreter": ({"type": "script", "interpreter": "/nowhere/x", "script": "y"}, "Failed to spawn generator process: /nowhere/x: No such file or directory"),
    "path": (injects(**{"a.b": "header", "a.c": "header"}), "Failed to parse generator output: JSON path 'a.c' not found in output"),
    "large": (shell("head -c 70000 /dev/zero | tr '\\0' x"), "Failed to parse generator output: more than 65536 bytes"),
    "empty": (shell("echo"), "Failed to parse generator output: it is empty"),
}


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def dev(tmp_path_factory, upstream):
    """A gateway without authentication, with all of them."""
    path = tmp_path_factory.mktemp("dev")
    folder = Folder(path / "ati", {name: provider(name, generator, base_url=upstream.url, **fields) for name, (fields, generator, _) in SENT.items()}, KEYS)
    for name, (generator, _) in FAILED.items():
        folder.manifest(f"bad_{name}", provider(f"bad_{name}", generator, base_url=upstream.url, **BEARER))
    folder.manifest("bad_json", provider("bad_json", says("no json", output_format="json"), base_url=upstream.url, **BEARER))
    folder.manifest("environ", provider("environ", shell(f"cat /proc/$$/environ >{path}/environ; printf x", env={"OWN": "1"}), base_url=upstream.url, **BEARER))
    folder.manifest("whose", provider("whose", says("token <${JWT_TOKEN}>"), base_url=upstream.url, **BEARER))
    folder.manifest("clock", provider("clock", says("${TIMESTAMP}"), base_url=upstream.url, **BEARER))
    mode = f'stat -c %a "$0" >{path}/mode; echo "$0" >{path}/name; printf x'
    folder.manifest("mode", provider("mode", {"type": "script", "interpreter": "sh", "script": mode}, base_url=upstream.url, **BEARER))
    (path / "scratch").mkdir()
    with Proxy(folder, LANG="C.UTF-8", UNTOLD="x", TMPDIR=path / "scratch") as proxy:
        proxy.place = path
        yield proxy


# --- http and openapi -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENT)
def test_what_is_made_is_sent(dev, upstream, name):
    status, answer = dev.call(f"{name}:t")
    assert status == 200, answer
    asked = upstream.asked[-1]
    for header, value in SENT[name][2].items():
        assert (urllib.parse.urlsplit(asked["path"]).query if header == "?" else asked["headers"].get(header)) == value
    assert KEYS["static_key"] not in json.dumps([asked["path"], *asked["headers"].items()])


@pytest.mark.parametrize("name", FAILED)
def test_what_goes_wrong_is_told_and_nothing_is_sent(dev, upstream, name):
    before = len(upstream.asked)
    assert dev.call(f"bad_{name}:t") == (502, {"result": None, "error": WRAPPED.format(FAILED[name][1])})
    assert len(upstream.asked) == before


def test_output_that_is_no_json(dev):
    status, answer = dev.call("bad_json:t")
    assert status == 502 and answer["error"].startswith(WRAPPED.partition("{")[0] + "Failed to parse generator output: invalid JSON: ")


def test_what_it_sees_of_us(dev):
    assert dev.call("environ:t")[0] == 200
    environ = dict(line.split("=", 1) for line in (dev.place / "environ").read_text().split("\0") if line)
    assert environ == {"PATH": os.environ["PATH"], "HOME": str(dev.folder.path), "TMPDIR": str(dev.place / "scratch"), "OWN": "1"}


def test_the_time_is_in_seconds(dev, upstream):
    before = int(time.time())
    assert dev.call("clock:t")[0] == 200
    assert before <= int(upstream.asked[-1]["headers"]["Authorization"].removeprefix("Bearer ")) <= time.time()


def test_a_script_is_a_file_that_nobody_else_reads_and_goes(dev):
    assert dev.call("mode:t")[0] == 200
    name = pathlib.Path((dev.place / "name").read_text().strip())
    assert (dev.place / "mode").read_text() == "600\n" and name.parent == dev.place / "scratch" and not name.exists()


OPENAPI = """
openapi: 3.0.3
info: {title: t, version: "1"}
paths: {/x: {get: {operationId: get}}}
"""


def test_for_tools_of_a_document(tmp_path, upstream):
    folder = Folder(tmp_path / "ati", {"o": provider("o", says("made"), tools=(), handler="openapi", base_url=upstream.url, openapi_spec=str(tmp_path / "o.yaml"),
                                                     extra_headers={"X-More": "more-${k}-${nobody}-${k}"}, **BEARER)}, KEYS)
    (tmp_path / "o.yaml").write_text(OPENAPI)
    done = folder.run("run", "o:get")
    assert done.returncode == 0, done.stderr
    headers = upstream.asked[-1]["headers"]
    assert headers["Authorization"] == "Bearer made" and headers["X-More"] == f"more-{KEYS['k']}-${{nobody}}-{KEYS['k']}"


# --- time -----------------------------------------------------------------------------------------


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_time_is_bounded_and_outcomes_are_kept_for_a_while(tmp_path, upstream):
    """Both take a second: together. At the end the script is gone, and whatever it started."""
    note, runs = tmp_path / "pid", tmp_path / "runs"
    slow = {"type": "script", "interpreter": "sh", "timeout_secs": 1, "script": f"sleep 1000 & echo $! $$ >{note}; wait"}
    count = shell(f"echo x >>{runs}; wc -l <{runs}", cache_ttl_secs=1)
    (tmp_path / "scratch").mkdir()
    folder = Folder(tmp_path / "ati", {"slow": provider("slow", slow, base_url=upstream.url, **BEARER),
                                       "kept": provider("kept", count, base_url=upstream.url, **BEARER)}, KEYS)
    with Proxy(folder, TMPDIR=tmp_path / "scratch") as proxy:
        def run():
            assert proxy.call("kept:t")[0] == 200
            return upstream.asked[-1]["headers"]["Authorization"]

        assert run() == "Bearer 1"
        assert proxy.call("slow:t") == (502, {"result": None, "error": WRAPPED.format("Generator timed out after 1s")})
        pids = note.read_text().split()
        eventually(lambda: not any(map(alive, pids)), "the end of all of it")
        assert not list((tmp_path / "scratch").iterdir())
        eventually(lambda: run() == "Bearer 2", "the end of what was kept")


@pytest.mark.parametrize("ttl, made", [(None, {"1", "2", "3", "4"}), (3600, {"1", "2"})])
def test_what_is_kept_is_each_callers_own(tmp_path, upstream, ttl, made):
    runs = tmp_path / "runs"
    generator = shell(f'echo x >>{runs}; echo "$1 $2 $(wc -l <{runs})"', **({"cache_ttl_secs": ttl} if ttl else {}))
    generator["args"] += ["${JWT_SUB}", "${JWT_SCOPE}"]
    folder = Folder(tmp_path / "ati", {"p": provider("p", generator, base_url=upstream.url, **BEARER)}, KEYS, ATI_JWT_SECRET=SECRET)
    seen = set()
    with Proxy(folder) as proxy:
        for sub in ("ann", "bob", "ann", "bob"):
            assert proxy.call("p:t", {}, folder.token("tool:p:t help", sub=sub))[0] == 200
            told = upstream.asked[-1]["headers"]["Authorization"]
            assert told.startswith(f"Bearer {sub} tool:p:t help ")
            seen.add(told)
    assert {told.split()[-1] for told in seen} == made and len(seen) == len(made)


def test_what_it_is_told_of_is_part_of_what_is_kept(tmp_path, upstream):
    """A tool's credential is not another one's, nor that of a wider scope one of a narrow one."""
    folder = Folder(tmp_path / "ati", {"p": provider("p", says("${JWT_SCOPE} ${TOOL_NAME}", cache_ttl_secs=3600), ("t", "u"), base_url=upstream.url, **BEARER)},
                    KEYS, ATI_JWT_SECRET=SECRET)
    with Proxy(folder) as proxy:
        for scope in ("tool:p:t tool:p:u", "tool:p:*"):
            for tool in ("p:t", "p:u"):
                assert proxy.call(tool, {}, folder.token(scope))[0] == 200
                assert upstream.asked[-1]["headers"]["Authorization"] == f"Bearer {scope} {tool}"


# --- the caller's token ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passed_on(tmp_path_factory, upstream, server):
    """A gateway that verifies tokens, and whose generators are told of them."""
    path = tmp_path_factory.mktemp("passed")
    script = {"type": "script", "interpreter": "sh", "script": 'printf %s "$T"', "env": {"T": "${JWT_TOKEN}"}}
    kept = {"type": "command", "command": "sh", "args": ["-c", f'echo x >>{path}/runs; printf "%s %s" "$T" "$(wc -l <{path}/runs)"'],
            "env": {"T": "${JWT_TOKEN}"}, "cache_ttl_secs": 3600}
    folder = Folder(path / "ati", {
        "h": provider("h", script, base_url=upstream.url, **BEARER),
        "kept": provider("kept", kept, base_url=upstream.url, **BEARER),
        "told": provider("told", shell('echo "no $1" >&2; exit 3', env={"T": "${JWT_TOKEN}"}), base_url=upstream.url, **BEARER),
        "w": provider("w", script, tools=(), handler="mcp", mcp_transport="http", mcp_url=server.url + "?passed", **BEARER),
        "c": provider("c", script, tools=(), handler="cli", cli_command="sh", cli_default_args=["-c", f'printf %s "$ATI_AUTH_TOKEN" >{path}/c']),
    }, KEYS, ATI_JWT_SECRET=SECRET)
    told = folder.path / "manifests" / "told.toml"
    told.write_text(told.read_text().replace('"sh"]', '"sh", "${JWT_TOKEN}"]'))
    with Proxy(folder, "--verbose") as proxy:
        proxy.place = path
        yield proxy


def test_the_callers_token(passed_on, upstream, server):
    """Of whatever kind the tool is, and one's own: nobody gets what was made for another token, of the same subject either."""
    tokens = [passed_on.folder.token("tool:* help", "--ttl", 600 + i) for i in range(2)]
    assert tokens[0] != tokens[1]
    for token in tokens:
        assert passed_on.call("h:t", {}, token)[0] == 200
        assert upstream.asked[-1]["headers"]["Authorization"] == f"Bearer {token}"
        assert passed_on.call("w:t", {}, token)[0] == 200
        assert server.messages("tools/call")[-1]["headers"]["authorization"] == f"Bearer {token}"
        assert "result" in passed_on.rpc("tools/call", {"name": "h:t", "arguments": {}}, token)
        assert upstream.asked[-1]["headers"]["Authorization"] == f"Bearer {token}"
        assert passed_on.call("c", {}, token)[0] == 200
        assert (passed_on.place / "c").read_text() == token
    for number, token in enumerate([*tokens, *tokens]):
        assert passed_on.call("kept:t", {}, token)[0] == 200
        assert upstream.asked[-1]["headers"]["Authorization"] == f"Bearer {token} {number % 2 + 1}"
    listing = [asked for asked in server.messages("tools/list") if asked["path"] == "/mcp?passed"]
    assert listing and all("authorization" not in asked["headers"] for asked in listing)  # nobody's, and nothing is made of it


def test_the_callers_token_is_not_told(passed_on):
    token = passed_on.folder.token("tool:* help", "--ttl", 700)
    status, answer = passed_on.call("told:t", {}, token)
    assert status == 502 and "Generator exited with code 3: no " in answer["error"] and token not in answer["error"]
    everything = "\n".join(passed_on.seen) + json.dumps(passed_on.audit())
    assert token not in everything and token.rsplit(".", 1)[1] not in everything


def test_nobodys_token(dev, upstream):
    """Nothing verifies tokens here: what a caller sends is passed on to nobody."""
    for token in (None, "a.token.of-somebody"):
        assert dev.call("whose:t", {}, token)[0] == 200
        assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer token <>"


@pytest.mark.parametrize("verified", [False, True])
def test_the_token_of_a_session(tmp_path, upstream, verified):
    folder = Folder(tmp_path / "ati", {"p": provider("p", says("<${JWT_TOKEN}>"), base_url=upstream.url, **BEARER)}, KEYS)
    token = folder.token("tool:*")
    (tmp_path / "token").write_text(token + "\n")
    environ = {"ATI_JWT_SECRET": SECRET} if verified else {}
    for given in ({"ATI_SESSION_TOKEN": token}, {"ATI_SESSION_TOKEN_FILE": str(tmp_path / "token")}):
        done = folder.run("--verbose", "run", "p:t", **environ, **given)
        assert done.returncode == 0, done.stderr
        assert upstream.asked[-1]["headers"]["Authorization"] == f"Bearer <{token}>"
        assert token not in done.stderr
    if not verified:
        assert folder.run("run", "p:t").returncode == 0
        assert upstream.asked[-1]["headers"]["Authorization"] == "Bearer <>"


# --- other handlers -------------------------------------------------------------------------------

VARIABLES = injects(**{"main": "env", "a.b": "header", "second": "query"})
VARIABLES["inject"]["main"]["name"] = "MAIN"
ALONE = {**VARIABLES, "inject": {"main": VARIABLES["inject"]["main"]}}


def test_for_programs(tmp_path):
    """A program gets it as a variable, and the extra ones."""
    script = 'tr "\\0" "\\n" </proc/$$/environ | grep -e ^MAIN= -e ^ATI -e ^X- | sort >"$1"'
    fields = {"handler": "cli", "cli_command": "sh", "cli_default_args": ["-c", script, "sh"], "tools": ()}
    folder = Folder(tmp_path / "ati", {"c": provider("c", VARIABLES, **fields), "alone": provider("alone", ALONE, **fields)}, KEYS)
    folder.manifest("bad", provider("bad", shell("echo no >&2; exit 2"), **fields))
    with Proxy(folder) as proxy:
        for name, given in (("c", "ATI_AUTH_TOKEN=second-value\nMAIN=main-value\n"), ("alone", "MAIN=main-value\n")):
            assert proxy.call(name, raw_args=[str(tmp_path / "out")])[0] == 200
            assert (tmp_path / "out").read_text() == given
        assert proxy.call("bad") == (502, {"result": None, "error": "CLI error: CLI config error: auth_generator failed: Generator exited with code 2: no\n"})


def test_a_missing_key_of_an_mcp_server_is_a_warning(tmp_path, server):
    """It is asked without one."""
    folder = Folder(tmp_path, {"w": provider("w", tools=(), handler="mcp", mcp_transport="http", mcp_url=server.url, auth_key_name="Their_key", **BEARER)}, KEYS)
    with Proxy(folder) as proxy:
        for _ in range(2):
            assert proxy.call("w:t") == (200, {"result": "done"})
        told = [json.loads(line) for line in proxy.seen if "ATI_KEY_" in line]
    assert [(line["level"], line["provider"], line["key"], line["variable"]) for line in told] == [("WARN", "w", "Their_key", "ATI_KEY_THEIR_KEY")]
    assert "authorization" not in server.messages("tools/call")[-1]["headers"]


def environ_of(pid):
    return dict(line.split("=", 1) for line in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if line)


def test_for_mcp_servers(tmp_path):
    folder = Folder(tmp_path, credentials=KEYS)
    for name, generator in (("script", VARIABLES), ("alone", ALONE), ("bad", shell("echo no >&2; exit 2"))):
        folder.manifest(name, provider(name, generator, tools=("pid",), handler="mcp", mcp_command=sys.executable,
                                       mcp_args=[str(SCRIPT), "good", str(tmp_path / f"{name}.starts")]))
    with Proxy(folder) as proxy:
        for name, given in (("script", {"ATI_AUTH_TOKEN": "second-value", "MAIN": "main-value"}), ("alone", {"MAIN": "main-value"})):
            status, answer = proxy.call(f"{name}:pid")
            assert status == 200, answer
            environ = environ_of(answer["result"])
            assert {key: value for key, value in environ.items() if key not in ("PATH", "HOME")} == given
        assert proxy.call("bad:pid") == (502, {
            "result": None, "error": "MCP error: Missing MCP configuration: auth_generator failed: Generator exited with code 2: no\n"})


@pytest.fixture(scope="module")
def server():
    with Server() as one:
        yield one


@pytest.mark.parametrize("fields, generator, sent", [
    (BEARER, says("made"), {"authorization": "Bearer made"}),
    ({"auth_type": "header", "auth_value_prefix": "Own "}, says("made"), {"authorization": "Own made"}),
    ({"auth_type": "header", "auth_header_name": "X-Own", "auth_key_name": "static_key"}, says("made"), {"x-own": "made", "authorization": None}),
    ({}, says("made"), {"authorization": "made"}),
    ({"auth_type": "query", "auth_header_name": "X-Own"}, says("made"), {"x-own": "made", "authorization": None}),
    (BEARER, VARIABLES, {"authorization": "Bearer second-value", "x-a-b": "x", "main": None}),
    (BEARER, injects(main="header"), {"authorization": None, "x-main": "main-value"}),
    # without a generator
    ({**BEARER, "auth_key_name": "k"}, None, {"authorization": f"Bearer {KEYS['k']}"}),
    ({"auth_type": "header", "auth_key_name": "k"}, None, {"authorization": KEYS["k"], "x-api-key": None}),
    ({"auth_type": "header", "auth_key_name": "k", "auth_header_name": "X-Own", "auth_value_prefix": "Own "}, None, {"x-own": f"Own {KEYS['k']}", "authorization": None}),
    ({**BEARER, "auth_key_name": "nobody"}, None, {"authorization": None}),
    ({"auth_key_name": "k", "extra_headers": {"X-More": "more-${k}", "Accept": "x/y"}}, None,
     {"authorization": None, "x-more": f"more-{KEYS['k']}", "accept": "application/json, text/event-stream"}),
])
def test_for_mcp_servers_over_http(tmp_path, server, fields, generator, sent):
    folder = Folder(tmp_path, {"w": provider("w", generator, tools=(), handler="mcp", mcp_transport="http", mcp_url=server.url, **fields)}, KEYS)
    done = folder.run("run", "w:t")
    assert done.returncode == 0, done.stderr
    call = server.messages("tools/call")[-1]
    assert {name: call["headers"].get(name) for name in sent} == sent


# --- ${placeholders} ------------------------------------------------------------------------------

# text, and what becomes of it: where what is missing ends it, where it stays, where it is an error
PLACEHOLDERS = [
    ("plain", "plain", "plain"), ("a-${k}-${k}", *[f"a-{KEYS['k']}-{KEYS['k']}"] * 2), ("${odd}", *[KEYS["odd"]] * 2),
    ("${K}", *[KEYS["k"]] * 2), ("$k ${k", *["$k ${k"] * 2), ("${k}/${nobody}/${k}", f"{KEYS['k']}/${{nobody}}/${{k}}", f"{KEYS['k']}/${{nobody}}/{KEYS['k']}"),
]

IN_URLS = [row for row in PLACEHOLDERS if " " not in row[0]]  # the last one has the unknown name


@pytest.fixture(scope="module")
def places(tmp_path_factory, upstream, server):
    """A gateway whose manifests hold all texts in all places."""
    path, texts = tmp_path_factory.mktemp("places"), {f"V{i}": text for i, (text, *_) in enumerate(PLACEHOLDERS)}
    folder = Folder(path, {
        "env": provider("env", tools=("pid",), handler="mcp", mcp_command=sys.executable, mcp_args=[str(SCRIPT), "good", str(path / "env.starts")], mcp_env=texts),
        "url": provider("url", tools=("t",), handler="mcp", mcp_transport="http",
                        mcp_url=server.url + "?" + "&".join(text for text, *_ in IN_URLS)),
        "head": provider("head", base_url=upstream.url, extra_headers=texts),
        "lost": provider("lost", tools=(), handler="cli", cli_command="env", cli_env={"A": "x${nobody}"}),
        "file": provider("file", tools=(), handler="cli", cli_command="env", cli_env={"A": "@{nobody}"}),
    }, KEYS)
    with Proxy(folder) as proxy:
        yield proxy


def test_placeholders_of_mcp_env(places):
    status, answer = places.call("env:pid")
    assert status == 200, answer
    given = environ_of(answer["result"])
    assert {name: value for name, value in given.items() if name.startswith("V")} == {f"V{i}": ended for i, (_, ended, _) in enumerate(PLACEHOLDERS)}
    assert len(starts(places.folder.path, "env")) == 1


def test_placeholders_of_mcp_url(places, server):
    assert places.call("url:t")[0] == 200
    path = server.messages("tools/call")[-1]["path"]
    assert urllib.parse.unquote(path.partition("?")[2]) == "&".join(ended for _, ended, _ in IN_URLS)


def test_placeholders_of_extra_headers(places, upstream):
    assert places.call("head:t")[0] == 200
    assert {f"V{i}": upstream.asked[-1]["headers"][f"V{i}"] for i in range(len(PLACEHOLDERS))} == {
        f"V{i}": stayed for i, (*_, stayed) in enumerate(PLACEHOLDERS)}


def test_placeholders_of_cli_env(places, tmp_path):
    folder = Folder(tmp_path, {"cli": provider("cli", tools=(), handler="cli", cli_command="sh", cli_default_args=["-c", 'tr "\\0" "\\n" </proc/$$/environ >"$1"', "sh"],
                                               cli_env={**{f"V{i}": text for i, (text, *_) in enumerate(PLACEHOLDERS) if "nobody" not in text}, "F": "@{odd}", "G": "x@{odd}"})}, KEYS)
    done = folder.run("run", "cli", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    given = dict(line.split("=", 1) for line in (tmp_path / "out").read_text().splitlines())
    assert {name: value for name, value in given.items() if name.startswith("V")} == {
        f"V{i}": value for i, (text, value, _) in enumerate(PLACEHOLDERS) if "nobody" not in text}
    file = pathlib.Path(given["F"])
    assert file.parent == tmp_path / ".creds" and file.read_text() == KEYS["odd"] and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert given["G"] == "x@{odd}"  # whole values alone are files
    for name in ("lost", "file"):
        assert places.call(name) == (502, {"result": None, "error": "CLI error: Missing keyring key: nobody"})


def test_a_command_is_no_shell(dev, upstream):
    """What a shell would do with it, it does not."""
    assert dev.call("literal:t")[0] == 200
    assert "$(id)" in upstream.asked[-1]["headers"]["Authorization"]
