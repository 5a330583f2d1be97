"""Whether the registry answers, if something has to be fetched from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, warn
from claudy.host.finding import Finding
from claudy.image.base import BOOTSTRAPPED
from claudy.image.context import make_recipe
from claudy.image.failures import ImageError
from claudy.image.images import find_image
from claudy.image.pull import require_in_registry
from claudy.image.reference import platform_of
from claudy.image.workshop import Workshop

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Ask the registry, as the engine would, for what a launch would fetch."""
    engine = context.engine()
    chosen = context.settings["image"]
    recipe = make_recipe({}, platform_of(context.known.facts.arch))
    local = (chosen,) if chosen else (recipe.reference, recipe.base, BOOTSTRAPPED)
    if any(find_image(engine, reference) for reference in local):
        return ok("nothing has to be fetched")
    wanted = chosen or recipe.base
    workshop = Workshop(engine, context.host.env, lambda _event: None, lambda _q, _f: False)
    try:
        require_in_registry(workshop, wanted)
    except ImageError as error:
        if chosen:
            return fail(Finding(error.code, error.message, error.hint), image=wanted)
        message = f"{error.message} The base is then made from the distribution's packages."
        finding = Finding(error.code, message, "claudy build-image", "build-image")
        return warn(finding, image=wanted)
    return ok(f"{wanted} can be fetched", image=wanted)


CHECK = Check("registry", "Registry", run, ("daemon",), timeout=12)
