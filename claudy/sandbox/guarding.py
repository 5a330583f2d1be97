"""Start the guard of a sandbox, and start it again if it dies."""

from __future__ import annotations

import os
import sys

from claudy.errors import ClaudyError
from claudy.host.places import state_dir
from claudy.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from claudy.engine.identity import EngineFacts
    from claudy.sandbox.launch import Request
    from claudy.sandbox.project import Project
    from claudy.sandbox.resolve import User
    from claudy.settings.model import Settings

_BUDGET = ("memory", "cpus", "pids", "containers", "ports")
READY = b"ready"
_SIGTERM = 15


@record
class Guard:
    """How a sandbox's guard is started.

    Args:
        directory: where its socket is made; mounted into the sandbox.
        argv: its command line.
    """

    directory: str
    argv: tuple[str, ...]

    @property
    def pid_file(self) -> str:
        """File with the process id of the guard that was started last."""
        return f"{self.directory}.pid"

    def start(self) -> Starting:
        """Start the guard in a session of its own; it goes when the sandbox is gone."""
        os.makedirs(self.directory, 0o711, exist_ok=True)
        os.chmod(self.directory, 0o711)  # noqa: S103 - the sandbox's user passes, only to the socket
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        log = f"{self.directory}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        pid = os.posix_spawn(
            self.argv[0],
            [*self.argv, "--ready-fd", str(writer)],
            os.environ,
            setsid=True,
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
        )
        os.close(writer)
        with open(self.pid_file, "w", encoding="ascii") as file:
            file.write(str(pid))
        return Starting(reader, pid, log)


class Starting:
    """A guard that is coming up.

    Args:
        reader: pipe that gets `ready`.
        pid: its process.
        log: file with what it says if it can't.
    """

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
            os.close(self._reader)
        if not said.startswith(READY):
            with open(self._log, encoding="utf-8", errors="replace") as file:
                why = file.read().strip().splitlines()
            reason = why[-1] if why else "it said nothing"
            raise ClaudyError(f"The guard could not be started: {reason}", "claudy doctor")

    def stop(self) -> None:
        """End the guard again and wait for it: its last act is to remove its socket."""
        os.close(self._reader)
        os.kill(self.pid, _SIGTERM)
        os.waitpid(self.pid, 0)


def guard_state(env: Mapping[str, str], project: Project) -> str:
    """Return the directory of what a project's guards remember: the ledger, the log."""
    return f"{state_dir(env)}/guard/{project.slug}"


def guard_log(env: Mapping[str, str], project: Project) -> str:
    """Return the file with what a project's guards have refused."""
    return f"{guard_state(env, project)}/guard.log"


def plan_guard(
    request: Request, settings: Settings, facts: EngineFacts, user: User, name: str, base: str,
    upstream: str,
) -> Guard:  # fmt: skip
    """Return how the guard of a sandbox is started.

    Args:
        request: the launch.
        settings: visibility and budgets are read.
        facts: which engine it is.
        user: who may connect.
        name: name of the sandbox.
        base: the runtime directory.
        upstream: path of the daemon's socket on this machine.

    Raises:
        ClaudyError: this engine can't be guarded from here.
    """
    if facts.vm or facts.remote or not upstream:
        raise ClaudyError(
            "The guard needs an engine that runs on this machine itself and has a Unix socket;"
            f" {facts.name or 'this one'} does not.",
            "claudy --docker none, or --docker host if you trust what runs inside",
        )
    project = request.project
    state = guard_state(request.env, project)
    os.makedirs(state, 0o700, exist_ok=True)
    directory = f"{base}/{name}@guard"
    # -P: a directory named `claudy` in the project must never be what is imported.
    argv = [sys.executable, "-P", "-m", "claudy.guard", "serve"]
    options = {
        "listen": f"{directory}/docker.sock",
        "upstream": upstream,
        "project": project.path,
        "project-id": project.path,
        "sandbox": name,
        "ledger": state,
        "log": guard_log(request.env, project),
        "uid": user.uid,
        "gid": user.gid,
        "visibility": settings["visibility"],
        "grace": 30,
    }
    budget = {key: settings[f"budget_{key}"] for key in _BUDGET}
    budget["cpus"] = budget["cpus"] / 1e9 if budget["cpus"] else 0
    said = ",".join(f"{key}={value}" for key, value in budget.items() if value)
    if said:
        options["budget"] = said
    for key, value in options.items():
        argv += [f"--{key}", str(value)]
    argv += ["--publish-all-interfaces"] if settings["publish_all"] else []
    argv += ["--read-only"] if settings["read_only"] else []
    return Guard(directory, tuple(argv))


def sweep(directory: str) -> None:
    """Remove what a guard that is not needed any more has left."""
    for path in (
        f"{directory}/docker.sock",
        f"{directory}.pid",
        f"{directory}.log",
        f"{directory}.lock",
    ):
        try:
            os.unlink(path)
        except OSError:
            pass  # the guard itself was quicker
    try:
        os.rmdir(directory)
    except OSError:
        pass  # the next one clears it
