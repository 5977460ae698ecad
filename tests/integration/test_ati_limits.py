"""Rates of tokens at the gateway: what a limit counts, for whom, and what is told when it is reached."""

import concurrent.futures
import json
import time

import pytest

from harness.ati import SECRET, Folder, Proxy, Upstream
from harness.base import PATIENCE, eventually
from test_ati_matrix import claims, jwt

SHOP = """
[provider]
name = "shop"
description = "a shop"
base_url = "{url}"

[[tools]]
name = "shop:list"
description = "what there is"
endpoint = "/list"

[[tools]]
name = "shop:buy"
description = "buys"
endpoint = "/buy"
method = "POST"

[[tools]]
name = "shop:fail"
description = "is out of order"
endpoint = "/fail"

[[tools]]
name = "shop:odd"
description = "answers with something else"
endpoint = "/list"
[tools.response]
extract = "$.nothing["
"""


@pytest.fixture(scope="module")
def upstream():
    with Upstream(lambda request: (500, {}, b"broken") if request["path"].startswith("/fail") else Upstream.echo(request)) as up:
        yield up


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, upstream):
    folder = Folder(tmp_path_factory.mktemp("ati"), {"shop": SHOP.format(url=upstream.url)}, ATI_JWT_SECRET=SECRET)
    with Proxy(folder, "--workers", "2") as one:
        yield one


def token(sub, rates, scope="tool:shop:*"):
    return jwt(claims(scope, sub=sub, ati={"v": 1, "rate": rates}))


def exceeded(proxy, tool, token):
    """The text, and after how many seconds to come again."""
    status, headers, body = proxy.ask("POST", "/call", {"tool_name": tool}, token)
    answer = json.loads(body)
    assert status == 429 and list(answer) == ["result", "error"] and answer["result"] is None, answer
    return answer["error"], int(headers["Retry-After"])


@pytest.mark.parametrize("units, word, seconds", [(("s", "sec", "second"), "second", 1), (("m", "min", "minute"), "minute", 60),
                                                  (("h", "hr", "hour"), "hour", 3600), (("d", "day"), "day", 86400)])
def test_a_limit_is_told_in_words(proxy, upstream, units, word, seconds):
    asked = len(upstream.asked)
    for unit in units:
        told, after = exceeded(proxy, "shop:list", token(f"unit-{unit}", {"tool:*": f"0/{unit}"}))
        assert (told, after) == (f"Rate limit exceeded for 'tool:*': 0/{word} (limit: 0/{word})", seconds)
    assert len(upstream.asked) == asked


@pytest.mark.parametrize("pattern, counts", [("tool:shop:list", True), ("tool:shop:*", True), ("tool:*", True), ("*", True), ("tool:shop:lis", False),
                                             ("shop:list", False), ("tool:shop_list", False), ("Tool:shop:list", False), ("tool:shop:buy", False)])
def test_patterns_are_those_of_scopes(proxy, pattern, counts):
    assert proxy.call("shop:list", {}, token("patterns", {pattern: "0/day"}))[0] == (429 if counts else 200)


def test_every_pattern_that_fits_counts(proxy):
    one = token("several", {"tool:shop:*": "3/day", "tool:shop:list": "1/day", "tool:shop:buy": "9/day"})
    assert proxy.call("shop:list", {}, one)[0] == 200
    for _ in range(3):  # what is refused by one pattern is not counted by another
        assert exceeded(proxy, "shop:list", one)[0] == "Rate limit exceeded for 'tool:shop:list': 1/day (limit: 1/day)"
    assert [proxy.call("shop:buy", {}, one)[0] for _ in range(3)] == [200, 200, 429]
    told, after = exceeded(proxy, "shop:buy", one)
    assert told == "Rate limit exceeded for 'tool:shop:*': 3/day (limit: 3/day)" and 86400 - PATIENCE * 3 <= after <= 86400


def test_a_name_is_counted_however_it_is_written(proxy):
    one = token("spelling", {"tool:shop:list": "2/day"})
    assert [proxy.call(name, {}, one)[0] for name in ("shop_list", "shop:list", "shop_list", "shop:list")] == [200, 200, 429, 429]


def test_callers_count_for_themselves_whatever_token_they_bring(proxy):
    for expect in ([200, 429], [429, 429]):
        assert [proxy.call("shop:list", {}, token("one", {"tool:*": "1/day"}))[0] for _ in range(2)] == expect
    # Another token of the same agent, made at another time; a higher limit than before counts what was.
    other = jwt(claims("tool:shop:*", sub="one", jti="other", exp=int(time.time()) + 60, ati={"v": 1, "rate": {"tool:*": "2/day"}}))
    assert [proxy.call("shop:list", {}, other)[0] for _ in range(2)] == [200, 429]
    assert proxy.call("shop:list", {}, token("two", {"tool:*": "1/day"}))[0] == 200
    assert proxy.call("shop:list", {}, jwt(claims("tool:shop:*", sub="one")))[0] == 200  # who has no rates is not counted


def test_what_is_not_carried_out_is_not_counted(proxy, upstream):
    """Scope goes before rate; what the upstream says of a call does not matter."""
    one = token("order", {"tool:*": "2/day"}, "tool:shop:fail tool:shop:odd")
    asked = len(upstream.asked)
    for _ in range(3):
        assert proxy.call("shop:list", {}, one)[0] == 403 and proxy.call("shop:nothing", {}, one)[0] == 404
        assert proxy.rpc("tools/call", {"name": "shop:list"}, one)["error"]["code"] == -32001
        assert proxy.ask("POST", "/call", b"{", one)[0] == 422
        assert proxy.ask("GET", "/tools", token=one)[0] == 200
    assert [proxy.call(name, {}, one)[0] for name in ("shop:fail", "shop:odd", "shop:fail")] == [502, 500, 429]
    assert len(upstream.asked) == asked + 2


def test_what_is_refused_is_not_in_the_audit(proxy):
    one = token("unrecorded", {"tool:*": "1/day"}, "tool:shop:list")
    assert [proxy.call(name, {}, one)[0] for name in ("shop:buy", "shop:nothing", "shop:list", "shop:list")] == [403, 404, 200, 429]
    assert proxy.call("shop:list", {}, token("recorded-last", {}))[0] == 200
    eventually(lambda: any(row["agent_sub"] == "recorded-last" for row in proxy.audit()), "a line of the audit")
    assert [(row["tool"], row["status"]) for row in proxy.audit() if row["agent_sub"] == "unrecorded"] == [("shop:list", "ok")]


def test_calls_at_once_on_all_threads_share_a_limit(proxy):
    one = token("crowd", {"tool:shop:*": "7/day"})

    def ask(n):
        if n % 3:
            return proxy.call("shop:list", {}, one)[0] == 200
        return not proxy.rpc("tools/call", {"name": "shop:list"}, one)["result"]["isError"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(48))) == 7


def test_mcp_tells_of_a_limit_in_a_result(proxy):
    refused = proxy.rpc("tools/call", {"name": "shop:list"}, token("mcp", {"tool:shop:*": "0/hour"}))
    assert refused["result"] == {"content": [{"type": "text", "text": "Error: Rate limit exceeded for 'tool:shop:*': 0/hour (limit: 0/hour)"}], "isError": True}


def test_a_window_is_over_after_its_time(proxy):
    one = token("slides", {"tool:*": "1/second"})
    for status in (429, 200):
        eventually(lambda status=status: proxy.call("shop:list", {}, one)[0] == status, f"status {status}")


@pytest.mark.parametrize("rate", ["10/week", "", "1", "1/s ", {"n": 1}, 5, None])
def test_a_token_with_a_rate_that_is_none_is_refused(proxy, rate):
    """All of it, and not just this rate: the limit was meant."""
    for rates in ({"tool:x": rate}, {"tool:shop:list": "1/day", "tool:x": rate}):
        assert proxy.ask("POST", "/call", {"tool_name": "shop:list"}, token("bad", rates))[0::2] == (401, b"")


def test_who_is_limited_nowhere_has_no_file(proxy):
    """The gateway counts in memory: nothing is written while it calls."""
    assert proxy.call("shop:list", {}, token("memory", {"tool:*": "5/day"}))[0] == 200
    assert not (proxy.folder.path / "rate-state.json").exists()
