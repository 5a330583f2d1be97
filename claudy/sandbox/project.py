"""The project directory: where it is, what its sandbox is called and whom it belongs to."""

from __future__ import annotations

import os
import stat

from claudy.digest import sha256
from claudy.errors import UsageError
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME_LENGTH = 40
_MOST_LINKS = 40  # as the kernel follows


@record
class Project:
    """A project directory.

    Args:
        path: real path on this machine.
        slug: sanitised base name and the first 8 hex digits of the path's sha256.
        uid: numeric user id of its owner.
        gid: numeric group id of its owner.
    """

    path: str
    slug: str
    uid: int
    gid: int

    @property
    def id(self) -> str:
        """First 8 hex digits of the sha256 of the real path."""
        return self.slug[-8:]

    @property
    def sandbox(self) -> str:
        """Name of the sandbox container."""
        return f"claudy-{self.slug}"

    @property
    def home_volume(self) -> str:
        """Name of the volume that keeps the sandbox user's home."""
        return f"claudy-home-{self.slug}"


def sanitise(name: str) -> str:
    """Return a name of letters, digits, `_`, `.` and `-` that starts with a letter or digit."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in name)
    while "--" in kept:
        kept = kept.replace("--", "-")
    return kept.strip("_.-")[:NAME_LENGTH].rstrip("_.-") or "project"


def find_project(directory: str) -> Project:
    """Return the project in a directory.

    Args:
        directory: path as the user gave it; relative to the current directory.

    Raises:
        UsageError: it does not exist, is not a directory, or can't be read.
    """
    shown = repr(directory)
    if not directory:  # realpath would make the current directory of it
        raise UsageError("The directory's name is empty.", "claudy .")
    try:
        path = os.path.realpath(directory, strict=True)
        status = os.stat(path)
    except FileNotFoundError as error:
        raise UsageError(f"No such directory: {shown}.", "claudy --help") from error
    except OSError as error:
        raise UsageError(
            f"{shown} can't be opened: {error.strerror}.", f"ls -ld {shown}"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{shown} is not a directory.", "claudy .")
    if not os.access(path, os.R_OK | os.X_OK):
        raise UsageError(f"{shown} can't be read: permission denied.", f"ls -ld {shown}")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{shown} can't be mounted: its path is not valid UTF-8, and the engine's API knows no"
            " other.",
            "Rename the directory.",
        ) from error
    return Project(path, slug_of(path), status.st_uid, status.st_gid)


def slug_of(path: str) -> str:
    """Return what a project is called in the names of what belongs to it.

    Args:
        path: its real path; it need not exist any more.
    """
    digest = sha256(os.fsencode(path)).hexdigest()[:8]
    return f"{sanitise(os.path.basename(path))}-{digest}"


def too_wide(project: Project, home: str, trusted: Iterable[str] = ()) -> str:
    """Return why a directory is dangerous to hand over as a whole, or nothing.

    Args:
        project: the project.
        home: the user's home directory.
        trusted: files and directories of claudy and of the engine, which take them at their word.
    """
    if project.path == "/":
        return "the whole file system"
    if home and project.path == os.path.realpath(home):
        return "your whole home directory, keys and tokens included"
    if home and os.path.realpath(home).startswith(project.path + "/"):
        return "the directory that your home is in"
    for path in trusted:
        if path and leads_through(path, project.path):
            return f"where claudy and the engine keep what they trust ({path})"
    return ""


def leads_through(path: str, project: str) -> bool:
    """Whether a path is, or has a link on its way, in a project: what runs inside decides then.

    Args:
        path: need not exist.
        project: real path of the project, not `/`.
    """
    return any(f"{place}/".startswith(f"{project}/") for place in _steps(path))


def _steps(path: str) -> Iterator[str]:
    """Yield every place that the kernel looks at for a path: who has a link can lead it anywhere.

    Each is real but for its last part.
    """
    place, links = "/", 0
    # The current directory may be gone; only a relative path needs it.
    left = (path if path.startswith("/") else os.path.join(os.getcwd(), path)).split("/")
    while left:
        part = left.pop(0)
        if part == "..":
            place = os.path.dirname(place)
        elif part not in ("", "."):
            step = os.path.join(place, part)
            yield step
            if links < _MOST_LINKS and os.path.islink(step):
                links += 1
                target = os.readlink(step)
                place = "/" if target.startswith("/") else place
                left = [*target.split("/"), *left]
            else:
                place = step
