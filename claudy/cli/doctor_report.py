"""How a doctor's report is shown: for people at a terminal, in plain lines, as JSON.

What an image, an engine or a file says is in it: control characters are spelled out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from claudy import __version__
from claudy.cli.console import harmless
from claudy.cli.tables import printable
from claudy.doctor.model import CRASH, FAIL, OK, SCHEMA, SKIP, WARN, Check, Report, Result, changes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.status import Status

    from claudy.cli.console import Console
    from claudy.doctor.fixes import Fix

    Fixes = Sequence[tuple[Fix, str]]

MARKS = {OK: "✓", WARN: "!", FAIL: "✗", CRASH: "✗", SKIP: "·"}
COLOURS = {OK: "green", WARN: "yellow", FAIL: "red", CRASH: "magenta", SKIP: "bright_black"}
GAP = 2  # columns between the parts of a line
WORDS = {OK: "ok", WARN: "warning", FAIL: "failed", CRASH: "crashed", SKIP: "skipped"}


class Writer(Protocol):
    """Shows a run as it goes, and its end."""

    def catalogue(self, checks: Sequence[Check]) -> None:
        """Show all checks."""

    def start(self) -> None:
        """A run begins."""

    def result(self, result: Result) -> None:
        """A check has been run."""

    def end(self) -> None:
        """A run has ended; a question may follow."""

    def changed(self, before: Report, after: Report) -> None:
        """What a fix has changed."""

    def finish(self, report: Report, fixes: Fixes) -> None:
        """All has been done."""


def writer_for(console: Console, *, as_json: bool) -> Writer:
    """Return how to show a report on this console.

    Args:
        console: where to.
        as_json: one JSON object instead of anything else.
    """
    import os

    if as_json:
        return JsonWriter(console)
    if os.isatty(1) and console.env.get("TERM") != "dumb":
        return PrettyWriter(console)
    return PlainWriter(console)


def document(report: Report, fixes: Fixes) -> dict[str, Any]:
    """Return a report as the JSON of `--json`; the schema is described in docs/doctor.md.

    Args:
        report: the last run.
        fixes: what was tried, each with why it failed.
    """
    by_id = {result.check.id: result.outcome for result in report.results}
    endpoint = by_id["endpoint"].data if "endpoint" in by_id else {}
    return {
        "schema": SCHEMA,
        "claudy": __version__,
        "ok": report.ok,
        "seconds": round(report.seconds, 3),
        "endpoint": endpoint or None,
        "counts": report.counts(),
        "checks": [_entry(result) for result in report.results],
        "fixes": [
            {"id": fix.id, "title": fix.title, "commands": list(fix.commands), "problem": problem}
            for fix, problem in fixes
        ],
    }


def _entry(result: Result) -> dict[str, Any]:
    """Return one check's JSON."""
    outcome, finding = result.outcome, result.outcome.finding
    return {
        "id": result.check.id,
        "title": result.check.title,
        "status": outcome.status,
        "seen": outcome.seen,
        "why": outcome.why,
        "finding": finding.id if finding else None,
        "remedy": finding.remedy if finding else None,
        "fixable": bool(finding and finding.fix),
        "seconds": round(result.seconds, 3),
        "data": outcome.data,
    }


class JsonWriter:
    """Exactly one object on stdout, at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def catalogue(self, checks: Sequence[Check]) -> None:
        """Print all checks."""
        rows = [
            {"id": c.id, "title": c.title, "needs": list(c.needs), "timeout": c.timeout}
            for c in checks
        ]
        self._print({"schema": SCHEMA, "checks": rows})

    def start(self) -> None:
        """Print nothing yet."""

    def result(self, result: Result) -> None:
        """Print nothing yet."""

    def end(self) -> None:
        """Print nothing yet."""

    def changed(self, before: Report, after: Report) -> None:
        """Print nothing yet."""

    def finish(self, report: Report, fixes: Fixes) -> None:
        """Print the report."""
        self._print(document(report, fixes))

    def _print(self, value: dict[str, Any]) -> None:
        self._console.result(json.dumps(value, indent=2))


class PlainWriter:
    """Lines without colour or movement: for pipes, logs and `TERM=dumb`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def catalogue(self, checks: Sequence[Check]) -> None:
        """Print all checks."""
        for check in checks:
            self._console.result(f"{check.id:14} {check.title}")

    def start(self) -> None:
        """Print nothing."""

    def result(self, result: Result) -> None:
        """Print one check."""
        outcome = result.outcome
        seen = printable(outcome.seen)
        self._console.result(f"{outcome.status:5} {result.check.id:14} {seen}")
        if outcome.why and outcome.status in {WARN, FAIL}:
            self._console.result(f"{'':21}{printable(outcome.why)}")
        if outcome.finding and outcome.finding.remedy:
            self._console.result(f"{'':21}Try: {printable(outcome.finding.remedy)}")
        if self._console.debug and "traceback" in outcome.data:
            self._console.result(harmless(outcome.data["traceback"]))

    def end(self) -> None:
        """Print nothing."""

    def changed(self, before: Report, after: Report) -> None:
        """Print what differs between two runs."""
        for change in changes(before, after):
            self._console.result(f"changed {change.id}: {change.before} -> {change.after}")

    def finish(self, report: Report, fixes: Fixes) -> None:
        """Print the sum."""
        _ = fixes
        self._console.result(f"{_sum(report)} in {report.seconds:.1f} s")


class PrettyWriter:
    """Colour, marks and wrapped text, for a terminal."""

    def __init__(self, console: Console) -> None:
        from rich.console import Console as Rich

        self._debug = console.debug
        self._rich = Rich(
            highlight=False, emoji=False, no_color=bool(console.env.get("NO_COLOR")) or None
        )
        encodable = (self._rich.encoding or "").lower().startswith("utf")
        self._marks = MARKS if encodable else {s: w.upper()[:4] for s, w in WORDS.items()}
        self._status: Status | None = None
        self._blocked: list[Result] = []

    def catalogue(self, checks: Sequence[Check]) -> None:
        """Print all checks."""
        table = self._grid(max(len(check.id) for check in checks))
        for check in checks:
            needs = f"[bright_black]needs {', '.join(check.needs)}[/]" if check.needs else ""
            table.add_row(f"[bold]{check.id}[/]", check.title, needs)
        self._rich.print(table)

    def start(self) -> None:
        """Show that something goes on."""
        self._blocked = []
        self._status = self._rich.status("Looking …", spinner="dots")
        self._status.start()

    def result(self, result: Result) -> None:
        """Print one check."""
        from rich.markup import escape

        outcome = result.outcome
        if "needs" in outcome.data:
            self._blocked.append(result)
            return
        colour = COLOURS[outcome.status]
        table = self._grid()
        text = escape(printable(outcome.seen))
        if outcome.status == SKIP:
            text = f"[{colour}]{text}[/]"
        if outcome.why and outcome.status in {WARN, FAIL}:
            text += f"\n[bright_black]{escape(printable(outcome.why))}[/]"
        remedy = printable(outcome.finding.remedy) if outcome.finding else ""
        shown = f"[bold]Try:[/] [cyan]{escape(remedy)}[/]"
        if remedy.endswith("."):  # words for a person; a command is never cut into lines
            text += f"\n{shown}"
        if self._debug and "traceback" in outcome.data:
            text += f"\n{escape(harmless(outcome.data['traceback']))}"
        title = escape(result.check.title)
        table.add_row(f"[{colour}]{self._marks[outcome.status]}[/]", title, text)
        self._rich.print(table)
        if remedy and not remedy.endswith("."):
            self._rich.print(f"{' ' * (self._mark_width + GAP)}{shown}", soft_wrap=True)

    def end(self) -> None:
        """Stop showing that something goes on, and say what was not run."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._blocked:
            names = ", ".join(result.check.id for result in self._blocked)
            self._rich.print(f"[bright_black]Not run, as they need what failed: {names}[/]")

    def changed(self, before: Report, after: Report) -> None:
        """Print what differs between two runs."""
        found = changes(before, after)
        self._rich.print("[bold]Changed:[/]" if found else "Nothing changed.")
        for change in found:
            old, new = COLOURS.get(change.before, "default"), COLOURS[change.after]
            self._rich.print(
                f"  {change.id}: [{old}]{change.before or 'not run'}[/] → [{new}]{change.after}[/]"
            )

    def finish(self, report: Report, fixes: Fixes) -> None:
        """Print the sum."""
        _ = fixes
        colour = "green" if report.ok else "red"
        self._rich.print(f"\n[{colour}]{_sum(report)}[/] in {report.seconds:.1f} s")

    @property
    def _mark_width(self) -> int:
        return max(len(mark) for mark in self._marks.values())

    def _grid(self, first: int = 0) -> Any:
        from rich.table import Table

        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_column(width=first or self._mark_width)
        table.add_column(width=22)
        table.add_column(overflow="fold")
        return table


def _sum(report: Report) -> str:
    """Return how many checks have which status."""
    counts = report.counts()
    return ", ".join(f"{counts[status]} {word}" for status, word in WORDS.items() if counts[status])
