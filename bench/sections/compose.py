"""`docker compose up` of ten services, by the compose inside: behind the guard and without it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.measure import Case, Contender, Target
from bench.processes import Failed, output, run
from bench.stage import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Bench
    from bench.stage import Stage

_SERVICES = 10
_LIMIT = 1.1
GUARD, RAW = "docker compose up, guard", "docker compose up, raw socket"


def measure(bench: Bench, stage: Stage, guarded: str) -> None:
    """Measure in a guarded sandbox, and in one of another project that has the raw socket.

    Args:
        bench: collects.
        stage: with the guard.
        guarded: name of its running sandbox.
    """
    other = stage.using("host").at(stage.project("composed"))
    image = stage.engine.call("GET", f"/containers/{guarded}/json")["Config"]["Image"]
    service = {
        "image": image, "entrypoint": ["sleep"], "command": ["infinity"], "pull_policy": "never",
        "stop_grace_period": "0s",
    }  # fmt: skip
    described = {"services": {f"service{number}": service for number in range(_SERVICES)}}
    for place in (stage, other):
        file = f"{place.around.directory}/compose.json"
        with open(file, "w", encoding="utf-8") as opened:
            json.dump(described, opened)
    with running(other) as raw:
        contenders = (
            Contender(GUARD, _up(stage, guarded)),
            Contender(RAW, _up(other, raw)),
        )
        case = Case(
            f"compose up of {_SERVICES} services",
            contenders,
            (Target(GUARD, _LIMIT, RAW),),
            unit="s",
            rounds=5,
            warm_up=1,
        )
        try:
            bench.run(case)
        except Failed as error:
            bench.skip(case.title, str(error)[-300:])


def _up(stage: Stage, sandbox: str) -> Callable[[], float]:
    compose = ["docker", "exec", sandbox, "docker", "compose", "-f", "compose.json"]

    def measured() -> float:
        try:
            return run([*compose, "up", "--detach", "--quiet-pull"], stage.around)
        finally:
            output([*compose, "down", "--timeout=0"], stage.around)

    return measured
