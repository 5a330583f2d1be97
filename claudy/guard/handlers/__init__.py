"""What an allowed request does; one file per kind of object, each handler named in the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.guard.handlers import (
    buildkit,
    builds,
    containers,
    create,
    images,
    networks,
    system,
    volumes,
)
from claudy.guard.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.guard.exchange import Exchange


def refuse(x: Exchange) -> None:
    """Refuse by name."""
    reason, _, instead = x.row.why.partition("; ")
    advice = f"{instead[:1].upper()}{instead[1:]}." if instead else ""
    raise refused(f"{x.row.method} {x.row.path} is refused: {reason}", advice)


HANDLERS: dict[str, Callable[[Exchange], None]] = {
    "refuse": refuse,
    **system.HANDLERS,
    **containers.HANDLERS,
    **create.HANDLERS,
    **images.HANDLERS,
    **builds.HANDLERS,
    **buildkit.HANDLERS,
    **networks.HANDLERS,
    **volumes.HANDLERS,
}
