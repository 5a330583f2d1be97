"""Whether /workspace is the project: a file there and back, as a wrong source mounts silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, skip
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Compare what each side read of the other's file."""
    inside, path = context.inside, context.project.path
    if inside.tampered:
        message = f"Something that runs in {path} has changed doctor's files in it meanwhile."
        return fail(Finding("project-tampered", message, "claudy stop && claudy doctor"))
    read_only = context.settings["read_only"]
    there = inside.get("sentinel") == inside.token
    back = inside.content == inside.token
    if inside.sentinel and not there:
        return fail(_elsewhere(context))
    if not back and not read_only and inside.get("written"):
        return fail(_elsewhere(context))
    if not back and not read_only:
        problem = inside.get("unwritten") or "no answer"
        message = f"The sandbox's user can't write to {path}: {problem[:200]}."
        return fail(Finding("project-not-writable", message, f"ls -ld {path}"))
    if not inside.sentinel and not back:
        return skip(f"{path} is not writable from either side")
    ways = [way for way, seen in (("here to inside", there), ("inside to here", back)) if seen]
    return ok(f"a file went from {' and from '.join(ways)}", there=there, back=back)


def _elsewhere(context: Context) -> Finding:
    """Return the finding for a /workspace that is something else than the project."""
    path, facts = context.project.path, context.known.facts
    if facts.vm:
        message = f"/workspace is not {path}: it is not shared with the engine's virtual machine."
        product = {
            "docker-desktop": "In Docker Desktop: Settings > Resources > File sharing,"
            f" add {path}.",
            "colima": f"colima stop && colima start --mount {path}:w",
        }
        return Finding(
            "project-not-shared",
            message,
            product.get(facts.kind, f"Share {path} with the virtual machine."),
        )
    if facts.snap:
        message = f"/workspace is not {path}: the snap package sees only home directories."
        return Finding("snap-confined", message, "sudo snap remove docker && claudy doctor --fix")
    return Finding(
        "project-not-visible",
        f"/workspace is not {path}: the engine has another file system than this machine.",
        "Start claudy on the engine's own machine.",
    )


CHECK = Check("bind-mount", "Project inside", run, ("sandbox",))
