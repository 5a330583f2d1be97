"""The recipe of an image, and its build context as a tar archive in memory."""

from __future__ import annotations

import io
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
    source_files,
)
from claudy.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARG = re.compile(rb"^\s*ARG\s+(\w+)(?:=(\S*))?", re.MULTILINE | re.IGNORECASE)


@record
class Recipe:
    """What an image is made from: read once, so that it is built as it is named.

    Args:
        files: name and content of every file of the context.
        build_args: arguments that were given, sorted.
        platform: as `reference.parse_platform` spells it.
        repository: what the image is called.
        dockerfile: name of the Dockerfile among the files.
    """

    files: tuple[tuple[str, bytes], ...]
    build_args: tuple[tuple[str, str], ...]
    platform: str
    repository: str = REPOSITORY
    dockerfile: str = DOCKERFILE

    @property
    def reference(self) -> str:
        """Reference of the image, with the hash of all that goes in."""
        return f"{self.repository}:{digest(self.files, dict(self.build_args), self.platform)}"

    @property
    def base(self) -> str:
        """Reference of the image that it builds on."""
        return dict(self.build_args).get("BASE_IMAGE") or self.arguments["BASE_IMAGE"]

    @property
    def arguments(self) -> dict[str, str]:
        """The Dockerfile's build arguments with their defaults."""
        found = _ARG.findall(dict(self.files)[self.dockerfile])
        return {name.decode(): value.decode() for name, value in found}

    def context(self) -> bytes:
        """Return the build context as a tar archive; the same bytes for the same content."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in self.files:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def make_recipe(build_args: Mapping[str, str], platform: str, folder: str = "") -> Recipe:
    """Return a recipe.

    Args:
        build_args: build arguments that were given.
        platform: as `reference.parse_platform` spells it.
        folder: where the Dockerfile and its helper files are; empty for claudy's own.

    Raises:
        UsageError: the Dockerfile does not know a build argument.
    """
    files = tuple(context_files(source_files(folder)))
    recipe = Recipe(files, tuple(sorted(build_args.items())), platform)
    known = recipe.arguments
    for name in build_args:
        if name not in known and name.lower() not in NEUTRAL_ARGS:
            raise UsageError(
                f"Unknown build argument {name!r}.", f"known are {', '.join(sorted(known))}"
            )
    return recipe


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
