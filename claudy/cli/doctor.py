"""`claudy doctor`: prove that it works, or say what to do, or do it."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from claudy.cli import options
from claudy.cli.app import typer_app
from claudy.cli.console import Console
from claudy.errors import ClaudyError, Terminated, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claudy.cli.doctor_report import Writer
    from claudy.doctor.context import Question
    from claudy.doctor.fixes import Fix
    from claudy.doctor.model import Check, Report

app = typer_app()
ROUNDS = 5  # engine, group, image, leftovers: each may only show once the one before is mended


@app.command("doctor")
def doctor(
    checks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHECK...]", help="Only these, and what they need."),
    ] = None,
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended, each asked.")
    ] = False,
    list_checks: Annotated[bool, typer.Option("--list-checks", help="Name all checks.")] = False,
    docker: Annotated[
        str | None,
        typer.Option(metavar="guard|host|none", help="How the sandbox reaches Docker."),
    ] = None,
    host: options.Host = None,
    context: options.Context = None,
    image: Annotated[
        str | None, typer.Option(metavar="REF", help="Use that image instead of the bundled one.")
    ] = None,
    as_json: options.Json = False,
    yes: options.Yes = False,
    no_input: options.NoInput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Prove that claudy works here, or say what to do."""
    from claudy.cli.doctor_report import writer_for
    from claudy.doctor.checks import CHECKS
    from claudy.doctor.context import Question
    from claudy.host.finding import this_host

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    console = Console(os.environ, quiet=quiet, debug=debug, yes=yes, no_input=no_input)
    writer = writer_for(console, as_json=as_json)
    if list_checks:
        writer.catalogue(CHECKS)
        return 0
    chosen = _chosen(CHECKS, checks or ())
    given = {"docker": docker, "host": host, "context": context, "image": image}
    flags = {name: value for name, value in given.items() if value is not None}
    rows, columns = _size()
    question = Question(this_host(os.environ), ".", flags, rows, columns)
    report, fixes = _examine(chosen, question, writer, console if fix else None)
    writer.finish(report, fixes)
    return 0 if report.ok else 1


def _terminate(number: int, _frame: object) -> None:
    """Let what was begun be undone before the end."""
    raise Terminated(number)


def _chosen(catalogue: Sequence[Check], ids: Sequence[str]) -> tuple[Check, ...]:
    """Return the checks to run.

    Raises:
        UsageError: there is no check of that name.
    """
    from claudy.doctor.runner import selected

    known = [check.id for check in catalogue]
    for name in ids:
        if name not in known:
            import difflib

            close = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise UsageError(f"There is no check {name!r}.{meant}", "claudy doctor --list-checks")
    return selected(catalogue, ids)


def _examine(
    chosen: Sequence[Check], question: Question, writer: Writer, console: Console | None
) -> tuple[Report, tuple[tuple[Fix, str], ...]]:
    """Run the checks; with a console to ask, mend and run them again until nothing new is found.

    Returns:
        The last report, and each fix with its outcome: empty, or why it failed.
    """
    from claudy.doctor.context import Context
    from claudy.doctor.fixes import proposals
    from claudy.doctor.runner import run_checks

    done: dict[str, tuple[Fix, str]] = {}
    before: Report | None = None
    for _ in range(ROUNDS):
        context = Context(question)
        writer.start()
        with closing(context):
            report = run_checks(chosen, context, on_result=writer.result)
        if before is not None:
            writer.changed(before, report)
        new = (
            []
            if console is None
            else [fix for fix in proposals(report, context) if fix.id not in done]
        )
        if console is None or not new:
            break
        tried = False
        for fix in new:
            commands = "".join(f"\n  {command}" for command in fix.commands)
            if console.confirm(f"{fix.title}?{commands}\n"):
                done[fix.id] = (fix, _mend(fix, console))
                tried = True
                break  # what else was found may have come from this
            done[fix.id] = (fix, "declined")
        if not tried:
            break
        before = report
    return report, tuple(done.values())


def _mend(fix: Fix, console: Console) -> str:
    """Run a fix and return why it failed, empty if it did not."""
    console.notice(f"{fix.title}.")
    try:
        fix.run(console.notice)
    except ClaudyError as error:
        console.error(error)
        return error.message
    return ""


def _size() -> tuple[int, int]:
    """Return rows and columns of the terminal, zeros without one."""
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return 0, 0
    return size.lines, size.columns
