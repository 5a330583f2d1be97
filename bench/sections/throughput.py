"""How fast bytes go through a session, out and in."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Case, Contender, Target
from bench.processes import output, run
from bench.sections.warm import EXEC
from bench.stage import running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.measure import Bench
    from bench.stage import Stage

_BLOCK = 1 << 20


def measure(bench: Bench, stage: Stage) -> None:
    """Measure a large file in both directions against `docker exec`."""
    # So large that a session's start, which `warm` measures, is no part of the result.
    size = (64 if bench.quick else 1024) * _BLOCK
    big = Path(stage.around.directory) / "bigfile"
    digest = hashlib.sha256()
    with big.open("wb") as file:
        for _ in range(size // _BLOCK):
            block = os.urandom(_BLOCK)
            digest.update(block)
            file.write(block)
    with running(stage) as name:
        contenders = {
            "claudy": [stage.claudy, "--"],
            EXEC: ["docker", "exec", "-i", name],
        }
        for argv in contenders.values():
            _require_unharmed([*argv, "cat", "bigfile"], stage, digest.hexdigest())
        for title, measured in (("out: cat bigfile", _out), ("in: cat bigfile | sha256sum", _in)):
            bench.run(
                Case(
                    title,
                    tuple(
                        Contender(who, measured(argv, stage, big))
                        for who, argv in contenders.items()
                    ),
                    (Target("claudy", 0.95, EXEC, at_least=True),),
                    unit="MB/s",
                    rounds=12,
                    warm_up=1,
                )
            )
    big.unlink()


def _out(argv: Sequence[str], stage: Stage, big: Path) -> Callable[[], float]:
    size = big.stat().st_size
    return lambda: size / run([*argv, "cat", "bigfile"], stage.around)


def _in(argv: Sequence[str], stage: Stage, big: Path) -> Callable[[], float]:
    size = big.stat().st_size

    def measured() -> float:
        with subprocess.Popen(["cat", str(big)], stdout=subprocess.PIPE) as cat:
            assert cat.stdout is not None
            return size / run([*argv, "sha256sum"], stage.around, stdin=cat.stdout.fileno())

    return measured


def _require_unharmed(argv: Sequence[str], stage: Stage, digest: str) -> None:
    """Check that all bytes arrive, in both directions at once."""
    script = '"$@" | { sha256sum; cat >/dev/null; }'
    found = output(["sh", "-c", script, "sh", *argv], stage.around)
    assert found.split()[0] == digest, found
