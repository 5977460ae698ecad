"""The systems under test: the scripts of bench/peers, --peer commands, and no relay at all."""

import os
import shlex
import shutil
import subprocess

from . import process


CHROMIUM_CLIENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "wasm", "chromium.mjs")


class Absent(Exception):
    """The system cannot run here; the text says why."""


class System:
    def __init__(self, name, kind, role, script=None, command=None, idle_max=None, build=None, jobs=None):
        self.name = name
        self.kind = kind  # ws, raw: bridges; tls: terminators; verifier; wasm: clients in JavaScript; gateway; row: a line of a table, no program
        self.role = role  # ours, known, browser, whole, websocket, upstream, reference, yardstick, floor, bare, direct
        self.script = script
        self.template = command
        self.idle_max = idle_max
        self.build = build  # None, quick or slow
        self.jobs = jobs  # of bench/wasm/jobs.mjs, those it can do
        self.process = None
        self.address = None
        self._log = None

    def _environment(self, bench, target, port, workers):
        work = os.path.join(bench.out, "work", self.name)
        os.makedirs(work, exist_ok=True)
        host, target_port = target.rsplit(":", 1)
        return dict(os.environ, LISTEN_HOST="127.0.0.1", LISTEN_PORT=str(port), TARGET_HOST=host,
                    TARGET_PORT=target_port, WORKERS=str(workers), WORK=work, BENCH=bench.out,
                    ROOT=bench.root, ATLS_PROXY_LISTEN=f"127.0.0.1:{port}",
                    ATLS_PROXY_TARGET=target, ATLS_PROXY_ALLOWLIST=target,
                    **(bench.world.environment() if bench.world else {}))

    def ask(self, verb, bench, target="127.0.0.1:1", port=1, workers=1):
        return subprocess.run([self.script, *verb.split()], capture_output=True, text=True, check=False,
                              env=self._environment(bench, target, port, workers))

    def require(self, bench):
        """Raises Absent unless the system can run; builds what is built quickly."""
        if self.template and not shutil.which(shlex.split(self.template)[0]):
            raise Absent(f"{shlex.split(self.template)[0]} is not a program here")
        if not self.script:
            return
        answer = self.ask("check", bench)
        if answer.returncode and self.build == "quick":
            built = self.ask("build", bench)
            if built.returncode:
                raise Absent("cannot be built: " + " ".join((built.stderr or built.stdout).split())[-200:])
            answer = self.ask("check", bench)
        if answer.returncode:
            raise Absent((answer.stdout or answer.stderr).strip())

    def command(self, bench, target, port, workers):
        if self.template:
            text = self.template.replace("{listen}", f"127.0.0.1:{port}")
            text = text.replace("{port}", str(port)).replace("{target}", target)
            return shlex.split(text)
        answer = self.ask("command", bench, target, port, workers)
        if answer.returncode:
            raise Absent(answer.stderr.strip())
        return answer.stdout.splitlines()

    def target(self, bench):
        return {"tls": bench.world, "gateway": bench.application}.get(self.kind, bench).target

    def request(self, bench, surface):
        """What callload asks it, as arguments; its configuration is written (start)."""
        if self.role == "direct":
            return ["--path", "/wait" if surface == "slow" else "/json"]
        answer = self.ask("request " + surface, bench, self.target(bench))
        return answer.stdout.splitlines()

    def can(self, bench, surface):
        return self.role == "direct" or self.ask("surfaces", bench).stdout.split().count(surface) == 1

    def start(self, bench, placement):
        """Starts it before its target and waits until it accepts."""
        target = self.target(bench)
        if self.role == "direct":
            self.address = target
            return
        port = process.free_port()
        argv = self.command(bench, target, port, placement.workers)
        environment = self._environment(bench, target, port, placement.workers)
        self.address = f"127.0.0.1:{port}"
        self._log = open(os.path.join(environment["WORK"], "log"), "wb")
        try:
            self.process = process.spawn(argv, placement.relay, self._log, env=environment)
        except OSError as error:
            self.stop()
            raise Absent(str(error)) from error
        if not process.wait_listening(self.address, self.process):
            path = self._log.name
            self.stop()
            raise Absent(f"did not start: {_tail(path)}")

    def stop(self):
        if self.process:
            process.stop(self.process)
        if self._log:
            self._log.close()
        self.process = self._log = None

    def cpu_seconds(self):
        return process.cpu_seconds(self.process.pid) if self.process else 0.0

    def switches(self):
        return process.switches(self.process.pid) if self.process else 0

    def alive(self):
        return not self.process or self.process.poll() is None


def _tail(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return " ".join(f.read().split())[-300:] or "no word from it"


def _from_script(path):
    answer = subprocess.run([path, "about"], capture_output=True, text=True, check=True)
    about = dict(line.split(None, 1) for line in answer.stdout.splitlines())
    idle_max = about.get("idle-max")
    return System(os.path.basename(path), about["kind"], about["role"], script=path,
                  idle_max=int(idle_max) if idle_max else None, build=about.get("build"), jobs=about.get("jobs", "").split())


ORDER = {"ours": 0, "known": 1, "browser": 2, "browser-known": 3, "part": 4, "whole": 5, "upstream": 6, "reference": 7, "websocket": 8, "gateway": 8,
         "yardstick": 9, "floor": 10, "bare": 11, "direct": 12}
# Lines that are measured along with others.
ROWS = [System("atls-verify-known", "row", "known"), System("attested", "row", "ours"),
        System("attested-known", "row", "known"), System("parts", "row", "yardstick"),
        System("parts-known", "row", "yardstick"),
        System("atlas-wasm-node-known", "row", "known"), System("atlas-wasm-chromium-known", "row", "browser-known"),
        *(System(name, "row", "part") for name in ("atlas.wasm", "roots.bin", "JavaScript")), System("all of them", "row", "whole")]


def in_order(systems):
    return sorted(systems, key=lambda s: (ORDER[s.role], s.name))


def discover(folder, peers):
    """All systems, ours first. peers: the --peer arguments, NAME[:raw]=COMMAND or NAME:wasm=MODULE."""
    found = [System("direct", "raw", "direct"), System("direct-http", "gateway", "direct")]
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            found.append(_from_script(path))
    for text in peers:
        name, _, command = text.partition("=")
        if not command:
            raise SystemExit(f'--peer {text}: write NAME=COMMAND with {{listen}} and {{target}}')
        name, _, kind = name.partition(":")
        if kind == "wasm":
            words = ["node", CHROMIUM_CLIENT, os.path.abspath(command)]
            found.append(System(name, kind, "reference", command=shlex.join(words), jobs=["ready", "connect", "download", "request"]))
            continue
        if kind == "gateway":
            raise SystemExit("--peer: a gateway is configured by a script of bench/peers; copy the one that is nearest")
        role = "upstream" if name == "upstream" else "yardstick" if kind == "raw" else "websocket"
        found.append(System(name, kind or "ws", role, command=command))
    return in_order(found)
