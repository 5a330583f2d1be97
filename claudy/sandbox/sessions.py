"""Run one session: as the first process of a new container, or inside a running one."""

from __future__ import annotations

import _signal
import gc

from claudy.errors import APIError, EngineGone
from claudy.sandbox.patience import stop_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from claudy.engine.client import Engine
    from claudy.engine.wire import Socket
    from claudy.sandbox.plan import Plan, Session
    from claudy.sandbox.stream import Carrier

KILLED = 137
_NOT_FOUND, _CONFLICT = 404, 409
_END_TIMEOUT = 60.0
_ENDING = (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT)

# The engine itself looks for keys to detach (Ctrl-P Ctrl-Q unless told otherwise) and holds back
# what may begin them (moby daemon `stream/attach.go`, moby/term `proxy.go`). So they begin with
# what nobody types: bytes that UTF-8 does not have. An exec takes its keys in JSON, which can't
# carry those; there it is a NUL (Ctrl-Space), of all keys the one whose effect can wait for the
# next, and a sequence that no keyboard makes.
_NO_KEYS = ",".join(chr(0xDC00 + byte) for byte in (0xFF, 0xFE, 0xFF, 0xFD, 0xFF))
_NO_KEYS_JSON = "ctrl-@,ctrl-^,ctrl-@,ctrl-_,ctrl-@,ctrl-^,ctrl-@,ctrl-_"

SIZED = "1.42"  # from this API version on the engine itself sets a new terminal's size

# Says that it runs: what comes before that is the engine's, and if nothing comes, nothing was run.
# Sets the terminal's size before the command can ask for it, where the engine can't, and lets a
# shell report a command that can't be run, in the same words and with the same code (126, 127) as
# the first session's.
_EXEC = """
printf '\\033]claudy;%s;ready\\007' "$CLAUDY_SESSION"
[ -z "$1" ] || stty rows "$1" cols "$2" 2>/dev/null
shift 2
if [ "$#" -eq 0 ]; then
    if command -v bash >/dev/null; then set -- bash; else set -- sh; fi
fi
exec "$@"
"""


class Vanished(Exception):
    """The container has ended before the session could be opened in it."""


class Anytime:
    """What is held while something of a project starts to run: nothing, unless the engine is old.

    There it is a `claudy.sandbox.waking.Waking`.
    """

    def fileno(self) -> int:
        """Return its descriptor: a forked process that keeps it holds it, too; -1: none."""
        return -1

    def hold(self) -> None:
        """Wait until something may start to run."""

    def release(self) -> None:
        """It runs, or never will."""

    def __enter__(self) -> None:
        self.hold()

    def __exit__(self, *_: object) -> None:
        self.release()


def run_first(
    engine: Engine,
    plan: Plan,
    session: Session,
    *,
    creating: Callable[[], None],
    created: Callable[[str], None],
    starting: Callable[[], None],
    started: Callable[[str], None],
    waking: Anytime,
) -> tuple[int, bool]:
    """Create the container with a session as its first process and carry it.

    Args:
        engine: the engine.
        plan: the container.
        session: what runs in it.
        creating: called before the engine creates it: who watches must be there by then.
        created: called with the container's id before it is started; may raise.
        starting: called while the engine starts it.
        started: called with the container's id once others may join; not if it ends before.
        waking: held while the engine starts it.

    Returns:
        The exit code, and whether the container ended (and was removed) with the session.

    Raises:
        APIError: the container can't be created (404: no such image, 409: name taken) or started.
    """
    from claudy.sandbox.plan import create_body

    body = create_body(plan, session)
    query: dict[str, str | int | bool] = {
        "stream": True,
        "stdin": session.stdin,
        "stdout": True,
        "stderr": True,
    }
    if session.tty:
        query["detachKeys"] = _NO_KEYS
    # Who is interrupted here does not know what to remove: the engine goes on with a request whose
    # client has left. The signal waits until there is an id.
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _ENDING)
    try:
        creating()
        create = engine.begin("POST", "/containers/create", {"name": plan.name}, body)
        container = str(create.finish()["Id"])
        attach = engine.start_hijack(f"/containers/{container}/attach", query)
        waiting = engine.begin("POST", f"/containers/{container}/wait", {"condition": "removed"})
        sock, first = attach.finish()
        created(container)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    waking.hold()
    start = engine.begin("POST", f"/containers/{container}/start")
    starting()
    running = ready = False

    def on_started() -> None:
        nonlocal running
        start.finish()
        waking.release()  # who is interrupted before has it until the container is removed
        running = True
        if session.tty and engine.api < SIZED:
            _resize(engine, f"/containers/{container}/resize")
        if ready:
            started(container)

    def on_ready() -> None:
        nonlocal ready
        ready = True
        if running:
            started(container)

    carrier = _carrier(
        engine,
        sock,
        first,
        session,
        resize=f"/containers/{container}/resize",
        on_ready=on_ready,
        watched={start.fileno(): on_started},
    )
    code = _carry(carrier, sock, session)
    if not running:
        on_started()
    if code is not None:
        waiting.close()
        return code, False
    ended = waiting.finish(_END_TIMEOUT)
    if not isinstance(ended, dict):
        raise EngineGone("The Docker engine stopped in the middle of the session.", "claudy doctor")
    return int(ended["StatusCode"]), True


def run_exec(
    engine: Engine, container: str, session: Session, *, opened: Callable[[], None]
) -> int:
    """Open a session in a running container and carry it.

    Args:
        engine: the engine.
        container: id of the container.
        session: what runs.
        opened: called while the engine starts it.

    Returns:
        The exit code.

    Raises:
        Vanished: the container is not running (any more); nothing has been run.
    """
    size = session.size if engine.api < SIZED else ("", "")
    body: dict[str, Any] = {
        "AttachStdin": session.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": session.tty,
        "Cmd": ["sh", "-c", _EXEC, "claudy", *size, *session.command],
        "Env": [f"CLAUDY_SESSION={session.id}", *session.environment()],
    }
    if session.tty:
        body["DetachKeys"] = _NO_KEYS_JSON
    options: dict[str, Any] = {"Detach": False, "Tty": session.tty}
    if session.tty and session.rows:
        body["ConsoleSize"] = options["ConsoleSize"] = [session.rows, session.columns]
    try:
        found = str(engine.call("POST", f"/containers/{container}/exec", body=body)["Id"])
        stream = engine.start_hijack(f"/exec/{found}/start", body=options)
        opened()
        sock, first = stream.finish()
    except APIError as error:
        # Of an exec whose container has ended, engine 20.10 says so with a 500.
        if error.status in (_NOT_FOUND, _CONFLICT) or "is not running" in error.detail:
            raise Vanished from error
        raise
    carrier = _carrier(engine, sock, first, session, resize=f"/exec/{found}/resize")
    _carry(carrier, sock, session)
    if not carrier.begun:
        if not _runs(engine, container):
            raise Vanished
        carrier.pass_held()
    return _exit_code(engine, found)


def _runs(engine: Engine, container: str) -> bool:
    """Whether a container is running."""
    try:
        return bool(engine.call("GET", f"/containers/{container}/json")["State"]["Running"])
    except APIError as error:
        if error.status == _NOT_FOUND:
            return False
        raise


def _exit_code(engine: Engine, found: str) -> int:
    """Return a finished exec's exit code."""
    import time

    pause = 0.002
    while True:
        try:
            state = engine.call("GET", f"/exec/{found}/json")
        except APIError as error:
            if error.status == _NOT_FOUND:  # the container was removed under the session
                return KILLED
            raise
        if not state["Running"] and state["ExitCode"] is not None:
            return int(state["ExitCode"])
        # The stream ends a moment before the engine has noted the exit.
        time.sleep(pause)
        pause = min(pause * 2, 0.2)


def _carrier(
    engine: Engine,
    sock: Socket,
    first: bytes,
    session: Session,
    *,
    resize: str,
    on_ready: Callable[[], None] | None = None,
    watched: dict[int, Callable[[], None]] | None = None,
) -> Carrier:
    """Return what carries a session's streams."""
    # Imported while the engine starts the session.
    from claudy.sandbox.stream import Carrier

    return Carrier(
        sock,
        first,
        tty=session.tty,
        stdin=session.stdin,
        mark=session.id,
        on_ready=on_ready,
        watched=watched,
        on_resize=lambda: _resize(engine, resize),
    )


def _carry(carrier: Carrier, sock: Socket, session: Session) -> int | None:
    """Carry a session's streams to its end, in raw mode if it has a terminal."""
    from claudy.sandbox.terminal import Raw

    stop_waiting()
    gc.enable()
    try:
        if session.tty:
            with Raw():
                return carrier.run()
        return carrier.run()
    finally:
        sock.close()


def _resize(engine: Engine, path: str) -> None:
    """Tell the engine the terminal's size; too late is not an error."""
    from claudy.sandbox.terminal import size

    rows, columns = size()
    if not rows:
        return
    try:
        engine.call("POST", path, {"h": rows, "w": columns})
    except APIError:
        pass
