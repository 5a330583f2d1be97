"""Whether files that are made inside belong to the project's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok, skip, warn
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Compare the owner of a file made inside, as seen here, with the directory's owner."""
    written, project = context.inside.written, context.project
    if written is None:
        return skip("no file was made inside")
    if written[0] != project.uid and not context.known.facts.vm:
        message = (
            f"Files made inside belong to {written[0]}:{written[1]} here, not to {project.uid}."
        )
        finding = Finding("owner-differs", message, f"sudo chown -R {project.uid} {project.path}")
        return warn(finding, uid=written[0], gid=written[1])
    return ok(f"{written[0]}:{written[1]}, as the project", uid=written[0], gid=written[1])


CHECK = Check("ownership", "Owner of new files", run, ("bind-mount",))
