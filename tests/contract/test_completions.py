"""The completion scripts are those of the parser, and complete in the shells themselves."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from claudy.cli.shells.__main__ import generate
from tests.engines.plugin import do_without

ROOT = Path(__file__).parents[2]
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SET_UP = {
    "bash": "PS1='ready> '; source {root}/completions/claudy.bash",
    "zsh": (
        "PS1='ready> '; PROMPT_SP=; unsetopt zle_bracketed_paste;"
        " fpath=({root}/completions $fpath); autoload -Uz compinit; compinit -u -D"
    ),
    "fish": "function fish_prompt; echo -n 'ready> '; end; source {root}/completions/claudy.fish",
}
# What is typed before the tab, and the words that the command then gets.
CASES = {
    "a command": ("prun", ["prune"]),
    "a command behind options": ("-H unix:///x.sock prun", ["-H", "unix:///x.sock", "prune"]),
    "a directory": ("./sub", ["./sub ject"]),
    "a directory where commands could be": ("sub", ["sub ject"]),
    "a directory of run": ("run sub", ["run", "sub ject"]),
    "a directory of trust": ("trust sub", ["trust", "sub ject"]),
    "an option of run": ("--dry", ["--dry-run"]),
    "an option behind the directory": (". --read", [".", "--read-only"]),
    "an option of a command": ("prune --dry", ["prune", "--dry-run"]),
    "a choice": ("--docker gu", ["--docker", "guard"]),
    "a choice behind =": ("--docker=gu", ["--docker=guard"]),
    "a choice of another command": ("doctor --docker no", ["doctor", "--docker", "none"]),
    "a choice that is an argument": ("completion power", ["completion", "powershell"]),
    "a file": ("-v ./fil", ["-v", "./file.txt"]),
    "a command below a command": ("config sho", ["config", "show"]),
    "an option of that": ("config show --js", ["config", "show", "--json"]),
    "a setting": ("config set socket", ["config", "set", "socket_source"]),
    "a check": ("doctor bind", ["doctor", "bind-mount"]),
    "a second check": ("doctor dns bind", ["doctor", "dns", "bind-mount"]),
    "the command inside": ("-- claudy-insi", ["--", "claudy-inside"]),
    "a file of the command inside": (". -- cat fil", [".", "--", "cat", "file.txt"]),
}


@pytest.mark.parametrize("name", sorted(generate()))
def test_generated_files_are_those_of_the_parser(name: str) -> None:
    assert (ROOT / name).read_text() == generate()[name], "run: python -m claudy.cli.shells"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory to complete in, with a PATH whose `claudy` says what it was called with."""
    tools = tmp_path / "bin"
    tools.mkdir()
    programs = {
        "claudy": 'printf "got"; printf "<%s>" "$@"; printf "\\n"',
        "claudy-inside": "true",
        "python": f"echo python >> {tmp_path}/log",
    }
    for program in ("python3", f"python3.{sys.version_info[1]}"):
        programs[program] = programs["python"]
    for program, text in programs.items():
        (tools / program).write_text(f"#!/bin/sh\n{text}\n")
        (tools / program).chmod(0o755)
    work = tmp_path / "work"
    (work / "sub ject").mkdir(parents=True)
    (work / "file.txt").touch()
    return work


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, folder: Path) -> pexpect.spawn[str]:
    name = str(request.param)
    if shutil.which(name) is None:
        do_without(request.config, f"{name} is not installed")
    env = {
        "PATH": f"{folder.parent}/bin:{os.environ['PATH']}",
        "HOME": str(folder.parent),
        "TERM": "dumb" if name != "fish" else "xterm",
        "LANG": "C.UTF-8",
        "INPUTRC": "/dev/null",
    }
    child = pexpect.spawn(
        SHELLS[name][0],
        SHELLS[name][1:],
        cwd=str(folder),
        env=env,
        encoding="utf-8",
        timeout=30,
        dimensions=(50, 200),
    )
    child.delaybeforesend = None
    child.sendline(SET_UP[name].format(root=ROOT))
    child.sendline("echo set'-up-'done")
    child.expect_exact("set-up-done\r\n")
    return child


def test_tab_completes(shell: pexpect.spawn[str], folder: Path) -> None:
    wrong = []
    for what, (typed, words) in CASES.items():
        shell.send(f"claudy {typed}\t")
        shell.send("\r")
        shell.expect(r"got(<[^\r\n]*>)\r")
        assert isinstance(shell.match, re.Match)
        said = shell.match.group(1).replace("/>", ">")  # zsh takes the slash back
        expected = "".join(f"<{word}>" for word in words)
        if said != expected:
            wrong.append(f"{what}: claudy {typed}<TAB> gave {said}, not {expected}")
    shell.close(force=True)
    assert not wrong, "\n".join(wrong)
    assert not (folder.parent / "log").exists(), "completing has started Python"
