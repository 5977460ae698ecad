"""Other people's programs, in front of the bridge and behind it."""

import pathlib
import shutil
import socket
import subprocess

import pytest

from .base import connectable, eventually

NGINX_STREAM = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def need(program):
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:/usr/local/go/bin")
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


class Peer:
    """A program that serves one port until we end it."""

    def __init__(self, argv, port, stdin=subprocess.DEVNULL, cwd=None):
        self.log = []
        self.process = subprocess.Popen([str(a) for a in argv], stdin=stdin, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, cwd=cwd)
        self.port = port
        try:
            eventually(self._up, f"{argv[0]} on port {port}")
        except BaseException:
            self.close()
            raise

    def _up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.process.args[0]} ended: {self.process.stderr.read().decode()}")
        return connectable(("127.0.0.1", self.port))

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def haproxy(folder, port, config):
    program = need("haproxy")
    path = pathlib.Path(folder) / f"haproxy-{port}.cfg"
    path.write_text("defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout tunnel 60s\n" + config)
    return Peer([program, "-db", "-q", "-f", path], port)


def nginx(folder, port, http="", stream=""):
    program = need("nginx")
    folder = pathlib.Path(folder) / f"nginx-{port}"
    folder.mkdir()
    modules = ""
    if stream:
        if not NGINX_STREAM.exists():
            pytest.skip("nginx has no stream module")
        modules = f"load_module {NGINX_STREAM};\n"
    temps = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"{modules}daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr warn;\nevents {{ }}\n"
        + (f"http {{\n  access_log off;\n{temps}{http}\n}}\n" if http else "")
        + (f"stream {{\n{stream}\n}}\n" if stream else ""))
    return Peer([program, "-p", folder, "-c", folder / "nginx.conf"], port)


def openssl_server(cert, port, *extra):
    program = need("openssl")
    return Peer([program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.cert, "-key", cert.key, "-quiet",
                 *extra], port, stdin=subprocess.PIPE)


def tcp_pair():
    """Two ends of one connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    listener.close()
    return near, far
