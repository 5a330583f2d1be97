"""Build the images; their base is made from packages where no registry answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.fixes.model import Fix
from claudy.image.context import make_recipe
from claudy.image.events import Notice, Phase, Step
from claudy.image.guardimage import ensure_guard_image, guard_recipe
from claudy.image.make import make_bundled
from claudy.image.reference import platform_of
from claudy.image.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.doctor.context import Context
    from claudy.image.events import Event


def build(context: Context) -> Fix:
    """Return how the image gets built."""

    def run(notify: Callable[[str], None]) -> None:
        recipe = make_recipe({}, platform_of(context.known.facts.arch))
        workshop = _workshop(context, notify)
        make_bundled(workshop, recipe, registry=context.settings["registry"])

    return Fix("build-image", "Build the image of the sandbox", ("claudy build-image",), run)


def build_guards(context: Context) -> Fix:
    """Return how the image of the guard's container gets built."""

    def run(notify: Callable[[str], None]) -> None:
        recipe = guard_recipe(platform_of(context.known.facts.arch))
        ensure_guard_image(_workshop(context, notify), recipe)

    return Fix("build-guard-image", "Build the image of the guard", ("claudy -- true",), run)


def _workshop(context: Context, notify: Callable[[str], None]) -> Workshop:
    """Return what builds, and says what it does in lines."""

    def report(event: Event) -> None:
        if isinstance(event, Phase):
            notify(event.title)
        elif isinstance(event, Notice):
            notify(event.text)
        elif isinstance(event, Step):
            notify(f"{event.number}/{event.total} {event.text}")

    # Whoever agrees to the build agrees to what it needs (mmdebstrap, for a base).
    return Workshop(context.engine(), context.host.env, report, lambda _q, _f: True)
