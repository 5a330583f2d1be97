"""Cases, their contenders and targets; measured in turns, so that a busy moment meets all alike."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.processes import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_UNITS = {"ms": 1e3, "s": 1.0, "MB/s": 1e-6, "MB": 1e-6, "kB": 1e-3}


@dataclass(frozen=True)
class Contender:
    """One way to do what a case is about.

    Args:
        name: what the table calls it.
        measure: does it once and returns seconds, bytes per second or bytes.
        optional: if it fails it drops out, and the others go on.
    """

    name: str
    measure: Callable[[], float]
    optional: bool = False


@dataclass(frozen=True)
class Target:
    """What a ratio of medians has to be.

    Args:
        of: name of the contender that has to be fast.
        limit: the ratio: at most this; at least this if `at_least`.
        to: name of the contender it is compared with; empty: the limit is in the case's unit.
        at_least: more is better.
        added: the limit is on the difference, in the case's unit.
        demanded: whether claudy is to blame if it is missed; else it is there to compare with.
    """

    of: str
    limit: float
    to: str = ""
    at_least: bool = False
    added: bool = False
    demanded: bool = True


@dataclass(frozen=True)
class Case:
    """Something measured in one go.

    Args:
        title: what happens.
        contenders: who does it; in turns, each round begins with another one.
        targets: what is demanded.
        unit: `ms`, `s`, `MB/s`, `MB` or `kB`.
        rounds: how often each is measured.
        warm_up: rounds before that, which don't count.
    """

    title: str
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...] = ()
    unit: str = "ms"
    rounds: int = 20
    warm_up: int = 2


@dataclass(frozen=True)
class Row:
    """What one contender needed.

    Args:
        name: the contender.
        samples: every measured value, in the case's unit.
    """

    name: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the samples."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile."""
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        first, _, third = statistics.quantiles(self.samples, n=4, method="inclusive")
        return first, third


@dataclass(frozen=True)
class Verdict:
    """A target and what came out.

    Args:
        text: the comparison in words.
        value: the ratio, or the median where the target is an amount.
        limit: what was demanded.
        met: whether it was reached.
        demanded: whether it is a target of claudy's.
    """

    text: str
    value: float
    limit: float
    met: bool
    demanded: bool = True


@dataclass(frozen=True)
class Result:
    """A measured case.

    Args:
        section: the section it belongs to.
        title: what happened.
        unit: unit of the samples.
        rows: the contenders, the one that the others are compared with last or alone.
        verdicts: the targets.
        remark: why something is missing, if so.
    """

    section: str
    title: str
    unit: str
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...] = ()
    remark: str = ""


@dataclass
class Bench:
    """Measures cases and collects the results.

    Args:
        quick: few rounds, for a look; not for results.
    """

    quick: bool
    section: str = ""
    results: list[Result] = field(default_factory=list)

    def run(self, case: Case) -> Result:
        """Measure a case, in turns.

        One round may fail, as engines do now and then; that is left out, and said.

        Raises:
            Failed: another one did, too.
        """
        rounds = min(case.rounds, 4) if self.quick else case.rounds
        warm_up = min(case.warm_up, 1) if self.quick else case.warm_up
        say(f"{self.section}: {case.title} ({rounds} rounds of {len(case.contenders)})")
        factor = _UNITS[case.unit]
        samples: dict[str, list[float]] = {contender.name: [] for contender in case.contenders}
        remark = ""
        for number in range(warm_up + rounds):
            first = number % len(case.contenders)
            for contender in case.contenders[first:] + case.contenders[:first]:
                if contender.name not in samples:
                    continue
                try:
                    value = contender.measure()
                except Failed as error:
                    if not contender.optional:
                        if remark:
                            raise
                        remark = f"(a round of {contender.name} failed and is left out)"
                        say(f"{remark}: {str(error)[-300:]}")
                        continue
                    del samples[contender.name]
                    remark += f"({contender.name} failed: {str(error)[-200:]})"
                    say(remark)
                    continue
                if number >= warm_up:
                    samples[contender.name].append(value * factor)
        rows = tuple(Row(name, tuple(values)) for name, values in samples.items())
        return self.add(case, rows, remark)

    def add(self, case: Case, rows: Sequence[Row], remark: str = "") -> Result:
        """Judge what was measured and keep it."""
        there = {"", *(row.name for row in rows)}
        verdicts = tuple(
            judge(target, rows, case.unit)
            for target in case.targets
            if target.of in there and target.to in there
        )
        result = Result(self.section, case.title, case.unit, tuple(rows), verdicts, remark)
        self.results.append(result)
        return result

    def skip(self, title: str, why: str) -> None:
        """Note that something could not be measured."""
        say(f"{self.section}: {title}: not measured: {why}")
        self.results.append(Result(self.section, title, "", (), (), f"not measured: {why}"))


def judge(target: Target, rows: Sequence[Row], unit: str) -> Verdict:
    """Compare a target with what was measured."""
    medians = {row.name: row.median for row in rows}
    relation = "≥" if target.at_least else "≤"
    if target.added:
        value = medians[target.of] - medians[target.to]
        text = f"{target.of} {relation} {target.limit:g} {unit} more than {target.to}"
    elif target.to:
        value = medians[target.of] / medians[target.to]
        text = f"{target.of} {relation} {target.limit:g} x {target.to}"
    else:
        value = medians[target.of]
        text = f"{target.of} {relation} {target.limit:g} {unit}"
    met = value >= target.limit if target.at_least else value <= target.limit
    return Verdict(text, value, target.limit, met, target.demanded)


def say(text: str) -> None:
    """Tell who waits what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
