"""Who the sandbox's processes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok
from claudy.host.finding import Finding

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Compare user, groups and name with the plan."""
    inside, plan = context.inside, context.plan
    ids, _, groups = inside.get("user").partition(" ")
    wanted = {group for group in plan.groups if group.isdecimal()}
    if ids != plan.user or not wanted <= set(groups.split()):
        message = f"Inside, the user is {ids} with groups {groups}; expected was {plan.user}."
        return fail(Finding("user-differs", message, "claudy --recreate"))
    return ok(f"{inside.get('name')} ({ids}), groups {groups}", user=ids, groups=groups.split())


CHECK = Check("user", "User inside", run, ("sandbox",))
