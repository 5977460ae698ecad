"""The credential side: an application that answers, and what gateways in front of it add."""

import json
import os
import shutil

from . import metrics, process
from .stats import Series
from .systems import Absent


NGINX = """
daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
    server {{
        listen {target};
        location = /json {{ default_type application/json; return 200 '{body}'; }}
    }}
}}
"""
NGINX_BODY = json.dumps({"id": 17, "name": "one of many", "open": True, "text": "z" * 260})


class Application:
    """Behind all gateways: one that costs next to nothing, or nginx with a fixed answer, as services that cost something."""

    def __init__(self, bench, placement):
        work = os.path.join(bench.out, "work", "application")
        os.makedirs(work, exist_ok=True)
        targets = {name: f"127.0.0.1:{process.free_port()}" for name in ("least", "nginx")}
        with open(os.path.join(work, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(NGINX.format(work=work, target=targets["nginx"], body=NGINX_BODY))
        commands = {"least": [os.path.join(bench.out, "httptarget"), "--listen", targets["least"], "--wait-ms", "4000"],
                    "nginx": ["nginx", "-p", work, "-e", os.path.join(work, "error.log"), "-c", os.path.join(work, "nginx.conf")]}
        self._each = {}
        for name, command in commands.items():
            if shutil.which(command[0]):
                self._each[name] = (targets[name], process.spawn(command, placement.load))
                if not process.wait_listening(*self._each[name]):
                    raise SystemExit(f"bench: {command[0]} did not start")
        self.use("least")

    def use(self, name):
        if name not in self._each:
            raise SystemExit(f"bench: {name} is not installed, which has to stand behind the gateways")
        self.target, of_it = self._each[name]
        self.target_pid = of_it.pid

    def stop(self):
        for _, of_it in self._each.values():
            process.stop(of_it)


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
