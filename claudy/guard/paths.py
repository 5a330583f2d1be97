"""Paths inside become something that the daemon may mount, or nothing does."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple, Self

from claudy.guard.options import WORKSPACE
from claudy.guard.refusal import BAD_REQUEST, Denied, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 40
# The last is where an image that is not claudy's has it, with the guard in a sidecar.
DOCKER_SOCKETS = frozenset({"/var/run/docker.sock", "/run/docker.sock", "/run/claudy/docker.sock"})
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ELSEWHERE = "Use a path under /workspace, or a named volume."


class Resolved(NamedTuple):
    """A bind source in the workspace.

    Attributes:
        relative: path below the workspace without links or dots; empty: the workspace itself.
        is_file: it is not a directory.
    """

    relative: str
    is_file: bool


class Workspace:
    """The project directory, as the host and the sandbox name it.

    Args:
        host: real path on the daemon's file system.
        read_only: the sandbox may not write to it.
        root: where the guard finds it; empty: the same path.
        alias: its path on the machine where claudy runs, which the sandbox has too.
        owner: who gets the directories that are made; None: who the guard runs as.
    """

    def __init__(
        self,
        host: str,
        *,
        read_only: bool = False,
        root: str = "",
        alias: str = "",
        owner: tuple[int, int] | None = None,
    ) -> None:
        self.host = host.rstrip("/") or "/"
        self.read_only = read_only
        self.root = root or self.host
        self.owner = owner
        self._names = (WORKSPACE, self.host, *((alias,) if alias and alias != self.host else ()))

    def below(self, path: str) -> str | None:
        """Return what follows the workspace's name in a path; None: it is elsewhere."""
        for top in self._names:
            if path == top:
                return ""
            if path.startswith(top.rstrip("/") + "/"):
                return path[len(top.rstrip("/")) + 1 :]
        return None

    def resolve(self, path: str, *, create: bool) -> Resolved:
        """Resolve a path as the sandbox means it, following links only inside the workspace.

        Args:
            path: absolute path.
            create: make missing directories, as the daemon does for `-v`; not in a read-only
                project.

        Raises:
            Denied: it is outside, leaves through a link, is missing or not mountable.
        """
        rest = self.below(path)
        if rest is None:
            raise refused(f"the bind source {path[:200]} is outside the workspace", _ELSEWHERE)
        try:
            with _Walk(self, path) as walk:
                return walk.go(rest, create=create and not self.read_only)
        except OSError as error:
            raise Denied(
                BAD_REQUEST, f"claudy guard: the bind source {path[:200]}: {error.strerror}."
            ) from error

    def unchanged(self, relative: str) -> bool:
        """Whether a resolved path still exists and has no link in it."""
        with contextlib.suppress(OSError), _Walk(self, relative) as walk:
            return walk.plain(relative)
        return False


class _Walk:
    """A walk from the workspace's root, one name at a time, never through a link."""

    def __init__(self, workspace: Workspace, asked: str) -> None:
        self._workspace = workspace
        self._asked = asked[:200]
        self._fds: list[int] = []
        self._names: list[str] = []

    def __enter__(self) -> Self:
        self._fds.append(os.open(self._workspace.root, _DIRECTORY))
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._fds:
            os.close(number)

    def go(self, rest: str, *, create: bool) -> Resolved:
        pending = _parts(rest)
        links = 0
        while pending:
            name = pending.pop(0)
            if name == "..":
                self._up()
                continue
            try:
                mode = os.stat(name, dir_fd=self._fds[-1], follow_symlinks=False).st_mode
            except FileNotFoundError:
                if not create:
                    raise refused_missing(self._asked) from None
                self._make(name)
                continue
            if stat.S_ISLNK(mode):
                links += 1
                if links > MAX_LINKS:
                    raise refused(f"the bind source {self._asked} has too many links", _ELSEWHERE)
                pending = self._through(name) + pending
            elif stat.S_ISDIR(mode):
                self._down(name)
            elif pending or not (stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
                raise refused(
                    f"the bind source {self._asked} is not a file or directory", _ELSEWHERE
                )
            else:
                return Resolved("/".join([*self._names, name]), is_file=True)
        return Resolved("/".join(self._names), is_file=False)

    def plain(self, relative: str) -> bool:
        *parents, last = relative.split("/")
        for name in parents:
            self._down(name)
        mode = os.stat(last, dir_fd=self._fds[-1], follow_symlinks=False).st_mode
        return stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)

    def _down(self, name: str) -> None:
        self._fds.append(os.open(name, _DIRECTORY, dir_fd=self._fds[-1]))
        self._names.append(name)

    def _up(self) -> None:
        if not self._names:
            raise refused(f"the bind source {self._asked} is outside the workspace", _ELSEWHERE)
        os.close(self._fds.pop())
        self._names.pop()

    def _make(self, name: str) -> None:
        os.mkdir(name, 0o755, dir_fd=self._fds[-1])
        if self._workspace.owner:
            uid, gid = self._workspace.owner
            os.chown(name, uid, gid, dir_fd=self._fds[-1], follow_symlinks=False)
        self._down(name)

    def _through(self, name: str) -> list[str]:
        """Return the parts that a link stands for; an absolute one starts at the root again."""
        link = os.readlink(name, dir_fd=self._fds[-1])
        if not link.startswith("/"):
            return _parts(link)
        rest = self._workspace.below(os.path.normpath(link) if ".." not in link else link)
        if rest is None:
            raise refused(f"the bind source {self._asked} leaves the workspace", _ELSEWHERE)
        while self._names:
            self._up()
        return _parts(rest)


def refused_missing(path: str) -> Denied:
    """Return dockerd's own answer for a bind source that does not exist."""
    text = f'invalid mount config for type "bind": bind source path does not exist: {path}'
    return Denied(BAD_REQUEST, text)


def _parts(path: str) -> list[str]:
    return list(_names(path))


def _names(path: str) -> Iterator[str]:
    for part in path.split("/"):
        if part not in {"", "."}:
            yield part
