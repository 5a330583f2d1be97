"""What dead sandboxes have left behind."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, warn
from claudy.engine.jsonc import dumps
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.doctor.context import Context

SANDBOXES = {"label": ["claudy.sandbox"]}
SHORT_LIVED = {"name": ["claudy-probe-", "claudy-doctor-"]}
# Whole names: the filter finds parts of them, and an image passes its labels on to others'.
_SHORT_LIVED = re.compile(r"(?:sibling-of-)?claudy-(?:probe|doctor)-[0-9a-f]+")
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
    for wanted in (SANDBOXES, SHORT_LIVED):
        query: dict[str, str | bool] = {"all": True, "filters": dumps(wanted).decode()}
        for container in engine.call("GET", "/containers/json", query):
            name = str((container.get("Names") or ["?"])[0]).lstrip("/")
            old = now - float(container.get("Created") or now) > AGE
            sandbox = (container.get("Labels") or {}).get("claudy.sandbox") == name
            dead = sandbox and container.get("State") in DEAD
            if old and (dead if wanted is SANDBOXES else _SHORT_LIVED.fullmatch(name)):
                yield container["Id"], name


CHECK = Check("leftovers", "Leftovers", run, ("daemon",))
