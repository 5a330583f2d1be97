"""A second process that clears up after a claudy that was killed.

It is forked while the engine starts the session, keeps nothing of its parent but a pipe and a
copy of the terminal, and sleeps. A farewell on the pipe lets it go; an end of the pipe without one
means that claudy died, and then it restores the terminal and ends the session. It has a session of
its own, so that what takes the terminal down does not take it down too.
"""

from __future__ import annotations

import _signal
import os
import select
import termios

from claudy.errors import ClaudyError
from claudy.sandbox.terminal import STDIN, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from claudy.sandbox.guarding import Guard

_FAREWELL = 1000  # milliseconds
_IGNORED = ("SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGTTIN", "SIGPIPE")


class Watcher:
    """The forked process, seen from claudy.

    Args:
        clear_up: what to do when claudy has died; runs in the other process.
        guard: the sandbox's guard, which is started again if it dies; None without one.
    """

    def __init__(self, clear_up: Callable[[], None], guard: Guard | None = None) -> None:
        reader, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(reader)
            return
        try:
            _sleep_and_clear(reader, clear_up, guard)
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


def _sleep_and_clear(reader: int, clear_up: Callable[[], None], guard: Guard | None) -> None:
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
    keep = sorted({reader, terminal} - {-1})
    low = 3
    for descriptor in keep:
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, _highest_descriptor() + 1)
    while guard is not None and (dead := _dead_guard(reader, guard)):
        _revive(guard, dead)
    if os.read(reader, 1):
        return
    if attributes is not None:
        try:
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        except (termios.error, OSError):
            pass  # the terminal has gone with claudy
        os.close(terminal)
    clear_up()


def _dead_guard(reader: int, guard: Guard) -> str:
    """Wait for claudy's word or the guard's end; return the dead guard's process id.

    Empty when the pipe can be read. A guard also ends because its sandbox has; then claudy's word
    follows at once.
    """
    process = -1
    pid = "none"
    poll = select.poll()
    poll.register(reader, select.POLLIN | select.POLLHUP)
    try:
        with open(guard.pid_file, encoding="ascii") as file:
            pid = file.read() or pid
        process = os.pidfd_open(int(pid))
    except (OSError, ValueError):
        return "" if poll.poll(_FAREWELL) else pid
    try:
        poll.register(process, select.POLLIN)
        if any(descriptor == reader for descriptor, _ in poll.poll()):
            return ""
        poll.unregister(process)
        return "" if poll.poll(_FAREWELL) else pid
    finally:
        os.close(process)


def _revive(guard: Guard, dead: str) -> None:
    """Start the guard again, unless another session's watcher just did.

    Whether it lives can't be asked of its process id: a dead child that claudy has not waited for
    still has one.
    """
    import fcntl

    lock = os.open(f"{guard.directory}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with open(guard.pid_file, encoding="ascii") as file:
                now = file.read()
        except OSError:
            now = dead
        if now in ("", dead):
            guard.start().wait()
    except (ClaudyError, OSError):
        pass  # Docker stays out of reach inside; the session itself still has to be watched
    finally:
        os.close(lock)


def _highest_descriptor() -> int:
    try:
        return max(int(name) for name in os.listdir("/dev/fd"))
    except OSError:
        return 255
