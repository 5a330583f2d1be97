"""Whether the engine can mount this machine's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.host.refusals import engine_remote, nested_unmounted
from claudy.host.whereami import to_host

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Refuse what is elsewhere, and translate the project's path where claudy is in a container."""
    if context.known.facts.remote:
        return fail(engine_remote(context.endpoint))
    place, project = context.place, context.project
    if not context.nested:
        return ok(f"the engine sees {project.path} at the same path", path=project.path)
    path = to_host(project.path, place, context.mounts)
    if path is None:
        return fail(nested_unmounted(project.path, context.known.facts.name))
    return ok(f"the engine sees {project.path} as {path}", path=path)


CHECK = Check("files", "Project as mounted", run, ("daemon",))
