"""Manifests from outside: what loads, what is refused and where, what is listed; and the ready ones, called."""

import base64
import json
import pathlib
import re
import time
import urllib.parse

import pytest
from harness.ati import Folder, Proxy, Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY = sorted((ROOT / "manifests").glob("*.toml"))
HEAD = '[provider]\nname = "x"\ndescription = "d"\n'
BUILT_IN = ["file_manager:download", "file_manager:upload"]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "ati")


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


def error_of(done):
    (line,) = [text for text in done.stderr.splitlines() if text.startswith('{"error":')]
    return json.loads(line)["error"]


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tools(folder):
    return [tool["tool"] for tool in told(folder.run("tool", "list"))]


def tool(name, more=""):
    return f'[[tools]]\nname = "{name}"\ndescription = "about {name}"\n{more}'


# --- what is refused, and where --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, says", [
    ('[provider]\ndescription = "d"\n', "Failed to parse manifest {path}: line 1: provider.name: is missing"),
    ('[provider]\nname = "x"\n', "Failed to parse manifest {path}: line 1: provider.description: is missing"),
    (tool("t"), "Failed to parse manifest {path}: line 1: provider: is missing"),
    (HEAD + "oops\n", "Failed to parse manifest {path}: line 4: "),
    (HEAD + 'auth_type = "Bearer"\n', 'Failed to parse manifest {path}: line 4: provider.auth_type: "Bearer" is none of'),
    (HEAD + tool("t", 'method = "gEt"\n'), 'Failed to parse manifest {path}: line 7: tools[0].method: "gEt" is none of'),
    (HEAD + 'handler = "file_manager"\nupload_default_destination = "d"\n',
     "Manifest {path} is invalid: upload_default_destination 'd' is not present in [provider.upload_destinations]"),
])
def test_one_broken_file_stops_the_command(folder, text, says):
    folder.manifest("a", HEAD.replace("x", "y", 1) + tool("y:t"))
    folder.manifest("b", text)
    done = folder.run("tool", "list")
    assert done.returncode == 2 and not done.stdout
    error = error_of(done)
    assert error["message"].startswith(says.format(path=folder.path / "manifests/b.toml"))
    assert error["exit_code"] == 2


@pytest.mark.parametrize("fields, reason", [
    ("", "passthrough provider requires non-empty base_url"),
    ('base_url = "https://u"\n', "passthrough provider requires at least one of host_match or path_prefix"),
    ('base_url = "https://u"\npath_prefix = "p"\n', "passthrough path_prefix must start with '/' (got: 'p')"),
    ('base_url = "https://u"\nhost_match = ""\n', "passthrough host_match must be non-empty when set"),
    ('base_url = "ftp://u"\nhost_match = "h"\nforward_websockets = true\n',
     "forward_websockets requires base_url to use http:// or https:// (proxy derives ws/wss automatically); got: ftp://u"),
    ('base_url = "https://u"\nhost_match = "h"\npath_replace = ["a", "/b"]\n', "passthrough path_replace source must start with '/' (got: 'a')"),
])
def test_passthrough_providers_are_checked(folder, fields, reason):
    folder.manifest("p", HEAD + 'handler = "passthrough"\n' + fields)
    done = folder.run("provider", "list")
    assert error_of(done)["message"] == f"Manifest {folder.path}/manifests/p.toml is invalid: {reason}"


def test_a_file_that_cannot_be_read_stops_the_command(folder):
    folder.manifest("a", HEAD + tool("x:t"))
    (folder.path / "manifests/b.toml").mkdir()
    done = folder.run("tool", "list")
    assert done.returncode == 1 and not done.stdout
    assert error_of(done)["message"] == f"Failed to read manifest file {folder.path}/manifests/b.toml: Is a directory"
    with Proxy(Folder(folder.path.parent / "other")) as proxy:
        (proxy.folder.path / "manifests/b.toml").mkdir()
        proxy.reload()
        assert proxy.log("reload failed, everything stays as it was")["error"].startswith("Failed to read manifest file ")


def test_files_are_read_in_the_order_of_their_names(folder):
    """Whatever else is in the folder."""
    for name in ("b", "c", "a", "B", "10", "9"):
        folder.manifest(name, HEAD.replace("x", f"p{name}", 1) + tool(f"p{name}:t"))
    for name in ("a.toml.bak", "notes.md", ".hidden.toml"):
        (folder.path / "manifests" / name).write_text("no manifest")
    assert tools(folder) == [f"p{name}:t" for name in ("10", "9", "B", "a", "b", "c")] + BUILT_IN


def test_no_folder_no_manifests(tmp_path):
    folder = Folder(tmp_path / "ati")
    (folder.path / "manifests").rmdir()
    (folder.path / "manifests").write_text("a file")
    assert error_of(folder.run("tool", "list"))["message"] == f"No manifests directory found at {folder.path}/manifests"


def test_odd_fields_are_told_of_and_stop_nothing(folder, upstream):
    folder.manifest("x", HEAD + f'tags = ["t"]\nbas_url = "u"\nbase_url = "{upstream.url}"\n' + tool("x:t"))
    done = folder.run("tool", "list")
    assert "x:t" in done.stdout
    assert "x.toml: line 4: provider.tags: unknown field, ignored" in done.stderr
    assert "x.toml: line 5: provider.bas_url: unknown field, ignored; did you mean base_url?" in done.stderr
    done = folder.run("run", "x:t")
    assert done.returncode == 0 and not done.stderr  # callers read both streams as one
    assert "provider.tags" in folder.run("--verbose", "run", "x:t").stderr


def test_a_running_proxy_keeps_what_it_has(folder, upstream):
    folder.manifest("x", HEAD + f'base_url = "{upstream.url}"\n' + tool("x:t"))
    with Proxy(folder) as proxy:
        folder.manifest("x", HEAD + "oops\n")
        proxy.reload()
        assert "x.toml: line 4: " in json.dumps(proxy.log("reload failed, everything stays as it was"))
        assert proxy.call("x:t")[0] == 200
        folder.manifest("x", HEAD + f'base_url = "{upstream.url}"\n' + tool("x:u"))
        proxy.reload()
        proxy.log("reloaded")
        assert proxy.call("x:t")[0] == 404
        assert proxy.call("x:u")[0] == 200


# --- what is listed, and called --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling, method", [(spelling, method) for method in ("GET", "POST", "PUT", "DELETE")
                                              for spelling in (method, method.lower(), method.capitalize())])
def test_methods_and_scopes(folder, upstream, spelling, method):
    folder.manifest("x", HEAD + f'base_url = "{upstream.url}/"\n' + tool("x:t", f'endpoint = "/e"\nmethod = "{spelling}"\n'))
    info = told(folder.run("tool", "info", "x:t"))
    assert (info["method"], info["scope"], info["endpoint"]) == (method, "tool:x:t", "/e")
    folder.run("run", "x:t")
    assert [(request["method"], request["path"]) for request in upstream.asked] == [(method, "/e")]


def test_internal_tools_are_called_but_not_listed(folder, upstream):
    folder.manifest("x", HEAD + f'base_url = "{upstream.url}"\ninternal = true\n' + tool("hidden"))
    assert tools(folder) == BUILT_IN
    assert told(folder.run("run", "hidden"))["method"] == "GET"
    with Proxy(folder) as proxy:
        assert "hidden" not in str(proxy.ask("GET", "/tools"))
        assert "hidden" not in json.dumps(proxy.rpc("tools/list"))
        assert proxy.call("hidden")[0] == 200


def test_the_built_in_file_manager(folder):
    assert tools(folder) == BUILT_IN
    folder.manifest("f", '[provider]\nname = "files"\ndescription = "d"\nhandler = "file_manager"\n')
    assert tools(folder) == BUILT_IN
    assert told(folder.run("tool", "info", "file_manager:upload"))["provider"] == "files"
    folder.manifest("f", '[provider]\nname = "files"\ndescription = "d"\nhandler = "file_manager"\n' + tool("file_manager:upload"))
    assert tools(folder) == ["file_manager:upload"]


def test_the_built_in_tools_to_the_letter(folder):
    built_in = told(folder.run("provider", "info", "file_manager"))
    assert (built_in["handler"], built_in["category"], built_in["internal"], built_in["auth_type"]) == ("file_manager", "file_manager", False, "none")
    with Proxy(folder) as proxy:
        health = json.loads(proxy.ask("GET", "/health")[2])
        assert (health["tools"], health["providers"]) == (2, 1)
        download, upload = (json.loads(proxy.ask("GET", f"/tools/{name}")[2]) for name in BUILT_IN)
        folder.manifest("f", '[provider]\nname = "files"\ndescription = "d"\nhandler = "file_manager"\n' + tool("files:own"))
        proxy.reload()
        proxy.log("reloaded")
        health = json.loads(proxy.ask("GET", "/health")[2])
        assert (health["tools"], health["providers"]) == (1, 1)
    for one, name, properties, required in ((download, "download", "url out inline max_bytes timeout headers follow_redirects", ["url"]),
                                            (upload, "upload", "path content_type object_name destination", ["path"])):
        assert (one["name"], one["provider"], one["method"], one["scope"]) == (f"file_manager:{name}", "file_manager", "Post", f"tool:file_manager:{name}")
        assert one["tags"] == ["file", name, "binary"] and one["input_schema"]["required"] == required
        assert list(one["input_schema"]["properties"]) == properties.split()
    assert download["input_schema"]["properties"]["headers"]["type"] == "object"


def test_a_command_that_is_not_said(folder):
    folder.manifest("x", HEAD + 'handler = "cli"\n')
    assert error_of(folder.run("run", "x"))["message"] == "CLI config error: provider missing cli_command"
    with Proxy(folder) as proxy:
        assert proxy.call("x") == (502, {"result": None, "error": "CLI error: CLI config error: provider missing cli_command"})


def test_what_an_mcp_manifest_lacks(folder):
    """It is told when a tool is called."""
    for name, fields in (("a", ""), ("b", 'mcp_transport = "http"\nmcp_command = "true"\n'), ("c", 'mcp_transport = "pigeon"\nmcp_command = "true"\n')):
        folder.manifest(name, HEAD.replace("x", name, 1) + 'handler = "mcp"\n' + fields + tool(f"{name}:t"))
    errors = {"a:t": "mcp_command required for stdio transport", "b:t": "mcp_url required for HTTP transport",
              "c:t": "Unknown MCP transport: 'pigeon' (expected 'stdio' or 'http')"}
    with Proxy(folder) as proxy:
        for name, error in errors.items():
            assert proxy.call(name) == (502, {"result": None, "error": f"MCP error: Missing MCP configuration: {error}"})
    for name, error in errors.items():
        assert error_of(folder.run("run", name))["message"] == f"Missing MCP configuration: {error}"


def test_a_command_is_a_tool(folder):
    folder.manifest("x", HEAD + 'handler = "cli"\ncli_command = "echo"\n')
    info = told(folder.run("tool", "info", "x"))
    assert (info["description"], info["scope"]) == ("d", "tool:x")
    assert folder.run("run", "x", "hello").stdout.strip() == '"hello"'


def test_of_equal_names_the_last_counts(folder):
    folder.manifest("a", HEAD + tool("same", 'endpoint = "/first"\n'))
    folder.manifest("b", HEAD.replace("x", "y", 1) + tool("same", 'endpoint = "/second"\n'))
    assert told(folder.run("tool", "info", "same"))["endpoint"] == "/second"
    assert tools(folder).count("same") == 1


def test_unknown_tools_and_what_was_meant(folder):
    folder.manifest("x", HEAD + tool("x:search_issues") + tool("x:list_issues"))
    message = error_of(folder.run("run", "x:serch_issues"))["message"]
    assert message.splitlines() == ["Unknown tool: 'x:serch_issues'. Did you mean one of:", "  - x:search_issues", "  - x:list_issues",
                                    "Run 'ati tool info <name>' to see parameters."]
    assert error_of(folder.run("run", "nothing"))["message"] == "Unknown tool: 'nothing'. Run 'ati tool list' to see available tools."


# --- for a while -----------------------------------------------------------------------------------------------------


def cached(folder, name, age, ttl=3600, **more):
    created = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - age)) if age is not None else "long ago"
    path = folder.path / "cache/providers" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, "provider_type": "mcp", "mcp_transport": "stdio", "mcp_command": "true", "created_at": created,
                                "ttl_seconds": ttl, **more}))
    return path


def test_cached_providers(folder):
    young, old, undated = cached(folder, "young", 60), cached(folder, "old", 3700), cached(folder, "undated", None)
    broken = folder.path / "cache/providers/broken.json"
    broken.write_text("{")
    twin = cached(folder, "x", 60)
    folder.manifest("x", HEAD + tool("x:t"))
    listed = {one["name"]: one for one in told(folder.run("provider", "list"))}
    assert listed["young"]["source"] == "cached" and listed["x"]["source"] == "permanent"
    assert not {"old", "undated", "broken"} & listed.keys()
    assert [path.exists() for path in (young, old, undated, broken, twin)] == [True, False, False, True, True]
    assert folder.run("provider", "unload", "young").returncode == 0 and not young.exists()
    assert error_of(folder.run("provider", "unload", "young"))["message"] == "No cached provider 'young' found."


DOCUMENT = """
openapi: 3.0.3
info: {title: t, version: "1"}
paths: {/x: {get: {operationId: get, summary: Gets}}}
"""


def test_cached_providers_of_the_proxy(folder, upstream):
    openapi = {"provider_type": "openapi", "base_url": upstream.url, "auth_type": "bearer", "auth_key_name": "k", "spec_content": DOCUMENT}
    cached(folder, "young", 60, **openapi)
    old, twin = cached(folder, "old", 3700, **openapi), cached(folder, "x", 60, **openapi)
    for name, text in (("broken", "{"), ("none", '{"name": "none"}'), ("list", "[]"), ("bad", '{"name": "bad", "provider_type": "openapi", "base_url": 7}'),
                       ("timeless", '{"name": "timeless", "provider_type": "openapi"}')):
        (folder.path / f"cache/providers/{name}.json").write_text(text)
    (folder.path / "cache/providers/folder.json").mkdir()
    folder.manifest("x", HEAD + tool("x:t"))
    folder.credentials({"k": "key-of-the-cached"})
    with Proxy(folder) as proxy:
        assert [one["name"] for one in json.loads(proxy.ask("GET", "/tools")[2])] == ["x:t", "young:get", *BUILT_IN]
        assert proxy.call("young:get")[0] == 200 and upstream.asked[-1]["headers"]["Authorization"] == "Bearer key-of-the-cached"
        assert json.loads(proxy.ask("GET", "/health")[2])["providers"] == 3
        assert not old.exists() and twin.exists()
        assert all((folder.path / f"cache/providers/{name}.json").exists() for name in ("broken", "none", "list", "bad", "timeless", "folder"))
        later = cached(folder, "later", 3590, **openapi)  # as `ati provider load` leaves it
        assert proxy.call("later:get")[0] == 404
        proxy.reload()
        proxy.log("reloaded")
        assert proxy.call("later:get")[0] == 200
        cached(folder, "later", 3700, **openapi)
        proxy.reload()
        proxy.log("reloaded")
        assert proxy.call("later:get")[0] == 404 and not later.exists()
    assert told(folder.run("provider", "info", "young"))["description"] == "young (cached)"


# --- the ready ones --------------------------------------------------------------------------------------------------


def test_the_ready_ones_load(folder):
    for path in READY:
        folder.manifest(path.stem, path.read_text())
    done = folder.run("provider", "list")
    assert not done.stderr
    listed = {one["name"]: one["tools"] for one in told(done)}
    assert {path.stem for path in READY} <= listed.keys()


def ready(folder, name, upstream, **keys):
    """A ready manifest whose API is the upstream."""
    text = (ROOT / f"manifests/{name}.toml").read_text()
    base = re.search(r'^base_url = "https://[^/"]+([^"]*)"$', text, re.MULTILINE)
    folder.manifest(name, text.replace(base.group(0), f'base_url = "{upstream.url}{base.group(1)}"'))
    folder.credentials(keys)


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("name, keys, words, method, path, headers, body", [
    ("github", {"github_token": "g"}, ["github:search_repositories", "--query", "http parser", "--per_page", "2"],
     "GET", "/search/repositories?q=http+parser&per_page=2", {"authorization": "Bearer g", "x-github-api-version": "2022-11-28"}, ""),
    ("github", {"github_token": "g"}, ["github:create_issue", "--owner", "o", "--repo", "r", "--title", "T", "--labels", '["a"]'],
     "POST", "/repos/o/r/issues", {"accept": "application/vnd.github+json"}, {"title": "T", "labels": ["a"]}),
    ("gitlab", {"gitlab_token": "g"}, ["gitlab:list_issues", "--id", "group/project", "--state", "opened"],
     "GET", "/api/v4/projects/group%2Fproject/issues?state=opened", {"private-token": "g"}, ""),
    ("stripe", {"stripe_api_key": "k"}, ["stripe:create_customer", "--email", "a@b.example", "--name", "A B"],
     "POST", "/v1/customers", {"authorization": "Bearer k", "content-type": "application/x-www-form-urlencoded"},
     {"email": ["a@b.example"], "name": ["A B"]}),
    ("twilio", {"twilio_basic_credential": base64.b64encode(b"AC1:s").decode()},
     ["twilio:send_message", "--AccountSid", "AC1", "--To", '"+1"', "--From", '"+2"', "--Body", "hi"],
     "POST", "/2010-04-01/Accounts/AC1/Messages.json", {"authorization": basic("AC1:s")}, {"To": ["+1"], "From": ["+2"], "Body": ["hi"]}),
    ("datadog", {"datadog_api_key": "a", "datadog_app_key": "b"}, ["datadog:list_monitors", "--page", "0"],
     "GET", "/api/v1/monitor?page=0", {"dd-api-key": "a", "dd-application-key": "b"}, ""),
    ("pagerduty", {"pagerduty_api_key": "p"}, ["pagerduty:list_incidents", "--statuses", '["triggered","acknowledged"]'],
     "GET", "/incidents?statuses%5B%5D=triggered&statuses%5B%5D=acknowledged", {"authorization": "Token token=p"}, ""),
    ("finnhub", {"finnhub_api_key": "f"}, ["finnhub:basic_financials", "--symbol", "AAPL"],
     "GET", "/api/v1/stock/metric?symbol=AAPL&metric=all", {"x-finnhub-token": "f"}, ""),
    ("anthropic", {"anthropic_api_key": "a"}, ["anthropic:create_message", "--model", "m", "--messages", '[{"role":"user","content":"hi"}]'],
     "POST", "/v1/messages", {"x-api-key": "a", "anthropic-version": "2023-06-01"},
     {"model": "m", "max_tokens": 1024, "messages": [{"role": "user", "content": "hi"}]}),
    ("serpapi", {"serpapi_api_key": "s"}, ["serpapi:search", "--q", "tls"], "GET", "/search.json?q=tls&engine=google&api_key=s", {}, ""),
    ("sentry", {"sentry_auth_token": "s"}, ["sentry:latest_event", "--organization", "o", "--issue_id", "1"],
     "GET", "/api/0/organizations/o/issues/1/events/latest/", {"authorization": "Bearer s"}, ""),
    ("wikipedia", {}, ["wikipedia:summary", "--title", "Remote_attestation"], "GET", "/api/rest_v1/page/summary/Remote_attestation", {}, ""),
])
def test_the_ready_ones_ask_as_their_services_want(folder, upstream, name, keys, words, method, path, headers, body):
    ready(folder, name, upstream, **keys)
    done = folder.run("run", *words)
    assert done.returncode == 0, done.stderr
    (request,) = upstream.asked
    assert request["method"] == method
    (got, _, asked), (want, _, wanted) = request["path"].partition("?"), path.partition("?")
    assert got == want
    assert sorted(urllib.parse.parse_qsl(asked)) == sorted(urllib.parse.parse_qsl(wanted))
    assert {name: request["headers"][name] for name in headers} == headers
    if method == "POST":
        form = "form" in request["headers"]["content-type"]
        assert (urllib.parse.parse_qs(request["body"].decode()) if form else json.loads(request["body"])) == body
    else:
        assert not request["body"]
