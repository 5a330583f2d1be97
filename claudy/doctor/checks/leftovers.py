"""What dead sandboxes have left behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, warn
from claudy.engine.jsonc import dumps
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.doctor.context import Context

SANDBOXES = {"label": ["claudy.sandbox"]}
SHORT_LIVED = ({"label": ["claudy.probe"]}, {"name": ["claudy-doctor-"]})
AGE = 120.0  # seconds after which what is short-lived can't be in use any more
DEAD = {"created", "exited", "dead"}


def run(context: Context) -> Outcome:
    """Look for containers that nobody uses."""
    found = list(leftovers(context, time.time()))
    if not found:
        return ok("none")
    names = ", ".join(name for _, name in found)
    message = f"Dead sandboxes have left {counted(len(found))} behind: {names}."
    finding = Finding("leftovers", message, "claudy doctor --fix", "remove-leftovers")
    return warn(finding, containers=[name for _, name in found])


def counted(number: int) -> str:
    """Return a number of containers in words."""
    return f"{number} container{'' if number == 1 else 's'}"


def leftovers(context: Context, now: float) -> Iterator[tuple[str, str]]:
    """Yield id and name of containers that claudy made and nobody uses.

    Args:
        context: which engine.
        now: seconds since the epoch.
    """
    engine = context.engine()
    for wanted in (SANDBOXES, *SHORT_LIVED):
        query: dict[str, str | bool] = {"all": True, "filters": dumps(wanted).decode()}
        for container in engine.call("GET", "/containers/json", query):
            old = now - float(container.get("Created") or now) > AGE
            if old and (wanted is not SANDBOXES or container.get("State") in DEAD):
                yield container["Id"], str((container.get("Names") or ["?"])[0]).lstrip("/")


CHECK = Check("leftovers", "Leftovers", run, ("daemon",))
