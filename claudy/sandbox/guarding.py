"""The guard of a sandbox as a process of this machine: start it, watch it, start it again.

Where the engine's containers can't have a socket of this machine, the same guard runs in a
container beside the sandbox: `claudy.sandbox.sidecar`, which offers what `Guard` does.
"""

from __future__ import annotations

import os

from claudy.errors import ClaudyError
from claudy.host.places import state_dir
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from claudy.engine.client import Engine
    from claudy.sandbox.project import Project
    from claudy.sandbox.sidecar import Sidecar

READY = b"ready"
FAREWELL = 1000  # milliseconds
_SIGTERM = 15
_STDERR = 2


@record
class Guard:
    """How a sandbox's guard is started.

    Args:
        directory: where its socket is made; mounted into the sandbox.
        argv: its command line.
    """

    directory: str
    argv: tuple[str, ...]

    in_engine = False  # it ends by itself, and soon, whatever becomes of claudy

    @property
    def mounted(self) -> str:
        """What of it is mounted into the sandbox: a directory, or a volume."""
        return self.directory

    @property
    def kept(self) -> Any:
        """What `restored` needs to know."""
        return [self.directory, list(self.argv)]

    def renamed(self, name: str) -> Guard:
        """Return the guard of another sandbox of the same project."""
        before = self.directory
        directory = f"{os.path.dirname(before)}/{name}@guard"
        argv = [word.replace(before, directory) for word in self.argv]
        argv[argv.index("--sandbox") + 1] = name
        return Guard(directory, tuple(argv))

    @property
    def pid_file(self) -> str:
        """File with the process id of the guard that was started last."""
        return f"{self.directory}.pid"

    def start(self) -> Starting:
        """Start the guard in a session of its own; it goes when the sandbox is gone."""
        # First, so that a guard that leaves late does not take the directory along.
        os.close(os.open(self.pid_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.makedirs(self.directory, 0o711, exist_ok=True)
        os.chmod(self.directory, 0o711)  # noqa: S103 - the sandbox's user passes, only to the socket
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        log = f"{self.directory}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        pid = os.posix_spawn(
            self.argv[0],
            [*self.argv, "--ready-fd", str(writer), "--launcher", str(os.getpid())],
            _without_project(os.environ, self.argv[self.argv.index("--project") + 1]),
            setsid=True,
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                # It outlives claudy, and what waits for the end of claudy's pipes or locks.
                *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited() if number != writer),
            ),
        )
        os.close(writer)
        with open(self.pid_file, "w", encoding="ascii") as file:
            file.write(str(pid))
        return Starting(reader, pid, log)

    def ended(self, reader: int) -> str:
        """Wait for claudy's word or the guard's end; return the dead guard's process id.

        Empty when the pipe can be read. A guard also ends because its sandbox has; then claudy's
        word follows at once.
        """
        import select

        process = -1
        pid = "none"
        poll = select.poll()
        poll.register(reader, select.POLLIN | select.POLLHUP)
        try:
            with open(self.pid_file, encoding="ascii") as file:
                pid = file.read() or pid
            process = os.pidfd_open(int(pid))
        except (OSError, ValueError):
            return "" if poll.poll(FAREWELL) else pid
        try:
            poll.register(process, select.POLLIN)
            if any(descriptor == reader for descriptor, _ in poll.poll()):
                return ""
            poll.unregister(process)
            return "" if poll.poll(FAREWELL) else pid
        finally:
            os.close(process)

    def revive(self, dead: str) -> None:
        """Start the guard again, unless another session's watcher just did.

        Whether it lives can't be asked of its process id: a dead child that claudy has not waited
        for still has one.
        """
        import fcntl

        if not os.path.lexists(self.pid_file):
            return  # it took that along: the sandbox has ended
        lock = os.open(f"{self.directory}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with open(self.pid_file, encoding="ascii") as file:
                now = file.read()
            if now in ("", dead):
                self.start().wait()
        except (ClaudyError, OSError):
            pass  # Docker stays out of reach inside; the session itself still has to be watched
        finally:
            if not os.path.lexists(self.pid_file):
                self.sweep()
            os.close(lock)

    def sweep(self) -> None:
        """Remove what a guard that is not needed any more has left."""
        for path in (
            f"{self.directory}/docker.sock",
            f"{self.directory}/opening",
            f"{self.directory}.pid",
            f"{self.directory}.log",
            f"{self.directory}.lock",
        ):
            try:
                os.unlink(path)
            except OSError:
                pass  # the guard itself was quicker
        try:
            os.rmdir(self.directory)
        except OSError:
            pass  # the next one clears it


class Starting:
    """A guard that is coming up.

    Args:
        reader: pipe that gets `ready`.
        pid: its process.
        log: file with what it says if it can't.
    """

    slow = False  # it listens before a container can be started

    def __init__(self, reader: int, pid: int, log: str) -> None:
        self._reader = reader
        self.pid = pid
        self._log = log

    def wait(self) -> None:
        """Wait until the guard listens.

        Raises:
            ClaudyError: it could not start; nothing in the sandbox reaches Docker then.
        """
        try:
            said = os.read(self._reader, 16)
        finally:
            self._close()
        if not said.startswith(READY):
            why: list[str] = []
            try:
                with open(self._log, encoding="utf-8", errors="replace") as file:
                    why = file.read().strip().splitlines()
            except FileNotFoundError:
                pass  # one that is ended takes it along
            reason = why[-1] if why else "it said nothing"
            raise ClaudyError(f"The guard could not be started: {reason}", "claudy doctor")

    def stop(self) -> None:
        """End the guard again and wait for it: its last act is to remove its socket."""
        self._close()
        try:
            os.kill(self.pid, _SIGTERM)
            os.waitpid(self.pid, 0)
        except OSError:
            pass  # it has ended by itself

    def _close(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1


def _inherited() -> list[int]:
    """Return the open descriptors that a process started from here would have, too."""
    found: list[int] = []
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return found  # a chroot without it
    for name in names:
        try:
            if int(name) > _STDERR and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            pass  # it was that of the directory
    return found


def _without_project(env: Mapping[str, str], project: str) -> dict[str, str]:
    """Return an environment in which Python imports nothing from the project.

    Nor from the directory it is started in.
    """
    found = dict(env)
    if "PYTHONPATH" in found:
        from claudy.sandbox.project import leads_through

        found["PYTHONPATH"] = os.pathsep.join(
            path
            for path in found["PYTHONPATH"].split(os.pathsep)
            if path.startswith("/") and not leads_through(path, project)
        )
    return found


def guard_state(env: Mapping[str, str], slug: str) -> str:
    """Return the directory of what a project's guards remember: the ledger, the log.

    Args:
        env: the process environment.
        slug: the project's.
    """
    return f"{state_dir(env)}/guard/{slug}"


def guard_log(env: Mapping[str, str], project: Project) -> str:
    """Return the file with what a project's guards have refused."""
    return f"{guard_state(env, project.slug)}/guard.log"


def restored(kept: Any, engine: Engine) -> Guard | Sidecar:
    """Return the guard that a record or the cache speaks of.

    Args:
        kept: from its property of that name.
        engine: where the sandbox is.
    """
    if isinstance(kept, dict):
        from claudy.sandbox.sidecar import Sidecar

        return Sidecar(engine.endpoint, engine.api, **kept)
    return Guard(kept[0], tuple(kept[1]))
