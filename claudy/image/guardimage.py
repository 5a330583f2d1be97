"""The image of the guard's sidecar: Debian's Python, and the guard of the claudy that runs.

Only engines whose containers can't have a socket of this machine need it. It is named by a hash of
all that goes in, so that another version of claudy, or of a library, makes another image.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import TYPE_CHECKING

from claudy.errors import ClaudyError
from claudy.image.context import Recipe
from claudy.image.reference import GUARD_REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.image.workshop import Workshop

DOCKERFILE = "Dockerfile"
# One stage, with the name that an engine with userns-remap is asked for.
_TEXT = b"""\
ARG BASE_IMAGE=debian:trixie-slim
FROM ${BASE_IMAGE} AS root
RUN apt-get update --error-on=any \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 \\
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
COPY app /usr/lib/claudy-guard
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/claudy-guard \\
    && mkdir -p /project /run/claudy /run/claudy-engine /var/lib/claudy
ENV PYTHONPATH=/usr/lib/claudy-guard PYTHONDONTWRITEBYTECODE=1
LABEL claudy.image=guard
ENTRYPOINT ["python3", "-P", "-m", "claudy.guard", "serve"]
"""
# What the guard imports: its own folder, and these.
_MODULES = (
    "__init__.py",
    "digest.py",
    "errors.py",
    "record.py",
    "engine/__init__.py",
    "engine/removing.py",
    "engine/wire.py",
)
_LIBRARIES = ("h11", "h2", "hpack", "hyperframe")


def guard_recipe(platform: str) -> Recipe:
    """Return what the sidecar's image is made from.

    Args:
        platform: as `reference.parse_platform` spells it.

    Raises:
        ClaudyError: the installation is not complete.
    """
    files = ((DOCKERFILE, _TEXT), *sorted(_claudy()), *sorted(_libraries()))
    return Recipe(files, (), platform, GUARD_REPOSITORY, DOCKERFILE)


def ensure_guard_image(workshop: Workshop, recipe: Recipe) -> str:
    """Return the id of the sidecar's image, building it if it is not there.

    Raises:
        ImageError: it can't be made.
    """
    from claudy.image.make import make_bundled

    return make_bundled(workshop, recipe)


def _claudy() -> Iterator[tuple[str, bytes]]:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for name in _MODULES:
        yield f"app/claudy/{name}", _read(f"{package}/{name}")
    for name in _sources(f"{package}/guard"):
        yield f"app/claudy/guard/{name}", _read(f"{package}/guard/{name}")


def _libraries() -> Iterator[tuple[str, bytes]]:
    """Yield the pure Python libraries that the guard uses, with their licences."""
    for library in _LIBRARIES:
        spec = find_spec(library)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        if not folders:
            raise ClaudyError(
                f"The installation of claudy is not complete: {library} is missing.",
                "./install.sh, in a clone of claudy",
            )
        for name in _sources(folders[0]):
            yield f"app/{library}/{name}", _read(f"{folders[0]}/{name}")
        try:
            listed = distribution(library).files or ()
        except PackageNotFoundError:
            continue
        for file in listed:
            if "LICENSE" in file.name.upper() or file.name == "METADATA":
                yield f"app/{file.as_posix()}", file.read_binary()


def _sources(folder: str) -> Iterator[str]:
    """Yield the paths of the files below a folder."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith((".pyc", "~")):
                yield os.path.relpath(f"{top}/{name}", folder)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ClaudyError(f"{path} can't be read: {error.strerror}.", f"ls -l {path}") from error
