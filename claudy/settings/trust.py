"""Which project files the user has accepted, by the hash of path and content.

A project file comes with the repository, so whoever writes the repository writes it. What it asks
for beyond the project itself is left out until the user has run `claudy trust` on exactly this
content (direnv's model).
"""

from __future__ import annotations

import os

from claudy.errors import ClaudyError
from claudy.host.places import state_dir
from claudy.settings.model import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from claudy.settings.model import Settings


def _mark(path: str, content: bytes, env: Mapping[str, str]) -> str:
    from hashlib import sha256

    digest = sha256(os.fsencode(os.path.realpath(path)) + b"\0" + content).hexdigest()
    return f"{state_dir(env)}/trust/{digest}"


def is_trusted(path: str, env: Mapping[str, str]) -> bool:
    """Whether the user has accepted this file with exactly this content."""
    with open(path, "rb") as file:
        return os.path.exists(_mark(path, file.read(), env))


def accept(path: str, content: bytes, env: Mapping[str, str]) -> None:
    """Remember that the user accepts this file with this content."""
    mark = _mark(path, content, env)
    try:
        os.makedirs(os.path.dirname(mark), mode=0o700, exist_ok=True)
        with open(mark, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(os.path.realpath(path) + "\n")
    except OSError as error:
        raise ClaudyError(f"{mark} can't be written: {error.strerror}.") from error


def revoke(path: str, content: bytes, env: Mapping[str, str]) -> bool:
    """Forget that the user accepted this file; returns whether they had."""
    try:
        os.unlink(_mark(path, content, env))
    except FileNotFoundError:
        return False
    return True


def privileged(content: Mapping[str, Any], project: str, own: Settings) -> tuple[str, ...]:
    """Return the names in a project file that ask for more than the user's own settings allow.

    What the user has limited stays limited: the file comes with the repository, and what runs in
    the sandbox can write to it.

    Args:
        content: what the file says.
        project: real path of the project.
        own: the user's settings, without the project's.
    """
    found = []
    for name, raw in content.items():
        setting = BY_NAME[name]
        try:
            value = setting.parse(raw)
        except ValueError:
            continue  # the loader refuses the value with a better message
        asks = setting.wait is not None and setting.wait.test(value, own[name])
        if asks or (name == "volumes" and _leads_out(value, project)):
            found.append(name)
    return tuple(found)


def _leads_out(volumes: Sequence[str], project: str) -> bool:
    """Whether a relative mount leaves the project through a symbolic link."""
    for volume in volumes:
        parts = volume.split(
            ":"
        )  # a name may have colons in it: whatever could be the source counts
        for end in range(1, len(parts)):
            source = os.path.realpath(os.path.join(project, ":".join(parts[:end])))
            if source != project and not source.startswith(project + "/"):
                return True
    return False


def without_privileges(
    path: str, content: dict[str, Any], env: Mapping[str, str], own: Settings
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what of a project file applies now, and the names that wait for trust."""
    names = privileged(content, os.path.dirname(path), own)
    if not names or is_trusted(path, env):
        return content, ()
    return {name: value for name, value in content.items() if name not in names}, names
