"""Free space of the engine's disk as a container sees it: also that of a virtual machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.checks.disk import judge
from claudy.doctor.model import Check, Outcome, skip

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Read df's line: device, blocks of 1024, used, free."""
    fields = context.inside.get("disk").split()
    if len(fields) < 4 or not fields[3].isdecimal():  # noqa: PLR2004 - df's columns
        return skip("the image has no df to ask with")
    return judge("/ inside", int(fields[3]) * 1024)


CHECK = Check("disk-inside", "Disk inside", run, ("sandbox",))
