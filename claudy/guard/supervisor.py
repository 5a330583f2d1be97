"""Binds the socket, says ready, and keeps a worker alive.

Nothing heavy is imported before `ready`: connections queue in the backlog while the worker comes
up, also after it has died. The supervisor only waits; it never reads what the sandbox sends.
"""

from __future__ import annotations

import _socket
import os
import signal
import time

from claudy.errors import ClaudyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claudy.guard.options import Settings

BACKLOG = 1024
ENDED = 77  # a worker's exit status when the sandbox is gone
_MIN_LIFE = 1.0
_PAUSE = 0.2
_FAREWELL = 5.0
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def listen(settings: Settings) -> _socket.socket:
    """Bind the socket that only the sandbox's user may connect to.

    Raises:
        ClaudyError: another guard has it, or it can't be made.
    """
    path = settings.listen
    _clear(path)
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise ClaudyError(
            f"The guard can't listen at {path}: {error.strerror}.", "claudy doctor"
        ) from error
    finally:
        os.umask(mask)
    if os.geteuid() == 0 and (settings.uid or settings.gid):
        os.chown(path, settings.uid, settings.gid)
    listener.listen(BACKLOG)
    return listener


def _clear(path: str) -> None:
    """Remove the socket of a guard that is dead; refuse to take a living one's place.

    One whose launcher was killed notices it soon.
    """
    deadline = time.monotonic() + _FAREWELL
    while os.path.lexists(path):
        if not _listens(path):
            _unlink(path)
            return
        if time.monotonic() > deadline:
            raise ClaudyError(f"Another guard listens at {path}.", "claudy ps")
        time.sleep(_PAUSE)


def _unlink(path: str) -> None:
    """Remove a socket, which the guard that made it may be doing, too."""
    try:
        os.unlink(path)
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
    listener = listen(settings)
    if settings.ready_fd >= 0:
        os.write(settings.ready_fd, b"ready\n")
        if settings.ready_fd > 2:  # noqa: PLR2004 - not the standard streams
            os.close(settings.ready_fd)
    try:
        return _supervise(listener, settings, keeper)
    finally:
        _unlink(settings.listen)  # before the next guard can think that nobody listens
        listener.close()


class _Keeper:
    """Knows the worker, and that it is time to stop; takes signals from before `ready` on."""

    def __init__(self) -> None:
        self.child = 0
        self.stopping = False
        for number in _SIGNALS:
            signal.signal(number, self._stop)

    def _stop(self, _signum: int, _frame: object) -> None:
        self.stopping = True
        if self.child:
            os.kill(self.child, signal.SIGTERM)


def _supervise(listener: _socket.socket, settings: Settings, keeper: _Keeper) -> int:
    while not keeper.stopping:
        began = time.monotonic()
        # A worker that is forked while a signal waits must not inherit it: block, fork, unblock.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        supervisor = os.getpid()
        keeper.child = os.fork()
        if not keeper.child:
            _be_worker(listener, settings, supervisor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _, status = os.waitpid(keeper.child, 0)
        keeper.child = 0
        if os.waitstatus_to_exitcode(status) == ENDED:
            break
        if not keeper.stopping and time.monotonic() - began < _MIN_LIFE:
            time.sleep(_PAUSE)
    return 0


def _be_worker(listener: _socket.socket, settings: Settings, supervisor: int) -> None:
    """Serve in a forked child; never returns."""
    try:
        _die_with(supervisor)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        import socket
        import threading

        from claudy.guard import lifetime, worker

        services = worker.make_services(settings)
        accepting = socket.socket(fileno=os.dup(listener.fileno()))

        def watch() -> None:
            lifetime.wait_for_end(services)
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
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)  # it was killed before the kernel was asked
