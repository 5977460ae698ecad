"""`ati` with a person in front of it: interrupts, progress, colours, completion."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from harness.ati import ATI, Upstream, environment
from harness.base import PATIENCE, eventually
from harness.cli import LISTER, NOWHERE, TOOLS, commands, program


# --- a person in front of it ---------------------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_call_and_its_children(folder, tmp_path):
    mark = tmp_path / "child"
    command = program(tmp_path / "slow", f"echo $$ >{mark}.new; mv {mark}.new {mark}; exec sleep 600\n")
    folder.manifest("slow", LISTER.format(command=command))
    with subprocess.Popen([ATI, "run", "lister"], env=environment(folder.path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, start_new_session=True) as running:
        eventually(mark.exists, "the child")
        child = int(mark.read_text())
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 130 and not out and "Sanitizer" not in err
        eventually(lambda: not pathlib.Path(f"/proc/{child}").exists(), "the child's end")
    (line,) = [json.loads(text) for text in (folder.path / "audit.jsonl").read_text().splitlines()]
    assert (line["status"], line["error"]) == ("error", "interrupted")


def test_who_holds_keys_leaves_no_core(folder, tmp_path):
    mark = tmp_path / "child"
    command = program(tmp_path / "slow", f"ulimit -c >{mark}.new; echo $PPID >>{mark}.new; mv {mark}.new {mark}; exec sleep 600\n")
    folder.manifest("slow", LISTER.format(command=command))
    with subprocess.Popen([ATI, "run", "lister"], env=environment(folder.path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        eventually(mark.exists, "the child")
        limit, parent = mark.read_text().split()
        assert limit == "0" and int(parent) == running.pid
        assert "Max core file size        0                    0" in pathlib.Path(f"/proc/{running.pid}/limits").read_text()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE)


def test_ctrl_c_leaves_the_proxy(folder, stack):
    def never(_):
        time.sleep(PATIENCE)
        return 200, {}, b"{}"

    there = stack.enter_context(Upstream(never))
    with subprocess.Popen([ATI, "run", "x"], env=environment(folder.path, {"ATI_PROXY_URL": there.url}), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as running:
        there.until_asked(1)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 143 and not out and not err


def on_terminal(words, env, until):
    """What a terminal shows; until(text) says when it is enough, then the program is interrupted."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(ATI, [str(ATI), *words], env)
    seen, end = b"", time.monotonic() + PATIENCE
    while time.monotonic() < end and not until(seen):
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
    os.kill(pid, signal.SIGINT)
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        seen += piece
        if not piece:
            break
    os.close(terminal)
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_is_told_that_it_takes_long(folder, tmp_path):
    folder.manifest("slow", LISTER.format(command=program(tmp_path / "slow", "exec sleep 600\n")))
    seen, status = on_terminal(["run", "lister"], environment(folder.path), lambda seen: b"lister \xe2\x80\xa6 1 s" in seen)
    assert "lister … 1 s" in seen and status == 130
    assert seen.endswith("\r\033[K")


def test_a_terminal_has_colours_unless_it_says_no(folder):
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        seen, status = on_terminal(["run", "nobody"], environment(folder.path, {"ATI_PROXY_URL": NOWHERE, **more}),
                                   lambda seen: b'{"error"' in seen)
        assert ("\033[31mERROR" in seen) == coloured and status == 1


def test_what_a_tool_says_does_not_move_the_cursor(folder, proxy):
    there = proxy("a\033]0;t\a\u009b2Jb\x7f\tä\n")
    seen, status = on_terminal(["--output", "text", "run", "x"], environment(folder.path, {"ATI_PROXY_URL": there.url}), lambda seen: b"\n" in seen)
    assert "a\ufffd]0;t\ufffd\ufffd2Jb\ufffd\tä\r\n" in seen.replace("        ", "\t") and "\a" not in seen
    raw = folder.run("--output", "text", "run", "x", ATI_PROXY_URL=there.url).stdout
    assert raw == "a\033]0;t\a\u009b2Jb\x7f\tä\n\n"


# --- completion ----------------------------------------------------------------------------------------------------------------------------


def complete(folder, script, line, **more):
    """bash's replies at the end of line."""
    code = (f"source {script}; COMP_LINE=$1 COMP_POINT=${{#1}}; COMP_WORDS=(); _ati; "
            'for reply in "${COMPREPLY[@]}"; do printf "%s\\n" "$reply"; done')
    env = environment(folder.path, {**more, "PATH": f"{ATI.parent}:{os.environ['PATH']}"})
    done = subprocess.run(["bash", "--norc", "-c", code, "bash", line], env=env, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


def test_bash_completes_commands_flags_choices_and_tools(folder, proxy, tmp_path):
    script = tmp_path / "ati.bash"
    script.write_text(folder.run("completion", "bash").stdout)
    for words in commands(folder):
        text = folder.run(*words, "--help").stdout
        line = " ".join(("ati", *words))
        flags = set(re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.MULTILINE))
        assert flags == {flag for flag in complete(folder, script, line + " -") if flag.startswith("--")}, line
    assert "tool" in complete(folder, script, "ati to") and "tools" in complete(folder, script, "ati to")
    assert complete(folder, script, "ati --output text tools sea") == ["search"]
    assert complete(folder, script, "ati --output t") == ["table", "text"]
    assert complete(folder, script, "ati tool --format=") == ["json", "table", "text"]
    assert complete(folder, script, "ati proxy --sig-verify-mode ") == ["log", "warn", "enforce"]
    there = proxy(get_tools=(200, json.dumps(TOOLS)))
    assert complete(folder, script, "ati run ", ATI_PROXY_URL=there.url) == ["github:search", "x"]
    # Behind a ':' readline wants the rest of the word alone.
    assert complete(folder, script, "ati tool info github:", ATI_PROXY_URL=there.url) == ["search"]
    assert complete(folder, script, "ati run x -", ATI_PROXY_URL=there.url)


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_scripts_are_sound(folder, tmp_path, shell, check):
    done = folder.run("completion", shell)
    assert done.returncode == 0 and not done.stderr and done.stdout
    assert not (folder.path / "config.toml").exists()
    script = tmp_path / "script"
    script.write_text(done.stdout)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not here")
    subprocess.run([*check, script], check=True, capture_output=True, text=True, timeout=PATIENCE)


def test_fish_completes(folder, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not here")
    script = tmp_path / "ati.fish"
    script.write_text(folder.run("completion", "fish").stdout)
    env = environment(folder.path, {"PATH": f"{ATI.parent}:{os.environ['PATH']}"})

    def replies(line):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], env=env, capture_output=True,
                              text=True, timeout=PATIENCE, check=True)
        return [reply.partition("\t")[0] for reply in done.stdout.splitlines()]

    assert replies("ati too") == ["tool", "tools"]
    assert replies("ati tools se") == ["search"]
    assert replies("ati --output json tool list --prov") == ["--provider"]
    assert replies("ati proxy --sig-verify-mode w") == ["warn"]


def test_zsh_completes(folder, tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not here")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_ati").write_text(folder.run("completion", "zsh").stdout)
    env = environment(folder.path, {"PATH": f"{ATI.parent}:{os.environ['PATH']}", "TERM": "dumb"})
    start = f"fpath=({tmp_path}/functions $fpath); autoload -U compinit; compinit -u -D; unsetopt beep; PROMPT='ready> '\n"
    steps = [(start, "\rready> "), ("ati tools se\t", "ati tools search"), ("\x15ati proxy --sig-verify-mode e\t", "mode enforce"),
             ("\x15ati --output=te\t", "--output=text"), ("\x15ati tool list --prov\t", "--provider"), ("\x15exit\n", "")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], env)
    try:
        for typed, expected in steps:
            os.write(terminal, typed.encode())
            seen, end = b"", time.monotonic() + PATIENCE
            while expected not in seen.decode("utf-8", "replace"):
                assert time.monotonic() < end, (typed, seen)
                if select.select([terminal], [], [], 0.1)[0]:
                    seen += os.read(terminal, 4096)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(pid, 0)
