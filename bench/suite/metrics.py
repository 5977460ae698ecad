"""What is measured, and how one measurement of one system goes."""

import json
import os
import select
import subprocess
import time

from . import process

GIB = 1 << 30


class Failed(Exception):
    """The measurement did not work; the text says why."""


class Value:
    def __init__(self, title, form, better):
        self.title, self.form, self.better = title, form, better

    def show(self, number):
        return format(number, self.form)


VALUES = {
    "gb_s": Value("GB/s", ".2f", "high"),
    "cpu_gib": Value("relay CPU s/GiB", ".3f", "low"),
    "busy": Value("relay busy %", ".0f", "info"),
    "load_busy": Value("load side busy %", ".0f", "info"),
    "ops": Value("per second", ",.0f", "high"),
    "p50": Value("p50 µs", ",.0f", "low"),
    "p99": Value("p99 µs", ",.0f", "low"),
    "p999": Value("p99.9 µs", ",.0f", "low"),
    "max": Value("max µs", ",.0f", "low"),
    "cpu_op": Value("relay CPU µs each", ".1f", "low"),
    "cpu_1000": Value("relay CPU ms per 1,000", ".1f", "low"),
    "switches_op": Value("context switches each", ".2f", "info"),
    "bulk_gb_s": Value("bulk beside it GB/s", ".2f", "info"),
    "tunnels": Value("tunnels", ",.0f", "info"),
    "pss": Value("Pss B/tunnel", ",.0f", "low"),
    "socket": Value("TCP buffers B/tunnel (machine)", ",.0f", "info"),
    "slab": Value("slab B/tunnel (machine)", ",.0f", "info"),
    "idle_cpu": Value("CPU % while idle", ".2f", "low"),
    "window": Value("for s", ".0f", "info"),
    "pings": Value("pings", ",.0f", "info"),
    "signatures": Value("signatures", ",.0f", "info"),
    "per_signature": Value("p50 µs for each signature", ",.1f", "low"),
    "tls_us": Value("TCP and TLS µs", ",.0f", "info"),
    "quote_us": Value("quote µs", ",.0f", "info"),
    "verify_us": Value("verification µs", ",.0f", "info"),
    "growth": Value("RSS growth KiB", ",.0f", "low"),
    "ready_ms": Value("ready after ms", ".2f", "low"),
    "size": Value("binary KiB", ",.0f", "low"),
    "stripped": Value("stripped KiB", ",.0f", "low"),
    "raw_kb": Value("kB", ",.1f", "low"),
    "gzip_kb": Value("gzip -9 kB", ",.1f", "low"),
    "brotli_kb": Value("brotli -11 kB", ",.1f", "low"),
    "wall_ms": Value("p50 ms", ",.2f", "low"),
    "wasm_ms": Value("of it in the module, ms", ",.2f", "low"),
    "wasm_us": Value("of it in the module, µs", ",.0f", "low"),
    "first_ms": Value("the very first, ms", ",.1f", "low"),
    "import_ms": Value("import before it, ms", ",.1f", "low"),
    "mb_s": Value("MB/s", ",.0f", "high"),
    "added_p50": Value("added p50 µs", ",.0f", "low"),
    "added_p99": Value("added p99 µs", ",.0f", "low"),
    "share": Value("% of direct", ",.0f", "high"),
    "calls": Value("calls under way", ",.0f", "info"),
    "rss_mib": Value("RSS MiB", ",.1f", "low"),
    "pss_mib": Value("Pss MiB", ",.1f", "low"),
    "idle_rss_mib": Value("RSS MiB before any call", ",.1f", "low"),
}

BULK = ("gb_s", "cpu_gib", "busy", "load_busy")
ROUND_TRIPS = ("ops", "p50", "p99", "p999", "cpu_op", "switches_op", "busy", "load_busy")


BRIDGES, TERMINATORS, VERIFIERS, RUNTIMES, GATEWAYS = ("ws", "raw"), ("tls",), ("verifier",), ("wasm",), ("gateway",)
OPEN_LOOP = ("added_p50", "added_p99", "p50", "p99", "p999", "cpu_op", "busy", "load_busy")
CAPACITY = ("ops", "share", "p50", "p99", "cpu_op", "switches_op", "busy", "load_busy")


class Metric:
    """kinds: of the systems that it is measured of. behind: the application of gateways (gateway.Application)."""

    def __init__(self, title, arguments, values, default=True, kinds=BRIDGES, surface=None, behind="least"):
        self.title, self.arguments, self.values = title, arguments, values
        self.default, self.kinds, self.surface, self.behind = default, kinds, surface, behind

    @property
    def group(self):
        return {BRIDGES: "bridge", RUNTIMES: "wasm", GATEWAYS: "gateway"}.get(self.kinds, "attested")


METRICS = {
    "down": Metric("Bulk down: 4 tunnels", "down --tunnels 4", BULK),
    "up": Metric("Bulk up: 4 tunnels, 64 KiB frames", "up --tunnels 4 --size 65536", BULK),
    "up1k": Metric("Bulk up: 4 tunnels, 1 KiB frames", "up --tunnels 4 --size 1024", BULK, False),
    "up16k": Metric("Bulk up: 4 tunnels, 16 KiB frames", "up --tunnels 4 --size 16384", BULK, False),
    "up1m": Metric("Bulk up: 4 tunnels, 1 MiB frames", "up --tunnels 4 --size 1048576", BULK, False),
    "echo1": Metric("Echo of 64 B: 1 tunnel", "echo --size 64 --tunnels 1", ROUND_TRIPS),
    "echo64": Metric("Echo of 64 B: 64 tunnels", "echo --size 64 --tunnels 64", ROUND_TRIPS),
    "echo1000": Metric("Echo of 64 B: 1,000 tunnels", "echo --size 64 --tunnels 1000", ROUND_TRIPS),
    "echo16k": Metric("Echo of 16 KiB: 64 tunnels", "echo --size 16384 --tunnels 64", ROUND_TRIPS,
                      False),
    "conn": Metric("Connections: upgrade, target, one echo, close; 64 at a time",
                   "conn --size 64 --tunnels 64 --source-addrs 50",
                   ("ops", "p50", "p99", "cpu_op", "busy", "load_busy")),
    "fair": Metric("Fairness: 64 B echo, 400 a second, beside 4 bulk tunnels",
                   "mix --bulk 4 --tunnels 4 --size 64 --rate 400",
                   ("p50", "p99", "max", "bulk_gb_s", "busy")),
    "tokens": Metric("Token streams: 200 tunnels, 40 messages/s each, 150–300 B",
                     "tokens --tunnels 200", ("ops", "p50", "p99", "p999", "cpu_1000", "switches_op")),
    "idle": Metric("Idle tunnels", None,
                   ("tunnels", "pss", "socket", "slab", "idle_cpu", "window", "pings")),
    "churn": Metric("Churn: tunnels that end by Close, FIN and RST in turn", None,
                    ("tunnels", "growth")),
    "start": Metric("Start-up until the port accepts, and size", None,
                    ("ready_ms", "size", "stripped")),
    "verify": Metric("Verification of a TDX quote with its collateral", None,
                     ("ops", "p50", "p99", "signatures", "per_signature"), kinds=VERIFIERS),
    "attest": Metric("Attested connections, and their parts each by itself", None,
                     ("p50", "p99", "tls_us", "quote_us", "verify_us"), kinds=TERMINATORS),
    "requests": Metric("TLS 1.3 in front of an application: 32 kept connections, answers of 1 KiB",
                       "requests --connections 32 --path /1024", ROUND_TRIPS, kinds=TERMINATORS),
    "requests64k": Metric("The same: answers of 64 KiB", "requests --connections 32 --path /65536",
                          ROUND_TRIPS, False, TERMINATORS),
    "stream": Metric("Server-sent events: 16 streams at a time, first byte of each",
                     "stream --connections 16 --path /stream",
                     ("ops", "p50", "p99", "cpu_op", "busy", "load_busy"), kinds=TERMINATORS),
    "wasm-size": Metric("WebAssembly: what a browser loads", None, ("raw_kb", "gzip_kb", "brotli_kb"), kinds=RUNTIMES),
    "wasm-ready": Metric("WebAssembly: init, everything cached", None, ("ready_ms", "first_ms", "import_ms"), kinds=RUNTIMES),
    "wasm-connect": Metric("WebAssembly: attested connections", None, ("wall_ms", "wasm_ms", "first_ms"), kinds=RUNTIMES),
    "wasm-verify": Metric("WebAssembly: verification of a TDX quote with its collateral", None,
                          ("wall_ms", "wasm_ms", "first_ms"), kinds=RUNTIMES),
    "wasm-decrypt": Metric("WebAssembly: decryption alone, of answers of 16 MiB that have come", None, ("mb_s",), kinds=RUNTIMES),
    "wasm-download": Metric("WebAssembly: one connection, answers of 16 MiB", None, ("mb_s",), kinds=RUNTIMES),
    "wasm-request": Metric("WebAssembly: one kept connection, answers of 1 KiB", None, ("ops", "p50", "p99", "wasm_us"), kinds=RUNTIMES),
    "call": Metric("Gateway, /call: 5,000 requests a second are due, 16 connections", "rate --rate 5000 --connections 16", OPEN_LOOP,
                   kinds=GATEWAYS, surface="call"),
    "call-max": Metric("Gateway, /call: 16 connections, always one request under way in each", "closed --connections 16", CAPACITY,
                       kinds=GATEWAYS, surface="call"),
    "mcp": Metric("Gateway, /mcp: 5,000 requests a second are due, 16 connections", "rate --rate 5000 --connections 16", OPEN_LOOP,
                  kinds=GATEWAYS, surface="mcp"),
    "mcp-max": Metric("Gateway, /mcp: 16 connections, always one request under way in each", "closed --connections 16", CAPACITY,
                      kinds=GATEWAYS, surface="mcp"),
    "call-share": Metric("Gateway, /call: the same in front of nginx", "closed --connections 16", CAPACITY, kinds=GATEWAYS, surface="call",
                         behind="nginx"),
    "mcp-share": Metric("Gateway, /mcp: the same in front of nginx", "closed --connections 16", CAPACITY, kinds=GATEWAYS, surface="mcp",
                        behind="nginx"),
    "call-500": Metric("Gateway, /call: 500 requests a second are due, 16 connections", "rate --rate 500 --connections 16", OPEN_LOOP,
                       kinds=GATEWAYS, surface="call"),
    "slow": Metric("Gateway: calls whose upstream takes seconds, all at once", "slow --connections 1000",
                   ("calls", "idle_rss_mib", "rss_mib", "pss_mib"), kinds=GATEWAYS, surface="slow"),
    "gateway-start": Metric("Gateway: start-up until the port accepts, with 100 manifests and a document of 300 operations", None,
                            ("ready_ms", "idle_rss_mib", "size", "stripped"), kinds=GATEWAYS),
}
SPECIAL = ("idle", "churn", "start")
GROUPS = ("bridge", "attested", "wasm", "gateway")


class Generator:
    """One run of wsload or tlsload against a system; an iterator of its lines."""

    def __init__(self, bench, placement, system, arguments, seconds):
        name = {"tls": "tlsload", "gateway": "callload"}.get(system.kind, "wsload")
        argv = [os.path.join(bench.out, name), *arguments]
        if system.kind == "gateway":
            argv += ["--connect", system.address]
        elif system.kind == "tls":
            argv += ["--connect", system.address, "--ca", bench.world.ca]
        elif system.kind == "raw":
            argv += ["--any", "--json", "--raw", "--connect", system.address]
        else:
            argv += ["--any", "--json", "--url", f"ws://{system.address}/?target={bench.target}"]
        self.limit = time.monotonic() + seconds + 90
        self.process = process.spawn(argv, placement.load, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        process.stop(self.process)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()

    def line(self):
        ready, _, _ = select.select([self.process.stdout], [], [],
                                    max(0.0, self.limit - time.monotonic()))
        if not ready:
            raise Failed("the generator did not come to an end")
        return self.process.stdout.readline().decode()

    def until(self, word):
        while True:
            line = self.line()
            if line.startswith(word):
                return line
            if not line:
                text = self.process.stderr.read().decode(errors="replace").strip()
                raise Failed(text.splitlines()[-1] if text else "the generator ended early")


def _snapshot(bench, system):
    target_pid = {"tls": bench.world, "gateway": bench.application}.get(system.kind, bench).target_pid
    return (system.cpu_seconds(), system.switches(), process.cpu_seconds(target_pid), time.monotonic())


def timed(bench, placement, system, metric):
    """One timed run; returns its values."""
    arguments = metric.arguments.split() + ["--seconds", str(bench.seconds), "--warmup", str(bench.warmup)]
    if metric.surface:
        arguments += system.request(bench, metric.surface)
    with Generator(bench, placement, system, arguments, bench.seconds) as generator:
        generator.until("begin")
        before = _snapshot(bench, system)
        generator.until("end")
        after = _snapshot(bench, system)
        told = json.loads(generator.until("{"))
    if told["lost"] or told["failed"]:
        raise Failed(f"{told['failed']} connections or requests failed, {told['lost']} were lost")
    if not system.alive():
        raise Failed("the system ended")
    cpu, switches, target_cpu, took = (b - a for a, b in zip(before, after))
    load_cpu = told["generator_cpu_seconds"] + target_cpu
    operations = told["operations"]
    values = {
        "busy": 100 * cpu / took / len(placement.relay),
        "load_busy": 100 * load_cpu / took / len(placement.load),
        "ops": told["operations_per_second"],
        "bulk_gb_s": told["gb_per_second"],
        "gb_s": told["gb_per_second"],
    }
    moved = told["bytes_up"] if told["mode"] == "up" else told["bytes_down"]
    if moved:
        values["cpu_gib"] = cpu / (moved / GIB)
    if operations:
        values.update({key: told["latency_us"][key] for key in ("p50", "p99", "p999", "max")})
        values["cpu_op"] = 1e6 * cpu / operations
        values["cpu_1000"] = 1e6 * cpu / operations
        if switches >= 0:  # those of children that ended in the window are lost
            values["switches_op"] = switches / operations
    return {key: values[key] for key in metric.values if key in values}


def idle(bench, placement, system):
    """Holds many tunnels that say nothing; the system must be freshly started."""
    count = min(bench.idle_tunnels, system.idle_max or bench.idle_tunnels)
    pings_matter = system.role in ("ours", "upstream")
    window = bench.idle_seconds if pings_matter else min(bench.idle_seconds, 5)
    pid = system.process.pid
    before = process.pss_bytes(pid), process.socket_bytes(), process.slab_bytes()
    arguments = ["idle", "--size", "64", "--tunnels", str(count), "--source-addrs", "50"]
    with Generator(bench, placement, system, arguments, window + count / 100) as generator:
        reached = int(generator.until("ready").split()[1])
        time.sleep(1)
        after = process.pss_bytes(pid), process.socket_bytes(), process.slab_bytes()
        cpu = system.cpu_seconds()
        time.sleep(window)
        cpu = system.cpu_seconds() - cpu
        generator.process.stdin.write(b"\n")
        generator.process.stdin.flush()
        told = json.loads(generator.until("{"))
    if not reached:
        raise Failed("no tunnel opened")
    if told["lost"]:
        raise Failed(f"{told['lost']} of {reached} idle tunnels were lost")
    pss, sockets, slab = ((b - a) / reached for a, b in zip(before, after))
    return {"tunnels": reached, "pss": pss, "socket": sockets, "slab": slab,
            "idle_cpu": 100 * cpu / window, "window": window, "pings": told["pings"]}


def churn(bench, placement, system):
    """Resident memory after many tunnels minus after a few; the system must be freshly started."""

    def run(count):
        arguments = ["churn", "--size", "64", "--tunnels", "64", "--source-addrs", "50",
                     "--count", str(count)]
        with Generator(bench, placement, system, arguments, count / 100) as generator:
            told = json.loads(generator.until("{"))
        if told["failed"] or told["lost"]:
            raise Failed(f"{told['failed']} tunnels failed, {told['lost']} were lost")
        time.sleep(2)
        return process.rss_bytes(system.process.pid)

    before = run(min(5000, bench.churn_tunnels))
    after = run(bench.churn_tunnels)
    return {"tunnels": bench.churn_tunnels, "growth": (after - before) / 1024}


def slow(bench, placement, system, metric):
    """Memory while many calls wait for their upstream; the system must be freshly started."""
    pid = system.process.pid
    before = process.rss_bytes(pid)
    arguments = metric.arguments.split() + ["--seconds", "60", *system.request(bench, metric.surface)]
    with Generator(bench, placement, system, arguments, 60) as generator:
        generator.until("begin")
        time.sleep(1)  # they are written; now they are upstream
        rss, pss = process.rss_bytes(pid), process.pss_bytes(pid)
        told = json.loads(generator.until("{"))
    if told["failed"]:
        raise Failed(f"{told['failed']} of {told['operations'] + told['failed']} calls failed")
    return {"calls": told["operations"], "idle_rss_mib": before / 2**20, "rss_mib": rss / 2**20, "pss_mib": pss / 2**20}


def start(bench, placement, system):
    """Start-up time of a process of its own, and the size of what is started."""
    port = process.free_port()
    target = system.target(bench)
    argv = system.command(bench, target, port, placement.workers)
    environment = system._environment(bench, target, port, placement.workers)
    answer = subprocess.run(
        [os.path.join(bench.out, "wsload"), "start", "--seconds", "10", "--connect",
         f"127.0.0.1:{port}", "--", *argv],
        env=environment, capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, placement.relay))
    lines = [line for line in answer.stdout.splitlines() if line.startswith('{"ready_ms"')]
    if answer.returncode or not lines:
        raise Failed((answer.stderr.strip() or "it did not start").splitlines()[-1])
    values = {"ready_ms": json.loads(lines[-1])["ready_ms"]}
    if system.role == "ours":
        stripped = os.path.join(bench.out, "work", "stripped")
        values["size"] = os.path.getsize(argv[0]) / 1024
        if subprocess.run(["strip", "-o", stripped, argv[0]], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0:
            values["stripped"] = os.path.getsize(stripped) / 1024
    return values
