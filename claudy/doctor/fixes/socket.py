"""Clear the socket's path of what is no socket, or one that nobody listens at."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from claudy.doctor.fixes.engine import by_plan
from claudy.doctor.fixes.model import Fix
from claudy.host.diagnose import listener
from claudy.host.install import InstallPlan, Step, plan_install

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def clear(context: Context) -> Fix:
    """Return how the path is cleared and the engine started; nothing if it may be of use."""
    path = context.endpoint.path
    command = clearance(path)
    if not command:
        return Fix("clear-socket", f"{path} may be in use", (), lambda _notify: None)
    sudo = () if context.host.uid == 0 else ("sudo",)
    start = plan_install(context.machine)
    step = Step((*sudo, *command), "the engine needs the path")
    plan = InstallPlan(f"Clear {path}; {start.title}", (step, *start.steps))
    return by_plan("clear-socket", plan, context)


def clearance(path: str) -> tuple[str, ...]:
    """Return the command that clears a path, none unless what is there is provably of no use.

    An empty directory and a socket without a listener are removed, a file is moved aside.

    Args:
        path: where the engine is to listen.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return ()
    if stat.S_ISDIR(status.st_mode):
        return () if os.listdir(path) else ("rmdir", path)
    if stat.S_ISSOCK(status.st_mode):
        return () if listener(path) or _in_use(path) else ("rm", path)
    return ("mv", path, f"{path}.old") if stat.S_ISREG(status.st_mode) else ()


def _in_use(path: str) -> bool:
    """Return whether the kernel knows a socket that is bound to this path (Linux)."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            return any(line.rstrip("\n").endswith(f" {path}") for line in file)
    except OSError:
        return True
