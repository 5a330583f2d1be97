"""Build the image; its base is made from packages where no registry answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.doctor.fixes.model import Fix
from claudy.image.context import make_recipe
from claudy.image.events import Notice, Phase, Step
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
        def report(event: Event) -> None:
            if isinstance(event, Phase):
                notify(event.title)
            elif isinstance(event, Notice):
                notify(event.text)
            elif isinstance(event, Step):
                notify(f"{event.number}/{event.total} {event.text}")

        # Whoever agrees to the build agrees to what it needs (mmdebstrap, for a base).
        workshop = Workshop(context.engine(), context.host.env, report, lambda _q, _f: True)
        recipe = make_recipe({}, platform_of(context.known.facts.arch))
        make_bundled(workshop, recipe, registry=context.settings["registry"])

    return Fix("build-image", "Build the image of the sandbox", ("claudy build-image",), run)
