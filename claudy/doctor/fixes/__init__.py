"""What doctor can mend itself. A fix is shown with its commands and confirmed before it runs.

Only what is safe to run is here: nothing that deletes what claudy did not make, and nothing that
needs to know what the user had in mind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.fixes import engine, group, image, leftovers, socket
from claudy.doctor.fixes.model import Fix

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.doctor.context import Context
    from claudy.doctor.model import Report

FIXES: dict[str, Callable[[Context], Fix]] = {
    "install-engine": engine.install,
    "start-engine": engine.start,
    "clear-socket": socket.clear,
    "join-group": group.join,
    "build-image": image.build,
    "build-guard-image": image.build_guards,
    "remove-leftovers": leftovers.remove_all,
}


def proposals(report: Report, context: Context) -> tuple[Fix, ...]:
    """Return the fixes for what a report found, each once, in the order of the report.

    Args:
        report: a finished run.
        context: what it looked at.
    """
    wanted = dict.fromkeys(
        result.outcome.finding.fix
        for result in report.results
        if result.outcome.finding and result.outcome.finding.fix
    )
    fixes = [FIXES[name](context) for name in wanted]
    return tuple(fix for fix in fixes if fix.commands)


__all__ = ["FIXES", "Fix", "proposals"]
