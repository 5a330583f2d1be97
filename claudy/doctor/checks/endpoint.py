"""Which engine is meant, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, warn
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Resolve the endpoint as the docker CLI does."""
    found = context.endpoint
    data = {"url": found.url, "source": found.source, "context": found.context}
    data["tls"] = found.tls is not None  # type: ignore[assignment]
    if found.notes:
        overridden = "overrides" in found.notes[0]
        code = "context-overridden" if overridden else "config-ignored"
        remedy = "unset DOCKER_HOST" if overridden else "docker context use default"
        message = f"Using {found.url} (from: {found.source}). {'; '.join(found.notes)}."
        return warn(Finding(code, message, remedy), **data)
    return ok(f"{found.url} (from: {found.source})", **data)


CHECK = Check("endpoint", "Which engine", run, ("project",))
