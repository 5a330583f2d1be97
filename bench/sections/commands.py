"""Commands that open no session: version, help, completion, ps, doctor, an idle build-image."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from bench.installed import TREE
from bench.measure import Case, Contender, Target
from bench.processes import Surroundings, Terminal, run
from bench.sections.cold import RUN, docker_true
from bench.stage import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.measure import Bench
    from bench.stage import Stage

BARE = "python -c pass"
# How each shell is started with nothing of the user's own, and told to complete claudy's words.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {file}; PS1='rea''dy>'"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "fpath=({folder} $fpath); autoload -U compinit; compinit -D -u; PROMPT='rea''dy>'",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        (
            "source {file}; set -g fish_autosuggestion_enabled 0; function fish_prompt;"
            " echo -n rea''dy\\>; end"
        ),
    ),
}
FILES = {"bash": "claudy.bash", "zsh": "_claudy", "fish": "claudy.fish"}


def measure(bench: Bench, stage: Stage) -> None:
    """Measure against a bare interpreter, and against docker where it has the same command."""
    bare = Contender(BARE, lambda: run([stage.python, "-c", "pass"], stage.around))
    bench.run(
        Case(
            "--version",
            (claudy(stage, "--version"), bare),
            (Target("claudy --version", 3.0, BARE),),
            rounds=40,
        )
    )
    with completing(bench, stage) as shells:
        if shells:
            targets = tuple(Target(shell.name, 3.0, BARE) for shell in shells)
            bench.run(Case("completion of a word", (*shells, bare), targets, rounds=40))
    bench.run(Case("--help", (claudy(stage, "--help"), bare, docker("--help", stage))))
    with running(stage):
        bench.run(Case("ps, one sandbox", (claudy(stage, "ps"), docker("ps", stage))))
    bench.run(
        Case(
            "doctor, where all is well",
            (claudy(stage, "doctor"), docker_true(stage)),
            (Target("claudy doctor", 4.0, RUN),),
            rounds=10,
        )
    )
    bench.run(Case("build-image, unchanged", (claudy(stage, "build-image"),), rounds=10))


def claudy(stage: Stage, *arguments: str) -> Contender:
    """Return a command of claudy."""
    argv = [stage.claudy, *arguments]
    return Contender(f"claudy {' '.join(arguments)}", lambda: run(argv, stage.around))


def docker(command: str, stage: Stage) -> Contender:
    """Return a command of docker."""
    return Contender(f"docker {command}", lambda: run(["docker", command], stage.around))


@contextlib.contextmanager
def completing(bench: Bench, stage: Stage) -> Iterator[list[Contender]]:
    """Have interactive shells in which the tabulator key completes claudy's words."""
    terminals: list[Terminal] = []
    contenders = []
    try:
        for shell, (argv, setting) in SHELLS.items():
            file = TREE / "completions" / FILES[shell]
            if not shutil.which(shell) or not file.is_file():
                why = f"no {shell} on this machine" if file.is_file() else f"no {file.name}"
                bench.skip(f"completion of a word in {shell}", why)
                continue
            path = f"{stage.programs}:{stage.around.env['PATH']}"
            around = Surroundings({**stage.around.env, "PATH": path}, stage.around.directory)
            terminal = Terminal(argv, around)
            terminals.append(terminal)
            terminal.type(setting.format(file=file, folder=file.parent).encode() + b"\r")
            terminal.expect(b"ready>")
            contenders.append(Contender(f"{shell}: claudy doc<TAB>", _tab(terminal)))
        yield contenders
    finally:
        for terminal in terminals:
            terminal.kill()


def _tab(terminal: Terminal) -> Callable[[], float]:
    """Return a measurement from the key to the completed word."""

    def measured() -> float:
        terminal.type(b"claudy doc")
        terminal.expect(b"doc")
        terminal.settle()
        began = terminal.type(b"\t")
        took = terminal.expect(b"tor") - began
        terminal.settle()
        terminal.type(b"\x15")  # empties the line
        terminal.settle()
        return took

    return measured
