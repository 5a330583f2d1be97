"""Let the user connect: membership of the socket's group."""

from __future__ import annotations

import grp
import os
from typing import TYPE_CHECKING

from claudy.doctor.fixes.model import Fix
from claudy.host.install import plan_group, run_plan

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def join(context: Context) -> Fix:
    """Return how this user gets into the socket's group; it counts from the next login on."""
    name = grp.getgrgid(os.stat(context.endpoint.path).st_gid).gr_name
    plan = plan_group(context.machine, name)
    return Fix(
        "join-group",
        plan.title,
        tuple(step.line for step in plan.steps),
        lambda notify: run_plan(plan, notify=notify),
    )
