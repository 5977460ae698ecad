"""Agents of well-known frameworks, as examples/agents has them: the task is done with tools of the gateway and a scoped token; what is beyond the scope is refused,
whatever the model asks for."""

import http.server
import json
import os
import subprocess
import threading

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream, environment
from harness.base import PATIENCE, ROOT
from harness.peers import need

EXAMPLES = ROOT / "examples/agents"
AGENTS = ["openai-agents.mjs", "vercel-ai-sdk.mjs", "langgraph.mjs", "function-calling.mjs", "function_calling.py"]
MANIFEST = """
[provider]
name = "news"
description = "What people talk about"
base_url = "{url}"
auth_type = "header"
auth_key_name = "news_key"

[[tools]]
name = "news:top"
description = "The headlines of a day"
endpoint = "/top"
[tools.input_schema]
type = "object"
required = ["day"]
[tools.input_schema.properties.day]
type = "string"
description = "monday, tuesday, …"

[[tools]]
name = "news:delete"
description = "Deletes the headlines"
endpoint = "/delete"
"""
HEADLINE = "Cat elected mayor"


class Model(http.server.ThreadingHTTPServer):
    """Chat completions of a model that wants one function called, and then tells what it heard of it."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.asked.append(asked)
            heard = [message for message in asked["messages"] if message["role"] == "tool"]
            if heard:
                text = heard[-1]["content"] if isinstance(heard[-1]["content"], str) else json.dumps(heard[-1]["content"])
                message, reason = {"role": "assistant", "content": f"I heard: {text}"}, "stop"
            else:
                name, arguments = self.server.wants
                call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
                message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
            base = {"id": f"chatcmpl-{len(self.server.asked)}", "created": 1, "model": asked["model"]}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            if asked.get("stream"):
                chunks = [{**base, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                          {**base, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage}]
                body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            else:
                body = json.dumps({**base, "object": "chat.completion", "usage": usage, "choices": [{"index": 0, "message": message, "finish_reason": reason}]})
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream" if asked.get("stream") else "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

    def __init__(self, name, arguments):
        super().__init__(("127.0.0.1", 0), Model.Handler)
        self.asked, self.wants = [], (name, arguments)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def functions(self):
        """Those that the model was offered first."""
        return sorted(tool["function"]["name"] for tool in self.asked[0].get("tools") or [])

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    def answer(request):
        return 200, {"Content-Type": "application/json"}, json.dumps({"headlines": [HEADLINE]}).encode()

    with Upstream(answer) as upstream:
        folder = Folder(tmp_path_factory.mktemp("ati"), {"news": MANIFEST.format(url=upstream.url)}, {"news_key": "key-of-the-news-paper"}, ATI_JWT_SECRET=SECRET)
        with Proxy(folder) as proxy:
            proxy.upstream = upstream
            yield proxy


@pytest.fixture(params=AGENTS)
def agent(request, gateway):
    """agent(model, scope): runs the example until it ends."""
    program = need("node") if request.param.endswith(".mjs") else "/usr/bin/python3"
    if request.param.endswith(".mjs") and not (EXAMPLES / "node_modules").exists():
        pytest.skip("npm ci was not run in examples/agents")
    gateway.upstream.asked.clear()

    def run(model, scope):
        told = environment(gateway.folder.path, {
            "ATI_PROXY_URL": gateway.url, "ATI_SESSION_TOKEN": gateway.folder.token(scope), "OPENAI_API_KEY": "sk-test", "MODEL": "m",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1", "OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false",
            "HOME": os.environ.get("HOME", "/")})
        return subprocess.run([program, request.param, "What happened on monday?"], cwd=EXAMPLES, env=told, capture_output=True, text=True,
                              timeout=PATIENCE * 6, check=False)
    return run


def test_the_task_is_done(agent, gateway):
    with Model("news_top", {"day": "monday"}) as model:
        done = agent(model, "tool:news:top")
        assert done.returncode == 0, done.stderr
        assert "I heard: " in done.stdout and HEADLINE in done.stdout
        assert model.functions() == ["news_top"]
    assert [(one["path"], one["headers"]["X-Api-Key"]) for one in gateway.upstream.asked] == [("/top?day=monday", "key-of-the-news-paper")]


def test_what_is_not_in_the_scope_is_refused(agent, gateway):
    """The model asks for a function that it was never offered: nothing of it reaches the upstream."""
    with Model("news_delete", {}) as model:
        done = agent(model, "tool:news:top")
        assert model.functions() == ["news_top"]
        assert HEADLINE not in done.stdout
    assert not gateway.upstream.asked


def test_no_route_does_what_the_scope_does_not(gateway):
    """The same token on every route that could do it."""
    token = gateway.folder.token("tool:news:top")
    gateway.upstream.asked.clear()
    for name in ("news:delete", "news_delete"):
        assert gateway.call(name, {}, token)[0] == 403
    assert gateway.rpc("tools/call", {"name": "news:delete", "arguments": {}}, token)["error"]["code"] == -32001
    assert [tool["name"] for tool in gateway.rpc("tools/list", token=token)["result"]["tools"]] == ["news:top"]
    assert [tool["name"] for tool in json.loads(gateway.ask("GET", "/tools", token=token)[2])] == ["news:top"]
    assert gateway.ask("GET", "/tools/news:delete", token=token)[0] == 404
    assert gateway.ask("POST", "/help", {"query": "delete", "tool": "news:delete"}, token)[0] == 403
    assert not gateway.upstream.asked
