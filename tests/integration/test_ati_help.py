"""POST /help: a model that is told which tools there are, and of nothing else."""

import json

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream

LLM = """
[provider]
name = "llm"
description = "a model"
base_url = "{url}/v1"
auth_type = "bearer"
auth_key_name = "llm_key"
internal = true

[[tools]]
name = "_chat_completion"
description = "asks the model"
endpoint = "/chat/completions"
method = "POST"
"""
TOOLS = """
[provider]
name = "papers"
description = "papers"
base_url = "http://127.0.0.1:1"
category = "research"

[[tools]]
name = "papers:search"
description = "finds papers"
tags = ["science"]
[tools.input_schema]
type = "object"
[tools.input_schema.properties.query]
type = "string"
description = "what about"

[[tools]]
name = "papers:erase"
description = "erases papers for good"
"""
LISTER = """
[provider]
name = "lister"
description = "lists files"
handler = "cli"
cli_command = "ls"
"""


@pytest.fixture
def model():
    def answer(request):
        question = json.loads(request["body"])["messages"][1]["content"]
        if question == "break":
            return 500, {}, b"out of thoughts"
        if question == "echo":
            return 401, {}, f"who is {request['headers']['Authorization']}?".encode()
        if question == "repeat":
            return 200, {}, json.dumps({"choices": [{"message": {"content": request["headers"]["Authorization"]}}]}).encode()
        if question == "mumble":
            return 200, {}, b"<html>"
        if question == "silence":
            return 200, {}, b'{"choices":[]}'
        return 200, {}, json.dumps({"choices": [{"message": {"content": "use \"papers:search\"\n"}}]}).encode()

    with Upstream(answer) as up:
        yield up


def ask(proxy, body, token=None):
    status, _, answer = proxy.ask("POST", "/help", body, token)
    return status, json.loads(answer)


def test_a_question_and_its_answer(tmp_path, model):
    folder = Folder(tmp_path, {"_llm": LLM.format(url=model.url), "papers": TOOLS, "lister": LISTER}, credentials={"llm_key": "sk-llm"})
    with Proxy(folder) as proxy:
        assert ask(proxy, {"query": "how do I find papers?"}) == (200, {"content": 'use "papers:search"\n'})
        asked = model.asked[-1]
        assert (asked["method"], asked["path"], asked["headers"]["Authorization"]) == ("POST", "/v1/chat/completions", "Bearer sk-llm")
        question = json.loads(asked["body"])
        assert {name: question[name] for name in ("model", "max_completion_tokens", "temperature")} == {
            "model": "zai-glm-4.7", "max_completion_tokens": 1536, "temperature": 0.3}
        assert [message["role"] for message in question["messages"]] == ["system", "user"]
        assert question["messages"][1]["content"] == "how do I find papers?"
        prompt = question["messages"][0]["content"]
        for word in ("papers:search", "papers", "research", "finds papers", "science", "--query (string): what about", "papers:erase"):
            assert word in prompt, word
        assert "_chat_completion" not in prompt and "sk-llm" not in prompt
        assert ("- **papers:search** (provider: papers, category: research): finds papers\n    tags: science\n    --query (string): what about\n"
                "- **papers:erase** (provider: papers, category: research): erases papers for good\n") in prompt
        assert "- **lister** (provider: lister, category: none): lists files\n    usage: ati run lister -- <arguments of ls>\n" in prompt
        assert ask(proxy, {"query": "break"}) == (502, {"content": "", "error": "LLM API error (500): out of thoughts"})
        status, told = ask(proxy, {"query": "mumble"})
        assert status == 500 and told["error"].startswith("Failed to parse LLM response: ")
        assert ask(proxy, {"query": "silence"}) == (200, {"content": "No response from LLM"})
        for only, told in (("papers", ["papers:search", "papers:erase"]), ("papers:erase", ["papers:erase"])):
            assert ask(proxy, {"query": "x", "tool": only})[0] == 200
            prompt = json.loads(model.asked[-1]["body"])["messages"][0]["content"]
            assert [line.split("**")[1] for line in prompt.splitlines() if line.startswith("- **")] == told
        status, headers, body = proxy.ask("POST", "/help", {"query": "x", "tool": "nope"})
        assert (status, headers["Content-Type"]) == (403, "application/json")
        assert body == b'{"content":"","error":"Scope \'nope\' is not visible in your current scopes."}'
        assert ask(proxy, {"query": "x", "tool": "nope"}) == (403, {"content": "", "error": "Scope 'nope' is not visible in your current scopes."})
        for body in ({}, {"query": 1}, {"query": "x", "tool": 1}):
            assert proxy.ask("POST", "/help", body)[0] == 422


def test_it_tells_of_what_the_scope_opens_alone(tmp_path, model):
    folder = Folder(tmp_path, {"_llm": LLM.format(url=model.url), "papers": TOOLS}, credentials={"llm_key": "sk-llm"}, ATI_JWT_SECRET=SECRET)
    with Proxy(folder) as proxy:
        assert ask(proxy, {"query": "x"}, folder.token("tool:papers:search")) == (
            403, {"content": "", "error": "Access denied: 'help' is not in your scopes"})
        token = folder.token("help tool:papers:search")
        assert ask(proxy, {"query": "x"}, token)[0] == 200
        prompt = json.loads(model.asked[-1]["body"])["messages"][0]["content"]
        assert "papers:search" in prompt and "erase" not in prompt
        assert ask(proxy, {"query": "x", "tool": "papers:search"}, token)[0] == 200
        assert ask(proxy, {"query": "x", "tool": "papers:erase"}, token)[0] == 403


def test_without_a_model_or_its_key(tmp_path, model):
    with Proxy(Folder(tmp_path / "none", {"papers": TOOLS})) as proxy:
        status, told = ask(proxy, {"query": "x"})
        assert status == 503 and "_llm.toml" in told["error"]
    with Proxy(Folder(tmp_path / "keyless", {"_llm": LLM.format(url=model.url)})) as proxy:
        assert ask(proxy, {"query": "x"}) == (503, {"content": "", "error": "LLM API key not found in keyring"})
    with Proxy(Folder(tmp_path / "dead", {"_llm": LLM.format(url="http://127.0.0.1:1")}, credentials={"llm_key": "k"})) as proxy:
        status, told = ask(proxy, {"query": "x"})
        assert status == 502 and told["error"].startswith("LLM request failed: ")


def test_the_models_key_comes_back_to_nobody(tmp_path, model):
    key = "sk-llm-0123456789abcdef"
    folder = Folder(tmp_path, {"_llm": LLM.format(url=model.url), "papers": TOOLS}, credentials={"llm_key": key})
    with Proxy(folder) as proxy:
        assert ask(proxy, {"query": "echo"}) == (502, {"content": "", "error": "LLM API error (401): who is Bearer [redacted]?"})
        assert ask(proxy, {"query": "repeat"}) == (200, {"content": "Bearer [redacted]"})
    assert key not in (tmp_path / "audit.jsonl").read_text() and key not in "\n".join(proxy.seen)


def test_questions_are_counted_and_recorded(tmp_path, model):
    folder = Folder(tmp_path, {"_llm": LLM.format(url=model.url), "papers": TOOLS}, credentials={"llm_key": "sk-llm"}, ATI_JWT_SECRET=SECRET)
    with Proxy(folder) as proxy:
        token = folder.token("help", "--rate", "tool:_chat_completion=2/hour")
        assert ask(proxy, {"query": "how?", "tool": None}, token)[0] == 200
        assert ask(proxy, {"query": "break"}, token)[0] == 502
        status, headers, body = proxy.ask("POST", "/help", {"query": "x"}, token)
        assert status == 429 and int(headers["Retry-After"]) >= 1
        assert json.loads(body) == {"content": "", "error": "Rate limit exceeded for 'tool:_chat_completion': 2/hour (limit: 2/hour)"}
        assert len(model.asked) == 2
    good, bad = proxy.audit()
    assert (good["tool"], good["args"], good["status"], good["agent_sub"]) == ("_chat_completion", {"query": "how?", "tool": None}, "ok", "agent-7")
    assert (bad["status"], bad["error"]) == ("error", "LLM API error (500): out of thoughts")
