"""An MCP server on its standard streams that misbehaves as its tools are asked to. Run by itself: python3 mcp_script.py MODE [FILE]

MODE says how it starts: see main, hello and tools. FILE gets a line for each start, with the process's number.
"""

import json
import os
import signal
import sys
import threading
import time

TOOLS = ["echo", "environ", "pid", "exit", "last", "hang", "cancelled", "slow", "banner", "chatty", "huge", "batch", "wrong", "asks",
         "progress", "error", "broken", "text", "raw", "deaf", "received", "quits",
         "steered"]
lock = threading.Lock()
cancelled, answers, received = [], {}, []


def say(message):
    line = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def result(number, content, **more):
    say({"jsonrpc": "2.0", "id": number, "result": {"content": content, **more}})


def text(number, words):
    result(number, [{"type": "text", "text": words}], isError=False)


def note(method, **params):
    return {"jsonrpc": "2.0", "method": method, "params": params}


def ask_client(number):
    """Asks what servers ask, and tells what came back."""
    for name in ("ping", "roots/list", "sampling/createMessage", "elicitation/create"):
        say({"jsonrpc": "2.0", "id": f"s-{name}", "method": name, "params": {}})
    while len(answers) < 4:
        time.sleep(0.001)
    text(number, json.dumps(answers))


def progress(number, token, arguments):
    for at in range(arguments["times"]):
        say(note("notifications/progress", progressToken=token, progress=at))
        time.sleep(arguments["pause"])
    text(number, "arrived")


def steered(number, token, arguments):
    """Each line of a pipe is what progress says, as JSON; a text as it stands; its end is the result."""
    with open(arguments["pipe"], encoding="utf-8") as pipe:
        for line in pipe:
            step = json.loads(line)
            say(step if isinstance(step, str) else note("notifications/progress", progressToken=token, **step))
    text(number, "arrived")


def call(number, params):
    name, arguments = params["name"], params.get("arguments", {})
    token = params.get("_meta", {}).get("progressToken")
    if name == "echo":
        text(number, json.dumps(arguments))
    elif name == "environ":
        text(number, json.dumps(dict(os.environ)))
    elif name == "pid":
        text(number, str(os.getpid()))
    elif name == "exit":
        os._exit(arguments.get("status", 0))
    elif name == "last":
        text(number, "goodbye")
        os._exit(0)
    elif name == "hang":
        pass
    elif name == "cancelled":
        text(number, json.dumps(cancelled))
    elif name == "slow":
        threading.Timer(arguments["seconds"], text, (number, "late")).start()
    elif name == "banner":
        say("")
        say("  Welcome to the server!  ")
        say("{half a message")
        say("[1, 2")
        sys.stdout.write("\r\n  \n")
        text(number, "behind the banner")
    elif name == "chatty":
        sys.stderr.write(("x" * 99 + "\n") * 30_000)
        sys.stderr.flush()
        text(number, "said")
    elif name == "huge":
        text(number, "x" * arguments["bytes"])
    elif name == "batch":
        say([note("notifications/message", level="info"), {"jsonrpc": "2.0", "id": number, "result": {"content": []}}, 7, {}])
    elif name == "wrong":
        for other in (number + 1000, str(number), None, -1, 1.5):
            say({"jsonrpc": "2.0", "id": other, "result": {"content": [{"type": "text", "text": "not yours"}]}})
        say({"jsonrpc": "2.0", "result": {}})
        text(number, "yours")
    elif name == "asks":
        threading.Thread(target=ask_client, args=(number,)).start()
    elif name == "progress":
        threading.Thread(target=progress, args=(number, token, arguments)).start()
    elif name == "steered":
        threading.Thread(target=steered, args=(number, token, arguments)).start()
    elif name == "error":
        say({"jsonrpc": "2.0", "id": number, "error": arguments.get("error", {"code": -32050, "message": "no luck"})})
    elif name == "broken":
        say({"jsonrpc": "2.0", "id": number})
    elif name == "text":
        text(number, arguments["text"])
    elif name == "raw":
        say({"jsonrpc": "2.0", "id": number, "result": arguments["result"]})
    elif name == "received":
        text(number, json.dumps(received))
    elif name == "quits":  # stops reading, and ends
        text(number, "soon")
        time.sleep(arguments["seconds"])
        os._exit(0)
    elif name == "deaf":  # stops reading
        text(number, "from now on")
        signal.pause()
    else:
        say({"jsonrpc": "2.0", "id": number, "error": {"code": -32602, "message": f"Unknown tool: {name}"}})


def tools(mode, number, params):
    page = int(params.get("cursor", "0"))
    if mode == "endless":
        names, more = [f"t{page}"], page + 1
    elif mode == "circle":
        names, more = [f"t{page}"], 7
    elif mode == "thousands":
        names, more = [f"t{page}-{i}" for i in range(3000)], page + 1
    else:
        names, more = TOOLS[page * 8:page * 8 + 8], page + 1 if page < 2 else None
    listed = [{"name": name, "description": f"does {name}", "inputSchema": {"type": "object", "z": 1, "a": 2}} for name in names]
    if page == 0:
        listed += [{"description": "without a name"}, 7, {"name": ""}, {"name": "plain", "description": None}]
    say({"jsonrpc": "2.0", "id": number, "result": {"tools": listed, **({} if more is None else {"nextCursor": str(more)})}})


def hello(mode, number, params):
    wanted = params["protocolVersion"]
    if mode == "refuses" and wanted != "2024-11-05":
        say({"jsonrpc": "2.0", "id": number, "error": {"code": -32602, "message": "Unsupported protocol version"}})
        return
    if mode == "error":
        say({"jsonrpc": "2.0", "id": number, "error": {"code": -32603, "message": "not today"}})
        return
    version = {"old": "2024-11-05", "future": "2099-01-01"}.get(mode, wanted)
    capabilities = {"prompts": {}} if mode == "no-tools" else {"tools": {}}
    say({"jsonrpc": "2.0", "id": number, "result": {"protocolVersion": version, "capabilities": capabilities,
                                                    "serverInfo": {"name": "script", "version": "1"}}})


def main():
    mode = sys.argv[1]
    if len(sys.argv) > 2:
        with open(sys.argv[2], "a", encoding="utf-8") as starts:
            starts.write(f"{os.getpid()}\n")
    if mode == "dies":
        print("loading", file=sys.stderr)
        print(f"no such module; the key was {os.environ.get('KEY')}", file=sys.stderr)
        sys.exit(3)
    if mode == "banner":
        print("Listening on standard input…", flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        received.append(message)
        method, number, params = message.get("method"), message.get("id"), message.get("params", {})
        if method is None:
            answers[number] = message.get("result", message.get("error"))
        elif method == "initialize":
            if mode != "silent":
                hello(mode, number, params)
        elif method == "tools/list":
            tools(mode, number, params)
        elif method == "tools/call":
            call(number, params)
        elif method == "notifications/cancelled":
            cancelled.append(params)


main()
