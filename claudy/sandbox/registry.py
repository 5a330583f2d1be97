"""Which sessions are open in which sandbox: files and locks in the user's runtime directory.

A sandbox has a directory of its own there: `lock` (held while a session joins or leaves),
`record` (what is running: written by the session that started the container) and a file per
session that its claudy keeps locked. The kernel drops a lock with its process, however that ends,
so a session file whose lock can be had belongs to nobody.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import sys

from claudy.digest import sha256
from claudy.errors import ClaudyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claudy.host.endpoint import Endpoint

# marshal's format belongs to one Python version; another one's records are simply not found.
_PATIENCE = 9  # hundredths of a second before somebody who waits is told why
_FORMAT = f"{sys.version_info[0]}.{sys.version_info[1]}-1"


def runtime_dir(env: Mapping[str, str], uid: int) -> str:
    """Return (and make) the private directory that holds the registry.

    `$XDG_RUNTIME_DIR/claudy`, `/run/user/UID/claudy` or `/tmp/claudy-UID`, whichever is this
    user's own; never one that somebody else could have prepared.
    """
    problem = ""
    for base in (env.get("XDG_RUNTIME_DIR", ""), f"/run/user/{uid}"):
        if base and _owned(base, uid):
            path = base + "/claudy"
            break
    else:
        path = f"{env.get('TMPDIR') or '/tmp'}/claudy-{uid}"  # noqa: S108 - checked below
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        problem = error.strerror or str(error)
    if problem or not _owned(path, uid):
        problem = problem or "it belongs to somebody else"
        raise ClaudyError(f"{path} can't be used for claudy's state: {problem}.", f"ls -ld {path}")
    return path


def _owned(path: str, uid: int) -> bool:
    """Whether a path is a directory, no link, that belongs to the user and nobody else writes."""
    import stat

    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid and not status.st_mode & 0o022


def seat_name(sandbox: str, endpoint: Endpoint) -> str:
    """Return a sandbox's name in the registry, which tells engines apart.

    However an engine was named (an option, a variable, a context, by default), its sessions have
    to find each other: what counts is the socket itself.
    """
    place = os.path.realpath(endpoint.path) if endpoint.kind == "unix" else endpoint.url
    return f"{sandbox}@{sha256(os.fsencode(place)).hexdigest()[:8]}"


def open_sessions(base: str, name: str) -> int | None:
    """Count the sessions that live in a sandbox, changing nothing.

    Args:
        base: the runtime directory.
        name: from `seat_name`.

    Returns:
        None if this user's registry doesn't know the sandbox: another user's, or another machine's.
    """
    try:
        entries = os.listdir(f"{base}/{name}")
    except OSError:
        return None
    return sum(_held(f"{base}/{name}/{entry}") for entry in entries if entry.startswith("s-"))


def _held(path: str) -> bool:
    """Whether a process holds a session file's lock."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


class Seat:
    """One session's place in a sandbox.

    Args:
        base: the runtime directory.
        name: from `seat_name`.
        session: the session's random id.
    """

    def __init__(self, base: str, name: str, session: str) -> None:
        self.name = name
        self.session = session
        self._dir = f"{base}/{name}"
        self._lock = -1
        self._own = -1

    @property
    def taken(self) -> bool:
        """Whether this session is entered."""
        return self._own >= 0

    def lock(self, *, waiting: Callable[[], None] | None = None) -> None:
        """Wait for the sandbox's lock, unless it is held already.

        Args:
            waiting: called if somebody else holds it for longer than a moment.
        """
        while self._lock < 0:
            try:
                self._lock = os.open(
                    f"{self._dir}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            except FileNotFoundError:
                os.makedirs(self._dir, 0o700, exist_ok=True)
                continue
            self._wait_for_lock(waiting)
            # The last one out removes the directory; then this lock guards nothing.
            try:
                if os.stat(f"{self._dir}/lock").st_ino == os.fstat(self._lock).st_ino:
                    return
            except FileNotFoundError:
                pass
            self.unlock()

    def _wait_for_lock(self, waiting: Callable[[], None] | None) -> None:
        for _ in range(_PATIENCE if waiting else 0):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                import time

                time.sleep(0.01)
            else:
                return
        if waiting:
            waiting()
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def unlock(self) -> None:
        """Give the sandbox's lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def take(self) -> None:
        """Enter this session; the sandbox's lock must be held."""
        path = f"{self._dir}/s-{self.session}"
        self._own = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._own, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Strike this session out."""
        _unlink(f"{self._dir}/s-{self.session}")
        if self._own >= 0:
            os.close(self._own)
            self._own = -1

    def others(self) -> int:
        """Count the other sessions that live, striking out the dead; needs the lock."""
        alive = 0
        for entry in os.listdir(self._dir):
            if not entry.startswith("s-") or entry == f"s-{self.session}":
                continue
            try:
                file = os.open(f"{self._dir}/{entry}", os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _unlink(f"{self._dir}/{entry}")
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                alive += 1
            finally:
                os.close(file)
        return alive

    def read(self) -> dict[str, object]:
        """Return the record of what runs, empty if there is none."""
        try:
            with open(f"{self._dir}/record-{_FORMAT}", "rb") as file:
                found = marshal.load(file)  # noqa: S302 - a private directory, checked to be ours
        except (FileNotFoundError, EOFError, ValueError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, found: dict[str, object]) -> None:
        """Replace the record of what runs.

        Raises:
            ClaudyError: there is no room for it.
        """
        path = f"{self._dir}/record-{_FORMAT}"
        try:
            with open(path + ".new", "wb") as file:
                marshal.dump(found, file)
            os.replace(path + ".new", path)
        except OSError as error:
            _unlink(path + ".new")
            raise ClaudyError(
                f"{path} can't be written: {error.strerror}.", f"df -h {self._dir}"
            ) from error

    def forget(self) -> None:
        """Drop the record: the container is gone."""
        _unlink(f"{self._dir}/record-{_FORMAT}")

    def clear(self) -> None:
        """Remove the sandbox's directory if nobody else is in it; needs the lock."""
        try:
            left = [name for name in os.listdir(self._dir) if name != "lock"]
            if not left:
                _unlink(f"{self._dir}/lock")
                os.rmdir(self._dir)
        except OSError:
            pass  # somebody is coming in; they will clear it


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
