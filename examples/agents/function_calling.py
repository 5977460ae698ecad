"""No framework, and nothing but Python: the tools of GET /tools as functions of the model, and each call it wants as POST /call.

usage: python3 function_calling.py [QUESTION]      variables of the environment: see README.md
"""
import json
import os
import re
import sys
import urllib.error
import urllib.request

MODEL = os.environ.get("MODEL", "gpt-4.1-mini")
LLM = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
QUESTION = " ".join(sys.argv[1:]) or "What do people on Hacker News talk about right now? Three headlines are enough."
TURNS = 8


def need(name):
    if not os.environ.get(name):
        sys.exit(f"{name} is not set. See README.md: it takes a few commands to get there.")
    return os.environ[name]


def ask(url, bearer, body=None):
    """(status, answer): an error of the proxy is an answer, too; the model reads why it was refused."""
    request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else {}


def call(proxy, token, wanted):
    """The result of one tool call, or the error, as text for the model."""
    try:
        args = json.loads(wanted["arguments"] or "{}")
    except ValueError:
        return json.dumps({"error": "the arguments are no JSON"})
    _, answer = ask(f"{proxy}/call", token, {"tool_name": wanted["name"], "args": args})
    return json.dumps({"error": answer["error"]} if answer.get("error") else answer.get("result"))


def main():
    proxy, token, key = need("ATI_PROXY_URL").rstrip("/"), need("ATI_SESSION_TOKEN"), need("OPENAI_API_KEY")
    status, found = ask(f"{proxy}/tools", token)
    if status != 200:
        sys.exit(f"The proxy answered {status}: has this token expired?")
    # Models take letters, digits, _ and - in names; the proxy knows a tool by either spelling.
    tools = [{"type": "function", "function": {"name": re.sub(r"[^a-zA-Z0-9_-]", "_", tool["name"]), "description": tool["description"],
                                               "parameters": tool["input_schema"] or {"type": "object", "properties": {}}}} for tool in found]
    messages = [{"role": "user", "content": QUESTION}]
    for _ in range(TURNS):
        status, answer = ask(f"{LLM}/chat/completions", key, {"model": MODEL, "messages": messages, **({"tools": tools} if tools else {})})
        if status != 200:
            sys.exit(f"The model answered {status}: {json.dumps(answer)}")
        message = answer["choices"][0]["message"]
        messages.append(message)
        if not message.get("tool_calls"):
            print(message["content"])
            return
        messages += [{"role": "tool", "tool_call_id": one["id"], "content": call(proxy, token, one["function"])} for one in message["tool_calls"]]
    sys.exit(f"The model had no answer after {TURNS} turns.")


if __name__ == "__main__":
    main()
