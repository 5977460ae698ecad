"""Programs as tools, promise by promise: one gateway, a program for each."""

import base64
import json
import os
import re
import stat
import subprocess

import pytest

from harness.ati import ATI, Folder, Proxy, environment
from harness.base import PATIENCE
from test_ati_cli import KEY, KEYS, sealed

SHELL = 'handler = "cli"\ncli_command = "sh"\ncli_default_args = ["-c", \'\'\'{script}\'\'\', "sh"]\n{more}\n'
PROVIDER = '[provider]\nname = "{name}"\ndescription = "d"\n{body}'
WORDS = 'for a; do printf "[%s]" "$a"; done'
WRITES = 'for a; do case "$a" in *.ati-cli-out-*) printf x >"${a#*=}";; esac; printf "[%s]" "$a"; done'
POSITIONS = 'cli_output_args = ["-o", "--Out-File"]\n[provider.cli_output_positional]\n"page" = 0\n"page shot" = 1\n"far" = 3\n'
PROGRAMS = {
    "words": (WORDS, ""),
    "input": ('cat; echo done', ""),
    "says": ('printf %s "$1"', ""),
    "ends": ('printf %s "$2" >&2; exit "$1"', ""),
    "dies": ('kill -9 $$', ""),
    "environ": ('env', '[provider.cli_env]\nOWN = "own"\nLANG = "of the provider"\nTWICE = "${key}-${key}"\nPLAIN = "$HOME `id`"\n'),
    "missing": ("echo ran", '[provider.cli_env]\nA = "${nobody}"\n'),
    "missing_file": ("echo ran", '[provider.cli_env]\nA = "@{nobody}"\n'),
    "file": ('stat -c "%a %n" "$FILE"; ls "$(dirname "$FILE")"', '[provider.cli_env]\nFILE = "@{other}"\n'),
    "writes": (WRITES, POSITIONS),
}
# The variables of a generator win over those of its provider; the primary value has a name of its own.
MADE = SHELL.format(script="env", more='[provider.cli_env]\nBOTH = "of the provider"\nATI_AUTH_TOKEN = "of the provider"\n') + """
[provider.auth_generator]
type = "command"
command = "printf"
args = ['{"token": "made", "deep": {"er": "more"}, "n": 7}']
output_format = "json"
[provider.auth_generator.inject."deep.er"]
type = "env"
name = "BOTH"
[provider.auth_generator.inject.token]
type = "query"
name = "ignored"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("programs")
    (path / "scratch").mkdir()
    (path / "locked").write_text("#!/bin/sh\n")
    manifests = {name: PROVIDER.format(name=name, body=SHELL.format(script=script, more=more)) for name, (script, more) in PROGRAMS.items()}
    for name, command in (("nowhere", "/no/such/program"), ("unknown", "no-such-program"), ("locked", path / "locked")):
        manifests[name] = PROVIDER.format(name=name, body=f'handler = "cli"\ncli_command = "{command}"\n')
    manifests["made"] = PROVIDER.format(name="made", body=MADE)
    folder = Folder(path / "ati", manifests, {**KEYS, "other": "kept in a file"}, TMPDIR=str(path / "scratch"), UNTOLD="x", USER="somebody", TERM="dumb", LANG="C")
    with Proxy(folder) as proxy:
        proxy.scratch = path / "scratch"
        yield proxy


def result(proxy, name, *words):
    status, told = proxy.call(name, raw_args=list(words))
    assert status == 200, told
    return told["result"]


def failure(proxy, name, *words):
    status, told = proxy.call(name, raw_args=list(words))
    assert (status, told["result"]) == (502, None), told
    return told["error"].removeprefix("CLI error: ")


# --- what a program gets --------------------------------------------------------------------------


def test_words_stand_as_they_are(place):
    words = ["$HOME", "`id`", "a b", "*", "; rm -rf x", "", "--", "-x", "ü", "\n"]
    assert result(place, "words", *words) == "".join(f"[{word}]" for word in words).strip()


def test_there_is_nothing_to_read(tmp_path):
    """Also where the command line itself has something."""
    script, more = PROGRAMS["input"]
    folder = Folder(tmp_path, {"input": PROVIDER.format(name="input", body=SHELL.format(script=script, more=more))})
    done = subprocess.run([ATI, "run", "input"], env=environment(tmp_path), input="what was piped in", capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert folder and done.stdout == '"done"\n'


def test_the_variables_of_a_program(place):
    told = dict(line.split("=", 1) for line in result(place, "environ").splitlines() if "=" in line)
    assert set(told) - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "TMPDIR", "LANG", "USER", "TERM", "OWN", "TWICE", "PLAIN"}  # a shell makes the first few
    assert (told["OWN"], told["LANG"], told["PLAIN"], told["USER"]) == ("own", "of the provider", "$HOME `id`", "somebody")
    assert told["TWICE"] == "[redacted]-[redacted]" and told["HOME"] == str(place.folder.path)


def test_the_variables_of_a_generator_win(place):
    told = result(place, "made").splitlines()
    assert "BOTH=more" in told and "ATI_AUTH_TOKEN=made" in told and "ignored" not in "".join(told)


def test_a_key_in_a_file(place):
    folder = place.folder.path / ".creds"
    for _ in range(2):
        assert result(place, "file").splitlines() == [f"600 {folder}/other", "other"]
    assert (folder / "other").read_text() == "kept in a file" and stat.S_IMODE(folder.stat().st_mode) == 0o700
    os.chmod(folder / "other", 0o644)
    (folder / "other").write_text("of somebody else")
    result(place, "file")
    assert (folder / "other").read_text() == "kept in a file" and stat.S_IMODE((folder / "other").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["missing", "missing_file"])
def test_a_key_that_is_not_there(place, name):
    assert failure(place, name) == "Missing keyring key: nobody"


# --- what comes of it -----------------------------------------------------------------------------


@pytest.mark.parametrize("printed, value", [
    ('{"b": 1.50, "a": 2}', b'{"b":1.50,"a":2}'), (" [1]\n", b"[1]"), ("text \n\n", b'"text"'), ("", b'""'), ("  \n", b'""'), ("12345678901234567890", b"12345678901234567890"),
    ("two\nlines", b'"two\\nlines"'), ("{broken", b'"{broken"')])
def test_what_is_printed_is_json_or_a_text(place, printed, value):
    assert place.ask("POST", "/call", {"tool_name": "says", "raw_args": [printed]})[2] == b'{"result":' + value + b"}"


@pytest.mark.parametrize("status, said", [("1", "no\n"), ("3", ""), ("255", "two\nlines")])
def test_a_program_that_fails(place, status, said):
    assert failure(place, "ends", status, said) == f"CLI exited with code {status}: {said}"


def test_a_program_that_is_killed_has_no_code(place):
    assert failure(place, "dies") == "CLI exited with code -1: "


@pytest.mark.parametrize("name, why", [("nowhere", "/no/such/program: No such file or directory"), ("unknown", "no-such-program: No such file or directory"),
                                       ("locked", "{folder}/locked: Permission denied")])
def test_programs_that_do_not_start(place, name, why):
    assert failure(place, name).startswith("Failed to spawn CLI process: " + why.format(folder=place.folder.path.parent))


def test_a_program_that_is_being_written_is_tried_again(tmp_path):
    """Busy for as long as somebody has it open for writing: told when it stays so."""
    program = tmp_path / "busy"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    folder = Folder(tmp_path / "ati", {"busy": PROVIDER.format(name="busy", body=f'handler = "cli"\ncli_command = "{program}"\n')})
    with open(program, "a", encoding="utf-8"):
        done = folder.run("run", "busy")
        assert json.loads(done.stderr.splitlines()[-1])["error"]["message"].startswith(f"Failed to spawn CLI process: {program}: Text file busy")
    assert folder.run("run", "busy").stdout == '"ran"\n'


# --- files that it writes -------------------------------------------------------------------------


@pytest.mark.parametrize("words, paths", [
    (["-o", "a.txt"], ["a.txt"]), (["-O", "a.txt"], ["a.txt"]), (["--OUT-FILE", "/x/a"], ["/x/a"]), (["--out-file=b.c/d.tar.gz"], ["b.c/d.tar.gz"]),
    (["-o=a.txt"], ["a.txt"]), (["-o", "a", "--out-file", "b"], ["a", "b"]),
    (["page", "one.png", "two.png"], ["one.png"]), (["page", "shot", "one.png", "two.png"], ["two.png"]),  # the longest prefix
    (["-v", "page", "--full", "shot", "one", "-x", "two"], ["two"]), (["page", "-o", "o", "one"], ["o", "one"]),
    (["shot", "page", "x"], []), (["page"], []), (["far", "1", "2", "3"], []), (["far", "1", "2", "3", "4"], ["4"]), (["-o"], []), ([], []), (["--out-file="], []), (["-oo", "a"], []),
], ids=" ".join)
def test_which_words_are_paths_of_outputs(place, words, paths):
    told = result(place, "writes", *words)
    if not paths:
        assert told == "".join(f"[{word}]" for word in words)  # as every program
        return
    assert sorted(told["outputs"]) == sorted(paths) and list(told) == ["stdout", "outputs"]
    kept, moved = words[:], re.findall(r"\[([^]]*)\]", told["stdout"])
    for was, now in zip(kept, moved):
        if was != now:
            place_of = re.fullmatch(r"(--?[\w-]+=)?(.*)/\.ati-cli-out-(\d+)-([0-9a-f]{16})(\.\w+)?", now)
            assert place_of and place_of[2] == str(place.scratch) and int(place_of[3]) == place.process.pid
            assert (place_of[5] or "") == (re.search(r"\.\w+$", was.rpartition("/")[2]) or [""])[0]
    assert sum(was != now for was, now in zip(kept, moved)) == len(paths)
    for one in told["outputs"].values():
        assert list(one) == ["content_base64", "content_type", "size_bytes"] and (base64.b64decode(one["content_base64"]), one["size_bytes"]) == (b"x", 1)
    assert not [path for path in place.scratch.iterdir() if path.name.startswith(".ati-")]


def test_one_path_twice_is_one_file(place):
    told = result(place, "writes", "-o", "a", "-o", "a")
    assert list(told["outputs"]) == ["a"] and len(set(re.findall(r"/\.ati-cli-out-\S+?\]", told["stdout"]))) == 1


def test_a_credential_of_one_call_is_overwritten_before_it_goes(tmp_path, stack):
    """Seen through another name of the same file."""
    key = os.urandom(32)
    body = SHELL.format(script='ln "$F" "$LINK"; cat "$F" | wc -c; ls "$(dirname "$F")"', more=f'[provider.cli_env]\nF = "@{{key}}"\nLINK = "{tmp_path}/link"\n')
    folder = Folder(tmp_path / "ati", {"c": PROVIDER.format(name="c", body=body)})
    sealed(folder, KEYS, key)
    (tmp_path / "sealed").write_text(base64.b64encode(key).decode())
    proxy = stack.enter_context(Proxy(folder, ATI_KEY_FILE=str(tmp_path / "sealed")))
    size, name = result(proxy, "c").split("\n")
    assert int(size) == len(KEY) and re.fullmatch(r"key_[0-9a-f]{16}", name)
    assert (tmp_path / "link").read_bytes() == bytes(len(KEY)) and not list((folder.path / ".creds").iterdir())
