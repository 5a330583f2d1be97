"""Whether the registry answers, if something has to be fetched from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.model import Check, Outcome, fail, ok, warn
from claudy.host.finding import Finding
from claudy.image.failures import INSTEAD, ImageError, RegistryDown
from claudy.image.images import find_image
from claudy.image.reference import bundled_reference, platform_of

if TYPE_CHECKING:
    from claudy.doctor.context import Context


def run(context: Context) -> Outcome:
    """Ask the registry, as the engine would, for what a launch would fetch."""
    engine = context.engine()
    chosen = context.settings["image"]
    platform = platform_of(context.known.facts.arch)
    if find_image(engine, chosen or bundled_reference(platform=platform)):
        return ok("nothing has to be fetched")
    # The docker SDK comes with these, and takes as long as all other checks before the container.
    from claudy.image.base import BOOTSTRAPPED
    from claudy.image.context import make_recipe
    from claudy.image.pull import require_in_registry
    from claudy.image.workshop import Workshop

    base = make_recipe({}, platform).base
    if not chosen and any(find_image(engine, reference) for reference in (base, BOOTSTRAPPED)):
        return ok("nothing has to be fetched: the base is here")
    wanted = chosen or base
    workshop = Workshop(engine, context.host.env, lambda _event: None, lambda _q, _f: False)
    try:
        require_in_registry(workshop, wanted)
    except ImageError as error:
        if chosen:
            remedy = INSTEAD if isinstance(error, RegistryDown) else error.hint
            return fail(Finding(error.code, error.message, remedy), image=wanted)
        message = f"{error.message} The base is then made from the distribution's packages."
        finding = Finding(error.code, message, "claudy build-image", "build-image")
        return warn(finding, image=wanted)
    return ok(f"{wanted} can be fetched", image=wanted)


CHECK = Check("registry", "Registry", run, ("daemon",), timeout=12)
