"""What is mounted into the sandbox as Docker's socket: another question than where to connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, skip

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Say source and group rule, each with its reason."""
    if context.settings["docker"] == "none":
        return skip("no Docker inside (--docker none)")
    facts, guarded = context.known.facts, context.settings["docker"] == "guard"
    seen = f"{facts.socket_source} ({facts.socket_source_reason})"
    return ok(
        f"{seen}, behind the guard" if guarded else seen,
        "Inside is the guard's own socket, which only the sandbox's user may use."
        if guarded
        else f"Its group inside: {facts.gid_rule}, as {facts.gid_reason}.",
        source=facts.socket_source,
        reason=facts.socket_source_reason,
        guarded=guarded,
        gid_rule=facts.gid_rule,
        gid_reason=facts.gid_reason,
    )


CHECK = Check("socket-source", "Socket to mount", run, ("daemon",))
