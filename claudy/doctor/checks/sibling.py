"""Whether a container started inside is at localhost:PORT, and known by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, skip, warn
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Read what the sibling's port answered."""
    inside = context.inside
    if context.settings["docker"] == "none":
        return skip("no Docker inside (--docker none)")
    problem = inside.get("no-sibling")
    if problem:
        message = f"A container can't be started from inside: {problem[:300]}."
        # Ports of a rootless engine can only be on addresses of this machine, not on a gateway.
        rootless = context.settings["docker"] == "guard" and context.known.facts.rootless
        remedy = "claudy --docker host" if rootless else "claudy -- docker run --rm hello-world"
        return fail(Finding("sibling-refused", message, remedy))
    if not inside.get("sibling-port"):
        return skip("the image has no docker or nothing to serve with")
    port = inside.get("sibling-port")
    if inside.get("sibling").split()[-1:] == [inside.token]:
        return ok(f"answered at localhost:{port}, found by its name", port=port)
    message = (
        f"A container that was started inside is not at localhost:{port}:"
        f" {inside.get('sibling')[:200]}."
    )
    return _unreachable(context, message)


def _unreachable(context: Context, message: str) -> Outcome:
    """Return what it means that a sibling's port is not at localhost."""
    if context.plan.network == "host":
        return fail(Finding("sibling-unreachable", message, "claudy doctor --debug sibling"))
    if context.settings["docker"] == "guard" and context.plan.network != "none":
        # The guard carries it to the sandbox's own localhost, or logs why it can't.
        return fail(Finding("sibling-unreachable", message, "claudy logs --guard"))
    # A network of its own: ports of other containers are the host's, not the sandbox's.
    return warn(Finding("sibling-unreachable", message, "claudy --network host"))


CHECK = Check("sibling", "Ports of containers", run, ("ping",))
