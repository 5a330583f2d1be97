"""What a guard has refused, where it runs in a sidecar: its log is in a volume of the engine."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import time
from typing import TYPE_CHECKING

from claudy.containers.container import PROBE_LABEL
from claudy.containers.logs import guard_entry
from claudy.engine.jsonc import dumps
from claudy.errors import APIError, ClaudyError
from claudy.record import record
from claudy.sandbox.guardplan import MARK
from claudy.sandbox.leave import remove
from claudy.sandbox.probe import probe_name
from claudy.sandbox.sidecar import LOG, STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.engine.client import Engine

_NOT_FOUND = 404
_PAUSE = 0.5


@record
class Memory:
    """Where a project's sidecars keep what they remember.

    Args:
        volume: of the ledger and the log.
        image: the sidecar's.
    """

    volume: str
    image: str


def find_memory(state: str) -> Memory | None:
    """Return where a project's guard remembers, if its last one was a sidecar.

    Args:
        state: the project's directory of what guards remember.
    """
    try:
        with open(f"{state}/{MARK}", encoding="utf-8") as file:
            found = json.load(file)
        return Memory(str(found["volume"]), str(found["image"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_sidecar_log(
    engine: Engine, memory: Memory, *, tail: int | None = None, follow: bool = False
) -> Iterator[str]:
    """Yield what a sidecar has noted, a line each: time, status, request and reason.

    Args:
        engine: the engine.
        memory: where.
        tail: how many of the last entries; None for all.
        follow: go on for ever.

    Raises:
        ClaudyError: the log can't be reached.
    """
    shown: list[str] = []
    first = True
    while True:
        lines = _fetch(engine, memory).splitlines()
        # A log that was turned over starts anew.
        new = lines[len(shown) :] if lines[: len(shown)] == shown else lines
        if first and tail is not None:
            new = new[max(0, len(new) - tail) :] if tail else []
        yield from map(guard_entry, new)
        if not follow:
            return
        shown, first = lines, False
        time.sleep(_PAUSE)


def _fetch(engine: Engine, memory: Memory) -> str:
    """Return the log as it is now; empty if there is none yet."""
    filters = dumps({"volume": [memory.volume], "label": ["claudy.role=guard"]}).decode()
    for one in engine.call("GET", "/containers/json", {"filters": filters}):
        with contextlib.suppress(APIError):  # it may end just now
            return _copy(engine, str(one["Id"]))
    try:
        engine.call("GET", f"/volumes/{memory.volume}")
    except APIError as error:
        if error.status == _NOT_FOUND:
            return ""
        raise
    container = _reader(engine, memory)
    try:
        return _copy(engine, container)
    finally:
        remove(engine, container)


def _reader(engine: Engine, memory: Memory) -> str:
    """Create a container that has the volume; it is never started."""
    mount = {"Type": "volume", "Source": memory.volume, "Target": STATE, "ReadOnly": True}
    body = {
        "Image": memory.image,
        "Labels": {PROBE_LABEL: "guard-log"},
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }
    try:
        return str(engine.call("POST", "/containers/create", probe_name(), body)["Id"])
    except APIError as error:
        if error.status != _NOT_FOUND:
            raise
        raise ClaudyError(
            f"The guard's log is in the volume {memory.volume}, and its image {memory.image} is"
            " not there any more to read it.",
            "claudy --docker guard -- true",
        ) from error


def _copy(engine: Engine, container: str) -> str:
    try:
        response = engine.stream("GET", f"/containers/{container}/archive", {"path": LOG})
    except APIError as error:
        if error.status == _NOT_FOUND:
            return ""
        raise
    try:
        data = response.read()
    finally:
        response.close()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = archive.next()
        file = archive.extractfile(member) if member else None
        return file.read().decode("utf-8", "replace") if file else ""
