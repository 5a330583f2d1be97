"""The image that a launch runs: the bundled one or the user's own, with the sandbox's user in it.

On the launch path: one API call finds both the bundled image and the one derived from it.
"""

from __future__ import annotations

from claudy.engine.jsonc import dumps
from claudy.errors import ClaudyError
from claudy.image.reference import (
    REPOSITORY,
    USER_REPOSITORY,
    bundled_reference,
    platform_of,
    user_reference,
)
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from claudy.engine.client import Engine
    from claudy.engine.identity import EngineFacts
    from claudy.image.events import Event
    from claudy.image.workshop import Workshop
    from claudy.settings.model import Settings

    class Account(Protocol):
        """The sandbox's user."""

        @property
        def uid(self) -> int:
            """Numeric user id."""

        @property
        def gid(self) -> int:
            """Numeric group id."""

        @property
        def name(self) -> str:
            """Login name."""

        @property
        def home(self) -> str:
            """Home directory inside."""


@record
class Ready:
    """An image that is there.

    Args:
        image: reference or id of the image to run, with the sandbox's user in its passwd.
        base: id of the image that it was derived from.
        has_init: it is made from claudy's own, so the session holder is in it.
        reference: name of the image that it was derived from.
    """

    image: str
    base: str
    has_init: bool
    reference: str


def ensure_image(
    engine: Engine,
    settings: Settings,
    user: Account,
    *,
    facts: EngineFacts,
    env: Mapping[str, str],
    dry: bool = False,
    progress: Callable[[Event], None],
    confirm: Callable[[str, str], bool],
) -> Ready:
    """Return the image to run, building or pulling it if it is not there.

    Args:
        engine: where.
        settings: image, pull and registry are read.
        user: who the sandbox's processes are.
        facts: which engine it is.
        env: the process environment.
        dry: change nothing; say what would be run.
        progress: is told what happens, when something has to be done; last of all `Done`.
        confirm: asks a yes-or-no question.

    Raises:
        ClaudyError: it can't be had.
    """
    platform = platform_of(facts.arch)
    wanted = settings["image"]
    reference = wanted or bundled_reference(platform=platform)
    if not wanted:
        base, derived = _look(engine, reference)
        image = _image_for(base, user)
        if base and (dry or image == base or image in derived):
            return Ready(image, base, has_init=True, reference=reference)
    if dry:
        return _would_be(engine, reference, user, bundled=not wanted)
    from claudy.image.events import Done
    from claudy.image.failures import RegistryDenied
    from claudy.image.workshop import Workshop

    # A stranger's file may name an image, but not have it fetched in the user's name.
    anonymous = not settings.trusted and settings.source("image") == settings.project_file
    workshop = Workshop(engine, env, progress, confirm, anonymous)
    try:
        ready = _obtain(workshop, settings, user, reference, platform)
    except RegistryDenied as error:
        progress(Done(failed=True))
        if anonymous:
            error.hint = "claudy trust, to have it pulled with your login"
        raise
    except ClaudyError:
        progress(Done(failed=True))
        raise
    except BaseException:
        progress(Done())
        raise
    progress(Done())
    return ready


def _look(engine: Engine, reference: str) -> tuple[str, tuple[str, ...]]:
    """Return the id of the bundled image, empty if missing, and the references derived from any."""
    filters = dumps({"reference": [reference, USER_REPOSITORY]}).decode()
    base = ""
    derived: list[str] = []
    for image in engine.call("GET", "/images/json", {"filters": filters}):
        names = image.get("RepoTags") or ()
        if reference in names:
            base = image["Id"]
        derived += [name for name in names if name.startswith(USER_REPOSITORY)]
    return base, tuple(derived)


def _image_for(base: str, user: Account) -> str:
    """Return what to run for a user: the base itself for root."""
    if user.uid == 0:
        return base
    return user_reference(base, user.uid, user.gid, user.name, user.home)


def _would_be(engine: Engine, reference: str, user: Account, *, bundled: bool) -> Ready:
    """Return the image that a launch would run, making nothing."""
    from claudy.image.images import find_image

    found = None if bundled else find_image(engine, reference)
    if found is None:
        return Ready(reference, reference, has_init=bundled, reference=reference)
    has_init = found.labels.get("claudy.image") == REPOSITORY
    return Ready(_image_for(found.id, user), found.id, has_init, reference)


def _obtain(
    workshop: Workshop, settings: Settings, user: Account, reference: str, platform: str
) -> Ready:
    """Do what it takes for the image to be there."""
    if settings["image"]:
        from claudy.image.custom import ensure_custom

        base = ensure_custom(workshop, reference, settings["pull"])
    else:
        from claudy.image.context import make_recipe
        from claudy.image.images import find_image
        from claudy.image.make import make_bundled

        registry = settings["registry"] if settings["pull"] != "never" else ""
        made = make_bundled(workshop, make_recipe({}, platform), registry=registry)
        found = find_image(workshop.engine, made)
        if found is None:
            raise ClaudyError(f"{reference} vanished while it was made.", "claudy build-image")
        base = found
    has_init = base.labels.get("claudy.image") == REPOSITORY
    if user.uid == 0:
        return Ready(base.id, base.id, has_init, reference)
    from claudy.image.userimage import ensure_user_image

    image = ensure_user_image(workshop, base, user, reference)
    return Ready(image, base.id, has_init, reference)
