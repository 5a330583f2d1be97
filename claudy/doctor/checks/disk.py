"""Free space where the engine keeps images and containers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, skip, warn
from claudy.host.endpoint import under
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context

FULL = 32 << 20  # bytes below which the engine can't even start a container reliably
SMALL = 1 << 30  # bytes below which a build is likely to fail


def run(context: Context) -> Outcome:
    """Ask the file system, where the engine's directory is on this machine and can be seen."""
    facts = context.known.facts
    if facts.vm or facts.remote or context.nested:
        return skip("the engine's disk is not this machine's; it is looked at from inside")
    directory = str(context.engine().call("GET", "/info").get("DockerRootDir") or "")
    try:
        status = os.statvfs(under(context.host.root, directory))
    except OSError:
        return skip(f"{directory} can't be seen by this user; it is looked at from inside")
    return judge(directory, status.f_bavail * status.f_frsize)


def judge(where: str, free: int) -> Outcome:
    """Return what an amount of free space means.

    Args:
        where: which directory or disk.
        free: bytes.
    """
    amount = f"{free / (1 << 20):.0f} MiB" if free < SMALL else f"{free / (1 << 30):.1f} GiB"
    if free < FULL:
        message = f"The disk of the Docker engine is full: {amount} free at {where}."
        return fail(Finding("disk-full", message, "docker system prune"), free=free)
    if free < SMALL:
        message = f"The disk of the Docker engine is nearly full: {amount} free at {where}."
        return warn(Finding("disk-nearly-full", message, "docker system prune"), free=free)
    return ok(f"{amount} free at {where}", free=free)


CHECK = Check("disk", "Disk of the engine", run, ("daemon",))
