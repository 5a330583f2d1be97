"""Read what containers have written."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from claudy.errors import ClaudyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claudy.engine.client import Engine

STDOUT, STDERR = 1, 2
_HEAD = 8


def read_logs(
    engine: Engine, container: str, *, tail: int | None = None, follow: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Yield what a container has written, as it comes.

    Args:
        engine: the engine.
        container: its id or name.
        tail: how many of the last lines; None for all.
        follow: go on until the container ends.

    Yields:
        Which stream (1 for stdout, 2 for stderr; with a terminal all is stdout) and its bytes.

    Raises:
        ClaudyError: the engine keeps no log of it.
        APIError: there is no such container (404), or its log driver can't be read.
    """
    found = engine.call("GET", f"/containers/{container}/json")
    driver = ((found.get("HostConfig") or {}).get("LogConfig") or {}).get("Type")
    if driver == "none":
        name = str(found.get("Name", container)).lstrip("/")
        raise ClaudyError(
            f"The engine keeps no log of {name}: what is shown and piped there is its session's.",
            "claudy ps --all",
        )
    query: dict[str, str | int | bool] = {
        "stdout": True,
        "stderr": True,
        "follow": follow,
        "tail": "all" if tail is None else tail,
    }
    response = engine.stream("GET", f"/containers/{container}/logs", query)
    try:
        if (found.get("Config") or {}).get("Tty"):
            for block in response.blocks():
                yield STDOUT, block
        else:
            yield from split_frames(response.blocks())
    finally:
        response.close()


def split_frames(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces of a multiplexed stream.

    Each frame is a head of 8 bytes (the stream, three zeros, the length in 4 bytes, big-endian)
    and its bytes (API documentation of `POST /containers/ID/attach`).

    Args:
        blocks: the stream, cut anywhere.
    """
    head = b""
    target, left = STDOUT, 0
    for block in blocks:
        rest = block
        while rest:
            if left:
                piece, rest = rest[:left], rest[left:]
                left -= len(piece)
                yield target, piece
                continue
            missing = _HEAD - len(head)
            head, rest = head + rest[:missing], rest[missing:]
            if len(head) == _HEAD:
                target = STDERR if head[0] == STDERR else STDOUT
                left = int.from_bytes(head[4:], "big")
                head = b""


def read_guard_log(path: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
    """Yield what a guard has noted, a line each: time, status, request and reason.

    Args:
        path: the guard's log file; there may be none yet.
        tail: how many of the last entries; None for all.
        follow: go on for ever.
    """
    import os

    place, first = 0, True
    while True:
        try:
            size = os.path.getsize(path)
            with open(path, encoding="utf-8", errors="replace") as file:
                # A log that was turned over starts anew.
                file.seek(place if place <= size else 0)
                entries = file.read().splitlines()
                place = file.tell()
        except OSError:
            entries = []
        if first and tail is not None:
            entries = entries[max(0, len(entries) - tail) :] if tail else []
        yield from map(guard_entry, entries)
        if not follow:
            return
        first = False
        time.sleep(0.2)


def guard_entry(line: str) -> str:
    """Return one line of the guard's log for people."""
    try:
        found = json.loads(line)
        if "refused" in found:
            return f"{found['time']} {found['status']} {found['refused']}: {found['reason']}"
        return f"{found['time']} {found['event']}"
    except (ValueError, KeyError, TypeError):
        return line
