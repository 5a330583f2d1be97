"""No sandbox is running: to the first prompt, and to the end of a command and of the sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.measure import Case, Contender, Target
from bench.processes import run, to_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Bench
    from bench.stage import Stage

RUN, RUN_TERMINAL = "docker run --rm", "docker run --rm -it"


def measure(bench: Bench, stage: Stage) -> None:
    """Measure both against the line that `claudy --dry-run` prints."""
    guarded = stage.around.env.get("CLAUDY_DOCKER") == "guard"
    bench.run(
        Case(
            "to the first prompt",
            (
                Contender("claudy", lambda: to_prompt([stage.claudy], stage.around, stage.prompt)),
                docker_prompt(stage),
            ),
            (Target("claudy", 1.1 if guarded else 1.0, RUN_TERMINAL),),
            rounds=30,
        )
    )
    bench.run(
        Case(
            "a command: true",
            (claudy_true(stage), docker_true(stage)),
            (Target("claudy -- true", 1.1 if guarded else 1.05, RUN),),
            rounds=30,
        )
    )
    optional = claudy_true(stage, *option_of(stage))
    bench.run(
        Case(
            "a command with an option: true",
            (optional, docker_true(stage)),
            (Target(optional.name, 1.1 if guarded else 1.05, RUN),),
            rounds=30,
        )
    )


def claudy_true(stage: Stage, *options: str) -> Contender:
    """Return `claudy OPTIONS -- true`."""
    words = [*options, "--", "true"]
    return Contender(
        " ".join(["claudy", *words]), lambda: run([stage.claudy, *words], stage.around)
    )


def option_of(stage: Stage) -> tuple[str, ...]:
    """Return an option that changes nothing."""
    return "--docker", stage.around.env["CLAUDY_DOCKER"]


def docker_true(stage: Stage) -> Contender:
    """Return the same by `docker run`."""
    line = stage.docker_line("--", "true")
    return Contender(RUN, _prepared(line, lambda: run(line, stage.around)))


def docker_prompt(stage: Stage) -> Contender:
    """Return a shell by `docker run -it`."""
    line = stage.docker_line(terminal=True)
    return Contender(
        RUN_TERMINAL, _prepared(line, lambda: to_prompt(line, stage.around, stage.prompt))
    )


def _prepared(line: list[str], measured: Callable[[], float]) -> Callable[[], float]:
    """Make the directories that docker would have to find there, before the clock runs.

    With the guard one of the mounts is a directory that only exists while a guard is running.
    """
    sources = [
        part.partition("=")[2]
        for word in line
        if word.startswith("--mount=type=bind,")
        for part in word.split(",")
        if part.startswith("source=")
    ]

    def run_prepared() -> float:
        for source in sources:
            if not os.path.exists(source):
                # As a launcher does: a guard that leaves late sees that it is in use.
                open(f"{source}.pid", "w", encoding="ascii").close()
                os.makedirs(source)
        return measured()

    return run_prepared
