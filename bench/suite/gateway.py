"""The credential side: an application that answers, and what gateways in front of it add."""

import os

from . import metrics, process
from .stats import Series
from .systems import Absent


class Application:
    """Behind all gateways."""

    def __init__(self, bench, placement):
        self.target = f"127.0.0.1:{process.free_port()}"
        self.process = process.spawn([os.path.join(bench.out, "httptarget"), "--listen", self.target, "--wait-ms", "4000"], placement.load)
        self.target_pid = self.process.pid
        if not process.wait_listening(self.target, self.process):
            raise SystemExit("bench: httptarget did not start")

    def stop(self):
        process.stop(self.process)


def compare(rounds):
    """system → rounds of values: what each adds to the same round of the direct way, and what share of it is left."""
    direct = rounds.get("direct-http", [])
    for rows in rounds.values():
        for row, bare in zip(rows, direct):
            if "p50" in row:
                row["added_p50"], row["added_p99"] = row["p50"] - bare["p50"], row["p99"] - bare["p99"]
            if bare.get("ops"):
                row["share"] = 100 * row["ops"] / bare["ops"]
    return rounds


def run_slow(bench, placement, name, present, failures, say):
    metric, results = metrics.METRICS[name], {}
    for system in present:
        if system.role == "direct" or not system.can(bench, metric.surface):
            continue
        try:
            system.start(bench, placement)
            results[system.name] = {key: Series([value]) for key, value in metrics.slow(bench, placement, system, metric).items()}
        except (metrics.Failed, Absent) as why:
            failures[name, system.name] = str(why)
        finally:
            system.stop()
        say(f"bench: {placement.name} {name}: {system.name}")
    return results


def run_start(bench, placement, name, present, failures, say):
    """Start-up with much to read; memory is looked at when it is ready and nobody has asked yet."""
    results = {}
    os.environ["MANIFESTS"] = "100"
    try:
        for system in present:
            if system.role == "direct" or not system.can(bench, "start"):
                continue
            try:
                rows = [metrics.start(bench, placement, system) for _ in range(2 * bench.rounds)]
                system.start(bench, placement)
                rows[0]["idle_rss_mib"] = process.rss_bytes(system.process.pid) / 2**20
                keys = {key for row in rows for key in row}
                results[system.name] = {key: Series(row[key] for row in rows if key in row) for key in keys}
            except (metrics.Failed, Absent) as why:
                failures[name, system.name] = str(why)
            finally:
                system.stop()
            say(f"bench: {placement.name} {name}: {system.name}")
    finally:
        del os.environ["MANIFESTS"]
    return results
