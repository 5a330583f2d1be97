"""A second process that clears up after a claudy that was killed.

It is forked while the engine starts the session, keeps nothing of its parent but a pipe, a copy of
the terminal and perhaps a lock, and sleeps. A farewell on the pipe lets it go; an end of the pipe
without one means that claudy died, and then it restores the terminal and ends the session. It has a
session of its own, so that what takes the terminal down does not take it down too.
"""

from __future__ import annotations

import _signal
import os
import termios

from claudy.sandbox.terminal import STDIN, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.sandbox.guarding import Guard
    from claudy.sandbox.sidecar import Sidecar

_IGNORED = ("SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGTTIN", "SIGPIPE")


class Watcher:
    """The forked process, seen from claudy.

    Args:
        clear_up: what to do when claudy has died; runs in the other process.
        guard: the sandbox's guard, which is started again if it dies; None without one.
        held: a descriptor that stays open until all is cleared up, for its lock; -1: none.
    """

    def __init__(
        self, clear_up: Callable[[], None], guard: Guard | Sidecar | None = None, held: int = -1
    ) -> None:
        reader, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(reader)
            return
        try:
            _sleep_and_clear(reader, clear_up, guard, held)
        finally:
            os._exit(0)

    def dismiss(self) -> None:
        """Let the watcher go: the session has ended in order."""
        if self._pipe < 0:
            return
        try:
            os.write(self._pipe, b".")
            os.close(self._pipe)
            self._pipe = -1
        except OSError:
            pass  # it was killed; then there is nothing to let go


def _sleep_and_clear(
    reader: int, clear_up: Callable[[], None], guard: Guard | Sidecar | None, held: int
) -> None:
    """Wait for the end of claudy; runs in the forked process."""
    for name in _IGNORED:
        _signal.signal(getattr(_signal, name), _signal.SIG_IGN)
    _signal.set_wakeup_fd(-1)
    os.setsid()
    terminal, attributes = -1, None
    try:
        attributes = termios.tcgetattr(STDIN)
        terminal = os.dup(STDIN)
    except (termios.error, OSError):
        pass  # no terminal, nothing to restore
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write("sandbox-watch")
    except OSError:
        pass  # only a name for `ps`
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (STDIN, STDOUT, 2):
        os.dup2(null, descriptor)
    keep = sorted({reader, terminal, held} - {-1})
    low = 3
    for descriptor in keep:
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, _highest_descriptor() + 1)
    while guard is not None and (dead := guard.ended(reader)):
        guard.revive(dead)
    if os.read(reader, 1):
        return
    if attributes is not None:
        try:
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        except (termios.error, OSError):
            pass  # the terminal has gone with claudy
        os.close(terminal)
    clear_up()


def _highest_descriptor() -> int:
    try:
        return max(int(name) for name in os.listdir("/dev/fd"))
    except OSError:
        return 255
