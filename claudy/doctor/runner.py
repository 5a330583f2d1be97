"""Run checks: dependencies first, independent ones side by side, each in its own time.

A check runs in a thread that nobody waits for longer than the check's time-out; threads are
daemons, so that one which hangs can't keep claudy from ending.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claudy.doctor.model import CRASH, FAIL, SKIP, Check, Outcome, Report, Result
from claudy.errors import ClaudyError
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from claudy.doctor.context import Context


@dataclass
class _Running:
    """A check that was started."""

    check: Check
    started: float


def selected(checks: Sequence[Check], ids: Iterable[str]) -> tuple[Check, ...]:
    """Return the named checks with all they need, in the order of the catalogue; all for no names.

    Args:
        checks: the catalogue.
        ids: names; must be in the catalogue.
    """
    by_id = {check.id: check for check in checks}
    wanted: set[str] = set()
    todo = list(ids)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += by_id[name].needs
    return tuple(check for check in checks if not wanted or check.id in wanted)


def run_checks(
    checks: Sequence[Check],
    context: Context,
    *,
    clock: Callable[[], float] = time.monotonic,
    on_result: Callable[[Result], None] = lambda _result: None,
) -> Report:
    """Run checks and return what they found.

    Args:
        checks: what to run; whatever one needs must be among them and before it.
        context: what they look at.
        clock: time in seconds.
        on_result: told each result, in the order of the catalogue.
    """
    begun = clock()
    waiting = list(checks)
    running: dict[str, _Running] = {}
    results: dict[str, Result] = {}
    blocked: set[str] = set()
    done: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
    told = 0
    while len(results) < len(checks):
        for check in list(waiting):
            missing = [need for need in check.needs if need not in results]
            if missing:
                continue
            waiting.remove(check)
            broken = _broken(check, results, blocked)
            if broken:
                blocked.add(check.id)
                results[check.id] = Result(check, _blocked(broken), 0.0)
                continue
            running[check.id] = _Running(check, clock())
            threading.Thread(
                target=_work, args=(check, context, done), name=check.id, daemon=True
            ).start()
        if running:
            _collect(running, results, done, clock)
        while told < len(checks) and checks[told].id in results:
            on_result(results[checks[told].id])
            told += 1
    return Report(tuple(results[check.id] for check in checks), clock() - begun)


def _blocked(need: str) -> Outcome:
    """Return the outcome of a check that was not run, because of another one."""
    return Outcome(SKIP, f"needs {need}", data={"needs": need})


def _broken(check: Check, results: dict[str, Result], blocked: set[str]) -> str:
    """Return the first need of a check that does not hold; having nothing to check is no fault."""
    for need in check.needs:
        if need in blocked or results[need].outcome.status in {FAIL, CRASH}:
            return need
    return ""


def _work(check: Check, context: Context, done: queue.SimpleQueue[tuple[str, Outcome]]) -> None:
    """Run one check in its thread; whatever it raises becomes its outcome."""
    try:
        outcome = check.run(context)
    except ClaudyError as error:
        finding = Finding(error.code, error.message, error.hint)
        outcome = Outcome(FAIL, error.message, finding=finding)
    except Exception as error:  # noqa: BLE001 - a crash of one check is not the doctor's
        outcome = Outcome(
            CRASH,
            f"the check itself failed: {type(error).__name__}: {error}",
            data={"traceback": traceback.format_exc()},
        )
    done.put((check.id, outcome))


def _collect(
    running: dict[str, _Running],
    results: dict[str, Result],
    done: queue.SimpleQueue[tuple[str, Outcome]],
    clock: Callable[[], float],
) -> None:
    """Wait for the next result, or for the next check to be late."""
    patience = min(entry.started + entry.check.timeout for entry in running.values()) - clock()
    try:
        name, outcome = done.get(timeout=max(0.0, patience))
    except queue.Empty:
        now = clock()
        for name, entry in list(running.items()):
            if now - entry.started >= entry.check.timeout:
                del running[name]
                results[name] = Result(entry.check, _late(entry.check), now - entry.started)
        return
    if name in running:  # else it was late and has been reported
        entry = running.pop(name)
        results[name] = Result(entry.check, outcome, clock() - entry.started)


def _late(check: Check) -> Outcome:
    """Return the outcome of a check that did not end in time."""
    message = f"No answer within {check.timeout:g} s."
    return Outcome(
        FAIL, message, finding=Finding("check-timeout", message, "claudy doctor --debug")
    )
