"""`ati` as a person calls it: what it says, and a proxy that answers as it is told."""

import json
import re

from harness.ati import Upstream

# No address here answers: whoever asks it has been told to.
NOWHERE = "http://127.0.0.1:9"
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
TOOLS = [{"name": "github:search", "provider": "github", "description": "d" * 100, "method": "Get"},
         {"name": "x", "provider": "y", "description": "two\nlines", "method": "Post"}]


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


def lines(done):
    return done.stderr.splitlines()


def error_of(done):
    """The error line: the last one on standard error, compact."""
    last = lines(done)[-1]
    assert last.startswith('{"error":{'), done.stderr
    error = json.loads(last)["error"]
    assert json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False) == last
    return error


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


def program(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path
