"""`claudy [DIRECTORY] [-- COMMAND]`: open the project's sandbox."""

from __future__ import annotations

import os
import sys

from claudy.cli.console import Console, guarded
from claudy.errors import UsageError
from claudy.sandbox.launch import Request, launch
from claudy.sandbox.patience import stop_waiting
from claudy.sandbox.project import find_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from claudy.sandbox.project import Project

_NO_SETTINGS = {"new", "recreate", "dry_run", "yes", "no_input", "quiet", "debug"}


def launch_quickly(directory: str, options: Mapping[str, Any], command: Sequence[str]) -> int:
    """Launch without the option parser, as nearly all launches are.

    Args:
        directory: the project.
        options: as in `launch_with`.
        command: the words after `--`.
    """
    console = console_for(options)
    return guarded(console, lambda: launch_with(console, directory, options, command))


def console_for(options: Mapping[str, Any]) -> Console:
    """Return a console as the options of a launch ask for.

    Args:
        options: as in `launch_with`.
    """
    return Console(
        os.environ,
        quiet=options.get("quiet", False),
        debug=bool(options.get("debug") or os.environ.get("CLAUDY_DEBUG")),
        yes=options.get("yes", False),
        no_input=options.get("no_input", False),
    )


def launch_with(
    console: Console, directory: str, options: Mapping[str, Any], command: Sequence[str]
) -> int:
    """Open the project's sandbox, or print the plan of it.

    Args:
        console: prints and asks.
        directory: the project.
        options: values by the names of the parameters of `claudy.cli.run.run`; None, False and an
            empty list are the same as leaving it out.
        command: the words after `--`.
    """
    flags = {
        name: value
        for name, value in options.items()
        if name not in _NO_SETTINGS and value not in (None, False, [])
    }
    new, recreate = options.get("new", False), options.get("recreate", False)
    request = build_request(console, directory, command, flags, new=new, recreate=recreate)
    if options.get("dry_run"):
        return print_plan(console, request)
    return launch(request)


def build_request(
    console: Console,
    directory: str,
    command: Sequence[str],
    flags: Mapping[str, Any],
    *,
    new: bool = False,
    recreate: bool = False,
) -> Request:
    """Return what the command line asks for."""

    def confirm(question: str, flag: str = "--yes") -> bool:
        stop_waiting()
        return console.confirm(question, flag)

    return Request(
        project=_project(directory),
        command=tuple(command),
        flags=flags,
        env=os.environ,
        home=os.path.expanduser("~"),
        uid=os.getuid(),
        platform=sys.platform,
        notify=console.notice,
        explain=console.explain,
        confirm=confirm,
        progress=show_progress(console),
        new=new,
        recreate=recreate,
    )


def _project(directory: str) -> Project:
    """Return the project in a directory; a word that is nearly a command was meant as one."""
    try:
        return find_project(directory)
    except UsageError as error:
        if "/" in directory or os.path.lexists(directory):
            raise
        from difflib import get_close_matches

        from claudy.cli.quick import SUBCOMMANDS

        if near := get_close_matches(directory, sorted(SUBCOMMANDS), n=1):
            raise UsageError(
                f"There is neither a command nor a directory {directory!r}.", f"claudy {near[0]}"
            ) from error
        raise


def print_plan(console: Console, request: Request) -> int:
    """Print the `docker run` line that a launch amounts to."""
    from claudy.sandbox.plan import docker_run, shell_line
    from claudy.sandbox.prepare import planned

    plan, session = planned(request)
    console.result(shell_line(docker_run(plan, session)))
    return 0


def show_progress(console: Console) -> Callable[[Any], None]:
    """Return what shows what happens to images; made when there is something to show."""
    shown: list[Callable[[Any], None]] = []

    def show(event: Any) -> None:
        stop_waiting()
        if not shown:
            from claudy.cli.progress import Progress

            shown.append(Progress(console))
        shown[0](event)

    return show
