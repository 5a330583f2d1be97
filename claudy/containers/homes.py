"""The volumes that keep the sandboxes' homes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.engine.jsonc import dumps
from claudy.errors import APIError, ClaudyError

if TYPE_CHECKING:
    from collections.abc import Collection

    from claudy.engine.client import Engine

PREFIX = "claudy-home-"
_NOT_FOUND, _CONFLICT = 404, 409


def homes_of(engine: Engine, projects: Collection[str]) -> tuple[str, ...]:
    """Return the names of the home volumes of projects.

    Args:
        engine: the engine.
        projects: real paths.
    """
    filters = dumps({"label": ["claudy.project"]}).decode()
    found = engine.call("GET", "/volumes", {"filters": filters}).get("Volumes") or ()
    return tuple(
        sorted(
            str(volume["Name"])
            for volume in found
            if str(volume["Name"]).startswith(PREFIX)
            and (volume.get("Labels") or {}).get("claudy.project") in projects
        )
    )


def remove_home(engine: Engine, name: str) -> None:
    """Remove a home volume; one that is gone already needs nothing.

    Raises:
        ClaudyError: a container still uses it.
    """
    try:
        engine.call("DELETE", f"/volumes/{name}")
    except APIError as error:
        if error.status == _CONFLICT:
            message = f"The home {name} is in use by another sandbox of the project."
            raise ClaudyError(message, "claudy ps") from error
        if error.status != _NOT_FOUND:
            raise
