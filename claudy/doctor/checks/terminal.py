"""Whether the terminal inside has the size it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, skip
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Compare the sizes."""
    inside = context.inside
    rows, columns = inside.size
    seen = inside.get("size")
    if not seen:
        return skip("the image has no stty to ask with")
    if seen.split() != [str(rows), str(columns)]:
        message = f"The terminal inside is {seen or 'none'}, not {rows} by {columns}."
        return fail(Finding("terminal-size", message, "claudy --debug"))
    return ok(f"{columns} columns, {rows} rows", rows=rows, columns=columns)


CHECK = Check("terminal", "Terminal", run, ("sandbox",))
