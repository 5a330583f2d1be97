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
    from collections.abc import Mapping
    from typing import Any

    from claudy.settings.model import Settings


def _mark(path: str, env: Mapping[str, str]) -> str:
    """Return the file that says which content of a project's file is accepted: the last one."""
    return f"{state_dir(env)}/trust/{_hash(os.fsencode(path))}"


def _hash(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()


def is_trusted(path: str, content: bytes, env: Mapping[str, str]) -> bool:
    """Whether the user has accepted this file with exactly this content.

    Args:
        path: the file, in the real path of its project.
        content: what is in it.
        env: the process environment.
    """
    try:
        with open(_mark(path, env), encoding="ascii", errors="replace") as file:
            return file.readline().strip() == _hash(content)
    except OSError:
        return False


def accept(path: str, content: bytes, env: Mapping[str, str]) -> None:
    """Remember that the user accepts this file with this content, and no other."""
    mark = _mark(path, env)
    try:
        os.makedirs(os.path.dirname(mark), mode=0o700, exist_ok=True)
        # A new file: launches tell by the directory's time that something else is trusted now.
        with open(f"{mark}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{_hash(content)}\n{path}\n")
        os.replace(f"{mark}.new", mark)
    except OSError as error:
        raise ClaudyError(f"{mark} can't be written: {error.strerror}.") from error


def revoke(path: str, env: Mapping[str, str]) -> bool:
    """Forget that the user accepted this file, whatever it says now; returns whether they had."""
    try:
        os.unlink(_mark(path, env))
    except FileNotFoundError:
        return False
    return True


def privileged(content: Mapping[str, Any], own: Settings) -> tuple[str, ...]:
    """Return the names in a project file that ask for more than the user's own settings allow.

    What the user has limited stays limited: the file comes with the repository, and what runs in
    the sandbox can write to it.

    Args:
        content: what the file says.
        own: the user's settings, without the project's.
    """
    found = []
    for name, raw in content.items():
        setting = BY_NAME[name]
        try:
            value = setting.parse(raw)
        except ValueError:
            continue  # the loader refuses the value with a better message
        if setting.wait is not None and setting.wait.test(value, own[name]):
            found.append(name)
    return tuple(found)


def without_privileges(
    asked: dict[str, Any], own: Settings
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what of a project's file applies without trust, and the names that wait for it.

    Args:
        asked: what it says.
        own: the user's settings, without the project's.
    """
    names = privileged(asked, own)
    return {name: value for name, value in asked.items() if name not in names}, names
