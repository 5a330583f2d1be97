"""Install an engine, or start the one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.fixes.model import Fix
from claudy.host.install import InstallPlan, plan_install, plan_start, run_plan
from claudy.host.probe import is_up

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def install(context: Context) -> Fix:
    """Return how an engine gets installed and started."""
    return by_plan("install-engine", plan_install(context.machine), context)


def start(context: Context) -> Fix:
    """Return how the installed engine is started; one that is not installed is installed."""
    machine = context.machine
    plan = plan_start(machine) if machine.dockerd or machine.app else plan_install(machine)
    return by_plan("start-engine", plan, context)


def by_plan(name: str, plan: InstallPlan, context: Context) -> Fix:
    """Return a plan as a fix that waits until the engine is there.

    Args:
        name: id of the fix.
        plan: what to run.
        context: where the engine is to answer.
    """
    path = context.endpoint.path
    return Fix(
        name,
        plan.title,
        tuple(step.line for step in plan.steps),
        lambda notify: run_plan(plan, notify=notify, is_live=lambda: is_up(path)),
    )
