"""Plain text for people: aligned columns, sizes, and nothing that moves the cursor."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = "  "
_STEP = 1000


def printable(text: str) -> str:
    """Return text with its control characters spelled out, as a path may have a line end in it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return aligned columns under a head.

    Args:
        head: names of the columns.
        rows: cells, as many as the head has; an empty one is shown as `-`.
    """
    lines = [tuple(head), *(tuple(printable(cell) or "-" for cell in row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def spell_size(size: int) -> str:
    """Return an amount of bytes in decimal units: `277MB`, `1.98GB`, as the docker CLI does."""
    amount, units = float(size), ["B", "kB", "MB", "GB", "TB", "PB"]
    while amount >= _STEP and len(units) > 1:
        amount, units = amount / _STEP, units[1:]
    return f"{amount:.3g}{units[0]}"
