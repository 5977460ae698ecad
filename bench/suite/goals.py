"""The performance goals, G of the bridge, A of the attested side, W of WebAssembly and T of the tools' gateway, and whether a run reached them."""

from .metrics import VALUES
from .stats import ratio

BUSY = 80  # percent
# What a goal speaks of: so many tunnels, and for idle CPU at least one round of pings.
TUNNELS = {"G7": 8000, "G9": 1000000}


def starved(placement, values):
    """Neither the system nor the load side was busy under bulk load: somebody else was."""
    busy, load = values["busy"].median, values["load_busy"].median
    return busy + load < BUSY if placement == "shared" else max(busy, load) < BUSY


class Goal:
    """`key` of `metric`, of the system in the role `who`, against `versus`: a role or a system's name, or None for absolute."""

    def __init__(self, number, text, metric, key, versus, bound, who="ours"):
        self.number, self.text, self.metric, self.key = number, text, metric, key
        self.versus, self.bound, self.who = versus, bound, who

    @property
    def high(self):
        return VALUES[self.key].better == "high"


U, PEER, HAPROXY, HAPROXY_COPY = "upstream", "websocket", "haproxy-splice", "haproxy-copy"
SPLICE, COPY = "bare-splice", "bare-copy256"
QVL, OPENSSL, NGINX = "dcap-qvl", "openssl-signatures", "nginx-tls"


def _echo(tunnels):
    metric = f"echo{tunnels}"
    return [
        Goal("G5", f"echo, {tunnels} tunnels, rate", metric, "ops", U, 1.5),
        Goal("G5", f"echo, {tunnels} tunnels, rate", metric, "ops", PEER, 1.15),
        Goal("G5", f"echo, {tunnels} tunnels, rate", metric, "ops", HAPROXY, 1.1),
        Goal("G5", f"echo, {tunnels} tunnels, p99", metric, "p99", U, 0.5),
        Goal("G5", f"echo, {tunnels} tunnels, p99", metric, "p99", PEER, 0.7),
    ]


def _wasm(number, text, metric, key, bound):
    return [Goal(number, f"{text}, {where}", metric, key, None, bound, who) for where, who in (("Node.js", "ours"), ("Chromium", "browser"))]


GOALS = [
    Goal("G1", "bulk down", "down", "gb_s", U, 2.3),
    Goal("G1", "bulk down", "down", "gb_s", PEER, 1.8),
    Goal("G1", "bulk down", "down", "gb_s", HAPROXY, 1.8),
    Goal("G1", "bulk down", "down", "gb_s", SPLICE, 0.9),
    Goal("G2", "bulk up", "up", "gb_s", U, 2.0),
    Goal("G2", "bulk up", "up", "gb_s", PEER, 2.0),
    Goal("G2", "bulk up", "up", "gb_s", HAPROXY, 1.5),
    Goal("G2", "bulk up", "up", "gb_s", COPY, 0.9),
    Goal("G3", "CPU per byte down", "down", "cpu_gib", U, 0.35),
    Goal("G3", "CPU per byte down", "down", "cpu_gib", PEER, 0.45),
    Goal("G3", "CPU per byte down", "down", "cpu_gib", HAPROXY, 0.4),
    Goal("G3", "CPU per byte up", "up", "cpu_gib", U, 0.5),
    Goal("G3", "CPU per byte up", "up", "cpu_gib", PEER, 0.45),
    Goal("G3", "CPU per byte up", "up", "cpu_gib", HAPROXY, 0.6),
    Goal("G4", "echo, 1 tunnel, p50", "echo1", "p50", U, 0.95),
    Goal("G4", "echo, 1 tunnel, p50", "echo1", "p50", PEER, 1.0),
    Goal("G4", "echo, 1 tunnel, p50", "echo1", "p50", HAPROXY, 1.0),
    Goal("G4", "echo, 1 tunnel, p99", "echo1", "p99", U, 0.9),
    Goal("G4", "echo, 1 tunnel, p99", "echo1", "p99", PEER, 1.0),
    Goal("G4", "echo, 1 tunnel, p99", "echo1", "p99", HAPROXY, 1.0),
    *_echo(64),
    *_echo(1000),
    Goal("G6", "connections", "conn", "ops", U, 2.0),
    Goal("G6", "connections", "conn", "ops", PEER, 1.5),
    Goal("G6", "connections", "conn", "ops", HAPROXY, 0.9),
    Goal("G7", "user memory of an idle tunnel", "idle", "pss", U, 0.05),
    Goal("G7", "user memory of an idle tunnel", "idle", "pss", PEER, 0.07),
    Goal("G7", "user memory of an idle tunnel", "idle", "pss", HAPROXY, 0.3),
    Goal("G7", "user memory of an idle tunnel", "idle", "pss", None, 1024),
    Goal("G8", "CPU of idle tunnels with pings", "idle", "idle_cpu", U, 0.3),
    Goal("G8", "CPU of idle tunnels with pings, % of a core", "idle", "idle_cpu", None, 0.5),
    Goal("G9", "RSS growth under churn, KiB", "churn", "growth", None, 256),
    Goal("G10", "stripped size, KiB", "start", "stripped", None, 400),
    Goal("G10", "ready, ms", "start", "ready_ms", None, 5),
    Goal("G11", "echo p99 beside bulk", "fair", "p99", U, 0.3),
    Goal("G11", "echo p99 beside bulk, µs", "fair", "p99", None, 2000),
    Goal("A1", "verification, from the start", "verify", "p50", QVL, 1.0),
    Goal("A1", "verification, collateral known", "verify", "p50", QVL, 1.0, "known"),
    Goal("A2", "verification beside its signatures, from the start", "verify", "per_signature", OPENSSL, 1.25),
    Goal("A2", "verification beside its signatures, collateral known", "verify", "per_signature", OPENSSL, 1.25, "known"),
    Goal("A3", "attested connection beside its parts, from the start", "attest", "p50", "parts", 1.5),
    Goal("A3", "attested connection beside its parts, collateral known", "attest", "p50", "parts-known", 1.5, "known"),
    Goal("A4", "requests through TLS", "requests", "ops", NGINX, 0.8),
    Goal("A4", "CPU of a request", "requests", "cpu_op", NGINX, 1.25),
    Goal("A5", "first byte of a stream", "stream", "p50", NGINX, 1.25),
    Goal("W1", "module, trust anchors and JavaScript, brotli, kB", "wasm-size", "brotli_kb", None, 600, "whole"),
    *_wasm("W2", "ready, ms", "wasm-ready", "ready_ms", 60),
    *_wasm("W3", "attested connection, from the start, ms in the module", "wasm-connect", "wasm_ms", 15),
    *_wasm("W4", "verification, from the start, ms in the module", "wasm-verify", "wasm_ms", 10),
    *(Goal("T1", f"added p50 at 5,000 a second, {path}, µs", metric, "added_p50", None, 60) for path, metric in (("/call", "call"), ("/mcp", "mcp"))),
    *(Goal("T1", f"added p99 at 5,000 a second, {path}, µs", metric, "added_p99", None, 250) for path, metric in (("/call", "call"), ("/mcp", "mcp"))),
    Goal("T1", "added p50 beside nginx", "call", "added_p50", "nginx-http", 1.3),
    *(Goal("T2", f"share of direct, {path}, %", metric, "share", None, 45) for path, metric in (("/call", "call-share"), ("/mcp", "mcp-share"))),
    Goal("T2", "requests beside HAProxy", "call-max", "ops", "haproxy-http", 0.75),
    Goal("T3", "requests beside the original", "call-max", "ops", "ati-upstream", 3.0),
    Goal("T3", "CPU of a request beside nginx", "call-max", "cpu_op", "nginx-http", 1.5),
    Goal("T4", "resident, idle, MiB", "slow", "idle_rss_mib", None, 8),
    Goal("T4", "resident, 1,000 slow calls, MiB", "slow", "rss_mib", None, 24),
    Goal("T5", "ready, ms", "gateway-start", "ready_ms", None, 20),
    Goal("T5", "stripped size, KiB", "gateway-start", "stripped", None, 4096),
    *_wasm("W5", "decryption, MB/s in the module", "wasm-decrypt", "mb_s", 250),
]


def _other(goal, results, systems):
    """The name of what the goal compares with: the named one, or the best of the role."""
    measured = [s for s in systems if goal.key in results.get(s.name, {})]
    for system in measured:
        if system.name == goal.versus:
            return system.name
    of_role = [s.name for s in measured if s.role == goal.versus]
    if not of_role:
        return None
    pick = max if goal.high else min
    return pick(of_role, key=lambda name: results[name][goal.key].median)


def _bound(goal):
    sign = "≥" if goal.high else "≤"
    return f"{sign} {goal.bound:,g}" + (" ×" if goal.versus else "")


def _row(goal, ours, other, value, verdict):
    return {"goal": goal.number, "what": goal.text, "bound": _bound(goal),
            "versus": other or goal.versus or "absolute", "ours": ours, "value": value,
            "verdict": verdict}


def _verdict(goal, value, values):
    """In words, with what keeps the measurement from being the one that the goal speaks of."""
    words = "reached" if (value >= goal.bound if goal.high else value <= goal.bound) else "not reached"
    wanted = TUNNELS.get(goal.number, 0)
    if wanted and values["tunnels"].median < wanted:
        words += f", but with {values['tunnels'].median:,.0f} of {wanted:,} tunnels"
    if goal.number == "G8" and not values["pings"].median:
        words = "no ping fell into the window"
    return words


def judge(goal, placement, metrics, systems):
    """metrics: metric → system → value key → Series."""
    results = metrics.get(goal.metric, {})
    values = next((results[s.name] for s in systems if s.role == goal.who and s.name in results), {})
    ours = values.get(goal.key)
    if ours is None:
        return _row(goal, None, None, None, "not measured")
    if goal.versus is None:
        verdict = "noisy" if ours.noisy else _verdict(goal, ours.median, values)
        return _row(goal, ours.median, None, ours.median, verdict)
    other = _other(goal, results, systems)
    if other is None:
        return _row(goal, ours.median, None, None, f"no {goal.versus} measured")
    theirs = results[other][goal.key]
    value = ratio(ours, theirs)
    if value is None:
        return _row(goal, ours.median, other, None,
                    f"noisy (ours {ours.median:.3g} ± {ours.iqr_percent:.0f} %, "
                    f"theirs {theirs.median:.3g} ± {theirs.iqr_percent:.0f} %)")
    if goal.key == "gb_s" and (starved(placement, values) or starved(placement, results[other])):
        return _row(goal, ours.median, other, None, "no verdict: something else had the CPUs")
    return _row(goal, ours.median, other, value, _verdict(goal, value, values))
