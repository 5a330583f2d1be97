"""The project's sandbox is running: a further session in it; the `exec` of others beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measure import Case, Contender, Target
from bench.processes import run, to_prompt
from bench.sections import peers
from bench.sections.cold import claudy_true, option_of
from bench.stage import running

if TYPE_CHECKING:
    from bench.measure import Bench
    from bench.stage import Stage

EXEC, EXEC_TERMINAL = "docker exec", "docker exec -it"


def measure(bench: Bench, stage: Stage) -> None:
    """Measure a command and a shell against `docker exec`."""
    with running(stage) as name, peers.up(stage) as others:
        slow = [Target("claudy -- true", 0.25, o.name) for o in others if o.name == peers.EXEC]
        bench.run(
            Case(
                "a command: true",
                (claudy_true(stage), docker_exec(stage, name), *others),
                (Target("claudy -- true", 1.2, EXEC), *slow),
                rounds=40,
            )
        )
        optional = claudy_true(stage, *option_of(stage))
        bench.run(
            Case(
                "a command with an option: true",
                (optional, docker_exec(stage, name)),
                (Target(optional.name, 1.2, EXEC),),
                rounds=40,
            )
        )
        bash = ["docker", "exec", "-it", name, "bash"]
        bench.run(
            Case(
                "to the prompt",
                (
                    Contender(
                        "claudy", lambda: to_prompt([stage.claudy], stage.around, stage.prompt)
                    ),
                    Contender(EXEC_TERMINAL, lambda: to_prompt(bash, stage.around, stage.prompt)),
                ),
                (Target("claudy", 1.2, EXEC_TERMINAL),),
                rounds=40,
            )
        )


def docker_exec(stage: Stage, name: str) -> Contender:
    """Return `docker exec NAME true`."""
    return Contender(EXEC, lambda: run(["docker", "exec", name, "true"], stage.around))
