"""Whether a container with exactly the launch's arguments starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Start the throw-away container and let its script run to the end."""
    plan, inside = context.plan, context.inside
    if not inside.get("end"):
        message = (
            f"The container started, but its shell did not: {inside.get('broken') or 'no answer'}."
        )
        return fail(Finding("sandbox-mute", message, "claudy --debug -- true"))
    guard = context.prepared.guard
    runs = "" if guard is None else "a container" if guard.in_engine else "a process"
    return ok(
        f"started as {plan.user} on network {plan.network or 'default'}"
        + (f", its guard as {runs}" if runs else ""),
        user=plan.user,
        network=plan.network,
        groups=list(plan.groups),
        guard=runs.rpartition(" ")[2],
    )


CHECK = Check(
    "sandbox",
    "Throw-away sandbox",
    run,
    ("files", "image", "disk"),
    timeout=40,
)
