"""A machine, its bridge and its application, and what a case may do to them: each method of Controls is a word of world.control() in JavaScript."""

import hashlib
import json
import signal
import subprocess

from .. import certs
from ..attested import Agent, World
from ..base import BIN, eventually, free_port
from ..bridge import Bridge, http_get
from . import application
from .service import Service
from .strangers import ScriptedTee, TlsServer, lying_bridge, raw_server, stolen

# Whatever listens on this machine, for the servers that a case makes; names are those that nobody resolves.
ALLOWED = ["localhost:1-65535", "127.0.0.1:1-65535", "nowhere.test:443"]


class PackageWorld(World):
    """One for many cases. Each case leaves it as it found it, or Controls.settle() says what is left."""

    def __init__(self, folder, stack):
        super().__init__(folder, stack, application.Server())
        self.ca = certs.authority(folder, "suite authority")
        self.leaves = 0
        self.new_leaf()
        (self.sim / "tls-ca.pem").write_bytes(self.ca.cert.read_bytes())
        self.agent = Agent(folder / "agent.sock", self.sim / "dstack.sock")
        stack.callback(self.agent.close)
        self.service = Service(self.pccs)
        stack.callback(self.service.close)
        self.policy = json.loads((self.sim / "policy.json").read_text())
        self.policy["pccs_url"] = f"http://127.0.0.1:{self.service.server_port}"
        self.start_tee()
        self.bridge = None
        self.start_bridge()
        stack.callback(self.stop_bridge)
        self.controls = Controls(self)

    def new_leaf(self):
        """A certificate for localhost, in the place of the one before."""
        self.leaves += 1
        leaf = certs.server(self.folder, self.ca, "localhost", f"leaf-{self.leaves}")
        (self.sim / "tls-key.pem").write_bytes(leaf.key.read_bytes())
        (self.sim / "tls-cert.pem").write_bytes(leaf.cert.read_bytes())

    def start_tee(self, *options, **how):
        return super().start_tee(*options, provider=f"dstack:{self.folder}/agent.sock", **how)

    def start_bridge(self):
        port = self.bridge.port if self.bridge else 0
        self.bridge = Bridge(allow=ALLOWED, allow_patterns=True, listen=f"127.0.0.1:{port}")

    def stop_bridge(self):
        self.bridge.signal(signal.SIGCONT)
        self.bridge.stop()

    def describe(self):
        """What a case is told at its start."""
        return {
            "bridge": f"ws://127.0.0.1:{self.bridge.port}", "target": f"localhost:{self.port}", "port": self.port, "policy": self.policy,
            "ca": self.ca.cert.read_text(), "root": (self.sim / "root-cert.pem").read_text(), "pccs": self.policy["pccs_url"],
            "collateral": json.loads((self.sim / "collateral.json").read_text()),
        }


class Controls:
    def __init__(self, world):
        self.world = world
        self.strangers, self.tees, self.bridges, self.other_port = {}, [], {}, None

    def begin(self):
        self.world.service.reset()

    def settle(self):
        """After each case: nothing it made is left."""
        world = self.world
        world.service.reset()
        world.server.open()
        world.agent.release(*list(world.agent.held))
        for one in self.strangers.values():
            one.close()
        self.strangers.clear()
        for one in self.bridges.values():
            one.stop()
        self.bridges.clear()
        for one in self.tees:
            one.stop()
        self.tees.clear()
        if world.tee.process.poll() is not None:
            world.start_tee()
        if world.bridge.process.poll() is not None:
            world.start_bridge()
        world.bridge.signal(signal.SIGCONT)

    # --- the application ---

    def go(self, tag, count=1):
        self.world.server.note(tag, tokens=count)

    def wait(self, tag, name, least=1):
        return self.world.server.wait(tag, name, least)

    def note(self, tag):
        with self.world.server.news:
            note = self.world.server.notes[tag]
            return vars(note) | {"connections": len(note.connections), "seen": list(note.seen)}

    def digests(self, count):
        return application.digests(count)

    # --- the bridge ---

    def tunnels(self, count):
        """Waits until so many are there."""
        self.world.bridge.wait_tunnels(count)

    def tunnels_begun(self):
        return int(self.world.bridge.metrics().total("atlas_proxy_connects_total"))

    def bridge_kill(self):
        self.world.bridge.kill()

    def bridge_start(self):
        self.world.start_bridge()

    def bridge_stop(self):
        self.world.bridge.signal(signal.SIGSTOP)

    def bridge_continue(self):
        self.world.bridge.signal(signal.SIGCONT)

    def bridge_other(self, name="other", **options):
        """Another one, with options of its own; its URL."""
        one = Bridge(**({"allow": ALLOWED, "allow_patterns": True} | options))
        self.bridges[name] = one
        return f"ws://127.0.0.1:{one.port}"

    def bridge_with_token(self, token):
        file = self.world.folder / "tokens"
        file.write_text(hashlib.sha256(token.encode()).hexdigest() + "\n")
        return self.bridge_other(auth_token_file=file)

    def bridge_other_drain(self, name="other"):
        self.bridges[name].signal(signal.SIGTERM)

    # --- the endpoint ---

    def rotate(self):
        """Another certificate, measured and served."""
        before = len(self.world.tee.events("reloaded"))
        self.world.new_leaf()
        self.world.tee.hang_up(count=before + 1)

    def tee_stop(self):
        self.world.tee.stop()

    def tee_kill(self):
        self.world.tee.kill()

    def tee_start(self):
        self.world.start_tee()

    def tee_other(self, options):
        """Another endpoint of the same machine and certificate; its port."""
        first, port = self.world.tee, free_port()
        self.tees.append(self.world.start_tee(*options, port=port))
        self.world.tee, self.other_port = first, port
        return port

    def tee_other_port(self):
        """Of the one that the case has made already."""
        return self.other_port

    def hold_quotes(self):
        self.world.agent.hold("GetQuote")

    def release_quotes(self):
        self.world.agent.release("GetQuote")

    def quotes(self):
        return self.world.agent.calls.count("GetQuote")

    def wait_quotes(self, count):
        self.world.agent.wait("GetQuote", count)

    def answered(self, path):
        """How the endpoint's log tells of requests for a path, whoever made them."""
        return self.world.tee.events("request.answered", path=path)

    # --- Intel's service ---

    def service(self, lies=(), down=False, held=False):
        one = self.world.service
        with one.news:
            one.lies, one.down, one.held = list(lies), down, held
            one.news.notify_all()

    def asked(self, least=0):
        return self.world.service.wait(least)

    # --- servers that are something else ---

    def stranger(self, kind, **how):
        world = self.world
        if kind == "tls":
            one = TlsServer(self.certificate(how.get("certificate", "good")), how.get("answer", "").encode("latin-1"), how.get("version"),
                            how.get("alpn", ["http/1.1"]))
        elif kind == "tee":
            one = ScriptedTee(world.sim, world.folder, how)
        elif kind == "liar":
            one = lying_bridge(world, how)
        elif kind == "stolen":
            one = stolen(world)
        else:
            one = raw_server(how | {"kind": kind})
        self.strangers[one.port] = one
        return one.port

    def certificate(self, kind):
        folder, ca = self.world.folder, self.world.ca
        if kind == "good":
            return certs.server(folder, ca, "localhost", "stranger")
        if kind == "expired":
            return certs.server(folder, ca, "localhost", "expired", days=-1)
        if kind == "other-name":
            return certs.server(folder, ca, "other.test", sans=("DNS:other.test",))
        return certs.self_signed(folder, "nobody")

    def stranger_bytes(self, port, least=1):
        """Waits until that much has reached it."""
        one = self.strangers[port]
        peer = one.peer()
        eventually(lambda: peer.count >= least, "bytes at the stranger")
        return peer.count

    def stranger_gone(self, port):
        """Waits until its client has left."""
        self.strangers[port].peer().wait()

    def stranger_peers(self, port):
        return len(self.strangers[port].peers)

    def stranger_requests(self, port):
        one = self.strangers[port]
        return {"requests": one.requests, "connections": len(one.connections), "quotes": one.quotes} if isinstance(one, ScriptedTee) \
            else {"requests": one.requests}

    # --- evidence ---

    def quote(self, report_data="00" * 64, certificate=None, version=4):
        """A quote of this machine, its log, and the collateral that goes with it."""
        words = ["quote", self.world.sim, "--json", "--report-data", report_data, "--quote-version", version]
        if certificate:
            words += ["--certificate-sha256", certificate]
        made = json.loads(self.world.run("atlas-sim", *words).stdout)
        return {"quote": made["quote"], "event_log": made["event_log"],
                "collateral": json.loads(http_get(("127.0.0.1", self.world.pccs), "/collateral.json")[2])}

    def native(self, words, files):
        """atls with these words; files: name → text, for words that begin with "@"."""
        for name, text in files.items():
            (self.world.folder / f"case-{name}").write_text(text)
        done = subprocess.run([BIN / "atls", *[str(self.world.folder / f"case-{w[1:]}") if w.startswith("@") else w for w in words]],
                              capture_output=True, timeout=60, check=False)
        return {"status": done.returncode, "out": done.stdout.decode(), "err": done.stderr.decode()}


__all__ = ["Controls", "PackageWorld"]
