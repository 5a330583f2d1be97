"""A check, its outcome and the report of a run: data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.doctor.context import Context
    from claudy.host.finding import Finding

SCHEMA = 1
OK, WARN, FAIL, SKIP, CRASH = "ok", "warn", "fail", "skip", "crash"


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        status: `ok`, `warn`, `fail`, `skip` or `crash`.
        seen: what was seen, one line.
        why: why it matters, empty where that is plain.
        finding: what is wrong and its remedy, for `warn` and `fail`.
        data: for programs, part of the JSON.
    """

    status: str
    seen: str
    why: str = ""
    finding: Finding | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One thing to prove.

    Args:
        id: stable name.
        title: what it proves, a few words.
        run: the check itself; may raise ClaudyError, which is a failure.
        needs: ids of the checks that must not have failed before.
        timeout: seconds.
    """

    id: str
    title: str
    run: Callable[[Context], Outcome]
    needs: tuple[str, ...] = ()
    timeout: float = 8.0


@dataclass(frozen=True)
class Result:
    """A check that has been run.

    Args:
        check: which.
        outcome: what it found.
        seconds: how long it took.
    """

    check: Check
    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class Report:
    """A whole run.

    Args:
        results: in the order of the catalogue.
        seconds: wall time.
    """

    results: tuple[Result, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing failed or crashed."""
        return all(result.outcome.status not in {FAIL, CRASH} for result in self.results)

    def counts(self) -> dict[str, int]:
        """Return how many checks have each status."""
        return {
            status: sum(result.outcome.status == status for result in self.results)
            for status in (OK, WARN, FAIL, CRASH, SKIP)
        }


@dataclass(frozen=True)
class Change:
    """How a check's status differs between two runs.

    Args:
        id: the check.
        before: its status in the first run, empty if it was not run.
        after: its status in the second.
    """

    id: str
    before: str
    after: str


def changes(before: Report, after: Report) -> tuple[Change, ...]:
    """Return what changed between two runs.

    Args:
        before: the run before the fixes.
        after: the run after them.
    """
    old = {result.check.id: result.outcome.status for result in before.results}
    return tuple(
        Change(result.check.id, old.get(result.check.id, ""), result.outcome.status)
        for result in after.results
        if old.get(result.check.id, "") != result.outcome.status
    )


def ok(seen: str, why: str = "", **data: Any) -> Outcome:
    """Return that all is well."""
    return Outcome(OK, seen, why, data=data)


def warn(finding: Finding, why: str = "", **data: Any) -> Outcome:
    """Return that something deserves attention, but claudy works."""
    return Outcome(WARN, finding.message, why, finding, data)


def fail(finding: Finding, why: str = "", **data: Any) -> Outcome:
    """Return that claudy can't work like this."""
    return Outcome(FAIL, finding.message, why, finding, data)


def skip(reason: str) -> Outcome:
    """Return that there was nothing to check."""
    return Outcome(SKIP, reason)
