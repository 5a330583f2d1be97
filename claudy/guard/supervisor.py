"""Binds the socket, says ready, and keeps a worker alive.

Nothing heavy is imported before `ready`: connections queue in the backlog while the worker comes
up, also after it has died. The supervisor only waits; it never reads what the sandbox sends.
"""

from __future__ import annotations

import _signal
import _socket
import fcntl
import os
import time

from claudy.errors import ClaudyError
from claudy.guard import opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from claudy.guard.options import Settings

BACKLOG = 1024
ENDED = 77  # a worker's exit status when the sandbox is gone
_MIN_LIFE = 1.0
_HOPELESS = 10  # workers in a row that did not live that long
_PAUSE = 0.2
_FAREWELL = 5.0
_FEW_CORES = 4
_MEMORY = 1 << 30  # bytes
_HOLD = 1.0  # seconds
_LOOK = 100  # milliseconds
_SIGNALS = {_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP}


def listen(settings: Settings) -> tuple[_socket.socket, Place]:
    """Bind the socket that only the sandbox's user may connect to.

    Returns:
        The socket, and its place, which goes with it.

    Raises:
        ClaudyError: another guard has it, or it can't be made.
    """
    path = settings.listen
    deadline = time.monotonic() + _FAREWELL
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        while not (place := _bind(listener, path)):
            # One whose launcher was killed notices it soon.
            if time.monotonic() > deadline:
                raise ClaudyError(f"Another guard listens at {path}.", "claudy ps")
            time.sleep(_PAUSE)
    except OSError as error:
        listener.close()
        raise ClaudyError(
            f"The guard can't listen at {path}: {error.strerror or error}.", "claudy doctor"
        ) from error
    if os.geteuid() == 0 and (settings.uid or settings.gid):
        os.chown(path, settings.uid, settings.gid)
    listener.listen(BACKLOG)
    return listener, place


def _bind(listener: _socket.socket, path: str) -> Place | None:
    """Put a socket in the place of a guard that is dead; None: one lives there."""
    directory, name = os.path.split(path)
    with _Held(directory) as held:
        if os.path.lexists(path):
            if _listens(held.short(name)):
                return None
            held.unlink(name)
        mask = os.umask(0o177)
        try:
            listener.bind(held.short(name))
        finally:
            os.umask(mask)
        return Place(directory, name, held.inode(name))


class Place:
    """Where a guard's socket is.

    A guard that leaves may be late: its launcher has removed the socket, and the next guard has put
    its own there. So a guard removes only what it has bound, in the directory that it is in; as
    long as its listener is open, no other socket has the same inode.

    Args:
        directory: where it is.
        name: of the socket in it.
        inode: of the socket itself.
    """

    def __init__(self, directory: str, name: str, inode: int) -> None:
        self._directory, self._name, self._inode = directory, name, inode

    def is_taken(self) -> bool:
        """Whether the socket is still where it was put."""
        try:
            return os.lstat(f"{self._directory}/{self._name}").st_ino == self._inode
        except OSError:
            return False

    def clear(self) -> None:
        """Remove the socket if it is still there; before the listener is closed.

        And what the launcher has noted of this guard: it may be gone, or not be told any more.
        """
        import contextlib

        # The directory may have gone, and the socket with it.
        with contextlib.suppress(OSError), _Held(self._directory) as held:
            if held.inode(self._name) == self._inode:
                held.unlink(self._name)
            self._forget()

    def _forget(self) -> None:
        """Remove the files beside the directory if they are this guard's, and the directory."""
        import contextlib

        noted = f"{self._directory}.pid"
        with contextlib.suppress(FileNotFoundError), open(noted, encoding="ascii") as file:
            if file.read() != str(os.getpid()):
                return  # the next guard's, which is in the directory already or will be
            for path in (noted, f"{self._directory}.log", f"{self._directory}.lock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        os.rmdir(self._directory)


class _Held:
    """A directory that other guards wait for, by its descriptor."""

    def __init__(self, path: str) -> None:
        self._number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        fcntl.flock(self._number, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._number)

    def short(self, name: str) -> str:
        """Return a path of what is there that is short enough for a socket's address."""
        return f"/proc/self/fd/{self._number}/{name}"

    def inode(self, name: str) -> int:
        """Return the inode of what is there; 0: nothing."""
        try:
            return os.stat(name, dir_fd=self._number, follow_symlinks=False).st_ino
        except FileNotFoundError:
            return 0

    def unlink(self, name: str) -> None:
        """Remove what is there; its launcher may be doing so, too."""
        try:
            os.unlink(name, dir_fd=self._number)
        except FileNotFoundError:
            pass


def _listens(path: str) -> bool:
    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True


def run(settings: Settings) -> int:
    """Serve until the sandbox is gone or SIGTERM comes; return an exit status."""
    keeper = _Keeper()
    listener, place = listen(settings)
    urgent = opening.begin(settings) or os.path.exists(f"{settings.ledger}/{opening.FROZEN}")
    if settings.ready_fd >= 0:
        os.write(settings.ready_fd, b"ready\n")
        if settings.ready_fd > 2:  # noqa: PLR2004 - not the standard streams
            os.close(settings.ready_fd)
    try:
        if not urgent:
            _hold(listener, place, keeper)
        return _supervise(listener, settings, keeper, place)
    finally:
        opening.end(settings)
        place.clear()  # before the next guard can think that nobody listens
        listener.close()


class _Keeper:
    """Knows the worker, and that it is time to stop; takes signals from before `ready` on."""

    def __init__(self) -> None:
        self.child = 0
        self.stopping = False
        for number in _SIGNALS:
            _signal.signal(number, self._stop)

    def _stop(self, _signum: int, _frame: object) -> None:
        self.stopping = True
        if self.child:
            os.kill(self.child, _signal.SIGTERM)


def _hold(listener: _socket.socket, place: Place, keeper: _Keeper) -> None:
    """Leave the cores to the engine that is starting the sandbox, if there are few.

    Until somebody connects, or a little longer than it takes; a command like `true` has ended by
    then, its launcher has removed the socket, and no worker is needed at all.
    """
    if (os.cpu_count() or 1) >= _FEW_CORES:
        return
    import select

    poll = select.poll()
    poll.register(listener, select.POLLIN)
    until = time.monotonic() + _HOLD
    while time.monotonic() < until and not keeper.stopping and place.is_taken():
        if poll.poll(_LOOK):
            return


def _supervise(listener: _socket.socket, settings: Settings, keeper: _Keeper, place: Place) -> int:
    failures = 0
    # Also again: workers that can't begin don't notice that the sandbox is gone.
    while place.is_taken():
        began = time.monotonic()
        # A worker that is forked while a signal waits must not inherit it: block, fork, unblock.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)
        if keeper.stopping:
            break
        supervisor = os.getpid()
        keeper.child = os.fork()
        if not keeper.child:
            _be_worker(listener, settings, supervisor, place)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _SIGNALS)
        _, status = os.waitpid(keeper.child, 0)
        keeper.child = 0
        if os.waitstatus_to_exitcode(status) == ENDED:
            break
        failures = failures + 1 if time.monotonic() - began < _MIN_LIFE else 0
        if failures >= _HOPELESS:
            _turn_away(listener)
        if not keeper.stopping and failures:
            time.sleep(_PAUSE)
    return 0


def _turn_away(listener: _socket.socket) -> None:
    """Close the connections that wait: nobody comes to answer them."""
    import select
    import socket

    poll = select.poll()
    poll.register(listener, select.POLLIN)
    with socket.socket(fileno=os.dup(listener.fileno())) as accepting:
        while poll.poll(0):
            accepting.accept()[0].close()


def _be_worker(listener: _socket.socket, settings: Settings, supervisor: int, place: Place) -> None:
    """Serve in a forked child; never returns."""
    try:
        _die_with(supervisor)
        for number in _SIGNALS:
            _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _SIGNALS)
        import resource
        import socket
        import threading

        from claudy.guard import lifetime, worker

        # Whatever a request makes it hold: that request fails, not the machine.
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))

        services = worker.make_services(settings)
        accepting = socket.socket(fileno=os.dup(listener.fileno()))

        def watch() -> None:
            lifetime.wait_for_end(services, place.is_taken)
            services.starter.settle()
            os._exit(ENDED)

        threading.Thread(target=watch, daemon=True).start()
        services.audit.event("worker started")
        worker.serve(accepting, services)
    except BaseException:  # noqa: BLE001 - the child must not unwind into the supervisor
        import traceback

        traceback.print_exc()
    os._exit(1)


def _die_with(supervisor: int) -> None:
    """Let the kernel end this worker when its supervisor is killed."""
    import ctypes

    parent_death_signal = 1
    ctypes.CDLL(None).prctl(parent_death_signal, _signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)  # it was killed before the kernel was asked
