"""What is written down: lines of the gateway's log, the audit and the commands that read it."""

import datetime
import json
import re
import subprocess
import time

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import eventually
from harness.mcp import Server, manifest, script
from test_ati_matrix import claims, jwt

SHOP = """
[provider]
name = "shop"
description = "d"
base_url = "{url}"

[[tools]]
name = "shop:buy"
description = "d"
endpoint = "/buy"
method = "POST"

[[tools]]
name = "shop:fail"
description = "d"
endpoint = "/fail"

[[tools]]
name = "shop:free_entry"
description = "d"
endpoint = "/free"
"""
PROGRAM = '[provider]\nname = "runs"\ndescription = "d"\nhandler = "cli"\ncli_command = "sh"\ncli_default_args = ["-c", "exit $1", "sh"]\n'
PETS = {"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": {"operationId": "a"}}}}
SPEC = '[provider]\nname = "pets"\ndescription = "d"\nhandler = "openapi"\nbase_url = "http://x"\nopenapi_spec = "pets.json"\n'


def answer(request):
    return (503, {}, b"out of order") if request["path"].startswith("/fail") else Upstream.echo(request)


@pytest.fixture(scope="module")
def upstream():
    with Upstream(answer) as up:
        yield up


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, upstream):
    """One with a provider of each kind, that tells of everything."""
    path = tmp_path_factory.mktemp("records")
    with Server() as web:
        folder = Folder(path, {"shop": SHOP.format(url=upstream.url), "runs": PROGRAM, "pets": SPEC}, {"key": "k"}, ATI_JWT_SECRET=SECRET, RUST_LOG="debug")
        (path / "specs").mkdir()
        (path / "specs" / "pets.json").write_text(json.dumps(PETS))
        manifest(path, "web", mcp_transport="http", mcp_url=web.url)
        script(path, "local")
        with Proxy(folder) as proxy:
            yield proxy


def token(sub="agent-7", scope="*", **more):
    return jwt(claims(scope, sub=sub, **more))


def lines(proxy, message, count=1, **fields):
    """The log's lines with this message and these fields, as soon as there are so many."""
    def found():
        every = [json.loads(line) for line in list(proxy.seen)]
        return [one for one in every if one["message"] == message and fields.items() <= one.items()]

    eventually(lambda: len(found()) >= count, f"{count} lines of {message!r}")
    return found()


def rows(proxy, sub, count):
    """The audit's lines of a subject."""
    return eventually(lambda: [found for found in [[row for row in proxy.audit() if row["agent_sub"] == sub]] if len(found) >= count], f"{count} lines")[0]


# --- the log --------------------------------------------------------------------------------------


def test_every_line_is_an_object_on_its_own(gateway):
    gateway.call("shop:buy", {"a": 1}, token())
    for line in gateway.seen:
        fields = json.loads(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", fields["timestamp"])
        assert fields["level"] in ("ERROR", "WARN", "INFO", "DEBUG", "TRACE") and re.fullmatch(r"ati(::\w+)+", fields["target"]) and fields["message"]
        assert line.startswith('{"timestamp":"') and '","level":"' in line  # no blanks between: it can be searched


def test_the_line_of_the_start(gateway):
    start = gateway.start
    assert start["version"] == gateway.folder.run("--version").stdout.split()[1]
    assert {name: start[name] for name in ("tools", "providers", "mcp", "openapi", "skills", "keyring", "db", "passthrough", "sig_verify_mode", "sig_verify_secret", "auth")} == {
        "tools": start["tools"], "providers": 6, "mcp": 2, "openapi": 1, "skills": 0, "keyring": "credentials (plaintext)", "db": "disabled", "passthrough": 0,
        "sig_verify_mode": "Log", "sig_verify_secret": False, "auth": "JWT enabled"}
    assert isinstance(start["tools"], int) and start["tools"] > 3 + 1 + 1 + 1 + 2 and (start["ati_dir"], start["addr"]) == (str(gateway.folder.path), f"127.0.0.1:{gateway.port}")


def test_providers_are_told_at_the_start(gateway):
    assert sorted((line["provider"], line["transport"]) for line in lines(gateway, "MCP provider", 2)) == [("local", "stdio"), ("web", "http")]
    assert [line["provider"] for line in lines(gateway, "OpenAPI provider")] == ["pets"]
    assert {line["provider"]: line["tools"] for line in lines(gateway, "discovered MCP tools", 2)} == {"web": 1, "local": 24}


def test_keys_of_the_environment_are_counted(tmp_path):
    with Proxy(Folder(tmp_path), "--env-keys", ATI_KEY_A="1", ATI_KEY_B="2", ATI_KEY_C="") as proxy:
        assert [line["count"] for line in lines(proxy, "loaded API keys from ATI_KEY_* env vars")] == [2]
        assert proxy.start["keyring"] == "env-vars (ATI_KEY_*)"


def test_signatures_are_told_of_at_the_start(tmp_path):
    with Proxy(Folder(tmp_path, credentials={"sandbox_signing_shared_secret": "x" * 32}), "--sig-verify-mode", "warn") as proxy:
        assert (proxy.start["sig_verify_mode"], proxy.start["sig_verify_secret"]) == ("Warn", True)


def test_a_call_and_who_made_it(gateway):
    told = token("agent-of-the-log", job_id="job-7", sandbox_id="box-7")
    gateway.call("shop_buy", {"a": 1}, told)
    gateway.rpc("tools/list", None, told)
    (called,) = lines(gateway, "tool call", agent="agent-of-the-log")
    assert (called["tool"], called["job_id"], called["sandbox_id"], called["level"]) == ("shop:buy", "job-7", "box-7", "INFO")
    (asked,) = lines(gateway, "mcp call", agent="agent-of-the-log")
    assert (asked["method"], asked["job_id"], asked["sandbox_id"], asked["level"]) == ("tools/list", "job-7", "box-7", "INFO")


def test_arguments_are_for_debugging_and_without_secrets(gateway):
    gateway.call("shop:buy", {"plain": "seen-in-the-log", "api_key": "planted-one", "deep": {"Password": "planted-two"}}, token())
    eventually(lambda: any("seen-in-the-log" in text for text in gateway.seen), "the arguments in the log")
    (line,) = [text for text in gateway.seen if "seen-in-the-log" in text]
    assert json.loads(line)["level"] == "DEBUG" and "planted" not in "\n".join(gateway.seen)


# --- the audit ------------------------------------------------------------------------------------


def test_a_line_of_the_audit(gateway):
    sub = "agent-of-a-line"
    assert gateway.call("shop_buy", {"z": 1.50, "a": [True, None]}, token(sub))[0] == 200
    assert gateway.call("shop:fail", {}, token(sub, job_id="j", sandbox_id="s"))[0] == 502
    assert gateway.call("runs", {}, token(sub), raw_args=["3", "not told"])[0] == 502
    assert gateway.call("runs", {}, token(sub), raw_args=["0"])[0] == 200
    good, bad, failed, ran = rows(gateway, sub, 4)
    assert list(good) == ["ts", "tool", "args", "status", "duration_ms", "agent_sub"]
    assert (good["tool"], good["args"], good["status"]) == ("shop_buy", {"z": 1.5, "a": [True, None]}, "ok") and isinstance(good["duration_ms"], int)
    assert good["ts"].endswith("+00:00") and abs(datetime.datetime.fromisoformat(good["ts"]).timestamp() - time.time()) < 300
    assert list(bad) == ["ts", "tool", "args", "status", "duration_ms", "agent_sub", "job_id", "sandbox_id", "error"]
    assert (bad["status"], bad["job_id"], bad["sandbox_id"]) == ("error", "j", "s") and bad["error"].endswith("API error (503): out of order")
    assert (failed["status"], failed["exit_code"], failed["args"]) == ("error", 3, {}) and "not told" not in json.dumps(failed)
    assert (ran["status"], ran.get("error")) == ("ok", None)


def test_what_is_not_admitted_is_no_call(gateway):
    """The log tells of it."""
    sub = "agent-refused"
    assert gateway.call("shop:buy", {}, token(sub, scope="tool:shop:fail"))[0] == 403
    assert gateway.call("shop:none", {}, token(sub))[0] == 404
    assert gateway.call("shop:fail", {}, token(sub))[0] == 502
    assert [row["tool"] for row in rows(gateway, sub, 1)] == ["shop:fail"]
    assert [line["tool"] for line in lines(gateway, "tool call denied", agent=sub)] == ["shop:buy"]


@pytest.mark.parametrize("name", ["password", "my_PASSWORD", "secret", "client-Secret", "token", "TOKENS", "key", "monkey", "credential", "credentials", "auth", "Author"])
def test_names_that_are_private(gateway, name):
    sub = f"agent-private-{name}"
    gateway.call("shop:buy", {name: "planted", "deep": [{name: {"x": "planted"}}], "plain": "kept"}, token(sub))
    (row,) = rows(gateway, sub, 1)
    assert row["args"] == {name: "[REDACTED]", "deep": [{name: "[REDACTED]"}], "plain": "kept"}


@pytest.mark.parametrize("text, told", [
    ("x" * 200, "x" * 200), ("x" * 201, "x" * 200 + "...[truncated]"), ("ü" * 100, "ü" * 100), ("x" + "ü" * 100, "x" + "ü" * 99 + "...[truncated]"),
    ("€" * 67, "€" * 66 + "...[truncated]"), ("\n" * 201, "\n" * 200 + "...[truncated]")], ids=["200", "201", "200 of two", "cut in two", "cut in three", "escaped"])
def test_long_texts_are_cut_between_characters(gateway, text, told):
    sub = f"agent-long-{abs(hash(text))}"
    gateway.call("shop:buy", {"t": text, "deep": [text]}, token(sub))
    (row,) = rows(gateway, sub, 1)
    assert row["args"] == {"t": told, "deep": [told]}


def test_calls_over_mcp_are_written_down(gateway):
    sub = "agent-of-mcp"
    gateway.rpc("tools/call", {"name": "shop:buy", "arguments": {"a": 1}}, token(sub))
    (row,) = rows(gateway, sub, 1)
    assert (row["tool"], row["args"], row["status"]) == ("shop:buy", {"a": 1}, "ok")


def test_without_its_file_calls_go_on(tmp_path, upstream):
    """A folder stands where the audit would be."""
    (tmp_path / "audit.jsonl").mkdir()
    folder = Folder(tmp_path, {"shop": SHOP.format(url=upstream.url)})
    done = folder.run("run", "shop:buy", "--a", "1", "--verbose")
    assert done.returncode == 0 and "WARN" in done.stderr and "audit" in done.stderr


def test_a_file_that_grows_is_moved_aside(tmp_path, upstream):
    folder = Folder(tmp_path, {"shop": SHOP.format(url=upstream.url)})
    with Proxy(folder, "--audit-rotate", "1k") as proxy:
        for n in range(16):
            assert proxy.call("shop:buy", {"n": n, "pad": "x" * 100})[0] == 200
            eventually(lambda n=n: f'"n":{n},' in "".join(path.read_text() for path in tmp_path.glob("audit.jsonl*")), "its line")
    moved = sorted(tmp_path.glob("audit.jsonl.*"))
    assert moved and all(path.stat().st_mode & 0o777 == 0o600 for path in moved)
    told = json.loads(folder.run("audit", "search", "--tool", "shop:*").stdout)
    assert [row["args"]["n"] for row in told] == sorted(row["args"]["n"] for row in told) and told[-1]["args"]["n"] == 15


# --- the commands that read it --------------------------------------------------------------------

def row(tool, ago_s, status="ok", **more):
    when = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago_s)).isoformat()
    return {"ts": when, "tool": tool, "args": {"a": 1.5}, "status": status, "duration_ms": 7, "agent_sub": "agent-7", **more}


ALL = ["a:old", "a:day", "b:x", "a:hour", "a", "a:new"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("audit"))
    ages = 8 * 86400, 26 * 3600, 7200, 3000, 600, 0
    folder.rows = [row(tool, ago, **({"status": "error", "error": "went wrong", "exit_code": 3} if tool == "a:hour" else {})) for tool, ago in zip(ALL, ages)]
    texts = [json.dumps(one, separators=(",", ":")) for one in folder.rows]
    texts[2:2] = ["no json", "", '{"half": ', "[]", '{"tool": "a:x"}']
    (folder.path / "audit.jsonl").write_text("\n".join(texts) + "\n")
    return folder


def tools(done):
    assert done.returncode == 0, done.stderr
    return [one["tool"] for one in json.loads(done.stdout)]


def test_the_latest_calls(written):
    assert tools(written.run("audit", "tail")) == ALL
    for words in (("-n", "2"), ("-n2",), ("--n", "2")):
        assert tools(written.run("audit", "tail", *words)) == ["a", "a:new"]


def test_twenty_unless_it_is_said(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "audit.jsonl").write_text("".join(json.dumps(row(f"t{n}", 0)) + "\n" for n in range(30)))
    assert tools(folder.run("audit", "tail")) == [f"t{n}" for n in range(10, 30)]


@pytest.mark.parametrize("words, found", [
    (["--tool", "a:day"], ["a:day"]), (["--tool", "a:*"], ["a:old", "a:day", "a:hour", "a:new"]), (["--tool", "a*"], ["a:old", "a:day", "a:hour", "a", "a:new"]),
    (["--tool", "*"], ALL), (["--since", "300s"], ["a:new"]), (["--since", "15m"], ["a", "a:new"]), (["--since", "1h"], ["a:hour", "a", "a:new"]),
    (["--since", "3h", "--tool", "b:x"], ["b:x"]), (["--since", "7d"], ["a:day", "b:x", "a:hour", "a", "a:new"]), ([], ALL)])
def test_calls_are_found_by_tool_and_time(written, words, found):
    assert tools(written.run("audit", "search", *words)) == found


def test_how_calls_are_told(written):
    """As one compact list, its lines as they were written; or a line for each."""
    done, last = written.run("audit", "tail", "-n", "3"), written.rows[-3:]
    assert done.stdout == "[" + ",".join(json.dumps(one, separators=(",", ":")) for one in last) + "]\n"
    for style in ("text", "table"):
        assert written.run("audit", "tail", "-n", "3", "--output", style).stdout.splitlines() == [
            f"{last[0]['ts']} [ERR] a:hour (7ms) agent=agent-7 went wrong", f"{last[1]['ts']} [OK] a (7ms) agent=agent-7 ", f"{last[2]['ts']} [OK] a:new (7ms) agent=agent-7 "]


@pytest.mark.parametrize("words", [["tail"], ["search", "--tool", "x"], ["search", "--since", "1d"]])
def test_nothing_is_found(tmp_path, words):
    done = Folder(tmp_path).run("audit", *words, "--verbose")
    assert (done.returncode, done.stdout) == (0, "") and "INFO" in done.stderr and "audit entries found" in done.stderr


@pytest.mark.parametrize("since", ["1x", "h", "", "-1h", "1.5h"])
def test_times_that_are_none(written, since):
    done = written.run("audit", "search", f"--since={since}")
    assert (done.returncode, done.stdout) == (2, "") and json.loads(done.stderr.splitlines()[-1])["error"]["code"] == "input.invalid_value"


def test_another_file_may_be_named(written, tmp_path):
    (tmp_path / "other.jsonl").write_text(json.dumps(row("elsewhere", 0)) + "\n")
    assert tools(written.run("audit", "tail", ATI_AUDIT_FILE=str(tmp_path / "other.jsonl"))) == ["elsewhere"]


def test_a_tool_moves_no_cursor(tmp_path):
    """What a caller chose is told as it can be read."""
    folder = Folder(tmp_path)
    (tmp_path / "audit.jsonl").write_text(json.dumps(row("a\x1b[2Jb", 0)) + "\n")
    done = subprocess.run(["cat", "-v"], input=folder.run("audit", "tail", "--output", "text").stdout, capture_output=True, text=True, check=True)
    assert "^[" not in done.stdout
