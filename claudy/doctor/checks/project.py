"""The project and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, ok

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Find the project and read the settings; each says itself what is wrong with it."""
    project, settings = context.project, context.settings
    return ok(
        f"{project.path}, owner {project.uid}:{project.gid}, Docker mode {settings['docker']}",
        path=project.path,
        uid=project.uid,
        gid=project.gid,
        docker=settings["docker"],
    )


CHECK = Check("project", "Project and settings", run)
