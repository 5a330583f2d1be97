"""Held while claudy lets something of a project run: not while the project stands still.

An engine before API 1.45 follows links in what it mounts, so the guard pauses everything of the
project while it does (`claudy.guard.start`). What claudy started or woke in such a moment could put
a link there. A sidecar keeps its lock in a volume, where it can't be held from here.
"""

from __future__ import annotations

import fcntl
import os
import time

from claudy.errors import ClaudyError
from claudy.sandbox.guarding import guard_state
from claudy.sandbox.project import slug_of
from claudy.sandbox.sessions import Anytime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Of `claudy.guard.start`, in the directory of the ledger: the lock that it has alone while it lets
# the engine mount, and its note of what it has paused.
LOCK, FROZEN = "start.lock", "frozen.json"
PATIENCE = 10.0  # seconds
_PAUSE = 0.05


class Waking(Anytime):
    """The lock of a project's guards, held beside others: none of them makes it stand still.

    Args:
        env: the process environment.
        project: the project's real path.
    """

    def __init__(self, env: Mapping[str, str], project: str) -> None:
        self._project = project
        directory = guard_state(env, slug_of(project))
        self._note = f"{directory}/{FROZEN}"
        try:
            # Also where no guard has been yet: the first may come while the engine is at it.
            os.makedirs(directory, 0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(f"{directory}/{LOCK}", flags, 0o600)
        except OSError as error:
            raise ClaudyError(
                f"{error.filename or directory} can't be used for claudy's state:"
                f" {error.strerror}.",
                f"ls -ld {directory}",
            ) from error

    def fileno(self) -> int:
        """Return the lock's descriptor."""
        return self._file

    def hold(self) -> None:
        """Wait until the project does not stand still, and keep it from that.

        Raises:
            ClaudyError: it does for long.
        """
        until = time.monotonic() + PATIENCE
        while not self._had():
            if time.monotonic() > until:
                error = self._still()
                self.release()
                raise error
            time.sleep(_PAUSE)

    def _had(self) -> bool:
        # What a guard that died has paused, the next one lets go: it needs the lock for that.
        if os.path.lexists(self._note):
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if os.path.lexists(self._note):
            fcntl.flock(self._file, fcntl.LOCK_UN)
            return False
        return True

    def _still(self) -> ClaudyError:
        why = f"{self._project} stands still: "
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return ClaudyError(
                f"{why}the engine has been starting a container in it for a while.",
                "Try again when it runs, or end it: claudy ps --all",
            )
        return ClaudyError(
            f"{why}a guard has ended while it held its containers paused.",
            f"claudy --docker guard lets them go; if it does not: docker unpause them, rm"
            f" {self._note}",
        )

    def release(self) -> None:
        """Let the project stand still again, if that is wanted."""
        if self._file >= 0:
            # Not only closed: who was forked has it open, too.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = -1
