"""What a session keeps in memory: all processes on this side, however they were started."""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Case, Contender, Row, Target
from bench.processes import Surroundings, on_terminal
from bench.sections.cold import RUN_TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.measure import Bench
    from bench.stage import Stage

_MARK = "BENCH_MARK"


@dataclass(frozen=True)
class Usage:
    """Memory of a session's processes.

    Args:
        peak: sum of each one's highest resident size, bytes: shared pages count in each.
        share: sum of the proportional sizes at the end of the session, bytes.
    """

    peak: int
    share: int


def measure(bench: Bench, stage: Stage) -> None:
    """Measure a session in which a lot was printed, against `docker run -it`."""
    if not Path("/proc/self/smaps_rollup").exists():
        bench.skip("memory of a session", "needs /proc")
        return
    line = stage.docker_line(terminal=True)
    for word in line:
        if word.startswith("--mount=type=bind,source=") and "@guard" in word:
            Path(word.split(",")[1].removeprefix("source=")).mkdir(parents=True, exist_ok=True)
    used: dict[str, list[Usage]] = {"claudy": [], RUN_TERMINAL: []}

    def of(name: str, argv: Sequence[str]) -> Contender:
        def measured() -> float:
            usage = _session(stage, argv)
            used[name].append(usage)
            return float(usage.peak)

        return Contender(name, measured)

    peak = Case(
        "peak resident memory, summed over a session's processes",
        (of("claudy", [stage.claudy]), of(RUN_TERMINAL, line)),
        (Target("claudy", 40.0),),
        unit="MB",
        rounds=5,
        warm_up=0,
    )
    bench.run(peak)
    shares = [Row(name, tuple(one.share / 1e6 for one in all_)) for name, all_ in used.items()]
    bench.add(replace(peak, title="proportional share (PSS) at its end"), shares)


def _session(stage: Stage, argv: Sequence[str]) -> Usage:
    """Open a shell, print much, and look at every process that has the session's mark."""
    mark = secrets.token_hex(8)
    around = Surroundings({**stage.around.env, _MARK: mark}, stage.around.directory)
    with on_terminal(argv, around) as terminal:
        terminal.expect(stage.prompt)
        terminal.type(b"seq 1 300000; echo do''ne\r")
        terminal.expect(b"done")
        terminal.expect(stage.prompt)
        processes = list(_marked(mark))
        usage = Usage(
            sum(_field(process / "status", "VmHWM") for process in processes),
            sum(_field(process / "smaps_rollup", "Pss") for process in processes),
        )
        terminal.type(b"exit\r")
        terminal.end()
    until = time.monotonic() + 10
    while any(_marked(mark)) and time.monotonic() < until:
        time.sleep(0.02)
    return usage


def _marked(mark: str) -> Iterator[Path]:
    """Yield the processes that were started with a session's mark in their environment."""
    wanted = f"{_MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                yield process


def _field(file: Path, name: str) -> int:
    """Return a field in kB of a file in /proc, as bytes."""
    for line in file.read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{file} has no {name}")
