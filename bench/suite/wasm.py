"""Attested TLS in WebAssembly: the package in Node.js and in Chromium, through a bridge to an endpoint, and its size."""

import json
import os
import subprocess

from . import attested, process, systems
from .metrics import Failed
from .stats import Series

DIST = "packages/atlas-wasm/dist"
JOBS = {f"wasm-{job}": job for job in ("ready", "connect", "verify", "decrypt", "download", "request")}


class Route:
    """atlas-proxy and atlas-tee between the clients and the world's application, on the side of the load."""

    def __init__(self, bench, placement, peers):
        self.world, workers = bench.world, len(placement.load)
        tee, proxy = process.free_port(), process.free_port()
        self.target, self.proxy = f"localhost:{tee}", f"ws://127.0.0.1:{proxy}"
        endpoint = next(system for system in systems.discover(peers, []) if system.name == "atlas-tee")
        self.world.spawn(f"127.0.0.1:{tee}", *endpoint.command(bench, self.world.target, tee, workers))
        self.world.spawn(f"127.0.0.1:{proxy}", bench.program("atlas-proxy"), "--listen", f"127.0.0.1:{proxy}", "--workers", str(workers),
                         "--allowlist", f"{self.target},{self.world.target}", "--max-per-ip", "0", "--rate-per-ip", "0", "--admin", "off")

    def job(self, name, seconds, warmup):
        """What a client is given: as bench/wasm/node.mjs has it."""
        world = self.world
        return json.dumps({
            "do": JOBS[name], "seconds": seconds, "warmup": warmup,
            "options": {"proxyUrl": self.proxy, "targetHost": self.target, "policy": json.loads(_read(world.policy)), "roots": _read(world.ca),
                        "simulation": True},
            "evidence": self.evidence(), "application": world.target,
        })

    def evidence(self):
        world = self.world
        judged = {"collateral": json.loads(_read(world.collateral)), "simulation": True}
        if world.quote != world.own_quote:
            with open(world.quote, "rb") as f:
                judged["quote"] = f.read().hex()
            return judged | ({"at": world.at} if world.at else {})
        answer = json.loads(_read(world.answer))
        return judged | {"quote": answer["quote"], "eventLog": answer["event_log"], "policy": json.loads(_read(world.policy))}


def _read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def one_round(name):
    """Measures one round of that metric."""
    def measure(bench, placement, system):
        told = attested.told_by(system.command(bench, bench.route.target, 1, 1), placement.relay,
                                bench.route.job(name, bench.seconds, bench.warmup), NODE_EXTRA_CA_CERTS=bench.world.ca)
        return {system.name + suffix: values for suffix, values in told.items()}
    return measure


def _weigh(files):
    answer = subprocess.run(["node", os.path.join(os.path.dirname(systems.CHROMIUM_CLIENT), "sizes.mjs"), *files], capture_output=True, text=True,
                            check=False)
    if answer.returncode:
        raise Failed(answer.stderr.strip() or "node did not weigh it")
    weights = json.loads(answer.stdout)
    return {f"{key}_kb": sum(weight[key] for weight in weights) / 1000 for key in ("raw", "gzip", "brotli")}


def _scripts(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".js"))


def sizes(root, present):
    """Row → values: of ours by part and together, of others together. Every file is compressed by itself, as it is served."""
    rows = {}
    dist = os.path.join(root, DIST)
    if any(system.role in ("ours", "browser") for system in present):
        parts = {"atlas.wasm": ["atlas.wasm"], "roots.bin": ["roots.bin"], "JavaScript": _scripts(dist)}
        rows = {name: _weigh([os.path.join(dist, file) for file in files]) for name, files in parts.items()}
        rows["all of them"] = {key: sum(row[key] for row in rows.values()) for key in rows["atlas.wasm"]}
    for system in present:
        if system.role == "reference":
            folder = os.path.dirname(system.command(None, "", 0, 0)[-1])
            rows[system.name] = _weigh([os.path.join(folder, name) for name in os.listdir(folder) if name.endswith((".wasm", ".js"))])
    return {row: {key: Series([value]) for key, value in values.items()} for row, values in rows.items()}
