"""The recipe of the bundled image, and its build context as a tar archive in memory."""

from __future__ import annotations

import io
import os
import re
import tarfile
from typing import TYPE_CHECKING

from claudy.errors import UsageError
from claudy.image.reference import (
    DOCKERFILE,
    NEUTRAL_ARGS,
    REPOSITORY,
    context_files,
    digest,
    docker_folder,
    source_files,
)
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARG = re.compile(rb"^\s*ARG\s+(\w+)(?:=(\S*))?", re.MULTILINE | re.IGNORECASE)
_LOOPBACK = re.compile(r"(//|@|^)(localhost|127\.|\[?::1)", re.IGNORECASE)


@record
class Recipe:
    """What the bundled image is made from.

    Args:
        build_args: arguments that were given, sorted.
        platform: as `reference.parse_platform` spells it.
        folder: where the Dockerfile and its helper files are.
    """

    build_args: tuple[tuple[str, str], ...]
    platform: str
    folder: str

    @property
    def reference(self) -> str:
        """Reference of the image, with the hash of all that goes in."""
        files = context_files(source_files(self.folder))
        return f"{REPOSITORY}:{digest(files, dict(self.build_args), self.platform)}"

    @property
    def base(self) -> str:
        """Reference of the image that it builds on."""
        return dict(self.build_args).get("BASE_IMAGE") or _arguments(self.folder)["BASE_IMAGE"]


def make_recipe(build_args: Mapping[str, str], platform: str, folder: str = "") -> Recipe:
    """Return a recipe.

    Raises:
        UsageError: the Dockerfile does not know a build argument.
    """
    folder = folder or docker_folder()
    known = _arguments(folder)
    for name in build_args:
        if name not in known and name.lower() not in NEUTRAL_ARGS:
            raise UsageError(
                f"Unknown build argument {name!r}.", f"known are {', '.join(sorted(known))}"
            )
    return Recipe(tuple(sorted(build_args.items())), platform, folder)


def parse_build_arg(text: str, env: Mapping[str, str]) -> tuple[str, str]:
    """Return name and value of `K=V`, or of `K` with its value from the environment.

    Raises:
        UsageError: it has no name, or the environment has no such variable.
    """
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"--build-arg {text!r} has no name.", "give K=V")
    if not equals and name not in env:
        raise UsageError(f"--build-arg {name}: there is no such variable.", f"give {name}=VALUE")
    return name, value if equals else env[name]


def proxy_args(env: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables that also mean something inside a container.

    One that points to this machine's own loopback would lead a container to itself.
    """
    names = [spelling for name in NEUTRAL_ARGS for spelling in (name, name.upper())]
    return {name: env[name] for name in names if env.get(name) and not _LOOPBACK.search(env[name])}


def build_context(folder: str) -> bytes:
    """Return the tar archive of a folder's files; the same bytes for the same content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in context_files(source_files(folder)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _arguments(folder: str) -> dict[str, str]:
    """Return the build arguments of the Dockerfile with their defaults."""
    with open(os.path.join(folder, DOCKERFILE), "rb") as file:
        return {name.decode(): value.decode() for name, value in _ARG.findall(file.read())}
