"""`ati` through a proxy: what it sends, and what it makes of answers."""

import json

import pytest

from harness.cli import NOWHERE, TOOLS, error_of


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
