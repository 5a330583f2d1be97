"""Ask the engine about its images, tag and remove them."""

from __future__ import annotations

from claudy.errors import APIError
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from claudy.engine.client import Engine

_NOT_FOUND, _CONFLICT = 404, 409


@record
class Image:
    """An image on the engine.

    Args:
        id: its id, `sha256:…`.
        platform: as "linux/amd64".
        config: its configuration as the API has it: Env, Cmd, Labels, User …
        size: bytes.
    """

    id: str
    platform: str
    config: dict[str, Any]
    size: int

    @property
    def labels(self) -> dict[str, str]:
        """Labels; empty when it has none."""
        return self.config.get("Labels") or {}


def find_image(engine: Engine, reference: str) -> Image | None:
    """Return an image, None when it is not on the engine.

    Args:
        engine: the engine.
        reference: name with tag or digest, or id.
    """
    try:
        found = engine.call("GET", f"/images/{reference}/json")
    except APIError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    variant = found.get("Variant") or ""
    platform = f"{found.get('Os', 'linux')}/{found.get('Architecture', '')}"
    return Image(
        found["Id"],
        f"{platform}/{variant}" if variant else platform,
        found.get("Config") or {},
        int(found.get("Size", 0)),
    )


def tag_image(engine: Engine, image: str, reference: str) -> None:
    """Give an image one more reference.

    Args:
        engine: the engine.
        image: id or reference.
        reference: NAME:TAG.
    """
    repository, _, tag = reference.rpartition(":")
    engine.call("POST", f"/images/{image}/tag", {"repo": repository, "tag": tag})


def remove_image(engine: Engine, image: str) -> bool:
    """Remove an image or a reference of it unless a container or another image needs it.

    Returns:
        Whether it is gone.
    """
    try:
        engine.call("DELETE", f"/images/{image}")
    except APIError as error:
        if error.status == _CONFLICT:
            return False
        if error.status != _NOT_FOUND:
            raise
    return True
