"""From documents to tools, rule by rule: one document, many providers that read it differently."""

import json
import tomllib

import pytest

from harness.ati import Folder, Proxy, Upstream


def op(name=None, **more):
    return {**({"operationId": name} if name else {}), "responses": {}, **more}


def parameter(name, place, schema=None, **more):
    return {"name": name, "in": place, **({"schema": schema} if schema is not None else {}), **more}


def body(schema, kind="application/json", **more):
    return {"requestBody": {"content": {kind: {"schema": schema}}, **more}}


def deep(levels):
    return {f"L{n}": {"$ref": f"#/components/schemas/L{n + 1}"} for n in range(levels)} | {f"L{levels}": {"type": "string"}}


OBJECT = {"type": "object", "required": ["a", "gone"], "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
DOCUMENT = {
    "openapi": "3.0.3", "info": {"title": "rules", "version": "1"},
    "paths": {
        "/zoo": {"delete": op("zooDelete"), "patch": op("zooPatch"), "put": op("zooPut"), "post": op("zooPost"), "get": op("zooGet"), "head": op("zooHead")},
        "/a/{id}/b-c/": {"get": op(tags=["named"]), "post": op(""), "parameters": [parameter("id", "path", {"type": "string"}, required=True)]},
        "/": {"get": op()},
        "/said": {
            "get": op("both", summary="A summary", description="A description"), "post": op("same", summary="Alike", description="Alike"),
            "put": op("summary", summary="Just this"), "delete": op("description", description="Just that"), "patch": op("silent")},
        "/said/2": {"get": op("hollow", summary="Just this", description=""), "post": op("own", **body({
            "type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "readOnly": True}, "a": {"type": "string"}}}, required=True))},
        "/tagged": {"get": op("tagged", tags=["b", "a", "b"]), "post": op("untagged"), "put": op("other", tags=["c"])},
        "/sent": {"post": op("multipart", **body({"type": "object"}, "multipart/form-data"))},
        "/p/{id}": {
            "parameters": [parameter("id", "path", {"type": "integer"}, required=True), parameter("q", "query", {"type": "string"}, description="of the path"),
                           parameter("kept", "query", {"type": "boolean"})],
            "get": op("parameters", parameters=[
                parameter("q", "query", {"type": "string", "enum": ["x", "y"], "default": "x", "example": "in the schema", "description": "of the schema"},
                          description="of the operation", example="of the parameter", required=True),
                parameter("inside", "query", {"type": "number", "description": "of the schema", "example": 1.5, "default": 2.50}),
                parameter("h", "header", {"type": "string"}), parameter("c", "cookie", {"type": "string"}),
                parameter("list", "query", {"type": "array", "items": {"type": "integer"}}),
                parameter("csv", "query", {"type": "array", "items": {"type": "string"}}, explode=False),
                parameter("ssv", "query", {"type": "array", "items": {"type": "string"}}, style="spaceDelimited", explode=False),
                parameter("pipes", "query", {"type": "array", "items": {"type": "string"}}, style="pipeDelimited", explode=False),
                parameter("deep", "query", {"type": "object", "properties": {}}, style="deepObject"),
                {"$ref": "#/components/parameters/shared"}, {"$ref": "#/components/parameters/nowhere"}, {"$ref": "other.yaml#/x"},
                parameter("ref", "query", {"$ref": "#/components/schemas/Word"}), parameter("any", "query", {}), parameter("none", "query"),
                parameter("choice", "query", {"oneOf": [{"type": "integer"}, {"type": "string"}]}), parameter("no", "query", {"not": {"type": "string"}}),
            ])},
        "/bodies": {
            "post": op("body", **body(OBJECT, required=True)), "put": op("optional", **body(OBJECT)),
            "patch": op("referred", requestBody={"$ref": "#/components/requestBodies/Named"}),
            "get": op("form", **body(OBJECT, "application/x-www-form-urlencoded")),
            "delete": op("first", requestBody={"content": {"text/x-a": {"schema": OBJECT}, "text/x-b": {"schema": {"type": "string"}}}})},
        "/json": {"post": op("preferred", requestBody={"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {"wrong": {}}}},
                                                                "application/json": {"schema": OBJECT}}}),
                  "put": op("nested", **body({"type": "object", "properties": {"inner": {"$ref": "#/components/schemas/Inner"}, "far": {"$ref": "#/components/schemas/L0"},
                                                                              "round": {"$ref": "#/components/schemas/Round"}}})),
                  "patch": op("listed", **body({"type": "array", "items": {"type": "string"}}))},
    },
    "components": {
        "parameters": {"shared": parameter("shared", "query", {"type": "string"}, description="shared by many")},
        "requestBodies": {"Named": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Object"}}}}},
        "schemas": {"Word": {"type": "string", "enum": ["w"]}, "Object": OBJECT, "Inner": {"type": "object", "properties": {"x": {"type": "boolean", "description": "inside"}}},
                    "Round": {"$ref": "#/components/schemas/Round"}, **deep(40)},
    },
}
PROVIDER = '[provider]\nname = "{name}"\ndescription = "d"\nhandler = "openapi"\nbase_url = "{url}"\nopenapi_spec = "rules.json"\n{more}'
FILTERS = {
    "all": "",
    "one": 'openapi_include_operations = ["zooPut", "both", "nobody"]\n',
    "less": 'openapi_exclude_operations = ["zooPut"]\n',
    "tagged": 'openapi_include_tags = ["a", "c"]\n',
    "untagged": 'openapi_exclude_tags = ["a", "b"]\n',
    "mixed": 'openapi_include_operations = ["tagged", "other", "untagged"]\nopenapi_exclude_operations = ["other"]\nopenapi_include_tags = ["a", "c"]\n',
    "capped": 'openapi_include_operations = ["multipart", "zooDelete", "zooGet", "zooPost", "both"]\nopenapi_max_operations = 3\n',
    "over": '''openapi_include_operations = ["tagged"]
[provider.openapi_overrides.tagged]
hint = "a hint"
description = "another description"
tags = ["z", "a"]
examples = ["ati run over:tagged"]
scope = "tool:of_my_own"
response_extract = "$.path"
response_format = "json"
''',
}


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as up:
        yield up


@pytest.fixture(scope="module")
def folder(tmp_path_factory, upstream):
    path = tmp_path_factory.mktemp("rules")
    (path / "specs").mkdir()
    (path / "specs" / "rules.json").write_text(json.dumps(DOCUMENT))
    return Folder(path, {name: PROVIDER.format(name=name, url=upstream.url, more=more) for name, more in FILTERS.items()})


@pytest.fixture(scope="module")
def proxy(folder):
    with Proxy(folder) as one:
        yield one


@pytest.fixture(scope="module")
def names(proxy):
    """Of a provider's tools, in their order."""
    listed = json.loads(proxy.ask("GET", "/tools")[2])
    return lambda provider: [tool["name"].removeprefix(f"{provider}:") for tool in listed if tool["provider"] == provider]


def tool(proxy, name):
    return json.loads(proxy.ask("GET", f"/tools/{name}")[2])


def properties(proxy, name):
    return tool(proxy, f"all:{name}")["input_schema"]["properties"]


# --- which, and in what order ---------------------------------------------------------------------


def test_operations_come_as_the_document_has_them(names):
    """Paths in their order; of a path get, post, put, delete, patch, and no others."""
    assert names("all")[:9] == ["zooGet", "zooPost", "zooPut", "zooDelete", "zooPatch", "get_a_id_b-c", "post_a_id_b-c", "get_", "both"]
    assert not {"zooHead", "multipart"} & set(names("all"))


@pytest.mark.parametrize("name, kept", [
    ("one", ["zooPut", "both"]), ("tagged", ["tagged", "other"]), ("mixed", ["tagged"]), ("capped", ["zooGet", "zooPost", "zooDelete"]), ("over", ["tagged"])])
def test_filters(names, name, kept):
    assert names(name) == kept


def test_filters_that_leave_out(names):
    assert names("less") == [name for name in names("all") if name != "zooPut"]
    assert names("untagged") == [name for name in names("all") if name != "tagged"]


# --- what a tool says -----------------------------------------------------------------------------


@pytest.mark.parametrize("name, said", [("both", "A summary — A description"), ("same", "Alike"), ("summary", "Just this"), ("description", "Just that"), ("silent", ""), ("hollow", "Just this")])
def test_descriptions(proxy, name, said):
    assert tool(proxy, f"all:{name}")["description"] == said


def test_what_a_tool_is_made_of(proxy):
    made = tool(proxy, "all:tagged")
    assert (made["endpoint"], made["method"], made["scope"], made["tags"], made["hint"]) == ("/tagged", "Get", "tool:all:tagged", ["a", "b"], None)
    assert tool(proxy, "all:zooPatch")["method"] == "Patch" and tool(proxy, "all:get_a_id_b-c")["endpoint"] == "/a/{id}/b-c/"


def test_a_patch_is_sent_as_one(proxy):
    assert proxy.call("all:zooPatch")[1]["result"]["method"] == "PATCH"


def test_overrides(proxy, folder):
    made = tool(proxy, "over:tagged")
    assert (made["description"], made["hint"], made["scope"], made["tags"]) == ("another description", "a hint", "tool:of_my_own", ["a", "b", "z"])
    assert proxy.call("over:tagged") == (200, {"result": "/tagged"})
    assert "ati run over:tagged" in folder.run("tool", "info", "over:tagged", "--output", "text").stdout


# --- arguments ------------------------------------------------------------------------------------


def test_parameters_of_the_path_and_of_the_operation(proxy):
    schema = tool(proxy, "all:parameters")["input_schema"]
    assert schema["type"] == "object" and sorted(schema["required"]) == ["id", "q"]
    assert schema["properties"]["q"] == {"type": "string", "enum": ["x", "y"], "default": "x", "description": "of the operation", "example": "of the parameter",
                                         "x-ati-param-location": "query"}
    assert schema["properties"]["kept"] == {"type": "boolean", "x-ati-param-location": "query"}
    assert schema["properties"]["id"] == {"type": "integer", "x-ati-param-location": "path"}
    assert schema["properties"]["inside"] == {"type": "number", "description": "of the schema", "example": 1.5, "default": 2.5, "x-ati-param-location": "query"}


def test_places_of_parameters(proxy):
    made = properties(proxy, "parameters")
    assert made["h"]["x-ati-param-location"] == "header" and made["c"]["x-ati-param-location"] == "query"  # as readers know it; it is sent as a cookie
    assert made["shared"] == {"type": "string", "description": "shared by many", "x-ati-param-location": "query"}
    assert not {"nowhere", "x"} & set(made)


@pytest.mark.parametrize("name, how", [("list", "multi"), ("csv", "csv"), ("ssv", "ssv"), ("pipes", "pipes"), ("deep", None)])
def test_how_lists_are_sent(proxy, name, how):
    assert properties(proxy, "parameters")[name].get("x-ati-collection-format") == how


@pytest.mark.parametrize("name", ["ref", "any", "none", "choice", "no"])
def test_what_has_no_plain_type_is_a_text(proxy, name):
    assert properties(proxy, "parameters")[name]["type"] == "string"


def test_items_of_lists(proxy):
    assert properties(proxy, "parameters")["list"]["items"]["type"] == "integer"


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, required", [("body", ["a"]), ("optional", None), ("referred", ["a"]), ("preferred", None)])
def test_properties_of_a_body_are_arguments(proxy, name, required):
    schema = tool(proxy, f"all:{name}")["input_schema"]
    assert schema["properties"] == {"a": {"type": "string", "x-ati-param-location": "body"}, "b": {"type": "integer", "x-ati-param-location": "body"}}
    assert schema.get("required") == required and "x-ati-body-encoding" not in schema


def test_what_only_the_server_writes_is_no_argument(proxy):
    """Who sends it nevertheless is let."""
    schema = tool(proxy, "all:own")["input_schema"]
    assert set(schema["properties"]) == {"a"} and "required" not in schema
    assert json.loads(proxy.call("all:own", {"id": 7, "a": "b"})[1]["result"]["body"]) == {"id": 7, "a": "b"}


def test_forms_and_other_types(proxy):
    assert tool(proxy, "all:form")["input_schema"]["x-ati-body-encoding"] == "form"
    assert set(properties(proxy, "first")) == {"a", "b"}  # the first one there is


def test_what_is_inside_of_an_argument(proxy):
    made = properties(proxy, "nested")
    assert made["inner"] == {"type": "object", "properties": {"x": {"type": "boolean", "description": "inside"}}, "x-ati-param-location": "body"}
    for name in ("far", "round"):
        assert made[name] == {"type": "object", "description": "(schema too deeply nested)", "x-ati-param-location": "body"}


def test_a_body_that_is_no_object_is_one_argument(proxy):
    schema = tool(proxy, "all:listed")["input_schema"]
    assert schema["properties"]["body"]["type"] == "array" and schema["x-ati-body-argument"] == "body"
    assert proxy.call("all:listed", {"body": ["x"]})[1]["result"]["body"] == '["x"]'


# --- documents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec, text, told", [
    ("gone.json", None, "Failed to read spec file {folder}/specs/gone.json: "), ("two.json", '{"swagger": "2.0"}', "Failed to parse spec as YAML: missing field `openapi`"),
    ("bad.yaml", "a: [\n", "Failed to parse spec as YAML: line 2, column 1: "),
    ("https://api.example/openapi.json", None, "Unsupported spec format: URL specs must be downloaded first with `ati provider import-openapi`. Use a local file path.")])
def test_documents_that_cannot_be_read(tmp_path, spec, text, told):
    folder = Folder(tmp_path, {"p": PROVIDER.format(name="p", url="http://x", more="").replace("rules.json", spec), "q": PROVIDER.format(name="q", url="http://x", more="")})
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "rules.json").write_text(json.dumps(DOCUMENT))
    if text:
        (tmp_path / "specs" / spec).write_text(text)
    done = folder.run("tool", "list", "--verbose")
    assert done.returncode == 0 and "q:zooGet" in done.stdout  # the other one is there
    assert told.format(folder=tmp_path) in done.stderr


SCHEMES = [
    ([{"type": "http", "scheme": "bearer"}], "bearer", {}), ([{"type": "http", "scheme": "basic"}], "basic", {}),
    ([{"type": "apiKey", "in": "header", "name": "X-K"}], "header", {"auth_header_name": "X-K"}),
    ([{"type": "apiKey", "in": "query", "name": "k"}], "query", {"auth_query_name": "k"}),
    ([{"type": "apiKey", "in": "cookie", "name": "k"}, {"type": "http", "scheme": "bearer"}], "none", {}),
    ([{"type": "http", "scheme": "digest"}, {"type": "http", "scheme": "bearer"}], "bearer", {}),
    ([{"type": "oauth2", "flows": {"implicit": {}}}, {"type": "apiKey", "in": "query", "name": "k"}], "query", {"auth_query_name": "k"}),
    ([{"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://t/x"}}}], "oauth2", {}),
    ([{"type": "openIdConnect"}], "none", {}), ([], "none", {}),
]


@pytest.mark.parametrize("schemes, auth, more", SCHEMES, ids=lambda value: value if isinstance(value, str) else None)
def test_how_a_document_says_who_asks(tmp_path, schemes, auth, more):
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://a.example/v1"}, {"url": "https://b.example"}], "paths": {},
                                "components": {"securitySchemes": {f"s{n}": scheme for n, scheme in enumerate(schemes)}}}))
    folder = Folder(tmp_path / "ati")
    assert folder.run("provider", "import-openapi", path).returncode == 0
    made = tomllib.loads((folder.path / "manifests" / "it.toml").read_text())["provider"]
    assert {name: made.pop(name) for name in ("name", "description", "handler", "base_url", "openapi_spec", "auth_type")} == {
        "name": "it", "description": "t", "handler": "openapi", "base_url": "https://a.example/v1", "openapi_spec": "it.json", "auth_type": auth}
    made.pop("oauth2_token_url", None)
    made.pop("auth_secret_name", None)
    assert made == {**({} if auth == "none" else {"auth_key_name": "it_api_key"}), **more}
