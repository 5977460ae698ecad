"""`ati provider …` from outside: what it writes, prints, refuses; documents over HTTP; MCP servers that are asked once."""

import datetime
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
import tomllib

import pytest

from harness.ati import ATI, Folder, Upstream, environment
from harness.base import PATIENCE, eventually

SPEC = """
openapi: 3.0.3
info: {title: 'The "pets"', version: 1.20, description: "%s"}
servers: [{url: "https://api.pets.example/v1"}]
paths:
  /pets/{id}:
    get: {operationId: getPet, summary: Gets one, tags: [read, pets], parameters: [{name: id, in: path, required: true, schema: {type: integer}}]}
    delete: {operationId: deletePet, tags: [pets], parameters: [{name: id, in: path, required: true, schema: {type: integer}}]}
  /pets:
    post: {operationId: addPet, summary: Adds one, description: To the shop}
components: {securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}}
"""

SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
    elif message.get("method") == "tools/list":
        result = {"tools": [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in ("second", "first")]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "ati")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "pets.yaml"
    path.write_text(SPEC % "All of them")
    return path


def good(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def bad(done, status, code, message):
    """It failed so, told in one line of JSON, and printed nothing."""
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    told = json.loads(done.stderr.strip().splitlines()[-1])["error"]
    assert told == {"code": code, "exit_code": status, "message": told["message"]}
    assert re.fullmatch(message, told["message"]), told["message"]


def files(folder, part):
    return sorted(path.name for path in (folder.path / part).glob("*"))


# --- add-mcp, add-cli, remove ---------------------------------------------------------------------


def test_an_mcp_server_over_http(folder):
    done = folder.run("provider", "add-mcp", "docs", "--transport", "http", "--url", "https://docs.example/mcp", "--auth", "header",
                      "--auth-key", "docs_key", "--auth-header", "X-Docs", "--category", "reading")
    path = folder.path / "manifests/docs.toml"
    assert good(done) == ""
    assert f"saved manifest path={path}" in done.stderr
    assert "remember to add your API key: ati key set docs_key <your-key> key=docs_key" in done.stderr
    assert list(tomllib.loads(path.read_text())["provider"].items()) == [
        ("name", "docs"), ("description", "docs MCP provider"), ("handler", "mcp"), ("mcp_transport", "http"),
        ("mcp_url", "https://docs.example/mcp"), ("auth_type", "header"), ("auth_key_name", "docs_key"), ("auth_header_name", "X-Docs"),
        ("category", "reading")]


def test_an_mcp_server_with_a_bearer(folder):
    good(folder.run("provider", "add-mcp", "docs", "--transport", "http", "--url", "https://docs.example/mcp", "--auth", "bearer", "--auth-key", "docs_key"))
    assert tomllib.loads((folder.path / "manifests/docs.toml").read_text())["provider"] == {
        "name": "docs", "description": "docs MCP provider", "handler": "mcp", "mcp_transport": "http", "mcp_url": "https://docs.example/mcp",
        "auth_type": "bearer", "auth_key_name": "docs_key"}


def test_an_mcp_server_over_stdio(folder):
    done = folder.run("provider", "add-mcp", "files", "--transport", "stdio", "--command", "npx", "--args", "-y", "@scope/pkg", "--args", "/srv",
                      "--env", "TOKEN=${files_token}", "--env", "A=b=c", "--env", 'Q="\\\n', "--description", 'It "reads"\nfiles \\')
    assert good(done) == "" and "remember" not in done.stderr
    assert tomllib.loads((folder.path / "manifests/files.toml").read_text())["provider"] == {
        "name": "files", "description": 'It "reads"\nfiles \\', "handler": "mcp", "mcp_transport": "stdio", "mcp_command": "npx",
        "mcp_args": ["-y", "@scope/pkg", "/srv"], "auth_type": "none",
        "mcp_env": {"TOKEN": "${files_token}", "A": "b=c", "Q": '"\\\n'}}


def test_a_program(folder):
    done = folder.run("provider", "add-cli", "gh", "--command", "gh", "--default-args", "--json", "-x", "--env", "GH_TOKEN=${github}",
                      "--timeout", "7", "--category", "dev")
    path = folder.path / "manifests/gh.toml"
    assert good(done) == ""
    assert f"saved CLI manifest path={path}" in done.stderr
    assert "remember to add your key: ati key set github <value> key=github" in done.stderr
    assert list(tomllib.loads(path.read_text())["provider"].items()) == [
        ("name", "gh"), ("description", "gh CLI provider"), ("handler", "cli"), ("cli_command", "gh"), ("cli_default_args", ["--json", "-x"]),
        ("cli_timeout_secs", 7), ("auth_type", "none"), ("category", "dev"), ("cli_env", {"GH_TOKEN": "${github}"})]


@pytest.mark.parametrize("words, status, code, message", [
    (["--transport", "http"], 2, "input.missing_arg", "--url is required for HTTP transport"),
    (["--transport", "stdio"], 2, "input.missing_arg", "--command is required for stdio transport"),
    (["--transport", "pigeon"], 1, "tool.execution_failed", r"Unknown transport: pigeon \(expected http or stdio\)"),
    (["--transport", "http", "--url", "https://x", "--auth", "bearer"], 2, "input.missing_arg", "--auth-key is required for bearer auth"),
    (["--transport", "http", "--url", "https://x", "--auth", "magic"], 1, "tool.execution_failed",
     r"Unknown auth type: magic \(expected none, bearer, or header\)"),
    (["--transport", "stdio", "--command", "x", "--env", "NOTHING"], 2, "input.invalid_value",
     r"Invalid --env format: NOTHING \(expected KEY=VALUE\)"),
    (["--transport", "stdio", "--command", "x", "--env", "=x"], 2, "input.invalid_value", r"Invalid --env format: =x \(expected KEY=VALUE\)"),
    (["--transport", "stdio", "--command", "x", "--env", "A B=x"], 2, "input.invalid_value", r"Invalid --env format: A B .*"),
])
def test_what_add_mcp_refuses(folder, words, status, code, message):
    bad(folder.run("provider", "add-mcp", "it", *words), status, code, message)
    assert files(folder, "manifests") == []


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "a:b", "a\nb", "x" * 200])
def test_names_that_are_none(folder, spec, name):
    for words in (["add-mcp", name, "--transport", "stdio", "--command", "x"], ["add-cli", name, "--command", "x"],
                  ["import-openapi", spec, "--name", name], ["load", spec, "--name", name], ["remove", name], ["unload", name]):
        bad(folder.run("provider", *words), 2, "input.invalid_value", r"(?s)Invalid provider name '.*': .*")
    assert not list(folder.path.parent.glob("*.toml")) and files(folder, "manifests") == []


def test_manifests_that_stand_are_not_written_over(folder):
    folder.manifest("it", "# mine\n")
    for words in (["add-mcp", "it", "--transport", "stdio", "--command", "x"], ["add-cli", "it", "--command", "x"],
                  ["load", "--mcp", "--save", "--name", "it", "--command", "x"]):
        bad(folder.run("provider", *words), 1, "tool.execution_failed", rf"Manifest already exists: {folder.path}/manifests/it\.toml")
    assert (folder.path / "manifests/it.toml").read_text() == "# mine\n"


def test_missing_words_are_a_mistake_of_use(folder):
    for words in (["add-mcp", "it"], ["add-cli", "it"], ["load"], ["import-openapi"], ["inspect-openapi"], ["remove"], ["info"], ["unload"], [],
                  ["bogus"], ["list", "more"], ["list", "--flag"]):
        assert folder.run("provider", *words).returncode == 2, words


def test_help_names_every_flag(folder):
    for command, flags in {"add-mcp": "transport url command args env auth auth-key auth-header description category",
                           "add-cli": "command default-args env description category timeout",
                           "import-openapi": "name auth-key include-tags dry-run", "inspect-openapi": "include-tags",
                           "load": "name mcp transport url command args env auth auth-key auth-header auth-query save ttl",
                           "unload": "", "remove": "", "info": "", "list": ""}.items():
        text = good(folder.run("provider", command, "--help"))
        assert all(f"--{flag}" in text for flag in flags.split()), text


def test_remove(folder):
    folder.manifest("broken", "[provider")
    done = folder.run("provider", "remove", "broken")
    assert good(done) == "" and f"removed provider manifest path={folder.path}/manifests/broken.toml" in done.stderr
    bad(folder.run("provider", "remove", "broken"), 1, "tool.execution_failed", rf"Manifest not found: {folder.path}/manifests/broken\.toml")


# --- list, info -----------------------------------------------------------------------------------

SHOP = """
[provider]
name = "{name}"
description = "a shop"
base_url = "https://shop.example"
category = "retail"
{more}
[[tools]]
name = "{name}:a"
description = "a"
[[tools]]
name = "{name}:b"
description = "b"
"""


def test_no_providers(folder):
    for style in ("json", "text", "table"):
        assert good(folder.run("provider", "list", "--output", style)) == \
            "No providers configured. Run `ati provider load`, `ati provider add-mcp`, or `ati provider import-openapi`.\n"


@pytest.fixture
def full(folder, spec):
    folder.manifest("shop", SHOP.format(name="shop", more='auth_type = "bearer"\nauth_key_name = "k"'))
    folder.manifest("inner", SHOP.format(name="inner", more="internal = true"))
    for words in (["add-mcp", "far", "--transport", "http", "--url", "https://x/mcp"], ["add-mcp", "near", "--transport", "stdio", "--command", "x"],
                  ["add-cli", "tool", "--command", "x"], ["import-openapi", spec], ["load", spec, "--name", "soon", "--ttl", "7000"]):
        good(folder.run("provider", *words))
    return folder


def test_list(full):
    told = json.loads(good(full.run("provider", "list")))
    remaining = told[-1].pop("remaining_seconds")
    assert 6900 < remaining <= 7000

    def row(name, kind, auth, tools, description, internal=False, source="permanent"):
        return {"name": name, "type": kind, "auth": auth, "tools": tools, "description": description, "internal": internal, "source": source}

    minutes = remaining // 60 - 60
    assert told == [
        row("far", "mcp/http", "none", "auto", "far MCP provider"), row("inner", "http", "none", "2", "a shop", internal=True),
        row("near", "mcp/stdio", "none", "auto", "near MCP provider"), row("pets", "openapi", "header", "auto", 'The "pets"'),
        row("shop", "http", "bearer", "2", "a shop"), row("tool", "cli", "none", "1", "tool CLI provider"),
        row("soon", "openapi", "header", "auto", f"(cached, 1h{minutes}m remaining)", source="cached")]
    assert good(full.run("provider", "list")).startswith('[\n  {\n    "auth": "none",\n    "description": ')


def test_list_as_a_table(full):
    for style in ("table", "text"):
        lines = good(full.run("provider", "list", "--output", style)).splitlines()
        cells = [[cell.strip() for cell in re.split("[│┆]", line)[1:-1]] for line in lines if line.startswith("│")]
        assert cells[0] == ["AUTH", "DESCRIPTION", "NAME", "TOOLS", "TYPE"]
        assert [row[2] for row in cells[1:]] == ["far", "near", "pets", "shop", "tool", "soon"]
        assert cells[4] == ["bearer", "a shop", "shop", "2", "http"]


def test_info(full):
    assert json.loads(good(full.run("provider", "info", "shop"))) == {
        "name": "shop", "description": "a shop", "handler": "http", "base_url": "https://shop.example", "auth_type": "bearer",
        "category": "retail", "internal": False}
    assert json.loads(good(full.run("provider", "info", "tool"))) == {
        "name": "tool", "description": "tool CLI provider", "handler": "cli", "base_url": "", "auth_type": "none", "category": None,
        "internal": False, "cli_command": "x", "cli_default_args": [], "cli_timeout_secs": None}
    assert json.loads(good(full.run("provider", "info", "soon")))["description"] == "soon (cached)"
    assert good(full.run("provider", "info", "shop", "--output", "text")) == (
        "Provider:    shop\nDescription: a shop\nHandler:     http\nBase URL:    https://shop.example\nAuth:        bearer\nCategory:    retail\n")
    assert good(full.run("provider", "info", "far", "--output", "table")).endswith("Auth:        none\nTransport:   MCP (http)\n")
    bad(full.run("provider", "info", "nobody"), 4, "provider.not_found",
        r"Provider 'nobody' not found\. Run 'ati provider list' to see available providers\.")


def test_a_broken_manifest_is_named(folder):
    folder.manifest("broken", "[provider]\nname = 3\n")
    for words in (["list"], ["info", "x"]):
        bad(folder.run("provider", *words), 2, "input.invalid_value", rf"(?s)Failed to parse manifest {folder.path}/manifests/broken\.toml: .*")


# --- import-openapi, inspect-openapi --------------------------------------------------------------

MANIFEST = """[provider]
name = "{name}"
description = "The \\"pets\\""
handler = "openapi"
base_url = "https://api.pets.example/v1"
openapi_spec = "{name}.json"
auth_type = "header"
auth_key_name = "{key}"
auth_header_name = "X-Key"
"""


def test_import(folder, spec):
    done = folder.run("provider", "import-openapi", spec)
    assert good(done) == ""
    for line in (f"saved spec path={folder.path}/specs/pets.json", f"saved manifest path={folder.path}/manifests/pets.toml",
                 "imported OpenAPI operations operations=3", "remember to add your API key: ati key set pets_api_key <your-key>"):
        assert line in done.stderr
    assert (folder.path / "manifests/pets.toml").read_text() == MANIFEST.format(name="pets", key="pets_api_key")
    document = (folder.path / "specs/pets.json").read_text()
    assert document.startswith('{\n  "openapi": "3.0.3",\n  "info": {\n    "title": ')
    assert json.loads(document)["info"] == {"title": 'The "pets"', "version": 1.2, "description": "All of them"}
    assert '"version": 1.20' in document  # as it was written
    # What is written is used.
    assert [tool["tool"] for tool in json.loads(good(folder.run("tool", "list", "--provider", "pets")))] == [
        "pets:getPet", "pets:deletePet", "pets:addPet"]
    # And written over.
    good(folder.run("provider", "import-openapi", spec, "--auth-key", "other", "--include-tags", "read", "--include-tags", "x"))
    assert (folder.path / "manifests/pets.toml").read_text() == \
        MANIFEST.format(name="pets", key="other") + 'openapi_include_tags = ["read", "x"]\n'
    assert [tool["tool"] for tool in json.loads(good(folder.run("tool", "list", "--provider", "pets")))] == ["pets:getPet"]


def test_import_tried(folder, spec):
    assert good(folder.run("provider", "import-openapi", spec, "--name", "zoo", "--dry-run")) == (
        "--- Generated manifest (zoo.toml) ---\n" + MANIFEST.format(name="zoo", key="zoo_api_key") +
        '\n--- Spec: The "pets" (3 operations) ---\n'
        f"Would save spec to: {folder.path}/specs/zoo.json\nWould save manifest to: {folder.path}/manifests/zoo.toml\n")
    assert files(folder, "specs") == files(folder, "manifests") == []


def test_inspect(folder, spec):
    spec.write_text(SPEC % ("word " * 40))
    assert good(folder.run("provider", "inspect-openapi", spec)).splitlines() == [
        'OpenAPI: The "pets" v1.20', "  " + ("word " * 40)[:117] + "...", "Base URL: https://api.pets.example/v1",
        "Auth: header (auth_header_name=X-Key)", "", "Operations (3):", "  TAG: (untagged) (1 operations)",
        "    addPet                   POST    /pets                          Adds one — To the shop", "  TAG: pets (2 operations)",
        "    getPet                   GET     /pets/{id}                     Gets one",
        "    deletePet                DELETE  /pets/{id}                     ", "  TAG: read (1 operations)",
        "    getPet                   GET     /pets/{id}                     Gets one"]
    assert "Operations (1):" in good(folder.run("provider", "inspect-openapi", spec, "--include-tags", "read"))


def test_documents_that_are_none(folder, tmp_path):
    for text, status, code, message in (
            ("swagger: '2.0'\n", 2, "input.missing_arg", r"Failed to parse spec as YAML: missing field `openapi`: this is Swagger 2\.0, .*"),
            ("a: [\n", 2, "input.invalid_value", r"Failed to parse spec as YAML: line 2, column 1: .*"),
            ("openapi: 3.0.3\ninfo: {}\ninfo: {}\n", 2, "input.invalid_value", r'Failed to parse spec as YAML: line 3, column 1: .*"info".*twice'),
            ('{"openapi": "2.9"}', 2, "input.invalid_value", r"Failed to parse spec as YAML: OpenAPI 2\.9 is not supported; .*"),
            ("", 2, "input.invalid_value", "Failed to parse spec as YAML: line 1, column 1: there is nothing in it")):
        path = tmp_path / "it.yaml"
        path.write_text(text)
        for words in (["import-openapi", path], ["inspect-openapi", path], ["load", path, "--name", "x"]):
            bad(folder.run("provider", *words), status, code, message)
    bad(folder.run("provider", "import-openapi", tmp_path / "nowhere.yaml"), 1, "tool.execution_failed",
        r"Failed to read spec file: .*/nowhere\.yaml: No such file or directory")
    assert files(folder, "manifests") == files(folder, "specs") == []


def test_a_document_without_a_server_is_told(folder, tmp_path):
    path = tmp_path / "bare.yaml"
    path.write_text("openapi: 3.1.0\ninfo: {title: t, version: '1'}\nservers: [{url: /v1}]\n")
    done = folder.run("provider", "import-openapi", path)
    good(done)
    assert "set base_url in the manifest" in done.stderr and "remember" not in done.stderr


# --- downloads ------------------------------------------------------------------------------------


class Shelf:
    """Somebody's web server; answers are set by path."""

    def __init__(self):
        self.upstream, self.answers = Upstream(lambda request: self.answers[request["path"]]), {}
        self.url = self.upstream.url

    def put(self, path, text, status=200, **fields):
        self.answers[path] = (status, fields, text.encode())
        return self.url + path


@pytest.fixture
def shelf():
    it = Shelf()
    yield it
    it.upstream.shutdown()
    it.upstream.server_close()


def test_downloaded(folder, shelf):
    url = shelf.put("/docs/api.yaml", SPEC.replace("https://api.pets.example/v1", "../v2") % "x")
    done = folder.run("provider", "import-openapi", url, "--name", "pets")
    assert good(done) == "" and "downloading spec over insecure HTTP" in done.stderr
    assert f'base_url = "{shelf.url}/v2"' in (folder.path / "manifests/pets.toml").read_text()
    [asked] = shelf.upstream.asked
    assert (asked["method"], asked["path"]) == ("GET", "/docs/api.yaml") and asked["headers"]["User-Agent"].startswith("ati/")


def test_redirects_are_not_followed(folder, shelf):
    url = shelf.put("/old", "", 302, Location="https://169.254.169.254/latest")
    bad(folder.run("provider", "inspect-openapi", url), 1, "tool.execution_failed",
        r"URL redirected to 'https://169\.254\.169\.254/latest' — fetch the target URL directly to avoid SSRF")
    assert len(shelf.upstream.asked) == 1


def test_downloads_that_fail(folder, shelf):
    bad(folder.run("provider", "inspect-openapi", shelf.put("/gone", "no", 404)), 1, "tool.execution_failed", r"Failed to download .*/gone: HTTP status 404")
    shelf.upstream.shutdown()
    shelf.upstream.server_close()
    done = folder.run("provider", "inspect-openapi", shelf.url.replace("http://", "http://user:hunter2@") + "/x?key=hunter2")
    bad(done, 1, "tool.execution_failed", r"Failed to download http://127\.0\.0\.1:\d+/x: .*")
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("mode", ["1", "TRUE"])
def test_private_addresses_are_refused_where_the_rules_are_on(folder, shelf, mode):
    url = shelf.put("/api.yaml", SPEC % "x")
    bad(folder.run("provider", "inspect-openapi", url, ATI_SSRF_PROTECTION=mode), 1, "tool.execution_failed",
        rf"SSRF protection: URL '{url}' targets a private/internal network address")
    assert shelf.upstream.asked == []


def test_private_addresses_are_told_where_the_rules_warn(folder, shelf):
    done = folder.run("provider", "inspect-openapi", shelf.put("/api.yaml", SPEC % "x"), ATI_SSRF_PROTECTION="warn")
    assert "Operations (3):" in good(done) and "WARN" in done.stderr


def test_a_download_that_takes_long_is_shown(folder, shelf):
    """At a terminal: a line that says so, gone before the result; Ctrl-C ends it."""
    held = []

    def hold(request):
        held.append(request)
        time.sleep(PATIENCE)
        return 200, {}, b""

    shelf.upstream.answer = hold
    main, side = pty.openpty()
    process = subprocess.Popen([ATI, "provider", "inspect-openapi", shelf.url + "/slow"], env=environment(folder.path), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=side)
    os.close(side)
    seen = b""
    while "downloading the document … 1 s".encode() not in seen:
        assert select.select([main], [], [], PATIENCE)[0], seen
        seen += os.read(main, 4096)
    process.send_signal(2)
    assert process.wait(PATIENCE) != 0 and len(held) == 1
    assert process.stdout.read() == b""
    process.stdout.close()
    os.close(main)


# --- load, unload ---------------------------------------------------------------------------------


def loaded(done):
    told = json.loads(good(done))
    return told, datetime.datetime.fromisoformat(told.pop("cached_until"))


def test_load_openapi(folder, spec):
    before = datetime.datetime.now(datetime.timezone.utc)
    told, until = loaded(folder.run("provider", "load", spec, "--name", "soon"))
    assert told == {"status": "needs_auth", "name": "soon", "provider_type": "openapi", "base_url": "https://api.pets.example/v1", "tools_count": 3,
                    "auth": {"type": "header", "key_name": "soon_api_key", "description": "API key via header (X-Key)", "resolved": False,
                             "header_name": "X-Key"},
                    "setup_commands": ["ati key set soon_api_key <your-api-key>"]}
    assert abs((until - before).total_seconds() - 3600) < PATIENCE
    cached = json.loads((folder.path / "cache/providers/soon.json").read_text())
    created = datetime.datetime.fromisoformat(cached.pop("created_at"))
    assert (until - created).total_seconds() == 3600
    assert cached.pop("spec_content") == spec.read_text()
    assert list(cached.items()) == [
        ("name", "soon"), ("provider_type", "openapi"), ("base_url", "https://api.pets.example/v1"), ("auth_type", "header"),
        ("auth_key_name", "soon_api_key"), ("auth_header_name", "X-Key"), ("auth_query_name", None), ("mcp_transport", None), ("mcp_url", None),
        ("mcp_command", None), ("mcp_args", []), ("mcp_env", {}), ("cli_command", None), ("cli_default_args", []), ("cli_env", {}),
        ("cli_timeout_secs", None), ("auth", "header"), ("skills", []), ("ttl_seconds", 3600)]
    assert [tool["tool"] for tool in json.loads(good(folder.run("tool", "list", "--provider", "soon")))] == [
        "soon:getPet", "soon:deletePet", "soon:addPet"]
    folder.credentials({"soon_api_key": "hunter2"})
    told, _ = loaded(folder.run("provider", "load", spec, "--name", "soon"))
    assert (told["status"], told["auth"]["resolved"], told["setup_commands"]) == ("ready", True, [])


@pytest.mark.parametrize("scheme, auth, header, query, description", [
    ("{type: http, scheme: bearer}", "bearer", None, None, "HTTP Bearer token (Authorization header)"),
    ("{type: http, scheme: basic}", "basic", None, None, "HTTP Basic authentication"),
    ("{type: apiKey, in: query, name: k}", "query", None, "k", "API key via query parameter (k)"),
    ("{type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://t'}}}", "oauth2", None, None, "OAuth2 client credentials"),
    ("{type: apiKey, in: cookie, name: k}", "none", None, None, "No authentication required"),
])
def test_how_loaded_ones_are_asked(folder, spec, scheme, auth, header, query, description):
    spec.write_text(SPEC.replace("{type: apiKey, in: header, name: X-Key}", scheme) % "x")
    told, _ = loaded(folder.run("provider", "load", spec, "--name", "it"))
    free = auth == "none"
    assert told["auth"] == {"type": auth, "key_name": None if free else "it_api_key", "description": description, "resolved": free,
                            **({"header_name": header} if header else {}), **({"query_name": query} if query else {})}
    assert told["status"] == ("ready" if free else "needs_auth")


def test_load_with_another_credential(folder, spec):
    told, _ = loaded(folder.run("provider", "load", spec, "--name", "it", "--auth", "query", "--auth-key", "mine", "--auth-query", "q"))
    assert (told["auth"]["type"], told["auth"]["key_name"]) == ("query", "mine")
    cached = json.loads((folder.path / "cache/providers/it.json").read_text())
    assert (cached["auth_type"], cached["auth_key_name"], cached["auth_query_name"]) == ("query", "mine", "q")
    told, _ = loaded(folder.run("provider", "load", spec, "--name", "it", "--auth", "header", "--auth-header", "X-Mine"))
    assert told["auth"] | {"description": 0} == {"type": "header", "key_name": "it_api_key", "description": 0, "resolved": False, "header_name": "X-Mine"}
    bad(folder.run("provider", "load", spec, "--name", "it", "--auth", "odd"), 1, "tool.execution_failed", r"Unknown auth type: odd \(.*\)")


def test_load_told_in_text(folder, spec):
    done = folder.run("provider", "load", spec, "--name", "it", "--ttl", "90", "--output", "text")
    assert good(done) == ""
    assert "loaded OpenAPI provider provider=it tools=3 cached=1m status=needs_auth" in done.stderr
    assert "auth key not set — run: ati key set it_api_key <your-api-key>" in done.stderr


def test_loaded_ones_end(folder, spec):
    good(folder.run("provider", "load", spec, "--name", "it"))
    path = folder.path / "cache/providers/it.json"
    cached = json.loads(path.read_text())
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=3601)
    path.write_text(json.dumps({**cached, "created_at": past.isoformat()}))
    assert "No providers configured" in good(folder.run("provider", "list")) and not path.exists()


def test_unload(folder, spec):
    good(folder.run("provider", "load", spec, "--name", "it"))
    done = folder.run("provider", "unload", "it")
    assert good(done) == "" and "unloaded cached provider provider=it" in done.stderr
    bad(folder.run("provider", "unload", "it"), 1, "tool.execution_failed", r"No cached provider 'it' found\.")


def test_load_for_good(folder, spec):
    assert good(folder.run("provider", "load", spec, "--name", "it", "--save", "--auth-key", "mine")) == ""
    assert (folder.path / "manifests/it.toml").read_text() == MANIFEST.format(name="it", key="mine")
    assert good(folder.run("provider", "load", "--mcp", "--save", "--name", "m", "--command", "npx", "--args", "-y", "p", "--env", "A=${b}")) == ""
    assert tomllib.loads((folder.path / "manifests/m.toml").read_text())["provider"] == {
        "name": "m", "description": "m MCP provider", "handler": "mcp", "mcp_transport": "stdio", "mcp_command": "npx", "mcp_args": ["-y", "p"],
        "auth_type": "none", "mcp_env": {"A": "${b}"}}
    assert not (folder.path / "cache").exists()


def test_load_an_mcp_server(folder, tmp_path):
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    words = ["provider", "load", "--mcp", "--name", "m", "--command", sys.executable, "--args", server, "--env", "T=${m_token}", "--env", "P=plain"]
    told, _ = loaded(folder.run(*words))
    assert told == {"status": "needs_keys", "name": "m", "provider_type": "mcp", "transport": "stdio", "command": sys.executable,
                    "env_vars": {"T": {"keyring_ref": "m_token", "resolved": False}}, "setup_commands": ["ati key set m_token <your-m_token>"],
                    "probe": "ok", "tools_count": 2, "tools": ["second", "first"]}
    folder.credentials({"m_token": "hunter2"})
    told, _ = loaded(folder.run(*words))
    assert (told["status"], told["setup_commands"], told["env_vars"]["T"]["resolved"]) == ("ready", [], True)
    assert "hunter2" not in (folder.path / "cache/providers/m.json").read_text()
    done = folder.run(*words, "--output", "text")
    assert good(done) == "" and "loaded MCP provider provider=m transport=stdio tools=2 cached=1h status=ready" in done.stderr
    assert 'discovered tools tools="second, first"' in done.stderr
    # It is there for everybody.
    assert {tool["tool"] for tool in json.loads(good(folder.run("tool", "list", "--provider", "m")))} == {"m:second", "m:first"}


def test_an_mcp_server_that_does_not_answer_is_loaded(folder):
    told, _ = loaded(folder.run("provider", "load", "--mcp", "--name", "m", "--command", shutil.which("false")))
    assert (told["status"], told["probe"]) == ("ready", "failed") and told["probe_error"].startswith("MCP server process exited unexpectedly")
    told, _ = loaded(folder.run("provider", "load", "--mcp", "--name", "h", "--transport", "http", "--url", "http://127.0.0.1:9/mcp", "--auth", "bearer"))
    assert told["auth"] == {"type": "bearer", "key_name": "h_api_key", "resolved": False}
    assert (told["url"], told["status"], told["probe"]) == ("http://127.0.0.1:9/mcp", "needs_auth", "failed")
    assert told["setup_commands"] == ["ati key set h_api_key <your-h_api_key>"] and told["probe_error"].startswith("MCP transport error: ")
    assert eventually(lambda: files(folder, "cache/providers") == ["h.json", "m.json"])


@pytest.mark.parametrize("words, status, code, message", [
    ([], 1, "tool.execution_failed", r"OpenAPI mode requires a spec path or URL\. Use --mcp for MCP providers\."),
    (["--mcp"], 2, "input.missing_arg", "--command is required for stdio transport"),
    (["--mcp", "--transport", "http"], 2, "input.missing_arg", "--url is required for HTTP transport"),
    (["--mcp", "--transport", "pigeon"], 1, "tool.execution_failed", r"Unknown transport: pigeon \(expected http or stdio\)"),
    (["--mcp", "--command", "x", "--env", "BAD"], 2, "input.invalid_value", r"Invalid --env format: BAD \(expected KEY=VALUE\)"),
    (["--mcp", "--command", "x", "--ttl", "soon"], 2, "input.invalid_value", r"Invalid --ttl: soon .*"),
    (["--mcp", "--command", "x", "--ttl", "0"], 2, "input.invalid_value", r"Invalid --ttl: 0 .*"),
])
def test_what_load_refuses(folder, words, status, code, message):
    bad(folder.run("provider", "load", "--name", "it", *words), status, code, message)
    assert not (folder.path / "cache").exists()


def test_names_and_handlers_are_shown_as_they_were_written(tmp_path):
    """An empty name is odd, a handler that is none behaves like http: neither keeps the others from being used."""
    folder = Folder(tmp_path, {name or "nameless": f'[provider]\nname = "{name}"\ndescription = "d"\n{more}[[tools]]\nname = "{name}:t"\ndescription = "t"\nendpoint = "/x"\n'
                               for name, more in (("", ""), ("odd", 'handler = "weird"\n'))})
    assert [(one["name"], one["type"]) for one in json.loads(good(folder.run("provider", "list")))] == [("", "http"), ("odd", "http")]
    assert json.loads(good(folder.run("provider", "info", "odd")))["handler"] == "weird"
    assert "Handler:     weird\n" in good(folder.run("provider", "info", "odd", "--output", "text"))
    assert "weird" in good(folder.run("tool", "info", "odd:t", "--output", "text"))
