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
    from claudy.doctor.context import Context, Question
    from claudy.doctor.fixes import Fix
    from claudy.doctor.model import Check, Report

    Tried = tuple[tuple[Fix, str], ...]

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
    from claudy.doctor.context import Context as Examined
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
    fixes: Tried = ()
    if fix:
        report, fixes = _mend_all(chosen, question, writer, console)
    else:
        report = _examine(chosen, Examined(question), writer)
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


def _examine(chosen: Sequence[Check], context: Context, writer: Writer) -> Report:
    """Run the checks once."""
    from claudy.doctor.runner import run_checks

    writer.start()
    try:
        with closing(context):
            return run_checks(chosen, context, on_result=writer.result)
    finally:
        writer.end()


def _mend_all(
    chosen: Sequence[Check], question: Question, writer: Writer, console: Console
) -> tuple[Report, Tried]:
    """Run the checks, mend what can be mended and run them again, until nothing new is found.

    Returns:
        The last report, and each fix with its outcome: empty, or why it was not done.
    """
    from claudy.doctor.context import Context
    from claudy.doctor.fixes import proposals

    tried: dict[str, tuple[Fix, str]] = {}
    context = Context(question)
    report = _examine(chosen, context, writer)
    for _ in range(ROUNDS):
        new = [fix for fix in proposals(report, context) if fix.id not in tried]
        # One at a time: what else was found may have come from this.
        agreed = next((fix for fix in new if _agreed(fix, console, tried)), None)
        if agreed is None:
            break
        tried[agreed.id] = (agreed, _mend(agreed, console))
        before, context = report, Context(question)
        report = _examine(chosen, context, writer)
        writer.changed(before, report)
    if not (tried or report.ok):
        console.notice("Nothing of this can be mended from here; what to do is said above.")
    return report, tuple(tried.values())


def _agreed(fix: Fix, console: Console, tried: dict[str, tuple[Fix, str]]) -> bool:
    """Ask whether a fix may be run, and remember if not."""
    commands = "".join(f"\n  {command}" for command in fix.commands)
    if console.confirm(f"{fix.title}:{commands}\nDo it?"):
        return True
    tried[fix.id] = (fix, "declined")
    return False


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
