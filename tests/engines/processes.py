"""Which processes belong to an engine: by a mark in the environment, by pid file, by namespace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.engines.shell import alive

if TYPE_CHECKING:
    from tests.engines.layout import Place


def read_pid(place: Place, file: str) -> int | None:
    """Return the live process of an engine that a pid file names, if there is one.

    A pid file may be older than the machine's last start: what has no mark is somebody else's.
    """
    pid = read_number(place.run / file)
    return pid if pid and alive(pid) and _has_mark(pid, place) else None


def read_number(path: Path) -> int | None:
    """Return the process id in a file, live or not."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def marked(place: Place) -> list[int]:
    """Return the processes that the harness started for an engine, and what those started."""
    return [pid for pid in processes() if _has_mark(pid, place)]


def mark(place: Place) -> str:
    """Return the environment variable of all that the harness started for an engine."""
    return f"CLAUDY_TEST_PART_OF={place.name}"


def _has_mark(pid: int, place: Place) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return mark(place).encode() in environment.split(b"\0")


def processes() -> list[int]:
    """Return all processes of the machine."""
    return [int(process.name) for process in Path("/proc").glob("[0-9]*")]


def namespace(pid: int, name: str) -> str | None:
    """Return the identity of a namespace of a process, or nothing once it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{name}")
    except OSError:
        return None
