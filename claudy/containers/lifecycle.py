"""Stop, restart and remove containers; a sandbox goes with what the registry knows about it."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING

from claudy.engine.jsonc import dumps
from claudy.errors import APIError, ClaudyError
from claudy.sandbox.leave import forget, remove, wait_removed
from claudy.sandbox.options import is_below
from claudy.sandbox.registry import Seat, open_sessions, runtime_dir, seat_name
from claudy.sandbox.sessions import Anytime

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from claudy.containers.container import Container
    from claudy.engine.client import Engine

GRACE = 10  # seconds between asking processes to end and ending them
_PAUSE = 0.05
_NOT_FOUND, _CONFLICT = 404, 409

# The sandbox's first process waits for its session, so that everything else has to be told to end.
# Interactive shells ignore TERM (bit 14 of the mask in /proc); what they understand is HUP.
_TELL = """
for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    [ "$pid" = 1 ] || [ "$pid" = $$ ] && continue
    ignored=0
    while read -r key value; do
        [ "$key" = SigIgn: ] && ignored=$value
    done < "$entry/status"
    case $ignored in
        *[4567cdef]???) kill -s HUP "$pid" ;;
        *) kill -s TERM "$pid" ;;
    esac
    kill -s CONT "$pid"
done 2>/dev/null
"""


class Registry:
    """This user's registry of sessions, for one engine.

    Args:
        engine: the engine.
        env: the process environment.
        uid: user id.
    """

    def __init__(self, engine: Engine, env: Mapping[str, str], uid: int) -> None:
        self._engine = engine
        self._endpoint = engine.endpoint
        self._env = env
        try:
            self._base = runtime_dir(env, uid)
        except ClaudyError:
            self._base = ""

    def waking(self, container: Container) -> Anytime:
        """Return what is held while a container may begin to run, or go on."""
        if not container.project or not self._engine.follows_links:
            return Anytime()
        from claudy.sandbox.waking import Waking

        return Waking(self._env, container.project)

    def sessions(self, sandbox: str) -> int | None:
        """Count the open sessions of a sandbox; None if this user's registry doesn't know it."""
        if not self._base:
            return None
        return open_sessions(self._base, seat_name(sandbox, self._endpoint))

    def record(self, sandbox: str) -> dict[str, object]:
        """Return what is known about a running sandbox, empty if nothing is."""
        return self._seat(sandbox).read() if self.sessions(sandbox) is not None else {}

    def forget(self, sandbox: str, container: str) -> None:
        """Drop what is known about a container that is gone."""
        if self.sessions(sandbox) is not None:
            self._clear(sandbox, container)

    def forget_all_but(self, sandboxes: Collection[str]) -> None:
        """Drop what is known about sandboxes that the engine does not have.

        A launch that is just starting one holds a seat, and is left alone.

        Args:
            sandboxes: names of those it has.
        """
        ending = seat_name("", self._endpoint)
        for entry in os.listdir(self._base) if self._base else ():
            name = entry.removesuffix(ending)
            if name != entry and name not in sandboxes and self.sessions(name) == 0:
                self._clear(name, str(self.record(name).get("id", "")))

    def _clear(self, sandbox: str, container: str) -> None:
        seat = self._seat(sandbox)
        seat.lock()
        try:
            known = seat.read()
            if not seat.others() and known.get("id") == container:
                forget(self._engine, seat, known)
        finally:
            seat.clear()
            seat.unlock()

    def _seat(self, sandbox: str) -> Seat:
        return Seat(self._base, seat_name(sandbox, self._endpoint), "")


def stop(engine: Engine, container: Container, registry: Registry, *, grace: int = GRACE) -> None:
    """Stop a running container: TERM first, KILL after the grace. A sandbox is gone then.

    Args:
        engine: the engine.
        container: which.
        registry: where its sessions are.
        grace: seconds.
    """
    with registry.waking(container):  # a signal wakes what is paused
        if container.state == "paused":
            _change(engine, container, "unpause", 0)
        if not container.is_sandbox:
            _change(engine, container, "stop", grace)
            return
        _end_sessions(engine, container, registry, grace)
        _change(engine, container, "stop", 1)
    wait_removed(engine, container.id)
    registry.forget(container.name, container.id)


def restart(
    engine: Engine, container: Container, registry: Registry, *, grace: int = GRACE
) -> None:
    """Restart a container.

    Args:
        engine: the engine.
        container: which.
        registry: where its sessions are.
        grace: seconds between asking its processes to end and ending them.

    Raises:
        ClaudyError: it is a sandbox that ends with its sessions.
    """
    require_restartable(container, registry)
    _require_whole(engine, container)
    with registry.waking(container):
        if container.is_sandbox:
            _end_sessions(engine, container, registry, grace)
        _change(engine, container, "restart", 1 if container.is_sandbox else grace)


def require_restartable(container: Container, registry: Registry) -> None:
    """Refuse a sandbox that ends with its sessions: they would take it with them.

    Raises:
        ClaudyError: it is one.
    """
    if container.is_sandbox and not registry.record(container.name).get("keep"):
        raise ClaudyError(
            f"{container.name} ends with its last session, so there is nothing to restart.",
            f"claudy --recreate {shlex.quote(container.project)}",
        )


def _require_whole(engine: Engine, container: Container) -> None:
    """Refuse a container that mounts parts of its project: the engine follows what are links now.

    A look before would not help: what is asked to end can still put one there.

    Raises:
        ClaudyError: it does.
    """
    if not container.project:
        return
    found = engine.call("GET", f"/containers/{container.id}/json")
    for mount in found.get("Mounts") or []:
        source = str(mount.get("Source", ""))
        if mount.get("Type") == "bind" and is_below(source, container.project):
            again = f"claudy --recreate {shlex.quote(container.project)}"
            raise ClaudyError(
                f"{container.name} mounts {source}, which may be a link by now.",
                again if container.is_sandbox else f"docker restart {container.name}, inside",
            )


def remove_container(engine: Engine, container: Container, registry: Registry) -> None:
    """Remove a container by force, with its anonymous volumes.

    Args:
        engine: the engine.
        container: which.
        registry: where its sessions are.
    """
    remove(engine, container.id)
    if container.is_sandbox:
        registry.forget(container.name, container.id)


def _change(engine: Engine, container: Container, verb: str, grace: int) -> None:
    """Ask the engine to change a container's state; one that is gone already needs nothing."""
    query = {"t": grace} if verb != "unpause" else None
    try:
        engine.call("POST", f"/containers/{container.id}/{verb}", query, timeout=grace + 30)
    except APIError as error:
        if error.status not in (_NOT_FOUND, _CONFLICT) or verb == "restart":
            raise


def _end_sessions(engine: Engine, container: Container, registry: Registry, grace: int) -> None:
    """Tell all processes of a sandbox to end, and wait until its sessions have."""
    _tell(engine, container.id)
    deadline = time.monotonic() + grace
    while registry.sessions(container.name) and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def _tell(engine: Engine, container: str) -> None:
    """Tell all processes of a sandbox to end, and don't wait for it."""
    body = {"Cmd": ["sh", "-c", _TELL], "User": "0"}
    start = dumps({"Detach": True, "Tty": False})
    headers = {"Content-Type": "application/json"}
    try:
        found = engine.call("POST", f"/containers/{container}/exec", body=body)
        path = f"/exec/{found['Id']}/start"
        engine.stream("POST", path, body=start, headers=headers, timeout=30).close()
    except APIError as error:
        if error.status not in (_NOT_FOUND, _CONFLICT):
            raise
