"""End a session: its processes when it did not end by itself, the container with the last one."""

from __future__ import annotations

from claudy.errors import APIError, EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from claudy.engine.client import Engine
    from claudy.sandbox.guarding import Guard
    from claudy.sandbox.registry import Seat
    from claudy.sandbox.sidecar import Sidecar

NOT_FOUND, CONFLICT = 404, 409
_LATE = 2.0  # seconds that the engine may go on with a request whose client has died
_REMOVAL_TIMEOUT = 30.0
_PATIENCE = 10.0  # seconds for the script below, which takes two

# Ends everything that carries the session's id in its environment, what it put into the background
# included: first as a closing terminal would, at last by force. Runs as the sandbox's user.
END_SESSION = """
session=$1 first=$2
members() {
    for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        [ "$pid" = 1 ] || [ "$pid" = $$ ] && continue
        grep -qs "CLAUDY_SESSION=$session" "$entry/environ" && echo "$pid"
    done
}
for signal in $first TERM KILL; do
    pids=$(members)
    [ -n "$pids" ] || exit 0
    kill -s $signal $pids 2>/dev/null
    kill -s CONT $pids 2>/dev/null
    for tick in 1 2 3 4 5; do
        [ -n "$(members)" ] || exit 0
        sleep 0.1
    done
done
"""


def leave(
    engine: Engine,
    seat: Seat,
    container: str,
    *,
    signal: str = "",
    gone: bool = False,
    guard: Guard | Sidecar | None = None,
) -> None:
    """Give up a session's seat, and the sandbox if it was the last.

    Args:
        engine: the engine.
        seat: this session's place in the registry.
        container: name or id of the sandbox's container.
        signal: first signal for the session's processes (`HUP`, `INT`); empty if they have ended.
        gone: the container is known to have ended and been removed.
        guard: the sandbox's guard, in case that its start was not completed.
    """
    seat.lock()
    try:
        seat.leave()
        record = seat.read()
        others = seat.others()  # asked in any case: it strikes out those that were killed
        if gone:
            if record.get("id") == container or not others:
                forget(engine, seat, record, guard)
        elif not others and not record.get("keep"):
            remove_own(engine, container)
            forget(engine, seat, record, guard)
        elif signal:
            end_processes(engine, container, seat.session, signal)
    finally:
        seat.clear()
        seat.unlock()


def forget(
    engine: Engine, seat: Seat, record: Mapping[str, Any], guard: Guard | Sidecar | None = None
) -> None:
    """Drop what is known about a sandbox that is gone, and what its guard leaves.

    Args:
        engine: the engine.
        seat: a place in the registry.
        record: what was noted of the sandbox.
        guard: its guard, in case that nothing was noted yet.
    """
    seat.forget()
    if record.get("guard"):
        from claudy.sandbox.guarding import restored

        guard = restored(record["guard"], engine)
    if guard is not None:
        guard.sweep()


def remove_own(engine: Engine, container: str) -> None:
    """Remove a sandbox's container by force; one of a stranger with its name is left alone.

    An id was given by the engine to this launch or to the one that started the sandbox. A name is
    all there is when a launch ended before it had an id; whatever has it may be anybody's.
    """
    if container.startswith("claudy-"):
        try:
            found = engine.call("GET", f"/containers/{container}/json")
        except APIError as error:
            if error.status == NOT_FOUND:
                return
            raise
        if (found["Config"].get("Labels") or {}).get("claudy.sandbox") != container:
            return
        container = str(found["Id"])
    remove(engine, container)


def remove(engine: Engine, container: str) -> None:
    """Remove a container by force and wait until it is gone; it may be gone already."""
    try:
        engine.call("DELETE", f"/containers/{container}", {"force": True, "v": True})
    except APIError as error:
        if error.status == CONFLICT:  # the engine is at it: AutoRemove
            wait_removed(engine, container)
        elif error.status != NOT_FOUND:
            raise


def wait_removed(engine: Engine, container: str) -> None:
    """Wait until a container that is being removed is gone."""
    try:
        query = {"condition": "removed"}
        engine.call("POST", f"/containers/{container}/wait", query, timeout=_REMOVAL_TIMEOUT)
    except APIError as error:
        if error.status != NOT_FOUND:
            raise


def remove_late(
    engine: Engine, name: str, seat: Seat, guard: Guard | Sidecar | None = None
) -> None:
    """Remove a container that the engine was still creating when its claudy died.

    Args:
        engine: the engine.
        name: name of the container; somebody else's may have it by now.
        seat: of the session that it was created for.
        guard: the sandbox's guard; a sidecar is created first, so it may be the one.
    """
    import time

    until = time.monotonic() + _LATE
    while time.monotonic() < until:
        try:
            found = engine.call("GET", f"/containers/{name}/json")
        except APIError as error:
            if error.status != NOT_FOUND:
                raise
            if guard is not None and guard.in_engine:
                _sweep_alone(seat, guard)
        else:
            # One that runs was known to its claudy, `leave` saw to it, and others may be in it.
            if seat.session in found["Config"]["Cmd"] and not found["State"]["Running"]:
                remove(engine, str(found["Id"]))
            return
        time.sleep(0.1)


def _sweep_alone(seat: Seat, guard: Guard | Sidecar) -> None:
    """Sweep up after a guard unless somebody has entered the sandbox, or starts it anew."""
    seat.lock()
    try:
        if not seat.others() and not seat.read():
            guard.sweep()
    finally:
        seat.clear()
        seat.unlock()


def end_processes(engine: Engine, container: str, session: str, signal: str) -> None:
    """End a session's processes inside a container that goes on, as far as it lets that happen."""
    import time

    body = {"Cmd": ["sh", "-c", END_SESSION, "claudy-end", session, signal], "AttachStdout": True}
    try:
        found = engine.call("POST", f"/containers/{container}/exec", body=body)
        options = {"Detach": False, "Tty": False}
        path = f"/exec/{found['Id']}/start"
        response = engine.stream(
            "POST", path, body=_json(options), headers=_JSON, timeout=_PATIENCE
        )
        try:
            # Ends when the script does. Whoever else runs there can stop that, and write for it.
            until = time.monotonic() + _PATIENCE
            for _ in response.blocks():
                if time.monotonic() > until:
                    break
        except TimeoutError:
            pass
        finally:
            response.close()
    except APIError as error:
        if error.status not in (NOT_FOUND, CONFLICT):
            raise
    except EngineError:
        raise


_JSON = {"Content-Type": "application/json"}


def _json(value: object) -> bytes:
    from claudy.engine.jsonc import dumps

    return dumps(value)
