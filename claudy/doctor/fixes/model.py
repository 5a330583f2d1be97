"""A fix: data, and one function that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Fix:
    """Something that doctor can mend.

    Args:
        id: stable name.
        title: what will be done, one line, without a full stop.
        commands: the commands it amounts to; empty if there is nothing that can be run.
        run: does it; is given what to tell the user with. Raises ClaudyError.
    """

    id: str
    title: str
    commands: tuple[str, ...]
    run: Callable[[Callable[[str], None]], None]
