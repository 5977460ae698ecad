"""The process that runs cases: tests/browser/package/driver.mjs, in Node.js or with a page in Chromium. One JSON object a line, both ways."""

import json
import queue
import subprocess
import threading
import time

from .. import peers
from ..base import BROWSER, SLOW

LIMIT_S = 60 * SLOW
PATH = BROWSER / "package"


def listed():
    """The cases that there are."""
    done = subprocess.run([peers.need("node"), PATH / "driver.mjs", "list"], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


class Died(AssertionError):
    """The process ended, or did not answer in time."""


class Driver:
    def __init__(self, runtime, package, controls):
        self.runtime, self.controls, self.lock = runtime, controls, threading.Lock()
        self.process = subprocess.Popen([peers.need("node"), "--no-warnings", str(PATH / "driver.mjs"), runtime, str(package)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.news, self.errors = queue.Queue(), []
        self.readers = [threading.Thread(target=self.read, daemon=True), threading.Thread(target=self.read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            if "control" in message:
                threading.Thread(target=self.control, args=(message,), daemon=True).start()
            else:
                self.news.put(message)
        self.news.put(None)

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def control(self, message):
        try:
            reply = {"reply": message["id"], "value": getattr(self.controls, message["control"])(**message["with"])}
        except Exception as fault:  # the case hears of it, and fails
            reply = {"reply": message["id"], "fault": f"{message['control']}: {type(fault).__name__}: {fault}"}
        self.send(reply)

    def send(self, message):
        with self.lock:
            try:
                self.process.stdin.write(json.dumps(message) + "\n")
                self.process.stdin.flush()
            except (OSError, ValueError):
                pass  # it died: whoever waits for its answer hears of that

    def run(self, case, **more):
        """What the case found: None, or why it failed."""
        self.send({"run": case, "world": self.controls.world.describe()} | more)
        end = time.monotonic() + LIMIT_S
        try:
            answer = self.news.get(timeout=end - time.monotonic())
        except queue.Empty:
            self.kill()
            raise Died(f"{case}: no end after {LIMIT_S:.0f} s\n" + "".join(self.errors[-40:])) from None
        if answer is None:
            self.kill()
            raise Died(f"{case}: the driver ended\n" + "".join(self.errors[-40:]))
        return answer["failure"]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self):
        """Closes its browser, and itself."""
        if self.process.poll() is None:
            with self.lock:
                self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
