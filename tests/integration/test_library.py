"""libatls as another project has it: installed into a folder of its own, found by pkg-config, and used from C, C++ and elsewhere."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest


from harness.base import PROGRAM

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADERS = ROOT / "include/atls"

# One build of the library is enough: it is not the one that the sanitizers see.
pytestmark = pytest.mark.skipif("release" not in str(PROGRAM), reason="the library is looked at once, beside the release")


@pytest.fixture(scope="module", params=["shared", "static"])
def examples(request, installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "libatls"
    shutil.copytree(ROOT / "examples/libatls", folder)
    subprocess.run(["make", "CFLAGS=-Wall -Wextra -Werror", *(["STATIC=1"] if request.param == "static" else [])], cwd=folder, check=True,
                   timeout=300, env=os.environ | {"PKG_CONFIG_PATH": str(installed / "lib/pkgconfig")})
    linked = subprocess.run(["ldd", folder / "verify"], capture_output=True, text=True, check=True).stdout
    assert ("libatls" in linked) == (request.param == "shared"), linked
    return folder


def run(installed, *words, expect=0, data=b""):
    done = subprocess.run([str(w) for w in words], capture_output=True, timeout=60, input=data, check=False,
                          env=os.environ | {"LD_LIBRARY_PATH": str(installed / "lib")})
    assert done.returncode == expect, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    return done


def evidence(world):
    """A quote with its collateral and log, as files."""
    quote, collateral, log = (world.folder / name for name in ("quote.bin", "collateral.json", "log.json"))
    quote.write_bytes(world.run("atlas-sim", "quote", world.sim).stdout)
    world.run("atls", "collateral", "fetch", quote, "--pccs-url", f"http://127.0.0.1:{world.pccs}", "--output", collateral)
    return quote, collateral, log


def test_an_attested_get(world, installed, examples, bridge):
    world.start_tee()
    words = [examples / "get", "localhost", world.port, "/hello", world.sim / "policy.json", world.sim / "tls-ca.pem"]
    done = run(installed, *words)
    assert done.stdout.endswith(b"path /hello") and done.stderr == b"attested: UpToDate\n"
    one = bridge(f"localhost:{world.port}")
    assert run(installed, *words, "ws://%s:%d" % one.address).stdout.endswith(b"path /hello")


def test_an_engine_without_io(world, installed, examples):
    world.start_tee()
    request = b"GET /bytes/1000000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    words = [examples / "poll", "localhost", world.port]
    done = run(installed, *words, world.sim / "policy.json", world.sim / "tls-ca.pem", data=request)
    assert done.stdout.endswith(b"y" * 1_000_000)
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["os_image_hash"] = "00" * 32
    (world.folder / "other.json").write_text(json.dumps(policy))
    done = run(installed, *words, world.folder / "other.json", world.sim / "tls-ca.pem", data=request, expect=1)
    assert b"os_image_hash_mismatch" in done.stderr and done.stdout == b""


def test_a_quote_against_intel(world, installed, examples):
    """Genuine for the simulator's root alone."""
    quote, collateral, _ = evidence(world)
    done = run(installed, examples / "verify", quote, collateral, expect=1)
    assert b"crl_signature" in done.stderr


def test_what_can_be_seen_from_outside(installed):
    """The version script, the headers, and both libraries: the same names."""
    declared = set()
    for header in sorted(HEADERS.glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        declared |= set(re.findall(r"ATLS_(?:API|CHECKED)\s[^;#]*?\b(atls_\w+)\(", text))
    versioned = set(re.findall(r"^\t(atls_\w+);$", (ROOT / "src/libatls/libatls.map").read_text(encoding="utf-8"), re.MULTILINE))
    assert declared == versioned

    def names(path, *options):
        text = subprocess.run(["nm", "--defined-only", *options, path], capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"^\S+ [A-Z] (\S+)$", text, re.MULTILINE))

    shared = names(installed / "lib/libatls.so", "-D")
    assert shared == {f"{name}@@ATLS_1.0" for name in declared} | {"ATLS_1.0"}
    assert names(installed / "lib/libatls.a", "-g") == declared
    dynamic = subprocess.run(["readelf", "-d", installed / "lib/libatls.so"], capture_output=True, text=True, check=True).stdout
    assert "Library soname: [libatls.so.1]" in dynamic and "TEXTREL" not in dynamic


@pytest.mark.parametrize("compiler, language", [("gcc", "c99"), ("gcc", "c17"), ("g++", "c++11"), ("g++", "c++20")])
def test_headers_stand_alone(installed, tmp_path, compiler, language):
    """Each is enough for itself, in any C or C++ of this century."""
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    for header in sorted((installed / "include/atls").glob("*.h")):
        source = tmp_path / f"one{'.cc' if compiler == 'g++' else '.c'}"
        source.write_text(f"#include <atls/{header.name}>\n#include <atls/{header.name}>\nint main(void) {{ return 0; }}\n")
        subprocess.run([compiler, f"-std={language}", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", installed / "include", "-fsyntax-only",
                        source], check=True, timeout=60)


def test_an_older_caller_and_a_wrong_one(installed):
    """Structures tell their size: one that is shorter is an older header's, one that is too long or has none is refused."""
    library = ctypes.CDLL(str(installed / "lib/libatls.so"))
    out, error = ctypes.c_void_p(), ctypes.create_string_buffer(1024)
    library.atls_error_name.restype = ctypes.c_char_p
    for size in (0, 8, 4096):
        options = (ctypes.c_size_t * 1024)(size)
        code = library.atls_dial(options, ctypes.byref(out), error)
        assert library.atls_error_name(code) == b"policy" and b"ATLS_DIAL_OPTIONS_INIT" in error.raw and not out.value
    options = (ctypes.c_size_t * 1024)(16)
    library.atls_dial(options, ctypes.byref(out), error)
    assert b"dialling needs a host" in error.raw
