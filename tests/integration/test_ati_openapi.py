"""Providers made of OpenAPI documents: other people's documents, beside an independent reading of them; and calls, as a server of that document sees them."""

import collections
import json
import pathlib
import re
import urllib.parse

import pytest
import yaml

from harness.ati import Folder, Proxy, Upstream

MODULES = pathlib.Path(__file__).resolve().parents[1] / "openapi/node_modules"
GITHUB = MODULES / "@octokit/openapi/generated/api.github.com.json"
EXAMPLES = MODULES / "@readme/oas-examples"
METHODS = ["get", "post", "put", "delete", "patch"]

installed = pytest.mark.skipif(not GITHUB.exists(), reason="tests/openapi has no modules: scripts/bootstrap test")

PROVIDER = """
[provider]
name = "{name}"
description = "{name}"
handler = "openapi"
base_url = "{url}"
openapi_spec = "{spec}"
"""


def good(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def tools_of(folder):
    """Every tool by its name, with its schema, as a client of the proxy sees them."""
    with Proxy(folder) as proxy:
        status, _, body = proxy.ask("GET", "/tools")
    assert status == 200
    return {tool["name"]: tool for tool in json.loads(body) if tool["provider"] != "file_manager"}


# --- GitHub's description, beside a reading of it by other means ------------------------------------


class Reading:
    """What the tools of a document must be, as far as the document says it without alternatives."""

    def __init__(self, document):
        self.document = document

    def at(self, thing):
        while isinstance(thing, dict) and "$ref" in thing:
            pointer, thing = thing["$ref"], self.document
            for part in pointer.removeprefix("#/").split("/"):
                thing = thing[part.replace("~1", "/").replace("~0", "~")]
        return thing

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    body = item[method].get("requestBody", {})
                    if "multipart/form-data" not in body.get("content", {}):
                        yield path, method, item[method], [*item.get("parameters", []), *item[method].get("parameters", [])]

    def body(self, operation):
        """(schema, required) of a body that is JSON."""
        body = self.at(operation.get("requestBody", {}))
        media = body.get("content", {}).get("application/json")
        return (self.at(media.get("schema", {})) if media else None), body.get("required", False)

    def is_json(self, operation):
        """It has no body, or one that is JSON."""
        content = self.at(operation.get("requestBody", {})).get("content", {})
        return not content or "application/json" in content

    def required(self, operation, parameters):
        wanted = [p["name"] for p in map(self.at, parameters) if p["in"] == "path" or p.get("required")]
        schema, needed = self.body(operation)
        if schema is not None and needed and schema.get("type") == "object":
            wanted += [name for name in schema.get("required", []) if name in schema.get("properties", {})]
        return wanted

    def description(self, operation):
        said = list(dict.fromkeys(filter(None, (operation.get("summary"), operation.get("description")))))
        return " — ".join(said)


@pytest.fixture(scope="module")
def github(tmp_path_factory):
    """GitHub's description, imported; its tools; the document."""
    folder = Folder(tmp_path_factory.mktemp("github"))
    done = folder.run("provider", "import-openapi", GITHUB, "--name", "github")
    assert done.returncode == 0, done.stderr
    return folder, tools_of(folder), Reading(json.loads(GITHUB.read_text())), done.stderr


@installed
def test_every_operation_of_github_is_a_tool(github):
    _, tools, reading, told = github
    expected = {f"github:{operation['operationId']}": (path, method) for path, method, operation, _ in reading.operations()}
    assert len(expected) > 600 and f"operations={len(expected)}" in told
    assert tools.keys() == expected.keys()
    assert {name: tool["method"] for name, tool in tools.items()} == {name: method.capitalize() for name, (_, method) in expected.items()}


@installed
def test_arguments_of_github_are_what_the_document_says(github):
    _, tools, reading, _ = github
    compared = collections.Counter()
    for path, _, operation, parameters in reading.operations():
        tool = tools[f"github:{operation['operationId']}"]
        schema, properties = tool["input_schema"], tool["input_schema"]["properties"]
        assert tool["description"] == reading.description(operation)
        assert tool["tags"] == sorted(set(operation["tags"]))
        body, _ = reading.body(operation)
        names = [reading.at(p)["name"] for p in parameters]
        shared = set(names) & set((body or {}).get("properties", {}))
        compared["shared"] += len(shared)
        if reading.is_json(operation) and (body is None or body.get("type") == "object") and not shared and not {"oneOf", "anyOf", "allOf"} & set(body or {}):
            assert sorted(schema.get("required", [])) == sorted(set(reading.required(operation, parameters))), path
            assert properties.keys() == set(names) | set((body or {}).get("properties", {})), path
            compared["operations"] += 1
        for parameter in map(reading.at, parameters):
            told, said = properties[parameter["name"]], reading.at(parameter["schema"])
            assert told["x-ati-param-location"] == parameter["in"]
            if "type" in said:
                assert told["type"] == said["type"] and told.get("enum") == said.get("enum") and told.get("default") == said.get("default"), path
            if "description" in parameter:
                assert told["description"] == parameter["description"]
            compared["parameters"] += 1
        for name, said in ((body or {}).get("properties", {}) if (body or {}).get("type") == "object" else {}).items():
            said = reading.at(said)
            if name in shared or "type" not in said:
                continue
            assert properties[name]["type"] == said["type"] and properties[name]["x-ati-param-location"] == "body", (path, name)
            compared["properties"] += 1
    assert compared["operations"] > 690 and compared["parameters"] > 1800 and compared["properties"] > 500, compared


@installed
def test_github_served_from_its_own_description(github, tmp_path):
    """A server that answers by the document's paths alone; calls reach it as the document says."""
    _, _, reading, _ = github
    routes = [(method.upper(), re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)) + "$"), operation["operationId"])
              for path, method, operation, _ in reading.operations()]
    routes.sort(key=lambda route: route[1].pattern.count("[^/]+"))

    def answer(request):
        path = urllib.parse.urlsplit(request["path"]).path
        for method, pattern, name in routes:
            if method == request["method"] and pattern.match(path):
                return 200, {"Content-Type": "application/json"}, json.dumps({"operation": name}).encode()
        return 404, {}, b"no such operation"

    with Upstream(answer) as upstream:
        folder = Folder(tmp_path / "ati", {"github": PROVIDER.format(name="github", url=upstream.url, spec=GITHUB)})

        def run(name, *words):
            told = json.loads(good(folder.run("run", f"github:{name}", *words)))
            assert told == {"operation": name}
            asked = upstream.asked[-1]
            return asked["path"], json.loads(asked["body"]) if asked["body"] else None

        assert run("repos/get", "--owner", "o w", "--repo", "r") == ("/repos/o%20w/r", None)
        path, body = run("issues/list-for-repo", "--owner", "o", "--repo", "r", "--state", "all", "--per_page", 5)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
        assert query["state"] == "all" and query["per_page"] == "5" and body is None
        assert run("issues/create", "--owner", "o", "--repo", "r", "--title", "t", "--labels", '["a", "b"]') == (
            "/repos/o/r/issues", {"title": "t", "labels": ["a", "b"]})
        path, body = run("issues/update", "--owner", "o", "--repo", "r", "--issue_number", "7", "--state", "closed")
        assert (path, body, upstream.asked[-1]["method"]) == ("/repos/o/r/issues/7", {"state": "closed"}, "PATCH")
        path, body = run("issues/remove-assignees", "--owner", "o", "--repo", "r", "--issue_number", "7", "--assignees", '["me"]')
        assert (path, body, upstream.asked[-1]["method"]) == ("/repos/o/r/issues/7/assignees", {"assignees": ["me"]}, "DELETE")


# --- small documents, in both formats and versions --------------------------------------------------


def pairs():
    """Documents that stand there as JSON and as YAML, and say the same to PyYAML."""
    for file in sorted(EXAMPLES.glob("3.[01]/json/*.json")):
        twin = file.parents[1] / "yaml" / (file.stem + ".yaml")
        if twin.exists() and yaml.safe_load(twin.read_text()) == json.loads(file.read_text()):
            yield file, twin


@installed
def test_json_and_yaml_say_the_same(tmp_path):
    folder, names = Folder(tmp_path / "ati"), []
    for index, (file, twin) in enumerate(pairs()):
        for letter, path in (("j", file), ("y", twin)):
            folder.manifest(f"{letter}{index}", PROVIDER.format(name=f"{letter}{index}", url="http://x", spec=path))
        names.append(str(file))
    assert len(names) > 45
    tools = collections.defaultdict(dict)
    for name, tool in tools_of(folder).items():
        provider, _, operation = name.partition(":")
        tools[provider][operation] = (tool["description"], tool["input_schema"], tool["method"], tool["tags"])
    assert sum(map(len, tools.values())) > 500
    for index, file in enumerate(names):
        reading = Reading(json.loads(pathlib.Path(file).read_text()))
        count = sum(method in item for item in map(reading.at, reading.document.get("paths", {}).values()) for method in METHODS)
        assert tools[f"j{index}"] == tools[f"y{index}"], file
        assert len(tools[f"j{index}"]) <= count, file
        assert count == 0 or tools[f"j{index}"] or "multipart" in pathlib.Path(file).read_text(), file


# --- how values are written: OpenAPI 3.0.3, "Style Examples" ----------------------------------------

STRING, ARRAY, OBJECT = "blue", ["blue", "black", "brown"], {"R": 100, "G": 200, "B": 150}
TYPES = {"string": {"type": "string"}, "array": {"type": "array", "items": {"type": "string"}},
         "object": {"type": "object", "properties": {letter: {"type": "integer"} for letter in "RGB"}}}
STYLES = [  # place, style, explode, string, array, object
    ("path", "simple", False, "blue", "blue,black,brown", "R,100,G,200,B,150"),
    ("path", "simple", True, "blue", "blue,black,brown", "R=100,G=200,B=150"),
    ("path", "label", True, ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
    ("path", "matrix", False, ";color=blue", ";color=blue,black,brown", ";color=R,100,G,200,B,150"),
    ("path", "matrix", True, ";color=blue", ";color=blue;color=black;color=brown", ";R=100;G=200;B=150"),
    ("query", "form", False, "color=blue", "color=blue,black,brown", "color=R,100,G,200,B,150"),
    ("query", "form", True, "color=blue", "color=blue&color=black&color=brown", "R=100&G=200&B=150"),
    ("query", "spaceDelimited", False, None, "color=blue black brown", None),
    ("query", "pipeDelimited", False, None, "color=blue|black|brown", None),
    ("query", "deepObject", True, None, None, "color[R]=100&color[G]=200&color[B]=150"),
    ("header", "simple", False, "blue", "blue,black,brown", "R,100,G,200,B,150"),
    ("header", "simple", True, "blue", "blue,black,brown", "R=100,G=200,B=150"),
    ("cookie", "form", False, "color=blue", "color=blue,black,brown", "color=R,100,G,200,B,150"),
    ("cookie", "form", True, "color=blue", None, None),
]


def style_cases():
    for place, style, explode, *texts in STYLES:
        for kind, value, text in zip(TYPES, (STRING, ARRAY, OBJECT), texts):
            if text is not None:
                yield f"{place}_{style}_{'explode' if explode else 'plain'}_{kind}", place, style, explode, kind, value, text


def style_document():
    paths = {}
    for name, place, style, explode, kind, _, _ in style_cases():
        path = f"/{name}/{{color}}" if place == "path" else f"/{name}"
        paths[path] = {"get": {"operationId": name, "parameters": [
            {"name": "color", "in": place, "required": True, "style": style, "explode": explode, "schema": TYPES[kind]}]}}
    return {"openapi": "3.0.3", "info": {"title": "styles", "version": "1"}, "paths": paths}


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("styles"))
    spec = folder.path / "specs/styles.json"
    spec.parent.mkdir()
    spec.write_text(json.dumps(style_document()))
    with Upstream() as upstream:
        folder.manifest("styles", PROVIDER.format(name="styles", url=upstream.url, spec="styles.json"))
        with Proxy(folder) as proxy:
            yield proxy


@pytest.mark.parametrize("name, place, value, text", [(case[0], case[1], case[5], case[6]) for case in style_cases()],
                         ids=[case[0] for case in style_cases()])
def test_styles(styles, name, place, value, text):
    status, answer = styles.call(f"styles:{name}", {"color": value})
    assert status == 200, answer
    asked = answer["result"]
    path, _, query = asked["path"].partition("?")
    sent = {"path": urllib.parse.unquote(path.removeprefix(f"/{name}/")), "query": urllib.parse.unquote_plus(query),
            "header": asked["headers"].get("color"), "cookie": urllib.parse.unquote(asked["headers"].get("cookie", ""))}[place]
    assert sent == text
    if place != "query":
        assert query == ""


# --- bodies, names, cookies together ----------------------------------------------------------------

MIX = """
openapi: 3.1.0
info: {title: mix, version: "1"}
paths:
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    put:
      operationId: put
      parameters:
        - {name: id, in: query, schema: {type: string}}
        - {name: X-Kind, in: header, schema: {type: string}}
        - {name: sid, in: cookie, schema: {type: string}}
        - {name: filter, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: next, in: query, allowReserved: true, schema: {type: string}}
        - {name: size, in: query, schema: {type: integer, default: 10}}
      requestBody:
        required: true
        content: {application/merge-patch+json: {schema: {type: object, required: [id], properties: {id: {type: string}, tags: {type: array, items: {type: string}}}}}}
    delete: {operationId: delete, requestBody: {content: {application/json: {schema: {type: object, properties: {why: {type: string}}}}}}}
    patch: {operationId: patch, requestBody: {content: {application/json: {schema: {type: object, properties: {a: {type: integer}}}}}}}
  /form:
    post:
      operationId: form
      requestBody:
        content:
          application/x-www-form-urlencoded:
            encoding: {metadata: {style: deepObject, explode: true}}
            schema:
              type: object
              properties: {name: {type: string}, metadata: {type: object}, expand: {type: array, items: {type: string}}}
  /list: {post: {operationId: list, requestBody: {required: true, content: {application/json: {schema: {type: array, items: {type: integer}}}}}}}
  /text: {post: {operationId: text, requestBody: {required: true, content: {text/markdown: {schema: {type: string}}}}}}
"""


@pytest.fixture(scope="module")
def mix(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("mix"))
    spec = folder.path / "specs/mix.yaml"
    spec.parent.mkdir()
    spec.write_text(MIX)
    with Upstream() as upstream:
        folder.manifest("mix", PROVIDER.format(name="mix", url=upstream.url, spec="mix.yaml"))
        with Proxy(folder) as proxy:
            yield proxy


def asked(proxy, name, /, **arguments):
    status, answer = proxy.call(f"mix:{name}", arguments)
    assert status == 200, answer
    return answer["result"]


def test_one_name_in_three_places(mix):
    told = asked(mix, "put", id=7, query_id="q", body_id="b", sid="s;1", filter={"a": [1]}, next="/x?y", tags=["t"], **{"X-Kind": "k"})
    path, _, query = told["path"].partition("?")
    assert (told["method"], path) == ("PUT", "/things/7")
    assert dict(urllib.parse.parse_qsl(query)) == {"id": "q", "filter": '{"a":[1]}', "next": "/x?y", "size": "10"}
    assert "next=/x?y" in query
    assert told["headers"]["x-kind"] == "k" and re.fullmatch("sid=s(%3B|;)1", told["headers"]["cookie"])
    assert told["headers"]["content-type"] == "application/merge-patch+json"
    assert json.loads(told["body"]) == {"id": "b", "tags": ["t"]}


def test_methods_with_bodies(mix):
    told = asked(mix, "delete", id=1, why="old")
    assert (told["method"], json.loads(told["body"])) == ("DELETE", {"why": "old"})
    told = asked(mix, "patch", id=1, a=2)
    assert (told["method"], json.loads(told["body"])) == ("PATCH", {"a": 2})


def test_forms(mix):
    told = asked(mix, "form", name="a b", metadata={"k": "v", "l": 1}, expand=["x", "y"])
    assert told["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert sorted(urllib.parse.parse_qsl(told["body"])) == [("expand", "x"), ("expand", "y"), ("metadata[k]", "v"), ("metadata[l]", "1"), ("name", "a b")]


def test_bodies_that_are_no_objects(mix):
    told = asked(mix, "list", body=[1, 2])
    assert (told["headers"]["content-type"], json.loads(told["body"])) == ("application/json", [1, 2])
    told = asked(mix, "text", body="# *x*\n")
    assert (told["headers"]["content-type"], told["body"]) == ("text/markdown", "# *x*\n")
