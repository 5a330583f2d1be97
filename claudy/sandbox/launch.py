"""Open a session in a project's sandbox, starting the sandbox if need be.

The path that is walked twenty times a day is the first half of `launch`: a record says that the
sandbox runs and was started with the very same inputs; then nothing is read, planned or asked but
the session itself. Everything else is imported when that is not so.
"""

from __future__ import annotations

import _signal
import gc
import os

from claudy.engine.client import Engine
from claudy.errors import INTERRUPTED, ClaudyError, EngineError, Hangup, Terminated
from claudy.host.places import PROJECT_FILE, config_file, state_dir
from claudy.record import record, replace
from claudy.sandbox.patience import say_if_slow
from claudy.sandbox.plan import Session
from claudy.sandbox.registry import Seat, runtime_dir, seat_name
from claudy.sandbox.sessionenv import session_env
from claudy.sandbox.sessions import Anytime, Vanished, run_exec
from claudy.sandbox.terminal import STDIN, STDOUT, in_foreground, is_terminal, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from claudy.host.endpoint import Endpoint
    from claudy.sandbox.guarding import Guard
    from claudy.sandbox.project import Project
    from claudy.sandbox.sidecar import Sidecar
    from claudy.sandbox.watch import Watcher

_STDERR = 2
_TRIES = 6
_SIGPIPE_CODE = 141
_HANGUP_CODE = 129


def _say_nothing(_text: str) -> None:
    """Explain nothing: the user has not asked for it."""


@record
class Request:
    """What the user asks for.

    Args:
        project: the project.
        command: argv to run; empty for a shell.
        flags: settings from the command line, unparsed; empty when there are none.
        env: the process environment.
        home: the user's home directory on this machine.
        uid: this process's user id.
        platform: `sys.platform`.
        explain: says what was decided and why, for --debug.
        new: open a second sandbox of the same project.
        recreate: replace a running sandbox.
        notify: tells the user something, one line.
        confirm: asks a yes-or-no question; raises ConfirmationNeeded when nobody can answer.
        progress: shows what happens to images.
    """

    project: Project
    command: tuple[str, ...]
    flags: Mapping[str, Any]
    env: Mapping[str, str]
    home: str
    uid: int
    platform: str
    notify: Callable[[str], None]
    confirm: Callable[[str, str], bool]
    progress: Callable[[Any], None]
    explain: Callable[[str], None] = _say_nothing
    new: bool = False
    recreate: bool = False


def inputs(request: Request, endpoint: Endpoint) -> tuple[Any, ...] | None:
    """Return everything that could make this launch differ from the last one, cheaply.

    Variables and options by value, files by their stat.

    Returns:
        None if it depends on more: `-e K` on a variable, `-v` on what is at a path, an image that
        is always pulled on its registry.
    """
    env, flags = request.env, request.flags
    if "env" in flags or "volumes" in flags or flags.get("pull") == "always":
        return None
    names = sorted(n for n in env if n.startswith(("CLAUDY_", "DOCKER_", "XDG_")))
    files = [config_file(env), f"{request.project.path}/{PROJECT_FILE}", state_dir(env) + "/trust"]
    if not flags.get("image", env.get("CLAUDY_IMAGE")):
        from claudy.image.reference import source_files

        files += source_files()
    return (
        endpoint.url,
        tuple((name, env[name]) for name in names),
        request.home,
        tuple(_stat(path) for path in files),
        tuple((name, str(flags[name])) for name in sorted(flags)),
    )


def _stat(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def new_session(request: Request) -> Session:
    """Return the session for this process's own streams."""
    tty = is_terminal(STDIN) and is_terminal(STDOUT) and in_foreground()
    rows, columns = size() if tty else (0, 0)
    stdin = tty or not is_terminal(STDIN) or in_foreground()
    try:
        os.fstat(STDIN)
    except OSError:
        stdin = False
    return Session(
        id=os.urandom(16).hex(),
        command=request.command,
        tty=tty,
        rows=rows,
        columns=columns,
        stdin=stdin,
    )


class Launch:
    """One launch: a request, its endpoint, its session and its place among the others.

    Args:
        request: what the user asks for.
        endpoint: where the engine is.
    """

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.request = request
        self.endpoint = endpoint
        self.session = new_session(request)
        self.name = request.project.sandbox
        self.engine = Engine(endpoint)
        self.container = self.name
        self.begun = self.gone = False
        self.base = runtime_dir(request.env, request.uid)
        self.seat = self._seat(self.name)
        self.guard: Guard | Sidecar | None = None
        self._watcher: Watcher | None = None
        self.inputs = inputs(request, endpoint)

    def _seat(self, name: str) -> Seat:
        # The same project may have a sandbox on another engine too.
        return Seat(self.base, seat_name(name, self.endpoint), self.session.id)

    def run(self) -> int:
        """Open the session, carry it to its end and return its exit code."""
        for number in (_signal.SIGTERM, _signal.SIGHUP):
            _signal.signal(number, _terminate)
        if is_terminal(_STDERR):
            say_if_slow(self._say_slow)
        ending, code = "HUP", 0
        try:
            code = self._open()
            ending = ""
        except Terminated as error:
            code = 128 + error.signum
        except KeyboardInterrupt:
            ending, code = "INT", INTERRUPTED
        except Hangup:
            code = _HANGUP_CODE
        except BrokenPipeError:
            code = _SIGPIPE_CODE
        finally:
            for number in (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT):
                _signal.signal(number, _signal.SIG_IGN)
            self.seat.unlock()
            self._leave(ending)
        return code

    def _leave(self, ending: str) -> None:
        """Give up the seat; then the watcher is not needed any more."""
        if not self.seat.taken:
            return
        from claudy.sandbox.leave import leave

        try:
            leave(
                self.engine,
                self.seat,
                self.container,
                signal=ending,
                gone=self.gone,
                guard=self.guard,
            )
        except EngineError:
            # The engine has stopped, and the sandbox with it; the session's own error says so.
            self.seat.unlock()
        if self._watcher:
            self._watcher.dismiss()

    # -- opening -----------------------------------------------------------------------------

    def _open(self) -> int:
        request = self.request
        if not (request.new or request.recreate):
            self.enter()
            known = self.seat.read()
            if known and self.inputs is not None and known.get("inputs") == self.inputs:
                try:
                    return self.join(known)
                except Vanished:
                    self.seat.lock()
                    self.seat.forget()
                    known = {}
            if not known and self.inputs is not None:
                from claudy.sandbox.remembered import recall
                from claudy.sandbox.start import Outdated

                try:
                    if prepared := recall(self):
                        return prepared.open()
                except Outdated:
                    self.enter()
            self.seat.leave()
            self.seat.clear()
            self.seat.unlock()
        gc.enable()
        from claudy.sandbox.prepare import prepare

        return prepare(self).open()

    def enter(self) -> None:
        """Take a seat; holds the sandbox's lock."""
        self.seat.lock(waiting=self._say_waiting)
        if not self.seat.taken:
            self.seat.take()

    def _say_waiting(self) -> None:
        self.request.notify(f"Another claudy is starting {self.name}; waiting for it.")

    def _say_slow(self) -> None:
        self.request.notify(f"Waiting for the engine at {self.endpoint.url} ...")

    def join(self, known: Mapping[str, Any]) -> int:
        """Open a session in the running sandbox; the lock is held and given back.

        Raises:
            Vanished: it does not run any more.
        """
        self.engine.use_api(known["api"])
        self.container = known["id"]
        self.request.explain(f"joining {self.name}, container {self.container[:12]}")
        if known["guard"]:
            from claudy.sandbox.guarding import restored

            self.guard = restored(known["guard"], self.engine)
        with self.waking():  # the signal would wake what stands still
            if not known["pinned"]:
                self.pin(known)
        self.seat.unlock()
        taken = session_env(known["env"], self.request.env, tty=self.session.tty)
        session = replace(self.session, env=taken)
        return run_exec(self.engine, self.container, session, opened=self.watch)

    def pin(self, known: Mapping[str, Any]) -> None:
        """Tell the session holder that from now on claudy ends the container.

        Raises:
            Vanished: the container does not run.
        """
        from claudy.errors import APIError

        try:
            self.engine.call("POST", f"/containers/{known['id']}/kill", {"signal": "SIGUSR1"})
        except APIError as error:
            if error.status in (404, 409):
                raise Vanished from error
            raise
        self.seat.write({**known, "pinned": True})

    def waking(self) -> Anytime:
        """Return what is held while something that mounts the project starts to run."""
        if not self.engine.follows_links:
            return Anytime()
        from claudy.sandbox.waking import Waking

        return Waking(self.request.env, self.request.project.path)

    def watch(self, held: int = -1) -> None:
        """Start the process that clears up if this one is killed.

        Args:
            held: a descriptor whose lock is held until then; -1: none.
        """
        if self._watcher is None:
            from claudy.sandbox.watch import Watcher

            self._watcher = Watcher(self._clear_up, self.guard, held)

    def _clear_up(self) -> None:
        """End this launch's session; runs in the watcher after claudy has died."""
        from claudy.sandbox.leave import leave, remove_late

        engine = Engine(self.endpoint, api=self.engine.api)
        seat = self._seat(self.name)
        leave(engine, seat, self.name, signal="HUP", guard=self.guard)
        if self.container == self.name:  # when this process began, the engine was creating it
            remove_late(engine, self.name, seat, self.guard)

    def use_endpoint(self, endpoint: Endpoint) -> None:
        """Go on with another engine than the one first thought of."""
        if endpoint.url != self.endpoint.url:
            self.endpoint = endpoint
            self.engine = Engine(endpoint)
            self.seat = self._seat(self.name)

    def too_wide(self) -> str:
        """Return why the project is dangerous to hand over as a whole, or nothing."""
        from claudy.host.places import cache_dir
        from claudy.sandbox.project import too_wide

        env, home = self.request.env, self.request.home
        settings = config_file(env)
        own = (self.base, state_dir(env), cache_dir(env), os.path.dirname(settings), settings)
        # What config.json names is run on this machine: credential helpers.
        docker = env.get("DOCKER_CONFIG") or f"{home}/.docker"
        trusted = (*own, docker, f"{docker}/config.json", self.endpoint.path)
        return too_wide(self.request.project, home, trusted)

    def rename(self, name: str) -> None:
        """Make this a launch of another sandbox of the same project."""
        self.name = self.container = name
        self.seat = self._seat(name)


def _terminate(number: int, _frame: object) -> None:
    raise Terminated(number)


def endpoint_for(request: Request) -> Endpoint:
    """Return the endpoint that options and environment name."""
    from claudy.host.endpoint import resolve

    flags = request.flags
    return resolve(
        env=request.env,
        home=request.home,
        platform=request.platform,
        uid=request.uid,
        host=flags.get("host"),
        context=flags.get("context"),
    )


def launch(request: Request) -> int:
    """Open a session in the project's sandbox.

    Returns:
        The exit code of the session's command; 128 + N after a signal.

    Raises:
        ClaudyError: it could not be opened.
    """
    return Launch(request, endpoint_for(request)).run()


__all__ = ["ClaudyError", "Launch", "Request", "launch"]
