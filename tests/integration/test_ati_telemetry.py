"""Traces and metrics of the gateway, as an OpenTelemetry collector gets them over OTLP/HTTP."""

import contextlib
import json
import queue
import re
import socket
import threading

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually
from harness.clock import Clock
from harness.mcp import Server, manifest

KEY = "canary-5up3r-s3cr3t-value"
COLLECTORS = "canary-of-the-collector"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
MANIFEST = """
[provider]
name = "shop"
description = "a shop"
base_url = "{url}"
auth_type = "bearer"
auth_key_name = "shop_key"

[[tools]]
name = "shop:list"
description = "what there is"
endpoint = "/list"

[[tools]]
name = "shop:fail"
description = "is out of order"
endpoint = "/fail"
"""
NOWHERE = """
[provider]
name = "gone"
description = "nobody is there"
base_url = "http://127.0.0.1:{port}"

[[tools]]
name = "gone:away"
description = "is away"
endpoint = "/"
"""


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def plain(attributes):
    """{name: value} of a list of OTLP's."""
    values = {one["key"]: one["value"] for one in attributes}
    assert len(values) == len(attributes)
    return {name: value["stringValue"] if "stringValue" in value else int(value["intValue"]) for name, value in values.items()}


class Collector(Upstream):
    """What was exported, by signal; answers with self.status."""

    def __init__(self, status=200):
        self.status, self.exported = status, queue.Queue()
        super().__init__(self.collect)

    def collect(self, request):
        self.exported.put(request["path"])
        return self.status, {"Content-Type": "application/json"}, b"{}"

    def bodies(self, path):
        return [json.loads(one["body"]) for one in list(self.asked) if one["path"] == path]

    def spans(self):
        return [span for body in self.bodies("/v1/traces") for resource in body["resourceSpans"] for scope in resource["scopeSpans"]
                for span in scope["spans"]]

    def named(self, name):
        return [span for span in self.spans() if span["name"] == name]

    def metrics(self):
        """{instrument: {labels: point}} of the newest export."""
        (resource,) = self.bodies("/v1/metrics")[-1]["resourceMetrics"]
        (scope,) = resource["scopeMetrics"]
        told = {}
        for metric in scope["metrics"]:
            (kind,) = {"sum", "histogram"} & set(metric)
            assert metric["name"] not in told and metric[kind]["aggregationTemporality"] == 2
            assert kind == "histogram" or metric[kind]["isMonotonic"] is True
            told[metric["name"]] = {json.dumps(plain(point["attributes"]), sort_keys=True): point for point in metric[kind]["dataPoints"]}
        return told


@pytest.fixture
def shop(stack):
    return stack.enter_context(Upstream(lambda request: (500, {}, f"broken: {request['headers']['Authorization']}".encode())
                                        if request["path"] == "/fail" else Upstream.echo(request)))


@pytest.fixture
def collector(stack):
    return stack.enter_context(Collector())


@pytest.fixture
def start(stack, shop, tmp_path):
    """Starts a gateway that exports to url. It is ended, and its exports are there, when end() returns."""
    def begin(url, *words, **environ):
        folder = Folder(tmp_path / "ati", {"shop": MANIFEST.format(url=shop.url), "gone": NOWHERE.format(port=free_port())}, {"shop_key": KEY},
                        ATI_JWT_SECRET=SECRET)
        proxy = stack.enter_context(Proxy(folder, *words, OTEL_EXPORTER_OTLP_ENDPOINT=url, **environ))
        proxy.agent = folder.token("*")
        return proxy
    return begin


def test_spans(start, collector, shop):
    proxy = start(collector.url + "/", ENVIRONMENT_TIER="staging", OTEL_RESOURCE_ATTRIBUTES="team=tools%20%26%20more,service.name=other,deployment.environment=x",
                  SERVICE_NAME="gate", OTEL_EXPORTER_OTLP_HEADERS=f"Authorization=Bearer%20{COLLECTORS},X-Scope=a=b")
    call = json.dumps({"tool_name": "shop:list", "args": {"secret": "argument-of-the-call"}})
    fields = {"Content-Type": "application/json", "traceparent": PARENT, "tracestate": "vendor=1,other=2"}
    assert proxy.ask("POST", "/call", call, proxy.agent, fields)[0] == 200
    sent = shop.asked[0]["headers"]
    assert proxy.call("shop:fail", token=proxy.agent)[0] == 502
    assert proxy.ask("GET", "/tools/shop:list?query=unseen", token=proxy.agent)[0] == 200
    assert proxy.ask("GET", "/no/such/path")[0] in (401, 404)
    assert proxy.ask("POST", "/call", call, "not-a-token", {"Content-Type": "application/json"})[0] == 401
    proxy.close()

    (listing,) = [span for span in collector.named("proxy.call") if plain(span["attributes"]) == {"tool": "shop:list"}]
    (server,) = [span for span in collector.named("http.server.request") if span["spanId"] == listing["parentSpanId"]]
    assert server["traceId"] == listing["traceId"] == TRACE and server["parentSpanId"] == "00f067aa0ba902b7"
    assert server["kind"] == 2 and listing["kind"] == 1 and "status" not in server and "status" not in listing
    assert server["traceState"] == listing["traceState"] == "vendor=1,other=2"
    assert plain(server["attributes"]) == {"http.request.method": "POST", "http.route": "/call", "url.path": "/call", "http.response.status_code": 200}
    assert int(server["startTimeUnixNano"]) <= int(listing["startTimeUnixNano"]) <= int(listing["endTimeUnixNano"]) <= int(server["endTimeUnixNano"])
    assert sent["traceparent"] == f"00-{TRACE}-{listing['spanId']}-01" and sent["tracestate"] == "vendor=1,other=2"

    (failed,) = [span for span in collector.named("proxy.call") if plain(span["attributes"]) == {"tool": "shop:fail"}]
    assert failed["status"] == {"code": 2} and failed["traceId"] != TRACE and re.fullmatch("[0-9a-f]{32}", failed["traceId"])
    others = [plain(span["attributes"]) for span in collector.named("http.server.request") if span["spanId"] not in (server["spanId"], failed["parentSpanId"])]
    assert [(one["http.route"], one["http.response.status_code"]) for one in others][0] == ("/tools/{name}", 200)
    assert others[0]["url.path"] == "/tools/shop:list"
    assert others[1]["http.route"] == "/__passthrough_or_unmatched" and "/no/such" not in json.dumps(others)
    assert others[2]["http.response.status_code"] == 401
    assert all("parentSpanId" not in span for span in collector.named("http.server.request") if span["traceId"] != TRACE)

    for asked in collector.asked:
        assert asked["headers"]["Authorization"] == f"Bearer {COLLECTORS}" and asked["headers"]["X-Scope"] == "a=b"
        assert asked["headers"]["Content-Type"] == "application/json"
        (resource,) = [part for whole in json.loads(asked["body"]).values() for part in whole]
        told = plain(resource["resource"]["attributes"])
        assert told.pop("service.version") and told == {"team": "tools & more", "service.name": "gate", "deployment.environment": "staging"}
        (scope,) = resource.get("scopeSpans", resource.get("scopeMetrics"))
        assert scope["scope"]["name"] == "ati"
        for secret in (KEY, COLLECTORS, proxy.agent, "argument-of-the-call", "unseen", "not-a-token"):
            assert secret.encode() not in asked["body"]
    assert COLLECTORS not in "\n".join(proxy.seen)


def test_metrics(start, collector):
    proxy = start(collector.url)
    for _ in range(3):
        assert proxy.call("shop:list", token=proxy.agent)[0] == 200
    assert proxy.call("gone:away", token=proxy.agent)[0] == 502
    for n in range(20):
        assert proxy.call(f"shop:none-{n}", token=proxy.agent)[0] == 404
        proxy.ask("GET", f"/nowhere/{n}")
        proxy.ask("GET", f"/tools/none-{n}", token=proxy.agent)
        proxy.ask(f"METHOD{n}", "/call", token=proxy.agent)
    proxy.close()
    told = collector.metrics()
    assert set(told) == {"ati.proxy.requests", "ati.proxy.request_duration_ms", "ati.upstream.errors"}
    requests = told["ati.proxy.requests"]
    call = {"http.route": "/call", "http.request.method": "POST", "http.response.status_class": "2xx", "provider": "shop", "tool": "shop:list"}
    good = json.dumps(call, sort_keys=True)
    assert requests[good]["asInt"] == "3"
    away = json.dumps({**call, "http.response.status_class": "5xx", "provider": "gone", "tool": "gone:away"}, sort_keys=True)
    assert requests[away]["asInt"] == "1"
    unknown = json.dumps({"http.route": "/call", "http.request.method": "POST", "http.response.status_class": "4xx"}, sort_keys=True)
    assert requests[unknown]["asInt"] == "20"
    assert sum(int(point["asInt"]) for point in requests.values()) == 3 + 1 + 4 * 20 and len(requests) <= 8
    assert not [name for name in requests if "none-" in name or "nowhere" in name or "METHOD" in name]
    durations = told["ati.proxy.request_duration_ms"]
    assert set(durations) == set(requests)
    point = durations[good]
    assert point["count"] == "3" and sum(map(int, point["bucketCounts"])) == 3 and point["sum"] > 0
    assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
    unreached = {name: point["asInt"] for name, point in told["ati.upstream.errors"].items()}
    assert unreached == {json.dumps({"error_kind": "connect", "provider": "gone"}): "1"}


def test_mcp(start, collector, shop, stack, tmp_path):
    """A span for each message; the context goes on to what is called, whichever way."""
    behind = stack.enter_context(Server())
    manifest(tmp_path / "ati", "web", mcp_transport="http", mcp_url=behind.url)
    proxy = start(collector.url)
    fields = {"Content-Type": "application/json", "traceparent": PARENT}
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, {"jsonrpc": "2.0", "method": "notifications/initialized"},
             {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "shop:list"}},
             {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "web:t"}},
             {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "shop:fail"}},
             {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "shop:nothing"}}]
    status, _, body = proxy.ask("POST", "/mcp", json.dumps(batch), proxy.agent, fields)
    assert status == 200 and len(json.loads(body)) == 5
    proxy.close()
    spans = [(plain(span["attributes"]), span) for span in collector.named("proxy.mcp")]
    assert sorted((told["jsonrpc.method"], told.get("tool", "")) for told, _ in spans) == [
        ("notifications/initialized", ""), ("tools/call", ""), ("tools/call", "shop:fail"), ("tools/call", "shop:list"), ("tools/call", "web:t"),
        ("tools/list", "")]
    (server,) = collector.named("http.server.request")
    assert {(span["traceId"], span["parentSpanId"]) for _, span in spans} == {(TRACE, server["spanId"])}
    of = {told.get("tool"): span for told, span in spans}
    assert of["shop:fail"]["status"] == {"code": 2} and "status" not in of["shop:list"]
    assert {asked["path"]: asked["headers"]["traceparent"] for asked in shop.asked} == {
        "/list": f"00-{TRACE}-{of['shop:list']['spanId']}-01", "/fail": f"00-{TRACE}-{of['shop:fail']['spanId']}-01"}
    (called,) = [asked for asked in behind.asked if (asked["message"] or {}).get("method") == "tools/call"]
    assert called["headers"]["traceparent"] == f"00-{TRACE}-{of['web:t']['spanId']}-01"
    assert not [asked for asked in behind.asked if asked is not called and "traceparent" in asked["headers"]]
    assert KEY not in json.dumps(collector.spans())


def test_help(start, collector):
    proxy = start(collector.url)
    proxy.ask("POST", "/help", {"query": "what is there?"}, proxy.agent)
    proxy.close()
    (server,), (helped,) = collector.named("http.server.request"), collector.named("proxy.help")
    assert helped["parentSpanId"] == server["spanId"] and helped["attributes"] == []


@pytest.mark.parametrize("sampler, argument, parent, kept", [
    ("", "", None, True), ("always_off", "", None, False), ("parentbased_always_on", "", PARENT[:-1] + "0", False),
    ("parentbased_always_off", "", PARENT, True), ("traceidratio", "0", PARENT, False), ("traceidratio", "1", None, True)])
def test_sampling(start, collector, shop, sampler, argument, parent, kept):
    proxy = start(collector.url, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
    fields = {"Content-Type": "application/json", **({"traceparent": parent} if parent else {})}
    assert proxy.ask("POST", "/call", json.dumps({"tool_name": "shop:list", "args": {}}), proxy.agent, fields)[0] == 200
    proxy.close()
    assert bool(collector.spans()) == kept
    assert shop.asked[0]["headers"]["traceparent"].endswith("-01" if kept else "-00")


def test_signals_have_endpoints_of_their_own(start, collector, stack):
    other = stack.enter_context(Collector())
    proxy = start("", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{other.url}/own/metrics?x=1")
    assert proxy.call("shop:list", token=proxy.agent)[0] == 200
    proxy.close()
    assert not collector.asked and {asked["path"] for asked in other.asked} == {"/own/metrics?x=1"}


def test_traces_have_one_too(start, collector, stack):
    """What is named for a signal is taken as it stands; the other signal goes where all go."""
    other = stack.enter_context(Collector())
    proxy = start(collector.url, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{other.url}/own/")
    assert proxy.call("shop:list", token=proxy.agent)[0] == 200
    proxy.close()
    assert {asked["path"] for asked in collector.asked} == {"/v1/metrics"} and {asked["path"] for asked in other.asked} == {"/own/"}


@pytest.mark.parametrize("environ, name", [
    ({}, "ati-proxy"), ({"SERVICE_NAME": "gate"}, "gate"), ({"SERVICE_NAME": "gate", "OTEL_SERVICE_NAME": "own"}, "own"),
    ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=listed"}, "listed"), ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=listed", "SERVICE_NAME": "gate"}, "gate")])
def test_what_the_service_is_called(start, collector, environ, name):
    proxy = start(collector.url, **environ)
    proxy.ask("GET", "/health")
    proxy.close()
    for asked in collector.asked:
        (resource,) = [part for whole in json.loads(asked["body"]).values() for part in whole]
        told = plain(resource["resource"]["attributes"])
        assert told == {"service.name": name, "service.version": proxy.start["version"]}


def test_routes_are_told_by_their_templates(start, collector):
    proxy = start(collector.url)
    for method, path in (("GET", "/health"), ("GET", "/.well-known/jwks.json"), ("GET", "/tools"), ("GET", "/tools/shop:list"), ("POST", "/mcp"), ("POST", "/help"), ("POST", "/call"),
                         ("GET", "/skills/x"), ("DELETE", "/a/b")):
        proxy.ask(method, path, token=proxy.agent)
    proxy.close()
    routes = ["/health", "/.well-known/jwks.json", "/tools", "/tools/{name}", "/mcp", "/help", "/call", "/__passthrough_or_unmatched", "/__passthrough_or_unmatched"]
    assert [plain(span["attributes"])["http.route"] for span in collector.named("http.server.request")] == routes
    assert {json.loads(labels)["http.route"] for labels in collector.metrics()["ati.proxy.requests"]} == set(routes)


def test_kinds_and_units_of_instruments(start, collector):
    proxy = start(collector.url)
    proxy.call("gone:away", token=proxy.agent)
    proxy.close()
    (resource,) = collector.bodies("/v1/metrics")[-1]["resourceMetrics"]
    told = {metric["name"]: metric for metric in resource["scopeMetrics"][0]["metrics"]}
    assert "histogram" in told["ati.proxy.request_duration_ms"] and told["ati.proxy.request_duration_ms"]["unit"] == "ms"
    for name in ("ati.proxy.requests", "ati.upstream.errors"):
        assert told[name]["sum"]["isMonotonic"] is True and "asInt" in told[name]["sum"]["dataPoints"][0]


def test_why_an_upstream_was_not_reached(start, collector, stack, tmp_path):
    """A connection that was not made, one that broke off, and one that was silent for too long."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    clock = Clock(tmp_path / "clock")
    (tmp_path / "ati" / "manifests").mkdir(parents=True)
    for name, one in (("cut", listener), ("mute", silent)):
        text = NOWHERE.format(port=one.getsockname()[1]).replace('"gone', f'"{name}')
        (tmp_path / "ati" / "manifests" / f"{name}.toml").write_text(text)
    proxy = start(collector.url, "--workers", "1", **clock.environ)

    def cut():
        with listener.accept()[0] as sock:
            sock.recv(65536)

    threading.Thread(target=cut, daemon=True).start()
    assert proxy.call("cut:away", token=proxy.agent)[0] == 502 and proxy.call("gone:away", token=proxy.agent)[0] == 502
    told = []
    asked = threading.Thread(target=lambda: told.append(proxy.call("mute:away", token=proxy.agent)[0]))
    asked.start()
    with silent.accept()[0] as sock:
        assert sock.recv(65536)
        clock.skip(61)
        proxy.ask("GET", "/health")
        asked.join(PATIENCE)
    assert told == [502]
    proxy.close()
    kinds = {json.loads(labels)["provider"]: json.loads(labels)["error_kind"] for labels in collector.metrics()["ati.upstream.errors"]}
    assert kinds == {"gone": "connect", "cut": "send", "mute": "timeout"}


def test_nothing_is_sent_unless_it_is_asked_for(start, shop):
    proxy = start("  ")
    call = json.dumps({"tool_name": "shop:list", "args": {}})
    assert proxy.ask("POST", "/call", call, proxy.agent, {"Content-Type": "application/json", "traceparent": PARENT})[0] == 200
    proxy.close()
    assert "traceparent" not in shop.asked[0]["headers"]


def warnings(proxy):
    return [line for line in proxy.seen if "a collector does not take telemetry" in line]


def test_a_collector_that_refuses_is_told_of_once(start, stack, tmp_path):
    """Calls go on; what it refused for now comes again."""
    collector, clock, page = stack.enter_context(Collector(503)), Clock(tmp_path / "clock"), free_port()
    proxy = start(collector.url, "--metrics-listen", f"127.0.0.1:{page}", OTEL_EXPORTER_OTLP_HEADERS=f"Authorization={COLLECTORS}", **clock.environ)

    def later(seen):
        """Second by second, until that is seen."""
        clock.skip(1)
        assert proxy.ask("GET", "/readyz", port=page)[0] == 200
        return seen()

    assert proxy.call("shop:list", token=proxy.agent)[0] == 200
    eventually(lambda: later(lambda: collector.exported.qsize() >= 3), "both signals, and again", pause=0.05)
    assert proxy.call("shop:list", token=proxy.agent)[0] == 200
    collector.status = 200
    eventually(lambda: later(lambda: any("a collector takes telemetry again" in line for line in proxy.seen)), "the collector's return", pause=0.05)
    assert collector.spans()[0]["spanId"] in {span["spanId"] for span in collector.spans()[1:]}
    proxy.close()
    assert len(warnings(proxy)) == 2 and {json.loads(line)["signal"] for line in warnings(proxy)} == {"traces", "metrics"}
    assert {json.loads(line)["reason"] for line in warnings(proxy)} == {"HTTP 503"}
    assert COLLECTORS not in "\n".join(proxy.seen)


def test_a_collector_that_is_away_disturbs_nothing(start):
    proxy = start(f"http://127.0.0.1:{free_port()}")
    for _ in range(20):
        assert proxy.call("shop:list", token=proxy.agent)[0] == 200
    proxy.close()
    eventually(lambda: len(warnings(proxy)) == 2, "a warning of each signal")


def test_a_setting_that_cannot_be_meant_is_told(start, tmp_path):
    folder = Folder(tmp_path / "other", {}, {})
    done = folder.run("proxy", "--port", "0", OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")
    assert done.returncode != 0 and "OTEL_EXPORTER_OTLP_ENDPOINT: not an http or https URL" in done.stderr
