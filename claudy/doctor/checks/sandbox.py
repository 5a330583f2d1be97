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
    return ok(
        f"started as {plan.user} on network {plan.network or 'default'}",
        user=plan.user,
        network=plan.network,
        groups=list(plan.groups),
    )


CHECK = Check(
    "sandbox",
    "Throw-away sandbox",
    run,
    ("files", "image", "disk"),
    timeout=40,
)
