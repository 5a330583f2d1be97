"""What claudy made and nobody uses any more: find it, remove it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from claudy.containers.container import ROLE_LABEL, SANDBOX_LABEL
from claudy.containers.lifecycle import remove_container
from claudy.containers.listing import list_containers
from claudy.engine.jsonc import dumps
from claudy.errors import APIError
from claudy.image.base import BOOTSTRAPPED
from claudy.image.context import make_recipe
from claudy.image.guardimage import guard_recipe
from claudy.image.images import remove_image
from claudy.image.reference import (
    GUARD_REPOSITORY,
    REPOSITORY,
    USER_REPOSITORY,
    bundled_reference,
    platform_of,
)
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from claudy.containers.container import Container
    from claudy.containers.lifecycle import Registry
    from claudy.engine.client import Engine

YOUNG = 60  # seconds for which something that does not run yet, or runs unseen, may be at work
_ENDED = ("exited", "dead", "created")
_OWN_TAG = re.compile(rf"{REPOSITORY}:[0-9a-f]{{16}}")
_DONOR = re.compile(rf"{USER_REPOSITORY}-[0-9a-f]{{8}}")
_OWN_GUARD = re.compile(rf"{GUARD_REPOSITORY}:[0-9a-f]{{16}}")
_HOME, _WORKSPACE, _MEMORY = "claudy-home-", "claudy-workspace-", "claudy-guard-"
_NOT_FOUND, _CONFLICT = 404, 409


@record
class Unused:
    """Something that can go.

    Args:
        kind: `sandbox`, `guard`, `probe`, `donor`, `image` or `volume`.
        name: what a person calls it.
        why: why nobody uses it.
        size: bytes on disk, 0 if that is not known.
        container: the container, for those kinds.
    """

    kind: str
    name: str
    why: str
    size: int = 0
    container: Container | None = None


def find_unused(
    engine: Engine, registry: Registry, *, volumes: bool = False, now: float | None = None
) -> tuple[Unused, ...]:
    """Return what claudy made on an engine and nobody uses, in the order it can be removed.

    Args:
        engine: the engine.
        registry: where the sessions of running sandboxes are.
        volumes: the homes of projects without a sandbox, too.
        now: seconds since the epoch, if it is not this moment.
    """
    containers = list_containers(engine)
    gone = tuple(_containers(containers, registry, time.time() if now is None else now))
    going = {unused.container.id for unused in gone if unused.container}
    used = {c.image_id for c in containers if c.id not in going}
    platform = platform_of(str(engine.call("GET", "/version").get("Arch", "")))
    current = bundled_reference(platform=platform)
    listed = engine.call("GET", "/images/json")
    images = tuple(_images(listed, used, current))
    images += tuple(_guard_images(listed, used, guard_recipe(platform).reference))
    images += tuple(_bases(listed, used, make_recipe({}, platform).base))
    return gone + images + tuple(_volumes(engine, containers, going, homes=volumes))


def remove_unused(engine: Engine, registry: Registry, unused: Unused) -> bool:
    """Remove one of them.

    Returns:
        Whether it is gone; false if somebody has begun to use it.
    """
    if unused.container is not None:
        remove_container(engine, unused.container, registry)
        return True
    if unused.kind == "image":
        return remove_image(engine, unused.name)
    try:
        engine.call("DELETE", f"/volumes/{unused.name}")
    except APIError as error:
        if error.status == _CONFLICT:
            return False
        if error.status != _NOT_FOUND:
            raise
    return True


def _containers(
    containers: Iterable[Container], registry: Registry, now: float
) -> Iterator[Unused]:
    containers = tuple(containers)
    sandboxes = {c.name for c in containers if c.is_sandbox}
    for c in containers:
        old = now - c.created > YOUNG
        if c.is_guard:
            if old and (c.state in _ENDED or c.labels[SANDBOX_LABEL] not in sandboxes):
                yield Unused("guard", c.name, "its sandbox has gone", 0, c)
        elif not c.is_sandbox:
            yield from _helper(c, old=old)
        elif c.state in _ENDED:
            if old or c.state != "created":
                yield Unused("sandbox", c.name, f"it has ended ({c.state})", 0, c)
        elif old and _is_orphan(registry, c):
            yield Unused("sandbox", c.name, "no session is open in it", 0, c)


def _helper(c: Container, *, old: bool) -> Iterator[Unused]:
    """Yield a container that claudy made for a moment, and that was left when it was killed."""
    if c.is_probe and (old or c.state == "exited"):
        yield Unused("probe", c.name, "left over from asking the engine", 0, c)
    donor = _DONOR.fullmatch(c.name) and c.labels.get("claudy.image") == "user"
    if donor and old and c.state == "created":
        yield Unused("donor", c.name, "left over from adding a user to an image", 0, c)


def _is_orphan(registry: Registry, sandbox: Container) -> bool:
    """Whether a running sandbox has lost its last session without being removed.

    One that this user's registry does not know may be another user's, and stays.
    """
    known = registry.record(sandbox.name)
    return (
        known.get("id", sandbox.id) == sandbox.id
        and not known.get("keep")
        and registry.sessions(sandbox.name) == 0
    )


def _images(found: Iterable[Mapping[str, Any]], used: set[str], current: str) -> Iterator[Unused]:
    images = list(found)
    present = {image["Id"] for image in images}
    tagged = {tag: image["Id"] for image in images for tag in image.get("RepoTags") or ()}
    for image in images:
        labels = image.get("Labels") or {}
        if labels.get("claudy.image") != "user" or image["Id"] in used:
            continue
        base, origin = labels.get("claudy.base", ""), labels.get("claudy.reference", "")
        outdated = _OWN_TAG.fullmatch(origin) and origin != current
        if outdated or base not in present or tagged.get(origin, base) != base:
            why = f"made from {origin or 'an image'}, which is not the current one"
            for tag in image.get("RepoTags") or ():
                if tag.startswith(f"{USER_REPOSITORY}:"):
                    yield Unused("image", tag, why)
    for tag, image_id in sorted(tagged.items()):
        if _OWN_TAG.fullmatch(tag) and tag != current and image_id not in used:
            size = next(int(image.get("Size", 0)) for image in images if image["Id"] == image_id)
            yield Unused("image", tag, "another version of claudy's image is current", size)


def _guard_images(
    found: Iterable[Mapping[str, Any]], used: set[str], current: str
) -> Iterator[Unused]:
    for image in found:
        for tag in image.get("RepoTags") or ():
            if _OWN_GUARD.fullmatch(tag) and tag != current and image["Id"] not in used:
                size = int(image.get("Size", 0))
                yield Unused(
                    "image", tag, "another version of the guard's sidecar is current", size
                )


def _bases(found: Iterable[Mapping[str, Any]], used: set[str], preferred: str) -> Iterator[Unused]:
    """Yield the base that was made without a registry, if the registry's own is there now."""
    images = list(found)
    if any(preferred in (image.get("RepoTags") or ()) for image in images):
        for image in images:
            if BOOTSTRAPPED in (image.get("RepoTags") or ()) and image["Id"] not in used:
                why = f"{preferred}, which it stood in for, is there"
                yield Unused("image", BOOTSTRAPPED, why, int(image.get("Size", 0)))


def _volumes(
    engine: Engine, containers: Iterable[Container], going: set[str], *, homes: bool
) -> Iterator[Unused]:
    staying = [c for c in containers if c.id not in going]
    alive = {c.project for c in staying if c.is_sandbox}
    names = {c.name for c in staying if c.is_sandbox}
    owners = {c.project for c in staying if c.owner}
    used = {name for c in staying for name in c.volumes}
    filters = dumps({"label": ["claudy.project"]}).decode()
    found = engine.call("GET", "/volumes", {"filters": filters}).get("Volumes") or ()
    for volume in sorted(found, key=lambda volume: str(volume["Name"])):
        name = str(volume["Name"])
        labels = volume.get("Labels") or {}
        project = labels.get("claudy.project", "")
        if name in used:
            continue
        if labels.get(ROLE_LABEL) == "guard" and name == f"{labels.get(SANDBOX_LABEL)}-socket":
            if labels[SANDBOX_LABEL] not in names:
                yield Unused("volume", name, "the socket of a guard whose sandbox has gone")
            continue
        if project in alive:
            continue
        if name.startswith(_HOME) and homes:
            yield Unused("volume", name, f"home of the sandbox of {project}")
        elif name.startswith(_MEMORY) and homes and project not in owners:
            yield Unused("volume", name, f"what the guard of {project} remembers")
        elif name.startswith(_WORKSPACE):
            yield Unused("volume", name, f"the guard's way into {project}, which has no sandbox")
