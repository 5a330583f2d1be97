"""Make the bundled image be there: from a registry if there is one, else by building it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.image.base import ensure_base
from claudy.image.build import build
from claudy.image.events import Notice
from claudy.image.failures import ImageError
from claudy.image.images import find_image, remove_image, tag_image
from claudy.image.lock import exclusive
from claudy.image.pull import pull, push, require_in_registry
from claudy.image.reference import native_platform

if TYPE_CHECKING:
    from claudy.image.context import Recipe
    from claudy.image.workshop import Workshop


def make_bundled(
    workshop: Workshop,
    recipe: Recipe,
    *,
    registry: str = "",
    no_cache: bool = False,
    fresh_base: bool = False,
) -> str:
    """Return the id of the bundled image, making it if it is not there.

    Args:
        workshop: where.
        recipe: what goes in.
        registry: where to look for it before it is built; empty for nowhere.
        no_cache: build it even if it is there, every step again.
        fresh_base: build it even if it is there, on the newest base.

    Raises:
        ImageError: it can't be made.
    """
    reference = recipe.reference
    with exclusive(workshop, reference):
        old = find_image(workshop.engine, reference)
        if not (no_cache or fresh_base):
            if old:
                return old.id
            if registry and (pulled := _pull(workshop, recipe, registry)):
                return pulled
        base = ensure_base(workshop, recipe, fresh=fresh_base)
        new = build(workshop, recipe, base, no_cache=no_cache)
        if old and old.id != new:
            remove_image(workshop.engine, old.id)
        return new


def push_bundled(workshop: Workshop, reference: str, registry: str) -> str:
    """Push the bundled image and return what it is called in the registry.

    Raises:
        ImageError: the registry is in the way.
    """
    remote = f"{registry.rstrip('/')}/{reference}"
    tag_image(workshop.engine, reference, remote)
    push(workshop, remote)
    return remote


def _pull(workshop: Workshop, recipe: Recipe, registry: str) -> str:
    """Pull the image from the user's registry; empty if that does not work, which is said."""
    remote = f"{registry.rstrip('/')}/{recipe.reference}"
    foreign = recipe.platform if recipe.platform != native_platform() else ""
    try:
        require_in_registry(workshop, remote)
        pull(workshop, remote, foreign)
    except ImageError as error:
        workshop.report(Notice(f"{error.message} It is built here instead."))
        return ""
    tag_image(workshop.engine, remote, recipe.reference)
    found = find_image(workshop.engine, recipe.reference)
    return found.id if found else ""
