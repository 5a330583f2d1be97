"""Order, side by side, time-outs and crashes of checks."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from claudy.doctor.checks import CHECKS
from claudy.doctor.context import Context, Question
from claudy.doctor.fixes import FIXES
from claudy.doctor.model import Check, Outcome, Report, Result, changes, fail, ok, skip, warn
from claudy.doctor.runner import run_checks, selected
from claudy.errors import EngineError
from claudy.host.finding import Finding, this_host

if TYPE_CHECKING:
    from collections.abc import Callable

FINDING = Finding("broken", "It is broken.", "mend it")


def context() -> Context:
    return Context(Question(this_host(os.environ), ".", {}))


def check(
    name: str, outcome: Outcome | Callable[[], Outcome], *needs: str, timeout: float = 30
) -> Check:
    def run(_: Context) -> Outcome:
        return outcome if isinstance(outcome, Outcome) else outcome()

    return Check(name, name.title(), run, needs, timeout)


def statuses(report: Report) -> dict[str, str]:
    return {result.check.id: result.outcome.status for result in report.results}


def run(*checks: Check) -> Report:
    return run_checks(checks, context())


def test_all_kinds_of_outcome() -> None:
    report = run(
        check("a", ok("x")), check("b", warn(FINDING)), check("c", fail(FINDING)),
        check("d", skip("x")),
    )  # fmt: skip
    assert statuses(report) == {"a": "ok", "b": "warn", "c": "fail", "d": "skip"}
    assert report.counts() == {"ok": 1, "warn": 1, "fail": 1, "crash": 0, "skip": 1}
    assert not report.ok


def test_warnings_and_skips_are_fine() -> None:
    assert run(check("a", warn(FINDING)), check("b", skip("x"))).ok


def test_dependents_of_a_failure_are_skipped_all_the_way() -> None:
    report = run(
        check("a", fail(FINDING)), check("b", ok("x"), "a"), check("c", ok("x"), "b"),
        check("d", ok("x")),
    )  # fmt: skip
    assert statuses(report) == {"a": "fail", "b": "skip", "c": "skip", "d": "ok"}
    assert report.results[2].outcome.seen == "needs b"


def test_dependents_of_a_warning_or_of_nothing_to_check_run() -> None:
    report = run(
        check("a", warn(FINDING)), check("b", skip("nothing")), check("c", ok("x"), "a", "b")
    )
    assert statuses(report)["c"] == "ok"


def test_a_crash_stays_with_its_check() -> None:
    def crash() -> Outcome:
        raise ZeroDivisionError("by zero")

    report = run(check("a", crash), check("b", ok("x")), check("c", ok("x"), "a"))
    assert statuses(report) == {"a": "crash", "b": "ok", "c": "skip"}
    assert "ZeroDivisionError: by zero" in report.results[0].outcome.seen
    assert "test_runner.py" in report.results[0].outcome.data["traceback"]
    assert not report.ok


def test_an_error_of_claudys_own_is_a_failure_with_its_words() -> None:
    def refuse() -> Outcome:
        raise EngineError("It does not answer.", "wake it up")

    (result,) = run(check("a", refuse)).results
    assert result.outcome.status == "fail"
    assert result.outcome.finding == Finding("engine", "It does not answer.", "wake it up")


def test_independent_checks_run_side_by_side() -> None:
    """Each waits for the other, which only works at the same time."""
    meeting = threading.Barrier(2, timeout=20)

    def meet() -> Outcome:
        meeting.wait()
        return ok("met")

    assert statuses(run(check("a", meet), check("b", meet))) == {"a": "ok", "b": "ok"}


def test_a_check_that_hangs_is_given_up_and_the_rest_goes_on() -> None:
    release = threading.Event()

    def hang() -> Outcome:
        release.wait()
        return ok("too late")

    try:
        report = run(check("a", hang, timeout=0.05), check("b", ok("x")), check("c", ok("x"), "a"))
    finally:
        release.set()
    assert statuses(report) == {"a": "fail", "b": "ok", "c": "skip"}
    finding = report.results[0].outcome.finding
    assert finding
    assert finding.id == "check-timeout"


def test_results_are_told_in_the_order_of_the_catalogue() -> None:
    second_done = threading.Event()

    def late() -> Outcome:
        second_done.wait(20)
        return ok("x")

    def early() -> Outcome:
        second_done.set()
        return ok("x")

    told: list[str] = []
    run_checks(
        (check("a", late), check("b", early)),
        context(),
        on_result=lambda result: told.append(result.check.id),
    )
    assert told == ["a", "b"]


def test_a_chosen_check_brings_what_it_needs() -> None:
    checks = (check("a", ok("x")), check("b", ok("x"), "a"), check("c", ok("x")))
    assert [c.id for c in selected(checks, ["b"])] == ["a", "b"]
    assert [c.id for c in selected(checks, [])] == ["a", "b", "c"]


def test_what_changed_between_two_runs() -> None:
    def report(**outcomes: Outcome) -> Report:
        results = (Result(check(name, out), out, 0.0) for name, out in outcomes.items())
        return Report(tuple(results), 0.0)

    before = report(a=fail(FINDING), b=skip("needs a"), c=ok("x"))
    after = report(a=ok("x"), b=ok("x"), c=ok("y"))
    assert [(c.id, c.before, c.after) for c in changes(before, after)] == [
        ("a", "fail", "ok"),
        ("b", "skip", "ok"),
    ]


def test_the_catalogue_is_sound() -> None:
    seen: set[str] = set()
    for entry in CHECKS:
        assert entry.id not in seen
        assert set(entry.needs) <= seen, f"{entry.id} comes before what it needs"
        assert entry.title
        assert 0 < entry.timeout <= 60
        seen.add(entry.id)


@pytest.mark.parametrize("name", sorted(FIXES))
def test_every_fix_is_asked_for_by_some_finding(name: str) -> None:
    package = os.path.dirname(os.path.dirname(os.path.abspath(run_checks.__code__.co_filename)))
    texts = []
    for folder in ("host", "doctor/checks"):
        top = os.path.join(package, folder)
        for file in sorted(os.listdir(top)):
            if file.endswith(".py"):
                with open(os.path.join(top, file), encoding="utf-8") as opened:
                    texts.append(opened.read())
    assert f'"{name}"' in "".join(texts)
