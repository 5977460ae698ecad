"""Fields of manifests, one by one: what each takes and refuses, where that is told, and what it does; tools, schemas, extraction, documents."""

import json
import re
import sys
import urllib.parse

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.mcp import SCRIPT

HEAD = '[provider]\nname = "x"\ndescription = "d"\n'
TOOL = '[[tools]]\nname = "x:t"\ndescription = "t"\n'
KEYS = {"k": "key-of-the-keyring-1"}


def tool(name, more="", endpoint="/x"):
    return f'[[tools]]\nname = "{name}"\ndescription = "about {name}"\nendpoint = "{endpoint}"\n{more}'


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as server:
        yield server


# --- what a field takes, and what it does not -----------------------------------------------------

TEXT, TEXTS, BOOL, COUNT = ('"t"', "must be a text"), ('["a", "b"]', "must be an array of texts"), ("true", "must be true or false"), ("7", "must be a whole number")
PAIRS = ('{ a = "b" }', "must be a table of texts")
BAD = {"must be a text": "7", "must be an array of texts": '"a"', "must be true or false": '"true"', "must be a whole number": "-1", "must be a table of texts": "[]"}
HTTP, MCP, CLI, FILES, OPENAPI, PASS = ("http", "mcp", "cli", "file_manager", "openapi", "passthrough")
FIELDS = {  # of [provider]: a handler that it means something to, and what it takes
    "base_url": (HTTP, '"https://u.example"', TEXT[1]), "auth_key_name": (HTTP, *TEXT), "auth_header_name": (HTTP, *TEXT), "auth_query_name": (HTTP, *TEXT),
    "auth_value_prefix": (HTTP, *TEXT), "auth_secret_name": (HTTP, *TEXT), "oauth2_token_url": (HTTP, *TEXT), "oauth2_basic_auth": (HTTP, *BOOL),
    "extra_headers": (HTTP, *PAIRS), "internal": (HTTP, *BOOL), "private_network": (HTTP, *BOOL), "category": (HTTP, *TEXT), "skills": (HTTP, *TEXTS),
    "mcp_command": (MCP, *TEXT), "mcp_args": (MCP, *TEXTS), "mcp_env": (MCP, *PAIRS), "mcp_url": (MCP, *TEXT),
    "cli_command": (CLI, *TEXT), "cli_default_args": (CLI, *TEXTS), "cli_env": (CLI, *PAIRS), "cli_timeout_secs": (CLI, *COUNT), "cli_output_args": (CLI, *TEXTS),
    "openapi_include_tags": (OPENAPI, *TEXTS), "openapi_exclude_tags": (OPENAPI, *TEXTS), "openapi_include_operations": (OPENAPI, *TEXTS),
    "openapi_exclude_operations": (OPENAPI, *TEXTS), "openapi_max_operations": (OPENAPI, *COUNT), "openapi_spec": (OPENAPI, *TEXT),
    "strip_prefix": (PASS, *BOOL), "host_override": (PASS, *TEXT), "forward_websockets": (PASS, *BOOL), "deny_paths": (PASS, *TEXTS),
    "forward_authorization_paths": (PASS, *TEXTS), "connect_timeout_seconds": (PASS, *COUNT), "read_timeout_seconds": (PASS, *COUNT),
    "idle_timeout_seconds": (PASS, *COUNT), "max_request_bytes": (PASS, *COUNT), "max_response_bytes": (PASS, *COUNT), "path_prefix": (PASS, '"/p/"', "must be a text"),
    "path_replace": (PASS, '["/a", "/b"]', "must be an array of texts"), "host_match": (PASS, *TEXT),
}
ODD = [  # (handler, fields, what is told behind "line N: "): those with a grammar of their own
    (HTTP, 'handler = 7', "provider.handler: must be a text, one of: http, mcp, openapi, cli, file_manager, passthrough"),
    (HTTP, 'auth_type = "bearr"', 'provider.auth_type: "bearr" is none of: none, bearer, header, query, basic, oauth2, url; did you mean bearer?'),
    (HTTP, 'auth_type = ""', 'provider.auth_type: "" is none of: none, bearer, header, query, basic, oauth2, url'),
    (HTTP, 'extra_headers = { a = 7 }', "provider.extra_headers.a: must be a text: put quotes around 7"),
    (HTTP, 'skills = ["a", 7]', "provider.skills[1]: must be a text: put quotes around 7"),
    (CLI, 'cli_output_positional = { "a b" = -1 }', 'provider.cli_output_positional.a b: must be a whole number that is not negative'),
    (PASS, 'path_replace = ["/a"]', 'provider.path_replace: must be two texts: ["/from", "/to"]'),
    (FILES, 'upload_destinations.a = { kind = "s3" }', 'provider.upload_destinations.a.kind: "s3" is none of: gcs, fal_storage'),
    (FILES, 'upload_destinations.a = { bucket = "b" }', "provider.upload_destinations.a.kind: is missing: gcs or fal_storage"),
    (OPENAPI, 'openapi_overrides.a = { hint = 7 }', "provider.openapi_overrides.a.hint: must be a text: put quotes around 7"),
    (HTTP, 'auth_generator = { type = "shell" }', 'provider.auth_generator.type: "shell" is none of: command, script'),
    (HTTP, 'auth_generator = { command = "x" }', "provider.auth_generator.type: is missing: command or script"),
    (HTTP, 'auth_generator = { type = "command" }', "provider.auth_generator.command: is missing: the program to start"),
    (HTTP, 'auth_generator = { type = "script", script = "x" }', "provider.auth_generator.interpreter: is missing: what runs the script"),
    (HTTP, 'auth_generator = { type = "script", interpreter = "x" }', "provider.auth_generator.script: is missing: the script's text"),
    (HTTP, 'auth_generator = { type = "command", command = "x", output_format = "xml" }', 'provider.auth_generator.output_format: "xml" is none of: text, json'),
    (HTTP, 'auth_generator = { type = "command", command = "x", timeout_secs = "1" }', "provider.auth_generator.timeout_secs: must be a whole number"),
    (HTTP, 'auth_generator = { type = "command", command = "x", inject = { a = { type = "header" } } }', "provider.auth_generator.inject.a.name: is missing"),
]
TOOLS = [  # of [[tools]]
    ('description = "d"', "tools[0].name: is missing: every tool has one"), ('name = "x:t"', "tools[0].description: is missing: it is what a model chooses by"),
    ('name = "x:t"\ndescription = 7', "tools[0].description: must be a text: put quotes around 7"),
    (TOOL[10:] + "endpoint = []", "tools[0].endpoint: must be a text"), (TOOL[10:] + "scope = 7", "tools[0].scope: must be a text"),
    (TOOL[10:] + 'method = "gEt"', 'tools[0].method: "gEt" is none of: GET, POST, PUT, DELETE'), (TOOL[10:] + "method = 7", "tools[0].method: "),
    (TOOL[10:] + 'input_schema = "{}"', "tools[0].input_schema: must be a table"), (TOOL[10:] + 'tags = "a"', "tools[0].tags: must be an array of texts"),
    (TOOL[10:] + "examples = [7]", "tools[0].examples[0]: must be a text"), (TOOL[10:] + "hint = 7", "tools[0].hint: must be a text"),
    (TOOL[10:] + "response.extract = 7", "tools[0].response.extract: must be a text"),
    (TOOL[10:] + 'response.format = "xml"', 'tools[0].response.format: "xml" is none of: text, json, markdown_table, raw'),
    (TOOL[10:] + TOOL + 'hint = 7', "tools[1].hint: must be a text"),
]
PASSTHROUGH = 'base_url = "https://u.example"\nhost_match = "h.example"\n'


def manifest_of(handler, line):
    needed = "" if handler != PASS else "".join(f"{one}\n" for one in PASSTHROUGH.splitlines() if one.split()[0] != line.split()[0])
    return f'{HEAD}handler = "{handler}"\n{needed}' if not line.startswith("handler") else HEAD


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """reader(manifest) is the error of reading it, or None; and what was warned of."""
    folder = Folder(tmp_path_factory.mktemp("reader"))
    path = folder.path / "manifests/x.toml"
    with Proxy(folder) as proxy:
        def read(text):
            path.write_text(text)
            seen = len(proxy.seen)
            proxy.reload()
            while True:
                line = json.loads(proxy.lines.get(timeout=30))
                if line["message"] in ("reload failed, everything stays as it was", "reloaded"):
                    break
            warned = [json.loads(text)["message"] for text in proxy.seen[seen:] if '"WARN"' in text and "x.toml" in text]
            return (line.get("error") or "").replace(str(path), "PATH"), [text.replace(str(path), "PATH") for text in warned]

        yield read


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_has_its_kind(reader, field):
    handler, good, kind = FIELDS[field]
    head = manifest_of(handler, field)
    line = head.count("\n") + 1
    error, warned = reader(f"{head}{field} = {good}\n")
    assert not error and not [text for text in warned if field in text and "has no tools" not in text], warned
    error, _ = reader(f"{head}{field} = {BAD[kind]}\n")
    assert error.startswith(f"Failed to parse manifest PATH: line {line}: provider.{field}: {kind}"), error


@pytest.mark.parametrize("handler, fields, told", ODD, ids=range(len(ODD)))
def test_fields_with_a_grammar_of_their_own(reader, handler, fields, told):
    head = manifest_of(handler, fields)
    assert reader(f"{head}{fields}\n")[0].startswith(f"Failed to parse manifest PATH: line {head.count(chr(10)) + 1}: {told}")


@pytest.mark.parametrize("fields, told", TOOLS, ids=range(len(TOOLS)))
def test_fields_of_tools(reader, fields, told):
    error = reader(f"{HEAD}[[tools]]\n{fields}\n")[0]
    assert re.match(r"Failed to parse manifest PATH: line \d+: " + re.escape(told), error), error


@pytest.mark.parametrize("text, warned", [
    ('handler = "htp"\n', 'PATH: line 4: provider.handler: "htp" is none, and treated as http; did you mean http?'),
    ("tags = []\n", "PATH: line 4: provider.tags: unknown field, ignored"),
    ("auth_typ = 7\n", "PATH: line 4: provider.auth_typ: unknown field, ignored; did you mean auth_type?"),
    ('cli_command = "x"\n', "PATH: line 4: provider.cli_command: "),
    ("[provder]\n", "PATH: line 4: provder: unknown table, ignored; did you mean provider?"),
    (TOOL + "endpont = 7\n", "PATH: line 7: tools[0].endpont: unknown field, ignored; did you mean endpoint?"),
    (TOOL + "[tools.response]\nfromat = 7\n", "PATH: line 8: tools[0].response.fromat: unknown field, ignored; did you mean format?"),
    (TOOL + 'scope = ""\n', "PATH: line 7: tools[0].scope: empty: anybody may call this tool"),
    (TOOL + TOOL, "PATH: line 7: tools[1].name: a tool of this name stands above; the last one counts"),
    ('[provider.auth_generator]\ntype = "command"\ncommand = "x"\nargz = 7\n', "PATH: line 7: provider.auth_generator.argz: unknown field, ignored; did you mean args?"),
])
def test_what_is_odd_is_a_warning(reader, text, warned):
    error, told = reader(HEAD + text)
    assert not error and [line for line in told if line.startswith(warned)], told


def test_passthrough_is_checked_in_this_order(reader):
    """Of several mistakes the first is told, until all are mended."""
    reasons = ["requires non-empty base_url", "requires at least one of host_match or path_prefix", "path_prefix must start with '/' (got: 'p')",
               "host_match must be non-empty when set", "got: ftp://u", "path_replace source must start with '/' (got: 'a')"]
    fields = ['base_url = ""\nforward_websockets = true\npath_replace = ["a", "b"]\n', 'base_url = "ftp://u"\nforward_websockets = true\npath_replace = ["a", "b"]\n']
    fields.append(fields[1] + 'path_prefix = "p"\nhost_match = ""\n')
    fields.append(fields[2].replace('"p"', '"/p//"'))
    fields.append(fields[3].replace('host_match = ""', 'host_match = "h"'))
    fields.append(fields[4].replace("ftp", "http"))
    for reason, text in zip(reasons, fields, strict=True):
        error = reader(HEAD + 'handler = "passthrough"\n' + text)[0]
        assert error.startswith("Manifest PATH is invalid: ") and reason in error, error
    assert reader(HEAD + 'handler = "passthrough"\n' + fields[5].replace('"a"', '"/a"')) == ("", [])


# --- what fields do -------------------------------------------------------------------------------


def answer(request):
    if request["path"].startswith("/document"):
        return 200, {"Content-Type": "application/json"}, DOCUMENT.encode()
    return Upstream.echo(request)


DOCUMENT = """{"store": {"book": [{"t": "A", "p": 8, "tags": ["x", "y"]}, {"t": "B", "p": 12.50}, {"t": "C", "p": 8, "isbn": "1"}, {"t": "D", "p": 22, "isbn": null}],
 "bicycle": {"p": 19}}, "odd name": {"a.b": 1, "ü": true}, "n": [0, 1, 2, 3, 4, 5], "empty": [], "nothing": null}"""
PATHS = {  # RFC 9535: what is taken out of the document
    "$": json.loads(DOCUMENT), "$.nowhere": None, "$.store.bicycle.p": 19, "$.nothing": None, "$.empty": [], "$['odd name']['a.b']": 1, '$["odd name"].ü': True,
    "$.n[0]": 0, "$.n[-1]": 5, "$.n[6]": None, "$.n[1:3]": [1, 2], "$.n[::2]": [0, 2, 4], "$.n[-2:]": [4, 5], "$.n[4:1:-2]": [4, 2], "$.n[0,2,5]": [0, 2, 5],
    "$.store.book[*].t": ["A", "B", "C", "D"], "$.store.bicycle.*": 19, "$.empty[*]": None, "$..isbn": ["1", None], "$.store..p": [8, 12.5, 8, 22, 19],
    "$.store.book[?(@.t == 'B')].p": 12.5, "$.store.book[?(@.p < 10)].t": ["A", "C"], "$.store.book[?(@.p >= 12.5)].t": ["B", "D"], "$.store.book[?(@.p <= 8)].t": ["A", "C"],
    "$.store.book[?(@.p != 8)].t": ["B", "D"], "$.store.book[?(@.p > 8 && @.p < 20)].t": "B", "$.store.book[?(@.t == 'A' || @.isbn == '1')].t": ["A", "C"],
    "$.store.book[?(@.isbn)].t": ["C", "D"], "$.store.book[?(!@.isbn)].t": ["A", "B"], "$.store.book[0].tags": ["x", "y"], "$.store.book[0]['t','p']": ["A", 8],
}
BAD_PATHS = ["$[", "store", "$.n[?", "$.n[1:2:3:4]", "$..", ""]
SCHEMA = """
x-ati-body-encoding = "form"
[tools.input_schema.properties]
a = { type = "string", x-ati-param-location = "body", default = "A" }
b = { type = "array", x-ati-param-location = "body", default = [] }
c = { type = "object", x-ati-param-location = "body", default = {} }
d = { type = "boolean", x-ati-param-location = "body", default = false }
e = { type = "string", x-ati-param-location = "body", default = "" }
m = { type = "array", x-ati-param-location = "query", x-ati-collection-format = "multi", default = [1, 2] }
"""
SPEC = """
openapi: 3.0.3
info: {title: shop, version: "1"}
paths:
  /orders:
    get: {operationId: listOrders, tags: [orders, read], summary: Lists}
    post: {operationId: addOrder, tags: [orders]}
  /stock:
    get: {operationId: readStock, tags: [stock, read]}
    delete: {operationId: clearStock, tags: [stock, danger]}
  /free: {get: {operationId: free}}
"""
ALL = ["listOrders", "addOrder", "readStock", "clearStock", "free"]
FILTERS = {
    "all": ("", ALL), "tags": ('openapi_include_tags = ["read", "none"]', ["listOrders", "readStock"]), "untags": ('openapi_exclude_tags = ["danger", "orders"]', ["readStock", "free"]),
    "some": ('openapi_include_operations = ["free", "addOrder"]', ["addOrder", "free"]), "without": ('openapi_exclude_operations = ["free"]', ALL[:4]),
    "first": ("openapi_max_operations = 2", ALL[:2]), "none": ('openapi_include_tags = ["nowhere"]', []),
    "together": ('openapi_include_tags = ["read", "stock"]\nopenapi_exclude_operations = ["listOrders"]\nopenapi_max_operations = 1', ["readStock"]),
}
OVERRIDES = """
[provider.openapi_overrides.listOrders]
hint = "ask first"
tags = ["more"]
examples = ["ati run o:listOrders"]
description = "Another one"
scope = "orders"
response_extract = "$.path"
response_format = "json"
[provider.openapi_overrides.nobody]
hint = "of none"
"""


LACKING = {  # what is missing of a credential
    "bare": ('"bearer"\n', "API key 'auth_key_name not set' not found in keyring"), "bareheader": ('"header"\n', "API key 'auth_key_name not set' not found in keyring"),
    "oid": ('"oauth2"\nauth_secret_name = "k"\noauth2_token_url = "/t"\n', "OAuth2 token exchange failed: auth_key_name not set for OAuth2"),
    "osecret": ('"oauth2"\nauth_key_name = "k"\noauth2_token_url = "/t"\n', "OAuth2 token exchange failed: auth_secret_name not set for OAuth2"),
    "ourl": ('"oauth2"\nauth_key_name = "k"\nauth_secret_name = "k"\n', "OAuth2 token exchange failed: oauth2_token_url not set"),
    "okey": ('"oauth2"\nauth_key_name = "nobody"\nauth_secret_name = "k"\noauth2_token_url = "/t"\n', "API key 'nobody' not found in keyring"),
    "oother": ('"oauth2"\nauth_key_name = "k"\nauth_secret_name = "nobody"\noauth2_token_url = "/t"\n', "API key 'nobody' not found in keyring"),
}


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A gateway that wants tokens, with a manifest for each thing that fields do."""
    path = tmp_path_factory.mktemp("rich")
    (path / "specs").mkdir()
    (path / "specs/shop.yaml").write_text(SPEC)
    with Upstream(answer) as upstream:
        base = f'base_url = "{upstream.url}//"\n'
        paths = "".join(tool(f"p:{i}", f"[tools.response]\nextract = {json.dumps(text, ensure_ascii=False)}\n", "/document") for i, text in enumerate([*PATHS, *BAD_PATHS]))
        formats = "".join(tool(f"f:{name}", f'[tools.response]\nformat = "{name}"\nextract = "$.store.book[0:2]"\n', "/document")
                          for name in ("text", "json", "markdown_table", "raw"))
        manifests = {
            "p": HEAD.replace('"x"', '"p"') + base + paths,
            "f": HEAD.replace('"x"', '"f"') + base + formats + tool("f:none", '[tools.response]\nextract = "$.store.book[0:2]"\n', "/document"),
            "odd": HEAD.replace('"x"', '"odd"') + 'handler = "htp"\n' + base + tool("odd:t"),
            "least": HEAD.replace('"x"', '"least"') + base + '[[tools]]\nname = "least:t"\ndescription = "d"\n',
            "schema": HEAD.replace('"x"', '"schema"') + base + tool("schema:t", 'method = "POST"\n[tools.input_schema]\ntype = "object"' + SCHEMA),
            "scopes": HEAD.replace('"x"', '"scopes"') + base + tool("scopes:own", 'scope = "of:my:own"\n') + tool("scopes:free", 'scope = ""\n'),
            "inner": HEAD.replace('"x"', '"inner"') + "internal = true\n" + base + tool("inner:free") + tool("inner:own", 'scope = "of:my:own"\n'),
            "url": HEAD.replace('"x"', '"url"') + base + 'auth_type = "url"\nauth_key_name = "k"\n' + tool("url:t"),
            "noauth": HEAD.replace('"x"', '"noauth"') + base + 'auth_key_name = "k"\n[provider.extra_headers]\nX-More = "more"\nAccept = "text/x"\n' + tool("noauth:t"),
            **{name: HEAD.replace('"x"', f'"{name}"') + f'{base}auth_type = {fields}' + tool(f"{name}:t") for name, (fields, _) in LACKING.items()},
            "homeless": HEAD.replace('"x"', '"homeless"') + tool("homeless:t"),
            "static": HEAD.replace('"x"', '"static"') + f'handler = "mcp"\nmcp_command = "{sys.executable}"\nmcp_args = ["{SCRIPT}", "good"]\n' +
            '[[tools]]\nname = "static:echo"\ndescription = "of the manifest"\n[[tools]]\nname = "static:listed_nowhere"\ndescription = "of the manifest alone"\n',
        }
        for name, (fields, _) in FILTERS.items():
            manifests[f"o{name}"] = HEAD.replace('"x"', f'"o{name}"') + f'handler = "openapi"\nopenapi_spec = "shop.yaml"\n{base}{fields}\n' + tool(f"o{name}:own")
        manifests["o"] = HEAD.replace('"x"', '"o"') + f'handler = "openapi"\nopenapi_spec = "{path}/specs/shop.yaml"\n{base}' + OVERRIDES
        manifests["oinner"] = HEAD.replace('"x"', '"oinner"') + 'handler = "openapi"\ninternal = true\nopenapi_spec = "shop.yaml"\n' + base
        for name, spec in (("gone", "gone.yaml"), ("far", "https://shop.example/openapi.json"), ("broken", "broken.json")):
            manifests[name] = HEAD.replace('"x"', f'"{name}"') + f'handler = "openapi"\nopenapi_spec = "{spec}"\n{base}' + tool(f"{name}:own")
        (path / "specs/broken.json").write_text("{")
        folder = Folder(path, manifests, KEYS, ATI_JWT_SECRET=SECRET)
        with Proxy(folder) as proxy:
            proxy.upstream, proxy.all = upstream, folder.token("*")
            yield proxy


def listed(proxy, provider):
    return [one["name"] for one in json.loads(proxy.ask("GET", f"/tools?provider={provider}", token=proxy.all)[2])]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_taken_out_of_an_answer(rich, path):
    assert rich.call(f"p:{list(PATHS).index(path)}", {}, rich.all) == (200, {"result": PATHS[path]})


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_are_none(rich, path):
    status, told = rich.call(f"p:{len(PATHS) + BAD_PATHS.index(path)}", {}, rich.all)
    assert status == 500 and told["error"].startswith(f"Response processing error: JSONPath extraction failed: Invalid JSONPath '{path}': "), told
    assert told["result"] == json.loads(DOCUMENT)


def test_a_format_changes_nothing_of_an_answer(rich):
    answers = [rich.ask("POST", "/call", {"tool_name": f"f:{name}"}, rich.all)[2] for name in ("none", "text", "json", "markdown_table", "raw")]
    assert answers == [b'{"result":[{"t":"A","p":8,"tags":["x","y"]},{"t":"B","p":12.50}]}'] * 5


def test_a_handler_that_is_none_is_http(rich):
    assert rich.call("odd:t", {"a": 1}, rich.all)[1]["result"]["path"] == "/x?a=1"


def test_the_least_tool(rich):
    told = json.loads(rich.ask("GET", "/tools/least:t", token=rich.all)[2])
    assert told == {"description": "d", "endpoint": "", "hint": None, "input_schema": None, "method": "Get", "name": "least:t", "provider": "least",
                    "scope": "tool:least:t", "skills": [], "tags": []}
    assert rich.call("least:t", {}, rich.all)[1]["result"]["path"] in ("/", "")


def test_defaults_and_forms(rich):
    asked = rich.call("schema:t", {}, rich.all)[1]["result"]
    assert asked["path"] == "/x?m=1&m=2" and asked["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert urllib.parse.parse_qsl(asked["body"], keep_blank_values=True) == [("a", "A"), ("d", "false"), ("e", "")]  # [] and {} are none
    asked = rich.call("schema:t", {"a": "B", "b": ["c"], "m": [3]}, rich.all)[1]["result"]
    assert asked["path"] == "/x?m=3" and dict(urllib.parse.parse_qsl(asked["body"]))["a"] == "B"


def test_scopes_that_a_manifest_names(rich):
    own, other = rich.folder.token("of:my:own"), rich.folder.token("tool:scopes:own tool:inner:own")
    for name in ("scopes:own", "inner:own"):
        assert (rich.call(name, {}, own)[0], rich.call(name, {}, other)[0]) == (200, 403)
    for name in ("scopes:free", "inner:free"):
        assert rich.call(name, {}, other)[0] == 200
    assert listed(rich, "inner") == []


def test_without_an_auth_type_the_key_is_not_sent(rich):
    for name in ("url:t", "noauth:t"):
        assert rich.call(name, {}, rich.all)[0] == 200
        asked = rich.upstream.asked[-1]
        assert KEYS["k"] not in json.dumps([asked["path"], *asked["headers"].items()])
    assert asked["headers"]["X-More"] == "more" and asked["headers"].get_all("Accept") == ["text/x"]


@pytest.mark.parametrize("name", LACKING)
def test_what_a_credential_lacks(rich, name):
    before = len(rich.upstream.asked)
    assert rich.call(f"{name}:t", {}, rich.all) == (502, {"result": None, "error": f"Upstream API error: {LACKING[name][1]}"})
    assert len(rich.upstream.asked) == before


def test_a_provider_without_an_address(rich):
    status, told = rich.call("homeless:t", {}, rich.all)
    assert status == 502 and told["error"].startswith("Upstream API error: HTTP request failed: ")


@pytest.mark.parametrize("name", FILTERS)
def test_which_operations_are_tools(rich, name):
    """In the order of the document; what stands in the manifest beside them does not count."""
    assert listed(rich, f"o{name}") == [f"o{name}:{operation}" for operation in FILTERS[name][1]]


def test_operations_that_are_told_differently(rich):
    told = json.loads(rich.ask("GET", "/tools/o:listOrders", token=rich.all)[2])
    assert (told["hint"], told["description"], told["scope"], told["endpoint"]) == ("ask first", "Another one", "orders", "/orders")
    assert set(told["tags"]) == {"orders", "read", "more"}
    own = rich.folder.token("orders")
    assert rich.call("o:listOrders", {}, own) == (200, {"result": "/orders"})
    assert rich.call("o:addOrder", {}, own)[0] == 403
    assert json.loads(rich.ask("GET", "/tools/o:addOrder", token=rich.all)[2])["scope"] == "tool:o:addOrder"
    text = rich.folder.run("--output", "text", "tool", "info", "o:listOrders", ATI_SESSION_TOKEN=rich.all).stdout
    assert "  ati run o:listOrders\n" in text


def test_internal_operations_want_no_scope(rich):
    assert listed(rich, "oinner") == [] and rich.call("oinner:free", {}, rich.folder.token("help"))[0] == 200


@pytest.mark.parametrize("name, why", [
    ("gone", "Failed to read spec file {path}/specs/gone.yaml: No such file or directory"), ("broken", "{path}/specs/broken.json: Failed to parse spec as YAML: line "),
    ("far", "Unsupported spec format: URL specs must be downloaded first with `ati provider import-openapi`. Use a local file path."),
], ids=["gone", "broken", "far"])
def test_a_document_that_cannot_be_had_leaves_no_tools(rich, name, why):
    assert listed(rich, name) == []
    assert any(f"manifests/{name}.toml: provider {name} has no tools: " in line and why.format(path=rich.folder.path) in line for line in rich.seen)


def test_tools_of_a_manifest_stay_beside_those_of_the_server(rich):
    names = listed(rich, "static")
    assert {"static:listed_nowhere", "static:text", "static:pid"} <= set(names) and names.count("static:echo") == 1
    assert rich.call("static:echo", {"a": 1}, rich.all) == (200, {"result": {"a": 1}})
