"""The attested side: a simulated platform with all that runs on it, and the metrics that are no run of a load generator."""

import json
import os
import shutil
import subprocess

from . import process
from .metrics import Failed
from .stats import Series

SIGNATURES, SIGNATURES_KNOWN = 9, 2  # of a quote; of a further quote of the same platform
CONNECTIONS_A_SECOND = 100


class World:
    """A platform by atlas-sim, its PCCS and guest agent, and the application behind the terminators."""

    def __init__(self, bench, placement, options):
        self.bench, self.placement, self.running = bench, placement, []
        self.folder = os.path.join(bench.out, "work", "platform")
        self.pccs = f"127.0.0.1:{process.free_port()}"
        self.target = f"127.0.0.1:{process.free_port()}"
        self.socket = os.path.join(self.folder, "dstack.sock")
        self.ca = os.path.join(self.folder, "tls-ca.pem")
        self.policy = os.path.join(self.folder, "policy.json")
        self.answer = os.path.join(self.folder, "answer.json")
        self.own_quote = os.path.join(self.folder, "quote")
        self.own_collateral = os.path.join(self.folder, "collateral.json")
        self.own_root = os.path.join(self.folder, "root-cert.pem")
        given = options.quote is not None
        self.quote = options.quote or self.own_quote
        self.collateral = options.collateral or self.own_collateral
        self.root = options.root or ("" if given else self.own_root)
        self.at = options.at or ""
        self.target_pid = None

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self._sim("init", self.folder, "--pccs-url", f"http://{self.pccs}")
        for path, words in ((self.own_quote, ()), (self.answer, ("--json",))):
            with open(path, "wb") as f:
                f.write(self._sim("quote", self.folder, *words))
        self.spawn(self.pccs, self.bench.program("atlas-sim"), "serve", self.folder, "--listen", self.pccs,
                    "--log-level", "warn")
        application = self.spawn(self.target, os.path.join(self.bench.out, "httptarget"), "--listen", self.target)
        self.target_pid = application.pid

    def stop(self):
        while self.running:
            process.stop(self.running.pop())

    def environment(self):
        """For the peers; see peers/lib.sh."""
        return {"PLATFORM": self.folder, "PCCS": f"http://{self.pccs}", "QUOTE": self.quote,
                "COLLATERAL": self.collateral, "TRUSTED_ROOT": self.root, "VERIFY_AT": self.at,
                "SECONDS_EACH": str(self.bench.seconds), "MS_EACH": str(int(1000 * self.bench.seconds))}

    def _sim(self, *words):
        return subprocess.run([self.bench.program("atlas-sim"), *words], stdout=subprocess.PIPE, check=True).stdout

    def spawn(self, address, *command):
        child = process.spawn(command, self.placement.load)
        self.running.append(child)
        if not process.wait_listening(address, child):
            raise SystemExit(f"bench: {os.path.basename(command[0])} did not start")
        return child


def told_by(command, cpus, given="", **environment):
    """What a program says on the last line of its output, which is JSON. given: its input."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, input=given,
                            env={**os.environ, **environment},
                            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    lines = answer.stdout.splitlines()
    if answer.returncode or not lines:
        raise Failed((answer.stderr.strip() or "it said nothing").splitlines()[-1])
    return json.loads(lines[-1])


def _row(per_second, median_ns, p99_ns, signatures):
    return {"ops": per_second, "p50": median_ns / 1e3, "p99": p99_ns / 1e3, "signatures": signatures,
            "per_signature": median_ns / 1e3 / signatures}


def _verifier_rows(system, told):
    if "verification" in told:  # ours
        rows = {system.name: told["verification"], system.name + KNOWN: told["verification_known"]}
        return {name: _row(r["per_second"], r["time"]["median_ns"], r["time"]["p99_ns"], r["signatures"])
                for name, r in rows.items()}
    if "latency_us" in told:  # tlsload: signatures, nothing else
        latency = told["latency_us"]
        return {system.name: _row(told["operations_per_second"], 1e3 * latency["p50"], 1e3 * latency["p99"], SIGNATURES)}
    return {system.name: _row(told["verifications_per_second"], told["median_ns"], told["p99_ns"], SIGNATURES)}


KNOWN = "-known"  # the same with what was verified before


def verify_round(bench, placement, system):
    """Rows of one round: verifications of one quote, on the CPU of the system under test."""
    return _verifier_rows(system, told_by(system.command(bench, bench.world.target, 1, 1), placement.relay))


def attest_round(bench, placement, system):
    """Rows of one round: attested connections to a running endpoint, and what they are made of, each by itself."""
    world, load = bench.world, placement.load
    tls, times = os.path.join(bench.out, "tlsload"), ["--seconds", str(bench.seconds), "--warmup", str(bench.warmup)]
    address = system.address
    connect = [bench.program("atls"), "bench", "connect", f"https://{address}", "--policy", world.policy,
               "--cacert", world.ca, "--json", "--count", str(max(1, int(CONNECTIONS_A_SECOND * bench.seconds)))]
    plain = told_by([tls, "connect", "--connect", address, "--ca", world.ca, *times], load)["latency_us"]["p50"]
    quote = told_by([tls, "quote", "--unix", world.socket, *times], load)["latency_us"]["p50"]
    verify = told_by([bench.program("atls"), "bench", "verify", world.own_quote, "--collateral", world.own_collateral,
                    "--policy", world.policy, "--event-log", world.answer, "--seconds", f"{int(1000 * bench.seconds)}ms", "--json"],
                   load)
    rows = {}
    for suffix, words, kind in (("", [], "verification"), (KNOWN, ["--known"], "verification_known")):
        told = told_by(connect + words, load)
        if told["collateral_stapled"] != told["total"]["count"]:
            raise Failed("the endpoint stapled no collateral")
        parts = {name: told[name]["median_ns"] / 1e3 for name in ("tcp", "tls", "quote", "verification")}
        rows["attested" + suffix] = {
            "p50": told["total"]["median_ns"] / 1e3, "p99": told["total"]["p99_ns"] / 1e3,
            "tls_us": parts["tcp"] + parts["tls"], "quote_us": parts["quote"], "verify_us": parts["verification"]}
        verified = verify[kind]["time"]["median_ns"] / 1e3
        rows["parts" + suffix] = {"p50": plain + quote + verified, "tls_us": plain, "quote_us": quote, "verify_us": verified}
    return rows


def in_rounds(bench, placement, name, systems, one_round, failures, say):
    """Rounds A B C A B C; a system that fails once is out. Returns row → value → Series."""
    rows, order = {}, {}
    for number in range(bench.rounds):
        for system in [s for s in systems if (name, s.name) not in failures]:
            try:
                for row, values in one_round(bench, placement, system).items():
                    rows.setdefault(row, []).append(values)
                    order.setdefault(row, system.name)
            except (Failed, subprocess.TimeoutExpired) as why:
                failures[name, system.name] = str(why)
                rows = {row: got for row, got in rows.items() if order[row] != system.name}
        say(f"bench: {placement.name} {name}: round {number + 1} of {bench.rounds}")
    return {row: {key: Series(values[key] for values in got) for key in got[0]} for row, got in rows.items()}
