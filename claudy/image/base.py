"""Make the base image be there: on the engine, from its registry, or bootstrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.image.events import Notice
from claudy.image.failures import ImageError, RegistryDown
from claudy.image.images import find_image
from claudy.image.pull import pull, require_in_registry
from claudy.image.reference import native_platform, platform_of

if TYPE_CHECKING:
    from claudy.image.context import Recipe
    from claudy.image.workshop import Workshop

BOOTSTRAPPED = "claudy-base:trixie"
# Seconds without news after which a pull that had begun is given up: registries whose answers pass
# a firewall and whose layers don't are common.
SILENCE = 60.0


def ensure_base(workshop: Workshop, recipe: Recipe, *, fresh: bool = False) -> str:
    """Return the reference of a base image that is on the engine.

    Args:
        workshop: where.
        recipe: what is going to be built on it.
        fresh: ask the registry for a newer one even if there is one.

    Raises:
        ImageError: there is none and none can be had.
    """
    wanted = recipe.base
    bundled = not dict(recipe.build_args).get("BASE_IMAGE")
    there = _is_there(workshop, wanted, recipe.platform)
    if not fresh:
        if there:
            return wanted
        if bundled and _is_there(workshop, BOOTSTRAPPED, recipe.platform):
            return BOOTSTRAPPED
    try:
        require_in_registry(workshop, wanted)
        foreign = recipe.platform if recipe.platform != native_platform() else ""
        pull(workshop, wanted, foreign, SILENCE)
    except ImageError as error:
        if there:
            workshop.report(Notice(f"{error.message} The {wanted} that is there is used."))
            return wanted
        if not bundled:
            raise
        return _bootstrap(workshop, recipe, error)
    return wanted


def _is_there(workshop: Workshop, reference: str, platform: str) -> bool:
    found = find_image(workshop.engine, reference)
    return found is not None and platform_of(found.platform.removeprefix("linux/")) == platform


def _bootstrap(workshop: Workshop, recipe: Recipe, reason: ImageError) -> str:
    from claudy.image.bootstrap import bootstrap

    if recipe.platform != native_platform():
        raise RegistryDown(
            f"{reason.message} A base for {recipe.platform} can't be made on this machine.",
            reason.hint,
        ) from reason
    bootstrap(workshop, dict(recipe.build_args), BOOTSTRAPPED, reason)
    return BOOTSTRAPPED
