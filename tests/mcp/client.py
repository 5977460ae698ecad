"""The official Python SDK's client, unmodified, at a server's /mcp: steps on standard input, one JSON array a line, and what it saw, as JSON.

python client.py session|client URL [TOKEN]
session: the protocol as it is asked for; client: it finds out by itself what the server speaks.
Steps: ["list"], ["call", name, arguments], ["progress", name, arguments], ["together", [name, arguments], …], ["ping"]
"""

import json
import sys

import anyio
from mcp import Client, ClientSession, MCPError
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client


def say(value):
    print(json.dumps(value), flush=True)


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def one(session, step, *words):
    if step == "list":
        return plain(await session.list_tools())["tools"]
    if step == "ping":
        return plain(await session.send_ping())
    if step == "call":
        return plain(await session.call_tool(*words))
    if step == "progress":
        seen = []

        async def progressed(progress, total, message):
            seen.append([progress, total, message])

        result = await session.call_tool(*words, progress_callback=progressed)
        return {"seen": seen, "result": plain(result)}
    results = [None] * len(words)

    async def call(at, name, arguments):
        results[at] = plain(await session.call_tool(name, arguments))

    async with anyio.create_task_group() as group:
        for at, (name, arguments) in enumerate(words):
            group.start_soon(call, at, name, arguments)
    return results


async def steps(session):
    for line in sys.stdin:
        try:
            say(await one(session, *json.loads(line)))
        except MCPError as error:
            say({"error": error.error.message, "code": error.error.code})


async def main(kind, url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with create_mcp_http_client(headers) as http:
        if kind == "client":
            async with Client(streamable_http_client(url, http_client=http)) as client:
                say({"serverInfo": plain(client.server_info), "capabilities": plain(client.server_capabilities)})
                await steps(client)
            return 0
        async with streamable_http_client(url, http_client=http) as (read, write, *_), ClientSession(read, write) as session:
            try:
                say(plain(await session.initialize()))
            except MCPError as error:
                say({"error": error.error.message, "code": error.error.code})
                return 1
            await steps(session)
    return 0


sys.exit(anyio.run(main, *sys.argv[1:]))
